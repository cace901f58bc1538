package gitea

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	sdk "code.gitea.io/sdk/gitea"

	"slipway/gate"
	"slipway/internal/change"
	"slipway/internal/fault"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

// descriptionLimit is the longest description in characters. Gitea keeps it in
// a column of 64 KiB on MySQL and shows it in one line.
const descriptionLimit = 1000

// PostStatus sets the commit status slipway/gate on a head.
func (c *Client) PostStatus(ctx context.Context, repo ref.RepoID, p change.Posted) error {
	states := map[gate.State]sdk.StatusState{
		gate.StatePending: sdk.StatusPending,
		gate.StateSuccess: sdk.StatusSuccess,
		gate.StateFailure: sdk.StatusFailure,
	}
	state, ok := states[p.State]
	if !ok {
		return fault.AsPermanent(fmt.Errorf("post the gate's status on %s in %s: %q is not a state it can have", p.Head.Short(), repo, p.State))
	}
	client, err := c.sdk(ctx)
	if err != nil {
		return err
	}
	_, response, err := client.CreateStatus(repo.Owner, repo.Name, string(p.Head), sdk.CreateStatusOption{
		State:       state,
		Context:     gate.StatusContext,
		Description: cut(p.Text, descriptionLimit),
	})
	if err != nil {
		return fmt.Errorf("post the gate's status on %s in %s: %w", p.Head.Short(), repo, sorted(refused(response, err)))
	}
	return nil
}

// mergeOption is the body of a merge. It never asks for force_merge or for
// merge_when_checks_succeed, which would merge whatever the head is by then.
type mergeOption struct {
	Do           string  `json:"Do"`
	Title        string  `json:"MergeTitleField"`
	Message      string  `json:"MergeMessageField"`
	Head         ref.SHA `json:"head_commit_id"`
	DeleteBranch bool    `json:"delete_branch_after_merge"`
}

// Merge merges the pull request if its head still is call.Head. It makes one
// call (the SDK's loses what the server says). After an answer of 500 or none
// it may have happened, so the caller observes.
func (c *Client) Merge(ctx context.Context, call reconcile.MergeCall) error {
	if !slices.Contains([]string{"squash", "merge", "rebase"}, call.Method) {
		return fault.AsPermanent(fmt.Errorf("merge %s: %q is not a way to merge", call.ID, call.Method))
	}
	if _, err := ref.ParseSHA(string(call.Head)); err != nil {
		// Without it Gitea would merge whatever the head is.
		return fault.AsPermanent(fmt.Errorf("merge %s: no head to insist on: %w", call.ID, err))
	}
	_, err := c.call(ctx, http.MethodPost, pullPath(call.ID, "merge"), mergeOption{
		Do:           call.Method,
		Title:        call.Title,
		Message:      call.Message,
		Head:         call.Head,
		DeleteBranch: call.DeleteBranch,
	}, nil)
	if err != nil {
		return fmt.Errorf("merge %s at %s: %w", call.ID, call.Head.Short(), sortedMerge(err))
	}
	return nil
}

// sortedMerge marks the refusal of a merge. What moved, or moves by itself, is
// to be observed again; the rest needs somebody.
func sortedMerge(err error) error {
	var r *refusal
	if !errors.As(err, &r) {
		return err
	}
	said := func(parts ...string) bool {
		return slices.ContainsFunc(parts, func(p string) bool { return strings.Contains(strings.ToLower(r.text), p) })
	}
	switch r.status {
	case http.StatusNotFound: // it is closed
		return fault.AsChanged(err)
	case http.StatusMethodNotAllowed:
		// The first is a conflict or a check for one that still runs; the others
		// are already as they are.
		if said("try again later", "already merged", "work in progress") {
			return fault.AsChanged(err)
		}
		return fault.AsPermanent(err)
	case http.StatusConflict:
		// A hook or a rule of the base refused the push. The same words come
		// when two merges meet on the base.
		if said("pushrejected") && !said("cannot lock ref", "fetch first", "stale info") {
			return fault.AsPermanent(err)
		}
		return fault.AsChanged(err) // head out of date, push out of date, conflict
	default:
		return sorted(err)
	}
}
