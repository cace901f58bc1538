package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"slipway/dispatcher"
	"slipway/internal/authz"
	"slipway/internal/fault"
	"slipway/pools"
)

const (
	// longestWait is how many seconds a claim may stay open. It is below what
	// proxies cut off, a minute as a rule.
	longestWait = 55
	// longestRequest is how long a claim's own key may be, in bytes.
	longestRequest = 100
	// overhang is what a claim may take beyond its wait.
	overhang = 15 * time.Second
)

// The codes by which programs tell refusals apart.
const (
	codeStale   = "stale"
	codeForeign = "foreign"
	codeUnknown = "unknown"
	codeNoPools = "no_pools"
)

// worker is a handler that knows which coordinate asks.
type worker func(w http.ResponseWriter, r *http.Request, as pools.Address)

func (s *Server) workerRoutes() {
	s.guardWorker("POST /api/v1/worker/claim", s.claim)
	s.guardWorker("POST /api/v1/worker/attempts/{id}/heartbeat", report(s, func(ctx context.Context, as pools.Address, id dispatcher.AttemptID, b dispatcher.Beat) (any, error) {
		return s.Work.Beat(ctx, as, id, b)
	}))
	s.guardWorker("POST /api/v1/worker/attempts/{id}/register", report(s, func(ctx context.Context, as pools.Address, id dispatcher.AttemptID, b dispatcher.Registration) (any, error) {
		return nil, s.Work.Register(ctx, as, id, b)
	}))
	s.guardWorker("POST /api/v1/worker/attempts/{id}/complete", report(s, func(ctx context.Context, as pools.Address, id dispatcher.AttemptID, b dispatcher.Completion) (any, error) {
		return nil, s.Work.Complete(ctx, as, id, b)
	}))
	s.guardWorker("POST /api/v1/worker/attempts/{id}/fail", report(s, func(ctx context.Context, as pools.Address, id dispatcher.AttemptID, b dispatcher.Failure) (any, error) {
		return nil, s.Work.Fail(ctx, as, id, b)
	}))
}

// guardWorker lets a request through only with a coordinate's own credential,
// which says whom it speaks for. An API token is none, and a credential is none
// for the rest of the API.
func (s *Server) guardWorker(pattern string, h worker) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		if s.noPools(w) {
			return
		}
		c, ok, err := s.credential(r)
		switch {
		case err != nil:
			s.failWork(w, r, err)
			return
		case !ok:
			w.Header().Set("WWW-Authenticate", "Bearer")
			refuse(w, http.StatusUnauthorized, "a coordinate's credential is needed: Authorization: Bearer slipway_w_…")
			return
		}
		actor := authz.Actor{Name: c.Address.String(), Roles: []authz.Role{authz.Builder}}
		why := c.Ended(s.Now())
		if why == "" {
			if err := authz.Check(actor, authz.WorkClaim, s.Now()); err != nil {
				why = err.Error()
			}
		}
		if why != "" {
			s.refused(r.Context(), asked{token: actor.Name, verb: authz.WorkClaim, subject: subjectOf(r)}, why)
			w.Header().Set("WWW-Authenticate", "Bearer")
			refuse(w, http.StatusUnauthorized, why)
			return
		}
		h(w, r, c.Address)
	})
}

// credential looks up the one that a request carries. What is compared is its
// hash, so the time that it takes tells nothing of the secret.
func (s *Server) credential(r *http.Request) (c dispatcher.Credential, known bool, err error) {
	secret, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return dispatcher.Credential{}, false, nil
	}
	hash, ok := dispatcher.HashCredential(secret)
	if !ok {
		return dispatcher.Credential{}, false, nil
	}
	c, known, err = s.Credential(r.Context(), hash)
	if err != nil || !known || c.Hash != hash || c.Address.IsZero() {
		return dispatcher.Credential{}, false, err
	}
	return c, true, nil
}

