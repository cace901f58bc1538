package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	sdk "code.gitea.io/sdk/gitea"

	"slipway/gate"
	"slipway/internal/change"
	"slipway/internal/ref"
	"slipway/test/servers/gitea"
	"slipway/test/stage"
)

// whole is a policy that asks for more than checks and approvals.
const whole = `  approvals:
    count: 2
    codeowners: required
  conditions:
    - {name: small, expr: 'lines < 300', otherwise: "it is larger than anybody reads"}
`

// asking has a project's policy ask for all of whole, and for a check of
// documents that only docs-bot may report.
func asking(name, content string) string {
	switch name {
	case ".slipway.yaml":
		content = strings.Replace(content, "  approvals: 2\n", whole, 1)
		return strings.Replace(content, "gate:\n  checks:\n", "gate:\n  checks:\n    - {context: \"docs / build\", creator: docs-bot, paths: [\"docs/**\"]}\n", 1)
	default:
		return content
	}
}

// blocked is one pull request that does not merge, and what must be said of it.
type blocked struct {
	name string
	make func(*place) ref.PullID
	code gate.Code
	// says stands in what `slipway explain` prints, as does who: the person or
	// role that can act, in the act that is asked of them.
	says, who, act string
}

func TestExplainNamesTheActAndThePerson(t *testing.T) {
	t.Parallel()
	p := open(t, "explain", wish{edit: asking, active: 3e9})
	bob, carol := p.stage.Reviewers[0], p.stage.Reviewers[1]
	p.owned("/owned/.* @carol\n")
	cases := []blocked{
		{"an approval is missing", func(p *place) ref.PullID {
			id := p.propose("one-approval", "feat: one approval")
			p.approve(id, bob)
			return id
		}, gate.CodeApprovals, "1 of 2", "carol", "approve"},
		{"a required check is red", func(p *place) ref.PullID {
			id := p.proposeFiles("red", "feat: red", map[string]string{"red.go": "package main\n\n\n\nvar  red = true\n"})
			p.approve(id)
			return id
		}, gate.CodeCheckFailed, "failed", "author", stage.Check},
		{"a required check never came, and another came under a name like it", func(p *place) ref.PullID {
			id := p.proposeFiles("never-came", "docs: never came", map[string]string{"docs/a.md": "a\n"})
			p.posts(id, p.stage.Author, "docs / built", sdk.StatusSuccess)
			p.approve(id)
			return id
		}, gate.CodeCheckMissing, `the nearest that did is "docs / built"`, "docs-bot", "docs / build"},
		{"the author reported the check", func(p *place) ref.PullID {
			id := p.proposeFiles("forged", "docs: forged", map[string]string{"docs/b.md": "b\n"})
			p.posts(id, p.stage.Author, "docs / build", sdk.StatusSuccess)
			p.approve(id)
			return id
		}, gate.CodeCheckForeign, "it was reported by alice, not by docs-bot", "docs-bot", "docs / build"},
		{"a label holds it", func(p *place) ref.PullID {
			id := p.propose("labelled", "feat: labelled")
			p.labels(id, "hold")
			p.approve(id)
			return id
		}, gate.CodeHold, `the label "hold" holds it`, "label", "hold"},
		{"a reviewer holds it by command", func(p *place) ref.PullID {
			id := p.propose("commanded", "feat: commanded")
			p.comments(id, bob, "/hold after the launch")
			p.approve(id)
			return id
		}, gate.CodeHold, "after the launch", "bob", "hold"},
		{"it is a draft", func(p *place) ref.PullID {
			id := p.propose("drafted", "WIP: feat: drafted")
			p.approve(id)
			return id
		}, gate.CodeDraft, "draft", "author", "draft"},
		{"a reviewer asks for changes", func(p *place) ref.PullID {
			id := p.propose("vetoed", "feat: vetoed")
			p.approve(id, bob)
			p.reviews(id, carol, sdk.ReviewStateRequestChanges, p.head(id))
			return id
		}, gate.CodeVeto, "carol asks for changes", "carol", "approve"},
		{"it conflicts with its base", func(p *place) ref.PullID {
			id := p.proposeFiles("conflicting", "feat: conflicting", map[string]string{"main.go": "package main\n"})
			p.onMain("main.go", "// not what it was\n")
			p.approve(id)
			return id
		}, gate.CodeConflict, "does not merge cleanly", "author", "main"},
		{"a commit is by nobody", func(p *place) ref.PullID {
			id := p.propose("nobody", "feat: nobody")
			p.commitAs(id, "nobody", "who@nowhere.invalid")
			p.approve(id)
			return id
		}, gate.CodeUnmappedIdentity, "who@nowhere.invalid", "author", "e-mail"},
		{"an owner of the files has not approved", func(p *place) ref.PullID {
			id := p.proposeFiles("owned", "feat: owned", map[string]string{"owned/x.txt": "x\n"})
			p.approve(id, bob)
			return id
		}, gate.CodeOwners, "owned", "carol", "approve"},
		{"a condition does not hold", func(p *place) ref.PullID {
			id := p.proposeFiles("large", "feat: large", map[string]string{"large.txt": strings.Repeat("line\n", 400)})
			p.approve(id)
			return id
		}, gate.CodeCondition, "larger than anybody reads", "author", "small"},
	}
	made := make([]ref.PullID, len(cases))
	for i, b := range cases { // all first, so that they wait for CI together
		made[i] = b.make(p)
	}
	for i, b := range cases {
		t.Run(b.name, func(t *testing.T) { p.in(t).explained(made[i], b) })
	}
}

