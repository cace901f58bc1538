package config

import (
	"regexp"
	"slices"
	"time"

	"slipway/pools"
)

// PoolsFile is the usual name of the pool config, the one file with a model's
// name in it (P1).
const PoolsFile = "pools.yaml"

const (
	// maxWords is how many roles, tiers or shapes there may be.
	maxWords = 50
	// maxAmount bounds prices and budgets, so that many of them still add up.
	maxAmount = 1_000_000_000
	// maxAttempt is how long one attempt may be allowed to take.
	maxAttempt = 7 * 24 * time.Hour
)

var (
	wordPattern     = regexp.MustCompile(`^[a-z][a-z0-9]{0,19}$`)
	poolPattern     = regexp.MustCompile(`^[a-z][a-z0-9]{0,19}-[a-z][a-z0-9]{0,19}$`)
	replicaPattern  = regexp.MustCompile(`^[a-z][a-z0-9]{0,19}-[a-z][a-z0-9]{0,19}-(0|[1-9][0-9]{0,3})$`)
	selectorPattern = regexp.MustCompile(`^(\*|[a-z][a-z0-9]{0,19})(-(\*|[a-z][a-z0-9]{0,19})(-(\*|0|[1-9][0-9]{0,3}))?)?$`)
	shapePattern    = regexp.MustCompile(`^[a-z][a-z0-9-]{0,39}$`)
	currencyPattern = regexp.MustCompile(`^[A-Z]{3}$`)
	modelPattern    = regexp.MustCompile(`^[!-~]{1,200}$`)
)

// poolsReader reads one pool config.
type poolsReader struct {
	*reader
	set pools.Set
	// prompt reads a file; nil reads none: for the shape alone.
	prompt func(file string) ([]byte, error)
	// prompts are those read so far, by file; size is theirs together.
	prompts map[string]promptRead
	size    int
	// What stands under keys that are data, each with its place.
	pools    map[string]poolEntry
	replicas map[string]replicaEntry
}

type poolEntry struct {
	pools.Pool
	key, canary, daily node
}

type replicaEntry struct {
	key        node
	assignment string
}

// ParsePools reads a pool config; name is how faults call it. prompt reads a
// file of the config's folder. With faults, the set is not to be used. Its
// number is 0.
func ParsePools(name string, data []byte, prompt func(file string) ([]byte, error)) (pools.Set, []Fault) {
	r := newPoolsReader(name, prompt)
	r.document(data, r.layout())
	r.set.Source = string(data)
	return r.set, sorted(r.faults)
}

// PoolsSchema is the JSON Schema (draft 2020-12) of pools.yaml.
func PoolsSchema() []byte { return schemaOf("Slipway's pool config, pools.yaml", poolsShape()) }

func poolsShape() shape { return newPoolsReader("", nil).layout().shape }

func newPoolsReader(name string, prompt func(string) ([]byte, error)) *poolsReader {
	return &poolsReader{reader: &reader{file: name}, prompt: prompt, prompts: map[string]promptRead{}}
}

// layout is the whole file.
func (r *poolsReader) layout() form {
	s := &r.set
	r.after = append(r.after, r.complete)
	return r.object(
		must("roles", r.texts(&s.Vocabulary.Roles, word()).most(maxWords), "What coordinates are for: `builder`, `reviewer`. No address has another role."),
		must("tiers", r.texts(&s.Vocabulary.Tiers, word()).most(maxWords), "How much a coordinate is up to: `lite`, `standard`, `heavy`. No address has another tier."),
		must("currency", r.text(&s.Currency, matches(currencyPattern, "a currency of ISO 4217 such as USD")), "What all amounts here are in, as a code of ISO 4217."),
		may("shapes", r.shapes(), "The sorts of specs that an item may say it has, such as `bug`."),
		must("assignments", r.assignments(), "The records that coordinates run, by name. One that nobody runs is kept for a swap."),
		may("pools", r.poolEntries(), "What is said of a pool, under its name `<role>-<tier>`. One that is not here has the defaults."),
		must("replicas", r.replicaEntries(), "One line for each coordinate, `builder-lite-0: NAME`, with the assignment that it runs: the line that a swap edits. The replicas of a pool are numbered from 0 without a gap."),
	)
}

