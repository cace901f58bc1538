package ref

import "fmt"

// Fact is something observed that may also not be known. The zero value is
// Unknown, and nothing irreversible is ever done on Unknown: a read that
// failed looks the same as one that was never made.
type Fact uint8

// The three values of a Fact.
const (
	Unknown Fact = iota
	Yes
	No
)

// Known turns a bool that was really read into a Fact.
func Known(b bool) Fact {
	if b {
		return Yes
	}
	return No
}

func (f Fact) String() string {
	switch f {
	case Yes:
		return "yes"
	case No:
		return "no"
	default:
		return "unknown"
	}
}

// MarshalText writes yes, no or unknown.
func (f Fact) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (f *Fact) UnmarshalText(b []byte) error {
	switch string(b) {
	case "yes":
		*f = Yes
	case "no":
		*f = No
	case "unknown", "":
		*f = Unknown
	default:
		return fmt.Errorf("%q is not yes, no or unknown", b)
	}
	return nil
}
