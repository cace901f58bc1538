package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"slipway/internal/fault"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

var (
	_ reconcile.Store = (*Store)(nil)
	_ reconcile.Queue = (*Store)(nil)
)

// Cursor is the last commit of a branch that was accounted for; "" at first.
func (r *Reader) Cursor(ctx context.Context, b ref.BranchID) (ref.SHA, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	var at string
	err := r.db.QueryRowContext(ctx, "SELECT at FROM cursors WHERE repo = $1 AND branch = $2", b.Repo.String(), b.Name).Scan(&at)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("read the cursor of %s: %w", b, err)
	}
	return ref.SHA(at), nil
}

// checkCursor keeps a cursor from being put on nothing, where no later step
// could find it.
func (p *prepared) checkCursor() error {
	c := p.cursor
	if c == nil || (!c.Branch.Repo.IsZero() && c.Branch.Name != "" && c.To != "") {
		return nil
	}
	return fmt.Errorf("move the cursor of %s to %q: a cursor needs a branch and a commit", c.Branch, c.To)
}

// writeCursor moves a cursor from where the writer saw it, and nowhere else.
func (p *prepared) writeCursor(ctx context.Context, tx *session) error {
	c := p.cursor
	if c == nil {
		return nil
	}
	repo := c.Branch.Repo.String()
	var n int64
	var err error
	if c.From == "" {
		n, err = tx.exec(ctx, "INSERT INTO cursors (repo, branch, at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", repo, c.Branch.Name, string(c.To))
	} else {
		n, err = tx.exec(ctx, "UPDATE cursors SET at = $1 WHERE repo = $2 AND branch = $3 AND at = $4", string(c.To), repo, c.Branch.Name, string(c.From))
	}
	if err != nil {
		return fmt.Errorf("move the cursor of %s: %w", c.Branch, err)
	}
	if n != 1 {
		return fault.AsChanged(fmt.Errorf("the cursor of %s is no longer at %q", c.Branch, c.From))
	}
	return nil
}
