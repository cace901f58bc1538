package github

import (
	"net/http"
	"slices"
)

type hookInput struct {
	Config struct {
		URL         string
		Secret      string
		ContentType string `json:"content_type"`
	}
	Events []string
	Active *bool
}

func (c *call) listHooks() reply {
	return c.list(rows(c.repo.hooks, func(h *hook) object { return c.hook(c.repo, h) }))
}

func (c *call) createHook() reply {
	var in hookInput
	if err := c.read(&in); err != nil {
		return c.refuse(http.StatusBadRequest, "Problems parsing JSON")
	}
	for _, h := range c.repo.hooks {
		if h.url == in.Config.URL && slices.Equal(h.events, in.Events) {
			return c.invalid("Hook", "", "custom", "Hook already exists on this repository")
		}
	}
	h := &hook{id: c.id(), active: true, at: now()}
	h.set(in)
	c.repo.hooks = append(c.repo.hooks, h)
	return reply{http.StatusCreated, c.hook(c.repo, h)}
}

func (c *call) editHook() reply {
	h := c.hookOf()
	if h == nil {
		return c.notFound()
	}
	var in hookInput
	if err := c.read(&in); err != nil {
		return c.refuse(http.StatusBadRequest, "Problems parsing JSON")
	}
	h.set(in)
	return c.ok(c.hook(c.repo, h))
}

func (c *call) deleteHook() reply {
	h := c.hookOf()
	if h == nil {
		return c.notFound()
	}
	c.repo.hooks = slices.DeleteFunc(c.repo.hooks, func(o *hook) bool { return o == h })
	return reply{status: http.StatusNoContent}
}

func (c *call) hookOf() *hook {
	for _, h := range c.repo.hooks {
		if h.id == c.number("hook_id") {
			return h
		}
	}
	return nil
}

func (h *hook) set(in hookInput) {
	if in.Config.URL != "" {
		h.url = in.Config.URL
	}
	if in.Config.Secret != "" {
		h.secret = in.Config.Secret
	}
	if in.Events != nil {
		h.events = in.Events
	}
	if in.Active != nil {
		h.active = *in.Active
	}
}

// hook never shows the secret, as GitHub does not.
func (s *Server) hook(r *repository, h *hook) object {
	config := object{"url": h.url, "content_type": "json", "insecure_ssl": "0"}
	if h.secret != "" {
		config["secret"] = "********"
	}
	return object{"id": h.id, "type": "Repository", "name": "web", "active": h.active, "events": orEmpty(h.events), "config": config,
		"created_at": h.at, "updated_at": h.at, "url": s.api(r) + "/hooks",
		"last_response": object{"code": nil, "status": "unused", "message": nil}}
}
