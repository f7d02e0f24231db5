package sqlstore

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// checkDB returns an error for a setting that would fail under load only, or
// lose records silently.
func (t *tables) checkDB(ctx context.Context, db *sql.DB) error {
	if db == nil {
		return errors.New("sqlstore: Config.DB is required")
	}
	n := 2
	if t.dialect == SQLite {
		n = 4 // of which one may have been set up by hand, or two
	}
	conns, err := several(ctx, db, n)
	if err != nil {
		return fmt.Errorf("sqlstore: connecting: %w", err)
	}
	defer func() {
		for _, conn := range conns {
			_ = conn.Close()
		}
	}()
	switch t.dialect {
	case PostgreSQL:
		return checkPostgreSQL(ctx, conns)
	case MySQL:
		return checkMySQL(ctx, conns)
	case SQLite:
	}
	return checkSQLite(ctx, conns)
}

// several takes n connections out of the pool, or as many as there may be. It does not
// wait long for more than the first, since others may hold theirs and wait as well.
func several(ctx context.Context, db *sql.DB, n int) ([]*sql.Conn, error) {
	first, err := db.Conn(ctx)
	// Others may set SQLite's journal_mode at this moment.
	for try := 0; busy(err) && try < maxTries; try++ {
		if err := pause(ctx, min(time.Millisecond<<try, longestPause)); err != nil {
			return nil, err
		}
		first, err = db.Conn(ctx)
	}
	if err != nil {
		return nil, err
	}
	conns := []*sql.Conn{first}
	short, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	for len(conns) < n {
		if s := db.Stats(); s.MaxOpenConnections > 0 && s.InUse >= s.MaxOpenConnections {
			break
		}
		conn, err := db.Conn(short)
		if err != nil {
			break
		}
		conns = append(conns, conn)
	}
	return conns, nil
}

// checkSQLite refuses a database that is gone with its connection, and connections on
// which one of two calls at once would fail.
func checkSQLite(ctx context.Context, conns []*sql.Conn) error {
	var number int
	var name, file string
	err := conns[0].QueryRowContext(ctx, "PRAGMA database_list").Scan(&number, &name, &file)
	if err != nil {
		return fmt.Errorf("sqlstore: asking SQLite for its file: %w", err)
	}
	if file == "" {
		return errors.New(`sqlstore: the SQLite database is in memory or temporary ` +
			`(":memory:", mode=memory, or no file name), so that each connection has another one, ` +
			`and all is lost with it: use a file, or mfa.MemoryStore in tests`)
	}
	for _, conn := range conns {
		var timeout int
		var readOnly bool
		if err := conn.QueryRowContext(ctx, "PRAGMA busy_timeout").Scan(&timeout); err != nil {
			return fmt.Errorf("sqlstore: reading busy_timeout: %w", err)
		}
		if timeout == 0 {
			return errors.New(`sqlstore: SQLite has no busy_timeout on some connection of the pool, ` +
				`so that of two calls at once one would fail: a PRAGMA sets it for one connection alone; ` +
				`for modernc.org/sqlite add "?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)" ` +
				`to the DSN`)
		}
		if err := conn.QueryRowContext(ctx, "PRAGMA query_only").Scan(&readOnly); err != nil {
			return fmt.Errorf("sqlstore: reading query_only: %w", err)
		}
		if readOnly {
			return errors.New("sqlstore: SQLite has query_only=1, so that nothing can be saved: " +
				"take it out of the DSN")
		}
	}
	return nil
}

