package github

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"slipway/gate"
	"slipway/internal/reconcile"
	"slipway/internal/ref"
)

// SignatureHeader carries "sha256=" and the HMAC-SHA256 of a delivery's body in
// hexadecimal.
const SignatureHeader = "X-Hub-Signature-256"

const signaturePrefix = "sha256="

// Signed says whether a delivery carries what may be a signature, so that one
// without is refused before its body is read.
func Signed(header http.Header) bool {
	given := header.Values(SignatureHeader)
	return len(given) == 1 && len(given[0]) == len(signaturePrefix)+2*sha256.Size
}

// Verify checks that a delivery was signed with the secret: over the body as it
// came, before anything of it is parsed. An empty secret verifies nothing.
func Verify(secret string, header http.Header, body []byte) error {
	if secret == "" {
		return errors.New("verify the delivery: there is no secret to check against")
	}
	given := header.Values(SignatureHeader)
	if len(given) != 1 {
		return fmt.Errorf("verify the delivery: want one %s header, got %d", SignatureHeader, len(given))
	}
	digits, ok := strings.CutPrefix(given[0], signaturePrefix)
	signature, err := hex.DecodeString(digits)
	if !ok || err != nil || len(signature) != sha256.Size {
		return errors.New("verify the delivery: the signature is malformed")
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body) // never fails
	if !hmac.Equal(signature, mac.Sum(nil)) {
		return errors.New("verify the delivery: the signature is wrong")
	}
	return nil
}

// delivery is what a body may carry of what a hint is made of.
type delivery struct {
	Repository *struct {
		FullName string `json:"full_name"`
	} `json:"repository"`

	Number int64 `json:"number"` // pull_request
	Pull   *struct {
		Number int64 `json:"number"`
	} `json:"pull_request"` // and its reviews, their comments and threads

	Issue *struct { // issues, issue_comment
		Number int64           `json:"number"`
		Pull   json.RawMessage `json:"pull_request"` // there for a pull request only
	} `json:"issue"`
	Comment json.RawMessage `json:"comment"`

	Context *string `json:"context"` // status
	SHA     string  `json:"sha"`

	CheckRun   *checked `json:"check_run"`
	CheckSuite *checked `json:"check_suite"`
	Run        *checked `json:"workflow_run"`
	Job        *checked `json:"workflow_job"`

	Ref     string  `json:"ref"` // push, create, delete
	RefType string  `json:"ref_type"`
	After   *string `json:"after"`

	// Who may do what in the repository.
	Member  json.RawMessage `json:"member"`
	Team    json.RawMessage `json:"team"`
	Rule    json.RawMessage `json:"rule"` // branch_protection_rule
	Ruleset json.RawMessage `json:"repository_ruleset"`
}

// checked is what CI reports on.
type checked struct {
	Head string `json:"head_sha"`
}

// Hint says what a delivery suggests to look at; ok is false when that is
// nothing. It goes by what the body holds: the headers are not signed, so the
// event that they name decides nothing. A status of Slipway's own gate is no
// news. What changes who may do what in a repository re-opens every question
// there, whatever its branch is.
func Hint(_ http.Header, body []byte) (hint reconcile.Hint, ok bool, err error) {
	var d delivery
	if err := json.Unmarshal(body, &d); err != nil {
		return reconcile.Hint{}, false, fmt.Errorf("read the delivery: %w", err)
	}
	if d.Repository == nil {
		return reconcile.Hint{}, false, nil
	}
	repo, err := ref.ParseRepo(d.Repository.FullName)
	if err != nil {
		return reconcile.Hint{}, false, fmt.Errorf("read the delivery: %w", err)
	}
	hint, ok, err = d.hint()
	if err != nil {
		return reconcile.Hint{}, false, fmt.Errorf("read the delivery about %s: %w", repo, err)
	}
	if !ok {
		return reconcile.Hint{}, false, nil
	}
	hint.Repo = repo
	return hint, true, nil
}

func (d delivery) hint() (reconcile.Hint, bool, error) {
	for _, c := range []*checked{d.CheckRun, d.CheckSuite, d.Run, d.Job} {
		if c != nil {
			return ofCommit(c.Head)
		}
	}
	switch {
	case d.Issue != nil:
		switch {
		case len(d.Issue.Pull) > 0 && string(d.Issue.Pull) != "null":
			return ofPull(d.Issue.Number)
		case len(d.Comment) > 0:
			return reconcile.Hint{}, false, nil // what is said on an issue changes nothing
		}
		return reconcile.Hint{Issues: true}, true, nil
	case d.Pull != nil:
		if d.Number != 0 && d.Number != d.Pull.Number {
			return reconcile.Hint{}, false, fmt.Errorf("it is about number %d and number %d", d.Number, d.Pull.Number)
		}
		return ofPull(d.Pull.Number)
	case d.Context != nil:
		if *d.Context == gate.StatusContext {
			return reconcile.Hint{}, false, nil
		}
		return ofCommit(d.SHA)
	case d.RefType == "branch":
		return ofBranch(d.Ref)
	case d.RefType == "" && d.After != nil:
		branch, ok := strings.CutPrefix(d.Ref, "refs/heads/")
		if !ok {
			return reconcile.Hint{}, false, nil // a tag
		}
		return ofBranch(branch)
	case len(d.Member)+len(d.Team)+len(d.Rule)+len(d.Ruleset) > 0: // null, for somebody who is gone, counts too
		return reconcile.Hint{People: true}, true, nil
	default:
		return reconcile.Hint{}, false, nil
	}
}

func ofPull(number int64) (reconcile.Hint, bool, error) {
	if number < 1 {
		return reconcile.Hint{}, false, fmt.Errorf("%d is not the number of a pull request", number)
	}
	return reconcile.Hint{Number: number}, true, nil
}

func ofCommit(sha string) (reconcile.Hint, bool, error) {
	id, err := ref.ParseSHA(sha)
	return reconcile.Hint{SHA: id}, err == nil, err
}

func ofBranch(name string) (reconcile.Hint, bool, error) {
	if name == "" {
		return reconcile.Hint{}, false, errors.New("it names no branch")
	}
	return reconcile.Hint{Branch: name}, true, nil
}
