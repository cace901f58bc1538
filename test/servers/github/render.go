package github

import (
	"net/url"
	"strconv"
	"time"
)

// user is an account as others see it; nil for none.
func (s *Server) user(a *Account) any {
	if a == nil {
		return nil
	}
	return object{
		"login": a.Login, "id": a.ID, "type": a.Type, "site_admin": false,
		"url": s.URL() + "/users/" + url.PathEscape(a.Login), "html_url": s.URL() + "/" + url.PathEscape(a.Login),
	}
}

func (s *Server) repository(r *repository) object {
	return object{
		"id": r.id, "name": r.name, "full_name": r.fullName(), "private": r.private, "fork": false,
		"owner": s.user(r.owner), "default_branch": "main", "archived": false, "disabled": false,
		"url": s.api(r), "html_url": s.html(r), "clone_url": s.html(r) + ".git",
		"description": nil, "created_at": r.created, "updated_at": r.created, "pushed_at": r.created,
	}
}

func (s *Server) api(r *repository) string  { return s.URL() + "/repos/" + r.fullName() }
func (s *Server) html(r *repository) string { return s.URL() + "/" + r.fullName() }

// pullRequest is a pull request as lists show it.
func (s *Server) pullRequest(r *repository, p *pull) object {
	var mergeSHA any
	if p.merged {
		mergeSHA = p.mergeSHA
	}
	number := strconv.FormatInt(p.number, 10)
	return object{
		"id": p.id, "number": p.number, "state": open(p.open), "title": p.title, "body": orNull(p.body),
		"user": s.user(p.author), "draft": p.draft, "locked": false, "author_association": "CONTRIBUTOR",
		"url": s.api(r) + "/pulls/" + number, "html_url": s.html(r) + "/pull/" + number,
		"labels":              s.labelsOf(r, p),
		"requested_reviewers": rows(p.asked, func(a *Account) object { return s.user(a).(object) }),
		"requested_teams":     []any{},
		"head":                s.end(p.headRepo, p.head, p.headSHA),
		"base":                s.end(r, p.base, p.baseSHA),
		"created_at":          p.created, "updated_at": p.updated, "closed_at": timeOrNull(p.closed),
		"merged_at": timeOrNull(p.mergedAt), "merge_commit_sha": mergeSHA,
	}
}

// pullRequestWhole adds what only the call for one pull request shows.
func (s *Server) pullRequestWhole(r *repository, p *pull) object {
	o := s.pullRequest(r, p)
	o["merged"], o["merged_by"] = p.merged, s.user(p.mergedBy)
	o["mergeable"], o["mergeable_state"] = s.mergeable(r, p)
	o["rebaseable"] = nil
	commits, files := s.contribution(r, p)
	added, deleted := 0, 0
	for _, f := range files {
		added, deleted = added+f.added, deleted+f.deleted
	}
	o["commits"], o["additions"], o["deletions"], o["changed_files"] = len(commits), added, deleted, len(files)
	o["comments"], o["review_comments"] = len(r.commentsOn(p.number)), 0
	o["maintainer_can_modify"] = false
	return o
}

func (s *Server) end(r *repository, branch, sha string) object {
	return object{"label": r.owner.Login + ":" + branch, "ref": branch, "sha": sha, "user": s.user(r.owner), "repo": s.repository(r)}
}

func (s *Server) labelsOf(r *repository, p *pull) []any {
	out := []any{}
	for _, name := range p.labels {
		out = append(out, s.label(r, r.label(name)))
	}
	return out
}

func (s *Server) label(r *repository, l *label) object {
	return object{"id": l.id, "name": l.name, "color": l.color, "default": false, "description": "",
		"url": s.api(r) + "/labels/" + url.PathEscape(l.name)}
}

func (s *Server) review(r *repository, p *pull, v *review) object {
	address := s.html(r) + "/pull/" + strconv.FormatInt(p.number, 10) + "#pullrequestreview-" + strconv.FormatInt(v.id, 10)
	return object{
		"id": v.id, "user": s.user(v.author), "body": v.body, "state": v.state, "commit_id": v.commit,
		"submitted_at": v.at, "html_url": address, "pull_request_url": s.api(r) + "/pulls/" + strconv.FormatInt(p.number, 10),
		"author_association": "MEMBER",
	}
}

func (s *Server) status(r *repository, st *status) object {
	return object{
		"id": st.id, "state": st.state, "context": st.context, "description": orNull(st.description),
		"target_url": orNull(st.target), "creator": s.user(st.creator), "created_at": st.at, "updated_at": st.at,
		"url": s.api(r) + "/statuses/" + st.sha, "avatar_url": nil,
	}
}

func (s *Server) checkRun(r *repository, c *checkRun) object {
	return object{
		"id": c.id, "head_sha": c.sha, "name": c.name, "status": c.status, "conclusion": orNull(c.conclusion),
		"external_id": "", "details_url": orNull(c.details),
		"html_url":   s.html(r) + "/runs/" + strconv.FormatInt(c.id, 10),
		"url":        s.api(r) + "/check-runs/" + strconv.FormatInt(c.id, 10),
		"started_at": timeOrNull(c.started), "completed_at": timeOrNull(c.completed),
		"check_suite": object{"id": c.suite}, "app": s.integration(c.app), "pull_requests": []any{},
		"output": object{"title": orNull(c.title), "summary": orNull(c.summary), "text": nil, "annotations_count": 0, "annotations_url": s.api(r)},
	}
}

