package reconcile

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"slipway/gate"
	"slipway/internal/authz"
	"slipway/internal/change"
	"slipway/internal/command"
	"slipway/internal/fault"
	"slipway/internal/ref"
)

const (
	// stickyPause is how long the sticky comment stays as it is at the least,
	// unless the outcome changes.
	stickyPause = 10 * time.Second
	// mostLines is how many acts and how many requirements are shown, mostText in
	// how many bytes, and mostJSON in how many as JSON; forges refuse a comment of
	// more than 64 KiB.
	mostLines = 100
	mostText  = 30 << 10
	mostJSON  = 20 << 10
)

// explain keeps the one comment that explains up to date: found again by its
// marker, edited only when its text changes, never repeated. It says when there
// is more to write; zero: nothing.
func (e *Engine) explain(ctx context.Context, claim Claim, repo Repository, id ref.PullID, s seen, now time.Time) time.Time {
	if !e.Sticky || s.observation.Pull.Canary() {
		return time.Time{} // a canary is nobody's change
	}
	c, err := e.stored(ctx, id)
	if err != nil {
		return time.Time{}
	}
	over := c.MergeSHA != "" || c.Outcome != change.Open
	text, state := sticky(c), stateOf(c)
	sum := sha256.Sum256([]byte(text))
	said := hex.EncodeToString(sum[:])
	switch {
	case c.Talk.Said == said, over && c.Talk.Sticky == 0, c.Head == "", state == "ready":
		return time.Time{} // nothing new; or it is over, and was never explained; or about to be merged
	case over && c.Talk.Mute.Hopeless():
		return time.Time{} // nobody waits for it
	case !c.Talk.Mute.Over(now):
		return c.Talk.Mute.Until
	case state == c.Talk.SaidState && now.Before(c.Talk.SaidAt.Add(stickyPause)):
		return c.Talk.SaidAt.Add(stickyPause)
	}
	if at := e.mayComment(ctx, repo, 0, now); !at.IsZero() {
		return at
	}
	comment, err := e.writeSticky(ctx, repo, c, &s, text)
	if err != nil {
		e.Log.Warn("explain", "change", id, "error", err)
	}
	var again time.Time
	kept := e.amend(ctx, claim, id, nil, func(c change.Change) change.Change {
		c.Talk.Sticky = comment
		if err != nil {
			c.Talk.Mute = c.Talk.Mute.After(err.Error(), now)
			again = c.Talk.Mute.Until
			return c
		}
		c.Talk.Said, c.Talk.SaidAt, c.Talk.SaidState, c.Talk.Mute = said, now, state, change.Pause{}
		return c
	})
	if kept != nil {
		e.Log.Warn("keep what was explained", "change", id, "error", kept)
	}
	return again
}

// writeSticky edits the sticky comment, or makes it where there is none. It
// gives its id, and 0 once it is gone.
func (e *Engine) writeSticky(ctx context.Context, repo Repository, c change.Change, s *seen, text string) (int64, error) {
	at := c.Talk.Sticky
	if at == 0 {
		if err := e.readComments(ctx, repo, c.ID, s); err != nil {
			return 0, err
		}
		if own, ok := s.own(repo, marker("sticky")); ok {
			at = own.ID
		}
	}
	var err error
	if at == 0 {
		at, err = repo.Forge.Comment(ctx, c.ID, text)
	} else if err = repo.Forge.EditComment(ctx, c.ID, at, text); fault.KindOf(err) == fault.Changed {
		at = 0 // somebody took it away
	}
	if err == nil {
		e.budget.spend(repo.Host, e.Now())
	}
	return at, err
}

// sticky is the text of the comment that explains. Whatever people wrote stands
// in code spans: there a forge sees no markup and nobody is called.
func sticky(c change.Change) string {
	text := marker("sticky") + "\n" + explanation(c)
	if c.MergeSHA != "" || c.Outcome != change.Open {
		return text
	}
	if r := c.Replay; r != nil {
		text += replayText(*r)
	}
	return text + commandsText() + forAgents(c)
}

// explanation is where a change stands: in a sentence, then the acts that would
// merge it, then everything that is asked of it.
func explanation(c change.Change) string {
	var b strings.Builder
	head := codeSpan(c.Head.Short())
	switch state := stateOf(c); state {
	case "merged":
		fmt.Fprintf(&b, "**Slipway merged %s** as %s. What becomes of it: %s\n", head, codeSpan(c.MergeSHA.Short()), codeSpan("slipway explain "+c.ID.String()))
		return b.String()
	case "merged without a verdict":
		fmt.Fprintf(&b, "**Merged without a verdict** by %s as %s. It is journalled as unjudged.\n", codeSpan(c.MergedBy), codeSpan(c.MergeSHA.Short()))
		return b.String()
	case "merged, and not as judged":
		fmt.Fprintf(&b, "**What landed as %s is not what was judged**: %s. Nothing more is merged to %s until an operator lifts that, and this is not released.\n",
			codeSpan(c.MergeSHA.Short()), codeSpan(c.Landed.Why), codeSpan(c.Base))
		return b.String()
	case "closed":
		b.WriteString("**Closed.** It was not merged.\n")
		return b.String()
	case "refused":
		fmt.Fprintf(&b, "**Judged good at %s, and the merge is refused**: %s\n", head, codeSpan(c.Refusal.Reason))
	case "ready":
		fmt.Fprintf(&b, "**Ready at %s**: it is being merged.\n", head)
	case gate.Block.String():
		fmt.Fprintf(&b, "**Blocked at %s.** Somebody has to change something.\n", head)
	default:
		fmt.Fprintf(&b, "**Waiting at %s.**\n", head)
	}
	if len(c.Acts) > 0 {
		b.WriteString("\nThe least that would merge it:\n\n")
		list(&b, len(c.Acts), mostText/2, func(i int) string {
			a := c.Acts[i]
			return fmt.Sprintf("%d. %s: %s\n", i+1, who(a.Who, a.Count), codeSpan(a.Do))
		})
	}
	requirements(&b, c)
	return b.String()
}

