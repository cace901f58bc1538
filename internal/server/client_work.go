package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"slipway/dispatcher"
	"slipway/internal/fault"
	"slipway/pools"
)

// Claim asks for work for the coordinate whose credential the client has; nil is
// none in time. Like every call of the worker protocol it gives
// dispatcher.ErrStale and dispatcher.ErrForeign for what they are, marks as
// fault.Permanent what the server refuses otherwise, and leaves unmarked what
// may be tried again.
func (c *Client) Claim(ctx context.Context, r dispatcher.ClaimRequest) (*dispatcher.Grant, error) {
	var g dispatcher.Grant
	if err := c.work(ctx, "claim", r, &g); err != nil || g.Attempt == 0 {
		return nil, err
	}
	return &g, nil
}

// Beat sends a heartbeat.
func (c *Client) Beat(ctx context.Context, id dispatcher.AttemptID, b dispatcher.Beat) (dispatcher.Pulse, error) {
	var p dispatcher.Pulse
	err := c.work(ctx, about(id, "heartbeat"), b, &p)
	return p, err
}

// Register says which pull request and head an attempt made.
func (c *Client) Register(ctx context.Context, id dispatcher.AttemptID, r dispatcher.Registration) error {
	return c.work(ctx, about(id, "register"), r, nil)
}

// Complete ends an attempt well.
func (c *Client) Complete(ctx context.Context, id dispatcher.AttemptID, r dispatcher.Completion) error {
	return c.work(ctx, about(id, "complete"), r, nil)
}

// Fail ends an attempt badly.
func (c *Client) Fail(ctx context.Context, id dispatcher.AttemptID, r dispatcher.Failure) error {
	return c.work(ctx, about(id, "fail"), r, nil)
}

// Submit has an item of work done; existed says that one of its key is there
// already.
func (c *Client) Submit(ctx context.Context, s dispatcher.Submission) (i dispatcher.Item, existed bool, err error) {
	code, err := c.exchange(ctx, http.MethodPost, "work/items", nil, s, &i)
	return i, code == http.StatusOK, err
}

// Items lists items, newest first; of the filter, Address and Live are not used.
func (c *Client) Items(ctx context.Context, f dispatcher.Filter) (out []dispatcher.Item, err error) {
	q := queryOf(f)
	q.Del("address")
	q.Del("live")
	err = c.get(ctx, "work/items", q, &out)
	return out, err
}

// Attempts lists attempts, newest first; of the filter, States and Kind are not
// used.
func (c *Client) Attempts(ctx context.Context, f dispatcher.Filter) (out []dispatcher.Attempt, err error) {
	q := queryOf(f)
	q.Del("state")
	q.Del("kind")
	err = c.get(ctx, "work/attempts", q, &out)
	return out, err
}

// Work is an item with its attempts, oldest first.
func (c *Client) Work(ctx context.Context, id dispatcher.ItemID) (w dispatcher.Work, found bool, err error) {
	err = c.get(ctx, fmt.Sprintf("work/items/%d", id), nil, &w)
	var status *statusError
	if errors.As(err, &status) && status.status == http.StatusNotFound && status.code == codeUnknown {
		return w, false, nil
	}
	return w, err == nil, err
}

// Cancel withdraws an item.
func (c *Client) Cancel(ctx context.Context, id dispatcher.ItemID, reason string) error {
	return c.post(ctx, fmt.Sprintf("work/items/%d/cancel", id), WorkOrder{Reason: reason}, nil)
}

// Retry offers an item again that was given up.
func (c *Client) Retry(ctx context.Context, id dispatcher.ItemID, reason string) error {
	return c.post(ctx, fmt.Sprintf("work/items/%d/retry", id), WorkOrder{Reason: reason}, nil)
}

// InForce is the pool config in force; found is false before the first.
func (c *Client) InForce(ctx context.Context) (f InForce, found bool, err error) {
	err = c.get(ctx, "pools", nil, &f)
	return f, err == nil && f.Number > 0, err
}

// Past lists the last n pool configs, newest first.
func (c *Client) Past(ctx context.Context, n int) (out []PastSet, err error) {
	err = c.get(ctx, "pools/history", url.Values{"limit": {fmt.Sprint(n)}}, &out)
	return out, err
}

// Swap gives a coordinate another assignment.
func (c *Client) Swap(ctx context.Context, o SwapOrder) (out Swapped, err error) {
	err = c.post(ctx, "pools/swap", o, &out)
	return out, err
}

// Rollback puts an earlier pool config in force again; 0 is the one before.
func (c *Client) Rollback(ctx context.Context, number int64) (out Swapped, err error) {
	err = c.post(ctx, "pools/rollback", RollbackOrder{Number: number}, &out)
	return out, err
}

// Cordon keeps a coordinate from new work.
func (c *Client) Cordon(ctx context.Context, a pools.Address, o CordonOrder) error {
	return c.post(ctx, "pools/seats/"+a.String()+"/cordon", o, nil)
}

// Uncordon lets a coordinate have work again.
func (c *Client) Uncordon(ctx context.Context, a pools.Address, reason string) error {
	return c.post(ctx, "pools/seats/"+a.String()+"/uncordon", WorkOrder{Reason: reason}, nil)
}

// Credentials lists what workers speak with, by coordinate and age.
func (c *Client) Credentials(ctx context.Context) (out []dispatcher.Credential, err error) {
	err = c.get(ctx, "pools/credentials", nil, &out)
	return out, err
}

// Enrol lets a credential speak for its coordinate. Its secret stays here.
func (c *Client) Enrol(ctx context.Context, made dispatcher.Credential) error {
	return c.post(ctx, "pools/credentials", made, nil)
}

// Revoke takes a credential back, by its hash.
func (c *Client) Revoke(ctx context.Context, hash string) error {
	return c.post(ctx, "pools/credentials/"+url.PathEscape(hash)+"/revoke", struct{}{}, nil)
}

// work makes one call of the worker protocol.
func (c *Client) work(ctx context.Context, path string, order, into any) error {
	err := c.post(ctx, "worker/"+path, order, into)
	var status *statusError
	if !errors.As(err, &status) {
		return err
	}
	switch {
	case status.code == codeStale:
		return told{dispatcher.ErrStale, err}
	case status.code == codeForeign:
		return told{dispatcher.ErrForeign, err}
	case status.code == codeUnknown:
		return told{dispatcher.ErrUnknown, fault.AsPermanent(err)}
	case status.status/100 == 4 && status.status != http.StatusRequestTimeout && status.status != http.StatusTooManyRequests:
		return fault.AsPermanent(err)
	default:
		return err
	}
}

// told is an error of the dispatcher in the server's words.
type told struct{ is, said error }

func (t told) Error() string { return t.said.Error() }

func (t told) Unwrap() []error { return []error{t.is, t.said} }

func about(id dispatcher.AttemptID, call string) string {
	return fmt.Sprintf("attempts/%d/%s", id, call)
}

func queryOf(f dispatcher.Filter) url.Values {
	q := url.Values{}
	set := func(key, value string, given bool) {
		if given {
			q.Set(key, value)
		}
	}
	set("repo", f.Repo.String(), !f.Repo.IsZero())
	set("pull", f.Pull.String(), !f.Pull.IsZero())
	set("address", f.Address.String(), !f.Address.IsZero())
	set("kind", string(f.Kind), f.Kind != "")
	set("state", strings.ReplaceAll(joined(f.States), " ", ""), len(f.States) > 0)
	set("live", "true", f.Live)
	set("limit", fmt.Sprint(f.Limit), f.Limit > 0)
	return q
}
