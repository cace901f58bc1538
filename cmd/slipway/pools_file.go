package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"slipway/config"
	"slipway/dispatcher"
	"slipway/internal/fault"
	"slipway/internal/journal"
	"slipway/internal/reconcile"
	"slipway/internal/server"
	"slipway/pools"
)

const (
	// poolsEvery is between two looks at the file, which is small: a swap by hand
	// is in force within a second. poolsAgain is how soon a set is put in force
	// again that the store did not take.
	poolsEvery = 250 * time.Millisecond
	poolsAgain = 5 * time.Second
	// poolsPatience is how long a change goes on that nobody waits for any more.
	poolsPatience = 30 * time.Second
)

// sets is where pool configs are put in force, and those of the past are kept.
type sets interface {
	Apply(ctx context.Context, by, why string, s pools.Set) (pools.Set, []pools.Change, error)
	Set(ctx context.Context) (s dispatcher.StoredSet, found bool, err error)
	History(ctx context.Context, n int) ([]dispatcher.StoredSet, error)
}

// poolsWiring is what a poolsFile works with.
type poolsWiring struct {
	path string
	sets sets
	// also are further faults of a set: where it does not fit slipway.yaml.
	also func(pools.Set) []config.Fault
	note func(ctx context.Context, e journal.Entry) error
	// count is told how many faults the file has, each time that it was read.
	count func(faults int)
	log   *slog.Logger
	// every is between two looks at the file, and again how soon a pool config is
	// put in force again that the store did not take; 0: a quarter of a second and
	// 5 s.
	every, again time.Duration
}

// poolsFile is the pool config's file: what stands in it is put in force, and
// what is to be in force is written to it.
type poolsFile struct {
	poolsWiring
	// turn holds one value: whoever took it may read and write the file.
	turn chan struct{}
	// refusedAs are the faults for which the file was refused last; "" when it was
	// taken. Whose turn it is may touch it.
	refusedAs string

	mu sync.Mutex
	// faults are those that the file had when it was last read.
	faults []config.Fault
}

func newPoolsFile(w poolsWiring) *poolsFile {
	p := &poolsFile{poolsWiring: w, turn: make(chan struct{}, 1)}
	p.turn <- struct{}{}
	return p
}

// Watch puts in force what stands in the file, now and whenever that changes,
// until ctx ends.
func (p *poolsFile) Watch(ctx context.Context) error {
	looked := make(chan struct{}, 1)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		return config.WatchPools(ctx, p.path, cmp.Or(p.every, poolsEvery), func(pools.Set, []config.Fault) {
			// What it was told is read again in turn: a swap may have come between.
			select {
			case looked <- struct{}{}:
			default:
			}
		})
	})
	group.Go(func() error {
		pause := cmp.Or(p.again, poolsAgain)
		again := time.NewTimer(pause)
		defer again.Stop()
		again.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-looked:
			case <-again.C:
			}
			if err := p.Take(ctx); err != nil && ctx.Err() == nil {
				p.log.Error("pool config", "file", p.path, "error", err)
				again.Reset(pause)
			}
		}
	})
	return group.Wait()
}

// Take puts in force what stands in the file. A faulty one changes nothing, and
// what is wrong with it is told by Faults.
func (p *poolsFile) Take(ctx context.Context) error {
	done, err := p.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	set, faults := p.load()
	if len(faults) > 0 {
		return p.refuse(ctx, faults)
	}
	p.refusedAs = ""
	_, _, err = p.sets.Apply(ctx, "slipway", "file", set)
	return err
}

// refuse tells of a faulty file, once for the same faults.
func (p *poolsFile) refuse(ctx context.Context, faults []config.Fault) error {
	why := faulty(faults)
	if why.Error() == p.refusedAs {
		return nil
	}
	p.log.Warn("pool config with faults changes nothing", "file", p.path, "faults", inWords(faults))
	if err := p.noteRefusal(ctx, "slipway", "pools.apply", "pools", why); err != nil {
		return fmt.Errorf("journal a faulty pool config: %w", err)
	}
	p.refusedAs = why.Error()
	return nil
}

