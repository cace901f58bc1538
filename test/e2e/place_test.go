package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	sdk "code.gitea.io/sdk/gitea"

	"slipway/deployer"
	"slipway/internal/change"
	"slipway/internal/ref"
	"slipway/test/servers/gitea"
	"slipway/test/stage"
)

const (
	// changeLimit is how long a change may take to its end: many times what it
	// takes on a machine that does nothing else, for one that does it all at
	// once and for the first time.
	changeLimit = 5 * time.Minute
	// lookLimit is how long something may take to be noticed, its checks run.
	lookLimit = 3 * time.Minute

	// callLimit is how long one call may take, a push with its hooks included.
	callLimit = 2 * time.Minute
)

// wish says what a test wants beside the usual.
type wish struct {
	// edit changes the files of the project's first commit.
	edit func(name, content string) string
	// tested runs the project's own tests in CI. Otherwise CI asks only how its
	// files are formatted, which spares these tests most of their time.
	tested bool
	// active is how often what moves is looked at without a webhook. The usual
	// is long, so that what a webhook must bring about is seen to be missing.
	active time.Duration
}

// place is one project with a Slipway of its own, and the lines between it and
// everything else.
type place struct {
	*testing.T
	stage   *stage.Stage
	project *stage.Project
	serving stage.Serving

	forge, registry, cluster *line
	relay                    *relay

	log *os.File
	up  *atomic.Pointer[stage.Slipway] // the one that was started last
}

// edited changes the project's files as wished.
func (w wish) edited(t *testing.T) func(name, content string) string {
	const slow, quick = "go vet ./... && go test ./...", `test -z "$(gofmt -l .)"`
	return func(name, content string) string {
		if w.edit != nil {
			content = w.edit(name, content)
		}
		if w.tested || name != ".gitea/workflows/ci.yml" {
			return content
		}
		if !strings.Contains(content, slow) {
			t.Errorf("the project's workflow does not run %q", slow)
		}
		return strings.Replace(content, slow, quick, 1)
	}
}

// fromSeven has a project's versions begin where badTag is the second.
func fromSeven(name, content string) string {
	if name == ".slipway.yaml" {
		return content + "release: {first: 7.0.0}\n"
	}
	return content
}

