package reconcile_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/config"
	"slipway/deployer"
	"slipway/gate"
	"slipway/internal/change"
	"slipway/internal/fault"
	"slipway/internal/journal"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
	"slipway/internal/store"
	"slipway/test/storetest"
)

var (
	app        = ref.RepoID{Owner: "acme", Name: "app"}
	mainBranch = ref.BranchID{Repo: app, Name: "main"}
	production = ref.TargetID{Repo: app, Environment: "production"}
)

const (
	imageBefore = "registry.example/acme/app:before"
	handOwner   = "kubectl-edit"
	operator    = "olga"
)

// world is an engine over a real store, with a history, a forge that serves it
// and a cluster, which live in memory and do what the real ones do.
type world struct {
	testing.TB
	store   *store.Store
	engine  *reconcile.Engine
	history *history
	forge   *forge
	cluster *cluster
	log     *serverLog
	conf    reconcile.Config
}

// serverLog counts the lines of the server's log.
type serverLog struct {
	mutex sync.Mutex
	lines []string
}

func (l *serverLog) Write(p []byte) (int, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.lines = append(l.lines, string(p))
	return len(p), nil
}

func (l *serverLog) count(words string) int {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	n := 0
	for _, line := range l.lines {
		if strings.Contains(line, words) {
			n++
		}
	}
	return n
}

func newWorld(t testing.TB, adapt ...func(*world, *reconcile.Config)) *world {
	t.Helper()
	s := storetest.Open(t)
	w := &world{TB: t, store: s, history: newHistory(), cluster: newCluster(), log: &serverLog{}}
	w.forge = &forge{history: w.history, asked: map[ref.PullID]int{}, pulls: map[ref.PullID]gate.PullRequest{}, open: map[ref.PullID]*openPull{}}
	conf := reconcile.Config{
		Store: s, Queue: s, Git: w.history, Clusters: map[string]reconcile.Cluster{"main": w.cluster},
		Repositories: []reconcile.Repository{{
			ID: app, Branch: "main", Forge: w.forge, Bot: "slipway-bot",
			Image: "registry.example/acme/app", Namespaces: map[string][]string{"main": {"acme"}},
		}},
		Policy: func(_ ref.RepoID, where string, data []byte, found bool) change.Plan {
			if !found {
				return change.Plan{Faults: []string{where + " is not there"}}
			}
			plan, _ := config.ParsePolicy(where, data) // its faults stand in the plan
			return plan
		},
		Now: time.Now, Log: slog.New(slog.NewTextHandler(w.log, nil)),
		Active: time.Hour, Idle: time.Hour, Workers: 4, Lease: time.Minute,
	}
	for _, f := range adapt {
		f(w, &conf)
	}
	w.conf = conf
	w.engine = reconcile.New(conf)
	w.cluster.watch = func(namespace, deployment string) {
		if err := w.engine.Nudge(context.WithoutCancel(t.Context()), "main", namespace, deployment); err != nil {
			t.Error(err)
		}
	}
	return w
}

// rebuilt is the same world under another engine, as after a restart.
func rebuilt(t testing.TB, w *world, adapt func(c *reconcile.Config)) *world {
	t.Helper()
	adapt(&w.conf)
	w.engine = reconcile.New(w.conf)
	return w
}

// run lets the engine work until the test ends.
func (w *world) run() {
	ctx, cancel := context.WithCancel(w.Context())
	done := make(chan error, 1)
	go func() { done <- w.engine.Run(ctx) }()
	w.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			w.Error(err)
		}
	})
}

// stop runs engines one after the other.
type stop struct {
	t      testing.TB
	cancel context.CancelFunc
	done   chan error
}

func newStop(t testing.TB) *stop { return &stop{t: t} }

func (s *stop) run(w *world) {
	ctx, cancel := context.WithCancel(s.t.Context())
	s.cancel, s.done = cancel, make(chan error, 1)
	go func() { s.done <- w.engine.Run(ctx) }()
	s.t.Cleanup(s.end)
}

// end stops the engine that runs, and waits for it.
func (s *stop) end() {
	if s.cancel == nil {
		return
	}
	s.cancel()
	s.cancel = nil
	if err := <-s.done; err != nil {
		s.t.Error(err)
	}
}

// spec is where and how the releases are deployed that no test leads elsewhere.
func spec() deployer.Spec {
	return deployer.Spec{
		Environment: "production", Cluster: "main", Namespace: "acme", Deployment: "app", Container: "app",
		Health: deployer.Health{Port: 8080, Path: "/healthz", Field: "revision"}, Deadline: time.Minute,
	}
}

// policyFor is the policy file that declares a Deployment and a container.
func policyFor(deployment, container string) string {
	return fmt.Sprintf(`version: 1
gate: {checks: [{context: ci, creator: ci-bot}]}
post_merge: {checks: [{context: ci, creator: ci-bot}]}
deploy: {cluster: main, namespace: acme, deployment: %s, container: %s, health: {port: 8080, path: /healthz}}
`, deployment, container)
}

