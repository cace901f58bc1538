package config

import (
	"strings"
	"time"

	"slipway/deployer"
	"slipway/internal/authz"
	"slipway/internal/ref"
)

type serverReader struct {
	*reader
	server Server
	lookups
}

// lookups are the environment. A nil one leaves everything alone that the file
// only names: secrets and other files.
type lookups struct {
	lookup func(string) (string, bool)
	store  func(string) (string, bool) // for the store alone
}

func parseServer(file string, data []byte, from lookups) (Server, []Fault) {
	r := &serverReader{reader: &reader{file: file}, server: serverDefaults(), lookups: from}
	r.document(data, r.layout())
	r.server.file, r.server.lines = file, r.lines
	return r.server, sorted(r.faults)
}

// ServerSchema is the JSON Schema (draft 2020-12) of slipway.yaml.
func ServerSchema() []byte { return schemaOf("Slipway's server, slipway.yaml", serverShape()) }

func serverShape() shape {
	r := &serverReader{reader: &reader{}, server: serverDefaults()}
	return r.layout().shape
}

// layout is the whole file.
func (r *serverReader) layout() form {
	s := &r.server
	return r.object(
		may("listen", r.text(&s.Listen, that(listenAddress)), "HOST:PORT for webhooks, the API, health and metrics."),
		may("external_url", r.base(&s.ExternalURL), "Where people and the forge reach the server."),
		must("store", r.object(
			must("path", r.path(&s.Store.Path), "The directory of the database, the mirrors and the image cache."),
			may("postgres", r.database(&s.Store.Postgres), "A secret: the connection string of a PostgreSQL database that holds the state instead, for more than one server.").otherwise("the database in `path`"),
		), "Where the state is kept."),
		may("resync", r.resync(), "How often everything unfinished is looked at without an event."),
		may("journal", r.object(
			must("key", r.seed(&s.JournalKey), "A secret: the Ed25519 seed, 32 bytes in base64, with which the journal's head is signed.").otherwise("made once, in the store's directory"),
		), "The journal."),
		may("comments", r.object(
			may("sticky", r.flag(&s.Comments.Sticky), "Whether each pull request gets one comment that says how it stands, edited and never repeated."),
			may("budget", r.number(&s.Comments.Budget, 1, 100_000), "How many writes an hour Slipway allows itself on one forge for comments. Answers to commands take half of it at the most."),
		), "What is written on pull requests."),
		may("examine", r.object(
			must("schedule", r.cron(&s.Examine.Schedule, nil), "When protection, policy, contexts and rights are compared by themselves: five fields of cron, in UTC.").otherwise("never"),
		), "Drift is an alert."),
		may("tokens", r.tokens(), "Who may use the API."),
		may("roles", r.roles(), "Who may do what by comments."),
		must("forges", r.forges(), "Where the repositories are."),
		must("registries", r.registries(), "Where images go."),
		must("clusters", r.clusters(), "Where it runs."),
		may("identities", r.identities(&s.Identities), "Who is behind a login."),
		may("pools", r.poolConfig(), "The pools of builders."),
		may("work", r.work(), "How work is given to the pools."),
		may("organizations", r.organizations(), "Defaults and floors of policy files."),
		may("build", r.build(), "The environment of image builds."),
		may("canaries", r.canaries(), "Pull requests that must stay blocked."),
		must("repositories", r.repositories(), "What Slipway looks after."),
	)
}

func (r *serverReader) resync() form {
	s := &r.server.Resync
	return r.object(
		may("active", r.duration(&s.Active, time.Hour), "How often what is active is looked at without an event, 1s to 1h."),
		may("idle", r.duration(&s.Idle, 24*time.Hour), "The same for the rest, up to 24h and not less than `active`."),
		may("rate", r.number(&s.Rate, 1, 1000), "How many looks a second that starts at most."),
	).then(func(n node) {
		if s.Idle < s.Active {
			r.fault(n, "looks at what is idle (%s) more often than at what is active (%s)", short(s.Idle), short(s.Active))
		}
	})
}

