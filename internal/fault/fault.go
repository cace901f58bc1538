// Package fault sorts errors by what to do next, which is all that a
// reconciler wants to know of them.
package fault

import (
	"errors"
	"time"
)

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
	at   time.Time
	to   string
}

func (s sorted) Unwrap() error { return s.error }

// AsChanged marks err as a lost precondition. nil stays nil.
func AsChanged(err error) error { return mark(err, Changed) }

// AsPermanent marks err as final until something changes. nil stays nil.
func AsPermanent(err error) error { return mark(err, Permanent) }

// NotBefore marks err as one to be tried later, and no sooner than at. nil stays
// nil.
func NotBefore(err error, at time.Time) error {
	if err == nil {
		return nil
	}
	return sorted{error: err, at: at}
}

// Moved marks err as final for what it asked about has another name now, to,
// under which it is something else to us. nil stays nil.
func Moved(err error, to string) error {
	if err == nil {
		return nil
	}
	return sorted{error: err, kind: Permanent, to: to}
}

// MovedTo is the other name; ok is false when err does not tell one.
func MovedTo(err error) (to string, ok bool) {
	var s sorted
	if errors.As(err, &s) {
		return s.to, s.to != ""
	}
	return "", false
}

// When is the time before which it is of no use to try again; ok is false when
// err does not say.
func When(err error) (at time.Time, ok bool) {
	var s sorted
	if errors.As(err, &s) && s.kind == Later {
		return s.at, !s.at.IsZero()
	}
	return time.Time{}, false
}

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
	return sorted{error: err, kind: k}
}
