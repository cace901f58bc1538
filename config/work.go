package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"slipway/pools"
)

// Work is how work is given to the pools.
type Work struct {
	// Lease is how long a claim holds without a heartbeat, Heartbeat how long is
	// left between two, and Deadline how long an attempt may take where its pool
	// does not say.
	Lease, Heartbeat, Deadline time.Duration
	// Attempts is how many an item may have before it is given up.
	Attempts int
	// Labels are those that make an item of an issue.
	Labels []WorkLabel
	// Reviews asks the pools for the reviews that a pull request lacks; nil asks
	// for none.
	Reviews *WorkReviews
}

// WorkLabel is a label of the forge that makes an item of an issue.
type WorkLabel struct {
	Label    string
	Selector pools.Selector
	Shape    string // "" says none
	Priority string // lowest, low, normal, high, highest
}

// WorkReviews says who reviews, and how soon.
type WorkReviews struct {
	Selector pools.Selector
	Priority string // as a WorkLabel's
}

// Disagreements is everything in which the server's file and a pool config do
// not fit: a selector or shape that the pools do not have, and a coordinate
// whose login is declared to be somebody, though what it runs is for the pool
// config alone to say. Each names its place in the server's file.
func (s Server) Disagreements(set pools.Set) []Fault {
	r := &reader{file: s.file}
	at := func(path string) node { return node{line: s.line(path), path: path} }
	for i, l := range s.Work.Labels {
		path := fmt.Sprintf("work.labels[%d]", i)
		r.fits(at(path+".selector"), l.Selector, set)
		if l.Shape != "" && !slices.Contains(set.Shapes, l.Shape) {
			r.fault(at(path+".shape"), "the pool config has no shape %q%s", l.Shape, meant(l.Shape, set.Shapes))
		}
	}
	if s.Work.Reviews != nil {
		r.fits(at("work.reviews.selector"), s.Work.Reviews.Selector, set)
	}
	for _, role := range slices.Sorted(maps.Keys(s.Pools.Teams)) {
		if !slices.Contains(set.Vocabulary.Roles, role) {
			r.fault(at("pools.teams."+role), "the pool config has no role %q%s", role, meant(role, set.Vocabulary.Roles))
		}
	}
	coordinates := map[string]bool{}
	for a := range set.Replicas {
		coordinates[a.String()] = true
	}
	claim := func(path, login string) {
		if coordinates[strings.ToLower(login)] {
			r.fault(at(path), "%s is a coordinate of the pool config, which alone says what it is: take it out here", login)
		}
	}
	for i, a := range s.Identities.Agents {
		claim(fmt.Sprintf("identities.agents[%d].login", i), a.Login)
	}
	for _, p := range s.Identities.People {
		claim("identities.people", p)
	}
	for i, f := range s.Forges {
		claim(fmt.Sprintf("forges[%d].login", i), f.Login)
	}
	return sorted(r.faults)
}

// line is where something stands in the file, or, where nobody wrote it, the
// mapping that it would stand in.
func (s Server) line(path string) int {
	for path != "" {
		if line := s.lines[path]; line > 0 {
			return line
		}
		path = path[:max(0, strings.LastIndexByte(path, '.'))]
	}
	return 0
}

// fits asks that a selector chooses somebody.
func (r *reader) fits(n node, sel pools.Selector, set pools.Set) {
	if _, err := pools.ParseSelector(sel.String(), set.Vocabulary); err != nil {
		r.fault(n, "%v", err)
		return
	}
	if len(set.Place(sel, nil)) > 0 {
		return
	}
	var names []string
	for _, p := range set.Pools {
		names = append(names, p.Name.String())
	}
	r.fault(n, "the selector %q matches no coordinate; the pools are %s", sel, strings.Join(names, ", "))
}

func (r *serverReader) work() form {
	w := &r.server.Work
	reviews := WorkReviews{Selector: pools.Selector{Role: defaultReviewer}, Priority: defaultPriority}
	return r.object(
		may("lease", r.duration(&w.Lease, time.Hour), "How long an attempt is left alone without a heartbeat, 1s to 1h. What dies is offered again within it."),
		may("heartbeat", r.duration(&w.Heartbeat, time.Hour), "How long a worker leaves between two heartbeats: at most half of `lease`."),
		may("deadline", r.duration(&w.Deadline, maxAttempt), "How long an attempt may take, up to 168h, where its pool does not say."),
		may("attempts", r.number(&w.Attempts, 1, 20), "How many attempts an item may have before it is given up."),
		may("labels", r.workLabels(), "The labels that make an item of an issue."),
		may("reviews", r.object(
			may("selector", r.selector(&reviews.Selector), "Who is asked."),
			may("priority", r.text(&reviews.Priority, among(priorities()...)), "How soon."),
		).named("reviews").seen(r.reader).then(func(node) { w.Reviews = &reviews }), "Asks the pools for the reviews that a pull request lacks, of other models than its author's: `{}` for the defaults.").otherwise("none are asked for"),
	).then(func(n node) {
		if 2*w.Heartbeat > w.Lease {
			r.fault(n, "a heartbeat each %s is too seldom for a lease of %s: want at most half of it", short(w.Heartbeat), short(w.Lease))
		}
		r.after = append(r.after, func() {
			if r.server.Pools.File == "" {
				r.fault(n, "there are no pools to give work to: name their config under pools.file")
			}
		})
	})
}

func (r *serverReader) workLabels() form {
	met := map[string]int{}
	blank := WorkLabel{Selector: pools.Selector{Role: defaultBuilder}, Priority: defaultPriority}
	return many(r.reader, &r.server.Work.Labels, blank, func(l *WorkLabel) form {
		return r.object(
			must("label", r.unique(&l.Label, met), "The label."),
			may("selector", r.selector(&l.Selector), "Who may take it, as `builder`, `builder-lite`, `builder-lite-0` or `builder-*-0`."),
			may("shape", r.text(&l.Shape, matches(shapePattern, "a shape")).seen(r.reader), "The sort of spec, one of the `shapes` of the pool config.").otherwise("not said"),
			may("priority", r.text(&l.Priority, among(priorities()...)), "`lowest`, `low`, `normal`, `high` or `highest`."),
		).named("label").seen(r.reader)
	})
}

// selector chooses coordinates; whether there are such, Disagreements says.
func (r *serverReader) selector(into *pools.Selector) form {
	s := into.String()
	return r.text(&s, check{pattern: selectorPattern.String(), wrong: func(s string) string {
		if _, err := pools.ReadSelector(s); err != nil {
			return err.Error()
		}
		return ""
	}}).then(func(n node) {
		*into, _ = pools.ReadSelector(s) // checked, or the default
	}).seen(r.reader)
}

// seen remembers where a value stands, for what is asked of it later.
func (f form) seen(r *reader) form {
	return f.then(func(n node) {
		if r.lines == nil {
			r.lines = map[string]int{}
		}
		r.lines[n.path] = n.line
	})
}

func priorities() []string { return []string{"lowest", "low", "normal", "high", "highest"} }

// database asks that a secret is how one names a database to PostgreSQL.
func (r *serverReader) database(into *Secret) form {
	of := *r
	of.lookup = r.store
	return of.secret(into, false).then(func(n node) {
		s := into.Reveal()
		if s == "" || strings.HasPrefix(s, "postgres://") || strings.HasPrefix(s, "postgresql://") || strings.Contains(s, "=") {
			return // said already, not fetched, or fine
		}
		r.fault(n, "the secret is no connection string of PostgreSQL, such as postgres://USER:PASSWORD@HOST/DATABASE or host=HOST dbname=DATABASE")
	})
}
