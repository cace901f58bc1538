package config

import (
	"slices"

	"slipway/gate"
)

// checkKeys is what may be said of a check beside where it comes from.
type checkKeys uint8

// maxRules is how many conditions, freezes or demands a gate may have: each is
// compiled whenever a policy is read, also one that a stranger proposes.
const maxRules = 50

// maxPatterns is how many patterns of paths a file may have, and maxAlternatives
// how many alternatives one: each may have to be held against every changed
// file, in a verdict that nothing can stop.
const (
	maxPatterns     = 500
	maxAlternatives = 256
)

const (
	sourceOnly checkKeys = iota
	pathsToo             // and the paths it is for
	everyKey             // and that it is optional
)

// gate is the gate section of a policy file; labelled learns where it speaks of
// labels.
func (r *reader) gate(g *gate.Policy, needsChecks bool, labelled func(node)) form {
	checks := field{
		form: r.checks(&g.Checks, gateEvent, everyKey).then(func(n node) { r.someRequired(n, g.Checks) }),
		key:  "checks", needed: needsChecks, why: beforeMerge,
		doc: "The required checks on the head commit. An empty list is a fault, not a pass, and so is one in which every check is optional. A pull request none of whose files any of them is for is blocked.",
	}
	return r.object(append([]field{checks},
		may("approvals", r.approvals(g), "Whose approvals are needed. A bare number is its `count`."),
		may("vetoes", r.who(&g.Vetoers, true), "Who may veto though their approval would not count. Whoever may approve may veto as well. See [people](#choosing-people)."),
		may("hold_labels", r.texts(&g.HoldLabels).then(labelled), "Labels that keep a pull request waiting while one of them is set. Case does not matter."),
		may("freeze", r.freezes(&g.Freezes).most(maxRules), "Times in which nothing merges."),
		may("conditions", r.conditions(&g.Conditions).most(maxRules), "Expressions that must all hold."),
		may("up_to_date", r.flag(&g.UpToDate), "Whether the head must contain the tip of its base."),
		may("linear", r.flag(&g.Linear), "Whether a merge commit among those of the pull request blocks."),
		may("when", r.when(&g.OnRequest), "`ready` merges as soon as everything is met; `asked` waits until somebody who may has asked for it (`/merge when ready`)."),
		may("emergency", r.emergency(&g.Emergency), "Who may waive what."),
	)...).named("gate")
}

// floor is the same section as far as an organisation may insist on it.
func (r *reader) floor(g *gate.Policy) form {
	*g = gate.Policy{}
	return r.object(
		may("checks", r.checks(&g.Checks, gateEvent, pathsToo), "Checks that are required beside the repository's own."),
		may("approvals", r.floorApprovals(g), "What is asked of approvals. A bare number is its `count`."),
		may("vetoes", r.who(&g.Vetoers, true), "Who may veto besides."),
		may("hold_labels", r.texts(&g.HoldLabels), "Labels that hold besides."),
		may("freeze", r.freezes(&g.Freezes).most(maxRules), "Times in which nothing merges, besides."),
		may("conditions", r.conditions(&g.Conditions).most(maxRules), "Expressions that must hold besides."),
		may("up_to_date", r.flag(&g.UpToDate), "`true` asks for it everywhere."),
		may("linear", r.flag(&g.Linear), "`true` asks for it everywhere."),
		may("when", r.when(&g.OnRequest), "`asked` asks for it everywhere."),
		may("emergency", r.emergency(&g.Emergency),
			"The most that a repository's emergency may be: by these people alone, and waiving no more. Without it, an emergency waives nothing of a kind that stands in the floors."),
	).named("floors")
}

// someRequired asks for a check that is not optional (M2). That one of them is
// for what a pull request changes, the gate asks.
func (r *reader) someRequired(n node, rules []gate.CheckRule) {
	if len(rules) > 0 && !slices.ContainsFunc(rules, func(c gate.CheckRule) bool { return !c.Optional }) {
		r.fault(n, "every check here is optional%s", beforeMerge)
	}
}

