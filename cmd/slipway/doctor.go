package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"slipway/cmd/slipway/internal/board"
	"slipway/internal/reconcile"
)

func newDoctor(from *source) *cobra.Command {
	return &cobra.Command{
		Use:     "doctor",
		Short:   "Examine forges, registries, clusters and policies: every fault with its mend",
		Example: "  slipway doctor --server http://127.0.0.1:8480",
		Args:    exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := from.client()
			if err != nil {
				return err
			}
			findings, err := client.Doctor(cmd.Context())
			if err != nil {
				return err
			}
			if from.json {
				if findings == nil {
					findings = []reconcile.Finding{}
				}
				if err := printJSON(cmd.OutOrStdout(), findings); err != nil {
					return err
				}
			} else {
				for _, f := range findings {
					fmt.Fprintf(cmd.OutOrStdout(), "✖ %s: %s\n", f.Area, board.Text(f.Fault))
					if f.Mend != "" {
						fmt.Fprintf(cmd.OutOrStdout(), "  mend: %s\n", board.Text(f.Mend))
					}
				}
				if len(findings) == 0 {
					fmt.Fprintln(cmd.OutOrStdout(), "✔ no faults found")
				}
			}
			if len(findings) > 0 {
				return silentError{exitRefused}
			}
			return nil
		},
	}
}
