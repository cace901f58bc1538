package reconcile_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/renderer/html"

	"slipway/gate"
	"slipway/internal/change"
	"slipway/internal/reconcile"
)

func explaining(_ *world, c *reconcile.Config) { c.Sticky = true }

// explained waits for the sticky comment to say something.
func (w *world) explained(id int64, words string) string {
	w.Helper()
	var last string
	w.until("the explanation "+words, func() bool {
		for _, c := range w.bots(pull(id)) {
			if strings.HasPrefix(c.Body, "<!-- slipway: sticky -->") {
				last = c.Body
			}
		}
		return strings.Contains(last, words)
	})
	return last
}

func (w *world) stickies(id int64) int {
	n := 0
	for _, c := range w.bots(pull(id)) {
		if strings.HasPrefix(c.Body, "<!-- slipway: sticky -->") {
			n++
		}
	}
	return n
}

func TestOneCommentExplainsAndIsEdited(t *testing.T) {
	w := gated(t, "asked", explaining)
	id := w.propose(1, map[string]string{"x": "1"})
	w.run()
	w.hint(id)
	text := w.explained(1, "What is asked of it")
	for _, want := range []string{"0 of 2 approvals", "`bob`", " · since 20", "`/hold [REASON]`", "The least that would merge it", "For agents"} {
		if !strings.Contains(text, want) {
			t.Errorf("it does not say %q:\n%s", want, text)
		}
	}
	block := regexp.MustCompile("(?s)```json\n(.*)\n```").FindStringSubmatch(text)
	var machine struct {
		Head         string             `json:"head"`
		Requirements []gate.Requirement `json:"requirements"`
		Acts         []gate.Act         `json:"acts"`
	}
	if block == nil || json.Unmarshal([]byte(block[1]), &machine) != nil || len(machine.Requirements) == 0 || len(machine.Acts) == 0 || machine.Head != string(w.stored(id).Head) {
		t.Errorf("for agents: %v", block)
	}
	w.satisfy(id)
	w.hint(id)
	c := w.seen(id, "the approvals", func(c change.Change) bool { return len(c.Verdict) == 1 && c.Verdict[0].Code == gate.CodeNotAsked })
	if !strings.Contains(w.explained(1, ""), "0 of 2 approvals") && time.Since(c.Talk.SaidAt) < 9*time.Second {
		t.Error("it was edited again within ten seconds, though the outcome is the same")
	}
	w.comment(id, "alice", "/merge when ready")
	w.hint(id)
	last := w.explained(1, "Slipway merged")
	if strings.Contains(last, "What is asked of it") || w.stickies(1) != 1 {
		t.Errorf("at the end %d of them:\n%s", w.stickies(1), last)
	}
	c = w.seen(id, "the receipt", func(c change.Change) bool { return c.Receipt != nil && c.Talk.SaidState == "merged" })
	said := c.Talk.SaidAt
	w.hint(id)
	w.until("another look", func() bool { return w.quiet(time.Minute) })
	if c := w.stored(id); !c.Talk.SaidAt.Equal(said) {
		t.Error("it was written again after the end")
	}
}

func TestTheExplanationIsFoundAgainByItsMarker(t *testing.T) {
	w := gated(t, "ready", explaining)
	id := w.propose(1, map[string]string{"x": "1"})
	w.comment(id, "mallory", "<!-- slipway: sticky -->\nmerge me")
	w.comment(id, "slipway-bot", "<!-- slipway: sticky -->\nfrom before the record was lost")
	w.run()
	w.hint(id)
	w.explained(1, "What is asked of it")
	if n := w.stickies(1); n != 1 {
		t.Errorf("%d of them", n)
	}
	if c := w.stored(id); c.Talk.Sticky != 2 && !strings.Contains(w.bots(id)[0].Body, "What is asked of it") {
		t.Errorf("it took comment %d for its own", c.Talk.Sticky)
	}
}

func TestNobodyIsCalledAndNothingIsMarkup(t *testing.T) {
	w := gated(t, "ready", explaining)
	id := w.propose(1, map[string]string{"x": "1"})
	evil := "</details>\n\n# @everybody ![x](http://evil/x) `code` ``` <script>alert(1)</script> fixes #1"
	w.run()
	w.hint(id)
	w.seen(id, "the first look", func(c change.Change) bool { return c.Head != "" })
	held := w.comment(id, "alice", "/hold "+strings.ReplaceAll(evil, "\n", " "))
	w.hint(id)
	w.seen(id, "the hold", func(c change.Change) bool { return c.Talk.Heard >= held })
	text := w.explained(1, "everybody")
	var page bytes.Buffer
	if err := goldmark.New(goldmark.WithRendererOptions(html.WithUnsafe())).Convert([]byte(text), &page); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(page.String(), "&lt;script&gt;") {
		t.Error("what was said is not shown")
	}
	outside := regexp.MustCompile("(?s)<code[^>]*>.*?</code>").ReplaceAllString(page.String(), "")
	for _, bad := range []string{"@", "script", "<img", "fixes", "everybody"} {
		if strings.Contains(outside, bad) {
			t.Errorf("%q stands outside of code:\n%s", bad, outside)
		}
	}
	if opened, closed := strings.Count(outside, "<details>"), strings.Count(outside, "</details>"); opened != 2 || closed != 2 {
		t.Errorf("%d details, %d ends of them", opened, closed)
	}
}

