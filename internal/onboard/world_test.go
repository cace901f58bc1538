package onboard_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"slipway/internal/onboard"
	"slipway/internal/ref"
)

// world is a forge and a cluster in memory that behave as the real ones do
// where it matters here: whoever has no right on record is dropped from a list
// of approvers without a word, and rights that the account lacks are refused.
type world struct {
	forge onboard.Forge
	// readers have a right on record besides teams.
	readers []string
	sites   map[string]onboard.Site
	roles   map[string]bool // namespaces with the role
	deny    func(onboard.Part) bool
	writes  int
}

func (w *world) Look(context.Context, onboard.Want) (onboard.Forge, error) {
	f := w.forge
	if f.Rule.Read && f.Rule.Is != nil {
		shown := *f.Rule.Is
		shown.Approvers = w.onRecord(shown.Approvers)
		f.Rule.Is = &shown
	}
	return f, nil
}

func (w *world) Lie(_ context.Context, p onboard.Place) (onboard.Site, error) {
	return w.sites[p.Key()], nil
}

func (w *world) onRecord(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool {
		for _, t := range w.forge.Teams.Is {
			if t.Enough && t.Kind == onboard.TeamReviewers && listed(t.Members, n) {
				return false
			}
		}
		return !listed(w.readers, n)
	})
}

// listed compares as forges do, without regard to case.
func listed(names []string, name string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
}

func (w *world) Set(_ context.Context, _ ref.RepoID, p onboard.Part) error {
	w.writes++
	if w.deny != nil && w.deny(p) {
		return errors.Join(onboard.ErrDenied, fmt.Errorf("403 not for you"))
	}
	switch p := p.(type) {
	case onboard.Protection:
		dropped := len(w.onRecord(p.Approvers)) < len(p.Approvers)
		p.Approvers = w.onRecord(p.Approvers)
		w.forge.Rule = onboard.Read(&p)
		if dropped {
			return errors.New("somebody was left off")
		}
	case onboard.TagProtection:
		w.forge.Tags = onboard.Read(&p)
	case onboard.Hook:
		if p.ID == 0 {
			p.ID = int64(100 + len(w.forge.Hooks.Is))
			w.forge.Hooks.Is = append(slices.Clone(w.forge.Hooks.Is), p)
			return nil
		}
		w.forge.Hooks.Is = slices.Clone(w.forge.Hooks.Is)
		for i := range w.forge.Hooks.Is {
			if w.forge.Hooks.Is[i].ID == p.ID {
				w.forge.Hooks.Is[i] = p
			}
		}
	case onboard.Team:
		w.team(p)
	case onboard.Permission:
		w.forge.Bot = onboard.Read(p.Access)
	case onboard.Label:
		w.forge.Labels.Is = append(slices.Clone(w.forge.Labels.Is), strings.ToUpper(p.Name))
	default:
		return fmt.Errorf("no forge holds %T", p)
	}
	return nil
}

func (w *world) team(p onboard.Team) {
	if p.Kind == onboard.TeamPackages {
		w.forge.Packages = onboard.Read(true)
		return
	}
	teams := map[string]onboard.Team{}
	for k, v := range w.forge.Teams.Is {
		teams[k] = v
	}
	has := teams[onboard.Lower(p.Name)]
	p.Enough = true
	p.Members = append(slices.Clone(has.Members), p.Members...)
	teams[onboard.Lower(p.Name)] = p
	w.forge.Teams.Is = teams
}

func (w *world) Prepare(_ context.Context, p onboard.Part) error {
	w.writes++
	if w.deny != nil && w.deny(p) {
		return errors.Join(onboard.ErrDenied, fmt.Errorf("forbidden"))
	}
	change := func(namespace string, change func(*onboard.Site)) {
		for key, s := range w.sites {
			if strings.HasSuffix(key, "/"+namespace) {
				change(&s)
				w.sites[key] = s
			}
		}
	}
	granted := func(namespace string) {
		change(namespace, func(s *onboard.Site) {
			if w.roles[namespace] && s.Bound == ref.Yes {
				s.Missing = onboard.Read([]string{})
			}
		})
	}
	switch p := p.(type) {
	case onboard.Namespace:
		change(p.Name, func(s *onboard.Site) { s.Exists = onboard.Read(true) })
	case onboard.Role:
		w.roles[p.Namespace] = true
		granted(p.Namespace)
	case onboard.Binding:
		change(p.Namespace, func(s *onboard.Site) { s.Bound = ref.Yes })
		granted(p.Namespace)
	default:
		return fmt.Errorf("no cluster holds %T", p)
	}
	return nil
}

// plan looks and plans.
func (w *world) plan(want onboard.Want) onboard.Plan {
	f, err := w.Look(context.Background(), want)
	if err != nil {
		panic(err)
	}
	return onboard.Make(want, onboard.World{Forge: f, Sites: w.sites})
}

// apply plans and carries it out.
func (w *world) apply(want onboard.Want) []onboard.Outcome {
	return onboard.Apply(context.Background(), w.plan(want), w, map[string]onboard.Ground{"main": w}, func(onboard.Outcome) {})
}

// bare is a repository that nobody has set up, as its organisation's owner and
// the cluster's administrator see it.
func bare() *world {
	return &world{
		forge: onboard.Forge{
			Self:         onboard.Self{Login: "ada", Repository: onboard.AccessAdmin, Owner: ref.Yes, Site: ref.No},
			Organization: ref.Yes,
			Lacks:        []onboard.Feature{onboard.FeatureGate},
			Rule:         onboard.Read[*onboard.Protection](nil),
			Tags:         onboard.Read[*onboard.TagProtection](nil),
			Hooks:        onboard.Read([]onboard.Hook{}),
			Teams:        onboard.Read(map[string]onboard.Team{}),
			Bot:          onboard.Read(onboard.AccessNone),
			Packages:     onboard.Read(false),
			Labels:       onboard.Read([]string{}),
		},
		sites: map[string]onboard.Site{"main/acme": {
			User: "admin", Exists: onboard.Read(false), Missing: onboard.Read([]string{"patch deployments app"}), Bound: ref.No,
		}},
		roles: map[string]bool{},
	}
}