// newPlace makes a project whose name begins so, and leaves Slipway to be
// started.
func newPlace(t *testing.T, name string, w wish) *place {
	t.Helper()
	s, err := shared.stage()
	if err != nil {
		t.Fatalf("set up the stage: %v", err)
	}
	name = fmt.Sprintf("%s-%d", name, shared.places.Add(1)) // a test may run more than once
	listen, err := stage.FreeAddress(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p := &place{T: t, stage: s, up: new(atomic.Pointer[stage.Slipway])}
	p.forge, p.registry = newLine(t, s.Forge.URL()), newLine(t, "http://"+s.Forge.Registry())
	var kubeconfig string
	p.cluster, kubeconfig = newClusterLine(t, s.Kubeconfig)
	p.relay = newRelay(t, "http://"+listen+"/hooks/gitea")
	if p.log, err = os.Create(filepath.Join(t.TempDir(), "slipway.log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.tidy)
	ctx, cancel := context.WithTimeout(t.Context(), upLimit)
	defer cancel()
	shared.setting.Lock()
	defer shared.setting.Unlock()
	if p.project, err = s.NewProject(ctx, stage.Draft{Name: name, Hook: p.relay.server.URL + "/hooks/gitea", Edit: w.edited(t)}); err != nil {
		t.Fatal(err)
	}
	if w.active == 0 {
		w.active = 20 * time.Second
	}
	p.serving = stage.Serving{
		Binary: shared.binary, Name: "slipway-" + name, Listen: listen, Projects: []*stage.Project{p.project}, Active: w.active, Log: p.log,
		Forge: p.forge.server.URL, Registry: p.registry.host(), Kubeconfig: kubeconfig,
	}
	return p
}

// open is newPlace with Slipway started and the target taken over.
func open(t *testing.T, name string, w wish) *place {
	t.Helper()
	p := newPlace(t, name, w)
	p.start()
	p.adopt()
	return p
}

// start starts Slipway, anew if it ran before.
func (p *place) start() {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.Context(), time.Minute)
	defer cancel()
	up, err := p.stage.Serve(ctx, p.serving)
	if err != nil {
		p.Fatalf("start slipway: %v", err)
	}
	p.up.Store(up)
}

// in is the place as a subtest uses it.
func (p *place) in(t *testing.T) *place {
	q := *p
	q.T = t
	return &q
}

// slipway is the one that was started last.
func (p *place) slipway() *stage.Slipway { return p.up.Load() }

func (p *place) adopt() {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.Context(), time.Minute)
	defer cancel()
	if err := p.slipway().Adopt(ctx, p.project); err != nil {
		p.Fatal(err)
	}
}

// tidy ends Slipway and, of a test that failed, shows what it said.
func (p *place) tidy() {
	defer p.log.Close()
	if up := p.slipway(); up != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		select {
		case <-up.Done(): // as the test wished
		default:
			if err := up.Stop(ctx); err != nil {
				p.Errorf("stop slipway: %v", err)
			}
			if !strings.Contains(up.Log(), `"msg":"stopped"`) {
				p.Error("slipway was told to stop and does not say that it did")
			}
		}
		p.keepsSecrets(filepath.Join(filepath.Dir(up.Config), "data"))
	}
	said := p.said()
	for _, bad := range []string{"panic:", "DATA RACE", "fatal error:"} {
		if strings.Contains(said, bad) {
			p.Errorf("slipway's log has a %q", bad)
		}
	}
	if p.Failed() {
		const last = 120
		lines := strings.Split(strings.TrimSpace(said), "\n")
		p.Logf("the last that slipway said:\n%s", strings.Join(lines[max(0, len(lines)-last):], "\n"))
	}
}

// keepsSecrets fails if a secret stands in anything that Slipway wrote (A3).
func (p *place) keepsSecrets(dir string) {
	secrets := map[string]string{"the forge's token": p.stage.Bot.Token, "the webhooks' secret": p.stage.Secret(),
		"the operator's token": p.stage.Token(), "the reader's token": p.stage.ReaderToken()}
	for _, a := range p.stage.Lent() {
		secrets[a.Login+"'s token"] = a.Token
	}
	look := func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return nil // a folder, or it has just gone
		}
		for name, secret := range secrets {
			if bytes.Contains(b, []byte(secret)) {
				p.Errorf("%s stands in %s", name, path)
			}
		}
		return nil
	}
	if err := errors.Join(filepath.WalkDir(dir, look), filepath.WalkDir(p.log.Name(), look)); err != nil {
		p.Errorf("look for secrets: %v", err)
	}
}

// said is Slipway's whole log, through all its starts.
func (p *place) said() string {
	b, err := os.ReadFile(p.log.Name())
	if err != nil {
		p.Errorf("read slipway's log: %v", err)
	}
	return string(b)
}

// until asks again and again, ever more seldom, until there is nothing amiss any
// more: what each question costs, everything that is waited for goes without.
func (p *place) until(limit time.Duration, what string, amiss func(context.Context) error) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.Context(), limit)
	defer cancel()
	const longest = 250 * time.Millisecond
	pause := 50 * time.Millisecond
	var last error
	for {
		err := amiss(ctx)
		if err == nil {
			return
		}
		if ctx.Err() == nil || last == nil {
			last = err // what the limit itself brings about says nothing
		}
		select {
		case <-ctx.Done():
			p.Fatalf("waited %s in vain for %s: %v", limit, what, last)
		case <-time.After(pause):
			pause = min(pause*3/2, longest)
		}
	}
}

