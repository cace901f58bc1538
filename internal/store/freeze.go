package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

// Freeze says why nothing merges to a branch; nil when it is not frozen.
func (r *Reader) Freeze(ctx context.Context, b ref.BranchID) (*reconcile.BranchFreeze, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	f := reconcile.BranchFreeze{Branch: b}
	var at int64
	err := r.db.QueryRowContext(ctx, "SELECT reason, at FROM freezes WHERE repo = $1 AND branch = $2", b.Repo.String(), b.Name).Scan(&f.Reason, &at)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil //nolint:nilnil // the port says nil for a branch that is not frozen
	}
	if err != nil {
		return nil, fmt.Errorf("read the freeze of %s: %w", b, err)
	}
	f.At = moment(at)
	return &f, nil
}

// checkFreeze keeps a branch from being frozen without a word.
func (p *prepared) checkFreeze() error {
	f := p.freeze
	switch {
	case f == nil:
		return nil
	case f.Branch.Repo.IsZero() || f.Branch.Name == "":
		return errors.New("freeze a branch: it has no name")
	case !f.Lifted && f.Reason == "":
		return fmt.Errorf("freeze %s: it has no reason", f.Branch)
	}
	f.Reason = text(f.Reason)
	return nil
}

// writeFreeze sets a freeze where none stands, or lifts the one that does.
func (p *prepared) writeFreeze(ctx context.Context, tx *session) error {
	f := p.freeze
	if f == nil {
		return nil
	}
	repo := f.Branch.Repo.String()
	if f.Lifted {
		if _, err := tx.exec(ctx, "DELETE FROM freezes WHERE repo = $1 AND branch = $2", repo, f.Branch.Name); err != nil {
			return fmt.Errorf("lift the freeze of %s: %w", f.Branch, err)
		}
		return nil
	}
	_, err := tx.exec(ctx, "INSERT INTO freezes (repo, branch, reason, at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
		repo, f.Branch.Name, f.Reason, micros(f.At))
	if err != nil {
		return fmt.Errorf("freeze %s: %w", f.Branch, err)
	}
	return nil
}
