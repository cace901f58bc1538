package image

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"slipway/internal/fault"
	"slipway/internal/reconcile"
)

// TestR2SameCommitSameDigest builds one commit in two places that have as
// little in common as one machine allows.
func TestR2SameCommitSameDigest(t *testing.T) {
	first, err := builder(t, &tree{files: hello}).Build(deadline(t), order("r.example"))
	if err != nil {
		t.Fatal(err)
	}
	other := builder(t, &tree{files: hello, mode: 0o700})
	surroundings := map[string]string{
		"GOFLAGS": "-tags=other -gcflags=-N", "GOAMD64": "v3", "CGO_ENABLED": "1", "GOEXPERIMENT": "nojsonv2", "GOROOT": "/nowhere",
		"GOENV": "/nowhere", "GOTOOLCHAIN": "go1.1", "LC_ALL": "de_DE.UTF-8", "TZ": "Asia/Tokyo", "SOURCE_DATE_EPOCH": "1",
	}
	for name, value := range surroundings {
		t.Setenv(name, value)
	}
	defer restrict()()
	second, err := other.Build(deadline(t), order("r.example"))
	if err != nil {
		t.Fatal(err)
	}
	if first != second {
		t.Errorf("one commit came to %s and to %s", first, second)
	}
	again, err := other.Build(deadline(t), order("r.example"))
	if err != nil || again != first {
		t.Errorf("built again: %s, %v", again, err)
	}
}

func TestWhatMakesAnotherDigest(t *testing.T) {
	digest := func(vary func(what *reconcile.Build, arch, toolchain *string, at *time.Time, binary *[]byte)) string {
		t.Helper()
		what, arch, toolchain, at, binary := order("r.example"), "amd64", "go1.26", committed, []byte("program")
		vary(&what, &arch, &toolchain, &at, &binary)
		img, err := assemble(what, arch, toolchain, at, binary)
		if err != nil {
			t.Fatal(err)
		}
		hash, err := img.Digest()
		if err != nil {
			t.Fatal(err)
		}
		return hash.String()
	}
	same := digest(func(*reconcile.Build, *string, *string, *time.Time, *[]byte) {})
	for name, test := range map[string]struct {
		other bool
		vary  func(what *reconcile.Build, arch, toolchain *string, at *time.Time, binary *[]byte)
	}{
		"the program":        {true, func(_ *reconcile.Build, _, _ *string, _ *time.Time, b *[]byte) { *b = []byte("Program") }},
		"the commit":         {true, func(w *reconcile.Build, _, _ *string, _ *time.Time, _ *[]byte) { w.Commit = "1" + commit[1:] }},
		"the commit's time":  {true, func(_ *reconcile.Build, _, _ *string, at *time.Time, _ *[]byte) { *at = at.Add(time.Second) }},
		"the version":        {true, func(w *reconcile.Build, _, _ *string, _ *time.Time, _ *[]byte) { w.Version = "1.2.4" }},
		"the change":         {true, func(w *reconcile.Build, _, _ *string, _ *time.Time, _ *[]byte) { w.Change.Number++ }},
		"the platform":       {true, func(_ *reconcile.Build, arch, _ *string, _ *time.Time, _ *[]byte) { *arch = "arm64" }},
		"the toolchain":      {true, func(_ *reconcile.Build, _, tool *string, _ *time.Time, _ *[]byte) { *tool = "go1.27" }},
		"the time zone":      {false, func(_ *reconcile.Build, _, _ *string, at *time.Time, _ *[]byte) { *at = at.UTC() }},
		"less than a second": {false, func(_ *reconcile.Build, _, _ *string, at *time.Time, _ *[]byte) { *at = at.Add(time.Nanosecond) }},
		"where it goes":      {false, func(w *reconcile.Build, _, _ *string, _ *time.Time, _ *[]byte) { w.Repository = "other.example/x" }},
	} {
		if got := digest(test.vary); (got != same) != test.other {
			t.Errorf("another in %s: another digest %t; want %t", name, got != same, test.other)
		}
	}
}

