package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	sdk "code.gitea.io/sdk/gitea"

	"slipway/deployer"
	"slipway/internal/change"
	"slipway/internal/journal"
	"slipway/internal/ref"
	"slipway/internal/server"
	"slipway/test/stage"
)

// TestTheLoop takes a change from a pull request to (simulated) health with
// nobody clicking, then a bad one back, then what follows a bad one.
func TestTheLoop(t *testing.T) {
	p := open(t, "loop", wish{edit: fromSeven, tested: true})
	good := p.ship("greet", "feat: greet people by name")
	bad := change.Change{}
	for _, step := range []struct {
		rule string
		do   func(*place)
	}{
		{"a good change ends simulated, each gate with its evidence", func(p *place) {
			evidenced(p.T, good)
			p.shippedOnce(good)
			p.runs(good)
			if good.Version != "v7.0.0" {
				p.Errorf("version %s", good.Version)
			}
		}},
		{"the head carries a sentence of the gate", func(p *place) {
			state, text := p.gateStatus(good.Head)
			if state != "success" || !strings.Contains(text, "1 of 1 required checks are green, 2 approvals count") {
				p.Errorf("slipway/gate is %q: %q", state, text)
			}
		}},
		{"the merge commit names the change, the judged head, who approved, and the journal", func(p *place) { p.receipt(good) }},
		{"the release page lists the change", func(p *place) {
			pages := p.pagesOf(good.Tag)
			if len(pages) != 1 || !strings.Contains(pages[0].Note, "feat: greet people by name") {
				p.Errorf("release pages: %+v", pages)
			}
		}},
		{"the commands answer from the server and beside the store", func(p *place) { p.commands(good) }},
		{"a version that crashes goes back to the last good one, is barred, and its revert is proposed", func(p *place) {
			bad = p.rollsBack(good)
		}},
		{"what contains the barred commit waits until its revert is merged", func(p *place) { p.waitsForRevert(good, bad) }},
	} {
		if !t.Run(step.rule, func(t *testing.T) { step.do(p.in(t)) }) {
			return // what follows builds on it
		}
	}
}

// receipt checks the trailers of a merge commit.
func (p *place) receipt(c change.Change) {
	p.Helper()
	commit, _, err := p.sdk(p.stage.Forge.Admin()).GetSingleCommit(stage.Org, p.project.Name, string(c.MergeSHA))
	if err != nil {
		p.Fatal(err)
	}
	message := commit.RepoCommit.Message
	for _, want := range []string{
		fmt.Sprintf("feat: greet people by name (#%d)\n", c.ID.Number),
		"\nReviewed-by: bob\n", "\nReviewed-by: carol\n",
		"\nSlipway-Change: " + c.ID.String() + "\n",
		"\nSlipway-Judged: " + string(c.Head) + "\n",
	} {
		if !strings.Contains(message, want) {
			p.Errorf("the merge commit lacks %q:\n%s", want, message)
		}
	}
	said := regexp.MustCompile(`(?m)^Slipway-Journal: (\d+) ([0-9a-f]+)$`).FindStringSubmatch(message)
	if said == nil {
		p.Fatalf("the merge commit does not name the journal's head:\n%s", message)
	}
	for _, e := range decoded[[]journal.Entry](p.T, p.command("journal", "list", "--json")) {
		if fmt.Sprint(e.Seq) == said[1] {
			if e.Hash != said[2] {
				p.Errorf("journal entry %d has hash %s, the merge commit says %s", e.Seq, e.Hash, said[2])
			}
			return
		}
	}
	p.Errorf("there is no journal entry %s", said[1])
}

// commands asks each command that reads, both ways.
func (p *place) commands(c change.Change) {
	p.Helper()
	for way, run := range map[string]func(...string) ran{"server": p.command, "store": p.beside} {
		p.Run("from the "+way, func(t *testing.T) {
			run("journal", "verify").wants(t, 0, "whole: ")
			v := decoded[server.Verified](t, run("journal", "verify", "--json"))
			if v.Entries < 10 || v.Head == "" || v.Broken != "" {
				t.Errorf("the journal: %+v", v)
			}
			run("changes").wants(t, 0, c.ID.String())
			all := decoded[[]change.Change](t, run("changes", "--json"))
			if len(all) != 1 || all[0].ID != c.ID || all[0].Outcome != change.OutcomeSimulated || len(all[0].Gates) != 8 {
				t.Errorf("changes: %+v", all)
			}
			if open := decoded[[]change.Change](t, run("changes", "--open", "--json")); len(open) != 0 {
				t.Errorf("open changes: %+v", open)
			}
			run("explain", c.ID.String()).wants(t, 0, "post_merge_ci", string(c.Pin.Digest), c.Version, "approved by bob")
			if one := decoded[change.Change](t, run("explain", c.ID.String(), "--json")); one.MergeSHA != c.MergeSHA {
				t.Errorf("explained: %+v", one)
			}
			run("deploy", "status").wants(t, 0, p.project.Target().String(), c.Pin.String(), "simulated")
			targets := decoded[[]deployer.Target](t, run("deploy", "status", p.project.Target().String(), "--json"))
			if len(targets) != 1 || targets[0].Current == nil || targets[0].Current.Image != c.Pin.String() {
				t.Errorf("targets: %+v", targets)
			}
			run("explain", p.project.ID().String()+"#999").wants(t, 1, "is not known here")
			run("explain", "nonsense").wants(t, 2, "is not a pull request")
		})
	}
	p.command("doctor").wants(p.T, 0, "no faults found")
}

