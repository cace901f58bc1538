package kubernetes

import (
	"context"
	"io"
	"net"
	"sync"
	"time"
)

// dialLimit is how long the far end of a forward may take to answer.
const dialLimit = 5 * time.Second

// forwarder joins every connection that a listener accepts to another address.
type forwarder struct {
	listener        net.Listener
	network, target string

	mu     sync.Mutex
	closed bool
	open   map[net.Conn]bool
	work   sync.WaitGroup
}

func newForwarder(listener net.Listener, network, target string) *forwarder {
	f := &forwarder{listener: listener, network: network, target: target, open: map[net.Conn]bool{}}
	f.work.Go(f.serve)
	return f
}

// Close ends the listener and every connection, and waits for the copying.
func (f *forwarder) Close() error {
	err := f.listener.Close()
	f.mu.Lock()
	f.closed = true
	for conn := range f.open {
		conn.Close()
	}
	f.mu.Unlock()
	f.work.Wait()
	return err
}

func (f *forwarder) serve() {
	for {
		near, err := f.listener.Accept()
		if err != nil {
			return
		}
		f.work.Go(func() { f.join(near) })
	}
}

// join copies both ways, and passes on each side's end of writing.
func (f *forwarder) join(near net.Conn) {
	defer near.Close()
	if !f.track(near) {
		return
	}
	defer f.forget(near)
	ctx, cancel := context.WithTimeout(context.Background(), dialLimit)
	far, err := new(net.Dialer).DialContext(ctx, f.network, f.target)
	cancel()
	if err != nil {
		return
	}
	defer far.Close()
	if !f.track(far) {
		return
	}
	defer f.forget(far)

	var sending sync.WaitGroup
	sending.Go(func() { pour(far, near) })
	pour(near, far)
	sending.Wait()
}

// track notes a connection for Close; false means that Close came first.
func (f *forwarder) track(conn net.Conn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return false
	}
	f.open[conn] = true
	return true
}

func (f *forwarder) forget(conn net.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.open, conn)
}

func pour(to, from net.Conn) {
	if _, err := io.Copy(to, from); err != nil {
		// A broken side ends both, or the other copy would wait for ever.
		to.Close()
		from.Close()
		return
	}
	if half, ok := to.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // the peer may be gone already
	}
}
