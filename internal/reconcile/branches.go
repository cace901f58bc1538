package reconcile

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"

	"slipway/internal/change"
	"slipway/internal/fault"
	"slipway/internal/journal"
	"slipway/internal/ref"
)

// lookBranch accounts for the commits of a branch, one by one and in order:
// the merges of ours get their versions, each once (R1, R5); what came any
// other way is told. There is one worker per branch, and a version is reserved
// here, long before it is tagged, so nobody's slow checks hold up or overtake
// anybody.
func (e *Engine) lookBranch(ctx context.Context, claim Claim, b ref.BranchID) (time.Time, error) {
	repo, ok := e.repos[b.Repo]
	if !ok || b.Name != repo.Branch {
		return time.Time{}, nil
	}
	idle := e.Now().Add(e.Idle)
	cursor, err := e.Store.Cursor(ctx, b)
	if err != nil {
		return time.Time{}, err
	}
	tip, err := repo.Forge.Branch(ctx, b)
	if err != nil {
		return time.Time{}, fmt.Errorf("tip of %s: %w", b, err)
	}
	// The changes are read after the tip: a merge in it that is ours is known
	// to be in flight at the least.
	u, err := e.unversioned(ctx, b)
	if err != nil || tip == cursor && len(u.merged) == 0 {
		return idle, err
	}
	w := Write{Fence: &claim}
	if cursor == "" && len(u.merged)+len(u.inFlight) == 0 {
		w.Cursor = &Cursor{Branch: b, To: tip}
		return idle, e.Store.Commit(ctx, w) // what was there before us is not ours to judge
	}
	if err := e.Git.Fetch(ctx, b.Repo); err != nil {
		return time.Time{}, fmt.Errorf("fetch %s: %w", b.Repo, err)
	}
	line, err := e.line(ctx, b, cursor, tip, &w)
	if err != nil {
		return time.Time{}, fmt.Errorf("commits of %s: %w", b, err)
	}
	if next, done, err := e.follow(ctx, repo, b, cursor, line, u, w); done {
		return next, err
	}
	return e.leftover(ctx, repo, b, tip, u, claim)
}

// line are the commits of the branch after the cursor. A branch that was
// rewritten is told of, and taken as it is now.
func (e *Engine) line(ctx context.Context, b ref.BranchID, cursor, tip ref.SHA, w *Write) ([]Commit, error) {
	if tip == cursor {
		return nil, nil
	}
	line, err := e.Git.FirstParent(ctx, b.Repo, cursor, tip)
	if fault.KindOf(err) == fault.Permanent {
		w.Journal = entries(e.Now(), "branch.rewritten", b.String(), string(tip), err.Error())
		return []Commit{{SHA: tip}}, nil
	}
	return line, err
}

// follow goes along the line and stops at the first commit that needs
// something: a version, or another look. done is false when all of it is
// accounted for.
func (e *Engine) follow(ctx context.Context, repo Repository, b ref.BranchID, cursor ref.SHA, line []Commit, u unversioned, w Write) (next time.Time, done bool, err error) {
	covered := u.covered(line)
	for _, commit := range line {
		w.Cursor = &Cursor{Branch: b, From: cursor, To: commit.SHA}
		if c, ours := u.merged[commit.SHA]; ours {
			next, err = e.reserve(ctx, repo, b, u.releases, c, w)
			return next, true, err
		}
		if covered[commit.SHA] || cursor == "" {
			continue
		}
		verdict, err := e.stranger(ctx, repo, b, line[len(line)-1].SHA, commit, u)
		switch {
		case err != nil:
			return time.Time{}, true, err
		case verdict.wait > 0:
			return e.Now().Add(verdict.wait), true, e.Store.Commit(ctx, Write{Fence: w.Fence, Due: verdict.due})
		}
		w.Journal = append(w.Journal, verdict.tell...)
	}
	switch {
	case len(line) == 0:
		return time.Time{}, false, nil
	case cursor == "" && len(u.merged) == 0:
		return e.Now().Add(time.Second), true, nil // a merge of ours is on its way, and will be the first
	}
	if err := e.Store.Commit(ctx, w); err != nil {
		return time.Time{}, true, err
	}
	for _, j := range w.Journal {
		e.alarm(j.Action)
		e.Log.Error(j.Action, "branch", b, "commit", j.Identity, "reason", j.Reason)
	}
	return e.Now(), len(u.merged) == 0, nil
}

// unversioned are the changes of a branch that have no version yet.
type unversioned struct {
	merged   map[ref.SHA]change.Change // observed, by merge commit
	inFlight []change.Change           // begun, and not observed
	releases []Release                 // the versions there are
}

