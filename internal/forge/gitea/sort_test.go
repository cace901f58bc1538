package gitea

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	sdk "code.gitea.io/sdk/gitea"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"slipway/gate"
	"slipway/internal/fault"
	"slipway/internal/ref"
)

// The texts are those of Gitea 1.27.3.
func TestRefusedMerges(t *testing.T) {
	tests := []struct {
		name   string
		status int
		text   string
		kind   fault.Kind
	}{
		{"a conflict, or a check for one, asks for patience", 405, "Please try again later", fault.Changed},
		{"merged already is to be observed", 405, "The PR is already merged", fault.Changed},
		{"a draft is to be observed", 405, "Work in progress PRs cannot be merged", fault.Changed},
		{"missing checks are for somebody", 405, "Not all required status checks successful", fault.Permanent},
		{"missing approvals are for somebody", 405, "Does not have enough approvals", fault.Permanent},
		{"change requests are for somebody", 405, "There are requested changes", fault.Permanent},
		{"an outdated branch is for somebody", 405, "The head branch is behind the base branch", fault.Permanent},
		{"a missing right is for somebody", 405, "User not allowed to merge PR", fault.Permanent},
		{"a forbidden way to merge is for somebody", 405, "rebase is not allowed an allowed merge style for this repository", fault.Permanent},
		{"another head is to be observed", 409, "head out of date", fault.Changed},
		{"another base is to be observed", 409, "merge push out of date", fault.Changed},
		{"a conflict at the merge is to be observed", 409, "", fault.Changed},
		{"two merges that meet are to be observed", 409, "PushRejected with remote message: cannot lock ref 'refs/heads/main'", fault.Changed},
		{"a push that a hook refused is for somebody", 409, "PushRejected with remote message: no merges on Fridays", fault.Permanent},
		{"a closed one is to be observed", 404, "not found", fault.Changed},
		{"a missing scope is for somebody", 403, "token does not have at least one of required scope(s)", fault.Permanent},
		{"an archived repository is for somebody", 423, "archived", fault.Permanent},
		{"too many calls wait", 429, "", fault.Later},
		{"a fault of the server waits, for it may have happened", 500, "", fault.Later},
		{"a gateway without a server waits", 502, "<html>bad gateway</html>", fault.Later},
		{"a server that is down waits", 503, "", fault.Later},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			calls := 0
			c := answered(t, func(w http.ResponseWriter, _ *http.Request) {
				calls++
				w.WriteHeader(test.status)
				fmt.Fprintf(w, `{"message":%q,"url":"x"}`, test.text)
			})
			wantFault(t, c.Merge(t.Context(), squash(somePull, someCommit)), test.kind, "acme/app#1", strconv.Itoa(test.status), test.text)
			if calls != 1 {
				t.Errorf("%d calls", calls)
			}
		})
	}
	t.Run("without a head to insist on nothing is asked", func(t *testing.T) {
		c := answered(t, func(http.ResponseWriter, *http.Request) { t.Error("it called") })
		wantFault(t, c.Merge(t.Context(), squash(somePull, "")), fault.Permanent, "no head")
		wantFault(t, c.Merge(t.Context(), squash(somePull, "abc123")), fault.Permanent, "no head")
	})
}

func TestRefusalsAreSortedByStatus(t *testing.T) {
	for status, want := range map[int]fault.Kind{
		301: fault.Permanent, 400: fault.Permanent, 401: fault.Permanent, 403: fault.Permanent, 404: fault.Permanent,
		405: fault.Permanent, 408: fault.Later, 409: fault.Changed, 412: fault.Changed, 422: fault.Permanent, 423: fault.Permanent,
		429: fault.Later, 500: fault.Later, 502: fault.Later, 503: fault.Later, 504: fault.Later,
	} {
		if got := fault.KindOf(sorted(fmt.Errorf("wrapped: %w", &refusal{status: status}))); got != want {
			t.Errorf("%d: got %d, want %d", status, got, want)
		}
	}
	if got := fault.KindOf(sorted(errors.New("no answer"))); got != fault.Later {
		t.Errorf("no answer: got %d", got)
	}
}

func TestPagesReadEveryRowOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		total := rapid.IntRange(0, 130).Draw(t, "total")
		atOnce := rapid.IntRange(5, pageSize).Draw(t, "rows that the server gives at a time")
		hidden := rapid.SliceOfN(rapid.Bool(), total, total).Draw(t, "hidden from the reader")
		var want []int
		for i, h := range hidden {
			if !h {
				want = append(want, i)
			}
		}
		got, err := pages(func(o sdk.ListOptions) (rows []int, _ *sdk.Response, _ error) {
			for i := (o.Page - 1) * min(atOnce, o.PageSize); i < min(o.Page*atOnce, total); i++ {
				if !hidden[i] {
					rows = append(rows, i)
				}
			}
			return rows, totalOf(total), nil
		})
		if err != nil {
			// A list that is nearly all hidden may be given up, never cut short.
			if total <= pageLimit {
				t.Fatal(err)
			}
			return
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	})
}

func TestPagesStop(t *testing.T) {
	calls := 0
	endless := func(sdk.ListOptions) ([]int, *sdk.Response, error) {
		calls++
		return []int{calls}, totalOf(1 << 30), nil
	}
	if _, err := pages(endless); err == nil || calls != pageLimit {
		t.Errorf("%d calls, %v", calls, err)
	}
	if _, err := pages(func(sdk.ListOptions) ([]int, *sdk.Response, error) {
		return []int{1}, &sdk.Response{Response: &http.Response{Header: http.Header{}}}, nil
	}); err == nil {
		t.Error("a list of unknown length passed for whole")
	}
}

