package owners

import (
	"fmt"
	"strings"

	"github.com/hmarr/codeowners"

	"slipway/gate"
)

// gitHubLine reads one line. GitHub leaves a faulty line out and goes on, so
// each is read alone.
func gitHubLine(line string) (*rule, []string) {
	line = strings.TrimSpace(line)
	if line == "" || strings.HasPrefix(line, "#") {
		return nil, nil
	}
	if strings.HasPrefix(line, "[") || strings.HasPrefix(line, "^[") {
		return nil, []string{"it is a section, which is GitLab's: GitHub knows none"}
	}
	if strings.HasPrefix(line, "!") {
		return nil, []string{"GitHub knows no pattern that begins with !: write a later rule without owners instead"}
	}
	parsed, err := codeowners.ParseFile(strings.NewReader(line))
	if err != nil {
		return nil, []string{strings.TrimPrefix(err.Error(), "line 1: ")}
	}
	if len(parsed) != 1 {
		return nil, []string{"it cannot be read"}
	}
	pattern := parsed[0].RawPattern()
	if strings.Trim(pattern, "/") == "" { // the library cannot be asked about it
		return nil, []string{fmt.Sprintf("the pattern %s matches nothing: * is all files", pattern)}
	}
	if _, err := parsed[0].Match("a"); err != nil {
		return nil, []string{err.Error()}
	}
	r := &rule{Ownership: gate.Ownership{Pattern: pattern}, weight: 1 + len(pattern)/100, matches: func(path string) bool {
		match, err := parsed[0].Match(path)
		return err != nil || match // whoever cannot tell owns
	}}
	for _, o := range parsed[0].Owners {
		if o.Type == codeowners.EmailOwner {
			r.Unmapped = append(r.Unmapped, o.Value)
		} else {
			r.Owners = append(r.Owners, o.Value)
		}
	}
	return r, nil
}
