package gitea

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"slipway/gate"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

// looking is one look while it is made.
type looking struct {
	*Client
	id     ref.PullID
	want   reconcile.Want
	record record
	known  kept // from earlier looks

	history     history
	commitsRead ref.Fact
	filesRead   ref.Fact
	listed      bool // whether commits and files were read

	talk         talk
	listened     bool // whether reviews and timeline were read
	reviewsRead  ref.Fact
	timelineRead ref.Fact

	checks gate.Checks
	ran    *ran

	rule       approvers
	teams      map[string][]string
	who        []string
	whoRead    ref.Fact
	push       pushed
	remembered bool
}

// readAll reads the parts at the same time. A part that cannot be read leaves
// its facts unknown.
func (l *looking) readAll(ctx context.Context) {
	var group errgroup.Group
	group.SetLimit(together)
	part := func(what string, read func(context.Context) error) {
		group.Go(func() error {
			l.unread(fmt.Sprintf("the %s of %s", what, l.id), read(ctx))
			return nil
		})
	}
	pull := l.record.pull
	if h := l.known.history; h.lies(l.record, l.want.Fresh, time.Now()) {
		l.history, l.commitsRead, l.filesRead = *h, ref.Yes, ref.Yes
		l.remembered = h.base != pull.BaseHead
	} else {
		l.listed = true
		part("commits", l.readCommits)
		part("changed files", l.readFiles)
	}
	if t := l.known.talk; !l.want.Fresh && t.stands(l.record, time.Now()) {
		l.talk, l.reviewsRead, l.timelineRead = *t, ref.Yes, ref.Yes
		l.talk.reviews, l.remembered = slices.Clone(t.reviews), true
	} else {
		l.listened = true
		part("reviews", l.readReviews)
		part("timeline", l.readTimeline)
	}
	part("protection of the base", l.readRule)
	part("checks", l.readChecks)
	_ = group.Wait() // each part has told of its own fault
	l.remembered = l.remembered || !l.jobsAnew() && l.known.ranOn(pull.Head) != nil && !l.want.NoWorkflows
	if l.timelineRead != ref.Yes {
		// When the base was changed is not known, and so not which reviews count.
		l.reviewsRead = ref.Unknown
	}
	l.readPeople(ctx)
	l.readPusher(ctx)
}

func (l *looking) readCommits(ctx context.Context) (err error) {
	l.history.commits, l.history.people, err = l.commits(ctx, l.id)
	l.commitsRead = whole(err)
	return err
}

func (l *looking) readFiles(ctx context.Context) (err error) {
	l.history.files, err = l.files(ctx, l.id)
	l.filesRead = whole(err)
	return err
}

func (l *looking) readReviews(ctx context.Context) (err error) {
	l.talk.reviews, l.talk.people, err = l.reviews(ctx, l.id)
	l.reviewsRead = whole(err)
	return err
}

func (l *looking) readTimeline(ctx context.Context) (err error) {
	l.talk.timeline, err = l.Client.timeline(ctx, l.id, l.record.pull.Author, l.record.stamp().comments)
	l.timelineRead = whole(err)
	return err
}

// jobsAnew says whether all runs have to be listed, whatever the statuses tell.
func (l *looking) jobsAnew() bool { return l.want.Fresh && !l.want.NoWorkflows }

func (l *looking) readRule(ctx context.Context) (err error) {
	l.rule, err = l.approvers(ctx, l.id.Repo, l.record.pull.Base)
	return err
}

func (l *looking) readChecks(ctx context.Context) (err error) {
	pull := l.record.pull
	spare := sparing{base: pull.BaseHead, known: l.known.ranOn(pull.Head), trust: !l.jobsAnew(), only: l.want.Workflows}
	l.checks, l.ran, err = l.Client.checks(ctx, l.id.Repo, pull.Head, spare)
	return err
}

// readPeople reads who is in the teams, and judges who may approve.
func (l *looking) readPeople(ctx context.Context) {
	rule := l.rule
	names := slices.Clone(l.want.Teams)
	needed := l.want.Approvers || slices.ContainsFunc(reviewers(l.talk.reviews), func(w string) bool { return !contains(rule.users, w) })
	if rule.listed && needed {
		names = append(names, rule.names(l.id.Repo)...)
	}
	if len(names) > 0 {
		members, remembered, err := l.members(ctx, names, l.want.Fresh)
		l.unread(fmt.Sprintf("who is in the teams that matter to %s", l.id), err)
		l.remembered = l.remembered || remembered
		if rule.listed && needed {
			rule = rule.withTeams(l.id.Repo, members)
		}
		l.teams = members
	}
	l.judgeReviewers(ctx, l.id, rule, l.talk.reviews)
	if !l.want.Approvers || rule.known != ref.Yes {
		return
	}
	who, err := l.approversNow(ctx, l.id.Repo, rule)
	l.unread(fmt.Sprintf("who may approve %s", l.id), err)
	l.who, l.whoRead = who, whole(err)
}

// readPusher asks the feed who pushed the head where the timeline does not tell.
func (l *looking) readPusher(ctx context.Context) {
	head, now := l.record.pull.Head, time.Now()
	if p := l.talk.timeline.push; p.head == head && p.by != "" {
		l.push = pushed{head: head, by: p.by}
		return
	}
	known := l.known.push
	if known.head == head && !known.ask(now, l.want.Fresh) {
		l.push = known
		return
	}
	by, err := l.pushedBefore(ctx, l.record.pull)
	l.unread(fmt.Sprintf("who pushed the head of %s", l.id), err)
	if err != nil {
		return
	}
	l.push = pushed{head: head, by: by, first: now, last: now}
	if known.head == head {
		l.push.first = known.first
	}
}
