package github

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// merging is what a merge asks for.
type merging struct {
	Title   string `json:"commit_title"`
	Message string `json:"commit_message"`
	SHA     string `json:"sha"`
	Method  string `json:"merge_method"`
}

func (c *call) merge() reply {
	p := c.pullOf()
	if p == nil {
		return c.notFound()
	}
	var in merging
	if err := c.read(&in); err != nil {
		return c.refuse(http.StatusBadRequest, "Problems parsing JSON")
	}
	if in.Method == "" {
		in.Method = "merge"
	}
	c.compute(c.repo, p)
	switch {
	case !p.open:
		return c.refuse(http.StatusMethodNotAllowed, "Pull Request is not mergeable")
	case in.SHA != "" && in.SHA != p.headSHA:
		return c.refuse(http.StatusConflict, "Head branch was modified. Review and try the merge again.")
	case p.draft:
		return c.refuse(http.StatusMethodNotAllowed, "Pull Request is still a draft")
	case !p.mergeable:
		return c.refuse(http.StatusMethodNotAllowed, "Pull Request is not mergeable")
	}
	if unmet := c.unmet(c.repo, p); unmet != "" {
		return c.refuse(http.StatusMethodNotAllowed, unmet)
	}
	if in.Method == "merge" && c.linear(c.repo, p.base) {
		return c.refuse(http.StatusMethodNotAllowed, "Merge commits are not allowed on this repository.")
	}
	sha, err := c.land(p, in)
	if err != nil {
		return c.refuse(http.StatusMethodNotAllowed, "Pull Request is not mergeable")
	}
	return c.ok(object{"sha": sha, "merged": true, "message": "Pull Request successfully merged"})
}

// land puts a pull request on its base, in git, and records it.
func (c *call) land(p *pull, in merging) (string, error) {
	tip := c.tip(c.repo, "refs/heads/"+p.base)
	before := c.refs(c.repo)
	var sha string
	var err error
	switch in.Method {
	case "squash":
		sha, err = c.squash(p, tip, in)
	case "rebase":
		sha, err = c.rebase(p, tip)
	default:
		sha, err = c.join(p, tip, in)
	}
	if err != nil {
		return "", err
	}
	if err := c.move(c.repo, "refs/heads/"+p.base, sha, tip); err != nil {
		return "", err
	}
	c.record(c.repo, p, sha, tip, c.cred.who)
	c.moved(c.repo, before, c.cred.who)
	return sha, nil
}

// record makes a pull request a merged one.
func (s *Server) record(r *repository, p *pull, sha, base string, who *Account) {
	p.baseSHA = base
	p.open, p.merged, p.mergeSHA, p.mergedBy = false, true, sha, who
	p.closed, p.mergedAt, p.updated = now(), now(), now()
	s.happened(p, "merged", who)
	s.happened(p, "closed", who)
	s.announcePull(r, p, "closed", who, nil)
}

// web is the committer of what GitHub itself commits.
func web() signature {
	return signature{Name: "GitHub", Email: "noreply@github.com", When: now()}
}

func as(a *Account) signature { return signature{Name: a.Login, Email: a.Email, When: now()} }

func (c *call) squash(p *pull, tip string, in merging) (string, error) {
	tree, clean := c.mergeTree(c.repo, tip, p.headSHA)
	if !clean {
		return "", fmt.Errorf("it conflicts")
	}
	title := in.Title
	if title == "" {
		title = p.title + " (#" + strconv.FormatInt(p.number, 10) + ")"
	}
	return c.Server.write(c.repo, tree, whole(title, in.Message), as(p.author), web(), tip)
}

func (c *call) join(p *pull, tip string, in merging) (string, error) {
	tree, clean := c.mergeTree(c.repo, tip, p.headSHA)
	if !clean {
		return "", fmt.Errorf("it conflicts")
	}
	title, message := in.Title, in.Message
	if title == "" {
		title = "Merge pull request #" + strconv.FormatInt(p.number, 10) + " from " + p.headRepo.owner.Login + "/" + p.head
		message = p.title
	}
	return c.Server.write(c.repo, tree, whole(title, message), as(c.cred.who), web(), tip, p.headSHA)
}

// rebase puts each commit anew on the tip, but for merges and what changes
// nothing there. A commit is carried over as the merge of the tip with it, on a
// stand-in of the tip whose parent is the commit's own.
func (c *call) rebase(p *pull, tip string) (string, error) {
	commits, _ := c.contribution(c.repo, p)
	for _, k := range commits {
		if len(k.parents) != 1 {
			continue
		}
		onto, found := c.Server.commit(c.repo, tip)
		if !found {
			return "", fmt.Errorf("the tip is gone")
		}
		standIn, err := c.Server.write(c.repo, onto.tree, "stand-in", web(), web(), k.parents[0])
		if err != nil {
			return "", err
		}
		tree, clean := c.mergeTree(c.repo, standIn, k.sha)
		if !clean {
			return "", fmt.Errorf("it conflicts")
		}
		if tree == onto.tree {
			continue
		}
		if tip, err = c.Server.write(c.repo, tree, k.message, k.author, as(c.cred.who), tip); err != nil {
			return "", err
		}
	}
	return tip, nil
}

// unmet is the first rule of the base that a pull request does not meet, in the
// words of a refused merge; "" when all are met.
func (s *Server) unmet(r *repository, p *pull) string {
	var missing []string
	rules := s.rulesFor(r, p.base)
	for _, need := range rules {
		if sentence := s.unmetBy(r, p, need); sentence != "" {
			missing = append(missing, sentence)
		}
	}
	if len(missing) == 0 {
		return ""
	}
	for _, need := range rules {
		if need.ruleset && s.unmetBy(r, p, need) != "" {
			return "Repository rule violations found\n\n" + strings.Join(missing, "\n\n")
		}
	}
	return missing[0]
}

func (s *Server) unmetBy(r *repository, p *pull, need demand) string {
	tip := s.tip(r, "refs/heads/"+p.base)
	approved := 0
	for who, v := range p.decisive() {
		if s.roleOf(who, r) < roleWrite || who == p.author {
			continue
		}
		if v.state == "CHANGES_REQUESTED" && need.approvals > 0 {
			return "Changes must be addressed before merging."
		}
		if v.state == "APPROVED" {
			approved++
		}
	}
	if approved < need.approvals {
		return fmt.Sprintf("At least %d approving review%s required by reviewers with write access.", need.approvals, plural(need.approvals))
	}
	if need.strict && s.ask(r, "merge-base", tip, p.headSHA) != tip {
		return "The head branch is not up to date with the base branch."
	}
	for _, context := range need.contexts {
		if state, seen := r.reported(p.headSHA, context); !seen {
			return fmt.Sprintf("Required status check %q is expected.", context)
		} else if !slices.Contains([]string{"success", "neutral", "skipped"}, state) {
			return fmt.Sprintf("Required status check %q is %s.", context, state)
		}
	}
	return ""
}

// reported is the state of a context on a commit, be it a status or a check run.
func (r *repository) reported(sha, context string) (state string, seen bool) {
	if st := r.contexts(sha)[context]; st != nil {
		return st.state, true
	}
	for _, k := range r.checksOf(sha, true) {
		if k.name == context {
			if k.status != "completed" {
				return "pending", true
			}
			return k.conclusion, true
		}
	}
	return "", false
}

func whole(title, message string) string {
	if message == "" {
		return title + "\n"
	}
	return title + "\n\n" + message + "\n"
}

func plural(n int) string {
	if n == 1 {
		return " is"
	}
	return "s are"
}
