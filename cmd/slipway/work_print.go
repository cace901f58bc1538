package main

import (
	"fmt"
	"strings"
	"time"

	"slipway/cmd/slipway/internal/board"
	"slipway/dispatcher"
	"slipway/pools"
)

// items lists items, in a few lines each.
func (p page) items(items []dispatcher.Item, now time.Time) string {
	var out strings.Builder
	if len(items) == 0 {
		out.WriteString("No items: `slipway work submit` adds one, and so does a label on an issue.\n")
	}
	for _, i := range items {
		fmt.Fprintf(&out, "%6d  %-9s %-7s %-16s %s\n", i.ID, i.State, board.Duration(now.Sub(i.Since)), i.Selector, board.Text(i.Repo.String()))
		fmt.Fprintf(&out, "        %s\n", p.wrap(i.Title, 8))
		if i.Reason != "" {
			fmt.Fprintf(&out, "        %s\n", p.wrap(i.Reason, 8))
		}
	}
	return out.String()
}

// work shows an item and its attempts.
func (p page) work(work dispatcher.Work, now time.Time) string {
	s := sheet{page: p, now: now}
	s.item(work.Item)
	for _, a := range work.Attempts {
		s.attempt(a)
	}
	if len(work.Attempts) == 0 {
		s.out.WriteString("\nNo attempts yet.\n")
	}
	return s.out.String()
}

// sheet is what is printed of an item.
type sheet struct {
	page
	now time.Time
	out strings.Builder
}

func (p *sheet) item(i dispatcher.Item) {
	fmt.Fprintf(&p.out, "item %d · %s for %s · %s\n", i.ID, i.Kind, i.Repo, p.since(string(i.State), i.Since))
	fmt.Fprintf(&p.out, "  %s\n", p.wrap(i.Title, 2))
	p.row("because", i.Reason)
	p.row("for", i.Selector.String()+given(", of shape ", i.Shape)+given(", but not ", strings.Join(i.Avoid, ", ")))
	if !i.Pull.IsZero() {
		p.row("reviews", i.Pull.String()+given(" at ", i.Head.Short()))
	}
	p.row("into", i.Base)
	level := i.Level.String()
	if i.Raised > i.Level {
		level += ", " + i.Raised.String() + " by waiting"
	}
	p.row("priority", level)
	p.row("asked", "by "+i.Submitter+", "+at(i.Submitted)+given(", from ", i.Key))
	if !i.Deadline.IsZero() {
		p.row("deadline", at(i.Deadline))
	}
	p.row("cost", spent(i.Spent, i.Reserved, i.Budget))
	tries := fmt.Sprintf("%d", i.Tries)
	if i.Attempts > 0 {
		tries += fmt.Sprintf(" of %d", i.Attempts)
	}
	if !i.NotBefore.IsZero() && i.NotBefore.After(p.now) && i.State == dispatcher.Ready {
		tries += ", the next in " + board.Duration(i.NotBefore.Sub(p.now))
	}
	p.row("tries", tries)
	if i.AcceptedBy != nil {
		p.row("accepted", fmt.Sprintf("of %s, attempt %d", i.AcceptedBy, i.Accepted))
	}
}

func (p *sheet) attempt(a dispatcher.Attempt) {
	state := "live"
	if a.Outcome != dispatcher.Live {
		state = strings.ReplaceAll(string(a.Outcome), "_", " ")
	}
	fmt.Fprintf(&p.out, "\nattempt %d · %s · %s\n", a.ID, a.Address, state)
	p.row("because", a.Reason)
	runs := fmt.Sprintf("%s: %s of %s, pool config %d", a.Assignment.Name, a.Assignment.Model, a.Assignment.Provider, a.Set)
	if a.Canary {
		runs += ", as the canary"
	}
	p.row("runs", runs)
	if a.Observed != "" && a.Observed != a.Assignment.Model {
		p.row("but", "its command says that it ran "+a.Observed)
	}
	p.row("phases", p.phases(a))
	if a.Outcome == dispatcher.Live {
		p.row("lease", p.until(a.Until)+", last heard "+p.ago(a.Beat))
		p.row("deadline", at(a.Deadline))
	}
	p.row("tokens", counted(a.Cost.Tokens))
	p.row("cost", spent(a.Cost.Amount, reserved(a), a.Assignment.Budget)+given(", ", a.Cost.Source))
	p.row("branch", a.Branch)
	if !a.Pull.IsZero() {
		p.row("pull", a.Pull.String()+given(" at ", a.Head.Short()))
	}
	p.row("verdict", strings.ReplaceAll(a.Verdict, "_", " "))
	if a.StandDown != "" {
		told := ", not told yet"
		if !a.Told.IsZero() {
			told = ", told " + at(a.Told)
		}
		if !a.Acknowledged.IsZero() {
			told += ", stopped after " + board.Duration(a.Acknowledged.Sub(a.Told))
		}
		p.row("stopped", a.StandDown+told)
	}
	if a.SpentAfter > 0 {
		p.row("", "it spent "+a.SpentAfter.String()+" after it was told to stop")
	}
}

// phases tells when the attempt began and how long each phase took.
func (p *sheet) phases(a dispatcher.Attempt) string {
	end := a.Ended
	if end.IsZero() {
		end = p.now
	}
	parts := []string{"began " + at(a.Started)}
	for n, passed := range a.Phases {
		until := end
		if n+1 < len(a.Phases) {
			until = a.Phases[n+1].At
		}
		if passed.Phase == dispatcher.Completed {
			parts = append(parts, string(passed.Phase))
			continue
		}
		parts = append(parts, string(passed.Phase)+" "+board.Duration(until.Sub(passed.At)))
	}
	return strings.Join(parts, ", ")
}

// row is one line of what is said; nothing is said of what is empty.
func (p *sheet) row(name, text string) {
	if text != "" {
		fmt.Fprintf(&p.out, "  %-9s %s\n", name, p.wrap(text, 12))
	}
}

func (p *sheet) since(what string, t time.Time) string {
	if t.IsZero() {
		return what
	}
	return what + " for " + board.Duration(p.now.Sub(t))
}

func (p *sheet) until(t time.Time) string {
	if !t.After(p.now) {
		return "over"
	}
	return "ends in " + board.Duration(t.Sub(p.now))
}

func (p *sheet) ago(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return board.Duration(p.now.Sub(t)) + " ago"
}

// reserved is what a live attempt may still cost.
func reserved(a dispatcher.Attempt) pools.Money {
	if a.Outcome != dispatcher.Live {
		return 0
	}
	return a.Reserved
}

// spent tells an amount, what may still come, and the bound.
func spent(amount, reserved, bound pools.Money) string {
	text := amount.String()
	if reserved > 0 {
		text += ", and " + reserved.String() + " set aside"
	}
	if bound > 0 {
		text += ", of " + bound.String()
	}
	return text
}

func counted(t pools.Tokens) string {
	if t.Total() == 0 {
		return ""
	}
	text := fmt.Sprintf("%d in, %d out", t.Input, t.Output)
	if t.CacheRead+t.CacheWrite > 0 {
		text += fmt.Sprintf(", %d from a cache, %d to it", t.CacheRead, t.CacheWrite)
	}
	return text
}

// given is a text after its words, if there is one.
func given(words, text string) string {
	if text == "" {
		return ""
	}
	return words + text
}

// at tells a time of this machine's zone.
func at(t time.Time) string { return t.Local().Format(time.DateTime) }
