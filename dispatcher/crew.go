package dispatcher

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"slipway/gate"
	"slipway/internal/ref"
	"slipway/pools"
)

// Crew says who of those that take part in a pull request are coordinates of
// the pool config in force, and what their attempts ran that stand behind what
// they did at a head. It reads, and changes nothing.
func (d *Dispatcher) Crew(ctx context.Context, id ref.PullID, head ref.SHA) (gate.Crew, error) {
	set, found, err := d.Store.Set(ctx)
	if err != nil {
		return gate.Crew{}, fmt.Errorf("crew of %s: %w", id, err)
	}
	if !found {
		return gate.Crew{Read: ref.No}, nil // there never was a coordinate
	}
	wrote, reviewed, took, err := d.behind(ctx, id, head)
	if err != nil {
		return gate.Crew{}, fmt.Errorf("crew of %s: %w", id, err)
	}
	crew := gate.Crew{Read: ref.Yes, Members: make(map[string]gate.Principal, len(set.Replicas))}
	for a := range set.Replicas {
		took[a] = true
	}
	for a := range took {
		crew.Members[d.login(a)] = gate.Principal{Kind: gate.KindAgent, Operator: operator(set.Set, a), Pool: a.Pool().String(), Model: bare(oneModel(wrote[a], reviewed[a]))}
	}
	c, known, err := d.Changes.Change(ctx, id)
	if err != nil {
		return gate.Crew{}, fmt.Errorf("crew of %s: %w", id, err)
	}
	if known && c.Author != "" {
		crew.Registered = ref.No
		for a := range wrote {
			if d.login(a) == strings.ToLower(c.Author) {
				crew.Registered = ref.Yes
			}
		}
	}
	return crew, nil
}

// behind are the attempts behind a head, by coordinate: of those that registered
// it all that wrote for the pull request, for it may rest on what another model
// wrote before; and those that reviewed it or may have. took are all that took part at any head: one that has left the pool config
// since is still no person, and its branch still its own.
func (d *Dispatcher) behind(ctx context.Context, id ref.PullID, head ref.SHA) (wrote, reviewed map[pools.Address][]Attempt, took map[pools.Address]bool, err error) {
	attempts, err := d.Store.Attempts(ctx, Filter{Pull: id, Kind: Build})
	if err != nil {
		return nil, nil, nil, err
	}
	wrote, reviewed, took = map[pools.Address][]Attempt{}, map[pools.Address][]Attempt{}, map[pools.Address]bool{}
	for _, a := range attempts {
		took[a.Address] = true
		wrote[a.Address] = append(wrote[a.Address], a)
	}
	maps.DeleteFunc(wrote, func(_ pools.Address, all []Attempt) bool {
		return !slices.ContainsFunc(all, func(a Attempt) bool { return a.Head == head })
	})
	works, err := d.reviewsOf(ctx, id)
	if err != nil {
		return nil, nil, nil, err
	}
	for _, w := range works {
		for _, a := range w.Attempts {
			took[a.Address] = true
			if w.Item.Head == head && !a.untaken() {
				reviewed[a.Address] = append(reviewed[a.Address], a)
			}
		}
	}
	return wrote, reviewed, took, nil
}

// reviewsOf are the reviews that were asked of a pull request, with their
// attempts.
func (d *Dispatcher) reviewsOf(ctx context.Context, id ref.PullID) ([]Work, error) {
	items, err := d.Store.Items(ctx, Filter{Pull: id, Kind: Review})
	if err != nil {
		return nil, err
	}
	works := make([]Work, 0, len(items))
	for _, i := range items {
		w, found, err := d.Store.Work(ctx, i.ID)
		if err != nil {
			return nil, err
		}
		if found {
			works = append(works, w)
		}
	}
	return works, nil
}

// bare is a model's name without whose it is said to be, such as acme/large: the
// gate compares names, and one model may stand under both.
func bare(model string) string {
	model = strings.TrimSpace(model)
	return model[strings.LastIndexByte(model, '/')+1:]
}

// login is a coordinate's name on the forge, in the form in which logins are
// compared.
func (d *Dispatcher) login(a pools.Address) string { return strings.ToLower(d.Login(a)) }

// operator answers for a coordinate's agent; "" is unknown.
func operator(s pools.Set, a pools.Address) string {
	p, _ := s.Pool(a.Pool())
	return p.Operator
}

// oneModel is the model that all attempts ran; "" when there are none, or when
// they differ: then nobody knows which of them did what is to be judged.
func oneModel(lists ...[]Attempt) string {
	model := ""
	for _, list := range lists {
		for _, a := range list {
			if model != "" && !strings.EqualFold(model, a.Assignment.Model) {
				return ""
			}
			model = a.Assignment.Model
		}
	}
	return model
}
