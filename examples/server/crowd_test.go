package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/authfactor/mfa/mfatest"
)

// TestCrowd: 5,000 connections that are idle and 200 that have sent half a request do
// not keep the server from answering others. It logs what that costs them.
func TestCrowd(t *testing.T) {
	t.Chdir(t.TempDir())
	s := start(t, known())
	enr := s.must(t, 201, "POST", "/auth/factors/enroll", `{"type":"totp","totp_issuer":"Foo Corp","totp_user":"alan"}`)
	factor, secret := enr.str("id"), enr.str("totp.secret")
	flows := func() (median, slowest time.Duration) {
		var took []time.Duration
		for range 50 {
			s.clock.Advance(time.Minute)
			begin := time.Now()
			challenge := s.must(t, 201, "POST", "/auth/factors/"+factor+"/challenge", "{}").str("id")
			s.verify(t, challenge, mfatest.Code(secret, s.clock.Now()))
			took = append(took, time.Since(begin))
		}
		slices.Sort(took)
		return took[len(took)/2], took[len(took)-1]
	}
	median, slowest := flows()
	t.Logf("challenge and verify alone: median %s, slowest %s", median, slowest)

	health := func(conn net.Conn) error {
		if _, err := io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
			return err
		}
		w, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return err
		}
		return w.Body.Close()
	}
	idle := s.connect(t, 5000, health)
	s.connect(t, 200, func(conn net.Conn) error {
		_, err := io.WriteString(conn, "POST /auth/factors/enroll HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer "+testKey+"\r\nContent-Length: 100\r\n\r\n{")
		return err
	})
	median, slowest = flows()
	t.Logf("beside 5,000 idle and 200 slow connections: median %s, slowest %s", median, slowest)
	if err := health(idle[len(idle)-1]); err != nil {
		t.Errorf("an idle connection was cut: %v", err)
	}
}

// connect opens n connections, which are closed after the test.
func (s *server) connect(t *testing.T, n int, begin func(net.Conn) error) []net.Conn {
	t.Helper()
	var conns []net.Conn
	t.Cleanup(func() {
		for _, c := range conns {
			_ = c.Close()
		}
	})
	for range n {
		conn, err := new(net.Dialer).DialContext(context.WithoutCancel(t.Context()), "tcp", strings.TrimPrefix(s.url, "http://"))
		if errors.Is(err, syscall.EMFILE) {
			t.Skipf("this process may not open %d files: see ulimit -n", 2*n)
		}
		if err == nil {
			conns = append(conns, conn)
			err = begin(conn)
		}
		if err != nil {
			t.Fatalf("connection %d: %v", len(conns), err)
		}
	}
	return conns
}
