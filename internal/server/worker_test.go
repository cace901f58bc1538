package server_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway/dispatcher"
	"slipway/internal/authz"
	"slipway/internal/fault"
	"slipway/internal/ref"
	"slipway/internal/server"
	"slipway/pools"
)

const builder0 = "builder-lite-0"

// submission is one for builders of the lite tier.
func submission(title string) dispatcher.Submission {
	return dispatcher.Submission{Repo: app, Title: title, Spec: "do it", Selector: "builder-lite", Budget: 2_500_000}
}

func (w *world) submit(title string) dispatcher.Item {
	w.Helper()
	i, existed, err := w.client(submitterSecret).Submit(w.Context(), submission(title))
	if err != nil || existed {
		w.Fatalf("submit: existed %t, %v", existed, err)
	}
	return i
}

// TestA2AWorkersCredentialAndATokenAreNotTheSame holds each of the two ways in
// against the other's secrets.
func TestA2AWorkersCredentialAndATokenAreNotTheSame(t *testing.T) {
	w := newWorld(t, func(w *world) {
		// A token of the worker's role, which slipway.yaml cannot give, is none all
		// the same.
		w.Tokens = append(w.Tokens, server.NewToken(authz.Actor{Name: builder0, Roles: []authz.Role{authz.Builder}}, "builders-token"))
	})
	credential := w.keys.mint(t, builder0)
	for _, route := range routesOfWork(t) {
		method, path, _ := strings.Cut(route, " ")
		path = strings.NewReplacer("{id}", "1", "{address}", builder0, "{hash}", strings.Repeat("0", 64), apiPath+"/", "").Replace(path)
		secrets := map[string]string{"a coordinate's credential": credential, "nobody": "", "who guesses": "slipway_w_guess", "who has the webhooks' secret": hookSecret}
		want := http.StatusUnauthorized
		switch {
		case path == "openapi.yaml":
			want = http.StatusOK // it says nothing of this server
		case strings.HasPrefix(path, "worker/"):
			delete(secrets, "a coordinate's credential")
			secrets["an operator"], secrets["a reader"], secrets["a submitter"], secrets["a token of a builder"] = operatorSecret, readerSecret, submitterSecret, "builders-token"
		}
		for who, secret := range secrets {
			t.Run(who+" at "+route, func(t *testing.T) {
				got := w.call(method, path, secret, "{}")
				if got.status != want || want == 401 && (got.error() == "" || got.header.Get("WWW-Authenticate") != "Bearer") {
					t.Errorf("answered %d %s, want %d", got.status, got.body, want)
				}
			})
		}
	}
	if got := w.shop.heard(); len(got) > 0 {
		t.Errorf("the dispatcher was asked %q", got)
	}
}

func TestACredentialThatIsGoodNoMore(t *testing.T) {
	w := newWorld(t)
	ago := time.Now().Add(-time.Hour)
	for _, c := range []struct {
		rule   string
		change func(*dispatcher.Credential)
		status int
		says   string
	}{
		{"one that has expired is refused", func(c *dispatcher.Credential) { c.Expires = ago }, 401, "has expired"},
		{"one that was revoked is refused", func(c *dispatcher.Credential) { c.Revoked = ago }, 401, "was revoked"},
		{"one of nobody is refused", func(c *dispatcher.Credential) { c.Address = pools.Address{} }, 401, "credential is needed"},
		{"one that is found under another's hash is refused", func(c *dispatcher.Credential) { c.Hash = strings.Repeat("0", 64) }, 401, "credential is needed"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			client := w.client(w.keys.mint(t, builder0, c.change))
			_, err := client.Claim(t.Context(), dispatcher.ClaimRequest{Request: "r"})
			if err == nil || !strings.Contains(err.Error(), c.says) || fault.KindOf(err) != fault.Permanent {
				t.Errorf("it is answered %v", err)
			}
		})
	}
	want := []string{"builder-lite-0 refused.work.claim worker/claim"}
	if got := w.journalled(); !slices.Equal(got, want) {
		t.Errorf("journalled %q, want %q once for both", got, want)
	}
	w.keys.err = errors.New("the disk is full")
	_, err := w.client(w.keys.mint(t, builder0)).Claim(t.Context(), dispatcher.ClaimRequest{Request: "r"})
	if err == nil || fault.KindOf(err) != fault.Later || len(w.shop.heard()) > 0 {
		t.Errorf("a store that does not answer lets nobody in, and may pass: %v", err)
	}
}

