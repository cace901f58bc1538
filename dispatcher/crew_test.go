package dispatcher_test

import (
	"testing"

	"slipway/internal/change"
	"slipway/internal/ref"
)

// TestACoordinateThatLeftThePoolsStaysOne: else whatever is pushed to its branch
// after that could merge.
func TestACoordinateThatLeftThePoolsStaysOne(t *testing.T) {
	d := newDock(t)
	d.submit("Mend the pump")
	d.finish(d.claim("builder-lite-0"), pull, head(1), "")
	d.judged(change.Change{Head: head(1), Author: "builder-lite-0"}, 2)
	left := fleet()
	delete(left.Replicas, at("builder-lite-0"))
	if _, _, err := d.Apply(t.Context(), "olga", "one less", left); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name       string
		at         ref.SHA
		registered ref.Fact
		model      string
	}{
		{"at the head that it registered", head(1), ref.Yes, "alpha-1"},
		{"at one that came after", head(2), ref.No, ""},
	} {
		crew, err := d.Crew(t.Context(), pull, row.at)
		if err != nil {
			t.Fatal(err)
		}
		is, member := crew.Members["builder-lite-0"]
		if !member || is.Model != row.model || is.Pool != "builder-lite" || crew.Registered != row.registered {
			t.Errorf("%s: %+v, registered %s", row.name, is, crew.Registered)
		}
	}
}
