package github

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"slipway/internal/fault"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

func TestWhatIsUnchangedIsAskedForConditionally(t *testing.T) {
	etag, asked := `W/"1"`, []string{}
	sha := string(someCommit)
	c := answered(t, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Header.Get("If-None-Match"))
		w.Header().Set("ETag", etag)
		if r.Header.Get("If-None-Match") == etag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		fmt.Fprintf(w, `{"ref":"refs/heads/main","object":{"type":"commit","sha":%q}}`, sha)
	})
	read := func(want ref.SHA) {
		t.Helper()
		if got, err := c.Branch(context.Background(), main()); err != nil || got != want {
			t.Errorf("got %s, %v", got, err)
		}
	}
	read(someCommit)
	read(someCommit)
	etag, sha = `W/"2"`, string(otherCommit)
	read(otherCommit)
	read(otherCommit)
	if want := []string{"", `W/"1"`, `W/"1"`, `W/"2"`}; strings.Join(asked, " ") != strings.Join(want, " ") {
		t.Errorf("asked with %q, want %q", asked, want)
	}
}

func TestAnotherTokenIsNotAnsweredFromMemory(t *testing.T) {
	token := "first"
	var asked []string
	c := answered(t, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Header.Get("If-None-Match"))
		w.Header().Set("ETag", `"1"`)
		_, _ = w.Write([]byte(branchBody))
	}, func(c *Config) { c.Token = func() (string, error) { return token, nil } })
	for _, token = range []string{"first", "second", "first"} {
		if _, err := c.Branch(context.Background(), main()); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"", "", `"1"`}; strings.Join(asked, ",") != strings.Join(want, ",") {
		t.Errorf("asked with %q, want %q", asked, want)
	}
}

func TestPagesAreReadFromMemoryWithTheirLinks(t *testing.T) {
	var full atomic.Int32
	var site string
	c := answered(t, func(w http.ResponseWriter, r *http.Request) {
		page := r.URL.Query().Get("page")
		etag := `"` + page + `"`
		w.Header().Set("ETag", etag)
		if page == "" {
			w.Header().Set("Link", fmt.Sprintf(`<%s%s?page=2>; rel="next"`, site, r.URL.Path))
		}
		if r.Header.Get("If-None-Match") == etag {
			w.Header().Del("Link") // an answer without a body need not repeat it
			w.WriteHeader(http.StatusNotModified)
			return
		}
		full.Add(1)
		fmt.Fprintf(w, `[{"number":%d}]`, len(page)+1)
	}, func(c *Config) { site = c.URL })
	for range 2 {
		briefs, err := c.OpenPulls(context.Background(), someRepo())
		if err != nil || len(briefs) != 2 || briefs[0].ID.Number != 1 || briefs[1].ID.Number != 2 {
			t.Fatalf("got %v, %v", briefs, err)
		}
	}
	if full.Load() != 2 {
		t.Errorf("%d pages came whole, want 2", full.Load())
	}
}

func TestMemoryIsBounded(t *testing.T) {
	m := newMemory(10 * (1000 + 512))
	big := &answer{body: make([]byte, 1000)}
	for i := range 50 {
		m.keep(fmt.Sprint(i), big)
		if _, found := m.find("0"); i > 0 && i < 9 && !found {
			t.Fatalf("what is used was dropped after %d", i)
		}
	}
	if m.size > m.limit || len(m.places) != m.order.Len() || len(m.places) > 10 || len(m.places) < 5 {
		t.Errorf("%d bytes of %d in %d places", m.size, m.limit, len(m.places))
	}
	if _, found := m.find("49"); !found {
		t.Error("the last one is gone")
	}
	m.keep("huge", &answer{body: make([]byte, m.limit)})
	if _, found := m.find("huge"); found || m.size > m.limit {
		t.Error("what is larger than all of it was kept")
	}
}

