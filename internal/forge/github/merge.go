package github

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	sdk "github.com/google/go-github/v62/github"

	"slipway/gate"
	"slipway/internal/change"
	"slipway/internal/fault"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

// descriptionLimit is the longest description of a status, in characters.
const descriptionLimit = 140

// PostStatus sets the commit status slipway/gate on a head.
func (c *Client) PostStatus(ctx context.Context, repo ref.RepoID, p change.Posted) error {
	switch p.State {
	case gate.StatePending, gate.StateSuccess, gate.StateFailure: // GitHub's words are the same
	default:
		return fault.AsPermanent(fmt.Errorf("post the gate's status on %s in %s: %q is not a state it can have", p.Head.Short(), repo, p.State))
	}
	_, _, err := c.sdk.Repositories.CreateStatus(ctx, repo.Owner, repo.Name, string(p.Head), &sdk.RepoStatus{
		State:       sdk.String(string(p.State)),
		Context:     sdk.String(gate.StatusContext),
		Description: sdk.String(cut(p.Text, descriptionLimit)),
	})
	if err != nil {
		return fmt.Errorf("post the gate's status on %s in %s: %w", p.Head.Short(), repo, sorted(err))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	on := posted{repo, p.Head}
	if delete(c.green, on); p.State == gate.StateSuccess {
		now := time.Now()
		maps.DeleteFunc(c.green, func(_ posted, at time.Time) bool { return now.Sub(at) > spreads })
		c.green[on] = now
	}
	return nil
}

// posted is where the gate said something.
type posted struct {
	repo ref.RepoID
	head ref.SHA
}

// spreads is how long a status may take until all of GitHub knows of it.
const spreads = 30 * time.Second

// spreading says whether the gate's success on a head was posted only just now,
// so that a merge may be refused for want of it.
func (c *Client) spreading(repo ref.RepoID, head ref.SHA) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	at, found := c.green[posted{repo, head}]
	return found && time.Since(at) < spreads
}

// Merge merges the pull request if its head still is call.Head. After an answer
// of 500 or none it may have happened, so the caller observes. The branch is
// deleted afterwards, if asked for and if it still is at that head; that it
// could not be is told, and no error.
func (c *Client) Merge(ctx context.Context, call reconcile.MergeCall) error {
	if !slices.Contains([]string{"squash", "merge", "rebase"}, call.Method) {
		return fault.AsPermanent(fmt.Errorf("merge %s: %q is not a way to merge", call.ID, call.Method))
	}
	if _, err := ref.ParseSHA(string(call.Head)); err != nil {
		// Without it GitHub would merge whatever the head is.
		return fault.AsPermanent(fmt.Errorf("merge %s: no head to insist on: %w", call.ID, err))
	}
	result, _, err := c.sdk.PullRequests.Merge(ctx, call.ID.Repo.Owner, call.ID.Repo.Name, int(call.ID.Number), call.Message, &sdk.PullRequestOptions{
		CommitTitle:        call.Title,
		SHA:                string(call.Head),
		MergeMethod:        call.Method,
		DontDefaultIfBlank: true, // an empty message is meant
	})
	if err != nil {
		return fmt.Errorf("merge %s at %s: %w", call.ID, call.Head.Short(), sortedMerge(refused(err), c.spreading(call.ID.Repo, call.Head)))
	}
	if !result.GetMerged() {
		return fault.AsChanged(fmt.Errorf("merge %s at %s: not merged: %s", call.ID, call.Head.Short(), oneLine(result.GetMessage())))
	}
	if call.DeleteBranch {
		c.unread(fmt.Sprintf("the merged branch of %s, to delete it", call.ID), c.deleteBranch(ctx, call.ID, call.Head))
	}
	return nil
}

// deleteBranch deletes the head's branch if it still is at the merged head and
// in the same repository. GitHub's REST API cannot make that one step, so it is
// asked for right before.
func (c *Client) deleteBranch(ctx context.Context, id ref.PullID, head ref.SHA) error {
	pull, err := c.record(ctx, id)
	if err != nil {
		return err
	}
	if pull.HeadRepo != id.Repo || pull.Merged != ref.Yes || pull.HeadBranch == pull.Base {
		return nil
	}
	tip, err := c.branch(ctx, ref.BranchID{Repo: id.Repo, Name: pull.HeadBranch})
	switch {
	case status(err) == http.StatusNotFound:
		return nil // the repository is set to do it by itself
	case err != nil:
		return err
	case tip != head:
		return nil // there is work on it that was not merged
	}
	_, err = c.sdk.Git.DeleteRef(ctx, id.Repo.Owner, id.Repo.Name, "heads/"+pull.HeadBranch)
	if s := status(err); s == http.StatusNotFound || s == http.StatusUnprocessableEntity {
		return nil // somebody was faster
	}
	return refused(err)
}

// sortedMerge marks the refusal of a merge. What moved, or moves by itself, is
// to be observed again; the rest needs somebody. spreading says that the gate's
// status may not have come everywhere yet.
func sortedMerge(err error, spreading bool) error {
	var r *refusal
	if !errors.As(err, &r) {
		return err
	}
	said := func(parts ...string) bool {
		return slices.ContainsFunc(parts, func(p string) bool { return strings.Contains(strings.ToLower(r.text), p) })
	}
	switch r.status {
	case http.StatusNotFound, http.StatusConflict: // it is gone, or its head moved
		return fault.AsChanged(err)
	case http.StatusMethodNotAllowed, http.StatusUnprocessableEntity:
		// The base moved or is moving, there is a conflict that the next look
		// shows, or it is as wanted already.
		if said("was modified", "not mergeable", "merge conflict", "already merged", "is closed", "draft", "work in progress",
			"in progress", "try again") || spreading && said(gate.StatusContext) {
			return fault.AsChanged(err)
		}
		return fault.AsPermanent(err)
	default:
		return sorted(err)
	}
}
