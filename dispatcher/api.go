package dispatcher

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"slipway/gate"
	"slipway/internal/ref"
	"slipway/pools"
)

// Config is what a Dispatcher works with. Store, Changes, Log, Serves and Login
// are required.
type Config struct {
	Store   Store
	Changes Changes
	// Issues are the forges' issues, by repository. One that is not there has
	// none that count.
	Issues map[ref.RepoID]Issues
	// Now is the clock of this process, for its own timers: what an item or an
	// attempt goes by is the store's. nil: time.Now.
	Now   func() time.Time
	Log   *slog.Logger
	Meter Meter // nil: nobody counts
	// Lease is how long an attempt is held without a heartbeat, Beat how much to
	// leave between two; 0: a minute, and twenty seconds.
	Lease, Beat time.Duration
	// Deadline is how long one attempt may take where its pool says nothing; 0:
	// an hour. Attempts is how many an item has that says nothing; 0: three.
	Deadline time.Duration
	Attempts int
	// Serves says whether a repository is served here, and what its base is.
	Serves func(ref.RepoID) (base string, ok bool)
	// Login is a coordinate's account on the forge.
	Login func(pools.Address) string
	// Pull reads a pull request from its forge, before an attempt's registration of
	// it counts. fault.Permanent is that there is none, any other error for later.
	// nil: what is registered is believed.
	Pull func(ctx context.Context, id ref.PullID) (gate.PullRequest, error)
	// Labels say which issues become items; of two that an issue has, the first
	// counts.
	Labels  []LabelRule
	Reviews ReviewRule
	// Unfinished lists the pull requests that have not ended, so that a resync can
	// ask for the reviews that they lack; nil: those of unfinished items alone are
	// looked at again.
	Unfinished func(ctx context.Context) ([]ref.PullID, error)
	// Resync is how often everything unfinished is looked at without a hint; 0:
	// every minute.
	Resync time.Duration
}

// LabelRule makes items of the issues with a label.
type LabelRule struct {
	Label    string
	Selector pools.Selector
	Shape    string
	Level    Level
}

// ReviewRule says who is asked for the reviews that a pull request lacks.
type ReviewRule struct {
	On       bool
	Selector pools.Selector
	Level    Level
}

// Meter counts what happens. Its methods must not block.
type Meter interface {
	// Claimed: a coordinate of a pool was given an item, so long after the item
	// could be had and the coordinate had asked.
	Claimed(pool pools.PoolName, waited time.Duration)
	// Ended: an attempt of a pool ended.
	Ended(pool pools.PoolName, outcome Outcome)
	// Dead: an item was given up.
	Dead(kind Kind)
	// Differed: a command ran, by its own report, another model than its
	// assignment names.
	Differed(pool pools.PoolName)
	// Waiting: so many items wait in a lane, as of the last resync.
	Waiting(depth map[string]int)
}

// Dispatcher brings items to coordinates. Its methods are safe for concurrent
// use; claims are answered while Run runs.
type Dispatcher struct {
	Config
	terms terms
	desk  *desk
	clock *clock
	looks *hints[ref.PullID]
	// repos are those whose issues are to be looked at.
	repos *hints[ref.RepoID]
	// refused are the refusals of workers' calls that the journal knows of.
	refused refusals
	// late are the registered heads that the forge does not show as yet.
	late lateness

	mu sync.Mutex
	// refusals are the issues that could not become items, by key, as they were.
	refusals map[string]string
}

const (
	// patience is how long one transaction may take.
	patience = 30 * time.Second
	// issueKey and reviewKey begin the keys of what Slipway submits itself. Who
	// could take one would have an issue closed, or a review not asked for.
	issueKey, reviewKey = "issue ", "review "
	// resyncUnsaid is between two resyncs where nobody says.
	resyncUnsaid = time.Minute
)

// New returns a dispatcher; Run starts it.
func New(c Config) *Dispatcher {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Meter == nil {
		c.Meter = silent{}
	}
	if c.Resync <= 0 {
		c.Resync = resyncUnsaid
	}
	return &Dispatcher{
		Config: c,
		terms:  terms{lease: c.Lease, beat: c.Beat, deadline: c.Deadline, attempts: c.Attempts}.said(),
		desk:   newDesk(), clock: newClock(c.Now),
		looks: newHints[ref.PullID](), repos: newHints[ref.RepoID](),
		refused:  refusals{told: map[refusal]denial{}},
		late:     lateness{since: map[AttemptID]lateHead{}},
		refusals: map[string]string{},
	}
}

// Submit adds an item, or gives the one that has its key already; existed says
// which. Faults are all told together, and are fault.Permanent.
func (d *Dispatcher) Submit(ctx context.Context, by string, s Submission) (i Item, existed bool, err error) {
	base, _ := d.Serves(s.Repo)
	i, faults := draft(by, s, base)
	for _, own := range []string{issueKey, reviewKey} {
		if strings.HasPrefix(s.Key, own) {
			faults = append(faults, fmt.Sprintf("key: Slipway itself gives those that begin with %q", own))
		}
	}
	if i.Kind == Review && len(faults) == 0 {
		if err := d.aim(ctx, &i); err != nil {
			return Item{}, false, fmt.Errorf("submit a review of %s: %w", i.Pull, err)
		}
	}
	i, existed, err = d.submit(ctx, i, faults)
	if err != nil {
		return Item{}, false, fmt.Errorf("submit work on %s: %w", s.Repo, err)
	}
	return i, existed, nil
}

