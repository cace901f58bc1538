package config

import (
	"fmt"
	"net"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
	"github.com/bmatcuk/doublestar/v4"

	"slipway/gate"
	"slipway/internal/ref"
)

var (
	labelPattern    = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	loginPattern    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)
	teamPattern     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}/[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)
	cronPattern     = regexp.MustCompile(`^[^\s=@]+( [^\s=@]+){4}$`)
	localPattern    = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2})?$`)
	accountPattern  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}(\[bot\])?$`)
	instantPattern  = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(Z|[+-][0-9]{2}:[0-9]{2})$`)
	eventPattern    = regexp.MustCompile(`^[a-z][a-z_]{0,49}$`)
	hostPattern     = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?$`)
	imagePattern    = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)
	variablePattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	packagePattern  = regexp.MustCompile(`^[A-Za-z0-9._/-]+$`)
	branchPattern   = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9._/+-]{0,250}[A-Za-z0-9_+-])?$`)
	answerPattern   = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)
)

// check is a question about a text, with what of it a schema can ask.
type check struct {
	pattern string
	enum    []string
	// wrong says what is, or "".
	wrong func(string) string
}

// matches asks for a pattern that want describes.
func matches(pattern *regexp.Regexp, want string) check {
	return check{pattern: pattern.String(), wrong: func(s string) string {
		if pattern.MatchString(s) {
			return ""
		}
		return fmt.Sprintf("%q is not %s", clip(s), want)
	}}
}

// among asks for one of a few words.
func among(allowed ...string) check {
	return check{enum: allowed, wrong: func(s string) string {
		if slices.Contains(allowed, s) {
			return ""
		}
		return fmt.Sprintf("%q is none of %s", clip(s), strings.Join(allowed, ", "))
	}}
}

// that asks what no schema can.
func that(wrong func(string) string) check { return check{wrong: wrong} }

func label() check {
	return matches(labelPattern, "a DNS label (lower-case letters, digits and -, at most 63)")
}

func login() check { return matches(loginPattern, "a login") }

// account is a login, or that of an App.
func account() check { return matches(accountPattern, "a login") }

func team() check { return matches(teamPattern, "a team: want OWNER/TEAM") }

// moment asks for a time with its zone.
func moment() check {
	c := matches(instantPattern, "a moment such as 2027-01-01T00:00:00Z")
	match := c.wrong
	c.wrong = func(s string) string {
		if wrong := match(s); wrong != "" {
			return wrong
		}
		if _, err := time.Parse(time.RFC3339, s); err != nil {
			return fmt.Sprintf("%q is a day or an hour that there is not", s)
		}
		return ""
	}
	return c
}

func event() check { return matches(eventPattern, "a workflow event such as pull_request") }

// exactContext accepts what can be compared exactly.
func exactContext(s string) string {
	switch {
	case s == gate.StatusContext:
		return fmt.Sprintf("%q is Slipway's own status and cannot be required", s)
	case strings.ContainsAny(s, "*?"):
		return fmt.Sprintf("%q has a wildcard; a context is compared exactly", s)
	case len(s) > 255:
		return "is longer than 255 bytes"
	}
	return ""
}

// inside accepts a path that stays in the repository.
func inside(s string) string {
	clean := strings.TrimPrefix(s, "./")
	switch {
	case path.IsAbs(s) || strings.Contains(s, `\`) || slices.Contains(strings.Split(s, "/"), ".."):
		return fmt.Sprintf("%q must be a path inside the repository", s)
	case strings.HasPrefix(s, "-"):
		return fmt.Sprintf("%q must not start with -", s)
	case clean != "" && path.Clean(clean) != clean:
		return fmt.Sprintf("%q is written more simply %q", s, path.Clean(s))
	}
	return ""
}

func workflowFile(s string) string {
	if ext := path.Ext(s); ext != ".yml" && ext != ".yaml" {
		return fmt.Sprintf("%q is no workflow file (.yml or .yaml)", s)
	}
	return ""
}

func mainPackage(s string) string {
	if !packagePattern.MatchString(s) || strings.Contains(s, "...") {
		return fmt.Sprintf("%q is not the path of one Go package", s)
	}
	return ""
}

// address accepts http and https with a host. It never repeats the text, which
// may hold a password.
func address(s string) string {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return "is not an address that starts with http:// or https:// and names a host"
	case u.User != nil:
		return "must not hold a user or a password"
	case u.Port() != "" && !portNumber(u.Port(), 1):
		return "has no valid port"
	case u.Fragment != "":
		return "must not have a fragment (#)"
	}
	return ""
}

// baseAddress accepts an address that paths can be added to.
func baseAddress(s string) string {
	if u, err := url.Parse(s); err == nil && (u.RawQuery != "" || u.ForceQuery) {
		return "must not have a query (?)"
	}
	return address(s)
}

func listenAddress(s string) string {
	host, port, err := net.SplitHostPort(s)
	if err != nil || !portNumber(port, 0) || host != "" && net.ParseIP(host) == nil && !hostPattern.MatchString(host) {
		return fmt.Sprintf("%q is not HOST:PORT", s)
	}
	return ""
}

func registryHost(s string) string {
	_, port, found := strings.Cut(s, ":")
	if !hostPattern.MatchString(s) || found && !portNumber(port, 1) {
		return "is not HOST or HOST:PORT, without a scheme or path"
	}
	return ""
}

func probePath(s string) string {
	if !strings.HasPrefix(s, "/") || strings.ContainsAny(s, `\#? `) || slices.Contains(strings.Split(s, "/"), "..") {
		return fmt.Sprintf("%q is not a path such as /version", s)
	}
	return ""
}

