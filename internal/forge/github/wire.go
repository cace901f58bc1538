package github

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"slipway/internal/fault"
)

// wire makes one call to the one site there is: it bounds its time and what is
// read, and tells of it. What it returns is read already.
type wire struct {
	site    *url.URL
	timeout time.Duration
	next    http.RoundTripper
	words   map[string]bool // of words()
	onCall  func(method, route string, status int, took time.Duration)
}

// answerLimit bounds one answer in bytes. The largest that is wanted is a page
// of a hundred pull requests or commits with their texts.
const answerLimit = 32 << 20

// refusalLimit bounds what is read of an answer that is not a success, in bytes.
const refusalLimit = 64 << 10

// RoundTrip makes one call.
func (w *wire) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.URL.Scheme != w.site.Scheme || request.URL.Host != w.site.Host || !strings.HasPrefix(request.URL.Path, w.site.Path) {
		closeBody(request)
		return nil, fault.AsPermanent(fmt.Errorf("refused to call %s, which is not the configured GitHub", request.URL.Host))
	}
	ctx, cancel := context.WithTimeout(request.Context(), w.timeout)
	defer cancel()
	begun := time.Now()
	response, err := w.call(request.WithContext(ctx))
	status := 0
	if err == nil {
		status = response.StatusCode
		response.Request = request
	}
	w.onCall(request.Method, w.route(request.URL.Path), status, time.Since(begun))
	return response, err
}

func (w *wire) call(request *http.Request) (*http.Response, error) {
	response, err := w.next.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode/100 == 2 {
		body, err := io.ReadAll(io.LimitReader(response.Body, answerLimit+1))
		if err != nil {
			return nil, fmt.Errorf("read the answer: %w", err)
		}
		if len(body) > answerLimit { // half an answer must not pass for a whole one
			return nil, fault.AsPermanent(fmt.Errorf("the answer is longer than %d bytes", answerLimit))
		}
		response.Body = io.NopCloser(bytes.NewReader(body))
		return response, nil
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, refusalLimit))
	if err != nil {
		return nil, fmt.Errorf("read the refusal (%s): %w", response.Status, err)
	}
	response.Body = io.NopCloser(bytes.NewReader(redacted(body, request)))
	return response, nil
}

// redacted takes the token out of a refusal, whose text goes into errors: a
// proxy may answer with the headers that it was sent.
func redacted(body []byte, request *http.Request) []byte {
	_, token, found := strings.Cut(request.Header.Get("Authorization"), " ")
	if !found || token == "" {
		return body
	}
	return bytes.ReplaceAll(body, []byte(token), []byte("[redacted]"))
}

// textOf is what a response says, which can be read again afterwards.
func textOf(response *http.Response) string {
	body, err := io.ReadAll(response.Body) // read already
	response.Body = io.NopCloser(bytes.NewReader(body))
	if err != nil {
		return ""
	}
	return message(body)
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

func closeBody(request *http.Request) {
	if request.Body != nil {
		_ = request.Body.Close() // nothing was read of it
	}
}

// route is the path with a * in place of every name, number and commit, so that
// it has few values and names nobody.
func (w *wire) route(path string) string {
	segments := strings.Split(strings.TrimPrefix(path, w.site.Path), "/")
	before := "" // the segment before this one
	for i, s := range segments {
		named := segments[0] == "repos" && (i == 1 || i == 2)
		switch before {
		case "orgs", "users", "teams", "collaborators", "branches":
			named = true
		}
		before = s
		if named || !w.words[s] {
			segments[i] = "*"
			continue
		}
		if s == "contents" || s == "heads" || s == "tags" && i > 0 && segments[i-1] == "ref" {
			segments = append(segments[:i+1], "*") // whatever follows is one name
			break
		}
	}
	return strings.Join(segments, "/")
}

// words are the fixed segments of the routes that are called.
func words() map[string]bool {
	fixed := map[string]bool{}
	for _, w := range strings.Fields(`repos pulls commits reviews files merge statuses check-runs actions runs jobs
		branches protection collaborators permission teams members contents tags git ref refs heads releases issues
		comments reactions timeline activity compare orgs user users app installations access_tokens rulesets rules
		hooks config deliveries labels`) {
		fixed[w] = true
	}
	return fixed
}
