package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"slipway/config"
	"slipway/dispatcher"
	"slipway/gate/owners"
	"slipway/internal/authz"
	"slipway/internal/forge/gitea"
	"slipway/internal/forge/github"
	"slipway/internal/git"
	"slipway/internal/onboard"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
	"slipway/internal/server"
)

// forge is one repository host with everything that is asked of it.
type forge struct {
	reconcile.Forge
	// self is the account's name and e-mail, for commits of its own.
	self    func(ctx context.Context) (name, email string, err error)
	token   func(ctx context.Context) (string, error) // for git
	guard   onboard.Guard
	issues  dispatcher.Issues
	hook    hook
	dialect owners.Dialect
	site    string // for people and for git, without a slash at the end
}

func forges(conf config.Server, metrics *server.Metrics, log *slog.Logger) (map[string]forge, error) {
	all := map[string]forge{}
	for _, f := range conf.Forges {
		called := func(method, _ string, status int, took time.Duration) {
			metrics.Called(f.Name, method, strconv.Itoa(status), took)
		}
		unread := func(err error) { log.Warn("a fact is unknown", "forge", f.Name, "error", err) }
		made, err := newForge(f, called, unread)
		if err != nil {
			return nil, fmt.Errorf("forge %s: %w", f.Name, err)
		}
		all[f.Name] = made
	}
	return all, nil
}

func newForge(f config.Forge, called func(string, string, int, time.Duration), unread func(error)) (forge, error) {
	token := func() (string, error) { return f.Token.Reveal(), nil }
	if f.Kind == "gitea" {
		client, err := gitea.New(gitea.Config{URL: f.URL, Login: f.Login, Token: token, OnCall: called, OnUnread: unread})
		if err != nil {
			return forge{}, err
		}
		return forge{
			Forge: client, self: client.Self, token: func(context.Context) (string, error) { return token() },
			guard: gitea.Guard{Client: client}, issues: client, dialect: owners.Gitea, site: f.URL,
			hook: hook{f.WebhookSecret, gitea.Signed, gitea.Verify, gitea.Hint},
		}, nil
	}
	c := github.Config{URL: f.URL, Login: f.Login, Token: token, OnCall: called, OnUnread: unread}
	if f.App != nil {
		c.Token = nil
		c.App = &github.App{ID: f.App.ID, Installation: f.App.Installation, PrivateKey: func() (string, error) { return f.App.PrivateKey.Reveal(), nil }}
	}
	client, err := github.New(c)
	if err != nil {
		return forge{}, err
	}
	return forge{
		Forge: client, self: client.Self, token: client.GitToken,
		guard: github.Guard{Client: client}, issues: client, dialect: owners.GitHub, site: client.Site(),
		hook: hook{f.WebhookSecret, github.Signed, github.Verify, github.Hint},
	}, nil
}

// hook is a forge's deliveries under its secret.
type hook struct {
	secret config.Secret
	signed func(header http.Header) bool
	verify func(secret string, header http.Header, body []byte) error
	hint   func(header http.Header, body []byte) (reconcile.Hint, bool, error)
}

func (h hook) Signed(header http.Header) bool { return h.signed(header) }

func (h hook) Verify(header http.Header, body []byte) error {
	return h.verify(h.secret.Reveal(), header, body)
}

func (h hook) Hint(header http.Header, body []byte) (reconcile.Hint, bool, error) {
	return h.hint(header, body)
}

func repositories(conf config.Server, forges map[string]forge) []reconcile.Repository {
	var teams []string
	for _, g := range conf.Roles {
		teams = append(teams, g.Teams...)
	}
	var out []reconcile.Repository
	for _, r := range conf.Repositories {
		f, _ := conf.Forge(r.Forge)
		made := forges[r.Forge]
		registry, _ := conf.Registry(r.Registry)
		out = append(out, reconcile.Repository{
			ID: r.Repo, Branch: r.Branch, Forge: made.Forge, Bot: f.Login, Host: r.Forge, Image: registry.Host + "/" + r.Image,
			Source: made.site + "/" + r.Repo.String(), Namespaces: r.Namespaces, Roles: roles(conf.Roles), Teams: teams,
			OwnersFiles: owners.Files(made.dialect), Owners: readOwners(made.dialect),
		})
	}
	return out
}

// roles are those that the configuration gives to a login.
func roles(grants []config.RoleGrant) func(string, map[string][]string) []authz.Role {
	return func(login string, teams map[string][]string) []authz.Role {
		is := func(other string) bool { return strings.EqualFold(login, other) }
		var out []authz.Role
		for _, g := range grants {
			in := func(team string) bool { return slices.ContainsFunc(teams[strings.ToLower(team)], is) }
			if slices.ContainsFunc(g.People, is) || slices.ContainsFunc(g.Teams, in) {
				out = append(out, g.Role)
			}
		}
		return out
	}
}

func readOwners(d owners.Dialect) func([]byte) (reconcile.OwnersRules, []string) {
	return func(data []byte) (reconcile.OwnersRules, []string) {
		rules, faults := owners.Parse(d, data)
		var said []string
		for _, f := range faults {
			said = append(said, fmt.Sprintf("line %d: %s", f.Line, f.Message))
		}
		return rules, said
	}
}

func remotes(conf config.Server, forges map[string]forge) func(ref.RepoID) (git.Remote, error) {
	return func(id ref.RepoID) (git.Remote, error) {
		r, ok := conf.Repository(id)
		if !ok {
			return git.Remote{}, fmt.Errorf("repository %s is not served here", id)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		f, _ := conf.Forge(r.Forge)
		made := forges[r.Forge]
		token, err := made.token(ctx)
		if err != nil {
			return git.Remote{}, fmt.Errorf("the token for %s: %w", id, err)
		}
		user := f.Login
		if f.App != nil {
			user = "x-access-token" // whom GitHub takes an installation for
		}
		return git.Remote{URL: made.site + "/" + id.String() + ".git", Username: user, Token: token}, nil
	}
}

// authors has each revert written by the account that proposes it: the gate
// lets no commit through whose author the forge does not know.
func authors(conf config.Server, forges map[string]forge) func(context.Context, ref.RepoID) (string, string, error) {
	return func(ctx context.Context, id ref.RepoID) (string, string, error) {
		r, ok := conf.Repository(id)
		if !ok {
			return "", "", fmt.Errorf("repository %s is not served here", id)
		}
		return forges[r.Forge].self(ctx)
	}
}
