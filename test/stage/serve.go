package stage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"slipway/internal/server"
	"slipway/test/servers/process"
)

// Serving says how to run Slipway on the stage. Zero values are the stage's
// own servers.
type Serving struct {
	// Binary is the slipway to run.
	Binary   string
	Projects []*Project
	// Forge, Registry and Kubeconfig stand in for the stage's own, where a test
	// listens in between.
	Forge, Registry, Kubeconfig string
	// Active is how often what moves is looked at without a webhook.
	Active time.Duration
	Log    io.Writer
}

// Slipway is a running server.
type Slipway struct {
	*process.Process
	// Client speaks to it as an operator.
	Client *server.Client
	// Config is the path of its slipway.yaml.
	Config string
}

// Serve runs slipway with a configuration for the projects and waits until it
// is ready. Its store stays in the stage's folder, so that the next one goes
// on where this one ends.
func (s *Stage) Serve(ctx context.Context, v Serving) (*Slipway, error) {
	path := s.path("slipway/slipway.yaml")
	if err := write(path, s.configuration(v)); err != nil {
		return nil, err
	}
	if v.Log == nil {
		v.Log = io.Discard
	}
	p, err := process.Start(process.Spec{
		Name: "slipway", Path: v.Binary, Args: []string{"serve", "--config", path}, Dir: filepath.Dir(path), Log: v.Log,
		Env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.path("slipway"), "SLIPWAY_TOKEN=" + s.token,
			"FORGE_TOKEN=" + s.Bot.Token, "WEBHOOK_SECRET=" + s.secret},
	})
	if err != nil {
		return nil, err
	}
	client, err := server.NewClient(s.Address(), s.token)
	if err != nil {
		return nil, err
	}
	up := &Slipway{Process: p, Client: client, Config: path}
	if err := up.answering(ctx, s.Address()); err != nil {
		p.Kill()
		return nil, err
	}
	return up, nil
}

// Adopt consents to the take-over of a project's target and waits for it.
func (s *Slipway) Adopt(ctx context.Context, p *Project) error {
	if err := s.Client.Order(ctx, p.Target(), "takeover", server.Order{Reason: "onboarding"}); err != nil {
		return fmt.Errorf("take over %s: %w", p.Target(), err)
	}
	return await(ctx, "the take-over of "+p.Target().String(), func(ctx context.Context) (bool, error) {
		targets, err := s.Client.Targets(ctx)
		if err != nil {
			return false, err
		}
		for _, t := range targets {
			if t.ID == p.Target() {
				return t.TakenOver != nil, nil
			}
		}
		return false, nil
	})
}

// answering waits for /healthz: a server whose forge is down is alive too.
func (s *Slipway) answering(ctx context.Context, address string) error {
	return await(ctx, "slipway to answer", func(ctx context.Context) (bool, error) {
		select {
		case <-s.Done():
			return false, s.Ended()
		default:
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"/healthz", nil)
		if err != nil {
			return false, err
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return false, nil // not listening yet
		}
		return res.StatusCode == http.StatusOK, res.Body.Close()
	})
}

func (s *Stage) configuration(v Serving) string {
	or := func(a, b string) string {
		if a != "" {
			return a
		}
		return b
	}
	active := v.Active
	if active == 0 {
		active = 30 * time.Second
	}
	registry := or(v.Registry, s.Forge.Registry())
	var b strings.Builder
	fmt.Fprintf(&b, `listen: %s
store: {path: %s}
resync: {active: %s, idle: 5m}
tokens:
  - {name: operator, role: operator, token: {env: SLIPWAY_TOKEN}}
forges:
  - name: gitea
    kind: gitea
    url: %s
    login: %s
    token: {env: FORGE_TOKEN}
    webhook_secret: {env: WEBHOOK_SECRET}
registries:
  - {name: gitea, host: %q, insecure: true, username: %s, password: {env: FORGE_TOKEN}}
clusters:
  - {name: main, kubeconfig: %s, simulated: %v}
identities: {people: [alice, bob, carol]}
build: {gocache: %s}
repositories:
`, s.address, s.path("slipway/data"), active, or(v.Forge, s.Forge.URL()), s.Bot.Login, registry, s.Bot.Login,
		or(v.Kubeconfig, s.Kubeconfig), s.Simulated(), s.options.BuildCache)
	for _, p := range v.Projects {
		fmt.Fprintf(&b, "  - {repo: %s, forge: gitea, registry: gitea, image: %s/%s, namespaces: {main: [%s]}}\n", p.ID(), Org, p.Name, Org)
	}
	return b.String()
}

// await asks again until the answer is yes, an error comes, or two minutes or
// ctx are over.
func await(ctx context.Context, what string, done func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := done(ctx)
		if err != nil {
			return fmt.Errorf("waiting for %s: %w", what, err)
		}
		if ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("waited in vain for %s", what), ctx.Err())
		case <-tick.C:
		}
	}
}

func goarch() string { return runtime.GOARCH }
