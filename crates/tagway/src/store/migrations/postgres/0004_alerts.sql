-- Alerts that somebody has told of: one for each window of a budget and each event.
CREATE TABLE alerts (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    until BIGINT NOT NULL,
    event TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (kind, id, until, event)
);
