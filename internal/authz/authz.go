// Package authz is the one authorisation table: which role may do what,
// whether asked by a comment, a command, the API or a page (A2). It decides
// from values alone; who somebody is, the caller has found out.
package authz

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Role is what somebody is to a change or to the server. The zero value may do
// nothing.
type Role string

// The roles. Reader, Submitter and Operator are given by slipway.yaml or a
// token, Builder by a coordinate's credential; the others follow from the pull
// request.
const (
	// Builder is a coordinate at its own work.
	Builder Role = "builder"
	// Reader may look.
	Reader Role = "reader"
	// Submitter has work done, and may withdraw what it submitted itself.
	Submitter Role = "submitter"
	// Author opened the pull request.
	Author Role = "author"
	// Approver may approve the pull request in the forge's eyes now.
	Approver Role = "approver"
	// Setter set the hold that is to be lifted.
	Setter Role = "setter"
	// Emergency is named by the policy's emergency path.
	Emergency Role = "emergency"
	// Operator runs Slipway.
	Operator Role = "operator"
)

// Roles lists them, from the least to the most.
func Roles() []Role {
	return []Role{Builder, Reader, Submitter, Author, Approver, Setter, Emergency, Operator}
}

// Verb is one thing to do.
type Verb string

// The verbs.
const (
	Read           Verb = "read"
	Explain        Verb = "explain"
	Retry          Verb = "retry"
	Hold           Verb = "hold"
	Unhold         Verb = "unhold"
	Merge          Verb = "merge"
	Waive          Verb = "emergency"
	ReplayPolicy   Verb = "policy.replay"
	Onboard        Verb = "onboard"
	Unfreeze       Verb = "branch.unfreeze"
	RunCanaries    Verb = "canaries.run"
	DeployHold     Verb = "deploy.hold"
	DeployResume   Verb = "deploy.resume"
	DeployRollback Verb = "deploy.rollback"
	DeployTakeOver Verb = "deploy.takeover"
	WorkRead       Verb = "work.read"
	WorkClaim      Verb = "work.claim"
	WorkSubmit     Verb = "work.submit"
	WorkCancel     Verb = "work.cancel"
	WorkRetry      Verb = "work.retry"
	PoolsSwap      Verb = "pools.swap"
	PoolsRollback  Verb = "pools.rollback"
	PoolsApply     Verb = "pools.apply"
	PoolsCordon    Verb = "pools.cordon"
)

// Row is one verb with the roles that may do it.
type Row struct {
	Verb  Verb   `json:"verb"`
	Roles []Role `json:"roles"`
	// Means says it to a person.
	Means string `json:"means"`
}

// Table is the whole of it, in the order in which it is shown.
func Table() []Row {
	return []Row{
		{Read, []Role{Reader, Operator}, "see changes, targets, the journal and what is wrong"},
		{Explain, []Role{Reader, Author, Approver, Emergency, Operator}, "ask why a pull request is not merged"},
		{Retry, []Role{Author, Approver, Operator}, "have what was refused tried again at once"},
		{Hold, []Role{Author, Approver, Operator}, "keep a pull request from merging"},
		{Unhold, []Role{Setter, Operator}, "lift a hold"},
		{Merge, []Role{Author, Approver, Operator}, "ask for the merge of a head once it is ready"},
		{Waive, []Role{Emergency}, "waive, on one head, what the policy lets an emergency waive"},
		{ReplayPolicy, []Role{Reader, Operator}, "judge past pull requests by another policy"},
		{Onboard, []Role{Operator}, "set up protection, webhook, teams and rights of a repository"},
		{Unfreeze, []Role{Operator}, "let merges to a frozen branch go on"},
		{RunCanaries, []Role{Operator}, "have the canaries of a repository let out at once"},
		{DeployHold, []Role{Operator}, "keep a target as it is"},
		{DeployResume, []Role{Operator}, "let a target move again"},
		{DeployRollback, []Role{Operator}, "take a target back to another version"},
		{DeployTakeOver, []Role{Operator}, "make Slipway the owner of an image field"},
		{WorkRead, []Role{Reader, Submitter, Operator}, "see items and what became of their attempts"},
		{WorkClaim, []Role{Builder}, "claim work for a coordinate, and report on it"},
		{WorkSubmit, []Role{Submitter, Operator}, "have an item of work done"},
		{WorkCancel, []Role{Submitter, Operator}, "withdraw an item; a submitter only its own"},
		{WorkRetry, []Role{Operator}, "offer an item again that was given up"},
		{PoolsSwap, []Role{Operator}, "give a coordinate another assignment"},
		{PoolsRollback, []Role{Operator}, "put an earlier pool config in force again"},
		{PoolsApply, []Role{Operator}, "make the identities of the coordinates"},
		{PoolsCordon, []Role{Operator}, "keep a coordinate from new work, and let it have work again"},
	}
}

