package change

import (
	"crypto/ed25519"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"slipway/gate"
	"slipway/internal/ref"
)

func receiptKey(n byte) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	seed[0] = n
	return ed25519.NewKeyFromSeed(seed)
}

func public(key ed25519.PrivateKey) ed25519.PublicKey { return key.Public().(ed25519.PublicKey) }

func aReceipt() Receipt {
	at := time.Date(2026, 3, 1, 13, 0, 7, 123456789, time.FixedZone("", 3600))
	sha := func(c string) ref.SHA { return ref.SHA(strings.Repeat(c, 40)) }
	return Receipt{
		Change: ref.PullID{Repo: ref.RepoID{Owner: "acme", Name: "app"}, Number: 7}, Base: "main", Method: "squash",
		Head: sha("a"), Merge: sha("b"), Parent: sha("c"), Tree: sha("d"),
		Reviews:  []ReceiptReview{{Login: "ada", ID: 31, Commit: sha("a"), Observed: sha("a")}, {Login: "bob", ID: 32, Commit: sha("a"), Observed: sha("a")}},
		Statuses: []ReceiptStatus{{Context: "ci <x> & y", State: gate.StateSuccess, Reporter: "ci", URL: "http://forge.test/1?a=b&c=d"}},
		MergedBy: "slipway", MergedAt: at, Policy: "p", Snapshot: "s",
		Emergency: &gate.Emergency{By: "eve", Reason: "the site is down", Head: sha("a"), At: at},
		Journal:   JournalHead{Seq: 9, Hash: "h"},
	}
}

func TestA1AReceiptIsSigned(t *testing.T) {
	key, other := receiptKey(1), receiptKey(2)
	r := SignReceipt(aReceipt(), key)
	for _, test := range []struct {
		rule string
		r    Receipt
		keys []ed25519.PublicKey
		want string // of the error; "" for none
	}{
		{"by its key", r, []ed25519.PublicKey{public(key)}, ""},
		{"by one of several keys", r, []ed25519.PublicKey{public(other), public(key)}, ""},
		{"by another key", r, []ed25519.PublicKey{public(other)}, "not given"},
		{"with no key to hold it to", r, nil, "not given"},
		{"with half a key", r, []ed25519.PublicKey{public(key)[:16]}, "not given"},
		{"not at all", aReceipt(), []ed25519.PublicKey{public(key)}, "not signed"},
		{"with a key that is none", SignReceipt(aReceipt(), nil), []ed25519.PublicKey{public(key)}, "not signed"},
		{"again by the same key", SignReceipt(r, key), []ed25519.PublicKey{public(key)}, ""},
	} {
		t.Run(test.rule, func(t *testing.T) {
			err := VerifyReceipt(test.r, test.keys...)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v; want %q", err, test.want)
			}
		})
	}
	t.Run("the same each time", func(t *testing.T) {
		if again := SignReceipt(aReceipt(), key); !reflect.DeepEqual(again, r) {
			t.Errorf("got %+v and %+v", again, r)
		}
	})
	t.Run("its key is named by 16 digits", func(t *testing.T) {
		if len(r.Key) != 16 || r.Key != KeyID(public(key)) || r.Key == KeyID(public(other)) {
			t.Errorf("the key is named %q", r.Key)
		}
	})
	t.Run("what was signed stays as it was", func(t *testing.T) {
		before, after := aReceipt(), aReceipt()
		SignReceipt(after, key)
		if !reflect.DeepEqual(before, after) {
			t.Errorf("got %+v", after)
		}
	})
	for form, write := range map[string]func() ([]byte, error){
		"as it is kept":     func() ([]byte, error) { return json.Marshal(r) },
		"as people read it": func() ([]byte, error) { return json.MarshalIndent(r, "", "  ") },
	} {
		t.Run("it holds after it was written and read "+form, func(t *testing.T) {
			text, err := write()
			if err != nil {
				t.Fatal(err)
			}
			var read Receipt
			if err := json.Unmarshal(text, &read); err != nil {
				t.Fatal(err)
			}
			if err := VerifyReceipt(read, public(key)); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("text that is not UTF-8 is not the text with its replacement", func(t *testing.T) {
		odd := aReceipt()
		odd.MergedBy = "a\xff"
		odd = SignReceipt(odd, key)
		odd.MergedBy = "a\ufffd"
		if VerifyReceipt(odd, public(key)) == nil {
			t.Error("accepted")
		}
	})
}

// TestA1AnyChangedFieldBreaksTheReceipt changes every field there is, so that
// one that is added later and not signed is seen.
func TestA1AnyChangedFieldBreaksTheReceipt(t *testing.T) {
	key := receiptKey(1)
	signed := SignReceipt(aReceipt(), key)
	changed := 0
	var walk func(name string, at func(*Receipt) reflect.Value)
	walk = func(name string, at func(*Receipt) reflect.Value) {
		v := at(&signed)
		switch {
		case v.Type() == reflect.TypeFor[time.Time]():
		case v.Kind() == reflect.Struct:
			for i := range v.NumField() {
				walk(name+"."+v.Type().Field(i).Name, func(r *Receipt) reflect.Value { return at(r).Field(i) })
			}
			return
		case v.Kind() == reflect.Slice:
			walk(name+"[0]", func(r *Receipt) reflect.Value { return at(r).Index(0) })
		case v.Kind() == reflect.Pointer:
			walk(name+"*", func(r *Receipt) reflect.Value { return at(r).Elem() })
		}
		changed++
		t.Run(name, func(t *testing.T) {
			r := SignReceipt(aReceipt(), key)
			alter(at(&r))
			if VerifyReceipt(r, public(key)) == nil {
				t.Errorf("accepted with another %s", name)
			}
		})
	}
	walk("receipt", func(r *Receipt) reflect.Value { return reflect.ValueOf(r).Elem() })
	if changed < 30 {
		t.Errorf("only %d fields were changed", changed)
	}
}

// alter gives a field another value.
func alter(v reflect.Value) {
	switch p := v.Addr().Interface().(type) {
	case *time.Time:
		*p = p.Add(time.Nanosecond)
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Int64:
		v.SetInt(v.Int() + 1)
	case reflect.Slice:
		v.Set(v.Slice(0, v.Len()-1))
	case reflect.Pointer:
		v.Set(reflect.Zero(v.Type()))
	default:
		panic("cannot alter a " + v.Type().String())
	}
}

func TestA1NoBitOfTheSignatureIsFree(t *testing.T) {
	key := receiptKey(1)
	signed := SignReceipt(aReceipt(), key)
	rapid.Check(t, func(t *rapid.T) {
		text := []byte(signed.Signature)
		i := rapid.IntRange(0, len(text)-1).Draw(t, "at")
		b := rapid.Byte().Draw(t, "byte")
		if b == text[i] {
			t.Skip("it is the same")
		}
		text[i] = b
		r := signed
		r.Signature = string(text)
		if VerifyReceipt(r, public(key)) == nil {
			t.Fatalf("accepted %q", text)
		}
	})
}
