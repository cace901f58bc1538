package github

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/reconcile"
)

func TestTimeline(t *testing.T) {
	day := func(n int) time.Time { return time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC) }
	for _, test := range []struct {
		name, rows string
		want       timeline
		fault      bool
	}{
		{"a comment is whole, and one that comes twice counts once", `[
			{"event":"commented","id":5,"user":{"login":"bob"},"body":"/hold","created_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-02T00:00:00Z"},
			{"event":"commented","id":5,"user":{"login":"bob"},"body":"/hold","created_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-02T00:00:00Z"}]`,
			timeline{comments: []reconcile.Comment{{ID: 5, Author: "bob", Body: "/hold", At: day(1), Edited: day(2)}}}, false},
		{"a comment of somebody who is gone is nobody's", `[{"event":"commented","id":5,"user":null,"body":"x","created_at":"2026-01-01T00:00:00Z"}]`,
			timeline{comments: []reconcile.Comment{{ID: 5, Body: "x", At: day(1), Edited: day(1)}}}, false},
		{"a comment without its text is no comment that was read", `[{"event":"commented","id":5,"created_at":"2026-01-01T00:00:00Z"}]`, timeline{}, true},
		{"the last change of the base counts", `[
			{"event":"base_ref_changed","id":1,"created_at":"2026-01-02T00:00:00Z"},
			{"event":"automatic_base_change_succeeded","id":2,"created_at":"2026-01-03T00:00:00Z"},
			{"event":"base_ref_force_pushed","id":3,"created_at":"2026-01-04T00:00:00Z"}]`, timeline{retargeted: day(3)}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			var rows []event
			if err := json.Unmarshal([]byte(test.rows), &rows); err != nil {
				t.Fatal(err)
			}
			got, err := toTimeline(rows)
			if (err != nil) != test.fault {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(timeline{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}
