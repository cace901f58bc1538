package gitea

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	sdk "code.gitea.io/sdk/gitea"
	"golang.org/x/sync/errgroup"

	"slipway/internal/fault"
	"slipway/internal/ref"
)

// members reads who is in the teams (OWNER/TEAM), by their names in lower case.
// Gitea shows that only to members of the organisation. One that could not be
// read is left out, and the error says why. Unless fresh, who was in a team a
// minute ago still is; remembered says that it was so.
func (c *Client) members(ctx context.Context, names []string, fresh bool) (found map[string][]string, remembered bool, err error) {
	found = map[string][]string{}
	unread := map[string][]string{} // owner → teams, in lower case
	var faults []error
	for _, name := range names {
		name = strings.ToLower(name)
		if l, ok := c.teams.get(name, time.Now()); ok && !fresh {
			remembered = true
			if l.err == nil {
				found[name] = l.logins
			}
			continue // that it could not be read was told then
		}
		owner, team, ok := strings.Cut(name, "/")
		if !ok || owner == "" || team == "" {
			faults = append(faults, fault.AsPermanent(fmt.Errorf("%q is not a team (OWNER/TEAM)", name)))
			continue
		}
		if !slices.Contains(unread[owner], team) {
			unread[owner] = append(unread[owner], team)
		}
	}
	for owner, teams := range unread {
		faults = append(faults, c.readMembers(ctx, owner, teams, found))
	}
	return found, remembered, errors.Join(faults...)
}

// readMembers fills in who is in teams of one organisation.
func (c *Client) readMembers(ctx context.Context, owner string, names []string, found map[string][]string) error {
	ids, err := c.teamIDs(ctx, owner)
	if err != nil {
		for _, name := range names {
			c.teams.keep(owner+"/"+name, roster{err: err, at: time.Now()})
		}
		return err
	}
	lists := make([]roster, len(names))
	var group errgroup.Group
	group.SetLimit(together)
	for i, name := range names {
		group.Go(func() error {
			logins, err := c.teamMembers(ctx, ids, name)
			if err != nil {
				err = fmt.Errorf("the members of the team %s/%s: %w", owner, name, err)
			}
			lists[i] = roster{logins: logins, err: err, at: time.Now()}
			return nil
		})
	}
	_ = group.Wait() // the errors are kept apart
	var faults []error
	for i, name := range names {
		c.teams.keep(owner+"/"+name, lists[i])
		if faults = append(faults, lists[i].err); lists[i].err == nil {
			found[owner+"/"+name] = lists[i].logins
		}
	}
	return errors.Join(faults...)
}

// teamIDs gives the teams of an organisation that Slipway may see, by name in
// lower case.
func (c *Client) teamIDs(ctx context.Context, owner string) (map[string]int64, error) {
	client, err := c.sdk(ctx)
	if err != nil {
		return nil, err
	}
	teams, err := pages(func(o sdk.ListOptions) ([]*sdk.Team, *sdk.Response, error) {
		return client.ListOrgTeams(owner, sdk.ListTeamsOptions{ListOptions: o})
	})
	if err != nil {
		return nil, fmt.Errorf("the teams of %s: %w", owner, err)
	}
	ids := make(map[string]int64, len(teams))
	for _, t := range teams {
		ids[strings.ToLower(t.Name)] = t.ID
	}
	return ids, nil
}

func (c *Client) teamMembers(ctx context.Context, ids map[string]int64, name string) ([]string, error) {
	id, ok := ids[name]
	if !ok {
		return nil, fault.AsPermanent(errors.New("there is no such team, or it is hidden"))
	}
	client, err := c.sdk(ctx)
	if err != nil {
		return nil, err
	}
	members, err := pages(func(o sdk.ListOptions) ([]*sdk.User, *sdk.Response, error) {
		return client.ListTeamMembers(id, sdk.ListTeamMembersOptions{ListOptions: o})
	})
	if err != nil {
		return nil, err
	}
	return logins(members), nil
}

// approversNow lists who could approve, in the forge's eyes: those on the
// whitelist, or else whoever may write. Slipway itself never approves and is
// left out. It serves explanations only, and so who may write is remembered for
// a minute whatever was asked for.
func (c *Client) approversNow(ctx context.Context, repo ref.RepoID, a approvers) ([]string, error) {
	if a.known != ref.Yes {
		return nil, nil // why was told already
	}
	who := slices.Clone(a.users)
	if !a.listed {
		var err error
		if who, err = c.writers(ctx, repo); err != nil {
			return nil, err
		}
	}
	who = slices.DeleteFunc(slices.Clone(who), func(l string) bool { return strings.EqualFold(l, c.login) })
	slices.Sort(who)
	return slices.CompactFunc(who, strings.EqualFold), nil
}

// writersLimit bounds how many people's rights are looked up one by one.
const writersLimit = 50

// writers lists who may write to a repository. The server lists who may read
// it, and tells the rest of each one alone.
func (c *Client) writers(ctx context.Context, repo ref.RepoID) ([]string, error) {
	if l, ok := c.mayWrite.get(repo.String(), time.Now()); ok {
		return l.logins, l.err
	}
	who, err := c.readWriters(ctx, repo)
	c.mayWrite.keep(repo.String(), roster{logins: who, err: err, at: time.Now()})
	return who, err
}

func (c *Client) readWriters(ctx context.Context, repo ref.RepoID) ([]string, error) {
	client, err := c.sdk(ctx)
	if err != nil {
		return nil, err
	}
	readers, response, err := client.GetReviewers(repo.Owner, repo.Name)
	if err != nil {
		return nil, refused(response, err)
	}
	if len(readers) > writersLimit {
		return nil, fault.AsPermanent(fmt.Errorf("%d people may read the repository; of more than %d it is not looked up who may write", len(readers), writersLimit))
	}
	may := make([]ref.Fact, len(readers))
	group, inGroup := errgroup.WithContext(ctx)
	group.SetLimit(together)
	for i, reader := range readers {
		group.Go(func() (err error) {
			may[i], err = c.mayApprove(inGroup, repo, reader.UserName)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var who []string
	for i, reader := range readers {
		if may[i] == ref.Yes {
			who = append(who, reader.UserName)
		}
	}
	return who, nil
}

func logins(users []*sdk.User) []string {
	names := make([]string, 0, len(users))
	for _, u := range users {
		names = append(names, u.UserName)
	}
	return names
}
