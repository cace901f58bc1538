package server

import (
	"net/http"
	"strings"
	"time"

	"slipway/internal/authz"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

// policyLimit is the largest policy file that is replayed, in bytes.
const policyLimit = 1 << 20

// ChangeOrder is the body of an order to a change.
type ChangeOrder struct {
	// Reason is kept with it.
	Reason string `json:"reason,omitempty"`
}

// ReplayOrder is the body of a replay: which changes to judge again, by what.
type ReplayOrder struct {
	Repo string `json:"repo"`
	// Policy is the text of a policy file.
	Policy string `json:"policy"`
	// Since is RFC 3339; "" is the beginning.
	Since time.Time `json:"since,omitzero"`
	// Limit is how many changes at the most; 0 is as many as may be, 1000.
	Limit int `json:"limit,omitempty"`
}

// UnfreezeOrder is the body of the order that lets merges to a branch go on.
type UnfreezeOrder struct {
	Repo   string `json:"repo"`
	Branch string `json:"branch"`
	Reason string `json:"reason"`
}

// changeVerbs are the orders to a change, by the word in the path: the commands
// of a comment, but for the emergency. That is for people whom a policy names,
// and a token is nobody's name.
func changeVerbs() map[string]authz.Verb {
	return map[string]authz.Verb{
		"hold": authz.Hold, "unhold": authz.Unhold, "merge": authz.Merge, "retry": authz.Retry,
	}
}

func (s *Server) orderChange(verb authz.Verb) handler {
	return func(w http.ResponseWriter, r *http.Request, who Token) {
		id, err := pullOf(r)
		if err != nil {
			refuse(w, http.StatusBadRequest, err.Error())
			return
		}
		var o ChangeOrder
		if !read(w, r, &o, 64<<10) {
			return
		}
		if err := s.Engine.Order(r.Context(), id, who.Actor, verb, o.Reason); err != nil {
			s.fail(w, r, err)
			return
		}
		s.Log.Info("order", "token", who.Name, "verb", verb, "change", id, "reason", o.Reason)
		answer(w, http.StatusAccepted, map[string]string{"result": "accepted"})
	}
}

func (s *Server) replay(w http.ResponseWriter, r *http.Request, _ Token) {
	var o ReplayOrder
	if !read(w, r, &o, policyLimit+4096) {
		return
	}
	repo, err := ref.ParseRepo(o.Repo)
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	if o.Limit < 0 || o.Limit > MostChanges {
		refuse(w, http.StatusBadRequest, "limit is 0 to 1000")
		return
	}
	if o.Limit == 0 {
		o.Limit = MostChanges
	}
	replay, err := s.Engine.Replay(r.Context(), repo, []byte(o.Policy), o.Since, o.Limit)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	answer(w, http.StatusOK, replay)
}

func (s *Server) unfreeze(w http.ResponseWriter, r *http.Request, who Token) {
	var o UnfreezeOrder
	if !read(w, r, &o, 64<<10) {
		return
	}
	b, err := ref.ParseBranch(o.Repo + "@" + o.Branch)
	switch {
	case err != nil:
		refuse(w, http.StatusBadRequest, err.Error())
		return
	case strings.TrimSpace(o.Reason) == "":
		refuse(w, http.StatusBadRequest, "the order wants a reason: the journal keeps why")
		return
	}
	if err := s.Engine.Unfreeze(r.Context(), b, reconcile.Person{Name: who.Name, Reason: o.Reason}); err != nil {
		s.fail(w, r, err)
		return
	}
	s.Log.Info("order", "token", who.Name, "verb", authz.Unfreeze, "branch", b, "reason", o.Reason)
	answer(w, http.StatusAccepted, map[string]string{"result": "accepted"})
}
