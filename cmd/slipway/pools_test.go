package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mattn/go-runewidth"

	"slipway/config"
	"slipway/internal/authz"
	"slipway/internal/server"
	"slipway/pools"
)

func TestAPoolConfigIsCheckedOffline(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, config.PoolsFile)
	write(t, path, poolText)
	command(t, "pools", "check", path).wants(t, 2, path+":6: ", "p.md cannot be read")
	write(t, filepath.Join(dir, "p.md"), "be brief\n")
	command(t, "pools", "check", path).wants(t, 0, "no fault; 2 coordinates in 1 pool, 3 assignments")
	command(t, "pools", "check", path, "--json").wants(t, 0, `"faults": []`, `"hash": "`)
	write(t, path, strings.NewReplacer("input: 1", "input: -1", "builder-lite-1", "builder-huge-1", "tiers", "tears").Replace(poolText))
	command(t, "pools", "check", path).wants(t, 2, ":3: tears: unknown key", ":6: ", ":11: ")
	command(t, "pools", "check", path, "--json").wants(t, 2, `"line": 3`, `"line": 6`)
	command(t, "pools", "check", filepath.Join(dir, "gone.yaml")).wants(t, 2, "cannot be read")
	command(t, "pools", "diff", path).wants(t, 2, "faults in "+path, ":3: tears")
}

