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

// Offered is what a take-over would find.
type Offered struct {
	Image string `json:"image"`
	Owner string `json:"owner"`
	Taken bool   `json:"taken_over"`
}

// Inspect says what a take-over of the repository's target would find, from
// the policy at the tip of its branch.
func (e *Engine) Inspect(ctx context.Context, id ref.TargetID) (Offered, error) {
	t, spec, err := e.declared(ctx, id)
	if err != nil {
		return Offered{}, err
	}
	o := e.observeCluster(ctx, e.repos[id.Repo], t, spec)
	switch o.Read {
	case ref.Yes:
		return Offered{Image: o.Image, Owner: o.Owner, Taken: t.TakenOver != nil}, nil
	case ref.No:
		return Offered{}, fault.AsPermanent(fmt.Errorf("%s: there is no Deployment %s in namespace %s", id, spec.Deployment, spec.Namespace))
	default:
		return Offered{}, fmt.Errorf("%s cannot be read: %s", id, o.Detail)
	}
}

// TakeOver records a person's consent; the target's worker carries it out.
func (e *Engine) TakeOver(ctx context.Context, id ref.TargetID, by Person) error {
	found, err := e.Inspect(ctx, id)
	if err != nil {
		return err
	}
	_, spec, err := e.declared(ctx, id)
	if err != nil {
		return err
	}
	return e.order(ctx, id, by, "order.takeover", found.Image, func(t deployer.Target) (deployer.Target, error) {
		next, err := t.WithConsent(by.Name, e.Now())
		if err != nil {
			return t, err
		}
		next.Branch, next.Spec = e.repos[id.Repo].Branch, spec
		next.Consent.Image, next.Consent.Owner = found.Image, found.Owner
		return next, nil
	})
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
