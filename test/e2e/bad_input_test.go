package e2e_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slipway/gate"
	"slipway/internal/change"
	"slipway/internal/reconcile"
	"slipway/test/stage"
)

// TestBadInput holds what the server answers to those it does not trust.
func TestBadInput(t *testing.T) {
	p := open(t, "strict", wish{})
	t.Run("deliveries", func(t *testing.T) { p.in(t).badDeliveries() })
	t.Run("tokens", func(t *testing.T) { p.in(t).badTokens() })
	t.Run("a second server on the same store is refused", func(t *testing.T) { p.in(t).secondServer() })
	t.Run("a configuration with several faults is refused with all of them", badConfiguration)
}

func (p *place) badDeliveries() {
	p.Helper()
	push := func(repo string) string {
		return fmt.Sprintf(`{"ref": "refs/heads/main", "after": %q, "repository": {"full_name": %q}}`, strings.Repeat("a", 40), repo)
	}
	ours, padded := push(p.project.ID().String()), push(p.project.ID().String())+strings.Repeat(" ", 1<<20)
	signed := func(secret, body string) http.Header {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(body))
		return http.Header{"X-Gitea-Signature": {hex.EncodeToString(mac.Sum(nil))}}
	}
	right := p.stage.Secret()
	for _, c := range []struct {
		rule   string
		path   string
		header http.Header
		body   string
		want   int
		count  string // the label of the counter that rises
	}{
		{"without a signature", "/hooks/gitea", nil, ours, 401, "unsigned"},
		{"with another secret's signature", "/hooks/gitea", signed("guess", ours), ours, 401, "unsigned"},
		{"with another body's signature", "/hooks/gitea", signed(right, ours), ours + " ", 401, "unsigned"},
		{"with a signature that is none", "/hooks/gitea", http.Header{"X-Gitea-Signature": {"sha256=zz"}}, ours, 401, "unsigned"},
		{"garbage without a signature is not read", "/hooks/gitea", signed("guess", "{"), "{", 401, "unsigned"},
		{"garbage with a signature", "/hooks/gitea", signed(right, "{"), "{", 400, "unreadable"},
		{"over 1 MiB, though signed", "/hooks/gitea", signed(right, padded), padded, 413, "too_large"},
		{"of a repository that is not served", "/hooks/gitea", signed(right, push("acme/unknown")), push("acme/unknown"), 202, "unserved"},
		{"to a forge that is not configured", "/hooks/nobody", signed(right, ours), ours, 404, "unknown_forge"},
		{"as it should be", "/hooks/gitea", signed(right, ours), ours, 202, "accepted"},
		{"the same once more", "/hooks/gitea", signed(right, ours), ours, 202, "accepted"},
	} {
		p.Run(c.rule, func(t *testing.T) {
			p := p.in(t)
			label := fmt.Sprintf("result=%q", c.count)
			before := p.metric("slipway_webhooks_total", label)
			status, body := p.request(http.MethodPost, c.path, "", c.header, c.body)
			if status != c.want {
				t.Errorf("answered %d %s, want %d", status, body, c.want)
			}
			if got := p.metric("slipway_webhooks_total", label) - before; got != 1 {
				t.Errorf("%v more are counted as %s", got, c.count)
			}
		})
	}
}

