-- Experiments: how long answers took, beside what they cost; how ramps stand, and what their variants came to.

-- of requests that were answered: how many, in microseconds how long they took, and until the answer began
ALTER TABLE daily ADD COLUMN timed BIGINT NOT NULL DEFAULT 0;
ALTER TABLE daily ADD COLUMN total_us BIGINT NOT NULL DEFAULT 0;
ALTER TABLE daily ADD COLUMN first_us BIGINT NOT NULL DEFAULT 0;
ALTER TABLE daily_models ADD COLUMN timed BIGINT NOT NULL DEFAULT 0;
ALTER TABLE daily_models ADD COLUMN total_us BIGINT NOT NULL DEFAULT 0;
ALTER TABLE daily_models ADD COLUMN first_us BIGINT NOT NULL DEFAULT 0;
ALTER TABLE daily_keys ADD COLUMN timed BIGINT NOT NULL DEFAULT 0;
ALTER TABLE daily_keys ADD COLUMN total_us BIGINT NOT NULL DEFAULT 0;
ALTER TABLE daily_keys ADD COLUMN first_us BIGINT NOT NULL DEFAULT 0;
ALTER TABLE daily_tags ADD COLUMN timed BIGINT NOT NULL DEFAULT 0;
ALTER TABLE daily_tags ADD COLUMN total_us BIGINT NOT NULL DEFAULT 0;
ALTER TABLE daily_tags ADD COLUMN first_us BIGINT NOT NULL DEFAULT 0;
ALTER TABLE daily_tags ADD COLUMN split_timed BIGINT NOT NULL DEFAULT 0;
ALTER TABLE daily_tags ADD COLUMN split_total_us BIGINT NOT NULL DEFAULT 0;
ALTER TABLE daily_tags ADD COLUMN split_first_us BIGINT NOT NULL DEFAULT 0;
ALTER TABLE daily_owners ADD COLUMN timed BIGINT NOT NULL DEFAULT 0;
ALTER TABLE daily_owners ADD COLUMN total_us BIGINT NOT NULL DEFAULT 0;
ALTER TABLE daily_owners ADD COLUMN first_us BIGINT NOT NULL DEFAULT 0;
ALTER TABLE daily_tag_owners ADD COLUMN timed BIGINT NOT NULL DEFAULT 0;
ALTER TABLE daily_tag_owners ADD COLUMN total_us BIGINT NOT NULL DEFAULT 0;
ALTER TABLE daily_tag_owners ADD COLUMN first_us BIGINT NOT NULL DEFAULT 0;
ALTER TABLE daily_tag_owners ADD COLUMN split_timed BIGINT NOT NULL DEFAULT 0;
ALTER TABLE daily_tag_owners ADD COLUMN split_total_us BIGINT NOT NULL DEFAULT 0;
ALTER TABLE daily_tag_owners ADD COLUMN split_first_us BIGINT NOT NULL DEFAULT 0;
ALTER TABLE daily_customers ADD COLUMN timed BIGINT NOT NULL DEFAULT 0;
ALTER TABLE daily_customers ADD COLUMN total_us BIGINT NOT NULL DEFAULT 0;
ALTER TABLE daily_customers ADD COLUMN first_us BIGINT NOT NULL DEFAULT 0;

-- how the ramp of an experiment stands, by its name
CREATE TABLE experiments (
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

-- what requests of a variant came to at one gateway since a time (milliseconds since 1970): each writes its own rows
CREATE TABLE experiment_figures (
    experiment TEXT NOT NULL,
    ramp TEXT NOT NULL,
    since BIGINT NOT NULL,
    variant TEXT NOT NULL,
    gateway TEXT NOT NULL,
    requests BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    -- JSON: how many answers began within each bucket of times
    times TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (experiment, ramp, since, variant, gateway)
) WITHOUT ROWID;
