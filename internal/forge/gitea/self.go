package gitea

import (
	"context"
	"fmt"
	"strings"

	"slipway/internal/fault"
)

// Self is the name and the e-mail address by which the server knows the bot, so
// that a commit written under them is known to be its own. A token of another
// account is fault.Permanent.
func (c *Client) Self(ctx context.Context) (name, email string, err error) {
	client, err := c.sdk(ctx)
	if err != nil {
		return "", "", err
	}
	user, response, err := client.GetMyUserInfo()
	if err != nil {
		return "", "", fmt.Errorf("read the account of %s: %w", c.login, sorted(refused(response, err)))
	}
	if !strings.EqualFold(user.UserName, c.login) {
		return "", "", fault.AsPermanent(fmt.Errorf("the token for %s is that of %s", c.login, user.UserName))
	}
	return user.UserName, user.Email, nil
}