// explained waits until a pull request lacks what it must, and reads what a
// person and a program are told.
func (p *place) explained(id ref.PullID, b blocked) {
	p.Helper()
	p.wait(id, lookLimit, "to be blocked as it must", func(c change.Change) error {
		if err := settledExcept(c, b.code); err != nil {
			return err
		}
		if !slices.ContainsFunc(c.Verdict, func(r change.Reason) bool { return r.Code == b.code && strings.Contains(r.Sentence, b.says) }) {
			return errors.New(standing(c))
		}
		return nil
	})
	shown := p.command("explain", id.String())
	shown.wants(p.T, 0, b.says, "The least that would merge it")
	p.Logf("%s\n%s", b.name, shown.out)
	c := decoded[change.Change](p.T, p.command("explain", id.String(), "--json"))
	if !slices.ContainsFunc(c.Acts, func(a gate.Act) bool {
		return strings.Contains(strings.Join(a.Who, " "), b.who) && strings.Contains(a.Do+" "+strings.Join(a.For, " "), b.act)
	}) {
		p.Errorf("no act of %s about %q: %+v", b.who, b.act, c.Acts)
	}
	if !slices.ContainsFunc(c.Requirements, func(r gate.Requirement) bool {
		return r.State != gate.Met && r.State != gate.NotNeeded && !r.Since.IsZero()
	}) {
		p.Errorf("nothing is said to wait since some time: %+v", c.Requirements)
	}
	p.until(lookLimit, "the comment that explains", func(context.Context) error {
		said := p.sticky(id)
		if len(said) != 1 || !strings.Contains(said[0], b.who) {
			return fmt.Errorf("%d comments explain: %q", len(said), said)
		}
		return nil
	})
	if c := p.look(id); c.MergeSHA != "" {
		p.Errorf("it was merged: %s", standing(c))
	}
}

// settledExcept says what else than a code a change is still short of that
// comes by itself.
func settledExcept(c change.Change, code gate.Code) error {
	for _, r := range c.Verdict {
		if r.Code != code && (r.Code == gate.CodeUnknown || r.Code == gate.CodeCheckPending) {
			return errors.New(standing(c))
		}
	}
	return nil
}

// look is the change as it stands.
func (p *place) look(id ref.PullID) change.Change {
	p.Helper()
	c, _, err := p.slipway().Client.Change(p.Context(), id)
	if err != nil {
		p.Fatal(err)
	}
	return c
}

// sticky are the bot's comments on a pull request.
func (p *place) sticky(id ref.PullID) []string {
	p.Helper()
	var list []struct {
		Body string `json:"body"`
		User struct {
			Login string `json:"login"`
		} `json:"user"`
	}
	p.tell(http.MethodGet, fmt.Sprintf("/issues/%d/comments", id.Number), nil, &list)
	var said []string
	for _, c := range list {
		if c.User.Login == p.stage.Bot.Login {
			said = append(said, c.Body)
		}
	}
	return said
}

// comments says something on a pull request.
func (p *place) comments(id ref.PullID, who gitea.Account, text string) int64 {
	p.Helper()
	made, _, err := p.sdk(who).CreateIssueComment(stage.Org, p.project.Name, id.Number, sdk.CreateIssueCommentOption{Body: text})
	if err != nil {
		p.Fatal(err)
	}
	return made.ID
}

// owned puts a CODEOWNERS file on the branch.
func (p *place) owned(content string) { p.onMain("CODEOWNERS", content) }

// onMain writes a file on the branch as the forge's administrator can, past
// every rule: the branch is unprotected for that moment.
func (p *place) onMain(path, content string) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.Context(), callLimit)
	defer cancel()
	if err := p.project.Overwrite(ctx, path, content); err != nil {
		p.Fatal(err)
	}
}

// commitAs adds a commit with another author's e-mail to a proposal.
func (p *place) commitAs(_ ref.PullID, branch, mail string) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.Context(), callLimit)
	defer cancel()
	if err := p.project.PushAs(ctx, mail, stage.Proposal{Branch: branch, Title: "fix: by nobody", Files: map[string]string{branch + "2.txt": "x\n"}}); err != nil {
		p.Fatal(err)
	}
}
