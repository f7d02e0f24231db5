//go:build unix

package sqlstore_test

import (
	"context"
	"fmt"
	"net"
	"os"
	run "os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/authfactor/mfa/sqlstore"

	"github.com/authfactor/mfa"
)

// pooler starts PgBouncer before the server of PostgreSQL, on a socket in a folder of
// the test's own, and returns the databases behind it: with pgx, and with lib/pq.
func pooler(t *testing.T, mode string, poolSize int, settings ...string) (pgx, pq database) {
	t.Helper()
	postgreSQL.skip(t)
	program := pgBouncer(t)
	if keepsStatements(t, program) && len(settings) == 0 {
		settings = []string{
			"max_prepared_statements = 0",
		} // the default before 1.24, and all that 1.20 can do
	}
	dir, err := os.MkdirTemp("", "mfa") //nolint:usetesting // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	host, port, err := net.SplitHostPort(postgreSQL.at())
	if err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf(`[databases]
* = host=%s port=%s user=postgres
[pgbouncer]
listen_addr =
unix_socket_dir = %s
auth_type = any
pool_mode = %s
default_pool_size = %d
ignore_startup_parameters = extra_float_digits
%s
`, host, port, dir, mode, poolSize, strings.Join(settings, "\n"))
	if err := os.WriteFile(filepath.Join(dir, "pgbouncer.ini"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := run.Command(program, filepath.Join(dir, "pgbouncer.ini"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: nobody(t, dir)}
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
	for socket := filepath.Join(dir, ".s.PGSQL.6432"); ; {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			_ = conn.Close()
			break
		}
		select {
		case <-ended:
			t.Fatal(log.String())
		default:
			runtime.Gosched()
		}
	}
	pgx, pq = postgreSQL, libpq
	behind := func(_, params string) string {
		return "postgres://postgres@/postgres?sslmode=disable&port=6432&host=" + dir + params
	}
	pgx.dsn, pq.dsn = behind, behind
	return pgx, pq
}

// pgBouncer is the program. Without it the test skips, unless MFA_TEST_SERVERS is
// "required".
func pgBouncer(t *testing.T) string {
	t.Helper()
	program, err := run.LookPath("pgbouncer")
	if err != nil {
		program = "/usr/sbin/pgbouncer" // where Debian has it, and not everybody looks
	}
	if _, err := os.Stat(program); err != nil {
		if os.Getenv("MFA_TEST_SERVERS") == "required" {
			t.Fatal(err)
		}
		t.Skip("PgBouncer is not installed")
	}
	return program
}

// keepsStatements reports whether this PgBouncer can take care of prepared statements,
// as it can from version 1.21 on.
func keepsStatements(t *testing.T, program string) bool {
	t.Helper()
	out, err := run.Command(program, "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	var major, minor int
	if _, err := fmt.Sscanf(string(out), "PgBouncer %d.%d", &major, &minor); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return major > 1 || minor >= 21
}

// nobody is a user who may run servers that refuse root, and owns the folder. It is nil
// unless the test runs as root.
func nobody(t *testing.T, dir string) *syscall.Credential {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	u, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	err = filepath.Walk(dir, func(path string, _ os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		return os.Chown(path, uid, gid)
	})
	if err != nil {
		t.Fatal(err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// TestPooler: behind PgBouncer in transaction mode the store works with the settings
// that New names, and New refuses the others, whose statements would fail under load.
func TestPooler(t *testing.T) {
	pgx, pq := pooler(t, "transaction", 5)
	t.Run("the suite", func(t *testing.T) { pgx.testStore(t, "&default_query_exec_mode=exec") })
	for name, d := range map[string]database{
		"default_query_exec_mode=cache_describe":  pgx,
		"default_query_exec_mode=simple_protocol": pgx,
		"binary_parameters=yes":                   pq,
	} {
		t.Run(name, func(t *testing.T) {
			store := newStore(t, d.config(t, "&"+name))
			var wg sync.WaitGroup
			for i := range 16 { // with fewer connections to the server
				wg.Go(func() {
					if err := flow(t.Context(), store, fmt.Sprint(i)); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
		})
	}
	single, singlePQ := pooler(t, "transaction", 1)
	for name, d := range map[string]database{
		"pgx":                          pgx,
		"pgx, cache_statement":         with(pgx, "&default_query_exec_mode=cache_statement"),
		"pgx, describe_exec":           with(pgx, "&default_query_exec_mode=describe_exec"),
		"lib/pq":                       pq,
		"pgx, a pool of one":           single,
		"lib/pq, a pool of one":        singlePQ,
		"describe_exec, a pool of one": with(single, "&default_query_exec_mode=describe_exec"),
	} {
		t.Run(name, func(t *testing.T) {
			cfg := d.config(t, "")
			newStore(
				t,
				sqlstore.Config{
					DB:      open(t, "pgx", postgreSQL.dsn(postgreSQL.at(), "")),
					Dialect: cfg.Dialect,
					Schema:  cfg.Schema,
				},
			)
			for _, err := range []error{
				sqlstore.Migrate(t.Context(), cfg), second(sqlstore.New(t.Context(), cfg)),
			} {
				for _, says := range []string{
					"default_query_exec_mode=exec", "cache_describe", "simple_protocol",
					"binary_parameters=yes",
				} {
					if err == nil || !strings.Contains(err.Error(), says) {
						t.Fatalf("error %v, want one that says %s", err, says)
					}
				}
			}
		})
	}
}

// flow calls each method a few times, with records of its own.
func flow(ctx context.Context, store mfa.Store, id string) error {
	for v := range int64(4) {
		if err := store.Save(ctx, put(id+"a", v), put(id+"b", v)); err != nil {
			return err
		}
		if err := store.Save(ctx, put(id+"c", v)); err != nil {
			return err
		}
		if records, err := store.Load(ctx, id+"a", id+"b", id+"c"); err != nil || len(records) != 3 {
			return fmt.Errorf("%d records, %w", len(records), err)
		}
		if err := second(store.List(ctx, mfa.Query{Kind: "factor", Limit: 5})); err != nil {
			return err
		}
	}
	return second(store.Purge(ctx, time.UnixMilli(1)))
}

// with is a database with parameters for its DSN.
func with(d database, params string) database {
	dsn := d.dsn
	d.dsn = func(address, more string) string { return dsn(address, params+more) }
	return d
}

// TestPoolerKeepsStatements: a PgBouncer that takes care of prepared statements does so
// for those that have a name.
func TestPoolerKeepsStatements(t *testing.T) {
	if !keepsStatements(t, pgBouncer(t)) {
		t.Skip("PgBouncer is older than 1.21")
	}
	pgx, pq := pooler(t, "transaction", 5, "max_prepared_statements = 200")
	store := newStore(t, pgx.config(t, ""))
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			if err := flow(t.Context(), store, fmt.Sprint(i)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, d := range []database{with(pgx, "&default_query_exec_mode=describe_exec"), pq} {
		if got := refused(t, d.config(t, "")); !strings.Contains(got, "binary_parameters=yes") {
			t.Errorf("error %q does not say what to do", got)
		}
	}
}

// TestPoolerOfSessions: a pooler that gives each client a connection of its own is as
// good as none.
func TestPoolerOfSessions(t *testing.T) {
	pgx, pq := pooler(t, "session", 20)
	for _, d := range []database{pgx, pq} {
		if err := flow(t.Context(), newStore(t, d.config(t, "")), "a"); err != nil {
			t.Error(err)
		}
	}
}
