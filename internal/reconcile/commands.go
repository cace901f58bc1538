package reconcile

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	"slipway/gate"
	"slipway/internal/authz"
	"slipway/internal/change"
	"slipway/internal/command"
	"slipway/internal/journal"
	"slipway/internal/ref"
)

// heard is a record with the commands followed that were given since the last
// look, and what the journal is to say of them.
type heard struct {
	change  change.Change
	entries []journal.Entry
	// more says that there was too much to hear at once.
	more bool
}

// mostHeard is how many bytes of comments that may hold a command are gone
// through in one look: a comment that is made for it takes long to read.
const mostHeard = 64 << 10

// mostAnswers is how many comments may wait for their reaction: each that is
// given is a record rewritten.
const mostAnswers = 50

func reactionless(c change.Change) int {
	n := 0
	for _, a := range c.Talk.Answers {
		if a.Reaction != "" {
			n++
		}
	}
	return n
}

// hear looks through the comments that are new since the last look. A command
// is obeyed once: an edit of a comment that was heard says nothing. What could
// not be read whole is heard another time.
func (e *Engine) hear(ctx context.Context, repo Repository, c change.Change, look Look, plan change.Plan) heard {
	h := heard{change: c}
	pull := look.Snapshot.Pull
	if c.Head != pull.Head || c.Base != pull.Base {
		h.change.Talk.HeardOn = ""
	}
	if look.CommentsRead != ref.Yes {
		return h
	}
	read := 0
	comments := slices.SortedFunc(slices.Values(look.Comments), func(a, b Comment) int { return cmp.Compare(a.ID, b.ID) })
	for _, said := range comments {
		if said.ID <= c.Talk.Heard {
			continue
		}
		if read += promising(said.Body); read > mostHeard || reactionless(h.change) == mostAnswers {
			h.more = true
			return h
		}
		h.change.Talk.Heard = said.ID
		if machine(said.Author, repo, plan.Gate) {
			continue
		}
		if all := command.Parse(said.Body); len(all) > 0 {
			e.obeyAll(ctx, &h, repo, c, look.Snapshot, plan, said, all)
		}
	}
	h.change.Talk.HeardOn = pull.Head
	return h
}

// promising is how much of a comment has to be gone through: nothing where no
// line can begin with a command.
func promising(body string) int {
	if len(body) > command.MaxBody || !strings.HasPrefix(body, "/") && !strings.Contains(body, "\n/") && !strings.Contains(body, "\r/") {
		return 0
	}
	return len(body)
}

// loosens says whether an order lets something merge that would not otherwise.
func loosens(v authz.Verb) bool {
	return v == authz.Merge || v == authz.Unhold || v == authz.Waive
}

// wrote says whether a comment is its author's own, as far as that matters for
// its commands and the forge knows more than the times that it gives. What is
// refused in any case is not asked after: anybody may write any number of that.
func wrote(ctx context.Context, repo Repository, c change.Change, said Comment, by authz.Actor, at time.Time, all []command.Command) ref.Fact {
	witness, able := repo.Forge.(Witness)
	matters := func(cmd command.Command) bool {
		o := given{by: by, verb: verbOf(cmd.Name), args: cmd.Args, head: c.Head, at: at}
		if cmd.Fault != "" || !loosens(o.verb) {
			return false
		}
		_, err := obey(c, o)
		return err == nil
	}
	if !able || !slices.ContainsFunc(all, matters) {
		return ref.Yes
	}
	own, err := witness.Wrote(ctx, c.ID, said)
	if err != nil {
		return ref.Unknown
	}
	return own
}

// obeyAll follows the commands of one comment and keeps the answer.
func (e *Engine) obeyAll(ctx context.Context, h *heard, repo Repository, seen change.Change, s gate.Snapshot, plan change.Plan, said Comment, all []command.Command) {
	answer := change.Answer{Key: answerKey(said.ID), Comment: said.ID, Reaction: string(ReactionDone)}
	var texts []string
	actor := authz.Actor{Name: said.Author, Roles: roles(repo, plan.Gate, s, said.Author)}
	own := wrote(ctx, repo, h.change, said, actor, e.Now(), all)
	for _, cmd := range all {
		o := given{by: actor, verb: verbOf(cmd.Name), args: cmd.Args, at: e.Now()}
		// The comment is newer than a look that had seen this very head and read
		// all that was said by then, so this is the head that was meant.
		if seen.Head == s.Pull.Head && seen.Base == s.Pull.Base && seen.Talk.HeardOn == s.Pull.Head {
			o.head = s.Pull.Head
		}
		o.edited = said.Edited.After(said.At) || own == ref.No
		o.doubtful = own == ref.Unknown && loosens(o.verb)
		next, reaction, text := e.command(h, o, cmd)
		h.change = next
		answer.Reaction = worse(answer.Reaction, string(reaction))
		done := reaction == ReactionDone
		answer.Explain = answer.Explain || (done && o.verb == authz.Explain)
		answer.Alarm = answer.Alarm || (done && o.verb == authz.Waive)
		if text != "" {
			texts = append(texts, text)
		}
	}
	if answer.Text = strings.Join(texts, "\n\n"); !answer.Alarm && waiting(h.change)+len(answer.Text) > mostWords {
		answer.Text = "" // the reaction has to do, and the journal tells why
	}
	h.change = h.change.WithAnswer(answer)
}

