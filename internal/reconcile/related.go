package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"slipway/deployer"
	"slipway/internal/fault"
	"slipway/internal/ref"
)

// relating is how long git may take to say how releases are related. A mirror
// that is made anew takes long, and a person's order to the target must not
// wait for that.
const relating = time.Minute

// ready are the target's releases whose image can be deployed.
func (e *Engine) ready(ctx context.Context, t deployer.Target) ([]deployer.Release, error) {
	releases, err := e.Store.Releases(ctx, ref.BranchID{Repo: t.ID.Repo, Name: t.Branch})
	if err != nil {
		return nil, err
	}
	var ready []deployer.Release
	for _, r := range releases {
		if r.Ready != nil && r.Ready.Spec.Environment == t.ID.Environment {
			ready = append(ready, *r.Ready)
		}
	}
	return ready, nil
}

// observeCluster looks at a container. Where the configuration does not lead
// there it is Unknown, without an error: another look would find no more.
func (e *Engine) observeCluster(ctx context.Context, repo Repository, at deployer.Spec) (deployer.Observation, error) {
	cluster, ok := e.Clusters[at.Cluster]
	switch {
	case !ok:
		return deployer.Observation{Detail: fmt.Sprintf("the server's configuration has no cluster %q", at.Cluster)}, nil
	case !slices.Contains(repo.Namespaces[at.Cluster], at.Namespace):
		return deployer.Observation{Detail: fmt.Sprintf("the server's configuration does not let %s deploy to namespace %q of cluster %q", repo.ID, at.Namespace, at.Cluster)}, nil
	}
	return cluster.Observe(ctx, at)
}

// unanswered is an observation that failed, as it is recorded. What is wrong
// for good is told; else the words differ each time, and would be a new record
// and a line in the journal each time, so they are for the log.
func unanswered(o deployer.Observation, err error) deployer.Observation {
	detail := "the server's log tells why"
	if fault.KindOf(err) == fault.Permanent {
		detail = err.Error()
	}
	return deployer.Observation{Detail: detail, Simulated: o.Simulated}
}

func unrelated(ready []deployer.Release) []deployer.Candidate {
	var out []deployer.Candidate
	for _, r := range ready {
		out = append(out, deployer.Candidate{Release: r})
	}
	return out
}

// related relates the releases to what runs and to what is barred. What git
// cannot tell is Unknown: a commit that was rewritten away is missing for good,
// and nothing but that release may wait for it.
func (e *Engine) related(ctx context.Context, repo Repository, t deployer.Target, ready []deployer.Release) []deployer.Candidate {
	ctx, cancel := context.WithTimeout(ctx, relating)
	defer cancel()
	running := t.Running(ready)
	out := unrelated(ready)
	for i, r := range ready {
		if r.Position < running.Position {
			continue // behind what runs: never chosen, so not asked about
		}
		if err := e.relate(ctx, repo, t, &out[i], running); err != nil && e.once(TargetKey(t.ID), r.Version+" after "+running.Version) {
			e.Log.Error("relate", "target", t.ID, "version", r.Version, "running", running.Version, "error", err)
		}
	}
	return out
}

func (e *Engine) relate(ctx context.Context, repo Repository, t deployer.Target, c *deployer.Candidate, running deployer.Release) error {
	var descent error
	switch running.Merge {
	case "": // nothing it could fall behind
	case c.Merge:
		c.Descends = ref.Yes
	default:
		contains, err := e.Git.Contains(ctx, repo.ID, c.Merge, running.Merge)
		if err == nil {
			c.Descends = ref.Known(contains)
		}
		descent = err
	}
	for _, bar := range t.Barred {
		if bar.Lifted != "" || bar.Merge == "" {
			continue
		}
		brings, err := e.brings(ctx, repo, c.Merge, bar.Merge)
		if err != nil {
			return errors.Join(descent, err)
		}
		if brings {
			c.Barred = bar.Version
		}
	}
	c.BarredRead = ref.Yes
	return descent
}

// brings says whether a commit contains a barred one without its revert (D3).
func (e *Engine) brings(ctx context.Context, repo Repository, merge, barred ref.SHA) (bool, error) {
	contains, err := e.Git.Contains(ctx, repo.ID, merge, barred)
	if err != nil || !contains {
		return false, err
	}
	undone, err := e.Git.Undone(ctx, repo.ID, barred, merge)
	return err == nil && !undone, err
}