func TestImageSaysWhatItIs(t *testing.T) {
	b := builder(t, &tree{files: hello})
	what := order("r.example")
	what.Plan.Platform = "linux/" + runtime.GOARCH
	digest, err := b.Build(deadline(t), what)
	if err != nil {
		t.Fatal(err)
	}
	img, err := b.kept(digest)
	if err != nil {
		t.Fatal(err)
	}
	m, err := img.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	if m.MediaType != types.OCIManifestSchema1 || m.Config.MediaType != types.OCIConfigJSON || len(m.Layers) != 1 || m.Layers[0].MediaType != types.OCILayer {
		t.Errorf("the manifest is %+v", m)
	}
	file, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	created := time.Date(2026, 3, 4, 4, 6, 7, 0, time.UTC)
	if file.OS != "linux" || file.Architecture != runtime.GOARCH || !file.Created.Equal(created) {
		t.Errorf("it is for %s/%s, created %s", file.OS, file.Architecture, file.Created)
	}
	if file.Config.User != "65532:65532" || fmt.Sprint(file.Config.Entrypoint) != "[/app]" {
		t.Errorf("it runs %v as %s", file.Config.Entrypoint, file.Config.User)
	}
	for name, want := range map[string]string{
		"org.opencontainers.image.revision": string(commit),
		"org.opencontainers.image.version":  "1.2.3",
		"org.opencontainers.image.source":   "https://forge.example/acme/app",
		"org.opencontainers.image.created":  "2026-03-04T04:06:07Z",
		"org.opencontainers.image.title":    "acme/app",
		"dev.slipway.change":                "acme/app#7",
		"dev.slipway.toolchain":             runtime.Version(),
	} {
		if got := file.Config.Labels[name]; got != want {
			t.Errorf("label %s is %q; want %q", name, got, want)
		}
	}
	said := runProgram(t, img, file.Config.Env)
	if want := "1.2.3 " + string(commit) + "\n"; said != want {
		t.Errorf("the program says %q; want %q", said, want)
	}
}

