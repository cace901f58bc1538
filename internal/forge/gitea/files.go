package gitea

import (
	"context"
	"slices"
	"strings"

	sdk "code.gitea.io/sdk/gitea"

	"slipway/gate"
	"slipway/internal/ref"
)

// files lists what the pull request changes.
func (c *Client) files(ctx context.Context, id ref.PullID) ([]gate.File, error) {
	client, err := c.sdk(ctx)
	if err != nil {
		return nil, err
	}
	list, err := pages(func(o sdk.ListOptions) ([]*sdk.ChangedFile, *sdk.Response, error) {
		return client.ListPullRequestFiles(id.Repo.Owner, id.Repo.Name, id.Number, sdk.ListPullRequestFilesOptions{ListOptions: o})
	})
	if err != nil {
		return nil, err
	}
	files := make([]gate.File, 0, len(list))
	for _, f := range list {
		files = append(files, gate.File{Path: f.Filename, Previous: f.PreviousFilename, Added: f.Additions, Deleted: f.Deletions})
	}
	return files, nil
}

// workflowsChanged says whether one of the files is part of what defines
// workflows.
func (c *Client) workflowsChanged(files []gate.File, read ref.Fact) ref.Fact {
	if read != ref.Yes {
		return ref.Unknown
	}
	return ref.Known(slices.ContainsFunc(files, func(f gate.File) bool {
		return c.definesWorkflows(f.Path) || c.definesWorkflows(f.Previous)
	}))
}

// definesWorkflows says whether the path is a workflow folder, lies in one, or
// is above one (and so replaces it by a file or a link).
func (c *Client) definesWorkflows(path string) bool {
	return path != "" && slices.ContainsFunc(c.dirs, func(dir string) bool {
		return path == dir || strings.HasPrefix(path, dir+"/") || strings.HasPrefix(dir, path+"/")
	})
}
