package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// ran is how a command ended.
type ran struct {
	out, err string
	code     int
}

// command runs slipway against the place's server.
func (p *place) command(args ...string) ran {
	p.Helper()
	up := p.slipway()
	return runSlipway(p.T, append([]string{"SLIPWAY_SERVER=" + up.Address}, up.Env...), args...)
}

// beside runs slipway beside the store, without its server.
func (p *place) beside(args ...string) ran {
	p.Helper()
	up := p.slipway()
	return runSlipway(p.T, up.Env, append(args, "--config", up.Config)...)
}

func runSlipway(t *testing.T, env []string, args ...string) ran {
	t.Helper()
	return runWithin(t, time.Minute, env, args...)
}

// runWithin runs a command that may take long.
func runWithin(t *testing.T, limit time.Duration, env []string, args ...string) ran {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, shared.binary, args...) //nolint:gosec // the program under test
	cmd.Env, cmd.Dir = env, t.TempDir()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		t.Fatalf("slipway %s: %v, %v\n%s", strings.Join(args, " "), err, ctx.Err(), errs.String())
	}
	return ran{out: out.String(), err: errs.String(), code: cmd.ProcessState.ExitCode()}
}

// wants fails unless a command ended with the code and said all the words.
func (r ran) wants(t *testing.T, code int, words ...string) {
	t.Helper()
	if r.code != code {
		t.Errorf("exit %d, want %d\nstdout: %s\nstderr: %s", r.code, code, r.out, r.err)
	}
	for _, w := range words {
		if !strings.Contains(r.out+r.err, w) {
			t.Errorf("nothing is said of %q\nstdout: %s\nstderr: %s", w, r.out, r.err)
		}
	}
}

// decoded is what a command printed as JSON.
func decoded[T any](t *testing.T, r ran) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(r.out), &v); err != nil {
		t.Fatalf("not JSON: %v\n%s\n%s", err, r.out, r.err)
	}
	return v
}
