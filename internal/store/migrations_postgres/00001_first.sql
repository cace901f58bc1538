-- Migrations go forward only: what stands here is never edited once released,
-- the next change of the schema is a new file.
--
-- The tables are those of the embedded database, column by column, and a little
-- more where several servers share them. What either of the two gains, the other
-- gains too.

-- +goose Up

-- Times are microseconds since 1970 in UTC. A document is JSON in the shape
-- that its schema number names; the columns beside it are there to be searched.
-- Text is compared by its bytes, whatever the locale of the database.

CREATE TABLE changes (
    repo      text COLLATE "C" NOT NULL,
    number    bigint           NOT NULL,
    rev       bigint           NOT NULL,
    base      text COLLATE "C" NOT NULL,
    head      text COLLATE "C" NOT NULL,
    merge_sha text COLLATE "C" NOT NULL,
    outcome   text COLLATE "C" NOT NULL,
    schema    bigint           NOT NULL,
    document  text COLLATE "C" NOT NULL,
    judged    text COLLATE "C" NOT NULL,
    intended  text COLLATE "C" NOT NULL,
    PRIMARY KEY (repo, number)
);

CREATE INDEX changes_by_number ON changes (number DESC, repo);
CREATE INDEX changes_unfinished ON changes (number DESC, repo) WHERE outcome = '';
CREATE INDEX changes_by_head ON changes (head);
CREATE INDEX changes_by_merge ON changes (merge_sha) WHERE merge_sha <> '';
CREATE INDEX changes_by_judged ON changes (judged) WHERE judged <> '';
CREATE INDEX changes_by_intended ON changes (intended) WHERE intended <> '';

CREATE TABLE targets (
    repo        text COLLATE "C" NOT NULL,
    environment text COLLATE "C" NOT NULL,
    rev         bigint           NOT NULL,
    schema      bigint           NOT NULL,
    document    text COLLATE "C" NOT NULL,
    PRIMARY KEY (repo, environment)
);

-- One merge, one version, one place in the branch.
CREATE TABLE releases (
    repo         text COLLATE "C" NOT NULL,
    branch       text COLLATE "C" NOT NULL,
    position     bigint           NOT NULL CHECK (position > 0),
    number       bigint           NOT NULL,
    merge_sha    text COLLATE "C" NOT NULL CHECK (merge_sha <> ''),
    version      text COLLATE "C" NOT NULL CHECK (version <> ''),
    tag          text COLLATE "C" NOT NULL,
    built        text COLLATE "C" NOT NULL,
    ready_schema bigint,
    ready        text COLLATE "C",
    PRIMARY KEY (repo, merge_sha),
    UNIQUE (repo, version),
    UNIQUE (repo, branch, position)
);

-- The head that stood when a review was first observed.
CREATE TABLE reviews (
    repo   text COLLATE "C" NOT NULL,
    number bigint           NOT NULL,
    id     bigint           NOT NULL,
    head   text COLLATE "C" NOT NULL,
    PRIMARY KEY (repo, number, id)
);

-- Up to where the commits of a branch were accounted for.
CREATE TABLE cursors (
    repo   text COLLATE "C" NOT NULL,
    branch text COLLATE "C" NOT NULL,
    at     text COLLATE "C" NOT NULL,
    PRIMARY KEY (repo, branch)
);

-- Branches on which nothing merges until somebody lifts that.
CREATE TABLE freezes (
    repo   text COLLATE "C" NOT NULL,
    branch text COLLATE "C" NOT NULL,
    reason text COLLATE "C" NOT NULL,
    at     bigint           NOT NULL,
    PRIMARY KEY (repo, branch)
);

-- at is when a snapshot was kept last.
CREATE TABLE snapshots (
    hash text COLLATE "C" NOT NULL PRIMARY KEY,
    body bytea            NOT NULL,
    at   bigint           NOT NULL
);

CREATE INDEX snapshots_by_age ON snapshots (at);

CREATE TABLE journal (
    seq      bigint           NOT NULL PRIMARY KEY,
    at       bigint           NOT NULL,
    actor    text COLLATE "C" NOT NULL,
    action   text COLLATE "C" NOT NULL,
    subject  text COLLATE "C" NOT NULL,
    identity text COLLATE "C" NOT NULL,
    reason   text COLLATE "C" NOT NULL,
    data     text COLLATE "C" NOT NULL,
    prev     text COLLATE "C" NOT NULL,
    hash     text COLLATE "C" NOT NULL
);

-- +goose StatementBegin
CREATE FUNCTION journal_refuses() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the journal is append-only: an entry cannot be changed or removed';
END
$$;
-- +goose StatementEnd

CREATE TRIGGER journal_keeps_entries BEFORE UPDATE OR DELETE ON journal
    FOR EACH ROW EXECUTE FUNCTION journal_refuses();
CREATE TRIGGER journal_loses_nothing BEFORE TRUNCATE ON journal
    FOR EACH STATEMENT EXECUTE FUNCTION journal_refuses();

-- +goose StatementBegin
CREATE FUNCTION journal_follows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.seq <> (SELECT coalesce(max(seq), 0) + 1 FROM journal) THEN
        RAISE EXCEPTION 'the journal is append-only: an entry must follow the last one';
    END IF;
    RETURN NEW;
END
$$;
-- +goose StatementEnd

CREATE TRIGGER journal_goes_on BEFORE INSERT ON journal
    FOR EACH ROW EXECUTE FUNCTION journal_follows();

-- due_at is NULL when nothing wants the key looked at, held_until when no claim
-- holds it. A claim takes due_at out, so that what is there while the key is
-- held was put there meanwhile. Rows stay, because a token never goes back.
-- holder is the server whose claim it is, or was.
-- Rows are written over and over: the room beside them keeps that cheap.
CREATE TABLE queue (
    key        text COLLATE "C" NOT NULL PRIMARY KEY,
    due_at     bigint,
    held_until bigint,
    seq        bigint           NOT NULL,
    token      bigint           NOT NULL,
    failures   bigint           NOT NULL,
    holder     text COLLATE "C" NOT NULL DEFAULT ''
) WITH (fillfactor = 70);

-- When the key can be claimed: when its lease ends, or else when it is due.
CREATE INDEX queue_by_ready ON queue ((coalesce(held_until, due_at)), key);
