package image

import (
	"context"
	"strings"
	"testing"

	"slipway/internal/fault"
	"slipway/internal/ref"
	server "slipway/test/servers/gitea"
)

// TestRealRegistry publishes to Gitea's registry as the bot that onboarding
// makes: its right comes from a team, its token has one scope.
func TestRealRegistry(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a Gitea")
	}
	binaries, err := server.FindBinaries("")
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.Start(t.Context(), server.Config{Binaries: binaries, Dir: t.TempDir(), Tuned: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if err := s.CreateOrg(t.Context(), "acme"); err != nil {
		t.Fatal(err)
	}
	account := func(login string, kind server.Kind) Auth {
		t.Helper()
		a, err := s.CreateUser(t.Context(), login, kind)
		if err != nil {
			t.Fatal(err)
		}
		token, err := s.Token(t.Context(), a, "write:package")
		if err != nil {
			t.Fatal(err)
		}
		return Auth{Username: login, Password: token, Insecure: true}
	}
	bot, outsider := account("slipway", server.Bot), account("outsider", server.Person)
	err = s.CreateTeam(t.Context(), "acme", server.Team{Name: "release", Units: map[string]string{"repo.packages": "write"}, Members: []string{"slipway"}})
	if err != nil {
		t.Fatal(err)
	}
	as := func(a Auth) func(*Config) {
		return func(c *Config) { c.Registries = map[string]Auth{s.Registry(): a} }
	}
	x := &tree{files: hello}
	b := builder(t, x, as(bot))
	ctx, what := deadline(t), order(s.Registry())

	digest, err := b.Build(ctx, what)
	if err != nil {
		t.Fatal(err)
	}
	if exists, _, err := b.Resolve(ctx, what.Repository, what.Tag); exists != ref.No || err != nil {
		t.Errorf("before the push: %s, %v", exists, err)
	}
	for rule, a := range map[string]Auth{
		"an account without the right": outsider,
		"a token that is none":         {Username: "slipway", Password: "0123456789abcdef", Insecure: true},
	} {
		stranger := builder(t, x, as(a), func(c *Config) { c.GoCache = b.config.GoCache })
		if err := stranger.Push(ctx, what, digest); fault.KindOf(err) != fault.Permanent || !strings.Contains(err.Error(), "right") || strings.Contains(err.Error(), a.Password) {
			t.Errorf("%s: %v; want a permanent error with its mend", rule, err)
		}
	}
	if err := b.Push(ctx, what, digest); err != nil {
		t.Fatal(err)
	}
	if exists, there, err := b.Resolve(ctx, what.Repository, what.Tag); exists != ref.Yes || there != digest || err != nil {
		t.Errorf("after the push: %s, %s, %v; want %s", exists, there, err, digest)
	}
	if err := b.Push(ctx, what, digest); err != nil {
		t.Errorf("pushed again: %v", err)
	}
	if exists, _, err := b.Resolve(ctx, what.Repository, "v9.9.9"); exists != ref.No || err != nil {
		t.Errorf("a tag that is not there: %s, %v", exists, err)
	}

	// The registry itself would let the tag move.
	other := what
	other.Version = "1.2.4"
	second, err := b.Build(ctx, other)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Push(ctx, other, second); fault.KindOf(err) != fault.Permanent || !strings.Contains(err.Error(), string(digest)) {
		t.Errorf("another image under the same tag: %v; want a permanent error", err)
	}
	s.Kill()
	if exists, _, err := b.Resolve(ctx, what.Repository, what.Tag); exists != ref.Unknown || err == nil || fault.KindOf(err) != fault.Later {
		t.Errorf("while it is down: %s, %v; want an error to try later", exists, err)
	}
	if err := s.Resume(ctx); err != nil {
		t.Fatal(err)
	}
	if exists, there, err := b.Resolve(ctx, what.Repository, what.Tag); exists != ref.Yes || there != digest || err != nil {
		t.Errorf("up again: %s, %s, %v", exists, there, err)
	}
}
