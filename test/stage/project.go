package stage

import (
	"cmp"
	"context"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	sdk "code.gitea.io/sdk/gitea"

	"slipway/internal/change"
	"slipway/internal/image"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
	"slipway/test/servers/gitea"
)

//go:embed all:app
var appFiles embed.FS

// Project is one repository with its service.
type Project struct {
	Name string
	// Before is the image that ran before Slipway.
	Before string
	stage  *Stage
	draft  Draft
	work   string // the author's checkout
	// approvers may approve beside the stage's reviewers.
	approvers []string
}

// Check is the context of the project's check on pull requests.
const Check = "ci / test (pull_request)"

// Draft says what a project is to be.
type Draft struct {
	Name string
	// Hook is where the forge delivers the project's events; "" is where the
	// stage's Slipway listens.
	Hook string
	// Check is the context that the branch's protection requires; "" is Check.
	Check string
	// Edit changes the files of the first commit; nil leaves them.
	Edit func(name, content string) string
}

// NewProject makes the repository with the small service in it, protects its
// branch and its version tags, and runs the service from an image of its own.
func (s *Stage) NewProject(ctx context.Context, d Draft) (*Project, error) {
	d.Hook = cmp.Or(d.Hook, s.Address()+"/hooks/gitea")
	if d.Edit == nil {
		d.Edit = func(_, content string) string { return content }
	}
	p := &Project{Name: d.Name, stage: s, draft: d, work: s.path("work/" + d.Name)}
	for _, step := range []func(context.Context) error{p.repository, p.rights, p.deployment} {
		if err := step(ctx); err != nil {
			return nil, fmt.Errorf("project %s: %w", d.Name, err)
		}
	}
	return p, nil
}

// ID is the project's repository.
func (p *Project) ID() ref.RepoID { return ref.RepoID{Owner: Org, Name: p.Name} }

// Target is where the project is deployed to.
func (p *Project) Target() ref.TargetID {
	return ref.TargetID{Repo: p.ID(), Environment: Environment}
}

// ImageRepository is where the project's images are, without tag.
func (p *Project) ImageRepository() string {
	return p.stage.Forge.Registry() + "/" + Org + "/" + p.Name
}

// repository makes the repository and pushes the first commit, before anything
// is protected, as the site's administrator.
func (p *Project) repository(ctx context.Context) error {
	s := p.stage
	if err := s.Forge.CreateRepo(ctx, Org, p.Name, false); err != nil {
		return err
	}
	if err := os.MkdirAll(p.work, 0o700); err != nil {
		return err
	}
	if err := p.fill(); err != nil {
		return err
	}
	admin := s.Forge.Admin()
	for _, args := range [][]string{{"init", "-q", "-b", "main"}, {"add", "-A"}, {"commit", "-q", "-m", "chore: begin"}} {
		if err := p.git(ctx, s.Author, args...); err != nil {
			return err
		}
	}
	if err := p.git(ctx, s.Author, "remote", "add", "origin", s.Forge.URL()+"/"+p.ID().String()+".git"); err != nil {
		return err
	}
	return p.git(ctx, admin, "push", "-q", "origin", "main")
}

// fill writes the service's files. Go's tools leave folders with a go.mod of
// their own out of an embedded tree, so that file has another name there.
func (p *Project) fill() error {
	return fs.WalkDir(appFiles, "app", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := appFiles.ReadFile(path)
		if err != nil {
			return err
		}
		text := strings.NewReplacer("NAMESPACE", Org, "DEPLOYMENT", p.Name, "ENVIRONMENT", Environment, "ARCH", goarch()).Replace(string(content))
		name := strings.TrimSuffix(strings.TrimPrefix(path, "app/"), ".txt")
		return write(filepath.Join(p.work, filepath.FromSlash(name)), p.draft.Edit(name, text))
	})
}

