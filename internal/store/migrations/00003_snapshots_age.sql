-- +goose Up

-- When a snapshot was kept last, and which the changes still rest on, so that
-- the others can be dropped in time. How old the present ones are is not known:
-- they count from today.
ALTER TABLE snapshots ADD COLUMN at INTEGER NOT NULL DEFAULT 0;
UPDATE snapshots SET at = unixepoch() * 1000000;
CREATE INDEX snapshots_by_age ON snapshots (at);

ALTER TABLE changes ADD COLUMN judged TEXT NOT NULL DEFAULT '';
ALTER TABLE changes ADD COLUMN intended TEXT NOT NULL DEFAULT '';
UPDATE changes SET
    judged   = coalesce(json_extract(document, '$.snapshot'), ''),
    intended = coalesce(json_extract(document, '$.merge_intent.snapshot'), '');
CREATE INDEX changes_by_judged ON changes (judged) WHERE judged <> '';
CREATE INDEX changes_by_intended ON changes (intended) WHERE intended <> '';
