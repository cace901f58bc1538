package config

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// Secret is a token or password. However it is printed, logged or encoded, it
// says only that it is redacted (A3). It keeps its value in a function, so
// that printing a struct around it, by reflection, finds no text either.
type Secret struct{ reveal func() string }

// NewSecret hides value.
func NewSecret(value string) Secret { return Secret{func() string { return value }} }

// Reveal is the value itself, for the call that needs it; "" when not set.
func (s Secret) Reveal() string {
	if s.reveal == nil {
		return ""
	}
	return s.reveal()
}

// IsZero reports whether there is no value.
func (s Secret) IsZero() bool { return s.Reveal() == "" }

// Matches compares with what somebody presented, in a time that tells nothing
// about either. No value matches nothing.
func (s Secret) Matches(presented string) bool {
	want, got := sha256.Sum256([]byte(s.Reveal())), sha256.Sum256([]byte(presented))
	return subtle.ConstantTimeCompare(want[:], got[:]) == 1 && !s.IsZero()
}

func (s Secret) String() string   { return redacted }
func (s Secret) GoString() string { return redacted }

// Format answers every verb alike.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText, MarshalJSON and MarshalYAML write no value.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalJSON writes no value.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalYAML writes no value.
func (s Secret) MarshalYAML() (any, error) { return redacted, nil }

// LogValue gives slog no value.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }
