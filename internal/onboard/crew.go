package onboard

import (
	"context"
	"time"

	"slipway/internal/ref"
	"slipway/pools"
)

// Crew is how the identities of the coordinates should be. Nothing in it knows
// what a coordinate runs, so a swap changes nothing here.
type Crew struct {
	// Coordinates are all of the pool config, in order. Each has an account of
	// its own name, two secrets, and a seat in the team of its role.
	Coordinates []pools.Address
	Teams       []CrewTeam
	// Rotate gets new secrets, whatever it has.
	Rotate []pools.Address
	// Remove are to go; they must not be coordinates any more.
	Remove []pools.Address
	// Grace is how long a secret that was replaced stays good, so that whoever
	// still holds it learns of the new one.
	Grace time.Duration
	// Config is the configuration that mends name; "" is slipway.yaml.
	Config string
	Now    time.Time
}

// CrewTeam gives the coordinates of a role their right to an owner's
// repositories.
type CrewTeam struct {
	Owner string `json:"owner"`
	Name  string `json:"name"`
	// Writes lets its members push branches; others may only read.
	Writes       bool         `json:"writes"`
	Repositories []ref.RepoID `json:"repositories"`
	Members      []string     `json:"members"`
}

// Key names a team among others.
func (t CrewTeam) Key() string { return Lower(t.Owner + "/" + t.Name) }

// Roster is what the forge holds of a crew.
type Roster struct {
	// Self is who looks, and Site whether they administer the whole site, which
	// making accounts and their tokens takes.
	Self string
	Site ref.Fact
	// Unscoped are the scopes that the token lacks for that.
	Unscoped []string
	// Accounts are those of the coordinates and of those to be removed, by login
	// in lower case; nil is none.
	Accounts map[string]Found[*Account]
	// Teams are by their keys; nil is none.
	Teams map[string]Found[*CrewTeamIs]
}

// Account is a coordinate's account.
type Account struct {
	// Site says that it administers the whole site, Restricted that it sees only
	// what it was let into, Barred that it may not sign in.
	Site, Restricted, Barred bool
	Tokens                   []AccountToken // only those that were made here
}

// AccountToken is one token of an account, without its secret.
type AccountToken struct {
	Name string
	// Ending is how its secret ends: the forge tells no more.
	Ending  string
	Enough  bool // it has the scopes that work takes, and no others
	Created time.Time
}

// CrewTeamIs is a team as it is.
type CrewTeamIs struct {
	Enough       bool
	Repositories []ref.RepoID
	Members      []string
}

// WorkerCredential is what the server knows of a worker's secret.
type WorkerCredential struct {
	Hash    string
	Address pools.Address
	Created time.Time
	Good    bool // neither revoked nor expired
}

// Post is a coordinate as the server sees it.
type Post struct {
	// InForce says that the pool config in force has it, Cordoned that it is
	// given no new work, and Live that it is at some.
	InForce, Cordoned, Live bool
}

// Secrets are a coordinate's: for Slipway's server, and for the forge. What is
// not there is nil.
type Secrets struct{ Worker, Forge Secret }

// Held is what a keep holds of a coordinate, without giving it away.
type Held struct {
	Worker string // the secret's hash; "" for none
	Forge  string // the token's ending; "" for none
}

// KeepIs is what one keep holds. Keeps come in the order in which they are
// believed.
type KeepIs struct {
	Name string
	Held Found[map[pools.Address]Held]
}

// CrewWorld is what is.
type CrewWorld struct {
	Roster      Roster
	Keeps       []KeepIs
	Credentials Found[[]WorkerCredential]
	Posts       Found[map[pools.Address]Post]
	// Yards are what the clusters lack.
	Yards []YardIs
}

// YardIs is how a cluster differs from what is wanted, thing by thing.
type YardIs struct {
	Cluster string
	Things  Found[[]Thing]
}

// Thing is one object of a cluster that is not as it should be.
type Thing struct {
	Name  string // kind and name
	Lines []Line
	// Denied says why whoever looks may not make it.
	Denied string
	// Held says why it is better left as it is; it is then only told.
	Held string
	// Drops are the coordinates whose pods go with it.
	Drops []pools.Address
	// Of is for whoever found it.
	Of any
}

// Recruiter is the forge where coordinates have accounts, as somebody who
// administers it.
type Recruiter interface {
	// Muster reads all that w asks about; what could not be read says so.
	Muster(ctx context.Context, w Crew) (Roster, error)
	// Set makes one part so: Enlisted, CrewTeam, Withdrawn, Dismissed.
	Set(ctx context.Context, p Part) error
	// Issue makes a token for an account that is there.
	Issue(ctx context.Context, a pools.Address, now time.Time) (Secret, error)
}

// Purser is Slipway's server, which knows workers by what it has recorded.
type Purser interface {
	Credentials(ctx context.Context) ([]WorkerCredential, error)
	Posts(ctx context.Context) (map[pools.Address]Post, error)
	// Mint makes a worker's secret and records its hash.
	Mint(ctx context.Context, a pools.Address) (Secret, error)
	Revoke(ctx context.Context, hash string) error
	// Hash is under which a secret is known; "" for what cannot be one.
	Hash(secret string) string
}

// Keep is where the coordinates find their secrets.
type Keep interface {
	Name() string
	// Held is every coordinate with a secret there, those of no pool included.
	Held(ctx context.Context) (map[pools.Address]Secrets, error)
	// Put replaces what it holds of a coordinate, both at once.
	Put(ctx context.Context, a pools.Address, s Secrets) error
	// Clear removes a coordinate's; none is no error.
	Clear(ctx context.Context, a pools.Address) error
}

// Yard is a cluster that pools run on.
type Yard interface {
	Name() string
	// Compare says what is not as it should be.
	Compare(ctx context.Context, w Crew) ([]Thing, error)
	// Make makes one thing so, by its Of. A missing right is ErrDenied.
	Make(ctx context.Context, of any) error
}

// Enlisted is an account that is there, restricted.
type Enlisted struct{ Address pools.Address }

// Withdrawn is a token that is gone.
type Withdrawn struct {
	Address pools.Address
	Token   string // its name
}

// Dismissed is an account that is in no team, has no token and may not sign in.
// It stays, for what it did carries its name.
type Dismissed struct {
	Address pools.Address
	Teams   []CrewTeam
}

// built is a thing of a cluster.
type built struct{ of any }

// equipped is a coordinate whose keeps hold good secrets.
type equipped struct {
	address pools.Address
	// worker and forge are the keeps with a good one to go by; -1 makes a new
	// one.
	worker, forge int
	into          []int // keeps to be written
}

// revoked is a worker's credential that is good no more.
type revoked struct{ hash string }

// cleared is a coordinate that a keep holds nothing of.
type cleared struct {
	keep    int
	address pools.Address
}

func (Enlisted) part()  {}
func (CrewTeam) part()  {}
func (Withdrawn) part() {}
func (Dismissed) part() {}
func (built) part()     {}
func (equipped) part()  {}
func (revoked) part()   {}
func (cleared) part()   {}
