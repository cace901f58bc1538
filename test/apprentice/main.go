// Command apprentice is a builder's command for tests and the demo: a small
// program that does what an agent would, without a model. Of a build it makes a
// function with a test of its own, tests it and commits it; of a review it looks
// whether the change is formatted and passes its tests, and says so. It reports
// what the model that it was given would have cost.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func main() {
	var a apprentice
	flag.DurationVar(&a.pace, "pace", 0, "how long to think first")
	flag.BoolVar(&a.quick, "quick", false, "ask only how the files are formatted, and run no tests")
	flag.StringVar(&a.fault, "fault", "", "a mistake to make: none (no commit), broken (a test that fails), die (exit at once), leave (files that are not committed)")
	flag.StringVar(&a.claims, "claims", "", "a model to report in place of the assigned one")
	flag.Int64Var(&a.tokens, "tokens", 1200, "how many tokens of output to report")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := a.work(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "apprentice:", err)
		os.Exit(1)
	}
}

type apprentice struct {
	pace   time.Duration
	quick  bool
	fault  string
	claims string
	tokens int64
}

func (a apprentice) work(ctx context.Context) error {
	if a.fault == "die" {
		return errors.New("it dies at once, as it was told to")
	}
	if err := a.think(ctx); err != nil {
		return err
	}
	switch kind := os.Getenv("SLIPWAY_KIND"); kind {
	case "build":
		return a.build(ctx)
	case "review":
		return a.review(ctx)
	default:
		return fmt.Errorf("SLIPWAY_KIND is %q: it can build and review", kind)
	}
}

// think takes its time, and says on the way what that costs.
func (a apprentice) think(ctx context.Context) error {
	const parts = 4
	for i := range int64(parts) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(a.pace / parts):
		}
		if err := a.report(a.tokens*(i+1)/parts - a.tokens*i/parts); err != nil {
			return err
		}
	}
	return nil
}

// report adds a line to the report file: what was used since the line before.
func (a apprentice) report(output int64) error {
	model := os.Getenv("SLIPWAY_MODEL")
	if a.claims != "" {
		model = a.claims
	}
	line, err := json.Marshal(map[string]any{"input_tokens": 4 * output, "output_tokens": output, "model": model})
	if err != nil {
		return err
	}
	f, err := os.OpenFile(os.Getenv("SLIPWAY_REPORT_FILE"), os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o600) //nolint:gosec // whoever runs it says where
	if err != nil {
		return err
	}
	_, err = f.Write(append(line, '\n'))
	return errors.Join(err, f.Close())
}

func (a apprentice) build(ctx context.Context) error {
	item, title := os.Getenv("SLIPWAY_ITEM"), os.Getenv("SLIPWAY_TITLE")
	want := title
	if a.fault == "broken" {
		want = "something else"
	}
	files := map[string]string{
		"item" + item + ".go":      fmt.Sprintf("package main\n\nfunc item%s() string { return %q }\n", item, title),
		"item" + item + "_test.go": fmt.Sprintf("package main\n\nimport \"testing\"\n\nfunc TestItem%s(t *testing.T) {\n\tif got := item%s(); got != %q {\n\t\tt.Fatal(got)\n\t}\n}\n", item, item, want),
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Clean(name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	if a.fault != "broken" {
		if err := a.check(ctx); err != nil {
			return err
		}
	}
	if a.fault == "leave" {
		return nil
	}
	if err := run(ctx, "git", "add", "-A"); err != nil {
		return err
	}
	if a.fault == "none" {
		return run(ctx, "git", "reset", "-q", "--hard")
	}
	return run(ctx, "git", "commit", "-q", "-m", title)
}

func (a apprentice) review(ctx context.Context) error {
	verdict := map[string]string{"verdict": "approved", "body": "It is formatted, and its tests pass."}
	if err := a.check(ctx); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		verdict = map[string]string{"verdict": "changes_requested", "body": "It does not hold: " + err.Error()}
	}
	text, err := json.Marshal(verdict)
	if err != nil {
		return err
	}
	return os.WriteFile(os.Getenv("SLIPWAY_REVIEW_FILE"), text, 0o600) //nolint:gosec // whoever runs it says where
}

// check asks whether the files are formatted and the tests pass.
func (a apprentice) check(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, "gofmt", "-l", ".").CombinedOutput()
	if err != nil {
		return fmt.Errorf("gofmt: %w: %s", err, out)
	}
	if list := strings.TrimSpace(string(out)); list != "" {
		return fmt.Errorf("gofmt would change %s", list)
	}
	if a.quick {
		return nil
	}
	return run(ctx, "go", "test", "./...")
}

func run(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput() //nolint:gosec // its own two commands
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, args[0], err, strings.TrimSpace(string(out)))
	}
	return nil
}
