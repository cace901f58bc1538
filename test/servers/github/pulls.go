package github

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

func (c *call) pullOf() *pull { return c.repo.pull(c.number("pull_number")) }

func (c *call) listPulls() reply {
	state, head, base := c.query("state"), c.query("head"), c.query("base")
	var list []*pull
	for _, p := range c.repo.pulls {
		switch {
		case (state == "" || state == "open") && !p.open, state == "closed" && p.open:
		case head != "" && !strings.EqualFold(head, p.headRepo.owner.Login+":"+p.head):
		case base != "" && base != p.base:
		default:
			list = append(list, p)
		}
	}
	slices.SortStableFunc(list, func(a, b *pull) int {
		if c.query("sort") == "updated" {
			return a.updated.Compare(b.updated)
		}
		return int(a.number - b.number)
	})
	if c.query("direction") == "desc" || c.query("direction") == "" && c.query("sort") != "" && c.query("sort") != "created" || c.query("direction") == "" && c.query("sort") == "" {
		slices.Reverse(list)
	}
	return c.list(rows(list, func(p *pull) object { return c.pullRequest(c.repo, p) }))
}

func (c *call) getPull() reply {
	p := c.pullOf()
	if p == nil {
		return c.notFound()
	}
	shown := c.pullRequestWhole(c.repo, p)
	c.compute(c.repo, p) // for whoever asks next
	return c.ok(shown)
}

func (c *call) openPull() reply {
	var in struct {
		Title, Head, Base, Body string
		Draft                   bool
	}
	if err := c.read(&in); err != nil {
		return c.refuse(http.StatusBadRequest, "Problems parsing JSON")
	}
	from, branch := c.repo, in.Head
	if owner, name, ok := strings.Cut(in.Head, ":"); ok {
		branch = name
		if from = c.repos[strings.ToLower(owner+"/"+c.repo.name)]; from == nil {
			return c.invalid("PullRequest", "head", "invalid", "")
		}
	}
	head, base := c.tip(from, "refs/heads/"+branch), c.tip(c.repo, "refs/heads/"+in.Base)
	switch {
	case head == "":
		return c.invalid("PullRequest", "head", "invalid", "")
	case base == "":
		return c.invalid("PullRequest", "base", "invalid", "")
	}
	for _, p := range c.repo.pulls {
		if p.open && p.headRepo == from && p.head == branch && p.base == in.Base {
			return c.invalid("PullRequest", "", "custom", "A pull request already exists for "+from.owner.Login+":"+branch+".")
		}
	}
	if from != c.repo {
		if _, err := c.run(c.repo, "", nil, "fetch", "--quiet", from.dir, head); err != nil {
			return c.refuse(http.StatusInternalServerError, err.Error())
		}
	}
	if c.ask(c.repo, "rev-list", "--count", base+".."+head) == "0" {
		return c.invalid("PullRequest", "", "custom", "No commits between "+in.Base+" and "+branch)
	}
	p := &pull{
		id: c.id(), number: c.repo.nextNumber(), title: in.Title, body: in.Body, author: c.cred.who,
		head: branch, headRepo: from, headSHA: head, base: in.Base, baseSHA: base, open: true, draft: in.Draft,
		created: now(), updated: now(),
	}
	c.repo.pulls = append(c.repo.pulls, p)
	c.keepHead(c.repo, p)
	c.announcePull(c.repo, p, "opened", c.cred.who, nil)
	return reply{http.StatusCreated, c.pullRequestWhole(c.repo, p)}
}

func (c *call) editPull() reply {
	p := c.pullOf()
	if p == nil {
		return c.notFound()
	}
	var in struct {
		Title, Body, State, Base *string
	}
	if err := c.read(&in); err != nil {
		return c.refuse(http.StatusBadRequest, "Problems parsing JSON")
	}
	if in.Base != nil && *in.Base != p.base {
		if refused, ok := c.retarget(p, *in.Base); !ok {
			return refused
		}
	}
	changes := object{}
	if in.Title != nil && *in.Title != p.title {
		changes["title"] = object{"from": p.title}
		p.title = *in.Title
	}
	if in.Body != nil && *in.Body != p.body {
		changes["body"] = object{"from": p.body}
		p.body = *in.Body
	}
	p.touch()
	if len(changes) > 0 {
		c.announcePull(c.repo, p, "edited", c.cred.who, object{"changes": changes})
	}
	if in.State != nil && (*in.State == "open") != p.open {
		if p.merged {
			return c.invalid("PullRequest", "state", "invalid", "")
		}
		p.open = *in.State == "open"
		if p.open {
			c.happened(p, "reopened")
			c.announcePull(c.repo, p, "reopened", c.cred.who, nil)
		} else {
			p.closed = now()
			c.happened(p, "closed")
			c.announcePull(c.repo, p, "closed", c.cred.who, nil)
		}
	}
	return c.ok(c.pullRequestWhole(c.repo, p))
}