// rights are the least that work: the author may push branches, reviewers may
// read, and the bot administers the repository but cannot get past its rules.
func (p *Project) rights(ctx context.Context) error {
	s := p.stage
	var reviewers []string
	for _, r := range s.Reviewers {
		reviewers = append(reviewers, r.Login)
	}
	return errors.Join(
		s.Forge.SetCollaborator(ctx, Org, p.Name, s.Author.Login, gitea.Write),
		s.Forge.SetCollaborator(ctx, Org, p.Name, s.Bot.Login, gitea.Admin),
		s.Forge.CreateTeam(ctx, Org, gitea.Team{Name: "reviewers-" + p.Name, Repositories: []string{p.Name}, Members: reviewers,
			Units: map[string]string{"repo.code": "read", "repo.pulls": "read"}}),
		p.Protect(ctx),
		s.Forge.ProtectTags(ctx, Org, p.Name, "v*", s.Bot.Login),
		p.hook(ctx),
		p.labels(ctx),
	)
}

// labels are those that the policy speaks of, for people to set.
func (p *Project) labels(ctx context.Context) error {
	var failed error
	for _, name := range []string{"hold", "release/major", "release/minor", "release/patch"} {
		failed = errors.Join(failed, p.stage.Forge.Call(ctx, p.stage.Forge.Admin().Token, http.MethodPost, "/repos/"+p.ID().String()+"/labels",
			map[string]string{"name": name, "color": "#b60205"}, nil))
	}
	return failed
}

// Protect protects the branch, as it is from the beginning.
func (p *Project) Protect(ctx context.Context) error {
	s := p.stage
	reviewers := slices.Clone(p.approvers)
	for _, r := range s.Reviewers {
		reviewers = append(reviewers, r.Login)
	}
	return s.Forge.ProtectBranch(ctx, Org, p.Name, gitea.BranchRule{
		Name:                 "main",
		EnableMergeWhitelist: true, MergeWhitelist: []string{s.Bot.Login},
		EnableStatusCheck: true, StatusContexts: []string{cmp.Or(p.draft.Check, Check)},
		RequiredApprovals: 2, EnableApprovalsWhitelist: true, ApprovalsWhitelist: reviewers,
		DismissStaleApprovals: true, IgnoreStaleApprovals: true, BlockOnRejectedReviews: true, BlockAdminMergeOverride: true,
	})
}

func (p *Project) hook(ctx context.Context) error {
	_, err := p.stage.Forge.AddHook(ctx, Org, p.Name, gitea.Hook{URL: p.draft.Hook, Secret: p.stage.secret})
	return err
}

// deployment runs the first commit's image, as people would before Slipway.
// Fake nodes pull nothing, so for them there is no need to build one.
func (p *Project) deployment(ctx context.Context) error {
	p.Before = p.ImageRepository() + ":before"
	if !p.stage.Simulated() {
		if err := p.bootstrap(ctx); err != nil {
			return err
		}
	}
	if err := p.stage.run(ctx, p.Name, p.Before); err != nil {
		return err
	}
	return p.Available(ctx)
}

// bootstrap builds and pushes the first commit's image.
func (p *Project) bootstrap(ctx context.Context) error {
	s := p.stage
	images, err := image.New(image.Config{
		Dir: s.path("bootstrap"), Exporter: checkout{p.work}, GoCache: s.options.BuildCache,
		Registries: map[string]image.Auth{s.Forge.Registry(): {Username: s.Bot.Login, Password: s.Bot.Token, Insecure: true}},
	})
	if err != nil {
		return err
	}
	b := reconcile.Build{
		Repo: p.ID(), Commit: ref.SHA(strings.Repeat("0", 40)), Tag: "before", Version: "before", Repository: p.ImageRepository(),
		Source: s.Forge.URL() + "/" + p.ID().String(), Plan: change.BuildPlan{Main: ".", Platform: "linux/" + goarch()},
	}
	digest, err := images.Build(ctx, b)
	if err != nil {
		return err
	}
	return images.Push(ctx, b, digest)
}

// checkout exports a working tree as it stands.
type checkout struct{ dir string }

// Export copies the tree; its commit time is that of the epoch.
func (c checkout) Export(_ context.Context, _ ref.RepoID, _ ref.SHA, dir string) (time.Time, error) {
	return time.Unix(0, 0), os.CopyFS(dir, os.DirFS(c.dir))
}

// Proposal is a change that the author makes.
type Proposal struct {
	Branch string
	Base   string // "" is main
	Title  string
	Files  map[string]string
}

