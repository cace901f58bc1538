package gitea

import "testing"

func (w *world) testSnapshot(t *testing.T)   {
	r := w.repository(t, "snapshot")
	id, head := r.change("feat1")
	r.review(w.carol, id, head, "APPROVED")
	r.review(w.dave, id, head, "APPROVED")
	s := r.snapshot(id)
	t.Logf("%+v", s)
	routes, unread := r.calls.seen()
	t.Log(len(routes), routes, unread)
}
func (w *world) testChecks(t *testing.T)     {}
func (w *world) testReviews(t *testing.T)    {}
func (w *world) testMerge(t *testing.T)      {}
func (w *world) testRelease(t *testing.T)    {}
func (w *world) testRevert(t *testing.T)     {}
func (w *world) testContents(t *testing.T)   {}
func (w *world) testDeliveries(t *testing.T) {}
func (w *world) testRights(t *testing.T)     {}
