package journal

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// chain seals entries one after the other.
func chain(t interface{ Fatal(...any) }, entries ...Entry) []Entry {
	var sealed []Entry
	prev := ""
	for i, e := range entries {
		s, err := Seal(e, int64(i)+1, prev)
		if err != nil {
			t.Fatal(err)
		}
		sealed, prev = append(sealed, s), s.Hash
	}
	return sealed
}

// verify gives the first entry that does not hold, from 1; 0 when all do.
func verify(entries []Entry) (int, error) {
	var v Verifier
	for i, e := range entries {
		if err := v.Next(e); err != nil {
			return i + 1, err
		}
	}
	return 0, nil
}

func some(n int) []Entry {
	var all []Entry
	for i := range n {
		all = append(all, Entry{
			At: time.Date(2026, 3, 1, 12, 0, i, 123456789, time.FixedZone("", 3600)), Actor: "slipway", Action: fmt.Sprint("act.", i),
			Subject: "acme/app#1", Identity: "abc", Reason: "why <not>", Data: map[string]string{"b": "2", "a": "1"},
		})
	}
	return all
}

func TestA1AChainThatWasTouchedIsBroken(t *testing.T) {
	for _, test := range []struct {
		rule  string
		touch func(c []Entry) []Entry
		at    int // the entry that does not hold
		says  string
	}{
		{"a whole chain holds", func(c []Entry) []Entry { return c }, 0, ""},
		{"an empty one too", func([]Entry) []Entry { return nil }, 0, ""},
		{"one cut short holds: its head says where it ends", func(c []Entry) []Entry { return c[:2] }, 0, ""},
		{"the first is missing", func(c []Entry) []Entry { return c[1:] }, 1, "1 missing"},
		{"one in the middle is missing", func(c []Entry) []Entry { return slices.Delete(c, 1, 2) }, 2, "1 missing"},
		{"two have changed places", func(c []Entry) []Entry { c[1], c[2] = c[2], c[1]; return c }, 2, "follows"},
		{"one is there twice", func(c []Entry) []Entry { return slices.Insert(c, 1, c[0]) }, 2, "follows"},
		{"the actor was changed", func(c []Entry) []Entry { c[1].Actor = "eve"; return c }, 2, "changed"},
		{"the evidence was changed", func(c []Entry) []Entry {
			c[1].Data = maps.Clone(c[1].Data)
			c[1].Data["a"] = "3"
			return c
		}, 2, "changed"},
		{"the time was moved", func(c []Entry) []Entry { c[1].At = c[1].At.Add(time.Microsecond); return c }, 2, "changed"},
		{"one was written anew with a hash of its own", func(c []Entry) []Entry {
			c[1].Reason = "another"
			c[1], _ = Seal(c[1], 2, c[1].Prev)
			return c
		}, 3, "does not continue"},
		{"another chain goes on", func(c []Entry) []Entry {
			other := chain(t, some(4)[1:]...)
			return append(c[:2], other[2])
		}, 3, "does not continue"},
	} {
		t.Run(test.rule, func(t *testing.T) {
			at, err := verify(test.touch(chain(t, some(4)...)))
			if at != test.at || (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
				t.Errorf("entry %d: %v; want %d: %s", at, err, test.at, test.says)
			}
		})
	}
}

func TestTheHeadIsWhatWasAcceptedLast(t *testing.T) {
	c := chain(t, some(3)...)
	var v Verifier
	if seq, hash := v.Head(); seq != 0 || hash != "" {
		t.Errorf("an empty chain ends at %d %s", seq, hash)
	}
	for _, e := range c[:2] {
		if err := v.Next(e); err != nil {
			t.Fatal(err)
		}
	}
	bad := c[2]
	bad.Actor = "eve"
	if err := v.Next(bad); err == nil {
		t.Error("accepted")
	}
	if seq, hash := v.Head(); seq != 2 || hash != c[1].Hash {
		t.Errorf("it ends at %d %s", seq, hash)
	}
	if err := v.Next(c[2]); err != nil {
		t.Errorf("the right one is refused after a wrong one: %v", err)
	}
}

// TestAnEntryHoldsAfterItWasWrittenAndRead, with any text and any time.
func TestAnEntryHoldsAfterItWasWrittenAndRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := Entry{
			At:    time.Unix(rapid.Int64Range(-1e9, 1e11).Draw(t, "s"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns")),
			Actor: rapid.String().Draw(t, "actor"), Reason: rapid.String().Draw(t, "reason"),
			Data: rapid.MapOf(rapid.String(), rapid.String()).Draw(t, "data"),
		}
		sealed := chain(t, e)[0]
		text, err := json.Marshal(sealed)
		if err != nil {
			t.Fatal(err)
		}
		var read Entry
		if err := json.Unmarshal(text, &read); err != nil {
			t.Fatal(err)
		}
		if at, err := verify([]Entry{read}); at != 0 {
			t.Fatal(err)
		}
	})
}

func TestATimeThatCannotBeWrittenIsRefused(t *testing.T) {
	if _, err := Seal(Entry{At: time.Date(12_000, 1, 1, 0, 0, 0, 0, time.UTC)}, 1, ""); err == nil {
		t.Error("accepted")
	}
}
