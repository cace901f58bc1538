package reconcile_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"

	"slipway/gate"
	"slipway/internal/change"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

// crews tell what a test says of every pull request, and take down whom they
// were asked about.
type crews struct {
	mutex  sync.Mutex
	says   gate.Crew
	failed error
	asked  []ref.SHA
}

func (c *crews) Crew(_ context.Context, _ ref.PullID, head ref.SHA) (gate.Crew, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.asked = append(c.asked, head)
	return c.says, c.failed
}

func (c *crews) say(crew gate.Crew, failed error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.says, c.failed = crew, failed
}

func (c *crews) join(_ *world, conf *reconcile.Config) { conf.Crews = c }

func robot(model, pool string) gate.Principal {
	return gate.Principal{Kind: gate.KindAgent, Operator: "op-" + model, Model: model, Pool: pool}
}

// manned are pools of which alice, bob and carol are coordinates, and two more
// that have no part in it.
func manned() gate.Crew {
	return gate.Crew{Read: ref.Yes, Registered: ref.Yes, Members: map[string]gate.Principal{
		"alice": robot("m0", "builder-lite"), "bob": robot("m1", "reviewer-lite"), "carol": robot("m2", "reviewer-lite"),
		"reviewer-lite-2": robot("", "reviewer-lite"), "builder-lite-9": robot("", "builder-lite"),
	}}
}

func TestTheReceiptSaysWhichModelsApproved(t *testing.T) {
	c := &crews{says: manned()}
	w := gated(t, "ready", signed, c.join)
	id := w.propose(1, map[string]string{"x": "1"})
	w.satisfy(id)
	w.run()
	w.hint(id)
	got := w.seen(id, "the receipt", func(c change.Change) bool { return c.Receipt != nil })
	var models []string
	for _, r := range got.Receipt.Reviews {
		models = append(models, r.Login+" "+string(r.Kind)+" "+r.Model)
	}
	if want := []string{"bob agent m1", "carol agent m2"}; !slices.Equal(models, want) {
		t.Errorf("reviews of the receipt %q, want %q", models, want)
	}
	for _, a := range got.Gate(change.Reviewed).Evidence.Approvals {
		if a.Kind != gate.KindAgent || a.Model == "" {
			t.Errorf("evidence %+v", a)
		}
	}
	body, found, err := w.store.Snapshot(t.Context(), got.Intent.Snapshot)
	if err != nil || !found {
		t.Fatal(found, err)
	}
	var kept gate.Snapshot
	if err := json.Unmarshal(body, &kept); err != nil {
		t.Fatal(err)
	}
	// Nobody who has no part in it is kept with it: the policy names no pool.
	if members := slices.Sorted(maps.Keys(kept.Crew.Members)); !slices.Equal(members, []string{"alice", "bob", "carol"}) || kept.Crew.Registered != ref.Yes {
		t.Errorf("crew %+v", kept.Crew)
	}
	if c.asked[0] != got.Intent.Head {
		t.Errorf("asked about %v, judged %s", c.asked, got.Intent.Head)
	}
}

func TestW2OnlyARegisteredHeadMerges(t *testing.T) {
	unregistered := manned()
	unregistered.Registered = ref.No
	c := &crews{says: unregistered}
	w := gated(t, "ready", c.join)
	id := w.propose(1, map[string]string{"x": "1"})
	w.satisfy(id)
	w.run()
	says := func(code gate.Code) func(change.Change) bool {
		return func(c change.Change) bool { return len(c.Verdict) == 1 && c.Verdict[0].Code == code }
	}
	w.hint(id)
	w.seen(id, "the block", says(gate.CodeUnregistered))
	c.say(gate.Crew{Read: ref.Yes}, errors.New("the store is down"))
	w.hint(id)
	w.seen(id, "that it is not known", says(gate.CodeUnknown))
	c.say(gate.Crew{}, nil)
	w.hint(id)
	w.seen(id, "that it still is not", says(gate.CodeUnknown))
	if w.forge.merges > 0 {
		t.Fatal("it was merged")
	}
	c.say(manned(), nil)
	w.hint(id)
	w.seen(id, "the merge", func(c change.Change) bool { return c.MergeSHA != "" })
}

