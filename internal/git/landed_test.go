package git

import (
	"strings"
	"testing"

	"slipway/internal/change"
	"slipway/internal/fault"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

// history is a branch and a head, as tests tell them. Where the base moved on
// after the head branched, both changed the same file in different places.
type history struct {
	*bare
	start, base, head ref.SHA
	after             ref.SHA // the base that was judged, if it is told
}

func files(pairs ...string) map[string]string {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return m
}

// tell makes a base that moved on and a head of two commits.
func tell(f *forge, repo ref.RepoID) history {
	b := f.create(repo)
	h := history{bare: b}
	h.start = b.commit("start", files("a", numbered(nil), "old", numbered(map[int]string{0: "x"})))
	h.base = b.commit("other", files("a", numbered(map[int]string{2: "base"}), "old", numbered(map[int]string{0: "x"})), h.start)
	one := b.commit("one", files("a", numbered(map[int]string{20: "one"}), "old", numbered(map[int]string{0: "x"})), h.start)
	h.head = b.commit("two", files("a", numbered(map[int]string{20: "one", 25: "two"}), "new", numbered(map[int]string{0: "x"})), one)
	b.branch("main", h.base)
	b.branch("topic", h.head)
	return h
}

func merged() map[string]string {
	return files("a", numbered(map[int]string{2: "base", 20: "one", 25: "two"}), "new", numbered(map[int]string{0: "x"}))
}

func TestLanded(t *testing.T) {
	f := newForge(t)
	for i, test := range []struct {
		rule    string
		method  string
		commits int
		// land puts something on main and returns it.
		land  func(h *history) ref.SHA
		equal ref.Fact
		why   string
	}{
		{"a squash on a base that has moved on", "squash", 1, func(h *history) ref.SHA {
			return h.commit("squashed", merged(), h.base)
		}, ref.Yes, ""},
		{"a squash on the base that the head branched from", "squash", 1, func(h *history) ref.SHA {
			return h.commit("squashed", files("a", numbered(map[int]string{20: "one", 25: "two"}), "new", numbered(map[int]string{0: "x"})), h.start)
		}, ref.Yes, ""},
		{"a squash with a line more", "squash", 1, func(h *history) ref.SHA {
			tampered := merged()
			tampered["a"] += "more\n"
			return h.commit("squashed", tampered, h.base)
		}, ref.No, `"a"`},
		{"a squash with a file more", "squash", 1, func(h *history) ref.SHA {
			tampered := merged()
			tampered["evil\nname"] = "x"
			return h.commit("squashed", tampered, h.base)
		}, ref.No, `"evil\nname"`},
		{"a squash with a bit more", "squash", 1, func(h *history) ref.SHA {
			tampered := merged()
			tampered["new"] = "100755:" + tampered["new"]
			return h.commit("squashed", tampered, h.base)
		}, ref.No, `"new"`},
		{"a squash of an older head", "squash", 1, func(h *history) ref.SHA {
			return h.commit("squashed", files("a", numbered(map[int]string{2: "base", 20: "one"}), "old", numbered(map[int]string{0: "x"})), h.base)
		}, ref.No, `"old"`},
		{"a squash that takes back what the base has", "squash", 1, func(h *history) ref.SHA {
			return h.commit("squashed", files("a", numbered(map[int]string{20: "one", 25: "two"}), "new", numbered(map[int]string{0: "x"})), h.base)
		}, ref.No, `"a"`},
		{"a squash that is a merge", "squash", 1, func(h *history) ref.SHA {
			return h.commit("merge", merged(), h.base, h.head)
		}, ref.No, "has 2"},
		{"a squash of nothing", "squash", 1, func(h *history) ref.SHA {
			return h.commit("root", merged())
		}, ref.No, "has 0"},
		{"a squash where the two conflict", "squash", 1, func(h *history) ref.SHA {
			base := h.commit("in the way", files("a", numbered(map[int]string{20: "mine"}), "old", numbered(map[int]string{0: "x"})), h.start)
			return h.commit("solved", merged(), base)
		}, ref.No, "conflict in [\"a\"]"},
		{"where the two conflict, attributes of the repository help nobody", "squash", 1, func(h *history) ref.SHA {
			base := h.commit("in the way", files(".gitattributes", "* merge=union\n", "a", numbered(map[int]string{20: "mine"}), "old", numbered(map[int]string{0: "x"})), h.start)
			return h.commit("solved", merged(), base)
		}, ref.No, "conflict"},
		{"a merge", "merge", 1, func(h *history) ref.SHA {
			return h.commit("merge", merged(), h.base, h.head)
		}, ref.Yes, ""},
		{"a merge with something in it", "merge", 1, func(h *history) ref.SHA {
			tampered := merged()
			tampered["evil"] = "x"
			return h.commit("merge", tampered, h.base, h.head)
		}, ref.No, `"evil"`},
		{"a merge of another head", "merge", 1, func(h *history) ref.SHA {
			return h.commit("merge", merged(), h.base, h.commit("other head", merged(), h.head))
		}, ref.No, "second parent"},
		{"a merge the wrong way round", "merge", 1, func(h *history) ref.SHA {
			return h.commit("merge", merged(), h.head, h.base)
		}, ref.No, "second parent"},
		{"a merge that is a squash", "merge", 1, func(h *history) ref.SHA {
			return h.commit("squashed", merged(), h.base)
		}, ref.No, "second parent"},
		{"an octopus", "merge", 1, func(h *history) ref.SHA {
			return h.commit("merge", merged(), h.base, h.head, h.start)
		}, ref.No, "second parent"},
		{"a fast-forward is no merge", "merge", 1, func(h *history) ref.SHA { return h.head }, ref.No, "second parent"},
		{"a merge of an unrelated history", "merge", 1, func(h *history) ref.SHA {
			h.head = h.commit("stranger", files("strange", "x"))
			return h.commit("merge", files("strange", "x", "a", numbered(map[int]string{2: "base"}), "old", numbered(map[int]string{0: "x"})), h.base, h.head)
		}, ref.Yes, ""},
		{"a rebase of two commits", "rebase", 2, func(h *history) ref.SHA {
			one := h.commit("one", files("a", numbered(map[int]string{2: "base", 20: "one"}), "old", numbered(map[int]string{0: "x"})), h.base)
			return h.commit("two", merged(), one)
		}, ref.Yes, ""},
		{"a rebase that only moved the branch", "rebase", 2, func(h *history) ref.SHA { return h.head }, ref.Yes, ""},
		{"a rebase whose last commit has more in it", "rebase", 2, func(h *history) ref.SHA {
			one := h.commit("one", files("a", numbered(map[int]string{2: "base", 20: "one"}), "old", numbered(map[int]string{0: "x"})), h.base)
			tampered := merged()
			tampered["evil"] = "x"
			return h.commit("two", tampered, one)
		}, ref.No, `"evil"`},
		{"a rebase whose first commit has more in it", "rebase", 2, func(h *history) ref.SHA {
			one := h.commit("one", files("a", numbered(map[int]string{2: "base", 20: "one"}), "evil", "x", "old", numbered(map[int]string{0: "x"})), h.base)
			tampered := merged()
			tampered["evil"] = "x"
			return h.commit("two", tampered, one)
		}, ref.No, `"evil"`},
		{"a rebase whose first commit has more in it, under another name", "rebase", 2, func(h *history) ref.SHA {
			one := h.commit("uno", files("a", numbered(map[int]string{2: "base", 20: "one"}), "evil", "x", "old", numbered(map[int]string{0: "x"})), h.base)
			tampered := merged()
			tampered["evil"] = "x"
			return h.commit("two", tampered, one)
		}, ref.Unknown, "cannot tell"},
		{"a rebase that dropped a commit", "rebase", 2, func(h *history) ref.SHA {
			return h.commit("one", files("a", numbered(map[int]string{2: "base", 20: "one"}), "old", numbered(map[int]string{0: "x"})), h.base)
		}, ref.No, `"old"`},
		{"a rebase that leaves out what the base had already", "rebase", 2, func(h *history) ref.SHA {
			picked := h.commit("picked by another name", files("a", numbered(map[int]string{2: "base", 20: "one"}), "old", numbered(map[int]string{0: "x"})), h.base)
			after := h.commit("after", files("a", numbered(map[int]string{2: "base", 5: "after", 20: "one"}), "old", numbered(map[int]string{0: "x"})), picked)
			return h.commit("two", files("a", numbered(map[int]string{2: "base", 5: "after", 20: "one", 25: "two"}), "new", numbered(map[int]string{0: "x"})), after)
		}, ref.Yes, ""},
		{"a rebase that leaves out a merge of the base", "rebase", 3, func(h *history) ref.SHA {
			h.head = h.commit("Merge main", merged(), h.head, h.base)
			one := h.commit("one", files("a", numbered(map[int]string{2: "base", 20: "one"}), "old", numbered(map[int]string{0: "x"})), h.base)
			return h.commit("two", merged(), one)
		}, ref.Yes, ""},
		{"a rebase that drops what a merge of the base brought along", "rebase", 3, func(h *history) ref.SHA {
			with := merged()
			with["checked"] = "x"
			h.head = h.commit("Merge main", with, h.head, h.base)
			one := h.commit("one", files("a", numbered(map[int]string{2: "base", 20: "one"}), "old", numbered(map[int]string{0: "x"})), h.base)
			return h.commit("two", merged(), one)
		}, ref.No, `"checked"`},
		{"a rebase that takes back a change of the base which the head made and undid", "rebase", 2, func(h *history) ref.SHA {
			start := files("a", numbered(nil), "guard", "off")
			h.start = h.commit("start", start)
			h.base = h.commit("guard", files("a", numbered(nil), "guard", "on"), h.start)
			made := h.commit("guard too", files("a", numbered(nil), "guard", "on"), h.start)
			h.head = h.commit("and not", start, made)
			h.after = h.base
			return h.commit("and not", start, h.base)
		}, ref.No, `"guard"`},
		{"a rebase on a base that moved on after the judgement", "rebase", 2, func(h *history) ref.SHA {
			h.after = h.start
			one := h.commit("one", files("a", numbered(map[int]string{2: "base", 20: "one"}), "old", numbered(map[int]string{0: "x"})), h.base)
			return h.commit("two", merged(), one)
		}, ref.Yes, ""},
		{"a rebase on a base that lost the judged one", "rebase", 2, func(h *history) ref.SHA {
			h.after = h.base
			h.branch("was", h.base)
			one := h.commit("one", files("a", numbered(map[int]string{20: "one"}), "old", numbered(map[int]string{0: "x"})), h.start)
			return h.commit("two", files("a", numbered(map[int]string{20: "one", 25: "two"}), "new", numbered(map[int]string{0: "x"})), one)
		}, ref.No, "without"},
		{"a rebase that changes the same line twice", "rebase", 2, func(h *history) ref.SHA {
			h.after = h.base
			one := h.commit("one", files("a", numbered(map[int]string{20: "one"}), "old", numbered(map[int]string{0: "x"})), h.start)
			h.head = h.commit("two", files("a", numbered(map[int]string{20: "two"}), "old", numbered(map[int]string{0: "x"})), one)
			landed := h.commit("one", files("a", numbered(map[int]string{2: "base", 20: "one"}), "old", numbered(map[int]string{0: "x"})), h.base)
			return h.commit("two", files("a", numbered(map[int]string{2: "base", 20: "two"}), "old", numbered(map[int]string{0: "x"})), landed)
		}, ref.Yes, ""},
		{"a rebase that is a merge", "rebase", 2, func(h *history) ref.SHA {
			return h.commit("merge", merged(), h.base, h.head)
		}, ref.No, "no merge commit"},
		{"a rebase of no commits", "rebase", 0, func(h *history) ref.SHA { return h.head }, ref.Unknown, "0 commits"},
		{"a method that nobody knows", "squash-rebase", 1, func(h *history) ref.SHA { return h.head }, ref.Unknown, "no way"},
	} {
		t.Run(test.rule, func(t *testing.T) {
			h := tell(f, ref.RepoID{Owner: "acme", Name: "landed-" + itoa(i)})
			h.git("config", "uploadpack.allowAnySHA1InWant", "true")
			merge := test.land(&h)
			h.branch("main", merge)
			h.branch("topic", h.head)
			g := f.mirrors()
			repo := ref.RepoID{Owner: "acme", Name: "landed-" + itoa(i)}
			got, err := g.Landed(deadline(t), repo, reconcile.Landing{Merge: merge, Head: h.head, Method: test.method, Commits: test.commits, After: h.after})
			if err != nil || got.Equal != test.equal || !strings.Contains(got.Why, test.why) {
				t.Fatalf("got %+v, %v; want %s because of %s", got, err, test.equal, test.why)
			}
			if test.equal == ref.Yes && (got.Tree != got.Want || got.Why != "" || string(got.Tree) != h.git("rev-parse", string(merge)+"^{tree}") ||
				string(got.Parent) != h.git("rev-parse", string(merge)+"~"+itoa(got.Commits))) {
				t.Errorf("got %+v", got)
			}
			if test.equal != ref.Yes && got.Why == "" {
				t.Error("it does not say why")
			}
		})
	}
}

func TestLandedOfWhatIsNoText(t *testing.T) {
	f := newForge(t)
	f.create(app)
	b := &bare{t: t, dir: f.dir + "/acme/app.git"}
	link := func(sub, text string) map[string]string {
		return files("picture", "\x00\x01"+text, "lines", "a\r\nb\r\n"+text, "link", "120000:"+text, "run", "100755:"+text,
			".gitattributes", "lines text eol=lf\npicture filter=lfs diff=lfs merge=lfs -text\n* ident working-tree-encoding=UTF-16\n", "sub", "gitlink:"+sub)
	}
	one, two := strings.Repeat("1", 40), strings.Repeat("2", 40)
	start := b.commit("start", link(one, "x"))
	with := link(one, "x")
	with["base"] = "$Id$"
	base := b.commit("base", with, start)
	head := b.commit("head", link(two, "y"), start)
	want := link(two, "y")
	want["base"] = "$Id$"
	merge := b.commit("squashed", want, base)
	b.branch("main", merge)
	b.branch("topic", head)
	got, err := f.mirrors().Landed(deadline(t), app, reconcile.Landing{Merge: merge, Head: head, Method: "squash", Commits: 1})
	if err != nil || got.Equal != ref.Yes {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestLandedOfAHeadWithoutABranch(t *testing.T) {
	f := newForge(t)
	h := tell(f, app)
	merge := h.commit("squashed", merged(), h.base)
	h.branch("main", merge)
	h.git("update-ref", "-d", "refs/heads/topic")
	ask := func(t *testing.T, head ref.SHA) (change.Landed, error) {
		return f.mirrors().Landed(deadline(t), app, reconcile.Landing{Merge: merge, Head: head, Method: "squash", Commits: 1})
	}
	t.Run("a forge that serves it by its id answers", func(t *testing.T) {
		h.git("config", "uploadpack.allowAnySHA1InWant", "true")
		if got, err := ask(t, h.head); err != nil || got.Equal != ref.Yes {
			t.Errorf("got %+v, %v", got, err)
		}
	})
	t.Run("a commit that is nowhere is unknown", func(t *testing.T) {
		nowhere := ref.SHA(strings.Repeat("9", 40))
		if got, err := ask(t, nowhere); err != nil || got.Equal != ref.Unknown || !strings.Contains(got.Why, string(nowhere)) {
			t.Errorf("got %+v, %v", got, err)
		}
	})
	t.Run("what is no commit is refused", func(t *testing.T) {
		if _, err := ask(t, "--upload-pack=x"); fault.KindOf(err) != fault.Permanent {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a forge that is down is asked again later", func(t *testing.T) {
		g := f.mirrors()
		if err := g.Fetch(deadline(t), app); err != nil {
			t.Fatal(err)
		}
		f.http.Close()
		_, err := g.Landed(deadline(t), app, reconcile.Landing{Merge: merge, Head: h.head, Method: "squash", Commits: 1})
		if err == nil || fault.KindOf(err) != fault.Later {
			t.Errorf("got %v", err)
		}
	})
}
