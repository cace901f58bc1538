package github

import "strings"

// sentWebhooks are the deliveries that this server makes.
func sentWebhooks() []string {
	return []string{
		"pull-request-opened", "pull-request-closed", "pull-request-reopened", "pull-request-edited", "pull-request-labeled",
		"pull-request-unlabeled", "pull-request-synchronize", "pull-request-review-requested",
		"pull-request-converted-to-draft", "pull-request-ready-for-review",
		"pull-request-review-submitted", "pull-request-review-dismissed",
		"issue-comment-created", "issue-comment-edited",
		"issues-opened", "issues-closed", "issues-reopened", "issues-labeled", "issues-unlabeled",
		"push", "create", "delete", "status", "check-run-created", "check-run-completed",
		"workflow-run-requested", "workflow-run-completed", "workflow-job-queued", "workflow-job-completed",
		"release-published",
	}
}

// announce sends one delivery about a repository.
func (s *Server) announce(r *repository, event, action string, who *Account, more object) {
	name := strings.ReplaceAll(event, "_", "-")
	body := object{"repository": s.repository(r), "sender": s.user(who)}
	if action != "" {
		name += "-" + strings.ReplaceAll(action, "_", "-")
		body["action"] = action
	}
	for key, value := range more {
		body[key] = value
	}
	s.courier.send(r.hooks, event, name, body)
}

func (s *Server) announcePull(r *repository, p *pull, action string, who *Account, more object) {
	body := object{"number": p.number, "pull_request": s.pullRequestWhole(r, p)}
	for key, value := range more {
		body[key] = value
	}
	s.announce(r, "pull_request", action, who, body)
}

// announceReview shows the review as deliveries do: in lower case, and the pull
// request as lists do.
func (s *Server) announceReview(r *repository, p *pull, v *review, action string, who *Account) {
	shown := s.review(r, p, v)
	shown["state"] = strings.ToLower(v.state)
	s.announce(r, "pull_request_review", action, who, object{"review": shown, "pull_request": s.pullRequest(r, p)})
}

func (s *Server) announceComment(r *repository, p *pull, k *comment, action string, who *Account) {
	more := object{"comment": s.comment(r, k), "issue": s.issue(r, p)}
	if action == "edited" {
		more["changes"] = object{}
	}
	s.announce(r, "issue_comment", action, who, more)
}

func (s *Server) announceStatus(r *repository, st *status) {
	head, _ := s.commit(r, st.sha)
	s.announce(r, "status", "", st.creator, object{
		"id": st.id, "sha": st.sha, "name": r.fullName(), "context": st.context, "state": st.state,
		"description": orNull(st.description), "target_url": orNull(st.target), "avatar_url": nil,
		"created_at": st.at, "updated_at": st.at, "branches": []any{}, "commit": s.gitCommit(r, head),
	})
}

func (s *Server) announceCheck(r *repository, k *checkRun, action string) {
	who := s.actions
	if k.app != nil {
		who = k.app.bot
	}
	shown := s.checkRun(r, k)
	shown["check_suite"] = object{"id": k.suite, "head_sha": k.sha, "head_branch": nil, "status": k.status, "conclusion": orNull(k.conclusion),
		"url": s.api(r), "before": nil, "after": k.sha, "pull_requests": []any{}, "app": s.integration(k.app), "created_at": k.started, "updated_at": k.started}
	s.announce(r, "check_run", action, who, object{"check_run": shown})
}

func (s *Server) announceRun(r *repository, w *run, action string) {
	s.announce(r, "workflow_run", action, w.actor, object{"workflow_run": s.workflowRun(r, w), "workflow": object{
		"id": w.number, "name": w.workflow, "path": w.path, "state": "active", "created_at": w.created, "updated_at": w.created,
		"badge_url": s.html(r), "html_url": s.html(r), "url": s.api(r)}})
}

func (s *Server) announceJob(r *repository, w *run, j *job, action string) {
	s.announce(r, "workflow_job", action, w.actor, object{"workflow_job": s.job(r, w, j)})
}

func (s *Server) announceRelease(r *repository, e *release) {
	s.announce(r, "release", "published", e.author, object{"release": s.release(r, e)})
}

// announceMove tells of a ref that moved, in the words of git.
func (s *Server) announceMove(r *repository, ref, before, after string, who *Account) {
	none := strings.Repeat("0", 40)
	from, to := before, after
	if from == "" {
		from = none
	}
	if to == "" {
		to = none
	}
	kind, name := "branch", strings.TrimPrefix(ref, "refs/heads/")
	if strings.HasPrefix(ref, "refs/tags/") {
		kind, name = "tag", strings.TrimPrefix(ref, "refs/tags/")
	}
	var head any
	if tip := s.resolve(r, after); tip != "" {
		c, _ := s.commit(r, tip)
		head = s.pushedCommit(r, c)
	}
	s.announce(r, "push", "", who, object{"ref": ref, "before": from, "after": to, "created": before == "", "deleted": after == "",
		"forced": false, "base_ref": nil, "compare": s.html(r) + "/compare", "commits": []any{}, "head_commit": head,
		"pusher": object{"name": who.Login, "email": who.Email}})
	if kind == "branch" || kind == "tag" {
		switch {
		case before == "":
			s.announce(r, "create", "", who, object{"ref": name, "ref_type": kind, "master_branch": "main", "description": nil, "pusher_type": "user"})
		case after == "":
			s.announce(r, "delete", "", who, object{"ref": name, "ref_type": kind, "pusher_type": "user"})
		}
	}
}

func (s *Server) pushedCommit(r *repository, c commit) object {
	o := s.simpleCommit(c)
	o["distinct"], o["url"] = true, s.html(r)+"/commit/"+c.sha
	o["added"], o["removed"], o["modified"] = []any{}, []any{}, []any{}
	return o
}
