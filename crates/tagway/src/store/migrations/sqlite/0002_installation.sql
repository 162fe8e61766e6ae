-- Which store this is: gateways that hear of each other elsewhere tell theirs from others by it.
CREATE TABLE installation (
    id TEXT NOT NULL PRIMARY KEY
);
INSERT INTO installation (id) VALUES (lower(hex(randomblob(16))));