func TestAPoolOfThePolicyStaysInTheCrew(t *testing.T) {
	c := &crews{says: manned()}
	w := gated(t, "asked", c.join, func(_ *world, conf *reconcile.Config) {
		parse := conf.Policy
		conf.Policy = func(id ref.RepoID, where string, data []byte, found bool) change.Plan {
			p := parse(id, where, data, found)
			p.Gate.Approvers = gate.Who{Pools: []string{"reviewer-lite"}}
			return p
		}
	})
	id := w.propose(1, map[string]string{"x": "1"})
	w.run()
	w.hint(id)
	got := w.seen(id, "the verdict", func(c change.Change) bool { return c.Snapshot != "" })
	body, _, err := w.store.Snapshot(t.Context(), got.Snapshot)
	if err != nil {
		t.Fatal(err)
	}
	var kept gate.Snapshot
	if err := json.Unmarshal(body, &kept); err != nil {
		t.Fatal(err)
	}
	if members := slices.Sorted(maps.Keys(kept.Crew.Members)); !slices.Equal(members, []string{"alice", "bob", "carol", "reviewer-lite-2"}) {
		t.Errorf("crew %q", members)
	}
}

// heardOf takes down what an engine tells.
type heardOf struct {
	mutex  sync.Mutex
	pulls  []ref.PullID
	issues []ref.RepoID
}

func (h *heardOf) join(_ *world, conf *reconcile.Config) {
	conf.Changed = func(id ref.PullID) {
		h.mutex.Lock()
		defer h.mutex.Unlock()
		h.pulls = append(h.pulls, id)
	}
	conf.IssuesChanged = func(id ref.RepoID) {
		h.mutex.Lock()
		defer h.mutex.Unlock()
		h.issues = append(h.issues, id)
	}
}

func (h *heardOf) times() (pulls, issues int) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	return len(h.pulls), len(h.issues)
}

func TestANewRecordIsTold(t *testing.T) {
	h := &heardOf{}
	w := gated(t, "asked", h.join)
	id := w.propose(1, map[string]string{"x": "1"})
	w.run()
	w.hint(id)
	w.seen(id, "the first look", func(c change.Change) bool { return c.Head != "" })
	w.until("that it is told", func() bool { n, _ := h.times(); return n > 0 })
	before, _ := h.times()
	hold := w.comment(id, "dave", "/hold")
	w.hint(id)
	w.seen(id, "the hold", func(c change.Change) bool { return c.Talk.Heard >= hold })
	w.until("that the hold is told", func() bool { n, _ := h.times(); return n > before })
	h.mutex.Lock()
	defer h.mutex.Unlock()
	for _, told := range h.pulls {
		if told != id {
			t.Errorf("told of %s", told)
		}
	}
}

func TestAHintOfIssuesIsPassedOn(t *testing.T) {
	h := &heardOf{}
	w := gated(t, "asked", h.join)
	elsewhere := ref.RepoID{Owner: "acme", Name: "other"}
	for _, row := range []struct {
		name   string
		hint   reconcile.Hint
		served bool
		told   int
	}{
		{"of a repository that is served", reconcile.Hint{Repo: app, Issues: true}, true, 1},
		{"not of any other", reconcile.Hint{Repo: elsewhere, Issues: true}, false, 1},
		{"nor what is about something else", reconcile.Hint{Repo: app, Branch: "main"}, true, 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			served, err := w.engine.Accept(t.Context(), row.hint)
			if err != nil || served != row.served {
				t.Fatalf("served %v, %v", served, err)
			}
			if _, got := h.times(); got != row.told {
				t.Errorf("told %d times, want %d", got, row.told)
			}
		})
	}
}
