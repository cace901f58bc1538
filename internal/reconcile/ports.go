// Package reconcile observes, decides, records and acts: for changes, for the
// versions of a branch, and for targets. It is the one path that mutates a
// thing outside; it speaks to the outside only through the ports below, and
// leaves every decision to the pure packages.
package reconcile

import (
	"context"
	"errors"
	"time"

	"slipway/deployer"
	"slipway/gate"
	"slipway/internal/change"
	"slipway/internal/journal"
	"slipway/internal/ref"
)

// Forge is one repository host. An error is a failed read or write, sorted by
// package fault; a fact that could not be read within an otherwise good
// answer is ref.Unknown.
type Forge interface {
	Pulls
	Contents
	Talker
	Merger
	Releaser
	Reverter
}

// ErrNoPull says that a repository which can be seen has no such pull request:
// it never had, or it was deleted. A forge that cannot be sure of that, such as
// where the repository may merely be hidden, does not say it.
var ErrNoPull = errors.New("the repository has no such pull request")

// Pulls reads pull requests and what was reported on commits. For one that is
// not there, Look and Pull are ErrNoPull and fault.Permanent.
type Pulls interface {
	// OpenPulls lists the open pull requests, briefly.
	OpenPulls(ctx context.Context, repo ref.RepoID) ([]Brief, error)
	// Look reads what the gate judges, and what was said, in one look.
	Look(ctx context.Context, id ref.PullID, want Want) (Look, error)
	// Pull reads the pull request alone.
	Pull(ctx context.Context, id ref.PullID) (gate.PullRequest, error)
	// Checks reads all statuses and workflow jobs of one commit.
	Checks(ctx context.Context, repo ref.RepoID, sha ref.SHA) (gate.Checks, error)
}

// Want says what of a look is asked for.
type Want struct {
	// Fresh forbids facts that are remembered from an earlier look and could
	// have changed since. Without it a forge may answer with what it read at the
	// same head a short while ago; nothing is merged on that.
	Fresh bool
	// Teams (OWNER/TEAM) are those whose members are wanted.
	Teams []string
	// Approvers asks who could approve.
	Approvers bool
	// Workflows are the paths of the workflow files whose jobs matter; runs of
	// others need not be read. Empty: all.
	Workflows []string
	// NoWorkflows says that no job matters: those remembered are good enough.
	NoWorkflows bool
}

// Look is what one look at a pull request brings home. Of the snapshot, each
// review's ObservedHead, the policy faults, Owned, Holds, Asked, Emergency and
// Frozen are left empty: the forge does not know them.
type Look struct {
	Snapshot gate.Snapshot
	// Comments are those of people and of Slipway itself, oldest first.
	Comments     []Comment
	CommentsRead ref.Fact
	// Remembered says that some fact is one that could have changed since it was
	// read, and was not read again.
	Remembered bool
	// StatusNeeded says whether the rules of the base ask for gate.StatusContext.
	StatusNeeded ref.Fact
}

// Comment is something said on a pull request.
type Comment struct {
	ID     int64
	Author string // login
	Body   string
	At     time.Time
	Edited time.Time // of the last change; At when there was none
}

// Reaction is how a command is answered before words.
type Reaction string

// The reactions.
const (
	ReactionDone    Reaction = "+1"
	ReactionRefused Reaction = "-1"
	ReactionUnclear Reaction = "confused"
)

// Talker says things on pull requests.
type Talker interface {
	// Comment says something new and gives its id.
	Comment(ctx context.Context, id ref.PullID, text string) (int64, error)
	// EditComment replaces the text of a comment of Slipway's own. One that is
	// gone is fault.Changed.
	EditComment(ctx context.Context, id ref.PullID, comment int64, text string) error
	// React answers a comment. To react twice in the same way is no error.
	React(ctx context.Context, id ref.PullID, comment int64, r Reaction) error
}

// Witness is a forge that keeps what was said as it was said. Whoever may write
// to a repository may edit the comments of others there, and within the second
// in which one was made no time tells that.
type Witness interface {
	// Wrote says whether the words of a comment are all those of its author.
	// Unknown is what the forge does not tell.
	Wrote(ctx context.Context, id ref.PullID, c Comment) (ref.Fact, error)
}

