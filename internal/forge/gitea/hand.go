package gitea

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	sdk "code.gitea.io/sdk/gitea"

	"slipway/gate"
	"slipway/internal/canary"
	"slipway/internal/ref"
)

// Hand is a Gitea account that lets out canaries.
type Hand struct{ client *Client }

var _ canary.Hand = Hand{}

// NewHand is the hand of the client's own account.
func NewHand(c *Client) Hand { return Hand{c} }

// Login is the account's.
func (h Hand) Login() string { return h.client.login }

// Propose puts one file on a new branch and opens a pull request.
func (h Hand) Propose(ctx context.Context, p canary.Proposal) (ref.PullID, ref.SHA, error) {
	client, err := h.client.sdk(ctx)
	if err != nil {
		return ref.PullID{}, "", err
	}
	by := sdk.Identity{}
	if p.Mail != "" {
		by = sdk.Identity{Name: "nobody", Email: p.Mail}
	}
	file, response, err := client.CreateFile(p.Repo.Owner, p.Repo.Name, p.Path, sdk.CreateFileOptions{
		FileOptions: sdk.FileOptions{Message: p.Title, BranchName: p.Base, NewBranchName: p.Branch, Author: by, Committer: by},
		Content:     base64.StdEncoding.EncodeToString([]byte(p.Content)),
	})
	if err != nil {
		return ref.PullID{}, "", fmt.Errorf("commit to %s of %s: %w", p.Branch, p.Repo, sorted(refused(response, err)))
	}
	head, err := commitOf(file)
	if err != nil {
		return ref.PullID{}, "", err
	}
	pull, response, err := client.CreatePullRequest(p.Repo.Owner, p.Repo.Name, sdk.CreatePullRequestOption{Head: p.Branch, Base: p.Base, Title: p.Title})
	if err != nil {
		return ref.PullID{}, "", fmt.Errorf("open a pull request from %s in %s: %w", p.Branch, p.Repo, sorted(refused(response, err)))
	}
	return ref.PullID{Repo: p.Repo, Number: pull.Index}, head, nil
}

// Push adds one commit to a branch.
func (h Hand) Push(ctx context.Context, repo ref.RepoID, branch, path, content string) (ref.SHA, error) {
	client, err := h.client.sdk(ctx)
	if err != nil {
		return "", err
	}
	file, response, err := client.CreateFile(repo.Owner, repo.Name, path, sdk.CreateFileOptions{
		FileOptions: sdk.FileOptions{Message: "test: push to " + branch, BranchName: branch},
		Content:     base64.StdEncoding.EncodeToString([]byte(content)),
	})
	if err != nil {
		return "", fmt.Errorf("commit to %s of %s: %w", branch, repo, sorted(refused(response, err)))
	}
	return commitOf(file)
}

// Review approves a head, or asks for changes.
func (h Hand) Review(ctx context.Context, id ref.PullID, head ref.SHA, approve bool) error {
	client, err := h.client.sdk(ctx)
	if err != nil {
		return err
	}
	state := sdk.ReviewStateApproved
	if !approve {
		state = sdk.ReviewStateRequestChanges
	}
	_, response, err := client.CreatePullReview(id.Repo.Owner, id.Repo.Name, id.Number, sdk.CreatePullReviewOptions{State: state, CommitID: string(head), Body: "A canary."})
	if err != nil {
		return fmt.Errorf("review %s: %w", id, sorted(refused(response, err)))
	}
	return nil
}