// branch accepts what git does, but for a few names that only make trouble.
func branch(s string) string {
	if !branchPattern.MatchString(s) || strings.Contains(s, "..") || strings.Contains(s, "//") || strings.HasSuffix(s, ".lock") {
		return fmt.Sprintf("%q is not the name of a branch", s)
	}
	return ""
}

func version(s string) string {
	v, err := semver.StrictNewVersion(s)
	if err != nil || v.Prerelease() != "" || v.Metadata() != "" {
		return fmt.Sprintf("%q is not a version such as 0.1.0, without a prefix", s)
	}
	return ""
}

func tagPrefix(s string) string {
	if _, err := ref.ParseTag(s + "0.1.0"); err != nil {
		return fmt.Sprintf("%q cannot start a git tag and an image tag", s)
	}
	if last := s[len(s)-1]; last >= '0' && last <= '9' {
		return fmt.Sprintf("%q ends in a digit, which would run into the version", s)
	}
	return ""
}

func platforms() []string {
	return []string{"linux/386", "linux/amd64", "linux/arm", "linux/arm64", "linux/ppc64le", "linux/riscv64", "linux/s390x"}
}

func platform() check {
	return check{enum: platforms(), wrong: func(s string) string {
		if slices.Contains(platforms(), s) {
			return ""
		}
		return fmt.Sprintf("%q is no platform%s", clip(s), meant(s, platforms()))
	}}
}

// glob accepts a pattern of paths in the repository.
func glob(s string) string {
	switch {
	case !doublestar.ValidatePattern(s):
		return fmt.Sprintf("%q is not a pattern of paths", clip(s))
	case alternatives(s) > maxAlternatives:
		return fmt.Sprintf("%q has more than %d alternatives in all: write several patterns", clip(s), maxAlternatives)
	case path.IsAbs(s) || strings.HasPrefix(s, "./") || strings.HasSuffix(s, "/") || slices.Contains(strings.Split(s, "/"), ".."):
		return fmt.Sprintf("%q matches no path: paths are written from the root of the repository, as docs/** or **/*.go", clip(s))
	}
	return ""
}

// alternatives is how many patterns one with braces may stand for, at the most:
// matching tries them one by one, whatever it costs.
func alternatives(pattern string) int {
	all, here := 1, []int(nil)
	for i := 0; i < len(pattern) && all <= maxAlternatives; i++ {
		switch pattern[i] {
		case '\\':
			i++
		case '{':
			here = append(here, 1)
		case ',':
			if len(here) > 0 {
				here[len(here)-1]++
			}
		case '}':
			if len(here) > 0 {
				all, here = all*here[len(here)-1], here[:len(here)-1]
			}
		}
	}
	return all
}

func portNumber(s string, least int) bool {
	n, err := strconv.Atoi(s)
	return err == nil && n >= least && n <= 65535
}
