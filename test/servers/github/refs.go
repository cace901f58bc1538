package github

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

func (c *call) getRef() reply {
	ref := "refs/" + c.param("ref")
	sha := c.tip(c.repo, ref)
	if sha == "" || c.refs(c.repo)[ref] == "" {
		return c.notFound()
	}
	return c.ok(c.gitRef(c.repo, ref, sha))
}

func (c *call) matchingRefs() reply {
	var list []any
	all := c.refs(c.repo)
	for _, ref := range sortedKeys(all) {
		if strings.HasPrefix(ref, "refs/"+c.param("ref")) {
			list = append(list, c.gitRef(c.repo, ref, all[ref]))
		}
	}
	return c.list(list)
}

func (c *call) createRef() reply {
	var in struct{ Ref, SHA string }
	if err := c.read(&in); err != nil {
		return c.refuse(http.StatusBadRequest, "Problems parsing JSON")
	}
	switch {
	case !strings.HasPrefix(in.Ref, "refs/") || strings.Count(in.Ref, "/") < 2:
		return c.refuse(http.StatusUnprocessableEntity, "Reference name must start with 'refs/' and contain at least two slashes.")
	case c.tip(c.repo, in.Ref) != "":
		return c.refuse(http.StatusUnprocessableEntity, "Reference already exists")
	case c.ask(c.repo, "cat-file", "-t", in.SHA) == "":
		return c.refuse(http.StatusUnprocessableEntity, "Object does not exist")
	}
	if err := c.shift(c.repo, c.cred.who, in.Ref, in.SHA, ""); err != nil {
		return c.refuse(http.StatusUnprocessableEntity, err.Error())
	}
	return reply{http.StatusCreated, c.gitRef(c.repo, in.Ref, in.SHA)}
}

func (c *call) updateRef() reply {
	ref := "refs/" + c.param("ref")
	var in struct {
		SHA   string
		Force bool
	}
	if err := c.read(&in); err != nil {
		return c.refuse(http.StatusBadRequest, "Problems parsing JSON")
	}
	old := c.tip(c.repo, ref)
	switch {
	case old == "":
		return c.refuse(http.StatusUnprocessableEntity, "Reference does not exist")
	case c.ask(c.repo, "cat-file", "-t", in.SHA) == "":
		return c.refuse(http.StatusUnprocessableEntity, "Object does not exist")
	case !in.Force && c.ask(c.repo, "merge-base", old, in.SHA) != old:
		return c.refuse(http.StatusUnprocessableEntity, "Update is not a fast forward")
	}
	if err := c.shift(c.repo, c.cred.who, ref, in.SHA, old); err != nil {
		return c.refuse(http.StatusUnprocessableEntity, err.Error())
	}
	return c.ok(c.gitRef(c.repo, ref, in.SHA))
}

func (c *call) deleteRef() reply {
	ref := "refs/" + c.param("ref")
	old := c.tip(c.repo, ref)
	if old == "" {
		return c.refuse(http.StatusUnprocessableEntity, "Reference does not exist")
	}
	if err := c.shift(c.repo, c.cred.who, ref, "", old); err != nil {
		return c.refuse(http.StatusUnprocessableEntity, err.Error())
	}
	return reply{status: http.StatusNoContent}
}

// shift moves a ref as somebody, with all that follows from it; to "" deletes
// it. Protected branches are not moved so.
func (s *Server) shift(r *repository, who *Account, ref, to, from string) error {
	branch, isBranch := strings.CutPrefix(ref, "refs/heads/")
	if isBranch && s.guarded(r, branch) {
		return errors.New("protected branch hook declined: Changes must be made through a pull request")
	}
	before := s.refs(r)
	if to == "" {
		if _, err := s.run(r, "", nil, "update-ref", "-d", ref, from); err != nil {
			return err
		}
	} else if err := s.move(r, ref, to, from); err != nil {
		return err
	}
	s.moved(r, before, who)
	return nil
}

func (c *call) createTag() reply {
	var in struct{ Tag, Message, Object, Type string }
	if err := c.read(&in); err != nil {
		return c.refuse(http.StatusBadRequest, "Problems parsing JSON")
	}
	if c.ask(c.repo, "cat-file", "-t", in.Object) != in.Type {
		return c.refuse(http.StatusUnprocessableEntity, "Object does not exist or is no "+in.Type)
	}
	by := as(c.cred.who)
	text := fmt.Sprintf("object %s\ntype %s\ntag %s\ntagger %s <%s> %s\n\n%s\n", in.Object, in.Type, in.Tag, by.Name, by.Email, stamp(by.When), in.Message)
	sha, err := c.run(c.repo, text, nil, "mktag")
	if err != nil {
		return c.refuse(http.StatusUnprocessableEntity, err.Error())
	}
	return reply{http.StatusCreated, c.tagObject(strings.TrimSpace(sha))}
}