// checkMySQL refuses a server that takes no writes, connections that do not commit, and
// nodes of a Galera cluster on which a Save would not be seen.
func checkMySQL(ctx context.Context, conns []*sql.Conn) error {
	for _, conn := range conns {
		set, err := show(ctx, conn, "VARIABLES", "autocommit", "read_only", "super_read_only",
			"innodb_read_only", "tx_read_only", "transaction_read_only",
			"wsrep_provider", "wsrep_on", "wsrep_sync_wait", "wsrep_dirty_reads")
		if err != nil {
			return fmt.Errorf("sqlstore: reading the variables of MySQL: %w", err)
		}
		// Not only would a Save be undone at the end of its connection: each connection
		// would also go on to read what it read first.
		if _, known := set["autocommit"]; known && !on(set, "autocommit") {
			return errors.New("sqlstore: MySQL has autocommit=0 on this connection, " +
				"so that nothing would be committed: take it out of the DSN, " +
				"or, where the server sets it, add autocommit=1 to the DSN")
		}
		for _, name := range []string{
			"read_only", "super_read_only", "innodb_read_only", "tx_read_only", "transaction_read_only",
		} {
			if on(set, name) {
				return fmt.Errorf("sqlstore: MySQL has %s=1, so that nothing can be saved: "+
					"connect to the server that takes writes, not to a replica", name)
			}
		}
		if provider := set["wsrep_provider"]; provider != "" && provider != "none" {
			if err := checkGalera(ctx, conn, set); err != nil {
				return err
			}
		}
	}
	return nil
}

// causal are the bits of wsrep_sync_wait with which a statement first waits until its node
// has applied what others committed: 1 for SELECT and BEGIN, 2 for UPDATE and DELETE, and
// 4 for INSERT. Without the first a used code would be read as unused. Without the others a
// Save based on what another node has would find an older version, and call that a conflict.
const causal = 1 | 2 | 4

// checkGalera refuses a node that is cut off, and connections that do not see what was
// saved on others, or do not tell them.
func checkGalera(ctx context.Context, conn *sql.Conn, set map[string]string) error {
	status, err := show(ctx, conn, "STATUS", "wsrep_connected", "wsrep_cluster_status", "wsrep_ready")
	wait, _ := strconv.Atoi(set["wsrep_sync_wait"])
	switch {
	case err != nil:
		return fmt.Errorf("sqlstore: reading the state of the Galera node: %w", err)
	case !on(set, "wsrep_on") && on(status, "wsrep_connected"):
		return errors.New("sqlstore: the Galera node has wsrep_on=OFF on this connection, " +
			"so that no other node would have what is saved: take it out of the DSN")
	case !on(set, "wsrep_on"):
		return nil // a server by itself, although it has the library
	case status["wsrep_cluster_status"] != "Primary", !on(status, "wsrep_ready"):
		return fmt.Errorf("sqlstore: the Galera node takes no statements: it has "+
			"wsrep_cluster_status=%s, which must be Primary, and wsrep_ready=%s, which must be ON: "+
			"connect to another node", status["wsrep_cluster_status"], status["wsrep_ready"])
	case wait&causal != causal:
		return fmt.Errorf("sqlstore: the Galera node has wsrep_sync_wait=%d on this connection, "+
			"so that it would not see what was saved on another node a moment ago, "+
			"and a used code would be valid again: add wsrep_sync_wait=%d to the DSN", wait, causal)
	case on(set, "wsrep_dirty_reads"):
		return errors.New("sqlstore: the Galera node has wsrep_dirty_reads=ON on this connection, " +
			"so that it would show old records while it is cut off from the others: " +
			"take it out of the DSN, or, where the server sets it, add wsrep_dirty_reads=0 to the DSN")
	}
	return nil
}

// on reports whether a server has a variable, and has it on.
func on(set map[string]string, name string) bool {
	value, known := set[name]
	return known && !strings.EqualFold(value, "OFF") && value != "0"
}

// show returns the VARIABLES of a session, or its STATUS, by their names in small letters.
// It passes over names that a server does not have.
func show(
	ctx context.Context, conn *sql.Conn, what string, names ...string,
) (map[string]string, error) {
	rows, err := conn.QueryContext(ctx,
		"SHOW "+what+" WHERE Variable_name IN ('"+strings.Join(names, "', '")+"')")
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	set := map[string]string{}
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			return nil, err
		}
		set[strings.ToLower(name)] = value
	}
	return set, rows.Err()
}

