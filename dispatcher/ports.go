package dispatcher

import (
	"context"
	"time"

	"slipway/internal/change"
	"slipway/internal/journal"
	"slipway/internal/ref"
	"slipway/pools"
)

// Store keeps items, attempts, seats and pool configs. Every change of them is
// one call of Transact.
type Store interface {
	// Transact reads what scope names, lets decide say what becomes of it, and
	// carries that out, all in one transaction: what decide was shown cannot
	// change meanwhile. decide may be called again when the transaction has to be
	// repeated, and does nothing but decide; its error ends the transaction and
	// is returned as it is.
	Transact(ctx context.Context, scope Scope, decide func(View) (Write, error)) error
	// Work is an item with its attempts, oldest first; found is false for none.
	Work(ctx context.Context, id ItemID) (w Work, found bool, err error)
	// Items lists items, newest first, and Attempts attempts, newest first.
	Items(ctx context.Context, f Filter) ([]Item, error)
	Attempts(ctx context.Context, f Filter) ([]Attempt, error)
	// Seats lists the coordinates that were ever known, by address.
	Seats(ctx context.Context) ([]Seat, error)
	// Due is when the next lease, deadline, rise or delay ends; zero: nothing
	// waits for time alone.
	Due(ctx context.Context) (time.Time, error)
	// Offered is signalled after items became ready, here or on another server.
	Offered() <-chan struct{}
	// Set is the pool config in force; found is false before the first. History
	// lists the last n, newest first.
	Set(ctx context.Context) (s StoredSet, found bool, err error)
	History(ctx context.Context, n int) ([]StoredSet, error)
	// Credential is the one with a hash; found is false for none. Credentials
	// lists them, without any secret, by address and age.
	Credential(ctx context.Context, hash string) (c Credential, found bool, err error)
	Credentials(ctx context.Context) ([]Credential, error)
}

// Credential lets a worker speak as one coordinate, and as no other. The secret
// itself is kept nowhere.
type Credential struct {
	// Hash is the SHA-256 of the secret, in hexadecimal.
	Hash    string        `json:"hash"`
	Address pools.Address `json:"address"`
	Created time.Time     `json:"created"`
	// Expires ends it; zero: never. Revoked is when it was taken back.
	Expires time.Time `json:"expires,omitzero"`
	Revoked time.Time `json:"revoked,omitzero"`
}

// Scope names what a transaction reads and holds. Everything is optional.
type Scope struct {
	// Items are read with all their attempts, and Key is the item that has it.
	Items []ItemID
	Key   string
	// Attempt brings its item, with all attempts.
	Attempt AttemptID
	// Request brings the attempt of a claim, with its item and all attempts;
	// Requests those of several.
	Request  string
	Requests []string
	// Ready asks for items to be offered: of these lanes those that may be
	// offered now, by raised level and rank, up to PerLane of each; none that
	// another transaction is deciding on.
	Ready   []string
	PerLane int
	// Flows asks, for a lane and a flow, for the ranks from which a new item's
	// follows.
	Flow *FlowID
	// Seats are coordinates to read.
	Seats []pools.Address
	// Overdue asks for up to so many items with something that time has ended: a
	// lease, a deadline, a rise.
	Overdue int
	// Load asks for the live attempts by pool and for what the pools spent on
	// the day.
	Load bool
	// Set asks for the pool config in force.
	Set bool
}

// FlowID is one flow of one lane.
type FlowID struct {
	Lane string
	Flow string
}

// View is what a transaction reads. Now is the store's own clock, the same for
// every server.
type View struct {
	Now time.Time
	// Works are the items that Items, Key, Attempt, Request and Overdue name,
	// each once, by id.
	Works []Work
	// Ready are the items to be offered, in the order of the lanes asked for.
	// They have no live attempts.
	Ready []Item
	// Front is the lowest rank that waits in the lane of Flow, Last the highest
	// of that flow there; 0 for none.
	Front, Last int64
	// Seats are those asked for that are known.
	Seats []Seat
	// Live is how many attempts are live, by pool; Spends what the pools spent
	// today.
	Live   map[pools.PoolName]int
	Spends []Spend
	// Set is the pool config in force; nil before the first.
	Set *StoredSet
}

// Work is an item with its attempts, oldest first.
type Work struct {
	Item     Item      `json:"item"`
	Attempts []Attempt `json:"attempts"`
}

// StoredSet is a pool config as the store numbers it.
type StoredSet struct {
	pools.Set
	At time.Time
	By string
	// Why says how it came: "file", "swap", "rollback to 12".
	Why string
}

// Write is what becomes of a View. Items and attempts with id 0 are new: the
// store numbers them, in order, and an attempt whose Item is 0 belongs to the
// last new item before it. Whatever is written replaces what stands there; what
// is written must have been in the View or be new.
type Write struct {
	Items    []Item
	Attempts []Attempt
	Seats    []Seat
	// Spends are added to what stands there.
	Spends []Spend
	// Set is put in force under the next number.
	Set *StoredSet
	// Credentials are added, or replace the one with the same hash.
	Credentials []Credential
	// Journal is what is kept of it. The first entry with the Subject NewItem is
	// about the first new item, and so on, and any more about the last one: it
	// becomes their number.
	Journal []journal.Entry
	// Look are pull requests to look at again.
	Look []ref.PullID
	// Numbered is told, after the commit, which numbers the new ones got; nil:
	// nobody wants to know.
	Numbered func(items []ItemID, attempts []AttemptID)
}

// NewItem is the Subject of an entry about an item that has no number yet.
const NewItem = "item 0"

// Filter chooses items or attempts; zero values do not restrict.
type Filter struct {
	Repo   ref.RepoID
	States []State
	Kind   Kind
	// Pull matches an item's pull request under review, or an attempt's
	// registered one.
	Pull    ref.PullID
	Address pools.Address
	// Live leaves only live attempts.
	Live  bool
	Limit int // 0: no limit
}

// Changes tells what became of pull requests.
type Changes interface {
	// Change is the record of one; found is false when none is known.
	Change(ctx context.Context, id ref.PullID) (c change.Change, found bool, err error)
	// Snapshot is what was judged, by its hash.
	Snapshot(ctx context.Context, hash string) (body []byte, found bool, err error)
}

// Issues are a forge's issues of one repository.
type Issues interface {
	// Labelled lists the open issues with a label.
	Labelled(ctx context.Context, repo ref.RepoID, label string) ([]Issue, error)
	// Settle closes an issue with a comment that says why; one that is closed
	// already is left alone.
	Settle(ctx context.Context, repo ref.RepoID, number int64, comment string) error
}

// Issue is one issue.
type Issue struct {
	Number int64
	Title  string
	Body   string
	Author string // login
	// LabelledBy is who set the label; "" when the forge does not tell.
	LabelledBy string
	Labels     []string
	Opened     time.Time
}
