package change

import (
	"strings"
	"testing"
	"time"
)

func TestWithoutPull(t *testing.T) {
	now := time.Now()
	for rule, test := range map[string]struct {
		was  Change
		ends bool
	}{
		"an open one ends":                             {Change{}, true},
		"one that was about to be merged ends":         {Change{Intent: &MergeIntent{Head: "h"}}, true},
		"one that landed goes on":                      {Change{MergeSHA: "m", Intent: &MergeIntent{Head: "h"}}, false},
		"one that ended otherwise stays as it ended":   {Change{Outcome: OutcomeHealthy}, false},
		"one that was closed stays closed as it stood": {Change{Outcome: OutcomeClosed, Ended: now.Add(-time.Hour)}, false},
	} {
		t.Run(rule, func(t *testing.T) {
			was := New(test.was.ID)
			was.Outcome, was.Ended, was.MergeSHA, was.Intent = test.was.Outcome, test.was.Ended, test.was.MergeSHA, test.was.Intent
			got := was.WithoutPull(now)
			if test.ends {
				if got.Outcome != OutcomeClosed || !got.Ended.Equal(now) || got.Intent != nil || !strings.Contains(got.Gate(Merged).Reason, "deleted") {
					t.Errorf("got %+v", got)
				}
				if was.Gate(Merged).Reason != "" {
					t.Error("the record before was altered")
				}
				return
			}
			if got.Outcome != was.Outcome || !got.Ended.Equal(was.Ended) || got.Intent != was.Intent || got.Gate(Merged).Reason != was.Gate(Merged).Reason {
				t.Errorf("got %+v", got)
			}
		})
	}
}
