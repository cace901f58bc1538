package reconcile

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"slipway/gate"
	"slipway/internal/change"
	"slipway/internal/fault"
	"slipway/internal/ref"
)

// speak says what is to be said about a change: the answers to commands, and,
// when nothing else is to be done, the receipt's note and the sticky comment.
// None of it holds up the change: what fails is tried later. It returns when
// there is something more to say; zero: nothing is left.
func (e *Engine) speak(ctx context.Context, claim Claim, repo Repository, id ref.PullID, s seen, idle bool) time.Time {
	c, err := e.stored(ctx, id)
	if err != nil {
		return time.Time{} // nothing is recorded that could be said
	}
	now := e.Now()
	var next time.Time
	for _, a := range c.Talk.Answers {
		next = earlier(next, e.answer(ctx, claim, repo, c, &s, a, now))
	}
	if !idle {
		return next
	}
	if c.Receipt != nil && (c.Note == nil || !c.Note.Done && !c.Note.GivenUp) {
		if c.Note == nil || c.Note.Pause.Over(now) {
			if err := e.note(ctx, claim, c); err != nil {
				e.Log.Warn("keep what became of a note", "change", id, "error", err)
			}
			if c, err = e.stored(ctx, id); err != nil {
				return next
			}
		}
		if c.Note != nil && !c.Note.Done && !c.Note.GivenUp {
			next = earlier(next, c.Note.Pause.Until)
		}
	}
	return earlier(next, e.explain(ctx, claim, repo, id, s, now))
}

// answer gives one answer and takes it from the record. It says when it is to
// be tried again; zero: it is given.
func (e *Engine) answer(ctx context.Context, claim Claim, repo Repository, c change.Change, s *seen, a change.Answer, now time.Time) time.Time {
	if !a.Pause.Over(now) {
		return a.Pause.Until
	}
	text := a.Text
	if a.Explain {
		text = strings.TrimSpace(explanation(c) + "\n\n" + text)
	}
	err := e.react(ctx, repo, c.ID, a, text)
	if err == nil && text != "" && !a.Alarm {
		if at := e.mayComment(ctx, repo, e.budget.most/2, now); !at.IsZero() {
			e.reacted(ctx, claim, c.ID, a)
			return at
		}
	}
	if err == nil {
		err = e.sayOnce(ctx, repo, c.ID, s, a, text)
	}
	gone := fault.KindOf(err) == fault.Permanent || a.Pause.Times >= 10
	if err != nil {
		e.Log.Warn("answer", "change", c.ID, "about", a.Key, "given_up", gone, "error", err)
	}
	var kept error
	if err == nil || gone {
		kept = e.amend(ctx, claim, c.ID, nil, func(c change.Change) change.Change { return c.Answered(a.Key) })
	} else {
		kept = e.amend(ctx, claim, c.ID, nil, func(c change.Change) change.Change { return c.Paused(a.Key, err.Error(), now) })
	}
	if kept != nil {
		e.Log.Warn("keep an answer", "change", c.ID, "about", a.Key, "error", kept)
	}
	if err == nil || gone {
		return time.Time{}
	}
	return a.Pause.After("", now).Until
}

// react gives an answer's reaction. A comment that is gone takes none, but words
// are still due.
func (e *Engine) react(ctx context.Context, repo Repository, id ref.PullID, a change.Answer, text string) error {
	if a.Comment == 0 || a.Reaction == "" {
		return nil
	}
	err := repo.Forge.React(ctx, id, a.Comment, Reaction(a.Reaction))
	if err == nil || text != "" && fault.KindOf(err) == fault.Permanent {
		return nil
	}
	return fmt.Errorf("react to comment %d of %s: %w", a.Comment, id, err)
}

// reacted keeps that only the words of an answer wait.
func (e *Engine) reacted(ctx context.Context, claim Claim, id ref.PullID, a change.Answer) {
	if a.Reaction == "" {
		return
	}
	if err := e.amend(ctx, claim, id, nil, func(c change.Change) change.Change { return c.Reacted(a.Key) }); err != nil {
		e.Log.Warn("keep a reaction", "change", id, "about", a.Key, "error", err)
	}
}

