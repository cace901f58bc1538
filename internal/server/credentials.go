package server

import (
	"context"
	"net/http"

	"slipway/dispatcher"
	"slipway/internal/authz"
)

// Credentials are what workers speak with. Their secrets never come here.
type Credentials interface {
	// Enrol lets a credential speak for its coordinate; what cannot be is
	// fault.Permanent.
	Enrol(ctx context.Context, by string, c dispatcher.Credential) error
	Revoke(ctx context.Context, by, hash string) error
	// Credentials lists them, by coordinate and age.
	Credentials(ctx context.Context) ([]dispatcher.Credential, error)
}

func (s *Server) credentialRoutes() {
	s.guardWork("GET /api/v1/pools/credentials", authz.PoolsApply, s.credentials)
	s.guardWork("POST /api/v1/pools/credentials", authz.PoolsApply, s.enrol)
	s.guardWork("POST /api/v1/pools/credentials/{hash}/revoke", authz.PoolsApply, s.revoke)
}

func (s *Server) credentials(w http.ResponseWriter, r *http.Request, _ Token) {
	list, err := s.Work.Credentials(r.Context())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	answer(w, http.StatusOK, notNil(list))
}

func (s *Server) enrol(w http.ResponseWriter, r *http.Request, who Token) {
	var c dispatcher.Credential
	if !read(w, r, &c, workLimit) {
		return
	}
	if c.Address.IsZero() {
		refuse(w, http.StatusBadRequest, "the credential wants an address: for which coordinate is it to speak?")
		return
	}
	s.accept(w, r, who, authz.PoolsApply, c.Address.String(), s.Work.Enrol(r.Context(), who.Name, c))
}

func (s *Server) revoke(w http.ResponseWriter, r *http.Request, who Token) {
	s.accept(w, r, who, authz.PoolsApply, "", s.Work.Revoke(r.Context(), who.Name, r.PathValue("hash")))
}
