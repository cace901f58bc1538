package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"slipway/cmd/slipway/internal/board"
	"slipway/config"
	"slipway/gate"
	"slipway/internal/change"
	"slipway/internal/ref"
)

// maxPolicy is how large a policy file may be, in bytes; one more is read so
// that the reader can say so.
const maxPolicy = 1<<20 + 1

func newPolicy(from *source) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "policy",
		Short:   "Check policy files, and test what they mean",
		Example: "  slipway policy check\n  slipway policy test",
		Args:    exactly(0, "one of its commands"),
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newPolicyCheck(from), newPolicyTest(from), newReplay(from), newPolicySchema())
	return cmd
}

// rules is a repository for which a policy file is read.
type rules struct {
	from *source
	repo string
}

func (r *rules) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&r.repo, "repo", "", "OWNER/NAME: which of the repositories of --config it is for")
}

// read reads a policy file, under a server's configuration if one is given.
func (r *rules) read(path, repo string) (change.Plan, []config.Fault, error) {
	data, err := readFile(path)
	if err != nil {
		return change.Plan{}, nil, usageError{err}
	}
	if r.from.config == "" {
		if r.repo != "" {
			return change.Plan{}, nil, usageError{errors.New("--repo names a repository of a server: give --config slipway.yaml as well")}
		}
		plan, faults := config.ParsePolicy(path, data)
		return plan, faults, nil
	}
	server, err := faultless(r.from.config, config.InspectServer)
	if err != nil {
		return change.Plan{}, nil, err
	}
	served, err := r.served(server, repo)
	if err != nil {
		return change.Plan{}, nil, err
	}
	plan, faults := server.ParsePolicy(served, path, data)
	if extra := len(plan.Faults) - len(faults); extra > 0 {
		for _, f := range plan.Faults[len(faults):] {
			faults = append(faults, config.Fault{File: path, Message: strings.TrimPrefix(f, config.PolicyFile+": ")})
		}
	}
	return plan, faults, nil
}

// served is the repository that is meant.
func (r *rules) served(server config.Server, repo string) (config.Repository, error) {
	if r.repo != "" {
		repo = r.repo
	}
	if repo == "" && len(server.Repositories) == 1 {
		return server.Repositories[0], nil
	}
	known := make([]string, 0, len(server.Repositories))
	for _, s := range server.Repositories {
		known = append(known, s.Repo.String())
	}
	if repo == "" {
		return config.Repository{}, usageError{fmt.Errorf("which repository is it for? give --repo, one of %s", strings.Join(known, ", "))}
	}
	id, err := ref.ParseRepo(repo)
	if err != nil {
		return config.Repository{}, usageError{err}
	}
	found, ok := server.Repository(id)
	if !ok {
		return config.Repository{}, usageError{fmt.Errorf("%s is not served by %s; it serves %s", id, r.from.config, strings.Join(known, ", "))}
	}
	return found, nil
}

func newPolicyCheck(from *source) *cobra.Command {
	r := &rules{from: from}
	cmd := &cobra.Command{
		Use:   "check [FILE]",
		Short: "Say everything that is wrong with a policy file, each with its line",
		Long: "Check reads a policy file (by default " + config.PolicyFile + ") as the server would and says all its faults.\n" +
			"With --config it is read under that server's defaults, floors and grants.\nIt ends with 0 if there is no fault, else with 2.",
		Example: "  slipway policy check\n  slipway policy check .slipway.yaml --config slipway.yaml --repo acme/app",
		Args:    between(0, 1, "at most one FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := append(args, config.PolicyFile)[0]
			plan, faults, err := r.read(path, "")
			if err != nil {
				return err
			}
			if err := sayFaults(cmd, from.json, path, plan, faults); err != nil {
				return err
			}
			if len(faults) > 0 {
				return silentError{exitUsage}
			}
			return nil
		},
	}
	r.flags(cmd)
	return cmd
}

func sayFaults(cmd *cobra.Command, asJSON bool, path string, plan change.Plan, faults []config.Fault) error {
	out := cmd.OutOrStdout()
	if asJSON {
		type fault struct {
			File    string `json:"file"`
			Line    int    `json:"line,omitempty"`
			Message string `json:"message"`
		}
		all := []fault{}
		for _, f := range faults {
			all = append(all, fault{f.File, f.Line, f.Message})
		}
		return printJSON(out, map[string]any{"file": path, "hash": plan.Gate.Hash, "faults": all})
	}
	for _, f := range faults {
		fmt.Fprintln(out, board.Lines(f.Error()))
	}
	if len(faults) == 0 {
		fmt.Fprintf(out, "%s: no fault; %d checks and %d approvals to merge\n", board.Lines(path), len(plan.Gate.Checks), plan.Gate.Approvals)
	}
	return nil
}

