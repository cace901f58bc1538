// Package authz is the one authorisation table: which role may do what,
// whether asked by a comment, a command, the API or a page (A2). It decides
// from values alone; who somebody is, the caller has found out.
package authz

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Role is what somebody is to a change or to the server. The zero value may do
// nothing.
type Role string

// The roles. Reader and Operator are given by slipway.yaml or a token; the
// others follow from the pull request.
const (
	// Reader may look.
	Reader Role = "reader"
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
func Roles() []Role { return []Role{Reader, Author, Approver, Setter, Emergency, Operator} }

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

func join[T ~string](list []T) string {
	parts := make([]string, 0, len(list))
	for _, x := range list {
		parts = append(parts, string(x))
	}
	return strings.Join(parts, ", ")
}