func totalOf(n int) *sdk.Response {
	return &sdk.Response{Response: &http.Response{StatusCode: 200, Header: http.Header{"X-Total-Count": {strconv.Itoa(n)}}}}
}

func TestWorkflowFile(t *testing.T) {
	sha := strings.Repeat("a", 40)
	for path, want := range map[string]string{
		"ci.yml@refs/heads/main":          "ci.yml",
		"ci.yml@refs/pull/1/head":         "ci.yml",
		"sub/ci.yml@refs/heads/a@b":       "sub/ci.yml",
		"ci.yml@" + sha:                   "ci.yml",
		"ci.yml":                          "",
		"@refs/heads/main":                "",
		"ci.yml@main":                     "",
		"ci.yml@refs/x.yml@refs/heads/a":  "", // a file named so as to pass for ci.yml
		"ci.yml@x.yml@" + sha:             "",
		"ci.yml@refs/heads/b@refs/heads/": "", // a branch named so
	} {
		got, ok := workflowFile(path)
		if ok != (want != "") || ok && got != want {
			t.Errorf("%s: got %q, %v; want %q", path, got, ok, want)
		}
	}
}

func TestDefinesWorkflows(t *testing.T) {
	c := answered(t, nil)
	for path, want := range map[string]bool{
		".gitea/workflows/ci.yml": true, ".github/workflows/a/b.yaml": true, ".gitea/workflows": true, ".gitea": true,
		".gitea/workflows-old/ci.yml": false, ".gitea/issue_template.md": false, "docs/.gitea/workflows/ci.yml": false, "main.go": false, "": false,
	} {
		if got := c.definesWorkflows(path); got != want {
			t.Errorf("%q: got %v", path, got)
		}
	}
}

func TestMatchRule(t *testing.T) {
	rules := func(names ...string) (out []rule) {
		for _, n := range names {
			out = append(out, rule{Name: n})
		}
		return out
	}
	tests := []struct {
		name    string
		rules   []rule
		index   int
		certain bool
	}{
		{"the rule of that name", rules("dev", "main"), 1, true},
		{"in other letters too", rules("Main"), 0, true},
		{"none", rules("dev"), -1, true},
		{"no rules", nil, -1, true},
		{"a pattern after it does not matter", rules("main", "*"), 0, true},
		{"a pattern before it might match", rules("m*", "main"), -1, false},
		{"a pattern alone might match", rules("release/**"), -1, false},
	}
	for _, test := range tests {
		if i, certain := match(test.rules, "main"); i != test.index || certain != test.certain {
			t.Errorf("%s: got %d, %v", test.name, i, certain)
		}
	}
}

func TestSettling(t *testing.T) {
	begun := time.Unix(1e9, 0)
	open := gate.PullRequest{ID: somePull, Open: ref.Yes, Draft: ref.No, Head: "h1", BaseHead: "b1"}
	with := func(change func(*gate.PullRequest)) gate.PullRequest {
		p := open
		change(&p)
		return p
	}
	type step struct {
		pull  gate.PullRequest
		flag  bool
		after time.Duration
		want  ref.Fact
	}
	moved := with(func(p *gate.PullRequest) { p.Head = "h2" })
	rebased := with(func(p *gate.PullRequest) { p.BaseHead = "b2" })
	tests := map[string][]step{
		"mergeable is mergeable at once":                     {{open, true, 0, ref.Yes}},
		"false is unknown until a check must be over":        {{open, false, 0, ref.Unknown}, {open, false, settleAfter - 1, ref.Unknown}, {open, false, settleAfter, ref.No}},
		"another head begins again":                          {{open, false, 0, ref.Unknown}, {moved, false, settleAfter, ref.Unknown}, {moved, false, 2 * settleAfter, ref.No}},
		"another base begins again":                          {{open, false, 0, ref.Unknown}, {rebased, false, settleAfter, ref.Unknown}},
		"mergeable in between begins again":                  {{open, false, 0, ref.Unknown}, {open, true, 1, ref.Yes}, {open, false, settleAfter, ref.Unknown}},
		"a draft never tells":                                {{with(func(p *gate.PullRequest) { p.Draft = ref.Yes }), false, settleAfter, ref.Unknown}},
		"of a closed one the flag is taken as it is":         {{with(func(p *gate.PullRequest) { p.Open = ref.No }), false, 0, ref.No}},
		"one pull request says nothing about another":        {{open, false, 0, ref.Unknown}, {with(func(p *gate.PullRequest) { p.ID.Number = 2 }), false, settleAfter, ref.Unknown}},
		"a conflict stays one however often it is asked for": {{open, false, 0, ref.Unknown}, {open, false, settleAfter, ref.No}, {open, false, 2 * settleAfter, ref.No}},
	}
	for name, steps := range tests {
		t.Run(name, func(t *testing.T) {
			s := settling{after: settleAfter}
			for i, step := range steps {
				if got := s.mergeable(step.pull, step.flag, begun.Add(step.after)); got != step.want {
					t.Errorf("step %d: got %s, want %s", i, got, step.want)
				}
			}
		})
	}
}
