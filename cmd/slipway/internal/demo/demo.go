// Package demo shows Slipway at work on real servers that it starts in a
// temporary place: a change that ships, and one that is rolled back. It plays
// the people; everything else is done by the slipway that it runs.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"slipway/internal/change"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
	"slipway/test/servers/gitea"
	"slipway/test/servers/kubernetes"
	"slipway/test/stage"
)

// Options say what to show.
type Options struct {
	// Scenario is ship, rollback or all.
	Scenario string
	// Kubernetes is auto, kubelet or kwok.
	Kubernetes string
	// Once ends after the scenarios instead of staying up.
	Once bool
	// Screen hears of the progress. Live redraws a board there; Width is its
	// width in columns.
	Screen io.Writer
	Live   bool
	Width  int
}

// Report is what came of it.
type Report struct {
	Kubernetes string   `json:"kubernetes"`
	Changes    []Change `json:"changes"`
	Traffic    *Traffic `json:"traffic"` // null on fake nodes
	// Faults are what did not come out as it should.
	Faults []string `json:"faults,omitempty"`
}

// Change is one scenario's change.
type Change struct {
	PullRequest ref.PullID     `json:"pull_request"`
	Title       string         `json:"title"`
	Outcome     change.Outcome `json:"outcome"`
	Version     string         `json:"version"`
	Gates       []Gate         `json:"gates"`
	Revert      *change.Revert `json:"revert,omitempty"`
}

// Gate is one gate as it came out.
type Gate struct {
	Gate     change.GateName  `json:"gate"`
	State    change.GateState `json:"state"`
	At       *time.Time       `json:"at"` // null if it was never reached
	Evidence change.Evidence  `json:"evidence"`
	Reason   string           `json:"reason,omitempty"`
}

type demo struct {
	Options
	stage   *stage.Stage
	project *stage.Project
	slipway *stage.Slipway
	log     *os.File
	began   time.Time
	shown   *show
	traffic *Traffic
}

// Scenarios lists what can be shown.
func Scenarios() []string { return []string{"ship", "rollback", "all"} }

// Run shows the scenarios and cleans up. The report is complete even when the
// error says that something did not come out as it should.
func Run(ctx context.Context, o Options) (report Report, err error) {
	level, err := chooseLevel(o)
	if err != nil {
		return Report{}, err
	}
	if err := sweep(os.TempDir()); err != nil {
		return Report{}, err
	}
	dir, err := os.MkdirTemp("", fmt.Sprintf("%s%d-", folder, os.Getpid()))
	if err != nil {
		return Report{}, err
	}
	d := &demo{Options: o, began: time.Now()}
	defer func() {
		// What was started goes, whatever happened, and also after Ctrl-C.
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		if ctx.Err() != nil {
			fmt.Fprintln(o.Screen, "\nCleaning up …")
		}
		err = errors.Join(err, d.end(end), os.RemoveAll(dir))
	}()
	if err := d.begin(ctx, dir, level); err != nil {
		return Report{}, d.interrupted(ctx, err)
	}
	report, err = d.play(ctx, level)
	if err != nil {
		return report, d.interrupted(ctx, err)
	}
	if !o.Once {
		if err := d.invite(dir); err != nil {
			return report, err
		}
		select {
		case <-ctx.Done():
		case <-d.slipway.Done():
			return report, d.interrupted(ctx, fmt.Errorf("the server that the demo ran is gone: %w", d.slipway.Ended()))
		}
	}
	if len(report.Faults) > 0 {
		return report, fmt.Errorf("not everything came out as it should:\n  %s", strings.Join(report.Faults, "\n  "))
	}
	return report, nil
}

func chooseLevel(o Options) (kubernetes.Level, error) {
	best, why := kubernetes.Detect()
	switch o.Kubernetes {
	case "kwok":
		return kubernetes.Kwok, nil
	case "kubelet":
		if best != kubernetes.Kubelet {
			return "", fmt.Errorf("--kubernetes kubelet is not possible here: %s; use --kubernetes kwok", why)
		}
		return kubernetes.Kubelet, nil
	default:
		if best != kubernetes.Kubelet {
			fmt.Fprintf(o.Screen, "Fake nodes: %s. The gates rollout and health are simulated.\n", why)
		}
		return best, nil
	}
}

