package reconcile

import (
	"context"
	"fmt"

	"slipway/deployer"
	"slipway/internal/fault"
	"slipway/internal/journal"
	"slipway/internal/ref"
)

// Person is who gives an order, and why, for the journal.
type Person struct {
	Name   string
	Reason string
}

// Hold keeps a target as it is until somebody resumes it.
func (e *Engine) Hold(ctx context.Context, id ref.TargetID, by Person) error {
	return e.order(ctx, id, by, "order.hold", "", func(t deployer.Target) (deployer.Target, error) {
		return t.WithHold(by.Name, by.Reason, e.Now()), nil
	})
}

// Resume lets a target move again; allow names a barred version that may
// return, or is empty.
func (e *Engine) Resume(ctx context.Context, id ref.TargetID, by Person, allow string) error {
	return e.order(ctx, id, by, "order.resume", allow, func(t deployer.Target) (deployer.Target, error) {
		return t.WithResume(by.Name, allow, e.Now())
	})
}

// Rollback asks for a version that was healthy before, or for the last such
// one if version is empty. It sticks until somebody resumes (D4).
func (e *Engine) Rollback(ctx context.Context, id ref.TargetID, by Person, version string) error {
	return e.order(ctx, id, by, "order.rollback", version, func(t deployer.Target) (deployer.Target, error) {
		return t.WithRequest(by.Name, by.Reason, version, e.Now())
	})
}

// Offered is what a take-over would find. A person consents to exactly this.
type Offered struct {
	// Place is the container, for people: its Deployment, namespace and cluster.
	Place string `json:"place"`
	Image string `json:"image"`
	Owner string `json:"owner"`
	// Taken says that there is nothing to do: Slipway is the only owner of that
	// container's image by consent, and the image is the one it left there.
	Taken bool `json:"taken_over"`
}

// Inspect says what a take-over of the repository's target would find, from
// the policy at the tip of its branch.
func (e *Engine) Inspect(ctx context.Context, id ref.TargetID) (Offered, error) {
	found, _, err := e.inspect(ctx, id)
	return found, err
}

// TakeOver records a person's consent to what Inspect showed them; the
// target's worker carries it out. It is fault.Permanent, and journalled, when
// they saw nothing or something else than there is now, or when Slipway owns
// it already.
func (e *Engine) TakeOver(ctx context.Context, id ref.TargetID, by Person, seen Offered) error {
	found, spec, err := e.inspect(ctx, id)
	if err != nil {
		return err
	}
	return e.order(ctx, id, by, "order.takeover", found.Image, func(t deployer.Target) (deployer.Target, error) {
		switch {
		case found.Taken:
			return t, fmt.Errorf("take over %s: Slipway owns it already", id)
		case seen == Offered{}:
			return t, fmt.Errorf("take over %s: consent is to what was shown, and nothing was", id)
		case seen.Place != found.Place || seen.Image != found.Image || seen.Owner != found.Owner:
			return t, fmt.Errorf("take over %s: the consent is to %s; now it is %s", id, seen, found)
		}
		next, err := t.WithConsent(deployer.TakeOver{By: by.Name, At: e.Now(), Image: found.Image, Owner: found.Owner, Spec: spec})
		if err == nil {
			next.Branch = e.repos[id.Repo].Branch
		}
		return next, err
	})
}

// String is for people.
func (o Offered) String() string {
	return fmt.Sprintf("%s with the image %q owned by %q", o.Place, o.Image, o.Owner)
}

