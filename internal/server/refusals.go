package server

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"slipway/internal/authz"
)

const (
	// refusalEvery is how often the journal, which forgets nothing, is told of
	// the same refusal: a page that asks each second with a token that has
	// expired must not fill it.
	refusalEvery = time.Minute
	// mostSubjects is how many subjects of one token and verb are told apart at a
	// time: a token may ask for any number of them.
	mostSubjects = 20
	otherSubject = "other subjects"
)

// asked is what was refused, to whom.
type asked struct {
	token   string
	verb    authz.Verb
	subject string
}

// refusals are those that the journal was told of a short while ago, each with
// how often it was refused since.
type refusals struct {
	mu   sync.Mutex
	told map[asked]denial
}

// denial is one of them.
type denial struct {
	asked
	why   string
	at    time.Time // when it was told
	again int       // how often it was refused after that
}

// note notes a refusal; tell says that the journal is to be told of it now.
func (r *refusals) note(a asked, why string, now time.Time) (of asked, tell bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.told[a]; !known && r.subjects(a) >= mostSubjects {
		a.subject = otherSubject
	}
	last, known := r.told[a]
	if !known {
		last = denial{asked: a, at: now}
	} else {
		last.again++
	}
	last.why = why
	r.told[a] = last
	return a, !known
}

// subjects is how many of a token and a verb are told apart.
func (r *refusals) subjects(a asked) int {
	n := 0
	for k := range r.told {
		if k.token == a.token && k.verb == a.verb {
			n++
		}
	}
	return n
}

// due gives what was refused again since it was told, up to a time, oldest
// first, and counts from now on; what was not is forgotten.
func (r *refusals) due(until, now time.Time) []denial {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []denial
	for k, last := range r.told {
		if last.at.After(until) {
			continue
		}
		if last.again == 0 {
			delete(r.told, k)
			continue
		}
		out = append(out, last)
		r.told[k] = denial{asked: k, at: now}
	}
	slices.SortFunc(out, func(a, b denial) int {
		return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.token, b.token), cmp.Compare(a.verb, b.verb), cmp.Compare(a.subject, b.subject))
	})
	return out
}

// forget lets the next refusal of the kind be told: this one could not be.
func (r *refusals) forget(a asked) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.told, a)
}

// refused logs each refusal and tells the journal of it (A1): of the first at
// once, and of those like it within the minute by their number.
func (s *Server) refused(ctx context.Context, a asked, why string) {
	now := s.Now()
	s.Log.Warn("refused", "token", a.token, "verb", a.verb, "subject", a.subject, "reason", why)
	s.tellRefusals(ctx, now.Add(-refusalEvery))
	of, tell := s.refusals.note(a, why, now)
	if !tell {
		return
	}
	if err := s.Refused(ctx, of.token, of.verb, of.subject, why); err != nil {
		s.refusals.forget(of)
		s.Log.Error("journal a refusal", "token", a.token, "verb", a.verb, "subject", a.subject, "error", err)
	}
}

// tellRefusals tells the journal how often was refused what it was told of up
// to a time.
func (s *Server) tellRefusals(ctx context.Context, until time.Time) {
	for _, r := range s.refusals.due(until, s.Now()) {
		why := fmt.Sprintf("%s (%d more since %s)", r.why, r.again, r.at.UTC().Format(time.RFC3339))
		if err := s.Refused(ctx, r.token, r.verb, r.subject, why); err != nil {
			s.Log.Error("journal refusals", "token", r.token, "verb", r.verb, "subject", r.subject, "times", r.again, "error", err)
		}
	}
}

// tellRefusalsUntil does so every minute until ctx ends, and then of all.
func (s *Server) tellRefusalsUntil(ctx context.Context) {
	tick := time.NewTicker(refusalEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.tellRefusals(ctx, s.Now().Add(-refusalEvery))
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			defer cancel()
			s.tellRefusals(last, s.Now())
			return
		}
	}
}
