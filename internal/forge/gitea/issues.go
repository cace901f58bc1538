package gitea

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	sdk "code.gitea.io/sdk/gitea"

	"slipway/dispatcher"
	"slipway/internal/fault"
	"slipway/internal/ref"
)

var _ dispatcher.Issues = (*Client)(nil)

// issueRow is an issue as Gitea shows it.
type issueRow struct {
	Number   int64           `json:"number"`
	Title    string          `json:"title"`
	Body     string          `json:"body"`
	State    string          `json:"state"`
	User     *sdk.User       `json:"user"`
	Labels   []issueLabel    `json:"labels"`
	Comments int             `json:"comments"`
	Created  time.Time       `json:"created_at"`
	Updated  time.Time       `json:"updated_at"`
	Pull     json.RawMessage `json:"pull_request"` // null for an issue
}

type issueLabel struct {
	Name string `json:"name"`
}

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

const mostLabellings = 10_000

// Labelled lists the open issues with a label, oldest first; case does not
// matter. Where a repository has its issues switched off, there are none.
//
// Gitea leaves the choice to us for a label that it does not find by its exact
// name among the repository's own: then it lists every issue.
func (c *Client) Labelled(ctx context.Context, repo ref.RepoID, label string) ([]dispatcher.Issue, error) {
	choice := url.Values{"type": {"issues"}, "state": {"open"}}
	if !strings.Contains(label, ",") { // which would be two labels
		choice.Set("labels", label)
	}
	var read time.Time // by the server's clock, when it was asked first
	rows, err := pages(func(o sdk.ListOptions) (rows []issueRow, r *sdk.Response, err error) {
		choice.Set("page", strconv.Itoa(o.Page))
		choice.Set("limit", strconv.Itoa(o.PageSize))
		r, err = c.get(ctx, repoPath(repo, "issues")+"?"+choice.Encode(), &rows)
		if err == nil && read.IsZero() {
			read, _ = http.ParseTime(r.Header.Get("Date"))
		}
		return rows, r, err
	})
	if c.absent(ctx, repo, err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the issues of %s with the label %q: %w", repo, label, sorted(err))
	}
	var issues []dispatcher.Issue
	seen := map[int64]bool{} // one that is closed meanwhile moves the others, so a page may repeat a row
	for _, row := range rows {
		if seen[row.Number] || row.isPull() || row.State != string(sdk.StateOpen) || !row.has(label) {
			continue
		}
		seen[row.Number] = true
		issue := row.issue()
		if issue.LabelledBy, err = c.labelledBy(ctx, repo, row, label, read); err != nil {
			return nil, fmt.Errorf("who set the label %q on issue %s#%d: %w", label, repo, row.Number, sorted(err))
		}
		issues = append(issues, issue)
	}
	// Gitea lists the newest first, whatever it is asked.
	slices.SortFunc(issues, func(a, b dispatcher.Issue) int { return cmp.Compare(a.Number, b.Number) })
	return issues, nil
}

// Settle closes an issue that is open, with a comment that says why. It says
// that once, also when it was cut off before the issue was closed. One that is
// gone has nothing to be closed.
func (c *Client) Settle(ctx context.Context, repo ref.RepoID, number int64, comment string) error {
	id := ref.PullID{Repo: repo, Number: number} // issues are numbered with them
	path := repoPath(repo, "issues", strconv.FormatInt(number, 10))
	var row issueRow
	_, err := c.get(ctx, path, &row)
	switch {
	case c.absent(ctx, repo, err):
		return nil
	case err != nil:
		return fmt.Errorf("read issue %s: %w", id, sorted(err))
	case row.isPull():
		return fault.AsPermanent(fmt.Errorf("close issue %s: it is a pull request", id))
	case row.State != string(sdk.StateOpen):
		return nil
	}
	said, err := c.said(ctx, path, comment)
	if err != nil {
		return fmt.Errorf("read the comments of issue %s: %w", id, sorted(err))
	}
	if !said {
		if _, err := c.Comment(ctx, id, comment); err != nil {
			return err
		}
	}
	if _, err := c.call(ctx, http.MethodPatch, path, map[string]string{"state": string(sdk.StateClosed)}, nil); err != nil {
		return fmt.Errorf("close issue %s: %w", id, sorted(err))
	}
	return nil
}

// said says whether the bot has said something on an issue already. Gitea gives
// all comments of one at once.
func (c *Client) said(ctx context.Context, path, text string) (bool, error) {
	var comments []struct {
		Body string    `json:"body"`
		User *sdk.User `json:"user"`
	}
	if _, err := c.get(ctx, path+"/comments", &comments); err != nil {
		return false, err
	}
	for _, k := range comments {
		if strings.EqualFold(login(k.User), c.login) && plainText(k.Body) == plainText(text) {
			return true, nil
		}
	}
	return false, nil
}

// labelledBy is who set a label that is on an issue; "" when the server does not
// tell. Once no other change can bear the time of the last one, the answer is
// remembered.
func (c *Client) labelledBy(ctx context.Context, repo ref.RepoID, row issueRow, label string, read time.Time) (string, error) {
	key := labelling{ref.PullID{Repo: repo, Number: row.Number}, strings.ToLower(label)}
	if by, known := c.labels.get(key, row.Updated); known {
		return by, nil
	}
	events, err := c.events(ctx, key.issue, row.Comments)
	switch s := status(err); {
	case s >= 400 && s < 500 && s != http.StatusTooManyRequests && s != http.StatusRequestTimeout:
		return "", nil // it shows the issue and not what became of it
	case err != nil:
		return "", err
	}
	by := ""
	for _, e := range events {
		if e.Type == "label" && e.Body == labelSet && e.Label != nil && strings.EqualFold(e.Label.Name, label) {
			by = login(e.User)
		}
	}
	if !read.IsZero() && read.Sub(row.Updated) >= still {
		c.labels.put(key, labelled{by, row.Updated})
	}
	return by, nil
}

// labelSet is what a timeline says of a label that was set; of one that was
// taken off it says nothing.
const labelSet = "1"

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

func (r issueRow) isPull() bool { return len(r.Pull) > 0 && string(r.Pull) != "null" }

func (r issueRow) has(label string) bool {
	return slices.ContainsFunc(r.Labels, func(l issueLabel) bool { return strings.EqualFold(l.Name, label) })
}

func (r issueRow) issue() dispatcher.Issue {
	issue := dispatcher.Issue{Number: r.Number, Title: r.Title, Body: r.Body, Author: login(r.User), Opened: r.Created.UTC()}
	for _, l := range r.Labels {
		issue.Labels = append(issue.Labels, l.Name)
	}
	slices.Sort(issue.Labels)
	return issue
}

// plainText is a text without what a forge may change of it.
func plainText(s string) string { return strings.TrimSpace(strings.ReplaceAll(s, "\r\n", "\n")) }
