package store

import (
	"strings"
	"testing"

	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

func TestAReleaseIsUniqueWhoeverWrites(t *testing.T) {
	path := place(t)
	s := mustOpen(t, path)
	r := reconcile.Release{Branch: ref.BranchID{Repo: pullID(1).Repo, Name: "main"}, Position: 1, Merge: "m1", Version: "1.0.0"}
	if err := s.Commit(t.Context(), reconcile.Write{Release: &r}); err != nil {
		t.Fatal(err)
	}
	for name, values := range map[string]string{
		"by repository and version":    "'acme/app', 'next', 9, 'm2', '1.0.0'",
		"by repository and merge":      "'acme/app', 'next', 9, 'm1', '2.0.0'",
		"by branch and position":       "'acme/app', 'main', 1, 'm2', '2.0.0'",
		"and never without a version":  "'acme/app', 'main', 2, 'm2', ''",
		"and never without a merge":    "'acme/app', 'main', 2, '', '2.0.0'",
		"and never before the first":   "'acme/app', 'main', 0, 'm2', '2.0.0'",
		"and never without a position": "'acme/app', 'main', NULL, 'm2', '2.0.0'",
	} {
		t.Run(name, func(t *testing.T) {
			err := tryScript(t, path, "INSERT INTO releases (repo, branch, position, merge_sha, version, number, tag, built) VALUES ("+values+", 0, '', '')")
			wantError(t, err, "constraint failed")
		})
	}
}

func TestReadsDoNotWalkThroughEverything(t *testing.T) {
	s := mustOpen(t, place(t))
	app := pullID(1).Repo
	changes := func(f reconcile.Filter) (string, []any) {
		return changesQuery(f)
	}
	for name, c := range map[string]struct {
		query func() (string, []any)
		plan  string
	}{
		"the next due key":               {func() (string, []any) { return nextReady(liteDialect(), nil) }, "SEARCH queue USING COVERING INDEX queue_by_ready"},
		"keys to claim":                  {func() (string, []any) { return readyKeys(liteDialect(), []reconcile.Kind{reconcile.KindChange}, 1, 1) }, "SEARCH queue USING INDEX queue_by_ready"},
		"changes of a commit":            {func() (string, []any) { return changes(reconcile.Filter{SHA: "s"}) }, "SEARCH changes USING INDEX changes_by_merge"},
		"changes of a repository's head": {func() (string, []any) { return changes(reconcile.Filter{Repo: app, SHA: "s"}) }, "SEARCH changes USING INDEX changes_by_head"},
		"old snapshots":                  {func() (string, []any) { return oldSnapshots, []any{1, 1} }, "SEARCH s USING INDEX snapshots_by_age (at<?); CORRELATED SCALAR SUBQUERY 1; SEARCH changes USING COVERING INDEX changes_by_judged (judged=?); CORRELATED SCALAR SUBQUERY 2; SEARCH changes USING COVERING INDEX changes_by_intended"},
		"unfinished changes":             {func() (string, []any) { return changes(reconcile.Filter{Unfinished: true}) }, "INDEX changes_unfinished"},
		"unfinished of a repository":     {func() (string, []any) { return changes(reconcile.Filter{Repo: app, Unfinished: true}) }, "INDEX changes_unfinished"},
		"changes of a repository":        {func() (string, []any) { return changes(reconcile.Filter{Repo: app}) }, "SEARCH changes USING INDEX sqlite_autoindex_changes_1 (repo=?)"},
	} {
		t.Run(name, func(t *testing.T) {
			query, args := c.query()
			if got := plan(t, s, query, args); !strings.Contains(got, c.plan) {
				t.Fatalf("plan %q, want %q", got, c.plan)
			}
		})
	}
}
