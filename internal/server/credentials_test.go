package server_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"slipway/dispatcher"
	"slipway/internal/fault"
	"slipway/pools"
)

func TestAnOperatorEnrolsCredentials(t *testing.T) {
	w := newWorld(t)
	client := w.client(operatorSecret)
	c := dispatcher.Credential{Hash: strings.Repeat("ab", 32), Address: pools.Address{Role: "builder", Tier: "lite"}, Expires: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)}
	if list, err := client.Credentials(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("at first there are %v, %v", list, err)
	}
	if err := client.Enrol(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if list, err := client.Credentials(t.Context()); err != nil || len(list) != 1 || list[0] != c {
		t.Errorf("then there are %v, %v", list, err)
	}
	if err := client.Revoke(t.Context(), c.Hash); err != nil {
		t.Error(err)
	}
	w.shop.refuse = fault.AsPermanent(errors.New("there is no such credential"))
	if err := client.Revoke(t.Context(), c.Hash); err == nil || !strings.Contains(err.Error(), "there is no such credential") {
		t.Errorf("what the dispatcher refuses is told as %v", err)
	}
	if err := client.Enrol(t.Context(), dispatcher.Credential{Hash: c.Hash}); err == nil || !strings.Contains(err.Error(), "for which coordinate") {
		t.Errorf("a credential of nobody is told as %v", err)
	}
	for _, secret := range []string{readerSecret, submitterSecret} {
		if err := w.client(secret).Enrol(t.Context(), c); err == nil || !strings.Contains(err.Error(), "pools.apply is for: operator") {
			t.Errorf("somebody else is told %v", err)
		}
	}
}
