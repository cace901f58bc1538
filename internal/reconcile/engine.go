package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"slipway/gate"
	"slipway/internal/authz"
	"slipway/internal/change"
	"slipway/internal/fault"
	"slipway/internal/ref"
)

// Config is what an Engine works with. Everything is required but what says
// that it may be left out, and Meter.
type Config struct {
	Store    Store
	Queue    Queue
	Git      Git
	Images   Images
	Clusters map[string]Cluster
	// Repositories are those that Slipway serves; hints about others are ignored.
	Repositories []Repository
	// Policy turns a repository's policy file into a plan; what is wrong with it,
	// or that there is none (found is false), stands in Plan.Faults. where is for
	// people: acme/app@main:.slipway.yaml.
	Policy func(repo ref.RepoID, where string, data []byte, found bool) change.Plan
	Now    func() time.Time
	Log    *slog.Logger
	Meter  Meter
	// Active is how often what moves by itself is looked at without a hint,
	// Idle how often the rest is.
	Active, Idle time.Duration
	// Workers is how many keys are looked at at once.
	Workers int
	// Lease is how long one look may take.
	Lease time.Duration
	// Full is how often what waits for people alone is looked at without a hint;
	// 0: every four hours. What the forge's list shows changed is looked at
	// sooner.
	Full time.Duration
	// Rate is how many looks a second a resync starts at the most; 0: any number.
	Rate float64
	// Sticky says whether each pull request gets a comment that explains.
	Sticky bool
	// CommentBudget is how many comments are written to one forge in an hour at
	// the most, alarms and reactions apart; 0: sixty.
	CommentBudget int
	// Sign seals a merge receipt; nil leaves receipts unsigned.
	Sign func(change.Receipt) (change.Receipt, error)
	// Crews tells who of a pull request is of the pools; nil: there are no pools.
	Crews Crews
	// Changed is told of a change after another record of it was committed, and
	// IssuesChanged of a repository whose issues a webhook speaks of. They say
	// where to look, and no more: whoever is told must not block, nor believe it to
	// hear of everything. nil tells nobody.
	Changed       func(ref.PullID)
	IssuesChanged func(ref.RepoID)
}

// Repository is one repository that Slipway serves.
type Repository struct {
	ID ref.RepoID
	// Branch is the one whose merges are released and deployed; pull requests
	// to other branches are left alone.
	Branch string
	Forge  Forge
	// Bot is Slipway's login there.
	Bot string
	// Image is the image repository, without tag.
	Image string
	// Source is the repository's address, for people.
	Source string
	// Namespaces are, by cluster, where it may be deployed.
	Namespaces map[string][]string
	// Host names the forge, for the budget of comments.
	Host string
	// Roles are those that the server's configuration gives to a login; nil gives
	// none. Teams (OWNER/TEAM) are those that it asks about.
	Roles func(login string, teams map[string][]string) []authz.Role
	Teams []string
	// OwnersFiles are the places of CODEOWNERS, in the order in which the forge
	// looks, and Owners reads the first that is there: its rules, and what is
	// wrong with them.
	OwnersFiles []string
	Owners      func(data []byte) (OwnersRules, []string)
}

// OwnersRules say who owns changed files.
type OwnersRules interface {
	Of(files []gate.File) []gate.Ownership
}

// Meter counts what happens. Its methods must not block.
type Meter interface {
	// Looked: one look at a key of a kind, with its kind of error or "".
	Looked(kind string, took time.Duration, failure string)
	// Reached: a change's gate reached a state.
	Reached(gate change.GateName, state change.GateState)
	// Overdue: a gate went past its deadline.
	Overdue(gate change.GateName)
	// Ended: a change reached an outcome.
	Ended(outcome change.Outcome)
}

// Alarmer is a Meter that also counts what people have to know at once:
// merge.unjudged, push.unjudged, branch.frozen, emergency, comments.budget.
type Alarmer interface {
	Alarmed(what string)
}

