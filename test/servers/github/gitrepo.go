package github

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// signature is who made a commit, and when.
type signature struct {
	Name  string
	Email string
	When  time.Time
}

// commit is one git commit.
type commit struct {
	sha       string
	tree      string
	parents   []string
	author    signature
	committer signature
	message   string
}

// changed is one file of a difference.
type changed struct {
	path, previous string
	status         string // added, removed, modified, renamed
	blob           string
	added, deleted int
}

// run runs git in the repository and returns its output as it is. What git once
// said of commits by their ids it says for ever, and is not asked again.
func (s *Server) run(r *repository, stdin string, env []string, args ...string) (string, error) {
	if !settled(args) {
		return s.exec(r, stdin, env, args...)
	}
	question := strings.Join(args, "\x00")
	if said, found := r.said.Load(question); found {
		return said.(string), nil
	}
	out, err := s.exec(r, stdin, env, args...)
	if err == nil {
		r.said.Store(question, out)
	}
	return out, err
}

var fixedRevision = regexp.MustCompile(`^[0-9a-f]{40}((\.\.\.?)[0-9a-f]{40}|\^\{commit\})?$`)

// settled says whether a question is about objects by their full ids alone: its
// answer, if there is one, cannot change.
func settled(args []string) bool {
	if !slices.Contains([]string{"cat-file", "diff-tree", "log", "merge-base", "rev-list", "rev-parse"}, args[0]) {
		return false
	}
	named := 0
	for _, arg := range args[1:] {
		switch {
		case fixedRevision.MatchString(arg):
			named++
		case !strings.HasPrefix(arg, "-") && !slices.Contains([]string{"blob", "tag"}, arg):
			return false
		}
	}
	return named > 0
}

// exec runs git.
func (s *Server) exec(r *repository, stdin string, env []string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), callLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.git, append([]string{"--git-dir=" + r.dir}, args...)...) //nolint:gosec // git, on repositories of a test
	cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + s.config.Dir, "GIT_CONFIG_NOSYSTEM=1", "LANG=C.UTF-8",
	}, env...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("git %s: %w: %s", args[0], err, strings.TrimSpace(complaints.String()))
	}
	return out.String(), nil
}

// ask is run with the output trimmed, "" when git refuses.
func (s *Server) ask(r *repository, args ...string) string {
	out, err := s.run(r, "", nil, args...)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(out)
}

func (s *Server) initRepository(r *repository) error {
	if err := os.MkdirAll(filepath.Dir(r.dir), 0o700); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"init", "--quiet", "--bare", "--initial-branch=main"},
		{"config", "http.receivepack", "true"},
		{"config", "uploadpack.allowFilter", "true"},
		{"config", "uploadpack.allowAnySHA1InWant", "true"},
	} {
		if args[0] == "init" {
			args = append(args, r.dir)
		}
		if _, err := s.run(r, "", nil, args...); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(r.dir, "hooks", "update"), []byte(updateHook), 0o700) //nolint:gosec // git runs it
}

// updateHook refuses a push to a protected branch.
const updateHook = `#!/bin/sh
if grep -qxF "$1" "$GIT_DIR/protected-refs" 2>/dev/null; then
  echo "error: GH006: Protected branch update failed for $1." >&2
  exit 1
fi
`

// resolve is the full id of a commit, branch or tag; "" when there is none.
func (s *Server) resolve(r *repository, name string) string {
	if name == "" || strings.HasPrefix(name, "-") {
		return ""
	}
	candidates := []string{"refs/heads/" + name, "refs/tags/" + name, name}
	if fixedRevision.MatchString(name) {
		slices.Reverse(candidates) // nobody names a branch like a commit
	}
	for _, candidate := range candidates {
		if sha := s.ask(r, "rev-parse", "--verify", "--quiet", "--end-of-options", candidate+"^{commit}"); sha != "" {
			return sha
		}
	}
	return ""
}

// tip is what a full ref names, tag objects included; "" when there is none.
func (s *Server) tip(r *repository, ref string) string {
	return s.ask(r, "rev-parse", "--verify", "--quiet", "--end-of-options", ref)
}

// refs maps the full refs to what they name.
func (s *Server) refs(r *repository) map[string]string {
	all := map[string]string{}
	for line := range strings.Lines(s.ask(r, "for-each-ref", "--format=%(refname) %(objectname)")) {
		if name, sha, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			all[name] = sha
		}
	}
	return all
}