func TestWhatMayBeRecalled(t *testing.T) {
	now := time.Now()
	changed := now.Add(-time.Minute)
	tests := []struct {
		name string
		r    recall
		kept answer
		ok   bool
	}{
		{"what was confirmed well after the change is", recall{changed: changed}, answer{date: changed.Add(4 * time.Second)}, true},
		{"what was confirmed just after the change is not", recall{changed: changed}, answer{date: changed.Add(3 * time.Second)}, false},
		{"what was confirmed before the change is not", recall{changed: changed}, answer{date: changed.Add(-time.Hour)}, false},
		{"what was confirmed at a time that nobody knows is not", recall{changed: changed}, answer{at: now}, false},
		{"what changed at a time that nobody knows is not", recall{}, answer{at: now, date: now}, false},
		{"what was confirmed a moment ago is", recall{age: time.Minute}, answer{at: now.Add(-50 * time.Second)}, true},
		{"what was confirmed longer ago is not", recall{age: time.Minute}, answer{at: now.Add(-70 * time.Second)}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := test.r.covers(&test.kept); got != test.ok {
				t.Errorf("got %t", got)
			}
		})
	}
}

func TestTheTokenGoesNowhereElse(t *testing.T) {
	var told atomic.Int32
	other := answeredServer(t, func(w http.ResponseWriter, _ *http.Request) {
		told.Add(1)
		_, _ = w.Write([]byte(branchBody))
	})
	c := answered(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other+r.URL.Path, http.StatusTemporaryRedirect)
	})
	_, err := c.Branch(context.Background(), main())
	if fault.KindOf(err) != fault.Permanent || told.Load() != 0 {
		t.Errorf("%d calls arrived: %v", told.Load(), err)
	}
	// Not by a link to a next page either.
	c = answered(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", fmt.Sprintf(`<%s/x?page=2>; rel="next"`, other))
		_, _ = w.Write([]byte(`[]`))
	}, func(c *Config) { c.Timeout = time.Second })
	if _, err := c.OpenPulls(context.Background(), someRepo()); err == nil || told.Load() != 0 {
		t.Errorf("%d calls arrived: %v", told.Load(), err)
	}
}

func TestARefusalDoesNotRepeatTheToken(t *testing.T) {
	c := answered(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, "you sent %s", r.Header.Get("Authorization"))
	})
	_, err := c.Branch(context.Background(), main())
	if err == nil || strings.Contains(err.Error(), secretToken) {
		t.Errorf("got %v", err)
	}
}

func TestAnAnswerThatIsTooLongIsNoAnswer(t *testing.T) {
	c := answered(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"ref":"refs/heads/main","x":"`))
		_, _ = w.Write(make([]byte, answerLimit))
	})
	if _, err := c.Branch(context.Background(), main()); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("got %v", err)
	}
}

func TestCallsAreToldByRoute(t *testing.T) {
	var routes []string
	c := answered(t, script(nil), func(c *Config) {
		c.OnCall = func(method, route string, status int, _ time.Duration) {
			routes = append(routes, fmt.Sprint(method, " ", route, " ", status))
		}
	})
	ctx := context.Background()
	_, _ = c.Branch(ctx, ref.BranchID{Repo: someRepo(), Name: "pulls/merge"})
	_, _ = c.teams(ctx, []string{"acme/members"})
	_, _, _ = c.File(ctx, someRepo(), someCommit, ".github/commits")
	_ = c.EditComment(ctx, somePull(), 5, "x")
	_ = c.React(ctx, somePull(), 5, reconcile.ReactionDone)
	want := []string{
		"GET repos/*/*/git/ref/heads/* 404", "GET orgs/*/teams/*/members 404", "GET repos/*/*/contents/* 404", "GET repos/*/* 404",
		"PATCH repos/*/*/issues/comments/* 404", "POST repos/*/*/issues/comments/*/reactions 404",
	}
	if strings.Join(routes, "\n") != strings.Join(want, "\n") {
		t.Errorf("got %q", routes)
	}
}
