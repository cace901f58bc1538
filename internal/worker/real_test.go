//go:build linux

package worker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"slipway/dispatcher"
	"slipway/internal/ref"
)

// TestRealGitea has workers work on a real Gitea, each test on an item of its
// own.
func TestRealGitea(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a Gitea")
	}
	y := startYard(t)
	for name, test := range map[string]func(*testing.T, *site){
		"Build": testBuild, "SeesNoSecret": testSeesNoSecret, "Obeyed": testObeysNothing,
		"Failures": testFailures, "Moved": testMoved,
		"Review": testReview, "ReviewWithout": testReviewWithout, "ReviewMoved": testReviewMoved,
		"StandDown": testStandDown, "Away": testAway, "Told": testTold, "Deadline": testDeadline, "Stale": testStale,
		"Flaky": testFlaky,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, y.site(t))
		})
	}
}

func testBuild(t *testing.T, s *site) {
	g := s.build(1)
	if err := s.run(s.worker(s.builder, self(t, "act", "build")...), g); err != nil {
		t.Fatalf("%v: %+v", err, s.log.list)
	}
	pulls := s.pulls()
	if len(pulls) != 1 {
		t.Fatalf("got %+v", pulls)
	}
	p, head := pulls[0], s.tip(g.Branch)
	if p.Title != "Make a file (and more)" || p.User.Login != "builder-lite-0" || p.Head.Ref != g.Branch || p.Head.SHA != head ||
		!strings.HasSuffix(p.Body, fmt.Sprintf("\n\nSlipway-Item: %d", s.item)) || !strings.HasPrefix(p.Body, "It makes a file.") {
		t.Errorf("got %+v", p)
	}
	if got := s.text(g.Branch, "made.txt"); got != "made by builder-lite-0\n" {
		t.Errorf("it made %q", got)
	}
	h := s.desk.attempt(1)
	want := dispatcher.Registration{Token: g.Token, Pull: ref.PullID{Repo: s.repo, Number: p.Number}, Head: head}
	if len(h.registered) != 1 || h.registered[0] != want {
		t.Errorf("it registered %+v, want %+v", h.registered, want)
	}
	c := h.completed
	if c == nil || c.Tokens.Input != 1200 || c.Tokens.Output != 34 || c.Amount != 42100 || c.Model != "m-1" || c.Summary != "It makes a file." {
		t.Errorf("it completed with %+v", c)
	}
	var phases []dispatcher.Phase
	for _, b := range s.desk.beats {
		if len(phases) == 0 || phases[len(phases)-1] != b.Phase {
			phases = append(phases, b.Phase)
		}
	}
	for i, p := range phases {
		if order := []dispatcher.Phase{dispatcher.Preparing, dispatcher.Running, dispatcher.Publishing}; i >= len(order) || p != order[i] {
			t.Errorf("the heartbeats tell of %v", phases)
			break
		}
	}
	testAgain(t, s, head)
}

// testAgain has a second attempt find the pull request of the first.
func testAgain(t *testing.T, s *site, first ref.SHA) {
	s.dir = t.TempDir() // another machine
	if err := s.run(s.worker(s.builder, self(t, "act", "build", "again")...), s.build(2)); err != nil {
		t.Fatalf("%v: %+v", err, s.log.list)
	}
	head := s.tip(s.branch())
	pulls := s.pulls()
	if len(pulls) != 1 || pulls[0].Head.SHA != head || head == first {
		t.Errorf("got %+v, from %s to %s", pulls, first, head)
	}
	if got := s.desk.attempt(2).registered; len(got) != 1 || got[0].Head != head || got[0].Pull.Number != pulls[0].Number {
		t.Errorf("it registered %+v", got)
	}
}

