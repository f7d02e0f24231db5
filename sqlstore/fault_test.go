package sqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/sqlstore"
)

func put(id string, version int64) mfa.Change {
	return mfa.Change{
		Record: mfa.Record{
			ID:        id,
			Kind:      "factor",
			CreatedAt: time.UnixMilli(1).UTC(),
			Version:   version,
			State:     []byte{1},
		},
	}
}

func save(t *testing.T, store mfa.Store, changes ...mfa.Change) {
	t.Helper()
	if err := store.Save(t.Context(), changes...); err != nil {
		t.Fatal(err)
	}
}

// versions are those of the records a, b and so on that are there.
func versions(t *testing.T, store mfa.Store, ids ...string) map[string]int64 {
	t.Helper()
	records, err := store.Load(t.Context(), ids...)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]int64{}
	for _, r := range records {
		found[r.ID] = r.Version
	}
	return found
}

// sameDSN is the DSN of the same database, with other parameters.
func (d database) sameDSN(t *testing.T, cfg sqlstore.Config, params string) string {
	t.Helper()
	if d.dialect != sqlstore.SQLite {
		return d.dsn(d.at(), params)
	}
	var file string
	if err := cfg.DB.QueryRowContext(
		t.Context(),
		"SELECT file FROM pragma_database_list",
	).Scan(
		&file,
	); err != nil {
		t.Fatal(err)
	}
	return "file:" + file + "?_pragma=busy_timeout(10000)" + params
}

// TestCallerTransaction: what was saved stays when the caller's own transaction on the
// same database, with which it could have been mixed up, is rolled back.
func TestCallerTransaction(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		t.Helper()
		cfg := d.config(t, "")
		store := newStore(t, cfg)
		tx, err := cfg.DB.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		save(t, store, put("a", 0), put("b", 0))
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		if got := versions(t, store, "a", "b"); len(got) != 2 {
			t.Errorf("after the rollback there are %v", got)
		}
	})
}

// TestLoadLooksUp: Load does not read the table of PostgreSQL whole, neither while it
// is small nor when it has grown since the connection began.
func TestLoadLooksUp(t *testing.T) {
	d := postgreSQL
	d.skip(t)
	cfg := d.config(t, "")
	cfg.DB.SetMaxOpenConns(1) // whose plans are kept
	store := newStore(t, cfg)
	save(t, store, put("user", 0))
	factor, challenge := put("factor", 0), put("challenge", 0)
	factor.Record.Parent, challenge.Record.Parent = "user", "factor"
	save(t, store, factor, challenge)
	for grown := range 4 {
		for range 10 {
			if got := versions(t, store, "challenge"); len(got) != 3 {
				t.Fatalf("records %v", got)
			}
		}
		table := cfg.Schema + ".mfa_records"
		exec(
			t,
			cfg,
			fmt.Sprintf(
				"INSERT INTO %s SELECT id || '%d_' || i, kind, parent, user_id, type, status, "+
					"created_at, updated_at, expires_at, version, state "+
					"FROM %[1]s, generate_series(1, 2000) i WHERE id = 'challenge'",
				table,
				grown,
			),
		)
	}
	var read int
	exec(t, cfg, "SELECT pg_stat_force_next_flush()") // of PostgreSQL 15
	err := cfg.DB.QueryRowContext(
		t.Context(),
		"SELECT seq_tup_read FROM pg_stat_user_tables WHERE schemaname = $1 AND relname = 'mfa_records'",
		cfg.Schema,
	).Scan(
		&read,
	)
	if err != nil || read > 1000 {
		t.Errorf("%d rows were read one after the other, %v", read, err)
	}
}

