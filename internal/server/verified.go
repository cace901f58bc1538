package server

import (
	"context"

	"slipway/internal/fault"
)

// Verified is the answer about the journal.
type Verified struct {
	// Entries and Head are the number and the hash of the last entry that holds.
	Entries int64  `json:"entries"`
	Head    string `json:"head"`
	// Broken says where and how the chain is broken, if it is.
	Broken string `json:"broken,omitempty"`
}

// Verify has a reader check the journal. An error means that the journal could
// not be read, which says nothing about its chain.
func Verify(ctx context.Context, r Reader) (Verified, error) {
	seq, hash, err := r.VerifyJournal(ctx)
	v := Verified{Entries: seq, Head: hash}
	switch {
	case fault.KindOf(err) == fault.Permanent:
		v.Broken = err.Error()
	case err != nil:
		return Verified{}, err
	}
	return v, nil
}
