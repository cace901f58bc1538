package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"slipway/internal/fault"
	"slipway/internal/ref"
)

// held is a builder with an image that it keeps, as if it had built it: what
// follows a build does not need another one.
func held(t *testing.T, h *hub, x Exporter) (*Builder, ref.Digest) {
	t.Helper()
	b := builder(t, x, at(h))
	img, err := random.Image(1000, 1)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := b.keep(img)
	if err != nil {
		t.Fatal(err)
	}
	return b, digest
}

// publish puts another image under the tag and returns its digest.
func publish(t *testing.T, h *hub, tag string) ref.Digest {
	t.Helper()
	img, err := random.Image(1000, 1)
	if err != nil {
		t.Fatal(err)
	}
	r, err := name.NewTag(h.host + "/acme/app:" + tag)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(r, img); err != nil {
		t.Fatal(err)
	}
	hash, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return ref.Digest(hash.String())
}

// unused is an exporter for tests in which nothing may be built.
type unused struct{}

var errUnused = errors.New("it is built again")

func (unused) Export(context.Context, ref.RepoID, ref.SHA, string) (time.Time, error) {
	return time.Time{}, errUnused
}

func TestPushAfterARestart(t *testing.T) {
	h := newHub(t)
	first := builder(t, &tree{files: hello}, at(h))
	digest, err := first.Build(deadline(t), order(h.host))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(first.path("work", "left"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	second := builder(t, unused{}, at(h), func(c *Config) { c.Dir = first.config.Dir })
	if left, err := os.ReadDir(second.path("work")); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	exists, _, err := second.Resolve(deadline(t), h.host+"/acme/app", "v1.2.3")
	if exists != ref.No || err != nil {
		t.Errorf("before the push: %s, %v", exists, err)
	}
	if err := second.Push(deadline(t), order(h.host), digest); err != nil {
		t.Fatal(err)
	}
	exists, there, err := second.Resolve(deadline(t), h.host+"/acme/app", "v1.2.3")
	if exists != ref.Yes || there != digest || err != nil {
		t.Errorf("after the push: %s, %s, %v; want %s", exists, there, err, digest)
	}
	puts := h.count("PUT ")
	if err := second.Push(deadline(t), order(h.host), digest); err != nil || h.count("PUT ") != puts {
		t.Errorf("pushed again: %v, %d more writes", err, h.count("PUT ")-puts)
	}
}

func TestTagThatNamesAnotherDigestStays(t *testing.T) {
	h := newHub(t)
	b, digest := held(t, h, unused{})
	other := publish(t, h, "v1.2.3")
	puts := h.count("PUT ")
	err := b.Push(deadline(t), order(h.host), digest)
	if fault.KindOf(err) != fault.Permanent || !strings.Contains(err.Error(), string(digest)) || !strings.Contains(err.Error(), string(other)) {
		t.Errorf("got %v; want a permanent error that names both digests", err)
	}
	if _, there, err := b.Resolve(deadline(t), h.host+"/acme/app", "v1.2.3"); there != other || err != nil || h.count("PUT ") != puts {
		t.Errorf("the tag names %s, %v", there, err)
	}
}

func TestLostAnswerOfAPush(t *testing.T) {
	h := newHub(t)
	b, digest := held(t, h, unused{})
	h.wrap(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/") {
			next.ServeHTTP(httptest.NewRecorder(), r) // it is stored
			http.Error(w, "gateway", http.StatusInternalServerError)
			return
		}
		next.ServeHTTP(w, r)
	})
	err := b.Push(deadline(t), order(h.host), digest)
	if err == nil || fault.KindOf(err) != fault.Later {
		t.Errorf("got %v; want an error to try later", err)
	}
	if n := h.count("PUT /v2/acme/app/manifests/"); n != 1 {
		t.Errorf("it was tried %d times; the caller looks before it tries again", n)
	}
	h.wrap(nil)
	if err := b.Push(deadline(t), order(h.host), digest); err != nil {
		t.Errorf("again: %v", err)
	}
	if n := h.count("PUT /v2/acme/app/manifests/"); n != 1 {
		t.Errorf("it was written %d times", n)
	}
}

