package reconcile_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"testing"
	"time"

	"slipway/internal/journal"
	"slipway/internal/reconcile"
)

// rounds is a patrol whose findings a test sets.
type rounds struct {
	now     time.Time
	finds   []reconcile.Finding
	entries []string
	failing error
	alarms  int
	count   int
}

func (r *rounds) patrol() reconcile.Patrol {
	return reconcile.Patrol{
		Ask:  func(context.Context) []reconcile.Finding { return r.finds },
		Next: func(time.Time) time.Time { return time.Time{} }, Limit: time.Second,
		Record: func(_ context.Context, entries []journal.Entry) error {
			if r.failing != nil {
				return r.failing
			}
			for _, e := range entries {
				r.entries = append(r.entries, e.Action+" "+e.Subject+" "+e.Data["mend"])
			}
			slices.Sort(r.entries)
			return nil
		},
		Found: func(n int) { r.count = n }, Alarmed: func(string) { r.alarms++ },
		Now: func() time.Time { return r.now }, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
}

func TestAPatrolTellsWhatIsNewAndWhatIsGone(t *testing.T) {
	protection := reconcile.Finding{Area: "set-up of acme/app", Fault: "branch main: approvals is 1", Mend: "slipway onboard acme/app"}
	tests := []struct {
		name   string
		known  []reconcile.Finding
		finds  []reconcile.Finding
		want   []string
		alarms int
	}{
		{"nothing wrong is nothing to tell", nil, nil, nil, 0},
		{"what is new is told with its mend", nil, []reconcile.Finding{protection}, []string{"drift.found set-up of acme/app slipway onboard acme/app"}, 1},
		{"what was told is not told again", []reconcile.Finding{protection}, []reconcile.Finding{protection}, nil, 0},
		{"what is gone is told", []reconcile.Finding{protection}, nil, []string{"drift.gone set-up of acme/app slipway onboard acme/app"}, 0},
		{"another port is the same fault", []reconcile.Finding{{Area: "forge", Fault: "dial 127.0.0.1:4711 refused"}},
			[]reconcile.Finding{{Area: "forge", Fault: "dial 127.0.0.1:4712 refused"}}, nil, 0},
		{"the same fault elsewhere is another", []reconcile.Finding{{Area: "a", Fault: "x"}}, []reconcile.Finding{{Area: "b", Fault: "x"}},
			[]string{"drift.found b ", "drift.gone a "}, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := &rounds{finds: test.known}
			before := r.patrol().Round(t.Context(), reconcile.Known{})
			r.entries, r.alarms, r.finds = nil, 0, test.finds
			r.patrol().Round(t.Context(), before)
			if !slices.Equal(r.entries, test.want) || r.alarms != test.alarms || r.count != len(test.finds) {
				t.Errorf("%q, %d alarms, %d found", r.entries, r.alarms, r.count)
			}
		})
	}
}

func TestAPatrolThatCannotRecordTellsAgain(t *testing.T) {
	r := &rounds{finds: []reconcile.Finding{{Area: "a", Fault: "x"}}, failing: errors.New("disk full")}
	known := r.patrol().Round(t.Context(), reconcile.Known{})
	r.failing = nil
	r.patrol().Round(t.Context(), known)
	if !slices.Equal(r.entries, []string{"drift.found a "}) {
		t.Errorf("%q", r.entries)
	}
}

func TestAPatrolThatIsCutOffTakesNothingForGone(t *testing.T) {
	r := &rounds{finds: []reconcile.Finding{{Area: "a", Fault: "x"}}}
	known := r.patrol().Round(t.Context(), reconcile.Known{})
	r.entries, r.finds = nil, nil
	cut, cancel := context.WithCancel(t.Context())
	cancel()
	if after := r.patrol().Round(cut, known); len(after) != 1 || len(r.entries) > 0 {
		t.Errorf("%v, %q", after, r.entries)
	}
}

func TestAPatrolFollowsItsScheduleAndEndsWithItsContext(t *testing.T) {
	r := &rounds{}
	asked := make(chan struct{})
	p := r.patrol()
	p.Now = time.Now
	p.Ask = func(context.Context) []reconcile.Finding { asked <- struct{}{}; return nil }
	p.Next = func(after time.Time) time.Time { return after.Add(time.Millisecond) }
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { p.Run(ctx); close(ended) }()
	for range 3 {
		<-asked
	}
	cancel()
	for {
		select {
		case <-asked:
		case <-ended:
			return
		}
	}
}

func TestARoundThatRanOutOfTimeTakesNothingForGone(t *testing.T) {
	r := &rounds{finds: []reconcile.Finding{{Area: "a", Fault: "x"}}}
	known := r.patrol().Round(t.Context(), reconcile.Known{})
	r.entries = nil
	p := r.patrol()
	p.Limit = time.Millisecond
	p.Ask = func(ctx context.Context) []reconcile.Finding { <-ctx.Done(); return nil }
	if after := p.Round(t.Context(), known); len(after) != 1 || len(r.entries) > 0 {
		t.Errorf("%v, %q", after, r.entries)
	}
}
