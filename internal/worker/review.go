package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"slipway/dispatcher"
	"slipway/gate"
	"slipway/internal/fault"
	"slipway/internal/ref"
)

// bodyLimit is the longest review, in bytes.
const bodyLimit = 60 << 10

// opinion is the review that a command writes.
type opinion struct {
	Verdict string `json:"verdict"`
	Body    string `json:"body"`
}

// parseReview reads a review. A verdict that is no approval has to say why.
func parseReview(data []byte) (opinion, error) {
	if len(data) == 0 {
		return opinion{}, errors.New("it wrote none to SLIPWAY_REVIEW_FILE")
	}
	var o opinion
	if err := json.Unmarshal(data, &o); err != nil {
		return opinion{}, errors.New(`it is not the JSON that is wanted, {"verdict": …, "body": …}`)
	}
	o.Body = strings.TrimSpace(plain(strings.ToValidUTF8(o.Body, "\uFFFD")))
	switch state := gate.ReviewState(o.Verdict); {
	case state != gate.ReviewApproved && state != gate.ReviewChangesRequested && state != gate.ReviewCommented:
		return opinion{}, fmt.Errorf("its verdict %q is none of approved, changes_requested and commented", line(o.Verdict, 40))
	case o.Body == "" && state != gate.ReviewApproved:
		return opinion{}, fmt.Errorf("it says %s and not why: the body is empty", o.Verdict)
	case len(o.Body) > bodyLimit:
		return opinion{}, fmt.Errorf("its body is longer than %d KiB", bodyLimit>>10)
	}
	return o, nil
}

// reviewIt has the command read a pull request at one head, and posts what it
// says for that head and no other.
func (a *attempt) reviewIt(ctx context.Context) error {
	g := a.grant
	a.enter(dispatcher.Preparing)
	base, err := a.current(ctx)
	if err != nil {
		return err
	}
	if g.Base == "" {
		g.Base = base
	}
	if err := a.outside(ctx, func() error { return a.Git.Fetch(ctx, g.Repo) }); err != nil {
		return fmt.Errorf("prepare: %w", err)
	}
	if err := a.lay(ctx, g.Head, ""); err != nil {
		return err
	}
	ran, err := a.run(ctx, g.Head)
	if err != nil {
		return err
	}
	data, err := read(a.bench.review(), reviewLimit)
	var o opinion
	if err == nil {
		o, err = parseReview(data)
	}
	if err != nil {
		return a.because(ran, "the command's review: %s", err)
	}
	if _, err := a.reported(true); err != nil {
		return a.because(ran, "the command's report of its usage cannot be read: %s", err)
	}
	a.enter(dispatcher.Publishing)
	if err := a.register(ctx, g.Pull, g.Head); err != nil {
		return err
	}
	// A review of a head that was replaced counts for nothing, and would take
	// the force from one of the new head.
	if _, err := a.current(ctx); err != nil {
		return err
	}
	return a.post(ctx, o)
}

// current makes sure that the head is still what was asked about. It gives the
// branch that the pull request goes to.
func (a *attempt) current(ctx context.Context) (base string, err error) {
	var pull gate.PullRequest
	err = a.outside(ctx, func() (err error) {
		pull, err = a.Forge.Pull(ctx, a.grant.Pull)
		return err
	})
	switch {
	case err != nil:
		return "", fmt.Errorf("look at the pull request: %w", err)
	case pull.Open != ref.Yes:
		return "", failure{reason: fmt.Sprintf("%s is not open any more", a.grant.Pull)}
	case pull.Head != a.grant.Head:
		return "", failure{reason: fmt.Sprintf("%s has moved on from %s to %s", a.grant.Pull, a.grant.Head.Short(), pull.Head.Short())}
	}
	return pull.Base, nil
}

func (a *attempt) post(ctx context.Context, o opinion) error {
	g, state, body := a.grant, gate.ReviewState(o.Verdict), a.mask(o.Body)
	again := false
	err := a.outside(ctx, func() error {
		if again { // was the answer lost?
			there, err := a.Forge.OwnReview(ctx, g.Pull, g.Head)
			if err != nil || there == state {
				return err
			}
		}
		again = true
		return a.Forge.Review(ctx, g.Pull, g.Head, state, body)
	})
	if err != nil {
		if fault.KindOf(err) != fault.Later {
			err = failure{reason: fmt.Sprintf("the forge refuses the review: %s", err)}
		}
		return err
	}
	a.verdict, a.summary = o.Verdict, line(body, 500)
	a.tell(Event{What: "reviewed", Pull: g.Pull, Head: g.Head, Reason: o.Verdict})
	return nil
}
