package github_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"slipway/gate"
	"slipway/internal/forge/github"
	"slipway/internal/reconcile"
	"slipway/test/forgetest"
	server "slipway/test/servers/github"
)

// inbox takes deliveries.
type inbox struct {
	mutex sync.Mutex
	hints []reconcile.Hint
	bad   []error
}

func (b *inbox) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err == nil && !github.Signed(r.Header) {
		err = io.ErrUnexpectedEOF
	}
	if err == nil {
		err = github.Verify("a secret", r.Header, body)
	}
	var hint reconcile.Hint
	ok := false
	if err == nil {
		hint, ok, err = github.Hint(r.Header, body)
	}
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if err != nil {
		b.bad = append(b.bad, err)
	}
	if ok {
		b.hints = append(b.hints, hint)
	}
}

func (b *inbox) has(want reconcile.Hint) bool {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	for _, h := range b.hints {
		if h == want {
			return true
		}
	}
	return false
}

func TestWhatHappensArrivesAsSignedHints(t *testing.T) {
	w := newWorld(t, false)
	p, ok := w.Place(t, "hooks", forgetest.Rules{}).(*place)
	if !ok {
		t.Fatal("it is no place")
	}
	box := &inbox{}
	receiver := httptest.NewServer(box)
	t.Cleanup(receiver.Close)
	p.do(t, w.admin, http.MethodPost, "/hooks", map[string]any{"name": "web", "events": []string{"*"},
		"config": map[string]string{"url": receiver.URL, "content_type": "json", "secret": "a secret"}}, nil)

	head, err := w.Push(p.id, "alice", "feat", server.Commit{Message: "feat", Files: map[string]string{"a": "a"}})
	if err != nil {
		t.Fatal(err)
	}
	id := p.Open(t, forgetest.Alice, "feat", "main", "feat", false)
	p.Status(t, forgetest.CI, head, "ci/x", gate.StateSuccess)
	second, err := w.Push(p.id, "alice", "other", server.Commit{Message: "other", Files: map[string]string{"b": "b"}})
	if err != nil {
		t.Fatal(err)
	}
	w.RunCI(p.id, server.Run{Workflow: "ci", Path: ".github/workflows/ci.yml", Event: "push", Branch: "other", SHA: second, Jobs: []server.Job{{Name: "test", Conclusion: "success"}}})

	want := map[string]reconcile.Hint{
		"the push":         {Repo: p.id, Branch: "feat"},
		"the pull request": {Repo: p.id, Number: id.Number},
		"the status":       {Repo: p.id, SHA: head},
		"the workflow":     {Repo: p.id, SHA: second},
	}
	deadline := time.Now().Add(time.Minute)
	for what, hint := range want {
		for !box.has(hint) {
			if time.Now().After(deadline) {
				t.Fatalf("%s did not arrive", what)
			}
			<-time.After(10 * time.Millisecond)
		}
	}
	box.mutex.Lock()
	defer box.mutex.Unlock()
	for _, err := range box.bad {
		t.Error(err)
	}
}

// A signature made here, so that the stand-in and Verify cannot both be wrong
// in the same way: the example of GitHub's documentation.
func TestVerifyKnowsTheDocumentedSignature(t *testing.T) {
	const secret, body = "It's a Secret to Everybody", "Hello, World!"
	const documented = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	if got := hex.EncodeToString(mac.Sum(nil)); got != documented {
		t.Fatalf("the example is %s", got)
	}
	if err := github.Verify(secret, http.Header{github.SignatureHeader: {"sha256=" + documented}}, []byte(body)); err != nil {
		t.Error(err)
	}
	if err := github.Verify(secret, http.Header{github.SignatureHeader: {"sha256=" + documented}}, []byte(body+"!")); err == nil {
		t.Error("another body has the same signature")
	}
}
