//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package store

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestKilledWhileItWrites holds A5 for the store: whatever was answered is
// there after a SIGKILL at any moment, and nothing is there in part.
func TestKilledWhileItWrites(t *testing.T) {
	path := place(t)
	rounds := 8
	if testing.Short() {
		rounds = 3
	}
	seed := uint64(time.Now().UnixNano()) //nolint:gosec // any bits will do
	t.Logf("seed %d", seed)
	moments := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // not a secret
	answered := map[int64]int64{}
	for round := range rounds {
		// The first round dies while the store is being made.
		lines := 1
		if round > 0 {
			lines = 1 + moments.IntN(80)
		}
		acks := killAfter(t, path, lines)
		for w, n := range acks {
			answered[w] = max(answered[w], n)
		}
		s, err := Open(t.Context(), Options{Path: path})
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		answered = wantWhole(t, s, answered, "")
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if t.Failed() {
			return
		}
	}
	var total int64
	for _, n := range answered {
		total += n
	}
	t.Logf("%d whole writes after %d kills", total, rounds)
	if total == 0 {
		t.Fatal("nothing was ever written")
	}
}

// killAfter starts a writing child, kills it after it has said that many
// lines, and returns the last write answered to each worker.
func killAfter(t *testing.T, path string, lines int) map[int64]int64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := child(ctx, t, "write", path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	acks := map[int64]int64{}
	said := bufio.NewScanner(out)
	for n := 1; said.Scan(); n++ {
		if n == lines {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
		var word string
		var w, write int64
		if _, err := fmt.Sscanf(said.Text(), "%s %d %d", &word, &w, &write); err != nil {
			t.Fatalf("child said %q: %v", said.Text(), err)
		}
		if word == "ack" {
			acks[w] = max(acks[w], write)
		}
	}
	_ = cmd.Wait() // it was killed
	if ctx.Err() != nil || complaint.Len() > 0 {
		t.Fatalf("child: %v: %s", ctx.Err(), complaint.String())
	}
	return acks
}

// TestStarvedOfDisk holds that a write which the disk refuses is answered as
// such, leaves nothing in part, and that the same server goes on afterwards.
func TestStarvedOfDisk(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	path := place(t)
	out, err := child(ctx, t, "starve", path).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Logf("%s", bytes.TrimSpace(out))
	wantWhole(t, mustOpen(t, path), map[int64]int64{}, ballast)
}

const ballast = "0123456789abcdef"

// childStarves writes until no file may grow any more, and then goes on when
// they may again.
func childStarves(path string) error {
	signal.Ignore(unix.SIGXFSZ)
	s, err := Open(context.Background(), Options{Path: path})
	if err != nil {
		return err
	}
	defer s.Close()
	var limits unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &limits); err != nil {
		return err
	}
	starved := limits
	starved.Cur = 1 << 20
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &starved); err != nil {
		return err
	}
	answered := make([]int64, workers)
	refused := make([]error, workers)
	inParallel(func(w int64) {
		for {
			n, err := writeNext(s, w, ballast)
			if err != nil {
				refused[w] = err
				return
			}
			answered[w] = n
		}
	})
	for w := range int64(workers) {
		c, _, err := s.Change(context.Background(), pullID(w+1))
		if err != nil || c.Rev != answered[w] {
			return fmt.Errorf("worker %d: %d writes are there, %d were answered: %w", w, c.Rev, answered[w], err)
		}
	}
	fmt.Println("refused after", answered, "with:", refused[0])
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &limits); err != nil {
		return err
	}
	faults := make([]error, workers)
	inParallel(func(w int64) {
		for range 5 {
			if _, err := writeNext(s, w, ballast); err != nil {
				faults[w] = err
			}
		}
	})
	for _, err := range faults {
		if err != nil {
			return fmt.Errorf("with room again: %w", err)
		}
	}
	return s.Close()
}

// child is this test binary, told to be something else.
func child(ctx context.Context, t *testing.T, what, path string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), childEnv+"="+what, pathEnv+"="+path)
	return cmd
}
