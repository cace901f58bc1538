// Package test holds what is true of the module as a whole: its architecture
// here, the real servers and the end-to-end tests below.
package test

import (
	"os"
	"testing"
)

// floor is how high a package stands: arrows between floors point down only.
type floor int

const (
	pureFacts  floor = iota // F0: pure decisions on values
	pureRecord              // F1: the pure record of one change
	domain                  // F2: the loops and the configuration, over ports they declare
	adapters                // F3: one foreign system each
	wiring                  // F4: knows them all and wires them
)

// house is what the architecture says of the module.
type house struct {
	module string
	// floors gives every package its place; a folder below one belongs to it.
	// Packages that are still to be built have theirs already.
	floors map[string]floor
	// leaves are packages of the ground floor that their own floor may import.
	leaves []string
	// proofs is the folder of what is only for tests, and provers are those
	// outside of it that may import it all the same.
	proofs  string
	provers []string
	// banned are imports that a pure package may not have, with the reason. An
	// entry also bans what lies below it.
	banned []ban
	// clocks are the functions of package time that a pure package may not call.
	clocks []string
	// pure are libraries that compute and do nothing else.
	pure []string
	// checkers are libraries for the tests of pure packages.
	checkers []string
	// homes say which package alone may know a foreign system's library.
	homes []home
	// state lists the package-level variables that are allowed, by
	// "package.name", with the reason.
	state map[string]string
	// mute are methods that need no comment, because an interface of the
	// standard library says what they mean.
	mute []string
	// lines is how long a file may be.
	lines int
}

type ban struct{ path, reason string }

type home struct {
	library string // an import path, or the start of one
	in      []string
	reason  string
}

func slipway() house {
	return house{
		module: "slipway",
		floors: map[string]floor{
			"internal/ref":       pureFacts,
			"internal/journal":   pureFacts,
			"internal/fault":     pureFacts,
			"gate":               pureFacts,
			"gate/queue":         pureFacts,
			"gate/owners":        pureFacts,
			"deployer":           pureFacts,
			"pools":              pureFacts,
			"dispatcher/compare": pureFacts,

			"internal/change":  pureRecord,
			"internal/authz":   pureRecord,
			"internal/command": pureRecord,

			"internal/reconcile": domain,
			"dispatcher":         domain,
			"config":             domain,
			"internal/onboard":   domain,
			"internal/canary":    domain,

			"internal/forge/gitea":  adapters,
			"internal/forge/github": adapters,
			"internal/git":          adapters,
			"internal/image":        adapters,
			"internal/kube":         adapters,
			"internal/chat":         adapters,
			"internal/store":        adapters,
			"internal/server":       adapters,
			"internal/worker":       adapters,

			"cmd": wiring,
		},
		leaves:  []string{"internal/ref"},
		proofs:  "test",
		provers: []string{"cmd/slipway"}, // the demo starts the real servers
		banned: []ban{
			{"context", "what is pure ends by itself: there is nothing to cancel"},
			{"net", "it speaks to nobody: the shell brings the facts"},
			{"os", "it reads no file, no environment and no process"},
			{"io/fs", "it reads no file"},
			{"syscall", "it asks the system for nothing"},
			{"unsafe", "values stay values"},
			{"database/sql", "it stores nothing: the shell records what it returns"},
			{"log", "what it has to say stands in what it returns"},
			{"crypto/rand", "the same facts must give the same answer"},
			{"testing", "tests are not part of what is tested"},
		},
		clocks: []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"},
		pure: []string{
			"github.com/Masterminds/semver/v3",
			"github.com/bmatcuk/doublestar/v4",
			"gonum.org/v1/gonum",
			"github.com/yuin/goldmark",
			"github.com/hmarr/codeowners",
		},
		checkers: []string{
			"pgregory.net/rapid",
			"github.com/google/go-cmp",
		},
		homes: []home{
			{"code.gitea.io/sdk/gitea", []string{"internal/forge/gitea"}, "SDK types never cross a package boundary"},
			{"github.com/google/go-github", []string{"internal/forge/github"}, "SDK types never cross a package boundary"},
			{"github.com/bradleyfalzon/ghinstallation", []string{"internal/forge/github"}, "SDK types never cross a package boundary"},
			{"github.com/google/go-containerregistry", []string{"internal/image"}, "SDK types never cross a package boundary"},
			{"github.com/moby/buildkit", []string{"internal/image"}, "SDK types never cross a package boundary"},
			{"github.com/mattermost", []string{"internal/chat"}, "SDK types never cross a package boundary"},
			{"k8s.io", []string{"internal/kube"}, "SDK types never cross a package boundary"},
			{"github.com/fluxcd/cli-utils", []string{"internal/kube"}, "SDK types never cross a package boundary"},
			{"database/sql", []string{"internal/store"}, "database rows never cross a package boundary"},
			{"modernc.org/sqlite", []string{"internal/store"}, "database rows never cross a package boundary"},
			{"github.com/jackc/pgx", []string{"internal/store"}, "database rows never cross a package boundary"},
			{"github.com/pressly/goose", []string{"internal/store"}, "database rows never cross a package boundary"},
			{"github.com/spf13/cobra", []string{"cmd/slipway"}, "subcommands are thin, and the rest knows of no command line"},
		},
		state: map[string]string{
			"cmd/slipway.version":  "the linker sets it",
			"test/storetest.blank": "a file that is made once for all tests of a run, and only copied",
		},
		mute:  []string{"String", "Error", "Unwrap", "Is", "MarshalText", "UnmarshalText", "MarshalJSON", "UnmarshalJSON"},
		lines: 450, // about 400, and room for a table that belongs together
	}
}

// TestTheHouseStands holds the floors and the bans over every Go file of the
// module, whatever system it is for. The modules of the test servers' tools are
// modules of their own, and not looked at.
func TestTheHouseStands(t *testing.T) {
	h := slipway()
	packages, err := read(os.DirFS(".."), h.module)
	if err != nil {
		t.Fatal(err)
	}
	if len(packages) < 10 {
		t.Fatalf("found only %d packages: was the module read?", len(packages))
	}
	for _, r := range rules() {
		t.Run(r.name, func(t *testing.T) {
			for _, p := range packages {
				for _, fault := range r.check(h, p) {
					t.Error(fault)
				}
			}
		})
	}
}
