package e2e_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	sdk "code.gitea.io/sdk/gitea"

	"slipway/gate"
	"slipway/internal/change"
	"slipway/internal/ref"
	"slipway/test/servers/gitea"
	"slipway/test/stage"
)

// yard is one project with what a benchmark sees of it, and its Slipway if it
// has one.
type yard struct {
	*testing.B
	stage   *stage.Stage
	project *stage.Project
	slipway *stage.Slipway

	mu     sync.Mutex
	change *sync.Cond
	called map[int64]time.Time // when a merge call of Slipway's was answered
	ended  map[int64]time.Time // when the forge told of the merge
	events []event
}

// event is something that was seen on a line, and since when it was under way.
type event struct {
	began, ended time.Time
	what         string
}

func newYard(b *testing.B, s *stage.Stage, name string, served bool) *yard {
	b.Helper()
	y := &yard{B: b, stage: s, called: map[int64]time.Time{}, ended: map[int64]time.Time{}}
	y.change = sync.NewCond(&y.mu)
	listen, err := stage.FreeAddress(b.Context())
	y.must(err)
	hooks := httptest.NewServer(y.hooks("http://"+listen+"/hooks/gitea", served))
	b.Cleanup(hooks.Close)
	ctx, cancel := context.WithTimeout(b.Context(), upLimit)
	defer cancel()
	name = fmt.Sprintf("%s-%d", name, shared.places.Add(1))
	y.project, err = s.NewProject(ctx, stage.Draft{Name: name, Hook: hooks.URL, Check: scan, Edit: scanned})
	y.must(err)
	if !served {
		return y
	}
	forge := httptest.NewServer(y.watched(s.Forge.URL()))
	b.Cleanup(forge.Close)
	log, err := os.Create(filepath.Join(b.TempDir(), "slipway.log"))
	y.must(err)
	b.Cleanup(func() { _ = log.Close() })
	y.slipway, err = s.Serve(ctx, stage.Serving{
		Binary: shared.binary, Name: "slipway-" + name, Listen: listen, Projects: []*stage.Project{y.project},
		Forge: forge.URL, Log: log,
		Active: 5 * time.Minute, // the checks after the merge never come here, and are asked for seldom
	})
	y.must(err)
	b.Cleanup(func() {
		stop, cancel := context.WithTimeout(context.Background(), 40*time.Second)
		defer cancel()
		_ = y.slipway.Stop(stop) // what was measured was measured
	})
	return y
}

// scanned has a project ask for scan alone, and run no CI.
func scanned(name, content string) string {
	const gateCheck, postCheck = `{context: "ci / test (pull_request)", workflow: .gitea/workflows/ci.yml, job: test}`, `{context: "ci / test (push)", workflow: .gitea/workflows/ci.yml, job: test}`
	switch name {
	case ".slipway.yaml":
		return strings.NewReplacer(gateCheck, "{context: scan, creator: alice}", postCheck, "{context: scanned, creator: alice}").Replace(content)
	case ".gitea/workflows/ci.yml":
		return "name: none\non: {workflow_dispatch: {}}\njobs: {none: {runs-on: host, steps: [{run: 'true'}]}}\n"
	default:
		return content
	}
}

// hooks notes what the forge tells, and passes it on.
func (y *yard) hooks(to string, pass bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		var d struct {
			Action string `json:"action"`
			Number int64  `json:"number"`
		}
		if json.Unmarshal(body, &d) == nil && d.Action == "closed" && d.Number > 0 {
			y.note(y.ended, d.Number)
		}
		if !pass {
			return
		}
		defer y.saw(time.Now(), "delivery "+r.Header.Get("X-Gitea-Event"))
		req, err := http.NewRequestWithContext(r.Context(), http.MethodPost, to, bytes.NewReader(body))
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		req.Header = r.Header.Clone()
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer res.Body.Close()
		w.WriteHeader(res.StatusCode)
	})
}

