package reconcile

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"slipway/gate"
	"slipway/internal/change"
	"slipway/internal/ref"
)

// ownersFile is the CODEOWNERS file at a commit.
type ownersFile struct {
	found  bool
	rules  OwnersRules
	faults []string
}

// behold looks at a pull request with the policy of its base. What the policy
// and CODEOWNERS want to know beyond that is only known once they are read, so
// it may take another look; the next ones ask for it at once.
func (e *Engine) behold(ctx context.Context, repo Repository, c change.Change, fresh bool) (Look, change.Plan, error) {
	want := e.want(repo)
	want.Fresh = fresh
	for try := 0; ; try++ {
		look, err := repo.Forge.Look(ctx, c.ID, want)
		if err != nil {
			return Look{}, change.Plan{}, err
		}
		p := look.Snapshot.Pull
		if p.Merged == ref.Yes || (p.Base != repo.Branch && c.Rev == 0) {
			return look, change.Plan{}, nil
		}
		plan, err := e.plan(ctx, repo, p.Base, p.BaseHead)
		if err != nil {
			return Look{}, change.Plan{}, err
		}
		e.own(ctx, repo, plan, &look.Snapshot)
		needed := wanted(repo, plan, look.Snapshot)
		if covers(want, needed) || try == 2 {
			e.remember(repo, want, needed)
			return look, plan, nil
		}
		want.Teams = union(want.Teams, needed.Teams)
		want.Workflows, want.NoWorkflows = needed.Workflows, needed.NoWorkflows
	}
}

// own says which rules of CODEOWNERS own the changed files. A file that cannot
// be read is unknown.
func (e *Engine) own(ctx context.Context, repo Repository, plan change.Plan, s *gate.Snapshot) {
	if !plan.Gate.Owners.Required || repo.Owners == nil {
		return
	}
	file, err := e.ownersFile(ctx, repo, s.Pull.BaseHead)
	switch {
	case err != nil:
		e.Log.Warn("a fact is unknown", "change", s.Pull.ID, "error", err)
	case !file.found:
		s.OwnedRead = ref.No
	default:
		s.OwnersFaults = file.faults
		if s.FilesRead == ref.Yes {
			s.OwnedRead, s.Owned = ref.Yes, file.rules.Of(s.Files)
		}
	}
}

// ownersFile is CODEOWNERS at a commit of the base branch, from the first place
// where there is one.
func (e *Engine) ownersFile(ctx context.Context, repo Repository, at ref.SHA) (ownersFile, error) {
	key := planKey{repo.ID, at}
	e.mu.Lock()
	file, ok := e.owners[key]
	e.mu.Unlock()
	if ok {
		return file, nil
	}
	for _, path := range repo.OwnersFiles {
		data, found, err := repo.Forge.File(ctx, repo.ID, at, path)
		if err != nil {
			return ownersFile{}, fmt.Errorf("read %s of %s at %s: %w", path, repo.ID, at.Short(), err)
		}
		if found {
			file.found = true
			file.rules, file.faults = repo.Owners(data)
			break
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.owners) > 1000 {
		clear(e.owners)
	}
	e.owners[key] = file
	return file, nil
}

// want is what the looks at a repository ask for, as far as that is known.
func (e *Engine) want(repo Repository) Want {
	e.mu.Lock()
	defer e.mu.Unlock()
	w := e.wants[repo.ID]
	return Want{Teams: slices.Clone(w.Teams), Workflows: slices.Clone(w.Workflows), NoWorkflows: w.NoWorkflows, Approvers: true}
}

// remember keeps what the policy needs, and the teams of CODEOWNERS that some
// look asked for; but not without end.
func (e *Engine) remember(repo Repository, asked, needed Want) {
	e.mu.Lock()
	defer e.mu.Unlock()
	w := Want{Teams: union(asked.Teams, needed.Teams), Workflows: needed.Workflows, NoWorkflows: needed.NoWorkflows}
	if len(w.Teams) > 2*len(needed.Teams)+20 {
		w.Teams = needed.Teams
	}
	e.wants[repo.ID] = w
}

// wanted is what a policy needs to know of one pull request.
func wanted(repo Repository, plan change.Plan, s gate.Snapshot) Want {
	p := plan.Gate
	teams := slices.Concat(repo.Teams, p.PeopleTeams, p.Approvers.Teams, p.Excluded.Teams, p.Vetoers.Teams, p.Emergency.By.Teams)
	for _, d := range p.Demands {
		teams = append(teams, d.From.Teams...)
	}
	for _, o := range s.Owned {
		for _, owner := range o.Owners {
			if strings.Contains(owner, "/") {
				teams = append(teams, owner)
			}
		}
	}
	w := Want{Teams: union(teams, nil)}
	for _, r := range p.Checks {
		if r.Workflow != "" && !slices.Contains(w.Workflows, r.Workflow) {
			w.Workflows = append(w.Workflows, r.Workflow)
		}
	}
	w.NoWorkflows = len(p.Checks) > 0 && len(w.Workflows) == 0
	return w
}

// covers says whether what was asked for holds all that is needed. To ask for
// no workflow is to ask for all.
func covers(asked, needed Want) bool {
	for _, team := range needed.Teams {
		if !slices.ContainsFunc(asked.Teams, func(t string) bool { return strings.EqualFold(t, team) }) {
			return false
		}
	}
	if asked.NoWorkflows {
		return needed.NoWorkflows
	}
	return len(asked.Workflows) == 0 || !slices.ContainsFunc(needed.Workflows, func(w string) bool { return !slices.Contains(asked.Workflows, w) })
}

// union is what is in either, each once, sorted; names that differ in case only
// are one.
func union(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.SortStableFunc(all, func(x, y string) int { return strings.Compare(strings.ToLower(x), strings.ToLower(y)) })
	return slices.CompactFunc(all, strings.EqualFold)
}
