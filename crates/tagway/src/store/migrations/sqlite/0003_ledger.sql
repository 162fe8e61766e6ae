-- The ledger: receipts of requests, what they add up to, and what counts against budgets.
-- Money is in nano-dollars. Texts that many rows share are kept once and referred to by number.

CREATE TABLE terms (
    id INTEGER PRIMARY KEY,
    text TEXT NOT NULL UNIQUE
);

-- One row for every request that has ended. The first 48 bits of `id` are its time in milliseconds since 1970, so
-- that its order is the order in time.
CREATE TABLE spend_logs (
    id BLOB NOT NULL PRIMARY KEY,
    call_id TEXT NOT NULL,
    key_id BIGINT,
    team_id BIGINT,
    user_id BIGINT,
    organization_id BIGINT,
    project_id BIGINT,
    customer_id BIGINT,
    group_id BIGINT,
    deployment_id BIGINT,
    provider_id BIGINT,
    model_id BIGINT,
    tag_set BIGINT NOT NULL,
    status BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    -- none where something was used whose price is not known
    cost BIGINT,
    -- the rest of the receipt, as JSON
    body TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX spend_logs_by_call ON spend_logs (call_id);
CREATE INDEX spend_logs_by_key ON spend_logs (key_id, id) WHERE key_id IS NOT NULL;
CREATE INDEX spend_logs_by_team ON spend_logs (team_id, id) WHERE team_id IS NOT NULL;
CREATE INDEX spend_logs_by_user ON spend_logs (user_id, id) WHERE user_id IS NOT NULL;
CREATE INDEX spend_logs_by_customer ON spend_logs (customer_id, id) WHERE customer_id IS NOT NULL;
CREATE INDEX spend_logs_by_group ON spend_logs (group_id, id) WHERE group_id IS NOT NULL;
CREATE INDEX spend_logs_failed ON spend_logs (id) WHERE failed = 1;

-- Which requests carried a tag: with sets alone, the newest requests of a tag that is in very many sets could not be
-- found without looking at all of them.
CREATE TABLE spend_log_tags (
    tag_id BIGINT NOT NULL,
    log_id BLOB NOT NULL,
    PRIMARY KEY (tag_id, log_id)
) WITHOUT ROWID;

-- sets of tags that requests carried together; the set without any tag is 0
CREATE TABLE tag_sets (
    id INTEGER PRIMARY KEY,
    -- the numbers of its tags in ascending order, separated by spaces; a digest of that where it is long
    tags TEXT NOT NULL UNIQUE,
    size BIGINT NOT NULL
);
INSERT INTO tag_sets (id, tags, size) VALUES (0, '', 0);
CREATE TABLE tag_set_members (
    tag_id BIGINT NOT NULL,
    tag_set BIGINT NOT NULL,
    -- from 0 in the order of the numbers
    position BIGINT NOT NULL,
    -- of the set
    size BIGINT NOT NULL,
    PRIMARY KEY (tag_id, tag_set)
) WITHOUT ROWID;
CREATE INDEX tag_set_members_by_set ON tag_set_members (tag_set);

-- what the requests of a day (days since 1970, UTC) add up to: every request counts in one row. 0 is none.
CREATE TABLE daily (
    day BIGINT NOT NULL,
    key_id BIGINT NOT NULL,
    team_id BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    organization_id BIGINT NOT NULL,
    project_id BIGINT NOT NULL,
    customer_id BIGINT NOT NULL,
    group_id BIGINT NOT NULL,
    deployment_id BIGINT NOT NULL,
    provider_id BIGINT NOT NULL,
    model_id BIGINT NOT NULL,
    tag_set BIGINT NOT NULL,
    requests BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    -- requests that used something whose price is not known
    unpriced BIGINT NOT NULL,
    prompt_tokens BIGINT NOT NULL,
    completion_tokens BIGINT NOT NULL,
    cache_read_tokens BIGINT NOT NULL,
    cache_write_tokens BIGINT NOT NULL,
    cost BIGINT NOT NULL,
    PRIMARY KEY (day, key_id, team_id, user_id, organization_id, project_id, customer_id, group_id, deployment_id, provider_id, model_id, tag_set)
) WITHOUT ROWID;
CREATE INDEX daily_by_tag_set ON daily (tag_set, day);
CREATE INDEX daily_by_key ON daily (key_id, day);
CREATE INDEX daily_by_team ON daily (team_id, day);
CREATE INDEX daily_by_user ON daily (user_id, day);

-- What counts against budgets: amounts that stop to count at a time (milliseconds since 1970, 9223372036854775807
-- for never). What a payer has spent is the sum of its rows that still count.
CREATE TABLE counted (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    until BIGINT NOT NULL,
    amount BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (kind, id, until)
) WITHOUT ROWID;
INSERT INTO counted (kind, id, until, amount, updated_at)
SELECT kind, id, 9223372036854775807, amount, 0 FROM spend;
DROP TABLE spend;
ALTER TABLE counted RENAME TO spend;
CREATE INDEX spend_by_update ON spend (updated_at);
CREATE INDEX spend_by_end ON spend (until) WHERE until < 9223372036854775807;
