package github

import (
	"net/http"
	"net/http/cgi" //nolint:gosec // the fault was mended in Go 1.6.3
	"slices"
	"strings"
)

// serveGit lets git fetch and push, with a token as the password.
func (s *Server) serveGit(w http.ResponseWriter, request *http.Request) {
	full, _, _ := strings.Cut(strings.TrimPrefix(request.URL.Path, "/"), ".git/")
	push := strings.HasSuffix(request.URL.Path, "git-receive-pack") || request.URL.Query().Get("service") == "git-receive-pack"
	handler, status := s.gitHandler(full, bearer(request), push)
	if handler == nil {
		if status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", `Basic realm="GitHub"`)
		}
		http.Error(w, http.StatusText(status), status)
		return
	}
	handler(w, request)
}

// gitHandler decides who may, and gives what answers; else the status.
func (s *Server) gitHandler(full, token string, push bool) (http.HandlerFunc, int) {
	s.turn.Lock()
	defer s.turn.Unlock()
	repo := s.repos[strings.ToLower(full)]
	cred, known := s.credential(token)
	switch {
	case token != "" && !known, token == "" && (push || repo == nil || repo.private):
		return nil, http.StatusUnauthorized
	case repo == nil, s.role(cred, repo) < roleRead:
		return nil, http.StatusNotFound
	case push && !s.mayPush(cred, repo):
		return nil, http.StatusForbidden
	}
	backend := &cgi.Handler{
		Path: s.git,
		Args: []string{"http-backend"},
		Env: []string{"GIT_PROJECT_ROOT=" + s.config.Dir, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_NOSYSTEM=1", "HOME=" + s.config.Dir,
			"REMOTE_USER=" + full},
	}
	return func(w http.ResponseWriter, request *http.Request) {
		if !push || request.Method != http.MethodPost {
			backend.ServeHTTP(w, request)
			return
		}
		s.turn.Lock()
		defer s.turn.Unlock()
		before := s.refs(repo)
		backend.ServeHTTP(w, request)
		s.moved(repo, before, cred.who)
	}, 0
}

func (s *Server) mayPush(cred credential, r *repository) bool {
	if cred.app != nil && cred.app.Permissions["contents"] != "write" {
		return false
	}
	return s.role(cred, r) >= roleWrite
}

// moved draws the conclusions from refs that moved: heads of pull requests
// follow their branches, stale approvals are dismissed where a rule says so,
// and everybody is told.
func (s *Server) moved(r *repository, before map[string]string, who *Account) {
	after := s.refs(r)
	refs := map[string]bool{}
	for _, side := range []map[string]string{before, after} {
		for ref := range side {
			refs[ref] = true
		}
	}
	for _, ref := range sortedKeys(refs) {
		if before[ref] == after[ref] || strings.HasPrefix(ref, "refs/pull/") {
			continue
		}
		r.activity = append(r.activity, activity{id: s.id(), ref: ref, before: orZeros(before[ref]), after: orZeros(after[ref]), actor: who,
			kind: s.movement(r, before[ref], after[ref]), at: now()})
		if strings.HasPrefix(ref, "refs/heads/") || strings.HasPrefix(ref, "refs/tags/") {
			s.announceMove(r, ref, before[ref], after[ref], who)
		}
		if branch, ok := strings.CutPrefix(ref, "refs/heads/"); ok {
			s.follow(r, branch, before[ref], after[ref], who)
		}
	}
	_ = s.guard(r)
}

func (s *Server) movement(r *repository, before, after string) string {
	switch {
	case before == "":
		return "branch_creation"
	case after == "":
		return "branch_deletion"
	case s.ask(r, "merge-base", before, after) != before:
		return "force_push"
	default:
		return "push"
	}
}

// follow brings the pull requests of a branch that moved up to date.
func (s *Server) follow(r *repository, branch, before, after string, who *Account) {
	for _, owner := range s.repos {
		for _, p := range owner.pulls {
			if !p.open || p.headRepo != r || p.head != branch {
				continue
			}
			if after == "" {
				p.open, p.closed = false, now()
				s.happened(p, "closed", who)
				s.announcePull(owner, p, "closed", who, nil)
				continue
			}
			s.synchronise(owner, p, r, before, after, who)
		}
	}
	for _, p := range r.pulls {
		// A push that brings a head to the base merges its pull request.
		if p.open && p.base == branch && after != "" && s.ask(r, "merge-base", p.headSHA, after) == p.headSHA {
			s.record(r, p, p.headSHA, before, who)
		}
	}
}

func (s *Server) synchronise(r *repository, p *pull, from *repository, before, after string, who *Account) {
	if from != r {
		_, _ = s.run(r, "", nil, "fetch", "--quiet", from.dir, after)
	}
	p.headSHA, p.baseSHA = after, s.tip(r, "refs/heads/"+p.base)
	p.touch()
	s.keepHead(r, p)
	if s.movement(r, before, after) == "force_push" {
		s.happened(p, "head_ref_force_pushed", who)
	}
	if slices.ContainsFunc(s.rulesFor(r, p.base), func(d demand) bool { return d.dismissStale }) {
		for _, v := range p.reviews {
			if v.state == "APPROVED" {
				s.dismiss(r, p, v, who)
			}
		}
	}
	s.announcePull(r, p, "synchronize", who, object{"before": before, "after": after})
}

func orZeros(sha string) string {
	if sha == "" {
		return strings.Repeat("0", 40)
	}
	return sha
}
