package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"slipway/config"
	"slipway/pools"
)

// handingOver copies a coordinate's own secrets out of its pool's, in a
// container that runs nothing of anybody's choice. The container that does sees
// the copies alone.
type handingOver struct {
	as       string
	from, to string
	once     bool
	every    time.Duration
}

func newPoolsHandOver() *cobra.Command {
	h := &handingOver{}
	cmd := &cobra.Command{
		Use:   "hand-over",
		Short: "Give a pod's command its own secrets out of its pool's, and go on doing so",
		Long: "Hand over copies the secrets of one coordinate from one folder to another, whenever they change. The pods that\n" +
			"`slipway pools apply` makes run it beside their worker; nobody has to run it by hand.",
		Example: "  slipway pools hand-over --as builder-lite-0 --from /var/run/slipway/pool --to /var/run/slipway/own",
		Args:    exactly(0, "no arguments"),
		Hidden:  true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := pools.ReadAddress(h.as)
			if err != nil {
				return usageError{err}
			}
			return h.run(cmd.Context(), a)
		},
	}
	f := cmd.Flags()
	f.StringVar(&h.as, "as", "", "the coordinate")
	f.StringVar(&h.from, "from", "", "the folder with a folder for each coordinate of the pool")
	f.StringVar(&h.to, "to", "", "the folder for the coordinate's own secrets")
	f.BoolVar(&h.once, "once", false, "wait until they are there, copy them, and end")
	f.DurationVar(&h.every, "every", 5*time.Second, "how often to look")
	return cmd
}

// run copies until it is told to stop, or with once until it has copied.
func (h *handingOver) run(ctx context.Context, a pools.Address) error {
	ticker := time.NewTicker(h.every)
	defer ticker.Stop()
	for {
		done, err := h.copy(a)
		if err != nil {
			return fmt.Errorf("hand over the secrets of %s: %w", a, err)
		}
		if h.once && done {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// copy says whether both secrets are in place.
func (h *handingOver) copy(a pools.Address) (bool, error) {
	for _, name := range []string{workerToken, forgeToken} {
		is, err := os.ReadFile(filepath.Join(h.from, a.String(), name)) //nolint:gosec // the operator names the folder, and a coordinate has no slash
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		is = bytes.TrimSpace(is)
		had, err := os.ReadFile(filepath.Join(h.to, name)) //nolint:gosec // the operator names the folder
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
		if bytes.Equal(bytes.TrimSpace(had), is) {
			continue
		}
		if err := place(h.to, name, config.NewSecret(string(is))); err != nil {
			return false, err
		}
	}
	return true, nil
}
