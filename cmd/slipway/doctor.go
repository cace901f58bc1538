package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"slipway/cmd/slipway/internal/board"
	"slipway/config"
	"slipway/internal/authz"
	"slipway/internal/reconcile"
)

func newDoctor(from *source) *cobra.Command {
	var table bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Examine forges, registries, clusters, policies and set-ups: every fault with its mend",
		Long: "Have the server examine everything that it depends on, and compare how each repository is set up with how it should be.\n" +
			"With --table, print which role may do what, and with --config also who holds which role; nothing is examined then.",
		Example: "  slipway doctor --server http://127.0.0.1:8480\n  slipway doctor --table --config slipway.yaml",
		Args:    exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if table {
				return from.authorisation(cmd.OutOrStdout())
			}
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
				printFindings(cmd.OutOrStdout(), findings)
			}
			if len(findings) > 0 {
				return silentError{exitRefused}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&table, "table", false, "print the authorisation table")
	return cmd
}

func printFindings(w io.Writer, findings []reconcile.Finding) {
	for _, f := range findings {
		fmt.Fprintf(w, "✖ %s: %s\n", f.Area, board.Text(f.Fault))
		if f.Mend != "" {
			fmt.Fprintf(w, "  mend: %s\n", board.Text(f.Mend))
		}
	}
	if len(findings) == 0 {
		fmt.Fprintln(w, "✔ no faults found")
	}
}

// holder is somebody with a role. What they hold ends at Expires, if it does.
type holder struct {
	Who     string       `json:"who"`
	Role    authz.Role   `json:"role"`
	Scopes  []authz.Verb `json:"scopes,omitempty"`
	Expires time.Time    `json:"expires,omitzero"`
}

// authorisation prints the one table, and from the configuration who holds the
// roles that it gives. The others follow from each pull request.
func (s *source) authorisation(w io.Writer) error {
	holders := []holder{}
	if s.config != "" {
		conf, err := faultless(s.config, config.LoadServer)
		if err != nil {
			return err
		}
		holders = holdersOf(conf)
	}
	if s.json {
		return printJSON(w, map[string]any{"table": authz.Table(), "holders": holders})
	}
	roles := authz.Roles()
	fmt.Fprintf(w, "%-16s", "")
	for _, r := range roles {
		fmt.Fprintf(w, " %-9s", r)
	}
	fmt.Fprintln(w)
	for _, row := range authz.Table() {
		fmt.Fprintf(w, "%-16s", row.Verb)
		for _, r := range roles {
			mark := "·"
			if slices.Contains(row.Roles, r) {
				mark = "✔"
			}
			fmt.Fprintf(w, " %-9s", mark)
		}
		fmt.Fprintln(w, " "+row.Means)
	}
	if s.config == "" {
		fmt.Fprintln(w, "\nGive --config slipway.yaml to see who holds which role.")
		return nil
	}
	fmt.Fprintln(w)
	for _, h := range holders {
		fmt.Fprintf(w, "%-9s %s%s\n", h.Role, board.Text(h.Who), board.Text(h.narrowed()))
	}
	fmt.Fprintln(w, "author, approver, setter and emergency follow from the pull request and its policy.")
	return nil
}

func (h holder) narrowed() string {
	var said string
	if len(h.Scopes) > 0 {
		verbs := make([]string, 0, len(h.Scopes))
		for _, v := range h.Scopes {
			verbs = append(verbs, string(v))
		}
		said += ", for " + strings.Join(verbs, ", ") + " only"
	}
	if !h.Expires.IsZero() {
		said += ", until " + h.Expires.UTC().Format(time.RFC3339)
	}
	return said
}

func holdersOf(conf config.Server) []holder {
	var all []holder
	for _, t := range conf.Tokens {
		all = append(all, holder{Who: "the API token " + t.Name, Role: t.Role, Scopes: t.Scopes, Expires: t.Expires})
	}
	for _, g := range conf.Roles {
		for _, p := range g.People {
			all = append(all, holder{Who: p, Role: g.Role})
		}
		for _, t := range g.Teams {
			all = append(all, holder{Who: "the team " + t, Role: g.Role})
		}
		for _, p := range g.Pools {
			all = append(all, holder{Who: "the pool " + p, Role: g.Role})
		}
	}
	return all
}
