package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	sdk "code.gitea.io/sdk/gitea"

	"slipway/internal/change"
	"slipway/internal/ref"
	"slipway/test/stage"
)

// cutPoint is one write to the outside, and the line it goes over.
type cutPoint struct {
	name  string
	line  func(*place) *line
	match func(*http.Request) bool
}

func cutPoints() []cutPoint {
	of := func(is func(method, path string) bool) func(*http.Request) bool {
		return func(r *http.Request) bool { return is(r.Method, r.URL.Path) }
	}
	forge, registry, cluster := func(p *place) *line { return p.forge }, func(p *place) *line { return p.registry }, func(p *place) *line { return p.cluster }
	return []cutPoint{
		{"merge", forge, of(isMerge)},
		{"tag", forge, of(isTag)},
		{"push", registry, of(isManifest)},
		{"pin", cluster, of(isPin)},
	}
}

// TestKilledAfterEachStep kills Slipway once a write has been carried out and
// before it hears of it, and also before the write left; whoever starts it
// again finds one of everything (A5, R1).
func TestKilledAfterEachStep(t *testing.T) {
	t.Parallel()
	p := open(t, "killed", wish{})
	for _, c := range cutPoints() {
		t.Run("after the "+c.name, func(t *testing.T) { p.in(t).killedAt(c, false) })
		t.Run("before the "+c.name, func(t *testing.T) { p.in(t).killedAt(c, true) })
	}
}

func (p *place) killedAt(c cutPoint, before bool) {
	p.Helper()
	branch := strings.ToLower(strings.ReplaceAll(p.Name()[strings.LastIndex(p.Name(), "/")+1:], "_", "-"))
	rollouts, doomed := p.rollouts(), p.slipway()
	x := &trap{match: c.match, before: before, success: true, spring: doomed.Kill}
	c.line(p).arm(x)
	id := p.propose(branch, "feat: "+branch)
	p.approve(id)
	p.killed(x, c.name)
	p.start()
	p.endedOnce(id, rollouts)
}

// killed waits until a trap has sprung.
func (p *place) killed(x *trap, what string) {
	p.Helper()
	p.until(changeLimit, "the "+what, func(context.Context) error {
		select {
		case <-x.sprung:
			return nil
		default:
			return errors.New("nothing like it came over the line")
		}
	})
}

