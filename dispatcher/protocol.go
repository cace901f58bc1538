package dispatcher

import (
	"time"

	"slipway/internal/ref"
	"slipway/pools"
)

// The worker protocol: what a coordinate sends and what it is answered, as
// JSON. A call after the claim carries the attempt and its fencing token; with
// a stale token it is refused and nothing happens (W2).

// ClaimRequest asks for work for one coordinate.
type ClaimRequest struct {
	// Request is the claim's own key, new for each claim: sent again, it gives
	// the same attempt, so an answer that was lost costs nothing.
	Request string `json:"request"`
	// Builder is the coordinate that the worker takes itself for; zero: not said.
	// A claim as another than its credential's is refused.
	Builder pools.Address `json:"builder,omitzero"`
	// Wait is how many seconds the call may stay open; at most 55.
	Wait int `json:"wait,omitempty"`
}

// Grant is work that was claimed.
type Grant struct {
	Attempt AttemptID     `json:"attempt"`
	Token   int64         `json:"token"`
	Item    ItemID        `json:"item"`
	Builder pools.Address `json:"builder"`
	Kind    Kind          `json:"kind"`
	// Repo is the repository, Base the branch a build starts from and goes to.
	Repo ref.RepoID `json:"repository"`
	Base string     `json:"base,omitempty"`
	// Pull and Head are what is to be reviewed, and for a build the pull request
	// that an earlier attempt of this coordinate left behind, if any.
	Pull ref.PullID `json:"pull_request,omitzero"`
	Head ref.SHA    `json:"head,omitempty"`
	// Branch is the one that a build pushes.
	Branch string `json:"branch,omitempty"`
	Title  string `json:"title"`
	Spec   string `json:"spec"`
	Shape  string `json:"shape,omitempty"`
	// Try counts the item's attempts, from 1.
	Try        int              `json:"try"`
	Assignment pools.Assignment `json:"assignment"`
	Config     string           `json:"config"`
	// Budget is what the attempt may cost; 0: no bound.
	Budget   pools.Money `json:"budget,omitempty"`
	Currency string      `json:"currency"`
	// Until is when the lease ends unless a heartbeat comes; Beat is how many
	// seconds to leave between two. Deadline ends the attempt.
	Until    time.Time `json:"until"`
	Beat     int       `json:"heartbeat"`
	Deadline time.Time `json:"deadline"`
	// Lease is how many seconds the lease lasts after each answer: a worker
	// counts them by its own clock, which need not be the server's, from before
	// it asked. 0: not said, and three times Beat is taken for it.
	Lease int `json:"lease,omitempty"`
}

// Beat is a heartbeat. Tokens and Amount are totals since the attempt began;
// one that is lower than before changes nothing.
type Beat struct {
	Token  int64        `json:"token"`
	Phase  Phase        `json:"phase,omitempty"`
	Tokens pools.Tokens `json:"tokens,omitzero"`
	// Amount is what the command says it cost; 0: it follows from Tokens and the
	// assignment's prices.
	Amount pools.Money `json:"amount,omitempty"`
	// Model is the one that the command's report names.
	Model string `json:"model,omitempty"`
	// Stopped acknowledges a stand-down: the command is gone.
	Stopped bool `json:"stopped,omitempty"`
}

// Pulse answers a heartbeat.
type Pulse struct {
	Until time.Time `json:"until"`
	// StandDown, when not empty, says why to stop: kill the command, clean up,
	// acknowledge with Stopped.
	StandDown string `json:"stand_down,omitempty"`
}

// Registration says which pull request an attempt opened or pushed to, before
// its head counts (W2). For a review it names the head that was read.
type Registration struct {
	Token int64      `json:"token"`
	Pull  ref.PullID `json:"pull_request"`
	Head  ref.SHA    `json:"head"`
}

// Completion ends an attempt well.
type Completion struct {
	Beat
	Summary string `json:"summary,omitempty"`
	// Verdict is what a review said: approved, changes_requested, commented.
	Verdict string `json:"verdict,omitempty"`
}

// Failure ends an attempt badly.
type Failure struct {
	Beat
	Reason string `json:"reason"`
	// Final asks that the item be given up rather than tried again: the spec
	// cannot be done.
	Final bool `json:"final,omitempty"`
	// Returned says that the worker was told to stop: the attempt is handed back,
	// and counts as no try unless it has registered something. An item can be
	// handed back so often only.
	Returned bool `json:"returned,omitempty"`
}

// Submission is a new item from outside.
type Submission struct {
	Kind     Kind       `json:"kind,omitempty"` // build if left out
	Repo     ref.RepoID `json:"repository"`
	Key      string     `json:"key,omitempty"`
	Title    string     `json:"title"`
	Spec     string     `json:"spec,omitempty"`
	Shape    string     `json:"shape,omitempty"`
	Selector string     `json:"selector,omitempty"` // of the role of its kind if left out
	// Pull is what a review is asked of.
	Pull     ref.PullID  `json:"pull_request,omitzero"`
	Base     string      `json:"base,omitempty"`
	Priority string      `json:"priority,omitempty"` // lowest, low, normal, high, highest
	Mode     Mode        `json:"mode,omitempty"`
	Budget   pools.Money `json:"budget,omitempty"`
	Deadline time.Time   `json:"deadline,omitzero"`
	Attempts int         `json:"max_attempts,omitempty"`
}
