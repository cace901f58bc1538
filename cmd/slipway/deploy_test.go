package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"slipway/internal/authz"
	"slipway/internal/fault"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
	"slipway/internal/server"
)

// targetOnly is an engine that knows one target's take-over and nothing else.
type targetOnly struct {
	server.Engine
	found reconcile.Offered
	err   error
	seen  []reconcile.Offered
	by    reconcile.Person
}

func (e *targetOnly) Inspect(context.Context, ref.TargetID) (reconcile.Offered, error) {
	return e.found, nil
}

func (e *targetOnly) TakeOver(_ context.Context, _ ref.TargetID, by reconcile.Person, seen reconcile.Offered) error {
	e.seen, e.by = append(e.seen, seen), by
	return e.err
}

func (e *targetOnly) Hold(_ context.Context, _ ref.TargetID, by reconcile.Person) error {
	e.by = by
	return e.err
}

// serving is the address of a server with that engine; the token is "secret".
func serving(t *testing.T, e *targetOnly, role authz.Role) (address string) {
	t.Helper()
	up := httptest.NewServer(server.New(server.Config{
		Engine: e, Tokens: []server.Token{server.NewToken(authz.Actor{Name: "ops", Roles: []authz.Role{role}}, "secret")}, Metrics: server.NewMetrics().Handler(),
		Refused: func(context.Context, string, authz.Verb, string, string) error { return nil }, Now: time.Now, Log: slog.New(slog.DiscardHandler),
	}))
	t.Cleanup(up.Close)
	return up.URL
}

func TestTakeOver(t *testing.T) {
	drifted := reconcile.Offered{Place: "container app", Image: "other:v1", Owner: "kubectl\x1b[2J"}
	owned := reconcile.Offered{Place: "container app", Image: "ours:v1", Owner: "slipway", Taken: true}
	for _, c := range []struct {
		rule  string
		found reconcile.Offered
		yes   bool
		err   error
		code  int
		// result is what --json says, and text what is said without.
		result, text string
		sent         bool
	}{
		{"without consent it is shown, and refused", drifted, false, nil, 1, "offered", "Give --yes to consent", false},
		{"with consent what was shown is sent", drifted, true, nil, 0, "accepted", "Consent recorded", true},
		{"what the server finds done is not asked for again", owned, true, nil, 0, "nothing to do", "there is nothing to do", false},
		{"the same without consent", owned, false, nil, 0, "nothing to do", "there is nothing to do", false},
		{"the server has the last word", drifted, true, fault.AsPermanent(errors.New("now it is otherwise")), 1, "", "now it is otherwise", true},
	} {
		for _, asJSON := range []bool{false, true} {
			name, args := c.rule, []string{"deploy", "takeover", "acme/app/production", "--reason=onboarding"}
			if c.yes {
				args = append(args, "--yes")
			}
			if asJSON {
				name, args = name+", as JSON", append(args, "--json")
			}
			t.Run(name, func(t *testing.T) {
				e := &targetOnly{found: c.found, err: c.err}
				got := command(t, append(args, "--server", serving(t, e, authz.Operator))...)
				if len(e.seen) > 0 != c.sent || c.sent && (e.seen[0] != c.found || e.by != reconcile.Person{Name: "ops", Reason: "onboarding"}) {
					t.Errorf("sent is %+v by %+v", e.seen, e.by)
				}
				if !asJSON || c.result == "" {
					got.wants(t, c.code, c.text)
					if strings.Contains(got.out+got.errs, "\x1b") {
						t.Errorf("it prints %q", got.out)
					}
					return
				}
				got.wants(t, c.code)
				var said takeover
				if err := json.Unmarshal([]byte(got.out), &said); err != nil || said.Result != c.result || said.Offered != c.found || got.errs != "" {
					t.Errorf("it says %q %q, %v", got.out, got.errs, err)
				}
			})
		}
	}
}

func TestHold(t *testing.T) {
	e := &targetOnly{}
	hold := []string{"deploy", "hold", "acme/app/production", "--reason=migration"}
	address := serving(t, e, authz.Operator)
	command(t, append(hold, "--server", address)...).wants(t, 0, "acme/app/production: hold accepted")
	if e.by != (reconcile.Person{Name: "ops", Reason: "migration"}) {
		t.Errorf("held by %+v", e.by)
	}
	command(t, append(hold, "--json", "--server", address)...).wants(t, 0, `"result": "accepted"`)
	e.err = fault.AsPermanent(errors.New("it cannot be held"))
	command(t, append(hold, "--server", address)...).wants(t, 1, "slipway: it cannot be held\n")
	command(t, append(hold, "--server", serving(t, e, authz.Reader))...).wants(t, 1, "ops is reader; deploy.hold is for: operator")
}
