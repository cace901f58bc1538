package dispatcher

import (
	"fmt"
	"time"

	"slipway/pools"
)

// yard runs the steps over a ledger, as the shell runs them over a store.
type yard struct {
	*ledger
	t terms
	// asked numbers the claims.
	asked int
}

func newYard(t interface{ Fatalf(string, ...any) }) *yard {
	y := &yard{ledger: newLedger(t.Fatalf), t: testTerms}
	y.set = fixture()
	return y
}

// try offers a submission and gives what came of it.
func (y *yard) try(by string, s Submission) (item Item, existed bool, err error) {
	if s.Repo.IsZero() {
		s.Repo = app
	}
	if s.Title == "" {
		s.Title = "Mend the pump"
	}
	draft, faults := draft(by, s, "main")
	return y.add(draft, faults)
}

func (y *yard) add(draft Item, faults []string) (item Item, existed bool, err error) {
	ids, _ := y.transact(draft.scope(), func(v View) (w Write) {
		w, item, existed, err = submit(v, y.t, draft, faults)
		return w
	})
	if len(ids) > 0 {
		item.ID = ids[0]
	}
	return item, existed, err
}

// want is try for what must be taken.
func (y *yard) want(by string, s Submission) Item {
	i, _, err := y.try(by, s)
	if err != nil {
		y.fail("submit: %v", err)
	}
	return i
}

// review wants a review of a head.
func (y *yard) review(n int64, head int, avoid ...string) Item {
	i, faults := draft("slipway", Submission{Kind: Review, Repo: app, Pull: pullOf(n), Title: fmt.Sprintf("Review %s", pullOf(n))}, "main")
	i.Head, i.Avoid = headOf(head), avoid
	i, _, err := y.add(i, faults)
	if err != nil {
		y.fail("submit a review: %v", err)
	}
	return i
}

// ask is one match for some coordinates, each with a new claim.
func (y *yard) ask(names ...string) []claim {
	var all []poller
	for _, n := range names {
		y.asked++
		all = append(all, poller{at(n), fmt.Sprintf("claim %d", y.asked)})
	}
	return y.match(all...)
}

func (y *yard) match(all ...poller) (claims []claim) {
	scope := Scope{Ready: y.lanes(), PerLane: 20, Load: true, Set: true}
	for _, p := range all {
		scope.Seats, scope.Requests = append(scope.Seats, p.Address), append(scope.Requests, p.Request)
	}
	_, ids := y.transact(scope, func(v View) (w Write) {
		w, claims = match(v, y.t, all)
		return w
	})
	for n := range claims {
		claims[n].Attempt.ID = ids[n]
	}
	return claims
}

// claim is what one coordinate gets, which must be something.
func (y *yard) claim(name string) claim {
	got := y.ask(name)
	if len(got) != 1 {
		y.fail("%s got %d claims", name, len(got))
	}
	return got[0]
}

func (y *yard) beat(c claim, b Beat) (p Pulse, err error) {
	b.Token = c.Attempt.Token
	y.transact(Scope{Attempt: c.Attempt.ID, Seats: []pools.Address{c.Attempt.Address}}, func(v View) (w Write) {
		w, p, err = beat(v, y.t, c.Attempt.Address, c.Attempt.ID, b)
		return w
	})
	return p, err
}

func (y *yard) register(c claim, n int64, head int) (err error) {
	var others []Attempt
	for _, a := range y.all() {
		if a.Pull == pullOf(n) {
			others = append(others, a)
		}
	}
	y.transact(Scope{Attempt: c.Attempt.ID}, func(v View) (w Write) {
		w, err = register(v, y.t, c.Attempt.Address, c.Attempt.ID, Registration{Token: c.Attempt.Token, Pull: pullOf(n), Head: headOf(head)}, others)
		return w
	})
	return err
}

func (y *yard) complete(c claim, done Completion) (err error) {
	done.Token = c.Attempt.Token
	y.transact(Scope{Attempt: c.Attempt.ID, Seats: []pools.Address{c.Attempt.Address}}, func(v View) (w Write) {
		w, err = complete(v, y.t, c.Attempt.Address, c.Attempt.ID, done)
		return w
	})
	return err
}

func (y *yard) failed(c claim, f Failure) (err error) {
	f.Token = c.Attempt.Token
	y.transact(Scope{Attempt: c.Attempt.ID}, func(v View) (w Write) {
		w, err = fail(v, y.t, c.Attempt.Address, c.Attempt.ID, f)
		return w
	})
	return err
}

// land has a claim register a pull request and complete.
func (y *yard) land(c claim, n int64, head int) {
	if err := y.register(c, n, head); err != nil {
		y.fail("register: %v", err)
	}
	if err := y.complete(c, Completion{Verdict: "approved"}); err != nil {
		y.fail("complete: %v", err)
	}
}

func (y *yard) settle(id ItemID, l landing) {
	l.Read = true
	y.transact(Scope{Items: []ItemID{id}}, func(v View) Write {
		w, err := settle(v, y.t, id, l)
		if err != nil {
			y.fail("settle item %d: %v", id, err)
		}
		return w
	})
}

// pass lets time pass, and has the timekeeper look.
func (y *yard) pass(d time.Duration) {
	y.now = y.now.Add(d)
	y.tend()
}

func (y *yard) tend() {
	y.transact(Scope{Overdue: 1000}, func(v View) Write { return overdue(v, y.t) })
}

func (y *yard) cancel(id ItemID, reason string) (err error) {
	y.transact(Scope{Items: []ItemID{id}}, func(v View) (w Write) {
		w, err = cancel(v, y.t, "olga", id, reason)
		return w
	})
	return err
}

func (y *yard) retry(id ItemID) (err error) {
	scope := Scope{Items: []ItemID{id}}
	if int(id) <= len(y.works) {
		i := y.item(id)
		scope.Flow = i.flow()
	}
	y.transact(scope, func(v View) (w Write) {
		w, err = retry(v, y.t, "olga", id, "once more")
		return w
	})
	return err
}

func (y *yard) cordon(name string, on bool) (err error) {
	y.transact(Scope{Seats: []pools.Address{at(name)}, Set: true}, func(v View) (w Write) {
		if on {
			w, err = cordon(v, "olga", at(name), true, "its disk is full")
		} else {
			w, err = uncordon(v, "olga", at(name), "it was mended")
		}
		return w
	})
	return err
}

func (y *yard) stuck() {
	y.transact(Scope{Ready: y.lanes(), PerLane: 1000, Seats: y.set.Addresses(), Load: true, Set: true}, func(v View) Write { return stuck(v, y.t) })
}

// swap has a coordinate run another assignment from now on.
func (y *yard) swap(name, assignment string) {
	set := *y.set
	set.Replicas = map[pools.Address]string{}
	for a, runs := range y.set.Replicas {
		set.Replicas[a] = runs
	}
	set.Replicas[at(name)] = assignment
	set.Number++
	y.ledger.set = &set
}

// stands fails unless an item is in a state.
func (y *yard) stands(id ItemID, want State) Item {
	i := y.item(id)
	if i.State != want {
		y.fail("item %d is %s (%s), and not %s", id, i.State, i.Reason, want)
	}
	return i
}
