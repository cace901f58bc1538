package server_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway/dispatcher"
	"slipway/internal/fault"
	"slipway/internal/server"
	"slipway/pools"
)

// poolSet is a set with everything in it that there can be.
func poolSet(number int64) pools.Set {
	lite := pools.PoolName{Role: "builder", Tier: "lite"}
	a := func(name, model string) pools.Assignment {
		return pools.Assignment{
			Name: name, Provider: "acme", Model: model, Prompt: pools.Prompt{File: "p.md", Hash: strings.Repeat("ab", 32), Text: "be brief"},
			Parameters: `{"effort":1}`, Prices: pools.Prices{Input: 1_250_000, Output: 3, CacheRead: 1}, Budget: 2_000_001,
		}
	}
	return pools.Set{
		Number: number, Vocabulary: pools.Vocabulary{Roles: []string{"builder", "reviewer"}, Tiers: []string{"lite"}}, Currency: "EUR", Shapes: []string{"fix"},
		Pools: []pools.Pool{
			{Name: lite, Replicas: 2, Operator: "acme", Limit: 1, Daily: 50_000_000, Deadline: 90*time.Minute + time.Nanosecond, Canary: &pools.Canary{Assignment: "b", Share: 0.1}},
			{Name: pools.PoolName{Role: "reviewer", Tier: "lite"}, Replicas: 0},
		},
		Assignments: map[string]pools.Assignment{"a": a("a", "model-a"), "b": a("b", "model-b")},
		Replicas:    map[pools.Address]string{{Role: "builder", Tier: "lite"}: "a", {Role: "builder", Tier: "lite", Replica: 1}: "b"},
		Source:      "the file's own text",
	}
}

func TestWhatIsInForce(t *testing.T) {
	w := newWorld(t)
	c := w.client(readerSecret)
	if _, found, err := c.InForce(t.Context()); found || err != nil {
		t.Errorf("before the first there is none: %t, %v", found, err)
	}
	set := poolSet(3)
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	w.shop.sets = []dispatcher.StoredSet{{Set: set, At: at, By: "ops", Why: "swap"}}
	seat := func(n int, live dispatcher.AttemptID) dispatcher.Seat {
		return dispatcher.Seat{Address: pools.Address{Role: "builder", Tier: "lite", Replica: n}, Live: live}
	}
	cordoned := seat(1, 0)
	cordoned.Cordoned, cordoned.Reason, cordoned.By, cordoned.Epoch = true, "it is slow", "ops", 4
	w.shop.seats = []dispatcher.Seat{cordoned, seat(7, 0), seat(8, 12)}
	w.file.faults = []string{"pools.yaml:3: a price below 0"}
	got, found, err := c.InForce(t.Context())
	if err != nil || !found || got.Number != 3 || got.By != "ops" || got.Why != "swap" || !got.At.Equal(at) || got.Hash != set.Hash() {
		t.Fatalf("%+v, %t, %v", got.SetHead, found, err)
	}
	var seats []string
	for _, s := range got.Seats {
		seats = append(seats, strings.TrimSpace(s.Address.String()+" "+s.Model))
	}
	if want := []string{"builder-lite-0 model-a", "builder-lite-1 model-b", "builder-lite-8"}; !slices.Equal(seats, want) {
		t.Errorf("the coordinates are %q, want %q: those of the set, and who still has an attempt", seats, want)
	}
	if s := got.Seats[1]; !s.Cordoned || s.Reason != "it is slow" || s.By != "ops" || s.Epoch != 4 || s.Gone {
		t.Errorf("%+v", s)
	}
	if s := got.Seats[2]; !s.Gone || s.Live != 12 {
		t.Errorf("%+v", s)
	}
	if !slices.Equal(got.Faults, w.file.faults) {
		t.Errorf("faults are %q", got.Faults)
	}
	if diff := pools.Diff(set, got.Set()); len(diff) > 0 || got.Set().Hash() != set.Hash() {
		t.Errorf("what arrives is another set: %+v", diff)
	}
	if body := w.call(http.MethodGet, "pools", readerSecret, "").body; strings.Contains(body, "be brief") {
		t.Error("a prompt is told to readers")
	}
}

func TestHistory(t *testing.T) {
	w := newWorld(t)
	first, second, third := poolSet(1), poolSet(2), poolSet(3)
	second.Replicas[pools.Address{Role: "builder", Tier: "lite"}] = "b"
	third.Currency = "USD"
	for _, s := range []pools.Set{first, second, third} {
		w.shop.sets = append(w.shop.sets, dispatcher.StoredSet{Set: s, By: "ops", Why: "file"})
	}
	c := w.client(readerSecret)
	tell := func(n int) (out [][]string) {
		t.Helper()
		list, err := c.Past(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range list {
			said := []string{}
			for _, change := range p.Changes {
				said = append(said, change.Text)
			}
			out = append(out, said)
		}
		return out
	}
	swapped := "builder-lite-0 runs b instead of a"
	all := tell(5)
	if len(all) != 3 || len(all[2]) != 0 || !slices.Equal(all[1], []string{swapped}) || !slices.Contains(all[0], "the currency: USD instead of EUR") {
		t.Errorf("the history tells %q", all)
	}
	if cut := tell(2); len(cut) != 2 || !slices.Equal(cut[1], []string{swapped}) {
		t.Errorf("cut short it tells %q: the last one's changes too", cut)
	}
}

func TestSwapAndRollback(t *testing.T) {
	w := newWorld(t)
	ops := w.client(operatorSecret)
	a := pools.Address{Role: "builder", Tier: "lite"}
	w.file.becomes = server.Swapped{
		Result: server.Patch, Number: 3, Diff: "-a\n+b\n", Reason: "read-only", Changes: []pools.Change{{Part: pools.OfCoordinates, Name: a.String(), Act: pools.Changed, Text: "x"}},
	}
	got, err := ops.Swap(t.Context(), server.SwapOrder{Address: a, Provider: "acme", Model: "model-b", DryRun: true})
	if err != nil || !cmp.Equal(got, w.file.becomes) {
		t.Errorf("%+v, %v", got, err)
	}
	w.file.becomes = server.Swapped{Result: server.Applied, Number: 4}
	if got, err := ops.Rollback(t.Context(), 2); err != nil || got.Number != 4 || got.Changes == nil {
		t.Errorf("%+v, %v", got, err)
	}
	w.file.refuse = fault.AsPermanent(errors.New("there is no assignment of model x"))
	if _, err := ops.Swap(t.Context(), server.SwapOrder{Address: a, Assignment: "x"}); err == nil || !strings.Contains(err.Error(), "no assignment of model x") {
		t.Errorf("what cannot be is said: %v", err)
	}
	if got := w.call(http.MethodPost, "pools/swap", operatorSecret, `{"address":"builder-lite-0","assignment":"x"}`); got.status != 409 {
		t.Errorf("it is answered %d", got.status)
	}
	w.file.refuse = errors.New("the disk is slow")
	if got := w.call(http.MethodPost, "pools/rollback", operatorSecret, `{}`); got.status != 503 {
		t.Errorf("what may pass is answered %d", got.status)
	}
	want := "swap by ops: {Address:builder-lite-0 Provider:acme Model:model-b Assignment: DryRun:true}"
	if w.file.said[0] != want || w.file.said[1] != "rollback by ops to 2" {
		t.Errorf("the file was told %q", w.file.said)
	}
}
