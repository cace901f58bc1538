package gitea_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"slipway/test/servers/gitea"
)

func TestTheRegistryTakesImagesFromThePublisherAndGivesThemToAnyone(t *testing.T) {
	s := forge(t)
	_, rev1, _, bot := cast(t, s)
	image, err := random.Image(1<<10, 2)
	if err != nil {
		t.Fatal(err)
	}
	want, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag(s.Registry()+"/acme/app:v0.1.0", name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	as := func(a gitea.Account) []remote.Option {
		return []remote.Option{
			remote.WithContext(t.Context()),
			remote.WithAuth(&authn.Basic{Username: a.Login, Password: a.Token}),
		}
	}

	if err := remote.Write(tag, image, as(rev1)...); status(err) != http.StatusUnauthorized {
		t.Errorf("a reviewer's push ends with %v", err)
	}
	if err := remote.Write(tag, image, remote.WithContext(t.Context())); status(err) != http.StatusUnauthorized {
		t.Errorf("an anonymous push ends with %v", err)
	}
	if err := remote.Write(tag, image, as(bot)...); err != nil {
		t.Fatal(err)
	}
	pulls := map[string][]remote.Option{
		"nobody":      {remote.WithContext(t.Context())},
		"a reviewer":  as(rev1),
		"the bot too": as(bot),
	}
	for who, options := range pulls {
		t.Run(who, func(t *testing.T) {
			pulled, err := remote.Image(tag, options...)
			if err != nil {
				t.Fatal(err)
			}
			got, err := pulled.Digest()
			if err != nil || got != want {
				t.Errorf("pulled %s, %v; pushed %s", got, err, want)
			}
			layers, err := pulled.Layers()
			if err != nil {
				t.Fatal(err)
			}
			for _, layer := range layers {
				body, err := layer.Compressed()
				if err != nil {
					t.Fatal(err)
				}
				body.Close()
			}
		})
	}
}

// status returns the HTTP status of a registry's refusal, or 0.
func status(err error) int {
	var refusal *transport.Error
	if errors.As(err, &refusal) {
		return refusal.StatusCode
	}
	return 0
}
