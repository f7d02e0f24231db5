package main

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/redis/go-redis/v9"

	"github.com/authfactor/mfa"
)

var ring = mfa.NewKey()

// shared is the environment of processes that share a database.
func shared() map[string]string {
	return map[string]string{"WORKOS_API_KEY": testKey, "MFA_KEYS": ring}
}

// TestDatabases runs two servers over each database: what one has challenged, the
// other verifies, and never again.
func TestDatabases(t *testing.T) {
	const odd = "a file, with 50% of ? and #.db"
	for _, d := range []struct {
		name string
		dsn  func(*testing.T) string
	}{
		{"PostgreSQL", func(t *testing.T) string {
			t.Helper()
			dsn, _ := postgreSQL(t)
			return dsn
		}},
		{"MySQL", mySQL},
		{"Redis", redisServer},
		{"SQLite", func(*testing.T) string { return odd }},
	} {
		t.Run(d.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			dsn := d.dsn(t)
			one, other := start(t, shared(), "-print-sms", "-dsn", dsn), start(t, shared(), "-print-sms", "-dsn", dsn)
			_, challenge, code := one.totp(t)
			other.verify(t, challenge, code)
			a := one.call(t, "POST", "/auth/challenges/"+challenge+"/verify", `{"code":"`+code+`"}`)
			if a.status != 422 || a.str("code") != "authentication_challenge_previously_verified" {
				t.Errorf("again: %v", a)
			}
			if a := other.callWith(t, "", "GET", "/healthz", ""); a.status != 200 {
				t.Errorf("health: %v", a)
			}
			if files, _ := filepath.Glob("*"); d.name == "SQLite" != (len(files) == 3) || d.name == "SQLite" && files[0] != odd {
				t.Errorf("files %q are there", files) // of SQLite three, and no key
			}
		})
	}
}

// TestSQLite: the settings that keep a commit through a power cut.
func TestSQLite(t *testing.T) {
	t.Chdir(t.TempDir())
	start(t, known())
	for setting, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "busy_timeout": "10000"} {
		db, err := sqlite(defaultDSN)
		if err != nil {
			t.Fatal(err)
		}
		var got string
		if err := db.QueryRowContext(t.Context(), "PRAGMA "+setting).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %s, want %s; error %v", setting, got, want, err)
		}
		_ = db.Close()
	}
}

// TestFiles: other users of the machine read nothing of what is stored, whatever the
// umask, and what an earlier version made is narrowed, once, with a word about it.
func TestFiles(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there are no such modes")
	}
	modes := func(s *server, want int) {
		t.Helper()
		s.totp(t) // writes
		files, err := filepath.Glob("mfa.*")
		if err != nil || len(files) != want {
			t.Errorf("files %q, error %v, want %d", files, err, want)
		}
		for _, file := range files {
			info, err := os.Stat(file)
			if err != nil || info.Mode() != 0o600 {
				t.Errorf("%s: %v, %v", file, info.Mode(), err)
			}
		}
	}
	t.Run("new", func(t *testing.T) {
		t.Chdir(t.TempDir())
		s := start(t, known())
		modes(s, 4) // mfa.db, mfa.db-shm, mfa.db-wal and mfa.key
		if strings.Contains(s.stderr.String(), "WARN") {
			t.Errorf("it was narrowed, and is new:\n%s", s.stderr)
		}
	})
	t.Run("there already", func(t *testing.T) {
		t.Chdir(t.TempDir())
		env := shared()
		s := start(t, env)
		s.totp(t)
		// As after a crash: the files beside are there too.
		for _, file := range []string{"mfa.db", "mfa.db-shm", "mfa.db-wal"} {
			if err := os.Chmod(file, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		again := start(t, env)
		for _, file := range []string{"mfa.db", "mfa.db-shm", "mfa.db-wal"} {
			again.stderr.wait(t, `level=WARN msg="other users of this machine could read this file: it is its owner's alone now" file=`+file+` mode=0644\n`)
		}
		modes(again, 3)
		if third := start(t, env); strings.Contains(third.stderr.String(), "WARN") {
			t.Errorf("it was narrowed again:\n%s", third.stderr)
		}
	})
}

// at is the address of a server that this machine may have. Without it a test skips,
// unless MFA_TEST_SERVERS is "required".
func at(t *testing.T, name, env, address string) string {
	t.Helper()
	if a := os.Getenv(env); a != "" {
		address = a
	}
	conn, err := net.DialTimeout("tcp", address, time.Second)
	switch {
	case err == nil:
		_ = conn.Close()
	case os.Getenv("MFA_TEST_SERVERS") == "required":
		t.Fatalf("%s: no server at %s", name, address)
	default:
		t.Skipf("%s: no server at %s; set %s", name, address, env)
	}
	return address
}

var names atomic.Int64

func unique() string { return fmt.Sprintf("mfa_test_server_%d_%d", os.Getpid(), names.Add(1)) }

// postgreSQL makes a schema that is dropped after the test, and connects to it.
func postgreSQL(t *testing.T) (dsn string, admin *sql.DB) {
	t.Helper()
	name := unique()
	dsn = "postgres://postgres@" + at(t, "PostgreSQL", "MFA_TEST_POSTGRESQL", "127.0.0.1:5432") + "/postgres?sslmode=disable&search_path=" + name
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	admin = stdlib.OpenDB(*cfg)
	whileTesting(t, admin, "CREATE SCHEMA "+name, "DROP SCHEMA "+name+" CASCADE")
	return dsn, admin
}

func mySQL(t *testing.T) string {
	t.Helper()
	name, address := unique(), at(t, "MySQL", "MFA_TEST_MYSQL", "127.0.0.1:3306")
	cfg := mysql.NewConfig()
	cfg.User, cfg.Net, cfg.Addr = "root", "tcp", address
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	whileTesting(t, sql.OpenDB(connector), "CREATE DATABASE "+name, "DROP DATABASE "+name)
	return "mysql://root@" + address + "/" + name
}

func whileTesting(t *testing.T, admin *sql.DB, create, drop string) {
	t.Helper()
	if _, err := admin.ExecContext(t.Context(), create); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := admin.ExecContext(context.Background(), drop); err != nil {
			t.Error(err)
		}
		_ = admin.Close()
	})
}

// redisServer gives a prefix whose keys are deleted after the test.
func redisServer(t *testing.T) string {
	t.Helper()
	prefix, address := unique()+":", at(t, "Redis", "MFA_TEST_REDIS", "127.0.0.1:6379")
	t.Cleanup(func() {
		ctx, client := context.Background(), redis.NewClient(&redis.Options{Addr: address})
		defer func() { _ = client.Close() }()
		found := 0
		for keys := client.Scan(ctx, 0, prefix+"*", 1000).Iterator(); keys.Next(ctx); found++ {
			if err := client.Del(ctx, keys.Val()).Err(); err != nil {
				t.Error(err)
			}
		}
		if found == 0 {
			t.Error("nothing was stored under the prefix")
		}
	})
	return "redis://" + address + "/0?prefix=" + prefix
}
