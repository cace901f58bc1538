package servers

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// hello is an artifact of one small program that prints its word.
func hello() Artifact {
	return Artifact{
		Name:     "hello",
		Title:    "hello 1",
		Programs: []Program{{Module: "hello", Package: ".", Output: "hello", LDFlags: "-X main.word=hi"}},
	}
}

// tree makes a source tree with the tool module of hello, changes to it and
// returns the folder of that module.
func tree(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	module := filepath.Join(root, "test", "servers", "tools", "hello")
	write(t, filepath.Join(root, "go.mod"), "// a tree\nmodule slipway\n")
	write(t, filepath.Join(module, "go.mod"), "module hello\n\ngo 1.26.0\n")
	write(t, filepath.Join(module, "main.go"), "package main\n\nvar word string\n\nfunc main() { println(word) }\n")
	t.Chdir(module)
	return module
}

func write(t *testing.T, path, body string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
}

// mustBuild builds the artifacts and returns the progress lines.
func mustBuild(t *testing.T, cache string, all ...Artifact) string {
	t.Helper()
	var progress bytes.Buffer
	if err := build(t.Context(), all, Options{CacheDir: cache, Progress: &progress}); err != nil {
		t.Fatal(err)
	}
	return progress.String()
}

// content lists the names in the cache.
func content(t *testing.T, cache string) string {
	t.Helper()
	list, err := os.ReadDir(cache)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, e := range list {
		found = append(found, e.Name())
	}
	return strings.Join(found, " ")
}

func TestABuildIsFoundAndTheNextOneIsCached(t *testing.T) {
	tree(t)
	cache := t.TempDir()
	if said := mustBuild(t, cache, hello()); !strings.Contains(said, "hello 1  built in") {
		t.Errorf("the first build says\n%s", said)
	}
	entry, err := find([]Artifact{hello()}, cache, "hello")
	if err != nil {
		t.Fatal(err)
	}
	word, err := (Workshop{}).Run(t.Context(), cache, nil, "/bin/sh", "-c", entry.Path("hello")+" 2>&1")
	if err != nil || string(word) != "hi\n" {
		t.Errorf("the program says %q, %v; its linker flags say hi", word, err)
	}
	if said := mustBuild(t, cache, hello()); !strings.Contains(said, "hello 1  cached") {
		t.Errorf("the second build says\n%s", said)
	}
}

func TestAChangedSourceIsBuiltAnew(t *testing.T) {
	changes := map[string]func(module string, a *Artifact){
		"a Go file":     func(m string, _ *Artifact) { write(t, filepath.Join(m, "more.go"), "package main\n") },
		"go.sum":        func(m string, _ *Artifact) { write(t, filepath.Join(m, "go.sum"), "\n") },
		"a linker flag": func(_ string, a *Artifact) { a.Programs[0].LDFlags += " -X main.word=ho" },
		"the recipe":    func(_ string, a *Artifact) { a.Recipe = "2" },
		"a nested shim": func(m string, _ *Artifact) { write(t, filepath.Join(m, "shim", "shim.go"), "package shim\n") },
		"another folder": func(m string, a *Artifact) {
			write(t, filepath.Join(m, "../b/b.go"), "package b\n")
			a.Sources = []string{"b"}
		},
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			module, cache := tree(t), t.TempDir()
			mustBuild(t, cache, hello())
			changed := hello()
			change(module, &changed)
			if _, err := find([]Artifact{changed}, cache, "hello"); !errors.Is(err, ErrNotBuilt) {
				t.Errorf("before the build it is found: %v", err)
			}
			if said := mustBuild(t, cache, changed); !strings.Contains(said, "built in") {
				t.Errorf("the build says\n%s", said)
			}
			if _, err := find([]Artifact{changed}, cache, "hello"); err != nil {
				t.Errorf("after the build: %v", err)
			}
		})
	}
}

func TestAFileThatCannotMatterIsNotASource(t *testing.T) {
	module, cache := tree(t), t.TempDir()
	mustBuild(t, cache, hello())
	write(t, filepath.Join(module, "README.md"), "words\n")
	if said := mustBuild(t, cache, hello()); !strings.Contains(said, "cached") {
		t.Errorf("the build says\n%s", said)
	}
}

func TestAFailedBuildLeavesNothingAndSaysWhatTheCompilerSaid(t *testing.T) {
	module, cache := tree(t), t.TempDir()
	write(t, filepath.Join(module, "main.go"), "package main\n\nfunc main() { undefinedThing() }\n")
	err := build(t.Context(), []Artifact{hello()}, Options{CacheDir: cache})
	if err == nil || !strings.Contains(err.Error(), "undefinedThing") {
		t.Errorf("the error is %v", err)
	}
	if left := content(t, cache); left != "lock" {
		t.Errorf("the cache holds %s", left)
	}
}

func TestWhatAKilledBuildLeftIsSwept(t *testing.T) {
	tree(t)
	cache := t.TempDir()
	write(t, filepath.Join(cache, halfPrefix("hello")+"123", "hello"), "half a program")
	mustBuild(t, cache, hello())
	if left := content(t, cache); strings.Contains(left, ".half") {
		t.Errorf("the cache holds %s", left)
	}
}

