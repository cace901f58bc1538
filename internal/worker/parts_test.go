//go:build unix

package worker

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"slipway/dispatcher"
	"slipway/internal/fault"
	"slipway/internal/ref"
	"slipway/pools"
)

func TestParseStatus(t *testing.T) {
	const oid = "1111111111111111111111111111111111111111"
	entry := func(parts ...string) string { return strings.Join(parts, "\x00") + "\x00" }
	for _, c := range []struct {
		rule string
		text string
		head ref.SHA
		left []string
	}{
		{"clean", entry("# branch.oid "+oid, "# branch.head work/1"), oid, nil},
		{"no commit at all", entry("# branch.oid (initial)", "# branch.head x"), "", nil},
		{"changed, added, untracked, in conflict, renamed", entry("# branch.oid "+oid,
			"1 .M N... 100644 100644 100644 "+oid+" "+oid+" a b.txt",
			"2 R. N... 100644 100644 100644 "+oid+" "+oid+" R100 new", "old",
			"u UU N... 100644 100644 100644 100644 "+oid+" "+oid+" "+oid+" both",
			"? dir/"), oid, []string{"a b.txt", "new", "both", "dir/"}},
		{"what is ignored is not left", entry("# branch.oid "+oid, "! bin/"), oid, nil},
	} {
		t.Run(c.rule, func(t *testing.T) {
			head, left, err := parseStatus([]byte(c.text))
			if err != nil || head != c.head || !slices.Equal(left, c.left) {
				t.Errorf("got %q, %q, %v", head, left, err)
			}
		})
	}
	if _, _, err := parseStatus([]byte("# branch.oid deadbeef\x00")); err == nil {
		t.Error("an id that is none passes")
	}
}

func TestMask(t *testing.T) {
	const secret = "tok/+=5f2c9e71"
	w := &Worker{Config: Config{Address: pools.Address{Role: "builder", Tier: "lite"}, Secrets: func() []string { return []string{secret, "", "abc"} }}}
	for _, form := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret)), base64.StdEncoding.EncodeToString([]byte("builder-lite-0:" + secret)), "tok%2F%2B%3D5f2c9e71"} {
		if got := w.mask("it is " + form + ", abc"); got != "it is [redacted], abc" {
			t.Errorf("%s becomes %s", form, got)
		}
	}
	// One that lies across the place where the output was cut is not shown in part.
	for _, over := range []int{0, 1, len(secret) / 2, len(secret) - 1, len(secret)} {
		out := &tail{}
		_, _ = out.Write([]byte(secret))
		_, _ = out.Write([]byte(strings.Repeat("x", outputLimit+secretLimit-len(secret)+over)))
		if got := w.printed(out); strings.Contains(got, secret[len(secret)-4:]) || len(got) > outputLimit {
			t.Errorf("cut by %d it shows %.40s", over, got)
		}
	}
	out := &tail{}
	_, _ = out.Write([]byte("\x1b[31mred\x1b[0m\a\r\n\xff"))
	if got := w.printed(out); got != "[31mred[0m\n\uFFFD" {
		t.Errorf("it shows %q", got)
	}
}

