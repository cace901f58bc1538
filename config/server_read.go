package config

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v3"

	"slipway/deployer"
	"slipway/internal/authz"
	"slipway/internal/ref"
)

// maxSecret is how large a file with a secret may be, in bytes.
const maxSecret = 64 << 10

type serverReader struct {
	reader
	server Server
	// lookup is the environment; nil leaves everything alone that the file only
	// names: secrets and other files.
	lookup func(string) (string, bool)
}

func parseServer(file string, data []byte, lookup func(string) (string, bool)) (Server, []Fault) {
	r := &serverReader{reader: reader{file: file}, server: serverDefaults(), lookup: lookup}
	s := &r.server
	r.document(data,
		may("listen", r.text(&s.Listen, listenAddress)),
		may("external_url", r.base(&s.ExternalURL)),
		must("store", r.store),
		may("resync", r.resync),
		may("tokens", r.tokens()),
		must("forges", r.forges()),
		must("registries", r.registries()),
		must("clusters", r.clusters()),
		may("identities", func(n node) { r.object(n, must("people", r.texts(&s.Identities.People, login))) }),
		may("build", r.build),
		must("repositories", r.repositories()),
	)
	return r.server, sorted(r.faults)
}

func (r *serverReader) store(n node) {
	r.object(n, must("path", r.path(&r.server.Store.Path)))
}

func (r *serverReader) resync(n node) {
	s := &r.server.Resync
	r.object(n,
		may("active", r.duration(&s.Active, time.Hour)),
		may("idle", r.duration(&s.Idle, 24*time.Hour)),
	)
	if s.Idle < s.Active {
		r.fault(n, "looks at what is idle (%s) more often than at what is active (%s)", short(s.Idle), short(s.Active))
	}
}

func (r *serverReader) tokens() func(node) {
	names := map[string]int{}
	return r.list(func(n node) {
		var t Token
		r.object(n,
			must("name", r.name(&t.Name, names)),
			must("role", r.oneOf((*string)(&t.Role), string(authz.Operator), string(authz.Reader))),
			must("token", r.secret(&t.Secret)),
		)
		if t.Name == deployer.Itself {
			r.fault(n, "%s is the name under which the journal has what Slipway does itself", t.Name)
		}
		if same, found := r.server.Authorize(t.Secret.Reveal()); found {
			r.fault(n, "%s has the same token as %s, so that nobody could tell who acted", t.Name, same.Name)
		}
		r.server.Tokens = append(r.server.Tokens, t)
	})
}

func (r *serverReader) forges() func(node) {
	names := map[string]int{}
	return r.list(func(n node) {
		var f Forge
		r.object(n,
			must("name", r.name(&f.Name, names)),
			must("kind", r.oneOf(&f.Kind, "gitea")),
			must("url", r.base(&f.URL)),
			must("login", r.text(&f.Login, login)),
			must("token", r.secret(&f.Token)),
			must("webhook_secret", r.secret(&f.WebhookSecret)),
		)
		r.server.Forges = append(r.server.Forges, f)
	})
}

func (r *serverReader) registries() func(node) {
	names := map[string]int{}
	return r.list(func(n node) {
		var g Registry
		isObject := r.object(n,
			must("name", r.name(&g.Name, names)),
			must("host", r.text(&g.Host, registryHost)),
			may("insecure", r.flag(&g.Insecure)),
			may("username", r.text(&g.Username)),
			may("password", r.secret(&g.Password)),
		)
		if isObject && r.names(n, "username") != r.names(n, "password") {
			r.fault(n, "needs both username and password, or neither")
		}
		r.server.Registries = append(r.server.Registries, g)
	})
}

func (r *serverReader) clusters() func(node) {
	names := map[string]int{}
	return r.list(func(n node) {
		var c Cluster
		isObject := r.object(n,
			must("name", r.name(&c.Name, names)),
			may("kubeconfig", r.existing(&c.Kubeconfig)),
			may("in_cluster", r.flag(&c.InCluster)),
			may("simulated", r.flag(&c.Simulated)),
		)
		if isObject && r.names(n, "kubeconfig") == c.InCluster {
			r.fault(n, "needs either a kubeconfig or in_cluster: true")
		}
		r.server.Clusters = append(r.server.Clusters, c)
	})
}

func (r *serverReader) build(n node) {
	b := &r.server.Build
	r.object(n,
		may("goproxy", r.text(&b.GoProxy, withoutPassword)),
		may("gosumdb", r.text(&b.GoSumDB, withoutPassword)),
		may("goprivate", r.text(&b.GoPrivate)),
		may("gocache", r.path(&b.GoCache)),
		may("gomodcache", r.path(&b.GoModCache)),
	)
}

