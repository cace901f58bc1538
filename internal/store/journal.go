package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"slipway/internal/fault"
	"slipway/internal/journal"
)

// largestPage is the most entries read at once.
const largestPage = 1000

// Head is the sequence number and the hash of the journal's last entry; 0 and
// "" for an empty one.
func (r *Reader) Head(ctx context.Context) (seq int64, hash string, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	err = r.db.QueryRowContext(ctx, lastEntry).Scan(&seq, &hash)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, "", nil
	}
	if err != nil {
		return 0, "", fmt.Errorf("read the journal's head: %w", err)
	}
	return seq, hash, nil
}

// Entries reads the entries that follow the one numbered after, in order, at
// most limit of them and never more than 1,000.
func (r *Reader) Entries(ctx context.Context, after int64, limit int) ([]journal.Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := r.db.QueryContext(ctx,
		`SELECT seq, at, actor, action, subject, identity, reason, data, prev, hash
		 FROM journal WHERE seq > $1 ORDER BY seq LIMIT $2`, after, max(0, min(limit, largestPage)))
	if err != nil {
		return nil, fmt.Errorf("read the journal after entry %d: %w", after, err)
	}
	var entries []journal.Entry
	err = each(rows, func(rows scanner) error {
		e, err := scanEntry(rows)
		entries = append(entries, e)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the journal after entry %d: %w", after, err)
	}
	return entries, nil
}

// VerifyJournal reads the whole journal and checks its chain. It gives the
// last entry that holds; a chain that is broken after it is fault.Permanent.
func (r *Reader) VerifyJournal(ctx context.Context) (seq int64, hash string, err error) {
	var v journal.Verifier
	for {
		// In pages, because one long read would keep the log from being emptied.
		entries, err := r.Entries(ctx, seq, largestPage)
		if err != nil {
			return seq, hash, err
		}
		for _, e := range entries {
			if err := v.Next(e); err != nil {
				return seq, hash, fault.AsPermanent(fmt.Errorf("verify the journal: %w", err))
			}
			seq, hash = v.Head()
		}
		if len(entries) < largestPage {
			return seq, hash, nil
		}
	}
}

const lastEntry = "SELECT seq, hash FROM journal ORDER BY seq DESC LIMIT 1"

func (p *prepared) writeJournal(ctx context.Context, tx *session) error {
	if len(p.journal) == 0 {
		return nil
	}
	if err := tx.hold(ctx, journalHeld); err != nil {
		return err
	}
	var seq int64
	var prev string
	if _, err := tx.row(ctx, lastEntry, nil, &seq, &prev); err != nil {
		return fmt.Errorf("read the journal's head: %w", err)
	}
	for _, e := range p.journal {
		sealed, err := journal.Seal(e, seq+1, prev)
		if err != nil {
			return fault.AsPermanent(fmt.Errorf("journal %s of %s: %w", e.Action, e.Subject, err))
		}
		if err := insertEntry(ctx, tx, sealed); err != nil {
			return fmt.Errorf("journal %s of %s: %w", e.Action, e.Subject, err)
		}
		seq, prev = sealed.Seq, sealed.Hash
	}
	return nil
}

func insertEntry(ctx context.Context, tx *session, e journal.Entry) error {
	data, err := json.Marshal(e.Data)
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx,
		`INSERT INTO journal (seq, at, actor, action, subject, identity, reason, data, prev, hash)
		 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		e.Seq, micros(e.At), e.Actor, e.Action, e.Subject, e.Identity, e.Reason, string(data), e.Prev, e.Hash)
	return err
}

func scanEntry(rows scanner) (journal.Entry, error) {
	var (
		e    journal.Entry
		at   int64
		data string
	)
	if err := rows.Scan(&e.Seq, &at, &e.Actor, &e.Action, &e.Subject, &e.Identity, &e.Reason, &data, &e.Prev, &e.Hash); err != nil {
		return journal.Entry{}, err
	}
	e.At = moment(at)
	if err := json.Unmarshal([]byte(data), &e.Data); err != nil {
		return journal.Entry{}, fault.AsPermanent(fmt.Errorf("entry %d: its data cannot be read: %w", e.Seq, err))
	}
	return e, nil
}

// plain rewrites what no text column keeps, before the entry is sealed: what
// is read back must hash the same.
func plain(entries []journal.Entry) []journal.Entry {
	out := make([]journal.Entry, 0, len(entries))
	for _, e := range entries {
		for _, field := range []*string{&e.Actor, &e.Action, &e.Subject, &e.Identity, &e.Reason} {
			*field = text(*field)
		}
		if len(e.Data) > 0 {
			data := make(map[string]string, len(e.Data))
			for _, k := range slices.Sorted(maps.Keys(e.Data)) {
				data[text(k)] = text(e.Data[k])
			}
			e.Data = data
		}
		out = append(out, e)
	}
	return out
}

// text is s without what is not UTF-8 and without zero bytes.
func text(s string) string {
	const replacement = "\uFFFD"
	return strings.ReplaceAll(strings.ToValidUTF8(s, replacement), "\x00", replacement)
}
