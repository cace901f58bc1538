package github_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"

	"slipway/internal/ref"
	"slipway/test/servers/github"
)

// jwt is what an App signs about itself.
func jwt(t *testing.T, key *rsa.PrivateKey, algorithm string, claims m) string {
	t.Helper()
	part := func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	text := part(m{"alg": algorithm, "typ": "JWT"}) + "." + part(claims)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func rsaKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// code is the status of a call with a token.
func (s *site) code(token, method, path string, in any) int {
	s.t.Helper()
	err := s.Call(s.t.Context(), token, method, path, in, nil)
	if err == nil {
		return http.StatusOK
	}
	var refused *github.Refusal
	if !errors.As(err, &refused) {
		s.t.Fatal(err)
	}
	return refused.Status
}

func TestAnAppIsKnownByItsSignatureAlone(t *testing.T) {
	s := start(t, described(t))
	key, other := rsaKey(t), rsaKey(t)
	app := s.CreateApp("slipway", "acme", map[string]string{"contents": "read"}, &key.PublicKey)
	moment := time.Now().Unix()
	good := m{"iss": app.ID, "iat": moment - 30, "exp": moment + 300}
	with := func(name string, value any) m {
		claims := m{}
		for k, v := range good {
			claims[k] = v
		}
		claims[name] = value
		return claims
	}
	tests := []struct {
		name  string
		token string
		want  int
	}{
		{"its own", jwt(t, key, "RS256", good), http.StatusOK},
		{"another's key", jwt(t, other, "RS256", good), http.StatusUnauthorized},
		{"no algorithm", jwt(t, key, "none", good), http.StatusUnauthorized},
		{"another App's id", jwt(t, key, "RS256", with("iss", app.ID+1000)), http.StatusUnauthorized},
		{"one that has ended", jwt(t, key, "RS256", with("exp", moment-1)), http.StatusUnauthorized},
		{"one that lives too long", jwt(t, key, "RS256", with("exp", moment+3600)), http.StatusUnauthorized},
		{"one from the future", jwt(t, key, "RS256", with("iat", moment+300)), http.StatusUnauthorized},
		{"a person's token", s.token("alice"), http.StatusUnauthorized},
		{"none", "", http.StatusUnauthorized},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := s.code(test.token, "GET", "/app", nil); got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
}

func TestAnInstallationMayDoWhatItWasGiven(t *testing.T) {
	s := start(t, described(t))
	key := rsaKey(t)
	app := s.CreateApp("slipway", "acme", map[string]string{"contents": "read", "statuses": "write"}, &key.PublicKey)
	if err := s.CreateRepo(ref.RepoID{Owner: "acme", Name: "secret"}, true); err != nil {
		t.Fatal(err)
	}
	head := s.tip("main")
	moment := time.Now().Unix()
	var made struct {
		Token   string
		Expires time.Time `json:"expires_at"`
	}
	path := "/app/installations/" + number(app.Installation) + "/access_tokens"
	signed := jwt(t, key, "RS256", m{"iss": app.ID, "iat": moment - 30, "exp": moment + 300})
	if err := s.Call(t.Context(), signed, "POST", path, m{"repositories": []string{"app"}}, &made); err != nil {
		t.Fatal(err)
	}
	if left := time.Until(made.Expires); left < 50*time.Minute || left > time.Hour {
		t.Errorf("it lives for %s", left)
	}
	tests := []struct {
		name, token, method, path string
		in                        any
		want                      int
	}{
		{"read what it may read", made.Token, "GET", "/repos/acme/app/git/ref/heads/main", nil, http.StatusOK},
		{"post a status", made.Token, "POST", "/repos/acme/app/statuses/" + string(head), m{"state": "success"}, http.StatusOK},
		{"not write what it may only read", made.Token, "POST", "/repos/acme/app/git/refs", m{"ref": "refs/heads/x", "sha": string(head)}, http.StatusForbidden},
		{"not do what it was not given", made.Token, "POST", "/repos/acme/app/pulls/1/reviews", m{"event": "APPROVE"}, http.StatusForbidden},
		{"not see a private repository that its token leaves out", made.Token, "GET", "/repos/acme/secret", nil, http.StatusNotFound},
		{"and an outsider does not either", s.token("outsider"), "GET", "/repos/acme/secret", nil, http.StatusNotFound},
		{"nor does an outsider post a status", s.token("outsider"), "POST", "/repos/acme/app/statuses/" + string(head), m{"state": "success"}, http.StatusForbidden},
		{"a token that nobody gave out", "worthless", "GET", "/repos/acme/app", nil, http.StatusUnauthorized},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := s.code(test.token, test.method, test.path, test.in); got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
	s.Revoke(made.Token)
	if got := s.code(made.Token, "GET", "/repos/acme/app", nil); got != http.StatusUnauthorized {
		t.Errorf("once it has ended: %d", got)
	}
}
