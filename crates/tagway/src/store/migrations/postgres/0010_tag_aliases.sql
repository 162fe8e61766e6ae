-- Former names of tags. A former name leads to a tag, never to another former name; the numbers are those of `terms`.
CREATE TABLE tag_aliases (
    alias TEXT NOT NULL PRIMARY KEY,
    tag TEXT NOT NULL,
    alias_id BIGINT NOT NULL,
    tag_id BIGINT NOT NULL,
    at BIGINT NOT NULL
);
CREATE INDEX tag_aliases_by_id ON tag_aliases (alias_id);
CREATE INDEX tag_aliases_by_tag ON tag_aliases (tag);
