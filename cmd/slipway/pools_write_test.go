package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slipway/config"
	"slipway/internal/fault"
	"slipway/internal/server"
)

// applied has git put a patch on the texts of files.
func applied(t *testing.T, patch string, files map[string]string) map[string]string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "git", "apply", "-p1", "-")
	cmd.Dir, cmd.Stdin = dir, strings.NewReader(patch)
	cmd.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES="+filepath.Dir(dir))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git apply: %v: %s\n%s", err, out, patch)
	}
	out := map[string]string{}
	left, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range left {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		out[e.Name()] = string(data)
	}
	return out
}

func TestARollbackRestoresThePromptsToo(t *testing.T) {
	p := newPlot(t)
	first := p.inForce()
	if _, err := p.Rollback(t.Context(), "ops", 0); fault.KindOf(err) != fault.Permanent || !strings.Contains(err.Error(), "none before it") {
		t.Errorf("there is nothing before the first: %v", err)
	}
	p.write("p.md", "be verbose\n")
	p.write(config.PoolsFile, strings.Replace(poolText, "builder-lite-1: quick", "builder-lite-1: slow", 1))
	if err := p.Take(t.Context()); err != nil {
		t.Fatal(err)
	}
	for rule, number := range map[string]int64{"that there is not": 9, "that is too high": 1 << 40} {
		if _, err := p.Rollback(t.Context(), "ops", number); fault.KindOf(err) != fault.Permanent || !strings.Contains(err.Error(), "the last ones are 1 to 2") {
			t.Errorf("to a set %s: %v", rule, err)
		}
	}
	done, err := p.Rollback(t.Context(), "ops", 0)
	if err != nil || done.Result != server.Applied || done.Number != 3 {
		t.Fatalf("%+v, %v", done, err)
	}
	if p.read("p.md") != "be brief\n" || p.read(config.PoolsFile) != poolText {
		t.Errorf("the files hold\n%s\n%s", p.read("p.md"), p.read(config.PoolsFile))
	}
	if s := p.inForce(); s.Hash() != first.Hash() || s.Why != "rollback to 1" || s.By != "ops" {
		t.Errorf("in force is %d by %s (%s)", s.Number, s.By, s.Why)
	}
	if got := actions(p.journalled()); !slices.Contains(got, "ops pools.rollback pools") {
		t.Errorf("journalled %q", got)
	}
	if again, err := p.Rollback(t.Context(), "ops", 1); err != nil || again.Result != server.Unchanged {
		t.Errorf("to what is so: %+v, %v", again, err)
	}
	if back, err := p.Rollback(t.Context(), "ops", 0); err != nil || back.Number != 4 || p.read("p.md") != "be verbose\n" {
		t.Errorf("and back again: %+v, %v", back, err)
	}
}

func TestARollbackMendsAFileWithFaults(t *testing.T) {
	p := newPlot(t)
	p.write(config.PoolsFile, "roles: [\n")
	if err := p.Take(t.Context()); err != nil || len(p.Faults()) == 0 || len(p.Findings()) == 0 {
		t.Fatalf("a file with faults changes nothing, and says so: %q, %v", p.Faults(), err)
	}
	done, err := p.Rollback(t.Context(), "ops", 1)
	if err != nil || done.Result != server.Applied || done.Number != 1 || p.read(config.PoolsFile) != poolText || len(p.Faults()) > 0 {
		t.Errorf("%+v, %v, %q", done, err, p.Faults())
	}
}

func TestARollbackIsPatchedWhereAPromptIsMounted(t *testing.T) {
	p := newPlot(t)
	p.write("p.md", "be verbose\n")
	p.write(config.PoolsFile, strings.TrimSuffix(poolText, "\n"))
	if err := p.Take(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(p.folder(), "p.md"), filepath.Join(p.folder(), "real.md")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real.md", filepath.Join(p.folder(), "p.md")); err != nil {
		t.Fatal(err)
	}
	done, err := p.Rollback(t.Context(), "ops", 1)
	if err != nil || done.Result != server.Patch || p.inForce().Number != 2 || p.read("p.md") != "be verbose\n" {
		t.Fatalf("%+v, %v", done, err)
	}
	got := applied(t, done.Diff, map[string]string{"p.md": p.read("p.md"), config.PoolsFile: p.read(config.PoolsFile)})
	if got["p.md"] != "be brief\n" || got[config.PoolsFile] != poolText {
		t.Errorf("the patch makes %q", got)
	}
}

func TestAPatchMakesTheOneTextOfTheOther(t *testing.T) {
	numbers := func(from, to int) string {
		var out strings.Builder
		for i := from; i <= to; i++ {
			fmt.Fprintln(&out, i)
		}
		return out.String()
	}
	for rule, c := range map[string][2]string{
		"a new file":                        {"", "a\nb\n"},
		"a line in the middle":              {numbers(1, 20), strings.Replace(numbers(1, 20), "10\n", "ten\n", 1)},
		"the first line":                    {numbers(1, 9), strings.Replace(numbers(1, 9), "1\n", "one\n", 1)},
		"the last line":                     {numbers(1, 9), strings.Replace(numbers(1, 9), "9\n", "nine\n", 1)},
		"lines far from each other":         {numbers(1, 30), strings.NewReplacer("3\n", "three\n").Replace(numbers(1, 30))},
		"more lines":                        {numbers(1, 5), numbers(1, 12)},
		"fewer lines":                       {numbers(1, 12), numbers(4, 9)},
		"an end without a line's end":       {"a\nb\n", "a\nb"},
		"a line's end where there was none": {"a\nb", "a\nb\n"},
		"everything":                        {"a\nb\n", "c\nd\ne"},
		"a line again":                      {"a\na\na\n", "a\na\na\na\n"},
	} {
		t.Run(rule, func(t *testing.T) {
			files := map[string]string{"f": c[0]}
			if c[0] == "" {
				delete(files, "f")
			}
			if got := applied(t, unified("f", c[0], c[1]), files)["f"]; got != c[1] {
				t.Errorf("it makes %q, want %q", got, c[1])
			}
		})
	}
}
