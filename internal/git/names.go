package git

import (
	"fmt"
	"net/url"
	"strings"

	"slipway/internal/fault"
	"slipway/internal/ref"
)

// checkSHAs refuses anything that is not a full commit id.
func checkSHAs(shas ...ref.SHA) error {
	for _, sha := range shas {
		if _, err := ref.ParseSHA(string(sha)); err != nil {
			return fault.AsPermanent(err)
		}
	}
	return nil
}

// checkBranch holds a branch's name to the rules of git-check-ref-format, and
// to its --branch rule that no name begins with a dash.
func checkBranch(name string) error {
	if why := badBranch(name); why != "" {
		return fault.AsPermanent(fmt.Errorf("%q is no name for a branch: %s", name, why))
	}
	return nil
}

func badBranch(name string) string {
	switch {
	case name == "":
		return "it is empty"
	case len(name) > 200:
		return "it is longer than 200 bytes"
	case name == "HEAD":
		return "it is HEAD"
	case strings.HasPrefix(name, "-"):
		return "it begins with a dash"
	case strings.HasSuffix(name, "."):
		return "it ends with a dot"
	case strings.Contains(name, ".."):
		return "it holds two dots"
	case strings.Contains(name, "@{"):
		return "it holds @{"
	case name == "@":
		return "it is @"
	case strings.ContainsFunc(name, func(r rune) bool {
		return r <= ' ' || r == 0x7f || strings.ContainsRune(`~^:?*[\`, r)
	}):
		return `it holds a space, a control character or one of ~^:?*[\`
	}
	for part := range strings.SplitSeq(name, "/") {
		switch {
		case part == "":
			return "a part of it is empty"
		case strings.HasPrefix(part, "."):
			return "a part of it begins with a dot"
		case strings.HasSuffix(part, ".lock"):
			return "a part of it ends with .lock"
		}
	}
	return ""
}

// remote asks the configuration for the address and checks it: it may hold no
// secret, because it is stored and printed, and must be one of three schemes.
func (g *Mirrors) remote(repo ref.RepoID) (Remote, error) {
	r, err := g.config.Remote(repo)
	if err != nil {
		return Remote{}, err
	}
	u, err := url.Parse(r.URL)
	if err != nil {
		// The parser's own words repeat the address, with what it may hold.
		return Remote{}, fault.AsPermanent(fmt.Errorf("the address of %s is not a URL", repo))
	}
	switch {
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		err = fmt.Errorf("the address of %s holds a user, a query or a fragment: give the token apart", repo)
	case u.Scheme == "file":
		if r.Token != "" {
			err = fmt.Errorf("the address of %s is a folder, which takes no token", repo)
		}
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		err = fmt.Errorf("the address of %s is not http, https or file", repo)
	case strings.ContainsAny(r.Token+r.Username, "\r\n\x00"):
		err = fmt.Errorf("the token or the user of %s holds a line end", repo)
	}
	if err != nil {
		return Remote{}, fault.AsPermanent(err)
	}
	return r, nil
}
