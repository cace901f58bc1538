//go:build unix

package gate_test

import (
	"syscall"
	"testing"
	"time"

	"slipway/gate"
)

// BenchmarkB5 is one verdict over 20 checks, 20 reviews and 200 files, and, for
// its growth, one over ten times as much beside ten times the former. It takes
// the processor time of this process, its garbage collection with it, and of
// all turns the quickest: what else the machine does only ever adds to one.
func BenchmarkB5(b *testing.B) {
	verdict := func(n int) func() {
		s, p := large(n)
		if v := gate.Evaluate(s, p, now); v.Outcome != gate.Merge {
			b.Fatalf("%d: %s: %v", n, v.Outcome, v.Reasons)
		}
		return func() { gate.Evaluate(s, p, now) }
	}
	one, ten := verdict(20), verdict(200)
	const turns, each = 50, 20
	small, big := time.Hour, time.Hour
	for b.Loop() {
		for range turns {
			small = min(small, spent(b, 10*each, one)) // as much of everything in both
			big = min(big, spent(b, each, ten))
		}
	}
	b.ReportMetric(float64(small.Nanoseconds())/(10*each), "ns/op")
	b.ReportMetric(float64(small.Nanoseconds())/each, "ns/op-10x")
	b.ReportMetric(float64(big.Nanoseconds())/each, "ns/op-x10")
}

// spent is the processor time that it takes to do something a number of times.
func spent(b *testing.B, times int, do func()) time.Duration {
	b.Helper()
	began := used(b)
	for range times {
		do()
	}
	return used(b) - began
}

func used(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