// integration is an App; nil stands for GitHub Actions.
func (s *Server) integration(a *App) object {
	id, slug, owner := int64(15368), "github-actions", any(object{"login": "github", "id": 9919, "type": "Organization"})
	permissions := object{"metadata": "read"}
	if a != nil {
		id, slug, owner = a.ID, a.Slug, s.user(s.accounts[a.Owner])
		for name, level := range a.Permissions {
			permissions[name] = level
		}
	}
	return object{"id": id, "slug": slug, "name": slug, "owner": owner, "description": nil,
		"html_url": s.URL() + "/apps/" + slug, "external_url": s.URL(), "permissions": permissions, "events": []any{},
		"created_at": "2020-01-01T00:00:00Z", "updated_at": "2020-01-01T00:00:00Z"}
}

func (s *Server) workflowRun(r *repository, w *run) object {
	state, conclusion := w.state()
	head, _ := s.commit(r, w.sha)
	var pulls []any
	for _, p := range r.pulls {
		if w.event == "pull_request" && p.open && p.headSHA == w.sha {
			pulls = append(pulls, object{"id": p.id, "number": p.number, "url": s.api(r) + "/pulls/" + strconv.FormatInt(p.number, 10),
				"head": object{"ref": p.head, "sha": p.headSHA, "repo": s.short(p.headRepo)},
				"base": object{"ref": p.base, "sha": p.baseSHA, "repo": s.short(r)}})
		}
	}
	if pulls == nil {
		pulls = []any{}
	}
	address := "/actions/runs/" + strconv.FormatInt(w.id, 10)
	return object{
		"id": w.id, "name": w.workflow, "path": w.path, "event": w.event, "display_title": head.message,
		"head_branch": orNull(w.branch), "head_sha": w.sha, "run_number": w.number, "run_attempt": w.attempt,
		"status": state, "conclusion": orNull(conclusion), "workflow_id": w.number, "check_suite_id": w.suite,
		"url": s.api(r) + address, "html_url": s.html(r) + address,
		"actor": s.user(w.actor), "triggering_actor": s.user(w.actor), "pull_requests": pulls,
		"created_at": w.created, "updated_at": w.updated, "run_started_at": w.created,
		"repository": s.minimal(r), "head_repository": s.minimal(r), "head_commit": s.simpleCommit(head),
	}
}

func (s *Server) job(r *repository, w *run, j *job) object {
	id := strconv.FormatInt(j.id, 10)
	started := j.started
	if started.IsZero() {
		started = w.updated
	}
	return object{
		"id": j.id, "run_id": w.id, "run_attempt": j.attempt, "head_sha": w.sha, "head_branch": orNull(w.branch),
		"name": j.name, "workflow_name": w.workflow, "status": j.status, "conclusion": orNull(j.conclusion),
		"labels": []any{"ubuntu-latest"}, "steps": []any{},
		"url": s.api(r) + "/actions/jobs/" + id, "run_url": s.api(r) + "/actions/runs/" + strconv.FormatInt(w.id, 10),
		"html_url":      s.html(r) + "/actions/runs/" + strconv.FormatInt(w.id, 10) + "/job/" + id,
		"check_run_url": s.api(r) + "/check-runs/" + id,
		"created_at":    w.updated, "started_at": started, "completed_at": timeOrNull(j.completed),
	}
}

func (s *Server) short(r *repository) object {
	return object{"id": r.id, "name": r.name, "url": s.api(r)}
}

// minimal is a repository as it stands within something else.
func (s *Server) minimal(r *repository) object {
	return object{"id": r.id, "name": r.name, "full_name": r.fullName(), "private": r.private, "fork": false,
		"owner": s.user(r.owner), "url": s.api(r), "html_url": s.html(r), "description": nil}
}

func (s *Server) comment(r *repository, c *comment) object {
	number := strconv.FormatInt(c.number, 10)
	return object{
		"id": c.id, "body": c.body, "user": s.user(c.author), "created_at": c.created, "updated_at": c.updated,
		"issue_url": s.api(r) + "/issues/" + number, "author_association": "MEMBER",
		"url":      s.api(r) + "/issues/comments/" + strconv.FormatInt(c.id, 10),
		"html_url": s.html(r) + "/pull/" + number + "#issuecomment-" + strconv.FormatInt(c.id, 10),
	}
}

func (s *Server) release(r *repository, e *release) object {
	return object{
		"id": e.id, "tag_name": e.tag, "target_commitish": e.target, "name": orNull(e.name), "body": orNull(e.body),
		"draft": e.draft, "prerelease": false, "author": s.user(e.author), "created_at": e.at, "published_at": e.at, "updated_at": e.at,
		"html_url": s.html(r) + "/releases/tag/" + e.tag, "tarball_url": nil, "zipball_url": nil, "assets": []any{},
	}
}

func open(yes bool) string {
	if yes {
		return "open"
	}
	return "closed"
}

func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

func timeOrNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t
}
