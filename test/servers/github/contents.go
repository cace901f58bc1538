package github

import (
	"encoding/base64"
	"net/http"
	"path"
	"strconv"
	"strings"
)

// entry is one entry of a git tree.
type entry struct {
	mode, kind, sha, path string
	size                  int64
}

func (s *Server) entries(r *repository, at string, paths ...string) []entry {
	out, err := s.run(r, "", nil, append([]string{"ls-tree", "-z", "-l", "--full-tree", at, "--"}, paths...)...)
	if err != nil {
		return nil
	}
	var list []entry
	for _, line := range strings.Split(out, "\x00") {
		meta, name, ok := strings.Cut(line, "\t")
		f := strings.Fields(meta)
		if !ok || len(f) != 4 {
			continue
		}
		size, _ := strconv.ParseInt(f[3], 10, 64) // "-" for what has none
		list = append(list, entry{mode: f[0], kind: f[1], sha: f[2], path: name, size: size})
	}
	return list
}

// wholeLimit is the size in bytes from which a file comes without its content.
const wholeLimit = 1 << 20

func (c *call) getContents() reply {
	at := c.query("ref")
	if at == "" {
		at = "main"
	}
	sha := c.resolve(c.repo, at)
	if sha == "" {
		return c.refuse(http.StatusNotFound, "No commit found for the ref "+at)
	}
	name := strings.Trim(c.param("path"), "/")
	if name != "" {
		found := c.entries(c.repo, sha, name)
		if len(found) != 1 {
			return c.notFound()
		}
		if found[0].kind != "tree" {
			return c.ok(c.content(found[0], true))
		}
		name += "/"
	}
	var list []entry
	if name == "" {
		list = c.entries(c.repo, sha)
	} else {
		list = c.entries(c.repo, sha, name)
	}
	return c.ok(rows(list, func(e entry) object { return c.content(e, false) }))
}

func (c *call) content(e entry, whole bool) object {
	kind := "file"
	switch {
	case e.kind == "tree":
		kind = "dir"
	case e.kind == "commit":
		kind = "submodule"
	case e.mode == "120000":
		kind = "symlink"
	}
	address := c.api(c.repo) + "/contents/" + e.path
	o := object{"type": kind, "name": path.Base(e.path), "path": e.path, "sha": e.sha, "size": e.size, "url": address,
		"html_url": address, "git_url": address, "download_url": address,
		"_links": object{"self": address, "git": address, "html": address}}
	if !whole {
		return o
	}
	if kind == "submodule" {
		o["submodule_git_url"] = address
		return o
	}
	body, err := c.run(c.repo, "", nil, "cat-file", "blob", e.sha)
	switch {
	case err != nil:
	case kind == "symlink":
		o["target"] = body
	case e.size >= wholeLimit:
		o["encoding"], o["content"] = "none", ""
	default:
		o["encoding"], o["content"] = "base64", folded(base64.StdEncoding.EncodeToString([]byte(body)))
	}
	return o
}

func (c *call) putContents() reply {
	var in struct{ Message, Content, Branch, SHA string }
	if err := c.read(&in); err != nil {
		return c.refuse(http.StatusBadRequest, "Problems parsing JSON")
	}
	if in.Branch == "" {
		in.Branch = "main"
	}
	body, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(in.Content, "\n", ""))
	if err != nil {
		return c.refuse(http.StatusUnprocessableEntity, "content is not valid Base64")
	}
	tip := c.tip(c.repo, "refs/heads/"+in.Branch)
	if tip == "" {
		return c.refuse(http.StatusNotFound, "Branch "+in.Branch+" not found")
	}
	name, status := c.param("path"), http.StatusCreated
	if found := c.entries(c.repo, tip, name); len(found) == 1 {
		status = http.StatusOK
		if in.SHA == "" {
			return c.refuse(http.StatusUnprocessableEntity, "Invalid request.\n\n\"sha\" wasn't supplied.")
		}
		if in.SHA != found[0].sha {
			return c.refuse(http.StatusConflict, name+" does not match "+in.SHA)
		}
	}
	sha, err := c.pushAs(c.repo, c.cred.who, in.Branch, Commit{Message: in.Message, Files: map[string]string{name: string(body)}})
	if err != nil {
		return c.refuse(http.StatusConflict, err.Error())
	}
	made, _ := c.Server.commit(c.repo, sha)
	full := c.gitCommit(c.repo, made)["commit"].(object)
	full["sha"], full["html_url"] = sha, c.html(c.repo)+"/commit/"+sha
	return reply{status, object{"content": c.content(c.entries(c.repo, sha, name)[0], false), "commit": full}}
}

// folded breaks base64 into lines, as GitHub does.
func folded(text string) string {
	var out strings.Builder
	for len(text) > 60 {
		out.WriteString(text[:60] + "\n")
		text = text[60:]
	}
	return out.String() + text + "\n"
}
