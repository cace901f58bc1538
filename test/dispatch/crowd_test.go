//go:build linux

package dispatch_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"slipway/dispatcher"
	"slipway/internal/ref"
)

// crowd is a store with its servers and workers.
type crowd struct {
	t       *testing.T
	ctx     context.Context
	store   string
	lease   time.Duration
	dir     string
	rng     *rand.Rand
	servers []*child
	workers []*child
	http    *http.Client

	mu     sync.Mutex
	items  []dispatcher.ItemID // by the number in their key; 0 before it is there
	events []event
	faults []string
	// down are the times in which no server answered.
	down []span
}

type span struct{ from, to time.Time }

// child is one process, and what it is to be when it is started again.
type child struct {
	part part
	cmd  *exec.Cmd
	in   io.Closer
	read chan struct{} // closed when its output has ended
}

// size is how many there are of what, and for how long.
type size struct {
	servers, workers, items int
	chaos                   time.Duration
	lease                   time.Duration
}

// soak is the size for a long run, where SLIPWAY_SOAK asks for one: so many
// rounds of it.
func soak(t *testing.T) (rounds int) {
	text := os.Getenv("SLIPWAY_SOAK")
	if text == "" {
		return 0
	}
	rounds, err := strconv.Atoi(text)
	if err != nil || rounds < 1 {
		t.Fatalf("SLIPWAY_SOAK is %q: want how many rounds, such as 20", text)
	}
	return rounds
}

// ordeal runs a crowd on a store and holds it to what was promised.
func ordeal(t *testing.T, at string, s size) {
	ctx, cancel := context.WithTimeout(t.Context(), s.chaos+4*time.Minute)
	defer cancel()
	dir, err := os.MkdirTemp("", "dispatch") // short: a socket's name has room for 100 bytes
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	seed := uint64(time.Now().UnixNano()) //nolint:gosec // any bits will do
	t.Logf("seed %d", seed)
	c := &crowd{t: t, ctx: ctx, store: at, lease: s.lease, dir: dir, rng: rand.New(rand.NewPCG(seed, 0))} //nolint:gosec // not a secret
	defer func() {
		c.end()
		for _, f := range c.faults {
			t.Error(f)
		}
	}()
	c.gather(s)
	c.items = make([]dispatcher.ItemID, s.items)
	var submitted sync.WaitGroup
	for n := range submitters {
		submitted.Go(func() { c.submit(n) })
	}
	c.torment(s.chaos)
	submitted.Wait()
	c.finish()
	c.end()
	c.audit()
}

// gather starts everyone. Clocks are wrong by up to an hour, either way.
func (c *crowd) gather(s size) {
	wrong := func() time.Duration { return time.Duration(c.rng.Int64N(int64(2*time.Hour))) - time.Hour }
	var sockets []string
	for n := range s.servers {
		sockets = append(sockets, filepath.Join(c.dir, fmt.Sprint("s", n)))
		c.servers = append(c.servers, &child{part: part{Role: "server", Store: c.store, Socket: sockets[n], Workers: s.workers, Lease: c.lease, Skew: wrong()}})
		c.start(c.servers[n])
	}
	var next atomic.Int64
	c.http = client(func() string { return sockets[int(next.Add(1))%len(sockets)] })
	for n := range s.workers {
		c.workers = append(c.workers, &child{part: part{Role: "worker", Sockets: sockets, As: seat(n), Lease: c.lease}})
		if n%2 == 1 {
			c.workers[n].part.Skew = wrong()
		}
		c.start(c.workers[n])
	}
}

// start runs a child. A server is ready when it returns.
func (c *crowd) start(ch *child) {
	ch.part.Seed = c.rng.Uint64()
	raw, err := json.Marshal(ch.part)
	if err != nil {
		c.t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		c.t.Fatal(err)
	}
	cmd := exec.CommandContext(c.ctx, self)
	cmd.Env = append(os.Environ(), childEnv+"="+string(raw))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	if err != nil {
		c.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		c.t.Fatal(err)
	}
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	ready := make(chan struct{})
	ch.cmd, ch.in, ch.read = cmd, in, make(chan struct{})
	go func() {
		defer close(ch.read)
		c.listen(out, ready)
		_ = cmd.Wait() // killed, as a rule
		if complaint.Len() > 0 {
			c.fault("%s %s: %s", ch.part.Role, ch.part.As, complaint.String())
		}
	}()
	if ch.part.Role == "server" {
		select {
		case <-ready:
		case <-ch.read:
			c.t.Fatalf("a server ended: %v", c.faults)
		}
	}
}

// listen reads what a child tells, up to a line that was cut off.
func (c *crowd) listen(out io.Reader, ready chan struct{}) {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if lines.Text() == "ready" {
			close(ready)
			continue
		}
		var e event
		if json.Unmarshal(lines.Bytes(), &e) == nil {
			c.mu.Lock()
			c.events = append(c.events, e)
			c.mu.Unlock()
		}
	}
}

