package github

import "strings"

// gitCommit is a commit as REST calls show it: with the accounts behind its
// e-mails, null for one that belongs to nobody.
func (s *Server) gitCommit(r *repository, c commit) object {
	parents := []any{}
	for _, p := range c.parents {
		parents = append(parents, object{"sha": p, "url": s.api(r) + "/commits/" + p, "html_url": s.html(r) + "/commit/" + p})
	}
	return object{
		"sha": c.sha, "url": s.api(r) + "/commits/" + c.sha, "html_url": s.html(r) + "/commit/" + c.sha,
		"comments_url": s.api(r) + "/commits/" + c.sha + "/comments",
		"author":       s.user(s.behind(c.author.Email)), "committer": s.user(s.behind(c.committer.Email)),
		"parents": parents,
		"commit": object{
			"message": c.message, "url": s.api(r) + "/git/commits/" + c.sha, "comment_count": 0,
			"author": signed(c.author), "committer": signed(c.committer), "tree": object{"sha": c.tree, "url": s.api(r) + "/git/trees/" + c.tree},
		},
	}
}

// behind is the account that an e-mail belongs to, nil for none.
func (s *Server) behind(mail string) *Account {
	for _, a := range s.accounts {
		if strings.EqualFold(a.Email, mail) && mail != "" {
			return a
		}
	}
	return nil
}

func (s *Server) simpleCommit(c commit) object {
	return object{"id": c.sha, "tree_id": c.tree, "message": c.message, "timestamp": c.committer.When,
		"author":    object{"name": c.author.Name, "email": c.author.Email},
		"committer": object{"name": c.committer.Name, "email": c.committer.Email}}
}

func (s *Server) file(r *repository, f changed, at string) object {
	o := object{"sha": f.blob, "filename": f.path, "status": f.status, "additions": f.added, "deletions": f.deleted,
		"changes": f.added + f.deleted, "blob_url": s.html(r) + "/blob/" + at + "/" + f.path,
		"raw_url": s.html(r) + "/raw/" + at + "/" + f.path, "contents_url": s.api(r) + "/contents/" + f.path + "?ref=" + at}
	if f.status == "removed" {
		o["sha"] = nil
	}
	if f.previous != "" {
		o["previous_filename"] = f.previous
	}
	return o
}

func (s *Server) gitRef(r *repository, ref, sha string) object {
	return object{"ref": ref, "url": s.api(r) + "/git/" + ref, "object": s.gitObject(r, sha)}
}

func (s *Server) gitObject(r *repository, sha string) object {
	kind := s.ask(r, "cat-file", "-t", sha)
	return object{"type": kind, "sha": sha, "url": s.api(r) + "/git/" + kind + "s/" + sha}
}

func signed(g signature) object {
	return object{"name": g.Name, "email": g.Email, "date": g.When}
}
