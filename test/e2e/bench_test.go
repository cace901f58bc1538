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
	"slipway/test/servers/kubernetes"
	"slipway/test/stage"
)

// pulls is how many pull requests a median is of.
const pulls = 30

// scan is the only required check of these projects: whoever benches posts it,
// so that no CI runner takes part in what is measured.
const scan = "scan"

// BenchmarkB1 is the time from the last approval to the merge, beside the
// forge's own merge call for a pull request that is ready. They take turns.
func BenchmarkB1(b *testing.B) {
	for b.Loop() {
		s := benchStage(b)
		ours, theirs := newYard(b, s, "b1-ours", true), newYard(b, s, "b1-theirs", false)
		bob, carol := s.Reviewers[0], s.Reviewers[1]
		var took, reference []time.Duration
		for n := range pulls {
			id := ours.propose(n)
			ours.post(id, gate.StateSuccess)
			ours.approve(id, bob)
			ours.lacks(id, gate.CodeApprovals)
			ours.approve(id, carol)
			began := time.Now()
			took = append(took, ours.mergeCalled(id).Sub(began))

			id = theirs.propose(n)
			theirs.post(id, gate.StateSuccess)
			theirs.approve(id, bob, carol)
			theirs.mergeable(id)
			reference = append(reference, theirs.merge(id, false))
		}
		report(b, "", took, reference)
	}
}

// BenchmarkB2 is the time from the last status to the merge, beside the forge's
// own merge when checks succeed; the same on the forge's stock settings.
func BenchmarkB2(b *testing.B) {
	for b.Loop() {
		took, reference := whenChecksSucceed(b, benchStage(b), "b2")
		report(b, "", took, reference)
		took, reference = whenChecksSucceed(b, stockStage(b), "stock")
		report(b, "stock-", took, reference)
	}
}

func whenChecksSucceed(b *testing.B, s *stage.Stage, name string) (took, reference []time.Duration) {
	b.Helper()
	ours, theirs := newYard(b, s, name+"-ours", true), newYard(b, s, name+"-theirs", false)
	for n := range pulls {
		id := ours.propose(n)
		ours.approve(id, s.Reviewers...)
		ours.lacks(id, gate.CodeCheckMissing)
		ours.post(id, gate.StateSuccess)
		began := time.Now()
		took = append(took, ours.closed(id).Sub(began))

		id = theirs.propose(n)
		theirs.approve(id, s.Reviewers...)
		theirs.mergeable(id)
		theirs.merge(id, true)
		theirs.post(id, gate.StateSuccess)
		began = time.Now()
		reference = append(reference, theirs.closed(id).Sub(began))
	}
	return took, reference
}

// BenchmarkB3 is how often a change is looked at while a storm of events is
// about it.
func BenchmarkB3(b *testing.B) {
	const storm, every = 20 * time.Second, 10 * time.Millisecond
	for b.Loop() {
		y := newYard(b, benchStage(b), "b3", true)
		id := y.propose(0)
		y.lacks(id, gate.CodeApprovals, gate.CodeCheckMissing)
		before, began, events := y.looks(), time.Now(), 0
		tick := time.NewTicker(every)
		for time.Since(began) < storm {
			<-tick.C
			y.deliver(id)
			events++
		}
		tick.Stop()
		took := time.Since(began).Seconds()
		b.ReportMetric(float64(y.looks()-before)/took, "looks/s")
		b.ReportMetric(float64(events)/took, "events/s")
		b.ReportMetric(0, "ns/op")
	}
}

func report(b *testing.B, prefix string, took, reference []time.Duration) {
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(took), prefix+"ours-ms")
	b.ReportMetric(median(reference), prefix+"reference-ms")
}

func median(list []time.Duration) float64 {
	slices.Sort(list)
	return float64(list[len(list)/2].Microseconds()) / 1e3
}

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
	y.slipway, err = s.Serve(ctx, stage.Serving{Binary: shared.binary, Name: "slipway-" + name, Listen: listen, Projects: []*stage.Project{y.project}, Forge: forge.URL, Log: log})
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
	return proxy
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

func benchStage(b *testing.B) *stage.Stage {
	b.Helper()
	s, err := shared.stage()
	if err != nil {
		b.Fatal(err)
	}
	return s
}

// stockStage is one on a forge with the settings that it comes with.
func stockStage(b *testing.B) *stage.Stage {
	b.Helper()
	s, err := stage.Up(b.Context(), stage.Options{Dir: b.TempDir(), Level: kubernetes.Kwok, Stock: true})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		down, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.Down(down); err != nil {
			b.Error(err)
		}
	})
	return s
}
