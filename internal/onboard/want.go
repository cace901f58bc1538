package onboard

import "slipway/internal/ref"

// Want is how a repository should be.
type Want struct {
	Repo ref.RepoID
	// Rule is the lock on the branch that merges go to.
	Rule Protection
	// Tags is the lock on version tags.
	Tags TagProtection
	// Hook is the webhook; nil when it is not known where it would deliver to.
	Hook *Hook
	// Reviewers are those people on the list of approvers that need a right on
	// record; their team is Team.
	Reviewers []string
	Team      string
	// Bot is Slipway's own login.
	Bot string
	// Packager is the account that pushes images to the owner's packages, and
	// PackagesTeam the team that lets it; both are "" where images go elsewhere.
	Packager     string
	PackagesTeam string
	// Labels are those that the policy speaks of.
	Labels []Label
	// Places are where it is deployed to.
	Places []Place
	// Faults are what keeps parts of this from being known, such as a policy
	// that cannot be read: each is a step that somebody must do first.
	Faults []Missing
}

// Missing is something that must be there first.
type Missing struct {
	Key   string // "policy", "webhook"
	Fault string
	Mend  string
}
