package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"database/sql/driver"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

const (
	// mostTries is how often a transaction is tried that others were in the way
	// of, and tryPause about how long to pause before the second time.
	mostTries = 8
	tryPause  = 5 * time.Millisecond
	// writeTimeout bounds one try, whatever its caller allows.
	writeTimeout = 30 * time.Second
)

// pgEngine is the engine of a schema that several servers write. Each write is a
// transaction of its own; what two may not do at once is settled by the locks of
// the rows, and by locks with names where no row stands for it.
type pgEngine struct {
	db        *sql.DB
	dialect   dialect
	place     string    // the schema
	self      string    // what this server's claims and notifications are known by
	held      io.Closer // the lock of its folder
	local     func() time.Time
	simulated bool
	pruned    atomic.Int64
	woken     chan struct{} // capacity 1
	offers    chan struct{} // capacity 1
	log       *slog.Logger
	hang      context.CancelFunc // ends listening
	ended     chan struct{}      // closed once it has
	busy      sync.WaitGroup     // the writes under way
	mu        sync.Mutex
	closed    bool
}

// newPgEngine has everything but its name, its schema and its ear.
func newPgEngine(dsn *pgx.ConnConfig, o PostgresOptions) *pgEngine {
	p := &pgEngine{
		db:        pool(dsn, writers),
		dialect:   postgresDialect(o.Now != nil),
		local:     o.Now,
		simulated: o.Now != nil,
		woken:     make(chan struct{}, 1),
		offers:    make(chan struct{}, 1),
		log:       logger(o.Log),
		ended:     make(chan struct{}),
	}
	if p.local == nil {
		p.local = time.Now
	}
	return p
}

// discard closes what was opened before opening failed.
func (p *pgEngine) discard() error {
	err := p.db.Close()
	if p.held != nil {
		err = errors.Join(err, p.held.Close())
	}
	return err
}

func (p *pgEngine) do(ctx context.Context, apply func(context.Context, *session) (news, error)) error {
	if !p.enter() {
		return errClosed
	}
	defer p.busy.Done()
	for try := 1; ; try++ {
		told, err := p.try(ctx, apply)
		if err == nil {
			told.tell(p.woken, p.offers)
			return nil
		}
		if try == mostTries || !inTheWay(err) {
			return err
		}
		pause := time.NewTimer(tryPause*time.Duration(try) + mathrand.N(tryPause)) //nolint:gosec // no secret
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return errors.Join(ctx.Err(), err)
		}
	}
}

func (p *pgEngine) signals() (woken, offers <-chan struct{}) { return p.woken, p.offers }

func (p *pgEngine) close(r *Reader) error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.busy.Wait()
	p.hang()
	<-p.ended
	return errors.Join(r.Close(), p.db.Close(), p.held.Close())
}

// enter counts a write, unless the store is closed.
func (p *pgEngine) enter() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.busy.Add(1)
	}
	return !p.closed
}

// try carries out one transaction. The connection goes back to the others only
// when nothing is left open on it.
func (p *pgEngine) try(ctx context.Context, apply func(context.Context, *session) (news, error)) (news, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	conn, err := p.db.Conn(ctx)
	if err != nil {
		return 0, fmt.Errorf("begin a transaction of the store: %w", err)
	}
	defer conn.Close()
	// A write that was begun is finished whoever goes away meanwhile, if that
	// does not take long.
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(patience, cancel) })()

	now, err := p.begin(bounded, conn)
	if err != nil {
		return 0, fmt.Errorf("begin a transaction of the store: %w", err)
	}
	told, err := apply(bounded, p.session(conn, now))
	if err != nil {
		p.abandon(ctx, conn)
		return 0, err
	}
	if err := p.commit(bounded, conn, told); err != nil {
		p.abandon(ctx, conn)
		return 0, err
	}
	return told, nil
}

func (p *pgEngine) session(conn *sql.Conn, now instant) *session {
	return &session{
		statements: live{conn},
		dialect:    p.dialect,
		clock:      func(context.Context) (instant, error) { return now, nil },
		local:      p.local,
		holder:     p.self,
		pruned:     &p.pruned,
		lone: func(ctx context.Context, name string) error {
			_, err := conn.ExecContext(ctx, "SELECT pg_advisory_xact_lock($1)", lockNumber(p.place, name))
			return err
		},
	}
}