func newPolicyTest(from *source) *cobra.Command {
	r := &rules{from: from}
	var policy string
	cmd := &cobra.Command{
		Use:   "test [FILE]",
		Short: "Judge a table of cases by the policy beside it",
		Long: "Test judges the pull requests that FILE (by default " + config.CasesFile + ") describes by the policy beside it,\n" +
			"and compares the verdicts with those that FILE wants. It needs no server and no network.\n" +
			"It ends with 0 if all are as wanted, with 1 if one is not, and with 2 if a file is faulty.",
		Example: "  slipway policy test\n  slipway policy test .slipway.test.yaml --policy proposed.yaml",
		Args:    between(0, 1, "at most one FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			cases, err := faultless(append(args, config.CasesFile)[0], config.LoadCases)
			if err != nil {
				return err
			}
			if policy == "" {
				policy = cases.Policy
			}
			results, err := r.judge(policy, cases)
			if err != nil {
				return err
			}
			return sayResults(cmd, from.json, policy, results)
		},
	}
	r.flags(cmd)
	cmd.Flags().StringVar(&policy, "policy", "", "the policy file, in place of the one that FILE names")
	return cmd
}

func (r *rules) judge(policy string, cases config.Cases) ([]config.CaseResult, error) {
	var repo string
	if r.from.config != "" {
		repo = cases.Repo.String()
	}
	plan, faults, err := r.read(policy, repo)
	if err != nil {
		return nil, err
	}
	if len(faults) > 0 {
		_, err := faultless(policy, func(string) (change.Plan, []config.Fault) { return plan, faults })
		return nil, err
	}
	return cases.Judge(plan.Gate), nil
}

// caseAnswer is one case in JSON.
type caseAnswer struct {
	Name    string       `json:"name"`
	Line    int          `json:"line"`
	Passed  bool         `json:"passed"`
	At      time.Time    `json:"at"`
	Want    string       `json:"want"`
	Got     string       `json:"got"`
	Wrong   []string     `json:"wrong,omitempty"`
	Reasons []caseReason `json:"reasons,omitempty"`
}

type caseReason struct {
	Code     gate.Code `json:"code"`
	Sentence string    `json:"sentence"`
	Who      []string  `json:"who,omitempty"`
}

func sayResults(cmd *cobra.Command, asJSON bool, policy string, results []config.CaseResult) error {
	failed := 0
	all := make([]caseAnswer, 0, len(results))
	for _, c := range results {
		if len(c.Wrong) > 0 {
			failed++
		}
		a := caseAnswer{
			Name: c.Name, Line: c.Line, Passed: len(c.Wrong) == 0, At: c.At,
			Want: c.Want.String(), Got: c.Verdict.Outcome.String(), Wrong: c.Wrong,
		}
		for _, reason := range c.Verdict.Reasons {
			a.Reasons = append(a.Reasons, caseReason{reason.Code, reason.Sentence, reason.Who})
		}
		all = append(all, a)
	}
	out := cmd.OutOrStdout()
	if asJSON {
		if err := printJSON(out, map[string]any{"policy": policy, "cases": all, "failed": failed}); err != nil {
			return err
		}
	} else {
		for _, a := range all {
			a.print(out)
		}
		fmt.Fprintf(out, "%d cases, %d failed\n", len(all), failed)
	}
	if failed > 0 {
		return silentError{exitRefused}
	}
	return nil
}

// print says a case in a line; of one that failed, also what is wrong and why
// the gate says what it says.
func (a caseAnswer) print(out io.Writer) {
	if a.Passed {
		fmt.Fprintf(out, "ok    %-5s  %s\n", a.Got, board.Lines(a.Name))
		return
	}
	fmt.Fprintf(out, "FAIL  %-5s  %s (line %d)\n", a.Got, board.Lines(a.Name), a.Line)
	for _, w := range a.Wrong {
		fmt.Fprintf(out, "      %s\n", board.Lines(w))
	}
	for _, r := range a.Reasons {
		fmt.Fprintf(out, "      %s: %s (%s)\n", r.Code, board.Lines(r.Sentence), board.Lines(strings.Join(r.Who, ", ")))
	}
}

func newPolicySchema() *cobra.Command {
	schemas := map[string]func() []byte{
		config.PolicyFile: config.PolicySchema, config.CasesFile: config.CasesSchema, config.ServerFile: config.ServerSchema,
		config.PoolsFile: config.PoolsSchema,
	}
	names := []string{config.PolicyFile, config.CasesFile, config.ServerFile, config.PoolsFile}
	return &cobra.Command{
		Use:       "schema [FILE]",
		Short:     "Print the JSON Schema of a configuration file, for editors",
		Example:   "  slipway policy schema .slipway.yaml > slipway-policy.schema.json",
		Args:      between(0, 1, "at most one FILE: "+strings.Join(names, ", ")),
		ValidArgs: names,
		RunE: func(cmd *cobra.Command, args []string) error {
			name := filepath.Base(append(args, config.PolicyFile)[0])
			if !slices.Contains(names, name) {
				return usageError{fmt.Errorf("there is no schema of %q; want one of %s", name, strings.Join(names, ", "))}
			}
			_, err := cmd.OutOrStdout().Write(schemas[name]())
			return err
		},
	}
}

// readFile reads a file of at most maxPolicy bytes.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(filepath.Clean(path))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // nothing was written
	return io.ReadAll(io.LimitReader(f, maxPolicy))
}
