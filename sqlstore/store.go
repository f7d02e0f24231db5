// Package sqlstore is a store for mfa over database/sql: PostgreSQL, MySQL or
// MariaDB, and SQLite. Several processes may share one database.
//
//	import _ "github.com/jackc/pgx/v5/stdlib" // or another driver
//
//	db, err := sql.Open("pgx", os.Getenv("DATABASE_URL"))
//	cfg := sqlstore.Config{DB: db, Dialect: sqlstore.PostgreSQL}
//	err = sqlstore.Migrate(ctx, cfg)
//	store, err := sqlstore.New(ctx, cfg)
//	svc, err := mfa.New(mfa.Config{Store: store, Keys: keys})
//
// You choose the driver and its DSN. All records are in one table. People may
// read its columns, but must not change them: the service decides by the column
// state, which is encrypted.
//
// # Settings
//
// [New] and [Migrate] check the connections of the pool, and return an error
// for these settings:
//
//   - PostgreSQL behind a pooler that gives each transaction another connection, as
//     PgBouncer does with pool_mode=transaction, if the driver relies on statements
//     that it prepared before, as pgx does by default. For pgx, add
//     default_query_exec_mode=exec (or cache_describe, or simple_protocol) to the DSN.
//     The mode describe_exec is refused, and so is cache_statement, the default, unless
//     PgBouncer is of version 1.21 or newer and has max_prepared_statements above 0.
//     For lib/pq, add binary_parameters=yes. With pool_mode=session all modes work.
//     A pool of one connection (SetMaxOpenConns(1)) is not checked for this.
//   - PostgreSQL in recovery, as a hot standby is, or with
//     default_transaction_read_only=on. For several hosts, add
//     target_session_attrs=read-write to the DSN.
//   - MySQL with autocommit=0, where a Save is undone when its connection closes. If
//     the server sets it, add autocommit=1 to the DSN.
//   - MySQL with read_only, super_read_only, innodb_read_only or
//     transaction_read_only, as a replica has, even if the user may write there.
//   - A node of a Galera cluster (MariaDB, or Percona XtraDB Cluster) without the bits 1, 2
//     and 4 of wsrep_sync_wait, by which it waits for what others saved. Add
//     wsrep_sync_wait=7 to the DSN. Also one with wsrep_dirty_reads=ON, or with wsrep_on=OFF
//     on the connection alone, and one that is not ready or not of the primary component.
//   - SQLite without a busy_timeout on each connection. db.Exec("PRAGMA ...") sets it
//     on one connection, a parameter of the DSN on all: with modernc.org/sqlite it is
//     "_pragma=busy_timeout(5000)".
//   - SQLite in memory, in a temporary file, with query_only=1, or (New alone) opened
//     for reading.
//
// # Round trips
//
// On PostgreSQL each method is one statement and one round trip, if the driver
// keeps prepared statements, as pgx does. Purge takes one for each 1,000
// records, and one that finds no more. A batch that fails, because at SERIALIZABLE or
// REPEATABLE READ others changed its records, is repeated at READ COMMITTED.
//
// MySQL has no statement that writes some rows only if others are unchanged.
// There, a Save of one change is one statement, and a Save of n changes is a
// transaction of n statements and n+2 round trips: 4 for the Save of Verify.
// The usual driver doubles the round trips of a statement unless its DSN has
// interpolateParams=true.
//
// # Durability
//
// A Save that returned nil was committed. Whether it survives a power cut is a
// setting of the database: by default PostgreSQL (synchronous_commit) and MySQL
// (innodb_flush_log_at_trx_commit) keep the last transactions. SQLite in WAL
// mode keeps them with synchronous=FULL. With NORMAL a Save survives crashes of
// processes, but after a power cut a used code may be valid again.
//
// A standby of PostgreSQL that is promoted has every Save that returned nil only if commits
// waited for it: synchronous_standby_names must name it, and synchronous_commit must be on
// or remote_apply. With local, or with an asynchronous standby, a failover can make used
// codes valid again. The same holds for a replica of MySQL that is not of a Galera cluster.
// docs/guide/clusters.md has the settings that were tested.
package sqlstore

import (
	"context"
	"crypto/rand"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/authfactor/mfa"
)

