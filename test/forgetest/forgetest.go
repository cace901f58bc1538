// Package forgetest is the conformance suite of reconcile.Forge and of
// dispatcher.Issues: what every adapter to a forge must read, write and refuse. It acts on the forge as its
// people would, through a World that the adapter's own tests provide, and looks
// at it through the adapter alone.
package forgetest

import (
	"testing"

	"slipway/gate"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

// Person is one of those who act. The login is the same word, and the e-mail
// address is that at MailDomain.
type Person string

// The people of every world.
const (
	Alice    Person = "alice"    // writes
	Carol    Person = "carol"    // approves
	Dave     Person = "dave"     // approves
	CI       Person = "ci"       // writes; posts statuses
	Outsider Person = "outsider" // has no right
)

// MailDomain is where the people's addresses are.
const MailDomain = "slipway.invalid"

// World makes places on a forge. Its people are there already.
type World interface {
	// Place makes a repository with a first commit on main, public, administered
	// by the bot. Main takes pushes by whoever writes, unless rules are wanted.
	Place(t *testing.T, name string, r Rules) Place
}

// Rules are those of main.
type Rules struct {
	Approvals int
	Contexts  []string
}

// Place is one repository, as its people use it. A call that fails ends the
// test.
type Place interface {
	Bench
	Pulls
	Reviews
	Reports
	Issues
}

// Bench is what the suite is about.
type Bench interface {
	ID() ref.RepoID
	// Forge is the adapter under test, as the bot, remembering nothing.
	Forge(t *testing.T) reconcile.Forge
	// Stranger is the adapter with a token that is worth nothing.
	Stranger(t *testing.T) reconcile.Forge
	// Bot is the bot's login.
	Bot() string
	// Page is how many rows a list of the forge has at most.
	Page() int
	// Remote is the address to fetch from and push to, with credentials in it.
	Remote(who Person) string
}

// Pulls are the acts on pull requests.
type Pulls interface {
	Open(t *testing.T, who Person, branch, base, title string, draft bool) ref.PullID
	Close(t *testing.T, id ref.PullID)
	Retarget(t *testing.T, who Person, id ref.PullID, base string)
	Label(t *testing.T, id ref.PullID, name string)
	Comment(t *testing.T, who Person, id ref.PullID, text string) int64
}

// Reviews are the acts of reviewers.
type Reviews interface {
	// Review submits a review on a commit and gives its id.
	Review(t *testing.T, who Person, id ref.PullID, on ref.SHA, s gate.ReviewState) int64
	// Dismiss dismisses a review, as the bot.
	Dismiss(t *testing.T, id ref.PullID, review int64)
	// Team is a team that the bot can read, as OWNER/TEAM, of Carol and Dave.
	Team(t *testing.T) string
}

// Reports are what is said of commits.
type Reports interface {
	Status(t *testing.T, who Person, on ref.SHA, context string, s gate.State)
	// Workflow puts a workflow on main that runs for pull requests, and gives its
	// path. Its file is NAME.yml, and its jobs end as they are told: success,
	// failure or skipped.
	Workflow(t *testing.T, name string, jobs map[string]gate.State) string
	// Ran waits until the workflows have run, or runs them, for a head.
	Ran(t *testing.T, id ref.PullID, head ref.SHA)
}

// Issues are the acts on issues, and what became of one.
type Issues interface {
	OpenIssue(t *testing.T, who Person, title, body string, labels ...string) int64
	// LabelIssue sets a label, which is made where there is none, and UnlabelIssue
	// takes it off; of a pull request too.
	LabelIssue(t *testing.T, who Person, number int64, label string)
	UnlabelIssue(t *testing.T, who Person, number int64, label string)
	CloseIssue(t *testing.T, number int64)
	// Issue says whether one is open, and what was said on it, oldest first.
	Issue(t *testing.T, number int64) (open bool, comments []string)
}

// Run runs the whole suite in a world.
func Run(t *testing.T, w World) {
	RunIdentity(t, w)
	run(t, w, map[string]func(*testing.T, World){
		"List":      testList,
		"Commits":   testCommits,
		"Files":     testFiles,
		"Base":      testBase,
		"Statuses":  testStatuses,
		"MergeHead": testMergeHead,
		"Contents":  testContents,
		"Issues":    testIssues,
	})
}

// RunIdentity runs what depends on who the bot is and by what kind of rules it
// is held: for an adapter that knows several, beside Run with one of them.
func RunIdentity(t *testing.T, w World) {
	run(t, w, map[string]func(*testing.T, World){
		"PullRequest": testPull,
		"Reviews":     testReviews,
		"Jobs":        testJobs,
		"Talk":        testTalk,
		"Merge":       testMerge,
		"MergeRules":  testMergeRules,
		"Release":     testRelease,
		"Revert":      testRevert,
		"Faults":      testFaults,
		"Settle":      testSettle,
	})
}

func run(t *testing.T, w World, tests map[string]func(*testing.T, World)) {
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, w)
		})
	}
}
