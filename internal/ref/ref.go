// Package ref holds the identities that everything else speaks in:
// repositories, pull requests, commits, tags, digests, pins and targets. Each
// is a type of its own, so that no two bare strings can be swapped by mistake.
// It never reads anything from outside.
package ref

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// RepoID names a repository on a forge, as OWNER/NAME.
type RepoID struct {
	Owner string
	Name  string
}

// PullID names a pull request, as OWNER/NAME#NUMBER.
type PullID struct {
	Repo   RepoID
	Number int64
}

// BranchID names a branch of a repository, as OWNER/NAME@BRANCH.
type BranchID struct {
	Repo RepoID
	Name string
}

// TargetID names what a repository is deployed to, as OWNER/NAME/ENVIRONMENT.
type TargetID struct {
	Repo        RepoID
	Environment string
}

// SHA is a full git object name in lower-case hexadecimal (40 or 64 digits).
// The empty SHA means "none".
type SHA string

// Tag is a version tag, valid both as a git tag and as an image tag.
type Tag string

// Digest is an OCI content digest, "sha256:" and 64 hexadecimal digits.
type Digest string

// Pin is an image reference that cannot move: REPOSITORY:TAG@DIGEST.
type Pin struct {
	Repository string
	Tag        Tag
	Digest     Digest
}