// command follows one command.
func (e *Engine) command(h *heard, o given, cmd command.Command) (next change.Change, r Reaction, text string) {
	quoted := codeSpan("/" + strings.TrimSpace(cmd.Name+" "+cmd.Args))
	if cmd.Fault != "" {
		return h.change, ReactionUnclear, quoted + " was not understood: " + cmd.Fault + "."
	}
	next, err := h.change, error(nil)
	switch {
	case o.edited:
		err = errEdited
	case o.doubtful:
		err = errDoubtful
	case o.verb == authz.Explain:
		err = authz.Check(o.by, o.verb, o.at)
	default:
		next, err = obey(h.change, o)
	}
	h.entries = append(h.entries, o.entry(h.change, err))
	if err != nil {
		return h.change, ReactionRefused, quoted + " is refused: " + codeSpan(err.Error())
	}
	if o.verb == authz.Waive {
		text = "**Emergency.** " + codeSpan(o.by.Name) + " waived on " + codeSpan(string(o.head)) +
			" what the policy lets an emergency waive, for this reason: " + codeSpan(o.args)
	}
	return next, ReactionDone, text
}

// mostWords is how many bytes of answers wait at the most for one pull request:
// whoever floods it with commands shall not make its record grow.
const mostWords = 16 << 10

func waiting(c change.Change) int {
	n := 0
	for _, a := range c.Talk.Answers {
		n += len(a.Text)
	}
	return n
}

// again are the keys to look at at once after some commands: to try again is to
// ask anew, and not to believe what is remembered; or because there is more to
// hear.
func (h heard) again(now time.Time) []Due {
	tries := func(o journal.Entry) bool { return o.Action == "order."+string(authz.Retry) }
	if !h.more && !slices.ContainsFunc(h.entries, tries) {
		return nil
	}
	return []Due{{ChangeKey(h.change.ID), now}}
}

// tellOrders logs the commands that were recorded.
func (e *Engine) tellOrders(orders []journal.Entry) {
	for _, o := range orders {
		level := slog.LevelInfo
		switch {
		case o.Action == "order."+string(authz.Waive):
			level = slog.LevelError
			e.alarm("emergency")
		case strings.HasPrefix(o.Action, "refused."):
			level = slog.LevelWarn
		}
		e.Log.Log(context.Background(), level, "command", "change", o.Subject, "by", o.Actor, "action", o.Action, "head", o.Identity, "reason", o.Reason)
	}
}

// roles are what somebody is to a pull request, as its last look shows it.
func roles(repo Repository, p gate.Policy, s gate.Snapshot, login string) []authz.Role {
	var out []authz.Role
	is := func(other string) bool { return other != "" && strings.EqualFold(other, login) }
	if is(s.Pull.Author) {
		out = append(out, authz.Author)
	}
	eligible := func(r gate.Review) bool { return is(r.Reviewer) && r.Eligible == ref.Yes }
	if s.ApproversRead == ref.Yes && slices.ContainsFunc(s.Approvers, is) || slices.ContainsFunc(s.Reviews, eligible) {
		out = append(out, authz.Approver)
	}
	named := p.Emergency.By
	named.Pools = nil // what a program may decide alone is no emergency
	if chosen(named, p, s.Teams, login) {
		out = append(out, authz.Emergency)
	}
	if repo.Roles != nil {
		out = append(out, repo.Roles(login, s.Teams)...)
	}
	return out
}

// chosen says whether somebody is in one of the lists.
func chosen(w gate.Who, p gate.Policy, teams map[string][]string, login string) bool {
	is := func(other string) bool { return strings.EqualFold(other, login) }
	pool := p.Principals[strings.ToLower(login)].Pool
	return slices.ContainsFunc(w.People, is) ||
		slices.ContainsFunc(w.Teams, func(t string) bool { return slices.ContainsFunc(teams[strings.ToLower(t)], is) }) ||
		pool != "" && slices.Contains(w.Pools, pool)
}

// machine says whether a comment is Slipway's own or another machine's: those
// give no commands.
func machine(login string, repo Repository, p gate.Policy) bool {
	l := strings.ToLower(login)
	return l == "" || l == strings.ToLower(repo.Bot) || strings.HasSuffix(l, "[bot]") || p.Principals[l].Kind == gate.KindAgent
}

func verbOf(name string) authz.Verb {
	switch name {
	case command.Hold:
		return authz.Hold
	case command.Unhold:
		return authz.Unhold
	case command.Merge:
		return authz.Merge
	case command.Retry:
		return authz.Retry
	case command.Explain:
		return authz.Explain
	case command.Emergency:
		return authz.Waive
	default:
		return authz.Verb(name) // the table knows none of that name, and refuses
	}
}

// worse is the reaction that a comment with several commands gets.
func worse(a, b string) string {
	for _, r := range []Reaction{ReactionRefused, ReactionUnclear} {
		if a == string(r) || b == string(r) {
			return string(r)
		}
	}
	return a
}
