package dispatcher

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"slipway/gate"
	"slipway/internal/fault"
	"slipway/internal/ref"
	"slipway/pools"
)

const (
	// lag is how long a forge may go on to show an older head after a push.
	lag = 20 * time.Second
	// forgePatience is how long one look at the forge may take.
	forgePatience = 10 * time.Second
)

// binding is what a registration wants to bind, and the item and attempt that it
// binds it to.
type binding struct {
	Registration
	item    Item
	attempt Attempt
	login   string
}

// Register binds a pull request and its head to an attempt (W2); see Beat for
// the errors. What a build registers is compared with what the forge shows: only
// what the coordinate opened from the attempt's branch, at the head that it
// names, is bound. While the forge cannot tell, or shows another head as yet, the
// error is fault.Later.
func (d *Dispatcher) Register(ctx context.Context, as pools.Address, id AttemptID, r Registration) error {
	others, err := d.Store.Attempts(ctx, Filter{Pull: r.Pull, Kind: Build})
	if err != nil {
		return err
	}
	var b *binding
	err = d.obey(ctx, Scope{Attempt: id}, func(v View) (Write, error) {
		w, err := register(v, d.terms, as, id, r, others)
		b = d.open(v, id, r, w)
		if b != nil && err == nil {
			return Write{}, nil // once the forge was asked
		}
		return w, err
	})
	if err != nil || b == nil {
		return err
	}
	why, err := d.dispute(ctx, *b)
	if err != nil {
		return fmt.Errorf("attempt %d: register %s: %w", id, r.Pull, err)
	}
	return d.obey(ctx, Scope{Attempt: id}, func(v View) (Write, error) {
		if why != "" {
			return call{as, id, r.Token, "register"}.deny(v, r, why)
		}
		return register(v, d.terms, as, id, r, others)
	})
}

// open is the binding that the forge has to be asked about before w is written;
// nil for none.
func (d *Dispatcher) open(v View, id AttemptID, r Registration, w Write) *binding {
	if d.Pull == nil || len(w.Attempts) == 0 {
		return nil
	}
	s, a := call{id: id}.find(v)
	if a == nil || s.work.Item.Kind != Build {
		return nil
	}
	return &binding{Registration: r, item: s.work.Item, attempt: *a, login: d.login(a.Address)}
}

// dispute asks the forge, and says why a pull request cannot be bound; "" when it
// can. An error is for later.
func (d *Dispatcher) dispute(ctx context.Context, b binding) (why string, err error) {
	ctx, cancel := context.WithTimeout(ctx, forgePatience)
	defer cancel()
	p, err := d.Pull(ctx, b.Registration.Pull)
	switch {
	case fault.KindOf(err) == fault.Permanent:
		return fmt.Sprintf("there is no such pull request: %s", clip(err.Error(), longestReason)), nil
	case err != nil:
		return "", err
	}
	if why := b.unlike(p); why != "" {
		return why, nil
	}
	if p.Open != ref.Yes && p.Merged != ref.Yes {
		if p.Open == ref.No && p.Merged == ref.No {
			return "it was closed", nil
		}
		return "", fmt.Errorf("the forge does not know as yet whether it is open")
	}
	if !strings.EqualFold(string(p.Head), string(b.Registration.Head)) {
		why := fmt.Sprintf("its head is %s, and not %s", p.Head, b.Registration.Head)
		if d.late.over(b.attempt.ID, b.Registration.Head, d.clock.show()) {
			return why, nil
		}
		return "", fmt.Errorf("%s as yet", why)
	}
	d.late.forget(b.attempt.ID)
	return "", nil
}

// unlike says in what a pull request is not the attempt's; "" for nothing.
func (b binding) unlike(p gate.PullRequest) string {
	switch {
	case p.Author == "":
		return "nobody knows whose it is"
	case strings.ToLower(p.Author) != b.login:
		return fmt.Sprintf("it is %s's, and the attempt is %s's", p.Author, b.login)
	case p.HeadRepo.IsZero():
		return "it comes from another repository, which is gone"
	case !strings.EqualFold(p.HeadRepo.String(), b.item.Repo.String()):
		return "it comes from " + p.HeadRepo.String() + ", and the work is on " + b.item.Repo.String()
	case p.HeadBranch != b.attempt.Branch:
		return fmt.Sprintf("it comes from the branch %s, and the attempt's is %s", p.HeadBranch, b.attempt.Branch)
	case b.item.Base != "" && p.Base != b.item.Base:
		return fmt.Sprintf("it goes to %s, and the work to %s", p.Base, b.item.Base)
	default:
		return ""
	}
}

// deny refuses a registration that the forge speaks against, if the call may be
// made at all.
func (c call) deny(v View, r Registration, why string) (Write, error) {
	h, w, err := c.held(v)
	if err != nil {
		return w, err
	}
	return c.refusal(v, h.a, why), unfitted(c.id, r, why)
}

// unfitted is the error of a registration that is refused.
func unfitted(id AttemptID, r Registration, why string) error {
	return fault.AsPermanent(fmt.Errorf("attempt %d cannot register %s at %s: %s", id, r.Pull, r.Head, why))
}

// lateness is since when attempts wait for the forge to show the head that they
// pushed.
type lateness struct {
	mu    sync.Mutex
	since map[AttemptID]lateHead
}

type lateHead struct {
	head  ref.SHA
	since time.Time
}

// over says whether the forge has had its time to show a head, which begins when
// somebody first asks.
func (l *lateness) over(id AttemptID, head ref.SHA, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for other, late := range l.since {
		if now.Sub(late.since) > 10*lag {
			delete(l.since, other) // it has given up, or starts anew
		}
	}
	if was, known := l.since[id]; known && was.head == head {
		return now.Sub(was.since) >= lag
	}
	l.since[id] = lateHead{head, now}
	return false
}

// forget lets an attempt's next head have its own time.
func (l *lateness) forget(id AttemptID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.since, id)
}
