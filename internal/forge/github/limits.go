package github

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"slipway/internal/fault"
)

// limits keeps an account within GitHub's rate limits: nothing is sent while
// the server has said that it would be refused, and writes are sent a second
// apart. See "Rate limits for the REST API" and "Best practices for using the
// REST API" in GitHub's documentation.
type limits struct {
	patience, spacing time.Duration

	mu      sync.Mutex
	blocked time.Time // nothing before it
	write   time.Time // no write before it
	row     int       // refusals in a row that did not say for how long
}

// The pause after a refusal that does not say how long to wait: at least a
// minute, and longer each time, as GitHub asks.
const (
	pauseFirst = time.Minute
	pauseMost  = time.Hour
)

// wait returns once the call may be made. When that is further off than
// patience or ctx allow, it fails at once, saying when to try again.
func (l *limits) wait(ctx context.Context, write bool) error {
	for {
		pause, err := l.turn(ctx, write)
		if err != nil || pause <= 0 {
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
		if write && !l.closed() {
			return nil // the turn that was reserved has come
		}
	}
}

// turn says how long to wait before the call. A write reserves its turn.
func (l *limits) turn(ctx context.Context, write bool) (time.Duration, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	at := now
	if l.blocked.After(at) {
		at = l.blocked
	}
	if write && l.write.After(at) {
		at = l.write
	}
	pause := at.Sub(now)
	deadline, bounded := ctx.Deadline()
	if pause > l.patience || bounded && at.After(deadline) {
		return 0, fault.NotBefore(fmt.Errorf("not called before %s: the rate limit of the account", at.UTC().Format(time.TimeOnly)), at)
	}
	if write {
		l.write = at.Add(l.spacing)
	}
	return pause, nil
}

// closed says whether nothing may be sent now.
func (l *limits) closed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.blocked.After(time.Now())
}

// learn takes from an answer what it says of the limits, and gives an error
// when the call was refused for them.
func (l *limits) learn(response *http.Response) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if until, limited := refusedUntil(response, l.row); limited {
		if response.Header.Get("Retry-After") == "" {
			l.row++
		}
		if until.After(l.blocked) {
			l.blocked = until
		}
		return fault.NotBefore(fmt.Errorf("refused for the rate limit of the account until %s: %w", until.UTC().Format(time.TimeOnly),
			&refusal{status: response.StatusCode, text: textOf(response)}), until)
	}
	if response.StatusCode >= 400 {
		return nil
	}
	l.row = 0
	if until, spent := spent(response); spent && until.After(l.blocked) {
		l.blocked = until
	}
	return nil
}

// refusedUntil tells a refusal for a rate limit from one for want of a right,
// which has the same status, and until when it holds.
func refusedUntil(response *http.Response, row int) (until time.Time, limited bool) {
	if response.StatusCode != http.StatusForbidden && response.StatusCode != http.StatusTooManyRequests {
		return time.Time{}, false
	}
	now := time.Now()
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && seconds >= 0 {
		return now.Add(time.Duration(min(seconds, 24*3600)) * time.Second), true
	}
	if until, spent := spent(response); spent {
		return until, true
	}
	text := strings.ToLower(textOf(response))
	if response.StatusCode == http.StatusForbidden && !strings.Contains(text, "rate limit") && !strings.Contains(text, "abuse detection") {
		return time.Time{}, false
	}
	return now.Add(min(pauseMost, pauseFirst<<min(row, 10))), true
}

// spent says whether the primary limit is used up, and until when. The server's
// clock says so; what counts is how long that is from its own now.
func spent(response *http.Response) (until time.Time, ok bool) {
	h := response.Header
	reset, err := strconv.ParseInt(h.Get("X-Ratelimit-Reset"), 10, 64)
	if err != nil || h.Get("X-Ratelimit-Remaining") != "0" {
		return time.Time{}, false
	}
	now := time.Now()
	there := now
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		there = date
	}
	// A second more, for the reset is given in whole ones.
	left := min(time.Unix(reset, 0).Sub(there)+time.Second, 24*time.Hour)
	return now.Add(left), left > 0
}
