package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mattn/go-runewidth"

	"slipway/dispatcher"
	"slipway/internal/authz"
	"slipway/internal/journal"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
	"slipway/internal/server"
	"slipway/pools"
)

// farm is a server with pools, and the address of a worker's credential.
type farm struct {
	*plot
	url    string
	secret string // of builder-lite-0
}

// newFarm serves a plot to a token that the command has.
func newFarm(t *testing.T, role authz.Role) *farm {
	t.Helper()
	p := newPlot(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.dispatcher.Run(ctx) }()
	secret, credential, err := dispatcher.NewCredential(seat("builder-lite-0"), time.Now(), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	err = p.store.Transact(t.Context(), dispatcher.Scope{}, func(dispatcher.View) (dispatcher.Write, error) {
		return dispatcher.Write{Credentials: []dispatcher.Credential{credential}}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	up := httptest.NewServer(server.New(server.Config{
		Reader: p.store, Work: p.dispatcher, Pools: p.poolsFile, Credential: p.store.Credential,
		Tokens:  []server.Token{server.NewToken(authz.Actor{Name: "me", Roles: []authz.Role{role}}, "secret")},
		Metrics: http.NotFoundHandler(), Now: time.Now, Log: slog.New(slog.DiscardHandler),
		Refused: func(ctx context.Context, token string, verb authz.Verb, subject, why string) error {
			return p.store.Commit(ctx, reconcile.Write{Journal: []journal.Entry{{At: time.Now(), Actor: token, Action: "refused." + string(verb), Subject: subject, Reason: why}}})
		},
	}))
	t.Cleanup(func() {
		up.Close()
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return &farm{plot: p, url: up.URL, secret: secret}
}

func (f *farm) slipway(args ...string) said {
	f.Helper()
	return command(f.T, append(args, "--server", f.url)...)
}

// worker is what builder-lite-0 speaks with.
func (f *farm) worker() *server.Client {
	f.Helper()
	c, err := server.NewClient(f.url, f.secret)
	if err != nil {
		f.Fatal(err)
	}
	return c
}

func TestAnItemFromSubmissionToItsAttempt(t *testing.T) {
	f := newFarm(t, authz.Operator)
	f.write("spec.md", "It says *no*.\n\x1b[2J")
	got := f.slipway("work", "submit", "acme/app", "--title", "fix the login", "--spec", filepath.Join(f.folder(), "spec.md"),
		"--selector", "builder-lite", "--budget", "2.50", "--priority", "high", "--deadline", "24h", "--key", "ticket 5")
	got.wants(t, 0, "item 1 is ready: `slipway work show 1`")
	f.slipway("work", "submit", "acme/app", "--title", "fix the login", "--key", "ticket 5").wants(t, 0, "item 1 was there already")
	f.slipway("work", "list").wants(t, 0, "     1  ready", "builder-lite", "acme/app", "fix the login")
	f.slipway("work", "show", "1").wants(t, 0, "item 1 · build for acme/app · ready for", "priority  high", "by me", "from ticket 5", "0, of 2.5", "No attempts yet")

	w := f.worker()
	g, err := w.Claim(t.Context(), dispatcher.ClaimRequest{Request: "r", Wait: 20})
	if err != nil || g == nil || g.Item != 1 || g.Assignment.Name != "quick" || !strings.HasPrefix(g.Branch, "work/1-builder-lite-0") {
		t.Fatalf("%+v, %v", g, err)
	}
	beat := dispatcher.Beat{Token: g.Token, Phase: dispatcher.Running, Tokens: pools.Tokens{Input: 100_000, Output: 5_000}, Model: "small-9"}
	if _, err := w.Beat(t.Context(), g.Attempt, beat); err != nil {
		t.Fatal(err)
	}
	show := f.slipway("work", "show", "1")
	show.wants(t, 0, "working for", "builder-lite-0 · live", "quick: small-1 of acme, pool config 1", "says that it ran small-9", "claimed ", "running ",
		"ends in", "100000 in, 5000 out", "0.11", "work/1-builder-lite-0")
	f.slipway("pools", "show").wants(t, 0, "builder-lite-0  quick", "#1", "small-1 of acme", "builder-lite-1  quick", "unseen")
	if err := w.Fail(t.Context(), g.Attempt, dispatcher.Failure{Beat: beat, Reason: "the spec \x1b[2Jsays no", Final: true}); err != nil {
		t.Fatal(err)
	}
	dead := f.slipway("work", "show", "1")
	dead.wants(t, 0, "dead for", "says no", "builder-lite-0 · failed")
	if strings.Contains(dead.out+show.out, "\x1b") {
		t.Error("what comes from outside moves the cursor")
	}
	f.slipway("work", "list", "--state", "ready,working").wants(t, 0, "No items")
	f.slipway("work", "list", "--state", "dead", "--repo", "acme/app", "--kind", "build").wants(t, 0, "     1  dead")
	f.slipway("work", "retry", "1").wants(t, 0, "item 1 is offered again")
	f.slipway("work", "cancel", "1", "--reason", "done by hand").wants(t, 0, "item 1 is cancelled")
	f.slipway("work", "retry", "1", "--json").wants(t, 0, `"result": "accepted"`)
	f.slipway("work", "show", "1", "--json").wants(t, 0, `"state": "ready"`, `"attempts": [`, `"reason": "the spec`)
	f.slipway("work", "list", "--json").wants(t, 0, `"title": "fix the login"`)
}

func TestWorkThatIsRefused(t *testing.T) {
	f := newFarm(t, authz.Submitter)
	for _, c := range []struct {
		rule string
		args []string
		code int
		says []string
	}{
		{"every fault of an item is named at once", []string{"work", "submit", "acme", "--selector", "builder_lite", "--priority", "urgent", "--budget", "-1", "--deadline", "soon", "--kind", "deploy", "--attempts", "-1", "--spec", "not-there"}, 2,
			[]string{"acme", "--title is missing", `selector "builder_lite"`, "--priority", `--budget: "-1" is not an amount`, `--deadline: "soon"`, `no kind "deploy"`, "--attempts", "--spec: open not-there"}},
		{"a deadline that is over", []string{"work", "submit", "acme/app", "--title", "a", "--deadline", "2020-01-01T00:00:00Z"}, 2, []string{"is over already"}},
		{"a span that is over", []string{"work", "submit", "acme/app", "--title", "a", "--deadline", "-1h"}, 2, []string{"is over already"}},
		{"a review of nothing", []string{"work", "submit", "acme/app", "--title", "a", "--kind", "review"}, 2, []string{"--pull is missing"}},
		{"a build with a pull request", []string{"work", "submit", "acme/app", "--title", "a", "--pull", "7"}, 2, []string{"--pull is for --kind review"}},
		{"a selector that the pool config does not have", []string{"work", "submit", "acme/app", "--title", "a", "--selector", "builder-huge"}, 1, []string{`no tier "huge"`}},
		{"a repository that is not served", []string{"work", "submit", "acme/other", "--title", "a"}, 1, []string{"acme/other"}},
		{"an item that is no number", []string{"work", "show", "seventeen"}, 2, []string{`"seventeen" is no item`}},
		{"an item of number nought", []string{"work", "cancel", "0", "--reason", "x"}, 2, []string{`"0" is no item`}},
		{"an item that is not there", []string{"work", "show", "17"}, 1, []string{"item 17 is not known here"}},
		{"the withdrawal of an item that is not there", []string{"work", "cancel", "17", "--reason", "x"}, 1, []string{"item 17 is not known here"}},
		{"a withdrawal without a reason", []string{"work", "cancel", "17"}, 2, []string{"wants --reason"}},
		{"what a submitter may not", []string{"work", "retry", "17"}, 1, []string{"me is submitter; work.retry is for: operator"}},
		{"a swap by a submitter", []string{"pools", "swap", "builder-lite-0", "--assignment", "slow"}, 1, []string{"pools.swap is for: operator"}},
		{"items in a state that there is not", []string{"work", "list", "--state", "open"}, 2, []string{`no state "open"`}},
		{"every fault of a list is named at once", []string{"work", "list", "--kind", "x", "--limit", "0", "--repo", "acme"}, 2, []string{`no kind "x"`, "--limit is 1 to 1000", "--repo"}},
		{"an unknown command", []string{"work", "launch"}, 2, []string{"one of its commands"}},
		{"two repositories", []string{"work", "submit", "acme/app", "acme/other"}, 2, []string{"one repository"}},
	} {
		t.Run(c.rule, func(t *testing.T) {
			got := f.slipway(c.args...)
			got.wants(t, c.code, c.says...)
			if got.out != "" {
				t.Errorf("it prints %q", got.out)
			}
		})
	}
	command(t, "work", "submit", "acme/app", "--title", "a").wants(t, 2, "no server")
	command(t, "work", "list").wants(t, 2, "nothing to read from")
	command(t, "work", "list", "--server", "http://127.0.0.1:1").wants(t, 1, "no answer from the server")
}

func TestASubmitterWithdrawsItsOwn(t *testing.T) {
	f := newFarm(t, authz.Submitter)
	other, _, err := f.dispatcher.Submit(t.Context(), "somebody", dispatcher.Submission{Repo: ref.RepoID{Owner: "acme", Name: "app"}, Title: "theirs"})
	if err != nil {
		t.Fatal(err)
	}
	f.slipway("work", "submit", "acme/app", "--title", "mine", "--json").wants(t, 0, `"id": 2`, `"submitter": "me"`)
	f.slipway("work", "cancel", "1", "--reason", "x").wants(t, 1, "it is somebody who submitted it")
	f.slipway("work", "cancel", "2", "--reason", "x").wants(t, 0, "item 2 is cancelled")
	if w, _, err := f.dispatcher.Work(t.Context(), other.ID); err != nil || w.Item.State != dispatcher.Ready {
		t.Errorf("the other's is %s, %v", w.Item.State, err)
	}
	if got := actions(f.journalled()); !strings.Contains(strings.Join(got, "\n"), "me refused.work.cancel item 1") {
		t.Errorf("journalled %q", got)
	}
}

// TestAnItemThatNothingCanTakeSaysSo, at once.
func TestAnItemThatNothingCanTakeSaysSo(t *testing.T) {
	f := newFarm(t, authz.Operator)
	for _, a := range []string{"builder-lite-0", "builder-lite-1"} {
		f.slipway("pools", "cordon", a, "--reason", "it is slow").wants(t, 0, a+" is kept from new work")
	}
	f.slipway("work", "submit", "acme/app", "--title", "a").wants(t, 0, "item 1 is ready", "cordoned")
	f.slipway("pools", "show").wants(t, 0, "cordoned by me: it is slow")
	f.slipway("pools", "uncordon", "builder-lite-1").wants(t, 0, "given work again")
	f.slipway("pools", "drain", "builder-lite-0", "--reason", "it is to go", "--json").wants(t, 0, `"order": "drain"`)
}

func TestWorkIsReadBesideItsStore(t *testing.T) {
	config := besideStore(t, 0)
	command(t, "work", "list", "--config", config).wants(t, 0, "No items")
	command(t, "work", "list", "--config", config, "--json").wants(t, 0, "[]\n")
	command(t, "work", "show", "1", "--config", config).wants(t, 1, "item 1 is not known here")
	command(t, "work", "submit", "acme/app", "--title", "a", "--config", config).wants(t, 2, "--config reads a store")
	command(t, "pools", "show", "--config", config).wants(t, 0, "No pool config was put in force yet")
	command(t, "pools", "history", "--config", config).wants(t, 0, "No pool config was put in force yet")
}

// TestAnItemIsReadableInEightyColumns, with every thing there can be said of it.
func TestAnItemIsReadableInEightyColumns(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	long := strings.Repeat("a reason that goes on and on ", 8)
	builder := seat("builder-standard-12")
	app := ref.RepoID{Owner: "acme", Name: "app"}
	a := dispatcher.Attempt{
		ID: 23, Item: 17, Address: builder, Set: 12, Canary: true, Started: now.Add(-time.Hour), Until: now.Add(time.Minute), Deadline: now.Add(time.Hour), Beat: now,
		Assignment: pools.Assignment{Name: "careful", Provider: "a-provider-of-some-name", Model: "a-model-with-a-long-name-20260301", Budget: 5_000_000},
		Phases:     []dispatcher.Passed{{Phase: dispatcher.Claimed, At: now.Add(-time.Hour)}, {Phase: dispatcher.Preparing, At: now.Add(-59 * time.Minute)}, {Phase: dispatcher.Running, At: now.Add(-50 * time.Minute)}, {Phase: dispatcher.Publishing, At: now.Add(-time.Minute)}},
		Cost:       dispatcher.Cost{Tokens: pools.Tokens{Input: 1_000_000, Output: 200_000, CacheRead: 5, CacheWrite: 6}, Amount: 1_234_567, Source: "reported"},
		Reserved:   3_000_000, Branch: "work/17-builder-standard-12", Pull: ref.PullID{Repo: app, Number: 5}, Head: ref.SHA(strings.Repeat("ab", 20)), Verdict: "changes_requested",
		Observed: "another-model", StandDown: long, Told: now.Add(-time.Second), Acknowledged: now, SpentAfter: 17, Reason: long,
	}
	ended := a
	ended.ID, ended.Outcome, ended.Ended, ended.Phases = 24, dispatcher.StoodDown, now, append(a.Phases, dispatcher.Passed{Phase: dispatcher.Completed, At: now})
	w := dispatcher.Work{
		Item: dispatcher.Item{
			ID: 17, Kind: dispatcher.Review, Repo: app, Key: "review acme/app#5 at abab 1", Title: long, Shape: "fix", Selector: pools.Selector{Role: "builder", Tier: "standard"},
			Avoid: []string{"a-model-with-a-long-name-20260301", "another"}, Pull: a.Pull, Head: a.Head, Base: "main", Level: dispatcher.Low, Raised: dispatcher.High,
			Budget: 10_000_000, Deadline: now.Add(time.Hour), Attempts: 3, Tries: 2, Submitter: "a-submitter", Submitted: now, State: dispatcher.Ready, Reason: long, Since: now.Add(-time.Minute),
			NotBefore: now.Add(time.Minute), Spent: 1, Reserved: 2, AcceptedBy: &builder, Accepted: 23,
		},
		Attempts: []dispatcher.Attempt{a, ended, {ID: 25, Address: builder, Started: now, StandDown: "x"}},
	}
	shown := page(80).work(w, now)
	for line := range strings.Lines(shown) {
		if got := runewidth.StringWidth(strings.TrimSuffix(line, "\n")); got > 80 {
			t.Errorf("%d columns: %s", got, line)
		}
	}
	for _, want := range []string{
		"item 17 · review for acme/app · ready for 1m00s", "low, high by waiting", "2 of 3, the next in 1m00s", "of builder-standard-12, attempt 23", "0.000001, and 0.000002 set aside, of 10",
		"attempt 23 · builder-standard-12 · live", "attempt 24 · builder-standard-12 · stood down", "claimed 1m00s, preparing 9m00s, running 49m00s", "stopped after 1.0s", "it spent 0.000017 after", "not told yet", "5 from a cache, 6 to it",
		"changes requested", "as the canary", "acme/app#5 at abababa",
	} {
		if !strings.Contains(strings.Join(strings.Fields(shown), " "), want) {
			t.Errorf("it does not say %q:\n%s", want, shown)
		}
	}
	listed := page(80).items([]dispatcher.Item{w.Item}, now)
	for line := range strings.Lines(listed) {
		if got := runewidth.StringWidth(strings.TrimSuffix(line, "\n")); got > 80 {
			t.Errorf("%d columns: %s", got, line)
		}
	}
}

// TestWhatIsShownCanBeRead: the JSON of an item is that of the API.
func TestWhatIsShownCanBeRead(t *testing.T) {
	f := newFarm(t, authz.Operator)
	f.slipway("work", "submit", "acme/app", "--title", "a", "--budget", "0.000001").wants(t, 0)
	var w dispatcher.Work
	if err := json.Unmarshal([]byte(f.slipway("work", "show", "1", "--json").out), &w); err != nil || w.Item.Budget != 1 || w.Item.Mode != dispatcher.Single {
		t.Errorf("%+v, %v", w, err)
	}
}
