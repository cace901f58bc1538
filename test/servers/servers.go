// Package servers builds the real servers that the tests and the demo run
// against, and keeps them in a cache: each server from a tool module of its own
// (tools/, with its own go.mod) at an exact version, so that none of its
// requirements reach Slipway's. It never starts one: that is for the packages
// below it.
package servers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Options say what to build, and where to.
type Options struct {
	Only     []string  // names of entries; "x" also means every "x-…"; empty means all
	Progress io.Writer // receives one line per entry, and one now and then while building; nil for none
	CacheDir string    // empty means CacheDir()
}

// Build brings the cache up to date: it builds whatever is missing or was built
// from other sources, and records what it left in a pointer file that Find
// reads. It must be called from within Slipway's source tree. Of several builds
// on one cache one works and the rest wait. An entry that this machine cannot
// have is passed over with a word, unless Only names it.
func Build(ctx context.Context, o Options) error { return build(ctx, artifacts(), o) }

func build(ctx context.Context, all []Artifact, o Options) error {
	wanted, err := choose(all, o.Only)
	if err != nil {
		return err
	}
	tools, err := toolsDir()
	if err != nil {
		return err
	}
	cache, err := openCache(o.CacheDir)
	if err != nil {
		return err
	}
	out := newProgress(o.Progress, wanted)

	unlock, err := lock(ctx, cache.path("lock"), func() {
		out.say("another build is at work on %s: waiting for it", cache.dir)
	})
	if err != nil {
		return fmt.Errorf("lock the cache of servers: %w", err)
	}
	defer unlock()

	b := builder{cache: cache, tools: tools, out: out}
	if b.goVersion, err = goVersion(ctx, tools); err != nil {
		return err
	}
	for _, a := range wanted {
		if err := b.provide(ctx, a, slices.Contains(o.Only, string(a.Name))); err != nil {
			return fmt.Errorf("%s: %w", a.Title, err)
		}
	}
	out.done(cache.dir)
	return nil
}

// builder is one run of Build.
type builder struct {
	cache     cache
	tools     string
	goVersion string
	out       *progress
}

// provide sees to it that the cache holds the artifact and points to it.
func (b builder) provide(ctx context.Context, a Artifact, demanded bool) error {
	if why := unfit(a); why != "" {
		if demanded {
			return errors.New(why)
		}
		b.out.entry(a, "not on this machine: %s", why)
		return nil
	}
	inputs, err := fingerprint(a, b.tools)
	if err != nil {
		return err
	}
	key := entryKey(inputs, b.goVersion)
	dir := b.cache.entryDir(a.Name, key)
	if isDir(dir) {
		b.out.entry(a, "cached")
		return b.cache.point(a.Name, pointer{Dir: filepath.Base(dir), Inputs: inputs, Title: a.Title})
	}
	if err := present(a.Needs); err != nil {
		return err
	}

	finish := b.out.building(a)
	err = b.make(ctx, a, dir)
	took := finish()
	if err != nil {
		return fmt.Errorf("build it: %w", err)
	}
	b.out.entry(a, "built in %d s (about %d on two free cores)", seconds(took), seconds(a.About))
	return b.cache.point(a.Name, pointer{Dir: filepath.Base(dir), Inputs: inputs, Title: a.Title})
}

// make builds the artifact beside its place and renames it into it, so that an
// entry is there whole or not at all.
func (b builder) make(ctx context.Context, a Artifact, dir string) error {
	if err := b.cache.sweep(a.Name); err != nil {
		return err
	}
	half, err := os.MkdirTemp(b.cache.dir, halfPrefix(a.Name))
	if err != nil {
		return err
	}
	defer os.RemoveAll(half) // a no-op once it is renamed
	w := Workshop{Tools: b.tools, Out: half}
	for _, p := range a.Programs {
		if err := w.build(ctx, p); err != nil {
			return err
		}
	}
	if a.Finish != nil {
		if err := a.Finish(ctx, w); err != nil {
			return err
		}
	}
	if err := os.Chmod(half, 0o755); err != nil { //nolint:gosec // nothing secret in it, and the builder's own umask would not let others run it
		return err
	}
	return os.Rename(half, dir)
}

// choose keeps the artifacts that the names ask for.
func choose(all []Artifact, only []string) ([]Artifact, error) {
	if len(only) == 0 {
		return all, nil
	}
	var chosen []Artifact
	met := map[string]bool{}
	for _, a := range all {
		for _, name := range only {
			if string(a.Name) == name || strings.HasPrefix(string(a.Name), name+"-") {
				met[name] = true
				chosen = append(chosen, a)
				break
			}
		}
	}
	for _, name := range only {
		if !met[name] {
			return nil, fmt.Errorf("no server is called %q: there are %s", name, strings.Join(names(all), ", "))
		}
	}
	return chosen, nil
}

// present returns an error that names the first tool that is not installed.
func present(needs []Tool) error {
	for _, t := range needs {
		if _, err := exec.LookPath(t.Program); err != nil {
			return fmt.Errorf("%s is not on PATH: %s", t.Program, t.Mend)
		}
	}
	return nil
}

func unfit(a Artifact) string {
	if a.Unfit == nil {
		return ""
	}
	return a.Unfit()
}

func names(all []Artifact) []string {
	var list []string
	for _, a := range all {
		list = append(list, string(a.Name))
	}
	return list
}

func seconds(d time.Duration) int { return int(d.Round(time.Second) / time.Second) }