func (p *place) badTokens() {
	p.Helper()
	order := "/api/v1/targets/" + p.project.Target().String() + "/hold"
	for _, c := range []struct {
		rule, method, path, token string
		want                      int
	}{
		{"nobody reads", http.MethodGet, "/api/v1/changes", "", 401},
		{"a wrong token reads nothing", http.MethodGet, "/api/v1/changes", "guess", 401},
		{"a reader reads", http.MethodGet, "/api/v1/changes", p.stage.ReaderToken(), 200},
		{"nobody orders", http.MethodPost, order, "", 401},
		{"a wrong token orders nothing", http.MethodPost, order, "guess", 401},
		{"a reader orders nothing", http.MethodPost, order, p.stage.ReaderToken(), 403},
		{"the webhooks' secret is no token", http.MethodGet, "/api/v1/changes", p.stage.Secret(), 401},
	} {
		p.Run(c.rule, func(t *testing.T) {
			if status, body := p.in(t).request(c.method, c.path, c.token, nil, `{"reason":"test"}`); status != c.want {
				t.Errorf("answered %d %s, want %d", status, body, c.want)
			}
		})
	}
	if target, err := p.target(p.Context()); err != nil || target.Hold != nil {
		p.Errorf("the target is held: %+v, %v", target.Hold, err)
	}
	up := p.slipway()
	without := append([]string{"SLIPWAY_SERVER=" + up.Address}, "SLIPWAY_TOKEN=")
	runSlipway(p.T, without, "changes").wants(p.T, 1, "SLIPWAY_TOKEN")
}

func (p *place) secondServer() {
	p.Helper()
	up := p.slipway()
	config, err := os.ReadFile(up.Config)
	if err != nil {
		p.Fatal(err)
	}
	listen, err := stage.FreeAddress(p.Context())
	if err != nil {
		p.Fatal(err)
	}
	second := filepath.Join(p.TempDir(), "slipway.yaml")
	if err := os.WriteFile(second, []byte(strings.Replace(string(config), p.serving.Listen, listen, 1)), 0o600); err != nil {
		p.Fatal(err)
	}
	runSlipway(p.T, up.Env, "serve", "--config", second).wants(p.T, 1, "in use by another slipway server", fmt.Sprintf("process %d", up.Pid()))
	if status, _ := p.get("/healthz", ""); status != http.StatusOK {
		p.Errorf("the first answers %d", status)
	}
}

