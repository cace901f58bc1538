package github

import "net/http"

func (c *call) listReleases() reply {
	return c.list(rows(c.repo.releases, func(e *release) object { return c.release(c.repo, e) }))
}

func (c *call) releaseByTag() reply {
	for _, e := range c.repo.releases {
		if e.tag == c.param("tag") && !e.draft {
			return c.ok(c.release(c.repo, e))
		}
	}
	return c.notFound()
}

// publish makes a release, and its tag where there is none.
func (c *call) publish() reply {
	var in struct {
		Tag    string `json:"tag_name"`
		Target string `json:"target_commitish"`
		Name   string
		Body   string
		Draft  bool
	}
	if err := c.read(&in); err != nil {
		return c.refuse(http.StatusBadRequest, "Problems parsing JSON")
	}
	for _, e := range c.repo.releases {
		if e.tag == in.Tag && !e.draft {
			return c.invalid("Release", "tag_name", "already_exists", "")
		}
	}
	if in.Target == "" {
		in.Target = "main"
	}
	if !in.Draft && c.tip(c.repo, "refs/tags/"+in.Tag) == "" {
		sha := c.resolve(c.repo, in.Target)
		if sha == "" {
			return c.invalid("Release", "target_commitish", "invalid", "")
		}
		if err := c.shift(c.repo, c.cred.who, "refs/tags/"+in.Tag, sha, ""); err != nil {
			return c.invalid("Release", "tag_name", "custom", err.Error())
		}
	}
	e := &release{id: c.id(), tag: in.Tag, target: in.Target, name: in.Name, body: in.Body, draft: in.Draft, author: c.cred.who, at: now()}
	c.repo.releases = append(c.repo.releases, e)
	if !e.draft {
		c.announceRelease(c.repo, e)
	}
	return reply{http.StatusCreated, c.release(c.repo, e)}
}
