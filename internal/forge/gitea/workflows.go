package gitea

import (
	"context"
	"net/http"
	"slices"
	"strings"

	sdk "code.gitea.io/sdk/gitea"

	"slipway/internal/ref"
)

// workflowPaths gives the path of each run's workflow file. Gitea names the
// file only, within the first of the workflow folders that the commit has. A
// file that is not there (the run is of a workflow that the organisation
// imposes) or cannot be told stays without its folder, and so matches no rule.
// Folders that were read are added to those given: what a commit holds stays.
func (c *Client) workflowPaths(ctx context.Context, repo ref.RepoID, runs []*sdk.ActionWorkflowRun, sha, base ref.SHA, folders map[ref.SHA]folder) ([]string, error) {
	paths := make([]string, len(runs))
	for i, run := range runs {
		paths[i] = run.Path
		name, ok := workflowFile(run.Path)
		source := sha
		if run.Event == "pull_request_target" { // the one event whose workflow is not the commit's own
			source = base
		}
		if !ok || source == "" {
			continue
		}
		if _, seen := folders[source]; !seen {
			f, err := c.workflowFolder(ctx, repo, source)
			if err != nil {
				return nil, err
			}
			folders[source] = f
		}
		if f := folders[source]; slices.Contains(f.entries, name) || strings.Contains(name, "/") && f.path != "" {
			paths[i] = f.path + "/" + name
		}
	}
	return paths, nil
}

// folder is a workflow folder with what lies directly in it; the zero value is
// none.
type folder struct {
	path    string
	entries []string
}

func (c *Client) workflowFolder(ctx context.Context, repo ref.RepoID, sha ref.SHA) (folder, error) {
	for _, dir := range c.dirs {
		contents, err := c.contents(ctx, repo, sha, dir, false)
		switch {
		case status(err) == http.StatusNotFound:
			continue
		case err != nil:
			return folder{}, err
		case contents.FileContents != nil:
			continue // not a folder
		}
		f := folder{path: dir}
		for _, entry := range contents.DirContents {
			f.entries = append(f.entries, entry.Name)
		}
		return f, nil
	}
	return folder{}, nil
}

// workflowFile takes the file's name out of a run's path: NAME@REF, or
// NAME@COMMIT. Where a name or a branch makes that ambiguous there is none.
func workflowFile(path string) (string, bool) {
	end := strings.LastIndex(path, "@")
	if end < 1 {
		return "", false
	}
	if _, err := ref.ParseSHA(path[end+1:]); err == nil {
		return path[:end], !strings.Contains(path[:end], "@")
	}
	if strings.Count(path, "@refs/") != 1 {
		return "", false
	}
	name, _, _ := strings.Cut(path, "@refs/")
	return name, name != ""
}
