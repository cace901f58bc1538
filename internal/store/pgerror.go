package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// The states of PostgreSQL that the store knows (Appendix A of its manual).
const (
	serializationFailure = "40001"
	deadlockDetected     = "40P01"
	uniqueViolation      = "23505"
	adminShutdown        = "57P01"
	idledAway            = "25P03" // in the middle of a transaction
	crashShutdown        = "57P02"
	readOnlyTransaction  = "25006"
	noSuchDatabase       = "3D000"
	noSuchSchema         = "3F000"
	mayNot               = "42501"
	tooManyConnections   = "53300"
)

// doubtful is the error of a write that may have been committed.
type doubtful struct{ error }

func (d doubtful) Unwrap() error { return d.error }

// inTheWay says whether a transaction failed, with nothing of it done, for
// something that may not be in its way the next time: another transaction, or a
// connection that was cut.
func inTheWay(err error) bool {
	var open doubtful
	if errors.As(err, &open) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	var told *pgconn.PgError
	if errors.As(err, &told) {
		switch told.Code {
		case serializationFailure, deadlockDetected, uniqueViolation, adminShutdown, crashShutdown, idledAway, readOnlyTransaction:
			return true
		default:
			return false
		}
	}
	return errors.Is(err, errCut) || errors.Is(err, errUnsent) || errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

var (
	// errCut says that the connection to the database was lost.
	errCut = errors.New("the connection to PostgreSQL was lost")
	// errUnsent says that it was lost before what was to be sent was sent.
	errUnsent = errors.New("the connection to PostgreSQL was lost already")
)

// explainPostgres says what to do about the errors that an operator meets, and
// leaves out what tells of the connection string. All of them are to be tried
// later: a person may mend the database while the server runs.
func explainPostgres(err error) error {
	var told *pgconn.PgError
	var failed *pgconn.ConnectError
	unconnected := errors.As(err, &failed) // which says where to, and as whom
	switch {
	case err == nil:
		return nil
	case errors.As(err, &told) && unconnected:
		return explainState(told, told)
	case errors.As(err, &told):
		return explainState(told, err)
	case unconnected:
		return fmt.Errorf("PostgreSQL cannot be reached: %w", reason(err))
	default:
		return err
	}
}

// explainState puts into words what the database said; err is the whole of it.
func explainState(told *pgconn.PgError, err error) error {
	state := "SQLSTATE " + told.Code
	switch {
	case strings.HasPrefix(told.Code, "28"):
		return fmt.Errorf("PostgreSQL does not let this user in: look at the password and at pg_hba.conf (%s)", state)
	case told.Code == noSuchDatabase:
		return fmt.Errorf("there is no such database: CREATE DATABASE … OWNER the store's user (%s)", state)
	case told.Code == noSuchSchema:
		return fmt.Errorf("there is no such schema: CREATE SCHEMA … AUTHORIZATION the store's user (%s)", state)
	case told.Code == mayNot:
		return fmt.Errorf("the store's user may not do that: it must own its schema: %w", err)
	case told.Code == tooManyConnections:
		return fmt.Errorf("PostgreSQL has no connection left: raise max_connections, a server of Slipway takes up to some %d (%s)", writers+8, state)
	default:
		return err
	}
}

// reason is why a connection failed, without where it was to go.
func reason(err error) error {
	var name *net.DNSError
	var number syscall.Errno
	var waiting interface{ Timeout() bool }
	switch {
	case errors.As(err, &name):
		return errors.New("its host's name is not known")
	case errors.As(err, &number):
		return number
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.As(err, &waiting) && waiting.Timeout():
		return errors.New("it does not answer in time")
	case strings.Contains(err.Error(), "tls") || strings.Contains(err.Error(), "certificate") || strings.Contains(err.Error(), "x509"):
		return errors.New("no agreement on TLS: look at sslmode and at the certificates")
	default:
		return errors.New("the connection was refused")
	}
}

// guarded makes connections whose errors say nothing of where they lead.
type guarded struct{ driver.Connector }

// Connect connects.
func (g guarded) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := g.Connector.Connect(ctx)
	if err != nil {
		return nil, explainPostgres(err)
	}
	return c, nil
}

// quiet keeps the addresses of connections out of the errors of their use.
func quiet(c *pgx.ConnConfig) {
	dial := c.DialFunc
	c.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return nameless{conn}, nil
	}
}

// nameless is a connection whose errors do not name its ends.
type nameless struct{ net.Conn }

// Read reads.
func (n nameless) Read(b []byte) (int, error) {
	read, err := n.Conn.Read(b)
	return read, cut(err)
}

// Write writes.
func (n nameless) Write(b []byte) (int, error) {
	written, err := n.Conn.Write(b)
	if err = cut(err); err == errCut && written == 0 { //nolint:errorlint // cut gives that very value
		err = errUnsent
	}
	return written, err
}

// cut is the error of a connection as the store tells it. A time limit stays one.
func cut(err error) error {
	switch {
	case err == nil || err == io.EOF: //nolint:errorlint // the end of a stream is told by that very value
		return err
	case errors.Is(err, os.ErrDeadlineExceeded):
		return os.ErrDeadlineExceeded
	default:
		return errCut
	}
}
