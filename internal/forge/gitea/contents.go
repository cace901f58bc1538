package gitea

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"

	sdk "code.gitea.io/sdk/gitea"

	"slipway/internal/fault"
	"slipway/internal/ref"
)

// fileLimit bounds a file in bytes.
const fileLimit = 1 << 20

// Branch is the commit at the tip of a branch.
func (c *Client) Branch(ctx context.Context, b ref.BranchID) (ref.SHA, error) {
	client, err := c.sdk(ctx)
	if err != nil {
		return "", err
	}
	branch, response, err := client.GetRepoBranch(b.Repo.Owner, b.Repo.Name, b.Name)
	if err != nil {
		return "", fmt.Errorf("read the branch %s: %w", b, sorted(refused(response, err)))
	}
	if branch.Commit == nil {
		return "", fmt.Errorf("read the branch %s: it has no commit", b)
	}
	sha, err := ref.ParseSHA(branch.Commit.ID)
	if err != nil {
		return "", fmt.Errorf("read the branch %s: %w", b, err)
	}
	return sha, nil
}

// File reads one file at a commit. A folder, a link or a submodule in its place
// is an error, as is a file over 1 MiB.
func (c *Client) File(ctx context.Context, repo ref.RepoID, at ref.SHA, path string) (data []byte, found bool, err error) {
	contents, err := c.contents(ctx, repo, at, path, true)
	if c.absent(ctx, repo, err) {
		return nil, false, nil
	}
	if err == nil {
		data, err = fileOf(contents)
	}
	if err != nil {
		return nil, false, fmt.Errorf("read %s of %s at %s: %w", path, repo, at.Short(), sorted(err))
	}
	return data, true, nil
}

func fileOf(contents sdk.ContentsExtResponse) ([]byte, error) {
	file := contents.FileContents
	switch {
	case file == nil:
		return nil, fault.AsPermanent(errors.New("it is a folder, not a file"))
	case file.Type != "file":
		return nil, fault.AsPermanent(fmt.Errorf("it is a %s, not a file", file.Type))
	case file.Size > fileLimit:
		return nil, fault.AsPermanent(fmt.Errorf("it has %d bytes, more than %d", file.Size, fileLimit))
	case file.Content == nil || file.Encoding == nil || *file.Encoding != "base64":
		return nil, errors.New("the server left out its content")
	}
	data, err := base64.StdEncoding.DecodeString(*file.Content)
	if err != nil {
		return nil, err
	}
	if int64(len(data)) != file.Size {
		return nil, fmt.Errorf("the server gave %d bytes of %d", len(data), file.Size)
	}
	return data, nil
}

// contents reads a file with its content, or lists a folder. The SDK's own call
// puts the path into the URL as it stands.
func (c *Client) contents(ctx context.Context, repo ref.RepoID, at ref.SHA, path string, content bool) (out sdk.ContentsExtResponse, err error) {
	segments := strings.Split(path, "/")
	for i, s := range segments {
		if s == "" || s == "." || s == ".." {
			return out, fault.AsPermanent(fmt.Errorf("%q is not a path within a repository", path))
		}
		segments[i] = url.PathEscape(s)
	}
	address := repoPath(repo, "contents-ext") + "/" + strings.Join(segments, "/") + "?ref=" + url.QueryEscape(string(at))
	if content {
		address += "&includes=file_content"
	}
	_, err = c.get(ctx, address, &out)
	return out, err
}
