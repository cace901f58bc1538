package server

import (
	"errors"
	"io"
	"net/http"
	"time"
)

const (
	// hookLimit is the largest delivery that is read, in bytes.
	hookLimit = 1 << 20
	// hooksAtOnce is how many deliveries are read at once, and hookPatience how
	// long one may take to arrive.
	hooksAtOnce  = 64
	hookPatience = 10 * time.Second
)

// hook takes one delivery: size, then signature, then and only then its
// content (A4). It is answered once what it speaks of is committed as due.
func (s *Server) hook(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("forge")
	forge, ok := s.Hooks[name]
	if !ok {
		s.Count("unknown", "unknown_forge")
		refuse(w, http.StatusNotFound, "no forge of that name is configured")
		return
	}
	if !forge.Signed(r.Header) {
		s.Count(name, "unsigned")
		refuse(w, http.StatusUnauthorized, "the signature is missing or wrong")
		return
	}
	body, ok := s.body(w, r, name)
	if !ok {
		return
	}
	if err := forge.Verify(r.Header, body); err != nil {
		s.Count(name, "unsigned")
		s.Log.Warn("webhook refused", "forge", name, "from", r.RemoteAddr, "error", err)
		refuse(w, http.StatusUnauthorized, "the signature is missing or wrong")
		return
	}
	hint, ok, err := forge.Hint(r.Header, body)
	switch {
	case err != nil:
		s.Count(name, "unreadable")
		s.Log.Warn("webhook unreadable", "forge", name, "error", err)
		refuse(w, http.StatusBadRequest, "the delivery could not be read as this forge's")
		return
	case !ok:
		s.Count(name, "ignored")
		answer(w, http.StatusAccepted, map[string]string{"result": "ignored"})
		return
	}
	served, err := s.Engine.Accept(r.Context(), hint)
	switch {
	case err != nil:
		s.Count(name, "failed")
		s.Log.Error("webhook not kept", "forge", name, "repository", hint.Repo, "error", err)
		refuse(w, http.StatusServiceUnavailable, "it could not be kept; it is looked at all the same with the next resync")
	case !served:
		s.Count(name, "unserved")
		answer(w, http.StatusAccepted, map[string]string{"result": "ignored: repository not served here"})
	default:
		s.Count(name, "accepted")
		answer(w, http.StatusAccepted, map[string]string{"result": "due"})
	}
}

// body reads a delivery, under limits of size, time and number: whoever knows
// no secret can make it read no more than that.
func (s *Server) body(w http.ResponseWriter, r *http.Request, forge string) ([]byte, bool) {
	tooLarge := func() {
		s.Count(forge, "too_large")
		refuse(w, http.StatusRequestEntityTooLarge, "a delivery may have 1 MiB at most")
	}
	if r.ContentLength > hookLimit {
		w.Header().Set("Connection", "close")
		tooLarge()
		return nil, false
	}
	select {
	case s.reading <- struct{}{}:
		defer func() { <-s.reading }()
	case <-r.Context().Done():
		return nil, false
	}
	if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(hookPatience)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		s.Log.Warn("webhook without a deadline", "error", err)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, hookLimit))
	var limit *http.MaxBytesError
	switch {
	case errors.As(err, &limit):
		tooLarge()
		return nil, false
	case err != nil:
		s.Count(forge, "broken")
		refuse(w, http.StatusBadRequest, "the body could not be read")
		return nil, false
	}
	return body, true
}
