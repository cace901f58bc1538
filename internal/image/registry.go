package image

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"slipway/internal/fault"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

const (
	callTimeout = 5 * time.Minute // one use of a registry, blobs and all
	shownError  = 600             // characters of what a registry says
)

// Resolve says what the registry holds under a tag: No only when the registry
// itself says, in its own words, that there is nothing. The digest is that of
// the manifest as it was read.
func (b *Builder) Resolve(ctx context.Context, repository string, tag ref.Tag) (ref.Fact, ref.Digest, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	r, err := b.reach(ctx, repository, tag)
	if err != nil {
		return ref.Unknown, "", err
	}
	// A GET, for the answer to a HEAD has no words: any 404, of a proxy in
	// between for one, would look like an absent image.
	found, err := remote.Get(r.tag, r.options...)
	if absent(err) {
		return ref.No, "", nil
	}
	if err != nil {
		return ref.Unknown, "", fmt.Errorf("resolve %s: %w", r.tag, r.sorted(err))
	}
	digest, err := ref.ParseDigest(found.Digest.String())
	if err != nil {
		return ref.Unknown, "", fmt.Errorf("resolve %s: %w", r.tag, err)
	}
	return ref.Yes, digest, nil
}

// Push publishes what was built under its tag, if the tag is free or names the
// same digest already. What is not kept any more is built again first.
func (b *Builder) Push(ctx context.Context, what reconcile.Build, want ref.Digest) error {
	exists, there, err := b.Resolve(ctx, what.Repository, what.Tag)
	if err != nil {
		return err
	}
	if exists == ref.Yes {
		return same(what, there, want)
	}
	img, err := b.again(ctx, what, want)
	if err != nil {
		return err
	}
	if err := b.write(ctx, what, img); err != nil {
		return err
	}
	exists, there, err = b.Resolve(ctx, what.Repository, what.Tag)
	if err != nil {
		return err
	}
	if exists != ref.Yes {
		return fmt.Errorf("%s:%s was pushed, and the registry does not have it", what.Repository, what.Tag)
	}
	return same(what, there, want)
}

// again is the image that was built as want, from what is kept or built anew.
func (b *Builder) again(ctx context.Context, what reconcile.Build, want ref.Digest) (v1.Image, error) {
	if img, err := b.kept(want); err == nil {
		return img, nil
	}
	digest, err := b.Build(ctx, what)
	if err != nil {
		return nil, err
	}
	if digest != want {
		return nil, fault.AsChanged(fmt.Errorf("%s:%s was built again and is %s now, not %s", what.Repository, what.Tag, digest, want))
	}
	return b.kept(want)
}

func (b *Builder) write(ctx context.Context, what reconcile.Build, img v1.Image) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	r, err := b.reach(ctx, what.Repository, what.Tag)
	if err != nil {
		return err
	}
	if err := remote.Write(r.tag, img, r.options...); err != nil {
		return fmt.Errorf("push %s: %w", r.tag, r.sorted(err))
	}
	return nil
}

// same is nil if the tag names the digest that was built.
func same(what reconcile.Build, there, want ref.Digest) error {
	if there == want {
		return nil
	}
	return fault.AsPermanent(fmt.Errorf("%s:%s names %s already, which is not what was built here (%s)", what.Repository, what.Tag, there, want))
}

// target is a tag with the way to its registry.
type target struct {
	tag     name.Tag
	auth    Auth
	options []remote.Option
}

// repositoryPattern is what the OCI distribution specification 1.1 lets a
// repository be called. The library takes more, dots between slashes for one.
var repositoryPattern = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)

func (b *Builder) reach(ctx context.Context, repository string, tag ref.Tag) (target, error) {
	host, path, _ := strings.Cut(repository, "/")
	auth, known := b.config.Registries[host]
	if !known {
		return target{}, fault.AsPermanent(fmt.Errorf("the registry %q is not configured", host))
	}
	if !repositoryPattern.MatchString(path) {
		return target{}, fault.AsPermanent(fmt.Errorf("%q is no name for an image", repository))
	}
	options := []name.Option{name.StrictValidation}
	if auth.Insecure {
		options = append(options, name.Insecure)
	}
	t, err := name.NewTag(repository+":"+string(tag), options...)
	if err != nil {
		return target{}, fault.AsPermanent(err)
	}
	who := authn.Anonymous
	if auth.Username != "" {
		who = &authn.Basic{Username: auth.Username, Password: auth.Password}
	}
	return target{tag: t, auth: auth, options: []remote.Option{
		remote.WithContext(ctx),
		remote.WithAuth(who),
		remote.WithTransport(&guard{b.http, auth.Insecure}),
		// What fails is tried again by the caller, after it has looked.
		remote.WithRetryPredicate(func(error) bool { return false }),
	}}, nil
}

// guard keeps passwords and images off plain HTTP unless that was asked for:
// the library tries it by itself for some addresses.
type guard struct {
	next  *http.Transport
	plain bool
}

var errPlain = errors.New("plain HTTP is not used unless the configuration says that the registry is insecure")

// RoundTrip sends the request on.
func (g *guard) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" && !g.plain {
		return nil, errPlain
	}
	return g.next.RoundTrip(r)
}

// absent says whether the registry knows that there is nothing (OCI
// distribution specification 1.1, error codes; Harbor's NOT_FOUND).
func absent(err error) bool {
	refused := (*transport.Error)(nil)
	if !errors.As(err, &refused) || refused.StatusCode != http.StatusNotFound {
		return false
	}
	for _, d := range refused.Errors {
		switch d.Code {
		case transport.ManifestUnknownErrorCode, transport.NameUnknownErrorCode, "NOT_FOUND":
			return true
		}
	}
	return false
}

// sorted tells what trying again may mend from what only a person can.
func (t target) sorted(err error) error {
	refused := (*transport.Error)(nil)
	told := &brief{err, t.auth.Password}
	if !errors.As(err, &refused) {
		return told
	}
	status := refused.StatusCode
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return fault.AsPermanent(fmt.Errorf("%w: give the account %q the right to read and write packages there, or renew its token", told, t.auth.Username))
	case absent(err):
		return fault.AsPermanent(fmt.Errorf("%w: there is no such place in the registry: create it, or correct the image's name", told))
	case status == http.StatusNotFound || refused.Temporary() || status >= http.StatusInternalServerError:
		return told
	case status >= http.StatusBadRequest:
		return fault.AsPermanent(told)
	}
	return told
}

// brief is an error whose words are bounded and hold no password.
type brief struct {
	error
	password string
}

// Error gives the beginning of the words.
func (b *brief) Error() string {
	text := b.error.Error()
	if b.password != "" {
		text = strings.ReplaceAll(text, b.password, "[redacted]")
	}
	if r := []rune(text); len(r) > shownError {
		text = string(r[:shownError]) + "…"
	}
	return text
}

func (b *brief) Unwrap() error { return b.error }
