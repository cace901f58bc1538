package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway/dispatcher"
	"slipway/pools"
)

// TestAPodIsHandedItsOwnSecretsAsTheyChange lays out a volume as the kubelet
// does, with a link that leads elsewhere after a change.
func TestAPodIsHandedItsOwnSecretsAsTheyChange(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	lay := func(version, worker string) {
		t.Helper()
		for _, who := range []string{"builder-lite-0", "builder-lite-1"} {
			into := filepath.Join(from, version, who)
			if err := os.MkdirAll(into, 0o700); err != nil {
				t.Fatal(err)
			}
			for name, text := range map[string]string{workerToken: who + " " + worker, forgeToken: who + " forge"} {
				if err := os.WriteFile(filepath.Join(into, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			link := filepath.Join(from, who)
			_ = os.Remove(link) // none the first time
			if err := os.Symlink(filepath.Join(version, who), link); err != nil {
				t.Fatal(err)
			}
		}
	}
	wants := func(worker string) bool {
		data, err := os.ReadFile(filepath.Join(to, workerToken))
		return err == nil && string(data) == "builder-lite-0 "+worker+"\n"
	}
	h := &handingOver{from: from, to: to, every: time.Millisecond}
	if done, err := h.copy(seat("builder-lite-0")); done || err != nil {
		t.Fatalf("without secrets: %v, %v", done, err)
	}
	lay("one", "first")
	command(t, "pools", "hand-over", "--as", "builder-lite-0", "--from", from, "--to", to, "--once", "--every", "1ms").wants(t, 0)
	if !wants("first") {
		t.Error("--once ended before the secrets were there")
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- h.run(ctx, seat("builder-lite-0")) }()
	lay("two", "second")
	for deadline := time.Now().Add(10 * time.Second); !wants("second"); {
		if time.Now().After(deadline) {
			t.Fatal("a new secret does not arrive")
		}
		tick(t, time.Millisecond)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	entries, err := os.ReadDir(to)
	if err != nil || len(entries) != 2 {
		t.Errorf("it was handed %v, %v", entries, err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s is %v, %v", e.Name(), info.Mode(), err)
		}
	}
	command(t, "pools", "hand-over", "--as", "builder", "--from", from, "--to", to).wants(t, 2, "is not <role>-<tier>-<replica>")
}

// tick waits for a tick, or the test's end.
func tick(t *testing.T, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
	}
}

func TestCoordinatesThatNobodyCanWorkAsAreTold(t *testing.T) {
	now := time.Now()
	set := pools.Set{Replicas: map[pools.Address]string{seat("builder-lite-0"): "a", seat("builder-lite-1"): "a", seat("builder-lite-2"): "a"}}
	told := uncredentialled(set, []dispatcher.Credential{
		{Address: seat("builder-lite-0"), Revoked: now}, {Address: seat("builder-lite-0")},
		{Address: seat("builder-lite-1"), Revoked: now}, {Address: seat("builder-lite-2"), Expires: now},
		{Address: seat("builder-lite-7")}, {Address: seat("builder-lite-8"), Revoked: now},
	}, now)
	want := []string{"builder-lite-1, builder-lite-2: no credential, so nobody can work as it", "builder-lite-7: in no pool, and its credential is good still"}
	var got []string
	for _, f := range told {
		got = append(got, f.Fault)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
