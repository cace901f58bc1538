package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"
)

// How long snapshots stay that no change rests on any more, and how they go: a
// few at a time, in the writer, now and then.
const (
	snapshotLife = 30 * 24 * time.Hour
	pruneEvery   = time.Hour
	pruneAtMost  = 200
)

// oldSnapshots are those that no change was judged or is to be merged on.
const oldSnapshots = `SELECT s.hash FROM snapshots s WHERE s.at < $1
	AND NOT EXISTS (SELECT 1 FROM changes WHERE judged = s.hash AND judged <> '')
	AND NOT EXISTS (SELECT 1 FROM changes WHERE intended = s.hash AND intended <> '')
	ORDER BY s.at LIMIT $2`

// checkSnapshot keeps a body from being found under another body's hash.
func (p *prepared) checkSnapshot() error {
	if p.snapshot == nil {
		return nil
	}
	sum := sha256.Sum256(p.snapshot.Body)
	if got := hex.EncodeToString(sum[:]); got != p.snapshot.Hash {
		return fmt.Errorf("keep snapshot %s: its body hashes to %s", p.snapshot.Hash, got)
	}
	return nil
}

func (p *prepared) writeSnapshot(ctx context.Context, tx *session) error {
	if p.snapshot == nil {
		return nil
	}
	now := tx.local()
	body := p.snapshot.Body
	if body == nil {
		body = []byte{} // nil would be NULL
	}
	// The same snapshot again is nearly always the last one: its time is only
	// moved on where that matters.
	_, err := tx.exec(ctx, `INSERT INTO snapshots (hash, body, at) VALUES ($1, $2, $3)
		ON CONFLICT (hash) DO UPDATE SET at = excluded.at WHERE snapshots.at < excluded.at - $4`,
		p.snapshot.Hash, body, micros(now), (24 * time.Hour).Microseconds())
	if err != nil {
		return fmt.Errorf("keep snapshot %s: %w", p.snapshot.Hash, err)
	}
	return prune(ctx, tx, now)
}

// prune drops old snapshots, if that was not done lately.
func prune(ctx context.Context, tx *session, now time.Time) error {
	if now.Sub(moment(tx.pruned.Load())) < pruneEvery {
		return nil
	}
	dropped, err := tx.exec(ctx, "DELETE FROM snapshots WHERE hash IN ("+oldSnapshots+")", micros(now.Add(-snapshotLife)), pruneAtMost)
	if err != nil {
		return fmt.Errorf("drop old snapshots: %w", err)
	}
	if dropped < pruneAtMost {
		tx.pruned.Store(micros(now))
	}
	return nil
}
