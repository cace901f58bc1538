package gitea

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	sdk "code.gitea.io/sdk/gitea"

	"slipway/internal/fault"
	"slipway/internal/ref"
)

// refusal is an answer that is not a success.
type refusal struct {
	status int
	text   string // what the server says
	to     string // the name that the repository has now, if that is why
}

// Error gives the status and what the server says.
func (r *refusal) Error() string {
	if r.to != "" {
		return strconv.Itoa(r.status) + " it is " + r.to + " now"
	}
	if r.text == "" {
		return strconv.Itoa(r.status) + " " + http.StatusText(r.status)
	}
	return strconv.Itoa(r.status) + " " + r.text
}

const (
	pageSize  = 50 // the most that a server gives by default
	pageLimit = 40 // pages of one list
	textLimit = 500
)

// call makes a call that the SDK lacks. The path begins after /api/v1; in is
// sent and out filled as JSON, and both may be nil.
func (c *Client) call(ctx context.Context, method, path string, in, out any) (*sdk.Response, error) {
	var body io.Reader
	if in != nil {
		encoded, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.base+"/api/v1"+path, body)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	wrapped := &sdk.Response{Response: response}
	data, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode/100 != 2 {
		return wrapped, &refusal{status: response.StatusCode, text: message(data), to: renamed(response)}
	}
	if out == nil {
		return wrapped, nil
	}
	return wrapped, json.Unmarshal(data, out)
}

// refused turns what the SDK returns into an error that knows its status.
func refused(response *sdk.Response, err error) error {
	var r *refusal
	if err == nil || errors.As(err, &r) || response == nil || response.Response == nil || response.StatusCode/100 == 2 {
		return err
	}
	return &refusal{status: response.StatusCode, text: oneLine(err.Error()), to: renamed(response.Response)}
}

// sorted marks an error by what its status asks for; without a status it stays
// what it is, to be tried later.
func sorted(err error) error {
	var r *refusal
	if errors.As(err, &r) && r.to != "" {
		return fault.Moved(err, r.to)
	}
	switch s := status(err); {
	case s == 0, s >= 500, s == http.StatusTooManyRequests, s == http.StatusRequestTimeout, s == http.StatusTooEarly:
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
	if errors.As(err, &r) {
		return r.status
	}
	return 0
}

// pages reads a whole list. Not every list tells whether a page follows, some
// leave out what the reader may not see, and a server may give less at a time
// than it was asked for: a list is whole once as many rows were seen as there
// are, or once the pages read would hold them all, were each only as long as
// the longest seen.
func pages[T any](read func(sdk.ListOptions) ([]T, *sdk.Response, error)) ([]T, error) {
	var all []T
	longest := 1
	for page := 1; page <= pageLimit; page++ {
		rows, response, err := read(sdk.ListOptions{Page: page, PageSize: pageSize})
		if err != nil {
			return nil, refused(response, err)
		}
		total, err := strconv.Atoi(response.Header.Get("X-Total-Count"))
		if err != nil {
			return nil, errors.New("the server does not say how long the list is")
		}
		all = append(all, rows...)
		longest = max(longest, len(rows))
		if len(all) >= total || page*longest >= total {
			return all, nil
		}
	}
	return nil, fault.AsPermanent(fmt.Errorf("the list has more than %d pages", pageLimit))
}

// absent says whether err means that the thing is not there. A repository that
// cannot be seen answers 404 to everything, so it is looked at too.
func (c *Client) absent(ctx context.Context, repo ref.RepoID, err error) bool {
	if status(err) != http.StatusNotFound {
		return false
	}
	_, err = c.call(ctx, http.MethodGet, repoPath(repo), nil, nil)
	return err == nil
}

// renamed is the repository that an answer leads to, if it is another than the
// one that was asked about. A site that has moved keeps its repositories' names.
func renamed(response *http.Response) string {
	if response.StatusCode/100 != 3 || response.Request == nil {
		return ""
	}
	to, err := response.Location()
	if err != nil {
		return ""
	}
	if name := repoIn(to.Path); name != repoIn(response.Request.URL.Path) {
		return name
	}
	return ""
}

// repoIn is the repository that a path of the API is about; "" for none.
func repoIn(path string) string {
	_, rest, _ := strings.Cut(path, "/api/v1/repos/")
	parts := strings.SplitN(rest, "/", 3)
	if len(parts) < 2 {
		return ""
	}
	id, err := ref.ParseRepo(parts[0] + "/" + parts[1])
	if err != nil {
		return ""
	}
	return id.String()
}

func repoPath(repo ref.RepoID, more ...string) string {
	path := "/repos/" + url.PathEscape(repo.Owner) + "/" + url.PathEscape(repo.Name)
	for _, m := range more {
		path += "/" + url.PathEscape(m)
	}
	return path
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
