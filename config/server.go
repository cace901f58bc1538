package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"slipway/gate"
	"slipway/internal/change"
	"slipway/internal/ref"
)

// LoadServer reads the server's file and the secrets it names, from the
// environment and from files. Paths in it are relative to its own directory.
// With faults, the server is not to be used.
func LoadServer(path string) (Server, []Fault) {
	data, err := readLimited(path, maxFile+1)
	if err != nil {
		return Server{}, []Fault{{File: path, Message: "cannot be read: " + why(err)}}
	}
	return parseServer(path, data, lookups{os.LookupEnv, os.LookupEnv})
}

// InspectServer reads the same file, as strictly, for somebody who only looks:
// the secrets and files that it names need not be there, and are not read.
func InspectServer(path string) (Server, []Fault) {
	data, err := readLimited(path, maxFile+1)
	if err != nil {
		return Server{}, []Fault{{File: path, Message: "cannot be read: " + why(err)}}
	}
	return parseServer(path, data, lookups{})
}

// LoadStore is where the store is, for somebody who only reads it beside the
// server: of the secrets, the database's alone is read.
func LoadStore(path string) (Store, []Fault) {
	data, err := readLimited(path, maxFile+1)
	if err != nil {
		return Store{}, []Fault{{File: path, Message: "cannot be read: " + why(err)}}
	}
	s, faults := parseServer(path, data, lookups{store: os.LookupEnv})
	return s.Store, faults
}

// ParsePolicy reads a repository's policy file under what this server says of
// it: the organisation's defaults and floors, and Bind.
func (s Server) ParsePolicy(r Repository, name string, data []byte) (change.Plan, []Fault) {
	o, _ := s.Organization(r.Repo.Owner)
	plan, faults := o.ParsePolicy(name, data)
	return s.Bind(r, plan), faults
}

// Organization is what is said of an owner's repositories.
func (s Server) Organization(owner string) (Organization, bool) {
	return find(s.Organizations, func(o Organization) bool { return strings.EqualFold(o.Owner, owner) })
}

// Bind completes a repository's plan with what only the server knows: who
// Slipway and the people are, and whether the plan may deploy where it says. A
// namespace that was not granted is a fault of the plan.
func (s Server) Bind(r Repository, p change.Plan) change.Plan {
	forge, found := s.Forge(r.Forge)
	if !found {
		return faulty(p, []Fault{{File: PolicyFile, Message: fmt.Sprintf("the server has no forge %q for %s", r.Forge, r.Repo)}})
	}
	p.Gate.Bot = forge.Login
	s.Identities.declare(&p.Gate)
	if d := p.Deploy; len(p.Faults) == 0 && !slices.Contains(r.Namespaces[d.Cluster], d.Namespace) {
		message := fmt.Sprintf("deploy: %s may not deploy to namespace %s of cluster %s%s", r.Repo, d.Namespace, d.Cluster, granted(r))
		return faulty(p, []Fault{{File: PolicyFile, Message: message}})
	}
	return p
}

// declare says to a policy who is behind which login.
func (i Identities) declare(p *gate.Policy) {
	all := map[string]gate.Principal{}
	for login, known := range p.Principals {
		all[login] = known
	}
	for _, login := range i.People {
		all[strings.ToLower(login)] = gate.Principal{Kind: gate.KindPerson}
	}
	for _, a := range i.Agents {
		all[strings.ToLower(a.Login)] = gate.Principal{Kind: gate.KindAgent, Operator: a.Operator, Model: a.Model, Pool: a.Pool}
	}
	p.Principals = all
	p.PeopleTeams = more(p.PeopleTeams, i.PeopleTeams)
}

// Forge is the forge of that name.
func (s Server) Forge(name string) (Forge, bool) {
	return find(s.Forges, func(f Forge) bool { return f.Name == name })
}

// Registry is the registry of that name.
func (s Server) Registry(name string) (Registry, bool) {
	return find(s.Registries, func(r Registry) bool { return r.Name == name })
}

// Cluster is the cluster of that name.
func (s Server) Cluster(name string) (Cluster, bool) {
	return find(s.Clusters, func(c Cluster) bool { return c.Name == name })
}

// Repository is the entry for a repository, in whatever case it is written.
func (s Server) Repository(id ref.RepoID) (Repository, bool) {
	return find(s.Repositories, func(r Repository) bool { return strings.EqualFold(r.Repo.String(), id.String()) })
}

// Authorize is the token that was presented; found is false for none.
func (s Server) Authorize(presented string) (t Token, found bool) {
	return find(s.Tokens, func(t Token) bool { return t.Secret.Matches(presented) })
}

func find[T any](list []T, is func(T) bool) (T, bool) {
	if i := slices.IndexFunc(list, is); i >= 0 {
		return list[i], true
	}
	var none T
	return none, false
}

func granted(r Repository) string {
	var all []string
	for cluster, namespaces := range r.Namespaces {
		for _, n := range namespaces {
			all = append(all, cluster+"/"+n)
		}
	}
	slices.Sort(all)
	return "; the server allows " + strings.Join(all, ", ")
}

// readLimited reads at most limit bytes of a file.
func readLimited(path string, limit int64) ([]byte, error) {
	f, err := os.Open(filepath.Clean(path))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // nothing was written
	return io.ReadAll(io.LimitReader(f, limit))
}

// why is the cause of a failed read, without the path, which is said already.
func why(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}
