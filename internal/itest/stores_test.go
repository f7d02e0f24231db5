package itest

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/redis/go-redis/v9"
	_ "modernc.org/sqlite"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/redisstore"
	"github.com/authfactor/mfa/sqlstore"
)

// A place is where records are, as one process tells another.
type place struct {
	Dialect sqlstore.Dialect // "" for Redis
	Driver  string           // "sentinel" for Redis behind Sentinels, whose addresses are the address
	Address string           // the DSN
	Schema  string           // or the prefix of Redis
}

// open connects to a place that exists.
func (p place) open(ctx context.Context) (mfa.Store, io.Closer, error) {
	switch p.Driver {
	case "sentinel":
		return openSentinel(ctx, p)
	case etcdDriver:
		return p.openEtcd(ctx)
	}
	if p.Dialect == "" {
		client := redis.NewClient(&redis.Options{Addr: p.Address, ContextTimeoutEnabled: true})
		store, err := redisstore.New(ctx, redisstore.Config{Client: client, Prefix: p.Schema, Logger: slog.New(slog.DiscardHandler)})
		return store, client, err
	}
	db, err := sql.Open(p.Driver, p.Address)
	if err != nil {
		return nil, nil, err
	}
	db.SetMaxOpenConns(8)
	db.SetMaxIdleConns(8)
	store, err := sqlstore.New(ctx, p.config(db))
	return store, db, err
}

// openSentinel opens a store over the master that Sentinels tell, which waits for one
// replica.
func openSentinel(ctx context.Context, p place) (mfa.Store, io.Closer, error) {
	client := sentinelClient(strings.Fields(p.Address))
	store, err := redisstore.New(ctx, redisstore.Config{
		Client: client, Prefix: p.Schema, Replicas: 1, Logger: slog.New(slog.DiscardHandler),
	})
	return store, client, err
}

const masterName = "mfa"

func sentinelClient(sentinels []string) *redis.Client {
	return redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName: masterName, SentinelAddrs: sentinels, ContextTimeoutEnabled: true,
	})
}

func (p place) config(db *sql.DB) sqlstore.Config {
	return sqlstore.Config{DB: db, Dialect: p.Dialect, Schema: p.Schema}
}

func (p place) mustOpen(t *testing.T) mfa.Store {
	t.Helper()
	store, closer, err := p.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = closer.Close() })
	return store
}

// onEveryStore runs a test on each store, over two connections as two processes have them.
func onEveryStore(t *testing.T, test func(t *testing.T, stores [2]mfa.Store)) {
	t.Helper()
	for _, server := range append(servers, server{name: "memory"}) {
		t.Run(server.name, func(t *testing.T) {
			t.Parallel()
			if server.name == "memory" {
				store := new(mfa.MemoryStore)
				test(t, [2]mfa.Store{store, store})
				return
			}
			place, _ := server.place(t)
			test(t, [2]mfa.Store{place.mustOpen(t), place.mustOpen(t)})
		})
	}
}

// migrate makes the tables.
func (p place) migrate(tb testing.TB) {
	tb.Helper()
	db, err := sql.Open(p.Driver, p.Address)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := sqlstore.Migrate(tb.Context(), p.config(db)); err != nil {
		tb.Fatal(err)
	}
}

// A server is one that this machine may have; the address is an environment variable.
// Without it a test skips, unless MFA_TEST_SERVERS is "required".
type server struct {
	name, env, address string
	at                 func(address, schema string) place
}

var servers = []server{
	{"PostgreSQL", "MFA_TEST_POSTGRESQL", "127.0.0.1:5432", func(address, schema string) place {
		return place{sqlstore.PostgreSQL, "pgx", "postgres://postgres@" + address + "/postgres?sslmode=disable", schema}
	}},
	{"MySQL", "MFA_TEST_MYSQL", "127.0.0.1:3306", func(address, schema string) place {
		return place{sqlstore.MySQL, "mysql", "root@tcp(" + address + ")/?interpolateParams=true", schema}
	}},
	{"Redis", "MFA_TEST_REDIS", "127.0.0.1:6379", func(address, schema string) place { return place{Address: address, Schema: schema + ":"} }},
	{name: "SQLite"},
}

var places atomic.Int64

// place is an empty one of the test's own, and the address of its server.
func (s server) place(tb testing.TB) (place, string) {
	tb.Helper()
	schema := fmt.Sprintf("mfa_itest_%d_%d", os.Getpid(), places.Add(1))
	if s.at == nil {
		p := place{sqlstore.SQLite, "sqlite", "file:" + filepath.Join(tb.TempDir(), "mfa.db") + "?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)", ""}
		p.migrate(tb)
		return p, ""
	}
	address := os.Getenv(s.env)
	if address == "" {
		address = s.address
	}
	network := "tcp"
	if strings.HasPrefix(address, "/") {
		network = "unix"
	}
	conn, err := net.DialTimeout(network, address, time.Second)
	switch {
	case err == nil:
		_ = conn.Close()
	case os.Getenv("MFA_TEST_SERVERS") == "required":
		tb.Fatalf("%s: no server at %s", s.name, address)
	default:
		tb.Skipf("%s: no server at %s; set %s", s.name, address, s.env)
	}
	p := s.at(address, schema)
	if p.Dialect == "" {
		client := redis.NewClient(&redis.Options{Addr: address})
		tb.Cleanup(func() {
			ctx := context.Background()
			for all := client.Scan(ctx, 0, p.Schema+"*", 1000).Iterator(); all.Next(ctx); {
				client.Del(ctx, all.Val())
			}
			_ = client.Close()
		})
		return p, address
	}
	db, err := sql.Open(p.Driver, p.Address)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := db.ExecContext(tb.Context(), "CREATE SCHEMA "+schema); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		cascade := map[sqlstore.Dialect]string{sqlstore.PostgreSQL: " CASCADE"}[p.Dialect]
		if _, err := db.ExecContext(context.Background(), "DROP SCHEMA "+schema+cascade); err != nil {
			tb.Error(err)
		}
		_ = db.Close()
	})
	p.migrate(tb)
	return p, address
}
