package dispatcher_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"slipway/dispatcher"
	"slipway/internal/fault"
	"slipway/pools"
)

// TestACredentialIsEnrolledForACoordinateThatIsThere holds what may speak for
// whom.
func TestACredentialIsEnrolledForACoordinateThatIsThere(t *testing.T) {
	d := newDock(t)
	there := pools.Address{Role: "reviewer", Tier: "lite"}
	_, c, err := dispatcher.NewCredential(there, time.Now(), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // what is known is no error
		if err := d.Enrol(t.Context(), "olga", c); err != nil {
			t.Fatal(err)
		}
	}
	other := c
	other.Address.Replica = 1
	_, stranger, err := dispatcher.NewCredential(pools.Address{Role: "reviewer", Tier: "vast"}, time.Now(), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	_, late, err := dispatcher.NewCredential(there, time.Now(), time.Now().Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	for rule, refused := range map[string]struct {
		c   dispatcher.Credential
		say string
	}{
		"one that is another's":  {other, "is reviewer-lite-0's"},
		"one of no coordinate":   {stranger, "no coordinate of the pool config"},
		"one that has expired":   {late, "expired"},
		"what is no hash at all": {dispatcher.Credential{Address: there, Hash: "slipway_w_secret"}, "is not the SHA-256"},
	} {
		if err := d.Enrol(t.Context(), "olga", refused.c); fault.KindOf(err) != fault.Permanent || !strings.Contains(err.Error(), refused.say) {
			t.Errorf("%s is told as %v", rule, err)
		}
	}
	for range 2 {
		if err := d.Revoke(t.Context(), "olga", c.Hash); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Enrol(t.Context(), "olga", c); fault.KindOf(err) != fault.Permanent || !strings.Contains(err.Error(), "revoked") {
		t.Errorf("one that was revoked is told as %v", err)
	}
	if err := d.Revoke(t.Context(), "olga", strings.Repeat("0", 64)); fault.KindOf(err) != fault.Permanent {
		t.Errorf("one that never was is told as %v", err)
	}
	var refused []string
	for _, e := range d.told("refused.pools.") {
		refused = append(refused, e.Action)
		if e.Actor != "olga" || e.Reason == "" || strings.Contains(e.Reason+e.Identity+e.Subject, "slipway_w_") {
			t.Errorf("a refusal is journalled as %+v", e)
		}
	}
	slices.Sort(refused)
	if want := append(slices.Repeat([]string{"refused.pools.enrol"}, 5), "refused.pools.revoke"); !slices.Equal(refused, want) {
		t.Errorf("the journal tells of the refusals %q, want %q", refused, want)
	}
	list, err := d.Credentials(t.Context())
	if err != nil || len(list) != 1 || list[0].Revoked.IsZero() {
		t.Errorf("there are %+v, %v", list, err)
	}
	var told []string
	entries, err := d.store.Entries(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Subject == there.String() && !strings.HasPrefix(e.Action, "refused.") {
			told = append(told, e.Action)
		}
	}
	if strings.Join(told, " ") != "pools.enrolled pools.revoked" {
		t.Errorf("the journal tells of %q", told)
	}
}
