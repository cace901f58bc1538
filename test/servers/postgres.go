package servers

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Postgres is PostgreSQL: Debian's packages, unpacked.
const Postgres Name = "postgres"

// OldestPostgres is the oldest version of PostgreSQL that Slipway works with.
const OldestPostgres = 15

func postgresArtifact() Artifact {
	return Artifact{
		Name:   Postgres,
		Title:  "postgresql",
		About:  10 * time.Second,
		Recipe: "Debian's packages, 2",
		Unfit:  noDebian,
		Finish: unpackPostgres,
	}
}

// unpackPostgres unpacks the newest PostgreSQL that the distribution has, with
// those of its libraries that are not on the machine.
func unpackPostgres(ctx context.Context, w Workshop) error {
	err := w.unpackDebian(ctx, func(ctx context.Context) ([]string, error) {
		said, err := w.Run(ctx, w.Out, nil, "apt-cache", "pkgnames", "postgresql-")
		if err != nil {
			return nil, err
		}
		server := newestPostgres(strings.Fields(string(said)))
		if server == "" {
			return nil, errors.New("the distribution has no PostgreSQL of version " + strconv.Itoa(OldestPostgres) + " or newer")
		}
		libraries, err := w.missingLibraries(ctx, server)
		if err != nil {
			return nil, err
		}
		return append(libraries, server), nil
	})
	if err != nil {
		return err
	}
	for _, unused := range []string{"usr/share/doc", "usr/share/man", "usr/share/locale", "usr/lib/postgresql/*/lib/bitcode"} {
		found, err := filepath.Glob(filepath.Join(w.Out, unused))
		if err != nil {
			return err
		}
		for _, dir := range found {
			if err := os.RemoveAll(dir); err != nil {
				return err
			}
		}
	}
	return nil
}

// newestPostgres chooses, among the names of packages, the server of the highest
// version; "" when all are too old.
func newestPostgres(names []string) string {
	chosen, highest := "", OldestPostgres-1
	for _, name := range names {
		version, err := strconv.Atoi(strings.TrimPrefix(name, "postgresql-"))
		if err == nil && version > highest {
			chosen, highest = name, version
		}
	}
	return chosen
}
