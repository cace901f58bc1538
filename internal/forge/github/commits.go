package github

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	sdk "github.com/google/go-github/v62/github"

	"slipway/gate"
	"slipway/internal/ref"
)

// compared is what lies between the tip of the base and the head.
type compared struct {
	commits  []commit // oldest first
	people   people
	upToDate ref.Fact
	files    []gate.File
}

// commit is one commit with the trailers that name further authors.
type commit struct {
	gate.Commit
	coAuthors []string // e-mails
}

// people are the logins behind e-mails, in lower case, as far as they were seen.
type people map[string]string

// coAuthor matches a Co-authored-by line wherever it stands: one that git would
// not call a trailer still names an author.
var coAuthor = regexp.MustCompile(`(?im)^[ \t]*co-authored-by:[^<>\n]*<([^<>\n]+)>[ \t]*\r?$`)

// compare reads what head brings to base. Both are commits, so the answer is
// the same for ever, but for whom the e-mails belong to. It gives at most 300
// files.
func (c *Client) compare(ctx context.Context, repo ref.RepoID, base, head ref.SHA) (compared, error) {
	out := compared{people: people{}}
	total := 0
	list, err := pages(func(o sdk.ListOptions) ([]*sdk.RepositoryCommit, *sdk.Response, error) {
		page, response, err := c.sdk.Repositories.CompareCommits(ctx, repo.Owner, repo.Name, string(base), string(head), &o)
		if err != nil {
			return nil, response, err
		}
		if o.Page == 0 {
			if page.BehindBy == nil || page.TotalCommits == nil {
				return nil, response, errors.New("the server does not say how far apart they are")
			}
			total = page.GetTotalCommits()
			out.upToDate = ref.Known(page.GetBehindBy() == 0)
			for _, f := range page.Files {
				out.files = append(out.files, toFile(f))
			}
		}
		return page.Commits, response, nil
	})
	if err != nil {
		return compared{}, err
	}
	if err := counted("commits", len(list), total); err != nil {
		return compared{}, err
	}
	for _, row := range list {
		one, err := toCommit(row)
		if err != nil {
			return compared{}, err
		}
		out.people.addAs(one.AuthorEmail, one.Author)
		out.people.addAs(one.CommitterEmail, one.Committer)
		out.commits = append(out.commits, one)
	}
	if n := len(out.commits); n > 0 && out.commits[n-1].SHA != head {
		return compared{}, fmt.Errorf("the last of the commits is %s, not the head", out.commits[n-1].SHA.Short())
	}
	return out, nil
}

func toCommit(row *sdk.RepositoryCommit) (commit, error) {
	if row.GetCommit().GetAuthor() == nil || row.GetCommit().GetCommitter() == nil {
		return commit{}, errors.New("a commit without its author")
	}
	sha, err := ref.ParseSHA(row.GetSHA())
	if err != nil {
		return commit{}, err
	}
	one := commit{Commit: gate.Commit{
		SHA:            sha,
		Author:         row.GetAuthor().GetLogin(),
		AuthorEmail:    row.Commit.Author.GetEmail(),
		Committer:      row.GetCommitter().GetLogin(),
		CommitterEmail: row.Commit.Committer.GetEmail(),
		Parents:        len(row.Parents),
	}}
	for _, found := range coAuthor.FindAllStringSubmatch(row.Commit.GetMessage(), -1) {
		one.coAuthors = append(one.coAuthors, strings.TrimSpace(found[1]))
	}
	return one, nil
}

// withCoAuthors maps the trailers to logins. GitHub has no lookup by e-mail, but
// it matters only whether a co-author is somebody who reviews, and the
// placeholder addresses and the people seen on this pull request tell.
func withCoAuthors(commits []commit, known people) []gate.Commit {
	out := make([]gate.Commit, 0, len(commits))
	for _, one := range commits {
		for _, mail := range one.coAuthors {
			one.CoAuthors = append(one.CoAuthors, gate.CoAuthor{Login: known.behind(mail), Email: mail})
		}
		out = append(out, one.Commit)
	}
	return out
}

func (p people) addAs(mail, login string) {
	if mail != "" && login != "" {
		p[strings.ToLower(mail)] = login
	}
}

// behind is the login for an e-mail, or "". A placeholder address
// (LOGIN@users.noreply.HOST or ID+LOGIN@users.noreply.HOST) says it itself.
func (p people) behind(mail string) string {
	mail = strings.ToLower(mail)
	if login, found := p[mail]; found {
		return login
	}
	local, host, _ := strings.Cut(mail, "@")
	if !strings.HasPrefix(host, "users.noreply.") {
		return ""
	}
	if _, login, found := strings.Cut(local, "+"); found {
		return login
	}
	return local
}

// filesLimit is how many files GitHub gives with a comparison, and allFiles how
// many it lists at all.
const (
	filesLimit = 300
	allFiles   = 3000
)

// files lists all changed files. A comparison's may be all there are.
func (c *Client) files(ctx context.Context, r record, compared []gate.File) ([]gate.File, error) {
	if len(compared) < filesLimit && len(compared) == r.files {
		return compared, nil
	}
	list, err := pages(func(o sdk.ListOptions) ([]*sdk.CommitFile, *sdk.Response, error) {
		return c.sdk.PullRequests.ListFiles(ctx, r.ID.Repo.Owner, r.ID.Repo.Name, int(r.ID.Number), &o)
	})
	if err != nil {
		return nil, err
	}
	files := make([]gate.File, 0, len(list))
	for _, f := range list {
		files = append(files, toFile(f))
	}
	if len(files) >= allFiles {
		return files, fmt.Errorf("there may be more than the %d that GitHub lists", allFiles)
	}
	return files, counted("changed files", len(files), r.files)
}

func toFile(f *sdk.CommitFile) gate.File {
	return gate.File{Path: f.GetFilename(), Previous: f.GetPreviousFilename(), Added: f.GetAdditions(), Deleted: f.GetDeletions()}
}

const workflowDir = ".github/workflows"

// definesWorkflows says whether the path is the workflow folder, lies in it, or
// is above it (and so replaces it by a file or a link).
func definesWorkflows(path string) bool {
	return path != "" && (path == workflowDir || strings.HasPrefix(path, workflowDir+"/") || strings.HasPrefix(workflowDir, path+"/"))
}
