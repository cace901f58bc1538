package store

import (
	"strings"
	"testing"

	"slipway/dispatcher"
	"slipway/internal/journal"
)

func TestWorkIsFoundThroughIndexes(t *testing.T) {
	s := mustOpen(t, place(t))
	d := liteDialect()
	open := []dispatcher.State{dispatcher.Ready, dispatcher.Working, dispatcher.Landing}
	filtered := func(f func(dispatcher.Filter) (string, []any), by dispatcher.Filter) (string, []any) { return f(by) }
	given := func(query string, args ...any) func() (string, []any) {
		return func() (string, []any) { return query, args }
	}
	for name, c := range map[string]struct {
		query func() (string, []any)
		plans []string
	}{
		"what is ready in a lane":     {given(readyItems, "l", 1, 1), []string{"SEARCH items USING INDEX items_ready (lane=?)"}},
		"lanes in which is work":      {given("WITH asked(name) AS "+d.words+filledLanes, "[]"), []string{"EXISTS USING COVERING INDEX items_ready (lane=?)"}},
		"the front of a lane":         {given(frontOfLane, "l"), []string{"SEARCH items USING COVERING INDEX items_ready (lane=? AND raised=?)"}},
		"the last of a flow":          {given(lastOfFlow, "l", "f"), []string{"SEARCH items USING COVERING INDEX items_flowing (lane=? AND flow=?)"}},
		"an item by its key":          {given(itemOfKey, "k"), []string{"SEARCH items USING COVERING INDEX items_by_key (key=?)"}},
		"items by number":             {given(itemsOf+d.numbers+" ORDER BY id", "[1]"), []string{"SEARCH items USING INTEGER PRIMARY KEY"}},
		"keys that are taken":         {given(keysGiven+d.words, "[]"), []string{"SEARCH items USING COVERING INDEX items_by_key (key=?)"}},
		"requests that are taken":     {given(requestsGiven+d.words, "[]"), []string{"SEARCH attempts USING COVERING INDEX attempts_by_request (request=?)"}},
		"an attempt's item":           {given(itemOfAttempt, 1), []string{"SEARCH attempts USING INTEGER PRIMARY KEY"}},
		"attempts by request":         {given(itemsOfRequests+d.words, "[]"), []string{"SEARCH attempts USING INDEX attempts_by_request (request=?)"}},
		"attempts of items":           {given(attemptsOf+d.numbers+" ORDER BY id", "[1]"), []string{"SEARCH attempts USING INDEX sqlite_autoindex_attempts_1 (item=?)"}},
		"one item with its attempts":  {given(workOf, 1), []string{"SEARCH items USING INTEGER PRIMARY KEY", "SEARCH attempts USING INDEX sqlite_autoindex_attempts_1 (item=?)"}},
		"what is live, by pool":       {given(liveOfPools), []string{"SCAN attempts USING COVERING INDEX attempts_live"}},
		"a seat's live attempt":       {given(seatsOf+" WHERE address IN "+d.words, "[]"), []string{"SEARCH seats USING INDEX sqlite_autoindex_seats_1 (address=?)", "SEARCH attempts USING COVERING INDEX attempts_live (pool=? AND address=?)"}},
		"what a day cost":             {given(spendsOf, "d"), []string{"SEARCH spends USING PRIMARY KEY (day=?)"}},
		"what is due":                 {func() (string, []any) { return dueQuery(d), []any{1} }, []string{"SEARCH items USING COVERING INDEX items_due", "SEARCH attempts USING COVERING INDEX attempts_due", "SEARCH items USING COVERING INDEX items_delayed (not_before>?)"}},
		"what is overdue":             {given(overdueItems, 1, 1), []string{"SEARCH items USING COVERING INDEX items_due (due_at<?)", "SEARCH attempts USING INDEX attempts_due (due_at<?)"}},
		"the pool config in force":    {given(latestSets, 1), []string{"SCAN pool_sets"}}, // from its end, one row
		"items of a repository":       {func() (string, []any) { return filtered(itemsQuery, dispatcher.Filter{Repo: pullID(1).Repo}) }, []string{"SEARCH items USING INDEX items_by_repo (repo=?)"}},
		"items that are open":         {func() (string, []any) { return filtered(itemsQuery, dispatcher.Filter{States: open}) }, []string{"INDEX items_open"}},
		"reviews of a pull request":   {func() (string, []any) { return filtered(itemsQuery, dispatcher.Filter{Pull: pullID(1)}) }, []string{"SEARCH items USING INDEX items_by_pull (pull=?)"}},
		"attempts at a pull request":  {func() (string, []any) { return filtered(attemptsQuery, dispatcher.Filter{Pull: pullID(1)}) }, []string{"SEARCH attempts USING INDEX attempts_by_pull (pull=?)"}},
		"attempts that are live":      {func() (string, []any) { return filtered(attemptsQuery, dispatcher.Filter{Live: true}) }, []string{"SEARCH attempts USING INTEGER PRIMARY KEY", "USING COVERING INDEX attempts_live"}},
		"items that are worked on":    {func() (string, []any) { return filtered(itemsQuery, dispatcher.Filter{Live: true}) }, []string{"SEARCH items USING INTEGER PRIMARY KEY", "USING INDEX attempts_live"}},
		"the newest items, up to ten": {func() (string, []any) { return filtered(itemsQuery, dispatcher.Filter{Limit: 10}) }, []string{"SCAN items"}}, // from its end, ten rows
	} {
		t.Run(name, func(t *testing.T) {
			query, args := c.query()
			got := plan(t, s, query, args)
			for _, p := range c.plans {
				if !strings.Contains(got, p) {
					t.Errorf("plan %q, want %q", got, p)
				}
			}
		})
	}
}

// TestMigrateGivesAnOlderStoreItsWork opens a database of the schema before
// there was work: what it held is there, and its journal goes on.
func TestMigrateGivesAnOlderStoreItsWork(t *testing.T) {
	path := place(t)
	makeAt(t, path, upTo(t, 1))
	script(t, path, string(read(t, "testdata/schema1.sql")))
	makeAt(t, path, upTo(t, 3))
	s := mustOpen(t, path)
	err := s.Transact(t.Context(), dispatcher.Scope{Load: true}, func(v dispatcher.View) (dispatcher.Write, error) {
		i := dispatcher.Item{Kind: dispatcher.Build, Repo: pullID(1).Repo, State: dispatcher.Ready}
		return dispatcher.Write{Items: []dispatcher.Item{i}, Journal: []journal.Entry{{Subject: dispatcher.NewItem}}}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if w, found, err := s.Work(t.Context(), 1); !found || err != nil || w.Item.State != dispatcher.Ready {
		t.Fatalf("found %v %v: %v", found, w, err)
	}
	if seq, _, err := s.VerifyJournal(t.Context()); seq != 4 || err != nil {
		t.Fatalf("journal verified up to %d: %v", seq, err)
	}
	if c, found, err := s.Change(t.Context(), pullID(7)); !found || err != nil || c.Rev != 12 {
		t.Fatalf("found %v %v: %v", found, c.Rev, err)
	}
}
