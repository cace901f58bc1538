package git

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/internal/fault"
	"slipway/internal/ref"
)

// mirrorDir is where the mirror of app stands.
func mirrorDir(g *Mirrors) string { return filepath.Join(g.config.Dir, "acme", "app.git") }

// damage finds files of the mirror by a pattern and writes rubbish over them.
func damage(t *testing.T, g *Mirrors, pattern string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(mirrorDir(g), pattern))
	if err != nil || len(paths) == 0 {
		t.Fatalf("nothing matches %s: %v", pattern, err)
	}
	for _, p := range paths {
		if err := os.Remove(p); err != nil { // objects are read-only
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte("rubbish, and a good deal of it, so that no header fits"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDamagedMirrorIsMadeAnew(t *testing.T) {
	f := newForge(t)
	b := f.create(app)
	tip := b.line("one", "two")[1]
	ctx := deadline(t)
	tests := []struct {
		rule string
		harm func(t *testing.T, g *Mirrors)
	}{
		{"gone", func(t *testing.T, g *Mirrors) {
			if err := os.RemoveAll(mirrorDir(g)); err != nil {
				t.Fatal(err)
			}
		}},
		{"half made: no label", func(t *testing.T, g *Mirrors) {
			if err := os.Remove(filepath.Join(mirrorDir(g), labelFile)); err != nil {
				t.Fatal(err)
			}
		}},
		{"the label is rubbish", func(t *testing.T, g *Mirrors) { damage(t, g, labelFile) }},
		{"HEAD is gone", func(t *testing.T, g *Mirrors) {
			if err := os.Remove(filepath.Join(mirrorDir(g), "HEAD")); err != nil {
				t.Fatal(err)
			}
		}},
		{"the configuration is rubbish", func(t *testing.T, g *Mirrors) { damage(t, g, "config") }},
		{"the objects are rubbish", func(t *testing.T, g *Mirrors) { damage(t, g, "objects/*/*") }},
		{"one file's content is rubbish", func(t *testing.T, g *Mirrors) {
			m := &bare{t: t, dir: mirrorDir(g)}
			pack := filepath.Join(m.dir, "pack") // git unpacks only what it does not have
			m.command("", "-C", m.dir, "pack-objects", "--quiet", "--all", "pack")
			if err := os.RemoveAll(filepath.Join(m.dir, "objects", "pack")); err != nil {
				t.Fatal(err)
			}
			packs, err := filepath.Glob(pack + "-*.pack")
			if err != nil || len(packs) != 1 {
				t.Fatalf("%v, %v", packs, err)
			}
			text, err := os.ReadFile(packs[0])
			if err != nil {
				t.Fatal(err)
			}
			m.gitIn(string(text), "unpack-objects", "-q")
			blob := b.blob("two")
			damage(t, g, "objects/"+blob[:2]+"/"+blob[2:])
		}},
		{"a branch is rubbish", func(t *testing.T, g *Mirrors) { damage(t, g, "refs/heads/main") }},
		{"the objects are gone", func(t *testing.T, g *Mirrors) {
			if err := os.RemoveAll(filepath.Join(mirrorDir(g), "objects")); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(filepath.Join(mirrorDir(g), "objects"), 0o700); err != nil {
				t.Fatal(err)
			}
		}},
	}
	const reverting = "reverting, at the second try"
	uses := map[string]func(g *Mirrors, t *testing.T) error{
		"reading": func(g *Mirrors, _ *testing.T) error {
			commits, err := g.FirstParent(ctx, app, "", tip)
			if err == nil && len(commits) != 2 {
				err = errors.New("commits are missing")
			}
			return err
		},
		"exporting": func(g *Mirrors, t *testing.T) error {
			_, err := g.Export(ctx, app, tip, t.TempDir())
			return err
		},
		reverting: func(g *Mirrors, t *testing.T) error {
			branch := strings.Map(func(r rune) rune {
				if strings.ContainsRune(": ,", r) {
					return '-'
				}
				return r
			}, t.Name())
			if g.Revert(ctx, mainBranch, tip, branch, "x") == nil {
				return nil
			}
			return g.Revert(ctx, mainBranch, tip, branch, "x")
		},
	}
	for _, test := range tests {
		for use, try := range uses {
			if use == reverting && test.rule != "HEAD is gone" && test.rule != "the objects are rubbish" {
				continue // the same path, slowly
			}
			t.Run(test.rule+", "+use, func(t *testing.T) {
				g := f.mirrors()
				if err := g.Fetch(ctx, app); err != nil {
					t.Fatal(err)
				}
				test.harm(t, g)
				if err := try(g, t); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

func TestSoundMirrorIsKept(t *testing.T) {
	f := newForge(t)
	b := f.create(app)
	b.line("one")
	g := f.mirrors()
	ctx := deadline(t)
	if err := g.Fetch(ctx, app); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(mirrorDir(g))
	if err != nil {
		t.Fatal(err)
	}
	f.wrap(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		http.Error(w, "down", http.StatusBadGateway)
	})
	if err := g.Fetch(ctx, app); err == nil || fault.KindOf(err) != fault.Later {
		t.Errorf("while the forge is down: %v; want an error to try later", err)
	}
	// It answers questions, and breaks off every fetch.
	f.wrap(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if isFetch(t, r) {
			http.Error(w, "down", http.StatusBadGateway)
			return
		}
		next.ServeHTTP(w, r)
	})
	b.line("one", "two")
	if err := g.Fetch(ctx, app); err == nil || fault.KindOf(err) != fault.Later {
		t.Errorf("while fetches break: %v; want an error to try later", err)
	}
	f.wrap(nil)
	if err := g.Fetch(ctx, app); err != nil {
		t.Fatal(err)
	}
	if after, err := os.Stat(mirrorDir(g)); err != nil || !os.SameFile(before, after) {
		t.Errorf("the mirror was replaced, %v", err)
	}
}

func TestLeftLocksAreRemoved(t *testing.T) {
	f := newForge(t)
	b := f.create(app)
	b.line("one")
	first := f.mirrors()
	ctx := deadline(t)
	if err := first.Fetch(ctx, app); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"HEAD.lock", "packed-refs.lock", "config.lock", "refs/heads/main.lock", "refs/heads/new.lock", "shallow.lock"} {
		if err := os.WriteFile(filepath.Join(mirrorDir(first), name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	shas := b.line("one", "two")
	b.branch("new", shas[0])
	second := f.mirrors(func(c *Config) { c.Dir = first.config.Dir })
	_, before := f.seen()
	if err := second.Fetch(ctx, app); err != nil {
		t.Fatal(err)
	}
	if got, err := second.lookUp(ctx, mirrorDir(second), []string{"refs/heads/main", "refs/heads/new"}); err != nil || got[0] != shas[1] || got[1] != shas[0] {
		t.Errorf("the branches stand at %v, %v", got, err)
	}
	if _, after := f.seen(); after > before+2 {
		t.Errorf("%d fetches; the mirror need not be made anew", after-before)
	}
}

func TestRepointedAddressMakesTheMirrorAnew(t *testing.T) {
	old, moved := newForge(t), newForge(t)
	oldTip := old.create(app).line("one", "two")[1]
	movedTip := moved.create(app).line("another", "history")[1]
	address := old.url
	var mutex sync.Mutex
	g := old.mirrors(func(c *Config) {
		c.Remote = func(repo ref.RepoID) (Remote, error) {
			mutex.Lock()
			defer mutex.Unlock()
			if address == old.url {
				return Remote{URL: address + "/acme/app.git", Username: user, Token: token}, nil
			}
			return Remote{URL: address + "/acme/app.git", Username: user, Token: token + "-new"}, nil
		}
	})
	ctx := deadline(t)
	if err := g.Fetch(ctx, app); err != nil {
		t.Fatal(err)
	}
	mutex.Lock()
	address = moved.url
	mutex.Unlock()
	// The new forge does not know the new token, so everything it was shown
	// stands among what is strange to it.
	if _, err := g.FirstParent(ctx, app, "", oldTip); err == nil {
		t.Error("the old mirror was read under the new address")
	}
	moved.mutex.Lock()
	shown := len(moved.strange)
	moved.mutex.Unlock()
	if shown == 0 {
		t.Error("the new forge was not asked")
	}
	if requests, _ := moved.seen(); len(requests) == 0 {
		t.Error("the new forge was not asked")
	}
	g.config.Remote = func(ref.RepoID) (Remote, error) {
		return Remote{URL: moved.url + "/acme/app.git", Username: user, Token: token}, nil
	}
	if commits, err := g.FirstParent(ctx, app, "", movedTip); err != nil || len(commits) != 2 || commits[0].Subject != "another" {
		t.Errorf("got %v, %v", commits, err)
	}
	if _, err := g.Contains(ctx, app, oldTip, oldTip); err == nil {
		t.Error("the old history is still there")
	}
}

func TestConcurrentUse(t *testing.T) {
	f := newForge(t)
	b := f.create(app)
	shas := b.line("one", "two", "three")
	other := ref.RepoID{Owner: "acme", Name: "other"}
	f.create(other).line("x")
	g := f.mirrors()
	ctx := deadline(t)
	if err := g.Fetch(ctx, app); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	check := func(err error) {
		if err != nil {
			t.Error(err)
		}
	}
	for range 8 {
		group.Go(func() { check(g.Fetch(ctx, app)) })
		group.Go(func() { check(g.Fetch(ctx, other)) })
		group.Go(func() {
			commits, err := g.FirstParent(ctx, app, "", shas[2])
			if err == nil && len(commits) != 3 {
				err = errors.New("commits are missing")
			}
			check(err)
		})
		group.Go(func() { _, err := g.Export(ctx, app, shas[2], t.TempDir()); check(err) })
		group.Go(func() { check(g.Revert(ctx, mainBranch, shas[2], "revert", "x")) })
	}
	// Meanwhile the mirror turns out bad, and is replaced under their hands.
	if err := os.Remove(filepath.Join(mirrorDir(g), labelFile)); err != nil {
		t.Error(err)
	}
	group.Wait()
	if n := b.git("rev-list", "--count", "main..revert"); n != "1" {
		t.Errorf("the branch has %s commits of its own", n)
	}
}

func TestMirrorIsNotReplacedUnderAReader(t *testing.T) {
	f := newForge(t)
	f.create(app).line("one")
	g := f.mirrors()
	if err := g.Fetch(deadline(t), app); err != nil {
		t.Fatal(err)
	}
	err := g.read(deadline(t), app, nil, func(dir string) error {
		before, err := os.Stat(dir)
		if err != nil {
			return err
		}
		if err := os.Remove(filepath.Join(dir, labelFile)); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if err := g.Fetch(ctx, app); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v; want it to wait for the reader", err)
		}
		if after, err := os.Stat(dir); err != nil || !os.SameFile(before, after) {
			t.Errorf("the mirror was replaced, %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Fetch(deadline(t), app); err != nil {
		t.Error(err)
	}
}

func TestWaitersShareOneFetch(t *testing.T) {
	f := newForge(t)
	f.create(app).line("one")
	g := f.mirrors()
	ctx := deadline(t)
	if err := g.Fetch(ctx, app); err != nil {
		t.Fatal(err)
	}
	m, err := g.mirror(app)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		rule  string
		begun time.Time // another's fetch, finished while we waited for the lock
		asks  bool
	}{
		{"a fetch that began before I asked may have missed what I ask for", time.Now(), true},
		{"a fetch that began after I asked is mine too", time.Now().Add(time.Hour), false},
	} {
		t.Run(test.rule, func(t *testing.T) {
			m.fetched = test.begun
			before, _ := f.seen()
			if err := g.Fetch(ctx, app); err != nil {
				t.Fatal(err)
			}
			if after, _ := f.seen(); (len(after) > len(before)) != test.asks {
				t.Errorf("%d requests", len(after)-len(before))
			}
		})
	}
}

func TestNobodyWaitsForEverForTheLock(t *testing.T) {
	f := newForge(t)
	g := f.mirrors()
	m, err := g.mirror(app)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.writing.Acquire(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := g.Fetch(ctx, app); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v; want the end of the context", err)
	}
}
