package github

import (
	"net/http"
	"slices"
)

func (c *call) listReviews() reply {
	p := c.pullOf()
	if p == nil {
		return c.notFound()
	}
	var seen []*review
	for _, v := range p.reviews {
		if v.state != "PENDING" || v.author == c.cred.who {
			seen = append(seen, v)
		}
	}
	return c.list(rows(seen, func(v *review) object { return c.review(c.repo, p, v) }))
}

func (c *call) submitReview() reply {
	p := c.pullOf()
	if p == nil {
		return c.notFound()
	}
	var in struct {
		Body, Event string
		CommitID    string `json:"commit_id"`
	}
	if err := c.read(&in); err != nil {
		return c.refuse(http.StatusBadRequest, "Problems parsing JSON")
	}
	states := map[string]string{"APPROVE": "APPROVED", "REQUEST_CHANGES": "CHANGES_REQUESTED", "COMMENT": "COMMENTED", "": "PENDING"}
	own := p.author == c.cred.who
	switch {
	case own && in.Event == "APPROVE":
		return c.wordy("Can not approve your own pull request")
	case own && in.Event == "REQUEST_CHANGES":
		return c.wordy("Can not request changes on your own pull request")
	case in.CommitID != "" && c.resolve(c.repo, in.CommitID) == "":
		return c.wordy("commit_id is not part of the pull request")
	case in.Body == "" && (in.Event == "REQUEST_CHANGES" || in.Event == "COMMENT"):
		return c.wordy("body can't be blank")
	}
	if in.CommitID == "" {
		in.CommitID = p.headSHA
	}
	v := &review{id: c.id(), author: c.cred.who, state: states[in.Event], body: in.Body, commit: in.CommitID, at: now()}
	p.reviews = append(p.reviews, v)
	p.asked = slices.DeleteFunc(p.asked, func(a *Account) bool { return a == c.cred.who })
	p.touch()
	if v.state != "PENDING" {
		c.announceReview(c.repo, p, v, "submitted", c.cred.who)
	}
	return c.ok(c.review(c.repo, p, v))
}

func (c *call) getReview() reply {
	p, v := c.reviewOf()
	if v == nil {
		return c.notFound()
	}
	return c.ok(c.review(c.repo, p, v))
}

func (c *call) dismissReview() reply {
	p, v := c.reviewOf()
	if v == nil {
		return c.notFound()
	}
	if v.state != "APPROVED" && v.state != "CHANGES_REQUESTED" {
		return c.wordy("Can not dismiss a " + v.state + " pull request review")
	}
	c.dismiss(c.repo, p, v, c.cred.who)
	return c.ok(c.review(c.repo, p, v))
}

func (s *Server) dismiss(r *repository, p *pull, v *review, who *Account) {
	v.state = "DISMISSED"
	p.touch()
	s.happened(p, "review_dismissed", who)
	s.announceReview(r, p, v, "dismissed", who)
}

func (c *call) requestReviewers() reply {
	p := c.pullOf()
	if p == nil {
		return c.notFound()
	}
	var in struct{ Reviewers []string }
	if err := c.read(&in); err != nil {
		return c.refuse(http.StatusBadRequest, "Problems parsing JSON")
	}
	for _, login := range in.Reviewers {
		who := c.accounts[login]
		if who == nil || c.roleOf(who, c.repo) < roleRead {
			return c.refuse(http.StatusUnprocessableEntity, "Reviews may only be requested from collaborators. One or more of the users or teams you specified is not a collaborator of the "+c.repo.fullName()+" repository.")
		}
		if !slices.Contains(p.asked, who) {
			p.asked = append(p.asked, who)
			c.happened(p, "review_requested")
			c.announcePull(c.repo, p, "review_requested", c.cred.who, object{"requested_reviewer": c.user(who)})
		}
	}
	return reply{http.StatusCreated, c.pullRequest(c.repo, p)}
}

func (c *call) reviewOf() (*pull, *review) {
	p := c.pullOf()
	if p == nil {
		return nil, nil
	}
	for _, v := range p.reviews {
		if v.id == c.number("review_id") {
			return p, v
		}
	}
	return p, nil
}

// wordy is a 422 whose faults are sentences.
func (c *call) wordy(sentence string) reply {
	refused := c.refuse(http.StatusUnprocessableEntity, "Unprocessable Entity")
	refused.body.(object)["errors"] = []string{sentence}
	return refused
}

// decisive maps each reviewer to what they said last that decides anything.
func (p *pull) decisive() map[*Account]*review {
	latest := map[*Account]*review{}
	for _, v := range p.reviews {
		switch v.state {
		case "APPROVED", "CHANGES_REQUESTED", "DISMISSED":
			latest[v.author] = v
		}
	}
	return latest
}