// release makes a commit on main and a release of it that is ready, whose image
// answers with its commit; with broken it crashes.
func (w *world) release(s deployer.Spec, broken bool) deployer.Release {
	w.Helper()
	known, err := w.store.Releases(w.Context(), mainBranch)
	if err != nil {
		w.Fatal(err)
	}
	n := len(known) + 1
	commit := w.history.push("main", fmt.Sprintf("feat: %d", n), map[string]string{fmt.Sprintf("file-%d", n): "x"})
	tag := ref.Tag(fmt.Sprintf("v0.%d.0", n))
	r := deployer.Release{
		Change: ref.PullID{Repo: app, Number: int64(n)}, Version: string(tag), Merge: commit, Position: int64(n), Spec: s,
		Pin: ref.Pin{Repository: "registry.example/acme/app", Tag: tag, Digest: ref.Digest(fmt.Sprintf("sha256:%064x", n))},
	}
	w.cluster.image(r.Pin.String(), program{revision: string(commit), broken: broken})
	write := reconcile.Write{
		Release: &reconcile.Release{Branch: mainBranch, Position: r.Position, Number: int64(n), Merge: commit,
			Version: strings.TrimPrefix(string(tag), "v"), Tag: tag, Ready: &r},
		Due: []reconcile.Due{{Key: reconcile.TargetKey(production), At: time.Now()}},
	}
	if t := w.target(); t.Rev == 0 {
		t.Branch, t.Spec = "main", s
		write.Target = &t
	}
	if err := w.store.Commit(w.Context(), write); err != nil {
		w.Fatal(err)
	}
	return r
}

// adopt consents to what is found and waits for the take-over.
func (w *world) adopt() {
	w.Helper()
	found, err := w.engine.Inspect(w.Context(), production)
	if err != nil {
		w.Fatal(err)
	}
	if err := w.engine.TakeOver(w.Context(), production, w.person(), found); err != nil {
		w.Fatal(err)
	}
	w.until("the take-over", func() bool { t := w.target(); return t.TakenOver != nil && t.Consent == nil })
}

func (w *world) person() reconcile.Person {
	return reconcile.Person{Name: operator, Reason: "the test wants it"}
}

func (w *world) target() deployer.Target {
	w.Helper()
	t, err := w.store.Target(w.Context(), production)
	if err != nil {
		w.Fatal(err)
	}
	return t
}

// runs waits until a release is what proved healthy and what runs.
func (w *world) runs(r deployer.Release) {
	w.Helper()
	w.until(r.Version+" to be healthy", func() bool {
		c := w.target().Current
		return c != nil && c.Phase == deployer.PhaseHealthy && c.Release.Version == r.Version
	})
}

// says waits until the target's reason holds some words.
func (w *world) says(words string) {
	w.Helper()
	w.until("the reason "+words, func() bool { return strings.Contains(w.target().Reason, words) })
}

// entries are the journal's entries with an action.
func (w *world) entries(action string) []journal.Entry {
	w.Helper()
	all, err := w.store.Entries(w.Context(), 0, 1000)
	if err != nil {
		w.Fatal(err)
	}
	return slices.DeleteFunc(all, func(e journal.Entry) bool { return e.Action != action })
}

// until asks again until the answer is yes.
func (w *world) until(what string, yes func() bool) {
	w.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !yes() {
		select {
		case <-deadline.C:
			w.Fatalf("waited in vain for %s; the target is %+v", what, w.target())
		case <-tick.C:
		}
	}
}

// forge serves the branches and files of a history, and the pull requests that
// it was told were merged. It counts who asks for one.
type forge struct {
	reconcile.Forge
	history *history

	mutex sync.Mutex
	asked map[ref.PullID]int
	pulls map[ref.PullID]gate.PullRequest // merged ones
	open  map[ref.PullID]*openPull
	// What was asked of it, and what it refuses.
	lists, checked int
	reacted        []string
	merges         int
	broken         error // every comment fails with it
	hidden         error // why what is not there may be there after all
	lastComment    int64
	wrote          map[int64]ref.Fact // whether words are their author's; else they are
	witnessed      int
}

// merge makes the forge tell of a pull request that the bot merged.
func (f *forge) merge(id ref.PullID, head, merge ref.SHA) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.pulls[id] = gate.PullRequest{
		ID: id, Title: "feat: x", Author: "alice", Head: head, Base: "main", Open: ref.No, Merged: ref.Yes,
		MergeSHA: merge, MergedBy: "slipway-bot", MergedAt: time.Now(), Opened: time.Now(),
	}
}

func (f *forge) Look(_ context.Context, id ref.PullID, want reconcile.Want) (reconcile.Look, error) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.asked[id]++
	if p, ok := f.open[id]; ok {
		return p.look(f, want), nil
	}
	if p, ok := f.pulls[id]; ok {
		return reconcile.Look{Snapshot: gate.Snapshot{Pull: p}}, nil
	}
	return reconcile.Look{}, fault.AsPermanent(fmt.Errorf("read %s: %w", id, cmp.Or(f.hidden, reconcile.ErrNoPull)))
}

func (f *forge) questions(id ref.PullID) int {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	return f.asked[id]
}

func (f *forge) Branch(_ context.Context, b ref.BranchID) (ref.SHA, error) {
	f.history.mutex.Lock()
	defer f.history.mutex.Unlock()
	tip, ok := f.history.tips[b.Name]
	if !ok {
		return "", fault.AsPermanent(fmt.Errorf("there is no branch %s", b))
	}
	return tip, nil
}

func (f *forge) File(_ context.Context, _ ref.RepoID, at ref.SHA, path string) ([]byte, bool, error) {
	f.history.mutex.Lock()
	defer f.history.mutex.Unlock()
	n, ok := f.history.commits[at]
	if !ok {
		return nil, false, errors.New("there is no such commit")
	}
	text, found := n.files[path]
	return []byte(text), found, nil
}
