package gitea

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"

	sdk "code.gitea.io/sdk/gitea"

	"slipway/gate"
	"slipway/internal/ref"
)

// commit is one commit with the trailers that name further authors.
type commit struct {
	gate.Commit
	parents   []ref.SHA
	coAuthors []string // e-mails
}

// people are the logins behind e-mails, in lower case, as far as they were seen.
type people map[string]string

// coAuthor matches a Co-authored-by line wherever it stands: one that git would
// not call a trailer still names an author.
var coAuthor = regexp.MustCompile(`(?im)^[ \t]*co-authored-by:[^<>\n]*<([^<>\n]+)>[ \t]*\r?$`)

// commits lists what the pull request brings to its base, oldest first.
func (c *Client) commits(ctx context.Context, id ref.PullID) ([]commit, people, error) {
	list, err := pages(func(o sdk.ListOptions) (rows []*sdk.Commit, r *sdk.Response, err error) {
		// The SDK cannot leave out the signatures and files, which cost a git
		// process for each commit.
		r, err = c.get(ctx, pullPath(id, "commits")+query(o, "&verification=false&files=false"), &rows)
		return rows, r, err
	})
	if err != nil {
		return nil, nil, err
	}
	known := people{}
	commits := make([]commit, 0, len(list))
	for _, row := range list {
		one, err := toCommit(row)
		if err != nil {
			return nil, nil, err
		}
		known.addAs(one.AuthorEmail, one.Author)
		known.addAs(one.CommitterEmail, one.Committer)
		commits = append(commits, one)
	}
	slices.Reverse(commits) // they come newest first
	return commits, known, nil
}

func toCommit(row *sdk.Commit) (commit, error) {
	if row.CommitMeta == nil || row.RepoCommit == nil || row.RepoCommit.Author == nil || row.RepoCommit.Committer == nil {
		return commit{}, errors.New("a commit without its author")
	}
	sha, err := ref.ParseSHA(row.SHA)
	if err != nil {
		return commit{}, err
	}
	one := commit{Commit: gate.Commit{
		SHA:            sha,
		Author:         login(row.Author),
		AuthorEmail:    row.RepoCommit.Author.Email,
		Committer:      login(row.Committer),
		CommitterEmail: row.RepoCommit.Committer.Email,
	}}
	for _, p := range row.Parents {
		parent, err := ref.ParseSHA(p.SHA)
		if err != nil {
			return commit{}, err
		}
		one.parents = append(one.parents, parent)
	}
	one.Parents = len(one.parents)
	for _, found := range coAuthor.FindAllStringSubmatch(row.RepoCommit.Message, -1) {
		one.coAuthors = append(one.coAuthors, strings.TrimSpace(found[1]))
	}
	return one, nil
}

// withCoAuthors maps the trailers to logins. Gitea has no lookup by e-mail, but
// it matters only whether a co-author is somebody who reviews, so the people
// seen on this pull request are all that need be known.
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

// add learns the address that the server shows of an account: its own, or a
// placeholder where that is private.
func (p people) add(u *sdk.User) {
	if u != nil {
		p.addAs(u.Email, u.UserName)
	}
}

func (p people) addAs(mail, login string) {
	if mail != "" && login != "" {
		p[strings.ToLower(mail)] = login
	}
}

func (p people) join(others people) {
	for mail, login := range others {
		p[mail] = login
	}
}

// behind is the login for an e-mail, or "". A placeholder address
// (LOGIN@noreply.HOST or ID+LOGIN@noreply.HOST) says it itself.
func (p people) behind(mail string) string {
	mail = strings.ToLower(mail)
	if login, found := p[mail]; found {
		return login
	}
	local, host, _ := strings.Cut(mail, "@")
	if !strings.HasPrefix(host, "noreply.") {
		return ""
	}
	if _, login, found := strings.Cut(local, "+"); found {
		return login
	}
	return local
}
