package reconcile

import (
	"fmt"
	"strings"

	"slipway/internal/ref"
)

// Key names one thing to look at: "change acme/app#1", "branch acme/app@main",
// "target acme/app/production" or "repo acme/app".
type Key string

// Kind is the kind of a key: its first word.
type Kind string

// The kinds of keys.
const (
	KindChange Kind = "change"
	KindBranch Kind = "branch"
	KindTarget Kind = "target"
	KindRepo   Kind = "repo"
)

// ChangeKey is the key of a pull request's change.
func ChangeKey(id ref.PullID) Key { return KindChange.key(id) }

// BranchKey is the key of the versions of a branch.
func BranchKey(b ref.BranchID) Key { return KindBranch.key(b) }

// TargetKey is the key of a target.
func TargetKey(t ref.TargetID) Key { return KindTarget.key(t) }

// RepoKey is the key of a repository's list of open pull requests.
func RepoKey(r ref.RepoID) Key { return KindRepo.key(r) }

// Hint is what a webhook says is worth a look. Only Repo is always set.
type Hint struct {
	Repo   ref.RepoID
	Number int64   // a pull request
	SHA    ref.SHA // a commit whose checks changed
	Branch string  // a branch that moved
	// People says that who may do what may have changed: a team, a collaborator,
	// the protection of a branch.
	People bool
	// Issues says that an issue of the repository changed.
	Issues bool
}

// split is the kind and the name of a key.
func (k Key) split() (kind Kind, name string, err error) {
	first, name, ok := strings.Cut(string(k), " ")
	if !ok {
		return "", "", fmt.Errorf("%q is not a key", string(k))
	}
	return Kind(first), name, nil
}

func (k Kind) key(name fmt.Stringer) Key { return Key(string(k) + " " + name.String()) }