// inspect looks at the container that the tip of the branch declares.
func (e *Engine) inspect(ctx context.Context, id ref.TargetID) (Offered, deployer.Spec, error) {
	t, spec, err := e.declared(ctx, id)
	if err != nil {
		return Offered{}, spec, err
	}
	place := fmt.Sprintf("container %s of Deployment %s/%s in cluster %s", spec.Container, spec.Namespace, spec.Deployment, spec.Cluster)
	o, err := e.observeCluster(ctx, e.repos[id.Repo], spec)
	switch {
	case err != nil:
		return Offered{}, spec, fmt.Errorf("%s cannot be read: %w", id, err)
	case o.Read == ref.Yes:
		return Offered{Place: place, Image: o.Image, Owner: o.Owner, Taken: t.Owns(spec, o)}, spec, nil
	case o.Read == ref.No:
		return Offered{}, spec, fault.AsPermanent(fmt.Errorf("%s: there is no %s", id, place))
	default:
		return Offered{}, spec, fmt.Errorf("%s cannot be read: %s", id, o.Detail)
	}
}

// declared is a target with the spec that the branch declares for it now.
func (e *Engine) declared(ctx context.Context, id ref.TargetID) (deployer.Target, deployer.Spec, error) {
	repo, ok := e.repos[id.Repo]
	if !ok {
		return deployer.Target{}, deployer.Spec{}, fault.AsPermanent(fmt.Errorf("repository %s is not served here", id.Repo))
	}
	tip, err := repo.Forge.Branch(ctx, ref.BranchID{Repo: repo.ID, Name: repo.Branch})
	if err != nil {
		return deployer.Target{}, deployer.Spec{}, fmt.Errorf("tip of %s: %w", repo.ID, err)
	}
	plan, err := e.plan(ctx, repo, repo.Branch, tip)
	if err != nil {
		return deployer.Target{}, deployer.Spec{}, err
	}
	if len(plan.Faults) > 0 {
		return deployer.Target{}, deployer.Spec{}, fault.AsPermanent(fmt.Errorf("%s", plan.Faults[0]))
	}
	if plan.Deploy.Environment != id.Environment {
		return deployer.Target{}, deployer.Spec{}, fault.AsPermanent(fmt.Errorf("%s declares environment %q, not %q", repo.ID, plan.Deploy.Environment, id.Environment))
	}
	t, err := e.Store.Target(ctx, id)
	return t, plan.Deploy, err
}

// order changes a target by a pure function and makes it due, in one
// transaction with the journal; it tries again when the target's worker was
// quicker.
func (e *Engine) order(ctx context.Context, id ref.TargetID, by Person, verb, identity string, change func(deployer.Target) (deployer.Target, error)) error {
	if _, ok := e.repos[id.Repo]; !ok {
		return fault.AsPermanent(fmt.Errorf("repository %s is not served here", id.Repo))
	}
	for try := 0; ; try++ {
		t, err := e.Store.Target(ctx, id)
		if err != nil {
			return err
		}
		if t.Rev == 0 && verb != "order.takeover" {
			return fault.AsPermanent(fmt.Errorf("there is no target %s yet", id))
		}
		next, err := change(t)
		if err != nil {
			return e.orderRefused(ctx, id, by, verb, identity, err)
		}
		entry := journal.Entry{At: e.Now(), Actor: by.Name, Action: verb, Subject: id.String(), Identity: identity, Reason: by.Reason}
		err = e.Store.Commit(ctx, Write{Target: &next, Journal: []journal.Entry{entry}, Due: []Due{{TargetKey(id), e.Now()}}})
		if fault.KindOf(err) == fault.Changed && try < 10 {
			continue
		}
		return err
	}
}

// orderRefused journals a refusal too: who asked for what, and why not (A1).
func (e *Engine) orderRefused(ctx context.Context, id ref.TargetID, by Person, verb, identity string, cause error) error {
	entry := journal.Entry{At: e.Now(), Actor: by.Name, Action: "refused." + verb, Subject: id.String(), Identity: identity, Reason: cause.Error()}
	if err := e.Store.Commit(ctx, Write{Journal: []journal.Entry{entry}}); err != nil {
		return fmt.Errorf("%w (and the journal: %w)", cause, err)
	}
	return fault.AsPermanent(cause)
}
