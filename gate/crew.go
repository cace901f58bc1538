package gate

import "slipway/internal/ref"

// Crew is what the dispatcher knows of those who take part in a pull request:
// which of them are coordinates of its pools, and which attempts stand behind
// what they did. The zero value was not read.
type Crew struct {
	// Read is No where there are no pools: nothing below counts then. Unknown
	// merges nothing.
	Read ref.Fact `json:"read"`
	// Members are coordinates, by login in lower case. Their model is that of the
	// attempt behind what they did at this head: for the author's the attempts
	// that registered it, for a reviewer's the one that reviewed it. Without such
	// an attempt, or with several that differ, it is unknown. They go before what
	// a configuration declares of the same login.
	Members map[string]Principal `json:"members,omitempty"`
	// Registered says whether this head was registered under the live token of an
	// attempt of the author's. It counts only where the author is a member.
	Registered ref.Fact `json:"registered"`
}
