package server_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"slipway/dispatcher"
	"slipway/internal/fault"
	"slipway/internal/ref"
	"slipway/internal/server"
	"slipway/pools"
)

// newDispatched is a world with the real dispatcher over the store.
func newDispatched(t *testing.T) (*world, *dispatcher.Dispatcher) {
	t.Helper()
	var d *dispatcher.Dispatcher
	w := newWorld(t, func(w *world) {
		d = dispatcher.New(dispatcher.Config{
			Store: w.store, Changes: w.store, Log: slog.New(slog.DiscardHandler), Meter: server.NewMetrics().Work(), Login: pools.Address.String,
			Serves: func(id ref.RepoID) (string, bool) {
				if id != app {
					return "", false
				}
				return "main", true
			},
		})
		w.Work, w.Credential = d, w.store.Credential
	})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return w, d
}

// enrolled is a client with the credential of a coordinate.
func (w *world) enrolled(address string) *server.Client {
	w.Helper()
	a, err := pools.ReadAddress(address)
	if err != nil {
		w.Fatal(err)
	}
	secret, c, err := dispatcher.NewCredential(a, w.Now(), w.Now().Add(1e12))
	if err != nil {
		w.Fatal(err)
	}
	err = w.store.Transact(w.Context(), dispatcher.Scope{}, func(dispatcher.View) (dispatcher.Write, error) {
		return dispatcher.Write{Credentials: []dispatcher.Credential{c}}, nil
	})
	if err != nil {
		w.Fatal(err)
	}
	return w.client(secret)
}

