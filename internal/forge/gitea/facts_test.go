package gitea

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	sdk "code.gitea.io/sdk/gitea"
	"github.com/google/go-cmp/cmp"

	"slipway/gate"
	"slipway/internal/change"
	"slipway/internal/fault"
	"slipway/internal/ref"
)

func TestCoAuthors(t *testing.T) {
	known := people{}
	known.add(&sdk.User{UserName: "carol", Email: "carol@example.invalid"})
	known.add(nil)
	tests := []struct {
		name    string
		message string
		want    []gate.CoAuthor
	}{
		{"no trailer names nobody", "feat: a\n\nwith carol@example.invalid\n", nil},
		{"a trailer is mapped by its address", "feat: a\n\nCo-authored-by: C <carol@example.invalid>",
			[]gate.CoAuthor{{Login: "carol", Email: "carol@example.invalid"}}},
		{"in any letters, with any spaces and line ends", "feat: a\r\n\r\n  CO-AUTHORED-BY:   < Carol@Example.INVALID >  \r\n",
			[]gate.CoAuthor{{Login: "carol", Email: "Carol@Example.INVALID"}}},
		{"wherever it stands", "Co-authored-by: C <carol@example.invalid>\n\nfeat: a",
			[]gate.CoAuthor{{Login: "carol", Email: "carol@example.invalid"}}},
		{"one that nobody is known by is kept without a login", "feat: a\n\nCo-authored-by: X <x@example.invalid>",
			[]gate.CoAuthor{{Email: "x@example.invalid"}}},
		{"a placeholder says its login", "feat: a\n\nCo-authored-by: D <dave@noreply.example.invalid>\nCo-authored-by: E <9+erin@noreply.example.invalid>",
			[]gate.CoAuthor{{Login: "dave", Email: "dave@noreply.example.invalid"}, {Login: "erin", Email: "9+erin@noreply.example.invalid"}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			author := &sdk.CommitUser{Identity: sdk.Identity{Email: "a@example.invalid"}}
			one := must(toCommit(&sdk.Commit{
				CommitMeta: &sdk.CommitMeta{SHA: string(someCommit)},
				RepoCommit: &sdk.RepoCommit{Author: author, Committer: author, Message: test.message},
			}))(t)
			got := withCoAuthors([]commit{one}, known)
			if diff := cmp.Diff(test.want, got[0].CoAuthors); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestStates(t *testing.T) {
	for said, want := range map[string]gate.State{
		"pending": gate.StatePending, "success": gate.StateSuccess, "failure": gate.StateFailure, "error": gate.StateFailure,
		"warning": gate.StateFailure, "skipped": gate.StateSkipped, "": gate.StateUnknown, "SUCCESS": gate.StateUnknown,
	} {
		if got := statusState(said); got != want {
			t.Errorf("a status %q: got %q, want %q", said, got, want)
		}
	}
	for said, want := range map[[2]string]gate.State{
		{"queued", ""}: gate.StatePending, {"waiting", ""}: gate.StatePending, {"in_progress", ""}: gate.StatePending,
		{"completed", "success"}: gate.StateSuccess, {"completed", "failure"}: gate.StateFailure, {"completed", "cancelled"}: gate.StateFailure,
		{"completed", "skipped"}: gate.StateSkipped, {"completed", ""}: gate.StateUnknown, {"", "success"}: gate.StateUnknown,
		{"in_progress", "success"}: gate.StatePending,
	} {
		if got := jobState(said[0], said[1]); got != want {
			t.Errorf("a job %q: got %q, want %q", said, got, want)
		}
	}
}

func TestStatusesOfAnEarlierAttempt(t *testing.T) {
	first := []run{{id: 2, lowest: 10, read: true}} // the latest attempt of run 2 begins with job 10
	tests := []struct {
		name   string
		status gate.Status
		want   bool
	}{
		{"one of an earlier attempt has been outrun", gate.Status{URL: "http://git.example/acme/app/actions/runs/2/jobs/9"}, true},
		{"one of the latest attempt has not", gate.Status{URL: "http://git.example/acme/app/actions/runs/2/jobs/10"}, false},
		{"one of a still newer attempt has not", gate.Status{URL: "http://git.example/acme/app/actions/runs/2/jobs/12"}, false},
		{"one of a run that is not known has not", gate.Status{URL: "http://git.example/acme/app/actions/runs/3/jobs/1"}, false},
		{"one that somebody posted has not, whatever its address", gate.Status{Creator: "mallory", URL: "/acme/app/actions/runs/2/jobs/9"}, false},
		{"one without an address has not", gate.Status{}, false},
		{"one whose number is none has not", gate.Status{URL: "/actions/runs/2/jobs/99999999999999999999"}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := outrun(test.status, first); got != test.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestChecksThatCannotBeRead(t *testing.T) {
	failing := func(suffixes ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			for _, s := range suffixes {
				if strings.Contains(r.URL.Path, s) {
					http.Error(w, "", http.StatusServiceUnavailable)
					return
				}
			}
			w.Header().Set("X-Total-Count", "0")
			if strings.HasSuffix(r.URL.Path, "/runs") {
				fmt.Fprint(w, `{"workflow_runs":[],"total_count":0}`)
				return
			}
			fmt.Fprint(w, `[]`)
		}
	}
	t.Run("neither list is an error", func(t *testing.T) {
		_, err := answered(t, failing("/runs", "/statuses/")).Checks(t.Context(), someRepo, someCommit)
		wantFault(t, err, fault.Later, someCommit.Short(), "acme/app", "503")
	})
	t.Run("one list leaves the other", func(t *testing.T) {
		var unread error
		c := answered(t, failing("/runs"), func(c *Config) { c.OnUnread = func(err error) { unread = err } })
		got := must(c.Checks(t.Context(), someRepo, someCommit))(t)
		if got.StatusesRead != ref.Yes || got.JobsRead != ref.Unknown || got.SHA != someCommit {
			t.Errorf("got %+v", got)
		}
		if unread == nil || !strings.Contains(unread.Error(), "503") {
			t.Errorf("unread: %v", unread)
		}
	})
}

func TestPostStatusTakesOnlyWhatItCanSay(t *testing.T) {
	c := answered(t, func(http.ResponseWriter, *http.Request) { t.Error("it called") })
	for _, state := range []gate.State{gate.StateUnknown, gate.StateSkipped, "odd"} {
		wantFault(t, c.PostStatus(t.Context(), someRepo, change.Posted{Head: someCommit, State: state}), fault.Permanent, "state")
	}
}

func TestFindPullChecksWhatItIsGiven(t *testing.T) {
	pull := func(number int, login, label string, headRepo int, base string) string {
		return fmt.Sprintf(`{"number":%d,"state":"open","user":{"login":%q},"head":{"label":%q,"repo_id":%d},"base":{"ref":%q,"repo_id":1}}`,
			number, login, label, headRepo, base)
	}
	rows := []string{
		pull(1, "mallory", "slipway/revert-1", 1, "main"), // somebody else's
		pull(2, "slipway", "slipway/revert-1", 2, "main"), // from a fork
		pull(3, "slipway", "slipway/revert-1", 1, "dev"),  // to another base
		pull(4, "slipway", "slipway/revert-2", 1, "main"), // from another branch
	}
	c := answered(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Total-Count", fmt.Sprint(len(rows)))
		fmt.Fprintf(w, "[%s]", strings.Join(rows, ","))
	})
	if got := must(c.FindPull(t.Context(), someRepo, "slipway/revert-1", "main"))(t); got.Found != ref.No {
		t.Errorf("got %+v", got)
	}
}

func TestAPullRequestOfAnotherNumberIsRefused(t *testing.T) {
	c := answered(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"number":2,"head":{},"base":{}}`)
	})
	_, err := c.Pull(t.Context(), somePull)
	wantFault(t, err, fault.Permanent, "acme/app#1")
}
