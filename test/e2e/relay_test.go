package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"
)

// relay takes the forge's deliveries in Slipway's place.
type relay struct {
	server *httptest.Server
	to     string // Slipway's own address for them
	client *http.Client

	mu   sync.Mutex
	mode relayMode
	kept []delivery
}

type relayMode int

const (
	pass   relayMode = iota
	drop             // answer, and pass nothing on
	double           // pass everything on twice, and keep it
)

type delivery struct {
	header http.Header
	body   []byte
}

func newRelay(t *testing.T, to string) *relay {
	t.Helper()
	r := &relay{to: to, client: &http.Client{Timeout: 10 * time.Second}}
	r.server = httptest.NewServer(r)
	t.Cleanup(r.server.Close)
	return r
}

func (r *relay) become(m relayMode) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mode = m
}

// deliveries are those kept so far.
func (r *relay) deliveries() []delivery {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.kept)
}

// ServeHTTP takes one delivery.
func (r *relay) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(io.LimitReader(req.Body, bodyLimit))
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	d := delivery{header: req.Header.Clone(), body: body}
	r.mu.Lock()
	mode := r.mode
	r.kept = append(r.kept, d)
	r.mu.Unlock()
	switch mode {
	case drop:
		w.WriteHeader(http.StatusOK)
		return
	case double:
		_, _ = deliver(req.Context(), r.client, r.to, d) // the second tells whether it was taken
	}
	status, err := deliver(req.Context(), r.client, r.to, d)
	if err != nil {
		status = http.StatusBadGateway // Slipway is not up
	}
	w.WriteHeader(status)
}

// deliver posts a delivery as the forge does, and says how it was answered.
func deliver(ctx context.Context, client *http.Client, to string, d delivery) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(d.body))
	if err != nil {
		return 0, err
	}
	for name, values := range d.header {
		req.Header[name] = values
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, fmt.Errorf("deliver: %w", err)
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(res.Body, bodyLimit))
	return res.StatusCode, err
}
