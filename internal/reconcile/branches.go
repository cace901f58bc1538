package reconcile

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"

	"slipway/internal/change"
	"slipway/internal/fault"
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
	if tip == cursor {
		return idle, nil
	}
	// The changes are read after the tip: a merge in it that is ours is known
	// to be in flight at the least.
	waiting, inFlight, err := e.unversioned(ctx, b)
	if err != nil {
		return time.Time{}, err
	}
	w := Write{Fence: &claim, Cursor: &Cursor{Branch: b, From: cursor, To: tip}}
	if cursor == "" && len(waiting)+len(inFlight) == 0 {
		return idle, e.Store.Commit(ctx, w) // what was there before us is not ours to judge
	}
	if err := e.Git.Fetch(ctx, b.Repo); err != nil {
		return time.Time{}, fmt.Errorf("fetch %s: %w", b.Repo, err)
	}
	line, err := e.Git.FirstParent(ctx, b.Repo, cursor, tip)
	if fault.KindOf(err) == fault.Permanent {
		e.Log.Error("the branch was rewritten", "branch", b, "from", cursor, "to", tip)
		w.Journal = entries(e.Now(), "branch.rewritten", b.String(), string(tip), err.Error())
		line, err = e.survivors(ctx, b, waiting, tip)
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("commits of %s: %w", b, err)
	}
	for _, commit := range line {
		w.Cursor.To = commit.SHA
		if c, ours := waiting[commit.SHA]; ours {
			return e.reserve(ctx, repo, b, c, w)
		}
		if cursor == "" {
			continue
		}
		wait, err := e.stranger(ctx, b, commit, inFlight, &w)
		if err != nil {
			return time.Time{}, err
		}
		if wait > 0 {
			return e.Now().Add(wait), e.Store.Commit(ctx, Write{Fence: &claim, Due: w.Due})
		}
	}
	if cursor == "" {
		return e.Now().Add(time.Second), nil // a merge of ours is on its way, and will be the first
	}
	return idle, e.Store.Commit(ctx, w)
}

// survivors are the merges without a version that a rewritten branch still
// contains, in the order they were merged. The rest of it is not looked at:
// that it was rewritten has been told.
func (e *Engine) survivors(ctx context.Context, b ref.BranchID, waiting map[ref.SHA]change.Change, tip ref.SHA) ([]Commit, error) {
	var out []Commit
	for sha := range waiting {
		contained, err := e.Git.Contains(ctx, b.Repo, tip, sha)
		if err != nil {
			return nil, err
		}
		if contained {
			out = append(out, Commit{SHA: sha, At: waiting[sha].MergedAt})
		}
	}
	slices.SortFunc(out, func(x, y Commit) int { return x.At.Compare(y.At) })
	return out, nil
}

// stranger deals with a commit that is no known merge of ours without a
// version: it waits while it may yet turn out to be one, and else tells of it.
func (e *Engine) stranger(ctx context.Context, b ref.BranchID, c Commit, inFlight []ref.PullID, w *Write) (time.Duration, error) {
	known, err := e.Store.Changes(ctx, Filter{Repo: b.Repo, SHA: c.SHA})
	if err != nil {
		return 0, err
	}
	now := e.Now()
	for _, k := range known {
		switch {
		case k.MergeSHA != c.SHA:
		case k.Outcome == change.Open && k.Releasable && k.Version == "":
			return time.Millisecond, nil // observed since the changes were read: it is ours after all
		default:
			return 0, nil // merged by hand and told as such, or ended already
		}
	}
	if len(inFlight) > 0 {
		for _, id := range inFlight {
			w.Due = append(w.Due, Due{ChangeKey(id), now})
		}
		return 300 * time.Millisecond, nil
	}
	if e.once(BranchKey(b), "first sight of "+string(c.SHA)) {
		w.Due = append(w.Due, Due{RepoKey(b.Repo), now}) // it may be a merge by hand
		return 2 * time.Second, nil
	}
	e.Log.Error("pushed without a verdict", "branch", b, "commit", c.SHA, "author", c.Author, "subject", c.Subject)
	w.Journal = append(w.Journal, entries(now, "push.unjudged", b.String(), string(c.SHA),
		fmt.Sprintf("%q by %s reached the branch without a verdict", oneLine(c.Subject), c.Author))...)
	return 0, nil
}

// unversioned are the merged changes without a version, by merge commit, and
// the merges that were begun and not yet observed.
func (e *Engine) unversioned(ctx context.Context, b ref.BranchID) (map[ref.SHA]change.Change, []ref.PullID, error) {
	changes, err := e.Store.Changes(ctx, Filter{Repo: b.Repo, Base: b.Name, Unfinished: true})
	if err != nil {
		return nil, nil, err
	}
	waiting := map[ref.SHA]change.Change{}
	var inFlight []ref.PullID
	for _, c := range changes {
		switch {
		case c.Releasable && c.Version == "":
			waiting[c.MergeSHA] = c
		case c.MergeSHA == "" && c.Intent != nil && c.Trouble == "":
			inFlight = append(inFlight, c.ID)
		}
	}
	return waiting, inFlight, nil
}

// reserve records the version of one merge and looks again for the next.
func (e *Engine) reserve(ctx context.Context, repo Repository, b ref.BranchID, c change.Change, w Write) (time.Time, error) {
	now := e.Now()
	plan, err := e.plan(ctx, repo, b.Name, c.MergeSHA)
	if err != nil {
		return time.Time{}, err
	}
	releases, err := e.Store.Releases(ctx, b)
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
