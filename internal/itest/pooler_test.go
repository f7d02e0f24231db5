//go:build unix

package itest

import (
	"database/sql"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/authfactor/mfa/sqlstore"
)

// TestProcessesBehindPooler: four processes with eight connections each, on a store
// behind PgBouncer in transaction mode, which has ten to the server.
func TestProcessesBehindPooler(t *testing.T) {
	p, address := servers[0].place(t)
	p.Address = "postgres://postgres@/postgres?sslmode=disable&default_query_exec_mode=exec&port=6432&host=" + url.QueryEscape(startPgBouncer(t, address))
	processes(t, p, 8, 20)
}

// startPgBouncer starts PgBouncer before a server of PostgreSQL and returns the folder
// of its socket.
func startPgBouncer(t *testing.T, address string) string {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		program = "/usr/sbin/pgbouncer" // where Debian has it, and not everybody looks
	}
	if _, err := os.Stat(program); err != nil {
		if os.Getenv("MFA_TEST_SERVERS") == "required" {
			t.Fatal(err)
		}
		t.Skip("PgBouncer is not installed")
	}
	dir, err := os.MkdirTemp("", "mfa") //nolint:usetesting // t.TempDir is longer than a socket's path may be, and closed to others
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf(`[databases]
* = host=%s port=%s user=postgres
[pgbouncer]
listen_addr =
unix_socket_dir = %s
auth_type = any
pool_mode = transaction
default_pool_size = 10
`, host, port, dir)
	file := filepath.Join(dir, "pgbouncer.ini")
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, file)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: ordinary(t, dir)}
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // it is killed
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	for {
		conn, err := net.Dial("unix", filepath.Join(dir, ".s.PGSQL.6432"))
		if err == nil {
			_ = conn.Close()
			return dir
		}
		select {
		case <-ended:
			t.Fatal(log.String())
		default:
			runtime.Gosched()
		}
	}
}

// TestStandby: New and Migrate refuse a server of PostgreSQL that is in recovery, which
// a hot standby is for as long as it follows another one.
func TestStandby(t *testing.T) {
	pg := startPostgreSQL(t)
	p := place{sqlstore.PostgreSQL, "pgx", pg.dsn(), ""}
	p.migrate(t)
	p.mustOpen(t)
	pg.kill(t)
	if err := os.WriteFile(filepath.Join(pg.dir, "data", "standby.signal"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	pg.start(t)
	db, err := sql.Open(p.Driver, p.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	_, err = sqlstore.New(t.Context(), p.config(db))
	for _, err := range []error{err, sqlstore.Migrate(t.Context(), p.config(db))} {
		if err == nil || !strings.Contains(err.Error(), "recovery") || !strings.Contains(err.Error(), "target_session_attrs=read-write") {
			t.Errorf("error %v, want one that says what is the matter, and what to do", err)
		}
	}
}
