package gitea

import (
	"strings"
	"sync"
	"time"
)

// recent remembers lists of logins by name for a short time.
type recent struct {
	mu    sync.Mutex
	lists map[string]roster
}

// roster is who was read, or why nobody was.
type roster struct {
	logins []string
	err    error
	at     time.Time
}

const (
	recentAge   = time.Minute
	recentLimit = 2000 // lists
)

// get gives what was kept under the name (in any case) less than a minute ago.
func (r *recent) get(name string, now time.Time) (roster, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l, found := r.lists[strings.ToLower(name)]
	return l, found && now.Sub(l.at) < recentAge
}

// keep keeps a list; nobody changes it afterwards.
func (r *recent) keep(name string, l roster) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lists == nil || len(r.lists) >= recentLimit {
		r.lists = map[string]roster{}
	}
	r.lists[strings.ToLower(name)] = l
}