// TestAWorkersRound is the sequence of the worker protocol, through a Client.
func TestAWorkersRound(t *testing.T) {
	w := newWorld(t)
	item := w.submit("fix the login")
	c, as := w.client(w.keys.mint(t, builder0)), pools.Address{Role: "builder", Tier: "lite"}
	g, err := c.Claim(t.Context(), dispatcher.ClaimRequest{Request: "one", Builder: as, Wait: 5})
	if err != nil || g == nil || g.Item != item.ID || g.Builder.String() != builder0 || g.Assignment.Prompt.Text != "be brief" || g.Token != 1 {
		t.Fatalf("claimed %+v, %v", g, err)
	}
	beat := dispatcher.Beat{Token: g.Token, Phase: dispatcher.Running, Tokens: pools.Tokens{Input: 10, Output: 2}, Amount: 1_500_000, Model: "m"}
	pulse, err := c.Beat(t.Context(), g.Attempt, beat)
	if err != nil || !pulse.Until.After(g.Until) || pulse.StandDown != "" {
		t.Fatalf("pulse %+v, %v", pulse, err)
	}
	pull, head := ref.PullID{Repo: app, Number: 7}, ref.SHA(strings.Repeat("a", 40))
	if err := c.Register(t.Context(), g.Attempt, dispatcher.Registration{Token: g.Token, Pull: pull, Head: head}); err != nil {
		t.Fatal(err)
	}
	if err := c.Complete(t.Context(), g.Attempt, dispatcher.Completion{Beat: beat, Summary: "done"}); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"submit by ci", "claim builder-lite-0 one", fmt.Sprintf("beat builder-lite-0 %d %+v", g.Attempt, beat),
		fmt.Sprintf("register builder-lite-0 %d acme/app#7 %s", g.Attempt, head), fmt.Sprintf("complete builder-lite-0 %d done", g.Attempt),
	}
	if diff := cmp.Diff(want, w.shop.heard()); diff != "" {
		t.Errorf("the dispatcher heard otherwise:\n%s", diff)
	}
	found, known, err := w.client(readerSecret).Work(t.Context(), item.ID)
	if err != nil || !known || len(found.Attempts) != 1 || found.Attempts[0].Pull != pull || found.Attempts[0].Outcome != dispatcher.Finished {
		t.Errorf("found %+v, %t, %v", found, known, err)
	}
}

func TestW2WhatAWorkerIsRefusedItCanTellApart(t *testing.T) {
	w := newWorld(t)
	w.submit("a")
	c := w.client(w.keys.mint(t, builder0))
	stranger := w.client(w.keys.mint(t, "builder-lite-1"))
	g, err := c.Claim(t.Context(), dispatcher.ClaimRequest{Request: "one"})
	if err != nil || g == nil {
		t.Fatal(g, err)
	}
	if _, err := stranger.Claim(t.Context(), dispatcher.ClaimRequest{Request: "two", Builder: g.Builder}); !errors.Is(err, dispatcher.ErrForeign) {
		t.Errorf("a claim as another coordinate: %v", err)
	}
	calls := map[string]func(c *server.Client, id dispatcher.AttemptID, token int64) error{
		"beat": func(c *server.Client, id dispatcher.AttemptID, token int64) error {
			_, err := c.Beat(t.Context(), id, dispatcher.Beat{Token: token})
			return err
		},
		"register": func(c *server.Client, id dispatcher.AttemptID, token int64) error {
			return c.Register(t.Context(), id, dispatcher.Registration{Token: token, Pull: ref.PullID{Repo: app, Number: 1}, Head: ref.SHA(strings.Repeat("b", 40))})
		},
		"complete": func(c *server.Client, id dispatcher.AttemptID, token int64) error {
			return c.Complete(t.Context(), id, dispatcher.Completion{Beat: dispatcher.Beat{Token: token}})
		},
		"fail": func(c *server.Client, id dispatcher.AttemptID, token int64) error {
			return c.Fail(t.Context(), id, dispatcher.Failure{Beat: dispatcher.Beat{Token: token}, Reason: "no"})
		},
	}
	for name, call := range calls {
		for _, r := range []struct {
			rule string
			err  error
			is   error
			kind fault.Kind
		}{
			{"a stale token is stale", call(c, g.Attempt, g.Token+1), dispatcher.ErrStale, fault.Later},
			{"another's attempt is foreign", call(stranger, g.Attempt, g.Token), dispatcher.ErrForeign, fault.Later},
			{"one that is not there is unknown", call(c, g.Attempt+1, g.Token), dispatcher.ErrUnknown, fault.Permanent},
		} {
			if !errors.Is(r.err, r.is) || fault.KindOf(r.err) != r.kind {
				t.Errorf("%s: %s: %v", name, r.rule, r.err)
			}
			for _, other := range []error{dispatcher.ErrStale, dispatcher.ErrForeign, dispatcher.ErrUnknown} {
				if !errors.Is(other, r.is) && errors.Is(r.err, other) {
					t.Errorf("%s: %s, and it is %v too", name, r.rule, other)
				}
			}
		}
		w.shop.refuse = errors.New("the store is away")
		if err := call(c, g.Attempt, g.Token); err == nil || fault.KindOf(err) != fault.Later || !strings.Contains(err.Error(), "away") {
			t.Errorf("%s: what may pass is tried again: %v", name, err)
		}
		w.shop.refuse = fault.AsPermanent(errors.Join(errors.New("no such branch"), errors.New("no such head")))
		if err := call(c, g.Attempt, g.Token); fault.KindOf(err) != fault.Permanent || !strings.Contains(err.Error(), "no such branch\nno such head") {
			t.Errorf("%s: what is at fault is final: %v", name, err)
		}
	}
}