// kill ends a child at whatever instruction it is.
func (c *crowd) kill(ch *child) {
	if err := ch.cmd.Process.Kill(); err != nil {
		c.t.Fatal(err)
	}
	<-ch.read
	_ = ch.in.Close()
}

// submitters is how many submit at once.
const submitters = 4

// submit asks for items. Two ask for each: they are given the same one.
func (c *crowd) submit(n int) {
	for i := range c.items {
		if i%submitters != n && (i+1)%submitters != n {
			continue
		}
		sub := dispatcher.Submission{
			Repo: ref.RepoID{Owner: "acme", Name: fmt.Sprint("app", i%3)}, Key: fmt.Sprint("work ", i), Title: fmt.Sprint("Do ", i),
			Selector: []string{"builder", "builder-lite"}[i%2], Priority: []string{"low", "normal", "high"}[i%3],
		}
		var id dispatcher.ItemID
		if err := c.ask("submit", call{Submit: sub}, &id); err != nil {
			c.fault("%v", err)
			return
		}
		c.mu.Lock()
		other := c.items[i]
		c.items[i] = id
		c.mu.Unlock()
		if other != 0 && other != id {
			c.fault("%s is item %d and item %d", sub.Key, other, id)
		}
	}
}

// ask makes a call until it is answered.
func (c *crowd) ask(op string, what call, answer any) error {
	for {
		body, status := post(c.ctx, c.http, op, what)
		if status == http.StatusOK {
			return json.Unmarshal(body, answer)
		}
		if status != 0 && status != http.StatusServiceUnavailable {
			return fmt.Errorf("%s: %d %s", op, status, body)
		}
		if !pause(c.ctx, 20*time.Millisecond) {
			return fmt.Errorf("%s: %w", op, c.ctx.Err())
		}
	}
}

// torment kills and stalls whoever it meets, for a time.
func (c *crowd) torment(long time.Duration) {
	end := time.Now().Add(long)
	each := 2 * time.Second / time.Duration(len(c.workers)) // a worker is met every two seconds or so
	lastServer := time.Now()
	stalled := map[*child]time.Time{}
	kills, stalls, servers, cancels := 0, 0, 0, 0
	for time.Now().Before(end) && pause(c.ctx, each) {
		for ch, until := range stalled {
			if time.Now().After(until) {
				c.signal(ch, syscall.SIGCONT)
				delete(stalled, ch)
			}
		}
		w := c.workers[c.rng.IntN(len(c.workers))]
		switch _, still := stalled[w]; {
		case still:
		case c.rng.IntN(2) == 0:
			c.kill(w)
			c.start(w)
			kills++
		default:
			c.signal(w, syscall.SIGSTOP)
			stalled[w] = time.Now().Add(time.Duration(c.rng.Int64N(int64(2 * c.lease))))
			stalls++
		}
		if c.rng.IntN(20) == 0 {
			c.mu.Lock()
			id := c.items[c.rng.IntN(len(c.items))]
			c.mu.Unlock()
			if _, status := post(c.ctx, c.http, "cancel", call{Cancel: id}); status == http.StatusOK {
				cancels++ // one that has ended, or is not there yet, cannot be
			}
		}
		if time.Since(lastServer) > long/4 {
			c.restart(c.servers[c.rng.IntN(len(c.servers))])
			lastServer = time.Now()
			servers++
		}
	}
	for ch := range stalled {
		c.signal(ch, syscall.SIGCONT)
	}
	c.t.Logf("killed %d workers and %d servers, stalled %d workers, cancelled %d items", kills, servers, stalls, cancels)
}

// restart kills a server and starts it again.
func (c *crowd) restart(ch *child) {
	from := time.Now()
	c.kill(ch)
	c.start(ch)
	c.down = append(c.down, span{from, time.Now()})
}

func (c *crowd) signal(ch *child, s syscall.Signal) {
	if err := ch.cmd.Process.Signal(s); err != nil {
		c.t.Fatal(err)
	}
}

// finish waits until nothing waits for a worker any more. What failed rests for
// minutes, and may.
func (c *crowd) finish() {
	limit, cancel := context.WithTimeout(c.ctx, 2*time.Minute)
	defer cancel()
	for {
		var busy []dispatcher.Item
		if err := c.ask("busy", call{}, &busy); err != nil {
			c.t.Fatal(err)
		}
		if busy = slices.DeleteFunc(busy, resting); len(busy) == 0 {
			return
		}
		if !pause(limit, 200*time.Millisecond) {
			c.t.Fatalf("%d items are still to be worked on, such as %+v", len(busy), busy[0])
		}
	}
}

// resting says that an item was given back by a worker who failed.
func resting(i dispatcher.Item) bool {
	return i.State == dispatcher.Ready && i.NotBefore.After(i.Since)
}

// end ends everyone and waits for them.
func (c *crowd) end() {
	for _, ch := range append(c.workers, c.servers...) {
		_ = ch.in.Close()
	}
	for _, ch := range append(c.workers, c.servers...) {
		<-ch.read
	}
}

func (c *crowd) fault(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults = append(c.faults, fmt.Sprintf(format, args...))
}