func badConfiguration(t *testing.T) {
	path := filepath.Join(t.TempDir(), "slipway.yaml")
	const text = `listen: nowhere
store: {path: data}
resyncs: {active: 30s}
tokens:
  - {name: operator, role: captain, token: {env: SLIPWAY_NO_SUCH_TOKEN}}
forges:
  - {name: gitea, kind: gitea, url: "ftp://forge", login: bot, token: {file: missing}, webhook_secret: {env: SLIPWAY_NO_SUCH_SECRET}}
registries: []
clusters: []
repositories:
  - {repo: acme, forge: other, registry: none, image: acme/app}
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r := runSlipway(t, []string{"PATH=" + os.Getenv("PATH")}, "serve", "--config", path)
	r.wants(t, 2)
	for _, want := range []string{
		":1: listen: ", ":3: resyncs: unknown key", ":5: tokens[0].role: ", ":5: tokens[0].token: the environment variable is not set",
		":7: forges[0].url: ", ":7: forges[0].token: the file cannot be read", ":7: forges[0].webhook_secret: ",
		":8: registries: ", ":9: clusters: ", ":11: repositories[0].repo: ", `:11: repositories[0].forge: there is no forge "other"`,
	} {
		if !strings.Contains(r.err, "\n"+path+want) {
			t.Errorf("nothing like %q in:\n%s", want, r.err)
		}
	}
	runSlipway(t, nil, "serve").wants(t, 2, "--config")
	runSlipway(t, nil, "serve", "--config", path+".not").wants(t, 2, "cannot be read")
	runSlipway(t, nil, "launch").wants(t, 2, `no command "launch"`)
}

// TestWhatIsDownIsWaitedFor takes away, one after another, everything that
// Slipway depends on, each while a change needs it.
func TestWhatIsDownIsWaitedFor(t *testing.T) {
	t.Parallel()
	p := open(t, "outage", wish{active: 2 * time.Second})
	p.ready(200, "")
	id := p.propose("patient", "feat: patient")
	p.waits(id, gate.CodeApprovals)

	p.forge.cut()
	p.ready(503, "forge of "+p.project.ID().String())
	p.approve(id) // on the forge itself, whose word does not get through
	p.forge.mend()
	p.ready(200, "")

	p.registry.cut()
	p.cluster.cut()
	p.ready(503, "registry of "+p.project.ID().String())
	p.ready(503, "cluster main")
	p.wait(id, changeLimit, "to reach its image", func(c change.Change) error {
		if c.Gate(change.PostMergeCI).State != change.Passed || len(p.registry.noted(func(call) bool { return true })) == 0 {
			return errors.New(standing(c))
		}
		return nil
	})
	p.registry.mend()
	p.wait(id, changeLimit, "to reach its rollout", func(c change.Change) error {
		if c.Gate(change.Image).State != change.Passed {
			return errors.New(standing(c))
		}
		return nil
	})
	p.cluster.mend()
	p.ready(200, "")
	c := p.ended(id, change.OutcomeSimulated)
	p.shippedOnce(c)
	p.runs(c)
}

// ready waits until /readyz answers a status and names what it should, and
// holds the doctor against it.
func (p *place) ready(want int, names string) {
	p.Helper()
	p.until(lookLimit, fmt.Sprintf("/readyz to answer %d and name %q", want, names), func(context.Context) error {
		status, body := p.get("/readyz", "")
		if status != want || !strings.Contains(body, names) {
			return fmt.Errorf("it answers %d %s", status, body)
		}
		return nil
	})
	code := 0
	if want != http.StatusOK {
		code = 1
	}
	p.command("doctor").wants(p.T, code, names)
}

// TestPolicyMisfits holds what is said of policies that cannot be met.
func TestPolicyMisfits(t *testing.T) {
	t.Parallel()
	replace := func(old, with string) func(string, string) string {
		return func(name, content string) string {
			if name != ".slipway.yaml" {
				return content
			}
			if !strings.Contains(content, old) {
				t.Errorf("the project's policy has no %q", old)
			}
			return strings.Replace(content, old, with, 1)
		}
	}
	t.Run("a required context that never comes: the nearest that did is named", func(t *testing.T) {
		p := open(t, "renamed", wish{edit: replace(`context: "ci / test (pull_request)"`, `context: "ci / tests (pull_request)"`)})
		id := p.propose("vain", "feat: vain")
		p.approve(id)
		p.wait(id, lookLimit, "the nearest context", func(c change.Change) error {
			if err := only(gate.CodeCheckMissing)(c); err != nil {
				return err
			}
			if s := c.Verdict[0].Sentence; !strings.Contains(s, `"ci / tests (pull_request)"`) || !strings.Contains(s, `"ci / test (pull_request)"`) {
				return errors.New(s)
			}
			return nil
		})
		p.says(id, "pending", `the nearest that did is "ci / test (pull_request)"`)
		p.stays(id)
	})
	t.Run("no post-merge check: said at start, by the doctor and on the change, and nothing merges", func(t *testing.T) {
		p := newPlace(t, "unchecked", wish{edit: replace("post_merge:\n  checks:\n    - {context: \"ci / test (push)\", workflow: .gitea/workflows/ci.yml, job: test}\n", "")})
		p.start()
		p.until(lookLimit, "the log to say it", func(context.Context) error {
			for line := range strings.Lines(p.said()) {
				var said struct{ Msg, Area, Fault string }
				if json.Unmarshal([]byte(line), &said) == nil && said.Msg == "found at start" && strings.Contains(said.Fault, "post_merge") && strings.Contains(said.Area, p.project.ID().String()) {
					return nil
				}
			}
			return errors.New("it does not")
		})
		found := decoded[[]reconcile.Finding](t, p.command("doctor", "--json"))
		if len(found) == 0 || !strings.Contains(found[0].Fault, "post_merge") {
			t.Errorf("the doctor finds %+v", found)
		}
		id := p.propose("unchecked", "feat: unchecked")
		p.approve(id)
		p.wait(id, lookLimit, "to be blocked for its policy", func(c change.Change) error {
			if err := only(gate.CodePolicy)(c); err != nil {
				return err
			}
			if !strings.Contains(c.Verdict[0].Sentence, "post_merge") {
				return errors.New(standing(c))
			}
			return nil
		})
		p.says(id, "failure", "post_merge")
		p.stays(id)
	})
}
