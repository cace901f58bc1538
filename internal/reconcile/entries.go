package reconcile

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"slipway/gate"
	"slipway/internal/change"
	"slipway/internal/fault"
	"slipway/internal/journal"
	"slipway/internal/ref"
)

// self is the actor of what Slipway does of its own accord.
const self = "slipway"

func entries(now time.Time, action, subject, identity, reason string) []journal.Entry {
	return []journal.Entry{{At: now, Actor: self, Action: action, Subject: subject, Identity: identity, Reason: reason}}
}

// changeEntries tell what is new between two records of a change, and what is
// about to be done.
func changeEntries(old, next change.Change, action change.Action, now time.Time) []journal.Entry {
	var out []journal.Entry
	add := func(action, identity, reason string, data map[string]string) {
		out = append(out, journal.Entry{At: now, Actor: self, Action: action, Subject: next.ID.String(), Identity: identity, Reason: reason, Data: data})
	}
	for i, g := range next.Gates {
		var was change.Gate
		if i < len(old.Gates) {
			was = old.Gates[i]
		}
		if was.State != g.State || was.Reason != g.Reason {
			add("gate."+string(g.State), identityOf(g, next), g.Reason, map[string]string{"gate": string(g.Name), "snapshot": g.Evidence.Snapshot})
		}
		if g.Overdue && !was.Overdue {
			add("gate.overdue", identityOf(g, next), g.Reason, map[string]string{"gate": string(g.Name), "owner": g.Owner})
		}
	}
	if next.Unjudged && !old.Unjudged {
		add("merge.unjudged", string(next.MergeSHA), "merged by "+next.MergedBy+" without a verdict", nil)
	}
	if next.Outcome != old.Outcome {
		add("change.ended", string(next.MergeSHA), string(next.Outcome), nil)
	}
	if action != nil {
		add(change.Verb(action), change.Identity(action), "", approvalData(action))
	}
	return out
}

func refusalEntry(c change.Change, action change.Action, err error, now time.Time) []journal.Entry {
	return []journal.Entry{{At: now, Actor: self, Action: "refused." + change.Verb(action), Subject: c.ID.String(), Identity: change.Identity(action), Reason: err.Error()}}
}

func approvalData(action change.Action) map[string]string {
	m, ok := action.(change.Merge)
	if !ok {
		return nil
	}
	var who []string
	for _, a := range m.Intent.Approvals {
		who = append(who, a.Login)
	}
	return map[string]string{"approved_by": strings.Join(who, " "), "snapshot": m.Intent.Snapshot}
}

func identityOf(g change.Gate, c change.Change) string {
	switch e := g.Evidence; {
	case e.Digest != "":
		return string(e.Digest)
	case e.MergeSHA != "":
		return string(e.MergeSHA)
	default:
		return string(c.Head)
	}
}

// mergeMessage is what the merge commit says. Its last lines bind the commit
// to the judged head and to the journal as it stood (A1).
func mergeMessage(c change.Change, title, body string, i change.MergeIntent, seq int64, hash string) (string, string) {
	var b strings.Builder
	if body = strings.TrimSpace(body); body != "" {
		b.WriteString(body + "\n\n")
	}
	for _, a := range i.Approvals {
		fmt.Fprintf(&b, "Reviewed-by: %s\n", a.Login)
	}
	fmt.Fprintf(&b, "Slipway-Change: %s\nSlipway-Judged: %s\nSlipway-Journal: %d %s\n", c.ID, i.Head, seq, hash)
	return oneLine(title), b.String()
}

// composed is what a merge's commit says by the policy's templates, or without
// any.
func composed(p change.MergePlan, pull gate.PullRequest, i change.MergeIntent) (title, body string, err error) {
	if p.Compose == nil {
		return fmt.Sprintf("%s (#%d)", pull.Title, pull.ID.Number), pull.Body, nil
	}
	data := change.MessageData{Title: pull.Title, Body: pull.Body, Number: pull.ID.Number, Author: pull.Author, Head: i.Head, Base: pull.Base, Labels: pull.Labels}
	for _, a := range i.Approvals {
		data.Approvers = append(data.Approvers, a.Login)
	}
	title, body, err = p.Compose(data)
	if err == nil && oneLine(title) == "" {
		err = errors.New("the template of the merge's title makes an empty one")
	}
	return title, body, fault.AsPermanent(err)
}

func tagMessage(c change.Change) string {
	return fmt.Sprintf("%s\n\nSlipway-Change: %s\n", oneLine(c.Title), c.ID)
}

// revertMessage names the reverted commit in git's own words, which is how a
// later release is known to contain the revert.
func revertMessage(c change.Change, commit ref.SHA) (title, body string) {
	title = fmt.Sprintf("Revert %q", oneLine(c.Title))
	body = fmt.Sprintf("%s\n\nThis reverts commit %s.\n", rolledBack(c), commit)
	return title, body
}

// rolledBack says what happened to a change. It does not quote the reason:
// that may hold words of the service's own log, which belong neither in a
// commit nor on a page.
func rolledBack(c change.Change) string {
	at := change.Rollout
	if c.Gate(at).State != change.Failed {
		at = change.Health
	}
	return fmt.Sprintf("%s was rolled back: it failed at the gate %s. `slipway explain %s` tells why.", c.Version, at, c.ID)
}

func oneLine(s string) string {
	return strings.Join(strings.Fields(s), " ")
}