// checks is a list of required checks, each from a creator or a workflow.
func (r *reader) checks(into *[]gate.CheckRule, defaultEvent string, keys checkKeys) form {
	lines := map[string]int{}
	return many(r, into, gate.CheckRule{}, func(rule *gate.CheckRule) form {
		contextForm := r.text(&rule.Context, that(exactContext))
		read := contextForm.read
		contextForm.read = func(c node) {
			read(c)
			if rule.Context == "" {
				return
			}
			// Contexts that differ in case are different checks.
			if first, met := lines[rule.Context]; met {
				r.fault(c, "%q is required on line %d already", rule.Context, first)
				return
			}
			lines[rule.Context] = c.line
		}
		fields := []field{
			must("context", contextForm, "The exact context of the commit status. Case matters. `*` and `?` are refused, and so is `slipway/gate`."),
			may("workflow", r.text(&rule.Workflow, that(inside), that(workflowFile)), "The path of the CI workflow file that must have run, ending in `.yml` or `.yaml`."),
			may("job", r.text(&rule.Job), "The name of the job in it; needed with `workflow`."),
			may("event", r.text(&rule.Event, event()), "The event that it must have run for.").otherwise("`" + defaultEvent + "`"),
			may("creator", r.text(&rule.Creator, login()), "The login that must have posted the status."),
		}
		if keys >= everyKey {
			fields = append(fields, may("optional", r.flag(&rule.Optional), "Whether it is only shown, and keeps nothing from merging."))
		}
		if keys >= pathsToo {
			fields = append(fields, may("paths", r.patterns(&rule.Paths), "Patterns such as `web/**`. With any, the check is required only when a changed file matches one.").otherwise("every file"))
		}
		return r.object(fields...).named("check").oneOf("creator", "workflow").
			with("workflow", "job").with("job", "workflow").with("event", "workflow").
			then(func(n node) {
				r.checkSource(n)
				if rule.Workflow != "" && rule.Event == "" {
					rule.Event = defaultEvent
				}
			})
	})
}

// patterns are globs of paths, of which a file has only so many.
func (r *reader) patterns(into *[]string) form {
	return r.texts(into, that(glob)).then(func(n node) {
		before := r.globs
		if r.globs += len(*into); before <= maxPatterns && r.globs > maxPatterns {
			r.fault(n, "there are more than %d patterns of paths in the file", maxPatterns)
		}
	})
}

// checkSource asks who reports a check. It looks at the keys, not at the
// values, so that a faulty value is not also called missing.
func (r *reader) checkSource(n node) {
	creator, workflow := r.names(n, "creator"), r.names(n, "workflow")
	switch {
	case creator && workflow:
		r.fault(n, "names a creator and a workflow; a check comes from one of them")
	case creator && (r.names(n, "job") || r.names(n, "event")):
		r.fault(n, "names a job or an event, which only a workflow has")
	case workflow && !r.names(n, "job"):
		r.fault(n, "does not name the job of its workflow (job)")
	case !creator && !workflow:
		r.fault(n, "does not say where the check comes from: name a workflow and its job, or a creator")
	}
}

const (
	docCount        = "How many approvals must count."
	docExclude      = "Whose approvals never count here. See [people](policy.md#choosing-people)."
	docOperatorOnce = "Whether all agents of one operator count as one."
	docCodeowners   = "`required` wants, for each rule of CODEOWNERS that owns a changed file, the approval of one of its owners."
	docDemand       = "Approvals wanted beside the count, by path or by size."
)

func (r *reader) approvals(g *gate.Policy) form {
	count := r.number(&g.Approvals, gate.MinApprovals, maxApprovals)
	return r.shorthand("count", count, r.object(
		may("count", count, docCount+" From 2 to 50."),
		may("from", r.who(&g.Approvers, true), "Whose approvals count, of those whom the forge lets approve. See [people](#choosing-people).").otherwise("all of them"),
		may("exclude", r.who(&g.Excluded, true), docExclude),
		may("operator_once", r.flag(&g.OperatorOnce), docOperatorOnce),
		may("codeowners", r.codeowners(&g.Owners), docCodeowners),
		may("demand", r.demands(&g.Demands).most(maxRules), docDemand),
	).named("approvals"))
}