// TestRegistryThatKeepsSomethingElse has somebody else win the tag between the
// look and the push.
func TestRegistryThatKeepsSomethingElse(t *testing.T) {
	for _, test := range []struct {
		rule string
		tag  string // where the manifest really goes
		kind fault.Kind
	}{{"another image under the tag", "v1.2.3", fault.Permanent}, {"nothing under the tag", "elsewhere", fault.Later}} {
		t.Run(test.rule, func(t *testing.T) {
			h := newHub(t)
			b, digest := held(t, h, unused{})
			done := false
			h.wrap(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if done || r.Method != http.MethodPut || !strings.Contains(r.URL.Path, "/manifests/") {
					next.ServeHTTP(w, r)
					return
				}
				done = true
				publish(t, h, test.tag)
				w.WriteHeader(http.StatusCreated)
			})
			err := b.Push(deadline(t), order(h.host), digest)
			if err == nil || fault.KindOf(err) != test.kind {
				t.Errorf("got %v; want kind %d", err, test.kind)
			}
		})
	}
}

// answer is a fixed one, in the registry's own form where code is given.
func answer(status int, code string) func(w http.ResponseWriter, r *http.Request, next http.Handler) {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		if strings.HasSuffix(r.URL.Path, "/v2/") {
			return
		}
		body := "<html>" + r.Header.Get("Authorization") + password + strings.Repeat("x", 50_000)
		if code != "" {
			w.Header().Set("Content-Type", "application/json")
			body = fmt.Sprintf(`{"errors":[{"code":%q,"message":"no: %s"}]}`, code, password)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func TestResolve(t *testing.T) {
	h := newHub(t)
	b := builder(t, unused{}, at(h))
	for _, test := range []struct {
		rule   string
		status int
		code   string
		want   ref.Fact
		kind   fault.Kind
	}{
		{"the registry knows no such tag", 404, "MANIFEST_UNKNOWN", ref.No, 0},
		{"the registry knows no such image", 404, "NAME_UNKNOWN", ref.No, 0},
		{"a page that says 404 is not the registry's word", 404, "", ref.Unknown, fault.Later},
		{"a 404 for another reason", 404, "UNSUPPORTED", ref.Unknown, fault.Later},
		{"the account is unknown", 401, "UNAUTHORIZED", ref.Unknown, fault.Permanent},
		{"the account may not", 403, "DENIED", ref.Unknown, fault.Permanent},
		{"too many requests", 429, "TOOMANYREQUESTS", ref.Unknown, fault.Later},
		{"an error within", 500, "", ref.Unknown, fault.Later},
		{"an error within, in its own form", 503, "MANIFEST_UNKNOWN", ref.Unknown, fault.Later},
	} {
		t.Run(test.rule, func(t *testing.T) {
			h.wrap(answer(test.status, test.code))
			before := h.count("GET /v2/acme")
			got, digest, err := b.Resolve(deadline(t), h.host+"/acme/app", "v1.2.3")
			if got != test.want || digest != "" || fault.KindOf(err) != test.kind || (err == nil) != (test.want == ref.No) {
				t.Errorf("got %s, %q, %v; want %s and kind %d", got, digest, err, test.want, test.kind)
			}
			if err != nil && (strings.Contains(err.Error(), password) || len(err.Error()) > 1500) {
				t.Errorf("the error tells too much: %.2000v", err)
			}
			if n := h.count("GET /v2/acme") - before; n != 1 {
				t.Errorf("%d requests; the caller tries again", n)
			}
		})
	}
	h.wrap(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.HasSuffix(r.URL.Path, "/v2/") {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Docker-Content-Digest", "sha256:"+strings.Repeat("a", 64))
		w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
		_, _ = io.WriteString(w, `{"schemaVersion":2}`)
	})
	if _, digest, err := b.Resolve(deadline(t), h.host+"/acme/app", "v1.2.3"); err == nil && strings.Contains(string(digest), "aaaa") {
		t.Error("the header's word counts for more than what was read")
	}
}

func TestRefusedPush(t *testing.T) {
	for _, test := range []struct {
		rule   string
		status int
		code   string
		kind   fault.Kind
		words  string
	}{
		{"the account is unknown", 401, "UNAUTHORIZED", fault.Permanent, "renew its token"},
		{"the account may not", 403, "DENIED", fault.Permanent, `give the account "slipway" the right`},
		{"there is no such owner", 404, "NAME_UNKNOWN", fault.Permanent, "correct the image's name"},
		{"a page that says 404", 404, "", fault.Later, "404"},
		{"it is too large", 413, "", fault.Permanent, "413"},
		{"a name that it does not like", 400, "NAME_INVALID", fault.Permanent, "NAME_INVALID"},
		{"an upload that broke", 400, "BLOB_UPLOAD_INVALID", fault.Later, "BLOB_UPLOAD_INVALID"},
		{"too many requests", 429, "", fault.Later, "429"},
		{"an error within", 502, "", fault.Later, "502"},
	} {
		t.Run(test.rule, func(t *testing.T) {
			h := newHub(t)
			b, digest := held(t, h, unused{})
			refuse := answer(test.status, test.code)
			h.wrap(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if r.Method == http.MethodGet || r.Method == http.MethodHead {
					next.ServeHTTP(w, r)
					return
				}
				refuse(w, r, next)
			})
			err := b.Push(deadline(t), order(h.host), digest)
			if err == nil || fault.KindOf(err) != test.kind || !strings.Contains(err.Error(), test.words) {
				t.Errorf("got %v; want kind %d and %q", err, test.kind, test.words)
			}
			if err != nil && strings.Contains(err.Error(), password) {
				t.Errorf("the error shows the password: %v", err)
			}
		})
	}
}

func TestRegistryThatIsDown(t *testing.T) {
	h := newHub(t)
	b := builder(t, unused{}, func(c *Config) { c.Registries = map[string]Auth{"127.0.0.1:1": {Insecure: true}} })
	if got, _, err := b.Resolve(deadline(t), "127.0.0.1:1/acme/app", "v1"); got != ref.Unknown || err == nil || fault.KindOf(err) != fault.Later {
		t.Errorf("got %s, %v; want an error to try later", got, err)
	}
	b = builder(t, unused{}, at(h))
	free := make(chan struct{})
	defer close(free)
	h.wrap(func(http.ResponseWriter, *http.Request, http.Handler) { <-free })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if got, _, err := b.Resolve(ctx, h.host+"/acme/app", "v1"); got != ref.Unknown || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %s, %v; want the end of the context", got, err)
	}
}

