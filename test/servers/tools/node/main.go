// Command slipway-node looks after the processes of one Kubernetes test
// cluster: it starts what it is told to, tells what ended, and sees to it that
// nothing outlives it or whoever started it. As the first process of private
// namespaces it also furnishes them. Called by the name pause it does nothing
// until it is told to end, which is all that the first container of a pod is for.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
)

func main() {
	if filepath.Base(os.Args[0]) == "pause" {
		pause()
		return
	}
	if err := supervise(); err != nil {
		// The report is for the one who gives orders, the line for a log.
		_ = json.NewEncoder(os.Stdout).Encode(Report{Fault: err.Error()})
		fmt.Fprintln(os.Stderr, "slipway-node:", err)
		os.Exit(1)
	}
}

func pause() {
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGINT, syscall.SIGTERM)
	<-end
}

// supervise obeys orders until there are no more, which is how it learns that
// whoever gave them has gone, or until it is told to end.
func supervise() error {
	// Children ask to be killed with the thread that made them: they are all
	// made here, on one that lasts.
	runtime.LockOSThread()

	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM, syscall.SIGINT)
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGCHLD)
	// A reader that is gone shows as the end of the orders, soon enough.
	signal.Ignore(syscall.SIGPIPE)

	orders, faults := make(chan Order), make(chan error, 1)
	go readOrders(orders, faults)
	children := children{report: json.NewEncoder(os.Stdout), running: map[int]string{}}
	defer children.kill()

	for {
		select {
		case order, more := <-orders:
			if !more {
				return nil
			}
			if err := obey(order, &children); err != nil {
				return err
			}
		case err := <-faults:
			return err
		case <-ended:
			children.reap()
		case <-end:
			return nil
		}
	}
}

func readOrders(orders chan<- Order, faults chan<- error) {
	in := json.NewDecoder(os.Stdin)
	for in.More() {
		var order Order
		if err := in.Decode(&order); err != nil {
			faults <- fmt.Errorf("read an order: %w", err)
			return
		}
		orders <- order
	}
	close(orders)
}

func obey(order Order, children *children) error {
	if order.Setup != nil {
		if err := furnish(*order.Setup); err != nil {
			return err
		}
		return children.report.Encode(Report{Ready: true})
	}
	if order.Start != nil {
		return children.start(*order.Start)
	}
	return fmt.Errorf("an order that asks for nothing")
}
