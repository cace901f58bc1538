// Package fault sorts errors by what to do next, which is all that a
// reconciler wants to know of them.
package fault

import "errors"

// Kind is what to do about an error. The zero value is Later, so an error
// that nobody sorted is retried and never taken for final.
type Kind uint8

// The kinds.
const (
	// Later: try again with backoff; something is down or slow.
	Later Kind = iota
	// Changed: the precondition no longer holds; observe again, then decide.
	Changed
	// Permanent: it will not work until a person or a new fact changes it.
	Permanent
)

type sorted struct {
	error
	kind Kind
}

func (s sorted) Unwrap() error { return s.error }

// AsChanged marks err as a lost precondition. nil stays nil.
func AsChanged(err error) error { return mark(err, Changed) }

// AsPermanent marks err as final until something changes. nil stays nil.
func AsPermanent(err error) error { return mark(err, Permanent) }

// KindOf is the kind of the outermost mark on err, or Later.
func KindOf(err error) Kind {
	var s sorted
	if errors.As(err, &s) {
		return s.kind
	}
	return Later
}

func mark(err error, k Kind) error {
	if err == nil {
		return nil
	}
	return sorted{err, k}
}
