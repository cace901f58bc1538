package storetest

import (
	"testing"

	"slipway/deployer"
	"slipway/internal/fault"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

func testReleases(t *testing.T, place Place) {
	s, _ := start(t, place)
	main := branch("app", "main")
	first := reconcile.Release{Branch: main, Position: 1, Number: 7, Merge: sha("m1"), Version: "1.0.0", Tag: "v1.0.0"}
	second := reconcile.Release{Branch: main, Position: 2, Number: 8, Merge: sha("m2"), Version: "1.1.0", Tag: "v1.1.0"}
	commit(t, s, reconcile.Write{Release: &second})
	commit(t, s, reconcile.Write{Release: &first})
	stored := func(t *testing.T, b ref.BranchID, releases ...reconcile.Release) {
		t.Helper()
		got, err := s.Releases(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		want(t, got, releases, "releases of "+b.String())
	}
	t.Run("releases are listed by position", func(t *testing.T) { stored(t, main, first, second) })
	t.Run("a branch without releases has none", func(t *testing.T) { stored(t, branch("app", "next")) })

	for name, c := range map[string]struct {
		alter func(*reconcile.Release)
		words []string
	}{
		"a version belongs to one merge of the repository": {
			func(r *reconcile.Release) { r.Merge, r.Position = sha("m3"), 3 }, []string{"1.0.0", "#7", sha("m1").Short()}},
		"a version belongs to one merge across branches": {
			func(r *reconcile.Release) { r.Merge, r.Branch = sha("m3"), branch("app", "next") }, []string{"1.0.0", "#7", "main"}},
		"a position of a branch belongs to one merge": {
			func(r *reconcile.Release) { r.Merge, r.Version = sha("m3"), "3.0.0" }, []string{"position 1", "#7"}},
		"a merge does not change its version":  {func(r *reconcile.Release) { r.Version = "3.0.0" }, []string{"1.0.0"}},
		"a merge does not change its position": {func(r *reconcile.Release) { r.Position = 3 }, []string{"position 1"}},
		"a merge does not change its tag":      {func(r *reconcile.Release) { r.Tag = "v1.0.0-again" }, []string{`"v1.0.0"`}},
		"a merge does not change its branch": {
			func(r *reconcile.Release) { r.Branch = branch("app", "next") }, []string{"of main"}},
		"a position from 1 is needed":    {func(r *reconcile.Release) { r.Position = 0 }, []string{"position"}},
		"a version is needed":            {func(r *reconcile.Release) { r.Version = "" }, []string{"version"}},
		"a merge commit is needed":       {func(r *reconcile.Release) { r.Merge = "" }, []string{"merge commit"}},
		"the name of a branch is needed": {func(r *reconcile.Release) { r.Branch.Name = "" }, []string{"branch"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := first
			c.alter(&r)
			refuse(t, s, reconcile.Write{Release: &r}, fault.Permanent, c.words...)
			stored(t, main, first, second)
		})
	}
	t.Run("another repository has its own versions", func(t *testing.T) {
		r := first
		r.Branch = branch("other", "main")
		commit(t, s, reconcile.Write{Release: &r})
		stored(t, r.Branch, r)
	})
	t.Run("what is learnt later is recorded for the same merge", func(t *testing.T) {
		first.Built = ref.Digest("sha256:" + snapshot("image").Hash)
		commit(t, s, reconcile.Write{Release: &first})
		stored(t, main, first, second)
		ready := filled[deployer.Release](3000)
		first.Ready = &ready
		commit(t, s, reconcile.Write{Release: &first})
		stored(t, main, first, second)
	})
	t.Run("a reservation made again undoes nothing", func(t *testing.T) {
		again := first
		again.Built, again.Ready, again.Number = "", nil, 0
		commit(t, s, reconcile.Write{Release: &again})
		stored(t, main, first, second)
	})
}
