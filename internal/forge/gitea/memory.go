package gitea

import (
	"container/list"
	"slices"
	"sync"
	"time"

	"slipway/gate"
	"slipway/internal/ref"
)

// memory keeps what looks at pull requests have read and what they can spare
// the next one to read. It is bounded and lost with the process: nothing
// depends on it but the number of calls. What is kept is never changed again.
type memory struct {
	mu    sync.Mutex
	order list.List // of *kept, the last used in front
	of    map[ref.PullID]*list.Element
	bytes int
}

const (
	memoryPulls = 2000
	memoryBytes = 24 << 20 // of all, by weight
	keptBytes   = 1 << 20  // of one; more of one is not kept
)

// kept is what is known of one pull request. Each part is nil or zero when
// nothing is.
type kept struct {
	id      ref.PullID
	history *history
	talk    *talk
	ran     *ran
	push    pushed
}

// history is what lies between a base and a head. That never changes, but for
// who is behind an e-mail address: somebody may add theirs to their account.
type history struct {
	at        time.Time // when it was read
	branch    string    // of the base
	base      ref.SHA   // its tip
	mergeBase ref.SHA   // as the server had it then
	head      ref.SHA

	commits  []commit
	unmapped bool // whether an author or a committer is nobody known
	people   people
	files    []gate.File
}

// talk is what people did to a pull request, as of one state of its record.
type talk struct {
	as       stamp
	at       time.Time // when it was read
	reviews  []gate.Review
	people   people
	timeline timeline
}

// stamp is what of a pull request's record changes when people do something to
// it. Some things change none of it: see talkAge.
type stamp struct {
	head     ref.SHA
	branch   string
	updated  time.Time
	comments int
	reviews  int
}

// ran is what CI did on a head.
type ran struct {
	head   ref.SHA
	status int64 // the highest id of a status by then
	// statuses are all by then, if they are more than a page.
	statuses []gate.Status
	runs     []run
	folders  map[ref.SHA]folder // the workflow folder, by commit
}

// pushed is who pushed a head, as the feed told.
type pushed struct {
	head        ref.SHA
	by          string    // "" when it told nothing
	first, last time.Time // when it was asked
}

// talkAge is how long what people did is remembered while the pull request's
// record says that nothing was done. It does not say so when a comment is
// edited, a dismissal is taken back, or somebody sets the date themselves.
const talkAge = 5 * time.Minute

// recall gives what is kept of a pull request.
func (m *memory) recall(id ref.PullID) kept {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, found := m.of[id]
	if !found {
		return kept{id: id}
	}
	m.order.MoveToFront(e)
	return *e.Value.(*kept)
}

// keep replaces what is kept of a pull request.
func (m *memory) keep(k kept) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e, found := m.of[k.id]; found {
		m.drop(e)
	}
	if k.weight() > keptBytes {
		return
	}
	if m.of == nil {
		m.of = map[ref.PullID]*list.Element{}
	}
	m.of[k.id] = m.order.PushFront(&k)
	m.bytes += k.weight()
	for len(m.of) > memoryPulls || m.bytes > memoryBytes {
		m.drop(m.order.Back())
	}
}

func (m *memory) drop(e *list.Element) {
	k := m.order.Remove(e).(*kept)
	delete(m.of, k.id)
	m.bytes -= k.weight()
}

// The weights of a row without its texts, in bytes, roughly.
const (
	rowBytes  = 160
	keptBasic = 1 << 10
)

// weight is how much memory it takes, roughly.
func (k kept) weight() int {
	n := keptBasic
	if h := k.history; h != nil {
		for _, c := range h.commits {
			n += rowBytes + len(c.AuthorEmail) + len(c.CommitterEmail) + 64*len(c.parents) + 64*len(c.coAuthors)
		}
		for _, f := range h.files {
			n += rowBytes/2 + len(f.Path) + len(f.Previous)
		}
	}
	if t := k.talk; t != nil {
		n += rowBytes * len(t.reviews)
		for _, c := range t.timeline.comments {
			n += rowBytes + len(c.Body)
		}
	}
	if k.ran != nil {
		for _, s := range k.ran.statuses {
			n += rowBytes + len(s.Context) + len(s.Description) + len(s.URL)
		}
		for _, r := range k.ran.runs {
			n += rowBytes * (1 + len(r.jobs))
		}
		for _, f := range k.ran.folders {
			n += 32 * len(f.entries)
		}
	}
	return n
}

// lies says whether the history is that of the record: by the tip of the base,
// or, without exact, by where head and base part, as the server has it.
func (h *history) lies(r record, exact bool, now time.Time) bool {
	if h == nil || h.head != r.pull.Head || h.branch != r.pull.Base {
		return false
	}
	if h.unmapped && (exact || now.Sub(h.at) >= recentAge) {
		return false
	}
	return h.base == r.pull.BaseHead || !exact && h.mergeBase == r.mergeBase
}

// stands says whether the talk is still all that was done.
func (t *talk) stands(r record, now time.Time) bool {
	return t != nil && t.as == r.stamp() && now.Sub(t.at) < talkAge
}

// ask says whether the feed should be asked again. A push shows in it moments
// later, and then sinks: what it does not tell after a minute it never will.
func (p pushed) ask(now time.Time, fresh bool) bool {
	if p.by != "" || p.last.Sub(p.first) >= recentAge {
		return false
	}
	return fresh || now.Sub(p.last) >= recentAge
}

// ranOn gives what is known of a head's runs.
func (k kept) ranOn(head ref.SHA) *ran {
	if k.ran == nil || k.ran.head != head {
		return nil
	}
	return k.ran
}

// find gives a run by its id.
func (r *ran) find(id int64) (run, bool) {
	if r == nil {
		return run{}, false
	}
	i := slices.IndexFunc(r.runs, func(one run) bool { return one.id == id })
	if i < 0 {
		return run{}, false
	}
	return r.runs[i], true
}
