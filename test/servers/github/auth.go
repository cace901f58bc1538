package github

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// need is what a call takes: of an App a permission and its level, of a person
// a role in the repository. No permission means that every App has it.
type need struct {
	permission string
	level      string // read or write
	role       role
	// jwt says that the App itself must call, with its signed token.
	jwt bool
	// anyone says that nobody need say who they are.
	anyone bool
}

// role is what somebody may do in a repository.
type role int

const (
	roleNone role = iota
	roleRead
	roleTriage
	roleWrite
	roleMaintain
	roleAdmin
)

func (r role) String() string {
	return []string{"none", "read", "triage", "write", "maintain", "admin"}[r]
}

// permission is the role in the older words.
func (r role) permission() string {
	switch {
	case r >= roleAdmin:
		return "admin"
	case r >= roleWrite:
		return "write"
	default:
		return min(r, roleRead).String()
	}
}

// authenticate finds out who calls.
func (c *call) authenticate() (reply, bool) {
	if c.route.need.jwt {
		app, err := c.appOf(bearer(c.request))
		if err != nil {
			return c.refuse(http.StatusUnauthorized, "A JSON web token could not be decoded: "+err.Error()), false
		}
		c.cred = credential{who: app.bot, app: app}
		return reply{}, true
	}
	token := bearer(c.request)
	if token == "" {
		if c.route.need.anyone || c.request.Method == http.MethodGet {
			return reply{}, true
		}
		return c.refuse(http.StatusUnauthorized, "Requires authentication"), false
	}
	cred, found := c.Server.credential(token)
	if !found {
		return c.refuse(http.StatusUnauthorized, "Bad credentials"), false
	}
	c.cred = cred
	return reply{}, true
}

// credential is what a token stands for, as long as it does.
func (s *Server) credential(token string) (credential, bool) {
	cred, found := s.tokens[token]
	if !found || !cred.expires.IsZero() && !cred.expires.After(time.Now()) {
		return credential{}, false
	}
	return cred, true
}

// authorise finds the repository, and out whether the caller may.
func (c *call) authorise() (reply, bool) {
	n := c.route.need
	if c.param("repo") == "" {
		if c.cred.who == nil && !n.anyone {
			return c.refuse(http.StatusUnauthorized, "Requires authentication"), false
		}
		return c.permitted(n)
	}
	repo := c.repos[strings.ToLower(c.param("owner")+"/"+c.param("repo"))]
	if repo == nil || c.Server.role(c.cred, repo) < roleRead {
		return c.notFound(), false
	}
	c.repo = repo
	if n.jwt {
		return reply{}, true
	}
	if c.cred.app == nil && c.Server.role(c.cred, repo) < n.role {
		return c.refuse(http.StatusForbidden, "Must have "+n.role.String()+" rights to Repository."), false
	}
	return c.permitted(n)
}

func (c *call) permitted(n need) (reply, bool) {
	if c.cred.app == nil || n.jwt || n.permission == "" {
		return reply{}, true
	}
	has := c.cred.app.Permissions[n.permission]
	if has == "write" || has == n.level {
		return reply{}, true
	}
	return c.refuse(http.StatusForbidden, "Resource not accessible by integration"), false
}

// role is what a caller may do in a repository. An App that is installed on it
// has a role of its own: its permissions say the rest.
func (s *Server) role(cred credential, r *repository) role {
	if cred.app != nil {
		if !strings.EqualFold(cred.app.Owner, r.owner.Login) || cred.repos != nil && !slices.Contains(cred.repos, r.name) {
			return r.everybody()
		}
		if cred.app.Permissions["contents"] == "write" {
			return roleWrite
		}
		return roleRead
	}
	return s.roleOf(cred.who, r)
}

// roleOf is what an account may do in a repository, by itself and by its teams.
func (s *Server) roleOf(who *Account, r *repository) role {
	best := r.everybody()
	if who == nil {
		return best
	}
	if who.Login == r.owner.Login {
		return roleAdmin
	}
	best = max(best, r.collaborators[who.Login])
	for _, t := range s.teams {
		if t.org == r.owner.Login && slices.Contains(t.members, who.Login) {
			best = max(best, t.repos[r.name])
		}
	}
	return best
}

func (r *repository) everybody() role {
	if r.private {
		return roleNone
	}
	return roleRead
}

// bearer is the token of a request; of Basic credentials it is the password.
func bearer(r *http.Request) string {
	if _, password, ok := r.BasicAuth(); ok {
		return password
	}
	kind, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(kind, "bearer") || strings.EqualFold(kind, "token") {
		return token
	}
	return ""
}

// appOf verifies the token that an App signs about itself (RFC 7519, RS256).
func (s *Server) appOf(token string) (*App, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, errors.New("it has not three parts")
	}
	var header struct {
		Algorithm string `json:"alg"`
	}
	var claims struct {
		Issuer  json.RawMessage `json:"iss"`
		Issued  float64         `json:"iat"`
		Expires float64         `json:"exp"`
	}
	for i, into := range []any{&header, &claims} {
		text, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(text, into); err != nil {
			return nil, err
		}
	}
	id, err := strconv.ParseInt(strings.Trim(string(claims.Issuer), `"`), 10, 64)
	if err != nil {
		return nil, errors.New("'Issuer' claim ('iss') must be an Integer")
	}
	app := s.apps[id]
	moment := float64(time.Now().Unix())
	switch {
	case header.Algorithm != "RS256":
		return nil, errors.New("the algorithm is not RS256")
	case app == nil:
		return nil, errors.New("integration not found")
	case claims.Expires <= moment:
		return nil, errors.New("'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires")
	case claims.Expires > moment+600+5:
		return nil, errors.New("'Expiration time' claim ('exp') is too far in the future")
	case claims.Issued > moment+5:
		return nil, errors.New("'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued")
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if err := rsa.VerifyPKCS1v15(app.key, crypto.SHA256, sum[:], signature); err != nil {
		return nil, errors.New("the signature does not verify")
	}
	return app, nil
}