func testSeesNoSecret(t *testing.T, s *site) {
	g := s.build(1)
	w := s.worker(s.builder, self(t, "act", "environ")...)
	if err := s.run(w, g); err != nil {
		t.Fatalf("%v: %+v", err, s.log.list)
	}
	seen := s.text(g.Branch, "seen.txt")
	if !s.silent(seen) {
		t.Errorf("it sees a secret:\n%s", seen)
	}
	for _, want := range []string{
		fmt.Sprintf("env SLIPWAY_ITEM=%d\n", s.item), "SLIPWAY_ATTEMPT=1\n", "SLIPWAY_TRY=1\n", "SLIPWAY_KIND=build\n", "SLIPWAY_BUILDER=builder-lite-0\n",
		"SLIPWAY_REPOSITORY=" + s.repo.String() + "\n", "SLIPWAY_BASE=main\n", "SLIPWAY_BRANCH=" + s.branch() + "\n", "SLIPWAY_HEAD=" + string(s.base) + "\n",
		"SLIPWAY_TITLE=Make a file (and more)\n", "SLIPWAY_PROVIDER=acme\n", "SLIPWAY_MODEL=m-1\n", "SLIPWAY_BUDGET=2.5\n", "SLIPWAY_CURRENCY=EUR\n",
		"SLIPWAY_SPEC_FILE=Make made.txt.", "SLIPWAY_PROMPT_FILE=Be brief.", `SLIPWAY_PARAMETERS_FILE={"t":1}`,
		"GIT_AUTHOR_EMAIL=builder-lite-0@slipway.invalid\n", "LANG=C.UTF-8\n", "act\nenviron",
	} {
		if !strings.Contains(seen, want) {
			t.Errorf("it does not see %q:\n%s", want, seen)
		}
	}
	var names []string
	for line := range strings.Lines(seen) {
		if v, ok := strings.CutPrefix(line, "env "); ok {
			name, _, _ := strings.Cut(v, "=")
			names = append(names, name)
		}
		if strings.HasPrefix(line, "fd ") && strings.Contains(line, w.Room.Dir()) {
			t.Errorf("it has the worker's %s", line)
		}
	}
	slices.Sort(names)
	// docs/builders.md lists them.
	if want := "GIT_AUTHOR_EMAIL GIT_AUTHOR_NAME GIT_COMMITTER_EMAIL GIT_COMMITTER_NAME GIT_TERMINAL_PROMPT HOME LANG PATH SLIPWAY_ATTEMPT SLIPWAY_BASE " +
		"SLIPWAY_BRANCH SLIPWAY_BUDGET SLIPWAY_BUILDER SLIPWAY_CURRENCY SLIPWAY_HEAD SLIPWAY_ITEM SLIPWAY_KIND SLIPWAY_MODEL SLIPWAY_PARAMETERS_FILE " +
		"SLIPWAY_PROMPT_FILE SLIPWAY_PROVIDER SLIPWAY_PULL_REQUEST SLIPWAY_REPORT_FILE SLIPWAY_REPOSITORY SLIPWAY_RUN SLIPWAY_SPEC_FILE SLIPWAY_SUMMARY_FILE " +
		"SLIPWAY_TITLE SLIPWAY_TRY TMPDIR"; strings.Join(names, " ") != want {
		t.Errorf("it sees\n%s\nwant\n%s", strings.Join(names, " "), want)
	}
}

