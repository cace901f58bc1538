package github

import (
	"context"
	"net/url"
	"strings"
)

// Site is where people and git find the repositories, without a slash at the
// end: the API of github.com has a host of its own, that of an Enterprise
// Server a path.
func (c *Client) Site() string { return c.site }

// GitToken is the token with which git fetches and pushes, as the user
// x-access-token. An installation's is renewed before it ends.
func (c *Client) GitToken(ctx context.Context) (string, error) { return c.token(ctx) }

func siteOf(api *url.URL) string {
	site := *api
	site.Host = strings.TrimPrefix(site.Host, "api.")
	site.Path = strings.TrimSuffix(strings.TrimRight(site.Path, "/"), "/api/v3")
	return strings.TrimRight(site.String(), "/")
}
