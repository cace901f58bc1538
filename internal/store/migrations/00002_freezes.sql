-- +goose Up

-- Branches on which nothing merges until somebody lifts that.
CREATE TABLE freezes (
    repo   TEXT    NOT NULL,
    branch TEXT    NOT NULL,
    reason TEXT    NOT NULL,
    at     INTEGER NOT NULL,
    PRIMARY KEY (repo, branch)
) STRICT, WITHOUT ROWID;
