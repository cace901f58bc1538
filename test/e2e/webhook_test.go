package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestWebhooksLostAndDoubled holds that a webhook is a hint: none is needed, and
// none is taken for an order.
func TestWebhooksLostAndDoubled(t *testing.T) {
	t.Parallel()
	t.Run("a change ends without a single webhook", func(t *testing.T) {
		p := newPlace(t, "deaf", wish{active: 2 * time.Second})
		p.relay.become(drop)
		p.start()
		p.adopt()
		c := p.ship("quiet", "feat: quiet")
		p.shippedOnce(c)
		p.runs(c)
		if n := len(p.relay.deliveries()); n == 0 {
			t.Error("the forge delivered nothing, so nothing was lost")
		}
		if n := p.metric("slipway_webhooks_total"); n != 0 {
			t.Errorf("%v webhooks came through", n)
		}
	})
	t.Run("webhooks doubled, and replayed in another order, do nothing twice", func(t *testing.T) {
		p := newPlace(t, "echo", wish{})
		p.relay.become(double)
		p.start()
		p.adopt()
		rollouts := p.rollouts()
		c := p.ship("loud", "feat: loud")
		p.endedOnce(c.ID, rollouts)
		p.replay()
		p.endedOnce(c.ID, rollouts)
		if n := len(p.forge.noted(func(c call) bool { return isMerge(c.Method, c.Path) && c.Status/100 == 2 })); n != 1 {
			t.Errorf("%d merges were made", n)
		}
	})
}

// replay delivers everything once more, the last first, and fails if that
// brings more looks than one for each thing that a delivery can speak of.
func (p *place) replay() {
	p.Helper()
	before, deliveries := p.rest(), p.relay.deliveries()
	slices.Reverse(deliveries)
	client := &http.Client{Timeout: callLimit}
	for _, d := range deliveries {
		status, err := deliver(p.Context(), client, p.relay.to, d)
		if err != nil || status != http.StatusAccepted {
			p.Fatalf("a replay was answered %d, %v", status, err)
		}
	}
	// A delivery makes due a change, a branch and a repository at the most; the
	// resync of a few seconds adds its own.
	looks := p.rest() - before
	p.Logf("%d deliveries replayed, %v looks", len(deliveries), looks)
	if limit := float64(3*len(deliveries) + 20); looks > limit {
		p.Errorf("%v looks for %d replays", looks, len(deliveries))
	}
}

// rest waits until Slipway looks at nothing any more, and returns how many
// looks there were.
func (p *place) rest() float64 {
	p.Helper()
	const same = 20 // readings in a row, 50 ms apart
	last, count := -1.0, 0
	p.until(lookLimit, "the looks to end", func(context.Context) error {
		looks := p.metric("slipway_look_seconds_count")
		if looks != last {
			last, count = looks, 0
			return fmt.Errorf("%v looks so far", looks)
		}
		if count++; count < same {
			return errors.New("not for long enough")
		}
		return nil
	})
	return last
}

// metric is the sum of a metric over its labels; 0 if it is not there. With
// labels, only the series whose line holds them all.
func (p *place) metric(name string, labels ...string) float64 {
	p.Helper()
	_, body := p.get("/metrics", "")
	total := 0.0
	for line := range strings.Lines(body) {
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), name)
		if !ok || rest == "" || rest[0] != '{' && rest[0] != ' ' {
			continue
		}
		if slices.ContainsFunc(labels, func(l string) bool { return !strings.Contains(rest, l) }) {
			continue
		}
		value, err := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64)
		if err != nil {
			p.Fatalf("metric %q: %v", line, err)
		}
		total += value
	}
	return total
}

// get asks Slipway's server.
func (p *place) get(path, token string) (status int, body string) {
	p.Helper()
	return p.request(http.MethodGet, path, token, nil, "")
}

func (p *place) request(method, path, token string, header http.Header, content string) (status int, body string) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.Context(), callLimit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, p.slipway().Address+path, strings.NewReader(content))
	if err != nil {
		p.Fatal(err)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		p.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, bodyLimit))
	if err != nil {
		p.Fatal(err)
	}
	return res.StatusCode, string(b)
}
