-- What many requests have in common stands once: whose they were, what they asked for and who served them. Rows of the
-- log are then short enough to be followed along their own key, and need no index that repeats most of them.
CREATE TABLE spend_log_subjects (
    id INTEGER PRIMARY KEY,
    -- of all the rest: what is met again is found by it
    digest TEXT NOT NULL UNIQUE,
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
    -- what else they have in common, as JSON
    about TEXT NOT NULL
);
INSERT INTO spend_log_subjects (digest, key_id, team_id, user_id, organization_id, project_id, customer_id, group_id, deployment_id, provider_id, model_id, tag_set, about)
SELECT 'before ' || row_number() OVER (), * FROM (
    SELECT DISTINCT key_id, team_id, user_id, organization_id, project_id, customer_id, group_id, deployment_id, provider_id, model_id, tag_set,
        json_remove(body, '$.began', '$.took', '$.first_byte', '$.upstream', '$.stream', '$.error', '$.usage', '$.retries', '$.fallbacks')
    FROM spend_logs
);
CREATE INDEX spend_log_subjects_moving ON spend_log_subjects (tag_set, about, key_id);

CREATE TABLE spend_log_rows (
    id BLOB NOT NULL PRIMARY KEY,
    call_id TEXT NOT NULL,
    subject_id BIGINT NOT NULL,
    status BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    -- none where something was used whose price is not known
    cost BIGINT,
    -- the rest of the receipt, as JSON
    body TEXT NOT NULL
) WITHOUT ROWID;
INSERT INTO spend_log_rows (id, call_id, subject_id, status, failed, cost, body)
SELECT l.id, l.call_id, s.id, l.status, l.failed, l.cost,
    json_remove(l.body, '$.endpoint', '$.asked', '$.tags', '$.matched')
FROM spend_logs l
CROSS JOIN spend_log_subjects s ON s.tag_set = l.tag_set
    AND s.about = json_remove(l.body, '$.began', '$.took', '$.first_byte', '$.upstream', '$.stream', '$.error', '$.usage', '$.retries', '$.fallbacks')
    AND s.key_id IS l.key_id
    AND s.team_id IS l.team_id
    AND s.user_id IS l.user_id
    AND s.organization_id IS l.organization_id
    AND s.project_id IS l.project_id
    AND s.customer_id IS l.customer_id
    AND s.group_id IS l.group_id
    AND s.deployment_id IS l.deployment_id
    AND s.provider_id IS l.provider_id
    AND s.model_id IS l.model_id
ORDER BY l.id;
DROP TABLE spend_logs;
ALTER TABLE spend_log_rows RENAME TO spend_logs;
DROP INDEX spend_log_subjects_moving;
-- What the log is looked for by, without the rest, which is long: so much more of it is in memory.
CREATE INDEX spend_log_subjects_asked ON spend_log_subjects (id, tag_set, key_id, team_id, user_id, customer_id, group_id, deployment_id, model_id);
CREATE INDEX spend_logs_by_call ON spend_logs (call_id) WHERE call_id <> '';
CREATE INDEX spend_logs_failed ON spend_logs (id, subject_id, status, cost) WHERE failed = 1;
