package git

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"slipway/internal/fault"
	"slipway/internal/ref"
)

// noteRef is where the notes are: git shows them with
// git log --notes=slipway, once they were fetched.
const noteRef = "refs/notes/slipway"

// Limits of notes.
const (
	longestNote = 256 << 10 // bytes
	noteTries   = 5         // when others keep adding notes meanwhile
)

// errNoteRace says that somebody else's note came first.
var errNoteRace = errors.New("the notes moved on at the forge")

// Note attaches a text to a commit, under refs/notes/slipway, and pushes it
// without force. The same text there already is success; another one is
// fault.Permanent.
func (g *Mirrors) Note(ctx context.Context, repo ref.RepoID, commit ref.SHA, text string) error {
	m, err := g.mirror(repo)
	if err == nil {
		err = checkSHAs(commit)
	}
	if err == nil && (text == "" || len(text) > longestNote) {
		err = fault.AsPermanent(fmt.Errorf("a note must have 1 to %d bytes, not %d", longestNote, len(text)))
	}
	if err == nil {
		_, err = g.bring(ctx, m, commit)
	}
	if err == nil {
		err = g.note(ctx, m, commit, text)
	}
	return wrap(err, "%s: note on %s", repo, commit.Short())
}

func (g *Mirrors) note(ctx context.Context, m *mirror, commit ref.SHA, text string) error {
	if err := m.writing.Acquire(ctx, 1); err != nil {
		return err
	}
	defer m.writing.Release(1)
	who, err := g.author(ctx, m.repo)
	if err != nil {
		return err
	}
	found, err := g.lookUp(ctx, m.path, []string{string(commit)})
	if err != nil {
		return g.doubt(err, m)
	}
	if found[0] != commit {
		return fmt.Errorf("%s %w %s", m.repo, errMissing, commit)
	}
	out, err := g.run(ctx, command{args: []string{"hash-object", "-w", "--stdin"}, dir: m.path, stdin: text})
	if err != nil {
		return g.doubt(err, m)
	}
	blob := strings.TrimSpace(string(out))
	for range noteTries {
		if err = g.noteOnce(ctx, m, who, commit, blob); !errors.Is(err, errNoteRace) {
			return err
		}
	}
	return err
}

// noteOnce reads the notes as they stand at the forge, adds one and pushes.
func (g *Mirrors) noteOnce(ctx context.Context, m *mirror, who author, commit ref.SHA, blob string) error {
	remote, err := g.remote(m.repo)
	if err != nil {
		return err
	}
	// A pattern, because a plain name that is not there would be an error.
	_, err = g.run(ctx, command{
		args: []string{"fetch", "--quiet", "--force", "--prune", "--no-tags", "--no-write-fetch-head",
			"--end-of-options", remote.URL, "+" + noteRef + "*:" + noteRef + "*"},
		dir:    m.path,
		remote: &remote,
	})
	if err != nil {
		m.opened = false
		return err
	}
	there, err := g.noted(ctx, m, commit)
	switch {
	case err != nil:
		return g.doubt(err, m)
	case there == blob:
		return nil
	case there != "":
		return fault.AsPermanent(errors.New("another note is there already"))
	}
	now := strconv.FormatInt(time.Now().Unix(), 10) + " +0000"
	_, err = g.run(ctx, command{
		args: []string{"notes", "--ref=" + noteRef, "add", "-C", blob, string(commit)},
		dir:  m.path,
		env: []string{
			"GIT_AUTHOR_NAME=" + who.name, "GIT_AUTHOR_EMAIL=" + who.email, "GIT_AUTHOR_DATE=" + now,
			"GIT_COMMITTER_NAME=" + who.name, "GIT_COMMITTER_EMAIL=" + who.email, "GIT_COMMITTER_DATE=" + now,
		},
	})
	if err != nil {
		return g.doubt(err, m)
	}
	return g.pushNote(ctx, m, remote)
}

// noted is the blob of a commit's note, "" if it has none.
func (g *Mirrors) noted(ctx context.Context, m *mirror, commit ref.SHA) (string, error) {
	out, err := g.run(ctx, command{args: []string{"notes", "--ref=" + noteRef, "list", string(commit)}, dir: m.path})
	if f := (*failure)(nil); errors.As(err, &f) && f.exit == 1 {
		return "", nil
	}
	return strings.TrimSpace(string(out)), err
}

func (g *Mirrors) pushNote(ctx context.Context, m *mirror, remote Remote) error {
	_, err := g.run(ctx, command{
		args: []string{"push", "--porcelain", "--no-verify", "--end-of-options", remote.URL, noteRef + ":" + noteRef},
		dir:  m.path, remote: &remote,
	})
	f := (*failure)(nil)
	if !errors.As(err, &f) || fault.KindOf(err) == fault.Permanent {
		return err
	}
	// A line per branch: flag, what to where, how it went.
	for line := range strings.Lines(string(f.out)) {
		parts := strings.Split(strings.TrimSpace(line), "\t")
		switch {
		case parts[0] != "!":
		case strings.Contains(line, "[rejected]"), moved(line):
			return fmt.Errorf("%w: %w", errNoteRace, err)
		case strings.Contains(line, "[remote rejected]"):
			return fault.AsPermanent(fmt.Errorf("the forge refuses %s: %s: %w", noteRef, told(parts[len(parts)-1], &remote), err))
		}
	}
	return err
}

// moved knows git's words for a ref that another push took in the meantime
// (refs/files-backend.c, builtin/receive-pack.c).
func moved(line string) bool {
	for _, words := range []string{"failed to update ref", "cannot lock ref", "reference already exists", "incorrect old value"} {
		if strings.Contains(line, words) {
			return true
		}
	}
	return false
}
