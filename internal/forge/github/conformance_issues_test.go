package github_test

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"

	"slipway/test/forgetest"
)

func (p *place) OpenIssue(t *testing.T, who forgetest.Person, title, body string, labels ...string) int64 {
	t.Helper()
	in := map[string]any{"title": title, "body": body}
	if len(labels) > 0 {
		in["labels"] = labels
	}
	var made struct{ Number int64 }
	p.do(t, p.people[who], http.MethodPost, "/issues", in, &made)
	return made.Number
}

func (p *place) LabelIssue(t *testing.T, who forgetest.Person, number int64, label string) {
	t.Helper()
	p.do(t, p.people[who], http.MethodPost, fmt.Sprintf("/issues/%d/labels", number), map[string]any{"labels": []string{label}}, nil)
}

func (p *place) UnlabelIssue(t *testing.T, who forgetest.Person, number int64, label string) {
	t.Helper()
	p.do(t, p.people[who], http.MethodDelete, fmt.Sprintf("/issues/%d/labels/%s", number, url.PathEscape(label)), nil, nil)
}

func (p *place) CloseIssue(t *testing.T, number int64) {
	t.Helper()
	p.do(t, p.admin, http.MethodPatch, fmt.Sprintf("/issues/%d", number), map[string]string{"state": "closed"}, nil)
}

func (p *place) Issue(t *testing.T, number int64) (open bool, comments []string) {
	t.Helper()
	var row struct{ State string }
	p.do(t, p.admin, http.MethodGet, fmt.Sprintf("/issues/%d", number), nil, &row)
	var said []struct{ Body string }
	p.do(t, p.admin, http.MethodGet, fmt.Sprintf("/issues/%d/comments", number), nil, &said)
	for _, c := range said {
		comments = append(comments, c.Body)
	}
	return row.State == "open", comments
}