// A Store is an [mfa.Store] over a table. Make one with [New]: the zero value
// is not usable. It is safe for concurrent use, and closing the *sql.DB is up
// to the caller.
type Store struct {
	db      *sql.DB
	dialect Dialect
	table   string        // quoted
	turns   chan struct{} // holds one value while somebody writes to SQLite; nil otherwise
	next    time.Time     // when the next turn may begin; read and written in a turn
}

var _ mfa.Store = (*Store)(nil)

// Config says which table has the records.
type Config struct {
	// DB is the database; the store never closes it. Required.
	DB *sql.DB

	// Dialect is the kind of database that DB connects to. Required.
	Dialect Dialect

	// Schema is the schema of PostgreSQL, or the database of MySQL, that
	// contains the table. It must exist, and its name must be one that Table
	// may have. Defaults to the connection's own. It must be empty for SQLite.
	Schema string

	// Table is the name of the table: a letter or '_', then letters, digits and
	// '_', at most 40 characters. Defaults to "mfa_records". Next to it is a
	// table of the same name with "_version". Services with other keys must use
	// another table: see mfa.Config.Keys.
	Table string
}

// A Dialect is a kind of database.
type Dialect string

// The dialects, and their oldest versions.
const (
	PostgreSQL Dialect = "postgresql" // 12 and newer
	MySQL      Dialect = "mysql"      // 8, and MariaDB 10.6, and newer
	SQLite     Dialect = "sqlite"     // 3.24 and newer; in WAL mode readers do not wait for the writer
)

// New returns a store over the table that [Migrate], or a migration tool of
// yours, has made. Its error matches [ErrSchema] if the table is missing or of
// another version than this package. It also returns an error for a Config that
// is malformed, and for connections that would fail later, or lose what was
// saved: the error says what to change, and "Settings" of the package lists
// them.
func New(ctx context.Context, cfg Config) (*Store, error) {
	t, err := cfg.tables()
	if err != nil {
		return nil, err
	}
	if err := t.check(ctx, cfg.DB); err != nil {
		return nil, err
	}
	s := &Store{db: cfg.DB, dialect: cfg.Dialect, table: t.records}
	if s.dialect == SQLite {
		s.turns = make(chan struct{}, 1)
	}
	return s, nil
}

// Load returns the records with these ids, their parents, and the parents of those. The
// error matches [mfa.ErrIntegrity] if a row cannot be a record.
func (s *Store) Load(ctx context.Context, ids ...string) ([]mfa.Record, error) {
	if len(ids) == 0 {
		return nil, ctx.Err()
	}
	q := s.statement()
	q.text("SELECT ", levels, " FROM ", s.table, " r LEFT JOIN ", s.table, " p ON p.id = r.parent ",
		"LEFT JOIN ", s.table, " g ON g.id = p.parent WHERE r.id IN ")
	q.list(ids)
	return s.query(ctx, "loading", q, 3)
}

// List returns the records that q selects, in order of id. The error matches
// [mfa.ErrIntegrity] if a row cannot be a record.
func (s *Store) List(ctx context.Context, q mfa.Query) ([]mfa.Record, error) {
	st := s.statement()
	st.text("SELECT ", columns, " FROM ", s.table, " WHERE kind = ")
	st.arg(q.Kind)
	if q.UserID != "" {
		st.text(" AND user_id = ")
		st.arg(q.UserID)
		st.text(" AND user_id <> ''") // what the index is limited to
	}
	st.text(" AND id > ")
	st.arg(q.After)
	st.text(" ORDER BY id LIMIT ", strconv.Itoa(q.Limit))
	return s.query(ctx, "listing", st, 1)
}

// Save applies all changes or none. Errors that prove that nothing was written,
// as a deadlock or a serialization failure does, it retries up to 15 times,
// with pauses of at most 1.8 s in all. After any other error but a conflict it
// is unknown whether the changes were made. On PostgreSQL it returns an error if the
// context has ended, even if the driver says that the changes were made: the server says
// so of a commit that was cancelled before the standby had it.
func (s *Store) Save(ctx context.Context, changes ...mfa.Change) error {
	if len(changes) == 0 {
		return ctx.Err()
	}
	// Locks are taken in one order everywhere, so that two calls do not wait for each other.
	changes = slices.Clone(changes)
	slices.SortFunc(changes, func(a, b mfa.Change) int {
		return strings.Compare(a.Record.ID, b.Record.ID)
	})
	for _, c := range changes {
		if c.Delete && c.Record.Version == 0 {
			return s.conflict(c)
		}
	}
	return s.again(ctx, "saving", func() error {
		done, err := s.wait(ctx)
		if err != nil {
			return err
		}
		defer done()
		switch {
		case s.dialect == PostgreSQL:
			if err := s.saveAtOnce(ctx, changes); err != nil {
				return err
			}
			// A driver may have the server cancel what it was doing. A commit that is cancelled
			// while it waits for a standby is a success to the server, and no standby has it.
			return ctx.Err()
		case len(changes) == 1:
			return s.saveOne(ctx, s.db, changes[0])
		}
		return s.saveAll(ctx, changes)
	})
}

