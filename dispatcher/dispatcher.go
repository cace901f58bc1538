// Package dispatcher brings work to builders: an item is offered to the
// coordinates that its selector chooses, one of them claims it and holds it
// under a lease, and every attempt is accounted for. What becomes of an item is
// decided by pure functions over what the store holds (the plan of a match, and
// one step each for a heartbeat, a completion, an end of a lease); the shell
// around them runs each in one transaction of the store. It speaks to the
// outside only through the ports it declares.
package dispatcher

import (
	"time"

	"slipway/internal/ref"
	"slipway/pools"
)

// ItemID numbers items, from 1, in the order of their submission.
type ItemID int64

// AttemptID numbers attempts, from 1, over all items.
type AttemptID int64

// Kind is what sort of work an item is.
type Kind string

// The kinds of work.
const (
	// Build is a change to be written: its evidence is a pull request that ends
	// healthy.
	Build Kind = "build"
	// Review is a pull request to be reviewed: its evidence is a review on the
	// head it was asked for.
	Review Kind = "review"
)

// Mode is how many coordinates work on an item.
type Mode string

// Single gives an item to one coordinate at a time.
const Single Mode = "single"

// Level is a priority. Within one, flows take turns; a waiting item rises a
// level with time, so nothing waits for ever.
type Level int

// The levels.
const (
	Lowest Level = iota
	Low
	Normal
	High
	Highest
)

// State is where an item stands.
type State string

// The states of an item.
const (
	// Ready waits for a coordinate.
	Ready State = "ready"
	// Working has a live attempt.
	Working State = "working"
	// Landing has a finished attempt whose evidence is still awaited: the pull
	// request on its way to healthy pods, or the review to be seen.
	Landing State = "landing"
	// Done has its evidence.
	Done State = "done"
	// Dead is given up, for the reason that stands with it; a person may offer it
	// again.
	Dead State = "dead"
	// Cancelled was withdrawn.
	Cancelled State = "cancelled"
)

// Item is a piece of work. The dispatcher alone writes it.
type Item struct {
	ID   ItemID     `json:"id"`
	Kind Kind       `json:"kind"`
	Repo ref.RepoID `json:"repository"`
	// Key names the thing it came from, once: "issue acme/app#3" or
	// "review acme/app#5 at a1b2… 1". Submitting a key again gives the item that
	// has it. "" for one that came by itself.
	Key   string `json:"key,omitempty"`
	Title string `json:"title"`
	// Spec is what is to be done, in Markdown. It is text from outside.
	Spec string `json:"spec"`
	// Shape is the sort of spec, of those that the pool config declares; "" is
	// not said.
	Shape    string         `json:"shape,omitempty"`
	Selector pools.Selector `json:"selector"`
	// Avoid are models that must not take it: for a review those of the author
	// and of the other reviewers.
	Avoid []string `json:"avoid,omitempty"`
	// Pull and Head are what a review is asked of.
	Pull ref.PullID `json:"pull_request,omitzero"`
	Head ref.SHA    `json:"head,omitempty"`
	// Base is the branch that a build goes to.
	Base  string `json:"base,omitempty"`
	Level Level  `json:"priority"`
	Mode  Mode   `json:"mode"`
	// Budget is what all attempts together may cost; 0: no bound of its own.
	Budget pools.Money `json:"budget,omitempty"`
	// Deadline is when it is given up unless done; zero: never.
	Deadline time.Time `json:"deadline,omitzero"`
	// Attempts is how many attempts it may have; 0: three.
	Attempts int `json:"max_attempts,omitempty"`
	// Submitter is who wants it: a login, or a token's name.
	Submitter string    `json:"submitter"`
	Submitted time.Time `json:"submitted"`

	State State `json:"state"`
	// Reason says why it is where it is, for people: why it is dead, or what it
	// waits for when nothing can take it.
	Reason string `json:"reason,omitempty"`
	// Since is when it came to its state.
	Since time.Time `json:"since"`
	// Rank orders the items of one lane and level: its start tag of fair
	// queueing.
	Rank int64 `json:"rank"`
	// Raised is the level that it has by waiting, and Raise when it rises again;
	// zero: no more.
	Raised Level     `json:"raised"`
	Raise  time.Time `json:"raise,omitzero"`
	// NotBefore keeps it from being offered before a time: after a failure.
	NotBefore time.Time `json:"not_before,omitzero"`
	// Token is the fencing token given last; each claim raises it.
	Token int64 `json:"token"`
	// Tries is how many attempts it had that count.
	Tries int `json:"tries"`
	// Spent is what its attempts have cost, as settled; Reserved what the live
	// one may still cost.
	Spent    pools.Money `json:"spent"`
	Reserved pools.Money `json:"reserved"`
	// AcceptedBy is the coordinate whose pull request merged, and Accepted that
	// attempt; taken back when the change is rolled back.
	AcceptedBy *pools.Address `json:"accepted_by,omitempty"`
	Accepted   AttemptID      `json:"accepted,omitempty"`
	Ended      time.Time      `json:"ended,omitzero"`
	// Told is when the issue that it came from was told that it is done.
	Told time.Time `json:"told,omitzero"`
}

// Lane is the queue that an item waits in: those items that the same
// coordinates may take.
func (i Item) Lane() string { return i.Selector.String() }