// claim waits for work for the coordinate that asks. It ends early when the
// client leaves, and with no work when the server is about to stop.
func (s *Server) claim(w http.ResponseWriter, r *http.Request, as pools.Address) {
	var q dispatcher.ClaimRequest
	if !readWork(w, r, &q) {
		return
	}
	var faults []error
	if q.Request == "" || len(q.Request) > longestRequest {
		faults = append(faults, fmt.Errorf("request is the claim's own key, of 1 to %d bytes", longestRequest))
	}
	if q.Wait < 0 || q.Wait > longestWait {
		faults = append(faults, fmt.Errorf("wait is 0 to %d seconds", longestWait))
	}
	if len(faults) > 0 {
		refuseAll(w, http.StatusBadRequest, errors.Join(faults...))
		return
	}
	if !q.Builder.IsZero() && q.Builder != as {
		why := fmt.Sprintf("the credential is that of %s: start the worker --as %[1]s, or give it the credential of %[2]s", as, q.Builder)
		s.refused(r.Context(), asked{token: as.String(), verb: authz.WorkClaim, subject: subjectOf(r)}, why)
		refuseAs(w, http.StatusForbidden, codeForeign, why)
		return
	}
	wait := time.Duration(q.Wait) * time.Second
	ctx, done := s.untilStopping(r.Context(), wait+overhang)
	defer done()
	var grant *dispatcher.Grant
	var err error
	if ctx.Err() == nil {
		grant, err = s.Work.Claim(ctx, as, q)
	}
	switch {
	case grant != nil && err == nil:
		answer(w, http.StatusOK, grant)
	case err == nil, ctx.Err() != nil:
		w.WriteHeader(http.StatusNoContent)
	default:
		s.failWork(w, r, err)
	}
}

// untilStopping is a context that ends also when the server is to stop. done
// frees it.
func (s *Server) untilStopping(ctx context.Context, limit time.Duration) (until context.Context, done func()) {
	until, cancel := context.WithTimeout(ctx, limit)
	select {
	case <-s.stopping:
		cancel()
		return until, cancel
	default:
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		select {
		case <-s.stopping:
			cancel()
		case <-until.Done():
		}
	})
	return until, func() { cancel(); wg.Wait() }
}

// report is a call about an attempt, with its body.
func report[T any](s *Server, do func(ctx context.Context, as pools.Address, id dispatcher.AttemptID, body T) (any, error)) worker {
	return func(w http.ResponseWriter, r *http.Request, as pools.Address) {
		n, err := positive(r.PathValue("id"))
		if err != nil {
			refuse(w, http.StatusBadRequest, "the attempt's "+err.Error())
			return
		}
		var body T
		if !readWork(w, r, &body) {
			return
		}
		said, err := do(r.Context(), as, dispatcher.AttemptID(n), body)
		switch {
		case err != nil:
			s.failWork(w, r, err)
		case said == nil:
			w.WriteHeader(http.StatusNoContent)
		default:
			answer(w, http.StatusOK, said)
		}
	}
}

// readWork reads a worker's body.
func readWork(w http.ResponseWriter, r *http.Request, into any) bool {
	return read(w, r, into, workLimit)
}

// failWork answers an error of the worker protocol: what a worker has to tell
// apart has a code.
func (s *Server) failWork(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, dispatcher.ErrStale):
		refuseAs(w, http.StatusConflict, codeStale, err.Error())
	case errors.Is(err, dispatcher.ErrForeign):
		refuseAs(w, http.StatusForbidden, codeForeign, err.Error())
	case errors.Is(err, dispatcher.ErrUnknown):
		refuseAs(w, http.StatusNotFound, codeUnknown, err.Error())
	case fault.KindOf(err) == fault.Permanent:
		refuseAll(w, http.StatusBadRequest, err)
	default:
		s.fail(w, r, err)
	}
}

// refuseAs refuses with a code for programs.
func refuseAs(w http.ResponseWriter, status int, code, why string) {
	answer(w, status, map[string]string{"error": why, "code": code})
}

// refuseAll refuses with every fault by itself beside the whole.
func refuseAll(w http.ResponseWriter, status int, err error) {
	answer(w, status, map[string]any{"error": err.Error(), "faults": faultsOf(err)})
}

// faultsOf lists the errors that were joined into one, in their order.
func faultsOf(err error) []string {
	var several interface{ Unwrap() []error }
	if !errors.As(err, &several) {
		return []string{err.Error()}
	}
	var out []string
	for _, e := range several.Unwrap() {
		out = append(out, faultsOf(e)...)
	}
	return out
}
