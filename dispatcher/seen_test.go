package dispatcher_test

import (
	"context"
	"testing"
	"time"

	"slipway/dispatcher"
	"slipway/pools"
)

// seen is when a coordinate was last heard.
func (d *dock) seen(a pools.Address) time.Time {
	d.t.Helper()
	seats, err := d.Seats(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	for _, s := range seats {
		if s.Address == a {
			return s.Seen
		}
	}
	return time.Time{}
}

func TestAClaimThatWaitsIsHeardAllTheWhile(t *testing.T) {
	d := newDock(t)
	zero := at("builder-lite-0")
	if !d.seen(zero).IsZero() {
		t.Fatal("it was heard before it called")
	}
	began := time.Now()
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() {
		_, err := d.Claim(ctx, zero, dispatcher.ClaimRequest{Request: "claim 1", Wait: 50})
		left <- err
	}()
	d.until("it is heard", func() bool { return !d.seen(zero).Before(began) })
	leave()
	<-left
	then := d.seen(zero)
	if then.Before(began) {
		t.Errorf("it was heard at %s, and waited until after %s", then, began)
	}
	if d.seen(at("builder-lite-2")) != (time.Time{}) {
		t.Error("one that never called was heard")
	}
	if again := d.seen(zero); !again.Equal(then) {
		t.Errorf("it left, and was heard at %s after %s", again, then)
	}
}
