//go:build linux

// Package dispatch_test lets a crowd of workers, each a process of its own, take
// work from a dispatcher while they and the servers are killed and stalled at
// random, their clocks are wrong, and their calls come twice and late. Then it
// reads what was journalled, and holds that against what the workers were told.
package dispatch_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"slipway/pools"
)

// childEnv tells the test binary to be something else.
const childEnv = "SLIPWAY_DISPATCH_TEST_CHILD"

// part is what a child is to be.
type part struct {
	Role string `json:"role"` // server or worker
	// Store is a path of SQLite, or what is said after "postgres:".
	Store   string        `json:"store,omitempty"`
	Socket  string        `json:"socket,omitempty"`  // of the server
	Sockets []string      `json:"sockets,omitempty"` // of all of them, for a worker
	Workers int           `json:"workers,omitempty"`
	As      pools.Address `json:"as"`
	Seed    uint64        `json:"seed"`
	Lease   time.Duration `json:"lease"`
	// Skew is how far the process's clock is wrong.
	Skew time.Duration `json:"skew"`
}

func TestMain(m *testing.M) {
	text := os.Getenv(childEnv)
	if text == "" {
		os.Exit(m.Run())
	}
	if err := play(text); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// play is a child until its input ends: whoever started it is gone then.
func play(text string) error {
	var p part
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // any end of it is the end
		cancel()
	}()
	if p.Role == "server" {
		return serve(ctx, p)
	}
	newWorker(p).run(ctx)
	return nil
}

// pause waits; it is false when ctx has ended.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

func seat(n int) pools.Address { return pools.Address{Role: "builder", Tier: "lite", Replica: n} }
