package servers

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// beat is how often a build that goes on says so.
const beat = 15 * time.Second

// progress writes the lines of one Build.
type progress struct {
	out   io.Writer
	width int // of the longest title
	start time.Time

	mu sync.Mutex
}

func newProgress(out io.Writer, list []Artifact) *progress {
	if out == nil {
		out = io.Discard
	}
	p := &progress{out: out, start: time.Now()}
	for _, a := range list {
		p.width = max(p.width, len(a.Title))
	}
	return p
}

// say writes a line that is about no entry.
func (p *progress) say(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.out, format+"\n", args...)
}

// entry writes a line about one entry.
func (p *progress) entry(a Artifact, format string, args ...any) {
	p.say("%-*s  %s", p.width, a.Title, fmt.Sprintf(format, args...))
}

// building writes a line now, and another at each beat until the function that
// it returns is called, which answers how long that was.
func (p *progress) building(a Artifact) (finish func() time.Duration) {
	begun := time.Now()
	p.entry(a, "building (about %d s on two free cores)", seconds(a.About))
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(beat)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				p.entry(a, "building, %d s of about %d", seconds(time.Since(begun)), seconds(a.About))
			}
		}
	}()
	return func() time.Duration {
		close(stop)
		<-stopped
		return time.Since(begun)
	}
}

// done writes the last line.
func (p *progress) done(dir string) {
	p.say("servers ready after %d s in %s", seconds(time.Since(p.start)), dir)
}
