package gate

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// want is one requirement while it is judged: what keeps it from being met, and
// what would meet it.
type want struct {
	Requirement
	reasons  []Reason
	steps    []step
	need     *need
	again    time.Time // when time alone may change it; zero: never
	optional bool
}

// step is something other than an approval that somebody can do.
type step struct {
	kind stepKind
	do   string
	who  []string
}

type stepKind uint8

const (
	stepDo   stepKind = iota // changes something beside the head
	stepPush                 // makes a new head, on which everything is asked anew
	stepWait                 // happens by itself
)

func newWant(key, title string) want {
	return want{Requirement: Requirement{Key: key, Title: title}}
}

func (w *want) block(c Code, who, format string, args ...any) {
	w.reasons = append(w.reasons, Reason{Code: c, Outcome: Block, Sentence: fmt.Sprintf(format, args...), Who: []string{who}})
}

func (w *want) wait(c Code, who, format string, args ...any) {
	w.reasons = append(w.reasons, Reason{Code: c, Outcome: Wait, Sentence: fmt.Sprintf(format, args...), Who: []string{who}})
}

// unknown says that a fact is missing, and asks for another look.
func (w *want) unknown(e *evaluation, what string) { w.missing(e, unread(what)) }

func (w *want) missing(e *evaluation, r Reason) {
	w.reasons = append(w.reasons, r)
	w.do(stepWait, "wait: "+r.Sentence, r.Who...)
	w.after(e.now.Add(recheckUnknown))
}

// after asks for another look at a time, or sooner.
func (w *want) after(at time.Time) {
	if w.again.IsZero() || at.Before(w.again) {
		w.again = at
	}
}

func (w *want) do(kind stepKind, do string, who ...string) {
	w.steps = append(w.steps, step{kind, do, who})
}

// word is the first word of the key: what an emergency may name.
func (w *want) word() string {
	word, _, _ := strings.Cut(w.Key, ":")
	return word
}

// waive drops all that was found but what is not known, which nobody can waive.
// It says whether there was anything to drop.
func (w *want) waive() bool {
	left := slices.DeleteFunc(slices.Clone(w.reasons), func(r Reason) bool { return r.Code != CodeUnknown })
	if len(left) == len(w.reasons) {
		return false
	}
	sortReasons(w.reasons)
	w.Says = w.reasons[0].Sentence
	w.State, w.reasons, w.need = Waived, left, nil
	w.steps = slices.DeleteFunc(w.steps, func(s step) bool { return s.kind != stepWait || !slices.Contains(s.who, whoSlipway) })
	if len(left) == 0 {
		w.again = time.Time{}
	}
	return true
}

// conclude draws the state from the reasons.
func (w *want) conclude() {
	if len(w.reasons) == 0 {
		if w.State == Unmet {
			w.State = Met
		}
		return
	}
	sortReasons(w.reasons)
	w.Says, w.State = w.reasons[0].Sentence, Unmet
	for _, r := range w.reasons {
		for _, who := range r.Who {
			if !slices.Contains(w.Who, who) {
				w.Who = append(w.Who, who)
			}
		}
	}
	switch {
	case w.optional:
		w.State, w.Who = NotNeeded, nil
	case w.reasons[0].Outcome == Block:
		w.State = Violated
	case !slices.ContainsFunc(w.reasons, func(r Reason) bool { return r.Code != CodeUnknown }):
		w.State = Unread
	}
}

// open says whether something still keeps the requirement from being met.
func (w *want) open() bool { return !w.optional && len(w.reasons) > 0 }
