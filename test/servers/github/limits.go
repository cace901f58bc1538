package github

import (
	"net/http"
	"strconv"
	"sync"
	"time"
)

// primaryLimit is how many calls an account has in an hour.
const primaryLimit = 5000

// limits are the rate limits, by login.
type limits struct {
	now func() time.Time

	mutex sync.Mutex
	used  map[string]int
	until map[string]time.Time // primary limit reached, until then
	slow  map[string]slowdown
}

// slowdown is a secondary rate limit.
type slowdown struct {
	after time.Duration
	calls int // that are still refused
}

// tamper are the faults that a test asks for.
type tamper struct {
	mutex sync.Mutex
	wants []breakage
}

type breakage struct {
	method, path string
	status       int
	done         bool // the call takes effect first
}

// Exhaust makes the account's calls meet the primary rate limit until a time.
func (s *Server) Exhaust(login string, until time.Time) {
	s.limits.mutex.Lock()
	defer s.limits.mutex.Unlock()
	if s.limits.until == nil {
		s.limits.until = map[string]time.Time{}
	}
	s.limits.until[login] = until
}

// Slow makes the account's next calls meet the secondary rate limit.
func (s *Server) Slow(login string, retryAfter time.Duration, calls int) {
	s.limits.mutex.Lock()
	defer s.limits.mutex.Unlock()
	if s.limits.slow == nil {
		s.limits.slow = map[string]slowdown{}
	}
	s.limits.slow[login] = slowdown{retryAfter, calls}
}

// Used is how many calls count against the account's primary rate limit.
func (s *Server) Used(login string) int {
	s.limits.mutex.Lock()
	defer s.limits.mutex.Unlock()
	return s.limits.used[login]
}

// Break answers the next call of a method and a path of the description (such
// as /repos/{owner}/{repo}/pulls/{pull_number}/merge) with a status: instead of
// doing it, or after having done it.
func (s *Server) Break(method, path string, status int, done bool) {
	s.tamper.mutex.Lock()
	defer s.tamper.mutex.Unlock()
	s.tamper.wants = append(s.tamper.wants, breakage{method, path, status, done})
}

func (t *tamper) before(method, path string) int { return t.take(method, path, false) }
func (t *tamper) after(method, path string) int  { return t.take(method, path, true) }

func (t *tamper) take(method, path string, done bool) int {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	for i, b := range t.wants {
		if b.method == method && b.path == path && b.done == done {
			t.wants = append(t.wants[:i], t.wants[i+1:]...)
			return b.status
		}
	}
	return 0
}

// limited refuses a call that is beyond a limit.
func (c *call) limited() (reply, bool) {
	if c.cred.who == nil {
		return reply{}, true
	}
	l := &c.limits
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if until := l.until[c.cred.who.Login]; until.After(l.now()) {
		return c.refuse(http.StatusForbidden, "API rate limit exceeded for user ID "+strconv.FormatInt(c.cred.who.ID, 10)+"."), false
	}
	if slow := l.slow[c.cred.who.Login]; slow.calls > 0 {
		slow.calls--
		l.slow[c.cred.who.Login] = slow
		c.header.Set("Retry-After", strconv.Itoa(int(slow.after.Seconds())))
		refused := c.refuse(http.StatusForbidden, "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.")
		refused.body.(object)["documentation_url"] = "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits"
		return refused, false
	}
	return reply{}, true
}

// count writes where the account stands. What was not modified costs nothing.
func (c *call) count(header http.Header, status int) {
	if c.cred.who == nil {
		return
	}
	login := c.cred.who.Login
	l := &c.limits
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.used == nil {
		l.used = map[string]int{}
	}
	if status != http.StatusNotModified {
		l.used[login]++
	}
	used, reset := min(l.used[login], primaryLimit), l.now().Add(time.Hour)
	if until := l.until[login]; until.After(l.now()) {
		used, reset = primaryLimit, until
	}
	header.Set("X-RateLimit-Limit", strconv.Itoa(primaryLimit))
	header.Set("X-RateLimit-Remaining", strconv.Itoa(primaryLimit-used))
	header.Set("X-RateLimit-Used", strconv.Itoa(used))
	header.Set("X-RateLimit-Reset", strconv.FormatInt(reset.Unix(), 10))
	header.Set("X-RateLimit-Resource", "core")
}
