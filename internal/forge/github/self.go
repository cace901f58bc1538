package github

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	sdk "github.com/google/go-github/v62/github"

	"slipway/internal/fault"
)

// account is the bot's own.
type account struct {
	login string
	id    int64
}

// Self is the name and the e-mail address by which the server knows the bot, so
// that a commit written under them is known to be its own: the placeholder
// address, which belongs to it whatever else it shows. A token of another
// account is fault.Permanent.
func (c *Client) Self(ctx context.Context) (name, email string, err error) {
	self, err := c.account(ctx)
	if err != nil {
		return "", "", fmt.Errorf("read the account of %s: %w", c.login, sorted(err))
	}
	return self.login, strconv.FormatInt(self.id, 10) + "+" + self.login + "@" + c.noreply, nil
}

func (c *Client) account(ctx context.Context) (account, error) {
	c.mu.Lock()
	known := c.self
	c.mu.Unlock()
	if known != nil {
		return *known, nil
	}
	user, err := c.readSelf(ctx)
	if err != nil {
		return account{}, err
	}
	if !strings.EqualFold(user.GetLogin(), c.login) {
		return account{}, fault.AsPermanent(fmt.Errorf("the token is that of %s", user.GetLogin()))
	}
	self := account{login: user.GetLogin(), id: user.GetID()}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.self = &self
	return self, nil
}

// readSelf asks who the token belongs to. The token of an App's installation
// cannot be asked that; the App itself can.
func (c *Client) readSelf(ctx context.Context) (*sdk.User, error) {
	if c.app == nil {
		user, _, err := c.sdk.Users.Get(ctx, "")
		return user, err
	}
	app, _, err := c.app.Apps.Get(ctx, "")
	if err != nil {
		return nil, err
	}
	user, _, err := c.sdk.Users.Get(ctx, url.PathEscape(app.GetSlug()+"[bot]"))
	return user, err
}
