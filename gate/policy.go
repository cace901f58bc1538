package gate

// Policy is the gate section of the policy file on the base branch, with the
// organisation's defaults applied. The zero value merges nothing: an empty
// list of checks is a fault (M2).
type Policy struct {
	// Faults are what is wrong with the policy file, each a sentence that names
	// the place. Any fault blocks.
	Faults []string
	// Checks must all be green on the head.
	Checks []CheckRule
	// Approvals is how many are needed; two unless the policy says more.
	Approvals int
	// HoldLabels keep a pull request from merging while one is set.
	HoldLabels []string
	// People are the logins declared to be persons. A change of workflow files
	// needs an approval by one of them.
	People []string
	// Bot is Slipway's own login; its approvals count for nothing.
	Bot string
}

// CheckRule names one required check and who may report it: exactly one of
// Creator and Workflow is set.
type CheckRule struct {
	// Context is the exact context of the commit status.
	Context string
	// Creator is the login that must have posted it.
	Creator string
	// Workflow is the path of the CI workflow file whose Job must have run for
	// Event on the commit.
	Workflow string
	Job      string
	Event    string
}