// watched passes Slipway's calls on to the forge and notes its merges.
func (y *yard) watched(forge string) http.Handler {
	to, err := url.Parse(forge)
	y.must(err)
	merge := regexp.MustCompile(`/pulls/([0-9]+)/merge$`)
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to); r.Out.Host = r.In.Host }}
	proxy.ModifyResponse = func(r *http.Response) error {
		if m := merge.FindStringSubmatch(r.Request.URL.Path); m != nil && r.Request.Method == http.MethodPost && r.StatusCode == http.StatusOK {
			n, err := strconv.ParseInt(m[1], 10, 64)
			y.note(y.called, n)
			return err
		}
		return nil
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer y.saw(time.Now(), r.Method+" "+r.URL.RequestURI())
		proxy.ServeHTTP(w, r)
	})
}

func (y *yard) saw(began time.Time, what string) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.events = append(y.events, event{began, time.Now(), what})
}

// tell prints what was seen on the lines while a merge was waited for, if
// SLIPWAY_TIMELINE is set.
func (y *yard) tell(id ref.PullID, from, to time.Time) {
	if os.Getenv("SLIPWAY_TIMELINE") == "" {
		return
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	seen := slices.DeleteFunc(slices.Clone(y.events), func(e event) bool { return e.ended.Before(from) || e.began.After(to) })
	slices.SortFunc(seen, func(a, b event) int { return a.began.Compare(b.began) })
	fmt.Fprintf(os.Stderr, "%s: merged within %d ms\n", id, to.Sub(from).Milliseconds())
	for _, e := range seen {
		fmt.Fprintf(os.Stderr, "%6d to %5d ms  %s\n", e.began.Sub(from).Milliseconds(), e.ended.Sub(from).Milliseconds(), e.what)
	}
}

func (y *yard) note(in map[int64]time.Time, n int64) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if _, have := in[n]; !have {
		in[n] = time.Now()
	}
	y.change.Broadcast()
}

func (y *yard) noted(in map[int64]time.Time, id ref.PullID) time.Time {
	y.Helper()
	late := time.AfterFunc(changeLimit, y.change.Broadcast)
	defer late.Stop()
	end := time.Now().Add(changeLimit)
	y.mu.Lock()
	defer y.mu.Unlock()
	for in[id.Number].IsZero() {
		if time.Now().After(end) {
			y.Fatalf("%s was not merged within %s", id, changeLimit)
		}
		y.change.Wait()
	}
	return in[id.Number]
}

func (y *yard) mergeCalled(id ref.PullID) time.Time { return y.noted(y.called, id) }

func (y *yard) closed(id ref.PullID) time.Time { return y.noted(y.ended, id) }

func (y *yard) propose(n int) ref.PullID {
	y.Helper()
	branch := fmt.Sprintf("change-%d", n)
	id, err := y.project.Propose(y.Context(), stage.Proposal{Branch: branch, Title: "feat: " + branch, Files: map[string]string{branch + ".txt": branch + "\n"}})
	y.must(err)
	return id
}

func (y *yard) approve(id ref.PullID, who ...gitea.Account) {
	y.Helper()
	y.must(y.project.Approve(y.Context(), id, who...))
}

func (y *yard) post(id ref.PullID, state gate.State) {
	y.Helper()
	client := y.sdk(y.stage.Author)
	pull, _, err := client.GetPullRequest(stage.Org, y.project.Name, id.Number)
	y.must(err)
	_, _, err = client.CreateStatus(stage.Org, y.project.Name, pull.Head.Sha, sdk.CreateStatusOption{State: sdk.StatusState(state), Context: scan})
	y.must(err)
}

// lacks waits until Slipway has recorded that exactly this is missing.
func (y *yard) lacks(id ref.PullID, codes ...gate.Code) {
	y.Helper()
	y.poll("the verdict on "+id.String(), func() bool {
		c, found, err := y.slipway.Client.Change(y.Context(), id)
		y.must(err)
		return found && only(codes...)(c) == nil && c.Gate(change.Reviewed).State != ""
	})
}

