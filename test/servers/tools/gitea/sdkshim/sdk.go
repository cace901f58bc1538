// Package sdk gives Gitea's migration code, the one place in Gitea that talks
// to another Gitea, the client it is written against: the grouped, context-first
// shape of gitea.dev/sdk, over code.gitea.io/sdk/gitea. The test servers never
// migrate a repository, so only what that code names is here; each call goes
// through to the real SDK all the same.
package sdk

import (
	"context"

	v0 "code.gitea.io/sdk/gitea"
)

// The values that cross the boundary are the older SDK's own.
type (
	Attachment          = v0.Attachment
	Comment             = v0.Comment
	GlobalAPISettings   = v0.GlobalAPISettings
	Issue               = v0.Issue
	Label               = v0.Label
	Milestone           = v0.Milestone
	PullRequest         = v0.PullRequest
	PullReview          = v0.PullReview
	PullReviewComment   = v0.PullReviewComment
	Reaction            = v0.Reaction
	Release             = v0.Release
	Repository          = v0.Repository
	Response            = v0.Response
	ClientOption        = v0.ClientOption
	ListOptions         = v0.ListOptions
	ListIssueOption     = v0.ListIssueOption
	ListLabelsOptions   = v0.ListLabelsOptions
	ListMilestoneOption = v0.ListMilestoneOption

	ListIssueCommentOptions   = v0.ListIssueCommentOptions
	ListIssueReactionsOptions = v0.ListIssueReactionsOptions
	ListPullRequestsOptions   = v0.ListPullRequestsOptions
	ListPullReviewsOptions    = v0.ListPullReviewsOptions
	ListReleasesOptions       = v0.ListReleasesOptions
	ListRepoTopicsOptions     = v0.ListRepoTopicsOptions
)

// The filters that migrations ask for.
const (
	StateAll       = v0.StateAll
	IssueTypeIssue = v0.IssueTypeIssue
)

// Client groups the calls by subject, as gitea.dev/sdk does.
type Client struct {
	Repositories Repositories
	Issues       Issues
	PullRequests PullRequests
	Releases     Releases
	Settings     Settings

	session session
}

// The groups of calls; each shares the client's one session.
type (
	Repositories struct{ session }
	Issues       struct{ session }
	PullRequests struct{ session }
	Releases     struct{ session }
	Settings     struct{ session }
)

// session lends the older client out for one call. That client stores its
// context, so calls of one Client must not overlap; a migration makes them one
// after another.
type session struct{ client *v0.Client }

// NewClient connects to the Gitea at the base address.
func NewClient(base string, options ...ClientOption) (*Client, error) {
	older, err := v0.NewClient(base, options...)
	if err != nil {
		return nil, err
	}
	s := session{client: older}
	return &Client{
		Repositories: Repositories{s},
		Issues:       Issues{s},
		PullRequests: PullRequests{s},
		Releases:     Releases{s},
		Settings:     Settings{s},
		session:      s,
	}, nil
}

// The ways to authenticate and to bring an HTTP client.
var (
	SetToken      = v0.SetToken
	SetBasicAuth  = v0.SetBasicAuth
	SetHTTPClient = v0.SetHTTPClient
)

// CheckServerVersionConstraint returns an error unless the server's version fits.
func (c *Client) CheckServerVersionConstraint(ctx context.Context, constraint string) error {
	return c.session.in(ctx).CheckServerVersionConstraint(constraint)
}

func (s Settings) GetGlobalAPISettings(ctx context.Context) (*GlobalAPISettings, *Response, error) {
	return s.in(ctx).GetGlobalAPISettings()
}

func (r Repositories) GetRepo(ctx context.Context, owner, name string) (*Repository, *Response, error) {
	return r.in(ctx).GetRepo(owner, name)
}

func (r Repositories) ListRepoTopics(ctx context.Context, owner, name string, o ListRepoTopicsOptions) ([]string, *Response, error) {
	return r.in(ctx).ListRepoTopics(owner, name, o)
}

func (r Repositories) ListRepoLabels(ctx context.Context, owner, name string, o ListLabelsOptions) ([]*Label, *Response, error) {
	return r.in(ctx).ListRepoLabels(owner, name, o)
}

func (r Repositories) ListMilestones(ctx context.Context, owner, name string, o ListMilestoneOption) ([]*Milestone, *Response, error) {
	return r.in(ctx).ListRepoMilestones(owner, name, o)
}

func (i Issues) ListRepoIssues(ctx context.Context, owner, name string, o ListIssueOption) ([]*Issue, *Response, error) {
	return i.in(ctx).ListRepoIssues(owner, name, o)
}

func (i Issues) ListIssueComments(ctx context.Context, owner, name string, index int64, o ListIssueCommentOptions) ([]*Comment, *Response, error) {
	return i.in(ctx).ListIssueComments(owner, name, index, o)
}

func (i Issues) ListIssueReactions(ctx context.Context, owner, name string, index int64, o ListIssueReactionsOptions) ([]*Reaction, *Response, error) {
	return i.in(ctx).ListIssueReactions(owner, name, index, o)
}

func (i Issues) GetIssueCommentReactions(ctx context.Context, owner, name string, comment int64) ([]*Reaction, *Response, error) {
	return i.in(ctx).GetIssueCommentReactions(owner, name, comment)
}

func (p PullRequests) ListRepoPullRequests(ctx context.Context, owner, name string, o ListPullRequestsOptions) ([]*PullRequest, *Response, error) {
	return p.in(ctx).ListRepoPullRequests(owner, name, o)
}

func (p PullRequests) ListPullReviews(ctx context.Context, owner, name string, index int64, o ListPullReviewsOptions) ([]*PullReview, *Response, error) {
	return p.in(ctx).ListPullReviews(owner, name, index, o)
}

func (p PullRequests) ListPullReviewComments(ctx context.Context, owner, name string, index, review int64) ([]*PullReviewComment, *Response, error) {
	return p.in(ctx).ListPullReviewComments(owner, name, index, review)
}

func (r Releases) ListReleases(ctx context.Context, owner, name string, o ListReleasesOptions) ([]*Release, *Response, error) {
	return r.in(ctx).ListReleases(owner, name, o)
}

func (r Releases) GetReleaseAttachment(ctx context.Context, owner, name string, release, id int64) (*Attachment, *Response, error) {
	return r.in(ctx).GetReleaseAttachment(owner, name, release, id)
}

func (s session) in(ctx context.Context) *v0.Client {
	s.client.SetContext(ctx)
	return s.client
}
