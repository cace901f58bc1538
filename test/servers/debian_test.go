package servers

import (
	"slices"
	"testing"
)

func TestLibraries(t *testing.T) {
	const said = `postgresql-15
 |Depends: locales
  Depends: locales-all
  Depends: postgresql-common
  Depends: libc6
  Depends: libpq5
 |Depends: libsystemd0
  Depends: libelogind0
  Depends: libicu72
  Depends: libllvm14
  Depends: <debconf-2.0>
    debconf
postgresql-common
  Depends: libjson-perl
libpq5
  PreDepends: libssl3
  Depends: libc6
libllvm14
  Depends: libz3-4
libssl3
  Depends: libpq5
libicu72
`
	for name, c := range map[string]struct {
		of   string
		want []string
	}{
		"its own and theirs, not those of other programs, of the machine or of LLVM": {"postgresql-15", []string{"libpq5", "libsystemd0", "libicu72", "libssl3"}},
		"needs in a circle end": {"libssl3", []string{"libpq5", "libssl3"}},
		"a package without any": {"libicu72", nil},
	} {
		t.Run(name, func(t *testing.T) {
			if got := libraries(said, c.of); !slices.Equal(got, c.want) {
				t.Fatalf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestNewestPostgres(t *testing.T) {
	for name, c := range map[string]struct {
		packages []string
		want     string
	}{
		"the highest version, as a number":  {[]string{"postgresql-9", "postgresql-15", "postgresql-100", "postgresql-17"}, "postgresql-100"},
		"a server and no part of one":       {[]string{"postgresql-15", "postgresql-16-pgvector", "postgresql-client-16", "postgresql-common"}, "postgresql-15"},
		"none where all are too old":        {[]string{"postgresql-13", "postgresql-14"}, ""},
		"none where there is no such thing": {nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := newestPostgres(c.packages); got != c.want {
				t.Fatalf("%q, want %q", got, c.want)
			}
		})
	}
}
