-- +goose Up

-- Work: items, the attempts at them, and who makes those.

-- due_at is when time alone will change the item: its deadline, or its rise to
-- the next level; NULL for never. not_before is 0 for none. open is 1 until the
-- item has ended: apart from state, so that a claim need not touch its index.
CREATE TABLE items (
    id          INTEGER PRIMARY KEY,
    key         TEXT,
    repo        TEXT    NOT NULL,
    kind        TEXT    NOT NULL,
    pull        TEXT    NOT NULL,
    state       TEXT    NOT NULL,
    open        INTEGER NOT NULL CHECK (open IN (0, 1)),
    lane        TEXT    NOT NULL,
    flow        TEXT    NOT NULL,
    raised      INTEGER NOT NULL,
    rank        INTEGER NOT NULL,
    not_before  INTEGER NOT NULL,
    due_at      INTEGER,
    schema      INTEGER NOT NULL,
    document    TEXT    NOT NULL
) STRICT;

CREATE UNIQUE INDEX items_by_key ON items (key) WHERE key IS NOT NULL;
CREATE INDEX items_ready ON items (lane, raised DESC, rank, id, not_before) WHERE state = 'ready';
CREATE INDEX items_flowing ON items (lane, flow, rank) WHERE state = 'ready';
CREATE INDEX items_delayed ON items (not_before) WHERE state = 'ready' AND not_before > 0;
CREATE INDEX items_due ON items (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX items_open ON items (id, repo) WHERE open = 1;
CREATE INDEX items_by_pull ON items (pull) WHERE pull <> '';
CREATE INDEX items_by_repo ON items (repo, id);

-- What attempts run, each once, by the hash of its document: an attempt pins it
-- whole, and a prompt is long.
CREATE TABLE assignments (
    hash     TEXT    NOT NULL PRIMARY KEY,
    schema   INTEGER NOT NULL,
    document TEXT    NOT NULL
) STRICT;

-- live is 1 until the attempt has an outcome. due_at is when time alone will end
-- a live one: its lease or its deadline. No token of an item is given twice.
CREATE TABLE attempts (
    id         INTEGER PRIMARY KEY,
    item       INTEGER NOT NULL REFERENCES items (id),
    token      INTEGER NOT NULL,
    request    TEXT    NOT NULL,
    pool       TEXT    NOT NULL,
    address    TEXT    NOT NULL,
    live       INTEGER NOT NULL CHECK (live IN (0, 1)),
    due_at     INTEGER,
    pull       TEXT    NOT NULL,
    assignment TEXT    NOT NULL,
    schema     INTEGER NOT NULL,
    document   TEXT    NOT NULL,
    UNIQUE (item, token)
) STRICT;

CREATE UNIQUE INDEX attempts_by_request ON attempts (request) WHERE request <> '';
CREATE INDEX attempts_live ON attempts (pool, address) WHERE live = 1;
CREATE INDEX attempts_due ON attempts (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX attempts_by_pull ON attempts (pull) WHERE pull <> '';

CREATE TABLE seats (
    address  TEXT    NOT NULL PRIMARY KEY,
    pool     TEXT    NOT NULL,
    schema   INTEGER NOT NULL,
    document TEXT    NOT NULL
) STRICT;

-- What the attempts of one pool cost on one day (UTC), in millionths.
CREATE TABLE spends (
    pool     TEXT    NOT NULL,
    day      TEXT    NOT NULL,
    spent    INTEGER NOT NULL,
    reserved INTEGER NOT NULL,
    PRIMARY KEY (day, pool)
) STRICT, WITHOUT ROWID;

-- Pool configs as they came into force; the last is in force. hash is of the
-- document.
CREATE TABLE pool_sets (
    id       INTEGER PRIMARY KEY,
    at       INTEGER NOT NULL,
    made_by  TEXT    NOT NULL,
    why      TEXT    NOT NULL,
    hash     TEXT    NOT NULL,
    schema   INTEGER NOT NULL,
    document TEXT    NOT NULL
) STRICT;

-- hash is of a worker's secret, which stands nowhere. expires and revoked are 0
-- for never.
CREATE TABLE credentials (
    hash    TEXT    NOT NULL PRIMARY KEY,
    address TEXT    NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    revoked INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
