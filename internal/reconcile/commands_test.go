package reconcile_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"slipway/gate"
	"slipway/internal/authz"
	"slipway/internal/change"
	"slipway/internal/fault"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

// onRequest is a policy under which nothing merges unasked, and which knows an
// emergency.
const gatePolicy = `version: 1
gate:
  checks: [{context: ci, creator: ci-bot}]
  when: %s
  emergency: {by: {people: [ann]}, waives: [freeze, hold]}
post_merge: {checks: [{context: ci, creator: ci-bot}]}
deploy: {cluster: main, namespace: acme, deployment: app, container: app, health: {port: 8080, path: /healthz}}
`

// gated is a world with people in their roles and a policy.
func gated(t testing.TB, when string, adapt ...func(*world, *reconcile.Config)) *world {
	t.Helper()
	w := newWorld(t, append([]func(*world, *reconcile.Config){func(_ *world, c *reconcile.Config) {
		c.Repositories[0].Teams = []string{"acme/sre"}
		c.Repositories[0].Roles = func(login string, teams map[string][]string) []authz.Role {
			for _, member := range teams["acme/sre"] {
				if member == login {
					return []authz.Role{authz.Operator}
				}
			}
			return nil
		}
		parse := c.Policy
		c.Policy = func(id ref.RepoID, where string, data []byte, found bool) change.Plan {
			p := parse(id, where, data, found)
			p.Gate.Principals = map[string]gate.Principal{"robot": {Kind: gate.KindAgent, Operator: "acme", Model: "m"}}
			for _, who := range []string{"alice", "bob", "carol", "dave", "ann", "sam", "olga"} {
				p.Gate.Principals[who] = gate.Principal{Kind: gate.KindPerson}
			}
			return p
		}
	}}, adapt...)...)
	tip := w.history.push("main", "policy", map[string]string{reconcile.PolicyFile: fmt.Sprintf(gatePolicy, when)})
	w.from(tip)
	return w
}

func TestCommandsAreObeyedOnlyFromWhomTheTableAllows(t *testing.T) {
	held := func(c change.Change) bool { return len(c.Holds) == 1 }
	cases := map[string]struct {
		who, says string
		before    string // a command of the author's before
		after     func(c change.Change) bool
		reaction  string
		entry     string
	}{
		"the author holds":                            {who: "alice", says: "/hold the API is not settled", after: held, reaction: "+1", entry: "order.hold"},
		"an approver holds":                           {who: "dave", says: "/hold", after: held, reaction: "+1", entry: "order.hold"},
		"an operator of a team holds nothing less":    {who: "sam", says: "/hold", after: held, reaction: "+1", entry: "order.hold"},
		"a stranger holds nothing":                    {who: "mallory", says: "/hold", after: func(c change.Change) bool { return len(c.Holds) == 0 }, reaction: "-1", entry: "refused.order.hold"},
		"whoever set a hold lifts it":                 {who: "alice", before: "/hold", says: "/unhold", after: func(c change.Change) bool { return len(c.Holds) == 0 }, reaction: "+1", entry: "order.unhold"},
		"an approver does not lift another's hold":    {who: "dave", before: "/hold", says: "/unhold", after: held, reaction: "-1", entry: "refused.order.unhold"},
		"an operator lifts another's hold":            {who: "sam", before: "/hold", says: "/unhold", after: func(c change.Change) bool { return len(c.Holds) == 0 }, reaction: "+1", entry: "order.unhold"},
		"a command in a quote is none":                {who: "alice", says: "> /hold", after: func(c change.Change) bool { return len(c.Holds) == 0 }},
		"a command in code is none":                   {who: "alice", says: "```\n/hold\n```", after: func(c change.Change) bool { return len(c.Holds) == 0 }},
		"an agent's comment is no command":            {who: "robot", says: "/hold", after: func(c change.Change) bool { return len(c.Holds) == 0 }},
		"Slipway's own comment is no command":         {who: "slipway-bot", says: "/hold", after: func(c change.Change) bool { return len(c.Holds) == 0 }},
		"a forge application's comment is none":       {who: "other[bot]", says: "/hold", after: func(c change.Change) bool { return len(c.Holds) == 0 }},
		"a command that makes no sense is not obeyed": {who: "alice", says: "/merge now", after: func(c change.Change) bool { return c.Asked == nil }, reaction: "confused"},
		"a command that is mistyped is asked after":   {who: "alice", says: "/holdd please", after: func(c change.Change) bool { return len(c.Holds) == 0 }, reaction: "confused"},
		"a merge is asked for one head":               {who: "alice", says: "/merge when ready", after: func(c change.Change) bool { return c.Asked != nil && c.Asked.Head == c.Head }, reaction: "+1", entry: "order.merge"},
		"an emergency is for whom the policy names":   {who: "ann", says: "/emergency the site is down", after: func(c change.Change) bool { return c.Emergency != nil && c.Emergency.Head == c.Head }, reaction: "+1", entry: "order.emergency"},
		"an operator is not the emergency's people":   {who: "sam", says: "/emergency the site is down", after: func(c change.Change) bool { return c.Emergency == nil }, reaction: "-1", entry: "refused.order.emergency"},
		"one command refused tells in the reaction":   {who: "dave", before: "/hold", says: "/retry\n/unhold", after: held, reaction: "-1", entry: "order.retry"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			w := gated(t, "ready")
			id := w.propose(1, map[string]string{"x": "1"})
			w.run()
			w.hint(id)
			w.seen(id, "the first look", func(c change.Change) bool { return c.Head != "" })
			if tc.before != "" {
				first := w.comment(id, "alice", tc.before)
				w.hint(id)
				w.seen(id, "the first command", func(c change.Change) bool { return c.Talk.Heard >= first && len(c.Talk.Answers) == 0 })
			}
			said := w.comment(id, tc.who, tc.says)
			w.hint(id)
			c := w.seen(id, "the command", func(c change.Change) bool { return c.Talk.Heard >= said && len(c.Talk.Answers) == 0 })
			if !tc.after(c) {
				t.Errorf("holds %+v, asked %+v, emergency %+v", c.Holds, c.Asked, c.Emergency)
			}
			var got string
			for _, r := range w.reactions() {
				if on, reaction, _ := strings.Cut(r, " "); on == fmt.Sprint(said) {
					got = reaction
				}
			}
			if got != tc.reaction {
				t.Errorf("reaction %q, want %q", got, tc.reaction)
			}
			if tc.entry == "" {
				return
			}
			entries := w.entries(tc.entry)
			if len(entries) != 1 || entries[0].Actor != tc.who {
				t.Errorf("journal: %+v", entries)
			}
			if spoken := w.bots(id); (tc.reaction == "-1") != (len(spoken) == 1) && tc.entry != "order.emergency" {
				t.Errorf("said: %+v", spoken)
			}
		})
	}
}

