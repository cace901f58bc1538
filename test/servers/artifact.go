package servers

import (
	"context"
	"time"
)

// Name names one entry of the cache.
type Name string

// The entries of the cache.
const (
	Gitea  Name = "gitea"  // the forge and its registry: gitea, and static/ beside it
	Runner Name = "runner" // the forge's CI runner: runner
)

// Artifact describes one entry of the cache: what its content depends on and
// how it comes to be. Everything that can change the content must show in
// Programs, Sources or Recipe, because the entry's key is made of these.
type Artifact struct {
	Name  Name
	Title string        // name and version, as progress lines show it
	About time.Duration // how long it takes on two free cores with nothing cached

	Programs []Program // the Go programs to build, each from its tool module
	Sources  []string  // further folders below tools/ that the content depends on
	Recipe   string    // whatever else it depends on: a revision of Finish, a distribution
	Needs    []Tool    // programs that must be on PATH to build it, besides go

	// Unfit says in a sentence why this machine cannot have the entry; nil, or
	// an empty answer, means it can.
	Unfit func() string

	// Finish completes the entry after the programs are built; nil if there is
	// nothing more to do.
	Finish func(context.Context, Workshop) error
}

// Program is one Go program of a tool module.
type Program struct {
	Module  string // folder below tools/ that holds the go.mod
	Package string // package to build: an import path, or a path below the module such as ./pause
	Output  string // file name within the entry
	LDFlags string // what the linker is told besides -s -w
}

// Tool is a program that has to be installed, with the sentence that says how.
type Tool struct {
	Program string
	Mend    string
}

// artifacts lists every entry of the cache in the order of building: the
// quickest first, so that a fault of the machine shows early.
func artifacts() []Artifact {
	list := []Artifact{githubArtifact(), postgresArtifact(), runnerArtifact(), giteaArtifact()}
	return append(list, kubernetesArtifacts()...)
}

func runnerArtifact() Artifact {
	return Artifact{
		Name:  Runner,
		Title: "gitea runner 1.0.8",
		About: 20 * time.Second,
		Programs: []Program{{
			Module:  "runner",
			Package: "gitea.com/gitea/runner",
			Output:  "runner",
			LDFlags: "-X gitea.com/gitea/runner/internal/pkg/ver.version=v1.0.8",
		}},
	}
}

func giteaArtifact() Artifact {
	return Artifact{
		Name:  Gitea,
		Title: "gitea 1.27.3",
		About: 200 * time.Second,
		Programs: []Program{{
			Module:  "gitea",
			Package: "gitea.dev",
			Output:  "gitea",
			LDFlags: "-X main.Version=1.27.3",
		}},
		Sources: []string{"gitea/sdkshim"},
		Recipe:  "static 1",
		Needs:   []Tool{{"git", "install git: Gitea keeps its repositories with it"}},
		Finish:  copyGiteaStatic,
	}
}

// copyGiteaStatic copies what Gitea reads at run time out of the module cache,
// so that the entry lives on when that cache is cleaned.
func copyGiteaStatic(ctx context.Context, w Workshop) error {
	dir, err := w.ModuleDir(ctx, "gitea", "gitea.dev")
	if err != nil {
		return err
	}
	for _, part := range []string{"templates", "options", "public"} {
		if err := w.CopyTree(dir+"/"+part, "static/"+part); err != nil {
			return err
		}
	}
	return nil
}
