package authz

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// matrix says in letters who may do what: builder, reader, submitter (u),
// author, approver (p), setter, emergency, operator. It is written out so that
// the table cannot change without somebody saying so twice.
var matrix = map[Verb]string{
	Read:           " r     o",
	Explain:        " r ap eo",
	Retry:          "   ap  o",
	Hold:           "   ap  o",
	Unhold:         "     s o",
	Merge:          "   ap  o",
	Waive:          "      e ",
	ReplayPolicy:   " r     o",
	Onboard:        "       o",
	Unfreeze:       "       o",
	RunCanaries:    "       o",
	DeployHold:     "       o",
	DeployResume:   "       o",
	DeployRollback: "       o",
	DeployTakeOver: "       o",
	WorkRead:       " ru    o",
	WorkClaim:      "b       ",
	WorkSubmit:     "  u    o",
	WorkCancel:     "  u    o",
	WorkRetry:      "       o",
	PoolsSwap:      "       o",
	PoolsRollback:  "       o",
	PoolsApply:     "       o",
	PoolsCordon:    "       o",
}

func TestA2EveryVerbForEveryRole(t *testing.T) {
	for _, v := range Verbs() {
		row, known := matrix[v]
		if !known {
			t.Errorf("the verb %s is not in the matrix", v)
			continue
		}
		for i, r := range Roles() {
			t.Run(fmt.Sprintf("%s by %s", v, r), func(t *testing.T) {
				err := Check(Actor{Name: "ann", Roles: []Role{r}}, v, now)
				if allowed := row[i] != ' '; (err == nil) != allowed {
					t.Errorf("got %v; want allowed: %t", err, allowed)
				}
				refusal := (*Refusal)(nil)
				if err != nil && (!errors.As(err, &refusal) || refusal.Verb != v || refusal.Why == "") {
					t.Errorf("got %#v; want a refusal of %s with its reason", err, v)
				}
			})
		}
	}
	if len(matrix) != len(Table()) || len(Verbs()) != len(Table()) {
		t.Errorf("the table has %d rows, the matrix %d", len(Table()), len(matrix))
	}
}

func TestTheTableIsWhole(t *testing.T) {
	seen := map[Verb]bool{}
	for _, row := range Table() {
		if seen[row.Verb] || row.Verb == "" || row.Means == "" || len(row.Roles) == 0 {
			t.Errorf("the row %+v", row)
		}
		seen[row.Verb] = true
		for _, r := range row.Roles {
			if !slices.Contains(Roles(), r) {
				t.Errorf("%s is for %q, which is no role", row.Verb, r)
			}
		}
	}
}

func TestTheTableIsTheCallersOwn(t *testing.T) {
	Table()[0].Roles[0] = Author
	if err := Check(Actor{Name: "ann", Roles: []Role{Author}}, Read, now); err == nil {
		t.Error("a caller changed the table")
	}
}

func TestCheck(t *testing.T) {
	operator := []Role{Operator}
	for _, test := range []struct {
		rule  string
		actor Actor
		verb  Verb
		why   string // "" for allowed
	}{
		{"nobody may do nothing", Actor{}, Read, "not known who"},
		{"whoever has no name may not, whatever the role", Actor{Roles: operator}, Read, "not known who"},
		{"whoever has no role may not", Actor{Name: "ann"}, Read, "no role"},
		{"an empty role is none", Actor{Name: "ann", Roles: []Role{""}}, Read, "is for"},
		{"a role that is not in the table is none", Actor{Name: "ann", Roles: []Role{"root"}}, Read, "is for"},
		{"any one of the roles is enough", Actor{Name: "ann", Roles: []Role{Reader, Author}}, Hold, ""},
		{"a verb that is not in the table is refused", Actor{Name: "ann", Roles: operator}, "deploy", "no verb"},
		{"an empty verb is refused", Actor{Name: "ann", Roles: operator}, "", "no verb"},
		{"a scope lets its verb through", Actor{Name: "ci", Roles: operator, Scopes: []Verb{Hold, Retry}}, Retry, ""},
		{"a scope narrows", Actor{Name: "ci", Roles: operator, Scopes: []Verb{Hold}}, Retry, "scopes are hold"},
		{"a scope never widens", Actor{Name: "ci", Roles: []Role{Reader}, Scopes: []Verb{DeployRollback}}, DeployRollback, "is for: operator"},
		{"a token is good until it expires", Actor{Name: "ci", Roles: operator, Expires: now.Add(time.Nanosecond)}, Read, ""},
		{"a token ends at its time", Actor{Name: "ci", Roles: operator, Expires: now}, Read, "expired on 2026-03-01T12:00:00Z"},
		{"a token that has expired is good for nothing", Actor{Name: "ci", Roles: operator, Expires: now.Add(-time.Hour)}, Read, "expired"},
		{"an operator may not waive what only the policy's people may", Actor{Name: "ann", Roles: operator}, Waive, "is for: emergency"},
		{"a refusal says who may", Actor{Name: "bob", Roles: []Role{Author}}, Unhold, "bob is author; unhold is for: setter, operator"},
	} {
		t.Run(test.rule, func(t *testing.T) {
			err := Check(test.actor, test.verb, now)
			if (err == nil) != (test.why == "") || err != nil && !strings.Contains(err.Error(), test.why) {
				t.Errorf("got %v; want %q", err, test.why)
			}
		})
	}
}