// log lists commits as git's revision arguments say.
func (s *Server) log(r *repository, args ...string) ([]commit, error) {
	out, err := s.run(r, "", nil, append([]string{"log", "-z",
		"--format=%H%x01%T%x01%P%x01%an%x01%ae%x01%at%x01%cn%x01%ce%x01%ct%x01%B"}, args...)...)
	if err != nil {
		return nil, err
	}
	var list []commit
	for _, record := range strings.Split(out, "\x00") {
		f := strings.SplitN(record, "\x01", 10)
		if len(f) < 10 {
			continue
		}
		list = append(list, commit{
			sha: f[0], tree: f[1], parents: strings.Fields(f[2]),
			author: signature{f[3], f[4], moment(f[5])}, committer: signature{f[6], f[7], moment(f[8])},
			message: strings.TrimRight(f[9], "\n"),
		})
	}
	return list, nil
}

// commit is one commit; found is false when there is none.
func (s *Server) commit(r *repository, sha string) (c commit, found bool) {
	list, err := s.log(r, "-1", sha)
	if err != nil || len(list) == 0 {
		return commit{}, false
	}
	return list[0], true
}

// diff lists the files that differ between two commits, renames found.
func (s *Server) diff(r *repository, from, to string) ([]changed, error) {
	out, err := s.run(r, "", nil, "diff-tree", "-r", "-z", "-M", "--raw", "--numstat", from, to)
	if err != nil {
		return nil, err
	}
	words := map[byte]string{'A': "added", 'D': "removed", 'M': "modified", 'R': "renamed", 'T': "changed"}
	var files []changed
	fields := strings.Split(out, "\x00")
	next := func() string {
		if len(fields) == 0 {
			return ""
		}
		first := fields[0]
		fields = fields[1:]
		return first
	}
	for counted := 0; len(fields) > 0; {
		field := next()
		switch {
		case strings.HasPrefix(field, ":"):
			parts := strings.Fields(field)
			one := changed{blob: parts[3], status: words[parts[4][0]], path: next()}
			if one.status == "renamed" {
				one.previous, one.path = one.path, next()
			}
			files = append(files, one)
		case strings.Contains(field, "\t"):
			parts := strings.SplitN(field, "\t", 3)
			files[counted].added, _ = strconv.Atoi(parts[0])
			files[counted].deleted, _ = strconv.Atoi(parts[1])
			if parts[2] == "" { // a rename: both paths follow
				next()
				next()
			}
			counted++
		}
	}
	return files, nil
}

// write makes a commit of a tree.
func (s *Server) write(r *repository, tree, message string, author, committer signature, parents ...string) (string, error) {
	args := []string{"commit-tree", tree, "-F", "-"}
	for _, p := range parents {
		args = append(args, "-p", p)
	}
	env := []string{
		"GIT_AUTHOR_NAME=" + author.Name, "GIT_AUTHOR_EMAIL=" + author.Email, "GIT_AUTHOR_DATE=" + stamp(author.When),
		"GIT_COMMITTER_NAME=" + committer.Name, "GIT_COMMITTER_EMAIL=" + committer.Email, "GIT_COMMITTER_DATE=" + stamp(committer.When),
	}
	out, err := s.run(r, message, env, args...)
	return strings.TrimSpace(out), err
}

// mergeTree merges two commits and gives the tree; clean is false on a conflict.
func (s *Server) mergeTree(r *repository, ours, theirs string) (tree string, clean bool) {
	out, err := s.run(r, "", nil, "merge-tree", "--write-tree", ours, theirs)
	if err != nil {
		return "", false
	}
	return strings.TrimSpace(out), true
}

// move moves a ref if it still is at old ("" for: it is not there).
func (s *Server) move(r *repository, ref, to, old string) error {
	if old == "" {
		old = strings.Repeat("0", 40)
	}
	_, err := s.run(r, "", nil, "update-ref", ref, to, old)
	return err
}

func moment(seconds string) time.Time {
	n, _ := strconv.ParseInt(seconds, 10, 64) // git's own digits
	return time.Unix(n, 0).UTC()
}

func stamp(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) + " +0000" }
