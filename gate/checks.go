package gate

import (
	"cmp"
	"fmt"
	"slices"

	"slipway/internal/ref"
)

// board is what was reported on one commit, arranged so that each rule is
// answered without going through everything again.
type board struct {
	checks   Checks
	reports  []report // by rule
	contexts []string // that came, sorted; only filled when asked for
}

// report is what was reported for one rule: the latest status of each source of
// its context, and the jobs of the latest attempt of each run; their places.
type report struct{ statuses, jobs []int }

type jobKey struct{ workflow, name, event string }

// finding is the worst that was found about one rule.
type finding struct {
	rank     int
	state    State
	code     Code
	outcome  Outcome
	sentence string
	who      string
	url      string
}

// The ranks of findings: the higher one is told.
const (
	rankMissing = iota + 1
	rankForeign
	rankPending
	rankUnknown
	rankFailed
)

// CheckRequired looks for each required check among what was reported on one
// commit, and answers in the order of the rules (M5). A check is green only if
// every source that reported its exact context reports success, and one of
// them is where the rule says it comes from.
func CheckRequired(rules []CheckRule, c Checks) []CheckResult {
	b := newBoard(rules, c)
	results := make([]CheckResult, 0, len(rules))
	for i, r := range rules {
		results = append(results, b.judge(r, b.reports[i]))
	}
	return results
}

func newBoard(rules []CheckRule, c Checks) *board {
	b := &board{checks: c, reports: make([]report, len(rules))}
	contexts, jobs := newIndex[string](len(rules), len(c.Statuses)), newIndex[jobKey](len(rules), len(c.Jobs))
	for i := range rules {
		contexts.want(i, rules[i].Context)
		if rules[i].Workflow != "" {
			jobs.want(i, rules[i].job())
		}
	}
	for i := range c.Statuses {
		contexts.add(i, c.Statuses[i].Context)
	}
	for i := range c.Jobs {
		if c.Jobs[i].Head == c.SHA {
			jobs.add(i, c.Jobs[i].key())
		}
	}
	statuses, runs := contexts.lists(b.latestStatuses), jobs.lists(b.latestJobs)
	for i := range rules {
		b.reports[i].statuses = statuses[contexts.rule[i]]
		if rules[i].Workflow != "" {
			b.reports[i].jobs = runs[jobs.rule[i]]
		}
	}
	return b
}

// index sorts places by keys, those whose keys some rule wants.
type index[K comparable] struct {
	ids  map[K]int
	rule []int // the id of each rule's key
	of   []int // the id of each place's key, from 1; 0 for one that nobody wants
	size []int // by id
}

func newIndex[K comparable](rules, places int) *index[K] {
	all := make([]int, 2*rules+places)
	return &index[K]{ids: make(map[K]int, rules), rule: all[:rules], size: all[rules : 2*rules], of: all[2*rules:]}
}

func (x *index[K]) want(rule int, key K) {
	id, known := x.ids[key]
	if !known {
		id = len(x.ids)
		x.ids[key] = id
	}
	x.rule[rule] = id
}

func (x *index[K]) add(place int, key K) {
	if id, wanted := x.ids[key]; wanted {
		x.of[place] = id + 1
		x.size[id]++
	}
}

// lists are the places of each id, in order, as latest leaves them. All share
// one array, each with its own part.
func (x *index[K]) lists(latest func([]int) []int) [][]int {
	out, all := make([][]int, len(x.ids)), make([]int, len(x.of))
	for id := range out {
		out[id], all = all[:0:x.size[id]], all[x.size[id]:]
	}
	for place, id := range x.of {
		if id > 0 {
			out[id-1] = append(out[id-1], place)
		}
	}
	for id, list := range out {
		out[id] = latest(list)
	}
	return out
}

// latestStatuses leaves the latest of each source: a creator, or, where the
// forge names none, the run and job that the address leads to.
func (b *board) latestStatuses(places []int) []int {
	at := func(i int) *Status { return &b.checks.Statuses[i] }
	if len(places) > 1 {
		slices.SortFunc(places, func(i, j int) int {
			x, y := at(i), at(j)
			return cmp.Or(x.source(y), x.compare(y))
		})
		last := places[:0]
		for n, i := range places {
			if n+1 == len(places) || at(i).source(at(places[n+1])) != 0 {
				last = append(last, i)
			}
		}
		places = last
		slices.SortFunc(places, func(i, j int) int {
			x, y := at(i), at(j)
			return cmp.Or(cmp.Compare(x.ID, y.ID), cmp.Compare(x.Creator, y.Creator), cmp.Compare(x.URL, y.URL))
		})
	}
	return places
}

