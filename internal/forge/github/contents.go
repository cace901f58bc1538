package github

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	sdk "github.com/google/go-github/v62/github"

	"slipway/internal/fault"
	"slipway/internal/ref"
)

// fileLimit bounds a file in bytes; GitHub leaves out the content of larger
// ones.
const fileLimit = 1 << 20

// Branch is the commit at the tip of a branch.
func (c *Client) Branch(ctx context.Context, b ref.BranchID) (ref.SHA, error) {
	sha, err := c.branch(ctx, b)
	if err != nil {
		return "", fmt.Errorf("read the branch %s: %w", b, sorted(err))
	}
	return sha, nil
}

// branch reads the ref itself: the branch's own page follows a renamed one.
func (c *Client) branch(ctx context.Context, b ref.BranchID) (ref.SHA, error) {
	got, _, err := c.sdk.Git.GetRef(ctx, b.Repo.Owner, b.Repo.Name, "heads/"+b.Name)
	if err != nil {
		return "", refused(err)
	}
	if got.GetRef() != "refs/heads/"+b.Name {
		return "", fault.AsPermanent(fmt.Errorf("the server answered with %q", got.GetRef()))
	}
	return ref.ParseSHA(got.GetObject().GetSHA())
}

// File reads one file at a commit. A folder or a submodule in its place is an
// error, as is a link that leads out of the repository and a file over 1 MiB.
func (c *Client) File(ctx context.Context, repo ref.RepoID, at ref.SHA, path string) (data []byte, found bool, err error) {
	file, err := c.contents(ctx, repo, at, path)
	if c.absent(ctx, repo, err) {
		return nil, false, nil
	}
	if err == nil {
		data, err = fileOf(file)
	}
	if err != nil {
		return nil, false, fmt.Errorf("read %s of %s at %s: %w", path, repo, at.Short(), sorted(err))
	}
	return data, true, nil
}

// contents reads a file with its content; nil is a folder.
func (c *Client) contents(ctx context.Context, repo ref.RepoID, at ref.SHA, path string) (*sdk.RepositoryContent, error) {
	for s := range strings.SplitSeq(path, "/") {
		if s == "" || s == "." || s == ".." {
			return nil, fault.AsPermanent(fmt.Errorf("%q is not a path within a repository", path))
		}
	}
	// Each segment escaped: the SDK refuses names with two dots in them.
	segments := strings.Split(path, "/")
	for i, s := range segments {
		segments[i] = url.PathEscape(s)
	}
	var answer folderOrFile
	address := repoPath(repo, "contents") + "/" + strings.Join(segments, "/") + "?ref=" + url.QueryEscape(string(at))
	if _, err := c.get(ctx, address, &answer); err != nil {
		return nil, refused(err)
	}
	return answer.file, nil
}

// folderOrFile is an object for a file and a list for a folder.
type folderOrFile struct{ file *sdk.RepositoryContent }

// UnmarshalJSON tells the two apart.
func (f *folderOrFile) UnmarshalJSON(data []byte) error {
	if strings.HasPrefix(strings.TrimSpace(string(data[:min(len(data), 8)])), "[") {
		return nil
	}
	f.file = &sdk.RepositoryContent{}
	return json.Unmarshal(data, f.file)
}

func fileOf(file *sdk.RepositoryContent) ([]byte, error) {
	switch {
	case file == nil:
		return nil, fault.AsPermanent(errors.New("it is a folder, not a file"))
	case file.GetType() != "file" || file.SubmoduleGitURL != nil:
		return nil, fault.AsPermanent(fmt.Errorf("it is a %s, not a file", file.GetType()))
	case file.GetSize() > fileLimit:
		return nil, fault.AsPermanent(fmt.Errorf("it has %d bytes, more than %d", file.GetSize(), fileLimit))
	case file.GetEncoding() != "base64" || file.Content == nil:
		return nil, errors.New("the server left out its content")
	}
	data, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(*file.Content, "\n", ""))
	if err != nil {
		return nil, err
	}
	if len(data) != file.GetSize() {
		return nil, fmt.Errorf("the server gave %d bytes of %d", len(data), file.GetSize())
	}
	return data, nil
}
