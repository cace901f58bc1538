package kube_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	cluster "slipway/test/servers/kubernetes"
)

// line is a wire to the API server that can be cut.
type line struct {
	kubeconfig string // leads through the wire
	listener   net.Listener
	to         string

	mu   sync.Mutex
	dead bool
	open map[net.Conn]bool
	done sync.WaitGroup
}

// cutLine lays a wire to a cluster's API server.
func cutLine(t *testing.T, c *cluster.Cluster) *line {
	t.Helper()
	server, err := url.Parse(c.URL)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &line{listener: listener, to: server.Host, open: map[net.Conn]bool{}}
	original, err := os.ReadFile(c.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	l.kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	through := strings.ReplaceAll(string(original), c.URL, fmt.Sprintf("https://%s", listener.Addr()))
	if through == string(original) {
		t.Fatalf("the kubeconfig does not lead to %s", c.URL)
	}
	if err := os.WriteFile(l.kubeconfig, []byte(through), 0o600); err != nil {
		t.Fatal(err)
	}
	l.done.Go(l.serve)
	t.Cleanup(func() {
		listener.Close()
		l.cut()
		l.done.Wait()
	})
	return l
}

// cut breaks every connection, and lets no new one through until mend.
func (l *line) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dead = true
	for c := range l.open {
		c.Close()
	}
}

func (l *line) mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dead = false
}

func (l *line) serve() {
	for {
		near, err := l.listener.Accept()
		if err != nil {
			return
		}
		far, err := new(net.Dialer).DialContext(context.Background(), "tcp", l.to)
		if err != nil || !l.keep(near, far) {
			near.Close()
			continue
		}
		l.done.Go(func() { l.carry(near, far) })
		l.done.Go(func() { l.carry(far, near) })
	}
}

// keep notes the two ends of a connection, unless the wire is cut.
func (l *line) keep(near, far net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead {
		far.Close()
		return false
	}
	l.open[near], l.open[far] = true, true
	return true
}

func (l *line) carry(from, to net.Conn) {
	_, _ = io.Copy(to, from) // how it ended says nothing
	from.Close()
	to.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, from)
	delete(l.open, to)
}
