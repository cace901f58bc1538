package server_test

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"

	"slipway/internal/server"
)

const apiPath = "/api/v1"

// loaded is the published document; to read it takes a while.
var loaded = sync.OnceValues(func() (routed, error) {
	doc, err := openapi3.NewLoader().LoadFromData(server.OpenAPI())
	if err != nil {
		return routed{}, err
	}
	r, err := legacy.NewRouter(doc) // which validates it
	return routed{doc, r}, err
})

type routed struct {
	doc    *openapi3.T
	router routers.Router
}

func description(t testing.TB) (*openapi3.T, routers.Router) {
	t.Helper()
	d, err := loaded()
	if err != nil {
		t.Fatal(err)
	}
	return d.doc, d.router
}

// described lets a server's answers through and holds all that it says about
// work and pools, and all that it accepts, to the published description.
func described(t *testing.T, h http.Handler) http.Handler {
	t.Helper()
	_, router := description(t)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !ofWork(r.URL.Path) {
			h.ServeHTTP(w, r)
			return
		}
		route, params, err := router.FindRoute(r)
		if err != nil {
			h.ServeHTTP(w, r) // what is not described is not there, which has its own test
			return
		}
		sent := new(bytes.Buffer)
		r.Body = struct {
			io.Reader
			io.Closer
		}{io.TeeReader(r.Body, sent), r.Body}
		seen := &witness{ResponseWriter: w, status: http.StatusOK}
		h.ServeHTTP(seen, r)
		if r.Context().Err() != nil {
			return // the client left: it was answered nothing
		}
		again := r.Clone(r.Context())
		again.Body, again.ContentLength = io.NopCloser(sent), int64(sent.Len())
		in := &openapi3filter.RequestValidationInput{
			Request: again, PathParams: params, Route: route,
			Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, SkipSettingDefaults: true, IncludeResponseStatus: true},
		}
		name := r.Method + " " + r.URL.Path
		if seen.status < 300 {
			if err := openapi3filter.ValidateRequest(r.Context(), in); err != nil {
				t.Errorf("%s is answered %d, and the description refuses it: %v", name, seen.status, err)
			}
		}
		out := &openapi3filter.ResponseValidationInput{
			RequestValidationInput: in, Status: seen.status, Header: seen.Header(), Options: in.Options,
		}
		out.SetBodyBytes(seen.body.Bytes())
		if err := openapi3filter.ValidateResponse(r.Context(), out); err != nil {
			t.Errorf("%s is answered %d %s, which is not as described: %v", name, seen.status, seen.body.String(), err)
		}
	})
}

func ofWork(path string) bool {
	rest, _ := strings.CutPrefix(path, apiPath)
	first, _, _ := strings.Cut(strings.TrimPrefix(rest, "/"), "/")
	return slices.Contains([]string{"worker", "work", "pools"}, first)
}

// witness sees an answer on its way.
type witness struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (w *witness) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *witness) Write(b []byte) (int, error) {
	w.body.Write(b)
	return w.ResponseWriter.Write(b)
}

func (w *witness) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func TestTheDescriptionIsValidAndPublished(t *testing.T) {
	doc, _ := description(t)
	if err := doc.Validate(t.Context()); err != nil {
		t.Error(err)
	}
	published, err := os.ReadFile("../../docs/api/openapi.yaml")
	if err != nil || !bytes.Equal(published, server.OpenAPI()) {
		t.Errorf("docs/api/openapi.yaml is not internal/server/openapi.yaml: copy it (%v)", err)
	}
	w := newWorld(t)
	got := w.send(http.MethodGet, apiPath+"/openapi.yaml", nil, nil)
	if got.status != 200 || got.body != strings.TrimSpace(string(published)) || got.header.Get("Content-Type") != "application/yaml" {
		t.Errorf("it is served as %d %s", got.status, got.header)
	}
}

// routesOfWork are those about work and pools that the server's source
// registers, and that of the description itself.
func routesOfWork(t *testing.T) (all []string) {
	t.Helper()
	sources, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range sources {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`"((?:GET|POST|PUT|PATCH|DELETE) (/api/v1/[^"]+))"`).FindAllSubmatch(text, -1) {
			if path := string(m[2]); ofWork(path) || path == apiPath+"/openapi.yaml" {
				all = append(all, string(m[1]))
			}
		}
	}
	slices.Sort(all)
	return all
}

func TestEveryRouteIsDescribedAndTheOtherWayRound(t *testing.T) {
	doc, _ := description(t)
	var described []string
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			described = append(described, method+" "+apiPath+path)
		}
	}
	slices.Sort(described)
	if got := routesOfWork(t); len(got) < 18 || !slices.Equal(got, described) {
		t.Errorf("the server has\n%s\nand described are\n%s", strings.Join(got, "\n"), strings.Join(described, "\n"))
	}
}

// TestWhoIsLetInStandsInTheDescription: the worker protocol takes a
// coordinate's credential and the rest an API token.
func TestWhoIsLetInStandsInTheDescription(t *testing.T) {
	doc, _ := description(t)
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			want := "token"
			if strings.HasPrefix(path, "/worker/") {
				want = "coordinate"
			}
			if path == "/openapi.yaml" {
				continue
			}
			if op.Security == nil || len(*op.Security) != 1 || len((*op.Security)[0]) != 1 {
				t.Errorf("%s %s: says %v", method, path, op.Security)
				continue
			}
			if _, ok := (*op.Security)[0][want]; !ok {
				t.Errorf("%s %s: says %v, want %s", method, path, *op.Security, want)
			}
		}
	}
}
