package config_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway/config"
	"slipway/pools"
)

// watched is a pool config in a folder that is being watched once a second, in
// a time that only the test lets pass.
type watched struct {
	t      *testing.T
	folder string
	mu     sync.Mutex
	told   []string
}

// watching tells each set as "MODEL PROMPT", and faults as they are printed.
func watching(t *testing.T, lay func(folder string), then func(w *watched)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &watched{t: t, folder: t.TempDir()}
		lay(w.folder)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- config.WatchPools(ctx, w.file(), time.Second, func(s pools.Set, faults []config.Fault) {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.told = append(w.told, shown(s, faults))
			})
		}()
		synctest.Wait()
		then(w)
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the watch ended with %v", err)
		}
	})
}

func shown(s pools.Set, faults []config.Fault) string {
	for _, f := range faults {
		f.File = filepath.Base(f.File)
		return f.Error()
	}
	a := s.Assignments["careful"]
	return a.Model + " " + strings.TrimSpace(a.Prompt.Text)
}

func (w *watched) file() string { return filepath.Join(w.folder, config.PoolsFile) }

// passes lets time pass until whatever it brings is done.
func (w *watched) passes(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func (w *watched) tells(want ...string) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if diff := cmp.Diff(want, w.told); diff != "" {
		w.t.Fatalf("told (-want +got):\n%s", diff)
	}
}

// version is a pool config that runs a model.
func version(model string) string {
	return strings.NewReplacer("some-model-2", model, "prompts/builder.md", "p.md").Replace(leastPools)
}

func plainly(t *testing.T, folder, model, prompt string) {
	t.Helper()
	write(t, filepath.Join(folder, config.PoolsFile), version(model))
	write(t, filepath.Join(folder, "p.md"), prompt)
}

func TestTheWatchTellsAtOnceAndThenEachChange(t *testing.T) {
	watching(t, func(folder string) { plainly(t, folder, "m-1", "one") }, func(w *watched) {
		w.tells("m-1 one")
		w.passes(time.Minute)
		w.tells("m-1 one")

		write(t, w.file(), version("m-2"))
		w.passes(2 * time.Second)
		w.tells("m-1 one", "m-2 one")

		write(t, w.file(), version("m-2")) // only touched
		w.passes(time.Minute)
		w.tells("m-1 one", "m-2 one")

		write(t, w.file(), strings.Replace(version("m-2"), "currency", "# a comment\ncurrency", 1))
		w.passes(2 * time.Second)
		w.tells("m-1 one", "m-2 one", "m-2 one") // another text, though it means the same
	})
}

func TestAChangeOfAPromptIsAChange(t *testing.T) {
	watching(t, func(folder string) { plainly(t, folder, "m-1", "one") }, func(w *watched) {
		p := filepath.Join(w.folder, "p.md")
		write(t, p, "two")
		w.passes(2 * time.Second)
		w.tells("m-1 one", "m-1 two")

		if err := os.Remove(p); err != nil {
			t.Fatal(err)
		}
		w.passes(time.Minute)
		gone := "pools.yaml:8: assignments.careful.prompt: p.md cannot be read: no such file or directory; want a file in the folder of the pool config"
		w.tells("m-1 one", "m-1 two", gone)

		write(t, p, "three")
		w.passes(2 * time.Second)
		w.tells("m-1 one", "m-1 two", gone, "m-1 three")
	})
}

// TestTheSwapOfAConfigMapIsOneChange lays the folder as a kubelet does, and
// leads its link elsewhere as a kubelet does.
func TestTheSwapOfAConfigMapIsOneChange(t *testing.T) {
	mount := func(folder string, n int) {
		data := filepath.Join(folder, fmt.Sprintf("..%d", n))
		if err := os.Mkdir(data, 0o700); err != nil {
			t.Fatal(err)
		}
		plainly(t, data, fmt.Sprintf("m-%d", n), fmt.Sprint(n))
		link(t, filepath.Base(data), filepath.Join(folder, "..tmp"))
		if err := os.Rename(filepath.Join(folder, "..tmp"), filepath.Join(folder, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	lay := func(folder string) {
		mount(folder, 1)
		for _, file := range []string{config.PoolsFile, "p.md"} {
			link(t, filepath.Join("..data", file), filepath.Join(folder, file))
		}
	}
	watching(t, lay, func(w *watched) {
		w.tells("m-1 1")
		mount(w.folder, 2)
		if err := os.RemoveAll(filepath.Join(w.folder, "..1")); err != nil {
			t.Fatal(err)
		}
		w.passes(2 * time.Second)
		w.tells("m-1 1", "m-2 2")
		mount(w.folder, 3)
		mount(w.folder, 4)
		w.passes(2 * time.Second)
		w.tells("m-1 1", "m-2 2", "m-4 4")
	})
}

func TestWhatIsHalfWrittenIsReadAgain(t *testing.T) {
	watching(t, func(folder string) { plainly(t, folder, "m-1", "one") }, func(w *watched) {
		whole := version("m-2") + "  builder-lite-1: careful\n"
		half := version("m-2") // without faults, and yet a builder is missing
		w.passes(900 * time.Millisecond)
		write(t, w.file(), half)
		w.passes(300 * time.Millisecond) // it was looked at, and must stand for half a second
		write(t, w.file(), whole)
		w.passes(time.Second) // the first look has waited in vain, and the second waits
		w.tells("m-1 one")
		w.passes(time.Second)
		w.tells("m-1 one", "m-2 one")

		// What stays half written is told as it is, and the rest once it is there.
		write(t, w.file(), whole[:40])
		w.passes(2 * time.Second)
		write(t, w.file(), whole)
		w.passes(2 * time.Second)
		w.tells("m-1 one", "m-2 one", "pools.yaml:2: is not YAML: did not find expected node content", "m-2 one")
	})
}

func TestAPoolConfigMayComeAndGo(t *testing.T) {
	watching(t, func(string) {}, func(w *watched) {
		const none = "pools.yaml: cannot be read: no such file or directory"
		w.tells(none)
		w.passes(time.Minute)
		w.tells(none)
		plainly(t, w.folder, "m-1", "one")
		w.passes(2 * time.Second)
		w.tells(none, "m-1 one")
		if err := os.Remove(w.file()); err != nil {
			t.Fatal(err)
		}
		w.passes(2 * time.Second)
		w.tells(none, "m-1 one", none)
	})
}

func TestAWatchNeedsItsTime(t *testing.T) {
	err := config.WatchPools(t.Context(), "pools.yaml", 0, func(pools.Set, []config.Fault) { t.Error("it tells something") })
	if err == nil {
		t.Error("it looks without a pause")
	}
}