// propose opens a pull request with one file of its own, which breaks nothing.
func (p *place) propose(branch, title string) ref.PullID {
	p.Helper()
	return p.proposeFiles(branch, title, map[string]string{branch + ".txt": title + "\n"})
}

func (p *place) proposeFiles(branch, title string, files map[string]string) ref.PullID {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.Context(), callLimit)
	defer cancel()
	id, err := p.project.Propose(ctx, stage.Proposal{Branch: branch, Title: title, Files: files})
	if err != nil {
		p.Fatal(err)
	}
	return id
}

// approve has reviewers approve the head; none named is both.
func (p *place) approve(id ref.PullID, who ...gitea.Account) {
	p.Helper()
	if len(who) == 0 {
		who = p.stage.Reviewers
	}
	ctx, cancel := context.WithTimeout(p.Context(), callLimit)
	defer cancel()
	if err := p.project.Approve(ctx, id, who...); err != nil {
		p.Fatal(err)
	}
}

// sdk is the official client as somebody.
func (p *place) sdk(as gitea.Account) *sdk.Client {
	p.Helper()
	client, err := p.stage.Forge.ClientOf(p.Context(), as)
	if err != nil {
		p.Fatal(err)
	}
	return client
}

// change is Slipway's record of a pull request; a new one while it has none.
func (p *place) change(ctx context.Context, id ref.PullID) (change.Change, error) {
	c, found, err := p.slipway().Client.Change(ctx, id)
	if err == nil && !found {
		c = change.New(id)
	}
	return c, err
}

// wait waits until there is nothing amiss with a change.
func (p *place) wait(id ref.PullID, limit time.Duration, what string, amiss func(change.Change) error) change.Change {
	p.Helper()
	var last change.Change
	p.until(limit, fmt.Sprintf("%s: %s", id, what), func(ctx context.Context) error {
		select {
		case <-p.slipway().Done():
			p.Fatalf("slipway ended: %v", p.slipway().Ended())
		default:
		}
		c, err := p.change(ctx, id)
		if err != nil {
			return err
		}
		last = c
		return amiss(c)
	})
	return last
}

// ended waits until a change has ended as it should.
func (p *place) ended(id ref.PullID, want change.Outcome) change.Change {
	p.Helper()
	c := p.wait(id, changeLimit, "its end", func(c change.Change) error {
		if c.Outcome == change.Open {
			return errors.New(standing(c))
		}
		return nil
	})
	if c.Outcome != want {
		p.Fatalf("%s ended %q, want %q; %s", id, c.Outcome, want, standing(c))
	}
	return c
}

// ship takes a harmless change to its end.
func (p *place) ship(branch, title string) change.Change {
	p.Helper()
	id := p.propose(branch, title)
	p.approve(id)
	return p.ended(id, change.OutcomeSimulated)
}

// standing says where a change stands.
func standing(c change.Change) string {
	var b strings.Builder
	for _, g := range c.Gates {
		fmt.Fprintf(&b, "%s %s", g.Name, g.State)
		if g.Reason != "" {
			fmt.Fprintf(&b, " (%s)", g.Reason)
		}
		b.WriteString(", ")
	}
	for _, r := range c.Verdict {
		fmt.Fprintf(&b, "because %s: %s; ", r.Code, r.Sentence)
	}
	fmt.Fprintf(&b, "outcome %q, refusal %+v", c.Outcome, c.Refusal)
	return b.String()
}

// target is the project's target as Slipway sees it.
func (p *place) target(ctx context.Context) (deployer.Target, error) {
	all, err := p.slipway().Client.Targets(ctx)
	if err != nil {
		return deployer.Target{}, err
	}
	for _, t := range all {
		if t.ID == p.project.Target() {
			return t, nil
		}
	}
	return deployer.Target{}, fmt.Errorf("there is no target %s among %d", p.project.Target(), len(all))
}

// image is what the Deployment holds now.
func (p *place) image() string {
	p.Helper()
	image, err := p.project.Image(p.Context())
	if err != nil {
		p.Fatal(err)
	}
	return image
}
