package config_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"slipway/config"
	"slipway/pools"
)

// whole asks of any text that its faults are told in order and in the text, or
// that the set which it makes holds together and can be swapped.
func whole(t interface{ Fatalf(string, ...any) }, data []byte) (faultless bool) {
	s, faults := config.ParsePools(config.PoolsFile, data, prompted)
	lines := strings.Count(string(data), "\n") + strings.Count(string(data), "\r") + strings.Count(string(data), "\u0085") +
		strings.Count(string(data), "\u2028") + strings.Count(string(data), "\u2029") + 1
	for i, f := range faults {
		if f.Line < 0 || f.Line > lines || f.Message == "" || f.File != config.PoolsFile {
			t.Fatalf("fault %+v in a file of %d lines", f, lines)
		}
		if i > 0 && faults[i-1].Line > f.Line {
			t.Fatalf("faults out of order: %q", faults)
		}
	}
	if len(faults) > 0 {
		return false
	}
	size := map[pools.PoolName]int{}
	for _, a := range s.Addresses() {
		if again, err := pools.ParseAddress(a.String(), s.Vocabulary); err != nil || again != a {
			t.Fatalf("%s is in the set: %v", a, err)
		}
		if a.Replica != size[a.Pool()] {
			t.Fatalf("%s follows %d others of its pool", a, size[a.Pool()])
		}
		size[a.Pool()]++
		if as, _ := s.Assigned(a, 1); as.Name == "" || as.Provider == "" || as.Model == "" || len(as.Prompt.Hash) != 64 || as.Prices.Input < 0 {
			t.Fatalf("%s runs %+v", a, as)
		}
	}
	if len(size) == 0 || len(size) != len(s.Pools) {
		t.Fatalf("%d pools, of which %d have coordinates", len(s.Pools), len(size))
	}
	for _, p := range s.Pools {
		if p.Replicas != size[p.Name] || p.Canary != nil && (p.Canary.Share <= 0 || p.Canary.Share > 1) || p.Limit < 0 || p.Daily < 0 {
			t.Fatalf("%+v has %d coordinates", p, size[p.Name])
		}
	}
	for _, a := range s.Addresses() {
		swaps(t, s, data, a)
	}
	return true
}

// swaps tries every assignment at a coordinate.
func swaps(t interface{ Fatalf(string, ...any) }, s pools.Set, data []byte, a pools.Address) {
	for name := range s.Assignments {
		edited, diff, err := config.Swap(data, a, name)
		if err != nil {
			continue // it is written as it cannot be kept
		}
		after, faults := config.ParsePools(config.PoolsFile, edited, prompted)
		changes := pools.Diff(s, after)
		so := s.Replicas[a] == name
		if len(faults) > 0 || after.Replicas[a] != name || (diff == "") != so || so != (len(changes) == 0) || len(changes) > 1 {
			t.Fatalf("%s at %s: %v %v\n%s", name, a, faults, changes, edited)
		}
	}
}

func TestAnyPoolConfigIsWholeOrFaulty(t *testing.T) {
	full, _ := example(t, "pools.md")
	good, bad := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SampledFrom([]string{leastPools, swapped("replicas: {builder-lite-0: quick, 'reviewer-heavy-0': \"careful\"}\n"), full}).Draw(t, "text")
		if whole(t, damage(t, text)) {
			good++
		} else {
			bad++
		}
	})
	if good == 0 || bad == 0 {
		t.Errorf("%d good texts and %d bad ones", good, bad)
	}
}

func FuzzParsePools(f *testing.F) {
	full, _ := example(f, "pools.md")
	for _, s := range []string{leastPools, full, swapped("replicas: {builder-lite-0: quick}\n"), "", "a: &b [*b]", "roles: [a]\x85tiers: [b]\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		whole(t, data)
	})
}

// TestTheSchemaOfPoolsTakesWhatTheReaderTakes: an editor that goes by the schema must
// not complain of a file that is fine.
func TestTheSchemaOfPoolsTakesWhatTheReaderTakes(t *testing.T) {
	schema := compiled(t, config.PoolsSchema())
	full, _ := example(t, "pools.md")
	rapid.Check(t, func(rt *rapid.T) {
		text := damage(rt, rapid.SampledFrom([]string{leastPools, full}).Draw(rt, "text"))
		if _, faults := config.ParsePools(config.PoolsFile, text, prompted); len(faults) > 0 {
			return
		}
		if err := schema.Validate(decoded(t, string(text))); err != nil {
			rt.Fatalf("the schema says %v of\n%s", err, text)
		}
	})
}

func TestTheSchemaOfPoolsRefusesWhatTheReaderRefuses(t *testing.T) {
	schema := compiled(t, config.PoolsSchema())
	in := func(part, other string) string { return replace(t, leastPools, part, other) }
	pool := func(keys string) string { return leastPools + "pools: {builder-lite: {" + keys + "}}\n" }
	for name, text := range map[string]string{
		"an unknown key":                in("currency", "money: 1\ncurrency"),
		"an unknown key of a record":    in("provider: acme", "provider: acme\n    key: 1"),
		"no roles":                      in("roles: [builder, reviewer]\n", ""),
		"a role that is no word":        in("[builder, reviewer]", "[builder, re-viewer]"),
		"a role twice":                  in("[builder, reviewer]", "[builder, builder]"),
		"a currency of small letters":   in("USD", "usd"),
		"a record's name with a blank":  in("  careful:", "  care ful:"),
		"a record without a price":      in(", output: 15", ""),
		"a price below nought":          in("input: 3", "input: -1"),
		"a price that is a text":        in("input: 3", "input: cheap"),
		"a budget of nothing":           in("prices:", "budget: 0\n    prices:"),
		"parameters that are a list":    in("prices:", "parameters: [1]\n    prices:"),
		"an address that is none":       in("builder-lite-0", "builder-lite"),
		"an address with a zero before": in("builder-lite-0", "builder-lite-00"),
		"two assignments":               in("builder-lite-0: careful", "builder-lite-0: [careful, careful]"),
		"no replicas":                   in("replicas:\n  builder-lite-0: careful\n", "replicas: {}\n"),
		"a pool that is a coordinate":   leastPools + "pools: {builder-lite-0: {limit: 1}}\n",
		"a limit of nothing":            pool("limit: 0"),
		"a share of nothing":            pool("canary: {assignment: careful, share: 0}"),
		"a share above everything":      pool("canary: {assignment: careful, share: 1.1}"),
		"a canary without a share":      pool("canary: {assignment: careful}"),
		"a deadline without a unit":     pool("deadline: 60"),
	} {
		if _, faults := config.ParsePools(config.PoolsFile, []byte(text), prompted); len(faults) == 0 {
			t.Errorf("%s: the reader takes it", name)
		}
		if schema.Validate(decoded(t, text)) == nil {
			t.Errorf("%s: the schema takes it", name)
		}
	}
}
