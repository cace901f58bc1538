package onboard

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// stepLimit bounds one step.
const stepLimit = time.Minute

// Outcome is what became of one step.
type Outcome struct {
	Step Step `json:"step"`
	Done bool `json:"done"`
	// Fault says why it was not done, and Mend who can do it how.
	Fault string `json:"fault,omitempty"`
	Mend  string `json:"mend,omitempty"`
}

// Apply carries out a plan's steps in order and tells of each as it is done. A
// step that is refused leaves the others to be done all the same. Each step
// sets what should be, whatever is there, so that a run that was cut off is
// continued by making a new plan and applying that.
func Apply(ctx context.Context, p Plan, guard Guard, grounds map[string]Ground, told func(Outcome)) []Outcome {
	all := make([]Outcome, 0, len(p.Steps))
	for _, s := range p.Steps {
		o := carryOut(ctx, p, s, guard, grounds)
		told(o)
		all = append(all, o)
	}
	return all
}

func carryOut(ctx context.Context, p Plan, s Step, guard Guard, grounds map[string]Ground) Outcome {
	if s.Blocked != "" || s.part == nil {
		return Outcome{Step: s, Fault: s.Blocked, Mend: s.Mend}
	}
	ctx, cancel := context.WithTimeout(ctx, stepLimit)
	defer cancel()
	err := set(ctx, p, s, guard, grounds)
	switch {
	case err == nil:
		return Outcome{Step: s, Done: true}
	case errors.Is(err, ErrDenied):
		return Outcome{Step: s, Fault: err.Error(), Mend: s.denied}
	default:
		return Outcome{Step: s, Fault: err.Error(), Mend: "run it again: " + s.Mend}
	}
}

func set(ctx context.Context, p Plan, s Step, guard Guard, grounds map[string]Ground) error {
	if s.cluster == "" {
		return guard.Set(ctx, p.Repo, s.part)
	}
	ground, known := grounds[s.cluster]
	if !known {
		return fmt.Errorf("there is no cluster %s here", s.cluster)
	}
	return ground.Prepare(ctx, s.part)
}
