package git

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"slipway/internal/fault"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

var _ reconcile.Git = (*Mirrors)(nil)

func TestEmptyRepository(t *testing.T) {
	f := newForge(t)
	b := f.create(app)
	g := f.mirrors()
	ctx := deadline(t)
	if err := g.Fetch(ctx, app); err != nil {
		t.Fatal(err)
	}
	tags, err := g.Tags(ctx, app)
	if err != nil || len(tags) != 0 {
		t.Errorf("tags of an empty repository: %v, %v", tags, err)
	}
	first := b.line("first")
	commits, err := g.FirstParent(ctx, app, "", first[0])
	if err != nil || len(commits) != 1 || commits[0].SHA != first[0] {
		t.Errorf("its first commit, pushed since the fetch: %v, %v", commits, err)
	}
}

func TestUnknownCommit(t *testing.T) {
	f := newForge(t)
	b := f.create(app)
	known := b.line("first")[0]
	g := f.mirrors()
	ctx := deadline(t)
	if err := g.Fetch(ctx, app); err != nil {
		t.Fatal(err)
	}
	unknown := ref.SHA(strings.Repeat("ab", 20))
	blob := ref.SHA(b.blob("first"))
	for name, ask := range map[string]func(ref.SHA) error{
		"FirstParent": func(s ref.SHA) error { _, err := g.FirstParent(ctx, app, "", s); return err },
		"from":        func(s ref.SHA) error { _, err := g.FirstParent(ctx, app, s, known); return err },
		"Between":     func(s ref.SHA) error { _, err := g.Between(ctx, app, s, known); return err },
		"Contains":    func(s ref.SHA) error { _, err := g.Contains(ctx, app, known, s); return err },
		"Export":      func(s ref.SHA) error { _, err := g.Export(ctx, app, s, t.TempDir()); return err },
		"Revert": func(s ref.SHA) error {
			return g.Revert(ctx, ref.BranchID{Repo: app, Name: "main"}, s, "revert-x", "Revert x")
		},
	} {
		for _, sha := range []ref.SHA{unknown, blob} {
			err := ask(sha)
			if err == nil || fault.KindOf(err) != fault.Later || !strings.Contains(err.Error(), string(sha)) {
				t.Errorf("%s of an unknown commit: %v; want an error to try later that names it", name, err)
			}
		}
		for _, bad := range []ref.SHA{"HEAD", "--all", "main", known[:12], known + "\n"} {
			if err := ask(bad); err == nil || fault.KindOf(err) != fault.Permanent {
				t.Errorf("%s of %q: %v; want a permanent error", name, bad, err)
			}
		}
	}
}

func TestThousandCommits(t *testing.T) {
	f := newForge(t)
	b := f.create(app)
	var stream strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&stream, "commit refs/heads/main\nmark :%d\ncommitter Ann <ann@example.com> %d +0000\ndata <<END\nfeat: number %d\nEND\n", i+1, 1700000000-i, i)
		if i > 0 {
			fmt.Fprintf(&stream, "from :%d\n", i)
		}
		fmt.Fprintf(&stream, "M 100644 inline file-%d\ndata <<END\n%d\nEND\n\n", i%50, i)
	}
	b.gitIn(stream.String(), "fast-import", "--quiet")
	want := slices.Collect(strings.Lines(b.git("rev-list", "--reverse", "--topo-order", "main") + "\n"))
	g := f.mirrors()
	ctx := deadline(t)
	all, err := g.FirstParent(ctx, app, "", b.tip("main"))
	if err != nil || len(all) != 1000 {
		t.Fatalf("got %d commits, %v; want 1000", len(all), err)
	}
	for i, c := range all {
		// The clocks of the commits run backwards; the order must not.
		if string(c.SHA)+"\n" != want[i] || c.Subject != fmt.Sprintf("feat: number %d", i) {
			t.Fatalf("commit %d is %s %q; want %s", i, c.SHA, c.Subject, want[i])
		}
	}
	half, err := g.FirstParent(ctx, app, all[499].SHA, all[999].SHA)
	if err != nil || len(half) != 500 || half[0].SHA != all[500].SHA {
		t.Errorf("the second half: %d commits, %v", len(half), err)
	}
	g.limits.commits = 500
	if _, err := g.FirstParent(ctx, app, all[498].SHA, all[999].SHA); fault.KindOf(err) != fault.Permanent {
		t.Errorf("one commit above the limit: %v; want a permanent error", err)
	}
	if half, err := g.Between(ctx, app, all[499].SHA, all[999].SHA); err != nil || len(half) != 500 {
		t.Errorf("as many commits as the limit: %d, %v", len(half), err)
	}
	g.limits.output = 10_000
	if _, err := g.Between(ctx, app, all[499].SHA, all[999].SHA); fault.KindOf(err) != fault.Permanent {
		t.Errorf("an answer above the limit: %v; want a permanent error", err)
	}
}

