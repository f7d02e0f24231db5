package itest

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfatest"
)

var naiveRuns = flag.Int("naive", 1, "how often TestSuiteCatchesRealStores runs each store with a flaw")

// naiveFlaw names the flaw of the store that TestNaiveStore checks, in a process of its own.
const naiveFlaw = "MFA_ITEST_NAIVE_FLAW"

// naiveFlaws are mistakes that only a real database has, and the check of mfatest that each
// is caught by.
var naiveFlaws = []struct {
	flaw, caught string
	server       string
}{
	{"tells serialization failures as conflicts", "no needless conflicts", "PostgreSQL"},
	{"has no transactions", "contexts that end within Save", "PostgreSQL"},
	{"has no transactions", "contexts that end within Save", "MySQL"},
	{"reads what is not committed", "reads beside writes", "MySQL"},
	{"purges what it selected", "purge against changes", "PostgreSQL"},
	{"purges what it selected", "purge against changes", "MySQL"},
	{"has utf8mb3", "users", "MySQL"},
	{"has short columns", "names", "MySQL"},
	{"reads local times", "times", "PostgreSQL"},
	{"follows circles", "circles of parents", "PostgreSQL"},
	{"tells a context's error as a conflict too", "cancelled contexts", "PostgreSQL"},
}

// TestSuiteCatchesRealStores: what mfatest.TestStore catches in its own tests, it catches in a
// store over a real server, whose windows are nobody's to widen. Without a flaw the same store
// passes these checks.
func TestSuiteCatchesRealStores(t *testing.T) {
	for _, name := range []string{"PostgreSQL", "MySQL"} {
		var checks []string
		for _, f := range naiveFlaws {
			checks = append(checks, f.caught)
		}
		slices.Sort(checks)
		checks = slices.Compact(checks)
		t.Run(name+", no flaw", func(t *testing.T) {
			said, passed, failed := runNaive(t, name, "none", 1, checks...)
			if passed != len(checks) || failed != 0 {
				t.Errorf("%d checks of %d passed and %d failed:\n%s", passed, len(checks), failed, said)
			}
		})
	}
	for _, f := range naiveFlaws {
		t.Run(f.server+" "+f.flaw, func(t *testing.T) {
			said, passed, failed := runNaive(t, f.server, f.flaw, *naiveRuns, f.caught)
			if failed != *naiveRuns {
				t.Errorf("caught %d times of %d, and passed %d times:\n%s", failed, *naiveRuns, passed, said)
			}
		})
	}
}

// runNaive runs some checks against a store with a flaw, in a process of its own, since a
// check that fails fails its test.
func runNaive(t *testing.T, name, flaw string, times int, checks ...string) (said string, passed, failed int) {
	t.Helper()
	i := slices.IndexFunc(servers, func(s server) bool { return s.name == name })
	servers[i].place(t) // which skips without the server
	pattern := fmt.Sprintf("^TestNaiveStore$/^%s$/^(%s)$", name,
		strings.ReplaceAll(strings.Join(checks, "|"), " ", "_"))
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.v", "-test.run", pattern,
		"-test.count", fmt.Sprint(times))
	cmd.Env = append(os.Environ(), naiveFlaw+"="+flaw)
	out, _ := cmd.CombinedOutput() // an error means that a check failed
	said = string(out)
	return said, strings.Count(said, "\n        --- PASS: "), strings.Count(said, "\n        --- FAIL: ")
}

// TestNaiveStore is a part of TestSuiteCatchesRealStores.
func TestNaiveStore(t *testing.T) {
	flaw := os.Getenv(naiveFlaw)
	if flaw == "" {
		t.Skip("TestSuiteCatchesRealStores runs it")
	}
	for _, s := range servers[:2] {
		t.Run(s.name, func(t *testing.T) {
			mfatest.TestStore(t, func(t *testing.T) mfa.Store {
				t.Helper()
				return newNaive(t, s, flaw)
			})
		})
	}
}

// A naive store is what somebody writes for SQL on a first day: one statement a change, in a
// transaction. It has at most one flaw.
type naive struct {
	db    *sql.DB
	table string
	flaw  string
	mysql bool
}

func (n *naive) is(flaw string) bool { return n.flaw == flaw }

