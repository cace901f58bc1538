package reconcile_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"slipway/gate"
	"slipway/internal/change"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

func pull(n int64) ref.PullID { return ref.PullID{Repo: app, Number: n} }

// intended stores a change whose merge was begun; merged, with the merge
// commit, one whose merge was observed as well.
func (w *world) intended(n int64, head ref.SHA, commits int) change.Change {
	w.Helper()
	c := change.New(pull(n))
	c.Title, c.Author, c.Base, c.Head = "feat: x", "alice", "main", head
	kept := snapshotOf(w.TB, gate.Snapshot{Pull: gate.PullRequest{ID: pull(n), Head: head, Base: "main", BaseHead: head}})
	c.Intent = &change.MergeIntent{Head: head, Base: "main", At: time.Now(), Commits: commits, Snapshot: kept.Hash}
	w.keep(reconcile.Write{Change: &c, Snapshot: &kept})
	return c
}

// snapshotOf is a snapshot as the store keeps it.
func snapshotOf(t testing.TB, s gate.Snapshot) reconcile.Snapshot {
	t.Helper()
	body, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(body)
	return reconcile.Snapshot{Hash: hex.EncodeToString(sum[:]), Body: body}
}

func (w *world) merged(n int64, merge ref.SHA, commits int) {
	w.Helper()
	c := w.intended(n, merge, commits)
	c.Rev, c.MergeSHA, c.MergedBy, c.MergedAt, c.Releasable = 1, merge, "slipway-bot", time.Now(), true
	w.keep(reconcile.Write{Change: &c})
}

func (w *world) keep(write reconcile.Write) {
	w.Helper()
	if err := w.store.Commit(w.Context(), write); err != nil {
		w.Fatal(err)
	}
}

// from says that the branch was accounted for up to a commit.
func (w *world) from(at ref.SHA) {
	w.Helper()
	w.keep(reconcile.Write{Cursor: &reconcile.Cursor{Branch: mainBranch, To: at}})
}

func (w *world) versions() map[ref.SHA]ref.Tag {
	w.Helper()
	all, err := w.store.Releases(w.Context(), mainBranch)
	if err != nil {
		w.Fatal(err)
	}
	out := map[ref.SHA]ref.Tag{}
	for _, r := range all {
		out[r.Merge] = r.Tag
	}
	return out
}

// accounted waits until the branch is accounted for up to a commit.
func (w *world) accounted(at ref.SHA) {
	w.Helper()
	w.until("the branch to be accounted for", func() bool {
		cursor, err := w.store.Cursor(w.Context(), mainBranch)
		return err == nil && cursor == at
	})
}

func TestR5VersionsFollowTheBranch(t *testing.T) {
	cases := map[string]func(w *world, first, second ref.SHA){
		"observed in order": func(w *world, first, second ref.SHA) {
			w.merged(1, first, 1)
			w.merged(2, second, 1)
		},
		"observed the other way round": func(w *world, first, second ref.SHA) {
			w.merged(2, second, 1)
			w.merged(1, first, 1)
		},
		"the first is merged and nobody has observed it": func(w *world, first, second ref.SHA) {
			w.merged(2, second, 1)
			w.intended(1, first, 1)
			w.forge.merge(pull(1), first, first)
		},
		"the first was refused once and merged all the same": func(w *world, first, second ref.SHA) {
			w.merged(2, second, 1)
			c := w.intended(1, first, 1)
			c.Rev = 1
			c = c.WithRefusal(change.Merge{Intent: *c.Intent}, "not enough approvals", time.Now())
			w.keep(reconcile.Write{Change: &c})
			w.forge.merge(pull(1), first, first)
		},
	}
	for name, arrange := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.from(w.history.push("main", "chore: before", nil))
			first := w.history.push("main", "feat: one", map[string]string{"one": "1"})
			second := w.history.push("main", "fix: two", map[string]string{"two": "2"})
			arrange(w, first, second)
			w.run()
			w.accounted(second)
			if got := w.versions(); got[first] != "v0.1.0" || got[second] != "v0.1.1" {
				t.Fatalf("versions %v", got)
			}
			if told := w.entries("push.unjudged"); len(told) > 0 {
				t.Errorf("a judged merge was told as a push: %+v", told)
			}
		})
	}
}

func TestAPushPastTheGateIsToldOnceAndGetsNoVersion(t *testing.T) {
	w := newWorld(t)
	w.from(w.history.push("main", "chore: before", nil))
	pushed := w.history.push("main", "oops", map[string]string{"x": "1"})
	judged := w.history.push("main", "feat: one", map[string]string{"one": "1"})
	w.merged(1, judged, 1)
	w.run()
	w.accounted(judged)
	told := w.entries("push.unjudged")
	if len(told) != 1 || told[0].Identity != string(pushed) {
		t.Fatalf("told %+v", told)
	}
	if got := w.versions(); len(got) != 1 || got[judged] != "v0.1.0" {
		t.Fatalf("versions %v", got)
	}
}

