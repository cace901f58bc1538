package gitea

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	sdk "code.gitea.io/sdk/gitea"

	"slipway/internal/change"
	"slipway/internal/fault"
	"slipway/internal/ref"
)

// Tag says whether the tag is there, and the commit that it peels to.
func (c *Client) Tag(ctx context.Context, repo ref.RepoID, tag ref.Tag) (change.TagFact, error) {
	fact, err := c.tag(ctx, repo, tag)
	if c.absent(ctx, repo, err) {
		return change.TagFact{Exists: ref.No}, nil
	}
	if err != nil {
		return change.TagFact{}, fmt.Errorf("read the tag %s of %s: %w", tag, repo, sorted(err))
	}
	return fact, nil
}

func (c *Client) tag(ctx context.Context, repo ref.RepoID, tag ref.Tag) (change.TagFact, error) {
	client, err := c.sdk(ctx)
	if err != nil {
		return change.TagFact{}, err
	}
	t, response, err := client.GetTag(repo.Owner, repo.Name, string(tag))
	if err != nil {
		return change.TagFact{}, refused(response, err)
	}
	if t.Commit == nil {
		return change.TagFact{}, errors.New("the server does not say what it is on")
	}
	commit := t.Commit.SHA
	if t.ID != commit {
		// An annotated one may be on another tag; its own record peels them all.
		annotated, response, err := client.GetAnnotatedTag(repo.Owner, repo.Name, t.ID)
		if err != nil {
			if err := refused(response, err); status(err) != http.StatusNotFound {
				return change.TagFact{}, err
			}
			return change.TagFact{}, errors.New("it changed while it was read")
		}
		if annotated.Object == nil {
			return change.TagFact{}, errors.New("the server does not say what it is on")
		}
		commit = annotated.Object.SHA
	}
	sha, err := ref.ParseSHA(commit)
	if err != nil {
		return change.TagFact{}, err
	}
	return change.TagFact{Exists: ref.Yes, Commit: sha}, nil
}

// CreateTag makes an annotated tag on commit.
func (c *Client) CreateTag(ctx context.Context, repo ref.RepoID, tag ref.Tag, commit ref.SHA, message string) error {
	if message == "" {
		message = string(tag) // without one the tag would not be annotated
	}
	client, err := c.sdk(ctx)
	if err != nil {
		return err
	}
	_, response, err := client.CreateTag(repo.Owner, repo.Name, sdk.CreateTagOption{
		TagName: string(tag),
		Target:  string(commit),
		Message: message,
	})
	if err != nil {
		return fmt.Errorf("tag %s of %s as %s: %w", commit.Short(), repo, tag, sorted(refused(response, err)))
	}
	return nil
}

// Page says whether the tag has a published release page. A draft is none.
func (c *Client) Page(ctx context.Context, repo ref.RepoID, tag ref.Tag) (change.PageFact, error) {
	client, err := c.sdk(ctx)
	if err != nil {
		return change.PageFact{}, err
	}
	r, response, err := client.GetReleaseByTag(repo.Owner, repo.Name, string(tag))
	err = refused(response, err)
	if c.absent(ctx, repo, err) {
		return change.PageFact{Exists: ref.No}, nil
	}
	if err != nil {
		return change.PageFact{}, fmt.Errorf("read the release page %s of %s: %w", tag, repo, sorted(err))
	}
	if r.IsDraft {
		return change.PageFact{Exists: ref.No}, nil
	}
	return change.PageFact{Exists: ref.Yes, URL: r.HTMLURL}, nil
}

// PublishPage makes the release page for an existing tag. Gitea would make a
// missing tag, on whatever is the newest commit by then; so it is looked for
// first, and its commit named in case it goes missing in between.
func (c *Client) PublishPage(ctx context.Context, repo ref.RepoID, tag ref.Tag, title, body string) error {
	fact, err := c.Tag(ctx, repo, tag)
	if err != nil {
		return err
	}
	if fact.Exists != ref.Yes {
		return fault.AsChanged(fmt.Errorf("publish the release page %s of %s: there is no such tag", tag, repo))
	}
	if title == "" {
		title = string(tag)
	}
	client, err := c.sdk(ctx)
	if err != nil {
		return err
	}
	_, response, err := client.CreateRelease(repo.Owner, repo.Name, sdk.CreateReleaseOption{
		TagName: string(tag),
		Target:  string(fact.Commit),
		Title:   title,
		Note:    body,
	})
	if err != nil {
		return fmt.Errorf("publish the release page %s of %s: %w", tag, repo, c.sortedPage(ctx, repo, tag, refused(response, err)))
	}
	return nil
}

// sortedPage tells a page that is there already from a draft in its place,
// which only a person can publish or delete.
func (c *Client) sortedPage(ctx context.Context, repo ref.RepoID, tag ref.Tag, err error) error {
	if status(err) != http.StatusConflict {
		return sorted(err)
	}
	page, unread := c.Page(ctx, repo, tag)
	if unread == nil && page.Exists == ref.No {
		return fault.AsPermanent(fmt.Errorf("%w (a draft stands in its place)", err))
	}
	return fault.AsChanged(err)
}