// rollsBack ships the version that crashes.
func (p *place) rollsBack(good change.Change) change.Change {
	p.Helper()
	id := p.propose("crash", "feat: crash where it runs")
	p.approve(id)
	bad := p.ended(id, change.OutcomeRolled)
	if bad.Version != badTag {
		p.Fatalf("version %s, want %s", bad.Version, badTag)
	}
	p.shippedOnce(bad)
	p.runs(good)
	if pins := p.pins(); len(pins) < 3 || !slices.Equal(pins[len(pins)-3:], []string{p.pinOf(good), p.pinOf(bad), p.pinOf(good)}) {
		p.Errorf("pinned one after another: %q", pins)
	}
	if r := bad.Gate(change.Rollout); r.State != change.Failed || r.Evidence.RestoredTo != p.pinOf(good) {
		p.Errorf("the rollout's gate: %+v", r)
	}
	target, err := p.target(p.Context())
	if err != nil {
		p.Fatal(err)
	}
	if len(target.Barred) != 1 || target.Barred[0].Merge != bad.MergeSHA || target.Barred[0].Digest != bad.Pin.Digest || target.Barred[0].Lifted != "" {
		p.Errorf("barred: %+v", target.Barred)
	}
	if bad.Revert == nil || bad.Revert.State != change.RevertOpen || bad.Revert.Pull.IsZero() {
		p.Fatalf("the revert: %+v", bad.Revert)
	}
	revert := p.pull(bad.Revert.Pull)
	if revert.State != sdk.StateOpen || revert.Poster.UserName != p.stage.Bot.Login || !strings.Contains(revert.Body, "This reverts commit "+string(bad.MergeSHA)) {
		p.Errorf("the revert in the forge: %s by %s\n%s", revert.State, revert.Poster.UserName, revert.Body)
	}
	comments, _, err := p.sdk(p.stage.Forge.Admin()).ListIssueComments(stage.Org, p.project.Name, id.Number, sdk.ListIssueCommentOptions{})
	if err != nil {
		p.Fatal(err)
	}
	if !slices.ContainsFunc(comments, func(c *sdk.Comment) bool { return strings.Contains(c.Body, fmt.Sprintf("#%d", bad.Revert.Pull.Number)) }) {
		p.Error("nobody is told on the pull request which revert it has")
	}
	return bad
}

// waitsForRevert ships a good change on top of the bad one.
func (p *place) waitsForRevert(good, bad change.Change) {
	p.Helper()
	id := p.propose("more", "feat: more")
	p.approve(id)
	held := p.wait(id, changeLimit, "to be held for what it contains", func(c change.Change) error {
		if g := c.Gate(change.Rollout); c.Gate(change.Image).State != change.Passed || !strings.Contains(g.Reason, "barred") || !strings.Contains(g.Reason, bad.Version) {
			return errors.New(standing(c))
		}
		return nil
	})
	p.runs(good)
	if held.Outcome != change.Open {
		p.Errorf("it ended %q", held.Outcome)
	}

	revert := bad.Revert.Pull
	p.approve(revert)
	mended := p.ended(revert, change.OutcomeSimulated)
	p.shippedOnce(mended)
	p.runs(mended)
	last := p.ended(id, change.OutcomeSupersede)
	p.shippedOnce(last)
	if g := last.Gate(change.Rollout); g.State != change.Skipped || g.Evidence.SupersededBy != mended.Version || g.Evidence.Descendant != mended.MergeSHA {
		p.Errorf("the gate of what was passed over: %+v", g)
	}
	if ref.SHA(p.branch()[0].SHA) != mended.MergeSHA {
		p.Errorf("the branch ends at %s, not at the revert %s", p.branch()[0].SHA, mended.MergeSHA)
	}
	p.until(lookLimit, "the journal to be whole", func(context.Context) error {
		if r := p.command("journal", "verify"); r.code != 0 {
			return errors.New(r.err)
		}
		return nil
	})
}
