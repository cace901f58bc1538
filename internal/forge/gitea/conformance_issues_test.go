package gitea

import (
	"fmt"
	"net/http"
	"testing"

	"slipway/test/forgetest"
)

func (s *square) OpenIssue(t *testing.T, who forgetest.Person, title, body string, labels ...string) int64 {
	t.Helper()
	var ids []int64
	for _, name := range labels {
		ids = append(ids, s.labelID(t, name))
	}
	var made struct{ Number int64 }
	s.do(t, s.people[who], http.MethodPost, "/issues", map[string]any{"title": title, "body": body, "labels": ids}, &made)
	return made.Number
}

func (s *square) LabelIssue(t *testing.T, who forgetest.Person, number int64, label string) {
	t.Helper()
	s.do(t, s.people[who], http.MethodPost, fmt.Sprintf("/issues/%d/labels", number), map[string]any{"labels": []int64{s.labelID(t, label)}}, nil)
}

// UnlabelIssue puts the labels that are left in place of those there were: the
// call for one answers without a body.
func (s *square) UnlabelIssue(t *testing.T, who forgetest.Person, number int64, label string) {
	t.Helper()
	var have []struct {
		ID   int64
		Name string
	}
	path := fmt.Sprintf("/issues/%d/labels", number)
	s.do(t, s.people[who], http.MethodGet, path, nil, &have)
	left := []int64{}
	for _, l := range have {
		if l.Name != label {
			left = append(left, l.ID)
		}
	}
	s.do(t, s.people[who], http.MethodPut, path, map[string]any{"labels": left}, nil)
}

func (s *square) CloseIssue(t *testing.T, number int64) {
	t.Helper()
	s.do(t, s.Admin(), http.MethodPatch, fmt.Sprintf("/issues/%d", number), map[string]string{"state": "closed"}, nil)
}

func (s *square) Issue(t *testing.T, number int64) (open bool, comments []string) {
	t.Helper()
	var row struct{ State string }
	s.do(t, s.Admin(), http.MethodGet, fmt.Sprintf("/issues/%d", number), nil, &row)
	var said []struct{ Body string }
	s.do(t, s.Admin(), http.MethodGet, fmt.Sprintf("/issues/%d/comments", number), nil, &said)
	for _, c := range said {
		comments = append(comments, c.Body)
	}
	return row.State == "open", comments
}

// labelID is a label of the repository, made where there is none.
func (s *square) labelID(t *testing.T, name string) int64 {
	t.Helper()
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if id, there := s.labels[name]; there {
		return id
	}
	var made struct{ ID int64 }
	s.do(t, s.Admin(), http.MethodPost, "/labels", map[string]string{"name": name, "color": "#123456"}, &made)
	s.labels[name] = made.ID
	return made.ID
}
