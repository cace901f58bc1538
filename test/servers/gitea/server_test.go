package gitea_test

import (
	"testing"
	"time"
)

func TestScratch(t *testing.T) {
	begun := time.Now()
	s := forge(t)
	t.Log("started", time.Since(begun))
	begun = time.Now()
	a := member(t, s, "alice")
	t.Log("user", time.Since(begun))
	if err := s.CreateOrg(t.Context(), "acme"); err != nil {
		t.Fatal(err)
	}
	if err := s.CreateRepo(t.Context(), "acme", "app", true); err != nil {
		t.Fatal(err)
	}
	if err := s.SetCollaborator(t.Context(), "acme", "app", "alice", "write"); err != nil {
		t.Fatal(err)
	}
	begun = time.Now()
	c := clone(t, s, a, "acme/app")
	c.commit("x", map[string]string{"a/b": "x"})
	c.git("push", "-q", "origin", "main")
	t.Log("pushed", time.Since(begun))
	begun = time.Now()
	r, err := s.StartRunner(t.Context(), t.TempDir(), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	t.Log("runner", time.Since(begun))
	begun = time.Now()
	if err := r.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Log("runner stop", time.Since(begun))
}
