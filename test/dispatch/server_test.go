//go:build linux

package dispatch_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"slipway/config"
	"slipway/dispatcher"
	"slipway/internal/change"
	"slipway/internal/fault"
	"slipway/internal/ref"
	"slipway/internal/store"
	"slipway/pools"
)

// call is what a worker, or the test, asks of a server. The name of a coordinate
// stands for its credential.
type call struct {
	As       pools.Address           `json:"as"`
	Attempt  dispatcher.AttemptID    `json:"attempt,omitempty"`
	Claim    dispatcher.ClaimRequest `json:"claim,omitzero"`
	Beat     dispatcher.Beat         `json:"beat,omitzero"`
	Register dispatcher.Registration `json:"register,omitzero"`
	Complete dispatcher.Completion   `json:"complete,omitzero"`
	Fail     dispatcher.Failure      `json:"fail,omitzero"`
	Submit   dispatcher.Submission   `json:"submit,omitzero"`
	Cancel   dispatcher.ItemID       `json:"cancel,omitempty"`
}

// nothing is known of pull requests here: a build that completes stays landing.
type nothing struct{}

func (nothing) Change(context.Context, ref.PullID) (change.Change, bool, error) {
	return change.Change{}, false, nil
}
func (nothing) Snapshot(context.Context, string) ([]byte, bool, error) { return nil, false, nil }

// serve is one server of the store until ctx ends.
func serve(ctx context.Context, p part) error {
	s, err := openStore(ctx, p.Store)
	if err != nil {
		return err
	}
	defer s.Close()
	d := dispatcher.New(dispatcher.Config{
		Store: s, Changes: nothing{}, Log: slog.New(slog.DiscardHandler),
		Now:   func() time.Time { return time.Now().Add(p.Skew) },
		Lease: p.Lease, Beat: p.Lease / 3, Deadline: time.Hour, Attempts: 20, Resync: 5 * time.Second,
		Serves: func(ref.RepoID) (string, bool) { return "main", true },
		Login:  pools.Address.String,
	})
	if _, _, err := d.Apply(ctx, "test", "file", crew(p.Workers)); err != nil {
		return err
	}
	if err := os.Remove(p.Socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "unix", p.Socket)
	if err != nil {
		return err
	}
	h := &http.Server{Handler: routes(d), ReadHeaderTimeout: time.Minute}
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	go func() {
		<-ctx.Done()
		_ = h.Close() // whoever still asks learns that it is gone
	}()
	fmt.Println("ready")
	if err := h.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-ended
}

func openStore(ctx context.Context, at string) (*store.Store, error) {
	if dsn, ok := strings.CutPrefix(at, "postgres:"); ok {
		return store.OpenPostgres(ctx, store.PostgresOptions{DSN: config.NewSecret(dsn)})
	}
	return store.Open(ctx, store.Options{Path: at})
}

// crew is a pool config with so many coordinates in one pool, of which each
// attempt may cost something.
func crew(n int) pools.Set {
	replicas := map[pools.Address]string{}
	for i := range n {
		replicas[seat(i)] = "one"
	}
	return pools.Set{
		Vocabulary: pools.Vocabulary{Roles: []string{"builder"}, Tiers: []string{"lite"}}, Currency: "EUR",
		Pools:       []pools.Pool{{Name: seat(0).Pool(), Replicas: n}},
		Assignments: map[string]pools.Assignment{"one": {Name: "one", Provider: "none", Model: "none", Budget: 1_000_000}},
		Replicas:    replicas,
	}
}

func routes(d *dispatcher.Dispatcher) http.Handler {
	mux := http.NewServeMux()
	on := func(path string, f func(ctx context.Context, c call) (any, error)) {
		mux.HandleFunc("POST /"+path, func(w http.ResponseWriter, r *http.Request) {
			var c call
			if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&c); err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			answer, err := f(r.Context(), c)
			if err != nil {
				http.Error(w, err.Error(), statusOf(err))
				return
			}
			_ = json.NewEncoder(w).Encode(answer) // who does not read it asks again
		})
	}
	on("claim", func(ctx context.Context, c call) (any, error) { return d.Claim(ctx, c.As, c.Claim) })
	on("beat", func(ctx context.Context, c call) (any, error) { return d.Beat(ctx, c.As, c.Attempt, c.Beat) })
	on("register", func(ctx context.Context, c call) (any, error) {
		return nil, d.Register(ctx, c.As, c.Attempt, c.Register)
	})
	on("complete", func(ctx context.Context, c call) (any, error) {
		return nil, d.Complete(ctx, c.As, c.Attempt, c.Complete)
	})
	on("fail", func(ctx context.Context, c call) (any, error) { return nil, d.Fail(ctx, c.As, c.Attempt, c.Fail) })
	on("submit", func(ctx context.Context, c call) (any, error) {
		i, _, err := d.Submit(ctx, "ada", c.Submit)
		return i.ID, err
	})
	on("cancel", func(ctx context.Context, c call) (any, error) {
		return nil, d.Cancel(ctx, "ada", c.Cancel, "not wanted")
	})
	on("busy", func(ctx context.Context, _ call) (any, error) {
		return d.Items(ctx, dispatcher.Filter{States: []dispatcher.State{dispatcher.Ready, dispatcher.Working}})
	})
	return mux
}

func statusOf(err error) int {
	switch {
	case errors.Is(err, dispatcher.ErrStale):
		return http.StatusConflict
	case errors.Is(err, dispatcher.ErrForeign), errors.Is(err, dispatcher.ErrUnknown), fault.KindOf(err) == fault.Permanent:
		return http.StatusBadRequest
	default:
		return http.StatusServiceUnavailable
	}
}
