package change

import (
	"fmt"
	"strings"
	"time"

	"slipway/gate"
)

// The pauses after a refusal: doubled each time, within these bounds.
const (
	firstPause = time.Minute
	longPause  = time.Hour
)

// WithRefusal records that an action was refused for good.
func (c Change) WithRefusal(action Action, reason string, now time.Time) Change {
	r := Refusal{Action: Verb(action), Identity: Identity(action), Reason: reason, At: now, Times: 1}
	if c.Refusal != nil && c.Refusal.same(r) {
		r.Times = c.Refusal.Times + 1
	}
	pause := longPause
	if r.Times < 7 {
		pause = min(longPause, firstPause<<(r.Times-1))
	}
	r.Until = now.Add(pause)
	c.Refusal = &r
	return c
}

// permitted holds an action back while the same one stands refused, and then
// says so on the pull request where that is what people look at.
func (c *Change) permitted(action Action, o Observation, now time.Time) Action {
	if action == nil {
		if c.MergeSHA != "" {
			c.Refusal = nil
		}
		return nil
	}
	if _, posts := action.(PostStatus); posts || c.Refusal == nil {
		return action
	}
	if !c.Refusal.same(Refusal{Action: Verb(action), Identity: Identity(action)}) {
		c.Refusal = nil
		return action
	}
	if !now.Before(c.Refusal.Until) {
		return action
	}
	m, merges := action.(Merge)
	if !merges {
		return nil
	}
	// A green status beside a pull request that does not merge explains nothing.
	c.Gate(Merged).wait(c.Gate(Merged).Evidence, c.Refusal.Reason)
	want := Posted{Head: m.Intent.Head, State: gate.StateFailure, Text: clip("judged good, but the merge is refused: " + c.Refusal.Reason)}
	if shown(c, o, want) {
		return nil
	}
	c.Posted = want
	return PostStatus{Posted: want}
}

func (r Refusal) same(other Refusal) bool {
	return r.Action == other.Action && r.Identity == other.Identity
}

// clip cuts a text to what a commit status should hold.
func clip(s string) string {
	const limit = 140
	r := []rune(strings.Join(strings.Fields(s), " "))
	if len(r) <= limit {
		return string(r)
	}
	return string(r[:limit-1]) + "…"
}

// Verb is the stable name of an action, for the journal.
func Verb(action Action) string {
	switch action.(type) {
	case PostStatus:
		return "status.post"
	case Merge:
		return "merge"
	case VerifyLanding:
		return "merge.verify"
	case ReserveVersion:
		return "version.reserve"
	case CreateTag:
		return "tag.create"
	case PublishRelease:
		return "release.publish"
	case BuildImage:
		return "image.build"
	case PushImage:
		return "image.push"
	case OfferRelease:
		return "release.offer"
	case OpenRevert:
		return "revert.open"
	default:
		return fmt.Sprintf("%T", action)
	}
}

// Identity is the exact thing that an action is about. A merge on another set
// of approvals is another merge: what a forge refused for want of one, it may
// take now.
func Identity(action Action) string {
	switch a := action.(type) {
	case PostStatus:
		return string(a.Posted.Head)
	case Merge:
		return fmt.Sprintf("%s approvals %v", a.Intent.Head, a.Approvals)
	case VerifyLanding:
		return string(a.Merge)
	case ReserveVersion:
		return a.Branch.String()
	case CreateTag:
		return string(a.Tag) + " " + string(a.Commit)
	case PublishRelease:
		return string(a.Tag)
	case BuildImage:
		return string(a.Tag) + " " + string(a.Commit)
	case PushImage:
		return string(a.Tag) + " " + string(a.Digest)
	case OfferRelease:
		return a.Pin.String()
	case OpenRevert:
		return string(a.Commit)
	default:
		return ""
	}
}