// TestReadOnly: New and Migrate refuse a database that takes no writes. One that takes
// none later is an error of its own, and no conflict, and reading works on.
func TestReadOnly(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		t.Helper()
		params, later := readOnly(d)
		cfg := d.config(t, "")
		save(t, newStore(t, cfg), put("a", 0))
		for _, params := range params {
			cfg := cfg
			cfg.DB = open(t, d.driver, d.sameDSN(t, cfg, params))
			errs := []error{second(sqlstore.New(t.Context(), cfg))}
			if params != "&mode=ro" { // of which Migrate sees nothing as long as it has nothing to do
				errs = append(errs, sqlstore.Migrate(t.Context(), cfg))
			}
			for _, err := range errs {
				if err == nil ||
					!strings.Contains(err.Error(), "read") && !strings.Contains(err.Error(), "query_only") {
					t.Errorf("with %s: error %v, want one that says why", params, err)
				}
			}
		}

		cfg.DB.SetMaxOpenConns(1)
		store := newStore(t, cfg)
		if _, err := cfg.DB.ExecContext(t.Context(), later); err != nil {
			t.Fatal(err)
		}
		for _, changes := range [][]mfa.Change{{put("b", 0)}, {put("a", 1)}, {put("a", 1), put("b", 0)}} {
			err := store.Save(t.Context(), changes...)
			if err == nil || errors.Is(err, mfa.ErrConflict) ||
				!strings.HasPrefix(err.Error(), "sqlstore: saving: ") ||
				!strings.Contains(strings.ToLower(err.Error()), "read") {
				t.Errorf("error %v, want one that says what the database said", err)
			}
		}
		if n, err := store.Purge(
			t.Context(),
			time.Now(),
		); d.name != "MySQL" &&
			err == nil { // which looks first, and finds nothing
			t.Errorf("purged %d", n)
		}
		if got := versions(t, store, "a", "b"); len(got) != 1 || got["a"] != 1 {
			t.Errorf("records %v", got)
		}
	})
}

// readOnly is how a connection is told, by parameters of its DSN and by a statement,
// that it must not write.
func readOnly(d database) (params []string, statement string) {
	switch d.dialect {
	case sqlstore.PostgreSQL:
		return []string{"&default_transaction_read_only=on"}, "SET default_transaction_read_only = on"
	case sqlstore.MySQL:
		return []string{"&tx_read_only=1"}, "SET SESSION TRANSACTION READ ONLY"
	case sqlstore.SQLite:
	}
	return []string{"&_pragma=query_only(1)", "&mode=ro"}, "PRAGMA query_only = 1"
}

// TestFullDisk: what does not fit is not written at all.
func TestFullDisk(t *testing.T) {
	cfg := sqLite.config(t, "&_pragma=max_page_count(40)")
	store := newStore(t, cfg)
	save(t, store, put("a", 0))
	for i := 0; ; i++ {
		big := put(fmt.Sprint("big ", i), 0)
		big.Record.State = make([]byte, 60_000)
		err := store.Save(t.Context(), put("a", int64(i)+1), big)
		if err == nil {
			continue
		}
		if errors.Is(err, mfa.ErrConflict) || !strings.Contains(err.Error(), "full") {
			t.Errorf("error %v", err)
		}
		if got := versions(t, store, "a", big.Record.ID); len(got) != 1 || got["a"] != int64(i)+1 {
			t.Errorf("after Save %d failed: %v", i, got)
		}
		save(t, store, put("a", int64(i)+1)) // which needs no more room
		return
	}
}

// locked holds the lock of a row in a transaction by hand.
func locked(t *testing.T, cfg sqlstore.Config, id string) *sql.Tx {
	t.Helper()
	tx, err := cfg.DB.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	lock(t, tx, cfg, id)
	return tx
}

func lock(t *testing.T, tx *sql.Tx, cfg sqlstore.Config, ids ...string) {
	t.Helper()
	table := "mfa_records"
	if cfg.Schema != "" {
		table = cfg.Schema + "." + table
	}
	for _, id := range ids {
		if _, err := tx.ExecContext(
			t.Context(),
			"UPDATE "+table+" SET status = 'locked' WHERE id = '"+id+"'",
		); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDeadline: a call that waits for a lock ends with its context. Whether its changes
// are made when the lock is free is open, as the contract says; all or none are.
func TestDeadline(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		t.Helper()
		cfg := d.config(t, "")
		store := newStore(t, cfg)
		save(t, store, put("a", 0), put("b", 0))
		tx := locked(t, cfg, "b")
		for _, changes := range [][]mfa.Change{
			{put("a", 1), put("b", 1)},
			{put("a", 1), {Record: mfa.Record{ID: "b", Version: 1}, Delete: true}},
		} {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			err := store.Save(ctx, changes...)
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error %v, want DeadlineExceeded", err)
			}
		}
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		// A database that is busy may make a change much later, each of the two once.
		for range 3 {
			tx = locked(t, cfg, "a")
			got := versions(t, store, "a", "b")
			if a, b := got["a"], got["b"]; a == 1 && b != 1 || a == 2 && b == 1 || a == 0 || a > 2 {
				t.Errorf("versions %v: a half of a change", got)
			}
			if err := tx.Rollback(); err != nil {
				t.Fatal(err)
			}
			err := store.Save(t.Context(), put("a", got["a"]))
			if err == nil {
				return
			}
			if !errors.Is(err, mfa.ErrConflict) {
				t.Fatal(err)
			}
		}
		t.Error("more changes were made than there were calls")
	})
}