func TestBadRequestsOfAWorker(t *testing.T) {
	w := newWorld(t)
	secret := w.keys.mint(t, builder0)
	const beat = "worker/attempts/1/heartbeat"
	for _, c := range []struct {
		rule, path, body string
		want             int
		says             string
	}{
		{"a claim without a key of its own", "worker/claim", `{}`, 400, "request is"},
		{"a claim with a key that is too long", "worker/claim", `{"request":"` + strings.Repeat("x", 101) + `"}`, 400, "100 bytes"},
		{"a claim that waits too long", "worker/claim", `{"request":"r","wait":56}`, 400, "wait is 0 to 55"},
		{"a claim that waits backwards", "worker/claim", `{"request":"r","wait":-1}`, 400, "wait is 0 to 55"},
		{"every fault of a claim is named", "worker/claim", `{"wait":1000000000000}`, 400, "request is the claim's own key, of 1 to 100 bytes\nwait is"},
		{"a claim as another coordinate than its credential's", "worker/claim", `{"request":"r","builder":"builder-lite-1"}`, 403, "start the worker --as builder-lite-0, or give it the credential of builder-lite-1"},
		{"a claim as what is no coordinate", "worker/claim", `{"request":"r","builder":"builder"}`, 400, "builder"},
		{"a claim that is no JSON", "worker/claim", `claim`, 400, "could not be read"},
		{"a claim that is empty", "worker/claim", ``, 400, "it is empty"},
		{"two claims in one", "worker/claim", `{"request":"r"}{"request":"s"}`, 400, "one JSON object"},
		{"a claim over 1 MiB", "worker/claim", `{"request":"` + strings.Repeat("x", 1<<20) + `"}`, 400, "too large"},
		{"a heartbeat of no attempt", "worker/attempts/one/heartbeat", `{}`, 400, `attempt's number is from 1, not "one"`},
		{"a heartbeat of attempt nought", "worker/attempts/0/heartbeat", `{}`, 400, "from 1"},
		{"a heartbeat of an attempt below nought", "worker/attempts/-1/heartbeat", `{}`, 400, "from 1"},
		{"a heartbeat of an attempt too high", "worker/attempts/99999999999999999999/heartbeat", `{}`, 400, "from 1"},
		{"a heartbeat of an attempt written otherwise", "worker/attempts/01/heartbeat", `{}`, 400, "from 1"},
		{"a heartbeat that costs less than nothing", beat, `{"token":1,"amount":-1}`, 400, "-1"},
		{"a heartbeat with a token that is no number", beat, `{"token":"1"}`, 400, "token"},
		{"a heartbeat with an unknown key", beat, `{"token":1,"lease":60}`, 400, "lease"},
		{"a registration of what is no pull request", "worker/attempts/1/register", `{"token":1,"pull_request":"acme/app","head":"x"}`, 400, "acme/app"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			got := w.call(http.MethodPost, c.path, secret, c.body)
			if got.status != c.want || !strings.Contains(got.error(), c.says) {
				t.Errorf("answered %d %.300s, want %d and %q", got.status, got.body, c.want, c.says)
			}
		})
	}
	if got := w.shop.heard(); len(got) > 0 {
		t.Errorf("the dispatcher was asked %q", got)
	}
}

