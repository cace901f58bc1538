package change

import (
	"slices"
	"time"

	"slipway/internal/ref"
)

// Talk is what Slipway remembers of the conversation on a pull request.
type Talk struct {
	// Heard is the highest comment id that was looked through for commands.
	Heard int64 `json:"heard,omitempty"`
	// HeardOn is the head on which the comments were read to the last one: what
	// comes to light after that was said after that head was there. "" after a
	// push or another base, until they are read.
	HeardOn ref.SHA `json:"heard_on,omitempty"`
	// Answers are still to be given, oldest first.
	Answers []Answer `json:"answers,omitempty"`
	// Sticky is the id of the one comment that explains, 0 before it is there,
	// and Said the SHA-256 of its text.
	Sticky int64  `json:"sticky,omitempty"`
	Said   string `json:"said,omitempty"`
	// SaidAt is when it was written last, and SaidState what it said in a word.
	SaidAt    time.Time `json:"said_at,omitzero"`
	SaidState string    `json:"said_state,omitempty"`
	// Mute is set while the sticky comment cannot be written.
	Mute Pause `json:"mute,omitzero"`
}

// Answer is one thing that is still to be said, beside the sticky comment: to
// a command, or to all. It is kept until it is said, so it is not lost.
type Answer struct {
	// Key is what it is about; nothing is said twice under one key.
	Key string `json:"key"`
	// Comment is the one to react to with Reaction; 0 for none.
	Comment  int64  `json:"comment,omitempty"`
	Reaction string `json:"reaction,omitempty"`
	// Text is said in a comment; "" says nothing. Explain adds why the pull
	// request is not merged, as it is when that is said.
	Text    string `json:"text,omitempty"`
	Explain bool   `json:"explain,omitempty"`
	// Alarm says that the text is said whatever the budget for comments.
	Alarm bool  `json:"alarm,omitempty"`
	Pause Pause `json:"pause,omitzero"`
}

// Pause is how something fared that holds nothing else up when it fails.
type Pause struct {
	Times  int       `json:"times,omitempty"` // failures in a row
	Until  time.Time `json:"until,omitzero"`  // when it is tried again
	Reason string    `json:"reason,omitempty"`
}

// Note is how the receipt's git note fared.
type Note struct {
	Done bool `json:"done,omitempty"`
	// GivenUp says that it is not tried any more.
	GivenUp bool  `json:"given_up,omitempty"`
	Pause   Pause `json:"pause,omitzero"`
}

// Replay is what another policy would have made of past changes.
type Replay struct {
	// Head brings the policy with the hash Policy.
	Head   ref.SHA `json:"head"`
	Policy string  `json:"policy"`
	// Judged is how many changes were judged again; Differ how many of them got
	// another verdict, and Examples the first of these, a sentence each.
	Judged int `json:"judged"`
	// Cut says that there was no time for more of them.
	Cut      bool     `json:"cut,omitempty"`
	Differ   int      `json:"differ"`
	Examples []string `json:"examples,omitempty"`
}

// After is the pause after one more failure: doubled from ten seconds up to an
// hour.
func (p Pause) After(reason string, now time.Time) Pause {
	pause := longPause
	if p.Times < 8 {
		pause = min(longPause, 10*time.Second<<p.Times)
	}
	return Pause{Times: p.Times + 1, Until: now.Add(pause), Reason: reason}
}

// Hopeless says whether it failed so often, over most of a day, that nothing
// but an operator will change that.
func (p Pause) Hopeless() bool { return p.Times >= mostTries }

// mostTries is how often something that holds nothing up is tried.
const mostTries = 30

// Over says whether it may be tried.
func (p Pause) Over(now time.Time) bool { return !now.Before(p.Until) }

// WithAnswer adds something to say, once.
func (c Change) WithAnswer(a Answer) Change {
	if slices.ContainsFunc(c.Talk.Answers, func(b Answer) bool { return b.Key == a.Key }) {
		return c
	}
	c.Talk.Answers = append(slices.Clone(c.Talk.Answers), a)
	return c
}

// Answered takes what was said from what is to be said.
func (c Change) Answered(key string) Change {
	c.Talk.Answers = slices.DeleteFunc(slices.Clone(c.Talk.Answers), func(a Answer) bool { return a.Key == key })
	return c
}

// Reacted leaves of an answer only its words to be said.
func (c Change) Reacted(key string) Change {
	c.Talk.Answers = slices.Clone(c.Talk.Answers)
	for i, a := range c.Talk.Answers {
		if a.Key == key {
			c.Talk.Answers[i].Reaction = ""
		}
	}
	return c
}

// Paused keeps an answer for later.
func (c Change) Paused(key, reason string, now time.Time) Change {
	c.Talk.Answers = slices.Clone(c.Talk.Answers)
	for i, a := range c.Talk.Answers {
		if a.Key == key {
			c.Talk.Answers[i].Pause = a.Pause.After(reason, now)
		}
	}
	return c
}
