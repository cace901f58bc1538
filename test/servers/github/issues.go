package github

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

func (c *call) listComments() reply {
	if c.issueOf() == nil {
		return c.notFound()
	}
	return c.list(rows(c.repo.commentsOn(c.number("issue_number")), func(k *comment) object { return c.comment(c.repo, k) }))
}

func (r *repository) commentsOn(number int64) []*comment {
	return slices.DeleteFunc(slices.Clone(r.comments), func(k *comment) bool { return k.number != number })
}

func (c *call) addComment() reply {
	p := c.issueOf()
	if p == nil {
		return c.notFound()
	}
	var in struct{ Body string }
	if err := c.read(&in); err != nil || in.Body == "" {
		return c.invalid("IssueComment", "body", "missing_field", "")
	}
	k := &comment{id: c.id(), number: p.number, author: c.cred.who, body: in.Body, created: now(), updated: now()}
	c.repo.comments = append(c.repo.comments, k)
	p.touch()
	c.announceComment(c.repo, p, k, "created", c.cred.who)
	return reply{http.StatusCreated, c.comment(c.repo, k)}
}

func (c *call) getComment() reply {
	if k := c.commentOf(); k != nil {
		return c.ok(c.comment(c.repo, k))
	}
	return c.notFound()
}

func (c *call) editComment() reply {
	k := c.commentOf()
	if k == nil {
		return c.notFound()
	}
	if k.author != c.cred.who && c.Server.role(c.cred, c.repo) < roleWrite {
		return c.refuse(http.StatusForbidden, "Must have admin rights to Repository.")
	}
	var in struct{ Body string }
	if err := c.read(&in); err != nil || in.Body == "" {
		return c.invalid("IssueComment", "body", "missing_field", "")
	}
	k.body, k.updated = in.Body, now()
	if p := c.repo.issueNumbered(k.number); p != nil {
		p.touch()
		c.announceComment(c.repo, p, k, "edited", c.cred.who)
	}
	return c.ok(c.comment(c.repo, k))
}

func (c *call) deleteComment() reply {
	k := c.commentOf()
	if k == nil {
		return c.notFound()
	}
	c.repo.comments = slices.DeleteFunc(c.repo.comments, func(o *comment) bool { return o == k })
	return reply{status: http.StatusNoContent}
}

func (c *call) commentOf() *comment {
	for _, k := range c.repo.comments {
		if k.id == c.number("comment_id") {
			return k
		}
	}
	return nil
}

func (c *call) addReaction() reply {
	k := c.commentOf()
	if k == nil {
		return c.notFound()
	}
	var in struct{ Content string }
	if err := c.read(&in); err != nil {
		return c.refuse(http.StatusBadRequest, "Problems parsing JSON")
	}
	for _, e := range k.reactions {
		if e.author == c.cred.who && e.content == in.Content {
			return c.ok(c.reaction(e))
		}
	}
	e := reaction{id: c.id(), author: c.cred.who, content: in.Content, at: now()}
	k.reactions = append(k.reactions, e)
	return reply{http.StatusCreated, c.reaction(e)}
}

func (c *call) listReactions() reply {
	k := c.commentOf()
	if k == nil {
		return c.notFound()
	}
	return c.list(rows(k.reactions, c.reaction))
}

func (s *Server) reaction(e reaction) object {
	return object{"id": e.id, "user": s.user(e.author), "content": e.content, "created_at": e.at}
}

func (c *call) listIssueLabels() reply {
	p := c.issueOf()
	if p == nil {
		return c.notFound()
	}
	return c.ok(c.labelsOf(c.repo, p))
}

// addIssueLabels takes both forms of the body: an object, and a bare list.
func (c *call) addIssueLabels() reply {
	p := c.issueOf()
	if p == nil {
		return c.notFound()
	}
	var in struct{ Labels []string }
	if c.read(&in) != nil && c.read(&in.Labels) != nil {
		return c.refuse(http.StatusBadRequest, "Problems parsing JSON")
	}
	c.labelAs(c.repo, p, c.cred.who, in.Labels...)
	return c.ok(c.labelsOf(c.repo, p))
}

func (c *call) removeIssueLabel() reply {
	p := c.issueOf()
	name := c.param("name")
	if p == nil || !slices.Contains(p.labels, name) {
		return c.refuse(http.StatusNotFound, "Label does not exist")
	}
	p.labels = slices.DeleteFunc(p.labels, func(l string) bool { return l == name })
	p.touch()
	p.events = append(p.events, event{id: c.id(), name: "unlabeled", actor: c.cred.who, at: now(), label: name})
	c.announceIssue(c.repo, p, "unlabeled", c.cred.who, object{"label": c.label(c.repo, c.repo.label(name))})
	return c.ok(c.labelsOf(c.repo, p))
}

func (s *Server) labelAs(r *repository, p *pull, who *Account, names ...string) {
	for _, name := range names {
		if slices.Contains(p.labels, name) {
			continue
		}
		if r.label(name) == nil {
			r.labels = append(r.labels, &label{id: s.id(), name: name, color: "ededed"})
		}
		p.labels = append(p.labels, name)
		p.touch()
		p.events = append(p.events, event{id: s.id(), name: "labeled", actor: who, at: now(), label: name})
		s.announceIssue(r, p, "labeled", who, object{"label": s.label(r, r.label(name))})
	}
}

func (r *repository) label(name string) *label {
	for _, l := range r.labels {
		if strings.EqualFold(l.name, name) {
			return l
		}
	}
	return nil
}

func (c *call) listLabels() reply {
	return c.list(rows(c.repo.labels, func(l *label) object { return c.label(c.repo, l) }))
}

func (c *call) createLabel() reply {
	var in struct{ Name, Color string }
	if err := c.read(&in); err != nil {
		return c.refuse(http.StatusBadRequest, "Problems parsing JSON")
	}
	if c.repo.label(in.Name) != nil {
		return c.invalid("Label", "name", "already_exists", "")
	}
	if in.Color == "" {
		in.Color = "ededed"
	}
	l := &label{id: c.id(), name: in.Name, color: in.Color}
	c.repo.labels = append(c.repo.labels, l)
	return reply{http.StatusCreated, c.label(c.repo, l)}
}

// timeline lists what happened to an issue or a pull request and was said on it, oldest
// first.
func (c *call) timeline() reply {
	p := c.issueOf()
	if p == nil {
		return c.notFound()
	}
	list := rows(p.events, func(e event) object {
		o := object{"id": e.id, "event": e.name, "actor": c.user(e.actor), "created_at": e.at, "commit_id": nil, "commit_url": nil,
			"url": c.api(c.repo) + "/issues/events/" + strconv.FormatInt(e.id, 10)}
		if e.label != "" {
			o["label"] = object{"name": e.label, "color": c.repo.label(e.label).color}
		}
		return o
	})
	for _, k := range c.repo.commentsOn(p.number) {
		o := c.comment(c.repo, k)
		o["event"], o["actor"], o["node_id"] = "commented", o["user"], "IC_"+strconv.FormatInt(k.id, 10)
		list = append(list, o)
	}
	slices.SortStableFunc(list, func(a, b any) int {
		return a.(object)["created_at"].(time.Time).Compare(b.(object)["created_at"].(time.Time))
	})
	return c.list(list)
}
