// Package github speaks to one GitHub, github.com or an Enterprise Server: it
// reads pull requests, reviews, checks, tags and files as the facts that the
// gate and the reconciler judge, makes the few writes they ask for, and turns
// webhook deliveries into hints. It decides nothing, remembers answers only as
// far as the server confirms them or the caller allows, and never repeats a
// write: after a failed one the caller observes.
package github

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	sdk "github.com/google/go-github/v62/github"

	"slipway/internal/reconcile"
)

// Config says which GitHub, as whom, and who wants to know about it.
type Config struct {
	// URL of the API: https://api.github.com if empty, https://HOST/api/v3 for an
	// Enterprise Server. It carries no credentials.
	URL string
	// Login is the bot's own, SLUG[bot] for an App; pull requests opened by it
	// are Slipway's.
	Login string
	// Token returns a personal access token. It is asked before every call, so
	// that a renewed one is used at once. Exactly one of Token and App is set.
	Token func() (string, error)
	App   *App
	// HTTPClient lends its Transport; nil means a new one.
	HTTPClient *http.Client
	// Timeout of one call with its answer, not counting what it waits before;
	// 30 s if zero.
	Timeout time.Duration
	// Patience is how long a call waits for its turn under a rate limit, if its
	// context allows as much; 10 s if zero. Beyond that it fails with the time
	// when it may be made.
	Patience time.Duration
	// Spacing between two writes; 1 s, as GitHub asks, if zero.
	Spacing time.Duration
	// Memory bounds the answers that are remembered, in bytes; 64 MiB if zero.
	Memory int
	// OnCall is told of every call: the route has a * for each name, number and
	// commit; status is 0 when there was no answer, and 304 for one that was
	// remembered and is still right, which costs nothing of the rate limit.
	OnCall func(method, route string, status int, took time.Duration)
	// OnUnread is told why a fact of an otherwise good answer is unknown. Like
	// OnCall it may be called by several goroutines at once.
	OnUnread func(error)
}

// App is a GitHub App as it is installed for one owner.
type App struct {
	ID           int64
	Installation int64
	// PrivateKey returns the App's RSA key in PEM. It is asked once, by New.
	PrivateKey func() (string, error)
	// Repositories are the names, without owner, that tokens are limited to;
	// empty means all that the installation has.
	Repositories []string
}

// Client is a GitHub as the reconciler's forge. It is safe for concurrent use.
type Client struct {
	login    string
	noreply  string // the host of placeholder addresses
	site     string // where people and git find the repositories
	token    func(context.Context) (string, error)
	sdk      *sdk.Client
	app      *sdk.Client // signs as the App itself; nil with a token
	onUnread func(error)
	labels   labellings

	mu    sync.Mutex
	self  *account             // once read
	green map[posted]time.Time // the gate's successes of late, and when they were posted
}

var _ reconcile.Forge = (*Client)(nil)

const (
	publicURL       = "https://api.github.com"
	defaultTimeout  = 30 * time.Second
	defaultPatience = 10 * time.Second
	defaultSpacing  = time.Second
	defaultMemory   = 64 << 20
	// together bounds how many calls of one look are made at a time.
	together = 4
)

// New returns a client. It makes no call.
func New(c Config) (*Client, error) {
	if c.URL == "" {
		c.URL = publicURL
	}
	base, err := url.Parse(strings.TrimRight(c.URL, "/") + "/")
	switch {
	case err != nil:
		return nil, errors.New("the URL of the GitHub API cannot be read") // url.Parse repeats it, with what may stand in it
	case base.Scheme != "http" && base.Scheme != "https", base.Host == "":
		return nil, errors.New("the URL of the GitHub API must begin with http:// or https:// and name a host")
	case base.User != nil:
		return nil, errors.New("the URL of the GitHub API must not carry credentials: give the token by itself")
	case base.RawQuery != "" || base.Fragment != "":
		return nil, errors.New("the URL of the GitHub API must end with its path")
	case c.Login == "":
		return nil, errors.New("the login of the bot on GitHub is missing")
	case (c.Token == nil) == (c.App == nil):
		return nil, errors.New("GitHub wants either a token or an App")
	}
	c = withDefaults(c)
	line := &wire{site: base, timeout: c.Timeout, next: transport(c.HTTPClient), words: words(), onCall: c.OnCall}
	client := &Client{
		login:    c.Login,
		noreply:  "users.noreply." + strings.TrimPrefix(base.Hostname(), "api."),
		onUnread: c.OnUnread,
		green:    map[posted]time.Time{},
	}
	token := plain(c.Token)
	if c.App != nil {
		signer, renewed, err := installed(*c.App, line, base)
		if err != nil {
			return nil, err
		}
		client.app, token = toSDK(base, signer), renewed
	}
	client.site, client.token = siteOf(base), token
	client.sdk = toSDK(base, &carrier{
		token:  token,
		next:   line,
		limits: &limits{patience: c.Patience, spacing: c.Spacing},
		memory: newMemory(c.Memory),
	})
	return client, nil
}

func withDefaults(c Config) Config {
	if c.Timeout <= 0 {
		c.Timeout = defaultTimeout
	}
	if c.Patience <= 0 {
		c.Patience = defaultPatience
	}
	if c.Spacing <= 0 {
		c.Spacing = defaultSpacing
	}
	if c.Memory <= 0 {
		c.Memory = defaultMemory
	}
	if c.OnUnread == nil {
		c.OnUnread = func(error) {}
	}
	if c.OnCall == nil {
		c.OnCall = func(string, string, int, time.Duration) {}
	}
	return c
}

// toSDK returns the official client over a transport. GitHub redirects for a
// repository of another name, which is another identity, and for what has moved
// elsewhere, which is no place for the token. Neither is followed: the answer
// is then an error.
func toSDK(base *url.URL, over http.RoundTripper) *sdk.Client {
	client := sdk.NewClient(&http.Client{
		Transport:     over,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	})
	client.BaseURL, client.UploadURL = base, base
	client.UserAgent = "slipway"
	return client
}

// plain is a token that somebody else looks after.
func plain(token func() (string, error)) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return token() }
}
