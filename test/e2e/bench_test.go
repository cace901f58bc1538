package e2e_test

import (
	"context"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"slipway/gate"
	"slipway/test/servers/kubernetes"
	"slipway/test/stage"
)

// pullsOf is how many pull requests a median is of. SLIPWAY_PULLS has a look at
// fewer while something is being mended.
func pullsOf(b *testing.B) int {
	b.Helper()
	text := os.Getenv("SLIPWAY_PULLS")
	if text == "" {
		return 30
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		b.Fatalf("SLIPWAY_PULLS is %q: want how many pull requests, such as 5", text)
	}
	return n
}

// scan is the only required check of these projects: whoever benches posts it,
// so that no CI runner takes part in what is measured.
const scan = "scan"

// BenchmarkB1 is the time from the last approval to the merge, beside the
// forge's own merge call for a pull request that is ready. They take turns.
func BenchmarkB1(b *testing.B) {
	for b.Loop() {
		s := benchStage(b)
		ours, theirs := newYard(b, s, "b1-ours", true), newYard(b, s, "b1-theirs", false)
		bob, carol := s.Reviewers[0], s.Reviewers[1]
		var took, reference []time.Duration
		for n := range pullsOf(b) {
			id := ours.propose(n)
			ours.post(id, gate.StateSuccess)
			ours.approve(id, bob)
			ours.lacks(id, gate.CodeApprovals)
			ours.rests(id)
			ours.approve(id, carol)
			began := time.Now()
			ended := ours.mergeCalled(id)
			took = append(took, ended.Sub(began))
			ours.tell(id, began, ended)

			id = theirs.propose(n)
			theirs.post(id, gate.StateSuccess)
			theirs.approve(id, bob, carol)
			theirs.rests(id)
			theirs.mergeable(id)
			reference = append(reference, theirs.merge(id, false))
			theirs.tell(id, time.Now().Add(-reference[n]), time.Now())
		}
		report(b, took, reference)
	}
}

// BenchmarkB2 is the time from the last status to the merge, beside the forge's
// own merge when checks succeed.
func BenchmarkB2(b *testing.B) {
	for b.Loop() {
		took, reference := whenChecksSucceed(b, benchStage(b), "b2", pullsOf(b))
		report(b, took, reference)
	}
}

// BenchmarkB2Stock is the same on the settings that the forge comes with. It is
// held to nothing, and takes a third of the pull requests.
func BenchmarkB2Stock(b *testing.B) {
	for b.Loop() {
		took, reference := whenChecksSucceed(b, stockStage(b), "stock", max(1, pullsOf(b)/3))
		report(b, took, reference)
	}
}

func whenChecksSucceed(b *testing.B, s *stage.Stage, name string, pulls int) (took, reference []time.Duration) {
	b.Helper()
	ours, theirs := newYard(b, s, name+"-ours", true), newYard(b, s, name+"-theirs", false)
	for n := range pulls {
		id := ours.propose(n)
		ours.approve(id, s.Reviewers...)
		ours.lacks(id, gate.CodeCheckMissing)
		ours.rests(id)
		ours.post(id, gate.StateSuccess)
		began := time.Now()
		ended := ours.closed(id)
		took = append(took, ended.Sub(began))
		ours.tell(id, began, ended)

		id = theirs.propose(n)
		theirs.approve(id, s.Reviewers...)
		theirs.mergeable(id)
		theirs.merge(id, true)
		theirs.rests(id)
		theirs.post(id, gate.StateSuccess)
		began = time.Now()
		ended = theirs.closed(id)
		reference = append(reference, ended.Sub(began))
		theirs.tell(id, began, ended)
	}
	return took, reference
}

// BenchmarkB3 is how often a change is looked at while a storm of events is
// about it.
func BenchmarkB3(b *testing.B) {
	const storm, every = 20 * time.Second, 10 * time.Millisecond
	for b.Loop() {
		y := newYard(b, benchStage(b), "b3", true)
		id := y.propose(0)
		y.lacks(id, gate.CodeApprovals, gate.CodeCheckMissing)
		before, began, events := y.looks(), time.Now(), 0
		tick := time.NewTicker(every)
		for time.Since(began) < storm {
			<-tick.C
			y.deliver(id)
			events++
		}
		tick.Stop()
		took := time.Since(began).Seconds()
		b.ReportMetric(float64(y.looks()-before)/took, "looks/s")
		b.ReportMetric(float64(events)/took, "events/s")
		b.ReportMetric(0, "ns/op")
	}
}

func report(b *testing.B, took, reference []time.Duration) {
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(took), "ours-ms")
	b.ReportMetric(median(reference), "reference-ms")
}

func median(list []time.Duration) float64 {
	slices.Sort(list)
	return float64(list[len(list)/2].Microseconds()) / 1e3
}

func benchStage(b *testing.B) *stage.Stage {
	b.Helper()
	s, err := shared.stage()
	if err != nil {
		b.Fatal(err)
	}
	return s
}

// stockStage is one on a forge with the settings that it comes with.
func stockStage(b *testing.B) *stage.Stage {
	b.Helper()
	s, err := stage.Up(b.Context(), stage.Options{Dir: b.TempDir(), Level: kubernetes.Kwok, Stock: true})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		down, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.Down(down); err != nil {
			b.Error(err)
		}
	})
	return s
}
