package server

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
	"time"

	"slipway/deployer"
	"slipway/internal/change"
	"slipway/internal/fault"
	"slipway/internal/journal"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

// Client speaks to a server's API with a token. It is a Reader. Its errors are
// what the server said, or why it could not be asked, with fault.NotBefore where
// it said when to ask again; none is marked as final but that of a broken journal
// and those of the worker protocol.
type Client struct {
	base  *url.URL
	token string
	http  *http.Client
}

// NewClient checks the address.
func NewClient(address, token string) (*Client, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, fmt.Errorf("%q is not a server's address: want http://HOST:PORT or https://HOST", address)
	}
	return &Client{base: u, token: token, http: &http.Client{
		Timeout: 2 * time.Minute,
		// The token goes to the server that was named and to no other.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Change is the change of a pull request.
func (c *Client) Change(ctx context.Context, id ref.PullID) (out change.Change, found bool, err error) {
	err = c.get(ctx, fmt.Sprintf("changes/%s/%d", id.Repo, id.Number), nil, &out)
	var status *statusError
	if errors.As(err, &status) && status.status == http.StatusNotFound {
		return out, false, nil
	}
	return out, err == nil, err
}

// Changes lists changes; of the filter, Repo and Unfinished are used.
func (c *Client) Changes(ctx context.Context, f reconcile.Filter) (out []change.Change, err error) {
	q := url.Values{}
	if f.Unfinished {
		q.Set("open", "true")
	}
	if !f.Repo.IsZero() {
		q.Set("repo", f.Repo.String())
	}
	return out, c.get(ctx, "changes", q, &out)
}

// Targets lists all targets.
func (c *Client) Targets(ctx context.Context) (out []deployer.Target, err error) {
	return out, c.get(ctx, "targets", nil, &out)
}

// Entries lists up to limit journal entries after a sequence number.
func (c *Client) Entries(ctx context.Context, after int64, limit int) (out []journal.Entry, err error) {
	q := url.Values{"after": {fmt.Sprint(after)}, "limit": {fmt.Sprint(limit)}}
	return out, c.get(ctx, "journal", q, &out)
}

// VerifyJournal has the server check its journal's chain. A chain that is
// broken is fault.Permanent, and nothing else is.
func (c *Client) VerifyJournal(ctx context.Context) (seq int64, hash string, err error) {
	var v Verified
	if err := c.get(ctx, "journal/verify", nil, &v); err != nil {
		return 0, "", err
	}
	if v.Broken != "" {
		return v.Entries, v.Head, fault.AsPermanent(errors.New(v.Broken))
	}
	return v.Entries, v.Head, nil
}

// Doctor has the server examine itself.
func (c *Client) Doctor(ctx context.Context) (out []reconcile.Finding, err error) {
	return out, c.get(ctx, "doctor", nil, &out)
}

// Inspect says what a take-over would find.
func (c *Client) Inspect(ctx context.Context, id ref.TargetID) (out reconcile.Offered, err error) {
	return out, c.get(ctx, "targets/"+id.String()+"/takeover", nil, &out)
}

// Order gives an order to a target: hold, resume, rollback or takeover.
func (c *Client) Order(ctx context.Context, id ref.TargetID, verb string, o Order) error {
	return c.post(ctx, "targets/"+id.String()+"/"+verb, o, nil)
}

// OrderChange gives an order to a change: hold, unhold, merge or retry.
func (c *Client) OrderChange(ctx context.Context, id ref.PullID, verb string, o ChangeOrder) error {
	return c.post(ctx, fmt.Sprintf("changes/%s/%d/%s", id.Repo, id.Number, verb), o, nil)
}

// Replay judges past changes again by another policy.
func (c *Client) Replay(ctx context.Context, o ReplayOrder) (out reconcile.Replay, err error) {
	return out, c.post(ctx, "policy/replay", o, &out)
}

// Unfreeze lets merges to a branch go on.
func (c *Client) Unfreeze(ctx context.Context, o UnfreezeOrder) error {
	return c.post(ctx, "branches/unfreeze", o, nil)
}

// Canaries lists the repositories in which canaries are let out.
func (c *Client) Canaries(ctx context.Context) (out []Aviary, err error) {
	return out, c.get(ctx, "canaries", nil, &out)
}

// RunCanaries has a round begin in a repository, and says which.
func (c *Client) RunCanaries(ctx context.Context, repo ref.RepoID) (Aviary, error) {
	var out Aviary
	return out, c.post(ctx, "canaries/"+repo.String()+"/run", struct{}{}, &out)
}

// statusError is what a server refused with.
type statusError struct {
	status int
	code   string // for programs; "" where there is none
	text   string
}

func (e *statusError) Error() string { return e.text }

func (c *Client) get(ctx context.Context, path string, q url.Values, into any) error {
	_, err := c.exchange(ctx, http.MethodGet, path, q, nil, into)
	return err
}

func (c *Client) post(ctx context.Context, path string, order, into any) error {
	_, err := c.exchange(ctx, http.MethodPost, path, nil, order, into)
	return err
}

// exchange sends an order, if there is one, reads the answer, if there is one,
// and gives its status.
func (c *Client) exchange(ctx context.Context, method, path string, q url.Values, order, into any) (status int, err error) {
	var body io.Reader
	if order != nil {
		text, err := json.Marshal(order)
		if err != nil {
			return 0, err
		}
		body = bytes.NewReader(text)
	}
	u := c.base.JoinPath("api/v1", path)
	u.RawQuery = q.Encode()
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("Content-Type", "application/json")
	res, err := c.http.Do(req)
	if err != nil {
		return 0, fmt.Errorf("no answer from the server at %s: %w (is `slipway serve` running there?)", c.base, err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, 64<<20))
	if err != nil {
		return 0, fmt.Errorf("answer of %s: %w", c.base, err)
	}
	if res.StatusCode/100 != 2 {
		err := refusal(path, res.StatusCode, data, c.token == "")
		if at, asked := notBefore(res.Header, time.Now()); asked {
			err = fault.NotBefore(err, at)
		}
		return res.StatusCode, err
	}
	if into == nil || res.StatusCode == http.StatusNoContent {
		return res.StatusCode, nil
	}
	if err := json.Unmarshal(data, into); err != nil {
		return res.StatusCode, fmt.Errorf("answer of %s to %s: %w", c.base, path, err)
	}
	return res.StatusCode, nil
}

// notBefore is when a server, or what stands before it, wants to be asked again
// (RFC 9110, 10.2.3): after so many seconds, or at a time.
func notBefore(h http.Header, now time.Time) (at time.Time, asked bool) {
	text := h.Get("Retry-After")
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return now.Add(time.Duration(seconds) * time.Second), true
	}
	at, err := http.ParseTime(text)
	return at, err == nil
}

func refusal(path string, status int, data []byte, noToken bool) error {
	var body struct {
		Error string `json:"error"`
		Code  string `json:"code"`
	}
	text := strings.TrimSpace(string(data[:min(len(data), 200)]))
	if json.Unmarshal(data, &body) == nil && body.Error != "" {
		text = body.Error
	}
	switch {
	case strings.HasPrefix(path, "worker/") && body.Error != "": // it knows why
	case status == http.StatusUnauthorized && noToken:
		text = "the server wants a token: set SLIPWAY_TOKEN"
	case status == http.StatusUnauthorized:
		text = "the server does not know the token in SLIPWAY_TOKEN"
	case body.Error == "" && status == http.StatusNotFound:
		text = fmt.Sprintf("it answers with %d, but not as slipway does: is the address right? %s", status, text)
	}
	return &statusError{status, body.Code, text}
}
