package github

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// carrier carries every call of the installation or the token's owner: it keeps
// to the rate limits, adds the token, and asks only for what has changed since
// it was read.
type carrier struct {
	token  func(context.Context) (string, error)
	next   http.RoundTripper
	limits *limits
	memory *memory
}

// recall is what a caller allows to be answered from memory without asking.
type recall struct {
	// age is how long ago it may have been confirmed.
	age time.Duration
	// changed, if set, is the second in which the server says that the thing
	// was changed last: what was confirmed well after it is still right.
	changed time.Time
	used    *atomic.Bool
}

type recallKey struct{}

// settleTime is how long after a change its traces may still be incomplete: the
// server tells times in whole seconds, and reads from replicas.
const settleTime = 3 * time.Second

// recalled lets the reads under ctx be answered from memory.
func recalled(ctx context.Context, r recall) context.Context {
	return context.WithValue(ctx, recallKey{}, r)
}

// RoundTrip makes one call, or none where memory will do.
func (c *carrier) RoundTrip(request *http.Request) (*http.Response, error) {
	ctx, write := request.Context(), request.Method != http.MethodGet
	token, err := c.token(ctx)
	if token = strings.TrimSpace(token); err == nil && token == "" {
		err = errors.New("it is empty")
	}
	if err != nil {
		closeBody(request)
		return nil, fmt.Errorf("get the token: %w", err)
	}
	key := keyOf(request, token)
	kept, found := c.memory.find(key)
	if r, ok := ctx.Value(recallKey{}).(recall); ok && !write && found && r.covers(kept) {
		r.used.Store(true)
		return kept.response(request), nil
	}
	for first := true; ; first = false {
		if err := c.limits.wait(ctx, write); err != nil {
			closeBody(request)
			return nil, err
		}
		response, err := c.once(request, token, kept)
		if err != nil {
			return nil, err
		}
		// Only a read is made again: nobody knows better than the caller whether
		// a write is still wanted.
		if limited := c.limits.learn(response); limited != nil {
			if first && !write {
				continue
			}
			return nil, limited
		}
		return c.remember(key, request, response, kept), nil
	}
}

// once makes the call, conditional on what is kept.
func (c *carrier) once(request *http.Request, token string, kept *answer) (*http.Response, error) {
	request = request.Clone(request.Context())
	request.Header.Set("Authorization", "Bearer "+token)
	if kept != nil {
		request.Header.Set("If-None-Match", kept.header.Get("ETag"))
	}
	return c.next.RoundTrip(request)
}

// remember keeps a good answer, and turns "not modified" into what was kept.
// The SDK is not told of the limits: it would judge them by itself.
func (c *carrier) remember(key string, request *http.Request, response *http.Response, kept *answer) *http.Response {
	switch {
	case response.StatusCode == http.StatusNotModified && kept != nil:
		kept = kept.confirmed(response.Header)
		c.memory.keep(key, kept)
		return kept.response(request)
	case response.StatusCode == http.StatusOK && request.Method == http.MethodGet && response.Header.Get("ETag") != "":
		kept = newAnswer(response)
		c.memory.keep(key, kept)
		return kept.response(request)
	}
	for name := range response.Header {
		if strings.HasPrefix(name, "X-Ratelimit-") {
			response.Header.Del(name)
		}
	}
	return response
}

// covers says whether what is kept may be given without asking.
func (r recall) covers(kept *answer) bool {
	return r.age > 0 && time.Since(kept.at) < r.age ||
		!r.changed.IsZero() && kept.date.After(r.changed.Add(settleTime))
}

// keyOf tells answers apart by what they depend on, whoever asked included.
func keyOf(request *http.Request, token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:]) + " " + request.Header.Get("Accept") + " " + request.URL.String()
}