func TestAMergeIsNotAskedForAHeadThatWasNotSeen(t *testing.T) {
	w := gated(t, "asked")
	id := w.propose(1, map[string]string{"x": "1"})
	w.run()
	w.hint(id)
	w.seen(id, "the first look", func(c change.Change) bool { return c.Head != "" })
	said := w.comment(id, "alice", "/merge when ready")
	pushed := w.history.push("feature-1", "more", map[string]string{"y": "1"})
	w.change(id, func(p *openPull) { p.Head = pushed })
	w.satisfy(id)
	w.hint(id)
	c := w.seen(id, "the command", func(c change.Change) bool { return c.Talk.Heard >= said && len(c.Talk.Answers) == 0 })
	if c.Asked != nil || w.forge.merges > 0 {
		t.Fatalf("asked %+v", c.Asked)
	}
	if refused := w.entries("refused.order.merge"); len(refused) != 1 {
		t.Fatalf("journal: %+v", refused)
	}
	again := w.comment(id, "alice", "/merge when ready")
	w.hint(id)
	w.seen(id, "the merge", func(c change.Change) bool { return c.Talk.Heard >= again && c.MergeSHA != "" })
}

func TestARequestEndsWithItsHead(t *testing.T) {
	w := gated(t, "asked")
	id := w.propose(1, map[string]string{"x": "1"})
	w.run()
	w.hint(id)
	w.seen(id, "the first look", func(c change.Change) bool { return c.Head != "" })
	w.comment(id, "alice", "/merge when ready")
	w.hint(id)
	w.seen(id, "the request", func(c change.Change) bool { return c.Asked != nil })
	pushed := w.history.push("feature-1", "more", map[string]string{"y": "1"})
	w.change(id, func(p *openPull) { p.Head = pushed })
	w.satisfy(id)
	w.hint(id)
	c := w.seen(id, "the new head", func(c change.Change) bool { return c.Head == pushed })
	if c.Asked != nil || c.Intent != nil || w.forge.merges > 0 {
		t.Fatalf("asked %+v, intent %+v", c.Asked, c.Intent)
	}
}

func TestAnEditedCommentIsNoNewCommand(t *testing.T) {
	w := gated(t, "ready")
	id := w.propose(1, map[string]string{"x": "1"})
	w.run()
	first := w.comment(id, "alice", "it is fine")
	w.hint(id)
	w.seen(id, "the comment", func(c change.Change) bool { return c.Talk.Heard >= first })
	w.change(id, func(p *openPull) { p.comments[0].Body = "/hold" })
	later := w.comment(id, "alice", "done")
	w.hint(id)
	c := w.seen(id, "the later comment", func(c change.Change) bool { return c.Talk.Heard >= later })
	if len(c.Holds) > 0 {
		t.Fatalf("held by an edit: %+v", c.Holds)
	}
}

