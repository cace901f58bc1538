// Package onboard plans what a repository needs around it before Slipway can
// look after it (the forge's own protection, the webhook, teams, rights,
// labels, a namespace with its Role), and has the plan carried out. The plan is
// pure: from what should be and what is. It speaks to forges and clusters only
// through the ports below, and removes nothing that it was not told about.
package onboard

import (
	"context"
	"errors"
	"strings"

	"slipway/internal/ref"
)

// Guard is what a forge holds about one repository, as one account sees it.
type Guard interface {
	// Look reads all that w asks about. What could not be read says so in its own
	// place; the error is for a repository that cannot be seen at all.
	Look(ctx context.Context, w Want) (Forge, error)
	// Set makes one part so, whatever was there, and reads it back where the
	// forge leaves things out without a word. Parts: Protection, TagProtection,
	// Hook, Team, Permission, Label. To set what is so already is no error. A
	// missing right is ErrDenied.
	Set(ctx context.Context, repo ref.RepoID, p Part) error
}

// Ground is where one cluster lets Slipway deploy, as one account sees it.
type Ground interface {
	// Lie reads what w asks about; like Look it says what it could not read.
	Lie(ctx context.Context, w Place) (Site, error)
	// Prepare makes one part so: Namespace, Role, Binding. It adds to what is
	// there and takes nothing away. A missing right is ErrDenied.
	Prepare(ctx context.Context, p Part) error
}

// ErrDenied is wrapped by every refusal for want of a right or a token's scope.
var ErrDenied = errors.New("not allowed")

// Found is one part of what is. The zero value was not read, and nothing is
// concluded from it.
type Found[T any] struct {
	Read bool
	// Is what was read.
	Is T
	// Why it was not read.
	Why string
}

// Read is a part that was read.
func Read[T any](is T) Found[T] { return Found[T]{Read: true, Is: is} }

// Unread is a part that was not.
func Unread[T any](why string) Found[T] { return Found[T]{Why: why} }

// Access is what somebody may do with a repository. The zero value is nothing.
type Access string

// The accesses to a repository.
const (
	AccessNone  Access = ""
	AccessRead  Access = "read"
	AccessWrite Access = "write"
	AccessAdmin Access = "admin"
)

// Forge is what a forge holds about a repository.
type Forge struct {
	Self Self
	// Named is the repository as the forge writes it: OWNER/NAME, which it also
	// finds under the same letters in another case.
	Named string
	// Organization says whether the repository's owner is an organisation, which
	// alone has teams.
	Organization ref.Fact
	// Lacks are the features of this kind of forge that do not exist there: what
	// they would say is neither compared nor set.
	Lacks []Feature
	// Rule is the protection that counts for the branch; nil when none does.
	Rule Found[*Protection]
	// Tags are the protections of tags whose pattern is the wanted one.
	Tags Found[*TagProtection]
	// Hooks are all webhooks of the repository, in the forge's order.
	Hooks Found[[]Hook]
	// Teams are those wanted, by name in lower case; one that does not exist is
	// not there, and one that may exist all the same is Unseen. Each has the members, of those wanted, that are in it.
	Teams Found[map[string]Team]
	// Bot is what Slipway's own account may do with the repository.
	Bot Found[Access]
	// Packages says whether the account that pushes images may write packages of
	// the repository's owner.
	Packages Found[bool]
	// Labels are the names of all labels of the repository.
	Labels Found[[]string]
}

// Self is the account that looks, and what it may do.
type Self struct {
	Login string
	// Repository is its access to the repository.
	Repository Access
	// Owner says whether it owns the organisation that the repository is in (or
	// is itself the owner), Site whether it administers the whole site.
	Owner ref.Fact
	Site  ref.Fact
	// Unscoped are the scopes that its token lacks of those that Slipway's own
	// needs, as the forge names them.
	Unscoped []string
	// Grant says how it gets them; "" is by a new token.
	Grant string
}

// Feature is something that not every kind of forge has.
type Feature string

// The features that a forge may lack.
const (
	// FeatureApprovers: a list of those whose approvals count.
	FeatureApprovers Feature = "approvers"
	// FeatureMergers: a list of those who may merge.
	FeatureMergers Feature = "mergers"
	// FeatureGate: a required status that counts from one account only.
	FeatureGate Feature = "gate"
	// FeatureBlockRejected: a change request that keeps it from merging.
	FeatureBlockRejected Feature = "block_rejected"
	// FeatureTagProtection: tags that only some may make.
	FeatureTagProtection Feature = "tag_protection"
	// FeaturePackages: rights to packages that are given to a team.
	FeaturePackages Feature = "packages"
)

// Part is one thing that can be set.
type Part interface{ part() }

