package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	sdk "github.com/google/go-github/v62/github"

	"slipway/internal/change"
	"slipway/internal/fault"
	"slipway/internal/ref"
)

// tagDepth is how many tags of tags are followed.
const tagDepth = 5

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
	got, _, err := c.sdk.Git.GetRef(ctx, repo.Owner, repo.Name, "tags/"+string(tag))
	if err != nil {
		return change.TagFact{}, refused(err)
	}
	if got.GetRef() != "refs/tags/"+string(tag) {
		return change.TagFact{}, fault.AsPermanent(fmt.Errorf("the server answered with %q", got.GetRef()))
	}
	on := got.GetObject()
	for range tagDepth {
		if on.GetType() == "commit" {
			sha, err := ref.ParseSHA(on.GetSHA())
			if err != nil {
				return change.TagFact{}, err
			}
			return change.TagFact{Exists: ref.Yes, Commit: sha}, nil
		}
		if on.GetType() != "tag" {
			break
		}
		annotated, _, err := c.sdk.Git.GetTag(ctx, repo.Owner, repo.Name, on.GetSHA())
		if status(err) == http.StatusNotFound {
			return change.TagFact{}, errors.New("it changed while it was read")
		}
		if err != nil {
			return change.TagFact{}, refused(err)
		}
		on = annotated.GetObject()
	}
	return change.TagFact{}, fault.AsPermanent(fmt.Errorf("it is on a %s, not on a commit", on.GetType()))
}

// CreateTag makes an annotated tag on commit: first the tag object, which
// nothing shows, then the ref, which only one can make.
func (c *Client) CreateTag(ctx context.Context, repo ref.RepoID, tag ref.Tag, commit ref.SHA, message string) error {
	if message == "" {
		message = string(tag) // git wants one for an annotated tag
	}
	object, _, err := c.sdk.Git.CreateTag(ctx, repo.Owner, repo.Name, &sdk.Tag{
		Tag:     sdk.String(string(tag)),
		Message: sdk.String(message),
		Object:  &sdk.GitObject{Type: sdk.String("commit"), SHA: sdk.String(string(commit))},
	})
	if err == nil {
		_, _, err = c.sdk.Git.CreateRef(ctx, repo.Owner, repo.Name, &sdk.Reference{
			Ref:    sdk.String("refs/tags/" + string(tag)),
			Object: &sdk.GitObject{SHA: object.SHA},
		})
	}
	if err != nil {
		return fmt.Errorf("tag %s of %s as %s: %w", commit.Short(), repo, tag, sortedExisting(err))
	}
	return nil
}

// Page says whether the tag has a published release page. A draft is none.
func (c *Client) Page(ctx context.Context, repo ref.RepoID, tag ref.Tag) (change.PageFact, error) {
	release, _, err := c.sdk.Repositories.GetReleaseByTag(ctx, repo.Owner, repo.Name, string(tag))
	if c.absent(ctx, repo, err) {
		return change.PageFact{Exists: ref.No}, nil
	}
	if err != nil {
		return change.PageFact{}, fmt.Errorf("read the release page %s of %s: %w", tag, repo, sorted(err))
	}
	if release.GetDraft() {
		return change.PageFact{Exists: ref.No}, nil
	}
	return change.PageFact{Exists: ref.Yes, URL: release.GetHTMLURL()}, nil
}

// PublishPage makes the release page for an existing tag. GitHub would make a
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
	_, _, err = c.sdk.Repositories.CreateRelease(ctx, repo.Owner, repo.Name, &sdk.RepositoryRelease{
		TagName:         sdk.String(string(tag)),
		TargetCommitish: sdk.String(string(fact.Commit)),
		Name:            sdk.String(title),
		Body:            sdk.String(body),
	})
	if err != nil {
		return fmt.Errorf("publish the release page %s of %s: %w", tag, repo, sortedExisting(err))
	}
	return nil
}

// sortedExisting is sorted, and knows what GitHub says of a thing that is there
// already.
func sortedExisting(err error) error {
	if err := refused(err); status(err) == http.StatusUnprocessableEntity {
		for _, words := range []string{"already exists", "already_exists"} {
			if strings.Contains(strings.ToLower(err.Error()), words) {
				return fault.AsChanged(err)
			}
		}
	}
	return sorted(err)
}