func TestTheRoomIsForOne(t *testing.T) {
	dir := t.TempDir()
	first, err := OpenRoom(dir, lite0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenRoom(dir, lite0); !errors.Is(err, ErrTaken) {
		t.Errorf("a second worker gets in: %v", err)
	}
	other, err := OpenRoom(dir, pools.Address{Role: "builder", Tier: "lite", Replica: 1})
	if err != nil {
		t.Errorf("another coordinate does not: %v", err)
	} else {
		other.Close()
	}
	// What a worker left that was killed, with a folder as module caches are.
	b, err := first.bench("attempt-1")
	if err != nil {
		t.Fatal(err)
	}
	deep := filepath.Join(b.tree(), "cache", "deep")
	if err := os.MkdirAll(deep, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(deep, "file"), nil, 0o400); err != nil {
		t.Fatal(err)
	}
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(deep, "link")); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{deep, filepath.Dir(deep)} {
		if err := os.Chmod(d, 0o500); err != nil { //nolint:gosec // the owner may not write
			t.Fatal(err)
		}
	}
	first.Close()
	again, err := OpenRoom(dir, lite0)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if left, err := os.ReadDir(filepath.Join(again.Dir(), "attempts")); err != nil || len(left) > 0 {
		t.Errorf("it leaves %v, %v", left, err)
	}
	if _, err := os.Stat(outside); err != nil {
		t.Errorf("it removed what a link led to: %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	good := Config{Address: lite0, Room: &Room{}, Command: []string{"sh"}, Supervisor: []string{"x"}, Desk: newMemory(t, time.Second),
		Git: noGit{}, Forge: noForge{}, Identity: func(context.Context) (string, string, error) { return "", "", nil }}
	if _, err := New(good); err != nil {
		t.Fatal(err)
	}
	for rule, change := range map[string]func(*Config){
		"no coordinate":               func(c *Config) { c.Address = pools.Address{} },
		"no command":                  func(c *Config) { c.Command = nil },
		"a command that is not there": func(c *Config) { c.Command = []string{"no-such-command-anywhere"} },
		"no server":                   func(c *Config) { c.Desk = nil },
		"no supervisor":               func(c *Config) { c.Supervisor = nil },
		"a variable of the worker's":  func(c *Config) { c.Environ = []string{"SLIPWAY_TOKEN=x"} },
		"a variable without a value":  func(c *Config) { c.Environ = []string{"PATH"} },
	} {
		c := good
		change(&c)
		if _, err := New(c); err == nil {
			t.Errorf("%s passes", rule)
		}
	}
}

// noGit and noForge are there to be handed in.
type (
	noGit   struct{ Git }
	noForge struct{ Forge }
)

// hasty is a server that gives nothing and does not wait, and has enough after
// so many claims.
type hasty struct {
	Desk
	calls, most int
	enough      func()
}

func (h *hasty) Claim(context.Context, dispatcher.ClaimRequest) (*dispatcher.Grant, error) {
	if h.calls++; h.calls >= h.most {
		h.enough()
	}
	return nil, nil
}

func TestClaim(t *testing.T) {
	w := &Worker{Config: Config{Address: lite0, Secrets: func() []string { return nil }, Tell: func(Event) {}},
		pace: pace{second: time.Millisecond, poll: 1, first: time.Millisecond, most: 4 * time.Millisecond, call: time.Second}}
	t.Run("what is of no use is not tried again", func(t *testing.T) {
		d := newMemory(t, time.Second)
		d.away = fault.AsPermanent(errors.New("the credential was revoked"))
		w.Desk = d
		if err := w.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "revoked") || len(d.calls) != 1 {
			t.Errorf("after %v: %v", d.calls, err)
		}
	})
	t.Run("a claim says as whom it is made", func(t *testing.T) {
		d := newMemory(t, time.Second)
		d.away = fmt.Errorf("403: %w", dispatcher.ErrForeign)
		w.Desk = d
		if err := w.Run(t.Context()); !errors.Is(err, dispatcher.ErrForeign) || len(d.calls) != 1 || d.asked.Builder != lite0 {
			t.Errorf("after %v, as %s: %v", d.calls, d.asked.Builder, err)
		}
	})
	t.Run("work of another coordinate is handed back at no cost, and no more is asked for", func(t *testing.T) {
		d, other := newMemory(t, time.Minute), lite0
		other.Replica++
		d.offered = []*dispatcher.Grant{{Attempt: 1, Token: 7, Builder: other}, {Attempt: 2, Token: 8, Builder: other}}
		stray := *w
		stray.Desk, stray.pace.poll, stray.pace.settle = d, 50, time.Second
		err := stray.Run(t.Context())
		if !errors.Is(err, dispatcher.ErrForeign) || !strings.Contains(err.Error(), "start the worker --as builder-lite-1, or give it the credential of builder-lite-0") {
			t.Errorf("it ends with %v", err)
		}
		if h := d.attempt(1); h.failed == nil || !h.failed.Returned || h.failed.Final || h.failed.Token != 7 || len(d.offered) != 1 {
			t.Errorf("it ended as %+v, and there are %d more", h.failed, len(d.offered))
		}
	})
	t.Run("an idle worker that is told to stop has done well", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		w.Desk = newMemory(t, time.Second)
		cancel()
		if err := w.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Run("what is given nothing at once pauses, and says why", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		d := &hasty{most: 3, enough: cancel}
		slow := *w
		slow.Desk, slow.pace.second, slow.pace.poll, slow.pace.first, slow.pace.most = d, time.Second, 50, time.Hour, time.Hour
		var said string
		slow.Tell = func(e Event) { said = e.Reason; cancel() }
		if err := slow.Run(ctx); err != nil || d.calls != 1 || !strings.Contains(said, "another worker") {
			t.Errorf("after %d claims it says %q, %v", d.calls, said, err)
		}
	})
	t.Run("what the server asks for is kept to", func(t *testing.T) {
		at := time.Now().Add(time.Minute)
		if got := w.pause(0, fault.NotBefore(errors.New("429"), at)); got < 55*time.Second || got > time.Minute {
			t.Errorf("it waits %s", got)
		}
		if got := w.pause(0, fault.NotBefore(errors.New("429"), at.Add(time.Hour))); got > longestHold {
			t.Errorf("it waits %s", got)
		}
	})
	t.Run("pauses grow to a bound and differ", func(t *testing.T) {
		seen := map[time.Duration]bool{}
		for tries := range 30 {
			got := w.pause(tries, errors.New("away"))
			seen[got] = true
			if bound := min(time.Millisecond<<min(tries, 10), w.pace.most); got < bound/2 || got > bound {
				t.Errorf("pause %d is %s", tries, got)
			}
		}
		if len(seen) < 5 {
			t.Errorf("they are %v", seen)
		}
	})
}

