package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"slipway/cmd/slipway/internal/demo"
)

func newDemo() *cobra.Command {
	o := demo.Options{Screen: os.Stderr}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show Slipway at work on real servers, started in a temporary place",
		Long: "Starts a real forge with its registry and CI runner and a real Kubernetes in a temporary place,\n" +
			"and shows a change that ships and one that is rolled back. Progress goes to standard error.\n" +
			"The servers are built once by `make servers`.",
		Example: "  slipway demo\n  slipway demo --once --json --scenario all",
		Args:    exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !slices.Contains(demo.Scenarios(), o.Scenario) {
				return usageError{fmt.Errorf("there is no scenario %q: %s", o.Scenario, strings.Join(demo.Scenarios(), ", "))}
			}
			if !slices.Contains([]string{"auto", "kubelet", "kwok"}, o.Kubernetes) {
				return usageError{fmt.Errorf("--kubernetes is auto, kubelet or kwok, not %q", o.Kubernetes)}
			}
			asJSON, err := cmd.Flags().GetBool("json")
			if err != nil {
				return err
			}
			o.Live = term.IsTerminal(int(os.Stderr.Fd())) && os.Getenv("TERM") != "dumb"
			o.Width = terminalWidth(os.Stderr)
			report, err := demo.Run(cmd.Context(), o)
			if asJSON && report.Kubernetes != "" {
				if jsonErr := printJSON(cmd.OutOrStdout(), report); jsonErr != nil {
					return jsonErr
				}
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&o.Once, "once", false, "end after the scenarios; exit 0 only if every gate came out as it should")
	cmd.Flags().StringVar(&o.Scenario, "scenario", "all", strings.Join(demo.Scenarios(), ", "))
	cmd.Flags().StringVar(&o.Kubernetes, "kubernetes", "auto", "auto, kubelet (real pods) or kwok (fake nodes)")
	return cmd
}
