package stage

import (
	"context"
	"net/http"

	"slipway/test/servers/gitea"
)

// Overwrite puts a file on the branch past every rule, as the administrator who
// takes the protection away for that moment can.
func (p *Project) Overwrite(ctx context.Context, path, content string) error {
	admin := p.stage.Forge.Admin()
	if err := p.stage.Forge.Call(ctx, admin.Token, http.MethodDelete, "/repos/"+p.ID().String()+"/branch_protections/main", nil, nil); err != nil {
		return err
	}
	for _, args := range [][]string{{"fetch", "-q", "origin"}, {"checkout", "-q", "-B", "overwritten", "origin/main"}} {
		if err := p.git(ctx, p.stage.Author, args...); err != nil {
			return err
		}
	}
	if err := p.commit(ctx, "chore: overwrite "+path, map[string]string{path: content}); err != nil {
		return err
	}
	if err := p.git(ctx, admin, "push", "-q", "origin", "overwritten:main"); err != nil {
		return err
	}
	return p.Protect(ctx)
}

// PushAs adds a commit to a branch of a proposal whose author has another
// e-mail address.
func (p *Project) PushAs(ctx context.Context, mail string, c Proposal) error {
	author := gitea.Account{Login: "nobody", Email: mail}
	if err := p.git(ctx, p.stage.Author, "checkout", "-q", c.Branch); err != nil {
		return err
	}
	if err := p.commitBy(ctx, author, c.Title, c.Files); err != nil {
		return err
	}
	return p.git(ctx, p.stage.Author, "push", "-q", "origin", c.Branch)
}

// Rebase gives the last commit of a proposal's branch another name, with the
// same difference, and forces it upon the branch.
func (p *Project) Rebase(ctx context.Context, branch string) error {
	for _, args := range [][]string{{"checkout", "-q", branch}, {"commit", "-q", "--amend", "--reset-author", "--date", "2026-01-01T00:00:00Z", "--no-edit"}} {
		if err := p.git(ctx, p.stage.Author, args...); err != nil {
			return err
		}
	}
	return p.git(ctx, p.stage.Author, "push", "-q", "--force", "origin", branch)
}

// Admit lets these approve beside the stage's reviewers, from the next Protect
// on.
func (p *Project) Admit(logins ...string) { p.approvers = append(p.approvers, logins...) }