// wait is for the turn of a writer to SQLite, in the order in which they came; done ends
// it. SQLite has one writer at a time and no queue: those who wait look again every tenth
// of a second, whoever comes meanwhile goes first, and the unlucky never get in. Another
// process looks like that too. So a turn that was waited for begins after a pause of a
// quarter of the last one, which leaves others a fifth of the time.
func (s *Store) wait(ctx context.Context) (done func(), err error) {
	if s.turns == nil {
		return func() {}, nil
	}
	select {
	case s.turns <- struct{}{}:
	default:
		select {
		case s.turns <- struct{}{}:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		rest, cancel := context.WithDeadline(ctx, s.next)
		<-rest.Done()
		cancel()
	}
	began := time.Now() //nolint:forbidigo // how long the file is held, and no record's time
	return func() {
		ended := time.Now() //nolint:forbidigo // the same
		s.next = ended.Add(ended.Sub(began) / 4)
		<-s.turns
	}, nil
}

// saveAll is a transaction of MySQL or SQLite.
func (s *Store) saveAll(ctx context.Context, changes []mfa.Change) error {
	if s.dialect == SQLite {
		return s.saveAllSQLite(ctx, changes)
	}
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	for _, c := range changes {
		if err := s.saveOne(ctx, tx, c); err != nil {
			_ = tx.Rollback() // if that fails, the connection is gone, and the transaction with it
			return err
		}
	}
	return tx.Commit()
}

// saveAllSQLite begins and ends its transaction by hand. BEGIN IMMEDIATE waits for its
// turn before it reads anything, whatever the DSN says. And a COMMIT that found the
// database busy leaves the transaction open, with its locks, which database/sql would
// give back to the pool as it is.
func (s *Store) saveAllSQLite(ctx context.Context, changes []mfa.Change) (err error) {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	defer func() {
		if err == nil {
			return
		}
		if _, failed := conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK"); failed != nil {
			discard(conn)
		}
	}()
	for _, c := range changes {
		if err := s.saveOne(ctx, conn, c); err != nil {
			return err
		}
	}
	_, err = conn.ExecContext(ctx, "COMMIT")
	return err
}

// discard closes a connection for good, which undoes what was begun on it.
func discard(conn *sql.Conn) { _ = conn.Raw(func(any) error { return driver.ErrBadConn }) }

// saveAtOnce is one statement of PostgreSQL. It locks the rows that are to change,
// each at its version, and goes on only if it got all of them: a row that another
// transaction changed meanwhile is read again when its lock is had, and left out. The
// writing parts then find these very rows. They must not look at versions themselves:
// each would judge by itself, and one could write while another does not. An id
// that exists already makes the whole statement fail.
func (s *Store) saveAtOnce(ctx context.Context, changes []mfa.Change) error {
	var inserts, replaces, deletes []mfa.Change
	for _, c := range changes {
		switch {
		case c.Delete:
			deletes = append(deletes, c)
		case c.Record.Version == 0:
			inserts = append(inserts, c)
		default:
			replaces = append(replaces, c)
		}
	}
	q := s.statement()
	if len(inserts) == len(changes) {
		q.text("INSERT INTO ", s.table, " (", columns, ") VALUES ")
		q.rows(inserts)
		_, err := s.db.ExecContext(ctx, q.b.String(), q.args...)
		return s.duplicate(err, inserts)
	}
	q.text("WITH locked AS MATERIALIZED (SELECT id FROM ", s.table, " WHERE ")
	for i, c := range slices.Concat(replaces, deletes) {
		if i > 0 {
			q.text(" OR ")
		}
		q.text("id = ")
		q.arg(c.Record.ID)
		q.text("::text AND version = ")
		q.arg(c.Record.Version)
		q.text("::bigint")
	}
	q.text(" ORDER BY id FOR UPDATE), complete AS MATERIALIZED ",
		"(SELECT 1 FROM locked HAVING count(*) = ", strconv.Itoa(len(replaces)+len(deletes)), ")")
	if len(replaces) > 0 {
		q.text(", replaced AS (UPDATE ", s.table, " r SET (", columns, ") = ROW(w.*) ",
			"FROM complete, (VALUES ")
		q.rows(replaces)
		q.text(") w (", columns, ") WHERE r.id = w.id)")
	}
	if len(deletes) > 0 {
		var ids []string
		for _, c := range deletes {
			ids = append(ids, c.Record.ID)
		}
		q.text(", deleted AS (DELETE FROM ", s.table, " USING complete WHERE id IN ")
		q.list(ids)
		q.text(")")
	}
	if len(inserts) > 0 {
		q.text(", inserted AS (INSERT INTO ", s.table, " (", columns, ") ",
			"SELECT w.* FROM complete, (VALUES ")
		q.rows(inserts)
		q.text(") w (", columns, "))")
	}
	q.text(" SELECT count(*) FROM complete")
	var complete int
	if err := s.db.QueryRowContext(ctx, q.b.String(), q.args...).Scan(&complete); err != nil {
		return s.duplicate(err, inserts)
	}
	if complete == 0 {
		return s.conflict(slices.Concat(replaces, deletes)...)
	}
	return nil
}

