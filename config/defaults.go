package config

import (
	"time"

	"slipway/deployer"
	"slipway/gate"
	"slipway/internal/change"
	"slipway/internal/ref"
)

// What stands where a file says nothing. Nothing else in the package fills
// anything in, but for two that follow from other keys: a repository's image,
// and a check's event.

func serverDefaults() Server {
	return Server{
		Listen:   "127.0.0.1:8480",
		Comments: Comments{Sticky: true, Budget: 60},
		Resync:   Resync{Active: 30 * time.Second, Idle: 5 * time.Minute, Rate: 5},
		Pools:    Pools{Writers: []string{defaultBuilder}},
		Work:     Work{Lease: time.Minute, Heartbeat: 20 * time.Second, Deadline: time.Hour, Attempts: 3},
	}
}

func policyDefaults() change.Plan {
	return change.Plan{
		Gate:    gate.Policy{Approvals: gate.MinApprovals, OperatorOnce: true, HoldLabels: []string{"hold"}},
		Merge:   change.MergePlan{Method: "squash", Unjudged: "hold"},
		Release: change.ReleasePlan{Prefix: "v", First: "0.1.0", Major: "release/major", Minor: "release/minor", Patch: "release/patch"},
		Build:   change.BuildPlan{Main: ".", Platform: "linux/amd64"},
		Deploy: deployer.Spec{
			Environment: "production",
			Deadline:    5 * time.Minute,
			Health:      deployer.Health{Field: "revision"},
		},
		Deadlines: change.Deadlines{
			Review:      24 * time.Hour,
			Merge:       15 * time.Minute,
			PostMergeCI: 30 * time.Minute,
			Image:       15 * time.Minute,
			Rollout:     10 * time.Minute,
			Health:      5 * time.Minute,
		},
	}
}

const (
	defaultBuilder   = "builder"
	defaultReviewer  = "reviewer"
	defaultPriority  = "normal"
	defaultBranch    = "main"
	defaultProbePath = "/" // where a port is probed
	gateEvent        = "pull_request"
	postMergeEvent   = "push"
)

// What a case says nothing about.

const (
	caseBot      = "slipway-bot"
	caseApprover = "approver-" // and a number: who approves
)

// caseMoment is a Monday at noon.
func caseMoment() time.Time { return time.Date(2026, time.January, 5, 12, 0, 0, 0, time.UTC) }

func casesDefaults() Cases {
	return Cases{Policy: PolicyFile, Repo: ref.RepoID{Owner: "acme", Name: "app"}}
}

func caseDefaults() Case {
	return Case{facts: facts{title: "A change", author: "author", base: defaultBranch, headBranch: "change", upToDate: true, asked: true, registered: true, commits: 1}}
}
