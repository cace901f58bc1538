package server_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/deployer"
	"slipway/dispatcher"
	"slipway/internal/authz"
	"slipway/internal/fault"
	"slipway/internal/forge/gitea"
	"slipway/internal/journal"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
	"slipway/internal/server"
	"slipway/internal/store"
	"slipway/test/storetest"
)

const (
	operatorSecret  = "operators-secret"
	readerSecret    = "readers-secret"
	submitterSecret = "submitters-secret"
	hookSecret      = "webhooks-secret"
)

var (
	app        = ref.RepoID{Owner: "acme", Name: "app"}
	production = ref.TargetID{Repo: app, Environment: "production"}
)

// world is a server over a real store and engine, with what it counted.
type world struct {
	*testing.T
	server.Config
	store  *store.Store
	engine *engine
	shop   *workshop
	file   *file
	keys   *credentials
	url    string

	mu      sync.Mutex
	counted []string
}

// engine is the real one, but that it has no cluster to look at: what a
// take-over finds there is given.
type engine struct {
	*reconcile.Engine
	offered reconcile.Offered
	err     error
	seen    reconcile.Offered
}

func (e *engine) Inspect(context.Context, ref.TargetID) (reconcile.Offered, error) {
	return e.offered, e.err
}

func (e *engine) TakeOver(_ context.Context, id ref.TargetID, _ reconcile.Person, seen reconcile.Offered) error {
	e.seen = seen
	if seen != e.offered {
		return fault.AsPermanent(fmt.Errorf("take over %s: consent is to what was shown", id))
	}
	return nil
}

// hook is a forge's deliveries under the tests' secret.
type hook struct{}

func (hook) Signed(header http.Header) bool { return header.Get(gitea.SignatureHeader) != "" }

func (hook) Verify(header http.Header, body []byte) error {
	return gitea.Verify(hookSecret, header, body)
}

func (hook) Hint(header http.Header, body []byte) (reconcile.Hint, bool, error) {
	return gitea.Hint(header, body)
}

// newWorld serves a repository with one target. change may alter the
// configuration before the server is made of it.
func newWorld(t *testing.T, change ...func(*world)) *world {
	t.Helper()
	st := storetest.Open(t)
	w := &world{
		T: t, store: st, engine: &engine{offered: reconcile.Offered{Image: "registry/acme/app:old", Owner: "kubectl"}},
		shop: newWorkshop(), file: &file{}, keys: &credentials{of: map[string]dispatcher.Credential{}},
	}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	w.engine.Engine = reconcile.New(reconcile.Config{
		Store: st, Queue: st, Now: time.Now, Log: log, Repositories: []reconcile.Repository{{ID: app, Branch: "main"}},
	})
	w.Config = server.Config{
		Hooks: map[string]server.Hook{"gitea": hook{}}, Engine: w.engine, Reader: st,
		Tokens: []server.Token{
			server.NewToken(authz.Actor{Name: "ops", Roles: []authz.Role{authz.Operator}}, operatorSecret),
			server.NewToken(authz.Actor{Name: "board", Roles: []authz.Role{authz.Reader}}, readerSecret),
			server.NewToken(authz.Actor{Name: "ci", Roles: []authz.Role{authz.Submitter}}, submitterSecret),
		},
		Work: w.shop, Pools: w.file, Credential: w.keys.find,
		Canaries: &aviary{},
		Doctor:   func(context.Context) []reconcile.Finding { return nil },
		Ready:    func(context.Context) []reconcile.Finding { return nil },
		Metrics:  server.NewMetrics().Handler(), Count: w.count, Refused: w.refused, Now: time.Now, Log: log,
	}
	for _, f := range change {
		f(w)
	}
	up := httptest.NewServer(described(t, server.New(w.Config)))
	t.Cleanup(up.Close)
	w.url = up.URL
	w.commit(reconcile.Write{Target: &deployer.Target{ID: production, Branch: "main"}})
	return w
}

func (w *world) count(forge, result string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counted = append(w.counted, forge+" "+result)
}

func (w *world) refused(ctx context.Context, token string, verb authz.Verb, subject, why string) error {
	return w.store.Commit(ctx, reconcile.Write{Journal: []journal.Entry{{
		At: time.Now(), Actor: token, Action: "refused." + string(verb), Subject: subject, Reason: why,
	}}})
}

func (w *world) commit(write reconcile.Write) {
	w.Helper()
	if err := w.store.Commit(w.Context(), write); err != nil {
		w.Fatal(err)
	}
}

// due are the keys that wait, up to a hundred.
func (w *world) due() []string {
	w.Helper()
	claims, err := w.store.Claim(w.Context(), time.Now(), 100, time.Minute)
	if err != nil {
		w.Fatal(err)
	}
	var keys []string
	for _, c := range claims {
		keys = append(keys, string(c.Key))
	}
	return keys
}

// journalled are the actions that the journal holds, with who did them.
func (w *world) journalled() []string {
	w.Helper()
	entries, err := w.store.Entries(w.Context(), 0, 1000)
	if err != nil {
		w.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Actor+" "+e.Action+" "+e.Subject)
	}
	return all
}

func (w *world) target() deployer.Target {
	w.Helper()
	t, err := w.store.Target(w.Context(), production)
	if err != nil {
		w.Fatal(err)
	}
	return t
}

func (w *world) client(secret string) *server.Client {
	w.Helper()
	c, err := server.NewClient(w.url, secret)
	if err != nil {
		w.Fatal(err)
	}
	return c
}

// reply is what the server said.
type reply struct {
	status int
	header http.Header
	body   string
}

// error is what a refusal says.
func (r reply) error() string {
	var said struct{ Error string }
	if json.Unmarshal([]byte(r.body), &said) != nil {
		return ""
	}
	return said.Error
}

func (w *world) send(method, path string, header http.Header, body []byte) reply {
	w.Helper()
	req, err := http.NewRequestWithContext(w.Context(), method, w.url+path, bytes.NewReader(body))
	if err != nil {
		w.Fatal(err)
	}
	if header != nil {
		req.Header = header
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		w.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		w.Fatal(err)
	}
	return reply{res.StatusCode, res.Header, strings.TrimSpace(string(data))}
}

// call uses the API with a secret; "" sends none.
func (w *world) call(method, path, secret, body string) reply {
	w.Helper()
	header := http.Header{"Content-Type": {"application/json"}}
	if secret != "" {
		header.Set("Authorization", "Bearer "+secret)
	}
	return w.send(method, "/api/v1/"+path, header, []byte(body))
}

// signed is the header of a delivery under a secret.
func signed(secret string, body []byte) http.Header {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return http.Header{gitea.SignatureHeader: {hex.EncodeToString(mac.Sum(nil))}}
}
