package main

import (
	"fmt"
	"strings"
	"time"

	"slipway/cmd/slipway/internal/board"
	"slipway/internal/server"
)

// inForce shows a pool config and how its coordinates stand.
func (p page) inForce(f server.InForce, now time.Time) string {
	var out strings.Builder
	if f.Number > 0 {
		fmt.Fprintf(&out, "pool config %d, in force since %s, by %s (%s)\n", f.Number, at(f.At), board.Text(f.By), board.Text(f.Why))
	}
	for _, fault := range f.Faults {
		fmt.Fprintf(&out, "✖ %s\n", p.wrap(fault, 2))
	}
	if len(f.Faults) > 0 {
		fmt.Fprintln(&out, "  The file changes nothing until that is mended.")
	}
	name, assignment := len("coordinate"), len("runs")
	for _, s := range f.Seats {
		name, assignment = max(name, len(s.Address.String())), max(assignment, len(s.Assignment))
	}
	if len(f.Seats) > 0 {
		fmt.Fprintf(&out, "\n%-*s  %-*s  %-8s  %s\n", name, "coordinate", assignment, "runs", "at", "model")
	}
	for _, s := range f.Seats {
		fmt.Fprintf(&out, "%-*s  %-*s  %-8s  %s\n", name, s.Address, assignment, board.Text(s.Assignment), work(s), board.Text(model(s)))
		var tail []string
		if s.Cordoned {
			tail = append(tail, "cordoned by "+s.By+given(": ", s.Reason))
		}
		if s.Gone {
			tail = append(tail, "in no pool any more; it may end what it has")
		}
		if !s.Seen.IsZero() && now.Sub(s.Seen) > 2*time.Minute {
			tail = append(tail, "last heard "+board.Duration(now.Sub(s.Seen))+" ago")
		}
		for _, t := range tail {
			fmt.Fprintf(&out, "%-*s  %s\n", name, "", p.wrap(t, name+2))
		}
	}
	for i, pool := range f.Pools {
		if i == 0 {
			out.WriteString("\n")
		}
		fmt.Fprintf(&out, "%s: %s\n", pool.Name, p.wrap(terms(pool, f.Currency), len(pool.Name.String())+2))
	}
	return out.String()
}

// past lists pool configs with what each changed.
func (p page) past(sets []server.PastSet) string {
	var out strings.Builder
	for _, s := range sets {
		fmt.Fprintf(&out, "%6d  %s  by %s (%s)\n", s.Number, at(s.At), board.Text(s.By), board.Text(s.Why))
		for _, c := range s.Changes {
			fmt.Fprintf(&out, "        %s\n", p.wrap(c.Text, 8))
		}
	}
	return out.String()
}

// work is what a coordinate is at.
func work(s server.Seat) string {
	switch {
	case s.Live > 0:
		return fmt.Sprintf("#%d", s.Live)
	case s.Cordoned:
		return "cordoned"
	case s.Seen.IsZero():
		return "unseen"
	default:
		return "free"
	}
}

func model(s server.Seat) string {
	if s.Model == "" {
		return ""
	}
	return s.Model + " of " + s.Provider
}

// terms are what is said of a pool.
func terms(p server.Pool, currency string) string {
	parts := []string{counting(p.Replicas, "coordinate")}
	if p.Limit > 0 {
		parts = append(parts, fmt.Sprintf("at most %d at work", p.Limit))
	}
	if p.Daily > 0 {
		parts = append(parts, p.Daily.String()+" "+currency+" a day")
	}
	if p.Deadline > 0 {
		parts = append(parts, "an attempt may take "+board.Duration(time.Duration(p.Deadline*float64(time.Second))))
	}
	if p.Canary != "" {
		parts = append(parts, fmt.Sprintf("%g%% of its items to %s", p.Share*100, p.Canary))
	}
	if p.Operator != "" {
		parts = append(parts, "of "+p.Operator)
	}
	return strings.Join(parts, ", ")
}