// Verbs lists them in the table's order.
func Verbs() []Verb {
	var all []Verb
	for _, r := range Table() {
		all = append(all, r.Verb)
	}
	return all
}

// Actor is somebody who asks. The zero value may do nothing.
type Actor struct {
	// Name is for the journal: a login, or a token's name.
	Name  string
	Roles []Role
	// Scopes narrow the verbs; empty narrows nothing. They never widen.
	Scopes []Verb
	// Expires ends every right; zero: never.
	Expires time.Time
}

// Refusal says why somebody may not.
type Refusal struct {
	Verb Verb
	Why  string
}

func (r *Refusal) Error() string { return r.Why }

// Check says whether an actor may do something now: nil, or a *Refusal that
// names who may.
func Check(a Actor, v Verb, now time.Time) error {
	i := slices.IndexFunc(Table(), func(r Row) bool { return r.Verb == v })
	switch {
	case i < 0:
		return &Refusal{v, fmt.Sprintf("there is no verb %q", v)}
	case a.Name == "":
		return &Refusal{v, "it is not known who asks"}
	case !a.Expires.IsZero() && !now.Before(a.Expires):
		return &Refusal{v, fmt.Sprintf("the token %s has expired on %s", a.Name, a.Expires.UTC().Format(time.RFC3339))}
	case len(a.Scopes) > 0 && !slices.Contains(a.Scopes, v):
		return &Refusal{v, fmt.Sprintf("the token %s is not for %s: its scopes are %s", a.Name, v, join(a.Scopes))}
	}
	row := Table()[i]
	if slices.ContainsFunc(a.Roles, func(r Role) bool { return r != "" && slices.Contains(row.Roles, r) }) {
		return nil
	}
	if len(a.Roles) == 0 {
		return &Refusal{v, fmt.Sprintf("%s has no role here; %s is for: %s", a.Name, v, join(row.Roles))}
	}
	return &Refusal{v, fmt.Sprintf("%s is %s; %s is for: %s", a.Name, join(a.Roles), v, join(row.Roles))}
}

// CheckOwn is Check for what somebody owns: a submitter, who is nothing more,
// may only touch what is its own.
func CheckOwn(a Actor, v Verb, owner string, now time.Time) error {
	if err := Check(a, v, now); err != nil {
		return err
	}
	stranger := a
	stranger.Roles = slices.DeleteFunc(slices.Clone(a.Roles), func(r Role) bool { return r == Submitter })
	if a.Name == owner || Check(stranger, v, now) == nil {
		return nil
	}
	return &Refusal{v, fmt.Sprintf("%s is %s, and it is %s who submitted it; %s of it is for them and for: %s", a.Name, join(a.Roles), cmp.Or(owner, "nobody known"), v, Operator)}
}

func join[T ~string](list []T) string {
	parts := make([]string, 0, len(list))
	for _, x := range list {
		parts = append(parts, string(x))
	}
	return strings.Join(parts, ", ")
}