// Contents reads branches and files.
type Contents interface {
	// Branch is the commit at the tip of a branch.
	Branch(ctx context.Context, b ref.BranchID) (ref.SHA, error)
	// File reads one file at a commit; found is false when there is none there.
	// Files over 1 MiB are an error.
	File(ctx context.Context, repo ref.RepoID, at ref.SHA, path string) (data []byte, found bool, err error)
}

// Merger posts the gate's status and merges.
type Merger interface {
	// PostStatus sets the commit status slipway/gate on a head.
	PostStatus(ctx context.Context, repo ref.RepoID, p change.Posted) error
	// Merge merges the pull request if its head still is call.Head. A refusal
	// is fault.Changed when the head or the base moved or the forge wants
	// patience, fault.Permanent when it wants something else, else Later.
	Merge(ctx context.Context, call MergeCall) error
}

// Releaser reads and makes version tags and release pages.
type Releaser interface {
	Tag(ctx context.Context, repo ref.RepoID, tag ref.Tag) (change.TagFact, error)
	// CreateTag makes an annotated tag on commit. A tag that exists is
	// fault.Changed.
	CreateTag(ctx context.Context, repo ref.RepoID, tag ref.Tag, commit ref.SHA, message string) error
	Page(ctx context.Context, repo ref.RepoID, tag ref.Tag) (change.PageFact, error)
	// PublishPage makes the release page for an existing tag.
	PublishPage(ctx context.Context, repo ref.RepoID, tag ref.Tag, title, body string) error
}

// Reverter finds and opens the pull request that takes a bad change out.
type Reverter interface {
	// FindPull looks for a pull request from branch to base made by Slipway.
	FindPull(ctx context.Context, repo ref.RepoID, branch, base string) (change.RevertFact, error)
	OpenPull(ctx context.Context, repo ref.RepoID, branch, base, title, body string) (ref.PullID, error)
}

// Brief is a pull request as a list shows it. Fingerprint changes when
// anything that the list shows does.
type Brief struct {
	ID          ref.PullID
	Fingerprint string
}

// MergeCall is one merge, with its precondition.
type MergeCall struct {
	ID           ref.PullID
	Head         ref.SHA // precondition: the head that was judged
	Method       string  // squash, merge, rebase
	Title        string
	Message      string
	DeleteBranch bool
}

// Crews tells who of those that take part in a pull request are builders and
// reviewers of the pools, and which attempts stand behind what they did there.
type Crews interface {
	Crew(ctx context.Context, id ref.PullID, head ref.SHA) (gate.Crew, error)
}

// Git does real git operations on a mirror that it keeps.
type Git interface {
	// Fetch brings the mirror up to date with the forge.
	Fetch(ctx context.Context, repo ref.RepoID) error
	// FirstParent lists the commits of a branch line after from, up to and with
	// to, oldest first; from "" means from the root. A line that no longer holds
	// from is fault.Permanent.
	FirstParent(ctx context.Context, repo ref.RepoID, from, to ref.SHA) ([]Commit, error)
	// Commit reads one commit.
	Commit(ctx context.Context, repo ref.RepoID, sha ref.SHA) (Commit, error)
	// Contains says whether descendant contains ancestor.
	Contains(ctx context.Context, repo ref.RepoID, descendant, ancestor ref.SHA) (bool, error)
	// Between lists all commits in to that are not in from, oldest first.
	Between(ctx context.Context, repo ref.RepoID, from, to ref.SHA) ([]Commit, error)
	// Undone says whether descendant, which contains commit, also contains a
	// later commit whose diff takes back exactly what commit brought, and none
	// after or beside that one which brings the same again.
	Undone(ctx context.Context, repo ref.RepoID, commit, descendant ref.SHA) (bool, error)
	// Tags lists the version tags of the repository with their commits.
	Tags(ctx context.Context, repo ref.RepoID) (map[ref.Tag]ref.SHA, error)
	// Revert pushes branch with one commit on top of base that undoes commit, if
	// the branch does not exist yet. A conflict, or nothing left to undo, is
	// ErrNotRevertible.
	Revert(ctx context.Context, base ref.BranchID, commit ref.SHA, branch, message string) error
	// Landed compares what landed with the merge of its parent and the judged
	// head, computed anew.
	Landed(ctx context.Context, repo ref.RepoID, l Landing) (change.Landed, error)
	// Note attaches a text to a commit, under refs/notes/slipway, and pushes it.
	// The same text there already is success; another one is fault.Permanent.
	Note(ctx context.Context, repo ref.RepoID, commit ref.SHA, text string) error
}