func TestTheBudgetForCommentsIsKept(t *testing.T) {
	w := gated(t, "ready", explaining, func(_ *world, c *reconcile.Config) { c.CommentBudget = 2 })
	for n := int64(1); n <= 4; n++ {
		w.propose(n, map[string]string{"x": "1"})
	}
	w.run()
	for n := int64(1); n <= 4; n++ {
		w.hint(pull(n))
	}
	for n := int64(1); n <= 4; n++ {
		w.seen(pull(n), "a verdict", func(c change.Change) bool { return len(c.Verdict) > 0 })
	}
	w.until("the used-up budget to be told", func() bool { return len(w.entries("comments.budget")) > 0 })
	w.until("quiet", func() bool { return w.quiet(30 * time.Second) })
	written := 0
	for n := int64(1); n <= 4; n++ {
		written += w.stickies(n)
	}
	if written != 2 || len(w.entries("comments.budget")) != 1 || w.log.count("budget for comments") != 1 {
		t.Fatalf("%d written, told %d times", written, len(w.entries("comments.budget")))
	}
	if next, err := w.store.Next(t.Context(), reconcile.KindChange); err != nil || next.IsZero() || time.Until(next) > time.Hour {
		t.Errorf("the rest is written at %s: %v", next, err)
	}
}

func TestWithoutStickyNothingIsSaidUnasked(t *testing.T) {
	w := gated(t, "ready")
	id := w.propose(1, map[string]string{"x": "1"})
	w.satisfy(id)
	w.run()
	w.hint(id)
	w.seen(id, "the receipt", func(c change.Change) bool { return c.Receipt != nil })
	if said := w.bots(id); len(said) > 0 {
		t.Errorf("said %+v", said)
	}
}

func TestACommentThatCannotBeWrittenHoldsNothingUp(t *testing.T) {
	w := gated(t, "ready", explaining)
	id := w.propose(1, map[string]string{"x": "1"})
	w.forge.broken = errors.New("503")
	w.run()
	w.hint(id)
	w.seen(id, "the failure", func(c change.Change) bool { return c.Talk.Mute.Times > 0 })
	w.satisfy(id)
	w.hint(id)
	w.seen(id, "the merge all the same", func(c change.Change) bool { return c.Receipt != nil })
}

func TestAReplayTellsEveryVerdictThatWouldDiffer(t *testing.T) {
	w := gated(t, "ready", explaining)
	w.run()
	for n, arrange := range map[int64]func(p *openPull){1: nil, 2: func(p *openPull) { p.reviews = nil }, 3: nil} {
		id := w.propose(n, map[string]string{"x": "1"})
		w.satisfy(id)
		if arrange != nil {
			w.change(id, arrange)
		}
		w.hint(id)
	}
	w.seen(pull(1), "the first merge", func(c change.Change) bool { return c.Receipt != nil })
	w.seen(pull(3), "the second merge", func(c change.Change) bool { return c.Receipt != nil })
	w.seen(pull(2), "the one that waits", func(c change.Change) bool { return len(c.Verdict) > 0 })
	stricter := strings.Replace(policyFor("app", "app"), "creator: ci-bot}]}\npost", "creator: ci-bot}], approvals: 3}\npost", 1)
	before := len(w.entries("merge"))
	r, err := w.engine.Replay(t.Context(), app, []byte(stricter), time.Time{}, 0)
	if err != nil || len(r.Faults) > 0 || r.Judged != 3 || len(r.Differ) != 2 {
		t.Fatalf("%+v: %v", r, err)
	}
	for _, d := range r.Differ {
		if d.Change.Number == 2 || (d.Was.Outcome != "merge" || d.Would.Outcome != "wait" || len(d.Would.Reasons) == 0) {
			t.Errorf("%+v", d)
		}
	}
	more := strings.Replace(stricter, "checks: [{", "checks: [{context: lint, creator: ci-bot}, {", 1)
	if r, err := w.engine.Replay(t.Context(), app, []byte(more), time.Time{}, 0); err != nil || len(r.Differ) != 3 || r.Differ[2].Change != pull(2) {
		t.Errorf("what would not have been merged does not come first: %+v: %v", r, err)
	}
	if same, err := w.engine.Replay(t.Context(), app, []byte(w.file(reconcile.PolicyFile)), time.Time{}, 1); err != nil || same.Judged != 1 || len(same.Differ) != 0 {
		t.Errorf("the same policy: %+v: %v", same, err)
	}
	if faulty, err := w.engine.Replay(t.Context(), app, []byte("version: 7"), time.Time{}, 0); err != nil || len(faulty.Faults) == 0 || faulty.Judged != 0 {
		t.Errorf("a faulty policy: %+v: %v", faulty, err)
	}
	if len(w.entries("merge")) != before {
		t.Error("a replay acted")
	}
	id := w.propose(9, map[string]string{reconcile.PolicyFile: stricter})
	w.hint(id)
	w.explained(9, "It changes the policy. Of the last 3 changes")
	if c := w.stored(id); c.Replay == nil || c.Replay.Head != c.Head || c.Replay.Differ == 0 || len(c.Replay.Examples) == 0 {
		t.Errorf("%+v", c.Replay)
	}
}

// file is a file at the tip of main.
func (w *world) file(name string) string {
	w.history.mutex.Lock()
	defer w.history.mutex.Unlock()
	return w.history.commits[w.history.tips["main"]].files[name]
}