// Engine looks at keys that are due, one worker per key at a time.
type Engine struct {
	Config
	repos map[ref.RepoID]Repository

	// builds bounds how many workers build or push at once.
	builds *semaphore.Weighted
	// replays lets one proposed policy be replayed at a time.
	replays *semaphore.Weighted

	mu     sync.Mutex
	briefs map[ref.PullID]string   // fingerprints of the open pull requests
	plans  map[planKey]change.Plan // policies by commit
	owners map[planKey]ownersFile  // CODEOWNERS by commit
	wants  map[ref.RepoID]Want     // what the looks at a repository ask for
	// anew are the changes whose next look believes nothing it remembers.
	anew map[ref.PullID]bool
	// rechecks counts the looks in a row at a verdict that time may change.
	rechecks map[Key]int
	said     map[Key]map[string]bool // what was told about a key, to tell it once

	merges map[ref.BranchID]int // how many of ours are under way

	pace   *pace
	budget *budget
}

type planKey struct {
	repo ref.RepoID
	at   ref.SHA
}

// New returns an engine; Run starts it.
func New(c Config) *Engine {
	e := &Engine{
		Config: c, repos: map[ref.RepoID]Repository{}, builds: semaphore.NewWeighted(int64(max(1, c.Workers/4))),
		replays: semaphore.NewWeighted(1),
		briefs:  map[ref.PullID]string{}, plans: map[planKey]change.Plan{}, owners: map[planKey]ownersFile{}, wants: map[ref.RepoID]Want{},
		anew: map[ref.PullID]bool{}, rechecks: map[Key]int{}, said: map[Key]map[string]bool{}, merges: map[ref.BranchID]int{},
		pace: newPace(c.Rate), budget: newBudget(c.CommentBudget),
	}
	for _, r := range c.Repositories {
		e.repos[r.ID] = r
	}
	if e.Meter == nil {
		e.Meter = silent{}
	}
	return e
}

// Run looks at everything once and then at whatever is due, until ctx ends;
// then it waits for the looks under way and returns nil. Looks under way are
// not cut off: they have the rest of their lease. Targets have workers of their
// own: nobody's long build may stand before a way back.
func (e *Engine) Run(ctx context.Context) error {
	if err := e.everythingDue(ctx); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	pools := []*pool{
		{kinds: []Kind{KindTarget}, workers: max(2, e.Workers/2), woken: make(chan struct{}, 1)},
		{kinds: []Kind{KindChange, KindBranch, KindRepo}, workers: e.Workers, woken: make(chan struct{}, 1)},
	}
	var wg sync.WaitGroup
	for _, p := range pools {
		wg.Go(func() { e.work(ctx, p) })
	}
	wg.Go(func() { fanOut(ctx, e.Queue.Woken(), pools) })
	wg.Wait()
	return nil
}

// pool is some workers with the kinds of keys that they look at.
type pool struct {
	kinds   []Kind
	workers int
	woken   chan struct{}
}

// fanOut passes each wake-up on to every pool.
func fanOut(ctx context.Context, woken <-chan struct{}, pools []*pool) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-woken:
		}
		for _, p := range pools {
			select {
			case p.woken <- struct{}{}:
			default: // it is awake already
			}
		}
	}
}

func (e *Engine) work(ctx context.Context, p *pool) {
	var wg sync.WaitGroup
	defer wg.Wait()
	free := make(chan struct{}, p.workers)
	for range p.workers {
		free <- struct{}{}
	}
	for {
		slots := take(ctx, free)
		if slots == 0 {
			return
		}
		claims, err := e.Queue.Claim(ctx, e.Now(), slots, e.Lease, p.kinds...)
		if err != nil && ctx.Err() == nil {
			e.Log.Error("claim due keys", "error", err)
		}
		for range slots - len(claims) {
			free <- struct{}{}
		}
		for _, c := range claims {
			wg.Go(func() {
				e.handle(context.WithoutCancel(ctx), c)
				free <- struct{}{}
			})
		}
		if len(claims) < slots {
			e.rest(ctx, p)
		}
	}
}

// take waits for one free worker and takes all that are free by then.
func take(ctx context.Context, free chan struct{}) int {
	select {
	case <-ctx.Done():
		return 0
	case <-free:
	}
	n := 1
	for {
		select {
		case <-free:
			n++
		default:
			return n
		}
	}
}

