package store

import (
	"context"
	"database/sql"
	"fmt"

	"slipway/deployer"
	"slipway/internal/fault"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

const releaseColumns = "branch, position, number, merge_sha, version, tag, built, ready_schema, ready"

func (p *prepared) setRelease(r *reconcile.Release) error {
	if r == nil {
		return nil
	}
	if r.Branch.Repo.IsZero() || r.Branch.Name == "" || r.Merge == "" || r.Version == "" || r.Position < 1 {
		return fmt.Errorf("reserve %s on %s: a release needs a branch, a merge commit, a version and a position from 1", r.Version, r.Branch)
	}
	p.release = copied(r)
	if r.Ready == nil {
		return nil
	}
	doc, err := encode(*r.Ready)
	if err != nil {
		return fmt.Errorf("write release %s of %s: %w", r.Version, r.Branch.Repo, err)
	}
	p.readyDoc = &doc
	return nil
}

// writeRelease holds R1: what a merge has been given stays with it, and goes
// to no other. A field that is empty in an update leaves what is stored, so
// that a reservation made again does not undo what was recorded since.
func (p *prepared) writeRelease(ctx context.Context, tx *session) error {
	if p.release == nil {
		return nil
	}
	r := p.release
	repo := r.Branch.Repo.String()
	var found []reconcile.Release
	err := tx.rows(ctx,
		"SELECT "+releaseColumns+` FROM releases
		 WHERE repo = $1 AND (merge_sha = $2 OR version = $3 OR (branch = $4 AND position = $5))`,
		[]any{repo, string(r.Merge), r.Version, r.Branch.Name, r.Position},
		func(rows scanner) error {
			other, err := scanRelease(rows, r.Branch.Repo)
			found = append(found, other)
			return err
		})
	if err != nil {
		return fmt.Errorf("read releases of %s: %w", r.Branch.Repo, err)
	}
	for _, other := range found {
		if clashes(*r, other) {
			return fault.AsPermanent(fmt.Errorf("reserve %s for %s: %s stands there", describe(*r), r.Branch.Repo, describe(other)))
		}
	}
	var schema, ready any
	if p.readyDoc != nil {
		schema, ready = p.readyDoc.schema, p.readyDoc.text
	}
	_, err = tx.exec(ctx,
		`INSERT INTO releases (repo, branch, position, number, merge_sha, version, tag, built, ready_schema, ready)
		 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
		 ON CONFLICT (repo, merge_sha) DO UPDATE SET
		     number       = CASE WHEN excluded.number <> 0 THEN excluded.number ELSE releases.number END,
		     tag          = CASE WHEN excluded.tag <> '' THEN excluded.tag ELSE releases.tag END,
		     built        = CASE WHEN excluded.built <> '' THEN excluded.built ELSE releases.built END,
		     ready_schema = coalesce(excluded.ready_schema, releases.ready_schema),
		     ready        = coalesce(excluded.ready, releases.ready)`,
		repo, r.Branch.Name, r.Position, r.Number, string(r.Merge), r.Version, string(r.Tag), string(r.Built), schema, ready)
	if err != nil {
		return fmt.Errorf("write release %s of %s: %w", r.Version, r.Branch.Repo, err)
	}
	return nil
}

// clashes says whether r may not stand beside, or in place of, the stored one.
func clashes(r, stored reconcile.Release) bool {
	if r.Merge != stored.Merge {
		return true // it has the same version or the same place
	}
	return r.Branch != stored.Branch || r.Version != stored.Version || r.Position != stored.Position ||
		(r.Tag != "" && stored.Tag != "" && r.Tag != stored.Tag)
}

func describe(r reconcile.Release) string {
	return fmt.Sprintf("version %s (tag %q) of commit %s (#%d) at position %d of %s",
		r.Version, r.Tag, r.Merge.Short(), r.Number, r.Position, r.Branch.Name)
}

func scanRelease(rows scanner, repo ref.RepoID) (reconcile.Release, error) {
	var (
		branch, merge, version, tag, built string
		position, number                   int64
		schema                             sql.NullInt64
		ready                              sql.NullString
	)
	if err := rows.Scan(&branch, &position, &number, &merge, &version, &tag, &built, &schema, &ready); err != nil {
		return reconcile.Release{}, err
	}
	r := reconcile.Release{
		Branch:   ref.BranchID{Repo: repo, Name: branch},
		Position: position,
		Number:   number,
		Merge:    ref.SHA(merge),
		Version:  version,
		Tag:      ref.Tag(tag),
		Built:    ref.Digest(built),
	}
	if !ready.Valid {
		return r, nil
	}
	d, err := decode[deployer.Release](document{schema: schema.Int64, text: ready.String})
	if err != nil {
		return reconcile.Release{}, fmt.Errorf("version %s: %w", version, err)
	}
	r.Ready = &d
	return r, nil
}