func TestPoolsFromTheCommandLine(t *testing.T) {
	f := newFarm(t, authz.Operator)
	f.slipway("pools", "show").wants(t, 0, "pool config 1, in force since ", "by slipway (file)", "builder-lite-0  quick  unseen    small-1 of acme", "builder-lite: 2 coordinates")
	planned := f.slipway("pools", "swap", "builder-lite-0", "--provider", "other", "--model", "large-2", "--dry-run")
	planned.wants(t, 0, "~ builder-lite-0 runs slow instead of quick", "nothing was changed: pool config 1 stays in force")
	if !strings.HasPrefix(planned.out, "--- a/pools.yaml\n+++ b/pools.yaml\n@@ ") || strings.Contains(planned.out, "~ ") {
		t.Errorf("the patch is not all that goes to standard output: %s", planned.out)
	}
	f.slipway("pools", "swap", "builder-lite-0", "--provider", "other", "--model", "large-2").wants(t, 0, "in force as pool config 2")
	f.slipway("pools", "swap", "builder-lite-0", "--assignment", "slow").wants(t, 0, "it is so already: pool config 2")
	f.slipway("pools", "show").wants(t, 0, "pool config 2", "by me (swap)", "large-2 of other")
	f.slipway("pools", "show", "--json").wants(t, 0, `"number": 2`, `"assignment": "slow"`)
	f.slipway("pools", "history").wants(t, 0, "     2  ", "by me (swap)", "builder-lite-0 runs slow instead of quick", "     1  ", "by slipway (file)")
	f.slipway("pools", "history", "--json", "--limit", "1").wants(t, 0, `"number": 2`)

	proposed := filepath.Join(f.folder(), "proposed.yaml")
	write(t, proposed, poolText)
	f.slipway("pools", "diff", proposed).wants(t, 1, "~ builder-lite-0 runs quick instead of slow")
	f.slipway("pools", "diff", proposed, "--json").wants(t, 1, `"number": 2`, `"text": "builder-lite-0 runs quick instead of slow"`)
	f.slipway("pools", "diff", filepath.Join(f.folder(), config.PoolsFile)).wants(t, 0, "means what pool config 2 does")

	f.slipway("pools", "rollback").wants(t, 0, "+  builder-lite-0: quick", "in force as pool config 3")
	f.slipway("pools", "rollback", "2", "--json").wants(t, 0, `"result": "applied"`, `"number": 4`)

	if err := os.Rename(f.path, f.path+".real"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(f.path+".real", f.path); err != nil {
		t.Fatal(err)
	}
	f.slipway("pools", "swap", "builder-lite-0", "--assignment", "careful").wants(t, 1, "+  builder-lite-0: careful", "the server cannot write it", "ConfigMap", "patch -p1")
	f.slipway("pools", "swap", "builder-lite-0", "--assignment", "careful", "--json").wants(t, 1, `"result": "patch"`)

	f.write(config.PoolsFile, "roles: [\n")
	if err := f.Take(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.slipway("pools", "show").wants(t, 0, "pool config 4", "✖ ", "The file changes nothing until that is mended.")
	f.slipway("pools", "swap", "builder-lite-0", "--assignment", "careful").wants(t, 1, config.PoolsFile+":")
}

func TestPoolsThatAreRefused(t *testing.T) {
	f := newFarm(t, authz.Reader)
	for _, c := range []struct {
		rule string
		args []string
		code int
		says string
	}{
		{"a swap of what is no coordinate", []string{"pools", "swap", "builder-lite", "--model", "m"}, 2, `"builder-lite" is not <role>-<tier>-<replica>`},
		{"a swap to nothing", []string{"pools", "swap", "builder-lite-0"}, 2, "what is it to run?"},
		{"a swap to two things", []string{"pools", "swap", "builder-lite-0", "--model", "m", "--assignment", "a"}, 2, "give either"},
		{"a swap by a reader", []string{"pools", "swap", "builder-lite-0", "--model", "m"}, 1, "pools.swap is for: operator"},
		{"a rollback to what is no number", []string{"pools", "rollback", "yesterday"}, 2, `"yesterday" is no pool config`},
		{"a rollback by a reader", []string{"pools", "rollback"}, 1, "pools.rollback is for: operator"},
		{"a cordon without a reason", []string{"pools", "cordon", "builder-lite-0"}, 2, "wants --reason"},
		{"a cordon of what is no coordinate", []string{"pools", "cordon", "Builder-lite-0", "--reason", "x"}, 2, "is not <role>-<tier>-<replica>"},
		{"a cordon by a reader", []string{"pools", "cordon", "builder-lite-0", "--reason", "x"}, 1, "pools.cordon is for: operator"},
		{"too long a history", []string{"pools", "history", "--limit", "101"}, 2, "--limit is 1 to 100"},
		{"two files", []string{"pools", "check", "a", "b"}, 2, "at most one FILE"},
		{"an unknown command", []string{"pools", "launch"}, 2, "one of its commands"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			got := f.slipway(c.args...)
			got.wants(t, c.code, c.says)
			if got.out != "" {
				t.Errorf("it prints %q", got.out)
			}
		})
	}
	command(t, "pools", "show").wants(t, 2, "nothing to read from")
	command(t, "pools", "swap", "builder-lite-0", "--model", "m").wants(t, 2, "no server")
	operators := newFarm(t, authz.Operator)
	operators.slipway("pools", "swap", "builder-lite-9", "--assignment", "slow").wants(t, 1, "no such coordinate")
	operators.slipway("pools", "swap", "builder-lite-0", "--model", "huge").wants(t, 1, "no assignment runs huge", "careful (large-2 of acme)")
	operators.slipway("pools", "rollback").wants(t, 1, "pool config 1 is the first")
	operators.slipway("pools", "rollback", "7").wants(t, 1, "there is no pool config 7")
	operators.slipway("pools", "uncordon", "reviewer-lite-0").wants(t, 1, "reviewer-lite-0")
}

func TestPoolsAreReadableInEightyColumns(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	long := strings.Repeat("a reason that goes on and on ", 8)
	f := server.InForce{
		SetHead: server.SetHead{Number: 12, At: now, By: "ops", Why: "rollback to 11"}, Currency: "USD", Faults: []string{"pools.yaml:3: " + long},
		Pools: []server.Pool{{Name: pools.PoolName{Role: "builder", Tier: "standard"}, Replicas: 12, Limit: 6, Daily: 40_000_000, Deadline: 5400, Canary: "careful", Share: .125, Operator: "acme-of-some-name"}},
		Seats: []server.Seat{
			{Address: seat("builder-standard-11"), Assignment: "careful-with-a-name", Provider: "acme", Model: "large-2", Live: 12345, Seen: now.Add(-time.Hour)},
			{Address: seat("builder-standard-12"), Gone: true, Live: 7, Seen: now},
			{Address: seat("builder-standard-2"), Assignment: "quick", Cordoned: true, Reason: long, By: "ops"},
			{Address: seat("builder-standard-3"), Assignment: "quick", Seen: now},
		},
	}
	shown := page(80).inForce(f, now)
	for line := range strings.Lines(shown) {
		if got := runewidth.StringWidth(strings.TrimSuffix(line, "\n")); got > 80 {
			t.Errorf("%d columns: %s", got, line)
		}
	}
	for _, want := range []string{
		"pool config 12, in force since", "by ops (rollback to 11)", "✖ pools.yaml:3:", "#12345", "last heard 1h00m ago", "in no pool any more", "cordoned by ops: a reason", "free",
		"12 coordinates, at most 6 at work, 40 USD a day, an attempt may take 1h30m, 12.5% of its items to careful, of acme-of-some-name",
	} {
		if !strings.Contains(strings.Join(strings.Fields(shown), " "), want) {
			t.Errorf("it does not say %q:\n%s", want, shown)
		}
	}
}
