package github

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// route is one call of the API: as GitHub's description names it, what it
// takes, and what answers it.
type route struct {
	method string
	path   string
	need   need
	handle func(*call) reply
}

// deep are the parameters that take slashes.
func deep(path string) bool {
	return slices.Contains([]string{
		"/repos/{owner}/{repo}/contents/{path}",
		"/repos/{owner}/{repo}/git/ref/{ref}",
		"/repos/{owner}/{repo}/git/refs/{ref}",
		"/repos/{owner}/{repo}/git/matching-refs/{ref}",
		"/repos/{owner}/{repo}/compare/{basehead}",
		"/repos/{owner}/{repo}/rules/branches/{branch}",
		"/repos/{owner}/{repo}/releases/tags/{tag}",
		"/repos/{owner}/{repo}/issues/{issue_number}/labels/{name}",
	}, path)
}

// find gives the call that a path means, with its parameters: of several the
// one with a literal segment where another has a parameter.
func find(all []route, method, path string) (route, map[string]string, bool) {
	var best route
	var with map[string]string
	rank := ""
	for _, r := range all {
		if r.method != method {
			continue
		}
		if params, shape, ok := r.match(path); ok && (with == nil || shape < rank) {
			best, with, rank = r, params, shape
		}
	}
	return best, with, with != nil
}

// match reads the parameters out of a path. shape has an "a" for each literal
// segment and a "b" for each parameter.
func (r route) match(path string) (params map[string]string, shape string, ok bool) {
	wants := strings.Split(r.path, "/")
	gives := strings.Split(path, "/")
	if deep(r.path) && len(gives) > len(wants) {
		last := len(wants) - 1
		gives = append(gives[:last:last], strings.Join(gives[last:], "/"))
	}
	if len(wants) != len(gives) {
		return nil, "", false
	}
	params = map[string]string{}
	for i, want := range wants {
		name, isParam := strings.CutPrefix(want, "{")
		if !isParam {
			if want != gives[i] {
				return nil, "", false
			}
			shape += "a"
			continue
		}
		value, err := url.PathUnescape(gives[i])
		if err != nil || value == "" {
			return nil, "", false
		}
		params[strings.TrimSuffix(name, "}")] = value
		shape += "b"
	}
	return params, shape, true
}

const (
	get    = http.MethodGet
	post   = http.MethodPost
	put    = http.MethodPut
	patch  = http.MethodPatch
	remove = http.MethodDelete
)

// routes lists every call.
func routes() []route {
	list := append(pullRoutes(), commitRoutes()...)
	list = append(list, issueRoutes()...)
	return append(list, otherRoutes()...)
}

func reads(permission string) need { return need{permission, "read", roleRead, false, false} }

// says is what everybody who can read may write: an App needs the permission.
func says(permission string) need { return need{permission, "write", roleRead, false, false} }

func writes(permission string) need { return need{permission, "write", roleWrite, false, false} }

func rules(permission, level string) need { return need{permission, level, roleAdmin, false, false} }

func itself() need { return need{jwt: true} }

func pullRoutes() []route {
	const pulls = "/repos/{owner}/{repo}/pulls"
	const one = pulls + "/{pull_number}"
	return []route{
		{get, pulls, reads("pull_requests"), (*call).listPulls},
		{post, pulls, writes("pull_requests"), (*call).openPull},
		{get, one, reads("pull_requests"), (*call).getPull},
		{patch, one, says("pull_requests"), (*call).editPull},
		{get, one + "/commits", reads("pull_requests"), (*call).pullCommits},
		{get, one + "/files", reads("pull_requests"), (*call).pullFiles},
		{put, one + "/merge", writes("contents"), (*call).merge},
		{get, one + "/reviews", reads("pull_requests"), (*call).listReviews},
		{post, one + "/reviews", says("pull_requests"), (*call).submitReview},
		{get, one + "/reviews/{review_id}", reads("pull_requests"), (*call).getReview},
		{put, one + "/reviews/{review_id}/dismissals", writes("pull_requests"), (*call).dismissReview},
		{post, one + "/requested_reviewers", writes("pull_requests"), (*call).requestReviewers},
	}
}

func commitRoutes() []route {
	const repo = "/repos/{owner}/{repo}"
	return []route{
		{get, repo + "/commits", reads("contents"), (*call).listCommits},
		{get, repo + "/commits/{ref}", reads("contents"), (*call).getCommit},
		{get, repo + "/commits/{ref}/statuses", reads("statuses"), (*call).listStatuses},
		{get, repo + "/commits/{ref}/status", reads("statuses"), (*call).combinedStatus},
		{get, repo + "/commits/{ref}/check-runs", reads("checks"), (*call).listCheckRuns},
		{get, repo + "/commits/{commit_sha}/pulls", reads("pull_requests"), (*call).pullsOfCommit},
		{post, repo + "/statuses/{sha}", writes("statuses"), (*call).postStatus},
		{post, repo + "/check-runs", writes("checks"), (*call).createCheckRun},
		{get, repo + "/check-runs/{check_run_id}", reads("checks"), (*call).getCheckRun},
		{patch, repo + "/check-runs/{check_run_id}", writes("checks"), (*call).updateCheckRun},
		{get, repo + "/actions/runs", reads("actions"), (*call).listRuns},
		{get, repo + "/actions/runs/{run_id}", reads("actions"), (*call).getRun},
		{get, repo + "/actions/runs/{run_id}/jobs", reads("actions"), (*call).listJobs},
		{get, repo + "/actions/runs/{run_id}/attempts/{attempt_number}/jobs", reads("actions"), (*call).listJobs},
		{post, repo + "/actions/runs/{run_id}/rerun", writes("actions"), (*call).rerun},
		{get, repo + "/compare/{basehead}", reads("contents"), (*call).compare},
		{get, repo + "/contents/{path}", reads("contents"), (*call).getContents},
		{put, repo + "/contents/{path}", writes("contents"), (*call).putContents},
		{get, repo + "/git/ref/{ref}", reads("contents"), (*call).getRef},
		{get, repo + "/git/matching-refs/{ref}", reads("contents"), (*call).matchingRefs},
		{post, repo + "/git/refs", writes("contents"), (*call).createRef},
		{patch, repo + "/git/refs/{ref}", writes("contents"), (*call).updateRef},
		{remove, repo + "/git/refs/{ref}", writes("contents"), (*call).deleteRef},
		{post, repo + "/git/tags", writes("contents"), (*call).createTag},
		{get, repo + "/git/tags/{tag_sha}", reads("contents"), (*call).getTag},
		{get, repo + "/git/commits/{commit_sha}", reads("contents"), (*call).getGitCommit},
		{get, repo + "/releases", reads("contents"), (*call).listReleases},
		{post, repo + "/releases", writes("contents"), (*call).publish},
		{get, repo + "/releases/tags/{tag}", reads("contents"), (*call).releaseByTag},
	}
}

