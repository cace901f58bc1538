package reconcile_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"slipway/gate"
	"slipway/internal/change"
	"slipway/internal/fault"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

// emptyRegistry answers that it has nothing.
type emptyRegistry struct{ reconcile.Images }

func (emptyRegistry) Resolve(context.Context, string, ref.Tag) (ref.Fact, ref.Digest, error) {
	return ref.No, "", nil
}

// renamedForge is one on which the repository has another name now.
type renamedForge struct{ reconcile.Forge }

func (renamedForge) Branch(context.Context, ref.BranchID) (ref.SHA, error) {
	return "", fault.Moved(errors.New("301 <a href=…>"), "acme/app2")
}

func TestARenamedRepositoryIsToldWithItsName(t *testing.T) {
	w := newWorld(t, func(_ *world, c *reconcile.Config) {
		c.Images = emptyRegistry{}
		c.Repositories[0].Forge = renamedForge{c.Repositories[0].Forge}
	})
	want := reconcile.Finding{Area: "forge of acme/app", Fault: "acme/app is acme/app2 now", Mend: "write acme/app2 in slipway.yaml, and start the server anew"}
	if found := w.engine.Examine(t.Context()); !slices.Contains(found, want) {
		t.Errorf("found %+v", found)
	}
}

func TestAVendorRenamedACheckAndSomebodyIsTold(t *testing.T) {
	tests := []struct {
		name string
		came []string
		late time.Duration // after it was opened
		want string        // "" for nothing
		mend string
	}{
		{"it came", []string{"ci", "lint"}, time.Hour, "", ""},
		{"another came in its place", []string{"lint", "CI"}, 0, `"ci" is required and came on none of the last 1 pull requests; the nearest that came is "CI"`, `name it "CI" in .slipway.yaml on main`},
		{"nothing came", nil, time.Hour, `"ci" is required and came on none of the last 1 pull requests`, "have CI report it"},
		{"nothing came yet", nil, 0, "", ""},
		{"only Slipway's own", []string{gate.StatusContext}, time.Hour, `"ci" is required and came on none of the last 1 pull requests`, "have CI report it"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, func(_ *world, c *reconcile.Config) { c.Images = emptyRegistry{} })
			w.from(w.history.push("main", "policy", map[string]string{reconcile.PolicyFile: policyFor("app", "app")}))
			id := w.propose(1, map[string]string{"a.txt": "a"})
			w.change(id, func(p *openPull) {
				for i, name := range test.came {
					p.statuses = append(p.statuses, gate.Status{ID: int64(i + 1), Context: name, State: gate.StateSuccess, Creator: "ci-bot"})
				}
			})
			w.run()
			w.hint(id)
			w.seen(id, "the pull request", func(c change.Change) bool { return c.Head != "" })
			w = rebuilt(t, w, func(c *reconcile.Config) { c.Now = func() time.Time { return time.Now().Add(test.late) } })
			found := w.engine.Examine(t.Context())
			i := slices.IndexFunc(found, func(f reconcile.Finding) bool { return f.Area == "checks of acme/app" })
			switch {
			case test.want == "" && i >= 0:
				t.Errorf("found %+v", found[i])
			case test.want != "" && (i < 0 || found[i].Fault != test.want || !strings.Contains(found[i].Mend, test.mend)):
				t.Errorf("found %+v", found)
			}
		})
	}
}
