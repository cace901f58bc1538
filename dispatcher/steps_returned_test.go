package dispatcher

import (
	"errors"
	"testing"
)

func TestAnAttemptThatAStoppedWorkerHandsBackIsNoTry(t *testing.T) {
	stopped := Failure{Beat: Beat{Amount: 1_000_000}, Reason: "the worker was told to stop", Returned: true}
	t.Run("its item is offered at once, and what it cost counts", func(t *testing.T) {
		y := newYard(t)
		y.want("ann", Submission{Attempts: 1})
		c := y.claim("builder-lite-0")
		for range 2 { // the second time as good as the first
			if err := y.failed(c, stopped); err != nil {
				t.Fatal(err)
			}
		}
		i, a := y.stands(1, Ready), y.attempt(1)
		if i.Tries != 0 || i.Spent != 1_000_000 || i.Reserved != 0 || a.Outcome != Returned || y.said("work.returned") != 1 {
			t.Errorf("the item is %+v after %+v", i, a)
		}
		if got := y.ask("builder-lite-1"); len(got) != 1 {
			t.Errorf("the next is given %+v", got)
		}
	})
	t.Run("an item whose budget it used up is given up", func(t *testing.T) {
		y := newYard(t)
		y.want("ann", Submission{Budget: 1_000_000})
		if err := y.failed(y.claim("builder-lite-0"), stopped); err != nil {
			t.Fatal(err)
		}
		y.stands(1, Dead)
	})
	t.Run("one that has registered something has failed", func(t *testing.T) {
		y := newYard(t)
		y.want("ann", Submission{Attempts: 2})
		c := y.claim("builder-lite-0")
		if err := errors.Join(y.register(c, 1, 1), y.failed(c, stopped)); err != nil {
			t.Fatal(err)
		}
		if i, a := y.stands(1, Ready), y.attempt(1); i.Tries != 1 || a.Outcome != Failed {
			t.Errorf("the item is %+v after %+v", i, a)
		}
	})
	t.Run("one that was to stand down has stood down", func(t *testing.T) {
		y := newYard(t)
		y.want("ann", Submission{})
		c := y.claim("builder-lite-0")
		if err := errors.Join(y.cancel(1, "no"), y.failed(c, stopped)); err != nil {
			t.Fatal(err)
		}
		if i, a := y.stands(1, Cancelled), y.attempt(1); a.Outcome != StoodDown {
			t.Errorf("the item is %+v after %+v", i, a)
		}
	})
	t.Run("workers that stop without end use the item up", func(t *testing.T) {
		y := newYard(t)
		y.want("ann", Submission{Attempts: 1})
		for n := 0; n <= mostReturns; n++ {
			if err := y.failed(y.claim("builder-lite-0"), Failure{Returned: true}); err != nil {
				t.Fatal(err)
			}
		}
		if i := y.stands(1, Dead); i.Tries != 1 {
			t.Errorf("the item is %+v", i)
		}
	})
}