func (d *demo) begin(ctx context.Context, dir string, level kubernetes.Level) (err error) {
	fmt.Fprintf(d.Screen, "Setting the stage in %s\n", dir)
	binary, err := os.Executable()
	if err != nil {
		return err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return err
	}
	d.stage, err = stage.Up(ctx, stage.Options{
		Dir: dir, Level: level, BadTags: d.badTags(), Log: indent{d.Screen}, BuildCache: filepath.Join(cache, "slipway", "build"),
	})
	if err != nil {
		return err
	}
	step := time.Now()
	if d.project, err = d.stage.NewProject(ctx, stage.Draft{Name: "app"}); err != nil {
		return err
	}
	if d.log, err = os.Create(filepath.Join(dir, "slipway.log")); err != nil { //nolint:gosec // dir was made here
		return err
	}
	d.slipway, err = d.stage.Serve(ctx, stage.Serving{Binary: binary, Projects: []*stage.Project{d.project}, Log: d.log})
	if err != nil {
		return err
	}
	if err := d.slipway.Adopt(ctx, d.project); err != nil {
		return err
	}
	fmt.Fprintf(indent{d.Screen}, "%-40s %5.1f s\n\n", "repository, service and Slipway", time.Since(step).Seconds())
	d.shown = newShow(d.Screen, d.Live, d.Width, func() ([]change.Change, error) {
		return d.slipway.Client.Changes(ctx, reconcile.Filter{Repo: d.project.ID()})
	})
	return nil
}

// play runs the scenarios and judges them.
func (d *demo) play(ctx context.Context, level kubernetes.Level) (Report, error) {
	report := Report{Kubernetes: string(level), Changes: []Change{}}
	scenes := map[string][]func(context.Context) (scene, error){
		"ship":     {d.ship},
		"rollback": {d.rollback},
		"all":      {d.ship, d.rollback},
	}[d.Scenario]
	for _, play := range scenes {
		s, err := play(ctx)
		if !s.change.ID.IsZero() {
			report.Changes = append(report.Changes, told(s.change))
		}
		if err != nil {
			return report, err
		}
		report.Faults = append(report.Faults, s.faults...)
	}
	report.Traffic = d.traffic
	return report, nil
}

// badTags are the tags that crash on fake nodes: the version that the
// rollback's change will get. On real nodes its program really crashes.
func (d *demo) badTags() []string {
	switch d.Scenario {
	case "rollback":
		return []string{"v0.1.0"}
	case "all":
		return []string{"v0.2.0"}
	default:
		return nil
	}
}

// interrupted explains an error: that it was Ctrl-C, or what Slipway said last.
func (d *demo) interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	if d.log == nil {
		return err
	}
	b, readErr := os.ReadFile(d.log.Name())
	if readErr != nil {
		return err
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return fmt.Errorf("%w\nThe last that Slipway said:\n  %s", err, strings.Join(lines[max(0, len(lines)-15):], "\n  "))
}

func (d *demo) end(ctx context.Context) error {
	var errs []error
	if d.slipway != nil {
		errs = append(errs, d.slipway.Stop(ctx))
	}
	if d.stage != nil {
		errs = append(errs, d.stage.Down(ctx))
	}
	if d.log != nil {
		errs = append(errs, d.log.Close())
	}
	return errors.Join(errs...)
}

// invite says where to look while everything stays up. What is too long to
// type stands in two files.
func (d *demo) invite(dir string) error {
	var people strings.Builder
	for _, a := range append([]gitea.Account{d.stage.Author}, d.stage.Reviewers...) {
		fmt.Fprintf(&people, "%-6s %s\n", a.Login, a.Password)
	}
	binary, err := os.Executable()
	if err != nil {
		return err
	}
	env := fmt.Sprintf("export SLIPWAY_SERVER=%s SLIPWAY_TOKEN=%s\nexport KUBECONFIG=%s\nalias slipway=%q\n",
		d.stage.Address(), d.stage.Token(), d.stage.Cluster.Kubeconfig, binary)
	for name, content := range map[string]string{"people": people.String(), "env": env} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	first := ""
	if d.Scenario != "ship" {
		first = "First approve the revert as bob and carol: until it is merged, nothing newer is\ndeployed, for it would bring the bad commit back.\n"
	}
	_, err = fmt.Fprintf(d.Screen, `
Everything stays up until Ctrl-C.

  the forge   %s/%s
              passwords of alice (author), bob and carol (reviewers):
              %s/people
  slipway     . %s/env
              slipway changes
              slipway explain '%s#1'
              slipway deploy status
              slipway journal list
  its log     %s

%sOpen a pull request as alice, approve it as bob and carol, and watch.
`, d.stage.Forge.URL(), d.project.ID(), dir, dir, d.project.ID(), d.log.Name(), first)
	return err
}

func told(c change.Change) Change {
	out := Change{PullRequest: c.ID, Title: c.Title, Outcome: c.Outcome, Version: c.Version, Revert: c.Revert}
	for _, g := range c.Gates {
		gate := Gate{Gate: g.Name, State: g.State, Evidence: g.Evidence, Reason: g.Reason}
		if !g.At.IsZero() {
			gate.At = &g.At
		}
		out.Gates = append(out.Gates, gate)
	}
	return out
}

// indent sets each write two columns in.
type indent struct{ w io.Writer }

func (i indent) Write(b []byte) (int, error) {
	if _, err := fmt.Fprintf(i.w, "  %s", b); err != nil {
		return 0, err
	}
	return len(b), nil
}