// saveOne makes one change, in a transaction or by itself. The version is judged by
// the statement that writes.
func (s *Store) saveOne(ctx context.Context, db execer, c mfa.Change) error {
	q := s.statement()
	switch {
	case c.Delete:
		q.text("DELETE FROM ", s.table)
	case c.Record.Version == 0:
		q.text("INSERT INTO ", s.table, " (", columns, ") VALUES ")
		q.rows([]mfa.Change{c})
		if s.dialect == SQLite {
			q.text(" ON CONFLICT (id) DO NOTHING")
		}
	default:
		q.text("UPDATE ", s.table, " SET ")
		for i, v := range s.row(c.Record) {
			if i > 0 {
				q.text(", ")
			}
			q.text(columnNames[i], " = ")
			q.arg(v)
		}
	}
	if c.Record.Version != 0 {
		q.text(" WHERE id = ")
		q.arg(c.Record.ID)
		q.text(" AND version = ")
		q.arg(c.Record.Version)
	}
	result, err := db.ExecContext(ctx, q.b.String(), q.args...)
	if err != nil {
		return s.duplicate(err, []mfa.Change{c})
	}
	n, err := result.RowsAffected()
	if err == nil && n == 0 {
		return s.conflict(c)
	}
	return err
}

type execer interface {
	ExecContext(ctx context.Context, text string, args ...any) (sql.Result, error)
}

// purgeBatch is how many rows Purge deletes at once.
const purgeBatch = 1000

// Purge deletes expired records in batches of 1,000, each in a transaction of
// its own. If it fails, it also returns how many it had deleted.
func (s *Store) Purge(ctx context.Context, before time.Time) (total int, err error) {
	if s.dialect == PostgreSQL {
		return s.purgePostgreSQL(ctx, before)
	}
	for {
		n, size := 0, purgeBatch
		err := s.again(ctx, "purging", func() error {
			done, err := s.wait(ctx)
			if err != nil {
				return err
			}
			defer done()
			if n, err = s.purge(ctx, before, size); s.undone(err) {
				size = max(size/2, 1) // a batch is undone if somebody saves any of its rows
			}
			return err
		})
		total += n
		if err != nil || n == 0 {
			return total, err
		}
	}
}

// purgePostgreSQL leaves locked rows for the end, when it waits for one at a time and
// holds none. Each batch begins where the one before ended, because until a vacuum the
// index leads past all that is gone.
func (s *Store) purgePostgreSQL(ctx context.Context, before time.Time) (total int, err error) {
	from, size, locked := time.Time{}, purgeBatch, time.Time{}
	for {
		var batch purged
		err := s.again(ctx, "purging", func() (err error) {
			batch, err = s.purgeAtOnce(ctx, from, before, size)
			return err
		})
		total += batch.deleted
		if !batch.locked.IsZero() && (locked.IsZero() || batch.locked.Before(locked)) {
			locked = batch.locked
		}
		switch {
		case err != nil:
			return total, err
		case batch.deleted > 0, batch.reached.After(from), size == 1 && !batch.reached.IsZero():
			from = batch.reached
		case size > 1 && !locked.IsZero():
			from, size = locked, 1
		default:
			return total, nil
		}
	}
}

