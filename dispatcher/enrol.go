package dispatcher

import (
	"context"
	"fmt"
	"regexp"
	"time"

	"slipway/internal/fault"
	"slipway/internal/journal"
)

// Enrol lets a new credential speak for its coordinate, which must be in the
// pool config in force. What is known of it already is success; a hash that is
// another coordinate's is fault.Permanent.
func (d *Dispatcher) Enrol(ctx context.Context, by string, c Credential) error {
	if !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(c.Hash) {
		return fault.AsPermanent(fmt.Errorf("enrol %s: the hash is not the SHA-256 of a secret, in hexadecimal", c.Address))
	}
	if known, found, err := d.Store.Credential(ctx, c.Hash); err != nil {
		return fmt.Errorf("enrol %s: %w", c.Address, err)
	} else if found {
		return d.enrolled(c, known)
	}
	return d.transact(ctx, Scope{Set: true}, func(v View) (Write, error) {
		if v.Set == nil {
			return Write{}, fault.AsPermanent(fmt.Errorf("enrol %s: no pool config is in force yet", c.Address))
		}
		if _, there := v.Set.Replicas[c.Address]; !there {
			return Write{}, fault.AsPermanent(fmt.Errorf("enrol %s: it is no coordinate of the pool config in force", c.Address))
		}
		c := Credential{Hash: c.Hash, Address: c.Address, Created: v.Now, Expires: c.Expires}
		if ended := c.Ended(v.Now); ended != "" {
			return Write{}, fault.AsPermanent(fmt.Errorf("enrol %s: the credential %s", c.Address, ended))
		}
		return Write{Credentials: []Credential{c}, Journal: []journal.Entry{credentialEntry(v.Now, by, "enrolled", c)}}, nil
	})
}

// Revoke takes a credential back. One that is revoked already stays as it is.
func (d *Dispatcher) Revoke(ctx context.Context, by, hash string) error {
	c, found, err := d.Store.Credential(ctx, hash)
	switch {
	case err != nil:
		return fmt.Errorf("revoke a credential: %w", err)
	case !found:
		return fault.AsPermanent(fmt.Errorf("there is no credential with the hash %q", hash))
	case !c.Revoked.IsZero():
		return nil
	}
	return d.transact(ctx, Scope{}, func(v View) (Write, error) {
		c := c
		c.Revoked = v.Now
		return Write{Credentials: []Credential{c}, Journal: []journal.Entry{credentialEntry(v.Now, by, "revoked", c)}}, nil
	})
}

// Credentials lists them, without any secret, by coordinate and age.
func (d *Dispatcher) Credentials(ctx context.Context) ([]Credential, error) {
	return d.Store.Credentials(ctx)
}

// enrolled compares a credential with the one that has its hash.
func (d *Dispatcher) enrolled(c, known Credential) error {
	if known.Address != c.Address {
		return fault.AsPermanent(fmt.Errorf("enrol %s: the credential is %s's", c.Address, known.Address))
	}
	if ended := known.Ended(d.Now()); ended != "" {
		return fault.AsPermanent(fmt.Errorf("enrol %s: the credential %s", c.Address, ended))
	}
	return nil
}

// credentialEntry names a credential by the start of its hash: enough to find
// it.
func credentialEntry(now time.Time, by, what string, c Credential) journal.Entry {
	e := journal.Entry{At: now, Actor: by, Action: "pools." + what, Subject: c.Address.String(), Identity: c.Hash[:12]}
	if !c.Expires.IsZero() {
		e.Data = map[string]string{"expires": c.Expires.UTC().Format(time.RFC3339)}
	}
	return e
}
