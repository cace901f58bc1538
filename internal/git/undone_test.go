package git

import (
	"strings"
	"testing"

	"slipway/internal/ref"
)

// TestUndone tells histories of one file as a person would write them. Each
// starts from the same two commits, the second of which is the barred one.
func TestUndone(t *testing.T) {
	good := numbered(nil)
	bad := numbered(map[int]string{7: "broken"})
	type history struct {
		*bare
		bad ref.SHA
	}
	files := func(a string, more ...string) map[string]string {
		m := map[string]string{"a": a, "empty": ""}
		for i := 0; i < len(more); i += 2 {
			m[more[i]] = more[i+1]
		}
		return m
	}
	tests := []struct {
		name string
		tell func(h history) ref.SHA
		want bool
	}{
		{name: "nothing came after it", tell: func(h history) ref.SHA { return h.bad }},
		{name: "only other changes came after it", tell: func(h history) ref.SHA {
			return h.commit("other", files(bad, "b", "b"), h.bad)
		}},
		{name: "its revert came after it", want: true, tell: func(h history) ref.SHA {
			return h.commit("anything", files(good), h.bad)
		}},
		{name: "a message that says so is no revert", tell: func(h history) ref.SHA {
			return h.commit("Revert\n\nThis reverts commit "+string(h.bad)+".\n", files(bad, "b", "b"), h.bad)
		}},
		{name: "a revert with something else in it is not its revert", tell: func(h history) ref.SHA {
			return h.commit("revert and more", files(good, "b", "b"), h.bad)
		}},
		{name: "the revert of the revert brings it back", tell: func(h history) ref.SHA {
			out := h.commit("out", files(good), h.bad)
			return h.commit("in", files(bad), out)
		}},
		{name: "and the third revert takes it out", want: true, tell: func(h history) ref.SHA {
			out := h.commit("out", files(good), h.bad)
			in := h.commit("in", files(bad), out)
			return h.commit("out again", files(good), in)
		}},
		{name: "a revert in a merged pull request counts", want: true, tell: func(h history) ref.SHA {
			other := h.commit("other", files(bad, "b", "b"), h.bad)
			out := h.commit("out", files(good), h.bad)
			return h.commit("merge", files(good, "b", "b"), other, out)
		}},
		{name: "so does one that came with others in its pull request", want: true, tell: func(h history) ref.SHA {
			out := h.commit("out", files(good), h.bad)
			more := h.commit("more", files(good, "b", "b"), out)
			return h.commit("merge", files(good, "b", "b"), h.bad, more)
		}},
		{name: "a merged pull request that brings it again beside the revert", tell: func(h history) ref.SHA {
			start := h.tip("start")
			out := h.commit("out", files(good), h.bad)
			again := h.commit("the same once more", files(bad), start)
			return h.commit("merge", files(bad), out, again)
		}},
		{name: "changes in the same file do not hide the revert", want: true, tell: func(h history) ref.SHA {
			near := func(seven string) string { return numbered(map[int]string{5: "near", 7: seven, 9: "near"}) }
			other := h.commit("other", files(near("broken")), h.bad)
			return h.commit("out", files(near("line xxxxxxx")), other)
		}},
		{name: "white space is no detail", tell: func(h history) ref.SHA {
			return h.commit("almost", files(strings.Replace(bad, "broken\n", "  line xxxxxxx\n", 1)), h.bad)
		}},
		{name: "an empty commit undoes nothing", tell: func(h history) ref.SHA {
			return h.commit("empty", files(bad), h.bad)
		}},
	}
	f := newForge(t)
	b := f.create(app)
	start := b.commit("start", files(good), nil...)
	b.branch("start", start)
	h := history{b, b.commit("bad", files(bad), start)}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tip := tt.tell(h)
			b.branch("main", tip)
			g := f.mirrors()
			for range 2 { // the second answer is a remembered one
				if got, err := g.Undone(deadline(t), app, h.bad, tip); err != nil || got != tt.want {
					t.Errorf("got %t, %v; want %t", got, err, tt.want)
				}
			}
		})
	}
}

func TestUndoneOfFilesThatAreNoLines(t *testing.T) {
	f := newForge(t)
	b := f.create(app)
	g := f.mirrors()
	for name, file := range map[string]func(s string) string{
		"picture":       func(s string) string { return "\x00" + s },
		"one long line": func(s string) string { return strings.Repeat("x", 200_000) + s },
	} {
		t.Run(name, func(t *testing.T) {
			files := func(s string) map[string]string { return map[string]string{"f": file(s)} }
			one := b.commit("one", files("1"))
			two := b.commit("two", files("2"), one)
			three := b.commit("three", files("3"), two)
			back := b.commit("back", files("1"), two)
			b.branch("three", three)
			b.branch("back", back)
			for tip, want := range map[ref.SHA]bool{three: false, back: true} {
				if got, err := g.Undone(deadline(t), app, two, tip); err != nil || got != want {
					t.Errorf("got %t, %v; want %t", got, err, want)
				}
			}
		})
	}
}

func TestUndoneOfTheFirstCommit(t *testing.T) {
	f := newForge(t)
	b := f.create(app)
	one := b.commit("one", map[string]string{"a": "a"})
	two := b.commit("two", nil, one)
	b.branch("main", two)
	if got, err := f.mirrors().Undone(deadline(t), app, one, two); err != nil || !got {
		t.Errorf("got %t, %v; want true", got, err)
	}
}

// TestUndoneByOwnRevert: what Revert makes counts, also on top of others'
// changes to the same file.
func TestUndoneByOwnRevert(t *testing.T) {
	f := newForge(t)
	b := f.create(app)
	one := b.commit("one", map[string]string{"a": numbered(nil)})
	two := b.commit("two", map[string]string{"a": numbered(map[int]string{7: "broken"}), "n": "n"}, one)
	three := b.commit("three", map[string]string{"a": numbered(map[int]string{2: "x", 7: "broken", 10: "y"}), "n": "n"}, two)
	b.branch("main", three)
	g := f.mirrors()
	if err := g.Revert(deadline(t), mainBranch, two, "back", "Revert two"); err != nil {
		t.Fatal(err)
	}
	if got, err := g.Undone(deadline(t), app, two, b.tip("back")); err != nil || !got {
		t.Errorf("got %t, %v; want true", got, err)
	}
}

func TestUndoneOfACommitThatIsGone(t *testing.T) {
	f := newForge(t)
	made := f.create(app).line("one", "two")
	if _, err := f.mirrors().Undone(deadline(t), app, ref.SHA(strings.Repeat("5", 40)), made[1]); err == nil {
		t.Error("a commit that nobody knows was judged")
	}
}