var (
	namePattern   = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$`)
	shaPattern    = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)
	tagPattern    = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)
	digestPattern = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
)

// ParseRepo reads OWNER/NAME.
func ParseRepo(s string) (RepoID, error) {
	owner, name, ok := strings.Cut(s, "/")
	if !ok || !namePattern.MatchString(owner) || !namePattern.MatchString(name) {
		return RepoID{}, fmt.Errorf("%q is not a repository: want OWNER/NAME", s)
	}
	return RepoID{Owner: owner, Name: name}, nil
}

// ParsePull reads OWNER/NAME#NUMBER.
func ParsePull(s string) (PullID, error) {
	before, number, ok := strings.Cut(s, "#")
	if !ok {
		return PullID{}, fmt.Errorf("%q is not a pull request: want OWNER/NAME#NUMBER", s)
	}
	repo, err := ParseRepo(before)
	if err != nil {
		return PullID{}, err
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 1 {
		return PullID{}, fmt.Errorf("%q is not a pull request: %q is not a positive number", s, number)
	}
	return PullID{Repo: repo, Number: n}, nil
}

// ParseBranch reads OWNER/NAME@BRANCH.
func ParseBranch(s string) (BranchID, error) {
	before, name, ok := strings.Cut(s, "@")
	if !ok || name == "" {
		return BranchID{}, fmt.Errorf("%q is not a branch: want OWNER/NAME@BRANCH", s)
	}
	repo, err := ParseRepo(before)
	return BranchID{Repo: repo, Name: name}, err
}

// ParseTarget reads OWNER/NAME/ENVIRONMENT.
func ParseTarget(s string) (TargetID, error) {
	i := strings.LastIndex(s, "/")
	if i < 0 || !namePattern.MatchString(s[i+1:]) {
		return TargetID{}, fmt.Errorf("%q is not a target: want OWNER/NAME/ENVIRONMENT", s)
	}
	repo, err := ParseRepo(s[:i])
	if err != nil {
		return TargetID{}, fmt.Errorf("%q is not a target: want OWNER/NAME/ENVIRONMENT", s)
	}
	return TargetID{Repo: repo, Environment: s[i+1:]}, nil
}

// ParseSHA accepts a full object name only: an abbreviation can come to mean
// another commit.
func ParseSHA(s string) (SHA, error) {
	if !shaPattern.MatchString(s) {
		return "", fmt.Errorf("%q is not a full commit id", s)
	}
	return SHA(s), nil
}

// ParseTag accepts what git and a registry both accept.
func ParseTag(s string) (Tag, error) {
	if !tagPattern.MatchString(s) || strings.Contains(s, "..") || strings.HasSuffix(s, ".") || strings.HasSuffix(s, ".lock") {
		return "", fmt.Errorf("%q is not valid as both a git tag and an image tag", s)
	}
	return Tag(s), nil
}

// ParseDigest reads sha256:HEX.
func ParseDigest(s string) (Digest, error) {
	if !digestPattern.MatchString(s) {
		return "", fmt.Errorf("%q is not a sha256 digest", s)
	}
	return Digest(s), nil
}

// ParsePin reads REPOSITORY:TAG@DIGEST; all three are required.
func ParsePin(s string) (Pin, error) {
	named, digest, ok := strings.Cut(s, "@")
	colon := strings.LastIndex(named, ":")
	if !ok || colon < 1 || strings.Contains(named[colon:], "/") {
		return Pin{}, fmt.Errorf("%q is not a pin: want REPOSITORY:TAG@sha256:HEX", s)
	}
	d, err := ParseDigest(digest)
	if err != nil {
		return Pin{}, fmt.Errorf("pin %q: %w", s, err)
	}
	t, err := ParseTag(named[colon+1:])
	if err != nil {
		return Pin{}, fmt.Errorf("pin %q: %w", s, err)
	}
	return Pin{Repository: named[:colon], Tag: t, Digest: d}, nil
}

func (r RepoID) String() string   { return r.Owner + "/" + r.Name }
func (p PullID) String() string   { return p.Repo.String() + "#" + strconv.FormatInt(p.Number, 10) }
func (b BranchID) String() string { return b.Repo.String() + "@" + b.Name }
func (t TargetID) String() string { return t.Repo.String() + "/" + t.Environment }

// String is the image reference, or "" for the zero pin.
func (p Pin) String() string {
	if p.IsZero() {
		return ""
	}
	return p.Repository + ":" + string(p.Tag) + "@" + string(p.Digest)
}

// IsZero reports whether nothing is named.
func (r RepoID) IsZero() bool { return r == RepoID{} }

// IsZero reports whether nothing is named.
func (p PullID) IsZero() bool { return p == PullID{} }

// IsZero reports whether nothing is pinned.
func (p Pin) IsZero() bool { return p == Pin{} }

// Short is the first twelve digits, for people only.
func (s SHA) Short() string {
	if len(s) > 12 {
		return string(s[:12])
	}
	return string(s)
}

// MarshalText and UnmarshalText make the identities plain strings in JSON.
func (r RepoID) MarshalText() ([]byte, error) { return []byte(zeroOr(r.IsZero(), r.String())), nil }
func (p PullID) MarshalText() ([]byte, error) { return []byte(zeroOr(p.IsZero(), p.String())), nil }
func (p Pin) MarshalText() ([]byte, error)    { return []byte(p.String()), nil }
func (b BranchID) MarshalText() ([]byte, error) {
	return []byte(zeroOr(b == BranchID{}, b.String())), nil
}
func (t TargetID) MarshalText() ([]byte, error) {
	return []byte(zeroOr(t == TargetID{}, t.String())), nil
}

// UnmarshalText reads what MarshalText wrote.
func (r *RepoID) UnmarshalText(b []byte) error { return unmarshal(r, b, ParseRepo) }

// UnmarshalText reads what MarshalText wrote.
func (p *PullID) UnmarshalText(b []byte) error { return unmarshal(p, b, ParsePull) }

// UnmarshalText reads what MarshalText wrote.
func (p *Pin) UnmarshalText(b []byte) error { return unmarshal(p, b, ParsePin) }

// UnmarshalText reads what MarshalText wrote.
func (b *BranchID) UnmarshalText(t []byte) error { return unmarshal(b, t, ParseBranch) }

// UnmarshalText reads what MarshalText wrote.
func (t *TargetID) UnmarshalText(b []byte) error { return unmarshal(t, b, ParseTarget) }

func zeroOr(zero bool, s string) string {
	if zero {
		return ""
	}
	return s
}

func unmarshal[T any](into *T, text []byte, parse func(string) (T, error)) error {
	if len(text) == 0 {
		var zero T
		*into = zero
		return nil
	}
	v, err := parse(string(text))
	if err != nil {
		return err
	}
	*into = v
	return nil
}
