package e2e_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/transport"
)

// line stands between Slipway and one server. It passes on and notes every
// request, until a test cuts it.
type line struct {
	server *httptest.Server
	next   http.RoundTripper

	mu    sync.Mutex
	down  bool
	trap  *trap
	calls []call
}

// call is one request that was passed on, as the server answered it.
type call struct {
	At     time.Time // when the answer was there
	Method string
	Path   string
	Status int
	// Body is what was sent, of the few requests whose body matters here: patches
	// and manifests.
	Body []byte
}

// trap waits for one request.
type trap struct {
	// match says whether it is this one. It is asked before the request is
	// passed on.
	match func(*http.Request) bool
	// before springs it instead of passing the request on; otherwise the request
	// is passed on and answered, and nothing of the answer goes back.
	before bool
	// success lets refusals pass, and waits for the next.
	success bool
	// spring runs while the request hangs.
	spring func()
	sprung chan struct{}
}

// errCut ends a connection without an answer.
var errCut = errors.New("the line was cut")

// bodyLimit is how much of a noted body is read; what Slipway sends is a few kB.
const bodyLimit = 8 << 20

// newLine starts a line to a server that speaks plain HTTP.
func newLine(t *testing.T, to string) *line {
	t.Helper()
	target, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	l := &line{next: &http.Transport{MaxIdleConnsPerHost: 32}}
	l.server = httptest.NewServer(l.proxy(target))
	t.Cleanup(l.server.Close)
	return l
}

// newClusterLine starts a line to the API server that a kubeconfig names, and
// writes a kubeconfig for whoever goes through it. It speaks TLS, since
// client-go gives its token to nobody else.
func newClusterLine(t *testing.T, kubeconfig string) (l *line, through string) {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	target, err := url.Parse(config.Host)
	if err != nil {
		t.Fatal(err)
	}
	config.BearerToken, config.BearerTokenFile = "", "" // each request brings its own
	trust, err := clusterTrust(config)
	if err != nil {
		t.Fatal(err)
	}
	l = &line{next: &http.Transport{MaxIdleConnsPerHost: 32, TLSClientConfig: trust}}
	l.server = httptest.NewUnstartedServer(l.proxy(target))
	l.server.Config.ErrorLog = quiet()
	l.server.StartTLS()
	t.Cleanup(l.server.Close)
	own, err := clientcmd.LoadFromFile(kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range own.Clusters {
		c.Server, c.CertificateAuthority = l.server.URL, ""
		c.CertificateAuthorityData = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: l.server.Certificate().Raw})
	}
	through = filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*own, through); err != nil {
		t.Fatal(err)
	}
	return l, through
}

func clusterTrust(config *rest.Config) (*tls.Config, error) {
	c, err := config.TransportConfig()
	if err != nil {
		return nil, err
	}
	return transport.TLSConfigFor(c)
}

// host is where the line listens, as HOST:PORT.
func (l *line) host() string { return strings.TrimPrefix(l.server.URL, "http://") }

// cut has every request answered with 503 until mend.
func (l *line) cut() { l.set(true) }

// mend ends cut.
func (l *line) mend() { l.set(false) }

func (l *line) set(down bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = down
}

// arm sets a trap for one request, in place of one that has not sprung; nil
// takes that one away.
func (l *line) arm(x *trap) {
	if x != nil {
		x.sprung = make(chan struct{})
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.trap = x
}

// noted lists the calls so far that match.
func (l *line) noted(match func(call) bool) []call {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []call
	for _, c := range l.calls {
		if match(c) {
			out = append(out, c)
		}
	}
	return out
}

// RoundTrip passes one request on.
func (l *line) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := keepBody(r)
	if err != nil {
		return nil, err
	}
	down, x := l.step(r)
	switch {
	case x != nil && x.before:
		x.spring()
		close(x.sprung)
		return nil, errCut
	case down:
		return &http.Response{StatusCode: http.StatusServiceUnavailable, ProtoMajor: 1, ProtoMinor: 1,
			Header: http.Header{"Content-Type": {"text/plain"}}, Body: io.NopCloser(strings.NewReader("cut")), Request: r}, nil
	}
	res, err := l.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if x != nil && x.success && res.StatusCode/100 != 2 {
		l.again(x)
		x = nil
	}
	if x != nil {
		// The server has done all it does once its whole answer is here.
		_, err := io.Copy(io.Discard, io.LimitReader(res.Body, bodyLimit))
		res.Body.Close()
		l.note(r, res, body)
		x.spring()
		close(x.sprung)
		return nil, errors.Join(errCut, err)
	}
	l.note(r, res, body)
	return res, nil
}

// step says what happens to a request; a trap that matches is taken.
func (l *line) step(r *http.Request) (down bool, x *trap) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.trap != nil && l.trap.match(r) {
		x, l.trap = l.trap, nil
	}
	return l.down, x
}

// again sets a trap that let its request pass, unless another was set.
func (l *line) again(x *trap) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.trap == nil {
		l.trap = x
	}
}

func (l *line) note(r *http.Request, res *http.Response, body []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls = append(l.calls, call{At: time.Now(), Method: r.Method, Path: r.URL.Path, Status: res.StatusCode, Body: body})
}

func (l *line) proxy(to *url.URL) http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Host = to.Host
		},
		Transport:     l,
		FlushInterval: -1, // watches are read as they come
		ErrorLog:      quiet(),
		ModifyResponse: func(res *http.Response) error {
			// The registry sends its clients to itself for a token.
			if realm := res.Header.Get("WWW-Authenticate"); realm != "" && l.server != nil {
				res.Header.Set("WWW-Authenticate", strings.ReplaceAll(realm, "http://"+to.Host, l.server.URL))
			}
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			if errors.Is(err, errCut) {
				panic(http.ErrAbortHandler)
			}
			w.WriteHeader(http.StatusBadGateway)
		},
	}
}

// keepBody reads the body of a request that is noted with it.
func keepBody(r *http.Request) ([]byte, error) {
	if r.Body == nil || !(r.Method == http.MethodPatch || isManifest(r.Method, r.URL.Path)) {
		return nil, nil
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, bodyLimit))
	r.Body.Close()
	r.Body = io.NopCloser(bytes.NewReader(body))
	return body, err
}

func isManifest(method, path string) bool {
	return method == http.MethodPut && strings.HasPrefix(path, "/v2/") && strings.Contains(path, "/manifests/")
}

func digestOf(body []byte) string {
	sum := sha256.Sum256(body)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }
