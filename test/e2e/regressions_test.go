package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	sdk "code.gitea.io/sdk/gitea"

	"slipway/gate"
	"slipway/internal/change"
	"slipway/internal/journal"
	"slipway/internal/ref"
	"slipway/test/stage"
)

// TestWhatBrokeElsewhere holds, on a real forge, what let unjudged changes
// through in other systems: races between people, and rights that were lost.
func TestWhatBrokeElsewhere(t *testing.T) {
	t.Parallel()
	p := open(t, "races", wish{active: 3 * time.Second})
	bob, carol := p.stage.Reviewers[0], p.stage.Reviewers[1]
	for _, rule := range []struct {
		name string
		test func(*place)
	}{
		{"an approval and a push at the same moment merge what was approved or nothing", func(p *place) {
			for n := range 3 {
				branch := fmt.Sprintf("approve-push-%d", n)
				id := p.propose(branch, "feat: approve and push")
				p.approve(id, bob)
				first := p.waits(id, gate.CodeApprovals).Head
				p.together(func() error { return p.project.Approve(p.Context(), id, carol) }, func() error {
					return p.project.Push(p.Context(), stage.Proposal{Branch: branch, Title: "fix: slipped in", Files: map[string]string{branch + "-2.txt": "slipped in\n"}})
				})
				c := p.wait(id, lookLimit, "to be merged at the approved head, or to wait on the new one", func(c change.Change) error {
					if c.MergeSHA == "" && c.Head == first {
						return errors.New(standing(c))
					}
					return nil
				})
				if c.MergeSHA != "" && c.Head != first {
					p.Fatalf("%s was merged, and %s approved", c.Head, first)
				}
				p.landedAsJudged(id)
			}
		}},
		{"a rebase with the same difference keeps no approval", func(p *place) {
			id := p.propose("rebased", "feat: rebased")
			p.labels(id, "hold") // or both approvals would merge it
			p.approve(id)
			old := p.waits(id, gate.CodeHold).Head
			if err := p.project.Rebase(p.Context(), "rebased"); err != nil {
				p.Fatal(err)
			}
			c := p.waits(id, gate.CodeHold, gate.CodeApprovals)
			if c.Head == old || len(c.Gate(change.Reviewed).Evidence.Approvals) != 0 {
				p.Errorf("on %s, after %s, there count %+v", c.Head, old, c.Gate(change.Reviewed).Evidence.Approvals)
			}
		}},
		{"a removed approver's approval counts no more", func(p *place) {
			id := p.propose("removed", "feat: removed")
			p.approve(id, carol)
			p.wait(id, lookLimit, "carol's approval to count", func(c change.Change) error {
				if len(c.Gate(change.Reviewed).Evidence.Approvals) != 1 {
					return errors.New(standing(c))
				}
				return nil
			})
			p.tell(http.MethodPatch, "/branch_protections/main", map[string]any{"approvals_whitelist_username": []string{bob.Login}}, nil)
			defer p.tell(http.MethodPatch, "/branch_protections/main", map[string]any{"approvals_whitelist_username": []string{bob.Login, carol.Login}}, nil)
			p.approve(id, bob)
			p.stays(id)
			if c := p.waits(id, gate.CodeApprovals); len(c.Gate(change.Reviewed).Evidence.Approvals) != 1 {
				p.Errorf("who counts: %+v", c.Gate(change.Reviewed).Evidence.Approvals)
			}
		}},
		{"approvals given before a retarget do not count, though nobody looked meanwhile", func(p *place) {
			p.tell(http.MethodPost, "/branches", map[string]string{"new_branch_name": "side", "old_branch_name": "main"}, nil)
			p.stop()
			id := p.proposeTo("side", "retargeted", "feat: retargeted")
			p.approve(id)
			p.tell(http.MethodPatch, fmt.Sprintf("/pulls/%d", id.Number), map[string]string{"base": "main"}, nil)
			p.start()
			p.waits(id, gate.CodeApprovals)
			p.stays(id)
			p.approve(id)
			p.merged(id)
			p.landedAsJudged(id)
		}},
		{"a command in a quote or a code block is not obeyed, and one at the start of a line is", func(p *place) {
			id := p.propose("commands", "feat: commands")
			p.comments(id, bob, "> /hold\n\n```\n/hold\n```\n\n    /hold\n\nI would /hold it")
			last := p.comments(id, bob, "Wait.\n/hold until noon")
			c := p.wait(id, lookLimit, "the hold", func(c change.Change) error {
				if len(c.Holds) == 0 {
					return errors.New(standing(c))
				}
				return nil
			})
			if len(c.Holds) != 1 || c.Holds[0].By != bob.Login || c.Holds[0].Reason != "until noon" {
				p.Errorf("holds: %+v", c.Holds)
			}
			p.answered(last, "+1")
			p.approve(id)
			p.waits(id, gate.CodeHold)
			p.answered(p.comments(id, p.stage.Author, "/unhold"), "-1") // only who set it, or an operator
			p.waits(id, gate.CodeHold)
			p.answered(p.comments(id, bob, "/unhold"), "+1")
			p.merged(id)
			p.landedAsJudged(id)
		}},
		{"a stranger's command is refused with a reason, and journalled", func(p *place) {
			id := p.propose("stranger", "feat: stranger")
			p.waits(id, gate.CodeApprovals)
			admin := p.stage.Forge.Admin() // administers the forge, and is nobody to Slipway
			p.answered(p.comments(id, admin, "/hold because I say so"), "-1")
			if c := p.look(id); len(c.Holds) > 0 {
				p.Errorf("holds: %+v", c.Holds)
			}
			entries := decoded[[]journal.Entry](p.T, p.command("journal", "list", "--subject", id.String(), "--json"))
			if !slices.ContainsFunc(entries, func(e journal.Entry) bool { return e.Actor == admin.Login && strings.HasPrefix(e.Action, "refused.") }) {
				p.Errorf("the refusal is not in the journal: %+v", entries)
			}
		}},
	} {
		t.Run(rule.name, func(t *testing.T) { rule.test(p.in(t)) })
	}
}

