-- +goose Up

-- Work: items, the attempts at them, and who makes those.

-- due_at is when time alone will change the item: its deadline, or its rise to
-- the next level; NULL for never. not_before is 0 for none. open is 1 until the
-- item has ended: apart from state, so that a claim need not touch its index.
CREATE TABLE items (
    id         bigint           NOT NULL PRIMARY KEY,
    key        text COLLATE "C",
    repo       text COLLATE "C" NOT NULL,
    kind       text COLLATE "C" NOT NULL,
    pull       text COLLATE "C" NOT NULL,
    state      text COLLATE "C" NOT NULL,
    open       bigint           NOT NULL CHECK (open IN (0, 1)),
    lane       text COLLATE "C" NOT NULL,
    flow       text COLLATE "C" NOT NULL,
    raised     bigint           NOT NULL,
    rank       bigint           NOT NULL,
    not_before bigint           NOT NULL,
    due_at     bigint,
    schema     bigint           NOT NULL,
    document   text COLLATE "C" NOT NULL
) WITH (fillfactor = 70);

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
    hash     text COLLATE "C" NOT NULL PRIMARY KEY,
    schema   bigint           NOT NULL,
    document text COLLATE "C" NOT NULL
);

-- live is 1 until the attempt has an outcome. due_at is when time alone will end
-- a live one: its lease or its deadline. No token of an item is given twice.
CREATE TABLE attempts (
    id         bigint           NOT NULL PRIMARY KEY,
    item       bigint           NOT NULL REFERENCES items (id),
    token      bigint           NOT NULL,
    request    text COLLATE "C" NOT NULL,
    pool       text COLLATE "C" NOT NULL,
    address    text COLLATE "C" NOT NULL,
    live       bigint           NOT NULL CHECK (live IN (0, 1)),
    due_at     bigint,
    pull       text COLLATE "C" NOT NULL,
    assignment text COLLATE "C" NOT NULL,
    schema     bigint           NOT NULL,
    document   text COLLATE "C" NOT NULL,
    UNIQUE (item, token)
) WITH (fillfactor = 70);

CREATE UNIQUE INDEX attempts_by_request ON attempts (request) WHERE request <> '';
CREATE INDEX attempts_live ON attempts (pool, address) WHERE live = 1;
CREATE INDEX attempts_due ON attempts (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX attempts_by_pull ON attempts (pull) WHERE pull <> '';

CREATE TABLE seats (
    address  text COLLATE "C" NOT NULL PRIMARY KEY,
    pool     text COLLATE "C" NOT NULL,
    schema   bigint           NOT NULL,
    document text COLLATE "C" NOT NULL
) WITH (fillfactor = 70);

-- What the attempts of one pool cost on one day (UTC), in millionths.
CREATE TABLE spends (
    pool     text COLLATE "C" NOT NULL,
    day      text COLLATE "C" NOT NULL,
    spent    bigint           NOT NULL,
    reserved bigint           NOT NULL,
    PRIMARY KEY (day, pool)
) WITH (fillfactor = 70);

-- Pool configs as they came into force; the last is in force. hash is of the
-- document.
CREATE TABLE pool_sets (
    id       bigint           NOT NULL PRIMARY KEY,
    at       bigint           NOT NULL,
    made_by  text COLLATE "C" NOT NULL,
    why      text COLLATE "C" NOT NULL,
    hash     text COLLATE "C" NOT NULL,
    schema   bigint           NOT NULL,
    document text COLLATE "C" NOT NULL
);

-- hash is of a worker's secret, which stands nowhere. expires and revoked are 0
-- for never.
CREATE TABLE credentials (
    hash    text COLLATE "C" NOT NULL PRIMARY KEY,
    address text COLLATE "C" NOT NULL,
    created bigint           NOT NULL,
    expires bigint           NOT NULL,
    revoked bigint           NOT NULL
);
