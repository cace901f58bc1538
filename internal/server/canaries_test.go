package server_test

import (
	"context"
	"errors"
	"testing"

	"slipway/internal/canary"
	"slipway/internal/fault"
	"slipway/internal/ref"
	"slipway/internal/server"
)

// aviary lets out canaries in app, and says who asked for that.
type aviary struct{ by []string }

func (a *aviary) Aviaries() []server.Aviary {
	return []server.Aviary{{Repo: app, Rounds: int64(len(a.by)), Last: &canary.Report{Repo: app, Held: []string{canary.Control}}}}
}

func (a *aviary) Begin(_ context.Context, repo ref.RepoID, by string) (server.Aviary, error) {
	if repo != app {
		return server.Aviary{}, fault.AsPermanent(errors.New("no canaries there"))
	}
	a.by = append(a.by, by)
	return server.Aviary{Repo: app, Running: true}, nil
}

func TestCanariesAreLetOutUnderTheTokensName(t *testing.T) {
	birds := &aviary{}
	w := newWorld(t, func(w *world) { w.Canaries = birds })
	client := w.client(operatorSecret)
	begun, err := client.RunCanaries(t.Context(), app)
	if err != nil || !begun.Running || len(birds.by) != 1 || birds.by[0] != "ops" {
		t.Fatalf("begun %+v by %q, %v", begun, birds.by, err)
	}
	all, err := client.Canaries(t.Context())
	if err != nil || len(all) != 1 || all[0].Rounds != 1 || all[0].Last == nil || all[0].Last.Held[0] != canary.Control {
		t.Errorf("got %+v, %v", all, err)
	}
}
