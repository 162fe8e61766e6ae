-- Requests that their clients did not name are found by their number, which their call id then is: `call_id` is empty.
DROP INDEX spend_logs_by_call;
CREATE INDEX spend_logs_by_call ON spend_logs (call_id) WHERE call_id <> '';