// runProgram takes the one file out of the image, checks it and, on Linux, runs
// it.
func runProgram(t *testing.T, img v1.Image, env []string) string {
	t.Helper()
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	content, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	archive := tar.NewReader(content)
	header, err := archive.Next()
	if err != nil {
		t.Fatal(err)
	}
	if header.Name != "app" || header.Mode != 0o755 || header.Uid != 0 || header.Gid != 0 || header.Uname+header.Gname != "" ||
		!header.ModTime.Equal(time.Date(2026, 3, 4, 4, 6, 7, 0, time.UTC)) {
		t.Errorf("the file is %+v", header)
	}
	program, err := io.ReadAll(archive)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := archive.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("after the program: %v; want nothing", err)
	}
	if runtime.GOOS != "linux" {
		return "1.2.3 " + string(commit) + "\n"
	}
	path := filepath.Join(t.TempDir(), "app")
	if err := os.WriteFile(path, program, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path)
	cmd.Env = env
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestR2BuildSeesNothingOfOurEnvironment(t *testing.T) {
	dump := filepath.Join(t.TempDir(), "dump")
	b := builder(t, &tree{files: hello}, func(c *Config) { c.GoCommand = script(t, "env >>"+dump) })
	t.Setenv("SLIPWAY_TOKEN", "seen-4711")
	t.Setenv("HOME", filepath.Join(t.TempDir(), "seen-4711"))
	t.Setenv("GOFLAGS", "-tags=seen-4711")
	if _, err := b.Build(deadline(t), order("r.example")); err != nil {
		t.Fatal(err)
	}
	seen, err := os.ReadFile(dump)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(seen), "seen-4711") {
		t.Errorf("the build sees\n%s", seen)
	}
	allowed := map[string]bool{}
	for _, v := range append((&work{}).environment("", "x"), "_=", "OLDPWD=", "SHLVL=") {
		name, _, _ := strings.Cut(v, "=")
		allowed[name] = true
	}
	for line := range strings.Lines(string(seen)) {
		if name, _, _ := strings.Cut(line, "="); !allowed[name] {
			t.Errorf("the build sees %s", line)
		}
	}
	if left, err := os.ReadDir(b.path("work")); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestWhatBuilds(t *testing.T) {
	lib := map[string]string{"lib/lib.go": "package lib\n\nconst Name = \"lib\"\n"}
	use := "package main\n\nimport \"example.com/lib\"\n\nfunc main() { println(lib.Name) }\n"
	for _, test := range []struct {
		rule  string
		main  string
		files map[string]string
	}{
		{"a program below the root", "./cmd/app", map[string]string{"go.mod": hello["go.mod"], "cmd/app/main.go": hello["main.go"]}},
		{"a program in a module of its own", "services/web", map[string]string{"services/web/go.mod": hello["go.mod"], "services/web/main.go": hello["main.go"]}},
		{"a module replaced within the repository", "app", with(lib, map[string]string{
			"app/go.mod":  "module example.com/app\n\ngo 1.24\n\nrequire example.com/lib v0.0.0\n\nreplace example.com/lib => ../lib\n",
			"app/main.go": use, "lib/go.mod": "module example.com/lib\n\ngo 1.24\n",
		})},
		{"vendored modules", ".", map[string]string{
			"go.mod": "module example.com/app\n\ngo 1.24\n\nrequire example.com/lib v1.0.0\n", "main.go": use,
			"vendor/modules.txt":            "# example.com/lib v1.0.0\n## explicit; go 1.24\nexample.com/lib\n",
			"vendor/example.com/lib/lib.go": lib["lib/lib.go"],
		}},
		{"an embedded file", ".", with(hello, map[string]string{
			"embed.go": "package main\n\nimport _ \"embed\"\n\n//go:embed data.txt\nvar data string\n", "data.txt": "x",
		})},
		{"go.work is not asked", ".", with(hello, map[string]string{"go.work": "go 99.0\n\nuse /nowhere\n"})},
	} {
		t.Run(test.rule, func(t *testing.T) {
			what := order("r.example")
			what.Plan.Main = test.main
			if _, err := builder(t, &tree{files: test.files}).Build(deadline(t), what); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestWhatDoesNotBuild(t *testing.T) {
	proxy := func(status int) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", status) }))
		t.Cleanup(s.Close)
		return s.URL
	}
	wants := with(hello, map[string]string{
		"go.mod":  "module example.com/app\n\ngo 1.24\n\nrequire example.com/lib v1.0.0\n",
		"go.sum":  "example.com/lib v1.0.0 h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\nexample.com/lib v1.0.0/go.mod h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
		"main.go": "package main\n\nimport \"example.com/lib\"\n\nfunc main() { lib.Run() }\n",
	})
	for _, test := range []struct {
		rule  string
		files map[string]string
		set   func(c *Config)
		kind  fault.Kind
		words string
	}{
		{"a mistake in the code", with(hello, map[string]string{"main.go": "package main\n\nfunc main() { undefined() }\n"}), nil, fault.Permanent, "./main.go:3:15: undefined: undefined"},
		{"a mistake in the syntax", with(hello, map[string]string{"main.go": "package main\n\nfunc {\n"}), nil, fault.Permanent, "main.go:3:6"},
		{"a package that is no program", with(hello, map[string]string{"main.go": "package app\n"}), nil, fault.Permanent, "not called main"},
		{"no Go files", map[string]string{"go.mod": hello["go.mod"]}, nil, fault.Permanent, "no Go files"},
		{"no module", map[string]string{"main.go": hello["main.go"]}, nil, fault.Permanent, "no go.mod"},
		{"a go.mod that is none", with(hello, map[string]string{"go.mod": "what?"}), nil, fault.Permanent, "go.mod"},
		{"a newer Go than ours", with(hello, map[string]string{"go.mod": "module example.com/app\n\ngo 1.999\n"}), nil, fault.Permanent, "1.999"},
		{"an import nobody requires", with(wants, map[string]string{"go.mod": hello["go.mod"], "go.sum": ""}), nil, fault.Permanent, "no required module provides package example.com/lib"},
		{"a module from beside the repository", with(wants, map[string]string{"go.mod": wants["go.mod"] + "\nreplace example.com/lib => ../../lib\n"}), nil, fault.Permanent, "not in the repository"},
		{"a module from elsewhere on the machine", with(wants, map[string]string{"go.mod": wants["go.mod"] + "\nreplace example.com/lib v1.0.0 => /usr/lib\n"}), nil, fault.Permanent, "not in the repository"},
		{"a module that does not exist", wants, func(c *Config) { c.GoProxy = proxy(http.StatusNotFound) }, fault.Permanent, "404"},
		{"a proxy with an error", wants, func(c *Config) { c.GoProxy = proxy(http.StatusServiceUnavailable) }, fault.Later, "503"},
		{"a proxy that is down", wants, func(c *Config) { c.GoProxy = "http://127.0.0.1:1" }, fault.Later, "refused"},
		{"a full disk", hello, func(c *Config) {
			c.GoCommand = script(t, `[ "$1" = build ] && { echo "write x: no space left on device" >&2; exit 1; }`)
		}, fault.Later, "no space left"},
		{"a compiler that was killed", hello, func(c *Config) {
			c.GoCommand = script(t, `[ "$1" = build ] && { echo "compile: signal: killed" >&2; exit 1; }`)
		}, fault.Later, "killed"},
		{"a go that was killed", hello, func(c *Config) { c.GoCommand = script(t, `[ "$1" = build ] && kill -9 $$`) }, fault.Later, "killed"},
	} {
		t.Run(test.rule, func(t *testing.T) {
			b := builder(t, &tree{files: test.files}, func(c *Config) {
				c.GoModCache = t.TempDir() // what a proxy said is remembered there
				if test.set != nil {
					test.set(c)
				}
			})
			_, err := b.Build(deadline(t), order("r.example"))
			if err == nil || fault.KindOf(err) != test.kind || !strings.Contains(err.Error(), test.words) {
				t.Errorf("got %v; want kind %d and %q", err, test.kind, test.words)
			}
			if err != nil && strings.Contains(err.Error(), b.path("work")) {
				t.Errorf("the error shows where it was built: %v", err)
			}
			if left, err := os.ReadDir(b.path("built")); err != nil || len(left) != 0 {
				t.Errorf("kept %v, %v", left, err)
			}
		})
	}
}

func TestFailedExportIsPassedOn(t *testing.T) {
	for _, want := range []error{errors.New("down"), fault.AsPermanent(errors.New("evil tree"))} {
		_, err := builder(t, &tree{err: want}).Build(deadline(t), order("r.example"))
		if !errors.Is(err, want) || fault.KindOf(err) != fault.KindOf(want) {
			t.Errorf("got %v; want %v as it was", err, want)
		}
	}
}

func TestPathsAndPlatforms(t *testing.T) {
	for main, want := range map[string]string{
		".": ".", "./": ".", "cmd/app": "cmd/app", "./cmd/app/": "cmd/app", "a/../b": "b", "my app+1~x": "my app+1~x",
		"": "", "/": "", "/cmd": "", "..": "", "../x": "", "a/../../b": "", "-o": "", "./-o": "", "a/-x": "", "./...": "", "...": "", "cmd/...": "",
		"x@latest": "", "a\nb": "", "a\x00": "", `a\b`: "", ".git": "", "a/.git/x": "", "main.go;x": "", "https://x": "",
	} {
		got, err := packagePath(main)
		if got != want || (err == nil) != (want != "") || err != nil && fault.KindOf(err) != fault.Permanent {
			t.Errorf("packagePath(%q) = %q, %v; want %q", main, got, err, want)
		}
	}
	for platform, want := range map[string]string{
		"linux/amd64": "amd64", "linux/arm64": "arm64", "linux/riscv64": "riscv64",
		"": "", "linux": "", "linux/": "", "windows/amd64": "", "linux/amd64/v3": "", "linux/x y": "", "linux/amd64\nGOFLAGS=x": "", "amd64/linux": "",
	} {
		got, err := architecture(platform)
		if got != want || (err == nil) != (want != "") || err != nil && fault.KindOf(err) != fault.Permanent {
			t.Errorf("architecture(%q) = %q, %v; want %q", platform, got, err, want)
		}
	}
}

func TestLongOutputIsCut(t *testing.T) {
	var code strings.Builder
	code.WriteString("package main\n\nfunc main() {\n")
	for i := range 3000 {
		fmt.Fprintf(&code, "\tundefined%d_%s()\n", i, strings.Repeat("x", 500))
	}
	code.WriteString("}\n")
	b := builder(t, &tree{files: with(hello, map[string]string{"main.go": code.String()})})
	_, err := b.Build(deadline(t), order("r.example"))
	if fault.KindOf(err) != fault.Permanent || len(err.Error()) > 10_000 || !strings.Contains(err.Error(), "too many errors") {
		t.Errorf("got %d bytes: %.300v", len(err.Error()), err)
	}
	end := &tail{limit: 10}
	fmt.Fprint(end, "0123456789abc", "def")
	if end.String() != "6789abcdef" {
		t.Errorf("the end is %q", end)
	}
}

func TestCommitsOfAnyAge(t *testing.T) {
	for at, want := range map[time.Time]string{
		time.Unix(0, 0):          "1970-01-01T00:00:00Z",
		time.Unix(-1, 0):         "1970-01-01T00:00:00Z",
		time.Unix(1<<55, 0):      "1970-01-01T00:00:00Z",
		{}:                       "1970-01-01T00:00:00Z",
		time.Unix(1700000000, 5): "2023-11-14T22:13:20Z",
	} {
		if got := written(at).Format(time.RFC3339Nano); got != want {
			t.Errorf("%v is written %s; want %s", at, got, want)
		}
	}
}

func TestAuthPrintsNoPassword(t *testing.T) {
	a := Auth{Username: "slipway", Password: password}
	encoded, err := json.Marshal(map[string]any{"auth": a})
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("%v %+v %#v %s %+v", a, a, a, a, Config{Registries: map[string]Auth{"x": a}}) + string(encoded)
	if strings.Contains(text, password) {
		t.Errorf("printed: %s", text)
	}
}
