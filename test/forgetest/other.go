package forgetest

import (
	"errors"
	"strings"
	"testing"

	"slipway/internal/change"
	"slipway/internal/fault"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

func testContents(t *testing.T, w World) {
	s := set(t, w, "contents", Rules{})
	old := s.tip(t, "main")
	tip := s.push(t, Alice, "main", commit{message: "feat: files", files: map[string]string{"a folder/ä file.txt": "text\n", "empty": "", "big": strings.Repeat("x", 1<<20+1)}})
	s.push(t, Alice, "feat/deep", commit{message: "feat", files: map[string]string{"x": "x"}})
	at := func(sha ref.SHA, path string) (string, bool, error) {
		data, found, err := s.forge.File(t.Context(), s.ID(), sha, path)
		return string(data), found, err
	}

	t.Run("a file is read at a commit, whatever its name", func(t *testing.T) {
		for path, want := range map[string]string{"a folder/ä file.txt": "text\n", "empty": ""} {
			if got, found, err := at(tip, path); got != want || !found || err != nil {
				t.Errorf("%s: %q, found %t, %v", path, got, found, err)
			}
		}
	})
	t.Run("a file that is not there is not found, which is no error", func(t *testing.T) {
		for path, sha := range map[string]ref.SHA{"nowhere": tip, "nowhere/at/all": tip, "a folder/ä file.txt": old} {
			if _, found, err := at(sha, path); found || err != nil {
				t.Errorf("%s: found %t, %v", path, found, err)
			}
		}
	})
	t.Run("a folder, a file over 1 MiB and a path out of the repository are errors", func(t *testing.T) {
		for _, path := range []string{"a folder", "big", "../x", "a folder/../empty"} {
			if _, found, err := at(tip, path); found || err == nil {
				t.Errorf("%s: found %t, %v", path, found, err)
			}
		}
	})
	t.Run("a branch with a slash is read, and one that is not there is an error", func(t *testing.T) {
		if s.tip(t, "main") != tip || s.tip(t, "feat/deep") == tip {
			t.Error("the tips are others")
		}
		gone := ref.BranchID{Repo: s.ID(), Name: "feat/de"}
		_, err := s.forge.Branch(t.Context(), gone)
		refused(t, err, fault.Permanent, gone.String())
	})
}

func testRelease(t *testing.T, w World) {
	s := set(t, w, "release", Rules{})
	first := s.tip(t, "main")
	second := s.push(t, Alice, "main", commit{message: "feat: more", files: map[string]string{"x": "x"}})
	const tag = ref.Tag("v1.2.3")

	t.Run("a tag that is not there is not there, nor is its page", func(t *testing.T) {
		if got := must(s.forge.Tag(t.Context(), s.ID(), tag))(t); got.Exists != ref.No {
			t.Errorf("got %+v", got)
		}
		if got := must(s.forge.Page(t.Context(), s.ID(), tag))(t); got.Exists != ref.No {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("a page without a tag is refused, and makes none", func(t *testing.T) {
		refused(t, s.forge.PublishPage(t.Context(), s.ID(), tag, "One", "notes"), fault.Changed, s.ID().String())
		if got := must(s.forge.Tag(t.Context(), s.ID(), tag))(t); got.Exists != ref.No {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("a tag is made on its commit", func(t *testing.T) {
		if err := s.forge.CreateTag(t.Context(), s.ID(), tag, first, "One"); err != nil {
			t.Fatal(err)
		}
		if got := must(s.forge.Tag(t.Context(), s.ID(), tag))(t); got != (change.TagFact{Exists: ref.Yes, Commit: first}) {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("a tag that exists is refused on any commit, and stays where it is", func(t *testing.T) {
		for _, sha := range []ref.SHA{first, second} {
			refused(t, s.forge.CreateTag(t.Context(), s.ID(), tag, sha, "Two"), fault.Changed, string(tag))
		}
		if got := must(s.forge.Tag(t.Context(), s.ID(), tag))(t); got.Commit != first {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("the tag is annotated in git", func(t *testing.T) {
		s.git(t, Alice, "init", "-q")
		s.git(t, Alice, "fetch", "-q", s.Remote(Alice), "refs/tags/"+string(tag))
		if kind := s.git(t, Alice, "cat-file", "-t", "FETCH_HEAD"); kind != "tag" {
			t.Errorf("it is a %s", kind)
		}
	})
	t.Run("the beginning of a tag's name is another tag", func(t *testing.T) {
		if got := must(s.forge.Tag(t.Context(), s.ID(), "v1.2"))(t); got.Exists != ref.No {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("a page is published once", func(t *testing.T) {
		if err := s.forge.PublishPage(t.Context(), s.ID(), tag, "One", "notes"); err != nil {
			t.Fatal(err)
		}
		if got := must(s.forge.Page(t.Context(), s.ID(), tag))(t); got.Exists != ref.Yes || got.URL == "" {
			t.Errorf("got %+v", got)
		}
		refused(t, s.forge.PublishPage(t.Context(), s.ID(), tag, "One", "notes"), fault.Changed, s.ID().String())
	})
}

func testRevert(t *testing.T, w World) {
	s := set(t, w, "revert", Rules{})
	found := func(t *testing.T) change.RevertFact {
		t.Helper()
		return must(s.forge.FindPull(t.Context(), s.ID(), "slipway/revert-1", "main"))(t)
	}
	t.Run("where there is none, none is found", func(t *testing.T) {
		if got := found(t); got.Found != ref.No {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("one from a branch that is not there is to be observed again", func(t *testing.T) {
		_, err := s.forge.OpenPull(t.Context(), s.ID(), "slipway/nowhere", "main", "Revert", "why")
		refused(t, err, fault.Changed, s.ID().String())
	})
	t.Run("somebody else's from the same branch is not Slipway's", func(t *testing.T) {
		s.push(t, Alice, "slipway/revert-1", commit{message: "revert: x", files: map[string]string{"r": "r"}})
		other := s.Open(t, Alice, "slipway/revert-1", "main", "Mine", false)
		if got := found(t); got.Found != ref.No {
			t.Errorf("got %+v", got)
		}
		s.Close(t, other)
	})
	var id ref.PullID
	t.Run("one is opened, found open, and not opened twice", func(t *testing.T) {
		id = must(s.forge.OpenPull(t.Context(), s.ID(), "slipway/revert-1", "main", "Revert", "why"))(t)
		if got := found(t); got.Found != ref.Yes || got.Pull != id || got.State != "open" {
			t.Errorf("got %+v", got)
		}
		if p := s.pull(t, id); p.Title != "Revert" || p.Body != "why" || p.Author != s.Bot() {
			t.Errorf("got %+v", p)
		}
		_, err := s.forge.OpenPull(t.Context(), s.ID(), "slipway/revert-1", "main", "Revert", "why")
		refused(t, err, fault.Changed, s.ID().String())
	})
	t.Run("once merged it is found merged", func(t *testing.T) {
		p := s.settled(t, id)
		if err := s.merge(t, squash(id, p.Head)); err != nil {
			t.Fatal(err)
		}
		if got := found(t); got.Found != ref.Yes || got.Pull != id || got.State != "merged" {
			t.Errorf("got %+v", got)
		}
	})
}

func testFaults(t *testing.T, w World) {
	s := set(t, w, "faults", Rules{})
	id, head := s.change(t, "feat")
	nowhere := ref.RepoID{Owner: s.ID().Owner, Name: "nowhere"}
	reads := func(f reconcile.Forge, repo ref.RepoID) map[string]func() error {
		pull := ref.PullID{Repo: repo, Number: id.Number}
		return map[string]func() error{
			"pull":   func() error { _, err := f.Pull(t.Context(), pull); return err },
			"look":   func() error { _, err := f.Look(t.Context(), pull, reconcile.Want{Fresh: true}); return err },
			"list":   func() error { _, err := f.OpenPulls(t.Context(), repo); return err },
			"checks": func() error { _, err := f.Checks(t.Context(), repo, head); return err },
			"branch": func() error { _, err := f.Branch(t.Context(), ref.BranchID{Repo: repo, Name: "main"}); return err },
			"file":   func() error { _, _, err := f.File(t.Context(), repo, head, "README.md"); return err },
			"tag":    func() error { _, err := f.Tag(t.Context(), repo, "v1"); return err },
			"page":   func() error { _, err := f.Page(t.Context(), repo, "v1"); return err },
			"revert": func() error { _, err := f.FindPull(t.Context(), repo, "a", "main"); return err },
			"status": func() error {
				return f.PostStatus(t.Context(), repo, change.Posted{Head: head, State: "pending", Text: "x"})
			},
			"comment": func() error { _, err := f.Comment(t.Context(), pull, "x"); return err },
			"tagging": func() error { return f.CreateTag(t.Context(), repo, "v1", head, "x") },
		}
	}
	for name, read := range reads(s.forge, nowhere) {
		t.Run("a repository that is not there is an error for good: "+name, func(t *testing.T) {
			err := read()
			refused(t, err, fault.Permanent, nowhere.String())
			if errors.Is(err, reconcile.ErrNoPull) {
				t.Errorf("it is said to lack a pull request: %v", err)
			}
		})
	}
	for name, read := range reads(s.Stranger(t), s.ID()) {
		t.Run("a token that is worth nothing is an error for good: "+name, func(t *testing.T) {
			err := read()
			refused(t, err, fault.Permanent, s.ID().String())
			if errors.Is(err, reconcile.ErrNoPull) {
				t.Errorf("it is said to lack a pull request: %v", err)
			}
		})
	}
	t.Run("a pull request that is not there is an error for good, and told from a repository that cannot be seen", func(t *testing.T) {
		gone := ref.PullID{Repo: s.ID(), Number: 4711}
		_, pull := s.forge.Pull(t.Context(), gone)
		_, look := s.forge.Look(t.Context(), gone, reconcile.Want{})
		for _, err := range []error{pull, look} {
			refused(t, err, fault.Permanent, gone.String())
			if !errors.Is(err, reconcile.ErrNoPull) {
				t.Errorf("it is not said to be missing: %v", err)
			}
		}
	})
}
