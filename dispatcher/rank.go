package dispatcher

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// The words for the levels, lowest first.
func levels() []string { return []string{"lowest", "low", "normal", "high", "highest"} }

// ParseLevel reads a priority by its word; "" is normal.
func ParseLevel(s string) (Level, error) {
	if s == "" {
		return Normal, nil
	}
	n := slices.Index(levels(), s)
	if n < 0 {
		return Normal, fmt.Errorf("there is no priority %q; there are %s", s, strings.Join(levels(), ", "))
	}
	return Level(n), nil
}

// String is the level's word.
func (l Level) String() string {
	if l < Lowest || l > Highest {
		return fmt.Sprintf("level %d", int(l))
	}
	return levels()[l]
}

// follows is the rank of a new item of a flow: a turn after the flow's last
// that waits, and a turn after the front of the lane where the flow has none
// there (start tags, as in start-time fair queueing: Goyal, Vin, Cheng, 1996,
// with items of equal length). A flow that comes new so stands behind one item
// of every other and not behind all that they have waiting.
//
// It stands behind the front and never beside it: whoever could join the items
// at the front for ever, one after the other, would keep those behind waiting
// for ever.
func follows(v View) int64 { return max(v.Front, v.Last) + 1 }

// rises is when an item that begins to wait rises to its next level; zero for
// one on the highest.
func (t terms) rises(i Item, now time.Time) time.Time {
	if i.Raised >= Highest {
		return time.Time{}
	}
	return now.Add(t.rise)
}

// rise brings a waiting item up the levels whose time has come, all that it
// missed at once.
func (s *turn) rise() {
	i := &s.work.Item
	if i.State != Ready || i.Raise.IsZero() || i.Raise.After(s.now) {
		return
	}
	from := i.Raised
	for i.Raised < Highest && !i.Raise.IsZero() && !i.Raise.After(s.now) {
		i.Raised++
		i.Raise = s.t.rises(*i, i.Raise)
	}
	s.note(self, "work.raised", nil, fmt.Sprintf("it has waited since %s", i.Since.UTC().Format(time.RFC3339)), "from", from.String(), "to", i.Raised.String())
}

// before orders two items of one lane: the higher level first, then whose turn
// it is, then the older.
func before(a, b Item) int {
	switch {
	case a.Raised != b.Raised:
		return int(b.Raised) - int(a.Raised)
	case a.Rank < b.Rank:
		return -1
	case a.Rank > b.Rank:
		return 1
	case a.ID < b.ID:
		return -1
	case a.ID > b.ID:
		return 1
	default:
		return 0
	}
}
