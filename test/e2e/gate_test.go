package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	sdk "code.gitea.io/sdk/gitea"

	"slipway/gate"
	"slipway/internal/change"
	"slipway/internal/journal"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
	"slipway/test/servers/gitea"
	"slipway/test/stage"
)

// TestGateHolds holds what keeps a change from merging on a real forge; package
// gate holds the rest.
func TestGateHolds(t *testing.T) {
	t.Parallel()
	p := open(t, "gate", wish{active: 3 * time.Second}) // Gitea tells nobody of a dismissal
	bob, carol := p.stage.Reviewers[0], p.stage.Reviewers[1]
	for _, rule := range []struct {
		name string
		test func(*place)
	}{
		{"one approval is not enough, and one on an old head does not count", func(p *place) {
			id := p.propose("old-head", "feat: old head")
			p.approve(id, bob)
			old := p.waits(id, gate.CodeApprovals)
			p.says(id, "pending", "1 of 2 approvals")
			if err := p.project.Push(p.Context(), stage.Proposal{Branch: "old-head", Title: "fix: more", Files: map[string]string{"more.txt": "more\n"}}); err != nil {
				p.Fatal(err)
			}
			p.reviews(id, carol, sdk.ReviewStateApproved, old.Head)
			c := p.looked(id)
			if c.Head == old.Head {
				p.Fatalf("the head is still %s", c.Head)
			}
			c = p.waits(id, gate.CodeApprovals)
			if counted := c.Gate(change.Reviewed).Evidence.Approvals; len(counted) != 0 {
				p.Errorf("approvals of %s count on %s: %+v", old.Head, c.Head, counted)
			}
			p.says(id, "pending", "0 of 2 approvals")
			p.approve(id)
			p.merged(id)
		}},
		{"a change request vetoes until it is dismissed", func(p *place) {
			id := p.propose("veto", "feat: veto")
			review := p.reviews(id, carol, sdk.ReviewStateRequestChanges, p.head(id))
			p.approve(id, bob)
			p.waits(id, gate.CodeVeto, gate.CodeApprovals)
			p.says(id, "failure", "carol asks for changes")
			p.tell(http.MethodPost, fmt.Sprintf("/pulls/%d/reviews/%d/dismissals", id.Number, review), map[string]string{"message": "settled"}, nil)
			p.waits(id, gate.CodeApprovals)
			p.approve(id, carol)
			p.merged(id)
		}},
		{"the author's own status in the name of the check satisfies nothing", func(p *place) {
			id := p.proposeFiles("forged", "feat: forged", map[string]string{"broken.go": "package main\n\n\n\nvar  broken = true\n"})
			p.approve(id)
			p.waits(id, gate.CodeCheckFailed)
			p.posts(id, p.stage.Author, stage.Check, sdk.StatusSuccess)
			c := p.looked(id)
			if err := only(gate.CodeCheckFailed)(c); err != nil {
				p.Error(err)
			}
			p.stays(id)
		}},
		{"a hold label holds", func(p *place) {
			id := p.propose("held", "feat: held")
			p.labels(id, "hold")
			p.approve(id)
			p.waits(id, gate.CodeHold)
			p.says(id, "pending", `the label "hold" holds it`)
			p.stays(id)
			p.tell(http.MethodDelete, fmt.Sprintf("/issues/%d/labels/%d", id.Number, p.label("hold")), nil, nil)
			p.merged(id)
		}},
		{"a draft waits until it is none", func(p *place) {
			id := p.propose("draft", "WIP: feat: draft")
			p.approve(id)
			c := p.wait(id, lookLimit, "to be held as a draft", func(c change.Change) error {
				if !slices.ContainsFunc(c.Verdict, func(r change.Reason) bool { return r.Code == gate.CodeDraft }) || c.Gate(change.Reviewed).Evidence.Approvals == nil {
					return errors.New(standing(c))
				}
				return nil
			})
			if c.MergeSHA != "" {
				p.Errorf("a draft was merged as %s", c.MergeSHA)
			}
			p.tell(http.MethodPatch, fmt.Sprintf("/pulls/%d", id.Number), map[string]string{"title": "feat: draft"}, nil)
			p.merged(id)
		}},
		{"a merge by hand and a push are told as unjudged, and not deployed", func(p *place) { p.byHand() }},
	} {
		t.Run(rule.name, func(t *testing.T) { rule.test(p.in(t)) })
	}
}

// waits waits until a change lacks exactly these, its checks being in.
func (p *place) waits(id ref.PullID, codes ...gate.Code) change.Change {
	p.Helper()
	return p.wait(id, lookLimit, fmt.Sprintf("to lack exactly %q", codes), only(codes...))
}

// says waits until the head carries the gate's sentence.
func (p *place) says(id ref.PullID, state, sentence string) {
	p.Helper()
	head := p.head(id)
	p.until(lookLimit, "the gate's status", func(context.Context) error {
		if s, text := p.gateStatus(head); s != state || !strings.Contains(text, sentence) {
			return fmt.Errorf("it is %q %q, want %q %q", s, text, state, sentence)
		}
		return nil
	})
}

// merged waits until Slipway has merged it, on a verdict.
func (p *place) merged(id ref.PullID) change.Change {
	p.Helper()
	c := p.wait(id, changeLimit, "its merge", func(c change.Change) error {
		if c.MergeSHA == "" {
			return errors.New(standing(c))
		}
		return nil
	})
	if c.Unjudged || c.MergedBy != p.stage.Bot.Login || c.Gate(change.Reviewed).State != change.Passed {
		p.Errorf("merged by %s, unjudged %v; %s", c.MergedBy, c.Unjudged, standing(c))
	}
	if n := len(p.mergesOf(id)); n != 1 {
		p.Errorf("%d merge commits", n)
	}
	return c
}