// latestJobs leaves the jobs of the latest attempt of each run.
func (b *board) latestJobs(places []int) []int {
	if len(places) < 2 {
		return places
	}
	at := func(i int) *Job { return &b.checks.Jobs[i] }
	slices.SortFunc(places, func(i, j int) int {
		x, y := at(i), at(j)
		return cmp.Or(
			cmp.Compare(x.RunID, y.RunID), cmp.Compare(y.Attempt, x.Attempt), // the latest attempt of each run first
			cmp.Compare(x.State, y.State), cmp.Compare(x.URL, y.URL),
		)
	})
	last := places[:0]
	for _, i := range places {
		if len(last) == 0 || at(last[len(last)-1]).RunID != at(i).RunID || at(last[len(last)-1]).Attempt == at(i).Attempt {
			last = append(last, i)
		}
	}
	return last
}

func (b *board) judge(r CheckRule, came report) CheckResult {
	if fault := r.fault(); fault != "" {
		return found(r, finding{code: CodePolicy, outcome: Block, sentence: fault, who: whoOperator})
	}
	switch {
	case b.checks.SHA == "" || b.checks.StatusesRead != ref.Yes:
		return unreadResult(r, statusesOf(b.checks))
	case r.Workflow != "" && b.checks.JobsRead != ref.Yes:
		return unreadResult(r, jobsOf(b.checks))
	}
	var worst finding
	worse := func(f finding) {
		if f.rank > worst.rank {
			worst = f
		}
	}
	reported, foreign, url := false, "", ""
	for _, i := range came.statuses {
		s := &b.checks.Statuses[i]
		switch {
		case s.State != StateSuccess:
			worse(r.notGreen(s.State, by(s), s.URL))
		case r.from(s):
			reported, url = true, s.URL
		default:
			foreign = orElse(s.Creator, "somebody whom the forge does not name")
		}
	}
	ran := r.Workflow == ""
	for _, i := range came.jobs {
		j := &b.checks.Jobs[i]
		if j.State == StateSuccess {
			ran, url = true, j.URL
			continue
		}
		worse(r.notGreen(j.State, fmt.Sprintf(" (job %s of %s)", j.Name, j.Workflow), j.URL))
	}
	switch {
	case worst.rank > 0:
		return found(r, worst)
	case reported && ran:
		return CheckResult{Context: r.Context, State: StateSuccess, URL: url}
	case reported:
		return found(r, r.foreign(b.withoutRun(r)))
	case foreign != "":
		return found(r, r.foreign(fmt.Sprintf("it was reported by %s, not by %s", foreign, r.reporter())))
	}
	return found(r, finding{
		rank: rankMissing, state: StatePending, code: CodeCheckMissing, outcome: Wait, who: r.who(),
		sentence: fmt.Sprintf("check %q has not come; %s", r.Context, b.nearestContext(r.Context)),
	})
}

// withoutRun says which run is missed, and the nearest there was.
func (b *board) withoutRun(r CheckRule) string {
	said := fmt.Sprintf("no run of job %s of %s for %s reported it", r.Job, r.Workflow, r.Event)
	var have []string
	for i := range b.checks.Jobs {
		if j := &b.checks.Jobs[i]; j.Head == b.checks.SHA {
			have = append(have, j.key().String())
		}
	}
	if best, _, ok := Nearest(r.job().String(), have); ok {
		return said + "; the nearest is " + best
	}
	return said
}

func (b *board) nearestContext(context string) string {
	if b.contexts == nil {
		for _, s := range b.checks.Statuses {
			if s.Context != StatusContext {
				b.contexts = append(b.contexts, s.Context)
			}
		}
		slices.Sort(b.contexts)
		b.contexts = slices.Compact(b.contexts)
	}
	if best, _, ok := Nearest(context, b.contexts); ok {
		return fmt.Sprintf("the nearest that did is %q", best)
	}
	return "none came"
}