func TestHistory(t *testing.T) {
	f := newForge(t)
	b := f.create(app)
	files := map[string]string{"a": "1"}
	root := b.commit("root", files)
	second := b.commit("fix: second\n\nWhy:\n\nBREAKING CHANGE: x\n", files, root)
	sideA := b.commit("side a", files, root)
	sideB := b.commit("side b", files, sideA)
	merge := b.commit("Merge side", files, second, sideB)
	last := b.commit("last", files, merge)
	other := b.commit("other root", files)
	rewritten := b.commit("second, again", files, root)
	b.branch("main", last)
	b.branch("other", other)
	b.branch("rewritten", rewritten)
	g := f.mirrors()
	ctx := deadline(t)

	names := map[ref.SHA]string{root: "root", second: "second", sideA: "a", sideB: "b", merge: "merge", last: "last", other: "other", rewritten: "rewritten"}
	list := func(commits []reconcile.Commit) string {
		var got []string
		for _, c := range commits {
			got = append(got, names[c.SHA])
		}
		return strings.Join(got, " ")
	}
	lines := []struct {
		rule     string
		from, to ref.SHA
		want     string
		kind     fault.Kind
	}{
		{"from the root, without the merged side", "", last, "root second merge last", 0},
		{"after a commit", second, last, "merge last", 0},
		{"from a commit to itself there is nothing", last, last, "", 0},
		{"backwards there is nothing", last, second, "", 0},
		{"a commit of the merged side is not on the line", sideA, last, "", fault.Permanent},
		{"the tip of the merged side is not on the line", sideB, last, "", fault.Permanent},
		{"a rewritten branch", rewritten, last, "", fault.Permanent},
		{"an unrelated history", other, last, "", fault.Permanent},
	}
	for _, test := range lines {
		t.Run("first parents: "+test.rule, func(t *testing.T) {
			got, err := g.FirstParent(ctx, app, test.from, test.to)
			if list(got) != test.want || fault.KindOf(err) != test.kind || (err != nil) != (test.kind != 0) {
				t.Errorf("got %q, %v; want %q", list(got), err, test.want)
			}
		})
	}
	spans := []struct {
		rule     string
		from, to ref.SHA
		want     []string
	}{
		{"a merge brings its side", second, last, []string{"a b merge last"}},
		{"everything, parents first", "", last, []string{"root second a b merge last", "root a b second merge last"}},
		{"nothing new", last, second, []string{""}},
		{"another root", last, other, []string{"other"}},
	}
	for _, test := range spans {
		t.Run("between: "+test.rule, func(t *testing.T) {
			got, err := g.Between(ctx, app, test.from, test.to)
			if err != nil || !slices.Contains(test.want, list(got)) {
				t.Errorf("got %q, %v; want %q", list(got), err, test.want)
			}
		})
	}
	for _, test := range []struct {
		descendant, ancestor ref.SHA
		want                 bool
	}{{last, root, true}, {last, sideA, true}, {last, last, true}, {root, last, false}, {last, other, false}, {last, rewritten, false}} {
		got, err := g.Contains(ctx, app, test.descendant, test.ancestor)
		if err != nil || got != test.want {
			t.Errorf("does %s contain %s: %t, %v; want %t", names[test.descendant], names[test.ancestor], got, err, test.want)
		}
	}
	t.Run("a commit is told whole", func(t *testing.T) {
		got, err := g.Between(ctx, app, root, second)
		if err != nil || len(got) != 1 {
			t.Fatalf("%v, %v", got, err)
		}
		c := got[0]
		if c.Subject != "fix: second" || c.Body != "Why:\n\nBREAKING CHANGE: x\n" || c.Author != "Ann" ||
			!c.At.Equal(time.Unix(1700000000, 0)) || !slices.Equal(c.Parents, []ref.SHA{root}) {
			t.Errorf("got %+v", c)
		}
	})
}

