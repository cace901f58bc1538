package store

import "context"

// engine carries out the transactions of a store, in one database's way.
type engine interface {
	// do returns once what apply did is durable, or with why nothing of it was
	// done; only an error that says so leaves that open. apply may be called
	// again, when the transaction has to be repeated, and has no effect but on
	// the session.
	do(ctx context.Context, apply func(context.Context, *session) (news, error)) error
	// signals are sent to after keys were made due and after items became ready.
	signals() (woken, offers <-chan struct{})
	// close commits what waits and refuses whatever comes later; it closes the
	// reader too, in its turn.
	close(*Reader) error
}

// dialect is how the databases' SQL differs. Otherwise a statement is written
// once: it numbers its arguments $1, $2, …, which both know, and uses no
// function that only one of them has. Where a statement takes a list, that is a
// JSON array of text or of numbers.
type dialect struct {
	// forUpdate ends a SELECT whose rows no other transaction may change until
	// this one has ended, and skipLocked one that passes over the rows which
	// another one keeps so.
	forUpdate, skipLocked string
	// numbers and words are the values of the list in $1, to stand after IN.
	numbers, words string
	// clock is the database's own time in microseconds, or NULL where the store
	// goes by the process's.
	clock string
}

// liteDialect is SQLite's: it has one writer, and nothing changes while it reads.
func liteDialect() dialect {
	return dialect{
		numbers: "(SELECT value FROM json_each($1))",
		words:   "(SELECT value FROM json_each($1))",
		clock:   "NULL",
	}
}

// scanner is one row of an answer.
type scanner interface{ Scan(dest ...any) error }

// news is what a write has to tell those who wait.
type news uint8

// The news.
const (
	keysDue news = 1 << iota
	itemsReady
)

// tell signals those whom it is for.
func (n news) tell(woken, offers chan struct{}) {
	if n&keysDue != 0 {
		wake(woken)
	}
	if n&itemsReady != 0 {
		wake(offers)
	}
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
