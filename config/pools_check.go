package config

import (
	"maps"
	"slices"

	"slipway/pools"
)

// complete asks what needs the whole file, and makes the set of it.
func (r *poolsReader) complete() {
	s := &r.set
	size := r.coordinates()
	for _, name := range slices.Sorted(maps.Keys(r.pools)) {
		r.pool(r.pools[name], size)
	}
	for name, replicas := range size {
		if _, said := s.Pool(name); !said {
			s.Pools = append(s.Pools, pools.Pool{Name: name, Replicas: replicas})
		}
	}
	slices.SortFunc(s.Pools, func(p, q pools.Pool) int { return p.Name.Compare(q.Name) })
	for a, name := range s.Replicas {
		r.affordable(a.Pool(), name)
	}
}

// coordinates reads the replicas, and says how many each pool has.
func (r *poolsReader) coordinates() map[pools.PoolName]int {
	s, size, places := &r.set, map[pools.PoolName]int{}, map[pools.Address]node{}
	s.Replicas = map[pools.Address]string{}
	strange := false
	for key, e := range r.replicas {
		a, err := pools.ParseAddress(key, s.Vocabulary)
		if !r.worded() {
			a, err = pools.ReadAddress(key)
		}
		if err != nil {
			r.fault(e.key, "%v", err)
			strange = true
			continue
		}
		r.known(e.key, e.assignment)
		s.Replicas[a], places[a] = e.assignment, e.key
		size[a.Pool()]++
	}
	if strange {
		return size // the one that is missing may be the one that was mistyped
	}
	var next pools.Address
	for _, a := range s.Addresses() {
		if a.Pool() != next.Pool() {
			next = pools.Address{Role: a.Role, Tier: a.Tier}
		}
		if a != next {
			r.fault(places[a], "there is no %s: the replicas of a pool are numbered from 0 without a gap", next)
		}
		next = pools.Address{Role: a.Role, Tier: a.Tier, Replica: a.Replica + 1}
	}
	return size
}

// pool takes what is said of a pool.
func (r *poolsReader) pool(e poolEntry, size map[pools.PoolName]int) {
	if !r.worded() {
		return
	}
	name, err := pools.ParsePoolName(e.key.Value, r.set.Vocabulary)
	if err != nil {
		r.fault(e.key, "%v", err)
		return
	}
	if size[name] == 0 && len(r.replicas) > 0 {
		r.fault(e.key, "the pool has no coordinate: give it one under replicas, such as %s-0, or take it out", name)
	}
	e.Name, e.Replicas = name, size[name]
	r.set.Pools = append(r.set.Pools, e.Pool)
	if e.Canary != nil {
		r.known(e.canary, e.Canary.Assignment)
		r.affordable(name, e.Canary.Assignment)
	}
}

// worded says whether the vocabulary is there. What is wrong with it was said
// already, and need not be said again of every address.
func (r *poolsReader) worded() bool {
	return len(r.set.Vocabulary.Roles) > 0 && len(r.set.Vocabulary.Tiers) > 0
}

// known asks that there is an assignment of that name.
func (r *poolsReader) known(n node, name string) {
	if name == "" || len(r.set.Assignments) == 0 {
		return // said already
	}
	if _, there := r.set.Assignments[name]; !there {
		r.fault(n, "there is no assignment %q%s", clip(name), meant(name, slices.Sorted(maps.Keys(r.set.Assignments))))
	}
}

// affordable asks that a pool may begin at least one attempt a day: a claim
// sets the attempt's whole budget aside.
func (r *poolsReader) affordable(n pools.PoolName, name string) {
	p, _ := r.set.Pool(n)
	if budget := r.set.Assignments[name].Budget; p.Daily > 0 && budget > p.Daily {
		r.fault(r.pools[n.String()].daily, "is %s, less than the %s that one attempt of %s may cost: it could never begin", p.Daily, budget, name)
	}
}
