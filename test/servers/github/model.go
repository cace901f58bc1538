package github

import (
	"slices"
	"sync"
	"time"
)

// repository is one repository with all that GitHub keeps beside git.
type repository struct {
	id            int64
	owner         *Account
	name          string
	dir           string   // the bare git repository
	said          sync.Map // what git has said of its objects, by the question
	private       bool
	created       time.Time
	collaborators map[string]role
	labels        []*label
	pulls         []*pull
	issues        []*pull // that are no pull requests
	comments      []*comment
	statuses      []*status
	runs          []*run
	checkRuns     []*checkRun
	releases      []*release
	hooks         []*hook
	protection    map[string]*protection // by branch
	rulesets      []*ruleset
	activity      []activity
}

type team struct {
	id      int64
	org     string
	slug    string
	members []string
	repos   map[string]role
}

type label struct {
	id    int64
	name  string
	color string
}

type pull struct {
	id       int64
	number   int64
	title    string
	body     string
	author   *Account
	head     string // branch
	headRepo *repository
	headSHA  string
	base     string
	baseSHA  string // tip of the base; of a merged one, as it was merged
	open     bool
	draft    bool
	merged   bool
	mergeSHA string
	mergedBy *Account
	labels   []string
	reviews  []*review
	asked    []*Account // reviewers that were asked for
	events   []event
	created  time.Time
	updated  time.Time
	closed   time.Time
	mergedAt time.Time
	// computed is the pair of commits that mergeable was computed for: until it
	// is that of now, nobody knows.
	computed  string
	mergeable bool
}

type review struct {
	id     int64
	author *Account
	state  string
	body   string
	commit string
	at     time.Time
}

// event is one of a pull request's timeline.
type event struct {
	id    int64
	name  string
	actor *Account
	at    time.Time
	label string
}

type comment struct {
	id        int64
	number    int64
	author    *Account
	body      string
	created   time.Time
	updated   time.Time
	reactions []reaction
}

type reaction struct {
	id      int64
	author  *Account
	content string
	at      time.Time
}

type status struct {
	id          int64
	sha         string
	state       string
	context     string
	description string
	target      string
	creator     *Account
	at          time.Time
}

// run is a run of an Actions workflow; each attempt has jobs of its own.
type run struct {
	id       int64
	workflow string // its name
	path     string
	event    string
	branch   string
	sha      string
	number   int64
	attempt  int64
	jobs     []*job
	actor    *Account
	suite    int64
	created  time.Time
	updated  time.Time
}

// job is a job of a run. Its check run has the same id.
type job struct {
	id         int64
	attempt    int64
	name       string
	status     string
	conclusion string
	started    time.Time
	completed  time.Time
}

type checkRun struct {
	id         int64
	sha        string
	name       string
	status     string
	conclusion string
	app        *App // nil: GitHub Actions
	suite      int64
	details    string
	title      string
	summary    string
	started    time.Time
	completed  time.Time
}

type release struct {
	id     int64
	tag    string
	target string
	name   string
	body   string
	draft  bool
	author *Account
	at     time.Time
}

type hook struct {
	id     int64
	url    string
	secret string
	events []string
	active bool
	at     time.Time
}

// protection is a classic branch protection, as far as merging heeds it.
type protection struct {
	contexts      []string
	strict        bool
	approvals     int
	dismissStale  bool
	codeOwners    bool
	lastPush      bool
	admins        bool
	linear        bool
	forcePushes   bool
	deletions     bool
	conversations bool
	reviewed      bool // approvals are asked for at all
	checked       bool // checks are asked for at all
	pushers       []string
	restricted    bool
}

// ruleset is one ruleset with the rules as they were given.
type ruleset struct {
	id          int64
	name        string
	target      string
	enforcement string
	include     []string
	exclude     []string
	bypass      []any
	rules       []object
	at          time.Time
}

// activity is a movement of a ref.
type activity struct {
	id     int64
	ref    string
	before string
	after  string
	actor  *Account
	kind   string
	at     time.Time
}

func (r *repository) fullName() string { return r.owner.Login + "/" + r.name }

func (r *repository) pull(number int64) *pull {
	i := slices.IndexFunc(r.pulls, func(p *pull) bool { return p.number == number })
	if i < 0 {
		return nil
	}
	return r.pulls[i]
}

func (p *pull) touch() { p.updated = now() }

// conclusion of a run's latest attempt: that of its worst job.
func (r *run) state() (status, conclusion string) {
	order := []string{"failure", "timed_out", "cancelled", "action_required", "success", "neutral", "skipped"}
	best := len(order)
	for _, j := range r.latest() {
		if j.status != "completed" {
			return j.status, ""
		}
		if at := slices.Index(order, j.conclusion); at >= 0 && at < best {
			best = at
		}
	}
	if best == len(order) {
		return "queued", ""
	}
	return "completed", order[best]
}

// latest are the jobs of the latest attempt.
func (r *run) latest() []*job { return r.ofAttempt(r.attempt) }

func (r *run) ofAttempt(attempt int64) []*job {
	var jobs []*job
	for _, j := range r.jobs {
		if j.attempt == attempt {
			jobs = append(jobs, j)
		}
	}
	return jobs
}