// Landing is a merge that is to be checked.
type Landing struct {
	Merge   ref.SHA // the commit on the base
	Head    ref.SHA // that was judged
	Method  string  // squash, merge, rebase
	Commits int     // how many commits a rebase put on the base; else 1
	// After is the tip of the base that was judged: the merge landed on that or
	// on something newer. Without it a rebase that takes a commit of the base
	// back could pass as one that brought that commit; "" if it is not known.
	After ref.SHA
}

// ErrNotRevertible says that git cannot undo a commit by itself, now or later.
var ErrNotRevertible = errors.New("not revertible")

// Commit is a commit as git's log tells it.
type Commit struct {
	SHA     ref.SHA
	Parents []ref.SHA
	Subject string
	Body    string
	Author  string // name
	At      time.Time
}

// Images builds and pushes images.
type Images interface {
	// Build makes the image and keeps it; the digest is what Push will publish.
	Build(ctx context.Context, b Build) (ref.Digest, error)
	// Push publishes the image under its tag if the tag is absent or already
	// names the same digest. Another digest there is fault.Permanent. What was
	// built and is gone is built again and must come to the same digest, or it
	// is fault.Changed.
	Push(ctx context.Context, b Build, want ref.Digest) error
	// Resolve says what the registry holds under the tag.
	Resolve(ctx context.Context, repository string, tag ref.Tag) (ref.Fact, ref.Digest, error)
}

// Build is what an image is made from and what its labels say.
type Build struct {
	Repo       ref.RepoID
	Commit     ref.SHA
	Tag        ref.Tag
	Version    string
	Change     ref.PullID
	Repository string // image repository without tag, e.g. registry.example/acme/app
	Source     string // address of the repository, for people
	Plan       change.BuildPlan
}

// Cluster is one Kubernetes cluster.
type Cluster interface {
	// Observe reads the Deployment and the pods of its current template.
	// Releases and Refused are left empty.
	Observe(ctx context.Context, s deployer.Spec) (deployer.Observation, error)
	// Probe asks each ready pod (or the URL) and returns the pods with answers.
	Probe(ctx context.Context, s deployer.Spec, pods []deployer.Pod) []deployer.Pod
	// Pin applies the image, forcing nothing: another owner of the field is
	// fault.Permanent and named, a moved object is fault.Changed.
	Pin(ctx context.Context, s deployer.Spec, p deployer.Pin) error
	// TakeOver makes Slipway the owner of the image field, as it stands, by
	// force, and says what and who it was before.
	TakeOver(ctx context.Context, s deployer.Spec) (image, owner string, err error)
	// Check says what is wrong with the way to the cluster and with Slipway's
	// rights there: a sentence for each fault.
	Check(ctx context.Context, specs []deployer.Spec) []string
}

// Store keeps what cannot be observed.
type Store interface {
	// Change is the stored change; found is false for one never seen.
	Change(ctx context.Context, id ref.PullID) (c change.Change, found bool, err error)
	// Changes lists changes, newest number first.
	Changes(ctx context.Context, f Filter) ([]change.Change, error)
	// Target is the stored target, or a new one with that id.
	Target(ctx context.Context, id ref.TargetID) (deployer.Target, error)
	// Targets lists all stored targets.
	Targets(ctx context.Context) ([]deployer.Target, error)
	// Releases lists the reserved versions of a branch, by position.
	Releases(ctx context.Context, b ref.BranchID) ([]Release, error)
	// Cursor is the last commit of a branch that was accounted for; "" at first.
	Cursor(ctx context.Context, b ref.BranchID) (ref.SHA, error)
	// Reviews maps the reviews of a pull request to the head observed with each.
	Reviews(ctx context.Context, id ref.PullID) (map[int64]ref.SHA, error)
	// Snapshot is a kept snapshot by its hash; found is false when there is none.
	Snapshot(ctx context.Context, hash string) (body []byte, found bool, err error)
	// Freeze says why nothing merges to a branch; nil when it is not frozen.
	Freeze(ctx context.Context, b ref.BranchID) (*BranchFreeze, error)
	// Head is the journal's last sequence number and hash.
	Head(ctx context.Context) (seq int64, hash string, err error)
	// Commit carries out the whole write in one transaction, or nothing of it.
	// A lost revision or fence is fault.Changed.
	Commit(ctx context.Context, w Write) error
}