func (c *call) getTag() reply {
	sha := c.param("tag_sha")
	if c.ask(c.repo, "cat-file", "-t", sha) != "tag" {
		return c.notFound()
	}
	return c.ok(c.tagObject(sha))
}

func (c *call) tagObject(sha string) object {
	head, message, _ := strings.Cut(c.ask(c.repo, "cat-file", "tag", sha), "\n\n")
	fields := map[string]string{}
	for line := range strings.Lines(head) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		fields[key] = value
	}
	name, rest, _ := strings.Cut(fields["tagger"], " <")
	mail, when, _ := strings.Cut(rest, "> ")
	when, _, _ = strings.Cut(when, " ")
	return object{"sha": sha, "tag": fields["tag"], "message": message, "url": c.api(c.repo) + "/git/tags/" + sha,
		"object": object{"type": fields["type"], "sha": fields["object"], "url": c.api(c.repo)},
		"tagger": signed(signature{name, mail, moment(when)})}
}

func (c *call) getGitCommit() reply {
	k, found := c.Server.commit(c.repo, c.param("commit_sha"))
	if !found {
		return c.notFound()
	}
	parents := []any{}
	for _, p := range k.parents {
		parents = append(parents, object{"sha": p, "url": c.api(c.repo), "html_url": c.html(c.repo)})
	}
	return c.ok(object{"sha": k.sha, "message": k.message, "author": signed(k.author), "committer": signed(k.committer),
		"tree": object{"sha": k.tree, "url": c.api(c.repo)}, "parents": parents})
}

func (c *call) getCommit() reply {
	sha := c.resolve(c.repo, c.param("ref"))
	k, found := c.Server.commit(c.repo, sha)
	if sha == "" || !found {
		return c.refuse(http.StatusUnprocessableEntity, "No commit found for SHA: "+c.param("ref"))
	}
	return c.ok(c.gitCommit(c.repo, k))
}

func (c *call) listCommits() reply {
	from := c.query("sha")
	if from == "" {
		from = "main"
	}
	sha := c.resolve(c.repo, from)
	if sha == "" {
		return c.notFound()
	}
	list, err := c.log(c.repo, "-1000", sha)
	if err != nil {
		return c.notFound()
	}
	return c.list(rows(list, func(k commit) object { return c.gitCommit(c.repo, k) }))
}

func (c *call) pullsOfCommit() reply {
	sha := c.param("commit_sha")
	list := slices.DeleteFunc(slices.Clone(c.repo.pulls), func(p *pull) bool { return p.mergeSHA != sha && p.headSHA != sha })
	return c.list(rows(list, func(p *pull) object { return c.pullRequest(c.repo, p) }))
}

// compare shows what the second of two commits has beyond the first. The files
// come with the first page alone.
func (c *call) compare() reply {
	left, right, ok := strings.Cut(c.param("basehead"), "...")
	base, head := c.resolve(c.repo, left), c.resolve(c.repo, right)
	if !ok || base == "" || head == "" {
		return c.notFound()
	}
	fork := c.ask(c.repo, "merge-base", base, head)
	if fork == "" {
		return c.refuse(http.StatusNotFound, "No common ancestor between "+left+" and "+right+".")
	}
	commits, files := c.between(c.repo, base, head)
	behind := len(strings.Fields(c.ask(c.repo, "rev-list", head+".."+base)))
	state := "diverged"
	switch {
	case base == head:
		state = "identical"
	case behind == 0:
		state = "ahead"
	case len(commits) == 0:
		state = "behind"
	}
	baseCommit, _ := c.Server.commit(c.repo, base)
	forkCommit, _ := c.Server.commit(c.repo, fork)
	o := object{"status": state, "ahead_by": len(commits), "behind_by": behind, "total_commits": len(commits),
		"base_commit": c.gitCommit(c.repo, baseCommit), "merge_base_commit": c.gitCommit(c.repo, forkCommit),
		"commits": c.page(rows(commits, func(k commit) object { return c.gitCommit(c.repo, k) }))}
	if page := c.query("page"); page == "" || page == "1" {
		o["files"] = rows(files[:min(len(files), 300)], func(f changed) object { return c.file(c.repo, f, head) })
	}
	return c.ok(o)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
