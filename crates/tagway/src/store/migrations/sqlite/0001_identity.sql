-- Identity: who may call, what tags they carry, what they may do.
-- Times are milliseconds since 1970 (UTC). `body` is the object as JSON; the columns beside it are what is
-- searched or joined by. Every kind has the same columns, so that one set of statements serves all.

-- virtual keys; `id` is the SHA-256 of the key it was made with and never changes
CREATE TABLE keys (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT,
    team_id TEXT,
    user_id TEXT,
    organization_id TEXT,
    project_id TEXT,
    budget_id TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    created_by TEXT,
    updated_by TEXT,
    version BIGINT NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX keys_by_age ON keys (created_at, id);
CREATE UNIQUE INDEX keys_by_name ON keys (name) WHERE name IS NOT NULL;
CREATE INDEX keys_by_team ON keys (team_id, created_at, id) WHERE team_id IS NOT NULL;
CREATE INDEX keys_by_user ON keys (user_id, created_at, id) WHERE user_id IS NOT NULL;
CREATE INDEX keys_by_organization ON keys (organization_id, created_at, id) WHERE organization_id IS NOT NULL;
CREATE INDEX keys_by_project ON keys (project_id, created_at, id) WHERE project_id IS NOT NULL;
CREATE INDEX keys_by_budget ON keys (budget_id, created_at, id) WHERE budget_id IS NOT NULL;

-- teams
CREATE TABLE teams (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT,
    team_id TEXT,
    user_id TEXT,
    organization_id TEXT,
    project_id TEXT,
    budget_id TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    created_by TEXT,
    updated_by TEXT,
    version BIGINT NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX teams_by_age ON teams (created_at, id);
CREATE INDEX teams_by_name ON teams (name);
CREATE INDEX teams_by_organization ON teams (organization_id, created_at, id) WHERE organization_id IS NOT NULL;

-- internal users
CREATE TABLE users (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT,
    team_id TEXT,
    user_id TEXT,
    organization_id TEXT,
    project_id TEXT,
    budget_id TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    created_by TEXT,
    updated_by TEXT,
    version BIGINT NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX users_by_age ON users (created_at, id);
CREATE INDEX users_by_name ON users (name);
CREATE INDEX users_by_organization ON users (organization_id, created_at, id) WHERE organization_id IS NOT NULL;

-- end users named by requests
CREATE TABLE customers (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT,
    team_id TEXT,
    user_id TEXT,
    organization_id TEXT,
    project_id TEXT,
    budget_id TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    created_by TEXT,
    updated_by TEXT,
    version BIGINT NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX customers_by_age ON customers (created_at, id);
CREATE INDEX customers_by_budget ON customers (budget_id, created_at, id) WHERE budget_id IS NOT NULL;

-- organizations
CREATE TABLE organizations (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT,
    team_id TEXT,
    user_id TEXT,
    organization_id TEXT,
    project_id TEXT,
    budget_id TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    created_by TEXT,
    updated_by TEXT,
    version BIGINT NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX organizations_by_age ON organizations (created_at, id);
CREATE INDEX organizations_by_name ON organizations (name);

-- projects
CREATE TABLE projects (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT,
    team_id TEXT,
    user_id TEXT,
    organization_id TEXT,
    project_id TEXT,
    budget_id TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    created_by TEXT,
    updated_by TEXT,
    version BIGINT NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX projects_by_age ON projects (created_at, id);
CREATE INDEX projects_by_name ON projects (name);
CREATE INDEX projects_by_team ON projects (team_id, created_at, id) WHERE team_id IS NOT NULL;

-- budgets that others refer to
CREATE TABLE budgets (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT,
    team_id TEXT,
    user_id TEXT,
    organization_id TEXT,
    project_id TEXT,
    budget_id TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    created_by TEXT,
    updated_by TEXT,
    version BIGINT NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX budgets_by_age ON budgets (created_at, id);

-- declared tags; `id` is the tag
CREATE TABLE tags (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT,
    team_id TEXT,
    user_id TEXT,
    organization_id TEXT,
    project_id TEXT,
    budget_id TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    created_by TEXT,
    updated_by TEXT,
    version BIGINT NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX tags_by_age ON tags (created_at, id);
CREATE INDEX tags_by_budget ON tags (budget_id, created_at, id) WHERE budget_id IS NOT NULL;

-- deployments added over the API
CREATE TABLE models (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT,
    team_id TEXT,
    user_id TEXT,
    organization_id TEXT,
    project_id TEXT,
    budget_id TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    created_by TEXT,
    updated_by TEXT,
    version BIGINT NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX models_by_age ON models (created_at, id);
CREATE INDEX models_by_name ON models (name);
CREATE INDEX models_by_team ON models (team_id, created_at, id) WHERE team_id IS NOT NULL;

-- The digests a key answers to: one, or two while a rotation overlaps. `ends_at`: not after this time.
CREATE TABLE key_digests (
    digest BLOB NOT NULL PRIMARY KEY,
    key_id TEXT NOT NULL REFERENCES keys (id) ON DELETE CASCADE,
    ends_at BIGINT
);
CREATE INDEX key_digests_by_key ON key_digests (key_id);

-- Who carries which tag, for lists filtered by tag.
CREATE TABLE carried_tags (
    tag TEXT NOT NULL,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    PRIMARY KEY (tag, kind, id)
);
CREATE INDEX carried_tags_by_object ON carried_tags (kind, id);

-- Who is member of which team or organization, and as what.
CREATE TABLE members (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    role TEXT NOT NULL,
    PRIMARY KEY (kind, id, user_id)
);
CREATE INDEX members_by_user ON members (user_id, kind);

-- What was spent, in nano-dollars, apart from the objects so that counting does not rewrite them.
CREATE TABLE spend (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    amount BIGINT NOT NULL,
    PRIMARY KEY (kind, id)
);

-- Tags seen in requests, declared or not.
CREATE TABLE seen_tags (
    tag TEXT NOT NULL PRIMARY KEY,
    first_at BIGINT NOT NULL,
    last_at BIGINT NOT NULL
);

-- Every change: who, what, before, after. Holds no secret.
CREATE TABLE audit (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    role TEXT NOT NULL,
    action TEXT NOT NULL,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    before TEXT,
    after TEXT
);
CREATE INDEX audit_by_object ON audit (kind, id, seq);
CREATE INDEX audit_by_time ON audit (at);

-- What changed lately, for the other gateways.
CREATE TABLE changes (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at BIGINT NOT NULL,
    kind TEXT NOT NULL,
    id TEXT NOT NULL
);
CREATE INDEX changes_by_time ON changes (at);
