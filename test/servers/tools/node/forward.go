package main

import (
	"fmt"
	"io"
	"net"
	"time"
)

// dialTimeout is how long the far end of a forward may take to answer.
const dialTimeout = 5 * time.Second

// forward listens on one address and joins every connection to another. It
// works for as long as the process lives.
func forward(f Forward) error {
	listener, err := net.Listen(f.From.Network, f.From.Address)
	if err != nil {
		return fmt.Errorf("forward %s to %s: %w", f.From.Address, f.To.Address, err)
	}
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			go join(near, f.To)
		}
	}()
	return nil
}

// join copies both ways and passes on each side's end of writing, which HTTP
// bodies and upgraded streams rely on.
func join(near net.Conn, to Address) {
	defer near.Close()
	far, err := net.DialTimeout(to.Network, to.Address, dialTimeout)
	if err != nil {
		return
	}
	defer far.Close()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		pour(far, near)
	}()
	pour(near, far)
	<-sent
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