func (e *Engine) unversioned(ctx context.Context, b ref.BranchID) (unversioned, error) {
	changes, err := e.Store.Changes(ctx, Filter{Repo: b.Repo, Base: b.Name, Unfinished: true})
	if err != nil {
		return unversioned{}, err
	}
	u := unversioned{merged: map[ref.SHA]change.Change{}}
	if u.releases, err = e.Store.Releases(ctx, b); err != nil {
		return unversioned{}, err
	}
	for _, c := range changes {
		switch {
		case c.Releasable && !u.has(c.MergeSHA) && c.PassedOver == "":
			u.merged[c.MergeSHA] = c
		case c.MergeSHA == "" && c.Intent != nil:
			u.inFlight = append(u.inFlight, c)
		}
	}
	return u, nil
}

func (u unversioned) has(merge ref.SHA) bool {
	return slices.ContainsFunc(u.releases, func(r Release) bool { return r.Merge == merge })
}

// covered are the commits that a rebase of ours made before its last one.
func (u unversioned) covered(line []Commit) map[ref.SHA]bool {
	covered := map[ref.SHA]bool{}
	for i, commit := range line {
		c, ours := u.merged[commit.SHA]
		if !ours || c.Intent == nil {
			continue
		}
		for j := max(0, i-c.Intent.Commits+1); j < i; j++ {
			covered[line[j].SHA] = true
		}
	}
	return covered
}

// sighting is what is made of a commit that nobody we know of brought.
type sighting struct {
	wait time.Duration // it may still turn out to be ours
	due  []Due
	tell []journal.Entry
}

// stranger deals with a commit that is no known merge of ours without a
// version. Whether a merge under way brought it, the forge knows.
func (e *Engine) stranger(ctx context.Context, repo Repository, b ref.BranchID, tip ref.SHA, c Commit, u unversioned) (sighting, error) {
	now := e.Now()
	known, err := e.Store.Changes(ctx, Filter{Repo: b.Repo, SHA: c.SHA})
	if err != nil {
		return sighting{}, err
	}
	for _, k := range known {
		switch {
		case k.MergeSHA != c.SHA:
		case k.Outcome == change.Open && k.Releasable && k.PassedOver == "" && !u.has(c.SHA):
			return sighting{wait: time.Millisecond}, nil // observed since the changes were read: it is ours after all
		default:
			return sighting{}, nil // merged by hand and told as such, or ended already
		}
	}
	for _, k := range u.inFlight {
		p, err := repo.Forge.Pull(ctx, k.ID)
		switch {
		case errors.Is(err, ErrNoPull): // its change ends first: the commit may be what it brought
			return sighting{wait: time.Second, due: []Due{{ChangeKey(k.ID), now}}}, nil
		case err != nil:
			return sighting{}, fmt.Errorf("whether %s is merged: %w", k.ID, err)
		}
		if p.Merged == ref.Yes {
			return sighting{wait: 300 * time.Millisecond, due: []Due{{ChangeKey(k.ID), now}}}, nil
		}
	}
	if e.once(BranchKey(b), "first sight of "+string(tip)) {
		return sighting{wait: 2 * time.Second, due: []Due{{RepoKey(b.Repo), now}}}, nil // it may be a merge by hand
	}
	return sighting{tell: entries(now, "push.unjudged", b.String(), string(c.SHA),
		fmt.Sprintf("%q by %s reached the branch without a verdict", oneLine(c.Subject), c.Author))}, nil
}

// leftover deals with merges that the cursor went past before they were
// observed. One that is newer than every version still gets its own; any other
// is part of a version already.
func (e *Engine) leftover(ctx context.Context, repo Repository, b ref.BranchID, tip ref.SHA, u unversioned, claim Claim) (time.Time, error) {
	left := slices.SortedFunc(maps.Values(u.merged), func(x, y change.Change) int { return x.MergedAt.Compare(y.MergedAt) })
	for _, c := range left {
		why, err := e.lost(ctx, b, tip, u.releases, c)
		if err != nil {
			return time.Time{}, err
		}
		if why == "" {
			return e.reserve(ctx, repo, b, u.releases, c, Write{Fence: &claim})
		}
		c.PassedOver = why
		w := Write{Fence: &claim, Change: &c, Due: []Due{{ChangeKey(c.ID), e.Now()}},
			Journal: entries(e.Now(), "version.none", c.ID.String(), string(c.MergeSHA), why)}
		if err := e.Store.Commit(ctx, w); err != nil {
			return time.Time{}, err
		}
		e.moved(c.ID)
		e.Log.Error("no version", "change", c.ID, "commit", c.MergeSHA, "reason", why)
	}
	return e.Now().Add(e.Idle), nil
}

