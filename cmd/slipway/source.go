package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"slipway/cmd/slipway/internal/board"
	"slipway/config"
	"slipway/internal/server"
)

// source is where a command reads from: a server, or the store beside it.
type source struct {
	server string
	config string
	json   bool
	flag   *pflag.Flag // --server, to tell it from the environment's
}

func (s *source) flags(root *cobra.Command) {
	f := root.PersistentFlags()
	f.StringVar(&s.server, "server", os.Getenv("SLIPWAY_SERVER"), "address of the server; the token is taken from SLIPWAY_TOKEN (env SLIPWAY_SERVER)")
	f.StringVar(&s.config, "config", "", "slipway.yaml of a server on this machine, to read its store without it")
	f.BoolVar(&s.json, "json", false, "print JSON")
	s.flag = f.Lookup("server")
}

// client is the server's, for what only a server can do.
func (s *source) client() (*server.Client, error) {
	if s.config != "" && !s.flag.Changed {
		return nil, usageError{errors.New("--config reads a store; this needs the server itself: give --server ADDRESS instead")}
	}
	if s.server == "" {
		return nil, usageError{errors.New("no server: give --server ADDRESS or set SLIPWAY_SERVER, and the token in SLIPWAY_TOKEN")}
	}
	c, err := server.NewClient(s.server, os.Getenv("SLIPWAY_TOKEN"))
	if err != nil {
		return nil, usageError{err}
	}
	return c, nil
}

// reader is the server, or the store beside it, read-only.
func (s *source) reader(cmd *cobra.Command) (server.Reader, func(), error) {
	switch {
	case s.config != "" && s.flag.Changed:
		return nil, nil, usageError{errors.New("give either --server or --config: which of the two is to be read?")}
	case s.config == "" && s.server == "":
		return nil, nil, usageError{errors.New("nothing to read from: give --server ADDRESS (or SLIPWAY_SERVER), or --config slipway.yaml beside the store")}
	case s.config == "":
		c, err := s.client()
		return c, func() {}, err
	}
	conf, err := faultless(s.config, config.LoadStore)
	if err != nil {
		return nil, nil, err
	}
	st, err := readStore(cmd.Context(), conf)
	if err != nil {
		return nil, nil, err
	}
	return st, func() { closeOrTell(cmd, st) }, nil
}

func closeOrTell(cmd *cobra.Command, c io.Closer) {
	if err := c.Close(); err != nil {
		fmt.Fprintln(cmd.ErrOrStderr(), "slipway: close: "+board.Lines(err.Error()))
	}
}

// faultless loads slipway.yaml; every fault is in the error.
func faultless[T any](path string, load func(path string) (T, []config.Fault)) (T, error) {
	conf, faults := load(path)
	if len(faults) == 0 {
		return conf, nil
	}
	lines := make([]error, 0, len(faults)+1)
	lines = append(lines, fmt.Errorf("faults in %s, %d in all", path, len(faults)))
	for _, f := range faults {
		lines = append(lines, errors.New(f.String()))
	}
	return conf, usageError{errors.Join(lines...)}
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
