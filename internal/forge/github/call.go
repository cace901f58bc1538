package github

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	sdk "github.com/google/go-github/v62/github"

	"slipway/internal/fault"
	"slipway/internal/ref"
)

// refusal is an answer that is not a success.
type refusal struct {
	status int
	text   string // what the server says
}

// Error gives the status and what the server says.
func (r *refusal) Error() string {
	if r.text == "" {
		return strconv.Itoa(r.status) + " " + http.StatusText(r.status)
	}
	return strconv.Itoa(r.status) + " " + r.text
}

const (
	pageSize  = 100 // the most that GitHub gives
	pageLimit = 40  // pages of one list
	textLimit = 500
)

// get reads what the SDK has no fields for. The path begins after the base URL,
// without a slash.
func (c *Client) get(ctx context.Context, path string, out any) (*sdk.Response, error) {
	request, err := c.sdk.NewRequest(http.MethodGet, path, nil)
	if err != nil {
		return nil, err
	}
	return c.sdk.Do(ctx, request, out)
}

// refused turns what the SDK returns into an error that knows its status.
func refused(err error) error {
	var (
		answer *sdk.ErrorResponse
		otp    *sdk.TwoFactorAuthError
		soon   *sdk.AcceptedError
	)
	switch {
	case errors.As(err, &answer) && answer.Response != nil:
		return &refusal{status: answer.Response.StatusCode, text: said(answer.Message, answer.Errors)}
	case errors.As(err, &otp) && otp.Response != nil:
		return &refusal{status: otp.Response.StatusCode, text: said(otp.Message, otp.Errors)}
	case errors.As(err, &soon):
		return &refusal{status: http.StatusAccepted, text: "it is not ready yet"}
	default:
		return err
	}
}

// sorted marks an error by what its status asks for; without a status it stays
// what it is, to be tried later.
func sorted(err error) error {
	err = refused(err)
	if _, known := fault.When(err); known {
		return err // a rate limit
	}
	switch s := status(err); {
	case s == 0, s >= 500, s == http.StatusAccepted, s == http.StatusTooManyRequests, s == http.StatusRequestTimeout, s == http.StatusTooEarly:
		return err
	case s == http.StatusConflict, s == http.StatusPreconditionFailed:
		return fault.AsChanged(err)
	default:
		return fault.AsPermanent(err)
	}
}

// status is that of a refusal, or 0.
func status(err error) int {
	var r *refusal
	if errors.As(refused(err), &r) {
		return r.status
	}
	return 0
}

// pages reads a whole list, for as long as the server names a next page.
func pages[T any](read func(sdk.ListOptions) ([]T, *sdk.Response, error)) ([]T, error) {
	var all []T
	options := sdk.ListOptions{PerPage: pageSize}
	for range pageLimit {
		rows, response, err := read(options)
		if err != nil {
			return nil, refused(err)
		}
		all = append(all, rows...)
		if response.NextPage == 0 {
			return all, nil
		}
		if response.NextPage <= options.Page {
			return nil, errors.New("the server names a page as the next that was read already")
		}
		options.Page = response.NextPage
	}
	return nil, fault.AsPermanent(fmt.Errorf("the list has more than %d pages", pageLimit))
}

// counted checks that a list which says how long it is was read to its end.
func counted(what string, have, total int) error {
	if have < total {
		return fmt.Errorf("%s: the server gave %d of %d", what, have, total)
	}
	return nil
}

// absent says whether err means that the thing is not there. A repository that
// cannot be seen answers 404 to everything, so it is looked at too.
func (c *Client) absent(ctx context.Context, repo ref.RepoID, err error) bool {
	if status(err) != http.StatusNotFound {
		return false
	}
	_, _, err = c.sdk.Repositories.Get(ctx, repo.Owner, repo.Name)
	return err == nil
}

func repoPath(repo ref.RepoID, more ...string) string {
	path := "repos/" + url.PathEscape(repo.Owner) + "/" + url.PathEscape(repo.Name)
	for _, m := range more {
		path += "/" + url.PathEscape(m)
	}
	return path
}

// query is a path with a page of a list, and more.
func query(path string, o sdk.ListOptions, more url.Values) string {
	values := url.Values{"per_page": {strconv.Itoa(o.PerPage)}}
	if o.Page > 0 {
		values.Set("page", strconv.Itoa(o.Page))
	}
	for key, value := range more {
		values[key] = value
	}
	return path + "?" + values.Encode()
}

// said joins the sentences of a refusal.
func said(message string, details []sdk.Error) string {
	for _, d := range details {
		switch {
		case d.Message != "":
			message += "; " + d.Message
		case d.Code != "":
			message += "; " + strings.TrimSpace(d.Field+" "+d.Code)
		}
	}
	return oneLine(message)
}

// message takes the sentence out of an error's body.
func message(body []byte) string {
	var m struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(body, &m) == nil && m.Message != "" {
		return oneLine(m.Message)
	}
	return oneLine(string(body))
}

func oneLine(s string) string {
	return cut(strings.Join(strings.Fields(s), " "), textLimit)
}

// cut shortens s to n characters.
func cut(s string, n int) string {
	runes := []rune(s)
	if len(runes) <= n {
		return s
	}
	return string(runes[:n-1]) + "…"
}
