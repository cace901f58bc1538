package kubernetes

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slipway/test/servers"
)

var errNotYet = errors.New("not yet")

func TestStartRefuses(t *testing.T) {
	t.Parallel()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	binaries := Binaries{Kube: program, Node: program}
	used := t.TempDir()
	if err := os.WriteFile(filepath.Join(used, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		config Config
		says   string
	}{
		"a folder by a relative path": {Config{Level: Kwok, Dir: "here", Binaries: binaries}, "absolute path"},
		"a folder with files in it":   {Config{Level: Kwok, Dir: used, Binaries: binaries}, "not empty"},
		"an unknown level":            {Config{Level: "minikube", Dir: t.TempDir(), Binaries: binaries}, "(minikube): no level"},
		"binaries that are not there": {Config{Level: Kwok, Dir: t.TempDir()}, "make servers"},
		"a bad tag that is none":      {Config{Level: Kwok, Dir: t.TempDir(), Binaries: binaries, BadTags: []string{"a b"}}, "not an image tag"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Start(t.Context(), c.config)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want an error that says %q", err, c.says)
			}
		})
	}
}

func TestBinariesThatAreNotBuilt(t *testing.T) {
	t.Parallel()
	if _, err := Find(t.TempDir(), Kwok); !errors.Is(err, servers.ErrNotBuilt) {
		t.Errorf("got %v, want %v", err, servers.ErrNotBuilt)
	}
}

func TestATakenPortIsToldFromOtherFaults(t *testing.T) {
	t.Parallel()
	for tail, taken := range map[string]bool{
		`listen tcp 127.0.0.1:2379: bind: address already in use`: true,
		`failed to load the certificate`:                          false,
	} {
		if got := (&ended{component: "etcd", tail: tail}).portTaken(); got != taken {
			t.Errorf("%q: got %t, want %t", tail, got, taken)
		}
	}
}

func TestTheClusterEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cluster, err := Start(ctx, Config{Level: Kwok, Dir: filepath.Join(t.TempDir(), "cluster"), Binaries: needBinaries(t, Kwok)})
	if err != nil {
		t.Fatal(err)
	}
	if err := cluster.apiReady(ctx); err != nil {
		t.Fatal(err)
	}
	cancel()
	waitDone(t, cluster)
	if err := cluster.Err(); err != nil {
		t.Errorf("got %v, want no error after an orderly end", err)
	}
	if err := cluster.apiReady(t.Context()); err == nil {
		t.Error("the API still serves")
	}
	if err := cluster.Stop(t.Context()); err != nil {
		t.Errorf("stopping what has ended: %v", err)
	}
}