// Faults are those that the file had when it was last read.
func (p *poolsFile) Faults() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return inWords(p.faults)
}

// Findings are the same for the doctor.
func (p *poolsFile) Findings() []reconcile.Finding {
	var out []reconcile.Finding
	for _, f := range p.Faults() {
		out = append(out, reconcile.Finding{
			Area: "pools", Fault: f, Mend: "mend the file; until then the pool config before it stays in force (`slipway pools show`)",
		})
	}
	return out
}

// Swap gives a coordinate another assignment: by one line of the file, or by a
// patch to it where it cannot be written.
func (p *poolsFile) Swap(ctx context.Context, by string, o server.SwapOrder) (server.Swapped, error) {
	fail := func(err error) (server.Swapped, error) {
		return server.Swapped{}, p.refused(ctx, by, "pools.swap", o.Address.String(), err)
	}
	done, err := p.begin(ctx)
	if err != nil {
		return server.Swapped{}, err
	}
	defer done()
	set, faults := p.load()
	if len(faults) > 0 {
		return fail(faulty(faults))
	}
	name := o.Assignment
	if name == "" {
		if name, err = config.MatchAssignment(set, o.Provider, o.Model); err != nil {
			return fail(fault.AsPermanent(err))
		}
	}
	edited, diff, err := config.Swap([]byte(set.Source), o.Address, name)
	if err != nil {
		return fail(fault.AsPermanent(err))
	}
	next, wrong := p.parse(string(edited), set)
	if len(wrong) > 0 {
		return fail(faulty(wrong))
	}
	c := revision{
		by: by, action: "pools.swap", subject: o.Address.String(), why: "swap", diff: diff, dry: o.DryRun,
		next: next, files: []written{{p.name(), string(edited)}},
	}
	if diff == "" {
		c.files = nil
	}
	return p.carryOut(ctx, c)
}

// Rollback puts an earlier set in force again, with the prompts as they were
// then; 0 is the one before.
func (p *poolsFile) Rollback(ctx context.Context, by string, number int64) (server.Swapped, error) {
	subject := "pools"
	if number > 0 {
		subject += " " + strconv.FormatInt(number, 10)
	}
	fail := func(err error) (server.Swapped, error) {
		return server.Swapped{}, p.refused(ctx, by, "pools.rollback", subject, err)
	}
	past, err := p.sets.History(ctx, server.MostSets)
	if err != nil {
		return server.Swapped{}, err
	}
	target, err := goal(past, number)
	if err != nil {
		return fail(fault.AsPermanent(err))
	}
	done, err := p.begin(ctx)
	if err != nil {
		return server.Swapped{}, err
	}
	defer done()
	now, _ := p.load()
	next, wrong := p.parse(target.Source, target.Set)
	if len(wrong) > 0 {
		return fail(faulty(wrong))
	}
	c := revision{by: by, action: "pools.rollback", subject: subject, why: fmt.Sprintf("rollback to %d", target.Number), next: next}
	c.files, c.diff, err = p.restoring(now.Source, target)
	if err != nil {
		return fail(fault.AsPermanent(err))
	}
	return p.carryOut(ctx, c)
}

// revision is a change of the file that is to be made.
type revision struct {
	by, action, subject, why string
	diff                     string
	dry                      bool
	next                     pools.Set
	files                    []written
}

