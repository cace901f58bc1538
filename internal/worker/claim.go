package worker

import (
	"context"
	"crypto/rand"
	"errors"
	"math"
	mathrand "math/rand/v2"
	"time"

	"slipway/dispatcher"
	"slipway/internal/fault"
)

// longestHold bounds how long a server can ask to be left alone.
const longestHold = 5 * time.Minute

// errEarly says that a claim was answered with nothing long before its time. So
// the server answers whoever has to make way for another of the same coordinate,
// and everybody once it stops. Two that ask again at once would do nothing else.
var errEarly = errors.New("the server gave nothing, and did not wait: does another worker ask as this coordinate?")

// claim asks until there is work, ctx ends or it is of no use. The same claim
// is asked again after a lost answer, so that its attempt is not lost with it.
func (w *Worker) claim(ctx context.Context) (*dispatcher.Grant, error) {
	request := rand.Text()
	for tries := 0; ; {
		wait, asked := time.Duration(w.pace.poll)*w.pace.second, time.Now()
		timed, cancel := context.WithTimeout(ctx, wait+2*w.pace.call)
		grant, err := w.Desk.Claim(timed, dispatcher.ClaimRequest{Request: request, Builder: w.Address, Wait: w.pace.poll})
		cancel()
		switch {
		case grant != nil && err == nil:
			return grant, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err == nil && time.Since(asked) >= wait/2:
			request, tries = rand.Text(), 0
			continue
		case err == nil:
			request, err = rand.Text(), errEarly
		case fault.KindOf(err) == fault.Permanent, errors.Is(err, dispatcher.ErrForeign):
			return nil, err
		}
		pause := w.pause(tries, err)
		if tries++; tries == 1 || tries%10 == 0 {
			w.tell(Event{What: "waiting", Reason: "no work can be asked for: " + err.Error()})
		}
		if !rest(ctx, pause) {
			return nil, ctx.Err()
		}
	}
}

// pause is how long to wait after so many failed calls: at random up to a bound
// that doubles, and not less than the server asks for.
func (w *Worker) pause(tries int, err error) time.Duration {
	bound := min(float64(w.pace.first)*math.Pow(2, float64(min(tries, 20))), float64(w.pace.most))
	pause := time.Duration(bound/2 + mathrand.Float64()*bound/2) //nolint:gosec // chance that spreads calls, no secret
	if at, ok := fault.When(err); ok {
		pause = max(pause, min(time.Until(at), longestHold))
	}
	return pause
}

func (w *Worker) tell(e Event) {
	e.At, e.Builder, e.Reason = time.Now(), w.Address.String(), w.mask(e.Reason)
	w.Tell(e)
}

// rest waits; false when ctx ends first.
func rest(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
