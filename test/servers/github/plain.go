package github

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// issueNumbered is the issue, or the pull request, of a number; nil for none.
// They are numbered together. An issue that is no pull request has no head.
func (r *repository) issueNumbered(number int64) *pull {
	for _, p := range r.issues {
		if p.number == number {
			return p
		}
	}
	return r.pull(number)
}

func (p *pull) plain() bool { return p.headRepo == nil }

func (c *call) issueOf() *pull { return c.repo.issueNumbered(c.number("issue_number")) }

// listIssues lists issues and pull requests, newest first unless it is asked
// otherwise. Several labels must all be there.
func (c *call) listIssues() reply {
	state := c.query("state")
	var labels []string
	if l := c.query("labels"); l != "" {
		labels = strings.Split(l, ",")
	}
	var list []*pull
	for _, p := range slices.Concat(c.repo.issues, c.repo.pulls) {
		switch {
		case (state == "" || state == "open") && !p.open, state == "closed" && p.open:
		case slices.ContainsFunc(labels, func(l string) bool {
			return !slices.ContainsFunc(p.labels, func(have string) bool { return strings.EqualFold(have, l) })
		}):
		default:
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(a, b *pull) int { return int(a.number - b.number) })
	if c.query("direction") != "asc" {
		slices.Reverse(list)
	}
	return c.list(rows(list, func(p *pull) object { return c.issue(c.repo, p) }))
}

func (c *call) getIssue() reply {
	if p := c.issueOf(); p != nil {
		return c.ok(c.issue(c.repo, p))
	}
	return c.notFound()
}

// openIssue leaves out labels that are given by somebody who may not set any.
func (c *call) openIssue() reply {
	var in struct {
		Title, Body string
		Labels      []string
	}
	if err := c.read(&in); err != nil || in.Title == "" {
		return c.invalid("Issue", "title", "missing_field", "")
	}
	p := &pull{id: c.id(), number: c.repo.nextNumber(), title: in.Title, body: in.Body, author: c.cred.who, open: true, created: now(), updated: now()}
	c.repo.issues = append(c.repo.issues, p)
	c.announceIssue(c.repo, p, "opened", c.cred.who, nil)
	if c.Server.role(c.cred, c.repo) >= roleWrite {
		c.labelAs(c.repo, p, c.cred.who, in.Labels...)
	}
	return reply{http.StatusCreated, c.issue(c.repo, p)}
}

func (c *call) editIssue() reply {
	p := c.issueOf()
	if p == nil {
		return c.notFound()
	}
	if p.author != c.cred.who && c.Server.role(c.cred, c.repo) < roleWrite {
		return c.refuse(http.StatusForbidden, "Must have admin rights to Repository.")
	}
	var in struct{ Title, Body, State *string }
	if err := c.read(&in); err != nil {
		return c.refuse(http.StatusBadRequest, "Problems parsing JSON")
	}
	if in.Title != nil {
		p.title = *in.Title
	}
	if in.Body != nil {
		p.body = *in.Body
	}
	p.touch()
	if in.State != nil && (*in.State == "open") != p.open {
		if p.open = *in.State == "open"; p.open {
			c.happened(p, "reopened")
			c.announceIssue(c.repo, p, "reopened", c.cred.who, nil)
		} else {
			p.closed = now()
			c.happened(p, "closed")
			c.announceIssue(c.repo, p, "closed", c.cred.who, nil)
		}
	}
	return c.ok(c.issue(c.repo, p))
}

func (s *Server) announceIssue(r *repository, p *pull, action string, who *Account, more object) {
	if !p.plain() {
		s.announcePull(r, p, action, who, more)
		return
	}
	body := object{"issue": s.issue(r, p)}
	for key, value := range more {
		body[key] = value
	}
	s.announce(r, "issues", action, who, body)
}

// issue is an issue, or a pull request as the issue that it also is.
func (s *Server) issue(r *repository, p *pull) object {
	number := strconv.FormatInt(p.number, 10)
	o := object{
		"id": p.id, "number": p.number, "state": open(p.open), "title": p.title, "body": orNull(p.body), "user": s.user(p.author),
		"labels": s.labelsOf(r, p), "comments": len(r.commentsOn(p.number)), "locked": false, "author_association": "CONTRIBUTOR",
		"url": s.api(r) + "/issues/" + number, "html_url": s.html(r) + "/issues/" + number, "repository_url": s.api(r),
		"created_at": p.created, "updated_at": p.updated, "closed_at": timeOrNull(p.closed),
	}
	if !p.plain() {
		o["draft"] = p.draft
		o["pull_request"] = object{"url": s.api(r) + "/pulls/" + number, "html_url": s.html(r) + "/pull/" + number,
			"diff_url": s.html(r), "patch_url": s.html(r), "merged_at": timeOrNull(p.mergedAt)}
	}
	return o
}