// Protection is the forge's own lock on a branch: the second one, which holds
// should Slipway's fail.
type Protection struct {
	Branch string
	// Rule is the forge's name of the rule, which may cover other branches too;
	// it is not compared, and Set makes a rule for Branch alone.
	Rule string
	// Checks are the exact contexts that must be green; others than those wanted
	// would keep from merging what the gate lets through.
	Checks []string
	// Gate wants the status slipway/gate too, from Slipway's own account only.
	Gate bool
	// Approvals is how many are needed.
	Approvals int
	// Listed counts only the approvals of Approvers and ApproverTeams (names of
	// the owner's teams).
	Listed        bool
	Approvers     []string
	ApproverTeams []string
	// MergeListed lets only Mergers and MergerTeams merge.
	MergeListed bool
	Mergers     []string
	MergerTeams []string
	// Push lets somebody push to the branch past pull requests, ForcePush
	// rewrite it, and Bypass names who may get past the rule.
	Push      bool
	ForcePush bool
	Bypass    bool
	// DismissStale drops approvals when the head moves.
	DismissStale bool
	// BlockRejected keeps a rejected one from merging.
	BlockRejected bool
	// UpToDate wants the head to contain the tip of the base.
	UpToDate bool
	// AdminsIncluded holds administrators to the rule.
	AdminsIncluded bool
}

// TagProtection lets only Makers (and MakerTeams) make tags that match the
// pattern, where * stands for anything.
type TagProtection struct {
	Pattern    string
	Makers     []string
	MakerTeams []string
}

// Hook is a webhook of the repository.
type Hook struct {
	// ID is the forge's; 0 makes a new one.
	ID  int64
	URL string
	// Active, JSON and Signed say whether it delivers, in JSON, and with a
	// secret; a forge that does not tell about the secret says yes to Signed.
	Active bool
	JSON   bool
	Signed bool
	// Missing are the events that Slipway needs and it does not deliver, as the
	// forge names them. Set subscribes to all that are needed.
	Missing []string
	// Failing says how the last delivery failed; "" when it did not, or the forge
	// does not tell.
	Failing string
	// Secret signs deliveries. It is only ever written: Look leaves it nil.
	Secret Secret
}

// Secret gives up a secret to whoever has to send it on. Its printed form tells
// nothing.
type Secret interface{ Reveal() string }

// TeamKind says what a team is for.
type TeamKind string

// The kinds of teams. What access that takes, each forge knows.
const (
	// TeamReviewers may read code and pull requests of the repository, or
	// whatever else it takes for an approval to count.
	TeamReviewers TeamKind = "reviewers"
	// TeamPackages may write packages of the owner.
	TeamPackages TeamKind = "packages"
)

// Team is a team of the repository's owner.
type Team struct {
	Name string
	Kind TeamKind
	// Members are at least in it.
	Members []string
	// Enough says whether it has the access that its kind takes, to the
	// repository or to packages.
	Enough bool
	// Foreign is a team that others look after: it is given access, but neither
	// made nor given members.
	Foreign bool
	// Unseen is a team of which the account that looks is not told whether it is
	// there, or what it may and who is in it.
	Unseen bool
}

// Permission is a collaborator's access to the repository.
type Permission struct {
	Login  string
	Access Access
}

// Label is one that people or Slipway set on pull requests.
type Label struct {
	Name  string
	Color string // six hexadecimal digits; not compared
	Means string // not compared
}

// Place is where Slipway deploys to in one cluster.
type Place struct {
	Cluster   string
	Namespace string
	// Deployments are those that it moves.
	Deployments []string
	// Probed says that it asks pods through the API server.
	Probed bool
	// Subject is Slipway's own account there: system:serviceaccount:NS:NAME, or
	// a user.
	Subject string
}

// Site is what a cluster holds about a place.
type Site struct {
	// User is the account that looks.
	User string
	// Exists says whether the namespace is there.
	Exists Found[bool]
	// Missing are the rights that the subject does not hold, each a few words;
	// whatever grants the others.
	Missing Found[[]string]
	// Bound says whether the role named slipway is bound to the subject.
	Bound ref.Fact
	// Refused are the parts that the account that looks may not make: namespace,
	// role, binding.
	Refused []string
}

// Namespace is made if absent.
type Namespace struct{ Name string }

// Role grants what Slipway needs in a place.
type Role struct {
	Namespace   string
	Deployments []string
	Probed      bool
}

// Binding gives the role to the subject.
type Binding struct {
	Namespace string
	Subject   string
}

// Lower is how names are compared: no forge tells two apart by case.
func Lower(name string) string { return strings.ToLower(name) }

func (Protection) part()    {}
func (TagProtection) part() {}
func (Hook) part()          {}
func (Team) part()          {}
func (Permission) part()    {}
func (Label) part()         {}
func (Namespace) part()     {}
func (Role) part()          {}
func (Binding) part()       {}