// checkPostgreSQL refuses a server that takes no writes, and a pooler that breaks the
// driver's statements.
func checkPostgreSQL(ctx context.Context, conns []*sql.Conn) error {
	for _, conn := range conns {
		var recovery, readOnly bool
		err := conn.QueryRowContext(ctx, "SELECT pg_is_in_recovery(), "+
			"current_setting('default_transaction_read_only')::bool").
			Scan(&recovery, &readOnly)
		switch {
		case err != nil:
			return broken(err, "asking PostgreSQL whether it takes writes")
		case recovery:
			return errors.New("sqlstore: PostgreSQL is in recovery (a standby), " +
				"so that nothing can be saved: connect to the primary, " +
				"for several hosts with target_session_attrs=read-write")
		case readOnly:
			return errors.New("sqlstore: PostgreSQL has default_transaction_read_only=on " +
				"for this connection, so that nothing can be saved: set it to off, " +
				"in the DSN if it is the database's or the role's")
		}
	}
	return checkPooler(ctx, conns)
}

// errPooler is what to do about a pooler.
var errPooler = errors.New("sqlstore: a pooler gives each transaction another connection " +
	"to PostgreSQL, as PgBouncer does with pool_mode=transaction, and statements that the driver " +
	"prepared on one are not there on the next: for pgx add default_query_exec_mode=exec " +
	"to the DSN (or cache_describe, or simple_protocol), for lib/pq binary_parameters=yes")

// broken is an error of a statement of checkPostgreSQL.
func broken(err error, doing string) error {
	switch code(err) {
	case "26000", "42P05": // there is no such prepared statement, there is one of this name
		return fmt.Errorf("%w: %w", errPooler, err)
	}
	return fmt.Errorf("sqlstore: %s: %w", doing, err)
}

// checkPooler finds out by trying. A driver that prepares a statement in one round trip
// and executes it in the next needs both to reach one server process. Behind a pooler of
// transactions they do while the pool is idle, and not under load. So one connection
// is made to meet another server process, since a transaction on the other connection
// occupies the one that it had. It may need more than one try where other clients use
// the pool meanwhile.
func checkPooler(ctx context.Context, conns []*sql.Conn) error {
	one := conns[0]
	seen, err := probe(ctx, one, rand.Text())
	if err != nil {
		return err
	}
	if !seen.prepared || len(conns) < 2 {
		return nil
	}
	for range 3 {
		if err := probeBeside(ctx, one, conns[1], seen.statement); err != nil {
			return err
		}
	}
	return nil
}

func probeBeside(ctx context.Context, one, other *sql.Conn, statement string) error {
	before, err := probe(ctx, one, statement)
	if err != nil {
		return err
	}
	tx, err := other.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("sqlstore: beginning a transaction: %w", err)
	}
	defer func() { _ = tx.Rollback() }()
	held, err := probe(ctx, tx, statement)
	if err != nil {
		return err
	}
	after := before
	if held.process != before.process { // or a pool of one would keep it waiting for itself
		if after, err = probe(ctx, one, statement); err != nil {
			return err
		}
	}
	// The statement was found on another process. A pooler takes care of statements that
	// have a name, and never of those without, which the next one overwrites.
	pooled := held.process == before.process || after.process != before.process
	if pooled && !before.named {
		return errPooler
	}
	return nil
}

// A probed statement tells of itself.
type probed struct {
	statement string
	process   int  // which executed it
	prepared  bool // in an earlier transaction
	named     bool // so that it could be executed again
}

func probe(ctx context.Context, on interface {
	QueryRowContext(ctx context.Context, text string, args ...any) *sql.Row
}, statement string) (probed, error) {
	p := probed{statement: statement}
	// A literal 'now' is turned into a time when the statement is parsed, and now() is
	// the time of the transaction that executes it.
	err := on.QueryRowContext(ctx, "SELECT pg_backend_pid(), now() <> timestamptz 'now', "+
		"EXISTS (SELECT FROM pg_prepared_statements WHERE statement LIKE $1::text) "+
		"/* "+statement+" */", "%"+statement+"%").
		Scan(&p.process, &p.prepared, &p.named)
	if err != nil {
		return p, broken(err, "asking PostgreSQL about its connections")
	}
	return p, nil
}