// Propose commits the files on a branch of their own, pushes it and opens a
// pull request, as the author.
func (p *Project) Propose(ctx context.Context, c Proposal) (ref.PullID, error) {
	s := p.stage
	steps := [][]string{{"fetch", "-q", "origin"}, {"checkout", "-q", "-B", c.Branch, "origin/main"}}
	for _, args := range steps {
		if err := p.git(ctx, s.Author, args...); err != nil {
			return ref.PullID{}, err
		}
	}
	if err := p.commit(ctx, c.Title, c.Files); err != nil {
		return ref.PullID{}, err
	}
	if err := p.git(ctx, s.Author, "push", "-q", "origin", c.Branch); err != nil {
		return ref.PullID{}, err
	}
	client, err := s.Forge.ClientOf(ctx, s.Author)
	if err != nil {
		return ref.PullID{}, err
	}
	pull, _, err := client.CreatePullRequest(Org, p.Name, sdk.CreatePullRequestOption{Head: c.Branch, Base: cmp.Or(c.Base, "main"), Title: c.Title})
	if err != nil {
		return ref.PullID{}, fmt.Errorf("open a pull request: %w", err)
	}
	return ref.PullID{Repo: p.ID(), Number: pull.Index}, nil
}

// Push adds a commit to a branch of a proposal, as the author.
func (p *Project) Push(ctx context.Context, c Proposal) error {
	if err := p.git(ctx, p.stage.Author, "checkout", "-q", c.Branch); err != nil {
		return err
	}
	if err := p.commit(ctx, c.Title, c.Files); err != nil {
		return err
	}
	return p.git(ctx, p.stage.Author, "push", "-q", "origin", c.Branch)
}

// commit writes files and commits them on the branch that is checked out.
func (p *Project) commit(ctx context.Context, message string, files map[string]string) error {
	return p.commitBy(ctx, p.stage.Author, message, files)
}

func (p *Project) commitBy(ctx context.Context, author gitea.Account, message string, files map[string]string) error {
	for name, content := range files {
		if err := write(filepath.Join(p.work, filepath.FromSlash(name)), content); err != nil {
			return err
		}
	}
	if err := p.git(ctx, p.stage.Author, "add", "-A"); err != nil {
		return err
	}
	return p.git(ctx, p.stage.Author, "commit", "-q", "-m", message, "--author", author.Login+" <"+author.Email+">")
}

// Approve approves the pull request's head as each reviewer.
func (p *Project) Approve(ctx context.Context, id ref.PullID, reviewers ...gitea.Account) error {
	for _, r := range reviewers {
		client, err := p.stage.Forge.ClientOf(ctx, r)
		if err != nil {
			return err
		}
		pull, _, err := client.GetPullRequest(Org, p.Name, id.Number)
		if err != nil {
			return err
		}
		_, _, err = client.CreatePullReview(Org, p.Name, id.Number, sdk.CreatePullReviewOptions{
			State: sdk.ReviewStateApproved, CommitID: pull.Head.Sha, Body: "Reads well.",
		})
		if err != nil {
			return fmt.Errorf("%s approves %s: %w", r.Login, id, err)
		}
	}
	return nil
}

// authorization is what git says of who it is. The forge hashes a token ten
// thousand times at each request, and a password once.
func authorization(a gitea.Account) string {
	if a.Password == "" {
		return "token " + a.Token
	}
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(a.Login+":"+a.Password))
}

// git runs git in the author's checkout, as an account, knowing nothing of
// this machine's own configuration.
func (p *Project) git(ctx context.Context, as gitea.Account, args ...string) error {
	cmd := exec.CommandContext(ctx, "git", args...) //nolint:gosec // the stage names the arguments
	cmd.Dir = p.work
	author := p.stage.Author
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + p.work, "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=" + author.Login, "GIT_AUTHOR_EMAIL=" + author.Email, "GIT_COMMITTER_NAME=" + author.Login, "GIT_COMMITTER_EMAIL=" + author.Email,
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=http.extraHeader", "GIT_CONFIG_VALUE_0=Authorization: " + authorization(as),
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("git %s: %w: %s", args[0], err, strings.TrimSpace(string(out)))
	}
	return nil
}