// sayOnce comments unless there is that very comment already: the server may
// have been killed between saying and recording it.
func (e *Engine) sayOnce(ctx context.Context, repo Repository, id ref.PullID, s *seen, a change.Answer, text string) error {
	if text == "" {
		return nil
	}
	if err := e.readComments(ctx, repo, id, s); err != nil {
		return err
	}
	mark := marker(a.Key)
	if _, said := s.own(repo, mark); said {
		return nil
	}
	if _, err := repo.Forge.Comment(ctx, id, mark+"\n"+text); err != nil {
		return fmt.Errorf("comment on %s: %w", id, err)
	}
	e.budget.spend(repo.Host, e.Now())
	return nil
}

// readComments reads the comments where the look did not.
func (e *Engine) readComments(ctx context.Context, repo Repository, id ref.PullID, s *seen) error {
	if s.commentsRead == ref.Yes {
		return nil
	}
	look, err := repo.Forge.Look(ctx, id, Want{})
	if err != nil {
		return err
	}
	if s.comments, s.commentsRead = look.Comments, look.CommentsRead; s.commentsRead != ref.Yes {
		return errors.New("the comments could not be read, so it is not known what was said")
	}
	return nil
}

// own is Slipway's own comment with a marker, if there is one.
func (s *seen) own(repo Repository, mark string) (Comment, bool) {
	for _, c := range s.comments {
		if strings.EqualFold(c.Author, repo.Bot) && strings.HasPrefix(strings.TrimSpace(c.Body), mark) {
			return c, true
		}
	}
	return Comment{}, false
}

// marker begins a comment of Slipway's own, unseen. Keys are made of words,
// numbers and commit ids.
func marker(key string) string { return "<!-- slipway: " + key + " -->" }

func answerKey(comment int64) string { return "answer " + strconv.FormatInt(comment, 10) }

// mayComment says when the next comment may be written, so that some of the
// budget are left; zero is now. That the budget is used up is told once.
func (e *Engine) mayComment(ctx context.Context, repo Repository, left int, now time.Time) time.Time {
	at, told := e.budget.wait(repo.Host, left, now)
	if told {
		reason := fmt.Sprintf("%d comments were written in the last hour; the next one is written at %s", e.budget.most-left, at.UTC().Format(time.RFC3339))
		if left > 0 {
			reason += fmt.Sprintf("; %d more are for what explains", left)
		}
		subject := repo.Host
		if subject == "" {
			subject = "the forge"
		}
		e.alarm("comments.budget")
		e.Log.Error("the budget for comments is used up", "forge", subject, "reason", reason)
		if err := e.Store.Commit(ctx, Write{Journal: entries(now, "comments.budget", subject, "", reason)}); err != nil {
			e.Log.Warn("journal", "action", "comments.budget", "error", err)
		}
	}
	return at
}

// budget bounds how many comments are written to a forge in any hour.
type budget struct {
	mu    sync.Mutex
	most  int
	spent map[string][]time.Time // the last ones, by forge, oldest first
	told  map[told]bool          // that it is used up
}

// told is a part of the budget of a forge: all but what is left of it.
type told struct {
	host string
	left int
}

func newBudget(most int) *budget {
	if most <= 0 {
		most = 60
	}
	return &budget{most: most, spent: map[string][]time.Time{}, told: map[told]bool{}}
}

// wait is when one more may be written that leaves some for others; zero is now.
// first says that the rest is used up and that nobody was told yet.
func (b *budget) wait(host string, left int, now time.Time) (at time.Time, first bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	spent, most, part := b.spent[host], b.most-left, told{host, left}
	if len(spent) < most || now.Sub(spent[len(spent)-most]) >= time.Hour {
		b.told[part] = false
		return time.Time{}, false
	}
	first = !b.told[part]
	b.told[part] = true
	return spent[len(spent)-most].Add(time.Hour), first
}

func (b *budget) spend(host string, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	spent := append(b.spent[host], now)
	b.spent[host] = spent[max(0, len(spent)-b.most):]
}

// stateOf is what a change comes to in a word, for the sticky comment.
func stateOf(c change.Change) string {
	switch {
	case c.MergeSHA != "" && c.Unjudged:
		return "merged without a verdict"
	case c.MergeSHA != "" && c.Landed != nil && c.Landed.Equal == ref.No:
		return "merged, and not as judged"
	case c.MergeSHA != "":
		return "merged"
	case c.Outcome == change.OutcomeClosed:
		return "closed"
	case c.Refusal != nil && c.Refusal.Action == change.Verb(change.Merge{}):
		return "refused"
	case c.Intent != nil:
		return "ready"
	case c.Gate(change.Reviewed).State == change.Failed:
		return gate.Block.String()
	default:
		return gate.Wait.String()
	}
}
