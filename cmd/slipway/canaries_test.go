package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/robfig/cron/v3"

	"slipway/config"
	"slipway/internal/authz"
	"slipway/internal/canary"
	"slipway/internal/fault"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
	"slipway/internal/server"
)

var lent = ref.RepoID{Owner: "acme", Name: "canary"}

// birds ends a round at once, with what is to be found; cut ends none.
type birds struct {
	finds []canary.Finding
	cut   bool
	state server.Aviary
}

func (b *birds) Aviaries() []server.Aviary {
	if b.state.Running && !b.cut {
		b.state.Rounds++
		b.state.Last = &canary.Report{
			Repo: lent, Held: []string{canary.Control, "held"}, Findings: b.finds, Untried: []canary.Finding{{Rule: "change-request", Says: "it wants 3 reviewers"}},
			Began: time.Unix(0, 0), Ended: time.Unix(7, 0),
		}
	}
	b.state.Running = false
	return []server.Aviary{b.state}
}

func (b *birds) Begin(_ context.Context, repo ref.RepoID, _ string) (server.Aviary, error) {
	if repo != lent {
		return server.Aviary{}, fault.AsPermanent(errors.New("no canaries are let out there"))
	}
	b.state.Repo, b.state.Running = repo, true
	return b.state, nil
}

func TestCanariesCommand(t *testing.T) {
	escaped := []canary.Finding{{Rule: "held", Pull: ref.PullID{Repo: lent, Number: 7}, Escaped: true, Says: "nothing would \x1b[2Jkeep it"}}
	for _, test := range []struct {
		name  string
		birds birds
		args  []string
		code  int
		says  []string
	}{
		{"what held, and what was not tried, is told", birds{}, []string{"run", "acme/canary"}, exitDone,
			[]string{"held: control, held", "not tried: change-request: it wants 3 reviewers", "in 7s"}},
		{"one that escaped is a refusal, and its control characters are not printed", birds{finds: escaped}, []string{"run", "acme/canary"}, exitRefused,
			[]string{"✖ held (acme/canary#7): nothing would"}},
		{"so it is as JSON", birds{finds: escaped}, []string{"run", "acme/canary", "--json"}, exitRefused, []string{`"escaped": true`}},
		{"a round that was cut off is told", birds{cut: true}, []string{"run", "acme/canary"}, exitRefused, []string{"the round in acme/canary was cut off"}},
		{"where there are none, it says so", birds{}, []string{"run", "acme/app"}, exitRefused, []string{"no canaries are let out there"}},
		{"what is no repository is bad usage", birds{}, []string{"run", "canary"}, exitUsage, []string{"OWNER/NAME"}},
		{"before the first round there is none to show", birds{state: server.Aviary{Repo: lent}}, nil, exitDone, []string{"no round since the server started"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			up := httptest.NewServer(server.New(server.Config{
				Canaries: &test.birds, Tokens: []server.Token{server.NewToken(authz.Actor{Name: "ops", Roles: []authz.Role{authz.Operator}}, "secret")},
				Metrics: server.NewMetrics().Handler(), Now: time.Now, Log: slog.New(slog.DiscardHandler),
			}))
			defer up.Close()
			got := command(t, append(append([]string{"canaries"}, test.args...), "--server", up.URL)...)
			got.wants(t, test.code, test.says...)
			if containsControl(got.out) {
				t.Errorf("it prints %q", got.out)
			}
		})
	}
}

func containsControl(s string) bool {
	for _, r := range s {
		if r == '\x1b' {
			return true
		}
	}
	return false
}

// idle is a hand that does nothing and has nothing.
type idle struct{ canary.Hand }

func (idle) Login() string                                      { return "ann" }
func (idle) TakeBack(context.Context, ref.RepoID, string) error { return nil }

// TestAviary: whoever asks while a round is under way is refused, one that is
// cut off is told as none, and what could not be made is an alarm.
func TestAviary(t *testing.T) {
	schedule, err := cron.ParseStandard("0 0 30 2 *") // a day that never comes
	if err != nil {
		t.Fatal(err)
	}
	var kept []reconcile.Write
	began, goOn := make(chan struct{}), make(chan struct{})
	a := &aviary{
		Canary: config.Canary{Repo: lent}, schedule: schedule, author: idle{}, metrics: server.NewMetrics(), log: slog.New(slog.DiscardHandler),
		engine: reconcile.New(reconcile.Config{Now: time.Now, Log: slog.New(slog.DiscardHandler)}), // serves no repository
		keep: func(_ context.Context, w reconcile.Write) error {
			if kept = append(kept, w); w.Journal[0].Action == "canary.alarm" {
				close(began)
				<-goOn
			}
			return nil
		},
		asked: make(chan string, 1), state: server.Aviary{Repo: lent},
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan struct{})
	go func() { defer close(ended); a.run(ctx) }()
	all := flock{a}
	if _, err := all.Begin(ctx, ref.RepoID{Owner: "acme", Name: "app"}, "ops"); fault.KindOf(err) != fault.Permanent {
		t.Errorf("a round where there are no canaries: %v", err)
	}
	if begun, err := all.Begin(ctx, lent, "ops"); err != nil || !begun.Running || begun.Rounds != 0 {
		t.Fatalf("begun %+v, %v", begun, err)
	}
	<-began
	if _, err := all.Begin(ctx, lent, "ops"); fault.KindOf(err) != fault.Permanent {
		t.Errorf("a round while one is under way: %v", err)
	}
	close(goOn)
	cancel()
	<-ended
	got := all.Aviaries()
	if len(got) != 1 || got[0].Running || got[0].Rounds != 1 || len(got[0].Last.Findings) != 1 || !got[0].Next.IsZero() {
		t.Errorf("it stands at %+v", got)
	}
	if len(kept) != 2 || kept[0].Journal[0].Action != "order.canaries" || kept[1].Journal[0].Actor != "ops" {
		t.Errorf("journalled %+v", kept)
	}
	a.round(ctx, "slipway") // it was told to stop
	if len(kept) != 2 || a.shown().Rounds != 1 {
		t.Errorf("a round that was cut off is told: %+v", kept)
	}
}

func TestWhoLendsMustLendAGitea(t *testing.T) {
	_, err := handOf(config.Forge{Name: "hub", Kind: "github"}, config.Account{Login: "ann"})
	var usage usageError
	if !errors.As(err, &usage) {
		t.Errorf("a github: %v", err)
	}
}
