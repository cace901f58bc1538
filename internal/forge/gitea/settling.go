package gitea

import (
	"sync"
	"time"

	"slipway/gate"
	"slipway/internal/ref"
)

// settling tells a conflict from a check for conflicts that is still running.
//
// Gitea says mergeable false for both, for drafts too, and nothing else in its
// API tells them apart: a merge is refused with the same words ("Please try
// again later") either way. The check begins whenever the head or the base
// moves and takes some tenths of a second, more on a busy server. So false is
// taken for a conflict only after it has been seen for a while with the same
// head and base; reading the pull request makes Gitea run a check it had put
// off, so a second look always has an answer to find.
type settling struct {
	after time.Duration // for how long false must be seen
	mu    sync.Mutex
	since map[ref.PullID]unsettled
}

// unsettled is when false was first seen for a head on a base.
type unsettled struct {
	head, base ref.SHA
	at         time.Time
}

const (
	settleAfter = 30 * time.Second
	settleLimit = 10000 // pull requests remembered
)

// mergeable gives the fact for the flag as read now.
func (s *settling) mergeable(p gate.PullRequest, flag bool, now time.Time) ref.Fact {
	s.mu.Lock()
	defer s.mu.Unlock()
	if flag || p.Open != ref.Yes {
		delete(s.since, p.ID)
		return ref.Known(flag)
	}
	if p.Draft == ref.Yes {
		return ref.Unknown
	}
	first, found := s.since[p.ID]
	if !found || first.head != p.Head || first.base != p.BaseHead {
		if s.since == nil || len(s.since) >= settleLimit {
			s.since = map[ref.PullID]unsettled{} // the rest only waits once more
		}
		s.since[p.ID] = unsettled{head: p.Head, base: p.BaseHead, at: now}
		return ref.Unknown
	}
	if now.Sub(first.at) < s.after {
		return ref.Unknown
	}
	return ref.No
}