func TestTheSecondOfTwoBuildersWaitsForTheFirst(t *testing.T) {
	tree(t)
	cache := t.TempDir()
	inside, proceed := make(chan struct{}), make(chan struct{})
	slow := hello()
	slow.Finish = func(context.Context, Workshop) error {
		close(inside)
		<-proceed
		return nil
	}
	first := make(chan error, 1)
	go func() { first <- build(t.Context(), []Artifact{slow}, Options{CacheDir: cache}) }()
	<-inside

	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	var said bytes.Buffer
	err := build(ctx, []Artifact{hello()}, Options{CacheDir: cache, Progress: &said})
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(said.String(), "waiting") {
		t.Errorf("while the first works the second ends with %v and says %q", err, said.String())
	}
	close(proceed)
	if err := <-first; err != nil {
		t.Fatal(err)
	}
	if said := mustBuild(t, cache, hello()); !strings.Contains(said, "cached") {
		t.Errorf("after the first the second says\n%s", said)
	}
}

func TestOutsideTheTreeThePointerFileIsEnough(t *testing.T) {
	tree(t)
	cache := t.TempDir()
	mustBuild(t, cache, hello())
	t.Chdir(t.TempDir())
	if _, err := find([]Artifact{hello()}, cache, "hello"); err != nil {
		t.Error(err)
	}
	if err := build(t.Context(), []Artifact{hello()}, Options{CacheDir: cache}); !errors.Is(err, errNoTree) {
		t.Errorf("building there ends with %v", err)
	}
}

func TestAnEntryThatWasDeletedIsNotFound(t *testing.T) {
	tree(t)
	cache := t.TempDir()
	mustBuild(t, cache, hello())
	entry, err := find([]Artifact{hello()}, cache, "hello")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(entry.Dir); err != nil {
		t.Fatal(err)
	}
	if _, err := find([]Artifact{hello()}, cache, "hello"); !errors.Is(err, ErrNotBuilt) {
		t.Errorf("the error is %v", err)
	}
}

func TestAMissingToolIsNamedWithItsMend(t *testing.T) {
	tree(t)
	needy := hello()
	needy.Needs = []Tool{{"no-such-tool", "install no-such-tool from its makers"}}
	err := build(t.Context(), []Artifact{needy}, Options{CacheDir: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "no-such-tool is not on PATH: install no-such-tool from its makers") {
		t.Errorf("the error is %v", err)
	}
	t.Setenv("PATH", t.TempDir())
	err = build(t.Context(), []Artifact{hello()}, Options{CacheDir: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "go is not on PATH: install Go") {
		t.Errorf("without Go the error is %v", err)
	}
}

func TestWhatThisMachineCannotHaveIsPassedOverUnlessDemanded(t *testing.T) {
	tree(t)
	unfit := hello()
	unfit.Unfit = func() string { return "it needs a moon" }
	if said := mustBuild(t, t.TempDir(), unfit); !strings.Contains(said, "not on this machine: it needs a moon") {
		t.Errorf("the build says\n%s", said)
	}
	err := build(t.Context(), []Artifact{unfit}, Options{CacheDir: t.TempDir(), Only: []string{"hello"}})
	if err == nil || !strings.Contains(err.Error(), "it needs a moon") {
		t.Errorf("the error is %v", err)
	}
}

func TestOnlyChoosesByNameAndByFamily(t *testing.T) {
	all := []Artifact{{Name: "kube"}, {Name: "kube-node"}, {Name: "kubelet"}, {Name: "gitea"}}
	cases := map[string]struct {
		only []string
		want string
	}{
		"nothing means all":                {nil, "kube kube-node kubelet gitea"},
		"a name takes its family along":    {[]string{"kube"}, "kube kube-node"},
		"a longer name is not the family":  {[]string{"kubelet"}, "kubelet"},
		"several keep the order of builds": {[]string{"gitea", "kube-node"}, "kube-node gitea"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			chosen, err := choose(all, c.only)
			if got := strings.Join(names(chosen), " "); err != nil || got != c.want {
				t.Errorf("chosen %s, %v; want %s", got, err, c.want)
			}
		})
	}
	if _, err := choose(all, []string{"gitae"}); err == nil || !strings.Contains(err.Error(), "gitea") {
		t.Errorf("an unknown name ends with %v", err)
	}
}

func TestTheKeyTellsToolchainsApart(t *testing.T) {
	if entryKey("same", runtime.Version()) == entryKey("same", "go1.0") {
		t.Error("two toolchains share an entry")
	}
}

func TestTheToolModulesAreThere(t *testing.T) {
	tools, err := toolsDir()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range artifacts() {
		for _, p := range a.Programs {
			if _, err := os.Stat(filepath.Join(tools, p.Module, "go.mod")); err != nil {
				t.Errorf("%s: %v", a.Title, err)
			}
		}
	}
}