// testObeysNothing has a command set its repository up against the worker.
func testObeysNothing(t *testing.T, s *site) {
	trap := filepath.Join(t.TempDir(), "trap")
	ran := trap + ".ran"
	s.must(os.WriteFile(trap, []byte("#!/bin/sh\nenv > "+ran+"\n"), 0o700)) //nolint:gosec // it has to be run
	g := s.build(1)
	err := s.run(s.worker(s.builder, s.script(`
		echo x > x; git add x; git commit -qm x
		git remote set-url origin http://127.0.0.1:1/nowhere; git config url.http://127.0.0.1:1/.insteadOf http://
		git config credential.helper `+trap+`; git config core.sshCommand `+trap+`; git config http.proxy http://127.0.0.1:1
		mkdir -p .git/hooks; ln -s `+trap+` .git/hooks/pre-push; ln -s `+trap+` .git/hooks/reference-transaction
		git checkout -qb elsewhere`)...), g)
	if err != nil {
		t.Fatalf("%v: %+v", err, s.log.list)
	}
	if got := s.text(g.Branch, "x"); got != "x\n" {
		t.Errorf("it published %q", got)
	}
	if text, err := os.ReadFile(ran); err == nil && !s.silent(string(text)) {
		t.Errorf("what the repository configures was run with a secret:\n%s", text)
	}
}

func testFailures(t *testing.T, s *site) {
	for i, c := range []struct {
		rule   string
		script string
		says   []string
	}{
		{"an exit code", `echo "token: $(printf %s 'SECRET')"; exit 4`, []string{"ended with exit code 4", "token: [redacted]"}},
		{"a death at once", `kill -9 $$`, []string{"ended by a signal (killed)"}},
		{"no commit, and a process left behind", `sleep 60 & while [ "$(cat /proc/$!/comm)" != sleep ]; do :; done`, []string{"made no commit", "left 1 processes behind", "sleep"}},
		{"changes that are not committed", `echo x > x; git add x; git commit -qm x; echo y >> x; echo z > 'new file'`, []string{"left 2 changes uncommitted", "x", "new file"}},
		{"a history of its own", `git checkout -q --orphan new; git commit -qm new`, []string{"does not stand on"}},
		{"a repository that is gone", `rm -rf .git`, []string{"git does not say how the worktree stands"}},
		{"a report that is junk", `echo x > x; git add x; git commit -qm x; echo '{"input_tokens":1}' > "$SLIPWAY_REPORT_FILE"; echo junk SECRET >> "$SLIPWAY_REPORT_FILE"`, []string{"report of its usage cannot be read: line 2: it is no JSON object"}},
	} {
		t.Run(c.rule, func(t *testing.T) {
			one := *s
			one.t, one.log = t, &eventLog{}
			g := s.build(dispatcher.AttemptID(100 + i))
			script := strings.ReplaceAll(c.script, "SECRET", s.builder.Token)
			reason := one.failed(one.worker(s.builder, one.script(script)...), g)
			for _, says := range c.says {
				if !strings.Contains(reason, says) {
					t.Errorf("it does not say %q: %s", says, reason)
				}
			}
			if e := one.log.of("failed"); !s.silent(reason + e.Reason + e.Output) {
				t.Errorf("it tells a secret: %s", reason)
			}
			if s.pushedAnything() {
				t.Error("it was pushed all the same")
			}
		})
	}
}

// testMoved has somebody else push to the branch while the command runs.
func testMoved(t *testing.T, s *site) {
	gate := filepath.Join(t.TempDir(), "gate")
	g := s.build(1)
	done := make(chan string, 1)
	w := s.worker(s.builder, s.script(`echo x > x; git add x; git commit -qm x; while ! [ -e `+gate+` ]; do sleep 0.01; done`)...)
	go func() {
		defer close(done) // also when it does not fail
		done <- s.failed(w, g)
	}()
	s.must(await(t.Context(), func() bool { return s.log.has("running") }))
	moved := s.commit(s.alice, g.Branch, "other.txt")
	s.must(os.WriteFile(gate, nil, 0o600))
	if reason := <-done; !strings.Contains(reason, "somebody else moved it") {
		t.Errorf("it says %s", reason)
	}
	if got := s.tip(g.Branch); got != moved || len(s.pulls()) != 0 {
		t.Errorf("the branch stands at %s", got)
	}
}