// TestDeadlock: of two transactions that wait for each other the database undoes
// one. When that is a Save, it is made again.
func TestDeadlock(t *testing.T) {
	for _, d := range []database{postgreSQL, mySQL} {
		t.Run(d.name, func(t *testing.T) {
			d.skip(t)
			params := ""
			if d.dialect == sqlstore.PostgreSQL {
				params = "&deadlock_timeout=2s" // when it looks, and undoes itself
			}
			cfg := d.config(t, params)
			store := newStore(t, cfg)
			save(t, store, put("a", 0), put("b", 0), put("c", 0), put("d", 0), put("e", 0))
			by := cfg
			if d.dialect == sqlstore.PostgreSQL {
				by.DB = open(t, d.driver, d.dsn(d.at(), "&deadlock_timeout=10min"))
			}
			tx := locked(t, by, "b")
			lock(t, tx, by, "c", "d", "e") // MySQL undoes the one that did less
			saved := make(chan error)
			go func() { saved <- store.Save(t.Context(), put("a", 1), put("b", 1)) }()
			waitForLock(t, d)
			lock(t, tx, by, "a") // returns when Save was undone
			if err := tx.Rollback(); err != nil {
				t.Fatal(err)
			}
			if err := <-saved; err != nil {
				t.Fatal(err)
			}
			if got := versions(t, store, "a", "b"); got["a"] != 2 || got["b"] != 2 {
				t.Errorf("versions %v", got)
			}
		})
	}
}

// TestUndoneAgain: on a busy machine a Save can be undone many times before its turn comes.
func TestUndoneAgain(t *testing.T) {
	postgreSQL.skip(t)
	cfg := postgreSQL.config(t, "")
	store := newStore(t, cfg)
	save(t, store, put("a", 0))
	undone, left := 0, 12
	hooked := cfg
	hooked.DB = hook(
		t,
		cfg.DB.Driver(),
		postgreSQL.dsn(postgreSQL.at(), ""),
		&hooks{undone: func(text string) error {
			if !strings.Contains(text, "UPDATE") || undone == left {
				return nil
			}
			undone++
			return &pgconn.PgError{Code: "40001"}
		}},
	)
	busy, err := sqlstore.New(t.Context(), hooked)
	if err != nil {
		t.Fatal(err)
	}
	save(t, busy, put("a", 1))
	if got := versions(t, store, "a")["a"]; got != 2 || undone != left {
		t.Errorf("version %d after %d failures, want 2 after %d", got, undone, left)
	}

	undone, left = 0, 1<<20
	if err := busy.Save(
		t.Context(),
		put("a", 2),
	); err == nil || errors.Is(err, mfa.ErrConflict) ||
		undone != 16 {
		t.Errorf("after %d failures: %v", undone, err)
	}
}

// TestUndoneByText: of MySQL's drivers the store knows the text of an error alone. These
// prove that nothing was written, and the same Save is made again; any other is returned.
func TestUndoneByText(t *testing.T) {
	mySQL.skip(t)
	cfg := mySQL.config(t, "")
	store := newStore(t, cfg)
	save(t, store, put("a", 0))
	var next error
	hooked := cfg
	hooked.DB = hook(t, cfg.DB.Driver(), mySQL.dsn(mySQL.at(), ""), &hooks{
		undone: func(text string) error {
			if !strings.Contains(text, "UPDATE") {
				return nil
			}
			err := next
			next = nil
			return err
		},
	})
	meets, err := sqlstore.New(t.Context(), hooked)
	if err != nil {
		t.Fatal(err)
	}
	version := int64(1)
	for _, c := range []struct {
		text  string
		again bool
	}{
		{"Error 1213 (40001): Deadlock found when trying to get lock; try restarting transaction", true},
		{"Error 1020 (HY000): Record has changed since last read in table 'mfa_records'", true},
		{"Error 9007 (HY000): Write conflict, txnStartTS=1, reason=Optimistic [try again later]", true},
		{"Error 8022 (HY000): Error: KV error safe to retry tikv restarts txn [try again later]", true},
		{"Error 3101 (40000): Plugin instructed the server to rollback the current transaction.", true},
		{"Error 1205 (HY000): Lock wait timeout exceeded; try restarting transaction", false},
		{"Error 1047 (08S01): WSREP has not yet prepared node for application use", false},
		{"invalid connection", false},
	} {
		next = errors.New(c.text)
		err := meets.Save(t.Context(), put("a", version))
		if c.again != (err == nil) || errors.Is(err, mfa.ErrConflict) {
			t.Errorf("%s: %v", c.text, err)
		}
		if err == nil {
			version++
		}
		if got := versions(t, store, "a")["a"]; got != version {
			t.Fatalf("%s: version %d, want %d", c.text, got, version)
		}
	}
}

