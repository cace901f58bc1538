package dispatcher

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"slipway/internal/fault"
	"slipway/internal/ref"
	"slipway/pools"
)

// The bounds of what comes from outside.
const (
	longestTitle  = 200     // characters
	longestSpec   = 1 << 16 // bytes
	longestKey    = 300     // bytes
	longestReason = 500     // characters
	longestName   = 100     // characters
	mostAttempts  = 20
)

// draft reads a Submission as far as that goes without the store. base is the
// branch that Slipway serves of the repository; "" where it serves none. The
// faults are told by submit, together with those that it finds itself. Whoever
// asks for a review sets Head and Avoid on the result.
func draft(by string, s Submission, base string) (i Item, faults []string) {
	bad := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	i = Item{
		Kind: s.Kind, Repo: s.Repo, Key: s.Key, Title: strings.TrimSpace(s.Title), Spec: s.Spec, Shape: s.Shape, Pull: s.Pull,
		Base: s.Base, Mode: s.Mode, Budget: s.Budget, Deadline: s.Deadline, Attempts: s.Attempts, Submitter: by,
	}
	if i.Kind == "" {
		i.Kind = Build
	}
	if i.Mode == "" {
		i.Mode = Single
	}
	switch {
	case i.Kind != Build && i.Kind != Review:
		bad("kind: there is no %q; there are %s and %s", clip(string(i.Kind), longestName), Build, Review)
	case i.Kind == Review && (i.Pull.Number < 1 || i.Pull.Repo != i.Repo):
		bad("pull_request: a review is asked of a pull request of %s", i.Repo)
	case i.Kind == Build && i.Pull != (ref.PullID{}):
		bad("pull_request: a build opens its own")
	}
	switch {
	case i.Repo == (ref.RepoID{}):
		bad("repository: is missing")
	case base == "":
		bad("repository: %s is not served", i.Repo)
	case i.Kind == Build && i.Base == "":
		i.Base = base
	case i.Kind == Build && i.Base != base:
		bad("base: a build of %s goes to %s", i.Repo, base)
	}
	switch n := utf8.RuneCountInString(i.Title); {
	case n == 0:
		bad("title: is missing")
	case n > longestTitle:
		bad("title: has %d characters, and may have %d", n, longestTitle)
	case strings.ContainsAny(i.Title, "\r\n\x00"):
		bad("title: is one line")
	}
	if len(i.Spec) > longestSpec {
		bad("spec: has %d bytes, and may have %d", len(i.Spec), longestSpec)
	}
	if !utf8.ValidString(i.Title + i.Spec + i.Key) {
		bad("title, spec and key are UTF-8")
	}
	if len(i.Key) > longestKey {
		bad("key: has %d bytes, and may have %d", len(i.Key), longestKey)
	}
	var err error
	if i.Level, err = ParseLevel(s.Priority); err != nil {
		bad("priority: %v", err)
	}
	if i.Mode != Single {
		bad("mode: there is no %q; there is %s", clip(string(i.Mode), longestName), Single)
	}
	if i.Budget < 0 || i.Budget > mostMoney {
		bad("budget: %s is not between 0 and %s", i.Budget, mostMoney)
	}
	if i.Attempts < 0 || i.Attempts > mostAttempts {
		bad("max_attempts: %d is not between 0 and %d", i.Attempts, mostAttempts)
	}
	if strings.TrimSpace(by) == "" {
		bad("submitter: is missing")
	}
	selector := s.Selector
	if selector == "" {
		selector = roleOf(i.Kind)
	}
	if i.Selector, err = pools.ReadSelector(selector); err != nil {
		bad("selector: %v", err)
	}
	i.Raised = i.Level
	return i, faults
}

// scope is what submit has to read.
func (i Item) scope() Scope {
	return Scope{Key: i.Key, Flow: i.flow(), Set: true}
}

// flow is the turn-taking that the item is part of.
func (i Item) flow() *FlowID { return &FlowID{Lane: i.Lane(), Flow: i.Flow()} }

