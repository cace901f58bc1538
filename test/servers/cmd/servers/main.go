// Command servers builds the test servers into their cache: `make servers`.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"slipway/test/servers"
)

func main() {
	only := flag.String("only", "", "build these alone, separated by commas, such as gitea,runner,kubernetes")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "servers: unexpected argument %q\n", flag.Arg(0))
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *only)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "servers:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, only string) error {
	options := servers.Options{Progress: os.Stderr}
	if only != "" {
		options.Only = strings.Split(only, ",")
	}
	if err := servers.Build(ctx, options); err != nil {
		return err
	}
	if !compiler() {
		fmt.Fprintln(os.Stderr, "note: no C compiler (cc, gcc or clang) is on PATH: the servers need none, `make test` does, for the race detector")
	}
	return nil
}

// compiler says whether the race detector will find a C compiler.
func compiler() bool {
	for _, name := range []string{os.Getenv("CC"), "cc", "gcc", "clang"} {
		if name == "" {
			continue
		}
		if _, err := exec.LookPath(name); err == nil {
			return true
		}
	}
	return false
}
