package dispatcher

import (
	"context"

	"slipway/internal/ref"
)

// LookNow is one look at a pull request, and IssueNow one at the issues of a
// repository, done when they return.
func (d *Dispatcher) LookNow(ctx context.Context, id ref.PullID) error { return d.look(ctx, id) }

func (d *Dispatcher) IssueNow(ctx context.Context, repo ref.RepoID) error { return d.issue(ctx, repo) }

// ResyncNow is one resync.
func (d *Dispatcher) ResyncNow(ctx context.Context) error { return d.resync(ctx) }

// Waiting is how many claims wait.
func (d *Dispatcher) Waiting() int {
	d.desk.mu.Lock()
	defer d.desk.mu.Unlock()
	return len(d.desk.waiting)
}