// submit adds the item that draft made of a Submission, or gives the one that
// has its key already. It refuses with every fault there is. An item that only
// coordinates could take whose model is to be avoided is taken all the same, and
// says so: another assignment helps it.
func submit(v View, t terms, i Item, faults []string) (w Write, item Item, existed bool, err error) {
	if i.Key != "" {
		for _, work := range v.Works {
			if work.Item.Key == i.Key {
				return Write{}, work.Item, true, nil
			}
		}
	}
	faults = append(slices.Clone(faults), i.misfits(v)...)
	if len(faults) > 0 {
		e := entry(v.Now, i.Submitter, "refused.work.submit", 0, nil, strings.Join(faults, "; "))
		e.Subject = i.Repo.String()
		w.Journal = append(w.Journal, e)
		all := make([]error, 0, len(faults))
		for _, f := range faults {
			all = append(all, errors.New(f))
		}
		return w, Item{}, false, fault.AsPermanent(errors.Join(all...))
	}
	i.State, i.Submitted, i.Since = Ready, v.Now, v.Now
	i.Raised, i.Rank = i.Level, follows(v)
	i.Raise = t.rises(i, v.Now)
	if len(v.Set.Place(i.Selector, shunned(v.Set.Set, i.Avoid))) == 0 {
		i.Reason = waits + "every coordinate that " + i.Selector.String() + " chooses has a model that must not take it"
	}
	w.Items = append(w.Items, i)
	w.Journal = append(w.Journal, entry(v.Now, i.Submitter, "work.submitted", i.ID, nil, i.Reason, "key", i.Key, "kind", string(i.Kind), "repository", i.Repo.String(),
		"selector", i.Selector.String(), "shape", i.Shape, "priority", i.Level.String(), "budget", i.limit()))
	return w, i, false, nil
}

// misfits are the faults of an item as the pool config and the time have it.
func (i Item) misfits(v View) (faults []string) {
	bad := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	if !i.Deadline.IsZero() && !v.Now.Before(i.Deadline) {
		bad("deadline: it is over")
	}
	if i.Kind == Review && i.Head == "" {
		bad("pull_request: nothing is known of %s", i.Pull)
	}
	if v.Set == nil {
		bad("selector: there is no pool config yet")
		return faults
	}
	if i.Shape != "" && !slices.Contains(v.Set.Shapes, i.Shape) {
		bad("shape: there is no %q; there are %s", clip(i.Shape, longestName), list(v.Set.Shapes))
	}
	if _, err := pools.ParseSelector(i.Selector.String(), v.Set.Vocabulary); err != nil {
		bad("selector: %v", err)
	} else if len(v.Set.Place(i.Selector, nil)) == 0 {
		bad("selector: no coordinate is %s; there are %s", i.Selector, places(v.Set.Set))
	}
	return faults
}

// limit is the item's budget in words; "" for none.
func (i Item) limit() string {
	if i.Budget == 0 {
		return ""
	}
	return i.Budget.String()
}

// roleOf is who does work of a kind where nobody says.
func roleOf(k Kind) string {
	if k == Review {
		return "reviewer"
	}
	return "builder"
}

// places lists the coordinates there are, by pool.
func places(s pools.Set) string {
	var words []string
	for _, p := range s.Pools {
		switch p.Replicas {
		case 0:
		case 1:
			words = append(words, p.Name.String()+"-0")
		default:
			words = append(words, fmt.Sprintf("%s-0 to %s-%d", p.Name, p.Name, p.Replicas-1))
		}
	}
	return list(words)
}

// list joins words for people.
func list(words []string) string {
	if len(words) == 0 {
		return "none"
	}
	return strings.Join(words, ", ")
}

// clip shortens a text to so many characters.
func clip(s string, most int) string {
	s = strings.ToValidUTF8(strings.TrimSpace(s), "�")
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most-1]) + "…"
}