// together does several things at the same time.
func (p *place) together(acts ...func() error) {
	p.Helper()
	errs := make([]error, len(acts))
	var wg sync.WaitGroup
	for i, act := range acts {
		wg.Go(func() { errs[i] = act() })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		p.Fatal(err)
	}
}

// landedAsJudged fails if a merge has no receipt that says that what landed is
// what was judged.
func (p *place) landedAsJudged(id ref.PullID) {
	p.Helper()
	if p.look(id).MergeSHA == "" {
		return
	}
	c := p.wait(id, lookLimit, "its receipt", func(c change.Change) error {
		if c.Receipt == nil {
			return errors.New(standing(c))
		}
		return nil
	})
	for _, r := range c.Receipt.Reviews {
		if r.Commit != c.Receipt.Head || r.Observed != c.Receipt.Head {
			p.Errorf("%s reviewed %s, seen at %s, and %s was judged", r.Login, r.Commit, r.Observed, c.Receipt.Head)
		}
	}
	if c.Landed == nil || c.Landed.Equal != ref.Yes || c.Landed.Tree != c.Landed.Want || c.Receipt.Tree != c.Landed.Tree {
		p.Errorf("landed: %+v", c.Landed)
	}
}

// answered waits for the bot's reaction to a comment.
func (p *place) answered(comment int64, want string) {
	p.Helper()
	p.until(lookLimit, "the answer to a command", func(context.Context) error {
		var list []sdk.Reaction
		p.tell(http.MethodGet, fmt.Sprintf("/issues/comments/%d/reactions", comment), nil, &list)
		var said []string
		for _, r := range list {
			if r.User.UserName == p.stage.Bot.Login {
				said = append(said, r.Reaction)
			}
		}
		if !slices.Equal(said, []string{want}) {
			return fmt.Errorf("it answered %q, want %q", said, want)
		}
		return nil
	})
}

// stop ends Slipway.
func (p *place) stop() {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.Context(), time.Minute)
	defer cancel()
	if err := p.slipway().Stop(ctx); err != nil {
		p.Fatal(err)
	}
}

// proposeTo opens a pull request to another branch than main.
func (p *place) proposeTo(base, branch, title string) ref.PullID {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.Context(), callLimit)
	defer cancel()
	id, err := p.project.Propose(ctx, stage.Proposal{Branch: branch, Base: base, Title: title, Files: map[string]string{branch + ".txt": title + "\n"}})
	if err != nil {
		p.Fatal(err)
	}
	return id
}