// retarget changes the base. Reviews stay as they are, as with GitHub.
func (c *call) retarget(p *pull, base string) (reply, bool) {
	tip := c.tip(c.repo, "refs/heads/"+base)
	if tip == "" || !p.open {
		return c.invalid("PullRequest", "base", "invalid", ""), false
	}
	old, oldTip := p.base, p.baseSHA
	p.base, p.baseSHA = base, tip
	c.happened(p, "base_ref_changed")
	c.announcePull(c.repo, p, "edited", c.cred.who, object{"changes": object{"base": object{
		"ref": object{"from": old}, "sha": object{"from": oldTip}}}})
	return reply{}, true
}

func (c *call) pullCommits() reply {
	p := c.pullOf()
	if p == nil {
		return c.notFound()
	}
	commits, _ := c.contribution(c.repo, p)
	return c.list(rows(commits[:min(len(commits), 250)], func(k commit) object { return c.gitCommit(c.repo, k) }))
}

func (c *call) pullFiles() reply {
	p := c.pullOf()
	if p == nil {
		return c.notFound()
	}
	_, files := c.contribution(c.repo, p)
	return c.list(rows(files[:min(len(files), 3000)], func(f changed) object { return c.file(c.repo, f, p.headSHA) }))
}

// contribution is what a pull request brings to its base: commits, oldest
// first, and files.
func (s *Server) contribution(r *repository, p *pull) ([]commit, []changed) {
	base := p.baseSHA
	if p.open {
		base = s.tip(r, "refs/heads/"+p.base)
	}
	return s.between(r, base, p.headSHA)
}

func (s *Server) between(r *repository, base, head string) ([]commit, []changed) {
	commits, err := s.log(r, "--reverse", "--topo-order", base+".."+head)
	if err != nil {
		return nil, nil
	}
	fork := s.ask(r, "merge-base", base, head)
	if fork == "" {
		return commits, nil
	}
	files, err := s.diff(r, fork, head)
	if err != nil {
		return commits, nil
	}
	return commits, files
}

// keepHead keeps the head under a ref of its own, as GitHub does.
func (s *Server) keepHead(r *repository, p *pull) {
	_, _ = s.run(r, "", nil, "update-ref", "refs/pull/"+strconv.FormatInt(p.number, 10)+"/head", p.headSHA)
}

// mergeable is whether it merges without conflict, null while nobody knows, and
// the word for how it stands.
func (s *Server) mergeable(r *repository, p *pull) (any, string) {
	if !p.open || p.computed != p.headSHA+s.tip(r, "refs/heads/"+p.base) {
		return nil, "unknown"
	}
	switch {
	case !p.mergeable:
		return false, "dirty"
	case p.draft:
		return true, "draft"
	case s.unmet(r, p) != "":
		return true, "blocked"
	default:
		return true, "clean"
	}
}

// compute finds out whether the pull request merges.
func (s *Server) compute(r *repository, p *pull) {
	tip := s.tip(r, "refs/heads/"+p.base)
	if !p.open || p.computed == p.headSHA+tip {
		return
	}
	_, p.mergeable = s.mergeTree(r, tip, p.headSHA)
	p.computed = p.headSHA + tip
}

// happened notes an event of the pull request's timeline.
func (c *call) happened(p *pull, name string) { c.Server.happened(p, name, c.cred.who) }

func (s *Server) happened(p *pull, name string, who *Account) {
	p.events = append(p.events, event{id: s.id(), name: name, actor: who, at: now()})
}

func (r *repository) nextNumber() int64 { return int64(len(r.pulls)+len(r.issues)) + 1 }
