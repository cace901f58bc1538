package config

import (
	"time"

	"slipway/gate"
	"slipway/internal/authz"
	"slipway/internal/ref"
)

// Server is what slipway.yaml says.
type Server struct {
	Listen string // HOST:PORT
	// ExternalURL is where people reach this server, without a slash at the end;
	// "" when nobody said.
	ExternalURL   string
	Store         Store
	Resync        Resync
	Tokens        []Token
	Forges        []Forge
	Registries    []Registry
	Clusters      []Cluster
	Identities    Identities
	Roles         []RoleGrant
	Build         Build
	Repositories  []Repository
	Organizations []Organization
	Comments      Comments
	Examine       Examine
	Canaries      []Canary
	// JournalKey is the Ed25519 seed, in base64, with which the journal's head is
	// signed; empty: one that is made once and kept in the store's folder.
	JournalKey Secret
	Pools      Pools
	Work       Work
	// file is what was read, and lines say where something stands in it, by its
	// path.
	file  string
	lines map[string]int
}

// Store says where the state is kept: in a database in the directory Path, or
// in PostgreSQL. Mirrors, images and the journal's key are in Path either way.
type Store struct {
	Path string
	// Postgres is the connection string; empty for the database in Path.
	Postgres Secret
}

// Resync is how often everything unfinished is looked at without being asked:
// what is active, and the rest. Rate is how many looks a second it starts at
// most.
type Resync struct {
	Active, Idle time.Duration
	Rate         int
}

// Token lets a command use the API, under a name for the journal.
type Token struct {
	Name   string
	Role   authz.Role // operator or reader
	Secret Secret
	// Scopes narrow what the role may do; empty narrows nothing.
	Scopes []authz.Verb
	// Expires ends its rights; zero: never.
	Expires time.Time
}

// Forge is one repository host and Slipway's account there: with a Token, or
// as a GitHub App.
type Forge struct {
	Name          string
	Kind          string // gitea, github
	URL           string // without a slash at the end; GitHub's API
	Login         string
	Token         Secret
	App           *App // nil for a token
	WebhookSecret Secret
}

// App is an installation of a GitHub App.
type App struct {
	ID           int64
	Installation int64
	PrivateKey   Secret // PEM
}

// Registry is one image registry. Username is "" for one without accounts.
type Registry struct {
	Name     string
	Host     string // HOST or HOST:PORT
	Insecure bool   // plain HTTP
	Username string
	Password Secret
}

// Cluster is one Kubernetes cluster: a kubeconfig file, or the one this server
// runs in.
type Cluster struct {
	Name       string
	Kubeconfig string
	InCluster  bool
	Simulated  bool // its nodes are fake: nothing runs, nobody answers
}

// Identities say who is behind a login. Whoever is not there is of unknown
// kind, and unknown is not independent.
type Identities struct {
	People      []string // logins
	PeopleTeams []string // OWNER/TEAM: their members are persons, unless they are declared agents
	Agents      []Agent
}

// Agent is a login behind which no person is. What is empty is unknown.
type Agent struct {
	Login    string
	Operator string // who answers for it: a login or a name
	Model    string
	Pool     string
}

// RoleGrant gives a role to people of the forges.
type RoleGrant struct {
	Role authz.Role // reader or operator
	gate.Who
}

// Comments say how much Slipway writes on pull requests.
type Comments struct {
	// Sticky keeps one comment per pull request that says how it stands.
	Sticky bool
	// Budget is how many writes an hour one forge gets at most.
	Budget int
}

// Examine is when protection, policy, contexts and rights are compared by
// themselves: a cron expression (UTC), or "" for never.
type Examine struct{ Schedule string }

// Canary is a repository in which pull requests that each break one rule must
// stay blocked.
type Canary struct {
	Repo      ref.RepoID
	Schedule  string // a cron expression (UTC)
	Author    Account
	Reviewers []Account
}

// Account is a login with its token.
type Account struct {
	Login string
	Token Secret
}

// Build is the environment of image builds. "" leaves the Go tool's default.
type Build struct {
	GoProxy    string
	GoSumDB    string
	GoPrivate  string
	GoCache    string // a directory
	GoModCache string // a directory
}

// Repository is one repository that Slipway looks after.
type Repository struct {
	Repo ref.RepoID
	// Branch is the one that merges go to and releases come from.
	Branch   string
	Forge    string
	Registry string
	Image    string // in the registry, without host and tag
	// Namespaces are those it may deploy to, by cluster.
	Namespaces map[string][]string
}