func testReview(t *testing.T, s *site) {
	pull, head := s.proposed()
	for i, c := range []struct{ verdict, body, state string }{
		{"commented", "Why?", "COMMENT"},
		{"changes_requested", "It lacks a test, " + s.reviewer.Token, "REQUEST_CHANGES"},
		{"approved", "", "APPROVED"},
	} {
		g := s.review(dispatcher.AttemptID(i+1), pull, head)
		w := s.worker(s.reviewer, s.script(fmt.Sprintf(
			`[ "$(git rev-parse HEAD)" = "$SLIPWAY_HEAD" ]; [ "$SLIPWAY_PULL_REQUEST" = %d ]; [ "$SLIPWAY_BASE" = main ]; git diff --exit-code --quiet origin/main && exit 9
			printf '{"verdict":"%s","body":"%s"}' > "$SLIPWAY_REVIEW_FILE"`, pull.Number, c.verdict, c.body))...)
		w.Forge = &flakyForge{Forge: w.Forge} // one is not posted twice for a lost answer
		if err := s.run(w, g); err != nil {
			t.Fatalf("%s: %v: %+v", c.verdict, err, s.log.list)
		}
		list := s.reviews(pull)
		last := list[len(list)-1]
		if len(list) != i+1 || last.State != c.state || last.Commit != head || last.User.Login != "reviewer-lite-0" || !s.silent(last.Body) {
			t.Errorf("%s: got %+v", c.verdict, list)
		}
		h := s.desk.attempt(g.Attempt)
		if h.completed == nil || h.completed.Verdict != c.verdict || len(h.registered) != 1 || h.registered[0].Head != head || h.registered[0].Pull != pull {
			t.Errorf("%s: it told %+v", c.verdict, h)
		}
		s.dir = t.TempDir()
	}
}

// testReviewWithout has the command write none.
func testReviewWithout(t *testing.T, s *site) {
	pull, head := s.proposed()
	reason := s.failed(s.worker(s.reviewer, s.script("true")...), s.review(1, pull, head))
	if !strings.Contains(reason, "it wrote none") {
		t.Errorf("it says %s", reason)
	}
	if got := s.reviews(pull); len(got) != 0 {
		t.Errorf("it posted %+v", got)
	}
}

// testReviewMoved has the head move on while the command reads it.
func testReviewMoved(t *testing.T, s *site) {
	pull, head := s.proposed()
	gate := filepath.Join(t.TempDir(), "gate")
	done := make(chan string, 1)
	w := s.worker(s.reviewer, s.script(`while ! [ -e `+gate+` ]; do sleep 0.01; done; echo '{"verdict":"approved"}' > "$SLIPWAY_REVIEW_FILE"`)...)
	go func() {
		defer close(done) // also when it does not fail
		done <- s.failed(w, s.review(1, pull, head))
	}()
	s.must(await(t.Context(), func() bool { return s.log.has("running") }))
	moved := s.commit(s.alice, s.topic(), "more.txt")
	s.must(await(t.Context(), func() bool {
		return slices.ContainsFunc(s.all(), func(p pullRequest) bool { return p.Head.SHA == moved })
	}))
	s.must(os.WriteFile(gate, nil, 0o600))
	if reason := <-done; !strings.Contains(reason, "has moved on") {
		t.Errorf("it says %s", reason)
	}
	if got := s.reviews(pull); len(got) != 0 {
		t.Errorf("it posted %+v", got)
	}
}

// running starts a worker on a command that would never end, with processes
// that want to live, and gives the folder that knows of them.
func (s *site) running(g dispatcher.Grant) (dir string, cancel func(), done <-chan error) {
	s.t.Helper()
	dir = s.t.TempDir()
	w := s.worker(s.builder, self(s.t, "act", "tree", dir)...)
	ctx, stop := context.WithTimeout(s.t.Context(), time.Minute)
	s.t.Cleanup(stop)
	s.desk.offer(g)
	ended := make(chan error, 1)
	go func() {
		err := w.Run(ctx)
		s.clean(w)
		ended <- err
	}()
	s.must(await(s.t.Context(), func() bool { return len(pids(dir)) == 4 && len(alive(dir)) == 3 }))
	return dir, stop, ended
}

