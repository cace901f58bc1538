package pools_test

import (
	"fmt"
	"slices"
	"time"

	"pgregory.net/rapid"

	"slipway/pools"
)

func vocabularies() *rapid.Generator[pools.Vocabulary] {
	words := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z][a-z0-9]{0,19}`), 1, 4, rapid.ID)
	return rapid.Custom(func(t *rapid.T) pools.Vocabulary {
		return pools.Vocabulary{Roles: words.Draw(t, "roles"), Tiers: words.Draw(t, "tiers")}
	})
}

func addressesOf(v pools.Vocabulary) *rapid.Generator[pools.Address] {
	return rapid.Custom(func(t *rapid.T) pools.Address {
		return pools.Address{
			Role: rapid.SampledFrom(v.Roles).Draw(t, "role"), Tier: rapid.SampledFrom(v.Tiers).Draw(t, "tier"),
			Replica: rapid.IntRange(0, 9999).Draw(t, "replica"),
		}
	})
}

func selectorsOf(v pools.Vocabulary) *rapid.Generator[pools.Selector] {
	return rapid.Custom(func(t *rapid.T) pools.Selector {
		a := addressesOf(v).Draw(t, "of")
		sel := pools.Selector{Role: a.Role, Tier: a.Tier}
		if rapid.Bool().Draw(t, "any role") {
			sel.Role = ""
		}
		if rapid.Bool().Draw(t, "any tier") {
			sel.Tier = ""
		}
		if n := rapid.IntRange(0, 3).Draw(t, "replica"); rapid.Bool().Draw(t, "one replica") {
			sel.Replica = &n
		}
		return sel
	})
}

func amounts() *rapid.Generator[pools.Money] {
	return rapid.Map(rapid.Int64Range(0, 1e15), func(m int64) pools.Money { return pools.Money(m) })
}

func assignments(name string) *rapid.Generator[pools.Assignment] {
	return rapid.Custom(func(t *rapid.T) pools.Assignment {
		word := func(what string, of ...string) string { return rapid.SampledFrom(of).Draw(t, what) }
		return pools.Assignment{
			Name: name, Provider: word("provider", "acme", "elsewhere"), Model: word("model", "m-1", "m-2", "M-1"),
			Prompt:     pools.Prompt{File: word("file", "a.md", "b.md"), Hash: word("hash", "aa", "bb")},
			Parameters: word("parameters", "", `{"n":1}`, `{"n":2}`),
			Prices: pools.Prices{
				Input: amounts().Draw(t, "input"), Output: amounts().Draw(t, "output"),
				CacheRead: amounts().Draw(t, "read"), CacheWrite: amounts().Draw(t, "write"),
			},
			Budget: amounts().Draw(t, "budget"),
		}
	})
}

// sets are whole sets as a pool config may describe them.
func sets() *rapid.Generator[pools.Set] {
	return rapid.Custom(func(t *rapid.T) pools.Set {
		s := pools.Set{
			Number: rapid.Int64Range(0, 9).Draw(t, "number"), Source: rapid.SampledFrom([]string{"", "# a comment"}).Draw(t, "source"),
			Vocabulary: vocabulary(), Currency: rapid.SampledFrom([]string{"EUR", "USD"}).Draw(t, "currency"),
			Shapes:      rapid.SampledFrom([][]string{nil, {"bug"}, {"bug", "feature"}}).Draw(t, "shapes"),
			Assignments: map[string]pools.Assignment{}, Replicas: map[pools.Address]string{},
		}
		for i := range rapid.IntRange(1, 4).Draw(t, "assignments") {
			name := fmt.Sprintf("run-%d", i)
			s.Assignments[name] = assignments(name).Draw(t, name)
		}
		names := rapid.SampledFrom([]string{"run-0", fmt.Sprintf("run-%d", len(s.Assignments)-1)})
		for _, role := range s.Vocabulary.Roles {
			for _, tier := range s.Vocabulary.Tiers {
				p := pools.Pool{Name: pools.PoolName{Role: role, Tier: tier}, Replicas: rapid.IntRange(0, 3).Draw(t, "replicas")}
				if p.Replicas == 0 {
					continue
				}
				for n := range p.Replicas {
					s.Replicas[pools.Address{Role: role, Tier: tier, Replica: n}] = names.Draw(t, "assignment")
				}
				p.Operator = rapid.SampledFrom([]string{"", "acme"}).Draw(t, "operator")
				p.Limit = rapid.IntRange(0, 2).Draw(t, "limit")
				p.Daily = pools.Money(rapid.Int64Range(0, 2).Draw(t, "daily"))
				p.Deadline = time.Duration(rapid.IntRange(0, 2).Draw(t, "deadline")) * time.Hour
				if rapid.Bool().Draw(t, "canary") {
					p.Canary = &pools.Canary{Assignment: names.Draw(t, "canary's"), Share: rapid.SampledFrom([]float64{0.1, 0.25, 1}).Draw(t, "share")}
				}
				s.Pools = append(s.Pools, p)
			}
		}
		slices.SortFunc(s.Pools, func(p, q pools.Pool) int { return p.Name.Compare(q.Name) })
		return s
	})
}
