// Package journal defines the entries of the append-only journal and the hash
// chain that binds them. It decides whether a chain is whole; it never stores
// one, and state is never computed from it.
package journal

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
)

// Entry is one action, refusal or observation worth keeping (A1).
type Entry struct {
	Seq int64     `json:"seq"` // 1 for the first; set by the store
	At  time.Time `json:"at"`
	// Actor is who: a login, an API token's name, or "slipway".
	Actor string `json:"actor"`
	// Action is what: a stable verb such as "merge.intent" or "deploy.rollback".
	Action string `json:"action"`
	// Subject is on what: acme/app#1, acme/app/production, …
	Subject string `json:"subject"`
	// Identity is the exact thing acted on: a commit, a digest, a tag.
	Identity string `json:"identity,omitempty"`
	// Reason is why, in a sentence.
	Reason string `json:"reason,omitempty"`
	// Data holds further evidence; encoding/json sorts its keys, so it hashes
	// the same each time.
	Data map[string]string `json:"data,omitempty"`
	// Prev is the hash of the entry before; "" for the first.
	Prev string `json:"prev"`
	// Hash is over everything above.
	Hash string `json:"hash"`
}

// Seal sets the sequence number, the link to the entry before and the hash.
// Times are kept in UTC at microseconds, which every store keeps exactly.
func Seal(e Entry, seq int64, prev string) (Entry, error) {
	e.Seq, e.Prev, e.At = seq, prev, e.At.UTC().Truncate(time.Microsecond)
	h, err := hash(e)
	if err != nil {
		return Entry{}, err
	}
	e.Hash = h
	return e, nil
}

// Verifier checks a chain entry by entry; the zero value expects the first.
type Verifier struct {
	seq  int64
	prev string
}

// Next accepts the following entry or says how the chain is broken there.
func (v *Verifier) Next(e Entry) error {
	if e.Seq != v.seq+1 {
		return fmt.Errorf("journal entry %d follows entry %d: %d missing", e.Seq, v.seq, e.Seq-v.seq-1)
	}
	if e.Prev != v.prev {
		return fmt.Errorf("journal entry %d does not continue entry %d", e.Seq, v.seq)
	}
	want, err := hash(e)
	if err != nil {
		return err
	}
	if e.Hash != want {
		return fmt.Errorf("journal entry %d was changed after it was written", e.Seq)
	}
	v.seq, v.prev = e.Seq, e.Hash
	return nil
}

// Head is the sequence number and hash of the last entry accepted.
func (v *Verifier) Head() (seq int64, hash string) { return v.seq, v.prev }

func hash(e Entry) (string, error) {
	e.Hash = ""
	b, err := json.Marshal(e)
	if err != nil {
		return "", fmt.Errorf("hash journal entry %d: %w", e.Seq, err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}
