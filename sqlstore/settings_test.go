package sqlstore_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/sqlstore"
)

// refused returns what New and Migrate say about a database, which must be the same.
func refused(t *testing.T, cfg sqlstore.Config) string {
	t.Helper()
	migrate, err := sqlstore.Migrate(t.Context(), cfg), second(sqlstore.New(t.Context(), cfg))
	if migrate == nil || err == nil || migrate.Error() != err.Error() {
		t.Fatalf("Migrate: error %v; New: error %v", migrate, err)
	}
	return err.Error()
}

// TestSQLiteInMemory: a database that is not in a file is refused, with what to take
// instead, under each of its names.
func TestSQLiteInMemory(t *testing.T) {
	for _, dsn := range []string{
		":memory:", "file::memory:", "file::memory:?cache=shared",
		"file:name?mode=memory&cache=shared", "file:/name?vfs=memdb", "", "file:",
	} {
		t.Run(dsn, func(t *testing.T) {
			if dsn != "" && dsn != ":memory:" && !strings.Contains(dsn, "?") {
				dsn += "?"
			}
			if strings.Contains(dsn, "?") {
				dsn += "&_pragma=busy_timeout(5000)"
			}
			got := refused(t, sqlstore.Config{DB: open(t, "sqlite", dsn), Dialect: sqlstore.SQLite})
			if !strings.Contains(got, ":memory:") || !strings.Contains(got, "mfa.MemoryStore") {
				t.Errorf("error %q does not say what it is and what to do", got)
			}
		})
	}
}

// TestSQLitePragmaByHand: a busy_timeout that was set on one connection of several is
// seen to be missing on the others. With one connection it is enough.
func TestSQLitePragmaByHand(t *testing.T) {
	db := open(t, "sqlite", "file:"+filepath.Join(t.TempDir(), "mfa.db"))
	cfg := sqlstore.Config{DB: db, Dialect: sqlstore.SQLite}
	if _, err := db.ExecContext(t.Context(), "PRAGMA busy_timeout = 5000"); err != nil {
		t.Fatal(err)
	}
	if got := refused(t, cfg); !strings.Contains(got, "busy_timeout(5000)") {
		t.Errorf("error %q does not say what to do", got)
	}
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(t.Context(), "PRAGMA busy_timeout = 5000"); err != nil {
		t.Fatal(err)
	}
	save(t, newStore(t, cfg), put("a", 0))
}

