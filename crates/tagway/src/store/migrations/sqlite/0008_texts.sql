-- What was said, where it is to be kept: apart from the log, which is read by the page.
CREATE TABLE spend_log_texts (
    id BLOB NOT NULL PRIMARY KEY,
    messages TEXT NOT NULL,
    response TEXT NOT NULL
);
