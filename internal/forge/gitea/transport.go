package gitea

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"slipway/internal/fault"
)

// carrier carries every call: it adds the token for the one site it belongs to,
// limits what is read, and tells of the call.
type carrier struct {
	site   *url.URL
	token  func() (string, error)
	next   http.RoundTripper
	onCall func(method, route string, status int, took time.Duration)
}

// answerLimit bounds one answer in bytes. The largest that is wanted is a file
// of 1 MiB in base64, or a page of fifty pull requests with their texts.
const answerLimit = 16 << 20

// refusalLimit bounds what is read of an answer that is not a success, in bytes.
const refusalLimit = 64 << 10

// RoundTrip makes one call.
func (c *carrier) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.URL.Scheme != c.site.Scheme || request.URL.Host != c.site.Host {
		return nil, fault.AsPermanent(fmt.Errorf("refused to call %s, which is not the configured Gitea", request.URL.Host))
	}
	token, err := c.token()
	if err != nil {
		return nil, fmt.Errorf("get the token: %w", err)
	}
	token = strings.TrimSpace(token)
	if token == "" {
		return nil, errors.New("get the token: it is empty")
	}
	request = request.Clone(request.Context())
	request.Header.Set("Authorization", "token "+token)
	request.Header.Set("User-Agent", "slipway")
	begun := time.Now()
	response, err := c.next.RoundTrip(request)
	took := time.Since(begun)
	if err != nil {
		c.onCall(request.Method, route(request.URL.Path), 0, took)
		return nil, err
	}
	c.onCall(request.Method, route(request.URL.Path), response.StatusCode, took)
	if response.StatusCode/100 != 2 {
		return response, redact(response, token)
	}
	response.Body = &limited{ReadCloser: response.Body, left: answerLimit}
	return response, nil
}

// redact takes the token out of a refusal, whose text goes into errors: a proxy
// may answer with the headers that it was sent.
func redact(response *http.Response, token string) error {
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, refusalLimit))
	if err != nil {
		return fmt.Errorf("read the refusal (%s): %w", response.Status, err)
	}
	text = bytes.ReplaceAll(text, []byte(token), []byte("[redacted]"))
	response.Body = io.NopCloser(bytes.NewReader(text))
	return nil
}

// limited is a body that fails, rather than ends, at its limit: half an answer
// must not pass for a whole one.
type limited struct {
	io.ReadCloser
	left int
}

func (l *limited) Read(p []byte) (int, error) {
	n, err := l.ReadCloser.Read(p[:min(len(p), l.left+1)])
	if n > l.left {
		return 0, fault.AsPermanent(fmt.Errorf("the answer is longer than %d bytes", answerLimit))
	}
	l.left -= n
	return n, err
}

// transport is the lent one, or a new one that keeps a look's connections.
func transport(lent *http.Client) http.RoundTripper {
	if lent != nil && lent.Transport != nil {
		return lent.Transport
	}
	own := http.DefaultTransport.(*http.Transport).Clone()
	own.MaxIdleConnsPerHost = 2 * together
	return own
}

// route is the path with a * in place of every name, number and commit, so that
// it has few values and names nobody.
func route(path string) string {
	_, path, _ = strings.Cut(path, "/api/v1/")
	segments := strings.Split(path, "/")
	for i, s := range segments {
		_, fixed := words[s]
		named := segments[0] == "repos" && (i == 1 || i == 2)
		if !fixed || named {
			segments[i] = "*"
			continue
		}
		if s == "contents-ext" || s == "branches" {
			segments = append(segments[:i+1], "*") // whatever follows is one name
			break
		}
	}
	return strings.Join(segments, "/")
}

// words are the fixed segments of the routes that are called.
var words = map[string]struct{}{
	"repos": {}, "pulls": {}, "commits": {}, "reviews": {}, "files": {}, "merge": {}, "statuses": {},
	"actions": {}, "runs": {}, "jobs": {}, "branch_protections": {}, "branches": {}, "collaborators": {},
	"permission": {}, "teams": {}, "members": {}, "contents-ext": {}, "tags": {}, "git": {}, "releases": {},
	"issues": {}, "comments": {}, "timeline": {}, "reactions": {}, "activities": {}, "feeds": {},
	"reviewers": {}, "orgs": {},
}