func (r *reader) floorApprovals(g *gate.Policy) form {
	count := r.number(&g.Approvals, gate.MinApprovals, maxApprovals)
	return r.shorthand("count", count, r.object(
		may("count", count, docCount+" The greater of this and the repository's holds."),
		may("exclude", r.who(&g.Excluded, true), docExclude),
		may("operator_once", r.flag(&g.OperatorOnce), docOperatorOnce+" `true` asks for it everywhere."),
		may("codeowners", r.codeowners(&g.Owners), docCodeowners),
		may("demand", r.demands(&g.Demands).most(maxRules), docDemand),
	))
}

// who chooses people. It is said all at once: half of a choice is another one.
func (r *reader) who(w *gate.Who, pools bool) form {
	fields := []field{
		may("people", r.texts(&w.People, login()), "Logins."),
		may("teams", r.texts(&w.Teams, team()), "Teams of the forge, as `OWNER/TEAM`."),
	}
	name := "persons"
	if pools {
		name = "who"
		fields = append(fields, may("pools", r.texts(&w.Pools, label()), "Pools of agents (`identities.agents` of [slipway.yaml](configuration.md))."))
	}
	return r.object(fields...).named(name).undivided().then(func(n node) {
		if len(n.Content) == 0 {
			r.fault(n, "chooses nobody")
		}
	})
}

func (r *reader) codeowners(o *gate.OwnersRule) form {
	return r.choice("off", "required", &o.Required)
}

func (r *reader) when(onRequest *bool) form {
	return r.choice("ready", "asked", onRequest)
}

// choice is one of two words, of which the second sets the flag.
func (r *reader) choice(no, yes string, into *bool) form {
	word := no
	if *into {
		word = yes
	}
	return r.text(&word, among(no, yes)).then(func(node) { *into = word == yes })
}

func (r *reader) demands(into *[]gate.Demand) form {
	lines := map[string]int{}
	return many(r, into, gate.Demand{Count: 1}, func(d *gate.Demand) form {
		return r.object(
			must("name", r.unique(&d.Name, lines, label()), "What it is called where people read of it, as `security`."),
			may("paths", r.patterns(&d.Paths), "Patterns. With any, the demand stands only when a changed file matches one.").otherwise("every file"),
			may("lines", r.number(&d.Lines, 1, maxLines), "It stands only for a change of at least so many added and deleted lines together.").otherwise("any size"),
			may("from", r.who(&d.From, true), "Whose approval is wanted.").otherwise("anybody's that counts"),
			may("person", r.flag(&d.Person), "Whether it must be a person's."),
			may("count", r.number(&d.Count, 1, maxApprovals), "How many of them."),
		).named("demand").then(func(n node) {
			if !r.names(n, "from") && !r.names(n, "person") && !r.names(n, "count") {
				r.fault(n, "demands nothing: say whose approval (from), a person's (person), or how many (count)")
			}
		})
	})
}

// unique is a text that nothing else in its list has.
func (r *reader) unique(into *string, lines map[string]int, checks ...check) form {
	var s string
	f := r.text(&s, checks...)
	read := f.read
	f.read = func(n node) {
		read(n)
		if s != "" && r.once(n, lines, s) {
			*into = s
		}
	}
	return f
}

func (r *reader) emergency(e *gate.EmergencyRule) form {
	var by gate.Who
	waives := []string{"freeze"}
	return r.object(
		must("by", r.who(&by, false), "Who may waive, on one head, with a reason (`/emergency REASON`): [people](#choosing-people), and no pools."),
		may("waives", r.texts(&waives, among(waivable()...)), "What is waived: some of "+listed(waivable())+". Approvals and checks never are."),
	).named("emergency").undivided().then(func(node) { *e = gate.EmergencyRule{By: by, Waives: waives} })
}

// waivable are the kinds of requirements that an emergency may waive.
func waivable() []string {
	return []string{"freeze", "condition", "demand", "owners", "base", "hold"}
}