// Flow is whose turn an item takes within its lane: its repository and its
// submitter.
func (i Item) Flow() string { return i.Repo.String() + " " + i.Submitter }

// Outcome is how an attempt ended; "" while it is live.
type Outcome string

// The outcomes of an attempt.
const (
	Live Outcome = ""
	// Finished completed; whether it ships is still open.
	Finished Outcome = "finished"
	// Shipped is one whose change ended healthy, or whose review was seen.
	Shipped Outcome = "shipped"
	// Failed said so itself, or its change ended otherwise.
	Failed Outcome = "failed"
	// Expired let its lease end.
	Expired Outcome = "expired"
	// StoodDown was told to stop: the item was cancelled, its deadline or budget
	// was over, its coordinate was drained away.
	StoodDown Outcome = "stood_down"
	// Returned was given back: nobody was there to take it, or its worker was told
	// to stop before it had registered anything. It does not count as a try.
	Returned Outcome = "returned"
)

// Phase is a part of an attempt's time.
type Phase string

// The phases, in order.
const (
	Claimed    Phase = "claimed"
	Preparing  Phase = "preparing" // checking out
	Running    Phase = "running"   // the command
	Publishing Phase = "publishing"
	Completed  Phase = "completed"
)

// Passed is when a phase began.
type Passed struct {
	Phase Phase     `json:"phase"`
	At    time.Time `json:"at"`
}

// Attempt is one coordinate's work on an item. Its assignment is pinned for its
// whole life (P2).
type Attempt struct {
	ID      AttemptID     `json:"id"`
	Item    ItemID        `json:"item"`
	Address pools.Address `json:"builder"`
	// Token is the fencing token of its claim (W2).
	Token int64 `json:"token"`
	// Request is the claim's own key: the same claim sent again gives the same
	// attempt.
	Request string `json:"request"`
	// Set is the number of the pool config, Epoch how many assignments the
	// coordinate had before and with this one, Config the assignment's hash.
	Set        int64            `json:"set"`
	Epoch      int64            `json:"epoch"`
	Config     string           `json:"config"`
	Assignment pools.Assignment `json:"assignment"`
	// Canary says that the pool's canary assignment was drawn.
	Canary  bool      `json:"canary,omitempty"`
	Started time.Time `json:"started"`
	// Until is when the lease ends; a heartbeat moves it.
	Until time.Time `json:"until"`
	// Deadline is when the attempt is stood down.
	Deadline time.Time `json:"deadline"`
	Beat     time.Time `json:"beat"` // the last heartbeat
	Phases   []Passed  `json:"phases"`
	// Cost is what it has cost so far.
	Cost Cost `json:"cost"`
	// Reserved is what was set aside for it.
	Reserved pools.Money `json:"reserved"`
	// Branch is the one it may push, and Pull and Head what it registered under
	// its live token.
	Branch string     `json:"branch"`
	Pull   ref.PullID `json:"pull_request,omitzero"`
	Head   ref.SHA    `json:"head,omitempty"`
	// Verdict is what a reviewing attempt says it said.
	Verdict string `json:"verdict,omitempty"`
	// Observed is the model that the command's own report names; "" if none. One
	// that differs from the assigned one is an alarm.
	Observed string `json:"observed_model,omitempty"`
	// StandDown is why it is to stop; "" while it may go on. Told is when it was
	// first told, Acknowledged when it said that it had stopped.
	StandDown    string    `json:"stand_down,omitempty"`
	Told         time.Time `json:"told,omitzero"`
	Acknowledged time.Time `json:"acknowledged,omitzero"`
	// SpentAfter is what it reported as spent after it was told.
	SpentAfter pools.Money `json:"spent_after,omitempty"`
	Outcome    Outcome     `json:"outcome,omitempty"`
	Reason     string      `json:"reason,omitempty"`
	Ended      time.Time   `json:"ended,omitzero"`
}

// Cost is what an attempt used.
type Cost struct {
	Tokens pools.Tokens `json:"tokens"`
	Amount pools.Money  `json:"amount"`
	// Source says who says so: "reported" by the command.
	Source string `json:"source,omitempty"`
}

// Seat is one coordinate as the dispatcher knows it.
type Seat struct {
	Address pools.Address `json:"address"`
	// Cordoned takes no new work; Drained also ends what it has, once that has
	// ended by itself. Reason and By say why and who.
	Cordoned bool      `json:"cordoned,omitempty"`
	Reason   string    `json:"reason,omitempty"`
	By       string    `json:"by,omitempty"`
	Seen     time.Time `json:"seen,omitzero"` // its last call, a claim that waits too
	// Live is its live attempt; 0 for none.
	Live AttemptID `json:"live,omitempty"`
	// Epoch counts its assignments, and Config is the hash of the last.
	Epoch  int64  `json:"epoch"`
	Config string `json:"config,omitempty"`
}

// Spend is what one pool's attempts of one day cost.
type Spend struct {
	Pool pools.PoolName `json:"pool"`
	Day  string         `json:"day"` // UTC, 2006-01-02
	// Spent is settled, Reserved may still come.
	Spent    pools.Money `json:"spent"`
	Reserved pools.Money `json:"reserved"`
}
