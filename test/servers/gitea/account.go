package gitea

import (
	"context"
	"fmt"
	"slices"
	"strings"

	sdk "code.gitea.io/sdk/gitea"
)

// Account is one identity on the server.
type Account struct {
	Login    string
	Email    string
	Password string // empty for a bot, which has none
	Token    string // an access token, if one was made
}

// Kind says what sort of identity an account is.
type Kind string

// The kinds of account. A bot cannot sign in: it has tokens only.
const (
	Person Kind = "individual"
	Bot    Kind = "bot"
)

// mailDomain is where the accounts' addresses are: a name nobody can own.
const mailDomain = "slipway.invalid"

// CreateUser makes an account without a token. Its e-mail address is
// login@slipway.invalid.
func (s *Server) CreateUser(ctx context.Context, login string, kind Kind) (Account, error) {
	a := Account{Login: login, Email: login + "@" + mailDomain}
	if kind == Bot {
		// The API makes no bots.
		_, err := s.command(ctx, "admin", "user", "create", "--user-type", string(Bot),
			"--username", a.Login, "--email", a.Email)
		if err != nil {
			return Account{}, fmt.Errorf("create the bot %s: %w", login, err)
		}
		return a, nil
	}
	a.Password = secret()
	mustChange := false
	err := s.asAdmin(ctx, func(c *sdk.Client) (*sdk.Response, error) {
		_, response, err := c.AdminCreateUser(sdk.CreateUserOption{
			Username:           a.Login,
			Email:              a.Email,
			Password:           a.Password,
			MustChangePassword: &mustChange,
		})
		return response, err
	})
	if err != nil {
		return Account{}, fmt.Errorf("create the user %s: %w", login, err)
	}
	return a, nil
}

// Token makes an access token with the given scopes, such as
// "write:repository"; none means "all".
func (s *Server) Token(ctx context.Context, a Account, scopes ...string) (string, error) {
	if len(scopes) == 0 {
		scopes = []string{"all"}
	}
	name := "token-" + secret()[:12]
	if a.Password == "" {
		out, err := s.command(ctx, "admin", "user", "generate-access-token", "--raw",
			"--username", a.Login, "--token-name", name, "--scopes", strings.Join(scopes, ","))
		if err != nil {
			return "", fmt.Errorf("make a token for %s: %w", a.Login, err)
		}
		return strings.TrimSpace(out), nil
	}
	client, err := s.ClientOf(ctx, a)
	if err != nil {
		return "", err
	}
	option := sdk.CreateAccessTokenOption{Name: name}
	for _, scope := range scopes {
		option.Scopes = append(option.Scopes, sdk.AccessTokenScope(scope))
	}
	token, _, err := client.CreateAccessToken(option)
	if err != nil {
		return "", fmt.Errorf("make a token for %s: %w", a.Login, err)
	}
	if slices.Contains(scopes, "all") {
		s.keep(a, token.Token)
	}
	return token.Token, nil
}

// createAdmin makes the site's administrator with the server's own command,
// because the API needs one to begin with.
func (s *Server) createAdmin(ctx context.Context) (Account, error) {
	a := Account{Login: "site-admin", Email: "site-admin@" + mailDomain, Password: secret()}
	out, err := s.command(ctx, "admin", "user", "create", "--admin", "--must-change-password=false",
		"--username", a.Login, "--email", a.Email, "--password", a.Password,
		"--access-token", "--access-token-name", "setup", "--access-token-scopes", "all")
	if err != nil {
		return Account{}, fmt.Errorf("create the administrator: %w", err)
	}
	_, token, found := strings.Cut(out, "successfully created... ")
	if !found {
		return Account{}, fmt.Errorf("create the administrator: no token in %q", out)
	}
	a.Token = strings.TrimSpace(token)
	s.keep(a, a.Token)
	return a, nil
}
