package sqlstore_test

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
	_ "github.com/lib/pq"
	_ "modernc.org/sqlite"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfatest"
	"github.com/authfactor/mfa/sqlstore"
)

// TestStore holds the store to its contract on each database.
func TestStore(t *testing.T) {
	for _, d := range databases {
		t.Run(d.name, func(t *testing.T) { d.testStore(t, "") })
	}
}

// TestSettings holds it to the contract under other drivers' settings, isolation
// levels and time zones that an application may have.
func TestSettings(t *testing.T) {
	for _, c := range []struct {
		name string
		database
		params string
	}{
		{"PostgreSQL, serializable", postgreSQL, "&default_transaction_isolation=serializable"},
		{"PostgreSQL, repeatable read", postgreSQL, "&default_transaction_isolation=repeatable%20read"},
		{"PostgreSQL, no prepared statements", postgreSQL, "&default_query_exec_mode=simple_protocol"},
		{"PostgreSQL, another time zone", postgreSQL, "&TimeZone=Asia/Kathmandu"},
		{"PostgreSQL, lib/pq", libpq, ""},
		{"MySQL, serializable", mySQL, "&tx_isolation=%27SERIALIZABLE%27"},
		{"MySQL, read committed", mySQL, "&tx_isolation=%27READ-COMMITTED%27"},
		{"MySQL, prepared statements", mySQL, "&interpolateParams=false"},
		{"MySQL, found rows", mySQL, "&clientFoundRows=true"},
		{"MySQL, times parsed", mySQL, "&parseTime=true&loc=Asia%2FKathmandu&time_zone=%27%2B05%3A45%27"},
		{"SQLite, rollback journal", sqLite, "&_pragma=journal_mode(DELETE)"},
		{"SQLite, immediate", sqLite, "&_txlock=immediate&_pragma=synchronous(FULL)"},
	} {
		t.Run(c.name, func(t *testing.T) { c.testStore(t, c.params) })
	}
}

func (d database) testStore(t *testing.T, params string) {
	t.Helper()
	d.skip(t)
	mfatest.TestStore(t, func(t *testing.T) mfa.Store {
		t.Helper()
		return newStore(t, d.config(t, params))
	})
}

// A database is one that this machine may have. Their addresses are environment
// variables; without a server a test skips, unless MFA_TEST_SERVERS is "required".
type database struct {
	name    string
	dialect sqlstore.Dialect
	driver  string
	env     string // the address
	address string // by default
	dsn     func(address, params string) string
}

var (
	postgreSQL = database{
		"PostgreSQL",
		sqlstore.PostgreSQL,
		"pgx",
		"MFA_TEST_POSTGRESQL",
		"127.0.0.1:5432",
		postgreSQLURL,
	}
	libpq = database{
		"PostgreSQL",
		sqlstore.PostgreSQL,
		"postgres",
		"MFA_TEST_POSTGRESQL",
		"127.0.0.1:5432",
		postgreSQLURL,
	}
	mySQL = database{
		"MySQL",
		sqlstore.MySQL,
		"mysql",
		"MFA_TEST_MYSQL",
		"127.0.0.1:3306",
		func(address, params string) string {
			return "root@tcp(" + address + ")/?interpolateParams=true" + params
		},
	}
	sqLite = database{name: "SQLite", dialect: sqlstore.SQLite, driver: "sqlite"}

	databases = []database{postgreSQL, mySQL, sqLite}
)

func postgreSQLURL(address, params string) string {
	return "postgres://postgres@" + address + "/postgres?sslmode=disable" + params
}

func (d database) at() string {
	if address := os.Getenv(d.env); address != "" {
		return address
	}
	return d.address
}

func (d database) skip(t *testing.T) {
	t.Helper()
	if d.address == "" {
		return
	}
	conn, err := net.DialTimeout("tcp", d.at(), time.Second)
	if err == nil {
		_ = conn.Close()
		return
	}
	if os.Getenv("MFA_TEST_SERVERS") == "required" {
		t.Fatalf("%s: no server at %s", d.name, d.at())
	}
	t.Skipf("%s: no server at %s; set %s", d.name, d.at(), d.env)
}

var schemas atomic.Int64

// config opens a schema, database or file of the test's own, with parameters for the
// DSN, such as "&a=b".
func (d database) config(t *testing.T, params string) sqlstore.Config {
	t.Helper()
	schema := fmt.Sprintf("mfa_test_%d_%d", os.Getpid(), schemas.Add(1))
	var dsn string
	switch d.dialect {
	case sqlstore.SQLite:
		if !strings.Contains(params, "journal_mode") {
			params += "&_pragma=journal_mode(WAL)"
		}
		dsn = "file:" + filepath.Join(
			t.TempDir(),
			"mfa.db",
		) + "?_pragma=busy_timeout(10000)&_pragma=synchronous(NORMAL)" + params
		schema = ""
	default:
		dsn = d.dsn(d.at(), params)
		admin := open(t, d.driver, d.dsn(d.at(), ""))
		if _, err := admin.ExecContext(t.Context(), "CREATE SCHEMA "+schema); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			cascade := map[sqlstore.Dialect]string{sqlstore.PostgreSQL: " CASCADE"}[d.dialect]
			if _, err := admin.ExecContext(context.Background(), "DROP SCHEMA "+schema+cascade); err != nil {
				t.Error(err)
			}
		})
	}
	return sqlstore.Config{DB: open(t, d.driver, dsn), Dialect: d.dialect, Schema: schema}
}

func open(t *testing.T, driver, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(16)
	db.SetMaxIdleConns(16)
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func newStore(t *testing.T, cfg sqlstore.Config) *sqlstore.Store {
	t.Helper()
	if err := sqlstore.Migrate(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	store, err := sqlstore.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return store
}