func (r *poolsReader) shapes() form {
	s := &r.set
	return r.texts(&s.Shapes, matches(shapePattern, "a shape (lower-case letters, digits and -, at most 40)")).most(maxWords).then(func(node) {
		slices.Sort(s.Shapes)
	})
}

func (r *poolsReader) assignments() form {
	return mapping(r.reader, &r.set.Assignments, func(key node, a *pools.Assignment) form {
		return r.object(
			must("provider", r.text(&a.Provider, that(notSecret), label()), "Who answers: the name that the worker's credentials go by."),
			must("model", r.text(&a.Model, that(notSecret), matches(modelPattern, "a model's name (no blanks, at most 200 characters)")), "The model, as the provider calls it."),
			must("prompt", r.promptFile(&a.Prompt), "A file in the folder of this one, or below it. What it holds is part of the assignment."),
			may("parameters", r.parameters(&a.Parameters), "Handed to the command as they stand, in JSON.").otherwise("none"),
			must("prices", r.prices(&a.Prices), "What the provider asks."),
			may("budget", r.money(&a.Budget, true), "What one attempt may cost.").otherwise("no bound of its own"),
		).named("assignment").under(func() {
			if a.Name = key.Value; !labelPattern.MatchString(a.Name) {
				r.fault(key, "%q is no name for an assignment: want a DNS label", clip(a.Name))
			}
		})
	}).keys(labelPattern).filled(r.reader)
}

// prices takes what is not said of a cache to cost as much as input: too much
// is noticed sooner than too little.
func (r *poolsReader) prices(p *pools.Prices) form {
	read, write := pools.Money(-1), pools.Money(-1)
	return r.object(
		must("input", r.money(&p.Input, false), "For a million tokens that the model reads."),
		must("output", r.money(&p.Output, false), "For a million that it writes."),
		may("cache_read", r.money(&read, false), "For a million that it reads from a cache.").otherwise("that of `input`"),
		may("cache_write", r.money(&write, false), "For a million that it writes to a cache.").otherwise("that of `input`"),
	).then(func(node) {
		p.CacheRead, p.CacheWrite = read, write
		if read < 0 {
			p.CacheRead = p.Input
		}
		if write < 0 {
			p.CacheWrite = p.Input
		}
	})
}

func (r *poolsReader) poolEntries() form {
	return mapping(r.reader, &r.pools, func(key node, p *poolEntry) form {
		var c pools.Canary
		return r.object(
			may("operator", r.text(&p.Operator, that(notSecret)), "Who answers for its agents: a login or a name.").otherwise("unknown"),
			may("limit", r.number(&p.Limit, 1, 10_000), "How many attempts may be live in it at once.").otherwise("one for each coordinate"),
			may("daily_budget", r.money(&p.Daily, true).then(func(n node) { p.daily = n }), "What all its attempts of one day (UTC) may cost.").otherwise("no bound"),
			may("deadline", r.duration(&p.Deadline, maxAttempt), "How long one attempt may take, up to 168h.").otherwise("the server's"),
			may("canary", r.object(
				must("assignment", r.text(&c.Assignment, that(notSecret)).then(func(n node) { p.canary = n }), "A name from `assignments`."),
				must("share", r.share(&c.Share), "Of the items, above 0 and up to 1. Which ones they are follows from their numbers alone."),
			).named("canary").then(func(node) { p.Canary = &c }), "What a share of its items is given in place of the coordinate's own assignment."),
		).named("pool").under(func() { p.key = key })
	}).keys(poolPattern).filled(r.reader)
}

func (r *poolsReader) replicaEntries() form {
	return mapping(r.reader, &r.replicas, func(key node, e *replicaEntry) form {
		return r.text(&e.assignment, that(notSecret)).under(func() { e.key = key })
	}).keys(replicaPattern).filled(r.reader)
}

func word() check {
	return matches(wordPattern, "a word (lower-case letters and digits, a letter first, at most 20)")
}