// begin begins a transaction and reads the clock on the same way.
func (p *pgEngine) begin(ctx context.Context, conn *sql.Conn) (instant, error) {
	sent := p.local()
	results, err := together(ctx, conn, "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SELECT "+databaseClock)
	if err != nil {
		return instant{}, err
	}
	if p.simulated {
		return instant{at: sent}, nil
	}
	received := p.local()
	last := results[len(results)-1]
	if len(last.Rows) != 1 {
		return instant{}, errors.New("the database did not tell the time")
	}
	at, err := strconv.ParseInt(string(last.Rows[0][0]), 10, 64)
	if err != nil {
		return instant{}, fmt.Errorf("the database's time: %w", err)
	}
	now := moment(at)
	return instant{at: now, ahead: now.Sub(received), doubt: received.Sub(sent)}, nil
}

// commit ends the transaction well and tells the other servers.
func (p *pgEngine) commit(ctx context.Context, conn *sql.Conn, told news) error {
	query := "COMMIT"
	if told != 0 {
		// Both words are letters and digits alone.
		query = fmt.Sprintf("SELECT pg_notify('%s', '%s %d'); COMMIT", channelOf(p.place), p.self, told)
	}
	results, err := together(ctx, conn, query)
	switch {
	case err != nil && nothingDone(err):
		return fmt.Errorf("commit to the store: %w", err)
	case err != nil:
		return doubtful{fmt.Errorf("the write may or may not have been committed: %w", err)}
	case results[len(results)-1].CommandTag.String() != "COMMIT":
		return errors.New("commit to the store: an earlier error of the transaction was passed over")
	}
	return nil
}

// nothingDone says whether a commit failed for sure: it was refused, or it did
// not reach the database.
func nothingDone(err error) bool {
	var told *pgconn.PgError
	if errors.As(err, &told) {
		// A connection that is ended by the database may have been ended after it
		// committed, but for one that waited too long for what to do.
		return told.SeverityUnlocalized == "ERROR" || told.Code == idledAway
	}
	return errors.Is(err, errUnsent)
}

// abandon leaves no transaction open, or the connection goes.
func (p *pgEngine) abandon(ctx context.Context, conn *sql.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	if _, err := together(ctx, conn, "ROLLBACK"); err != nil {
		_ = conn.Raw(func(any) error { return driver.ErrBadConn }) // drops it
	}
}

// together runs statements without arguments, sent together.
func together(ctx context.Context, conn *sql.Conn, statements string) (results []*pgconn.Result, err error) {
	err = conn.Raw(func(c any) error {
		own, ok := c.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("a connection of another driver: %T", c)
		}
		results, err = own.Conn().PgConn().Exec(ctx, statements).ReadAll()
		return err
	})
	return results, err
}

// live are the statements of one connection, compiled by the driver.
type live struct{ conn *sql.Conn }

func (l live) run(ctx context.Context, query string, args []any) (sql.Result, error) {
	return l.conn.ExecContext(ctx, query, plainArgs(args)...)
}

func (l live) ask(ctx context.Context, query string, args []any) (*sql.Rows, error) {
	return l.conn.QueryContext(ctx, query, plainArgs(args)...)
}

func (l live) close() error { return nil }

// plainText is a pool whose statements hold no text that PostgreSQL refuses.
type plainText struct{ *sql.DB }

// QueryContext is that of the pool.
func (p plainText) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return p.DB.QueryContext(ctx, query, plainArgs(args)...)
}

// QueryRowContext is that of the pool.
func (p plainText) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return p.DB.QueryRowContext(ctx, query, plainArgs(args)...)
}

// plainArgs are the arguments without what is no text to PostgreSQL: SQLite
// keeps zero bytes, and a branch may have a name that is not UTF-8.
func plainArgs(args []any) []any {
	for i, a := range args {
		if s, ok := a.(string); ok {
			args[i] = text(s)
		}
	}
	return args
}

// lockNumber is the number of a lock with a name, in one schema.
func lockNumber(place, name string) int64 {
	sum := sha256.Sum256([]byte("slipway " + place + " " + name))
	return int64(binary.BigEndian.Uint64(sum[:8])) //nolint:gosec // any number will do
}

// channelOf is where servers on one schema tell each other.
func channelOf(place string) string {
	sum := sha256.Sum256([]byte(place))
	return "slipway_" + hex.EncodeToString(sum[:8])
}
