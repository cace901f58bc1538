// Package gitea speaks to one Gitea (1.26 or newer): it reads pull requests,
// reviews, checks, tags and files as the facts that the gate and the reconciler
// judge, makes the few writes they ask for, and turns webhook deliveries into
// hints. It decides nothing, remembers nothing that matters, and never retries:
// after a failed write the caller observes.
package gitea

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	sdk "code.gitea.io/sdk/gitea"

	"slipway/internal/reconcile"
)

// Config says which Gitea, as whom, and who wants to know about it.
type Config struct {
	// URL of the site, such as https://git.example. It carries no credentials.
	URL string
	// Login is the bot's own; pull requests opened by it are Slipway's.
	Login string
	// Token returns the bot's access token. It is asked before every call, so
	// that a renewed one is used at once.
	Token func() (string, error)
	// HTTPClient lends its Transport; nil means a new one.
	HTTPClient *http.Client
	// Timeout of one call with its answer; 30 s if zero.
	Timeout time.Duration
	// WorkflowDirs are where CI workflows are defined, in the server's order of
	// preference (its WORKFLOW_DIRS); .gitea/workflows and .github/workflows if
	// empty.
	WorkflowDirs []string
	// OnCall is told of every call: the route has a * for each name, number and
	// commit; status is 0 when there was no answer.
	OnCall func(method, route string, status int, took time.Duration)
	// OnUnread is told why a fact of an otherwise good answer is unknown. Like
	// OnCall it may be called by several goroutines at once.
	OnUnread func(error)
}

// Client is a Gitea as the reconciler's forge. It is safe for concurrent use.
type Client struct {
	base     string // without a slash at its end
	login    string
	http     *http.Client
	dirs     []string
	onUnread func(error)
	settling settling
	memory   memory // of pull requests
	teams    recent // who is in a team
	mayWrite recent // who may write to a repository
	labels   labellings
}

var _ reconcile.Forge = (*Client)(nil)

const (
	defaultTimeout = 30 * time.Second
	// together bounds how many calls of one look are made at a time.
	together = 4
)

// New returns a client. It makes no call.
func New(c Config) (*Client, error) {
	site, err := url.Parse(c.URL)
	switch {
	case err != nil:
		return nil, errors.New("the URL of the Gitea cannot be read") // url.Parse repeats it, with what may stand in it
	case site.Scheme != "http" && site.Scheme != "https", site.Host == "":
		return nil, errors.New("the URL of the Gitea must begin with http:// or https:// and name a host")
	case site.User != nil:
		return nil, errors.New("the URL of the Gitea must not carry credentials: give the token by itself")
	case site.RawQuery != "" || site.Fragment != "":
		return nil, errors.New("the URL of the Gitea must end with its path")
	case c.Login == "":
		return nil, errors.New("the login of the bot on the Gitea is missing")
	case c.Token == nil:
		return nil, errors.New("the token for the Gitea is missing")
	}
	if c.Timeout <= 0 {
		c.Timeout = defaultTimeout
	}
	if len(c.WorkflowDirs) == 0 {
		c.WorkflowDirs = []string{".gitea/workflows", ".github/workflows"}
	}
	if c.OnUnread == nil {
		c.OnUnread = func(error) {}
	}
	if c.OnCall == nil {
		c.OnCall = func(string, string, int, time.Duration) {}
	}
	return &Client{
		base:     strings.TrimRight(c.URL, "/"),
		login:    c.Login,
		dirs:     c.WorkflowDirs,
		onUnread: c.OnUnread,
		settling: settling{after: settleAfter},
		http: &http.Client{
			Timeout:   c.Timeout,
			Transport: &carrier{site: site, token: c.Token, next: transport(c.HTTPClient), onCall: c.OnCall},
			// The API redirects only for a repository of another name, which is
			// another identity, or for a site that has moved, which is no place
			// for the token. Neither is followed: the answer is then an error.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// sdk returns the official client for the calls of one ctx, which it stores.
func (c *Client) sdk(ctx context.Context) (*sdk.Client, error) {
	client, err := sdk.NewClient(c.base, sdk.SetHTTPClient(c.http), sdk.SetContext(ctx),
		sdk.SetGiteaVersion("")) // or it would ask for the version each time
	if err != nil {
		return nil, fmt.Errorf("make the client: %w", err)
	}
	return client, nil
}
