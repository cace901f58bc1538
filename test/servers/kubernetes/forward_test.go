package kubernetes

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestAForwarderPassesOnTheEndOfWriting(t *testing.T) {
	t.Parallel()
	far := listen(t)
	go func() {
		conn, err := far.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		// Answers only once the other side has said all it has to say.
		if question, err := io.ReadAll(conn); err == nil {
			_, _ = io.WriteString(conn, strings.ToUpper(string(question)))
		}
	}()
	near := listen(t)
	f := newForwarder(near, "tcp", far.Addr().String())
	defer f.Close()

	conn := dial(t, near)
	defer conn.Close()
	if _, err := io.WriteString(conn, "question"); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil || string(answer) != "QUESTION" {
		t.Errorf("got %q and %v", answer, err)
	}
}

func TestClosingAForwarderEndsItsConnections(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done() // a watch that goes on for ever
	}))
	defer server.Close()
	near := listen(t)
	f := newForwarder(near, "tcp", strings.TrimPrefix(server.URL, "http://"))
	conn := dial(t, near)
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-asked
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Errorf("the connection is still open: %v", err)
	}
	if _, err := net.DialTimeout("tcp", near.Addr().String(), patience); err == nil {
		t.Error("the forwarder still accepts connections")
	}
}

func TestAForwarderWithNobodyBehindItHangsUp(t *testing.T) {
	t.Parallel()
	far := listen(t)
	target := far.Addr().String()
	if err := far.Close(); err != nil {
		t.Fatal(err)
	}
	near := listen(t)
	f := newForwarder(near, "tcp", target)
	defer f.Close()
	conn := dial(t, near)
	defer conn.Close()
	if _, err := io.ReadAll(conn); isTimeout(err) {
		t.Error("it keeps the connection")
	}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", local(0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func dial(t *testing.T, l net.Listener) net.Conn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", l.Addr().String(), patience)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}
