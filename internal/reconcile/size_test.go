package reconcile

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"slipway/gate"
	"slipway/internal/change"
	"slipway/internal/ref"
)

// TestAnExplanationFitsInAComment: forges refuse one of more than 65536
// characters, and then nobody is told anything.
func TestAnExplanationFitsInAComment(t *testing.T) {
	const limit = 60_000
	long := strings.Repeat("ж", 400)
	names := make([]string, 15)
	for i := range names {
		names[i] = long
	}
	for _, n := range []int{0, 1, 20, 99, 100, 101, 300} {
		c := change.New(ref.PullID{Repo: ref.RepoID{Owner: "acme", Name: "app"}, Number: 1})
		c.Head = ref.SHA(strings.Repeat("a", 40))
		for i := range n {
			key := fmt.Sprintf("owners:/%d/", i)
			c.Requirements = append(c.Requirements, gate.Requirement{Key: key, Title: long, Says: long, Who: names, Since: time.Now()})
			c.Acts = append(c.Acts, gate.Act{Do: long, Who: names, Count: 1, For: []string{key}})
			c.Verdict = append(c.Verdict, change.Reason{Sentence: long, Who: names})
		}
		c.Replay = &change.Replay{Judged: 50, Differ: 50, Examples: []string{long, long, long, long, long}}
		text := sticky(c)
		if len(text) > limit {
			t.Errorf("with %d requirements it has %d bytes", n, len(text))
		}
		if n > 100 && !strings.Contains(text, "more") {
			t.Errorf("with %d requirements it does not say that there are more", n)
		}
		if c.Requirements = nil; len(sticky(c)) > limit {
			t.Errorf("with %d reasons it has %d bytes", n, len(sticky(c)))
		}
	}
}