// over waits for the end of what running began. Nothing may live then, and
// nothing have been pushed.
func (s *site) over(dir string, done <-chan error) {
	s.t.Helper()
	if err := <-done; err == nil {
		s.t.Error("it says that it ended well")
	}
	if living := alive(dir); len(living) > 0 {
		s.t.Errorf("%v live on", living)
	}
	if s.pushedAnything() {
		s.t.Error("it pushed")
	}
}

func testStandDown(t *testing.T, s *site) {
	dir, _, done := s.running(s.build(1))
	s.desk.set(func(m *memory) { m.standDown = "the item was cancelled" })
	s.over(dir, done)
	if h := s.desk.attempt(1); !h.stopped || h.failed != nil || h.completed != nil {
		t.Errorf("it did not acknowledge: %+v", h)
	}
	if e := s.log.of("stood_down"); e.Reason != "the item was cancelled" {
		t.Errorf("it tells %+v", e)
	}
}

func testAway(t *testing.T, s *site) {
	s.desk.lease = 60 * hurry
	dir, _, done := s.running(s.build(1))
	gone := time.Now()
	s.desk.set(func(m *memory) { m.away = errors.New("connection refused") })
	s.over(dir, done)
	if took := time.Since(gone); took < s.desk.lease/2 {
		t.Errorf("it gave up after %s of a lease of %s", took, s.desk.lease)
	}
	if e := s.log.of("lost"); !strings.Contains(e.Reason, "the lease has ended") {
		t.Errorf("it tells %+v", e)
	}
}

func testStale(t *testing.T, s *site) {
	dir, _, done := s.running(s.build(1))
	s.desk.set(func(m *memory) { m.live[1].until = time.Now() })
	s.over(dir, done)
	if !s.log.has("lost") {
		t.Errorf("it tells %+v", s.log.list)
	}
}

func testTold(t *testing.T, s *site) {
	dir, stop, done := s.running(s.build(1))
	stop()
	if err := <-done; err != nil && !errors.Is(err, ErrFailed) {
		t.Error(err)
	}
	if living := alive(dir); len(living) > 0 || s.pushedAnything() {
		t.Errorf("%v live on", living)
	}
	if f := s.desk.attempt(1).failed; f == nil || !f.Returned || !strings.Contains(f.Reason, "told to stop") {
		t.Errorf("it told %+v", f)
	}
}

func testDeadline(t *testing.T, s *site) {
	g := s.build(1)
	// The server's clock is years away from ours: only its differences count.
	s.desk.skew = -40000 * time.Hour
	g.Deadline = time.Now().Add(s.desk.skew).Add(150 * time.Second)
	dir, _, done := s.running(g)
	s.over(dir, done)
	if f := s.desk.attempt(1).failed; f == nil || !strings.Contains(f.Reason, "deadline") {
		t.Errorf("it told %+v", f)
	}
}

// testFlaky has every second call fail: the same claim is made again, and the
// attempt comes to its end.
func testFlaky(t *testing.T, s *site) {
	w := s.worker(s.builder, self(t, "act", "build")...)
	flaky := &flakyDesk{memory: s.desk}
	w.Desk, w.Forge = flaky, &flakyForge{Forge: w.Forge}
	if err := s.run(w, s.build(1)); err != nil {
		t.Fatalf("%v: %+v", err, s.log.list)
	}
	if h := s.desk.attempt(1); h.completed == nil || len(s.pulls()) != 1 {
		t.Errorf("got %+v", h)
	}
	requests := map[string]int{}
	for _, r := range flaky.requests {
		requests[r]++
	}
	if len(requests) != 1 || len(flaky.requests) < 2 {
		t.Errorf("it claimed with %v", flaky.requests)
	}
}