// fault says what is wrong with a rule, or "". Such a rule can never be green.
func (r CheckRule) fault() string {
	switch {
	case r.Context == "" || r.Context == StatusContext:
		return fmt.Sprintf("%q cannot be a required check", r.Context)
	case (r.Creator == "") == (r.Workflow == ""):
		return fmt.Sprintf("check %q must name either a creator or a workflow", r.Context)
	case r.Workflow != "" && (r.Job == "" || r.Event == ""):
		return fmt.Sprintf("check %q must name the job and the event of its workflow", r.Context)
	}
	return ""
}

// from says whether a status comes from where the rule says. A CI job's token
// leaves no creator; whether a job really ran is seen from the jobs.
func (r CheckRule) from(s *Status) bool { return login(s.Creator) == login(r.Creator) }

func (r CheckRule) job() jobKey { return jobKey{r.Workflow, r.Job, r.Event} }

func (r CheckRule) reporter() string { return orElse(r.Creator, "a run of "+r.Workflow) }

func (r CheckRule) who() string { return orElse(r.Creator, whoCI) }

func (r CheckRule) notGreen(s State, source, url string) finding {
	f := finding{rank: s.rank(), state: s, outcome: Wait, who: r.who(), url: url}
	switch s {
	case StatePending:
		f.code, f.sentence = CodeCheckPending, fmt.Sprintf("check %q is running%s", r.Context, source)
	case StateFailure:
		f.code, f.sentence = CodeCheckFailed, fmt.Sprintf("check %q failed%s", r.Context, source)
		f.outcome, f.who = Block, whoAuthor
	case StateSkipped:
		f.code, f.sentence = CodeCheckFailed, fmt.Sprintf("check %q was skipped, which is not success%s", r.Context, source)
		f.outcome, f.who = Block, whoAuthor
	default:
		f.code, f.sentence = CodeUnknown, fmt.Sprintf("what check %q says could not be read%s", r.Context, source)
		f.state, f.who = StateUnknown, whoSlipway
	}
	return f
}

func (r CheckRule) foreign(why string) finding {
	return finding{
		rank: rankForeign, state: StatePending, code: CodeCheckForeign, outcome: Wait, who: r.who(),
		sentence: fmt.Sprintf("check %q is green, but %s", r.Context, why),
	}
}

// source orders statuses by who reported them; 0 is the same source.
func (s *Status) source(o *Status) int {
	if by := cmp.Compare(login(s.Creator), login(o.Creator)); by != 0 || s.Creator != "" {
		return by
	}
	return cmp.Compare(s.URL, o.URL)
}

// compare puts what replaces another, of the same source, behind it. One id
// twice cannot be; were it so, the worse one stands.
func (s *Status) compare(o *Status) int {
	return cmp.Or(cmp.Compare(s.ID, o.ID), cmp.Compare(s.State.rank(), o.State.rank()))
}

func (j *Job) key() jobKey { return jobKey{j.Workflow, j.Name, j.Event} }

func (k jobKey) String() string {
	return fmt.Sprintf("job %s of %s for %s", k.name, k.workflow, k.event)
}

// rank orders the states by how much they matter; success is 0.
func (s State) rank() int {
	switch s {
	case StateSuccess:
		return 0
	case StatePending:
		return rankPending
	case StateFailure, StateSkipped:
		return rankFailed
	default:
		return rankUnknown
	}
}

func found(r CheckRule, f finding) CheckResult {
	return CheckResult{
		Context: r.Context, State: f.state, URL: f.url,
		Reason: &Reason{Code: f.code, Outcome: f.outcome, Sentence: f.sentence, Who: []string{f.who}},
	}
}

func unreadResult(r CheckRule, what string) CheckResult {
	reason := unread(what)
	return CheckResult{Context: r.Context, State: StateUnknown, Reason: &reason}
}

func by(s *Status) string {
	if s.Creator == "" {
		return ""
	}
	return ", says " + s.Creator
}

func statusesOf(c Checks) string { return "the statuses of commit " + orElse(c.SHA.Short(), "(none)") }

func jobsOf(c Checks) string { return "the CI jobs of commit " + orElse(c.SHA.Short(), "(none)") }