// Cancel withdraws an item; whoever works on it is told with the next heartbeat.
func (d *Dispatcher) Cancel(ctx context.Context, by string, id ItemID, reason string) error {
	return d.transact(ctx, Scope{Items: []ItemID{id}}, func(v View) (Write, error) { return cancel(v, d.terms, by, id, reason) })
}

// Retry offers a dead or cancelled item again; reason is for the journal, and
// may be "".
func (d *Dispatcher) Retry(ctx context.Context, by string, id ItemID, reason string) error {
	w, found, err := d.Store.Work(ctx, id)
	if err != nil {
		return err
	}
	scope := Scope{Items: []ItemID{id}}
	if found {
		scope.Flow = w.Item.flow()
	}
	return d.transact(ctx, scope, func(v View) (Write, error) { return retry(v, d.terms, by, id, reason) })
}

// Cordon keeps new work from a coordinate; drain says that somebody waits until
// it has ended what it has.
func (d *Dispatcher) Cordon(ctx context.Context, by string, a pools.Address, drain bool, reason string) error {
	err := d.transact(ctx, Scope{Seats: []pools.Address{a}, Set: true}, func(v View) (Write, error) { return cordon(v, by, a, drain, reason) })
	if err != nil {
		return err
	}
	return d.tellStuck(ctx)
}

// Uncordon lets a coordinate have work again; reason is for the journal, and may
// be "".
func (d *Dispatcher) Uncordon(ctx context.Context, by string, a pools.Address, reason string) error {
	err := d.transact(ctx, Scope{Seats: []pools.Address{a}, Set: true}, func(v View) (Write, error) { return uncordon(v, by, a, reason) })
	if err != nil {
		return err
	}
	d.desk.again()
	return d.tellStuck(ctx)
}

// Work is an item with its attempts, oldest first; found is false for none.
func (d *Dispatcher) Work(ctx context.Context, id ItemID) (w Work, found bool, err error) {
	return d.Store.Work(ctx, id)
}

// Items lists items, newest first.
func (d *Dispatcher) Items(ctx context.Context, f Filter) ([]Item, error) {
	return d.Store.Items(ctx, f)
}

// Attempts lists attempts, newest first.
func (d *Dispatcher) Attempts(ctx context.Context, f Filter) ([]Attempt, error) {
	return d.Store.Attempts(ctx, f)
}

// Seats lists the coordinates that were ever known, and those of the pool config
// in force that never asked for anything, by address. A claim that waits here is
// heard: its coordinate was seen just now.
func (d *Dispatcher) Seats(ctx context.Context) ([]Seat, error) {
	seats, err := d.Store.Seats(ctx)
	if err != nil {
		return nil, err
	}
	set, _, err := d.Store.Set(ctx)
	if err != nil {
		return nil, err
	}
	known := map[pools.Address]bool{}
	for _, s := range seats {
		known[s.Address] = true
	}
	for a := range set.Replicas {
		if !known[a] {
			seats = append(seats, Seat{Address: a})
		}
	}
	now := d.clock.show()
	for n := range seats {
		seats[n].Seen = later(seats[n].Seen, d.desk.last(seats[n].Address, now))
	}
	slices.SortFunc(seats, func(a, b Seat) int { return a.Address.Compare(b.Address) })
	return seats, nil
}

// mostSeats is how many coordinates are asked whether they could take a new item.
const mostSeats = 64

// submit adds an item that was drafted. One that nothing can take says so at
// once.
func (d *Dispatcher) submit(ctx context.Context, i Item, faults []string) (item Item, existed bool, err error) {
	scope, err := d.scopeOf(ctx, i)
	if err != nil {
		return Item{}, false, err
	}
	var number ItemID
	err = d.transact(ctx, scope, func(v View) (w Write, err error) {
		w, item, existed, err = submit(v, d.terms, i, faults)
		if err == nil && !existed {
			item = hindered(v, &w)
		}
		w.Numbered = func(items []ItemID, _ []AttemptID) {
			for _, id := range items {
				number = id
			}
		}
		return w, err
	})
	if err == nil && !existed {
		item.ID = number
	}
	return item, existed, err
}

// scopeOf is what is read to submit an item, with what may hinder it.
func (d *Dispatcher) scopeOf(ctx context.Context, i Item) (Scope, error) {
	set, _, err := d.Store.Set(ctx)
	if err != nil {
		return Scope{}, err
	}
	scope := i.scope()
	chosen := set.Place(i.Selector, nil)
	scope.Seats, scope.Load = chosen[:min(len(chosen), mostSeats)], true
	return scope, nil
}

// hindered writes into a new item what hinders it.
func hindered(v View, w *Write) Item {
	i := &w.Items[0]
	if why := hindrance(v, *i, v.seats(), v.today()); why != "" {
		i.Reason = waits + why
		w.Journal[0].Reason = i.Reason
	}
	return *i
}

type silent struct{}

func (silent) Claimed(pools.PoolName, time.Duration) {}
func (silent) Ended(pools.PoolName, Outcome)         {}
func (silent) Dead(Kind)                             {}
func (silent) Differed(pools.PoolName)               {}
func (silent) Waiting(map[string]int)                {}
