package reconcile

import (
	"fmt"
	"strings"

	"slipway/internal/ref"
)

// Key names one thing to look at: "change acme/app#1", "branch acme/app@main",
// "target acme/app/production" or "repo acme/app".
type Key string

// ChangeKey is the key of a pull request's change.
func ChangeKey(id ref.PullID) Key { return Key("change " + id.String()) }

// BranchKey is the key of the versions of a branch.
func BranchKey(b ref.BranchID) Key { return Key("branch " + b.String()) }

// TargetKey is the key of a target.
func TargetKey(t ref.TargetID) Key { return Key("target " + t.String()) }

// RepoKey is the key of a repository's list of open pull requests.
func RepoKey(r ref.RepoID) Key { return Key("repo " + r.String()) }

// Hint is what a webhook says is worth a look. Only Repo is always set.
type Hint struct {
	Repo   ref.RepoID
	Number int64   // a pull request
	SHA    ref.SHA // a commit whose checks changed
	Branch string  // a branch that moved
}

// split is the kind and the name of a key.
func (k Key) split() (kind, name string, err error) {
	kind, name, ok := strings.Cut(string(k), " ")
	if !ok {
		return "", "", fmt.Errorf("%q is not a key", string(k))
	}
	return kind, name, nil
}