func TestWhatIsDoneIsCompletedAlsoByAWorkerThatIsToldToStop(t *testing.T) {
	d := newMemory(t, time.Minute)
	g := &dispatcher.Grant{Attempt: 1, Token: 7, Builder: lite0}
	d.live[1] = &held{grant: g, until: time.Now().Add(time.Minute), registered: []dispatcher.Registration{{}}}
	w := &Worker{Config: Config{Address: lite0, Desk: d, Secrets: func() []string { return nil }, Tell: func(Event) {}},
		pace: pace{second: time.Second, call: time.Second, settle: time.Second}}
	a := w.attempt(g, time.Now())
	a.whole = true
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := a.conclude(ctx, ctx.Err(), context.Cause(ctx)); got != ended || d.attempt(1).completed == nil {
		t.Errorf("it ended as %d: %+v", got, d.attempt(1))
	}
}

func TestTheGrantMustBeOnesOwn(t *testing.T) {
	pull, head := ref.PullID{Repo: app, Number: 3}, ref.SHA(strings.Repeat("a", 40))
	good := dispatcher.Grant{Item: 17, Builder: lite0, Kind: dispatcher.Build, Branch: "work/17-builder-lite-0", Base: "main"}
	review := dispatcher.Grant{Item: 17, Builder: lite0, Kind: dispatcher.Review, Pull: pull, Head: head}
	for _, c := range []struct {
		rule string
		ok   bool
		g    dispatcher.Grant
		make func(*dispatcher.Grant)
	}{
		{"a build", true, good, func(*dispatcher.Grant) {}},
		{"a review", true, review, func(*dispatcher.Grant) {}},
		{"for another coordinate", false, good, func(g *dispatcher.Grant) { g.Builder.Replica = 1 }},
		{"to the base branch", false, good, func(g *dispatcher.Grant) { g.Branch = "main" }},
		{"to another's branch", false, good, func(g *dispatcher.Grant) { g.Branch = "work/17-builder-lite-1" }},
		{"without a base", false, good, func(g *dispatcher.Grant) { g.Base = "" }},
		{"a review of nothing", false, review, func(g *dispatcher.Grant) { g.Pull = ref.PullID{} }},
		{"a review of no head", false, review, func(g *dispatcher.Grant) { g.Head = "" }},
	} {
		c.make(&c.g)
		a := (&Worker{Config: Config{Address: lite0}}).attempt(&c.g, time.Now())
		if err := a.plausible(); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.rule, err)
		}
	}
}

func TestParseReview(t *testing.T) {
	for _, c := range []struct {
		rule string
		text string
		want opinion
		says string
	}{
		{"an approval needs no words", `{"verdict":"approved"}`, opinion{Verdict: "approved"}, ""},
		{"a no with its reason", `{"verdict":"changes_requested","body":" It lacks\n a test. "}`, opinion{"changes_requested", "It lacks\n a test."}, ""},
		{"none", "", opinion{}, "wrote none"},
		{"no JSON", "looks good", opinion{}, "not the JSON"},
		{"no verdict", `{"body":"fine"}`, opinion{}, `verdict "" is none of`},
		{"a verdict that nobody gives", `{"verdict":"dismissed","body":"x"}`, opinion{}, `"dismissed" is none of`},
		{"a no without a reason", `{"verdict":"changes_requested","body":" "}`, opinion{}, "not why"},
		{"a comment without words", `{"verdict":"commented"}`, opinion{}, "not why"},
		{"one that is too long", `{"verdict":"approved","body":"` + strings.Repeat("x", bodyLimit+1) + `"}`, opinion{}, "longer than"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			got, err := parseReview([]byte(c.text))
			if got != c.want || (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

func TestRead(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	if err := errors.Join(
		os.WriteFile(path("file"), []byte("12345"), 0o600),
		os.Symlink("file", path("link")), os.Symlink("/dev/zero", path("endless")),
		os.Mkdir(path("folder"), 0o700), syscall.Mkfifo(path("pipe"), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		limit int64
		want  string
		ok    bool
	}{
		{"file", 5, "12345", true}, {"none", 5, "", true}, {"file", 4, "", false},
		{"link", 5, "", false}, {"endless", 5, "", false}, {"folder", 5, "", false}, {"pipe", 5, "", false},
	} {
		if got, err := read(path(c.name), c.limit); string(got) != c.want || (err == nil) != c.ok {
			t.Errorf("%s up to %d: %q, %v", c.name, c.limit, got, err)
		}
	}
}
