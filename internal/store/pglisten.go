package store

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// listenPause is how long to pause before listening again after the
	// connection was lost, at first, and longestPause in the end.
	listenPause  = 50 * time.Millisecond
	longestPause = 5 * time.Second
	// quietTime is how long nothing may be heard before the connection is tried.
	quietTime = 30 * time.Second
)

// startListening hears what other servers tell, until close. Once it returns,
// nothing that is told is missed.
func (p *pgEngine) startListening(ctx context.Context, dsn *pgx.ConnConfig) error {
	conn, err := p.listen(ctx, dsn)
	if err != nil {
		return err
	}
	running, hang := context.WithCancel(context.Background())
	p.hang = hang
	go func() {
		defer close(p.ended)
		p.listening(running, conn, dsn)
	}()
	return nil
}

// listening hears on one connection after the other.
func (p *pgEngine) listening(ctx context.Context, conn *pgx.Conn, dsn *pgx.ConnConfig) {
	pause := listenPause
	for {
		if conn != nil {
			err := p.hear(ctx, conn)
			closeQuietly(conn)
			if ctx.Err() != nil {
				return
			}
			p.log.WarnContext(ctx, "store: what other servers do is not heard, and looked for once a second until it is", "error", err)
			pause = listenPause
		}
		if !waited(ctx, pause) {
			return
		}
		pause = min(2*pause, longestPause)
		var err error
		if conn, err = p.listen(ctx, dsn); err != nil {
			conn = nil
			continue
		}
		p.log.InfoContext(ctx, "store: what other servers do is heard again")
		// Whatever was told meanwhile was missed.
		(keysDue | itemsReady).tell(p.woken, p.offers)
	}
}

// listen opens a connection that hears.
func (p *pgEngine) listen(ctx context.Context, dsn *pgx.ConnConfig) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, dsn)
	if err != nil {
		return nil, explainPostgres(err)
	}
	if _, err := conn.Exec(ctx, "LISTEN "+channelOf(p.place)); err != nil {
		closeQuietly(conn)
		return nil, explainPostgres(err)
	}
	return conn, nil
}

// hear passes on what others tell, until the connection is lost or ctx ends.
func (p *pgEngine) hear(ctx context.Context, conn *pgx.Conn) error {
	for {
		patient, cancel := context.WithTimeout(ctx, quietTime)
		told, err := conn.WaitForNotification(patient)
		quiet := err != nil && patient.Err() != nil && ctx.Err() == nil
		cancel()
		switch {
		case err == nil:
			p.heard(told.Payload)
		case !quiet:
			return explainPostgres(err)
		default:
			if err := p.answers(ctx, conn); err != nil {
				return explainPostgres(err)
			}
		}
	}
}

// heard takes one notification: who told it, and what.
func (p *pgEngine) heard(payload string) {
	who, what, _ := strings.Cut(payload, " ")
	bits, err := strconv.ParseUint(what, 10, 8)
	if err != nil {
		bits = uint64(keysDue | itemsReady) // a newer server's: to look costs little
	}
	if who == p.self {
		return // it was told here when it was committed
	}
	news(bits).tell(p.woken, p.offers)
}

func (p *pgEngine) answers(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return conn.Ping(ctx)
}

// waited waits, unless ctx ends first.
func waited(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// closeQuietly says good-bye, if anybody is there to hear it.
func closeQuietly(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := conn.Close(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return // it was gone already
	}
}