// waitForLock returns when somebody waits for a lock.
func waitForLock(t *testing.T, d database) {
	t.Helper()
	question := map[sqlstore.Dialect]string{
		sqlstore.PostgreSQL: "SELECT 'waits', count(*) FROM pg_stat_activity " +
			"WHERE wait_event_type = 'Lock' AND query LIKE '%mfa_test%'",
		sqlstore.MySQL: "SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'",
	}[d.dialect]
	admin := open(t, d.driver, d.dsn(d.at(), ""))
	for n, what := 0, ""; n == 0; {
		if err := admin.QueryRowContext(t.Context(), question).Scan(&what, &n); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLockOrder: Save takes its locks in order of id, whatever the order of its
// changes, so that it holds nothing that one before it in line will want.
func TestLockOrder(t *testing.T) {
	for _, d := range []database{postgreSQL, mySQL} {
		t.Run(d.name, func(t *testing.T) {
			d.skip(t)
			cfg := d.config(t, "")
			store := newStore(t, cfg)
			save(t, store, put("a", 0), put("b", 0))
			tx := locked(t, cfg, "a")
			saved := make(chan error)
			go func() { saved <- store.Save(t.Context(), put("b", 1), put("a", 1)) }()
			waitForLock(t, d)
			other := locked(t, cfg, "b") // is free; otherwise this waits for ever
			for _, tx := range []*sql.Tx{other, tx} {
				if err := tx.Rollback(); err != nil {
					t.Fatal(err)
				}
			}
			if err := <-saved; err != nil {
				t.Error(err)
			}
		})
	}
}

// TestPurgeWaits: a row that somebody holds is not forgotten, and one that was given a
// later time meanwhile stays.
func TestPurgeWaits(t *testing.T) {
	for _, d := range []database{postgreSQL, mySQL} {
		for _, dated := range []string{"id 0007", "id 0008"} { // the later and the earlier one
			t.Run(d.name+", "+dated, func(t *testing.T) {
				d.skip(t)
				cfg := d.config(t, "")
				store := newStore(t, cfg)
				before := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
				for i := range 2500 {
					c := put(fmt.Sprintf("id %04d", i), 0)
					c.Record.ExpiresAt = before.Add(-time.Duration(i+1) * time.Millisecond)
					save(t, store, c)
				}
				tx := locked(t, cfg, "id 0007")
				lock(t, tx, cfg, "id 0008")
				purged := make(chan int)
				go func() {
					n, err := store.Purge(t.Context(), before)
					if err != nil {
						t.Error(err)
					}
					purged <- n
				}()
				later := map[sqlstore.Dialect]string{
					sqlstore.PostgreSQL: "now()", sqlstore.MySQL: "9000000000000",
				}[d.dialect]
				if _, err := tx.ExecContext(
					t.Context(),
					"UPDATE "+cfg.Schema+".mfa_records SET expires_at = "+later+" WHERE id = '"+dated+"'",
				); err != nil {
					t.Fatal(err)
				}
				if d.dialect == sqlstore.PostgreSQL { // which purges all others meanwhile
					for n := 0; n != 2; {
						if err := cfg.DB.QueryRowContext(
							t.Context(),
							"SELECT count(*) FROM "+cfg.Schema+".mfa_records",
						).Scan(
							&n,
						); err != nil {
							t.Fatal(err)
						}
					}
				}
				waitForLock(t, d)
				if err := tx.Commit(); err != nil {
					t.Fatal(err)
				}
				if n := <-purged; n != 2499 {
					t.Errorf("purged %d, want 2499", n)
				}
				if got := versions(t, store, dated); len(got) != 1 {
					t.Errorf("records %v", got)
				}
			})
		}
	}
}

// TestRoundTrips: on PostgreSQL each method is one round trip, whatever the mix of
// changes, once the driver knows the statement.
func TestRoundTrips(t *testing.T) {
	postgreSQL.skip(t)
	cfg := postgreSQL.config(t, "")
	options, err := pgx.ParseConfig(postgreSQL.dsn(postgreSQL.at(), ""))
	if err != nil {
		t.Fatal(err)
	}
	var trips atomic.Int64
	options.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		return &countingConn{Conn: conn, trips: &trips}, err
	}
	cfg.DB = stdlib.OpenDB(*options)
	defer func() { _ = cfg.DB.Close() }()
	store := newStore(t, cfg)
	lapsed := put("lapsed", 0)
	lapsed.Record.ExpiresAt = time.UnixMilli(5)
	remove := func(id string) mfa.Change {
		return mfa.Change{Record: mfa.Record{ID: id, Version: 1}, Delete: true}
	}
	for round := range 2 { // the second one counts
		for _, c := range []struct {
			what string
			trip int64
			call func() error
		}{
			{"insert", 1, func() error { return store.Save(t.Context(), put("a", 0)) }},
			{"inserts", 1, func() error {
				return store.Save(t.Context(), put("b", 0), put("c", 0), put("d", 0), put("e", 0))
			}},
			{"replace", 1, func() error { return store.Save(t.Context(), put("a", 1)) }},
			{"replace two", 1, func() error { return store.Save(t.Context(), put("a", 2), put("b", 1)) }},
			{"all", 1, func() error {
				return store.Save(t.Context(),
					put("a", 3), put("b", 2), remove("c"), remove("d"), put("f", 0), lapsed)
			}},
			{"delete", 1, func() error { return store.Save(t.Context(), remove("e")) }},
			{"conflict", 1, func() error {
				if err := store.Save(t.Context(), put("a", 3), put("b", 3)); !errors.Is(err, mfa.ErrConflict) {
					return fmt.Errorf("error %w, want a conflict", err)
				}
				return nil
			}},
			{"load", 1, func() error { return second(store.Load(t.Context(), "a", "b")) }},
			{"list", 1, func() error {
				return second(store.List(t.Context(), mfa.Query{Kind: "factor", Limit: 9}))
			}},
			{"list of a user", 1, func() error {
				return second(store.List(t.Context(), mfa.Query{Kind: "factor", UserID: "u", Limit: 9}))
			}},
			// One that deletes, one that finds no more, and one that waits for what was locked.
			{"purge", 2, func() error { return second(store.Purge(t.Context(), time.UnixMilli(6))) }},
		} {
			trips.Store(0)
			if err := c.call(); err != nil {
				t.Fatalf("%s: %v", c.what, err)
			}
			if n := trips.Load(); round == 1 && n != c.trip {
				t.Errorf("%s: %d round trips, want %d", c.what, n, c.trip)
			}
		}
		exec(t, cfg, "DELETE FROM RECORDS")
	}
}

// A countingConn counts writes that begin a round trip: the first, and those after a
// read.
type countingConn struct {
	net.Conn
	trips   *atomic.Int64
	reading atomic.Bool
}

func (c *countingConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.reading.Store(true)
	}
	return n, err
}