func TestNothingMergesOnCommentsThatWereNotRead(t *testing.T) {
	w := gated(t, "ready")
	id := w.propose(1, map[string]string{"x": "1"})
	w.satisfy(id)
	w.change(id, func(p *openPull) { p.mute = true })
	w.run()
	w.hint(id)
	c := w.seen(id, "the verdict", func(c change.Change) bool { return len(c.Verdict) > 0 })
	if c.Verdict[0].Code != gate.CodeUnknown || w.forge.merges > 0 {
		t.Fatalf("%+v", c.Verdict)
	}
	w.change(id, func(p *openPull) { p.mute = false })
	w.hint(id)
	w.seen(id, "the merge", func(c change.Change) bool { return c.MergeSHA != "" })
}

func TestAnAnswerSurvivesAForgeThatIsDown(t *testing.T) {
	w := gated(t, "ready")
	id := w.propose(1, map[string]string{"x": "1"})
	w.run()
	w.hint(id)
	w.seen(id, "the first look", func(c change.Change) bool { return c.Head != "" })
	w.forge.mutex.Lock()
	w.forge.broken = errors.New("503")
	w.forge.mutex.Unlock()
	w.comment(id, "mallory", "/hold")
	w.hint(id)
	c := w.seen(id, "a failed answer", func(c change.Change) bool { return len(c.Talk.Answers) == 1 && c.Talk.Answers[0].Pause.Times > 0 })
	if c.Talk.Answers[0].Reaction != string(reconcile.ReactionRefused) {
		t.Fatalf("%+v", c.Talk.Answers)
	}
	// The server was killed between saying it and keeping that it was said.
	w.forge.mutex.Lock()
	w.forge.broken = nil
	w.forge.mutex.Unlock()
	w.comment(id, "slipway-bot", "<!-- slipway: "+c.Talk.Answers[0].Key+" -->\nrefused")
	c.Talk.Answers[0].Pause = change.Pause{}
	w.keep(reconcile.Write{Change: &c})
	w.hint(id)
	w.seen(id, "the answer", func(c change.Change) bool { return len(c.Talk.Answers) == 0 })
	if said := w.bots(id); len(said) != 1 {
		t.Fatalf("said %d times", len(said))
	}
}

func TestExplainAnswersWithWhatIsMissing(t *testing.T) {
	w := gated(t, "ready")
	id := w.propose(1, map[string]string{"x": "1"})
	w.run()
	w.hint(id)
	w.seen(id, "the first look", func(c change.Change) bool { return c.Head != "" })
	said := w.comment(id, "dave", "/explain")
	w.hint(id)
	w.seen(id, "the answer", func(c change.Change) bool { return c.Talk.Heard >= said && len(c.Talk.Answers) == 0 })
	spoken := w.bots(id)
	if len(spoken) != 1 || !strings.Contains(spoken[0].Body, "What is asked of it") || strings.Contains(spoken[0].Body, "@") {
		t.Fatalf("said %+v", spoken)
	}
}

func TestAnOrderOverTheAPIIsTheSameOrder(t *testing.T) {
	w := gated(t, "ready")
	id := w.propose(1, map[string]string{"x": "1"})
	w.run()
	w.hint(id)
	w.seen(id, "the first look", func(c change.Change) bool { return c.Head != "" })
	ops := authz.Actor{Name: "ops", Roles: []authz.Role{authz.Operator}}
	if err := w.engine.Order(t.Context(), id, ops, authz.Hold, "the release is tomorrow"); err != nil {
		t.Fatal(err)
	}
	c := w.seen(id, "the held verdict", func(c change.Change) bool {
		return len(c.Holds) == 1 && len(c.Verdict) > 0 && c.Verdict[0].Code == gate.CodeHold
	})
	if c.Holds[0].By != "token ops" || c.Holds[0].Reason != "the release is tomorrow" {
		t.Fatalf("%+v", c.Holds)
	}
	err := w.engine.Order(t.Context(), id, authz.Actor{Name: "board", Roles: []authz.Role{authz.Reader}}, authz.Unhold, "")
	var refusal *authz.Refusal
	if !errors.As(err, &refusal) || fault.KindOf(err) != fault.Permanent || len(w.entries("refused.order.unhold")) != 1 {
		t.Fatalf("a reader: %v", err)
	}
	if err := w.engine.Order(t.Context(), pull(99), ops, authz.Hold, ""); fault.KindOf(err) != fault.Permanent {
		t.Fatalf("an unknown change: %v", err)
	}
	if err := w.engine.Order(t.Context(), id, ops, authz.Unhold, ""); err != nil {
		t.Fatal(err)
	}
	w.seen(id, "the lifted hold", func(c change.Change) bool { return len(c.Holds) == 0 })
}
