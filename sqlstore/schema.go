package sqlstore

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// ErrSchema says that the table is missing, or of another version than this
// package: see [New].
var ErrSchema = errors.New("sqlstore: wrong schema")

// Version is the version of the schema that this package works with.
const Version = 1

//go:embed schema
var files embed.FS

// Schema returns the SQL that makes the tables in a database without them, for
// a person to read, or for a migration tool to run in place of [Migrate]. It is
// that of the files in the folder schema, with the names of cfg. cfg.DB may be
// nil. It returns an error if another field of cfg is malformed.
func Schema(cfg Config) (string, error) {
	t, err := cfg.tables()
	if err != nil {
		return "", err
	}
	return t.step(1)
}

// Migrate makes the tables, or updates those of an older version to this one.
// If they are up to date it does nothing, and it leaves those of a newer
// version as they are. Any number of processes may call it at once: they wait
// for each other. It requires the right to create tables, which New does not.
// It returns an error for a malformed Config, and for the connections listed in
// "Settings" of the package.
func Migrate(ctx context.Context, cfg Config) error {
	t, err := cfg.tables()
	if err != nil {
		return err
	}
	if err := t.checkDB(ctx, cfg.DB); err != nil {
		return err
	}
	if err := t.migrate(ctx, cfg.DB); err != nil {
		return fmt.Errorf("sqlstore: migrating: %w", err)
	}
	return nil
}

func (t *tables) migrate(ctx context.Context, db *sql.DB) (err error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			// Closing the connection undoes what was begun, and gives up the lock.
			discard(conn)
		}
		_ = conn.Close()
	}()
	for _, text := range lock[t.dialect] {
		if _, err := conn.ExecContext(ctx, text); err != nil {
			return err
		}
	}
	have, err := t.version(ctx, conn)
	if err != nil {
		return err
	}
	for v := have + 1; v <= Version; v++ {
		text, err := t.step(v)
		if err != nil {
			return err
		}
		for statement := range strings.SplitSeq(text, ";\n") {
			if strings.TrimSpace(statement) == "" {
				continue
			}
			if _, err := conn.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
	}
	_, err = conn.ExecContext(ctx, unlock[t.dialect])
	return err
}

// One process migrates at a time. MySQL commits each CREATE TABLE by itself, so that
// its files are written to be run again from the start.
var (
	lock = map[Dialect][]string{
		PostgreSQL: {"BEGIN", "SELECT pg_advisory_xact_lock(8317987319222330741)"},
		MySQL:      {"DO GET_LOCK('github.com/authfactor/mfa/sqlstore', 600)"},
		SQLite:     {"BEGIN IMMEDIATE"},
	}
	unlock = map[Dialect]string{
		PostgreSQL: "COMMIT",
		MySQL:      "DO RELEASE_LOCK('github.com/authfactor/mfa/sqlstore')",
		SQLite:     "COMMIT",
	}
)

// tables are the names of a Config, quoted.
type tables struct {
	dialect           Dialect
	records, versions string
	names             *strings.Replacer
	schema, table     string // as they were given
}

var name = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,39}$`)

func (cfg Config) tables() (*tables, error) {
	t := &tables{dialect: cfg.Dialect, schema: cfg.Schema, table: cfg.Table}
	if t.table == "" {
		t.table = "mfa_records"
	}
	quote, ok := map[Dialect]string{PostgreSQL: `"`, MySQL: "`", SQLite: `"`}[cfg.Dialect]
	switch {
	case !ok:
		return nil, fmt.Errorf("sqlstore: Config.Dialect is %q: it must be PostgreSQL, MySQL or SQLite",
			cfg.Dialect)
	case !name.MatchString(t.table):
		return nil, fmt.Errorf("sqlstore: Config.Table is %q: it must match %s", t.table, name)
	case t.schema != "" && cfg.Dialect == SQLite:
		return nil, errors.New("sqlstore: Config.Schema: SQLite has no schemas, " +
			"and attached databases belong to one connection")
	case t.schema != "" && !name.MatchString(t.schema):
		return nil, fmt.Errorf("sqlstore: Config.Schema is %q: it must match %s", t.schema, name)
	}
	quoted := func(s string) string { return quote + s + quote }
	prefix := ""
	if t.schema != "" {
		prefix = quoted(t.schema) + "."
	}
	t.records, t.versions = prefix+quoted(t.table), prefix+quoted(t.table+"_version")
	// Indexes lie in the schema of their table, and are named without it.
	t.names = strings.NewReplacer(
		"mfa_records_version", t.versions,
		"mfa_records_user", quoted(t.table+"_user"),
		"mfa_records_expires", quoted(t.table+"_expires"),
		"mfa_records", t.records,
	)
	return t, nil
}

// step returns the SQL that leads to a version from the one before.
func (t *tables) step(version int) (string, error) {
	text, err := files.ReadFile(fmt.Sprintf("schema/%s/%d.sql", t.dialect, version))
	return t.names.Replace(string(text)), err
}

// check reports whether this package can work with the tables.
func (t *tables) check(ctx context.Context, db *sql.DB) error {
	if err := t.checkDB(ctx, db); err != nil {
		return err
	}
	have, err := t.version(ctx, db)
	switch {
	case err != nil:
		return fmt.Errorf("sqlstore: reading the schema's version: %w", err)
	case have == 0:
		return fmt.Errorf("%w: table %s is missing: call sqlstore.Migrate first, "+
			"or run what sqlstore.Schema returns", ErrSchema, t.records)
	case have < Version:
		return fmt.Errorf("%w: table %s is of version %d, and this package needs %d: "+
			"call sqlstore.Migrate", ErrSchema, t.records, have, Version)
	case have > Version:
		return fmt.Errorf("%w: table %s is of version %d, and this package knows %d: "+
			"it was migrated by a newer release", ErrSchema, t.records, have, Version)
	}
	read := t.names.Replace("SELECT " + columns + " FROM mfa_records WHERE 1 = 0")
	if _, err := db.ExecContext(ctx, read); err != nil {
		return fmt.Errorf("%w: table %s is said to be of version %d, and is not: %w",
			ErrSchema, t.records, have, err)
	}
	if t.dialect == SQLite { // where a file that was opened for reading alone tells nothing before
		write := t.names.Replace("UPDATE mfa_records SET version = version WHERE 1 = 0")
		if _, err := db.ExecContext(ctx, write); err != nil && !busy(err) {
			return fmt.Errorf("sqlstore: trying to write: %w", err)
		}
	}
	return nil
}

// version returns the version of the tables, 0 if there are none.
func (t *tables) version(ctx context.Context, db interface {
	QueryRowContext(ctx context.Context, text string, args ...any) *sql.Row
}) (int, error) {
	exists, args := "", []any{t.table + "_version"}
	switch t.dialect {
	case PostgreSQL:
		exists, args = "SELECT CASE WHEN to_regclass($1) IS NULL THEN 0 ELSE 1 END", []any{t.versions}
	case MySQL:
		exists = "SELECT count(*) FROM information_schema.tables " +
			"WHERE table_name = ? AND table_schema = COALESCE(NULLIF(?, ''), DATABASE())"
		args = append(args, t.schema)
	case SQLite:
		exists = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?"
	}
	var n int
	if err := db.QueryRowContext(ctx, exists, args...).Scan(&n); err != nil || n == 0 {
		return 0, err
	}
	var version sql.Null[int]
	err := db.QueryRowContext(ctx, "SELECT max(version) FROM "+t.versions).Scan(&version)
	return version.V, err
}
