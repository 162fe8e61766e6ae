-- The log is followed in the order of time by one index, which has all that requests are looked for by: to write it
-- costs next to nothing, while indexes by owner and by tag are written to all over. On which days there is something
-- to be found, the sums of days know. Those are read day by day, too, and what is asked of months is rolled up.
DROP INDEX spend_logs_by_key;
DROP INDEX spend_logs_by_team;
DROP INDEX spend_logs_by_user;
DROP INDEX spend_logs_by_customer;
DROP INDEX spend_logs_by_group;
DROP INDEX spend_logs_failed;
DROP TABLE spend_log_tags;
ALTER TABLE spend_logs DROP CONSTRAINT spend_logs_pkey;
ALTER TABLE spend_logs ADD PRIMARY KEY (id) INCLUDE (tag_set, key_id, team_id, user_id, customer_id, group_id, deployment_id, model_id, failed, status, cost);
CREATE INDEX spend_logs_failed ON spend_logs (id) INCLUDE (tag_set, key_id, team_id, user_id, customer_id, group_id, deployment_id, model_id, failed, status, cost) WHERE failed = 1;
DROP INDEX daily_by_tag_set;
DROP INDEX daily_by_key;
DROP INDEX daily_by_team;
DROP INDEX daily_by_user;
