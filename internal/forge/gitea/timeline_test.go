package gitea

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	sdk "code.gitea.io/sdk/gitea"
	"github.com/google/go-cmp/cmp"

	"slipway/gate"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

const (
	older = ref.SHA("1111111111111111111111111111111111111111")
	newer = ref.SHA("2222222222222222222222222222222222222222")
)

func TestTimeline(t *testing.T) {
	second := func(n int) time.Time { return time.Unix(1e9+int64(n), 0).UTC() }
	row := func(id int64, kind, who string, at int, more ...string) event {
		e := event{ID: id, Type: kind, User: &sdk.User{UserName: who}, Created: second(at), Updated: second(at)}
		for i, text := range more {
			*[]*string{&e.Body, &e.NewRef}[i] = text
		}
		return e
	}
	pushes := func(heads ...ref.SHA) string {
		return string(must(json.Marshal(map[string]any{"commit_ids": heads}))(t))
	}
	for name, test := range map[string]struct {
		events []event
		want   timeline
	}{
		"nothing has happened": {nil, timeline{}},
		"a comment keeps its words, and an edit its time": {
			[]event{{ID: 7, Type: "comment", User: &sdk.User{UserName: "carol"}, Body: "> /hold", Created: second(1), Updated: second(3)}},
			timeline{comments: []reconcile.Comment{{ID: 7, Author: "carol", Body: "> /hold", At: second(1), Edited: second(3)}}},
		},
		"what a review says is no comment": {[]event{row(1, "review", "carol", 1, "/merge when ready")}, timeline{}},
		"a comment by an account that is gone names nobody": {
			[]event{{ID: 7, Type: "comment", Created: second(1), Updated: second(1)}},
			timeline{comments: []reconcile.Comment{{ID: 7, At: second(1), Edited: second(1)}}},
		},
		"the last push counts, and its last commit is the head": {
			[]event{row(1, "pull_push", "alice", 1, pushes(older)), row(2, "pull_push", "mallory", 2, pushes(older, newer))},
			timeline{push: push{by: "mallory", head: newer}},
		},
		"the push that the server writes down when it is opened is nobody's": {[]event{row(1, "pull_push", "author", 1, pushes(newer))}, timeline{}},
		"the author's next one is theirs": {
			[]event{row(1, "pull_push", "author", 1, pushes(older)), row(2, "pull_push", "author", 2, pushes(newer))},
			timeline{push: push{by: "author", head: newer}},
		},
		"the last change of the base counts": {
			[]event{row(1, "change_target_branch", "alice", 1, "", "next"), row(2, "change_target_branch", "bob", 4, "", "main")},
			timeline{retargeted: second(4), base: "main"},
		},
		"the push that the server writes down with a change of the base is nobody's": {
			[]event{row(1, "pull_push", "mallory", 1, pushes(newer)), row(2, "change_target_branch", "alice", 2, "", "main"), row(3, "pull_push", "alice", 2, pushes(newer))},
			timeline{retargeted: second(2), base: "main"},
		},
		"whoever it was that pushed before a change of the base": {
			[]event{row(1, "pull_push", "mallory", 1, pushes(newer)), row(2, "change_target_branch", "alice", 2, "", "main")},
			timeline{retargeted: second(2), base: "main"},
		},
		"a push by somebody else after it counts": {
			[]event{row(2, "change_target_branch", "alice", 2, "", "main"), row(3, "pull_push", "alice", 2, pushes(older)), row(4, "pull_push", "mallory", 9, pushes(newer))},
			timeline{retargeted: second(2), base: "main", push: push{by: "mallory", head: newer}},
		},
		"and so does the second one by whoever changed it": {
			[]event{row(2, "change_target_branch", "alice", 2, "", "main"), row(3, "pull_push", "alice", 2, pushes(older)), row(4, "pull_push", "alice", 9, pushes(newer))},
			timeline{retargeted: second(2), base: "main", push: push{by: "alice", head: newer}},
		},
		"a push that cannot be read is nobody's": {
			[]event{row(1, "pull_push", "alice", 1, pushes(older)), row(2, "pull_push", "mallory", 2, "{}"), row(3, "pull_push", "mallory", 2, `{"commit_ids":["x"]}`)},
			timeline{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, toTimeline(test.events, "author"), cmp.AllowUnexported(timeline{}, push{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhoPushedBeforeThePullRequest(t *testing.T) {
	row := func(op, who, branch string, head ref.SHA) *sdk.Activity {
		content := ""
		if head != "" {
			content = fmt.Sprintf(`{"HeadCommit":{"Sha1":%q}}`, head)
		}
		return &sdk.Activity{OpType: op, ActUser: &sdk.User{UserName: who}, RefName: "refs/heads/" + branch, Content: content}
	}
	pull := gate.PullRequest{Head: newer, HeadBranch: "feat"}
	for name, test := range map[string]struct {
		feed []*sdk.Activity // newest first
		want string
	}{
		"nothing is known":                                   {nil, ""},
		"the push of that head to that branch":               {[]*sdk.Activity{row("commit_repo", "bob", "main", older), row("commit_repo", "alice", "feat", newer)}, "alice"},
		"the newest of several":                              {[]*sdk.Activity{row("commit_repo", "mallory", "feat", newer), row("commit_repo", "alice", "feat", newer)}, "mallory"},
		"a push of the same commit to another branch is not": {[]*sdk.Activity{row("commit_repo", "alice", "other", newer)}, ""},
		"a push of another head is not":                      {[]*sdk.Activity{row("commit_repo", "alice", "feat", older)}, ""},
		"that the branch was made is not":                    {[]*sdk.Activity{row("commit_repo", "alice", "feat", "")}, ""},
		"another kind of row is not":                         {[]*sdk.Activity{row("mirror_sync_push", "alice", "feat", newer)}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := pusherIn(test.feed, pull); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestUpToDate(t *testing.T) {
	pull := gate.PullRequest{Head: "h", BaseHead: "b"}
	one := func(parents ...ref.SHA) []commit { return []commit{{parents: parents}} }
	for name, test := range map[string]struct {
		commits []commit
		read    ref.Fact
		pull    gate.PullRequest
		want    ref.Fact
	}{
		"a commit on the base's tip":          {one("b"), ref.Yes, pull, ref.Yes},
		"a merge of the base's tip":           {append(one("a"), one("x", "b")...), ref.Yes, pull, ref.Yes},
		"a commit on an older tip":            {one("a"), ref.Yes, pull, ref.No},
		"nothing but the tip itself":          {nil, ref.Yes, gate.PullRequest{Head: "b", BaseHead: "b"}, ref.Yes},
		"nothing, and the base has moved on":  {nil, ref.Yes, pull, ref.No},
		"commits that could not be read":      {one("b"), ref.Unknown, pull, ref.Unknown},
		"a base without a tip, which is gone": {one("b"), ref.Yes, gate.PullRequest{Head: "h"}, ref.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			if got := upToDate(test.commits, test.read, test.pull); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}