func TestNamesThatAreNone(t *testing.T) {
	h := newHub(t)
	b, digest := held(t, h, unused{})
	for _, repository := range []string{"", "acme/app", "elsewhere.example/acme/app", h.host, h.host + "/Acme/App", h.host + "/acme/app:x", h.host + "/acme/app@sha256:x", h.host + "/../x"} {
		what := order(h.host)
		what.Repository = repository
		if err := b.Push(deadline(t), what, digest); fault.KindOf(err) != fault.Permanent {
			t.Errorf("%q: %v; want a permanent error", repository, err)
		}
	}
	if n := h.count(""); n != 0 {
		t.Errorf("%d requests", n)
	}
}

// TestPasswordNeedsHTTPS has a registry that speaks plain HTTP and asks for the
// password, without the configuration's leave.
func TestPasswordNeedsHTTPS(t *testing.T) {
	h := newHub(t)
	shown := false
	h.wrap(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		shown = shown || r.Header.Get("Authorization") != ""
		w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
		w.WriteHeader(http.StatusUnauthorized)
	})
	b := builder(t, unused{}, func(c *Config) {
		c.Registries = map[string]Auth{h.host: {Username: "slipway", Password: password}}
	})
	_, _, err := b.Resolve(deadline(t), h.host+"/acme/app", "v1")
	if err == nil || !strings.Contains(err.Error(), errPlain.Error()) {
		t.Errorf("got %v; want it to say why not", err)
	}
	if shown || h.count("GET") != 0 {
		t.Error("the registry was asked in the open")
	}
}

func TestBuiltAgainAndDifferent(t *testing.T) {
	h := newHub(t)
	b := builder(t, &tree{files: hello}, at(h))
	err := b.Push(deadline(t), order(h.host), ref.Digest("sha256:"+strings.Repeat("0", 64)))
	if fault.KindOf(err) != fault.Changed {
		t.Errorf("got %v; want a lost precondition", err)
	}
	if n := h.count("PUT") + h.count("POST"); n != 0 {
		t.Errorf("%d writes", n)
	}
}
