package deployer

import (
	"fmt"
	"time"
)

// WithHold keeps the target as it is until WithResume. A hold that stands is
// replaced.
func (t Target) WithHold(by, reason string, now time.Time) Target {
	t = t.clone()
	t.Hold = &Hold{By: by, Reason: reason, At: now}
	return t
}

// WithResume ends the hold, whoever set it. With allow it also lifts the bars
// of that version, so that it and what contains it may come back. It fails when
// there is nothing to resume, or no bar of that version to lift.
func (t Target) WithResume(by, allow string, now time.Time) (Target, error) {
	t = t.clone()
	lifted := false
	for i, b := range t.Barred {
		if allow != "" && b.Version == allow && b.Lifted == "" {
			t.Barred[i].Lifted, t.Barred[i].LiftedAt = by, now
			lifted = true
		}
	}
	switch {
	case allow != "" && !lifted:
		return Target{}, fmt.Errorf("resume %s: %s is not barred", t.ID, allow)
	case t.Hold == nil && !lifted:
		return Target{}, fmt.Errorf("resume %s: it is not held", t.ID)
	}
	t.Hold = nil
	return t, nil
}

// WithRequest asks for the way back to a version that was healthy here, or with
// "" to the one before the current release. It fails when that cannot be, as
// far as is known now; Next has the last word and says it in Target.Denied.
func (t Target) WithRequest(by, reason, version string, now time.Time) (Target, error) {
	t = t.clone()
	if t.TakenOver == nil {
		return Target{}, fmt.Errorf("roll back %s: %s", t.ID, t.untaken())
	}
	if t.Request != nil {
		return Target{}, fmt.Errorf("roll back %s: the rollback asked for by %s is still to be done", t.ID, t.Request.By)
	}
	if under := t.Current; under == nil || !under.Back || !t.rolling() {
		if _, err := t.wayTo(version); err != nil {
			return Target{}, fmt.Errorf("roll back %s: %w", t.ID, err)
		}
	}
	t.Request = &Request{By: by, Reason: reason, Version: version, At: now}
	t.Denied = ""
	return t, nil
}

// WithConsent records a person's yes to the take-over of what they were shown,
// which the caller then carries out. It fails in the middle of a rollout.
func (t Target) WithConsent(shown TakeOver) (Target, error) {
	t = t.clone()
	if t.rolling() {
		return Target{}, fmt.Errorf("take over %s: %s is rolling out", t.ID, t.Current.name())
	}
	t.Consent = &shown
	return t, nil
}

// WithoutConsent withdraws the consent: what was shown is not there any more.
func (t Target) WithoutConsent() Target {
	t.Consent = nil
	return t
}

// WithTakeOver records the take-over that was carried out by consent, with the
// image and the owner found; the target then is the container consented to. Of
// a target taken over before, the current deployment stands if it is of that
// container and its image was found, and is past otherwise; a hold stays. It
// fails without consent.
func (t Target) WithTakeOver(image, owner string, now time.Time) (Target, error) {
	t = t.clone()
	if t.Consent == nil {
		return Target{}, fmt.Errorf("take over %s: nobody consented", t.ID)
	}
	moved := t.elsewhere(t.Consent.Spec)
	if t.Current != nil && (moved || image != t.expected()) {
		if t.Current.Phase == PhaseHealthy {
			t.Current.Phase = PhaseReplaced
		}
		t.remember()
	}
	if moved {
		t.Healthy = nil // nothing proved healthy there yet
	}
	t.Spec = t.Consent.Spec
	t.TakenOver = &TakeOver{By: t.Consent.By, At: now, Image: image, Owner: owner, Spec: t.Consent.Spec}
	t.Consent, t.Drift, t.Reason = nil, "", ""
	return t, nil
}
