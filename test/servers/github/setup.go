package github

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"slipway/internal/ref"
)

// MailDomain is where every account's address is: LOGIN@MailDomain.
const MailDomain = "slipway.invalid"

// Commit is a commit to be pushed.
type Commit struct {
	Message string
	Files   map[string]string
	Removed []string
	// AuthorMail is the author's address, if it is not the pusher's own.
	AuthorMail string
	// Parents of the commit; none means the tip of the branch, or of main for a
	// branch that is new.
	Parents []ref.SHA
	// Links makes the named files symbolic links.
	Links []string
}

// Refusal is an answer of the API that is not a success.
type Refusal struct {
	Call   string
	Status int
	Body   string
}

// Error gives the call, the status and what the server said.
func (r *Refusal) Error() string {
	return fmt.Sprintf("%s: %d %s", r.Call, r.Status, strings.TrimSpace(r.Body))
}

// CreateUser makes a person with a token for everything they may do.
func (s *Server) CreateUser(login string) *Account { return s.create(login, "User") }

// CreateOrg makes an organisation.
func (s *Server) CreateOrg(name string) *Account { return s.create(name, "Organization") }

func (s *Server) create(login, kind string) *Account {
	s.turn.Lock()
	defer s.turn.Unlock()
	a := &Account{ID: s.id(), Login: login, Email: login + "@" + MailDomain, Type: kind, Token: "ghp_" + rand.Text()}
	s.accounts[login] = a
	s.tokens[a.Token] = credential{who: a}
	return a
}

// Revoke makes an account's token worthless.
func (s *Server) Revoke(token string) {
	s.turn.Lock()
	defer s.turn.Unlock()
	delete(s.tokens, token)
}

// CreateApp makes an App that is installed on all repositories of its owner,
// and calls with the private key that belongs to key.
func (s *Server) CreateApp(slug, owner string, permissions map[string]string, key *rsa.PublicKey) *App {
	bot := s.create(slug+"[bot]", "Bot")
	s.turn.Lock()
	defer s.turn.Unlock()
	a := &App{ID: s.id(), Installation: s.id(), Slug: slug, Owner: owner, Permissions: permissions, key: key, bot: bot}
	s.apps[a.ID] = a
	return a
}

// CreateRepo makes a repository with a first commit on main.
func (s *Server) CreateRepo(id ref.RepoID, private bool) error {
	s.turn.Lock()
	defer s.turn.Unlock()
	owner := s.accounts[id.Owner]
	if owner == nil {
		return fmt.Errorf("create the repository %s: there is no %s", id, id.Owner)
	}
	r := &repository{id: s.id(), owner: owner, name: id.Name, private: private, created: now(),
		dir:           filepath.Join(s.config.Dir, id.Owner, id.Name+".git"),
		collaborators: map[string]role{}, protection: map[string]*protection{}}
	if err := s.initRepository(r); err != nil {
		return fmt.Errorf("create the repository %s: %w", id, err)
	}
	s.repos[strings.ToLower(id.String())] = r
	if _, err := s.pushAs(r, owner, "main", Commit{Message: "Initial commit", Files: map[string]string{"README.md": "# " + id.Name + "\n"}}); err != nil {
		return fmt.Errorf("create the repository %s: %w", id, err)
	}
	return nil
}

// SetCollaborator gives somebody a right: read, write or admin; "" takes it.
func (s *Server) SetCollaborator(id ref.RepoID, login, right string) {
	s.turn.Lock()
	defer s.turn.Unlock()
	s.repos[strings.ToLower(id.String())].collaborators[login] = roleNamed(right)
}

// CreateTeam makes a team of an organisation with a right to some repositories.
func (s *Server) CreateTeam(org, slug, right string, repos, members []string) {
	s.turn.Lock()
	defer s.turn.Unlock()
	t := &team{id: s.id(), org: org, slug: slug, members: members, repos: map[string]role{}}
	for _, name := range repos {
		t.repos[name] = roleNamed(right)
	}
	s.teams[strings.ToLower(org+"/"+slug)] = t
}

// Push makes a commit and pushes it to a branch, which is made from main if it
// is new.
func (s *Server) Push(id ref.RepoID, login, branch string, c Commit) (ref.SHA, error) {
	s.turn.Lock()
	defer s.turn.Unlock()
	sha, err := s.pushAs(s.repos[strings.ToLower(id.String())], s.accounts[login], branch, c)
	return ref.SHA(sha), err
}

func (s *Server) pushAs(r *repository, who *Account, branch string, c Commit) (string, error) {
	tip := s.tip(r, "refs/heads/"+branch)
	var parents []string
	for _, p := range c.Parents {
		parents = append(parents, string(p))
	}
	if len(parents) == 0 {
		from := tip
		if from == "" {
			from = s.tip(r, "refs/heads/main")
		}
		if from != "" {
			parents = []string{from}
		}
	}
	tree, err := s.treeOf(r, parents, c)
	if err != nil {
		return "", err
	}
	author := as(who)
	if c.AuthorMail != "" {
		author.Name, author.Email = "Somebody", c.AuthorMail
	}
	sha, err := s.write(r, tree, c.Message, author, as(who), parents...)
	if err != nil {
		return "", err
	}
	before := s.refs(r)
	if err := s.move(r, "refs/heads/"+branch, sha, tip); err != nil {
		return "", err
	}
	s.moved(r, before, who)
	return sha, nil
}

// treeOf writes the tree of a commit: that of its first parent, changed.
func (s *Server) treeOf(r *repository, parents []string, c Commit) (string, error) {
	index, err := os.MkdirTemp(s.config.Dir, "index-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(index)
	env := []string{"GIT_INDEX_FILE=" + filepath.Join(index, "index")}
	if len(parents) > 0 {
		if _, err := s.run(r, "", env, "read-tree", parents[0]); err != nil {
			return "", err
		}
	}
	var lines strings.Builder
	for _, path := range c.Removed {
		lines.WriteString("0 " + strings.Repeat("0", 40) + "\t" + path + "\x00")
	}
	for _, path := range sortedKeys(c.Files) {
		blob, err := s.run(r, c.Files[path], nil, "hash-object", "-w", "--stdin")
		if err != nil {
			return "", err
		}
		mode := "100644"
		for _, link := range c.Links {
			if link == path {
				mode = "120000"
			}
		}
		lines.WriteString(mode + " " + strings.TrimSpace(blob) + "\t" + path + "\x00")
	}
	if _, err := s.run(r, lines.String(), env, "update-index", "-z", "--index-info"); err != nil {
		return "", err
	}
	tree, err := s.run(r, "", env, "write-tree")
	return strings.TrimSpace(tree), err
}

// Call makes one call of the API: in is sent and out filled as JSON, and both
// may be nil. An answer that is not a success is a *Refusal.
func (s *Server) Call(ctx context.Context, token, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		encoded, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, s.URL()+path, body)
	if err != nil {
		return err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	if in != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := (&http.Client{Timeout: callLimit}).Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode/100 != 2 {
		return &Refusal{Call: method + " " + path, Status: response.StatusCode, Body: string(answer)}
	}
	if out == nil || len(answer) == 0 {
		return nil
	}
	return json.Unmarshal(answer, out)
}

func roleNamed(right string) role {
	return map[string]role{"read": roleRead, "triage": roleTriage, "write": roleWrite, "maintain": roleMaintain, "admin": roleAdmin}[right]
}
