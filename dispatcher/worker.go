package dispatcher

import (
	"context"

	"slipway/pools"
)

// Beat takes a heartbeat of a coordinate's attempt, and answers until when it
// holds it and whether it is to stop. A call that is refused is journalled, and
// is ErrStale for an attempt that is not held any more, ErrForeign for another
// coordinate's, ErrUnknown for none.
func (d *Dispatcher) Beat(ctx context.Context, as pools.Address, id AttemptID, b Beat) (p Pulse, err error) {
	err = d.obey(ctx, Scope{Attempt: id, Seats: []pools.Address{as}}, func(v View) (w Write, err error) {
		w, p, err = beat(v, d.terms, as, id, b)
		return w, err
	})
	return p, err
}

// Complete ends an attempt well: what it claims to have done is awaited from now
// on; see Beat for the errors.
func (d *Dispatcher) Complete(ctx context.Context, as pools.Address, id AttemptID, c Completion) error {
	return d.obey(ctx, Scope{Attempt: id, Seats: []pools.Address{as}}, func(v View) (Write, error) { return complete(v, d.terms, as, id, c) })
}

// Fail ends an attempt badly; see Beat for the errors.
func (d *Dispatcher) Fail(ctx context.Context, as pools.Address, id AttemptID, f Failure) error {
	return d.obey(ctx, Scope{Attempt: id, Seats: []pools.Address{as}}, func(v View) (Write, error) { return fail(v, d.terms, as, id, f) })
}