// rest waits until something may be due.
func (e *Engine) rest(ctx context.Context, p *pool) {
	wait := time.Second // a key that becomes due while a failing store says nothing
	if next, err := e.Queue.Next(ctx, p.kinds...); err == nil && !next.IsZero() {
		wait = min(wait, max(next.Sub(e.Now()), time.Millisecond))
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-p.woken:
	case <-t.C:
	}
}

func (e *Engine) handle(ctx context.Context, c Claim) {
	ctx, cancel := context.WithTimeout(ctx, e.Lease)
	defer cancel()
	began := e.Now()
	next, err := e.guarded(ctx, c)
	kind, _, _ := c.Key.split()
	held := errors.Is(err, errHeld)
	failed := err != nil && !held
	if failed {
		next = e.again(c, err)
	}
	if !held {
		e.Meter.Looked(string(kind), e.Now().Sub(began), failure(err))
	}
	// The claim is given back even when the look used up its time.
	done, cancelDone := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancelDone()
	if err := e.Queue.Done(done, c, next, failed); err != nil {
		e.Log.Warn("give back", "key", c.Key, "error", err)
	}
}

// guarded is a look whose panic is an error of its key: one poisoned key must
// not end the server, again at every start.
func (e *Engine) guarded(ctx context.Context, c Claim) (next time.Time, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	return e.look(ctx, c)
}

func (e *Engine) look(ctx context.Context, c Claim) (time.Time, error) {
	kind, name, err := c.Key.split()
	if err != nil {
		return time.Time{}, err
	}
	switch kind {
	case KindChange:
		id, err := ref.ParsePull(name)
		if err != nil {
			return time.Time{}, err
		}
		return e.lookChange(ctx, c, id)
	case KindBranch:
		b, err := ref.ParseBranch(name)
		if err != nil {
			return time.Time{}, err
		}
		return e.lookBranch(ctx, c, b)
	case KindTarget:
		t, err := ref.ParseTarget(name)
		if err != nil {
			return time.Time{}, err
		}
		return e.lookTarget(ctx, c, t)
	case KindRepo:
		r, err := ref.ParseRepo(name)
		if err != nil {
			return time.Time{}, err
		}
		return e.lookRepo(ctx, r)
	default:
		return time.Time{}, fmt.Errorf("key %q is of no known kind", c.Key)
	}
}

// again says when to try after an error: at once when only a precondition was
// lost, with growing pauses when something is down. A permanent refusal is
// looked at again as seldom as anything idle; a hint brings it forward.
func (e *Engine) again(c Claim, err error) time.Time {
	level := slog.LevelWarn
	pause := backoff(c.Failures, time.Second, time.Minute)
	switch fault.KindOf(err) {
	case fault.Changed:
		level = slog.LevelDebug
		pause = backoff(c.Failures, 50*time.Millisecond, 5*time.Second)
	case fault.Permanent:
		level = slog.LevelError
		pause = e.Idle
	}
	if at, ok := fault.When(err); ok {
		pause = max(pause, at.Sub(e.Now())) // a forge that said when it will answer again
	}
	e.Log.Log(context.Background(), level, "look", "key", c.Key, "failures", c.Failures+1, "again_in", pause, "error", err)
	return e.Now().Add(pause)
}

// backoff doubles with each failure, up to most, and spreads by a quarter so
// that what failed together does not return together.
func backoff(failures int, first, most time.Duration) time.Duration {
	d := most
	if failures < 16 {
		d = min(most, first<<failures)
	}
	return d - time.Duration(rand.Int64N(int64(d)/4+1)) //nolint:gosec // it spreads retries, it hides nothing
}

func failure(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	}
	switch fault.KindOf(err) {
	case fault.Changed:
		return "changed"
	case fault.Permanent:
		return "permanent"
	default:
		return "later"
	}
}

type silent struct{}

func (silent) Looked(string, time.Duration, string)      {}
func (silent) Reached(change.GateName, change.GateState) {}
func (silent) Overdue(change.GateName)                   {}
func (silent) Ended(change.Outcome)                      {}