func (c *countingConn) Write(b []byte) (int, error) {
	if c.reading.Swap(false) {
		c.trips.Add(1)
	}
	return c.Conn.Write(b)
}

// TestSQLiteInTurn: of many who write to SQLite at once nobody is overtaken for long. A
// writer waits for those who came before it, and for nobody who comes later.
func TestSQLiteInTurn(t *testing.T) {
	store := newStore(t, sqLite.config(t, ""))
	const writers, each = 24, 40
	var begun, written atomic.Int64
	var most atomic.Int64 // of the writes that one had to wait for
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for n := range each {
				id := fmt.Sprintf("auth_factor_%02d%02d", w, n)
				begun.Add(1)
				before := written.Load()
				if err := store.Save(t.Context(), put(id+"a", 0), put(id+"b", 0)); err != nil {
					t.Error(err)
					return
				}
				overtaken := written.Add(1) - before
				for m := most.Load(); overtaken > m && !most.CompareAndSwap(m, overtaken); {
					m = most.Load()
				}
			}
		})
	}
	wg.Wait()
	// In turn it is one of each writer, and a few more while the test itself is delayed.
	if begun.Load() != writers*each || most.Load() > writers*each/3 {
		t.Errorf(
			"%d writes begun; one of them waited for %d others, of %d writers",
			begun.Load(),
			most.Load(),
			writers,
		)
	}
}
