package dispatcher_test

import (
	"strings"
	"testing"
	"time"

	"slipway/dispatcher"
	"slipway/pools"
)

func TestACredentialIsKnownByItsHash(t *testing.T) {
	a := pools.Address{Role: "builder", Tier: "lite"}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	secret, c, err := dispatcher.NewCredential(a, now, now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if hash, ok := dispatcher.HashCredential(secret); !ok || hash != c.Hash || len(hash) != 64 {
		t.Errorf("the hash of what was minted is %q, %t; kept is %q", hash, ok, c.Hash)
	}
	if c.Address != a || !c.Created.Equal(now) || strings.Contains(secret, c.Hash) {
		t.Errorf("kept is %+v", c)
	}
	another, _, err := dispatcher.NewCredential(a, now, time.Time{})
	if err != nil || another == secret {
		t.Errorf("the next one is the same, or %v", err)
	}
	for rule, wrong := range map[string]string{
		"nothing":                    "",
		"another kind of secret":     "slipway_" + strings.TrimPrefix(secret, dispatcher.CredentialPrefix),
		"one without its beginning":  strings.TrimPrefix(secret, dispatcher.CredentialPrefix),
		"one cut short":              secret[:len(secret)-1],
		"one with more":              secret + "A",
		"one with a space around it": secret + " ",
		"one with a line's end":      secret + "\n",
		"the hash itself":            c.Hash,
	} {
		if hash, ok := dispatcher.HashCredential(wrong); ok {
			t.Errorf("%s is taken for a secret: %s", rule, hash)
		}
	}
}

func TestACredentialEnds(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	a := pools.Address{Role: "builder", Tier: "lite"}
	for _, c := range []struct {
		rule string
		c    dispatcher.Credential
		says string // "" for good
	}{
		{"one without an end is good", dispatcher.Credential{Address: a}, ""},
		{"one is good until it expires", dispatcher.Credential{Address: a, Expires: now.Add(1)}, ""},
		{"one ends at its time", dispatcher.Credential{Address: a, Expires: now}, "expired on 2026-03-01T12:00:00Z"},
		{"one that was revoked is good no more", dispatcher.Credential{Address: a, Revoked: now.Add(-1), Expires: now.Add(time.Hour)}, "builder-lite-0 was revoked"},
		{"one is revoked at once, whatever the clocks", dispatcher.Credential{Address: a, Revoked: now.Add(time.Hour)}, "revoked"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			if got := c.c.Ended(now); (got == "") != (c.says == "") || !strings.Contains(got, c.says) {
				t.Errorf("it says %q, want %q", got, c.says)
			}
		})
	}
}