func (r *serverReader) tokens() form {
	lines := map[string]int{}
	var verbs []string
	for _, v := range authz.Verbs() {
		verbs = append(verbs, string(v))
	}
	var all []Token
	return many(r.reader, &all, Token{}, func(t *Token) form {
		var scopes []string
		return r.object(
			must("name", r.unique(&t.Name, lines, label()), "Who it is, for the journal. Not `slipway`: that is the server itself."),
			must("role", r.text((*string)(&t.Role), given()), "`operator` may do everything, `reader` may read, `submitter` may have work done and withdraw its own."),
			must("token", r.secret(&t.Secret, false), "A secret. No two may be equal."),
			may("scopes", r.texts(&scopes, among(verbs...)).then(func(node) {
				for _, s := range scopes {
					t.Scopes = append(t.Scopes, authz.Verb(s))
				}
			}), "Verbs to which the role is narrowed: "+listed(verbs)+".").otherwise("all of the role"),
			may("expires", r.instant(&t.Expires), "When its rights end, as `2027-01-01T00:00:00Z`.").otherwise("never"),
		).named("token").then(func(n node) {
			if t.Name == deployer.Itself {
				r.fault(n, "%s is the name under which the journal has what Slipway does itself", t.Name)
			}
			if same, found := r.server.Authorize(t.Secret.Reveal()); found {
				r.fault(n, "%s has the same token as %s, so that nobody could tell who acted", t.Name, same.Name)
			}
			r.server.Tokens = append(r.server.Tokens, *t)
		})
	})
}

// given asks for a role that this file may give.
func given() check {
	return among(string(authz.Operator), string(authz.Reader), string(authz.Submitter))
}

func (r *serverReader) roles() form {
	return many(r.reader, &r.server.Roles, RoleGrant{}, func(g *RoleGrant) form {
		return r.object(
			must("role", r.text((*string)(&g.Role), given()), "`operator`, `reader` or `submitter`. What each may do, `slipway doctor` prints."),
			may("people", r.texts(&g.People, login()), "Logins."),
			may("teams", r.texts(&g.Teams, team()), "Teams of the forge, as `OWNER/TEAM`."),
		).named("role").then(func(n node) {
			if !r.names(n, "people") && !r.names(n, "teams") {
				r.fault(n, "gives the role to nobody: name people or teams")
			}
		})
	})
}

func (r *serverReader) registries() form {
	lines := map[string]int{}
	return many(r.reader, &r.server.Registries, Registry{}, func(g *Registry) form {
		return r.object(
			must("name", r.unique(&g.Name, lines, label()), "What repositories call it."),
			must("host", r.text(&g.Host, that(registryHost)), "HOST or HOST:PORT."),
			may("insecure", r.flag(&g.Insecure), "Whether it is plain HTTP."),
			may("username", r.text(&g.Username), "The account, together with `password`."),
			may("password", r.secret(&g.Password, false), "A secret."),
		).named("registry").with("username", "password").with("password", "username").then(func(n node) {
			if r.names(n, "username") != r.names(n, "password") {
				r.fault(n, "needs both username and password, or neither")
			}
		})
	})
}

func (r *serverReader) clusters() form {
	lines := map[string]int{}
	return many(r.reader, &r.server.Clusters, Cluster{}, func(c *Cluster) form {
		return r.object(
			must("name", r.unique(&c.Name, lines, label()), "What policy files call it."),
			may("kubeconfig", r.existing(&c.Kubeconfig), "A kubeconfig file. It must be there at start."),
			may("in_cluster", r.flag(&c.InCluster), "Use the cluster that this server runs in, instead of a kubeconfig."),
			may("simulated", r.flag(&c.Simulated), "Its nodes are fake: what rolls out there ends `simulated`."),
		).named("cluster").then(func(n node) {
			if r.names(n, "kubeconfig") == c.InCluster {
				r.fault(n, "needs either a kubeconfig or in_cluster: true")
			}
		})
	})
}

func (r *serverReader) build() form {
	b := &r.server.Build
	return r.object(
		may("goproxy", r.text(&b.GoProxy, that(withoutPassword)), "GOPROXY. It must not hold a password.").otherwise("Go's own"),
		may("gosumdb", r.text(&b.GoSumDB, that(withoutPassword)), "GOSUMDB.").otherwise("Go's own"),
		may("goprivate", r.text(&b.GoPrivate), "GOPRIVATE.").otherwise("Go's own"),
		may("gocache", r.path(&b.GoCache), "GOCACHE, a directory.").otherwise("the server's choice"),
		may("gomodcache", r.path(&b.GoModCache), "GOMODCACHE, a directory.").otherwise("the server's choice"),
	).named("build environment")
}