func (r *serverReader) repositories() func(node) {
	repos, images := map[string]int{}, map[string]int{}
	return r.list(func(n node) {
		p := Repository{Branch: defaultBranch}
		r.object(n,
			must("repo", func(v node) {
				var s string
				r.text(&s, repository)(v)
				if s != "" && r.once(v, repos, s) {
					p.Repo, _ = ref.ParseRepo(s) // checked by repository
				}
			}),
			may("branch", r.text(&p.Branch, branch)),
			must("forge", r.reference(&p.Forge, "forge", func(s Server) []string { return names(s.Forges, func(f Forge) string { return f.Name }) })),
			must("registry", r.reference(&p.Registry, "registry", func(s Server) []string { return names(s.Registries, func(g Registry) string { return g.Name }) })),
			may("image", r.text(&p.Image, matches(imagePattern, "an image name (lower case, without registry and tag)"))),
			must("namespaces", r.namespaces(&p.Namespaces)),
		)
		if p.Image == "" && !p.Repo.IsZero() && !r.names(n, "image") {
			p.Image = strings.ToLower(p.Repo.String())
			if !imagePattern.MatchString(p.Image) {
				r.fault(n, "%q is not an image name: name one (image)", p.Image)
			}
		}
		r.after = append(r.after, func() { r.ownImage(n, p, images) })
		r.server.Repositories = append(r.server.Repositories, p)
	})
}

// ownImage asks that no other repository publishes the same image: two commits
// would share a tag.
func (r *serverReader) ownImage(n node, p Repository, lines map[string]int) {
	registry, found := r.server.Registry(p.Registry)
	if !found || p.Image == "" {
		return // said already
	}
	name := registry.Host + "/" + p.Image
	if first, met := lines[name]; met {
		r.fault(n, "the image %s belongs to the repository on line %d", name, first)
		return
	}
	lines[name] = n.line
}

// namespaces reads the namespaces that a repository may deploy to.
func (r *serverReader) namespaces(into *map[string][]string) func(node) {
	return func(n node) {
		*into = map[string][]string{}
		r.entries(n, func(cluster string, list node) {
			var all []string
			r.texts(&all, label)(list)
			(*into)[cluster] = all
			r.exists(list, "cluster", cluster, func(s Server) []string {
				return names(s.Clusters, func(c Cluster) string { return c.Name })
			})
		})
		if n.Kind == yaml.MappingNode && len(n.Content) == 0 {
			r.fault(n, "grants no namespace")
		}
	}
}

// name reads a name that nothing else in its list has.
func (r *serverReader) name(into *string, lines map[string]int) func(node) {
	return func(n node) {
		var s string
		r.text(&s, label)(n)
		if s != "" && r.once(n, lines, s) {
			*into = s
		}
	}
}

// base reads an address without the slash at its end.
func (r *serverReader) base(into *string) func(node) {
	return func(n node) {
		r.text(into, baseAddress)(n)
		*into = strings.TrimRight(*into, "/")
	}
}

// path reads a path, relative to the directory of the file itself.
func (r *serverReader) path(into *string) func(node) {
	return func(n node) {
		var s string
		r.text(&s)(n)
		if s != "" {
			*into = r.resolve(s)
		}
	}
}

// existing reads the path of a file that is there.
func (r *serverReader) existing(into *string) func(node) {
	return func(n node) {
		r.path(into)(n)
		if *into == "" || r.lookup == nil {
			return
		}
		if _, err := os.Stat(*into); err != nil {
			r.fault(n, "cannot be read: %s", why(err))
		}
	}
}

func (r *serverReader) resolve(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(filepath.Dir(r.file), path)
}

// reference reads a name that must stand in another list of the file.
func (r *serverReader) reference(into *string, what string, have func(Server) []string) func(node) {
	return func(n node) {
		r.text(into)(n)
		if *into != "" {
			r.exists(n, what, *into, have)
		}
	}
}

func (r *serverReader) exists(n node, what, name string, have func(Server) []string) {
	r.after = append(r.after, func() {
		if known := have(r.server); !slices.Contains(known, name) {
			r.fault(n, "there is no %s %q%s", what, name, meant(name, known))
		}
	})
}

// secret reads {env: NAME} or {file: PATH} and fetches the value. Nothing that
// stands there is ever repeated: it may be the secret itself, put in the wrong
// place.
func (r *serverReader) secret(into *Secret) func(node) {
	return func(n node) {
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
		switch {
		case wrong != "":
			r.fault(n, "%s", wrong)
		case r.lookup == nil:
		case value == "":
			r.fault(n, "the secret is empty")
		case strings.ContainsFunc(value, unicode.IsControl):
			r.fault(n, "the secret has more than one line, or a control character")
		default:
			*into = NewSecret(value)
		}
	}
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

func repository(s string) string {
	if _, err := ref.ParseRepo(s); err != nil {
		return err.Error()
	}
	return ""
}

// withoutPassword refuses addresses with an account: the build's environment
// is shown to people.
func withoutPassword(s string) string {
	for _, part := range strings.FieldsFunc(s, func(c rune) bool { return c == ',' || c == '|' }) {
		if strings.Contains(part, "://") && strings.Contains(part, "@") {
			return "must not hold a user or a password"
		}
	}
	return ""
}

func names[T any](list []T, name func(T) string) []string {
	var all []string
	for _, x := range list {
		if n := name(x); n != "" { // one that was faulty has none
			all = append(all, n)
		}
	}
	return all
}
