package dispatcher_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"slipway/config"
	"slipway/dispatcher"
	"slipway/internal/ref"
	"slipway/internal/store"
	"slipway/pools"
)

// BenchmarkB10 edits the one line of a pool config that swaps a coordinate's
// model, and measures how long it takes until a claim of the coordinate carries
// the new one, while another coordinate waits in a long poll all the time. It
// reports the slowest of ten swaps, and how many polls ended or coordinates
// changed their names with them.
func BenchmarkB10(b *testing.B) {
	const swaps, every = 10, 200 * time.Millisecond
	y := newYardstick(b, every)
	var took []time.Duration
	for b.Loop() {
		for n := range swaps {
			took = append(took, y.swap([]string{"quick", "careful"}[(n+1)%2]))
		}
	}
	slices.Sort(took)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(took[len(took)-1].Milliseconds()), "swap-ms")
	b.ReportMetric(float64(took[len(took)/2].Milliseconds()), "median-ms")
	b.ReportMetric(float64(y.cut()), "restarts")
	b.ReportMetric(float64(y.renamed()), "renames")
}

// yardstick is a dispatcher that follows a file.
type yardstick struct {
	*dispatcher.Dispatcher
	b      *testing.B
	file   string
	before []pools.Address
	claims int
	// ended is told when the poll that waits beside the swaps is answered.
	ended chan error
}

func newYardstick(b *testing.B, every time.Duration) *yardstick {
	dir := b.TempDir()
	s, err := store.Open(b.Context(), store.Options{Path: filepath.Join(dir, "slipway.db")})
	if err != nil {
		b.Fatal(err)
	}
	y := &yardstick{b: b, file: filepath.Join(dir, "pools.yaml"), ended: make(chan error, 1)}
	y.write("builder.md", "Build it well.\n")
	y.write("pools.yaml", poolsFile)
	y.Dispatcher = dispatcher.New(dispatcher.Config{
		Store: s, Changes: s, Log: slog.New(slog.DiscardHandler), Login: pools.Address.String,
		Serves: func(ref.RepoID) (string, bool) { return "main", true },
	})
	ctx, cancel := context.WithCancel(context.Background())
	applied, over := make(chan struct{}, 100), make(chan error, 2)
	go func() { over <- y.Run(ctx) }()
	go func() {
		over <- config.WatchPools(ctx, y.file, every, func(s pools.Set, faults []config.Fault) {
			if _, _, err := y.Apply(ctx, "slipway", "file", s); err != nil || len(faults) > 0 {
				b.Errorf("apply: %v, %v", err, faults)
			}
			applied <- struct{}{}
		})
	}()
	b.Cleanup(func() {
		cancel()
		for range 2 {
			if err := <-over; err != nil {
				b.Error(err)
			}
		}
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	<-applied
	set, _, err := y.Set(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	y.before = set.Addresses()
	go func() {
		_, err := y.Claim(ctx, at("builder-lite-1"), dispatcher.ClaimRequest{Request: "waits", Wait: 55})
		y.ended <- err
	}()
	return y
}

// swap edits the line of builder-lite-0 as the command does, and claims until a
// claim carries what it names by now.
func (y *yardstick) swap(to string) time.Duration {
	text, err := os.ReadFile(y.file)
	if err != nil {
		y.b.Fatal(err)
	}
	edited, _, err := config.Swap(text, at("builder-lite-0"), to)
	if err != nil {
		y.b.Fatal(err)
	}
	began := time.Now()
	y.write("pools.yaml", string(edited))
	for {
		y.claims++
		if _, _, err := y.Submit(y.b.Context(), "sam", dispatcher.Submission{Repo: app, Title: "Mend the pump", Selector: "builder-lite-0"}); err != nil {
			y.b.Fatal(err)
		}
		g, err := y.Claim(y.b.Context(), at("builder-lite-0"), dispatcher.ClaimRequest{Request: fmt.Sprint(y.claims), Wait: 20})
		if err != nil || g == nil {
			y.b.Fatalf("%+v, %v", g, err)
		}
		took := time.Since(began)
		f := dispatcher.Failure{Beat: dispatcher.Beat{Token: g.Token}, Reason: "it was for measuring", Final: true}
		if err := y.Fail(y.b.Context(), g.Builder, g.Attempt, f); err != nil {
			y.b.Fatal(err)
		}
		if g.Assignment.Name == to {
			return took
		}
	}
}

// cut is how many polls the swaps ended.
func (y *yardstick) cut() int {
	select {
	case <-y.ended:
		return 1
	default:
		return 0
	}
}

// renamed is how many coordinates are not called as before.
func (y *yardstick) renamed() (n int) {
	set, _, err := y.Set(y.b.Context())
	if err != nil {
		y.b.Fatal(err)
	}
	after := set.Addresses()
	for _, a := range y.before {
		if !slices.Contains(after, a) {
			n++
		}
	}
	return n + max(0, len(after)-len(y.before))
}

func (y *yardstick) write(name, text string) {
	if err := os.WriteFile(filepath.Join(filepath.Dir(y.file), name), []byte(strings.TrimLeft(text, "\n")), 0o600); err != nil {
		y.b.Fatal(err)
	}
}

const poolsFile = `
roles: [builder]
tiers: [lite]
currency: USD
assignments:
  quick: # the cheap one
    provider: works
    model: alpha-1
    prompt: builder.md
    prices: {input: 1, output: 5}
  careful:
    provider: elsewhere
    model: beta-1
    prompt: builder.md
    prices: {input: 3, output: 15}
replicas:
  builder-lite-0: quick
  builder-lite-1: quick
`
