package github

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"slipway/internal/fault"
	"slipway/internal/ref"
)

// labelServer shows one labelled issue, and counts how often it is asked who
// set the label.
type labelServer struct {
	updated, now time.Time
	refuses      int // with this status; 0: it tells
	asked        int
}

func (s *labelServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Date", s.now.UTC().Format(http.TimeFormat))
	w.Header().Set("Content-Type", "application/json")
	switch {
	case strings.HasSuffix(r.URL.Path, "/timeline") && s.refuses != 0:
		s.asked++
		w.WriteHeader(s.refuses)
	case strings.HasSuffix(r.URL.Path, "/timeline"):
		s.asked++
		_, _ = fmt.Fprint(w, `[{"event":"labeled","actor":{"login":"bob"},"label":{"name":"work"}},{"event":"unlabeled","actor":{"login":"cid"},"label":{"name":"work"}},{"event":"labeled","actor":{"login":"zoe"},"label":{"name":"WORK"}},{"event":"labeled","actor":{"login":"eve"},"label":{"name":"other"}}]`)
	default:
		w.Header().Set("X-Total-Count", "1")
		stamp := s.updated.UTC().Format(time.RFC3339)
		_, _ = fmt.Fprintf(w, `[{"number":3,"state":"open","title":"x","user":{"login":"ann"},"labels":[{"name":"Work"}],"created_at":%q,"updated_at":%q}]`, stamp, stamp)
	}
}

func TestWhoSetALabelIsAskedOncePerChangeOfAnIssue(t *testing.T) {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	s := &labelServer{updated: start, now: start.Add(time.Second)}
	c := answered(t, s.ServeHTTP)
	repo := ref.RepoID{Owner: "acme", Name: "app"}
	list := func(by string) {
		t.Helper()
		got, err := c.Labelled(context.Background(), repo, "work")
		if err != nil || len(got) != 1 || got[0].LabelledBy != by {
			t.Fatalf("got %+v, %v; want one labelled by %q", got, err, by)
		}
	}
	for _, step := range []struct {
		name  string
		do    func()
		by    string
		asked int
	}{
		{"at first", func() {}, "zoe", 1},
		{"while another change could bear the same time", func() {}, "zoe", 2},
		{"once none can", func() { s.now = start.Add(time.Minute) }, "zoe", 3},
		{"no more after that", func() {}, "zoe", 3},
		{"after another change", func() { s.updated = start.Add(30 * time.Second) }, "zoe", 4},
		{"no more after that either", func() {}, "zoe", 4},
		{"and nobody where it is not told", func() { s.updated, s.refuses = start.Add(40*time.Second), http.StatusForbidden }, "", 5},
	} {
		step.do()
		list(step.by)
		if s.asked != step.asked {
			t.Errorf("%s: asked %d times, want %d", step.name, s.asked, step.asked)
		}
	}
	s.refuses = http.StatusBadGateway
	if got, err := c.Labelled(context.Background(), repo, "work"); err == nil || fault.KindOf(err) != fault.Later || !strings.Contains(err.Error(), "acme/app#3") {
		t.Errorf("of a server that is down: %+v, %v", got, err)
	}
}

func TestALabelWithACommaIsOneLabel(t *testing.T) {
	asked := ""
	c := answered(t, func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.Query().Get("labels")
		w.Header().Set("X-Total-Count", "0")
		_, _ = fmt.Fprint(w, `[]`)
	})
	for label, want := range map[string]string{"work": "work", "work, soon": ""} {
		if _, err := c.Labelled(context.Background(), ref.RepoID{Owner: "acme", Name: "app"}, label); err != nil || asked != want {
			t.Errorf("%q: asked for %q, %v", label, asked, err)
		}
	}
}
