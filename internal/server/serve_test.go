package server_test

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"slipway/internal/reconcile"
	"slipway/internal/server"
)

func TestServeLetsRequestsFinish(t *testing.T) {
	began, let := make(chan struct{}), make(chan struct{})
	w := newWorld(t, func(w *world) {
		w.Ready = func(context.Context) []reconcile.Finding {
			close(began)
			<-let
			return nil
		}
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.New(w.Config).Serve(ctx, l) }()
	answered := make(chan int, 1)
	go func() {
		status := 0
		if res, err := http.Get("http://" + l.Addr().String() + "/readyz"); err == nil {
			status = res.StatusCode
			res.Body.Close()
		}
		answered <- status
	}()
	limit := time.NewTimer(time.Minute)
	defer limit.Stop()
	select {
	case <-began:
	case <-limit.C:
		t.Fatal("the request did not arrive")
	}
	stop()
	close(let)
	if status := <-answered; status != http.StatusOK {
		t.Errorf("the request under way is answered %d", status)
	}
	if err := <-ended; err != nil {
		t.Errorf("it ended with %v", err)
	}
}

// TestNoRefusalIsLostAtTheEnd: those that were only counted are told before the
// server ends.
func TestNoRefusalIsLostAtTheEnd(t *testing.T) {
	w := newWorld(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.New(w.Config).Serve(ctx, l) }()
	w.url = "http://" + l.Addr().String()
	for range 3 {
		if got := w.call(http.MethodPost, atTarget+"hold", readerSecret, ""); got.status != http.StatusForbidden {
			t.Fatalf("answered %d", got.status)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	entries, err := w.store.Entries(t.Context(), 0, 10)
	if err != nil || len(entries) != 2 || !strings.Contains(entries[1].Reason, "(2 more since ") {
		t.Errorf("%+v: %v", entries, err)
	}
}

func TestServeSaysWhyItCannot(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := server.New(newWorld(t).Config).Serve(t.Context(), l); err == nil {
		t.Error("it served on a listener that was closed")
	}
}
