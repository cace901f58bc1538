package github

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	sdk "github.com/google/go-github/v62/github"

	"slipway/dispatcher"
	"slipway/internal/fault"
	"slipway/internal/ref"
)

var _ dispatcher.Issues = (*Client)(nil)

// labelling is one label of one issue.
type labelling struct {
	issue ref.PullID
	label string
}

// labellings remember who set labels, as of the last change of their issue.
type labellings struct {
	mutex sync.Mutex
	known map[labelling]labelled
}

type labelled struct {
	by      string
	updated time.Time
}

const (
	mostLabellings = 10_000
	// unmoved is how long an issue must have been unchanged for its time to tell of
	// the next change: times are whole seconds, and two changes may bear one.
	unmoved = 2 * time.Second
)

// Labelled lists the open issues with a label, oldest first; case does not
// matter. Where a repository has its issues switched off, there are none.
func (c *Client) Labelled(ctx context.Context, repo ref.RepoID, label string) ([]dispatcher.Issue, error) {
	var read time.Time // by the server's clock, when it was asked first
	rows, err := pages(func(o sdk.ListOptions) ([]*sdk.Issue, *sdk.Response, error) {
		// Oldest first: one that is opened meanwhile does not move the others.
		choice := &sdk.IssueListByRepoOptions{State: "open", Sort: "created", Direction: "asc", ListOptions: o}
		if !strings.Contains(label, ",") { // which would be two labels
			choice.Labels = []string{label}
		}
		list, response, err := c.sdk.Issues.ListByRepo(ctx, repo.Owner, repo.Name, choice)
		if err == nil && read.IsZero() {
			read, _ = http.ParseTime(response.Header.Get("Date"))
		}
		return list, response, err
	})
	if status(err) == http.StatusGone {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the issues of %s with the label %q: %w", repo, label, sorted(err))
	}
	var issues []dispatcher.Issue
	seen := map[int]bool{} // one that is closed meanwhile moves the others, so a page may repeat a row
	for _, row := range rows {
		if seen[row.GetNumber()] || row.IsPullRequest() || row.GetState() != "open" || !carries(row, label) {
			continue
		}
		seen[row.GetNumber()] = true
		issue := toIssue(row)
		if issue.LabelledBy, err = c.labelledBy(ctx, repo, row, label, read); err != nil {
			return nil, fmt.Errorf("who set the label %q on issue %s#%d: %w", label, repo, row.GetNumber(), sorted(err))
		}
		issues = append(issues, issue)
	}
	return issues, nil
}

// Settle closes an issue that is open, with a comment that says why. It says
// that once, also when it was cut off before the issue was closed. One that is
// gone has nothing to be closed.
func (c *Client) Settle(ctx context.Context, repo ref.RepoID, number int64, comment string) error {
	id := ref.PullID{Repo: repo, Number: number} // issues are numbered with them
	row, _, err := c.sdk.Issues.Get(ctx, repo.Owner, repo.Name, int(number))
	switch {
	case status(err) == http.StatusGone, c.absent(ctx, repo, err):
		return nil
	case err != nil:
		return fmt.Errorf("read issue %s: %w", id, sorted(err))
	case row.IsPullRequest():
		return fault.AsPermanent(fmt.Errorf("close issue %s: it is a pull request", id))
	case row.GetState() != "open":
		return nil
	}
	said, err := c.said(ctx, id, comment)
	if err != nil {
		return fmt.Errorf("read the comments of issue %s: %w", id, sorted(err))
	}
	if !said {
		if _, err := c.Comment(ctx, id, comment); err != nil {
			return err
		}
	}
	if _, _, err := c.sdk.Issues.Edit(ctx, repo.Owner, repo.Name, int(number), &sdk.IssueRequest{State: sdk.String("closed")}); err != nil {
		return fmt.Errorf("close issue %s: %w", id, sorted(err))
	}
	return nil
}

// said says whether the bot has said something on an issue already.
func (c *Client) said(ctx context.Context, id ref.PullID, text string) (bool, error) {
	comments, err := pages(func(o sdk.ListOptions) ([]*sdk.IssueComment, *sdk.Response, error) {
		return c.sdk.Issues.ListComments(ctx, id.Repo.Owner, id.Repo.Name, int(id.Number), &sdk.IssueListCommentsOptions{ListOptions: o})
	})
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(comments, func(k *sdk.IssueComment) bool {
		return strings.EqualFold(k.GetUser().GetLogin(), c.login) && plainText(k.GetBody()) == plainText(text)
	}), nil
}

// labelledBy is who set a label that is on an issue; "" when the server does not
// tell. Once no other change can bear the time of the last one, the answer is
// remembered.
func (c *Client) labelledBy(ctx context.Context, repo ref.RepoID, row *sdk.Issue, label string, read time.Time) (string, error) {
	key := labelling{ref.PullID{Repo: repo, Number: int64(row.GetNumber())}, strings.ToLower(label)}
	updated := at(row.UpdatedAt)
	if by, known := c.labels.get(key, updated); known {
		return by, nil
	}
	type marked struct {
		Event string    `json:"event"`
		Actor *sdk.User `json:"actor"`
		Label struct {
			Name string `json:"name"`
		} `json:"label"`
	}
	path := repoPath(repo, "issues", strconv.Itoa(row.GetNumber()), "timeline")
	events, err := pages(func(o sdk.ListOptions) (rows []marked, response *sdk.Response, err error) {
		response, err = c.get(ctx, query(path, o, url.Values{}), &rows)
		return rows, response, err
	})
	if err != nil {
		if err = sorted(err); fault.KindOf(err) == fault.Permanent {
			return "", nil // it shows the issue and not what became of it
		}
		return "", err
	}
	by := ""
	for _, e := range events {
		if e.Event == "labeled" && strings.EqualFold(e.Label.Name, label) {
			by = e.Actor.GetLogin()
		}
	}
	if !read.IsZero() && !updated.IsZero() && read.Sub(updated) >= unmoved {
		c.labels.put(key, labelled{by, updated})
	}
	return by, nil
}

func (l *labellings) get(key labelling, updated time.Time) (by string, known bool) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	is, known := l.known[key]
	return is.by, known && is.updated.Equal(updated)
}

func (l *labellings) put(key labelling, is labelled) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.known == nil || len(l.known) >= mostLabellings {
		l.known = map[labelling]labelled{}
	}
	l.known[key] = is
}

func carries(row *sdk.Issue, label string) bool {
	return slices.ContainsFunc(row.Labels, func(l *sdk.Label) bool { return strings.EqualFold(l.GetName(), label) })
}

func toIssue(row *sdk.Issue) dispatcher.Issue {
	issue := dispatcher.Issue{
		Number: int64(row.GetNumber()), Title: row.GetTitle(), Body: row.GetBody(), Author: row.GetUser().GetLogin(), Opened: at(row.CreatedAt),
	}
	for _, l := range row.Labels {
		issue.Labels = append(issue.Labels, l.GetName())
	}
	slices.Sort(issue.Labels)
	return issue
}

// plainText is a text without what a forge may change of it.
func plainText(s string) string { return strings.TrimSpace(strings.ReplaceAll(s, "\r\n", "\n")) }
