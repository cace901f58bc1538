package change

import (
	"time"

	"slipway/deployer"
	"slipway/internal/ref"
)

// deployed follows the release on its target, whose own worker decides; the
// record only tells what came of it.
func deployed(c *Change, o Observation, now time.Time) Action {
	if o.Release.Offered.IsZero() {
		c.Gate(Rollout).wait(Evidence{}, "being offered to the target")
		return OfferRelease{Target: o.Target.ID, Pin: c.Pin}
	}
	c.Pin = o.Release.Offered
	d, found := deploymentOf(o.Target, c.Version)
	if !found {
		if superseded(c, o, now) {
			return nil
		}
		reason := o.TargetReason
		c.Gate(Rollout).Owner = "operator" // a hold, a bar, a rival: somebody has to act
		if reason == "" {
			c.Gate(Rollout).Owner = ownerOf(Rollout)
			reason = "waiting for the target"
		}
		c.Gate(Rollout).wait(Evidence{Image: c.Pin.String()}, reason)
		return nil
	}
	rollout, health := c.Gate(Rollout), c.Gate(Health)
	e := Evidence{Version: c.Version, Image: d.Image, Digest: c.Pin.Digest, Pods: d.Pods}
	switch d.Phase {
	case deployer.PhaseHealthy, deployer.PhaseReplaced:
		rollout.pass(orNow(d.Rolled, now), e)
		health.pass(orNow(d.Ended, now), e)
		c.Outcome = OutcomeHealthy
	case deployer.PhaseSimulated:
		rollout.reach(Simulated, orNow(d.Rolled, now), e)
		health.reach(Simulated, orNow(d.Ended, now), Evidence{Version: c.Version, Digest: c.Pin.Digest})
		health.Reason = "the cluster's nodes are fake: nothing answers there"
		c.Outcome = OutcomeSimulated
	case deployer.PhaseRolledBack:
		return rolledBack(c, o, d, e, now)
	case deployer.PhaseFailed:
		failedGate(c, d).fail(orNow(d.Ended, now), e, "%s", d.Reason)
		superseded(c, o, now)
	default:
		if d.Rolled.IsZero() {
			rollout.wait(e, d.Reason)
			return nil
		}
		rollout.pass(d.Rolled, e)
		health.wait(e, d.Reason)
	}
	return nil
}

// rolledBack ends the change once something good serves again and, unless a
// person asked for the rollback, its revert is on its way.
func rolledBack(c *Change, o Observation, d deployer.Deployment, e Evidence, now time.Time) Action {
	back, restored := wayBack(o.Target, c.Version)
	if restored {
		e.RestoredTo = back.Image
	}
	if g := failedGate(c, d); g.Name == Health {
		c.Gate(Rollout).pass(d.Rolled, e)
		g.fail(orNow(d.Ended, now), e, "%s", d.Reason)
	} else {
		g.fail(orNow(d.Ended, now), e, "%s", d.Reason)
		c.Gate(Health).fail(orNow(d.Ended, now), Evidence{Version: c.Version}, "it was never rolled out, so nothing of it answered")
	}
	if !restored {
		superseded(c, o, now) // the way back failed, and a later release healed it
		return nil
	}
	if back.By != deployer.Itself {
		c.Outcome = OutcomeRolled
		return nil
	}
	if c.Revert == nil {
		c.Revert = &Revert{Branch: "slipway/revert-" + string(c.Tag), State: RevertWanted}
	}
	revert := *c.Revert
	switch f := o.Revert; {
	case f.Impossible != "":
		revert.State, revert.Reason = RevertImpossible, f.Impossible
	case f.Found == ref.Yes:
		revert.Pull, revert.State = f.Pull, f.State
	case f.Found == ref.No:
		c.Revert = &revert
		return OpenRevert{Commit: c.MergeSHA, Branch: revert.Branch}
	default:
		return nil
	}
	c.Revert = &revert
	c.Outcome = OutcomeRolled
	return nil
}

// recalled turns a healthy change into a rolled-back one when a person has
// left its version afterwards. Their rollback asks for no revert.
func recalled(c Change, o Observation, now time.Time) Change {
	d, found := deploymentOf(o.Target, c.Version)
	if !found || d.Phase != deployer.PhaseRolledBack {
		return c
	}
	back, restored := wayBack(o.Target, c.Version)
	if !restored {
		return c
	}
	health := c.Gate(Health)
	e := health.Evidence
	e.RestoredTo = back.Image
	health.fail(orNow(d.Ended, now), e, "%s", d.Reason)
	c.Outcome, c.Ended = OutcomeRolled, now
	return c
}

// failedGate is the gate at which a deployment failed: health once the pods
// were rolled, else the rollout.
func failedGate(c *Change, d deployer.Deployment) *Gate {
	if d.Rolled.IsZero() {
		return c.Gate(Rollout)
	}
	return c.Gate(Health)
}

// deploymentOf finds the latest forward deployment of a version.
func deploymentOf(t deployer.Target, version string) (deployer.Deployment, bool) {
	return find(t, func(d deployer.Deployment) bool { return !d.Back && d.Release.Version == version })
}

// wayBack finds the deployment that took the place of a version that was left,
// once it has proved itself.
func wayBack(t deployer.Target, version string) (deployer.Deployment, bool) {
	return find(t, func(d deployer.Deployment) bool {
		good := d.Phase == deployer.PhaseHealthy || d.Phase == deployer.PhaseSimulated || d.Phase == deployer.PhaseReplaced
		return d.Back && d.Of == version && good
	})
}

func find(t deployer.Target, match func(deployer.Deployment) bool) (deployer.Deployment, bool) {
	if t.Current != nil && match(*t.Current) {
		return *t.Current, true
	}
	for _, d := range t.Past {
		if match(d) {
			return d, true
		}
	}
	return deployer.Deployment{}, false
}

func orNow(t, now time.Time) time.Time {
	if t.IsZero() {
		return now
	}
	return t
}
