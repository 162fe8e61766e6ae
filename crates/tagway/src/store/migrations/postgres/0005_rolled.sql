-- Days that are over, added up once more by fewer properties, so that questions about months do not read every row of
-- `daily`. Made of it by one statement a day; a day that is not in `rolled` is read there.

-- by deployment alone: of all requests
CREATE TABLE daily_models (
    day BIGINT NOT NULL,
    group_id BIGINT NOT NULL,
    deployment_id BIGINT NOT NULL,
    provider_id BIGINT NOT NULL,
    model_id BIGINT NOT NULL,
    requests BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    unpriced BIGINT NOT NULL,
    prompt_tokens BIGINT NOT NULL,
    completion_tokens BIGINT NOT NULL,
    cache_read_tokens BIGINT NOT NULL,
    cache_write_tokens BIGINT NOT NULL,
    cost BIGINT NOT NULL
);
CREATE INDEX daily_models_by_day ON daily_models (day);

-- by owner alone
CREATE TABLE daily_keys (
    day BIGINT NOT NULL,
    key_id BIGINT NOT NULL,
    team_id BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    organization_id BIGINT NOT NULL,
    project_id BIGINT NOT NULL,
    requests BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    unpriced BIGINT NOT NULL,
    prompt_tokens BIGINT NOT NULL,
    completion_tokens BIGINT NOT NULL,
    cache_read_tokens BIGINT NOT NULL,
    cache_write_tokens BIGINT NOT NULL,
    cost BIGINT NOT NULL
);
CREATE INDEX daily_keys_by_day ON daily_keys (day);
CREATE INDEX daily_keys_by_key ON daily_keys (key_id, day);
CREATE INDEX daily_keys_by_team ON daily_keys (team_id, day);
CREATE INDEX daily_keys_by_user ON daily_keys (user_id, day);

-- by tag: all of what requests with it add up to, and its share. Tag 0 is none.
CREATE TABLE daily_tags (
    day BIGINT NOT NULL,
    tag_id BIGINT NOT NULL,
    group_id BIGINT NOT NULL,
    deployment_id BIGINT NOT NULL,
    provider_id BIGINT NOT NULL,
    model_id BIGINT NOT NULL,
    requests BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    unpriced BIGINT NOT NULL,
    prompt_tokens BIGINT NOT NULL,
    completion_tokens BIGINT NOT NULL,
    cache_read_tokens BIGINT NOT NULL,
    cache_write_tokens BIGINT NOT NULL,
    cost BIGINT NOT NULL,
    split_requests BIGINT NOT NULL,
    split_failed BIGINT NOT NULL,
    split_unpriced BIGINT NOT NULL,
    split_prompt_tokens BIGINT NOT NULL,
    split_completion_tokens BIGINT NOT NULL,
    split_cache_read_tokens BIGINT NOT NULL,
    split_cache_write_tokens BIGINT NOT NULL,
    split_cost BIGINT NOT NULL
);
CREATE INDEX daily_tags_by_day ON daily_tags (day);
CREATE INDEX daily_tags_by_tag ON daily_tags (tag_id, day);

-- by owner and deployment
CREATE TABLE daily_owners (
    day BIGINT NOT NULL,
    key_id BIGINT NOT NULL,
    team_id BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    organization_id BIGINT NOT NULL,
    project_id BIGINT NOT NULL,
    group_id BIGINT NOT NULL,
    deployment_id BIGINT NOT NULL,
    provider_id BIGINT NOT NULL,
    model_id BIGINT NOT NULL,
    requests BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    unpriced BIGINT NOT NULL,
    prompt_tokens BIGINT NOT NULL,
    completion_tokens BIGINT NOT NULL,
    cache_read_tokens BIGINT NOT NULL,
    cache_write_tokens BIGINT NOT NULL,
    cost BIGINT NOT NULL
);
CREATE INDEX daily_owners_by_day ON daily_owners (day);
CREATE INDEX daily_owners_by_key ON daily_owners (key_id, day);
CREATE INDEX daily_owners_by_team ON daily_owners (team_id, day);
CREATE INDEX daily_owners_by_user ON daily_owners (user_id, day);

-- by tag and owner
CREATE TABLE daily_tag_owners (
    day BIGINT NOT NULL,
    tag_id BIGINT NOT NULL,
    key_id BIGINT NOT NULL,
    team_id BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    organization_id BIGINT NOT NULL,
    project_id BIGINT NOT NULL,
    requests BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    unpriced BIGINT NOT NULL,
    prompt_tokens BIGINT NOT NULL,
    completion_tokens BIGINT NOT NULL,
    cache_read_tokens BIGINT NOT NULL,
    cache_write_tokens BIGINT NOT NULL,
    cost BIGINT NOT NULL,
    split_requests BIGINT NOT NULL,
    split_failed BIGINT NOT NULL,
    split_unpriced BIGINT NOT NULL,
    split_prompt_tokens BIGINT NOT NULL,
    split_completion_tokens BIGINT NOT NULL,
    split_cache_read_tokens BIGINT NOT NULL,
    split_cache_write_tokens BIGINT NOT NULL,
    split_cost BIGINT NOT NULL
);
CREATE INDEX daily_tag_owners_by_day ON daily_tag_owners (day);
CREATE INDEX daily_tag_owners_by_tag ON daily_tag_owners (tag_id, day);
CREATE INDEX daily_tag_owners_by_key ON daily_tag_owners (key_id, day);
CREATE INDEX daily_tag_owners_by_team ON daily_tag_owners (team_id, day);

-- by customer and owner
CREATE TABLE daily_customers (
    day BIGINT NOT NULL,
    customer_id BIGINT NOT NULL,
    key_id BIGINT NOT NULL,
    team_id BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    organization_id BIGINT NOT NULL,
    project_id BIGINT NOT NULL,
    requests BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    unpriced BIGINT NOT NULL,
    prompt_tokens BIGINT NOT NULL,
    completion_tokens BIGINT NOT NULL,
    cache_read_tokens BIGINT NOT NULL,
    cache_write_tokens BIGINT NOT NULL,
    cost BIGINT NOT NULL
);
CREATE INDEX daily_customers_by_day ON daily_customers (day);
CREATE INDEX daily_customers_by_customer ON daily_customers (customer_id, day);

-- the days that these tables have, by the table's name
CREATE TABLE rolled (
    roll TEXT NOT NULL,
    day BIGINT NOT NULL,
    PRIMARY KEY (roll, day)
);