func issueRoutes() []route {
	const repo = "/repos/{owner}/{repo}"
	const issue = repo + "/issues/{issue_number}"
	const comment = repo + "/issues/comments/{comment_id}"
	return []route{
		{get, repo + "/issues", reads("issues"), (*call).listIssues},
		{post, repo + "/issues", says("issues"), (*call).openIssue},
		{get, issue, reads("issues"), (*call).getIssue},
		{patch, issue, says("issues"), (*call).editIssue},
		{get, issue + "/comments", reads("issues"), (*call).listComments},
		{post, issue + "/comments", says("issues"), (*call).addComment},
		{get, comment, reads("issues"), (*call).getComment},
		{patch, comment, says("issues"), (*call).editComment},
		{remove, comment, writes("issues"), (*call).deleteComment},
		{get, comment + "/reactions", reads("issues"), (*call).listReactions},
		{post, comment + "/reactions", says("issues"), (*call).addReaction},
		{get, issue + "/timeline", reads("issues"), (*call).timeline},
		{get, issue + "/labels", reads("issues"), (*call).listIssueLabels},
		{post, issue + "/labels", writes("issues"), (*call).addIssueLabels},
		{remove, issue + "/labels/{name}", writes("issues"), (*call).removeIssueLabel},
		{get, repo + "/labels", reads("issues"), (*call).listLabels},
		{post, repo + "/labels", writes("issues"), (*call).createLabel},
	}
}

func otherRoutes() []route {
	const repo = "/repos/{owner}/{repo}"
	const branch = repo + "/branches/{branch}"
	const team = "/orgs/{org}/teams/{team_slug}"
	return []route{
		{get, repo, reads("metadata"), (*call).getRepository},
		{get, repo + "/activity", reads("contents"), (*call).listActivity},
		{get, repo + "/collaborators", reads("metadata"), (*call).listCollaborators},
		{get, repo + "/collaborators/{username}/permission", reads("metadata"), (*call).permissionOf},
		{get, repo + "/teams", reads("administration"), (*call).repoTeams},
		{get, repo + "/branches", reads("contents"), (*call).listBranches},
		{get, branch, reads("contents"), (*call).getBranch},
		{get, branch + "/protection", rules("administration", "read"), (*call).getProtection},
		{put, branch + "/protection", rules("administration", "write"), (*call).setProtection},
		{remove, branch + "/protection", rules("administration", "write"), (*call).deleteProtection},
		{get, repo + "/rules/branches/{branch}", reads("metadata"), (*call).branchRules},
		{get, repo + "/rulesets", reads("metadata"), (*call).listRulesets},
		{post, repo + "/rulesets", rules("administration", "write"), (*call).createRuleset},
		{get, repo + "/rulesets/{ruleset_id}", reads("metadata"), (*call).getRuleset},
		{put, repo + "/rulesets/{ruleset_id}", rules("administration", "write"), (*call).updateRuleset},
		{remove, repo + "/rulesets/{ruleset_id}", rules("administration", "write"), (*call).deleteRuleset},
		{get, repo + "/hooks", rules("repository_hooks", "read"), (*call).listHooks},
		{post, repo + "/hooks", rules("repository_hooks", "write"), (*call).createHook},
		{patch, repo + "/hooks/{hook_id}", rules("repository_hooks", "write"), (*call).editHook},
		{remove, repo + "/hooks/{hook_id}", rules("repository_hooks", "write"), (*call).deleteHook},
		{get, repo + "/installation", itself(), (*call).repoInstallation},
		{get, "/orgs/{org}/teams", reads("members"), (*call).listTeams},
		{get, team, reads("members"), (*call).getTeam},
		{get, team + "/members", reads("members"), (*call).teamMembers},
		{get, team + "/memberships/{username}", reads("members"), (*call).teamMembership},
		{get, "/user", need{}, (*call).myself},
		{get, "/users/{username}", need{anyone: true}, (*call).getUser},
		{get, "/app", itself(), (*call).getApp},
		{get, "/apps/{app_slug}", need{anyone: true}, (*call).getAppNamed},
		{get, "/app/installations", itself(), (*call).installations},
		{post, "/app/installations/{installation_id}/access_tokens", itself(), (*call).installationToken},
	}
}
