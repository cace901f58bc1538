package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/bradleyfalzon/ghinstallation/v2"
	sdk "github.com/google/go-github/v62/github"

	"slipway/internal/fault"
)

// installed gives the two ways in which an App speaks: signing as itself, and
// with a token of its installation, which is renewed a minute before it ends.
func installed(a App, line http.RoundTripper, base *url.URL) (signer http.RoundTripper, token func(context.Context) (string, error), err error) {
	if a.ID <= 0 || a.Installation <= 0 || a.PrivateKey == nil {
		return nil, nil, errors.New("the GitHub App wants its id, its installation's id and its private key")
	}
	key, err := a.PrivateKey()
	if err != nil {
		return nil, nil, fmt.Errorf("get the private key of the GitHub App: %w", err)
	}
	app, err := ghinstallation.NewAppsTransport(line, a.ID, []byte(key))
	if err != nil {
		return nil, nil, errors.New("the private key of the GitHub App is not an RSA key in PEM") // err may hold some of it
	}
	app.BaseURL = strings.TrimRight(base.String(), "/")
	installation := ghinstallation.NewFromAppsTransport(app, a.Installation)
	// Never nil: the library would send the word null.
	installation.InstallationTokenOptions = &sdk.InstallationTokenOptions{Repositories: a.Repositories}
	return app, func(ctx context.Context) (string, error) {
		token, err := installation.Token(ctx)
		return token, sortedToken(err)
	}, nil
}

// sortedToken sorts the refusal of an installation token. The library reads the
// answer only when it is good.
func sortedToken(err error) error {
	var refused *ghinstallation.HTTPError
	if !errors.As(err, &refused) || refused.Response == nil {
		return err
	}
	response := refused.Response
	defer response.Body.Close()
	if until, limited := refusedUntil(response, 0); limited {
		return fault.NotBefore(err, until)
	}
	return sorted(&refusal{status: response.StatusCode, text: "no installation token: " + textOf(response)})
}