// rests waits until Slipway, if the yard has one, has left a pull request alone
// for as long as gives it back all its looks: people take longer than that for
// what comes next. The forge has come to rest by then, too, in either yard.
func (y *yard) rests(id ref.PullID) {
	y.Helper()
	const calm = 2500 * time.Millisecond
	since, record := time.Now(), regexp.MustCompile(fmt.Sprintf(`/pulls/%d(/|$)`, id.Number))
	y.poll("Slipway to leave "+id.String()+" alone", func() bool {
		y.mu.Lock()
		defer y.mu.Unlock()
		for _, e := range y.events {
			if e.ended.After(since) && record.MatchString(e.what) {
				since = e.ended
			}
		}
		return time.Since(since) > calm
	})
}

// mergeable waits until the forge would merge.
func (y *yard) mergeable(id ref.PullID) {
	y.Helper()
	client := y.sdk(y.stage.Author)
	y.poll(id.String()+" to be mergeable", func() bool {
		pull, _, err := client.GetPullRequest(stage.Org, y.project.Name, id.Number)
		y.must(err)
		return pull.Mergeable
	})
}

// merge is the forge's own merge, now or when checks succeed, and how long the
// call took.
func (y *yard) merge(id ref.PullID, whenChecksSucceed bool) time.Duration {
	y.Helper()
	began := time.Now()
	y.must(y.stage.Forge.Call(y.Context(), y.stage.Bot.Token, http.MethodPost, fmt.Sprintf("/repos/%s/pulls/%d/merge", id.Repo, id.Number),
		map[string]any{"Do": "squash", "merge_when_checks_succeed": whenChecksSucceed}, nil))
	return time.Since(began)
}

// deliver gives Slipway one more signed event about a pull request.
func (y *yard) deliver(id ref.PullID) {
	y.Helper()
	body := fmt.Appendf(nil, `{"action":"edited","number":%d,"pull_request":{"number":%d},"repository":{"full_name":%q}}`, id.Number, id.Number, id.Repo.String())
	mac := hmac.New(sha256.New, []byte(y.stage.Secret()))
	mac.Write(body)
	req, err := http.NewRequestWithContext(y.Context(), http.MethodPost, y.slipway.Address+"/hooks/gitea", bytes.NewReader(body))
	y.must(err)
	req.Header.Set("X-Gitea-Signature", hex.EncodeToString(mac.Sum(nil)))
	res, err := http.DefaultClient.Do(req)
	y.must(err)
	_, _ = io.Copy(io.Discard, res.Body)
	y.must(res.Body.Close())
	if res.StatusCode != http.StatusAccepted {
		y.Fatalf("a delivery was answered with %d", res.StatusCode)
	}
}

// looks is how often a change was looked at so far.
func (y *yard) looks() int {
	y.Helper()
	req, err := http.NewRequestWithContext(y.Context(), http.MethodGet, y.slipway.Address+"/metrics", nil)
	y.must(err)
	res, err := http.DefaultClient.Do(req)
	y.must(err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	y.must(err)
	total := 0
	for _, m := range regexp.MustCompile(`(?m)^slipway_look_seconds_count\{[^}]*kind="change"[^}]*\} ([0-9.e+]+)$`).FindAllStringSubmatch(string(body), -1) {
		n, err := strconv.ParseFloat(m[1], 64)
		y.must(err)
		total += int(n)
	}
	return total
}

func (y *yard) sdk(as gitea.Account) *sdk.Client {
	y.Helper()
	client, err := y.stage.Forge.Client(y.Context(), as.Token)
	y.must(err)
	return client
}

func (y *yard) poll(what string, done func() bool) {
	y.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(lookLimit); !done(); <-tick.C {
		if time.Now().After(end) {
			y.Fatalf("waited %s in vain for %s", lookLimit, what)
		}
	}
}

func (y *yard) must(err error) {
	y.Helper()
	if err != nil {
		y.Fatal(err)
	}
}
