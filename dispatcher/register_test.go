package dispatcher_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"slipway/dispatcher"
	"slipway/gate"
	"slipway/internal/fault"
	"slipway/internal/ref"
)

// shown is a forge that shows one pull request, or an error in its place.
type shown struct {
	pull  gate.PullRequest
	err   error
	asked int
}

func (s *shown) use(c *dispatcher.Config) {
	c.Pull = func(context.Context, ref.PullID) (gate.PullRequest, error) {
		s.asked++
		return s.pull, s.err
	}
}

// opened is the pull request of a grant as its worker opened it.
func opened(g *dispatcher.Grant) gate.PullRequest {
	return gate.PullRequest{
		ID: pull, Author: "Builder-Lite-0", Head: head(1), HeadBranch: g.Branch, HeadRepo: app, Base: "main",
		Open: ref.Yes, Merged: ref.No,
	}
}

func (d *dock) register(g *dispatcher.Grant, h ref.SHA) error {
	return d.Register(d.t.Context(), g.Builder, g.Attempt, dispatcher.Registration{Token: g.Token, Pull: pull, Head: h})
}

func TestW2OnlyAPullRequestThatTheForgeShowsAsTheAttemptsOwnIsRegistered(t *testing.T) {
	for name, test := range map[string]struct {
		as   func(p *gate.PullRequest)
		err  error
		says string // "" for one that is registered
	}{
		"its own":                     {as: func(*gate.PullRequest) {}},
		"its own that merged already": {as: func(p *gate.PullRequest) { p.Open, p.Merged = ref.No, ref.Yes }},
		"another's":                   {as: func(p *gate.PullRequest) { p.Author = "alice" }, says: "it is alice's"},
		"one from another branch": {as: func(p *gate.PullRequest) { p.HeadBranch = "alice-1" },
			says: "it comes from the branch alice-1, and the attempt's is work/1-builder-lite-0"},
		"one from a fork": {as: func(p *gate.PullRequest) { p.HeadRepo = ref.RepoID{Owner: "builder-lite-0", Name: "app"} },
			says: "it comes from builder-lite-0/app"},
		"one whose repository is gone": {as: func(p *gate.PullRequest) { p.HeadRepo = ref.RepoID{} }, says: "it comes from another repository"},
		"one to another base":          {as: func(p *gate.PullRequest) { p.Base = "alice-1" }, says: "it goes to alice-1, and the work to main"},
		"one that was closed":          {as: func(p *gate.PullRequest) { p.Open = ref.No }, says: "it was closed"},
		"one that there is not":        {err: fault.AsPermanent(errors.New("404")), says: "there is no such pull request"},
		"one of nobody that is known":  {as: func(p *gate.PullRequest) { p.Author = "" }, says: "nobody knows whose it is"},
	} {
		t.Run(name, func(t *testing.T) {
			forge := &shown{err: test.err}
			d := newDock(t, forge.use)
			item := d.submit("Mend the pump")
			g := d.claim("builder-lite-0")
			forge.pull = opened(g)
			if test.as != nil {
				test.as(&forge.pull)
			}
			err := d.register(g, head(1))
			told := d.told("refused.work.register")
			w, _, workErr := d.Work(t.Context(), item.ID)
			if workErr != nil {
				t.Fatal(workErr)
			}
			if test.says == "" {
				if err != nil || len(told) != 0 || w.Attempts[0].Head != head(1) {
					t.Errorf("it is not registered: %v, %+v", err, w.Attempts[0])
				}
				return
			}
			if fault.KindOf(err) != fault.Permanent || !strings.Contains(err.Error(), test.says) {
				t.Errorf("it came to %v", err)
			}
			if len(told) != 1 || !strings.Contains(told[0].Reason, test.says) || w.Attempts[0].Head != "" || !w.Attempts[0].Pull.IsZero() {
				t.Errorf("the journal tells %+v of %+v", told, w.Attempts[0])
			}
			done := dispatcher.Completion{Beat: dispatcher.Beat{Token: g.Token}}
			if err := d.Complete(t.Context(), g.Builder, g.Attempt, done); err == nil {
				t.Error("it completes all the same")
			}
		})
	}
}

func TestARegistrationIsTriedAgainWhileTheForgeIsLate(t *testing.T) {
	for name, test := range map[string]struct {
		late func(*shown)
	}{
		"it cannot be asked":                  {func(s *shown) { s.err = errors.New("502") }},
		"it does not know whether it is open": {func(s *shown) { s.pull.Open = ref.Unknown }},
		"it shows the head before the push":   {func(s *shown) { s.pull.Head = head(8) }},
	} {
		t.Run(name, func(t *testing.T) {
			forge := &shown{}
			d := newDock(t, forge.use)
			d.submit("Mend the pump")
			g := d.claim("builder-lite-0")
			forge.pull = opened(g)
			test.late(forge)
			if err := d.register(g, head(1)); err == nil || fault.KindOf(err) != fault.Later {
				t.Fatalf("it came to %v", err)
			}
			if told := d.told("refused.work"); len(told) != 0 {
				t.Errorf("the journal tells %+v", told)
			}
			forge.pull, forge.err = opened(g), nil
			if err := d.register(g, head(1)); err != nil {
				t.Error(err)
			}
			// What is registered is not asked for again.
			asked := forge.asked
			if err := d.register(g, head(1)); err != nil || forge.asked != asked {
				t.Errorf("the same again: %v, asked %d times more", err, forge.asked-asked)
			}
		})
	}
}

func TestAHeadThatTheForgeNeverShowsIsRefusedInTheEnd(t *testing.T) {
	forge := &shown{}
	d := newDock(t, forge.use)
	d.submit("Mend the pump")
	g := d.claim("builder-lite-0")
	forge.pull = opened(g)
	if err := d.register(g, head(9)); err == nil || fault.KindOf(err) != fault.Later {
		t.Fatalf("at first it came to %v", err)
	}
	d.ahead.Add(int64(30 * time.Second))
	err := d.register(g, head(9))
	if fault.KindOf(err) != fault.Permanent || !strings.Contains(err.Error(), string(head(9))) || !strings.Contains(err.Error(), string(head(1))) {
		t.Fatalf("half a minute later it came to %v", err)
	}
	// Another head has its own time.
	if err := d.register(g, head(7)); err == nil || fault.KindOf(err) != fault.Later {
		t.Errorf("another head came to %v", err)
	}
}

func TestTheForgeIsNotAskedForACallThatIsRefusedAnyhow(t *testing.T) {
	forge := &shown{}
	d := newDock(t, forge.use)
	d.submit("Mend the pump")
	g := d.claim("builder-lite-0")
	forge.pull = opened(g)
	r := dispatcher.Registration{Token: g.Token + 1, Pull: pull, Head: head(1)}
	if err := d.Register(t.Context(), g.Builder, g.Attempt, r); !errors.Is(err, dispatcher.ErrStale) || forge.asked != 0 {
		t.Errorf("it came to %v, and the forge was asked %d times", err, forge.asked)
	}
}