// TestKilledWhileRollingBack kills Slipway after each write of one rollback:
// the version comes back once, and one revert is proposed.
func TestKilledWhileRollingBack(t *testing.T) {
	t.Parallel()
	p := open(t, "fallen", wish{edit: fromSeven})
	good := p.ship("stand", "feat: stand")
	rollouts := p.rollouts()
	points := []struct {
		name  string
		line  *line
		match func(*http.Request) bool
	}{
		{"bad pin", p.cluster, func(r *http.Request) bool { return isPin(r.Method, r.URL.Path) }},
		{"way back", p.cluster, func(r *http.Request) bool { return isPin(r.Method, r.URL.Path) }},
		{"push of the revert", p.forge, func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/git-receive-pack") }},
		{"pull request of the revert", p.forge, func(r *http.Request) bool {
			return r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/pulls")
		}},
	}
	arm := func(i int) *trap {
		x := &trap{match: points[i].match, success: true, spring: func() { p.slipway().Kill() }}
		points[i].line.arm(x)
		return x
	}
	x := arm(0)
	id := p.propose("fall", "feat: fall")
	p.approve(id)
	for i, point := range points {
		p.killed(x, point.name)
		if i+1 < len(points) {
			x = arm(i + 1) // before the next one lives
		}
		p.start()
	}
	bad := p.ended(id, change.OutcomeRolled)
	p.shippedOnce(bad)
	p.runs(good)
	if pins := p.pins(); !slices.Equal(pins, []string{p.project.Before, p.pinOf(good), p.pinOf(bad), p.pinOf(good)}) { // the first takes over
		t.Errorf("pinned one after another: %q", pins)
	}
	if after := p.rollouts(); after != rollouts+2 {
		t.Errorf("%d rollouts for one there and one back", after-rollouts)
	}
	pulls, _, err := p.sdk(p.stage.Forge.Admin()).ListRepoPullRequests(stage.Org, p.project.Name, sdk.ListPullRequestsOptions{State: sdk.StateAll})
	if err != nil {
		t.Fatal(err)
	}
	if len(pulls) != 3 || bad.Revert == nil || pulls[0].Index != bad.Revert.Pull.Number || pulls[0].Poster.UserName != p.stage.Bot.Login {
		t.Errorf("%d pull requests, revert %+v", len(pulls), bad.Revert)
	}
	commits, _, err := p.sdk(p.stage.Forge.Admin()).ListPullRequestCommits(stage.Org, p.project.Name, bad.Revert.Pull.Number, sdk.ListPullRequestCommitsOptions{})
	if err != nil || len(commits) != 1 {
		t.Errorf("the revert has %d commits: %v", len(commits), err)
	}
}

// endedOnce fails unless the change ends with one of everything and one
// rollout.
func (p *place) endedOnce(id ref.PullID, before int) {
	p.Helper()
	c := p.ended(id, change.OutcomeSimulated)
	p.shippedOnce(c)
	p.runs(c)
	if after := p.rollouts(); after != before+1 {
		p.Errorf("%d rollouts for one change", after-before)
	}
	p.oneOfEach()
	if r := p.command("journal", "verify"); r.code != 0 {
		p.Errorf("the journal: %s%s", r.out, r.err)
	}
}

// oneOfEach fails unless the versions follow the branch, each tag has its image
// and nothing else is there (R5).
func (p *place) oneOfEach() {
	p.Helper()
	var tags, images []string
	for _, t := range p.tags() {
		tags = append(tags, t.Name)
	}
	for _, t := range p.registeredTags() {
		if t != "before" {
			images = append(images, t)
		}
	}
	slices.Sort(tags)
	slices.Sort(images)
	if !slices.Equal(tags, images) {
		p.Errorf("tags %q, images %q", tags, images)
	}
	merges := len(p.branch()) - 1 // the first commit is nobody's change
	if len(tags) != merges {
		p.Errorf("%d merges, tags %q", merges, tags)
	}
}

// TestSoakKilledAtRandomMoments kills Slipway again and again at whatever
// request it happens to make, before or after it is carried out. SLIPWAY_SOAK
// says how many changes go through that.
func TestSoakKilledAtRandomMoments(t *testing.T) {
	if shared.soak == 0 {
		t.Skip("SLIPWAY_SOAK=N repeats it N times; `make soak` does")
	}
	p := open(t, "soak", wish{active: 2 * time.Second})
	seed := uint64(time.Now().UnixNano()) //nolint:gosec // any number will do
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // chance, not secrecy
	for round := range shared.soak {
		t.Run(fmt.Sprint(round), func(t *testing.T) { p.in(t).survives(random, round) })
	}
}

// survives ships one change through up to five deaths.
func (p *place) survives(random *rand.Rand, round int) {
	p.Helper()
	const deaths, requests = 5, 120 // a change takes about twice as many
	lines := []*line{p.forge, p.registry, p.cluster}
	rollouts := p.rollouts()
	branch := fmt.Sprintf("round-%d", round)
	id := p.propose(branch, "feat: "+branch)
	p.approve(id)
	died := 0
	for died < deaths {
		left := new(atomic.Int64)
		left.Store(1 + random.Int64N(requests))
		doomed, before := p.slipway(), random.IntN(2) == 0
		for _, l := range lines {
			l.arm(&trap{before: before, spring: doomed.Kill, match: func(r *http.Request) bool {
				return !r.URL.Query().Has("watch") && left.Add(-1) == 0 // a watch has no end to wait for
			}})
		}
		p.until(changeLimit, "the next death, or the end", func(ctx context.Context) error {
			if dead(doomed) {
				return nil
			}
			c, err := p.change(ctx, id)
			if err == nil && c.Outcome != change.Open {
				return nil
			}
			return fmt.Errorf("%s: %w", standing(c), err)
		})
		for _, l := range lines {
			l.arm(nil)
		}
		if left.Load() > 0 {
			break // it ended before that many requests
		}
		p.until(lookLimit, "the death that has begun", func(context.Context) error {
			if !dead(doomed) {
				return errors.New("it lives")
			}
			return nil
		})
		died++
		p.start()
	}
	p.Logf("it died %d times", died)
	p.endedOnce(id, rollouts)
}

func dead(s *stage.Slipway) bool {
	select {
	case <-s.Done():
		return true
	default:
		return false
	}
}
