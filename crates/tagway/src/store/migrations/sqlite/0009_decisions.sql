-- How requests were routed: of a sample, and of those that were refused. Apart from the log, which is read by the page.
CREATE TABLE spend_log_decisions (
    id BLOB NOT NULL PRIMARY KEY,
    decision TEXT NOT NULL
);
