package server

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"slipway/internal/authz"
	"slipway/internal/fault"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

// MostChanges is how many changes are listed at most.
const MostChanges = 1000

// Token is one API token. The actor's name stands in the journal for who acted.
type Token struct {
	authz.Actor
	// Sum is the SHA-256 of the token.
	Sum [sha256.Size]byte
}

// NewToken hashes a secret, so that no server value holds it.
func NewToken(actor authz.Actor, secret string) Token {
	return Token{Actor: actor, Sum: sha256.Sum256([]byte(secret))}
}

// Order is the body of an order to a target.
type Order struct {
	Reason string `json:"reason"`
	// Version is where a rollback goes; "" is the last healthy one.
	Version string `json:"version,omitempty"`
	// Allow is the barred version that a resume lets return.
	Allow string `json:"allow,omitempty"`
	// Seen is what the person was shown who consents to a take-over.
	Seen *reconcile.Offered `json:"seen,omitempty"`
}

type handler func(w http.ResponseWriter, r *http.Request, who Token)

func (s *Server) routes() {
	s.guard("GET /api/v1/changes", authz.Read, s.changes)
	s.guard("GET /api/v1/changes/{owner}/{name}/{number}", authz.Explain, s.change)
	s.guard("GET /api/v1/targets", authz.Read, s.targets)
	s.guard("GET /api/v1/targets/{owner}/{name}/{environment}/takeover", authz.Read, s.inspect)
	s.guard("GET /api/v1/journal", authz.Read, s.entries)
	s.guard("GET /api/v1/journal/verify", authz.Read, s.verify)
	s.guard("GET /api/v1/doctor", authz.Read, func(w http.ResponseWriter, r *http.Request, _ Token) {
		answer(w, http.StatusOK, notNil(s.Doctor(r.Context())))
	})
	s.guard("POST /api/v1/policy/replay", authz.ReplayPolicy, s.replay)
	s.guard("GET /api/v1/canaries", authz.Read, s.canaries)
	s.guard("POST /api/v1/canaries/{owner}/{name}/run", authz.RunCanaries, s.runCanaries)
	s.guard("POST /api/v1/branches/unfreeze", authz.Unfreeze, s.unfreeze)
	for verb, of := range changeVerbs() {
		s.guard("POST /api/v1/changes/{owner}/{name}/{number}/"+verb, of, s.orderChange(of))
	}
	s.order("hold", authz.DeployHold, func(ctx context.Context, id ref.TargetID, by reconcile.Person, _ Order) error {
		return s.Engine.Hold(ctx, id, by)
	})
	s.order("resume", authz.DeployResume, func(ctx context.Context, id ref.TargetID, by reconcile.Person, o Order) error {
		return s.Engine.Resume(ctx, id, by, o.Allow)
	})
	s.order("rollback", authz.DeployRollback, func(ctx context.Context, id ref.TargetID, by reconcile.Person, o Order) error {
		return s.Engine.Rollback(ctx, id, by, o.Version)
	})
	s.order("takeover", authz.DeployTakeOver, func(ctx context.Context, id ref.TargetID, by reconcile.Person, o Order) error {
		var seen reconcile.Offered
		if o.Seen != nil {
			seen = *o.Seen
		}
		return s.Engine.TakeOver(ctx, id, by, seen)
	})
}

// guard lets a request through only with a token that the one table allows the
// verb (A2). A refusal stands also where the journal cannot be written.
func (s *Server) guard(pattern string, verb authz.Verb, h handler) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		who, ok := s.authenticate(r)
		if !ok {
			w.Header().Set("WWW-Authenticate", "Bearer")
			refuse(w, http.StatusUnauthorized, "a valid token is needed: Authorization: Bearer TOKEN")
			return
		}
		err := authz.Check(who.Actor, verb, s.Now())
		if err == nil {
			h(w, r, who)
			return
		}
		s.refused(r.Context(), asked{token: who.Name, verb: verb, subject: subjectOf(r)}, err.Error())
		refuse(w, http.StatusForbidden, err.Error())
	})
}

func (s *Server) authenticate(r *http.Request) (Token, bool) {
	secret, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || secret == "" {
		return Token{}, false
	}
	sum := sha256.Sum256([]byte(secret))
	var found Token
	var match bool
	for _, t := range s.Tokens { // all of them, so that the time tells nothing
		if subtle.ConstantTimeCompare(sum[:], t.Sum[:]) == 1 {
			found, match = t, true
		}
	}
	return found, match
}

func (s *Server) order(path string, verb authz.Verb, do func(context.Context, ref.TargetID, reconcile.Person, Order) error) {
	s.guard("POST /api/v1/targets/{owner}/{name}/{environment}/"+path, verb, func(w http.ResponseWriter, r *http.Request, who Token) {
		id, err := targetOf(r)
		if err != nil {
			refuse(w, http.StatusBadRequest, err.Error())
			return
		}
		var o Order
		if !read(w, r, &o, 64<<10) {
			return
		}
		if strings.TrimSpace(o.Reason) == "" {
			refuse(w, http.StatusBadRequest, "the order wants a reason: the journal keeps why")
			return
		}
		if err := do(r.Context(), id, reconcile.Person{Name: who.Name, Reason: o.Reason}, o); err != nil {
			s.fail(w, r, err)
			return
		}
		s.Log.Info("order", "token", who.Name, "verb", verb, "target", id, "reason", o.Reason)
		answer(w, http.StatusAccepted, map[string]string{"result": "accepted"})
	})
}

