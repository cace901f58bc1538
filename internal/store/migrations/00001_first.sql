-- Migrations go forward only: what stands here is never edited once released,
-- the next change of the schema is a new file.

-- +goose Up

-- "SLIP": tells this database from any other SQLite file.
PRAGMA application_id = 1397508432;

-- Times are microseconds since 1970 in UTC. A document is JSON in the shape
-- that its schema number names; the columns beside it are there to be searched.

CREATE TABLE changes (
    repo      TEXT    NOT NULL,
    number    INTEGER NOT NULL,
    rev       INTEGER NOT NULL,
    base      TEXT    NOT NULL,
    head      TEXT    NOT NULL,
    merge_sha TEXT    NOT NULL,
    outcome   TEXT    NOT NULL,
    schema    INTEGER NOT NULL,
    document  TEXT    NOT NULL,
    PRIMARY KEY (repo, number)
) STRICT;

CREATE INDEX changes_by_number ON changes (number DESC, repo);
CREATE INDEX changes_unfinished ON changes (number DESC, repo) WHERE outcome = '';
CREATE INDEX changes_by_head ON changes (head);
CREATE INDEX changes_by_merge ON changes (merge_sha) WHERE merge_sha <> '';

CREATE TABLE targets (
    repo        TEXT    NOT NULL,
    environment TEXT    NOT NULL,
    rev         INTEGER NOT NULL,
    schema      INTEGER NOT NULL,
    document    TEXT    NOT NULL,
    PRIMARY KEY (repo, environment)
) STRICT;

-- One merge, one version, one place in the branch.
CREATE TABLE releases (
    repo         TEXT    NOT NULL,
    branch       TEXT    NOT NULL,
    position     INTEGER NOT NULL CHECK (position > 0),
    number       INTEGER NOT NULL,
    merge_sha    TEXT    NOT NULL CHECK (merge_sha <> ''),
    version      TEXT    NOT NULL CHECK (version <> ''),
    tag          TEXT    NOT NULL,
    built        TEXT    NOT NULL,
    ready_schema INTEGER,
    ready        TEXT,
    PRIMARY KEY (repo, merge_sha),
    UNIQUE (repo, version),
    UNIQUE (repo, branch, position)
) STRICT;

-- The head that stood when a review was first observed.
CREATE TABLE reviews (
    repo   TEXT    NOT NULL,
    number INTEGER NOT NULL,
    id     INTEGER NOT NULL,
    head   TEXT    NOT NULL,
    PRIMARY KEY (repo, number, id)
) STRICT, WITHOUT ROWID;

-- Up to where the commits of a branch were accounted for.
CREATE TABLE cursors (
    repo   TEXT NOT NULL,
    branch TEXT NOT NULL,
    at     TEXT NOT NULL,
    PRIMARY KEY (repo, branch)
) STRICT, WITHOUT ROWID;

CREATE TABLE snapshots (
    hash TEXT NOT NULL PRIMARY KEY,
    body BLOB NOT NULL
) STRICT;

CREATE TABLE journal (
    seq      INTEGER PRIMARY KEY,
    at       INTEGER NOT NULL,
    actor    TEXT    NOT NULL,
    action   TEXT    NOT NULL,
    subject  TEXT    NOT NULL,
    identity TEXT    NOT NULL,
    reason   TEXT    NOT NULL,
    data     TEXT    NOT NULL,
    prev     TEXT    NOT NULL,
    hash     TEXT    NOT NULL
) STRICT;

-- +goose StatementBegin
CREATE TRIGGER journal_keeps_entries BEFORE UPDATE ON journal
BEGIN
    SELECT RAISE(ABORT, 'the journal is append-only: an entry cannot be changed');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER journal_loses_nothing BEFORE DELETE ON journal
BEGIN
    SELECT RAISE(ABORT, 'the journal is append-only: an entry cannot be removed');
END;
-- +goose StatementEnd

-- An INSERT OR REPLACE removes a row without asking the trigger above.
-- +goose StatementBegin
CREATE TRIGGER journal_goes_on BEFORE INSERT ON journal
WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM journal)
BEGIN
    SELECT RAISE(ABORT, 'the journal is append-only: an entry must follow the last one');
END;
-- +goose StatementEnd

-- due_at is NULL when nothing wants the key looked at, held_until when no claim
-- holds it. A claim takes due_at out, so that what is there while the key is
-- held was put there meanwhile. Rows stay, because a token never goes back.
CREATE TABLE queue (
    key        TEXT    NOT NULL PRIMARY KEY,
    due_at     INTEGER,
    held_until INTEGER,
    seq        INTEGER NOT NULL,
    token      INTEGER NOT NULL,
    failures   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- When the key can be claimed: when its lease ends, or else when it is due.
CREATE INDEX queue_by_ready ON queue (coalesce(held_until, due_at), key);
