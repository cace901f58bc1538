// Command bench runs the benchmarks that have a target, and prints one table:
// what was measured, ours, the reference of the same run, their ratio, the
// target, and whether it is met. It exits with 1 when one is missed.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	only := flag.String("only", "", "which to run, such as B1,B5 (default: all)")
	out := flag.String("out", "", "a file for the rows as JSON")
	flag.Parse()
	met, err := run(ctx, *only, *out, os.Stdout, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
	if !met {
		os.Exit(1)
	}
}

// Row is one figure, with what it is held against.
type Row struct {
	ID        string  `json:"id"`
	What      string  `json:"what"`
	Ours      float64 `json:"ours"`
	Reference float64 `json:"reference,omitempty"`
	Unit      string  `json:"unit"`
	Ratio     float64 `json:"ratio,omitempty"`
	Target    string  `json:"target"`
	Met       bool    `json:"met"`
}

func run(ctx context.Context, only, out string, table, progress io.Writer) (met bool, err error) {
	chosen, err := choose(only)
	if err != nil {
		return false, err
	}
	var rows []Row
	var failed []error
	for _, m := range chosen {
		fmt.Fprintf(progress, "%s: %s\n", m.id, m.bench)
		figures, err := measure(ctx, m, progress)
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", m.id, err))
			continue
		}
		for _, f := range m.figures {
			row, err := f.row(m.id, figures)
			if err != nil {
				failed = append(failed, fmt.Errorf("%s: %w", m.id, err))
				continue
			}
			rows = append(rows, row)
		}
	}
	met = len(failed) == 0 && !slices.ContainsFunc(rows, func(r Row) bool { return !r.Met })
	if err := show(table, rows); err != nil {
		return false, err
	}
	if out != "" {
		data, err := json.MarshalIndent(rows, "", "  ")
		if err != nil {
			return false, err
		}
		if err := os.WriteFile(out, append(data, '\n'), 0o600); err != nil {
			return false, err
		}
	}
	return met, errors.Join(failed...)
}

func choose(only string) ([]measurement, error) {
	all := measurements()
	if only == "" {
		return all, nil
	}
	var chosen []measurement
	for _, id := range strings.Split(only, ",") {
		n := len(chosen)
		for _, m := range all {
			if strings.EqualFold(m.id, strings.TrimSpace(id)) {
				chosen = append(chosen, m)
			}
		}
		if len(chosen) == n {
			return nil, fmt.Errorf("there is no benchmark %q", id)
		}
	}
	return chosen, nil
}

// line is one result of `go test -bench`: its name, how often, and pairs of a
// number and its unit.
var line = regexp.MustCompile(`^(Benchmark\S*)\s+\d+\s+(.*)$`)

// measure runs one Go benchmark and gives its figures by unit; of a benchmark
// with several lines, the first that has a unit counts.
func measure(ctx context.Context, m measurement, progress io.Writer) (map[string]float64, error) {
	args := append([]string{"test", "-run", "^$", "-bench", m.bench, "-timeout", "60m"}, m.flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, m.pkg)...) //nolint:gosec // fixed words
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = io.MultiWriter(&said, progress), progress
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("go test: %w", err)
	}
	figures := map[string]float64{}
	lines := bufio.NewScanner(&said)
	for lines.Scan() {
		found := line.FindStringSubmatch(lines.Text())
		if found == nil {
			continue
		}
		fields := strings.Fields(found[2])
		for i := 0; i+1 < len(fields); i += 2 {
			value, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				return nil, fmt.Errorf("%s says %q where a number is expected", found[1], fields[i])
			}
			if _, have := figures[fields[i+1]]; !have {
				figures[fields[i+1]] = value
			}
		}
	}
	return figures, lines.Err()
}

func (f figure) row(id string, figures map[string]float64) (Row, error) {
	ours, ok := figures[f.ours]
	if !ok {
		return Row{}, fmt.Errorf("the benchmark reported no %s", f.ours)
	}
	row := Row{ID: id, What: f.what, Ours: ours * f.scale(), Unit: f.unit}
	held := row.Ours
	if f.reference != "" {
		reference, ok := figures[f.reference]
		if !ok || reference == 0 {
			return Row{}, fmt.Errorf("the benchmark reported no %s", f.reference)
		}
		row.Reference = reference * f.scale()
		row.Ratio = math.Round(row.Ours/row.Reference*1000) / 1000
		held = row.Ratio
	}
	switch {
	case f.report:
		row.Target, row.Met = "reported", true
	case f.atLeast > 0:
		row.Target, row.Met = fmt.Sprintf(">= %g", f.atLeast), held >= f.atLeast
	default:
		row.Target, row.Met = fmt.Sprintf("<= %g", f.atMost), held <= f.atMost
	}
	return row, nil
}

func (f figure) scale() float64 {
	if f.times == 0 {
		return 1
	}
	return f.times
}

func show(w io.Writer, rows []Row) error {
	t := tabwriter.NewWriter(w, 2, 4, 2, ' ', 0)
	fmt.Fprintln(t, "\twhat\tours\treference\tratio\ttarget\tmet")
	number := func(v float64, unit string) string {
		if v == 0 {
			return "–"
		}
		return strings.TrimSpace(strconv.FormatFloat(v, 'g', 4, 64) + " " + unit)
	}
	for _, r := range rows {
		met := "yes"
		if !r.Met {
			met = "NO"
		}
		ours := strings.TrimSpace(strconv.FormatFloat(r.Ours, 'g', 4, 64) + " " + r.Unit)
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.ID, r.What, ours, number(r.Reference, r.Unit), number(r.Ratio, ""), r.Target, met)
	}
	return t.Flush()
}
