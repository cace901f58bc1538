package config

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// maxSecret is how large a file with a secret may be, in bytes.
const maxSecret = 64 << 10

const (
	gitea  = "gitea"
	github = "github"
	// publicGitHub is the API of GitHub itself.
	publicGitHub = "https://api.github.com"
)

func (r *serverReader) forges() form {
	lines := map[string]int{}
	return many(r.reader, &r.server.Forges, Forge{}, func(f *Forge) form {
		var app App
		return r.object(
			must("name", r.unique(&f.Name, lines, label()), "What repositories call it."),
			must("kind", r.text(&f.Kind, among(gitea, github)), "`gitea` or `github`."),
			may("url", r.base(&f.URL), "The forge's address, with its path if it has one; of GitHub, that of its API. Needed for `gitea`.").otherwise("for `github`: `"+publicGitHub+"`"),
			must("login", r.text(&f.Login, account()).seen(r.reader), "Slipway's own account, whose approvals never count; of a GitHub App, as `slipway[bot]`."),
			may("token", r.secret(&f.Token, false), "A secret: the account's token."),
			may("app", r.app(&app).then(func(node) { f.App = &app }), "The GitHub App as which Slipway speaks, instead of a token."),
			must("webhook_secret", r.secret(&f.WebhookSecret, false), "A secret: what webhook deliveries are signed with."),
		).named("forge").oneOf("token", "app").then(func(n node) {
			r.forge(n, f)
		})
	})
}

// forge asks what lies between a forge's keys.
func (r *serverReader) forge(n node, f *Forge) {
	token, app := r.names(n, "token"), r.names(n, "app")
	switch {
	case token && app:
		r.fault(n, "names a token and an app; Slipway speaks as one of them")
	case !token && !app && f.Kind == github:
		r.fault(n, "needs a token or an app")
	case !token && !app:
		r.fault(node{line: n.line, path: join(n.path, "token"), file: n.file}, "is missing")
	case app && f.Kind == gitea:
		r.fault(n, "names an app, which only github has")
	}
	switch {
	case r.names(n, "url"):
	case f.Kind == github:
		f.URL = publicGitHub
	default:
		r.fault(node{line: n.line, path: join(n.path, "url"), file: n.file}, "is missing")
	}
}

func (r *serverReader) app(a *App) form {
	return r.object(
		must("id", r.identity(&a.ID), "The App's ID."),
		must("installation", r.identity(&a.Installation), "The ID of its installation."),
		must("private_key", r.secret(&a.PrivateKey, true), "A secret: the App's private key, in PEM."),
	).named("app")
}

// identity is a number that names something, from 1.
func (r *serverReader) identity(into *int64) form {
	const most = 1<<53 - 1 // what JSON carries
	var i int
	return r.number(&i, 1, most).then(func(node) { *into = int64(i) })
}

// base is an address without the slash at its end.
func (r *serverReader) base(into *string) form {
	return r.text(into, that(baseAddress)).then(func(node) { *into = strings.TrimRight(*into, "/") })
}

// path is a path, relative to the directory of the file itself.
func (r *serverReader) path(into *string) form {
	var s string
	return r.text(&s).then(func(node) {
		if s != "" {
			*into = r.resolve(s)
		}
	})
}

// existing is the path of a file that is there.
func (r *serverReader) existing(into *string) form {
	return r.path(into).then(func(n node) {
		if *into == "" || r.lookup == nil {
			return
		}
		if _, err := os.Stat(*into); err != nil {
			r.fault(n, "cannot be read: %s", why(err))
		}
	})
}

func (r *serverReader) resolve(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(filepath.Dir(r.file), path)
}

// reference is a name that must stand in another list of the file.
func (r *serverReader) reference(into *string, what string, have func(Server) []string) form {
	return r.text(into).then(func(n node) {
		if *into != "" {
			r.exists(n, what, *into, have)
		}
	})
}

func (r *serverReader) exists(n node, what, name string, have func(Server) []string) {
	r.after = append(r.after, func() {
		if known := have(r.server); !slices.Contains(known, name) {
			r.fault(n, "there is no %s %q%s", what, name, meant(name, known))
		}
	})
}

// secret is {env: NAME} or {file: PATH}; its value is fetched. Nothing that
// stands there is ever repeated: it may be the secret itself, put in the wrong
// place.
func (r *serverReader) secret(into *Secret, lines bool) form {
	word := shape{kind: text}
	s := shape{kind: object, name: "secret", oneOf: []string{"env", "file"}, fields: []field{
		{form: form{shape: word}, key: "env", doc: "The name of an environment variable."},
		{form: form{shape: word}, key: "file", doc: "The path of a file."},
	}}
	return form{s, func(n node) {
		const want = "a secret is named, not written here: want {env: NAME} or {file: PATH}"
		if n.Kind != yaml.MappingNode || len(n.Content) != 2 {
			r.fault(n, want)
			return
		}
		value, wrong := "", ""
		switch source := n.Content[1].Value; n.Content[0].Value {
		case "env":
			value, wrong = r.fromEnvironment(source)
		case "file":
			value, wrong = r.fromFile(source)
		default:
			wrong = want
		}
		value = strings.TrimRight(value, "\r\n")
		strange := func(c rune) bool { return unicode.IsControl(c) && (!lines || c != '\n' && c != '\r') }
		switch {
		case wrong != "":
			r.fault(n, "%s", wrong)
		case r.lookup == nil:
		case value == "":
			r.fault(n, "the secret is empty")
		case strings.ContainsFunc(value, strange):
			r.fault(n, "the secret has more than one line, or a control character")
		default:
			*into = NewSecret(value)
		}
	}}
}

// seed asks that a secret is the seed of a key.
func (r *serverReader) seed(into *Secret) form {
	f := r.secret(into, false)
	return f.then(func(n node) {
		if into.IsZero() {
			return // said already, or not fetched
		}
		if raw, err := base64.StdEncoding.DecodeString(into.Reveal()); err != nil || len(raw) != ed25519.SeedSize {
			r.fault(n, "the secret is not %d bytes in base64", ed25519.SeedSize)
		}
	})
}

func (r *serverReader) fromEnvironment(name string) (value, wrong string) {
	if !variablePattern.MatchString(name) {
		return "", "env wants the name of an environment variable"
	}
	if r.lookup == nil {
		return "", ""
	}
	value, found := r.lookup(name)
	if !found {
		return "", "the environment variable is not set"
	}
	return value, ""
}

func (r *serverReader) fromFile(path string) (value, wrong string) {
	if path == "" {
		return "", "file wants a path"
	}
	if r.lookup == nil {
		return "", ""
	}
	data, err := readLimited(r.resolve(path), maxSecret+1)
	switch {
	case err != nil:
		return "", "the file cannot be read: " + why(err)
	case len(data) > maxSecret:
		return "", fmt.Sprintf("the file is larger than %d bytes", maxSecret)
	}
	return string(data), ""
}