// A purged batch: how many rows were deleted, when the last of those looked at expired,
// and when the first that was left did, because another transaction had locked it.
type purged struct {
	deleted         int
	reached, locked time.Time
}

func (s *Store) purgeAtOnce(
	ctx context.Context, from, before time.Time, size int,
) (p purged, err error) {
	q := s.statement()
	lapsed := func() {
		q.text(" expires_at < ")
		q.arg(before.UTC())
	}
	q.text("WITH batch AS MATERIALIZED (SELECT id, expires_at FROM ", s.table, " WHERE")
	lapsed()
	q.text(" AND expires_at >= ")
	q.arg(from.UTC())
	q.text(" ORDER BY expires_at LIMIT ", strconv.Itoa(size), "), held AS MATERIALIZED ",
		"(SELECT id FROM ", s.table, " WHERE id = ANY (ARRAY(SELECT id FROM batch)) AND")
	lapsed()
	q.text(" FOR UPDATE")
	if size > 1 {
		q.text(" SKIP LOCKED")
	}
	q.text("), gone AS (DELETE FROM ", s.table,
		" WHERE id = ANY (ARRAY(SELECT id FROM held)) RETURNING id)",
		" SELECT (SELECT count(*) FROM gone), max(expires_at),",
		" min(expires_at) FILTER (WHERE id NOT IN (SELECT id FROM held)) FROM batch")
	scan := func(row *sql.Row) error {
		return row.Scan(&p.deleted, (*instant)(&p.reached), (*instant)(&p.locked))
	}
	err = scan(s.db.QueryRowContext(ctx, q.b.String(), q.args...))
	if !s.undone(err) {
		return p, err
	}
	// Above READ COMMITTED a batch of many rows would fail for as long as others save them.
	tx, err := s.db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return purged{}, err
	}
	if err := scan(tx.QueryRowContext(ctx, q.b.String(), q.args...)); err != nil {
		_ = tx.Rollback() // if that fails, the connection is gone, and the transaction with it
		return purged{}, err
	}
	return p, tx.Commit()
}

// purge is a batch of the others.
func (s *Store) purge(ctx context.Context, before time.Time, size int) (int, error) {
	q := s.statement()
	lapsed := func() {
		q.text("expires_at < ")
		q.arg(s.time(before))
	}
	if s.dialect == SQLite {
		q.text("DELETE FROM ", s.table, " WHERE id IN (SELECT id FROM ", s.table, " WHERE ")
		lapsed()
		q.text(" ORDER BY expires_at LIMIT ", strconv.Itoa(size), ")")
	} else {
		// Rows are deleted by id, so that locks are taken in the order in which Save takes them.
		q.text("SELECT id FROM ", s.table, " WHERE ")
		lapsed()
		q.text(" ORDER BY expires_at LIMIT ", strconv.Itoa(size))
		ids, err := s.ids(ctx, q)
		if err != nil || len(ids) == 0 {
			return 0, err
		}
		q = s.statement()
		q.text("DELETE FROM ", s.table, " WHERE id IN ")
		q.list(ids)
		q.text(" AND ")
		lapsed()
	}
	result, err := s.db.ExecContext(ctx, q.b.String(), q.args...)
	if err != nil {
		return 0, err
	}
	n, err := result.RowsAffected()
	return int(n), err
}