// read reads the one JSON object of a body, strictly, and refuses anything
// else.
func read(w http.ResponseWriter, r *http.Request, into any, limit int64) bool {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, limit))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		refuse(w, http.StatusBadRequest, "the order could not be read: "+plainly(err))
		return false
	}
	if d.More() {
		refuse(w, http.StatusBadRequest, "the order could not be read: want one JSON object, and there is more")
		return false
	}
	return true
}

func (s *Server) changes(w http.ResponseWriter, r *http.Request, _ Token) {
	f := reconcile.Filter{Unfinished: r.URL.Query().Get("open") == "true", Limit: MostChanges}
	if repo := r.URL.Query().Get("repo"); repo != "" {
		id, err := ref.ParseRepo(repo)
		if err != nil {
			refuse(w, http.StatusBadRequest, err.Error())
			return
		}
		f.Repo = id
	}
	list, err := s.Reader.Changes(r.Context(), f)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	answer(w, http.StatusOK, notNil(list))
}

func (s *Server) change(w http.ResponseWriter, r *http.Request, _ Token) {
	id, err := pullOf(r)
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	c, found, err := s.Reader.Change(r.Context(), id)
	switch {
	case err != nil:
		s.fail(w, r, err)
	case !found:
		refuse(w, http.StatusNotFound, id.String()+" is not known here")
	default:
		answer(w, http.StatusOK, c)
	}
}

func (s *Server) targets(w http.ResponseWriter, r *http.Request, _ Token) {
	list, err := s.Reader.Targets(r.Context())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	answer(w, http.StatusOK, notNil(list))
}

func (s *Server) inspect(w http.ResponseWriter, r *http.Request, _ Token) {
	id, err := targetOf(r)
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	found, err := s.Engine.Inspect(r.Context(), id)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	answer(w, http.StatusOK, found)
}

func (s *Server) entries(w http.ResponseWriter, r *http.Request, _ Token) {
	after, err1 := number(r, "after", 0)
	limit, err2 := number(r, "limit", 200)
	if err1 != nil || err2 != nil || limit < 1 || limit > 1000 {
		refuse(w, http.StatusBadRequest, "after and limit are numbers; limit is 1 to 1000")
		return
	}
	list, err := s.Reader.Entries(r.Context(), after, int(limit))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	answer(w, http.StatusOK, notNil(list))
}

func (s *Server) verify(w http.ResponseWriter, r *http.Request, _ Token) {
	v, err := Verify(r.Context(), s.Reader)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	answer(w, http.StatusOK, v)
}

// fail answers an error: a permanent one is the caller's to know, anything
// else is ours and may pass.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	if fault.KindOf(err) == fault.Permanent {
		refuse(w, http.StatusConflict, err.Error())
		return
	}
	s.Log.Error("request", "path", r.URL.Path, "error", err)
	refuse(w, http.StatusServiceUnavailable, err.Error())
}

// plainly says what is wrong with a body in terms of the body.
func plainly(err error) string {
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrong) && wrong.Field != "":
		return fmt.Sprintf("%s cannot be a %s", wrong.Field, wrong.Value)
	case errors.As(err, &wrong):
		return fmt.Sprintf("want an object, not a %s", wrong.Value)
	case errors.Is(err, io.EOF):
		return "it is empty"
	}
	return strings.TrimPrefix(err.Error(), "json: ")
}

// subjectOf is what a request is about, for the journal.
func subjectOf(r *http.Request) string {
	if id, err := targetOf(r); err == nil {
		return id.String()
	}
	if id, err := pullOf(r); err == nil {
		return id.String()
	}
	if id := r.PathValue("id"); id != "" {
		if strings.HasPrefix(r.URL.Path, "/api/v1/worker/") {
			return "attempt " + id
		}
		return "item " + id
	}
	if a := r.PathValue("address"); a != "" {
		return a
	}
	return strings.TrimPrefix(r.URL.Path, "/api/v1/")
}

func pullOf(r *http.Request) (ref.PullID, error) {
	return ref.ParsePull(r.PathValue("owner") + "/" + r.PathValue("name") + "#" + r.PathValue("number"))
}

func targetOf(r *http.Request) (ref.TargetID, error) {
	return ref.ParseTarget(r.PathValue("owner") + "/" + r.PathValue("name") + "/" + r.PathValue("environment"))
}

func number(r *http.Request, key string, otherwise int64) (int64, error) {
	s := r.URL.Query().Get(key)
	if s == "" {
		return otherwise, nil
	}
	return strconv.ParseInt(s, 10, 64)
}

func notNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	// An error here means that the client has gone: nobody is left to tell.
	_ = json.NewEncoder(w).Encode(v)
}

func refuse(w http.ResponseWriter, status int, why string) {
	answer(w, status, map[string]string{"error": why})
}
