//go:build unix

package itest

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/sqlstore"
)

// TestReplicated: a primary of PostgreSQL whose commits wait for a standby, which is
// promoted after the primary was killed.
func TestReplicated(t *testing.T) {
	r := startReplicated(t)
	onCluster(t, r.server(""), func(t *testing.T, p place) []mfa.Store {
		t.Helper()
		return []mfa.Store{p.mustOpen(t), p.mustOpen(t)}
	})
	t.Run("the primary is killed", func(t *testing.T) {
		p, _ := r.server("").place(t)
		failover(t, p, func() { r.promote(t) })
	})
}

// TestStandbyLags: what a failover does to a code that was accepted and had not reached
// the standby. Where the commit waits for it, nobody is told that the code was accepted.
// Where it does not, the code is valid again. (This is what the documentation warns of.)
func TestStandbyLags(t *testing.T) {
	for _, c := range []struct {
		commit string
		lost   bool
	}{{"on", false}, {"local", true}} {
		t.Run("synchronous_commit="+c.commit, func(t *testing.T) {
			r := startReplicated(t)
			p, _ := r.server(" synchronous_commit=" + c.commit).place(t)
			var now atomic.Int64
			now.Store(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).UnixMilli())
			svc, err := newService(p.mustOpen(t), &now)
			if err != nil {
				t.Fatal(err)
			}
			login := newCutCase(t, svc, &now, true)
			verify := mfa.VerifyParams{ChallengeID: login.challenge, Code: login.code}
			r.caughtUp(t)
			r.cutOff(t)
			_, err = svc.Verify(t.Context(), verify)
			if c.lost != (err == nil) || errors.Is(err, mfa.ErrInvalidCode) {
				t.Fatalf("error %v", err)
			}
			r.promote(t)
			after, err := newService(p.mustOpen(t), &now)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := after.Verify(t.Context(), verify); err != nil {
				t.Fatalf("the code was used up on the standby, which never heard of it: %v", err)
			}
		})
	}
}

// TestCancelledCommit: a Save whose context ends while it waits for the standby is not
// told to be done, also where the driver has the server cancel it. The server then gives
// up waiting, commits alone, and says that all is well.
func TestCancelledCommit(t *testing.T) {
	r := startReplicated(t)
	p, _ := r.server("").place(t)
	options, err := pgx.ParseConfig(p.Address)
	if err != nil {
		t.Fatal(err)
	}
	warned := make(chan string, 1)
	options.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { warned <- n.Message }
	options.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: conn, DeadlineDelay: time.Minute}
	}
	db := stdlib.OpenDB(*options)
	defer func() { _ = db.Close() }()
	store, err := sqlstore.New(t.Context(), p.config(db))
	if err != nil {
		t.Fatal(err)
	}
	for _, changes := range [][]mfa.Change{
		{{Record: mfa.Record{ID: "a", Kind: "factor", CreatedAt: time.UnixMilli(1)}}},
		{{Record: mfa.Record{ID: "a", Kind: "factor", CreatedAt: time.UnixMilli(1), Version: 1}}},
	} {
		r.cutOff(t)
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		err = store.Save(ctx, changes...)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, mfa.ErrConflict) {
			t.Errorf("error %v, want one that says that the time is over", err)
		}
		if says := <-warned; !strings.Contains(says, "canceling wait for synchronous replication") {
			t.Errorf("the server did not wait for the standby: %s", says)
		}
		r.follow(t)
	}
}

// A replicated is a primary, and a standby that follows it.
type replicated struct{ primary, standby *postgreSQL }

func startReplicated(t *testing.T) *replicated {
	t.Helper()
	quick := []string{"-c", "fsync=off"} // processes are killed here, and no machine
	r := &replicated{primary: startPostgreSQL(t, quick...)}
	dir, err := os.MkdirTemp("", "mfa") //nolint:usetesting // t.TempDir is longer than a socket's path may be, and closed to others
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	r.standby = &postgreSQL{bin: r.primary.bin, dir: dir, as: ordinary(t, dir), settings: quick}
	if out, err := r.standby.command("pg_basebackup", "-D", filepath.Join(dir, "data"), "-h", r.primary.dir,
		"-U", "mfa", "-c", "fast", "--no-sync").CombinedOutput(); err != nil {
		t.Fatalf("pg_basebackup: %v\n%s", err, out)
	}
	if err := os.WriteFile(filepath.Join(dir, "data", "standby.signal"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r.standby.start(t)
	t.Cleanup(func() { r.standby.kill(t) })
	r.follow(t)
	r.primary.exec(t, "ALTER SYSTEM SET synchronous_standby_names = 'standby'")
	r.primary.exec(t, "SELECT pg_reload_conf()")
	r.primary.until(t, "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'", 1)
	return r
}

// server is the two of them, of which applications find the one that takes writes.
func (r *replicated) server(params string) server {
	return server{
		name: "PostgreSQL", address: filepath.Join(r.primary.dir, ".s.PGSQL.5432"),
		at: func(_, schema string) place {
			return place{sqlstore.PostgreSQL, "pgx", "host=" + r.primary.dir + "," + r.standby.dir +
				" port=5432,5432 user=mfa dbname=postgres sslmode=disable target_session_attrs=read-write" +
				params, schema}
		},
	}
}

// follow has the standby follow the primary, and returns when it does.
func (r *replicated) follow(t *testing.T) {
	t.Helper()
	r.standby.exec(t, "ALTER SYSTEM SET primary_conninfo = 'host="+r.primary.dir+" user=mfa application_name=standby'")
	r.standby.exec(t, "SELECT pg_reload_conf()")
	r.primary.until(t, "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'", 1)
}

// caughtUp returns when the standby has all that was written.
func (r *replicated) caughtUp(t *testing.T) {
	t.Helper()
	r.primary.until(t, "SELECT count(*) FROM pg_stat_replication WHERE flush_lsn = pg_current_wal_flush_lsn()", 1)
}

// cutOff has the standby lose the primary.
func (r *replicated) cutOff(t *testing.T) {
	t.Helper()
	r.standby.exec(t, "ALTER SYSTEM SET primary_conninfo = ''")
	r.standby.exec(t, "SELECT pg_reload_conf()")
	r.primary.until(t, "SELECT count(*) FROM pg_stat_replication", 0)
}

// promote kills the primary, and makes the standby the one that takes writes.
func (r *replicated) promote(t *testing.T) {
	t.Helper()
	r.primary.kill(t)
	r.standby.exec(t, "SELECT pg_promote()")
	r.standby.until(t, "SELECT count(*) WHERE pg_is_in_recovery()", 0)
}

func (pg *postgreSQL) db(t *testing.T) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", pg.dsn())
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func (pg *postgreSQL) exec(t *testing.T, text string) {
	t.Helper()
	db := pg.db(t)
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(t.Context(), text); err != nil {
		t.Fatal(err)
	}
}

// until asks until a number is n.
func (pg *postgreSQL) until(t *testing.T, question string, n int) {
	t.Helper()
	db := pg.db(t)
	defer func() { _ = db.Close() }()
	eventually(t, question, pg.ended, &pg.log, func(ctx context.Context) bool {
		got := -1
		if err := db.QueryRowContext(ctx, question).Scan(&got); err != nil {
			t.Fatal(err)
		}
		return got == n
	})
}
