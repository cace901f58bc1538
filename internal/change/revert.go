package change

import (
	"strings"

	"slipway/internal/ref"
)

// revertPhrase begins the line that git writes into the message of a revert
// (git-revert, "This reverts commit <sha>.").
const revertPhrase = "This reverts commit "

// Reverts lists the commits that a commit message says it takes back, each
// once, in order. Only git's own form counts: a whole line, unquoted, with a
// full commit id; for a merge commit git goes on with ", reversing".
func Reverts(body string) []ref.SHA {
	var found []ref.SHA
	seen := map[ref.SHA]bool{}
	for line := range strings.Lines(body) {
		rest, ok := strings.CutPrefix(strings.TrimRight(line, " \t\r\n"), revertPhrase)
		if !ok {
			continue
		}
		id, _ := strings.CutSuffix(rest, ", reversing")
		id, _ = strings.CutSuffix(id, ".")
		sha, err := ref.ParseSHA(id)
		if err != nil || seen[sha] {
			continue
		}
		seen[sha] = true
		found = append(found, sha)
	}
	return found
}

// RevertLine is the line by which a commit message says that it takes back
// commit, as Reverts reads it.
func RevertLine(commit ref.SHA) string { return revertPhrase + string(commit) + "." }
