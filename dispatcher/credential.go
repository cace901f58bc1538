package dispatcher

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"slipway/pools"
)

const (
	// CredentialPrefix begins every coordinate's secret, so that scanners know one
	// when it lies around.
	CredentialPrefix = "slipway_w_"
	// credentialBytes is how many random bytes follow it.
	credentialBytes = 32
)

// NewCredential mints the secret of a coordinate, and what the store keeps of
// it. The zero expires is never.
func NewCredential(a pools.Address, now, expires time.Time) (secret string, c Credential, err error) {
	var random [credentialBytes]byte
	if _, err := rand.Read(random[:]); err != nil {
		return "", Credential{}, fmt.Errorf("mint a credential of %s: %w", a, err)
	}
	secret = CredentialPrefix + base64.RawURLEncoding.EncodeToString(random[:])
	hash, _ := HashCredential(secret)
	return secret, Credential{Hash: hash, Address: a, Created: now, Expires: expires}, nil
}

// HashCredential is under which a secret is looked up; ok is false for what
// cannot be one.
func HashCredential(secret string) (hash string, ok bool) {
	random, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(secret, CredentialPrefix))
	if err != nil || len(random) != credentialBytes || secret != CredentialPrefix+base64.RawURLEncoding.EncodeToString(random) {
		return "", false
	}
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:]), true
}

// Ended says why a credential is good no more; "" while it is.
func (c Credential) Ended(now time.Time) string {
	switch {
	case !c.Revoked.IsZero():
		return fmt.Sprintf("this credential of %s was revoked on %s", c.Address, c.Revoked.UTC().Format(time.RFC3339))
	case !c.Expires.IsZero() && !now.Before(c.Expires):
		return fmt.Sprintf("this credential of %s has expired on %s", c.Address, c.Expires.UTC().Format(time.RFC3339))
	default:
		return ""
	}
}