// looked waits for a look that began after everything that happened so far: it
// sets a label and waits for it to stand in the record.
func (p *place) looked(id ref.PullID) change.Change {
	p.Helper()
	name := "seen"
	p.labels(id, name)
	c := p.wait(id, lookLimit, "another look", func(c change.Change) error {
		if !slices.Contains(c.Labels, name) {
			return errors.New("its labels are " + strings.Join(c.Labels, ", "))
		}
		return nil
	})
	p.tell(http.MethodDelete, fmt.Sprintf("/issues/%d/labels/%d", id.Number, p.label(name)), nil, nil)
	return c
}

// stays looks once more and fails if it was merged.
func (p *place) stays(id ref.PullID) {
	p.Helper()
	if c := p.looked(id); c.MergeSHA != "" || p.pull(id).HasMerged {
		p.Errorf("it was merged: %s", standing(c))
	}
}

// label is the id of a label of the repository, made if it is not there.
func (p *place) label(name string) int64 {
	p.Helper()
	client := p.sdk(p.stage.Forge.Admin())
	have, _, err := client.ListRepoLabels(stage.Org, p.project.Name, sdk.ListLabelsOptions{})
	if err != nil {
		p.Fatal(err)
	}
	for _, l := range have {
		if l.Name == name {
			return l.ID
		}
	}
	made, _, err := client.CreateLabel(stage.Org, p.project.Name, sdk.CreateLabelOption{Name: name, Color: "#cccccc"})
	if err != nil {
		p.Fatal(err)
	}
	return made.ID
}

func (p *place) labels(id ref.PullID, name string) {
	p.Helper()
	p.tell(http.MethodPost, fmt.Sprintf("/issues/%d/labels", id.Number), map[string][]int64{"labels": {p.label(name)}}, nil)
}

// reviews files a review of a commit and returns its id.
func (p *place) reviews(id ref.PullID, who gitea.Account, state sdk.ReviewStateType, commit ref.SHA) int64 {
	p.Helper()
	review, _, err := p.sdk(who).CreatePullReview(stage.Org, p.project.Name, id.Number, sdk.CreatePullReviewOptions{State: state, CommitID: string(commit), Body: "as it says"})
	if err != nil {
		p.Fatal(err)
	}
	return review.ID
}

// posts sets a commit status on the head.
func (p *place) posts(id ref.PullID, who gitea.Account, context string, state sdk.StatusState) {
	p.Helper()
	_, _, err := p.sdk(who).CreateStatus(stage.Org, p.project.Name, string(p.head(id)), sdk.CreateStatusOption{State: state, Context: context, Description: "trust me"})
	if err != nil {
		p.Fatal(err)
	}
}

// byHand gets past the forge's rules as its administrator can.
func (p *place) byHand() {
	p.Helper()
	admin := p.stage.Forge.Admin()
	id := p.propose("by-hand", "feat: by hand")
	p.waits(id, gate.CodeApprovals)
	p.until(changeLimit, "what was merged before to end", func(ctx context.Context) error {
		all, err := p.slipway().Client.Changes(ctx, reconcile.Filter{Repo: p.project.ID(), Unfinished: true})
		for _, c := range all {
			if c.MergeSHA != "" {
				return errors.New(standing(c))
			}
		}
		return err
	})
	before := p.image()
	p.tell(http.MethodDelete, "/branch_protections/main", nil, nil)
	p.tell(http.MethodPost, fmt.Sprintf("/pulls/%d/merge", id.Number), map[string]string{"Do": "squash"}, nil)
	c := p.wait(id, lookLimit, "to be told as unjudged", func(c change.Change) error {
		if !c.Unjudged {
			return errors.New(standing(c))
		}
		return nil
	})
	if c.MergedBy != admin.Login || c.Gate(change.Reviewed).State != change.Failed || c.Version != "" {
		p.Errorf("merged by %s as %q: %s", c.MergedBy, c.Version, standing(c))
	}
	var made struct {
		Commit struct {
			SHA string `json:"sha"`
		} `json:"commit"`
	}
	p.tell(http.MethodPost, "/contents/pushed.txt", map[string]string{"content": "cHVzaGVkCg==", "message": "feat: pushed", "branch": "main"}, &made)
	p.until(lookLimit, "the journal to tell of both", func(context.Context) error {
		entries := decoded[[]journal.Entry](p.T, p.command("journal", "list", "--json"))
		told := func(action, identity string) bool {
			return slices.ContainsFunc(entries, func(e journal.Entry) bool { return e.Action == action && e.Identity == identity })
		}
		switch {
		case !told("merge.unjudged", string(c.MergeSHA)):
			return fmt.Errorf("no merge.unjudged of %s", c.MergeSHA)
		case !told("push.unjudged", made.Commit.SHA):
			return fmt.Errorf("no push.unjudged of %s", made.Commit.SHA)
		case told("push.unjudged", string(c.MergeSHA)):
			return fmt.Errorf("the merge by hand is told as a push as well")
		}
		return nil
	})
	if tags := append(p.tagsOn(c.MergeSHA), p.tagsOn(ref.SHA(made.Commit.SHA))...); len(tags) != 0 {
		p.Errorf("what nobody judged was released as %q", tags)
	}
	if after := p.image(); after != before {
		p.Errorf("the Deployment went from %s to %s", before, after)
	}
}
