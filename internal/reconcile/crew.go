package reconcile

import (
	"context"
	"slices"
	"strings"

	"slipway/gate"
	"slipway/internal/ref"
)

// crew says who of those that a snapshot speaks of is of the pools. Without
// pools nobody is; what cannot be asked is unknown.
func (e *Engine) crew(ctx context.Context, s *gate.Snapshot, p gate.Policy) gate.Crew {
	if e.Crews == nil {
		return gate.Crew{Read: ref.No}
	}
	if s.Pull.Head == "" {
		return gate.Crew{}
	}
	c, err := e.Crews.Crew(ctx, s.Pull.ID, s.Pull.Head)
	switch {
	case err != nil:
		e.Log.Warn("a fact is unknown", "change", s.Pull.ID, "error", err)
		return gate.Crew{}
	case c.Read != ref.Yes:
		return gate.Crew{Read: c.Read}
	}
	return taking(part(s), p, c)
}

// taking is a crew without those who have nothing to do with a pull request, so
// that its snapshot does not change with every attempt at something else. Who is
// of a pool that the policy names stays: whoever could approve is told of.
func taking(part map[string]bool, p gate.Policy, c gate.Crew) gate.Crew {
	wanted := slices.Clone(p.Approvers.Pools)
	for _, d := range p.Demands {
		wanted = append(wanted, d.From.Pools...)
	}
	all := c.Members
	c.Members = map[string]gate.Principal{}
	for who, is := range all {
		who = strings.ToLower(who)
		if part[who] || slices.Contains(wanted, is.Pool) {
			c.Members[who] = is
		}
	}
	return c
}

// part are those who take part in a pull request, or could approve it, by login
// in lower case.
func part(s *gate.Snapshot) map[string]bool {
	all := map[string]bool{}
	add := func(names ...string) {
		for _, n := range names {
			all[strings.ToLower(n)] = true
		}
	}
	add(s.Pull.Author, s.Pusher)
	add(s.Approvers...)
	for _, c := range s.Commits {
		add(c.Author, c.Committer)
		for _, co := range c.CoAuthors {
			add(co.Login)
		}
	}
	for _, r := range s.Reviews {
		add(r.Reviewer)
	}
	if s.Emergency != nil {
		add(s.Emergency.By)
	}
	return all
}