// Label sets a label, which is made if it is not there.
func (h Hand) Label(ctx context.Context, id ref.PullID, label string) error {
	client, err := h.client.sdk(ctx)
	if err != nil {
		return err
	}
	have, err := pages(func(o sdk.ListOptions) ([]*sdk.Label, *sdk.Response, error) {
		return client.ListRepoLabels(id.Repo.Owner, id.Repo.Name, sdk.ListLabelsOptions{ListOptions: o})
	})
	if err != nil {
		return fmt.Errorf("labels of %s: %w", id.Repo, sorted(err))
	}
	var number int64
	if i := slices.IndexFunc(have, func(l *sdk.Label) bool { return strings.EqualFold(l.Name, label) }); i >= 0 {
		number = have[i].ID
	} else {
		made, response, err := client.CreateLabel(id.Repo.Owner, id.Repo.Name, sdk.CreateLabelOption{Name: label, Color: "#cccccc"})
		if err != nil {
			return fmt.Errorf("make the label %q of %s: %w", label, id.Repo, sorted(refused(response, err)))
		}
		number = made.ID
	}
	_, response, err := client.AddIssueLabels(id.Repo.Owner, id.Repo.Name, id.Number, sdk.IssueLabelsOption{Labels: []int64{number}})
	if err != nil {
		return fmt.Errorf("label %s %q: %w", id, label, sorted(refused(response, err)))
	}
	return nil
}

// Status posts a commit status.
func (h Hand) Status(ctx context.Context, repo ref.RepoID, head ref.SHA, name string, s gate.State) error {
	client, err := h.client.sdk(ctx)
	if err != nil {
		return err
	}
	_, response, err := client.CreateStatus(repo.Owner, repo.Name, string(head), sdk.CreateStatusOption{State: sdk.StatusState(s), Context: name, Description: "a canary's"})
	if err != nil {
		return fmt.Errorf("post %q on %s in %s: %w", name, head.Short(), repo, sorted(refused(response, err)))
	}
	return nil
}

// TakeBack closes the account's open pull requests whose head branch has the
// prefix, and removes the branches that have it and are nobody else's pull
// request.
func (h Hand) TakeBack(ctx context.Context, repo ref.RepoID, prefix string) error {
	client, err := h.client.sdk(ctx)
	if err != nil {
		return err
	}
	open, err := pages(func(o sdk.ListOptions) ([]*sdk.PullRequest, *sdk.Response, error) {
		return client.ListRepoPullRequests(repo.Owner, repo.Name, sdk.ListPullRequestsOptions{ListOptions: o, State: sdk.StateOpen, Sort: "oldest"})
	})
	if err != nil {
		return fmt.Errorf("open pull requests of %s: %w", repo, sorted(err))
	}
	var failed []error
	others := map[string]bool{}
	for _, p := range open {
		if p.Head == nil || !strings.HasPrefix(p.Head.Name, prefix) {
			continue
		}
		if !strings.EqualFold(login(p.Poster), h.Login()) {
			others[p.Head.Name] = true
			continue
		}
		closed := sdk.StateClosed
		if _, response, err := client.EditPullRequest(repo.Owner, repo.Name, p.Index, sdk.EditPullRequestOption{State: &closed}); err != nil {
			failed = append(failed, fmt.Errorf("close %s#%d: %w", repo, p.Index, sorted(refused(response, err))))
			others[p.Head.Name] = true // it keeps its branch, and is found again by it
		}
	}
	branches, err := pages(func(o sdk.ListOptions) ([]*sdk.Branch, *sdk.Response, error) {
		return client.ListRepoBranches(repo.Owner, repo.Name, sdk.ListRepoBranchesOptions{ListOptions: o})
	})
	if err != nil {
		return errors.Join(append(failed, fmt.Errorf("branches of %s: %w", repo, sorted(err)))...)
	}
	for _, b := range branches {
		if !strings.HasPrefix(b.Name, prefix) || others[b.Name] {
			continue
		}
		// The client answers false, and no error, for what the server refuses.
		gone, response, err := client.DeleteRepoBranch(repo.Owner, repo.Name, b.Name)
		if err = refused(response, err); err == nil && !gone && response.StatusCode != http.StatusNotFound {
			err = &refusal{status: response.StatusCode, text: "the server refuses"}
		}
		if err != nil && status(err) != http.StatusNotFound {
			failed = append(failed, fmt.Errorf("remove %s of %s: %w", b.Name, repo, sorted(err)))
		}
	}
	return errors.Join(failed...)
}

func commitOf(f *sdk.FileResponse) (ref.SHA, error) {
	if f == nil || f.Commit == nil {
		return "", fmt.Errorf("the server does not say what it committed")
	}
	return commitID(f.Commit.SHA)
}