// TestPoolInUse: New does not wait for connections that others hold for as long as they
// please, as long as there is one.
func TestPoolInUse(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		t.Helper()
		cfg := d.config(t, "")
		cfg.DB.SetMaxOpenConns(2)
		tx, err := cfg.DB.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		newStore(t, cfg)
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestSQLiteBusy: what fails because another connection has the lock, for longer than
// busy_timeout, is made again.
func TestSQLiteBusy(t *testing.T) {
	for _, journal := range []string{"WAL", "DELETE"} {
		t.Run(journal, func(t *testing.T) {
			cfg := sqLite.config(t, "&_pragma=journal_mode("+journal+")")
			save(t, newStore(t, cfg), put("a", 0), put("b", 0))
			for i, changes := range [][]mfa.Change{{put("a", 1)}, {put("a", 2), put("b", 1)}} {
				var release func(error)
				hooked := cfg
				hooked.DB = hook(
					t,
					cfg.DB.Driver(),
					hasty(t, cfg),
					&hooks{failed: func(err error) { release(err) }},
				)
				store := newStore(t, hooked)
				tx := locked(t, cfg, "a")
				failures := 0
				release = func(err error) { // at the second failure of that other connection
					if failures++; failures == 2 {
						if err := tx.Rollback(); err != nil {
							t.Error(err)
						}
					}
				}
				save(t, store, changes...)
				if failures != 2 {
					t.Errorf("%d changes: %d calls failed, want 2", len(changes), failures)
				}
				if got := versions(t, store, "a", "b"); got["a"] != int64(i)+2 || got["b"] != int64(i)+1 {
					t.Errorf("versions %v", got)
				}
			}
		})
	}
}

// hasty is the DSN of the same file, of connections that wait for a millisecond alone.
func hasty(t *testing.T, cfg sqlstore.Config) string {
	t.Helper()
	return strings.Replace(sqLite.sameDSN(t, cfg, ""), "busy_timeout(10000)", "busy_timeout(1)", 1)
}

// TestSQLiteBusyCommit: a COMMIT that found the database busy leaves nothing behind: no
// lock, no half of a change, and no open transaction in the pool.
func TestSQLiteBusyCommit(t *testing.T) {
	cfg := sqLite.config(t, "&_pragma=journal_mode(DELETE)")
	save(t, newStore(t, cfg), put("a", 0), put("b", 0))
	var release func(error)
	hooked := cfg
	hooked.DB = hook(
		t,
		cfg.DB.Driver(),
		hasty(t, cfg),
		&hooks{failed: func(err error) { release(err) }},
	)
	store := newStore(t, hooked)
	// Somebody who reads lets a writer begin, and not commit.
	rows, err := cfg.DB.QueryContext(t.Context(), "SELECT id FROM mfa_records")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	if !rows.Next() {
		t.Fatal(rows.Err())
	}
	failures := 0
	release = func(error) {
		if failures++; failures == 2 {
			if err := rows.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	save(t, store, put("a", 1), put("b", 1))
	if failures != 2 {
		t.Errorf("%d commits failed, want 2", failures)
	}
	save(t, newStore(t, cfg), put("a", 2), put("b", 2))
	if got := versions(t, store, "a", "b"); got["a"] != 3 || got["b"] != 3 {
		t.Errorf("versions %v", got)
	}
}

// TestAutocommit: with autocommit=0 nothing would be committed, and a used code would be
// good again. New and Migrate refuse it, and a server that has it can be put right in
// the DSN.
func TestAutocommit(t *testing.T) {
	mySQL.skip(t)
	cfg := mySQL.config(t, "")
	newStore(t, cfg)
	off := cfg
	off.DB = open(t, mySQL.driver, mySQL.dsn(mySQL.at(), "&autocommit=0"))
	if store, err := sqlstore.New(t.Context(), off); err == nil {
		save(t, store, put("a", 0))
		if err := off.DB.Close(); err != nil {
			t.Error(err)
		}
		t.Fatalf("a Save that returned nil left %v", versions(t, newStore(t, cfg), "a"))
	}
	if got := refused(t, off); !strings.Contains(got, "autocommit=1") {
		t.Errorf("error %q does not say what to do", got)
	}
	off.DB = open(t, mySQL.driver, mySQL.dsn(mySQL.at(), "&autocommit=0&autocommit=1"))
	newStore(t, off)
}

// TestMySQLReplica: a server that is set to take no writes is refused, also where this
// user may write all the same, since what it writes there is lost.
func TestMySQLReplica(t *testing.T) {
	mySQL.skip(t)
	cfg := mySQL.config(t, "")
	newStore(t, cfg)
	for _, variable := range []string{
		"read_only", "super_read_only", "innodb_read_only", "tx_read_only", "transaction_read_only",
	} {
		for value, fails := range map[string]bool{"ON": true, "1": true, "OFF": false, "0": false} {
			replica := cfg
			replica.DB = hook(
				t,
				cfg.DB.Driver(),
				mySQL.dsn(mySQL.at(), ""),
				&hooks{query: func(text string) string {
					if !strings.HasPrefix(text, "SHOW VARIABLES") {
						return text
					}
					if !strings.Contains(text, "'"+variable+"'") {
						t.Errorf("%s is not asked for: %s", variable, text)
					}
					return fmt.Sprintf("SELECT 'autocommit', 'ON' UNION SELECT '%s', '%s'", variable, value)
				}},
			)
			switch err := second(sqlstore.New(t.Context(), replica)); {
			case fails != (err != nil):
				t.Errorf("%s=%s: error %v", variable, value, err)
			case fails && !strings.Contains(err.Error(), variable):
				t.Errorf("error %q does not say %s", err, variable)
			}
		}
	}
}

// TestGaleraSettings: what the variables of a Galera node say about a connection, by
// which a Save on one node would be unseen on another.
func TestGaleraSettings(t *testing.T) {
	mySQL.skip(t)
	cfg := mySQL.config(t, "")
	newStore(t, cfg)
	for _, c := range []struct{ changes, refused string }{
		{"", ""},
		{"wsrep_sync_wait=15", ""},
		{"wsrep_sync_wait=0", "add wsrep_sync_wait=7 to the DSN"},
		{"wsrep_sync_wait=6", "add wsrep_sync_wait=7 to the DSN"}, // no SELECT
		{"wsrep_sync_wait=5", "add wsrep_sync_wait=7 to the DSN"}, // no UPDATE
		{"wsrep_sync_wait=3", "add wsrep_sync_wait=7 to the DSN"}, // no INSERT
		{"wsrep_cluster_status=non-Primary", "connect to another node"},
		{"wsrep_ready=OFF", "connect to another node"},
		{"wsrep_dirty_reads=ON", "wsrep_dirty_reads=ON"},
		{"wsrep_on=OFF", "wsrep_on=OFF"},
		{"read_only=ON", "read_only=1"},
		// Servers by themselves, which have the variables, too.
		{"wsrep_on=OFF wsrep_connected=OFF wsrep_sync_wait=0 wsrep_ready=OFF", ""},
		{"wsrep_provider=none wsrep_sync_wait=0 wsrep_ready=OFF", ""},
	} {
		t.Run(c.changes, func(t *testing.T) {
			set := map[string]string{
				"autocommit": "ON", "read_only": "OFF",
				"wsrep_provider": "/usr/lib/galera/libgalera_smm.so", "wsrep_on": "ON",
				"wsrep_sync_wait": "7", "wsrep_dirty_reads": "OFF",
				"wsrep_connected": "ON", "wsrep_cluster_status": "Primary", "wsrep_ready": "ON",
			}
			for change := range strings.FieldsSeq(c.changes) {
				name, value, _ := strings.Cut(change, "=")
				set[name] = value
			}
			node := cfg
			node.DB = hook(t, cfg.DB.Driver(), mySQL.dsn(mySQL.at(), ""), &hooks{
				query: func(text string) string {
					if !strings.HasPrefix(text, "SHOW ") {
						return text
					}
					var rows []string
					for name, value := range set {
						if strings.Contains(text, "'"+name+"'") {
							rows = append(rows, fmt.Sprintf("SELECT '%s', '%s'", name, value))
						}
					}
					return strings.Join(rows, " UNION ")
				},
			})
			switch err := second(sqlstore.New(t.Context(), node)); {
			case (c.refused != "") != (err != nil):
				t.Errorf("error %v", err)
			case err != nil && !strings.Contains(err.Error(), c.refused):
				t.Errorf("error %q does not say %q", err, c.refused)
			}
		})
	}
}

// hook opens a database through a driver, with hooks.
func hook(t *testing.T, d driver.Driver, dsn string, h *hooks) *sql.DB {
	t.Helper()
	h.driver, h.dsn = d, dsn
	db := sql.OpenDB(h)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// hooks stand between database/sql and a driver.
type hooks struct {
	driver driver.Driver
	dsn    string

	failed func(error)              // a statement, when it was executed
	query  func(text string) string // what is asked instead
	undone func(text string) error  // instead of an answer; nil: the database answers

	mu sync.Mutex
}

func (h *hooks) Driver() driver.Driver { return h.driver }

func (h *hooks) Connect(context.Context) (driver.Conn, error) {
	conn, err := h.driver.Open(h.dsn)
	return hookedConn{conn, h}, err
}

type hookedConn struct {
	driver.Conn
	*hooks
}

func (c hookedConn) ExecContext(
	ctx context.Context,
	text string,
	args []driver.NamedValue,
) (driver.Result, error) {
	if c.undone != nil {
		if err := c.undone(text); err != nil {
			return nil, err
		}
	}
	result, err := c.Conn.(driver.ExecerContext).ExecContext(ctx, text, args)
	if err != nil && !errors.Is(err, driver.ErrSkip) && c.failed != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.failed(err)
	}
	return result, err
}

func (c hookedConn) QueryContext(
	ctx context.Context,
	text string,
	args []driver.NamedValue,
) (driver.Rows, error) {
	if c.undone != nil {
		if err := c.undone(text); err != nil {
			return nil, err
		}
	}
	if c.query != nil {
		text = c.query(text)
	}
	return c.Conn.(driver.QueryerContext).QueryContext(ctx, text, args)
}