// awaited is the next signal; a test that waits for one in vain fails.
func awaited[T any](t *testing.T, what string, from <-chan T) (got T) {
	t.Helper()
	limit := time.NewTimer(time.Minute)
	defer limit.Stop()
	select {
	case got = <-from:
	case <-limit.C:
		t.Fatalf("in vain: %s", what)
	}
	return got
}

func TestAClaimWaitsForWork(t *testing.T) {
	w := newWorld(t)
	c := w.client(w.keys.mint(t, builder0))
	if g, err := c.Claim(t.Context(), dispatcher.ClaimRequest{Request: "at once"}); g != nil || err != nil {
		t.Fatalf("without work: %+v, %v", g, err)
	}
	awaited(t, "the claim waits", w.shop.claiming)
	if err := awaited(t, "it ends", w.shop.left); err != nil {
		t.Errorf("a claim that does not wait ends with %v", err)
	}
	granted := make(chan *dispatcher.Grant, 1)
	go func() {
		g, err := c.Claim(context.WithoutCancel(t.Context()), dispatcher.ClaimRequest{Request: "two", Wait: 50})
		if err != nil {
			t.Error(err)
		}
		granted <- g
	}()
	awaited(t, "the claim waits", w.shop.claiming)
	item := w.submit("late")
	if g := awaited(t, "it is granted", granted); g == nil || g.Item != item.ID {
		t.Errorf("granted %+v", g)
	}
}

func TestAClaimEndsWhenItsClientLeaves(t *testing.T) {
	w := newWorld(t)
	c := w.client(w.keys.mint(t, builder0))
	ctx, leave := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := c.Claim(ctx, dispatcher.ClaimRequest{Request: "r", Wait: 55})
		ended <- err
	}()
	awaited(t, "the claim waits", w.shop.claiming)
	leave()
	if err := awaited(t, "the claim is over for the dispatcher", w.shop.left); !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
	if err := awaited(t, "and for the client", ended); !errors.Is(err, context.Canceled) {
		t.Errorf("the client is told %v", err)
	}
}

// TestAClaimOutlastsTheTimeToRead: a request has little time to arrive, and that
// is not taken from what it waits.
func TestAClaimOutlastsTheTimeToRead(t *testing.T) {
	w := newWorld(t)
	up := httptest.NewUnstartedServer(described(t, server.New(w.Config)))
	up.Config.ReadTimeout = 200 * time.Millisecond
	up.Start()
	t.Cleanup(up.Close)
	w.url = up.URL
	c := w.client(w.keys.mint(t, builder0))
	if g, err := c.Claim(t.Context(), dispatcher.ClaimRequest{Request: "r", Wait: 1}); g != nil || err != nil {
		t.Fatalf("%+v, %v", g, err)
	}
	if err := awaited(t, "the claim ends", w.shop.left); err != nil {
		t.Errorf("it ended with %v, want its own time over", err)
	}
}

func TestAServerThatStopsSendsWhoeverWaitsAway(t *testing.T) {
	w := newWorld(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.New(w.Config).Serve(ctx, l) }()
	w.url = "http://" + l.Addr().String()
	c := w.client(w.keys.mint(t, builder0))
	type reply struct {
		g   *dispatcher.Grant
		err error
	}
	replies := make(chan reply, 1)
	go func() {
		g, err := c.Claim(context.WithoutCancel(t.Context()), dispatcher.ClaimRequest{Request: "r", Wait: 55})
		replies <- reply{g, err}
	}()
	awaited(t, "the claim waits", w.shop.claiming)
	began := time.Now()
	stop()
	if r := awaited(t, "the claim is answered", replies); r.g != nil || r.err != nil {
		t.Errorf("it is answered %+v, %v; want no work", r.g, r.err)
	}
	if err := awaited(t, "the server ends", ended); err != nil || time.Since(began) > 5*time.Second {
		t.Errorf("it ended with %v after %s", err, time.Since(began))
	}
}
