package github

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	sdk "github.com/google/go-github/v62/github"

	"slipway/gate"
	"slipway/internal/fault"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

// OpenPulls lists the open pull requests, a hundred with each call.
func (c *Client) OpenPulls(ctx context.Context, repo ref.RepoID) ([]reconcile.Brief, error) {
	list, err := pages(func(o sdk.ListOptions) ([]*sdk.PullRequest, *sdk.Response, error) {
		// Oldest first: one that is opened meanwhile does not move the others.
		return c.sdk.PullRequests.List(ctx, repo.Owner, repo.Name,
			&sdk.PullRequestListOptions{State: "open", Sort: "created", Direction: "asc", ListOptions: o})
	})
	if err != nil {
		return nil, fmt.Errorf("list the open pull requests of %s: %w", repo, sorted(err))
	}
	var briefs []reconcile.Brief
	seen := map[int]bool{} // one that is closed meanwhile moves the others, so a page may repeat a row
	for _, p := range list {
		if seen[p.GetNumber()] {
			continue
		}
		seen[p.GetNumber()] = true
		briefs = append(briefs, reconcile.Brief{ID: ref.PullID{Repo: repo, Number: int64(p.GetNumber())}, Fingerprint: fingerprint(p)})
	}
	return briefs, nil
}

// Pull reads the pull request alone, with the tip of its base.
func (c *Client) Pull(ctx context.Context, id ref.PullID) (gate.PullRequest, error) {
	record, err := c.record(ctx, id)
	if err != nil {
		return gate.PullRequest{}, err
	}
	tip, err := c.baseTip(ctx, id, record)
	if err != nil {
		return gate.PullRequest{}, fmt.Errorf("read %s: %w", id, sorted(err))
	}
	record.BaseHead = tip
	return record.PullRequest, nil
}

// record is a pull request with what only this package needs to know of it.
type record struct {
	gate.PullRequest
	files   int     // how many changed, by the server's count
	oldBase ref.SHA // the base's tip when the pull request was last brought up to date
}

func (c *Client) record(ctx context.Context, id ref.PullID) (record, error) {
	p, _, err := c.sdk.PullRequests.Get(ctx, id.Repo.Owner, id.Repo.Name, int(id.Number))
	if err != nil {
		err = sorted(err)
		if c.absent(ctx, id.Repo, err) {
			err = fault.AsPermanent(fmt.Errorf("%w: %w", reconcile.ErrNoPull, err))
		}
		return record{}, fmt.Errorf("read %s: %w", id, err)
	}
	pull, err := toPull(id, p)
	if err != nil {
		return record{}, fmt.Errorf("read %s: %w", id, err)
	}
	return pull, nil
}

// baseTip is the commit that the base branch is at now. The record's own is
// that of its last update. A base that is gone is told for a pull request that
// is open no more.
func (c *Client) baseTip(ctx context.Context, id ref.PullID, r record) (ref.SHA, error) {
	tip, err := c.branch(ctx, ref.BranchID{Repo: id.Repo, Name: r.Base})
	if r.Open == ref.No && status(err) == http.StatusNotFound {
		return r.oldBase, nil
	}
	return tip, err
}

func toPull(id ref.PullID, p *sdk.PullRequest) (record, error) {
	if int64(p.GetNumber()) != id.Number || p.Base == nil || p.Head == nil {
		return record{}, fault.AsPermanent(fmt.Errorf("the server answered with something else (number %d)", p.GetNumber()))
	}
	r := record{files: p.GetChangedFiles(), PullRequest: gate.PullRequest{
		ID:         id,
		Title:      p.GetTitle(),
		Body:       p.GetBody(),
		Author:     p.GetUser().GetLogin(),
		HeadBranch: p.Head.GetRef(),
		Base:       p.Base.GetRef(),
		Open:       isState(p.State, "open"),
		Merged:     known(p.Merged),
		MergedBy:   p.GetMergedBy().GetLogin(),
		MergedAt:   at(p.MergedAt),
		Draft:      known(p.Draft),
		Mergeable:  known(p.Mergeable), // null while the server is computing
		Labels:     labels(p),
		Opened:     at(p.CreatedAt),
		Updated:    at(p.UpdatedAt),
	}}
	merge := ""
	if p.GetMerged() { // before, it names a trial merge
		merge = p.GetMergeCommitSHA()
	}
	for _, s := range []struct {
		text string
		into *ref.SHA
	}{{p.Head.GetSHA(), &r.Head}, {p.Base.GetSHA(), &r.oldBase}, {merge, &r.MergeSHA}} {
		var err error
		if *s.into, err = commitID(s.text); err != nil {
			return record{}, err
		}
	}
	if r.Head == "" || r.Base == "" {
		return record{}, errors.New("the server does not say what its head and its base are")
	}
	if p.Head.Repo != nil { // a fork may be gone
		repo, err := ref.ParseRepo(p.Head.Repo.GetFullName())
		if err != nil {
			return record{}, err
		}
		r.HeadRepo = repo
	}
	return r, nil
}

// fingerprint covers what a look could find changed and the list shows. A new
// commit status is not among it.
func fingerprint(p *sdk.PullRequest) string {
	shown := []any{p.GetTitle(), p.GetState(), p.GetDraft(), labels(p), at(p.UpdatedAt)}
	for _, end := range []*sdk.PullRequestBranch{p.Head, p.Base} {
		shown = append(shown, end.GetRef(), end.GetSHA())
	}
	encoded, _ := json.Marshal(shown) // strings, a bool and a time: it cannot fail
	sum := sha256.Sum256(encoded)
	return hex.EncodeToString(sum[:16])
}

func labels(p *sdk.PullRequest) []string {
	var names []string
	for _, l := range p.Labels {
		names = append(names, l.GetName())
	}
	slices.Sort(names)
	return names
}

// commitID reads a commit id that may be missing.
func commitID(s string) (ref.SHA, error) {
	if s == "" {
		return "", nil
	}
	return ref.ParseSHA(s)
}

// known is a flag that the server may leave out.
func known(flag *bool) ref.Fact {
	if flag == nil {
		return ref.Unknown
	}
	return ref.Known(*flag)
}

func isState(s *string, want string) ref.Fact {
	if s == nil {
		return ref.Unknown
	}
	return ref.Known(*s == want)
}

func at(t *sdk.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}
