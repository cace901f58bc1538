package server

import (
	"context"
	"net/http"
	"time"

	"slipway/internal/authz"
	"slipway/internal/canary"
	"slipway/internal/ref"
)

// Canaries lets out canaries.
type Canaries interface {
	// Aviaries are the repositories in which it does, in the configuration's order.
	Aviaries() []Aviary
	// Begin has a round begin in a repository now, and journals who asked. Where
	// there are no canaries, or a round is under way, it is fault.Permanent.
	Begin(ctx context.Context, repo ref.RepoID, by string) (Aviary, error)
}

// Aviary is a repository in which canaries are let out.
type Aviary struct {
	Repo ref.RepoID `json:"repo"`
	// Rounds is how many ended since the server started, well or not.
	Rounds int64 `json:"rounds"`
	// Running says that one is under way.
	Running bool `json:"running"`
	// Next is when the schedule lets out the next ones.
	Next time.Time `json:"next,omitzero"`
	// Last is what the last round of this server found, nil before there was one.
	Last *canary.Report `json:"last,omitempty"`
}

func (s *Server) canaries(w http.ResponseWriter, _ *http.Request, _ Token) {
	answer(w, http.StatusOK, notNil(s.Canaries.Aviaries()))
}

func (s *Server) runCanaries(w http.ResponseWriter, r *http.Request, who Token) {
	repo, err := ref.ParseRepo(r.PathValue("owner") + "/" + r.PathValue("name"))
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	begun, err := s.Canaries.Begin(r.Context(), repo, who.Name)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.Log.Info("order", "token", who.Name, "verb", authz.RunCanaries, "repository", repo)
	answer(w, http.StatusAccepted, begun)
}
