package dispatcher

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"slipway/internal/fault"
	"slipway/internal/ref"
)

// mostRefusals bounds how many issues that could not become items are
// remembered.
const mostRefusals = 1000

// issue makes items of the labelled open issues of a repository, withdraws those
// of issues that are closed or have lost their label if nobody began them, and
// tells the issues whose items are done. The same facts a second time change
// nothing.
func (d *Dispatcher) issue(ctx context.Context, repo ref.RepoID) error {
	forge := d.Issues[repo]
	if forge == nil || len(d.Labels) == 0 {
		return nil
	}
	seen := map[int64]bool{}
	var faults []error
	for _, rule := range d.Labels {
		found, err := forge.Labelled(ctx, repo, rule.Label)
		if err != nil {
			// Of what was not read nothing is known: nothing is withdrawn either.
			return fmt.Errorf("issues of %s with the label %q: %w", repo, rule.Label, err)
		}
		for _, i := range found {
			if !seen[i.Number] {
				seen[i.Number] = true
				faults = append(faults, d.heedIssue(ctx, forge, repo, rule, i))
			}
		}
	}
	ready, err := d.Store.Items(ctx, Filter{Repo: repo, Kind: Build, States: []State{Ready}})
	faults = append(faults, err)
	for _, i := range ready {
		number := issueNumber(i)
		if number == 0 || seen[number] || i.Token != 0 {
			continue
		}
		faults = append(faults, d.withdraw(ctx, i, fmt.Sprintf("issue %s#%d is closed, or has no such label any more", repo, number)))
	}
	return errors.Join(faults...)
}

// heedIssue has one labelled open issue be an item.
func (d *Dispatcher) heedIssue(ctx context.Context, forge Issues, repo ref.RepoID, rule LabelRule, issue Issue) error {
	base, _ := d.Serves(repo)
	by := issue.LabelledBy
	if by == "" {
		by = issue.Author
	}
	i, faults := draft(by, Submission{
		Repo: repo, Key: fmt.Sprintf(issueKey+"%s#%d", repo, issue.Number), Title: clip(oneLine(issue.Title), longestTitle), Spec: issue.Body,
		Shape: rule.Shape, Selector: rule.Selector.String(), Priority: rule.Level.String(),
	}, base)
	as, err := d.fingerprint(ctx, i)
	if err != nil {
		return err
	}
	if d.refusedBefore(i.Key, as) {
		return nil
	}
	i, existed, err := d.submit(ctx, i, faults)
	if err != nil {
		if fault.KindOf(err) == fault.Permanent {
			d.rememberRefusal(fmt.Sprintf(issueKey+"%s#%d", repo, issue.Number), as)
		}
		return fmt.Errorf("issue %s#%d: %w", repo, issue.Number, err)
	}
	switch {
	case !existed:
		d.Log.Info("an issue became work", "issue", i.Key, "item", i.ID)
		return nil
	case i.withdrawn() && i.Token == 0:
		return d.Retry(ctx, self, i.ID, "the issue was opened or labelled again")
	case i.State == Done && (i.Told.IsZero() || i.Told.Before(i.Ended)):
		return d.tellIssue(ctx, forge, i, issue.Number)
	default:
		return nil
	}
}

// tellIssue settles an issue whose item is done, and remembers that, so that one
// which somebody opens again stays open.
func (d *Dispatcher) tellIssue(ctx context.Context, forge Issues, i Item, number int64) error {
	w, found, err := d.Store.Work(ctx, i.ID)
	if err != nil || !found {
		return err
	}
	n := slices.IndexFunc(w.Attempts, func(a Attempt) bool { return a.ID == w.Item.Accepted })
	if n < 0 {
		return nil
	}
	a := w.Attempts[n]
	comment := fmt.Sprintf("%s has what this issue asked for: it was merged, and %s (item %d, by %s).", a.Pull, a.Reason, i.ID, a.Address)
	if err := forge.Settle(ctx, i.Repo, number, comment); err != nil {
		return fmt.Errorf("settle issue %s#%d: %w", i.Repo, number, err)
	}
	return d.transact(ctx, Scope{Items: []ItemID{i.ID}}, func(v View) (Write, error) {
		work, err := v.item(i.ID)
		if err != nil || work.Item.State != Done {
			return Write{}, err
		}
		work.Item.Told = v.Now
		return Write{
			Items:   []Item{work.Item},
			Journal: append(Write{}.Journal, entry(v.Now, self, "work.told_issue", i.ID, nil, comment, "issue", fmt.Sprintf("%s#%d", i.Repo, number))),
		}, nil
	})
}

// withdraw cancels an item that nobody has begun by then.
func (d *Dispatcher) withdraw(ctx context.Context, i Item, reason string) error {
	return d.transact(ctx, Scope{Items: []ItemID{i.ID}}, func(v View) (Write, error) {
		work, err := v.item(i.ID)
		if err != nil || work.Item.State != Ready || work.Item.Token != 0 {
			return Write{}, err
		}
		return cancel(v, d.terms, self, i.ID, reason)
	})
}

// fingerprint is what an issue asks for and what it is held against: one that
// was refused is not tried again while that stays.
func (d *Dispatcher) fingerprint(ctx context.Context, i Item) (string, error) {
	set, _, err := d.Store.Set(ctx)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(i)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(fmt.Appendf(text, " %d", set.Number))
	return hex.EncodeToString(sum[:]), nil
}

func (d *Dispatcher) refusedBefore(key, as string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.refusals[key] == as
}

func (d *Dispatcher) rememberRefusal(key, as string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.refusals) >= mostRefusals {
		clear(d.refusals)
	}
	d.refusals[key] = as
}