// Filter chooses changes; zero values do not restrict.
type Filter struct {
	Repo ref.RepoID
	Base string
	// Unfinished leaves out those with an outcome.
	Unfinished bool
	// SHA matches the head or the merge commit.
	SHA   ref.SHA
	Limit int // 0: no limit
}

// Release is one reserved version of a branch. Unique by repository and
// version, by repository and merge commit, and by branch and position (R1).
type Release struct {
	Branch   ref.BranchID
	Position int64
	Number   int64 // the pull request
	Merge    ref.SHA
	Version  string // without prefix, e.g. 1.2.3
	Tag      ref.Tag
	// Built is the digest recorded before the push.
	Built ref.Digest
	// Ready is the release as offered to the target; nil until then.
	Ready *deployer.Release
}

// Write is one transaction. Everything is optional.
type Write struct {
	// Fence makes the write valid only while that claim on a key is live.
	Fence *Claim
	// Change and Target are written if Rev still is the stored one, which is
	// then raised by one.
	Change *change.Change
	Target *deployer.Target
	// Release is inserted, or updated where it exists for the same merge
	// commit; a different version or position for it is refused.
	Release *Release
	// Reviews are first observations; one that is stored already stays.
	Reviews *ReviewsSeen
	// Cursor moves a branch's cursor if it still is where Cursor.From says.
	Cursor *Cursor
	// Snapshot is kept by its hash.
	Snapshot *Snapshot
	// Freeze sets or lifts the freeze of a branch.
	Freeze  *BranchFreeze
	Journal []journal.Entry
	Due     []Due
}

// BranchFreeze keeps everything from merging to a branch until somebody lifts
// it. Setting one on a branch that is frozen keeps the first.
type BranchFreeze struct {
	Branch ref.BranchID `json:"branch"`
	Reason string       `json:"reason"`
	At     time.Time    `json:"at"`
	// Lifted, in a Write, lifts the freeze that stands.
	Lifted bool `json:"-"`
}

// ReviewsSeen are reviews observed while Head was the head.
type ReviewsSeen struct {
	Pull ref.PullID
	Head ref.SHA
	IDs  []int64
}

// Cursor is a step along a branch: every commit up to To was accounted for, as
// a judged merge with a version or as an unjudged push.
type Cursor struct {
	Branch   ref.BranchID
	From, To ref.SHA
}

// Snapshot is a judged snapshot, content-addressed by the SHA-256 of Body.
type Snapshot struct {
	Hash string
	Body []byte
}

// Due makes a key due at a time; an earlier due time stands.
type Due struct {
	Key Key
	At  time.Time
}

// Queue is the table of due keys. A key is held by one claim at a time, and
// being made due again while it is held is not lost.
type Queue interface {
	// Claim takes up to n keys that are due and not held, until the lease ends;
	// with kinds, only keys of these kinds.
	Claim(ctx context.Context, now time.Time, n int, lease time.Duration, kinds ...Kind) ([]Claim, error)
	// Done gives a claim back. The key is due again at next (zero: only when
	// somebody makes it so), unless it was made due meanwhile: then at that
	// time. failed counts one more failure in a row, else the count is reset.
	Done(ctx context.Context, c Claim, next time.Time, failed bool) error
	// Next is when the next key (of these kinds) is due or its lease ends; zero
	// when none is.
	Next(ctx context.Context, kinds ...Kind) (time.Time, error)
	// Woken is signalled after keys were made due.
	Woken() <-chan struct{}
}

// Claim is a key held under a lease.
type Claim struct {
	Key   Key
	Token int64 // fencing token, rising with every claim of the key
	Seq   int64 // raised whenever the key is made due
	// Failures in a row, before this claim.
	Failures int
	Until    time.Time
}
