package gitea

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"slipway/gate"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
	server "slipway/test/servers/gitea"
)

// acts are what people do to a pull request, in any order.
type acts struct {
	*repository
	id       ref.PullID
	n        int
	comments []int64
	reviews  []int64
	said     []string
}

// testActs does each thing once to one pull request, in an order of chance; in a
// soak again and again. After each a look that remembers must say what one that
// remembers nothing says.
func (w *world) testActs(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	r := w.repository(t, "acts", openToPush)
	r.commit(w.alice, "other", file{path: "other.txt", content: "x", message: "feat: other"})
	id, _ := r.change("feat1")
	a := &acts{repository: r, id: id}
	can := []func(*rand.Rand){a.talk, a.unsay, a.review, a.dismiss, a.ask, a.label, a.rename, a.retarget, a.push, a.pushBase, a.report, a.reopen, a.right}
	for range soakRounds(t) {
		for _, i := range random.Perm(len(can)) {
			can[i](random)
			if diff := a.disagree(); diff != "" {
				t.Fatalf("seed %d, after %q (-anew +remembering):\n%s", seed, a.said, diff)
			}
		}
	}
}

// soakRounds is how often to repeat what is up to chance: once, unless
// SLIPWAY_SOAK says otherwise.
func soakRounds(t *testing.T) int {
	t.Helper()
	text := os.Getenv("SLIPWAY_SOAK")
	if text == "" {
		return 1
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		t.Fatalf("SLIPWAY_SOAK is %q: want how many rounds, such as 20", text)
	}
	return max(n, 1)
}

// disagree tells in what a look that remembers differs from one that does not,
// once the server has done what follows a push by itself.
func (a *acts) disagree() string {
	a.t.Helper()
	var diff string
	limit := time.Now().Add(10 * time.Second)
	a.eventually("looks agree", func() bool {
		remembering := a.look(a.id, reconcile.Want{})
		anew := a.as(a.t, a.repository.id, a.bot).look(a.id, reconcile.Want{})
		diff = cmp.Diff(anew, remembering, cmpopts.IgnoreFields(reconcile.Look{}, "Remembered"), cmpopts.IgnoreFields(gate.PullRequest{}, "Mergeable"))
		return diff == "" || time.Now().After(limit)
	})
	return diff
}

func (a *acts) head() ref.SHA {
	return must(a.client.Pull(a.t.Context(), a.id))(a.t).Head
}

// note tells what is done.
func (a *acts) note(format string, v ...any) int {
	a.n++
	a.said = append(a.said, fmt.Sprintf(format, v...))
	return a.n
}

func (a *acts) talk(*rand.Rand) {
	n := a.note("comment")
	a.comments = append(a.comments, a.say(a.carol, a.id, fmt.Sprint("comment ", n)))
}

func (a *acts) unsay(*rand.Rand) {
	if len(a.comments) == 0 {
		return
	}
	a.note("delete a comment")
	a.do(a.carol, http.MethodDelete, "/issues/comments/"+itoa(a.comments[0]), nil, nil)
	a.comments = a.comments[1:]
}

func (a *acts) review(random *rand.Rand) {
	who := []server.Account{a.carol, a.dave, a.outsider}[random.IntN(3)]
	event := []string{"APPROVED", "REQUEST_CHANGES", "COMMENT"}[random.IntN(3)]
	a.note("%s by %s", event, who.Login)
	a.reviews = append(a.reviews, a.repository.review(who, a.id, a.head(), event))
}

func (a *acts) dismiss(*rand.Rand) {
	if len(a.reviews) == 0 {
		return
	}
	a.note("dismiss")
	last := a.reviews[len(a.reviews)-1]
	// One that only comments cannot be dismissed.
	_ = a.Call(a.t.Context(), a.Admin().Token, http.MethodPost,
		fmt.Sprintf("/repos/%s/pulls/%d/reviews/%d/dismissals", a.repository.id, a.id.Number, last), map[string]string{"message": "no"}, nil)
}

func (a *acts) ask(*rand.Rand) {
	a.note("ask for a review")
	a.do(a.alice, http.MethodPost, fmt.Sprintf("/pulls/%d/requested_reviewers", a.id.Number), map[string]any{"reviewers": []string{"carol"}}, nil)
}

func (a *acts) label(*rand.Rand) {
	n := a.note("label")
	a.repository.label(a.id, fmt.Sprint("label ", n))
}

func (a *acts) rename(*rand.Rand) {
	n := a.note("rename")
	a.do(a.alice, http.MethodPatch, "/pulls/"+itoa(a.id.Number), map[string]string{"title": fmt.Sprint("feat: title ", n)}, nil)
}

func (a *acts) retarget(*rand.Rand) {
	a.note("change the base there and back")
	a.repository.retarget(a.alice, a.id, "other")
	a.repository.retarget(a.alice, a.id, "main")
}

func (a *acts) push(random *rand.Rand) {
	n := a.note("push")
	who := a.alice
	if random.IntN(2) == 0 {
		who = a.ci
	}
	a.commit(who, "feat1", file{path: fmt.Sprintf("%d.txt", n), content: "x", message: "feat: x"})
}

func (a *acts) pushBase(*rand.Rand) {
	n := a.note("push to the base")
	a.commit(a.alice, "main", file{path: fmt.Sprintf("base-%d.txt", n), content: "x", message: "feat: x"})
}

func (a *acts) report(*rand.Rand) {
	n := a.note("status")
	a.status(a.ci, a.head(), fmt.Sprint("ci/", n%3), "success")
}

func (a *acts) reopen(*rand.Rand) {
	a.note("close and reopen")
	for _, state := range []string{"closed", "open"} {
		a.do(a.alice, http.MethodPatch, "/pulls/"+itoa(a.id.Number), map[string]string{"state": state}, nil)
	}
}

func (a *acts) right(random *rand.Rand) {
	listed := [][]string{{"carol"}, {"dave"}, {"carol", "dave"}}[random.IntN(3)]
	a.note("whitelist %q", listed)
	a.do(a.Admin(), http.MethodPatch, "/branch_protections/main", map[string]any{"approvals_whitelist_username": listed}, nil)
}
