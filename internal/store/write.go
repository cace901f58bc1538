package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"slipway/deployer"
	"slipway/internal/change"
	"slipway/internal/fault"
	"slipway/internal/journal"
	"slipway/internal/reconcile"
)

// prepared is a write with everything done that needs no database, so that
// the one writer is not kept from writing.
type prepared struct {
	fence     *reconcile.Claim
	change    *change.Change
	changeDoc document
	target    *deployer.Target
	targetDoc document
	release   *reconcile.Release
	readyDoc  *document
	reviews   *reconcile.ReviewsSeen
	snapshot  *reconcile.Snapshot
	cursor    *reconcile.Cursor
	freeze    *reconcile.BranchFreeze
	journal   []journal.Entry
	due       []reconcile.Due
}

// prepare checks what can be checked without the database and encodes the
// documents with the revision they will have. It keeps nothing of w itself: the
// caller may have it back before the writer is done with it.
func prepare(w reconcile.Write, now time.Time) (*prepared, error) {
	p := prepared{fence: copied(w.Fence), reviews: copied(w.Reviews), snapshot: copied(w.Snapshot), cursor: copied(w.Cursor), freeze: copied(w.Freeze), journal: plain(w.Journal), due: timed(w.Due, now)}
	if p.reviews != nil {
		p.reviews.IDs = slices.Sorted(slices.Values(p.reviews.IDs))
	}
	if p.snapshot != nil {
		p.snapshot.Body = bytes.Clone(p.snapshot.Body)
	}
	for _, wrong := range []error{p.setChange(w.Change), p.setTarget(w.Target), p.setRelease(w.Release), p.checkSnapshot(), p.checkCursor(), p.checkFreeze()} {
		if wrong != nil {
			return nil, wrong
		}
	}
	return &p, nil
}

// news is what there is to tell once it is written.
func (p *prepared) news() news {
	if len(p.due) == 0 {
		return 0
	}
	return keysDue
}

// apply writes all of it within the transaction of tx. The order keeps two
// servers from waiting for each other: keys first, the journal last.
func (p *prepared) apply(ctx context.Context, tx *session) error {
	for _, step := range []func(context.Context, *session) error{
		p.holdKeys, p.checkFence, p.writeChange, p.writeTarget, p.writeRelease, p.writeReviews,
		p.writeSnapshot, p.writeCursor, p.writeFreeze, p.writeDue, p.writeJournal,
	} {
		if err := step(ctx, tx); err != nil {
			return err
		}
	}
	return nil
}

func (p *prepared) setChange(c *change.Change) error {
	if c == nil {
		return nil
	}
	if c.ID.IsZero() {
		return errors.New("write a change: it has no identity")
	}
	next := *c
	next.Rev++
	doc, err := encode(next)
	if err != nil {
		return fmt.Errorf("write change %s: %w", c.ID, err)
	}
	p.change, p.changeDoc = &next, doc
	return nil
}

func (p *prepared) setTarget(t *deployer.Target) error {
	if t == nil {
		return nil
	}
	if t.ID.Repo.IsZero() || t.ID.Environment == "" {
		return errors.New("write a target: it has no identity")
	}
	next := *t
	next.Rev++
	doc, err := encode(next)
	if err != nil {
		return fmt.Errorf("write target %s: %w", t.ID, err)
	}
	p.target, p.targetDoc = &next, doc
	return nil
}

// checkFence holds the write back unless the claim is the key's last one and
// still runs.
func (p *prepared) checkFence(ctx context.Context, tx *session) error {
	f := p.fence
	if f == nil {
		return nil
	}
	now, err := tx.now(ctx)
	if err != nil {
		return err
	}
	var token, until int64
	found, err := tx.row(ctx, "SELECT token, coalesce(held_until, 0) FROM queue WHERE key = $1", []any{string(f.Key)}, &token, &until)
	if err != nil {
		return fmt.Errorf("check the claim on %s: %w", f.Key, err)
	}
	if !found || token != f.Token || until <= micros(now) {
		return fault.AsChanged(fmt.Errorf("claim %d on %s is no longer live", f.Token, f.Key))
	}
	return nil
}

func (p *prepared) writeChange(ctx context.Context, tx *session) error {
	if p.change == nil {
		return nil
	}
	c, d := p.change, p.changeDoc
	intended := ""
	if c.Intent != nil {
		intended = c.Intent.Snapshot
	}
	repo := c.ID.Repo.String()
	kept, err := revise(ctx, tx, c.Rev-1,
		`INSERT INTO changes (rev, base, head, merge_sha, outcome, judged, intended, schema, document, repo, number)
		 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING`,
		`UPDATE changes SET rev = $1, base = $2, head = $3, merge_sha = $4, outcome = $5, judged = $6, intended = $7, schema = $8, document = $9
		 WHERE repo = $10 AND number = $11 AND rev = $12`,
		c.Rev, c.Base, string(c.Head), string(c.MergeSHA), string(c.Outcome), c.Snapshot, intended, d.schema, d.text, repo, c.ID.Number)
	if err != nil {
		return fmt.Errorf("write change %s: %w", c.ID, err)
	}
	if !kept {
		return fault.AsChanged(fmt.Errorf("write change %s: revision %d is not the stored one", c.ID, c.Rev-1))
	}
	return nil
}

func (p *prepared) writeTarget(ctx context.Context, tx *session) error {
	if p.target == nil {
		return nil
	}
	t, d := p.target, p.targetDoc
	kept, err := revise(ctx, tx, t.Rev-1,
		`INSERT INTO targets (rev, schema, document, repo, environment) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
		`UPDATE targets SET rev = $1, schema = $2, document = $3 WHERE repo = $4 AND environment = $5 AND rev = $6`,
		t.Rev, d.schema, d.text, t.ID.Repo.String(), t.ID.Environment)
	if err != nil {
		return fmt.Errorf("write target %s: %w", t.ID, err)
	}
	if !kept {
		return fault.AsChanged(fmt.Errorf("write target %s: revision %d is not the stored one", t.ID, t.Rev-1))
	}
	return nil
}

// revise inserts what has revision 0 and updates the rest only over that
// revision. kept is false when another one stands there.
func revise(ctx context.Context, tx *session, over int64, insert, update string, args ...any) (kept bool, err error) {
	var n int64
	if over == 0 {
		n, err = tx.exec(ctx, insert, args...)
	} else {
		n, err = tx.exec(ctx, update, append(args, over)...)
	}
	return n == 1, err
}

func (p *prepared) writeReviews(ctx context.Context, tx *session) error {
	if p.reviews == nil {
		return nil
	}
	r := p.reviews
	for _, id := range r.IDs {
		_, err := tx.exec(ctx, "INSERT INTO reviews (repo, number, id, head) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
			r.Pull.Repo.String(), r.Pull.Number, id, string(r.Head))
		if err != nil {
			return fmt.Errorf("keep review %d of %s: %w", id, r.Pull, err)
		}
	}
	return nil
}

func copied[T any](v *T) *T {
	if v == nil {
		return nil
	}
	c := *v
	return &c
}