func TestTheCommitsOfARebaseAreOurs(t *testing.T) {
	w := newWorld(t)
	w.from(w.history.push("main", "chore: before", nil))
	var last ref.SHA
	for range 3 {
		last = w.history.push("main", "feat: a step", nil)
	}
	w.merged(1, last, 3)
	w.run()
	w.accounted(last)
	if told := w.entries("push.unjudged"); len(told) > 0 {
		t.Fatalf("told %+v", told)
	}
	if got := w.versions(); len(got) != 1 || got[last] != "v0.1.0" {
		t.Fatalf("versions %v", got)
	}
}

func TestAMergeThatWasPassedIsNotForgotten(t *testing.T) {
	cases := map[string]struct {
		later bool // a later merge has its version already
		want  string
	}{
		"newer than every version, it gets its own": {later: false, want: "v0.1.0"},
		"part of a version already, it is told so":  {later: true, want: ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.history.push("main", "chore: before", nil)
			missed := w.history.push("main", "feat: missed", map[string]string{"one": "1"})
			tip := missed
			if tc.later {
				tip = w.history.push("main", "feat: later", map[string]string{"two": "2"})
				w.merged(2, tip, 1)
				w.keep(reconcile.Write{Release: &reconcile.Release{Branch: mainBranch, Position: 1, Number: 2, Merge: tip, Version: "0.1.0", Tag: "v0.1.0"}})
			}
			w.from(tip)
			w.merged(1, missed, 1)
			w.run()
			w.until("the missed merge to be dealt with", func() bool {
				c, _, err := w.store.Change(t.Context(), pull(1))
				return err == nil && (c.Version != "" || c.PassedOver != "")
			})
			c, _, err := w.store.Change(t.Context(), pull(1))
			if err != nil || c.Version != tc.want || tc.later != strings.Contains(c.PassedOver, "v0.1.0") {
				t.Fatalf("version %q, passed over %q: %v", c.Version, c.PassedOver, err)
			}
			if told := w.entries("version.none"); tc.later != (len(told) == 1) {
				t.Errorf("told %+v", told)
			}
		})
	}
}

func TestARewrittenBranchIsToldAndGoesOn(t *testing.T) {
	w := newWorld(t)
	start := w.history.tips["main"]
	w.from(w.history.push("main", "feat: gone", nil))
	w.history.rewrite("main", start)
	judged := w.history.push("main", "feat: after", map[string]string{"one": "1"})
	w.merged(1, judged, 1)
	w.run()
	w.until("a version", func() bool { return w.versions()[judged] != "" })
	if told := w.entries("branch.rewritten"); len(told) == 0 {
		t.Fatal("nobody was told")
	}
}

func TestAMergeThatLeftTheBranchIsTold(t *testing.T) {
	w := newWorld(t)
	start := w.history.tips["main"]
	gone := w.history.push("main", "feat: gone", nil)
	w.history.push("kept", "chore: keep it", nil)
	w.history.tips["kept"] = gone
	w.from(start)
	w.merged(1, gone, 1)
	w.history.rewrite("main", start)
	w.run()
	w.until("the change to say so", func() bool {
		c, _, err := w.store.Change(t.Context(), pull(1))
		return err == nil && strings.Contains(c.PassedOver, "no longer on main")
	})
	if got := w.versions(); len(got) > 0 {
		t.Fatalf("versions %v", got)
	}
}

func TestHintsBecomeDueKeys(t *testing.T) {
	w := newWorld(t)
	head := w.history.push("feature", "feat: x", nil)
	w.intended(1, head, 1)
	cases := map[string]struct {
		hint   reconcile.Hint
		served bool
		keys   []reconcile.Key
	}{
		"a pull request":           {reconcile.Hint{Repo: app, Number: 7}, true, []reconcile.Key{"change acme/app#7"}},
		"a commit's checks":        {reconcile.Hint{Repo: app, SHA: head}, true, []reconcile.Key{"change acme/app#1"}},
		"the base branch":          {reconcile.Hint{Repo: app, Branch: "main"}, true, []reconcile.Key{"branch acme/app@main", "change acme/app#1", "repo acme/app"}},
		"another branch":           {reconcile.Hint{Repo: app, Branch: "feature"}, true, nil},
		"a repository of others":   {reconcile.Hint{Repo: ref.RepoID{Owner: "evil", Name: "app"}, Number: 1}, false, nil},
		"a commit nobody knows of": {reconcile.Hint{Repo: app, SHA: ref.SHA(strings.Repeat("9", 40))}, true, nil},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			served, err := w.engine.Accept(t.Context(), tc.hint)
			if err != nil || served != tc.served {
				t.Fatalf("served %v: %v", served, err)
			}
			claims, err := w.store.Claim(t.Context(), time.Now().Add(time.Second), 10, time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			var got []reconcile.Key
			for _, c := range claims {
				got = append(got, c.Key)
				if err := w.store.Done(t.Context(), c, time.Time{}, false); err != nil {
					t.Fatal(err)
				}
			}
			slices.Sort(got)
			if !slices.Equal(got, tc.keys) {
				t.Fatalf("due %v, want %v", got, tc.keys)
			}
		})
	}
}
