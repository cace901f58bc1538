package change

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// KeyID names a public key: the first 16 hexadecimal digits of its SHA-256.
func KeyID(key ed25519.PublicKey) string {
	sum := sha256.Sum256(key)
	return hex.EncodeToString(sum[:8])
}

// SignReceipt gives the receipt with the key's id and its signature. Times
// become UTC at microseconds first, as every store keeps them. A key that is
// none, or a time that JSON cannot hold, leaves the receipt unsigned.
func SignReceipt(r Receipt, key ed25519.PrivateKey) Receipt {
	r.Signature, r.Key = "", ""
	if len(key) != ed25519.PrivateKeySize {
		return r
	}
	public, _ := key.Public().(ed25519.PublicKey)
	r.Key = KeyID(public)
	r.MergedAt = settled(r.MergedAt)
	if r.Emergency != nil {
		e := *r.Emergency
		e.At = settled(e.At)
		r.Emergency = &e
	}
	signed, err := signedBytes(r)
	if err != nil {
		return r
	}
	r.Signature = base64.StdEncoding.EncodeToString(ed25519.Sign(key, signed))
	return r
}

// VerifyReceipt says whether one of the keys signed exactly this receipt; nil
// means that it did.
func VerifyReceipt(r Receipt, keys ...ed25519.PublicKey) error {
	if r.Signature == "" {
		return errors.New("the receipt is not signed")
	}
	signature, err := base64.StdEncoding.Strict().DecodeString(r.Signature)
	if err != nil || len(signature) != ed25519.SignatureSize || base64.StdEncoding.EncodeToString(signature) != r.Signature {
		return errors.New("the receipt's signature is none")
	}
	signed, err := signedBytes(r)
	if err != nil {
		return err
	}
	for _, key := range keys {
		if len(key) != ed25519.PublicKeySize || KeyID(key) != r.Key {
			continue
		}
		if !ed25519.Verify(key, signed, signature) {
			return fmt.Errorf("the receipt is not what the key %s signed", r.Key)
		}
		return nil
	}
	return fmt.Errorf("the receipt is signed by the key %q, which is not given", r.Key)
}

// signedBytes are what is signed: the receipt as compact JSON, fields in their
// order, without the signature and with no character written otherwise for the
// sake of HTML. Text that is not UTF-8 comes out other than any that is.
func signedBytes(r Receipt) ([]byte, error) {
	r.Signature = ""
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(r); err != nil {
		return nil, fmt.Errorf("the receipt cannot be written: %w", err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

func settled(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }
