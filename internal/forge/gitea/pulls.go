package gitea

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	sdk "code.gitea.io/sdk/gitea"

	"slipway/gate"
	"slipway/internal/fault"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

// OpenPulls lists the open pull requests, fifty with each call.
func (c *Client) OpenPulls(ctx context.Context, repo ref.RepoID) ([]reconcile.Brief, error) {
	client, err := c.sdk(ctx)
	if err != nil {
		return nil, err
	}
	list, err := pages(func(o sdk.ListOptions) ([]*sdk.PullRequest, *sdk.Response, error) {
		// Oldest first: one that is opened meanwhile does not move the others.
		return client.ListRepoPullRequests(repo.Owner, repo.Name,
			sdk.ListPullRequestsOptions{ListOptions: o, State: sdk.StateOpen, Sort: "oldest"})
	})
	if err != nil {
		return nil, fmt.Errorf("list the open pull requests of %s: %w", repo, sorted(err))
	}
	var briefs []reconcile.Brief
	seen := map[int64]bool{} // one that is closed meanwhile moves the others, so a page may repeat a row
	for _, p := range list {
		if seen[p.Index] {
			continue
		}
		seen[p.Index] = true
		briefs = append(briefs, reconcile.Brief{ID: ref.PullID{Repo: repo, Number: p.Index}, Fingerprint: fingerprint(p)})
	}
	return briefs, nil
}

// Pull reads the pull request alone.
func (c *Client) Pull(ctx context.Context, id ref.PullID) (gate.PullRequest, error) {
	r, err := c.record(ctx, id)
	return r.pull, err
}

// record is the server's own record of a pull request, as read once.
type record struct {
	pull      gate.PullRequest
	poster    *sdk.User
	mergeBase ref.SHA // where head and base part; may lag behind both
	comments  int
	reviews   int
	read      time.Time // by the server's clock; zero when it does not tell
}

func (c *Client) record(ctx context.Context, id ref.PullID) (record, error) {
	client, err := c.sdk(ctx)
	if err != nil {
		return record{}, err
	}
	p, response, err := client.GetPullRequest(id.Repo.Owner, id.Repo.Name, id.Number)
	if err != nil {
		return record{}, fmt.Errorf("read %s: %w", id, c.missing(ctx, id.Repo, sorted(refused(response, err))))
	}
	r := record{poster: p.Poster, comments: p.Comments, reviews: p.ReviewComments}
	if r.pull, err = toPull(id, p); err == nil {
		r.mergeBase, err = commitID(p.MergeBase)
	}
	if err != nil {
		return record{}, fmt.Errorf("read %s: %w", id, err)
	}
	r.pull.Mergeable = c.settling.mergeable(r.pull, p.Mergeable, time.Now())
	if date, err := http.ParseTime(response.Header.Get("Date")); err == nil {
		r.read = date
	}
	return r, nil
}

// missing adds to an error that the pull request is not there, where that is
// what it means: a repository that cannot be seen, or whose pull requests are
// switched off, answers the same.
func (c *Client) missing(ctx context.Context, repo ref.RepoID, err error) error {
	if status(err) != http.StatusNotFound {
		return err
	}
	var there struct {
		Pulls bool `json:"has_pull_requests"`
	}
	if _, failed := c.get(ctx, repoPath(repo), &there); failed != nil || !there.Pulls {
		return err
	}
	return fault.AsPermanent(fmt.Errorf("%w: %w", reconcile.ErrNoPull, err))
}

func (r record) stamp() stamp {
	return stamp{head: r.pull.Head, branch: r.pull.Base, updated: r.pull.Updated, comments: r.comments, reviews: r.reviews}
}

// still is how long the record must have been unchanged for its date to tell of
// the next change: dates are whole seconds, and another change may bear the
// same one.
const still = 2 * time.Second

// settled says whether another change would show.
func (r record) settled() bool {
	return !r.pull.Updated.IsZero() && r.read.Sub(r.pull.Updated) >= still
}

// toPull gives everything but Mergeable, which the record alone does not tell.
func toPull(id ref.PullID, p *sdk.PullRequest) (gate.PullRequest, error) {
	if p.Index != id.Number || p.Base == nil || p.Head == nil {
		return gate.PullRequest{}, fault.AsPermanent(fmt.Errorf("the server answered with something else (number %d)", p.Index))
	}
	pull := gate.PullRequest{
		ID:         id,
		Title:      p.Title,
		Body:       p.Body,
		Author:     login(p.Poster),
		HeadBranch: p.Head.Name, // Ref becomes refs/pull/N/head once the branch is gone
		Base:       p.Base.Ref,
		Open:       ref.Known(p.State == sdk.StateOpen),
		Merged:     ref.Known(p.HasMerged),
		MergedBy:   login(p.MergedBy),
		Draft:      ref.Known(p.Draft),
		Opened:     at(p.Created),
		Updated:    at(p.Updated),
		MergedAt:   at(p.Merged),
	}
	for _, l := range p.Labels {
		pull.Labels = append(pull.Labels, l.Name)
	}
	slices.Sort(pull.Labels)
	merge := ""
	if p.HasMerged && p.MergedCommitID != nil {
		merge = *p.MergedCommitID
	}
	for _, s := range []struct {
		text string
		into *ref.SHA
	}{{p.Head.Sha, &pull.Head}, {p.Base.Sha, &pull.BaseHead}, {merge, &pull.MergeSHA}} {
		var err error
		if *s.into, err = commitID(s.text); err != nil {
			return gate.PullRequest{}, err
		}
	}
	if p.Head.Repository != nil { // a fork may be gone
		repo, err := ref.ParseRepo(p.Head.Repository.FullName)
		if err != nil {
			return gate.PullRequest{}, err
		}
		pull.HeadRepo = repo
	}
	return pull, nil
}

// fingerprint covers what a look could find changed and the list shows. A new
// commit status is not among it.
func fingerprint(p *sdk.PullRequest) string {
	labels := make([]string, 0, len(p.Labels))
	for _, l := range p.Labels {
		labels = append(labels, l.Name)
	}
	slices.Sort(labels)
	shown := []any{p.Title, p.Body, p.State, p.Draft, p.Mergeable, p.HasMerged, p.Comments, p.ReviewComments, p.MergeBase, labels, at(p.Updated)}
	for _, end := range []*sdk.PRBranchInfo{p.Head, p.Base} {
		if end != nil {
			shown = append(shown, end.Ref, end.Sha)
		}
	}
	encoded, _ := json.Marshal(shown) // strings, numbers and a time: it cannot fail
	sum := sha256.Sum256(encoded)
	return hex.EncodeToString(sum[:16])
}

// commitID reads a commit id that may be missing.
func commitID(s string) (ref.SHA, error) {
	if s == "" {
		return "", nil
	}
	return ref.ParseSHA(s)
}

func login(u *sdk.User) string {
	if u == nil {
		return ""
	}
	return u.UserName
}

func at(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}
