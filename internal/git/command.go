package git

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"slipway/internal/fault"
)

// killDelay is what a git that was told to end gets to remove its lock files.
const killDelay = 3 * time.Second

// command is one run of git.
type command struct {
	args   []string
	dir    string // the repository; "" for none
	stdin  string
	env    []string
	remote *Remote                 // set if it uses the network
	stream func(r io.Reader) error // takes the output instead of run
}

// failure is a git that ended with an error of its own.
type failure struct {
	verb  string
	exit  int // -1 if it was killed
	words string
	out   []byte
}

// Error gives what git said.
func (f *failure) Error() string {
	if f.words == "" {
		return fmt.Sprintf("git %s ended with %d", f.verb, f.exit)
	}
	return fmt.Sprintf("git %s: %s", f.verb, f.words)
}

var errTooMuch = errors.New("the answer is too long")

// run runs git and returns its output. What git itself refuses is a *failure,
// sorted by package fault when the network was used.
func (g *Mirrors) run(ctx context.Context, c command) ([]byte, error) {
	limit := g.limits.local
	if c.remote != nil {
		limit = g.config.Timeout
	}
	timed, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(timed, g.config.Command, c.args...) //nolint:gosec // the configured git; the callers check each argument
	cmd.Env = g.environment(c)
	cmd.Dir = g.home
	cmd.Stdin = strings.NewReader(c.stdin)
	out := &limited{rest: g.limits.output}
	words := &tail{limit: 16 << 10}
	cmd.Stdout, cmd.Stderr = out, words
	cmd.WaitDelay = killDelay
	ownGroup(cmd)

	var err error
	if c.stream != nil {
		err = stream(cmd, cancel, c.stream)
	} else {
		err = cmd.Run()
	}
	if cmd.Process != nil && timed.Err() != nil {
		endGroup(cmd) // whoever did not obey
	}
	switch exit := (*exec.ExitError)(nil); {
	case err == nil:
		return out.buffer.Bytes(), nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("git %s: %w", c.args[0], ctx.Err())
	case out.over:
		return nil, fault.AsPermanent(fmt.Errorf("git %s: %w: over %d bytes", c.args[0], errTooMuch, g.limits.output))
	case c.stream != nil && !errors.As(err, &exit):
		return nil, err
	case timed.Err() != nil:
		return nil, fmt.Errorf("git %s took longer than %s", c.args[0], limit)
	case errors.As(err, &exit):
		f := &failure{verb: c.args[0], exit: exit.ExitCode(), words: told(words.String(), c.remote), out: out.buffer.Bytes()}
		return nil, sorted(f, c.remote)
	default:
		return nil, fmt.Errorf("git %s: %w", c.args[0], err)
	}
}

// stream hands the output on while git runs, and ends git when nobody wants
// more of it. The reader's error goes before git's.
func stream(cmd *exec.Cmd, cancel func(), read func(io.Reader) error) error {
	cmd.Stdout = nil
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	readErr := read(pipe)
	if readErr != nil {
		cancel()
	}
	_, _ = io.Copy(io.Discard, pipe) // ends when git does
	waitErr := cmd.Wait()
	// A tree cut short by a dying git is git's fault, not the tree's.
	if readErr == nil || errors.Is(readErr, io.ErrUnexpectedEOF) && waitErr != nil {
		return waitErr
	}
	return readErr
}