func requirements(b *strings.Builder, c change.Change) {
	if len(c.Requirements) == 0 && len(c.Verdict) > 0 {
		b.WriteString("\n")
		list(b, len(c.Verdict), mostText, func(i int) string {
			r := c.Verdict[i]
			return fmt.Sprintf("- %s · up to %s\n", codeSpan(r.Sentence), who(r.Who, 1))
		})
		return
	}
	if len(c.Requirements) > 0 {
		b.WriteString("\nWhat is asked of it:\n\n")
	}
	list(b, len(c.Requirements), mostText, func(i int) string { return asked(c.Requirements[i]) })
}

// asked is one requirement in a line.
func asked(r gate.Requirement) string {
	line := "- " + mark(r.State) + " " + codeSpan(r.Title)
	if r.Says != "" {
		line += ": " + codeSpan(r.Says)
	}
	switch r.State {
	case gate.Met, gate.NotNeeded, gate.Waived:
	default:
		if len(r.Who) > 0 {
			line += " · up to " + who(r.Who, 1)
		}
		if !r.Since.IsZero() {
			line += " · since " + r.Since.UTC().Format("2006-01-02 15:04 UTC")
		}
	}
	return line + "\n"
}

// list writes n lines, as far as the whole text keeps within some bytes, and
// says how many are left.
func list(b *strings.Builder, n, most int, line func(i int) string) {
	for i := range n {
		text := line(i)
		if i == mostLines || b.Len()+len(text) > most {
			fmt.Fprintf(b, "- and %d more\n", n-i)
			return
		}
		b.WriteString(text)
	}
}

func mark(p gate.Progress) string {
	switch p {
	case gate.Met:
		return "✅"
	case gate.Violated:
		return "❌"
	case gate.Unread:
		return "❔"
	case gate.Waived:
		return "⚠️ waived:"
	case gate.NotNeeded:
		return "➖ not required:"
	default:
		return "⏳"
	}
}

// who names people or roles, without calling them.
func who(names []string, count int) string {
	if len(names) == 0 {
		return "nobody known"
	}
	var spans []string
	for _, n := range names[:min(len(names), 10)] {
		spans = append(spans, codeSpan(n))
	}
	if more := len(names) - len(spans); more > 0 {
		spans = append(spans, fmt.Sprintf("%d more", more))
	}
	if count > 1 {
		return fmt.Sprintf("%d of %s", count, strings.Join(spans, ", "))
	}
	return strings.Join(spans, " or ")
}

func replayText(r change.Replay) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\nIt changes the policy. Of the last %d changes that were judged, %d would have another verdict by it", r.Judged, r.Differ)
	if r.Cut {
		b.WriteString(" (not all of them in the time there is)")
	}
	if r.Differ == 0 {
		b.WriteString(".\n")
		return b.String()
	}
	b.WriteString(":\n\n")
	for _, example := range r.Examples {
		b.WriteString("- " + codeSpan(example) + "\n")
	}
	if more := r.Differ - len(r.Examples); more > 0 {
		fmt.Fprintf(&b, "- and %d more: %s tells them all\n", more, codeSpan("slipway policy replay"))
	}
	return b.String()
}

// commandsText says who may give which command, from the one table.
func commandsText() string {
	var b strings.Builder
	b.WriteString("\n<details><summary>Commands</summary>\n\nAt the start of a line of a comment, by whom the table allows:\n\n")
	for _, name := range command.Names() {
		word, _, _ := strings.Cut(strings.TrimPrefix(name, "/"), " ")
		verb := verbOf(word)
		at := slices.IndexFunc(authz.Table(), func(r authz.Row) bool { return r.Verb == verb })
		if at < 0 {
			continue
		}
		row := authz.Table()[at]
		var roles []string
		for _, r := range row.Roles {
			roles = append(roles, string(r))
		}
		fmt.Fprintf(&b, "- %s: %s (%s)\n", codeSpan(name), row.Means, strings.Join(roles, ", "))
	}
	b.WriteString("\n</details>\n")
	return b.String()
}

// forAgents is the same as JSON.
func forAgents(c change.Change) string {
	data := struct {
		Change       ref.PullID         `json:"pull_request"`
		Head         ref.SHA            `json:"head"`
		State        string             `json:"state"`
		Policy       string             `json:"policy"`
		Requirements []gate.Requirement `json:"requirements"`
		Acts         []gate.Act         `json:"acts"`
		Reasons      []change.Reason    `json:"reasons"`
	}{c.ID, c.Head, stateOf(c), c.Policy, c.Requirements, c.Acts, c.Verdict}
	text, err := json.MarshalIndent(data, "", "  ")
	if err != nil || len(text) > mostJSON {
		return "\n<details><summary>For agents</summary>\n\n" + codeSpan("slipway explain --json "+c.ID.String()) + "\n\n</details>\n"
	}
	// None of these can stand outside of a string in JSON, where an escape means
	// the same; a fence or a mention cannot be made of them.
	plain := strings.NewReplacer("`", `\u0060`, "@", `\u0040`, "#", `\u0023`).Replace(string(text))
	return "\n<details><summary>For agents</summary>\n\n```json\n" + plain + "\n```\n\n</details>\n"
}
