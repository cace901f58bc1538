package stage

import (
	"cmp"
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

	"slipway/internal/reconcile"
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
	// Name tells several Slipways of one stage apart: each has its own folder
	// and store. Listen is where it listens, as HOST:PORT.
	Name, Listen string
	// Active is how often what moves is looked at without a webhook.
	Active time.Duration
	Log    io.Writer
	// Lent has canaries let out in the projects; nil lets out none.
	Lent *Lent
	// Pools is the text of the pool config, which lies as PoolsFile beside
	// slipway.yaml, with one prompt, prompt.md; "" has no pools. Work is what
	// slipway.yaml says of it: its sections pools and work.
	Pools, Work string
}

// Slipway is a running server.
type Slipway struct {
	*process.Process
	// Client speaks to it as an operator.
	Client *server.Client
	// Config is the path of its slipway.yaml, and Address where it listens.
	Config, Address string
	// Env is its whole environment, with the secrets that Config names.
	Env []string
}

// Serve runs slipway with a configuration for the projects and waits until it
// is ready. Its store stays in the stage's folder, so that the next one goes
// on where this one ends.
func (s *Stage) Serve(ctx context.Context, v Serving) (*Slipway, error) {
	v = s.filled(v)
	path := s.path(filepath.Join(v.Name, "slipway.yaml"))
	if err := write(path, s.configuration(v)); err != nil {
		return nil, err
	}
	if err := v.pools(filepath.Dir(path)); err != nil {
		return nil, err
	}
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + filepath.Dir(path), "SLIPWAY_TOKEN=" + s.token, "SLIPWAY_READER=" + s.reader,
		"FORGE_TOKEN=" + s.Bot.Token, "WEBHOOK_SECRET=" + s.secret}
	for _, a := range s.Lent() {
		env = append(env, variable(a)+"="+a.Token)
	}
	p, err := process.Start(process.Spec{
		Name: "slipway", Path: v.Binary, Args: []string{"serve", "--config", path}, Dir: filepath.Dir(path), Log: v.Log, Env: env,
	})
	if err != nil {
		return nil, err
	}
	address := "http://" + v.Listen
	client, err := server.NewClient(address, s.token)
	if err != nil {
		p.Kill()
		return nil, err
	}
	up := &Slipway{Process: p, Client: client, Config: path, Address: address, Env: env}
	if err := up.answering(ctx); err != nil {
		p.Kill()
		return nil, err
	}
	return up, nil
}

// pools writes the pool config, unless one is there already that the server
// has changed since.
func (v Serving) pools(folder string) error {
	path := filepath.Join(folder, PoolsFile)
	if _, err := os.Stat(path); v.Pools == "" || err == nil {
		return nil
	}
	if err := write(filepath.Join(folder, "prompt.md"), "Do what the item says, and no more.\n"); err != nil {
		return err
	}
	return write(path, v.Pools)
}

// PoolsFile is the name of the pool config, beside slipway.yaml.
const PoolsFile = "pools.yaml"

// Adopt consents to the take-over of a project's target, as it is found, and
// waits for it.
func (s *Slipway) Adopt(ctx context.Context, p *Project) error {
	var found reconcile.Offered
	var last error
	err := await(ctx, "a look at "+p.Target().String(), func(ctx context.Context) (bool, error) {
		// The forge may still be at what was set up a moment ago.
		found, last = s.Client.Inspect(ctx, p.Target())
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("inspect %s: %w", p.Target(), errors.Join(err, last))
	}
	if err := s.Client.Order(ctx, p.Target(), "takeover", server.Order{Reason: "onboarding", Seen: &found}); err != nil {
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
func (s *Slipway) answering(ctx context.Context) error {
	return await(ctx, "slipway to answer", func(ctx context.Context) (bool, error) {
		select {
		case <-s.Done():
			return false, s.Ended()
		default:
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Address+"/healthz", nil)
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

// filled has the stage's own in place of every zero value.
func (s *Stage) filled(v Serving) Serving {
	v.Name = cmp.Or(v.Name, "slipway")
	v.Listen = cmp.Or(v.Listen, s.address)
	v.Forge = cmp.Or(v.Forge, s.Forge.URL())
	v.Registry = cmp.Or(v.Registry, s.Forge.Registry())
	v.Kubeconfig = cmp.Or(v.Kubeconfig, s.Kubeconfig)
	v.Active = cmp.Or(v.Active, 30*time.Second)
	if v.Log == nil {
		v.Log = io.Discard
	}
	return v
}

func (s *Stage) configuration(v Serving) string {
	var b strings.Builder
	people := []string{"alice", "bob", "carol"}
	for _, a := range s.Lent() {
		people = append(people, a.Login)
	}
	if v.Lent != nil {
		b.WriteString(v.Lent.canaries(v.Projects))
	}
	b.WriteString(v.Work)
	fmt.Fprintf(&b, `listen: %s
store: {path: %q}
resync: {active: %s, idle: 5m}
tokens:
  - {name: operator, role: operator, token: {env: SLIPWAY_TOKEN}}
  - {name: reader, role: reader, token: {env: SLIPWAY_READER}}
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
  - {name: main, kubeconfig: %q, simulated: %v}
identities: {people: [%s]}
build: {gocache: %q}
repositories:
`, v.Listen, s.path(filepath.Join(v.Name, "data")), v.Active, v.Forge, s.Bot.Login, v.Registry, s.Bot.Login,
		v.Kubeconfig, s.Simulated(), strings.Join(people, ", "), s.options.BuildCache)
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