// environment is everything that git sees: no configuration but ours, no
// hooks, no helper, no question asked, and one protocol at most.
func (g *Mirrors) environment(c command) []string {
	env := []string{
		"PATH=" + strings.Join([]string{filepath.Dir(g.config.Command), "/usr/local/bin", "/usr/bin", "/bin"}, string(os.PathListSeparator)),
		"HOME=" + g.home,
		"XDG_CONFIG_HOME=" + g.home,
		"GIT_CONFIG_NOSYSTEM=1",
		"GIT_CONFIG_GLOBAL=" + os.DevNull,
		"GIT_ATTR_NOSYSTEM=1",
		"GIT_TERMINAL_PROMPT=0",
		"GIT_NO_REPLACE_OBJECTS=1",
		"GIT_CEILING_DIRECTORIES=" + g.config.Dir,
		"LC_ALL=C",
		"TZ=UTC",
	}
	settings := [][2]string{
		{"core.hooksPath", os.DevNull},
		{"core.attributesFile", os.DevNull},
		{"attr.tree", ""}, // newer gits take attributes from a bare repository's HEAD
		{"core.fsmonitor", "false"},
		{"credential.helper", ""},
		{"transfer.fsckObjects", "true"},
		{"gc.autoDetach", "false"},
		{"maintenance.autoDetach", "false"},
		{"http.followRedirects", "false"}, // a redirect would take the header along
		{"http.lowSpeedLimit", "1"},       // a connection that stands still for a minute is given up
		{"http.lowSpeedTime", "60"},
	}
	protocol := "none"
	if r := c.remote; r != nil {
		protocol, _, _ = strings.Cut(r.URL, ":")
		if r.Token != "" {
			settings = append(settings, [2]string{"http." + site(r.URL) + ".extraHeader", "Authorization: Basic " + basic(r)})
		}
	}
	env = append(env, "GIT_ALLOW_PROTOCOL="+protocol, "GIT_CONFIG_COUNT="+strconv.Itoa(len(settings)))
	for i, s := range settings {
		n := strconv.Itoa(i)
		env = append(env, "GIT_CONFIG_KEY_"+n+"="+s[0], "GIT_CONFIG_VALUE_"+n+"="+s[1])
	}
	if c.dir != "" {
		env = append(env, "GIT_DIR="+c.dir)
	}
	return append(env, c.env...)
}

// site is the part of an address that a credential is for.
func site(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	return u.Scheme + "://" + u.Host + "/"
}

func basic(r *Remote) string {
	return base64.StdEncoding.EncodeToString([]byte(r.Username + ":" + r.Token))
}

// told is what git said that a person wants to know, without secrets.
func told(words string, r *Remote) string {
	if r != nil && r.Token != "" {
		words = strings.NewReplacer(r.Token, "[redacted]", basic(r), "[redacted]", url.QueryEscape(r.Token), "[redacted]").Replace(words)
	}
	var said []string
	for line := range strings.Lines(strings.ToValidUTF8(words, "\uFFFD")) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "hint:") {
			continue
		}
		if len(line) > 400 {
			line = strings.ToValidUTF8(line[:400], "") + "…"
		}
		said = append(said, line)
	}
	if len(said) > 8 {
		said = said[len(said)-8:]
	}
	return strings.Join(said, "; ")
}

// sorted says what to do about a failure. Only a use of the network can be
// final: git's own words tell (remote-curl.c, http.c), for it has no codes.
func sorted(f *failure, r *Remote) error {
	if r == nil {
		return f
	}
	has := func(parts ...string) bool {
		for _, p := range parts {
			if strings.Contains(f.words, p) {
				return true
			}
		}
		return false
	}
	mend := ""
	switch {
	case has("returned error: 401", "returned error: 403", "Authentication failed", "could not read Username", "could not read Password"):
		mend = "the forge does not let " + who(r) + " do this: renew the token, or give the account its right to the repository"
	case has("returned error: 404", "' not found", "does not appear to be a git repository"):
		mend = "there is no such repository for " + who(r) + ": correct its address, or give the account the right to see it"
	case has("returned error: 301", "returned error: 302", "returned error: 303", "returned error: 307", "returned error: 308"):
		mend = "the forge points elsewhere, and the token is not taken there: write the new address into the configuration"
	case has("fsck error"):
		mend = "the repository holds an object that git finds unsafe"
	default:
		return f
	}
	return fault.AsPermanent(fmt.Errorf("%s: %w", mend, f))
}

func who(r *Remote) string {
	if r.Token == "" {
		return "an unknown user"
	}
	return fmt.Sprintf("%q", r.Username)
}

// limited keeps what is written and refuses more than its limit.
type limited struct {
	buffer bytes.Buffer
	rest   int64
	over   bool
}

func (l *limited) Write(p []byte) (int, error) {
	if int64(len(p)) > l.rest {
		l.over = true
		return 0, errTooMuch
	}
	l.rest -= int64(len(p))
	return l.buffer.Write(p)
}

// tail keeps the end of what is written.
type tail struct {
	text  []byte
	limit int
}

func (t *tail) Write(p []byte) (int, error) {
	t.text = append(t.text, p...)
	if over := len(t.text) - t.limit; over > 0 {
		t.text = append(t.text[:0], t.text[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string { return string(t.text) }
