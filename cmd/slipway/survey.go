package main

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"

	"slipway/config"
	"slipway/internal/change"
	"slipway/internal/fault"
	"slipway/internal/onboard"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

// survey compares how repositories are with how they should be.
type survey struct {
	conf config.Server
	// policy reads a policy file.
	policy func(ref.RepoID, string, []byte, bool) change.Plan
	// forges are by name, as whoever looks.
	forges map[string]surveyed
	// grounds and subjects are by cluster: with whose rights it is looked, and
	// which account is Slipway's.
	grounds  map[string]onboard.Ground
	subjects func(ctx context.Context, cluster string) string
	// pushes says whether the registry's own account may push; nil where that
	// cannot be asked.
	pushes func(ctx context.Context, r config.Repository) onboard.Found[bool]
}

// surveyed is what a survey needs of a forge.
type surveyed struct {
	reconcile.Contents
	onboard.Guard
}

// wishes are what somebody asks for beyond what should be anyway.
type wishes struct {
	renew  bool   // the webhook with its secret
	loosen bool   // what the forge asks for beyond the policy
	config string // the configuration that mends name
}

// plan looks at a repository and says what is to be done, and who looked. A
// local policy file stands in for one that is not on the branch yet; nil for
// none.
func (s survey) plan(ctx context.Context, r config.Repository, local *change.Plan, w wishes) (onboard.Plan, string, error) {
	want, err := s.want(ctx, r, local)
	if err != nil {
		return onboard.Plan{}, "", err
	}
	want.RenewHook, want.Loosen, want.Config = w.renew, w.loosen, w.config
	is, err := s.look(ctx, r, want)
	if err != nil {
		return onboard.Plan{}, "", err
	}
	return onboard.Make(want, is), is.Forge.Self.Login, nil
}

// want says how a repository should be, by the policy on its branch.
func (s survey) want(ctx context.Context, r config.Repository, local *change.Plan) (onboard.Want, error) {
	forge, _ := s.conf.Forge(r.Forge)
	facts := onboard.Facts{
		Repo: r.Repo, Branch: r.Branch, Bot: forge.Login, Secret: forge.WebhookSecret, Packager: s.packager(r, forge),
		External: s.conf.ExternalURL, HookPath: "/hooks/" + forge.Name, Namespaces: r.Namespaces, Subjects: map[string]string{},
		Crew: s.crew(r),
	}
	from := s.forges[r.Forge].Contents
	tip, err := from.Branch(ctx, ref.BranchID{Repo: r.Repo, Name: r.Branch})
	to, moved := fault.MovedTo(err)
	switch {
	case moved:
		return onboard.Want{}, fmt.Errorf("%s is %s now: write %s in slipway.yaml, and start the server anew", r.Repo, to, to)
	case err == nil:
		facts.Tip = ref.Yes
	case fault.KindOf(err) == fault.Permanent:
		facts.Tip = ref.No
	default:
		return onboard.Want{}, err
	}
	where := fmt.Sprintf("%s@%s:%s", r.Repo, r.Branch, config.PolicyFile)
	if facts.Tip == ref.Yes {
		data, found, err := from.File(ctx, r.Repo, tip, config.PolicyFile)
		if err != nil {
			return onboard.Want{}, err
		}
		facts.Plan = s.policy(r.Repo, where, data, found)
		if !found && local != nil {
			facts.Plan, facts.Draft = *local, true
		}
	}
	for cluster := range r.Namespaces {
		facts.Subjects[cluster] = s.subjects(ctx, cluster)
	}
	return onboard.Derive(facts), nil
}

// crew are the coordinates that may approve on a repository's forge. A faulty
// pool config is told of elsewhere, and has none.
func (s survey) crew(r config.Repository) (crew []onboard.Hand) {
	if s.conf.Pools.File == "" || s.conf.Pools.Forge != r.Forge {
		return nil
	}
	set, faults := config.LoadPools(s.conf.Pools.File)
	if len(faults) > 0 {
		return nil
	}
	for _, a := range set.Addresses() {
		crew = append(crew, onboard.Hand{Login: a.String(), Pool: a.Pool().String(), Reviews: !slices.Contains(s.conf.Pools.Writers, a.Role)})
	}
	return crew
}

// packager is the account that pushes images, where the forge's own registry
// takes them.
func (s survey) packager(r config.Repository, forge config.Forge) string {
	registry, _ := s.conf.Registry(r.Registry)
	site, err := url.Parse(forge.URL)
	if err != nil || forge.Kind != "gitea" || !strings.EqualFold(site.Host, registry.Host) {
		return ""
	}
	return registry.Username
}

func (s survey) look(ctx context.Context, r config.Repository, want onboard.Want) (onboard.World, error) {
	forge, err := s.forges[r.Forge].Look(ctx, want)
	if err != nil {
		return onboard.World{}, err
	}
	if s.pushes != nil && len(want.Packages.Members) > 0 && !forge.Packages.Read {
		forge.Packages = s.pushes(ctx, r)
	}
	is := onboard.World{Forge: forge, Sites: map[string]onboard.Site{}}
	for _, p := range want.Places {
		site, err := s.grounds[p.Cluster].Lie(ctx, p)
		if err != nil {
			site = onboard.Site{Exists: onboard.Unread[bool](err.Error()), Missing: onboard.Unread[[]string](err.Error())}
		}
		is.Sites[p.Key()] = site
	}
	return is, nil
}

// findings tells every difference of every repository, as doctor does. What is
// examined elsewhere is left out: the policy's faults, and clusters, of which
// only Slipway's own rights concern the doctor.
func (s survey) findings(ctx context.Context) []reconcile.Finding {
	found := make([][]reconcile.Finding, len(s.conf.Repositories))
	var wg sync.WaitGroup
	for i, r := range s.conf.Repositories {
		wg.Go(func() { found[i] = s.drift(ctx, r) })
	}
	wg.Wait()
	return slices.Concat(found...)
}

func (s survey) drift(ctx context.Context, r config.Repository) []reconcile.Finding {
	area := "set-up of " + r.Repo.String()
	want, err := s.want(ctx, r, nil)
	if err != nil || len(want.Faults) > 0 && want.Rule == nil {
		return nil // said about the forge or the policy already
	}
	want.Places = nil
	is, err := s.look(ctx, r, want)
	if err != nil {
		return []reconcile.Finding{{Area: area, Fault: err.Error(), Mend: "may " + want.Bot + " see the repository?"}}
	}
	var out []reconcile.Finding
	for _, step := range onboard.Make(want, is).Steps {
		out = append(out, reconcile.Finding{Area: area, Fault: step.Told(), Mend: step.Mend})
	}
	return out
}
