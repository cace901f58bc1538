package forgetest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway/gate"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

func testPull(t *testing.T, w World) {
	s := set(t, w, "pull", Rules{})
	head := s.push(t, Alice, "feat/one", commit{message: "feat: one", files: map[string]string{"a.txt": "a\n"}})
	begun := time.Now().Add(-2 * time.Second)
	id := s.Open(t, Alice, "feat/one", "main", "feat: one", false)
	s.Label(t, id, "hold")
	s.Label(t, id, "bug")

	t.Run("it is told whole", func(t *testing.T) {
		got := s.settled(t, id)
		want := gate.PullRequest{ID: id, Title: "feat: one", Author: string(Alice), Head: head, HeadBranch: "feat/one", HeadRepo: s.ID(),
			Base: "main", BaseHead: s.tip(t, "main"), Open: ref.Yes, Merged: ref.No, Draft: ref.No, Mergeable: ref.Yes, Labels: []string{"bug", "hold"}}
		if got.Opened.Before(begun) || got.Updated.Before(got.Opened) || got.Opened.Location() != time.UTC {
			t.Errorf("opened %s, updated %s", got.Opened, got.Updated)
		}
		got.Opened, got.Updated = time.Time{}, time.Time{}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	t.Run("a look tells the same, and knows every part", func(t *testing.T) {
		l := s.look(t, id)
		g := l.Snapshot
		if g.Pull.Head != head || g.Checks.SHA != head {
			t.Errorf("the head is %s, its checks are of %s", g.Pull.Head, g.Checks.SHA)
		}
		for what, fact := range map[string]ref.Fact{"commits": g.CommitsRead, "files": g.FilesRead, "reviews": g.ReviewsRead, "statuses": g.Checks.StatusesRead,
			"jobs": g.Checks.JobsRead, "comments": l.CommentsRead} {
			if fact != ref.Yes {
				t.Errorf("%s: read is %s", what, fact)
			}
		}
		if g.WorkflowsChanged != ref.No || g.UpToDate != ref.Yes || !g.Retargeted.IsZero() || l.Remembered {
			t.Errorf("workflows changed %s, up to date %s, retargeted %s, remembered %t", g.WorkflowsChanged, g.UpToDate, g.Retargeted, l.Remembered)
		}
		if g.PusherRead == ref.Yes && g.Pusher != string(Alice) {
			t.Errorf("pushed by %q", g.Pusher)
		}
		if len(g.Holds) != 0 || g.Asked != nil || g.Frozen != "" || g.FrozenRead != ref.Unknown || g.OwnedRead != ref.Unknown {
			t.Error("it tells what no forge knows")
		}
	})
	t.Run("a draft is one", func(t *testing.T) {
		s.push(t, Alice, "draft", commit{message: "feat: draft", files: map[string]string{"d.txt": "d\n"}})
		if p := s.pull(t, s.Open(t, Alice, "draft", "main", "feat: draft", true)); p.Draft != ref.Yes {
			t.Errorf("draft is %s", p.Draft)
		}
	})
	t.Run("a conflict is one", func(t *testing.T) {
		s.push(t, Alice, "conflict", commit{message: "feat: mine", files: map[string]string{"both.txt": "mine\n"}})
		s.push(t, Alice, "main", commit{message: "feat: theirs", files: map[string]string{"both.txt": "theirs\n"}})
		clash := s.Open(t, Alice, "conflict", "main", "feat: mine", false)
		eventually(t, "it is known to conflict", func() bool { return s.pull(t, clash).Mergeable == ref.No })
	})
	t.Run("a closed one is open no more, and not merged", func(t *testing.T) {
		s.push(t, Alice, "closed", commit{message: "feat: closed", files: map[string]string{"c.txt": "c\n"}})
		gone := s.Open(t, Alice, "closed", "main", "feat: closed", false)
		s.Close(t, gone)
		if p := s.pull(t, gone); p.Open != ref.No || p.Merged != ref.No || p.MergeSHA != "" {
			t.Errorf("got %+v", p)
		}
	})
	t.Run("teams are told by name, and one that nobody knows is not there", func(t *testing.T) {
		known := s.Team(t)
		missing := s.ID().Owner + "/nobody-knows"
		teams := s.look(t, id, reconcile.Want{Teams: []string{known, missing}}).Snapshot.Teams
		got := slices.Clone(teams[strings.ToLower(known)])
		slices.Sort(got)
		if !slices.Equal(got, []string{string(Carol), string(Dave)}) {
			t.Errorf("%s: %v", known, got)
		}
		if _, there := teams[missing]; there {
			t.Errorf("%s is there: %v", missing, teams)
		}
	})
	t.Run("who could approve is told when asked", func(t *testing.T) {
		g := s.look(t, id, reconcile.Want{Approvers: true}).Snapshot
		if g.ApproversRead != ref.Yes || !slices.Contains(g.Approvers, string(Carol)) || !slices.Contains(g.Approvers, string(Dave)) || slices.Contains(g.Approvers, string(Outsider)) {
			t.Errorf("read %s: %v", g.ApproversRead, g.Approvers)
		}
	})
}

func testList(t *testing.T, w World) {
	s := set(t, w, "list", Rules{})
	one, _ := s.change(t, "one")
	two, _ := s.change(t, "two")
	closed, _ := s.change(t, "closed")
	s.Close(t, closed)
	list := func() map[ref.PullID]string {
		out := map[ref.PullID]string{}
		for _, b := range must(s.forge.OpenPulls(t.Context(), s.ID()))(t) {
			if _, twice := out[b.ID]; twice {
				t.Errorf("%s is there twice", b.ID)
			}
			out[b.ID] = b.Fingerprint
		}
		return out
	}

	t.Run("it has the open ones", func(t *testing.T) {
		got := list()
		if len(got) != 2 || got[one] == "" || got[two] == "" {
			t.Errorf("got %v", got)
		}
	})
	for name, act := range map[string]func(){
		"a label":  func() { s.Label(t, one, "hold") },
		"a commit": func() { s.push(t, Alice, "one", commit{message: "feat: more", files: map[string]string{"x": "x"}}) },
	} {
		t.Run("a fingerprint changes with "+name+", and no other does", func(t *testing.T) {
			before := list()
			act()
			eventually(t, "it changes", func() bool { return list()[one] != before[one] })
			if list()[two] != before[two] {
				t.Error("the other changed too")
			}
		})
	}
}

func testCommits(t *testing.T, w World) {
	s := set(t, w, "commits", Rules{})
	first := s.push(t, Alice, "feat", commit{message: "feat: a", files: map[string]string{"a.txt": "a\n"}})
	second := s.push(t, Alice, "feat", commit{message: "feat: b\n\nWith words.\n\nCo-authored-by: Carol <carol@" + MailDomain + ">\nCo-authored-by: Who <who@elsewhere.invalid>",
		files: map[string]string{"b.txt": "b\n"}, mail: "nobody@elsewhere.invalid"})
	s.push(t, Alice, "main", commit{message: "feat: base", files: map[string]string{"base.txt": "x\n"}})
	head := s.push(t, Alice, "feat", commit{message: "Merge main", merges: "main"})
	id := s.Open(t, Alice, "feat", "main", "feat", false)
	g := s.look(t, id).Snapshot

	t.Run("they come oldest first, with who wrote them and their parents", func(t *testing.T) {
		mail := string(Alice) + "@" + MailDomain
		want := []gate.Commit{
			{SHA: first, Author: string(Alice), AuthorEmail: mail, Committer: string(Alice), CommitterEmail: mail, Parents: 1},
			{SHA: second, Author: "", AuthorEmail: "nobody@elsewhere.invalid", Committer: string(Alice), CommitterEmail: mail, Parents: 1},
			{SHA: head, Author: string(Alice), AuthorEmail: mail, Committer: string(Alice), CommitterEmail: mail, Parents: 2},
		}
		got := slices.Clone(g.Commits)
		for i := range got {
			got[i].CoAuthors = nil
		}
		if diff := cmp.Diff(want, got); diff != "" || g.CommitsRead != ref.Yes {
			t.Errorf("read %s (-want +got):\n%s", g.CommitsRead, diff)
		}
	})
	t.Run("co-authors are told with their addresses, and one unknown has no login", func(t *testing.T) {
		if len(g.Commits) != 3 || len(g.Commits[1].CoAuthors) != 2 {
			t.Fatalf("got %+v", g.Commits)
		}
		co := g.Commits[1].CoAuthors
		if co[0].Email != "carol@"+MailDomain || co[0].Login != "" && co[0].Login != string(Carol) {
			t.Errorf("got %+v", co[0])
		}
		if co[1].Email != "who@elsewhere.invalid" || co[1].Login != "" {
			t.Errorf("got %+v", co[1])
		}
	})
}

func testFiles(t *testing.T, w World) {
	s := set(t, w, "files", Rules{})
	long := strings.Repeat("a line of some length\n", 20)
	s.push(t, Alice, "main", commit{message: "feat: base", files: map[string]string{"old/name.txt": long, "gone.txt": "gone\n", "kept.txt": "one\ntwo\n"}})
	s.push(t, Alice, "feat", commit{message: "feat: files", files: map[string]string{"new.txt": "1\n2\n3\n", "kept.txt": "one\nthree\nfour\n"},
		moved: map[string]string{"old/name.txt": "new-name.txt"}, removed: []string{"gone.txt"}})
	id := s.Open(t, Alice, "feat", "main", "feat", false)

	t.Run("added, changed, removed and renamed are told, with how much", func(t *testing.T) {
		g := s.look(t, id).Snapshot
		got := slices.Clone(g.Files)
		slices.SortFunc(got, func(a, b gate.File) int { return strings.Compare(a.Path, b.Path) })
		want := []gate.File{
			{Path: "gone.txt", Deleted: 1},
			{Path: "kept.txt", Added: 2, Deleted: 1},
			{Path: "new-name.txt", Previous: "old/name.txt"},
			{Path: "new.txt", Added: 3},
		}
		if diff := cmp.Diff(want, got); diff != "" || g.FilesRead != ref.Yes {
			t.Errorf("read %s (-want +got):\n%s", g.FilesRead, diff)
		}
		if g.WorkflowsChanged != ref.No {
			t.Errorf("workflows changed is %s", g.WorkflowsChanged)
		}
	})
	path := s.Workflow(t, "ci", map[string]gate.State{"test": gate.StateSuccess})
	for name, c := range map[string]commit{
		"changed":    {files: map[string]string{path: "name: other\n"}},
		"removed":    {removed: []string{path}},
		"moved away": {moved: map[string]string{path: "elsewhere.yml"}},
	} {
		t.Run("a workflow file that is "+name+" is seen", func(t *testing.T) {
			branch := strings.ReplaceAll(name, " ", "-")
			c.message = "ci: " + name
			s.push(t, Alice, branch, c)
			if got := s.look(t, s.Open(t, Alice, branch, "main", "ci", false)).Snapshot.WorkflowsChanged; got != ref.Yes {
				t.Errorf("got %s", got)
			}
		})
	}
}

func testBase(t *testing.T, w World) {
	s := set(t, w, "base", Rules{})
	id, head := s.change(t, "feat")
	s.push(t, Alice, "next", commit{message: "feat: next", files: map[string]string{"next.txt": "x\n"}})

	t.Run("a base that moved on leaves the head behind, until it is taken in", func(t *testing.T) {
		tip := s.push(t, Alice, "main", commit{message: "feat: base", files: map[string]string{"base.txt": "x\n"}})
		eventually(t, "the base is told", func() bool { return s.pull(t, id).BaseHead == tip })
		if g := s.look(t, id).Snapshot; g.UpToDate != ref.No || g.Pull.BaseHead != tip || g.Pull.Head != head {
			t.Errorf("behind: up to date %s, base %s, head %s", g.UpToDate, g.Pull.BaseHead, g.Pull.Head)
		}
		head = s.push(t, Alice, "feat", commit{message: "Merge main", merges: "main"})
		eventually(t, "it is up to date", func() bool {
			g := s.look(t, id).Snapshot
			return g.Pull.Head == head && g.UpToDate == ref.Yes
		})
	})
	t.Run("a change of the base is told, with its time, and reviews stay with their head", func(t *testing.T) {
		s.Review(t, Carol, id, head, gate.ReviewApproved)
		begun := time.Now().Add(-2 * time.Second)
		s.Retarget(t, Alice, id, "next")
		g := s.look(t, id).Snapshot
		if g.Pull.Base != "next" || g.Pull.BaseHead != s.tip(t, "next") {
			t.Errorf("the base is %s at %s", g.Pull.Base, g.Pull.BaseHead)
		}
		if g.Retargeted.Before(begun) || g.Retargeted.After(time.Now().Add(2*time.Second)) {
			t.Errorf("changed at %s", g.Retargeted)
		}
		for _, v := range g.Reviews {
			if v.Commit != head || v.At.After(g.Retargeted) {
				t.Errorf("got %+v", v)
			}
		}
		s.Retarget(t, Alice, id, "main")
		if g := s.look(t, id).Snapshot; g.Pull.Base != "main" || g.Retargeted.IsZero() {
			t.Errorf("back again: %s, changed at %s", g.Pull.Base, g.Retargeted)
		}
	})
}
