//go:build linux

package dispatch_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"slipway/dispatcher"
	"slipway/internal/ref"
	"slipway/pools"
)

// event is one call that was answered, as a worker tells it. Its times are by
// the machine's one clock, whatever the worker believes.
type event struct {
	As      string               `json:"as"`
	Op      string               `json:"op"`
	Item    dispatcher.ItemID    `json:"item"`
	Attempt dispatcher.AttemptID `json:"attempt"`
	Token   int64                `json:"token"`
	Sent    time.Time            `json:"sent"`
	Got     time.Time            `json:"got"`
	Status  int                  `json:"status"`
	// Says is the answer to a call that the worker did not expect to be refused.
	Says string `json:"says,omitempty"`
}

// worker takes work, and is not to be relied on.
type worker struct {
	part
	http *http.Client
	late sync.WaitGroup // calls on their way that nobody waits for

	mu  sync.Mutex
	rng *rand.Rand
}

func newWorker(p part) *worker {
	w := &worker{part: p, rng: rand.New(rand.NewPCG(p.Seed, 1))} //nolint:gosec // not a secret
	w.http = client(func() string { return p.Sockets[w.intN(len(p.Sockets))] })
	return w
}

// client speaks to one of the servers, another with each connection.
func client(socket func() string) *http.Client {
	return &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket())
		},
		MaxIdleConnsPerHost: 4,
	}}
}

// run works until ctx ends.
func (w *worker) run(ctx context.Context) {
	defer w.late.Wait()
	for n := 0; ctx.Err() == nil; n++ {
		if g := w.claim(ctx, fmt.Sprintf("%d-%d", os.Getpid(), n)); g != nil {
			w.work(ctx, g)
		}
	}
}

// claim asks until it is answered: an answer that was lost costs nothing.
func (w *worker) claim(ctx context.Context, request string) *dispatcher.Grant {
	for ctx.Err() == nil {
		c := call{As: w.As, Claim: dispatcher.ClaimRequest{Request: request, Wait: 2}}
		if w.chance(10) {
			w.later(ctx, 0, "claim", c)
		}
		e, body := w.post(ctx, "claim", c)
		if e.Status == 0 || e.Status == http.StatusServiceUnavailable {
			pause(ctx, w.retry())
			continue
		}
		var g *dispatcher.Grant
		if json.Unmarshal(body, &g) != nil || e.Status != http.StatusOK {
			w.tell(e)
			return nil
		}
		if g != nil {
			e.Item, e.Attempt, e.Token = g.Item, g.Attempt, g.Token
			w.tell(e)
		}
		return g
	}
	return nil
}

// work is one attempt, with whatever comes into this worker's head.
func (w *worker) work(ctx context.Context, g *dispatcher.Grant) {
	base := call{As: w.As, Attempt: g.Attempt}
	until := g.Until
	spent := pools.Money(0)
	if w.chance(8) {
		return // it forgets what it was given
	}
	for range w.intN(4) {
		wait := time.Duration(w.intN(int(w.Lease) * 6 / 10))
		if w.chance(15) {
			wait += w.Lease * 3 / 2 // it dozes off, and goes on as if nothing was
		}
		if !pause(ctx, wait) {
			return
		}
		if w.now().After(until) && w.chance(20) {
			return // by its own clock it has lost its lease
		}
		c := base
		spent += 1000
		c.Beat = dispatcher.Beat{Token: g.Token, Phase: dispatcher.Running, Amount: spent}
		e, body := w.send(ctx, "beat", c, g)
		if w.chance(25) {
			w.later(ctx, 2*w.Lease, "beat", c) // the same once more, out of its turn
		}
		var pulse dispatcher.Pulse
		if e.Status != http.StatusOK || json.Unmarshal(body, &pulse) != nil {
			if e.Status == http.StatusConflict && w.chance(50) {
				return
			}
			continue
		}
		until = pulse.Until
		if pulse.StandDown != "" {
			c.Beat.Stopped = true
			w.send(ctx, "beat", c, g)
			return
		}
	}
	if w.chance(12) {
		c := base
		c.Fail = dispatcher.Failure{Beat: dispatcher.Beat{Token: g.Token}, Reason: "it did not work"}
		w.send(ctx, "fail", c, g)
		return
	}
	sum := sha256.Sum256(fmt.Append(nil, g.Attempt))
	c := base
	c.Register = dispatcher.Registration{Token: g.Token, Pull: ref.PullID{Repo: g.Repo, Number: int64(g.Item)}, Head: ref.SHA(hex.EncodeToString(sum[:20]))}
	w.send(ctx, "register", c, g)
	c = base
	c.Complete = dispatcher.Completion{Beat: dispatcher.Beat{Token: g.Token}, Summary: "done"}
	w.send(ctx, "complete", c, g)
}

// send makes a call until it is answered, perhaps twice at once, and tells of
// it.
func (w *worker) send(ctx context.Context, op string, c call, g *dispatcher.Grant) (event, []byte) {
	for {
		if w.chance(10) {
			w.later(ctx, 0, op, c)
		}
		e, body := w.post(ctx, op, c)
		if (e.Status == 0 || e.Status == http.StatusServiceUnavailable) && pause(ctx, w.retry()) {
			continue
		}
		e.Item, e.Attempt, e.Token = g.Item, g.Attempt, g.Token
		if e.Status != http.StatusOK && e.Status != http.StatusConflict {
			e.Says = string(body)
		}
		w.tell(e)
		return e, body
	}
}

// later makes a call some time within a while, and nobody waits for the answer.
func (w *worker) later(ctx context.Context, within time.Duration, op string, c call) {
	wait := time.Duration(w.intN(int(within) + 1))
	w.late.Go(func() {
		if pause(ctx, wait) {
			w.post(ctx, op, c)
		}
	})
}

// post makes one call. Without an answer its status is 0.
func (w *worker) post(ctx context.Context, op string, c call) (event, []byte) {
	e := event{As: w.As.String(), Op: op, Sent: time.Now()}
	body, status := post(ctx, w.http, op, c)
	e.Got, e.Status = time.Now(), status
	return e, body
}

func post(ctx context.Context, h *http.Client, op string, c call) (body []byte, status int) {
	raw, err := json.Marshal(c)
	if err != nil {
		return nil, 0
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://server/"+op, bytes.NewReader(raw))
	if err != nil {
		return nil, 0
	}
	res, err := h.Do(r)
	if err != nil {
		return nil, 0
	}
	defer res.Body.Close()
	if body, err = io.ReadAll(io.LimitReader(res.Body, 1<<22)); err != nil {
		return nil, 0
	}
	return body, res.StatusCode
}

// tell writes one line, whole.
func (w *worker) tell(e event) {
	raw, err := json.Marshal(e)
	if err == nil {
		_, _ = os.Stdout.Write(append(raw, '\n')) // with nobody to read it, it is over
	}
}

// now is the time as the worker has it.
func (w *worker) now() time.Time { return time.Now().Add(w.Skew) }

// retry is how long it leaves a server alone that did not answer: many ask.
func (w *worker) retry() time.Duration {
	return 50*time.Millisecond + time.Duration(w.intN(int(w.Lease)/4))
}

// chance is so many times in a hundred.
func (w *worker) chance(percent int) bool { return w.intN(100) < percent }

func (w *worker) intN(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rng.IntN(n)
}