// carryOut writes the files and puts the set in force. What it will do is
// journalled before (A1): cut off after the files, it is the watcher that puts
// them in force.
func (p *poolsFile) carryOut(ctx context.Context, c revision) (server.Swapped, error) {
	inForce, _, err := p.sets.Set(ctx)
	if err != nil {
		return server.Swapped{}, err
	}
	out := server.Swapped{Number: inForce.Number, Diff: c.diff, Changes: pools.Diff(inForce.Set, c.next)}
	switch {
	case len(out.Changes) == 0 && len(c.files) == 0:
		out.Result = server.Unchanged
		return out, nil
	case c.dry:
		out.Result = server.Planned
		return out, nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), poolsPatience)
	defer cancel()
	prepared, err := prepare(p.folder(), c.files)
	if err == nil {
		defer prepared.drop()
		e := journal.Entry{
			At: time.Now(), Actor: c.by, Action: c.action, Subject: c.subject, Identity: c.next.Hash(), Reason: c.why,
			Data: map[string]string{"diff": lines(c.diff)},
		}
		if err := p.note(ctx, e); err != nil {
			return server.Swapped{}, fmt.Errorf("journal what is to be done: %w", err)
		}
		err = prepared.put()
	}
	if err != nil {
		out.Result, out.Reason = server.Patch, err.Error()
		why := fmt.Errorf("%s cannot be written from here, and a patch was given: %w", p.path, err)
		if err := p.noteRefusal(ctx, c.by, c.action, c.subject, why); err != nil {
			return server.Swapped{}, err
		}
		return out, nil
	}
	p.found(nil)
	set, _, err := p.sets.Apply(ctx, c.by, c.why, c.next)
	if err != nil {
		return server.Swapped{}, fmt.Errorf("the file is written, and will be in force once the store answers: %w", err)
	}
	out.Result, out.Number = server.Applied, set.Number
	return out, nil
}

// begin waits for its turn, which done ends.
func (p *poolsFile) begin(ctx context.Context) (done func(), err error) {
	select {
	case <-p.turn:
		return func() { p.turn <- struct{}{} }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for the pool config: %w", ctx.Err())
	}
}

func (p *poolsFile) load() (pools.Set, []config.Fault) {
	set, faults := config.LoadPools(p.path)
	if len(faults) == 0 {
		faults = p.also(set)
	}
	p.found(faults)
	return set, faults
}

// found keeps what is wrong with the file now.
func (p *poolsFile) found(faults []config.Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = faults
	p.count(len(faults))
}

// parse reads a text under the prompts of a set.
func (p *poolsFile) parse(text string, of pools.Set) (pools.Set, []config.Fault) {
	prompts := map[string]string{}
	for _, a := range of.Assignments {
		prompts[a.Prompt.File] = a.Prompt.Text
	}
	set, faults := config.ParsePools(p.path, []byte(text), func(file string) ([]byte, error) {
		text, ok := prompts[file]
		if !ok {
			return nil, errors.New("it is not kept")
		}
		return []byte(text), nil
	})
	if len(faults) == 0 {
		faults = p.also(set)
	}
	return set, faults
}

// refused journals that something could not be ordered, and gives why.
func (p *poolsFile) refused(ctx context.Context, by, action, subject string, why error) error {
	if err := p.noteRefusal(ctx, by, action, subject, why); err != nil {
		p.log.Error("journal a refusal", "action", action, "subject", subject, "error", err)
	}
	return why
}

func (p *poolsFile) noteRefusal(ctx context.Context, by, action, subject string, why error) error {
	return p.note(ctx, journal.Entry{At: time.Now(), Actor: by, Action: "refused." + action, Subject: subject, Reason: short(why.Error())})
}

// goal is the set to go back to.
func goal(past []dispatcher.StoredSet, number int64) (dispatcher.StoredSet, error) {
	if len(past) == 0 {
		return dispatcher.StoredSet{}, errors.New("there is no pool config yet to go back from")
	}
	if number == 0 {
		if len(past) < 2 {
			return dispatcher.StoredSet{}, fmt.Errorf("pool config %d is the first: there is none before it", past[0].Number)
		}
		return past[1], nil
	}
	for _, s := range past {
		if s.Number == number {
			return s, nil
		}
	}
	return dispatcher.StoredSet{}, fmt.Errorf("there is no pool config %d; the last ones are %d to %d", number, past[len(past)-1].Number, past[0].Number)
}

// faulty is the error that names every fault.
func faulty(faults []config.Fault) error {
	all := make([]error, 0, len(faults))
	for _, f := range faults {
		all = append(all, f)
	}
	return fault.AsPermanent(errors.Join(all...))
}

func inWords(faults []config.Fault) []string {
	var out []string
	for _, f := range faults {
		out = append(out, f.Error())
	}
	return out
}
