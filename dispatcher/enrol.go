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
	known, found, err := d.Store.Credential(ctx, c.Hash)
	if err != nil {
		return fmt.Errorf("enrol %s: %w", c.Address, err)
	}
	return d.transact(ctx, Scope{Set: true}, func(v View) (Write, error) {
		why := ""
		switch {
		case !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(c.Hash):
			why = "the hash is not the SHA-256 of a secret, in hexadecimal"
		case found && known.Address != c.Address:
			why = "the credential is " + known.Address.String() + "'s"
		case found:
			why = known.Ended(v.Now)
		default:
			why = v.strange(c)
		}
		if why != "" {
			return credentialRefused(v, by, "enrol", c.Address.String(), why), fault.AsPermanent(fmt.Errorf("enrol %s: %s", c.Address, why))
		}
		if found {
			return Write{}, nil
		}
		c := Credential{Hash: c.Hash, Address: c.Address, Created: v.Now, Expires: c.Expires}
		return Write{Credentials: []Credential{c}, Journal: []journal.Entry{credentialEntry(v.Now, by, "enrolled", c)}}, nil
	})
}

// Revoke takes a credential back. One that is revoked already stays as it is.
func (d *Dispatcher) Revoke(ctx context.Context, by, hash string) error {
	c, found, err := d.Store.Credential(ctx, hash)
	if err != nil {
		return fmt.Errorf("revoke a credential: %w", err)
	}
	if found && !c.Revoked.IsZero() {
		return nil
	}
	return d.transact(ctx, Scope{}, func(v View) (Write, error) {
		if !found {
			const why = "there is no credential with that hash"
			return credentialRefused(v, by, "revoke", "a credential", why), fault.AsPermanent(fmt.Errorf("revoke a credential: %s", why))
		}
		c := c
		c.Revoked = v.Now
		return Write{Credentials: []Credential{c}, Journal: []journal.Entry{credentialEntry(v.Now, by, "revoked", c)}}, nil
	})
}

// Credentials lists them, without any secret, by coordinate and age.
func (d *Dispatcher) Credentials(ctx context.Context) ([]Credential, error) {
	return d.Store.Credentials(ctx)
}

// strange is why a credential cannot speak for its coordinate; "" when it can.
func (v View) strange(c Credential) string {
	if v.Set == nil {
		return "no pool config is in force yet"
	}
	if _, there := v.Set.Replicas[c.Address]; !there {
		return "it is no coordinate of the pool config in force"
	}
	return c.Ended(v.Now)
}

// credentialRefused is the journal's entry of a credential that was not taken or
// not found. What was sent for its hash is not in it: it may be the secret.
func credentialRefused(v View, by, what, subject, why string) Write {
	return Write{Journal: []journal.Entry{{At: v.Now, Actor: by, Action: "refused.pools." + what, Subject: subject, Reason: why}}}
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
