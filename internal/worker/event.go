package worker

import (
	"fmt"
	"strings"
	"time"

	"slipway/dispatcher"
	"slipway/internal/ref"
)

// Event is one thing that a worker did or met.
type Event struct {
	At time.Time `json:"at"`
	// What is one of: started, waiting, claimed, preparing, running, publishing,
	// pushed, registered, reviewed, ended, note, done, failed, stood_down, lost,
	// stopped.
	What    string               `json:"event"`
	Builder string               `json:"builder"`
	Item    dispatcher.ItemID    `json:"item,omitempty"`
	Attempt dispatcher.AttemptID `json:"attempt,omitempty"`
	Kind    dispatcher.Kind      `json:"kind,omitempty"`
	Repo    ref.RepoID           `json:"repository,omitzero"`
	Pull    ref.PullID           `json:"pull_request,omitzero"`
	Head    ref.SHA              `json:"head,omitempty"`
	// Reason says why, where there is something to say.
	Reason string `json:"reason,omitempty"`
	// Output is the end of what the command printed, when it failed.
	Output string `json:"output,omitempty"`
	// Seconds is what took them, where that is known.
	Seconds float64 `json:"seconds,omitempty"`
}

// String is the event as one line for people.
func (e Event) String() string {
	var b strings.Builder
	b.WriteString(e.At.UTC().Format("15:04:05") + " " + e.Builder + " " + strings.ReplaceAll(e.What, "_", " "))
	if e.Attempt != 0 {
		fmt.Fprintf(&b, " item %d attempt %d", e.Item, e.Attempt)
	}
	switch {
	case !e.Pull.IsZero():
		b.WriteString(" " + e.Pull.String())
	case !e.Repo.IsZero():
		b.WriteString(" " + e.Repo.String())
	}
	if e.Head != "" {
		b.WriteString(" at " + e.Head.Short())
	}
	if e.Seconds > 0 {
		fmt.Fprintf(&b, " after %.1fs", e.Seconds)
	}
	if e.Reason != "" {
		b.WriteString(": " + strings.Join(strings.Fields(e.Reason), " "))
	}
	return b.String()
}