func newNaive(t *testing.T, s server, flaw string) *naive {
	t.Helper()
	p, _ := s.place(t)
	n := &naive{table: p.Schema + ".naive", flaw: flaw, mysql: s.name == "MySQL"}
	dsn, binary, ascii := p.Address, `text COLLATE "C"`, `text COLLATE "C"`
	blob, names, suffix := "bytea", "text", ""
	if n.mysql {
		binary, ascii, blob, names = "VARBINARY(255)", "VARBINARY(64)", "MEDIUMBLOB", "VARCHAR(32)"
		suffix = " ENGINE = InnoDB"
		switch {
		case n.is("has utf8mb3"):
			dsn += "&sql_mode=%27%27"
			binary = "VARCHAR(255) CHARACTER SET utf8mb3 COLLATE utf8mb3_bin"
		case n.is("has short columns"):
			dsn += "&sql_mode=%27%27"
			names = "VARCHAR(16)"
		case n.is("reads what is not committed"):
			dsn += "&tx_isolation=%27READ-UNCOMMITTED%27"
		}
	}
	var err error
	if n.db, err = sql.Open(p.Driver, dsn); err != nil {
		t.Fatal(err)
	}
	n.db.SetMaxOpenConns(16)
	n.db.SetMaxIdleConns(16)
	t.Cleanup(func() { _ = n.db.Close() })
	times := "timestamptz"
	if n.mysql {
		times = "BIGINT"
	}
	for _, statement := range []string{
		"CREATE TABLE " + n.table + " (id " + ascii + " PRIMARY KEY, kind " + names + ", parent " + ascii +
			", user_id " + binary + ", type " + names + ", status " + names + ", created_at " + times +
			", updated_at " + times + ", expires_at " + times + ", version bigint, state " + blob + ")" + suffix,
		"CREATE INDEX naive_user ON " + n.table + " (kind, user_id, id)",
		"CREATE INDEX naive_expires ON " + n.table + " (expires_at)",
	} {
		if _, err := n.db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// text numbers the placeholders of PostgreSQL, and names the table.
func (n *naive) text(q string) string {
	q = strings.ReplaceAll(q, "TABLE", n.table)
	if n.mysql {
		return q
	}
	var b strings.Builder
	i := 0
	for part := range strings.SplitSeq(q, "?") {
		if i > 0 {
			fmt.Fprintf(&b, "$%d", i)
		}
		b.WriteString(part)
		i++
	}
	return b.String()
}

const naiveColumns = "r.id, r.kind, r.parent, r.user_id, r.type, r.status, " +
	"r.created_at, r.updated_at, r.expires_at, r.version, r.state"

func (n *naive) Load(ctx context.Context, ids ...string) ([]mfa.Record, error) {
	if len(ids) == 0 {
		return nil, ctx.Err()
	}
	var args []any
	for _, id := range ids {
		args = append(args, id)
	}
	union := "UNION"
	if n.is("follows circles") {
		union = "UNION ALL"
	}
	return n.query(ctx, "WITH RECURSIVE found AS (SELECT id, parent FROM TABLE WHERE id IN (?"+
		strings.Repeat(", ?", len(ids)-1)+") "+union+" SELECT p.id, p.parent FROM TABLE p JOIN found "+
		"ON p.id = found.parent) SELECT "+naiveColumns+" FROM TABLE r WHERE id IN (SELECT id FROM found)", args...)
}

func (n *naive) List(ctx context.Context, q mfa.Query) ([]mfa.Record, error) {
	return n.query(ctx, "SELECT "+naiveColumns+" FROM TABLE r WHERE kind = ? AND (user_id = ? OR ? = '') "+
		"AND id > ? ORDER BY id LIMIT ?", q.Kind, q.UserID, q.UserID, q.After, q.Limit)
}

func (n *naive) query(ctx context.Context, q string, args ...any) (found []mfa.Record, err error) {
	rows, err := n.db.QueryContext(ctx, n.text(q), args...)
	if err != nil {
		return nil, n.cause(ctx, err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var r mfa.Record
		var times [3]any
		if err := rows.Scan(&r.ID, &r.Kind, &r.Parent, &r.UserID, &r.Type, &r.Status,
			&times[0], &times[1], &times[2], &r.Version, &r.State); err != nil {
			return nil, err
		}
		for i, t := range []*time.Time{&r.CreatedAt, &r.UpdatedAt, &r.ExpiresAt} {
			switch v := times[i].(type) {
			case int64:
				*t = time.UnixMilli(v).UTC()
			case time.Time:
				if *t = v.UTC(); n.is("reads local times") {
					*t = v
				}
			}
		}
		found = append(found, r)
	}
	return found, n.cause(ctx, rows.Err())
}

// cause has the error of a context match it, whatever the driver makes of it.
func (n *naive) cause(ctx context.Context, err error) error {
	switch {
	case err == nil, ctx.Err() == nil:
		return err
	case n.is("tells a context's error as a conflict too"):
		return fmt.Errorf("%w: %w", mfa.ErrConflict, ctx.Err())
	}
	return fmt.Errorf("%w: %w", ctx.Err(), err)
}

type naiveDB interface {
	ExecContext(ctx context.Context, text string, args ...any) (sql.Result, error)
	QueryRowContext(ctx context.Context, text string, args ...any) *sql.Row
}

func (n *naive) Save(ctx context.Context, changes ...mfa.Change) error {
	changes = slices.Clone(changes)
	slices.SortFunc(changes, func(a, b mfa.Change) int { return cmp.Compare(a.Record.ID, b.Record.ID) })
	if n.is("has no transactions") {
		for _, c := range changes {
			if err := n.judge(ctx, n.db, c); err != nil {
				return n.cause(ctx, err)
			}
		}
		for _, c := range changes {
			if err := n.write(ctx, n.db, c); err != nil {
				return n.cause(ctx, err)
			}
		}
		return ctx.Err()
	}
	for {
		err := n.saveOnce(ctx, changes)
		if undone(err) && n.is("tells serialization failures as conflicts") {
			return fmt.Errorf("%w: %w", mfa.ErrConflict, err)
		}
		if !undone(err) || ctx.Err() != nil {
			return n.cause(ctx, err)
		}
	}
}

func (n *naive) saveOnce(ctx context.Context, changes []mfa.Change) error {
	var options *sql.TxOptions
	if n.is("tells serialization failures as conflicts") {
		options = &sql.TxOptions{Isolation: sql.LevelSerializable}
	}
	tx, err := n.db.BeginTx(ctx, options)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	for _, c := range changes {
		if options != nil {
			if err := n.judge(ctx, tx, c); err != nil {
				return err
			}
		}
		if err := n.write(ctx, tx, c); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// judge reads the version first, as serializable transactions may.
func (n *naive) judge(ctx context.Context, db naiveDB, c mfa.Change) error {
	var version int64
	err := db.QueryRowContext(ctx, n.text("SELECT version FROM TABLE WHERE id = ?"), c.Record.ID).Scan(&version)
	switch {
	case errors.Is(err, sql.ErrNoRows) && c.Record.Version == 0 && !c.Delete:
		return nil
	case errors.Is(err, sql.ErrNoRows), err == nil && version != c.Record.Version:
		return mfa.ErrConflict
	}
	return err
}

func (n *naive) write(ctx context.Context, db naiveDB, c mfa.Change) error {
	r := c.Record
	row := []any{r.Kind, r.Parent, r.UserID, r.Type, r.Status,
		n.time(r.CreatedAt), n.time(r.UpdatedAt), n.time(r.ExpiresAt), r.Version + 1, append([]byte{}, r.State...), r.ID}
	q := "UPDATE TABLE SET kind = ?, parent = ?, user_id = ?, type = ?, status = ?, " +
		"created_at = ?, updated_at = ?, expires_at = ?, version = ?, state = ? WHERE id = ? AND version = ?"
	switch {
	case c.Delete:
		q, row = "DELETE FROM TABLE WHERE id = ? AND version = ?", []any{r.ID, r.Version}
	case r.Version == 0:
		q = "INSERT INTO TABLE (kind, parent, user_id, type, status, created_at, updated_at, expires_at, " +
			"version, state, id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
	default:
		row = append(row, r.Version)
	}
	result, err := db.ExecContext(ctx, n.text(q), row...)
	if number := naiveCode(err); number == "23505" || number == "1062" {
		return fmt.Errorf("%w: record %s", mfa.ErrConflict, r.ID)
	} else if err != nil {
		return err
	}
	if changed, err := result.RowsAffected(); err != nil || changed == 0 {
		return cmp.Or(err, mfa.ErrConflict)
	}
	return nil
}

func (n *naive) Purge(ctx context.Context, before time.Time) (int, error) {
	if !n.is("purges what it selected") {
		for {
			result, err := n.db.ExecContext(ctx, n.text("DELETE FROM TABLE WHERE expires_at < ?"), n.time(before))
			if undone(err) && ctx.Err() == nil {
				continue
			}
			if err != nil {
				return 0, n.cause(ctx, err)
			}
			deleted, err := result.RowsAffected()
			return int(deleted), err
		}
	}
	lapsed, err := n.query(ctx, "SELECT "+naiveColumns+" FROM TABLE r WHERE expires_at < ?", n.time(before))
	deleted := 0
	for _, r := range lapsed {
		if err == nil {
			_, err = n.db.ExecContext(ctx, n.text("DELETE FROM TABLE WHERE id = ?"), r.ID)
			deleted++
		}
	}
	return deleted, err
}

func (n *naive) time(t time.Time) any {
	switch {
	case t.IsZero():
		return nil
	case n.mysql:
		return t.UnixMilli()
	}
	return t
}

// undone reports whether the database undid a transaction to let another one pass.
func undone(err error) bool {
	return slices.Contains([]string{"40001", "40P01", "1213", "1020"}, naiveCode(err))
}

func naiveCode(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	if e, ok := errors.AsType[*mysql.MySQLError](err); ok {
		return fmt.Sprint(e.Number)
	}
	return ""
}