// TestTheRealDispatcherIsAsDescribed goes the whole way of two items with the
// real dispatcher: what it says, and what it takes, is held to the description.
func TestTheRealDispatcherIsAsDescribed(t *testing.T) {
	w, d := newDispatched(t)
	if _, _, err := d.Apply(t.Context(), "ops", "file", poolSet(0)); err != nil {
		t.Fatal(err)
	}
	board, ops, ci := w.client(readerSecret), w.client(operatorSecret), w.client(submitterSecret)
	zero, one := w.enrolled("builder-lite-0"), w.enrolled("builder-lite-1")

	sub := dispatcher.Submission{Repo: app, Title: "fix the login", Spec: "do it", Shape: "fix", Selector: "builder-lite", Priority: "high", Budget: 9_500_000, Deadline: w.Now().Add(1e13), Attempts: 2, Key: "ticket 5"}
	item, existed, err := ci.Submit(t.Context(), sub)
	if err != nil || existed || item.Level != dispatcher.High {
		t.Fatalf("%+v, %t, %v", item, existed, err)
	}
	if _, existed, err := ci.Submit(t.Context(), sub); err != nil || !existed {
		t.Errorf("a key that is there: %t, %v", existed, err)
	}
	sub.Key, sub.Repo.Name, sub.Title, sub.Shape = "", "other", "", "novel"
	if _, _, err := ci.Submit(t.Context(), sub); err == nil || strings.Count(err.Error(), "\n") < 2 {
		t.Errorf("every fault is named: %v", err)
	}

	g, err := zero.Claim(t.Context(), dispatcher.ClaimRequest{Request: "r", Wait: 30})
	if err != nil || g == nil || g.Item != item.ID || g.Lease == 0 {
		t.Fatalf("%+v, %v", g, err)
	}
	if again, err := zero.Claim(t.Context(), dispatcher.ClaimRequest{Request: "r", Wait: 30}); err != nil || again == nil || again.Attempt != g.Attempt || again.Token != g.Token {
		t.Errorf("the same claim sent again gives %+v, %v", again, err)
	}
	beat := dispatcher.Beat{Token: g.Token, Phase: dispatcher.Running, Tokens: pools.Tokens{Input: 1000, CacheRead: 5}, Amount: 20, Model: "model-x"}
	if p, err := zero.Beat(t.Context(), g.Attempt, beat); err != nil || p.StandDown != "" {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := one.Beat(t.Context(), g.Attempt, beat); !errors.Is(err, dispatcher.ErrForeign) {
		t.Errorf("another coordinate: %v", err)
	}
	if err := zero.Complete(t.Context(), g.Attempt, dispatcher.Completion{Beat: beat}); fault.KindOf(err) != fault.Permanent || errors.Is(err, dispatcher.ErrStale) {
		t.Errorf("without a registered head: %v", err)
	}
	head := ref.SHA(strings.Repeat("c", 40))
	if err := zero.Register(t.Context(), g.Attempt, dispatcher.Registration{Token: g.Token, Pull: ref.PullID{Repo: app, Number: 7}, Head: head}); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := zero.Complete(t.Context(), g.Attempt, dispatcher.Completion{Beat: beat, Summary: "done"}); err != nil {
			t.Errorf("a completion, and the same sent again: %v", err)
		}
	}
	if _, err := zero.Beat(t.Context(), g.Attempt, beat); !errors.Is(err, dispatcher.ErrStale) {
		t.Errorf("after the end: %v", err)
	}

	second, _, err := ops.Submit(t.Context(), dispatcher.Submission{Repo: app, Title: "another", Selector: "builder-lite-1"})
	if err != nil {
		t.Fatal(err)
	}
	h, err := one.Claim(t.Context(), dispatcher.ClaimRequest{Request: "s", Wait: 30})
	if err != nil || h == nil {
		t.Fatal(h, err)
	}
	if err := ci.Cancel(t.Context(), second.ID, "not mine"); err == nil || !strings.Contains(err.Error(), "it is ops who submitted it") {
		t.Errorf("another's item: %v", err)
	}
	if err := ops.Cancel(t.Context(), second.ID, "no longer wanted"); err != nil {
		t.Error(err)
	}
	if p, err := one.Beat(t.Context(), h.Attempt, dispatcher.Beat{Token: h.Token}); err != nil || !strings.Contains(p.StandDown, "no longer wanted") {
		t.Errorf("it is told to stop: %+v, %v", p, err)
	}
	if _, err := one.Beat(t.Context(), h.Attempt, dispatcher.Beat{Token: h.Token, Stopped: true}); err != nil {
		t.Error(err)
	}
	if err := ops.Retry(t.Context(), second.ID, ""); err != nil {
		t.Error(err)
	}

	a := pools.Address{Role: "builder", Tier: "lite", Replica: 1}
	if err := ops.Cordon(t.Context(), a, server.CordonOrder{Reason: "it is slow"}); err != nil {
		t.Error(err)
	}
	if f, found, err := board.InForce(t.Context()); err != nil || !found || !f.Seats[1].Cordoned || f.Seats[0].Seen.IsZero() {
		t.Errorf("%+v, %t, %v", f.Seats, found, err)
	}
	if past, err := board.Past(t.Context(), 5); err != nil || len(past) != 1 || past[0].By != "ops" {
		t.Errorf("%+v, %v", past, err)
	}
	if w, found, err := board.Work(t.Context(), second.ID); err != nil || !found || w.Item.State != dispatcher.Ready || !strings.Contains(w.Item.Reason, "cordoned") || w.Attempts[0].Outcome != dispatcher.StoodDown {
		t.Errorf("%+v, %t, %v", w, found, err)
	}
	if list, err := board.Items(t.Context(), dispatcher.Filter{Repo: app, States: []dispatcher.State{dispatcher.Ready, dispatcher.Landing}, Limit: 10}); err != nil || len(list) != 2 {
		t.Errorf("%+v, %v", list, err)
	}
	if list, err := board.Attempts(t.Context(), dispatcher.Filter{Address: a}); err != nil || len(list) != 1 {
		t.Errorf("%+v, %v", list, err)
	}
	if err := ops.Uncordon(t.Context(), a, ""); err != nil {
		t.Error(err)
	}
	if got := w.call(http.MethodPost, "pools/seats/builder-lite-9/cordon", operatorSecret, `{"reason":"x"}`); got.status != 409 {
		t.Errorf("a coordinate that there is not is answered %d %s", got.status, got.body)
	}
	for _, want := range []string{"refused.work.heartbeat", "refused.work.submit", "refused.work.cancel"} {
		if got := strings.Join(w.journalled(), "\n"); !strings.Contains(got, want) {
			t.Errorf("%s is not journalled:\n%s", want, got)
		}
	}
}