func (s *Store) ids(ctx context.Context, q *statement) (ids []string, err error) {
	rows, err := s.db.QueryContext(ctx, q.b.String(), q.args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// maxTries is how often a call is made in all if the database undoes it.
const maxTries = 16

// longestPause bounds the pauses between them.
const longestPause = 256 * time.Millisecond

// again makes a call until the database has not undone it to let another one pass. The
// first repetition is at once. The others wait for a random time, of at most 1, 2, 4 ms and
// so on: those who met would meet again if all of them waited for the same time, and on a
// busy machine one that comes through takes longer than a few milliseconds.
func (s *Store) again(ctx context.Context, doing string, call func() error) error {
	var err error
	for try := range maxTries {
		if try > 1 {
			if err := pause(ctx, min(time.Millisecond<<(try-2), longestPause)); err != nil {
				return err
			}
		}
		if err = call(); !s.undone(err) {
			break
		}
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, mfa.ErrConflict):
		return err
	case ctx.Err() != nil && !errors.Is(err, ctx.Err()):
		return fmt.Errorf("sqlstore: %s: %w: %w", doing, ctx.Err(), err) // some drivers hide it
	}
	return fmt.Errorf("sqlstore: %s: %w", doing, err)
}

// pause waits for a random time, or until the context is over.
func pause(ctx context.Context, longest time.Duration) error {
	d, err := rand.Int(rand.Reader, big.NewInt(int64(longest)))
	if err != nil {
		return fmt.Errorf("sqlstore: pausing: %w", err)
	}
	rest, cancel := context.WithTimeout(ctx, time.Duration(d.Int64()))
	defer cancel()
	<-rest.Done()
	return nil // of a context that is over the next try tells
}

// undone reports whether an error proves that nothing was written, and that the same
// call may succeed.
func (s *Store) undone(err error) bool {
	switch code(err) {
	case "40001", "40P01": // serialization failure, deadlock
		return true
	case "1213", "1020": // the same, of MySQL and of MariaDB, and what a Galera node's COMMIT lost
		return true
	case "9007", "8022": // TiDB: another transaction wrote first; the commit was rolled back
		return true
	case "3101": // MySQL's Group Replication: another member's transaction came first
		return true
	}
	return s.dialect == SQLite && busy(err)
}

// busy reports whether SQLite did not get a lock that another connection has, within
// busy_timeout or where waiting would be a deadlock. Some drivers have a method for its
// code, whose low byte is 5 (SQLITE_BUSY) or 6 (SQLITE_LOCKED), others have its text
// alone.
func busy(err error) bool {
	if e, ok := errors.AsType[interface {
		error
		Code() int
	}](err); ok {
		return e.Code()&0xff == 5 || e.Code()&0xff == 6
	}
	return err != nil && (strings.Contains(err.Error(), "database is locked") ||
		strings.Contains(err.Error(), "database table is locked"))
}

// duplicate turns the error of an insert into a conflict if the id exists.
func (s *Store) duplicate(err error, inserts []mfa.Change) error {
	switch code(err) {
	case "23505", "1062":
		return s.conflict(inserts...)
	}
	return err
}

func (s *Store) conflict(changes ...mfa.Change) error {
	if len(changes) == 1 {
		return fmt.Errorf("%w: record %s", mfa.ErrConflict, changes[0].Record.ID)
	}
	return fmt.Errorf("%w: record %s or one saved with it", mfa.ErrConflict, changes[0].Record.ID)
}

// code is the SQLSTATE of an error from PostgreSQL, whose drivers have a method for
// it, or the number of one from MySQL, whose driver has it in the text alone:
// "Error 1213 (40001): ...".
func code(err error) string {
	if e, ok := errors.AsType[interface {
		error
		SQLState() string
	}](err); ok {
		return e.SQLState()
	}
	for ; err != nil; err = errors.Unwrap(err) {
		if m := mysqlError.FindStringSubmatch(err.Error()); m != nil {
			return m[1]
		}
	}
	return ""
}

var mysqlError = regexp.MustCompile(`^Error (\d+)(?: \(\w{5}\))?: `)

// A statement is a text and its arguments, as they are put together.
type statement struct {
	store *Store
	b     strings.Builder
	args  []any
}

func (s *Store) statement() *statement { return &statement{store: s} }

func (q *statement) text(parts ...string) {
	for _, p := range parts {
		q.b.WriteString(p)
	}
}

// arg adds an argument and its placeholder.
func (q *statement) arg(v any) {
	q.args = append(q.args, v)
	if q.store.dialect == PostgreSQL {
		q.b.WriteByte('$')
		q.b.WriteString(strconv.Itoa(len(q.args)))
	} else {
		q.b.WriteByte('?')
	}
}

// list adds ids in parentheses.
func (q *statement) list(ids []string) {
	for i, id := range ids {
		q.text([]string{"(", ", "}[min(i, 1)])
		q.arg(id)
	}
	q.text(")")
}

// rows adds the new rows of changes, for VALUES. In a part of a statement PostgreSQL
// must be told their types.
func (q *statement) rows(changes []mfa.Change) {
	for i, c := range changes {
		if i > 0 {
			q.text(", ")
		}
		for j, v := range q.store.row(c.Record) {
			q.text([]string{"(", ", "}[min(j, 1)])
			q.arg(v)
			if q.store.dialect == PostgreSQL {
				q.text("::", columnTypes[j])
			}
		}
		q.text(")")
	}
}
