//go:build unix

package gate_test

import (
	"syscall"
	"testing"
	"time"

	"slipway/gate"
)

// BenchmarkB5 is one verdict over 20 checks, 20 reviews and 200 files, and, for
// its growth, one over ten times as much beside ten times the former. It counts
// the time of this process on the processors, its garbage collection with it:
// the clock on the wall counts what else the machine does.
func BenchmarkB5(b *testing.B) {
	verdict := func(n int) func() {
		s, p := large(n)
		if v := gate.Evaluate(s, p, now); v.Outcome != gate.Merge {
			b.Fatalf("%d: %s: %v", n, v.Outcome, v.Reasons)
		}
		return func() { gate.Evaluate(s, p, now) }
	}
	one, ten := verdict(20), verdict(200)
	const turns, each = 20, 20
	var small, big time.Duration
	rounds := 0
	for b.Loop() {
		rounds++
		for range turns {
			small += spent(b, 10*each, one) // as much of everything in both
			big += spent(b, each, ten)
		}
	}
	all := float64(rounds * turns * each)
	b.ReportMetric(float64(small.Nanoseconds())/(10*all), "ns/op")
	b.ReportMetric(float64(small.Nanoseconds())/all, "ns/op-10x")
	b.ReportMetric(float64(big.Nanoseconds())/all, "ns/op-x10")
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
