package server_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"slipway/internal/fault"
	"slipway/internal/journal"
	"slipway/internal/reconcile"
	"slipway/internal/server"
)

// reading is a reader whose journal cannot be verified.
type reading struct {
	server.Reader
	err error
}

func (r reading) VerifyJournal(context.Context) (seq int64, hash string, err error) {
	return 7, "seven", r.err
}

func TestVerify(t *testing.T) {
	for _, c := range []struct {
		rule string
		err  error
		want server.Verified
	}{
		{"a chain that holds is whole", nil, server.Verified{Entries: 7, Head: "seven"}},
		{"a chain that does not is broken", fault.AsPermanent(errors.New("entry 8 was changed")), server.Verified{Entries: 7, Head: "seven", Broken: "entry 8 was changed"}},
		{"a store that does not answer says nothing about the chain", errors.New("disk"), server.Verified{}},
	} {
		t.Run(c.rule, func(t *testing.T) {
			v, err := server.Verify(t.Context(), reading{err: c.err})
			if v != c.want || (err != nil) != (c.err != nil && c.want.Broken == "") {
				t.Errorf("%+v, %v", v, err)
			}
			w := newWorld(t, func(w *world) { w.Reader = reading{w.store, c.err} })
			v, err = server.Verify(t.Context(), w.client(readerSecret))
			if v != c.want || (err != nil) != (c.err != nil && c.want.Broken == "") {
				t.Errorf("through a client: %+v, %v", v, err)
			}
		})
	}
}

func TestVerifyOfTheRealJournal(t *testing.T) {
	w := newWorld(t)
	w.commit(reconcile.Write{Journal: []journal.Entry{{At: time.Now(), Actor: "ops", Action: "test", Subject: "acme/app#1"}}})
	v, err := server.Verify(t.Context(), w.client(readerSecret))
	if err != nil || v.Entries != 1 || v.Head == "" || v.Broken != "" {
		t.Errorf("%+v, %v", v, err)
	}
}

func TestWhoCannotAskDoesNotCryTampering(t *testing.T) {
	w := newWorld(t)
	closed := w.client(readerSecret)
	for _, c := range []struct {
		rule   string
		client *server.Client
		close  bool
		says   string
	}{
		{"a wrong token", w.client("guess"), false, "does not know the token"},
		{"no token", w.client(""), false, "SLIPWAY_TOKEN"},
		{"a store that was closed", closed, true, "closed"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			if c.close {
				w.store.Close()
			}
			v, err := server.Verify(t.Context(), c.client)
			if err == nil || v.Broken != "" || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%+v, %v", v, err)
			}
		})
	}
	nobody, err := server.NewClient("http://127.0.0.1:1", readerSecret)
	if err != nil {
		t.Fatal(err)
	}
	if v, err := server.Verify(t.Context(), nobody); err == nil || v.Broken != "" {
		t.Errorf("of nobody: %+v, %v", v, err)
	}
	if r := w.call(http.MethodGet, "journal/verify", readerSecret, ""); r.status != http.StatusServiceUnavailable {
		t.Errorf("the server answers %d %s", r.status, r.body)
	}
}
