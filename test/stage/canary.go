package stage

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"slipway/test/servers/gitea"
)

// Lent are the accounts that a repository of canaries is lent: Author opens
// them. Of the three reviewers, the first may push, and so report checks; the
// third stands on no whitelist, so that only a policy can give it a veto.
type Lent struct {
	Author    gitea.Account
	Reviewers []gitea.Account
}

// accounts are all of them.
func (l *Lent) accounts() []gitea.Account { return append([]gitea.Account{l.Author}, l.Reviewers...) }

// The logins of the accounts that are lent.
const (
	CanaryAuthor   = "canary-author"
	CanaryReporter = "canary-1"
	CanaryReviewer = "canary-2"
	CanaryVetoer   = "canary-3"
)

// Lend makes a project a repository of canaries, with the least rights that
// they work with. All projects are lent the same accounts.
func (s *Stage) Lend(ctx context.Context, p *Project) (*Lent, error) {
	if s.lent == nil {
		l := &Lent{}
		for _, login := range []string{CanaryAuthor, CanaryReporter, CanaryReviewer, CanaryVetoer} {
			a, err := s.Forge.CreateUser(ctx, login, gitea.Person)
			if err == nil {
				a.Token, err = s.Forge.Token(ctx, a, "write:repository", "write:issue", "read:user")
			}
			if err != nil {
				return nil, fmt.Errorf("lend %s: %w", login, err)
			}
			if login == CanaryAuthor {
				l.Author = a
			} else {
				l.Reviewers = append(l.Reviewers, a)
			}
		}
		s.lent = l
	}
	p.approvers = []string{CanaryReporter, CanaryReviewer}
	err := errors.Join(
		s.Forge.SetCollaborator(ctx, Org, p.Name, CanaryAuthor, gitea.Write),
		s.Forge.SetCollaborator(ctx, Org, p.Name, CanaryReporter, gitea.Write),
		s.Forge.CreateTeam(ctx, Org, gitea.Team{Name: "canaries-" + p.Name, Repositories: []string{p.Name}, Members: []string{CanaryReviewer, CanaryVetoer},
			Units: map[string]string{"repo.code": "read", "repo.pulls": "read"}}),
		s.Forge.Call(ctx, s.Forge.Admin().Token, http.MethodDelete, "/repos/"+p.ID().String()+"/branch_protections/main", nil, nil),
	)
	if err != nil {
		return nil, fmt.Errorf("lend %s: %w", p.ID(), err)
	}
	return s.lent, p.Protect(ctx)
}

// Lent are the accounts that were lent, if any were.
func (s *Stage) Lent() []gitea.Account {
	if s.lent == nil {
		return nil
	}
	return s.lent.accounts()
}

// variable is the environment's name for an account's token.
func variable(a gitea.Account) string {
	return strings.ToUpper(strings.ReplaceAll(a.Login, "-", "_"))
}

// canaries is the configuration's part about them: they come once in four
// years, and when somebody asks.
func (l *Lent) canaries(projects []*Project) string {
	account := func(a gitea.Account) string {
		return fmt.Sprintf("{login: %s, token: {env: %s}}", a.Login, variable(a))
	}
	var reviewers []string
	for _, a := range l.Reviewers {
		reviewers = append(reviewers, account(a))
	}
	var b strings.Builder
	b.WriteString("canaries:\n")
	for _, p := range projects {
		fmt.Fprintf(&b, "  - {repo: %s, schedule: \"0 0 29 2 *\", author: %s, reviewers: [%s]}\n", p.ID(), account(l.Author), strings.Join(reviewers, ", "))
	}
	return b.String()
}