func TestWhatIsSomebodysOwn(t *testing.T) {
	for _, test := range []struct {
		rule  string
		actor Actor
		owner string
		why   string // "" for allowed
	}{
		{"a submitter may withdraw its own", Actor{Name: "ci", Roles: []Role{Submitter}}, "ci", ""},
		{"a submitter may not withdraw another's", Actor{Name: "ci", Roles: []Role{Submitter}}, "ann", "it is ann who submitted it"},
		{"a submitter may not withdraw what nobody is known to own", Actor{Name: "ci", Roles: []Role{Submitter}}, "", "nobody known"},
		{"an operator may withdraw anybody's", Actor{Name: "ops", Roles: []Role{Operator}}, "ann", ""},
		{"an operator who submits as well may too", Actor{Name: "ops", Roles: []Role{Submitter, Operator}}, "ann", ""},
		{"a reader may withdraw nothing, even its own", Actor{Name: "ann", Roles: []Role{Reader}}, "ann", "is for: submitter, operator"},
		{"a builder may withdraw nothing, even its own", Actor{Name: "builder-lite-0", Roles: []Role{Builder}}, "builder-lite-0", "is for: submitter, operator"},
		{"a scope narrows it", Actor{Name: "ci", Roles: []Role{Submitter}, Scopes: []Verb{WorkSubmit}}, "ci", "scopes are work.submit"},
		{"whoever has no name owns nothing", Actor{Roles: []Role{Submitter}}, "", "not known who"},
	} {
		t.Run(test.rule, func(t *testing.T) {
			err := CheckOwn(test.actor, WorkCancel, test.owner, now)
			if (err == nil) != (test.why == "") || err != nil && !strings.Contains(err.Error(), test.why) {
				t.Errorf("got %v; want %q", err, test.why)
			}
		})
	}
}

// TestRightsOnlyGrowWithRoles: a further role never takes a right away; a scope,
// an expiry or the loss of a role never gives one.
func TestRightsOnlyGrowWithRoles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := Actor{
			Name:   "ann",
			Roles:  rapid.SliceOf(rapid.SampledFrom(append(Roles(), "", "root"))).Draw(t, "roles"),
			Scopes: rapid.SliceOf(rapid.SampledFrom(Verbs())).Draw(t, "scopes"),
		}
		v := rapid.SampledFrom(append(Verbs(), "", "deploy")).Draw(t, "verb")
		may := Check(a, v, now) == nil
		more := a
		more.Roles = append(slices.Clone(a.Roles), rapid.SampledFrom(Roles()).Draw(t, "more"))
		if may && Check(more, v, now) != nil {
			t.Fatal("a role took a right away")
		}
		free := a
		free.Scopes = nil
		if may && Check(free, v, now) != nil {
			t.Fatal("a scope gave a right")
		}
		ended := a
		ended.Expires = now.Add(-time.Duration(rapid.Int64Range(0, 1e12).Draw(t, "ago")))
		if Check(ended, v, now) == nil {
			t.Fatal("an expired token was good")
		}
		if may && len(a.Scopes) > 0 && !slices.Contains(a.Scopes, v) {
			t.Fatal("it was allowed outside of its scopes")
		}
	})
}