func (r *serverReader) canaries() form {
	repos := map[string]int{}
	return many(r.reader, &r.server.Canaries, Canary{}, func(c *Canary) form {
		return r.object(
			must("repo", r.repo(&c.Repo, repos), "OWNER/NAME, one of `repositories`."),
			must("schedule", r.cron(&c.Schedule, nil), "When they are tried: five fields of cron, in UTC."),
			must("author", r.account(&c.Author), "The account that opens the pull requests."),
			must("reviewers", many(r.reader, &c.Reviewers, Account{}, r.account), "At least two accounts that approve them."),
		).named("canary").then(func(n node) {
			logins := map[string]bool{strings.ToLower(c.Author.Login): true}
			for _, a := range c.Reviewers {
				if logins[strings.ToLower(a.Login)] {
					r.fault(n, "%s stands for more than one of the author and the reviewers", a.Login)
				}
				logins[strings.ToLower(a.Login)] = true
			}
			if len(c.Reviewers) == 1 {
				r.fault(n, "names one reviewer; two must approve for anything to merge")
			}
			r.after = append(r.after, func() {
				if _, found := r.server.Repository(c.Repo); !found && !c.Repo.IsZero() {
					r.fault(n, "%s is not one of the repositories", c.Repo)
				}
			})
		})
	})
}

func (r *serverReader) account(a *Account) form {
	return r.object(
		must("login", r.text(&a.Login, login()), "Its login."),
		must("token", r.secret(&a.Token, false), "A secret."),
	).named("account")
}

func (r *serverReader) repositories() form {
	repos, images := map[string]int{}, map[string]int{}
	return many(r.reader, &r.server.Repositories, Repository{Branch: defaultBranch}, func(p *Repository) form {
		forges := func(s Server) []string { return names(s.Forges, func(f Forge) string { return f.Name }) }
		registries := func(s Server) []string { return names(s.Registries, func(g Registry) string { return g.Name }) }
		image := matches(imagePattern, "an image name (lower case, without registry and tag)")
		return r.object(
			must("repo", r.repo(&p.Repo, repos), "OWNER/NAME."),
			may("branch", r.text(&p.Branch, that(branch)), "The branch that is released and deployed. Pull requests to others are left alone."),
			must("forge", r.reference(&p.Forge, "forge", forges), "A name from `forges`."),
			must("registry", r.reference(&p.Registry, "registry", registries), "A name from `registries`."),
			may("image", r.text(&p.Image, image), "The image's name in the registry. No two repositories share one.").otherwise("`repo` in lower case"),
			must("namespaces", r.namespaces(&p.Namespaces), "For each cluster, the namespaces this repository may deploy to. Its [policy file](policy.md) may name no other."),
		).named("repository").then(func(n node) {
			if p.Image == "" && !p.Repo.IsZero() && !r.names(n, "image") {
				p.Image = strings.ToLower(p.Repo.String())
				if !imagePattern.MatchString(p.Image) {
					r.fault(n, "%q is not an image name: name one (image)", p.Image)
				}
			}
			own := *p
			r.after = append(r.after, func() { r.ownImage(n, own, images) })
		})
	})
}

// ownImage asks that no other repository publishes the same image: two commits
// would share a tag.
func (r *serverReader) ownImage(n node, p Repository, lines map[string]int) {
	registry, found := r.server.Registry(p.Registry)
	if !found || p.Image == "" {
		return // said already
	}
	name := registry.Host + "/" + p.Image
	if first, met := lines[name]; met {
		r.fault(n, "the image %s belongs to the repository on line %d", name, first)
		return
	}
	lines[name] = n.line
}

// namespaces are those that a repository may deploy to.
func (r *serverReader) namespaces(into *map[string][]string) form {
	clusters := func(s Server) []string { return names(s.Clusters, func(c Cluster) string { return c.Name }) }
	return mapping(r.reader, into, func(key node, list *[]string) form {
		return r.texts(list, label()).then(func(node) { r.exists(key, "cluster", key.Value, clusters) })
	}).then(func(n node) {
		if len(n.Content) == 0 {
			r.fault(n, "grants no namespace")
		}
	})
}

func (r *serverReader) repo(into *ref.RepoID, lines map[string]int) form {
	var s string
	return r.unique(&s, lines, that(repository)).then(func(node) {
		if s != "" {
			*into, _ = ref.ParseRepo(s) // checked by repository
		}
	})
}

func repository(s string) string {
	if _, err := ref.ParseRepo(s); err != nil {
		return err.Error()
	}
	return ""
}

// withoutPassword refuses addresses with an account: the build's environment
// is shown to people.
func withoutPassword(s string) string {
	for _, part := range strings.FieldsFunc(s, func(c rune) bool { return c == ',' || c == '|' }) {
		if strings.Contains(part, "://") && strings.Contains(part, "@") {
			return "must not hold a user or a password"
		}
	}
	return ""
}

func names[T any](list []T, name func(T) string) []string {
	var all []string
	for _, x := range list {
		if n := name(x); n != "" { // one that was faulty has none
			all = append(all, n)
		}
	}
	return all
}
