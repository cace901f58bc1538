package pools

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The shape of an address, a pool and their parts. A word has no hyphen, so a
// name can be taken apart in one way only; a name made of them is a DNS label.
const (
	wordShape    = `[a-z][a-z0-9]{0,19}`
	replicaShape = `0|[1-9][0-9]{0,3}`
	// Free is how a selector writes what it leaves open.
	Free = "*"
	part = `(\*|` + wordShape + `)`
)

var (
	addressPattern  = regexp.MustCompile(`^(` + wordShape + `)-(` + wordShape + `)-(` + replicaShape + `)$`)
	poolPattern     = regexp.MustCompile(`^(` + wordShape + `)-(` + wordShape + `)$`)
	selectorPattern = regexp.MustCompile(`^` + part + `(?:-` + part + `(?:-(\*|` + replicaShape + `))?)?$`)
)

// ParseAddress reads <role>-<tier>-<replica> of a vocabulary and refuses
// everything else.
func ParseAddress(s string, v Vocabulary) (Address, error) {
	a, err := ReadAddress(s)
	if err != nil {
		return Address{}, err
	}
	if err := v.knows(a.Role, a.Tier); err != nil {
		return Address{}, fmt.Errorf("address %q: %w", s, err)
	}
	return a, nil
}

// ReadAddress reads an address by its shape alone, as stores and tokens keep
// it.
func ReadAddress(s string) (Address, error) {
	m := addressPattern.FindStringSubmatch(s)
	if m == nil {
		return Address{}, fmt.Errorf("address %q is not <role>-<tier>-<replica>, such as builder-lite-0", s)
	}
	n, _ := strconv.Atoi(m[3]) // at most four digits
	return Address{Role: m[1], Tier: m[2], Replica: n}, nil
}

// ParsePoolName reads <role>-<tier> of a vocabulary.
func ParsePoolName(s string, v Vocabulary) (PoolName, error) {
	var p PoolName
	if err := p.read(s); err != nil {
		return PoolName{}, err
	}
	if err := v.knows(p.Role, p.Tier); err != nil {
		return PoolName{}, fmt.Errorf("pool %q: %w", s, err)
	}
	return p, nil
}

// ParseSelector reads a selector of a vocabulary.
func ParseSelector(s string, v Vocabulary) (Selector, error) {
	sel, err := ReadSelector(s)
	if err != nil {
		return Selector{}, err
	}
	if err := v.knows(sel.Role, sel.Tier); err != nil {
		return Selector{}, fmt.Errorf("selector %q: %w", s, err)
	}
	return sel, nil
}

// ReadSelector reads a selector by its shape alone.
func ReadSelector(s string) (Selector, error) {
	m := selectorPattern.FindStringSubmatch(s)
	if m == nil {
		return Selector{}, fmt.Errorf("selector %q is not <role>, <role>-<tier> or <role>-<tier>-<replica> with %s for what is free, such as builder-lite", s, Free)
	}
	sel := Selector{Role: strings.TrimPrefix(m[1], Free), Tier: strings.TrimPrefix(m[2], Free)}
	if m[3] != "" && m[3] != Free {
		n, _ := strconv.Atoi(m[3]) // at most four digits
		sel.Replica = &n
	}
	return sel, nil
}

func (a Address) String() string {
	if a.IsZero() {
		return ""
	}
	return a.Pool().String() + "-" + strconv.Itoa(a.Replica)
}

// IsZero says whether it names nobody.
func (a Address) IsZero() bool { return a == Address{} }

// Pool is the pool that the coordinate is in.
func (a Address) Pool() PoolName { return PoolName{Role: a.Role, Tier: a.Tier} }

// Compare orders by role, tier and replica.
func (a Address) Compare(b Address) int {
	return cmp.Or(a.Pool().Compare(b.Pool()), cmp.Compare(a.Replica, b.Replica))
}

// MarshalText writes it as String does.
func (a Address) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads it by its shape.
func (a *Address) UnmarshalText(b []byte) (err error) {
	if *a = (Address{}); len(b) == 0 {
		return nil
	}
	*a, err = ReadAddress(string(b))
	return err
}

func (p PoolName) String() string {
	if p.IsZero() {
		return ""
	}
	return p.Role + "-" + p.Tier
}

// IsZero says whether it names no pool.
func (p PoolName) IsZero() bool { return p == PoolName{} }

// Compare orders by role and tier.
func (p PoolName) Compare(q PoolName) int {
	return cmp.Or(cmp.Compare(p.Role, q.Role), cmp.Compare(p.Tier, q.Tier))
}

// MarshalText writes it as String does.
func (p PoolName) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads it by its shape.
func (p *PoolName) UnmarshalText(b []byte) error {
	if *p = (PoolName{}); len(b) == 0 {
		return nil
	}
	return p.read(string(b))
}

func (p *PoolName) read(s string) error {
	m := poolPattern.FindStringSubmatch(s)
	if m == nil {
		return fmt.Errorf("pool %q is not <role>-<tier>, such as builder-lite", s)
	}
	*p = PoolName{Role: m[1], Tier: m[2]}
	return nil
}

// String writes a selector in its one canonical form: without trailing *.
func (s Selector) String() string {
	parts := []string{s.Role, s.Tier, ""}
	if s.Replica != nil {
		parts[2] = strconv.Itoa(*s.Replica)
	}
	for len(parts) > 1 && parts[len(parts)-1] == "" {
		parts = parts[:len(parts)-1]
	}
	for i := range parts {
		if parts[i] == "" {
			parts[i] = Free
		}
	}
	return strings.Join(parts, "-")
}

// Matches says whether it chooses a coordinate.
func (s Selector) Matches(a Address) bool {
	return !a.IsZero() && (s.Role == "" || s.Role == a.Role) && (s.Tier == "" || s.Tier == a.Tier) &&
		(s.Replica == nil || *s.Replica == a.Replica)
}

// MarshalText writes it as String does.
func (s Selector) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads it by its shape.
func (s *Selector) UnmarshalText(b []byte) (err error) {
	*s, err = ReadSelector(string(b))
	return err
}

// knows refuses a role or tier that is not declared; an empty one says nothing.
func (v Vocabulary) knows(role, tier string) error {
	if role != "" && !slices.Contains(v.Roles, role) {
		return fmt.Errorf("there is no role %q; the roles are %s", role, strings.Join(v.Roles, ", "))
	}
	if tier != "" && !slices.Contains(v.Tiers, tier) {
		return fmt.Errorf("there is no tier %q; the tiers are %s", tier, strings.Join(v.Tiers, ", "))
	}
	return nil
}
