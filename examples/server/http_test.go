package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// TestHealth: it is well when the database answers, and says so to anybody.
func TestHealth(t *testing.T) {
	t.Chdir(t.TempDir())
	s := start(t, known())
	if a := s.callWith(t, "", "GET", "/healthz", ""); a.status != 200 || a.str("status") != "ok" || len(a.body) != 1 {
		t.Errorf("%v", a)
	}
	if a := s.callWith(t, "", "POST", "/healthz", ""); a.status != 401 {
		t.Errorf("another method: %v", a)
	}
}

// TestUnhealthy locks the table, so that the database does not answer in time.
func TestUnhealthy(t *testing.T) {
	t.Chdir(t.TempDir())
	dsn, admin := postgreSQL(t)
	l := usual
	l.health = 50 * time.Millisecond
	s := startWith(t, l, shared(), "-print-sms", "-dsn", dsn)
	tx, err := admin.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(t.Context(), "LOCK TABLE mfa_records IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	if a := s.callWith(t, "", "GET", "/healthz", ""); a.status != 503 || a.str("status") != "unavailable" || len(a.body) != 1 {
		t.Errorf("while the table is locked: %v", a)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	l.health = patience
	if a := startWith(t, l, shared(), "-print-sms", "-dsn", dsn).callWith(t, "", "GET", "/healthz", ""); a.status != 200 {
		t.Errorf("when it is free again: %v", a)
	}
}

// A client that sends bytes as it likes.
type client struct {
	net.Conn
	in *bufio.Reader
}

func (s *server) dial(t *testing.T) client {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	return client{conn, bufio.NewReader(conn)}
}

func (c client) send(t *testing.T, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

const enrolment = `{"type":"totp","totp_issuer":"Foo Corp","totp_user":"alan"}`

// begin sends a request but for its body, and waits until the server wants that.
func (c client) begin(t *testing.T) {
	t.Helper()
	c.send(t, fmt.Sprintf("POST /auth/factors/enroll HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n"+
		"Content-Type: application/json\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", testKey, len(enrolment)))
	line, err := c.in.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "HTTP/1.1 100 ") {
		t.Fatalf("the server answers %q, error %v", line, err)
	}
	_, _ = c.in.ReadString('\n')
}

// TestStop: what is in flight is answered, and nothing new is taken.
func TestStop(t *testing.T) {
	t.Chdir(t.TempDir())
	s := start(t, known())
	inFlight, other := s.dial(t), s.url
	inFlight.begin(t)
	stopped := make(chan error, 1)
	go func() { stopped <- s.stop() }()
	for late := time.Now().Add(patience); ; {
		conn, err := net.Dial("tcp", strings.TrimPrefix(other, "http://"))
		if err != nil {
			break
		}
		_ = conn.Close()
		if time.Now().After(late) {
			t.Fatal("it still listens")
		}
	}
	select {
	case err := <-stopped:
		t.Fatalf("it did not wait for the request: error %v", err)
	default:
	}
	inFlight.send(t, enrolment)
	w, err := http.ReadResponse(inFlight.in, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(w.Body)
	if err != nil || w.StatusCode != 201 || !strings.Contains(string(text), `"secret"`) {
		t.Errorf("status %d, error %v: %s", w.StatusCode, err, text)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// TestStopLimit: a client that never ends does not keep the server from ending.
func TestStopLimit(t *testing.T) {
	t.Chdir(t.TempDir())
	l := usual
	l.stop = 50 * time.Millisecond
	s := startWith(t, l, known())
	s.dial(t).begin(t)
	if err := s.stop(); err == nil || !strings.Contains(err.Error(), "cut off that took longer than 50ms") {
		t.Errorf("error %v", err)
	}
}

// TestSlowClients: who does not send, or sends slowly, is cut off, and nobody else waits.
func TestSlowClients(t *testing.T) {
	t.Chdir(t.TempDir())
	l := usual
	l.header, l.body, l.idle = time.Second, 2*time.Second, time.Second // long enough for a busy machine
	s := startWith(t, l, known())
	silent, header := s.dial(t), s.dial(t)
	header.send(t, "POST /auth/factors/enroll HTTP/1.1\r\nHost: loc")
	body := s.dial(t)
	body.begin(t)
	body.send(t, enrolment[:10])
	idle := s.dial(t)
	idle.send(t, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
	large := s.dial(t)
	large.send(t, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: "+strings.Repeat("x", 30<<10))
	if a := s.call(t, "GET", "/healthz", ""); a.status != 200 {
		t.Errorf("somebody else: %v", a)
	}
	for name, c := range map[string]struct {
		client
		want string
	}{"sends nothing": {silent, ""}, "sends half a header": {header, ""}, "sends half a body": {body, "HTTP/1.1 400 "}, "does nothing more": {idle, "HTTP/1.1 200 "}, "sends a large header": {large, "HTTP/1.1 431 "}} {
		text, err := io.ReadAll(c.in) // until the server hangs up
		if errors.Is(err, os.ErrDeadlineExceeded) || !strings.HasPrefix(string(text), c.want) {
			t.Errorf("a client that %s: %v, %q", name, err, text)
		}
	}
}

// TestLimits: none of them is left out.
func TestLimits(t *testing.T) {
	srv := newServer(nil, usual, slog.New(slog.DiscardHandler))
	for name, d := range map[string]time.Duration{
		"ReadHeaderTimeout": srv.ReadHeaderTimeout, "ReadTimeout": srv.ReadTimeout, "WriteTimeout": srv.WriteTimeout,
		"IdleTimeout": srv.IdleTimeout, "health": usual.health, "stop": usual.stop,
	} {
		if d <= 0 || d > 2*time.Minute {
			t.Errorf("%s is %s", name, d)
		}
	}
	if usual.health > time.Second || srv.MaxHeaderBytes <= 0 {
		t.Errorf("health %s, headers %d", usual.health, srv.MaxHeaderBytes)
	}
}
