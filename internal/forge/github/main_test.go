package github

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"slipway/internal/ref"
)

const secretToken = "0123456789abcdef-the-token"

const (
	someCommit  = ref.SHA("1111111111111111111111111111111111111111")
	otherCommit = ref.SHA("2222222222222222222222222222222222222222")
)

func someRepo() ref.RepoID { return ref.RepoID{Owner: "acme", Name: "app"} }

func somePull() ref.PullID { return ref.PullID{Repo: someRepo(), Number: 7} }

// answered gives a client for a server that answers as told. It stands for what
// a working server cannot be made to do.
func answered(t *testing.T, answer http.HandlerFunc, adjust ...func(*Config)) *Client {
	t.Helper()
	c := Config{
		URL: answeredServer(t, answer), Login: "slipway", Token: func() (string, error) { return secretToken, nil },
		Spacing: time.Millisecond,
	}
	for _, a := range adjust {
		a(&c)
	}
	return must(New(c))(t)
}

func answeredServer(t *testing.T, answer http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(answer)
	t.Cleanup(s.Close)
	return s.URL
}

// script answers each path (without its query) with the same text, and
// everything else with 404.
func script(paths map[string]string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, found := paths[strings.TrimPrefix(r.URL.Path, "/")]
		if !found {
			http.Error(w, `{"message":"Not Found"}`, http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(body)) // a test whose server breaks off sees it in the answer
	}
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