// lost says why a merge can no longer get a version of its own; "" if it can.
func (e *Engine) lost(ctx context.Context, b ref.BranchID, tip ref.SHA, releases []Release, c change.Change) (string, error) {
	onBranch, err := e.Git.Contains(ctx, b.Repo, tip, c.MergeSHA)
	if err != nil {
		return "", fmt.Errorf("whether %s holds %s: %w", b, c.MergeSHA.Short(), err)
	}
	if !onBranch {
		return "its merge commit is no longer on " + b.Name, nil
	}
	if len(releases) == 0 {
		return "", nil
	}
	last := releases[len(releases)-1]
	newer, err := e.Git.Contains(ctx, b.Repo, c.MergeSHA, last.Merge)
	if err != nil {
		return "", fmt.Errorf("whether %s is newer than %s: %w", c.MergeSHA.Short(), last.Tag, err)
	}
	if !newer {
		return fmt.Sprintf("%s was versioned before its merge was observed, and contains it or stands beside it", last.Tag), nil
	}
	return "", nil
}

// reserve records the version of one merge and looks again for the next.
func (e *Engine) reserve(ctx context.Context, repo Repository, b ref.BranchID, releases []Release, c change.Change, w Write) (time.Time, error) {
	now := e.Now()
	plan, err := e.plan(ctx, repo, b.Name, c.MergeSHA)
	if err != nil {
		return time.Time{}, err
	}
	w.Due = append(w.Due, Due{ChangeKey(c.ID), now})
	var before ref.SHA
	position := int64(1)
	if n := len(releases); n > 0 {
		before, position = releases[n-1].Merge, releases[n-1].Position+1
	}
	version, err := e.version(ctx, repo, plan, releases, before, c)
	if err != nil {
		return time.Time{}, fmt.Errorf("version of %s: %w", c.ID, err)
	}
	tag, err := ref.ParseTag(plan.Release.Prefix + version)
	if err != nil {
		return time.Time{}, fault.AsPermanent(fmt.Errorf("version of %s: %w", c.ID, err))
	}
	w.Release = &Release{Branch: b, Position: position, Number: c.ID.Number, Merge: c.MergeSHA, Version: version, Tag: tag}
	w.Journal = append(w.Journal, entries(now, "version.reserved", c.ID.String(), string(c.MergeSHA), string(tag))...)
	return now, e.Store.Commit(ctx, w)
}

// version is the next one: after every tag and every reservation, raised by
// the label if there is one, else by the commits that are new in it.
func (e *Engine) version(ctx context.Context, repo Repository, plan change.Plan, releases []Release, before ref.SHA, c change.Change) (string, error) {
	last, err := e.highest(ctx, repo, plan.Release.Prefix, releases)
	if err != nil {
		return "", err
	}
	level, labelled := change.LabelLevel(c.Labels, plan.Release)
	if labelled || last == "" {
		return change.NextVersion(last, plan.Release.First, level)
	}
	commits, err := e.news(ctx, repo.ID, before, c.MergeSHA)
	if err != nil {
		return "", err
	}
	for _, commit := range commits {
		level = max(level, commitLevel(commit))
	}
	return change.NextVersion(last, plan.Release.First, level)
}

func (e *Engine) highest(ctx context.Context, repo Repository, prefix string, releases []Release) (string, error) {
	tags, err := e.Git.Tags(ctx, repo.ID)
	if err != nil {
		return "", err
	}
	var versions []string
	for tag := range tags {
		if v, ok := strings.CutPrefix(string(tag), prefix); ok {
			versions = append(versions, v)
		}
	}
	for _, r := range releases {
		versions = append(versions, r.Version)
	}
	var top *semver.Version
	for _, s := range versions {
		v, err := semver.StrictNewVersion(s)
		if err != nil || v.Prerelease() != "" {
			continue // not a version of ours
		}
		if top == nil || v.GreaterThan(top) {
			top = v
		}
	}
	if top == nil {
		return "", nil
	}
	return top.String(), nil
}

// once says whether something about a key is said for the first time since
// the start.
func (e *Engine) once(k Key, what string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.said[k] == nil {
		e.said[k] = map[string]bool{}
	}
	if e.said[k][what] {
		return false
	}
	e.said[k][what] = true
	return true
}