func TestOddMessages(t *testing.T) {
	f := newForge(t)
	b := f.create(app)
	latin := b.gitIn("tree "+b.tree(nil)+"\nauthor Jos\xe9 <j@example.com> 1700000000 +0000\ncommitter J <j@example.com> 1700000000 +0000\n\nfix: caf\xe9\n\x01\n",
		"hash-object", "-t", "commit", "-w", "--stdin")
	silent := b.gitIn("tree "+b.tree(nil)+"\nparent "+latin+"\nauthor J <j@example.com> 1700000000 +0000\ncommitter J <j@example.com> 1700000000 +0000\n\n",
		"hash-object", "-t", "commit", "-w", "--stdin")
	b.branch("main", ref.SHA(silent))
	commits, err := f.mirrors().FirstParent(deadline(t), app, "", ref.SHA(silent))
	if err != nil || len(commits) != 2 {
		t.Fatalf("%v, %v", commits, err)
	}
	if c := commits[0]; c.Author != "Jos\uFFFD" || c.Subject != "fix: caf\uFFFD \x01" {
		t.Errorf("a message in another encoding: %+v", c)
	}
	if c := commits[1]; c.Subject != "" || c.Body != "" || string(c.SHA) != silent {
		t.Errorf("a commit without a message: %+v", c)
	}
}

func TestTags(t *testing.T) {
	f := newForge(t)
	b := f.create(app)
	shas := b.line("one", "two")
	b.git("tag", "v1.0.0", string(shas[0]))
	b.git("tag", "-a", "-m", "x", "v2.0.0", string(shas[1]))
	b.git("tag", "-a", "-m", "x", "nested", "v2.0.0")
	b.git("tag", "-a", "-m", "x", "nested-again", "nested")
	b.git("tag", "tree", string(shas[0])+"^{tree}")
	b.git("tag", "release/1", string(shas[0]))
	b.git("tag", "vé", string(shas[0]))
	b.branch("v9.9.9", shas[0])
	g := f.mirrors()
	ctx := deadline(t)
	want := map[ref.Tag]ref.SHA{"v1.0.0": shas[0], "v2.0.0": shas[1], "nested": shas[1], "nested-again": shas[1], "tree": ""}
	got, err := g.Tags(ctx, app)
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	b.git("tag", "-d", "v1.0.0")
	b.git("tag", "-f", "v2.0.0", string(shas[0]))
	if err := g.Fetch(ctx, app); err != nil {
		t.Fatal(err)
	}
	if got, err := g.Tags(ctx, app); err != nil || got["v2.0.0"] != shas[0] || len(got) != len(want)-1 {
		t.Errorf("after one tag was removed and one moved: %v, %v", got, err)
	}
}

func TestLongObjectNames(t *testing.T) {
	f := newForge(t)
	b := f.create(app, "--object-format=sha256")
	shas := b.line("one", "two")
	g := f.mirrors()
	ctx := deadline(t)
	if got, err := g.FirstParent(ctx, app, shas[0], shas[1]); err != nil || len(got) != 1 || len(got[0].SHA) != 64 {
		t.Errorf("got %v, %v", got, err)
	}
	if err := g.Revert(ctx, ref.BranchID{Repo: app, Name: "main"}, shas[1], "revert-two", "Revert two"); err != nil {
		t.Error(err)
	}
	later := ref.RepoID{Owner: "acme", Name: "later"}
	b = f.create(later, "--object-format=sha256")
	if err := g.Fetch(ctx, later); err != nil {
		t.Fatal(err)
	}
	shas = b.line("one")
	if got, err := g.FirstParent(ctx, later, "", shas[0]); err != nil || len(got) != 1 {
		t.Errorf("a repository that was empty when first seen: %v, %v", got, err)
	}
}
