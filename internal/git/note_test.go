package git

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"slipway/internal/fault"
	"slipway/internal/ref"
)

func itoa(n int) string { return strconv.Itoa(n) }

// note is a commit's note as anybody reads it.
func (b *bare) note(commit ref.SHA) string {
	b.t.Helper()
	return b.git("notes", "--ref=slipway", "show", string(commit))
}

func TestNote(t *testing.T) {
	f := newForge(t)
	b := f.create(app)
	shas := b.line("one", "two", "three")
	g := f.mirrors()
	const text = "{\n  \"head\": \"x\"\n}\n\n# not a comment\n"
	t.Run("a note is there", func(t *testing.T) {
		if err := g.Note(deadline(t), app, shas[0], text); err != nil {
			t.Fatal(err)
		}
		if got := b.git("cat-file", "blob", b.git("notes", "--ref=slipway", "list", string(shas[0]))); got != strings.TrimSpace(text) {
			t.Errorf("it says %q", got)
		}
		if by := b.git("log", "-1", "--format=%an <%ae>", noteRef); by != "Slipway <slipway@example.com>" {
			t.Errorf("written by %s", by)
		}
	})
	t.Run("the same again is success and no commit", func(t *testing.T) {
		before := b.git("rev-parse", noteRef)
		if err := f.mirrors().Note(deadline(t), app, shas[0], text); err != nil {
			t.Fatal(err)
		}
		if b.git("rev-parse", noteRef) != before {
			t.Error("it was written again")
		}
	})
	t.Run("another text is refused for good", func(t *testing.T) {
		if err := g.Note(deadline(t), app, shas[0], text+"more"); fault.KindOf(err) != fault.Permanent {
			t.Errorf("got %v", err)
		}
	})
	t.Run("another mirror's note stays", func(t *testing.T) {
		if err := f.mirrors().Note(deadline(t), app, shas[1], "second"); err != nil {
			t.Fatal(err)
		}
		if err := g.Note(deadline(t), app, shas[2], "third"); err != nil {
			t.Fatal(err)
		}
		for i, want := range []string{strings.TrimSpace(text), "second", "third"} {
			if got := b.note(shas[i]); got != want {
				t.Errorf("note %d says %q", i, got)
			}
		}
	})
	t.Run("notes that somebody rewrote are taken as they stand", func(t *testing.T) {
		b.git("update-ref", "-d", noteRef)
		if err := g.Note(deadline(t), app, shas[0], "anew"); err != nil {
			t.Fatal(err)
		}
		if got := b.note(shas[0]); got != "anew" {
			t.Errorf("it says %q", got)
		}
	})
	t.Run("a fetch leaves them alone", func(t *testing.T) {
		if err := g.Fetch(deadline(t), app); err != nil {
			t.Fatal(err)
		}
		if err := g.Note(deadline(t), app, shas[0], "anew"); err != nil {
			t.Fatal(err)
		}
	})
	for rule, call := range map[string]func() error{
		"no text":             func() error { return g.Note(deadline(t), app, shas[0], "") },
		"too much text":       func() error { return g.Note(deadline(t), app, shas[0], strings.Repeat("x", longestNote+1)) },
		"what is no commit":   func() error { return g.Note(deadline(t), app, "HEAD", "x") },
		"no such repository":  func() error { return g.Note(deadline(t), ref.RepoID{Owner: "acme", Name: "none"}, shas[0], "x") },
		"what is no identity": func() error { return g.Note(deadline(t), ref.RepoID{Owner: "..", Name: "x"}, shas[0], "x") },
	} {
		t.Run(rule+" is refused for good", func(t *testing.T) {
			if err := call(); fault.KindOf(err) != fault.Permanent {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("a commit that is nowhere cannot have one", func(t *testing.T) {
		if err := g.Note(deadline(t), app, ref.SHA(strings.Repeat("9", 40)), "x"); !errors.Is(err, errMissing) {
			t.Errorf("got %v", err)
		}
	})
}

// TestNoteOfManyAtOnce: whoever loses the race looks again.
func TestNoteOfManyAtOnce(t *testing.T) {
	f := newForge(t)
	b := f.create(app)
	shas := b.line("1", "2", "3", "4")
	var all sync.WaitGroup
	for _, sha := range shas {
		g := f.mirrors()
		all.Go(func() {
			if err := g.Note(deadline(t), app, sha, "on "+string(sha)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, sha := range shas {
		if got := b.note(sha); got != "on "+string(sha) {
			t.Errorf("%s has %q", sha, got)
		}
	}
}

func TestNoteLosesARace(t *testing.T) {
	f := newForge(t)
	b := f.create(app)
	shas := b.line("one", "two")
	race := func(times int) {
		won := 0
		f.wrap(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if strings.HasSuffix(r.URL.Path, "git-receive-pack") && r.Method == http.MethodPost && won < times {
				won++
				b.git("notes", "--ref=slipway", "add", "-f", "-m", "first "+itoa(won), string(shas[1]))
			}
			next.ServeHTTP(w, r)
		})
	}
	t.Run("and wins the next one", func(t *testing.T) {
		race(2)
		if err := f.mirrors().Note(deadline(t), app, shas[0], "mine"); err != nil {
			t.Fatal(err)
		}
		if b.note(shas[0]) != "mine" || b.note(shas[1]) != "first 2" {
			t.Errorf("got %q and %q", b.note(shas[0]), b.note(shas[1]))
		}
	})
	t.Run("and gives up for now when it always does", func(t *testing.T) {
		b.git("notes", "--ref=slipway", "remove", string(shas[0]))
		race(1000)
		err := f.mirrors().Note(deadline(t), app, shas[0], "mine")
		if !errors.Is(err, errNoteRace) || fault.KindOf(err) != fault.Later {
			t.Errorf("got %v", err)
		}
	})
}

func TestNoteThatTheForgeRefuses(t *testing.T) {
	f := newForge(t)
	b := f.create(app)
	shas := b.line("one")
	hooks := filepath.Join(b.dir, "hooks")
	if err := os.MkdirAll(hooks, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(hooks, "update"), []byte("#!/bin/sh\necho 'no notes here' >&2\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	err := f.mirrors().Note(deadline(t), app, shas[0], "x")
	if fault.KindOf(err) != fault.Permanent || !strings.Contains(err.Error(), "hook declined") {
		t.Errorf("got %v", err)
	}
}

// TestNoteOfAPushThatWasCutOff: the answer is lost, the note is not written
// twice.
func TestNoteOfAPushThatWasCutOff(t *testing.T) {
	f := newForge(t)
	b := f.create(app)
	shas := b.line("one")
	f.wrap(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.HasSuffix(r.URL.Path, "git-receive-pack") && r.Method == http.MethodPost {
			next.ServeHTTP(discarding{http.Header{}}, r)
			panic(http.ErrAbortHandler)
		}
		next.ServeHTTP(w, r)
	})
	g := f.mirrors()
	if err := g.Note(deadline(t), app, shas[0], "x"); err == nil || fault.KindOf(err) != fault.Later {
		t.Errorf("got %v", err)
	}
	before := b.git("rev-parse", noteRef)
	f.wrap(nil)
	if err := g.Note(deadline(t), app, shas[0], "x"); err != nil {
		t.Fatal(err)
	}
	if b.git("rev-parse", noteRef) != before {
		t.Error("it was written twice")
	}
}

// discarding takes an answer that never arrives.
type discarding struct{ header http.Header }

func (d discarding) Header() http.Header         { return d.header }
func (d discarding) Write(p []byte) (int, error) { return len(p), nil }
func (d discarding) WriteHeader(int)             {}
