package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/redis/go-redis/v9"
	_ "modernc.org/sqlite"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/redisstore"
	"github.com/authfactor/mfa/sqlstore"
)

const (
	startLimit  = 30 * time.Second // for connecting and making the tables
	connections = 16
)

type database struct {
	store mfa.Store
	close func()
}

// openDatabase opens what -dsn names, and makes its tables. Its errors do not show the
// DSN, which may hold a password.
func openDatabase(ctx context.Context, dsn string, log *slog.Logger) (database, error) {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	scheme, _, isURL := strings.Cut(dsn, "://")
	if !isURL {
		return openSQLite(ctx, dsn, log)
	}
	u, err := url.Parse(dsn)
	if err != nil {
		return database{}, errors.New("-dsn is not a URL: in user, password and parameters write what is no letter or digit as %XX")
	}
	var db database
	switch scheme {
	case "postgres", "postgresql":
		db, err = openPostgreSQL(ctx, u)
	case "mysql":
		db, err = openMySQL(ctx, u)
	case "redis", "rediss":
		db, err = openRedis(ctx, u, log)
	default:
		return db, errors.New("-dsn begins with a name that is not known: postgres://, mysql:// and redis:// are, and the path of a SQLite file")
	}
	if err != nil {
		return db, fmt.Errorf("-dsn %s://…: %w", scheme, err)
	}
	return db, nil
}

func openSQLite(ctx context.Context, path string, log *slog.Logger) (database, error) {
	if path == "" || strings.HasPrefix(path, ":") {
		return database{}, errors.New("-dsn has to name a file: in memory each connection would have a database of its own")
	}
	if err := private(path, log); err != nil {
		return database{}, err
	}
	db, err := sqlite(path)
	if err != nil {
		return database{}, err
	}
	opened, err := openSQL(ctx, db, sqlstore.SQLite)
	if err != nil {
		return database{}, fmt.Errorf("%s: %w", path, err)
	}
	return opened, nil
}

// private makes the file for its owner alone, because SQLite would let everybody read it.
// The files that SQLite puts beside it have its mode. Those that are there already, and
// that others may read, are narrowed.
func private(path string, log *slog.Logger) error {
	made, err := os.OpenFile(path, os.O_CREATE, 0o600) //nolint:gosec // its name is a flag
	if err != nil {
		return err
	}
	_ = made.Close()
	for _, file := range []string{path, path + "-wal", path + "-shm"} {
		info, err := os.Stat(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		mode := info.Mode().Perm()
		if mode&0o077 == 0 || runtime.GOOS == "windows" {
			continue
		}
		if err := os.Chmod(file, mode&^0o077); err != nil {
			return fmt.Errorf("%s has mode %#o, so that other users of this machine may read it: `chmod 600 %[1]s`: %[3]w", file, mode, err)
		}
		log.Warn("other users of this machine could read this file: it is its owner's alone now", "file", file, "mode", fmt.Sprintf("%#o", mode))
	}
	return nil
}

// sqlite: WAL, so that readers and the writer do not wait for each other; FULL, so that
// not even a power cut takes a commit back.
func sqlite(path string) (*sql.DB, error) {
	file := (&url.URL{Path: filepath.Clean(path)}).EscapedPath()
	return sql.Open("sqlite", "file:"+file+"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
}

func openPostgreSQL(ctx context.Context, u *url.URL) (database, error) {
	cfg, err := pgx.ParseConfig(u.String()) // encoded anew, so that pgx sees the same parts
	if err != nil {
		return database{}, err
	}
	return openSQL(ctx, stdlib.OpenDB(*cfg), sqlstore.PostgreSQL)
}

func openMySQL(ctx context.Context, u *url.URL) (database, error) {
	cfg, err := mysql.ParseDSN("tcp(" + u.Host + ")/?" + u.RawQuery)
	if err != nil {
		return database{}, err
	}
	cfg.User = u.User.Username()
	cfg.Passwd, _ = u.User.Password()
	if cfg.DBName = strings.TrimPrefix(u.Path, "/"); cfg.DBName == "" {
		return database{}, errors.New("it has to end with the name of a database")
	}
	cfg.InterpolateParams = true // half the round trips
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return database{}, err
	}
	return openSQL(ctx, sql.OpenDB(connector), sqlstore.MySQL)
}

func openSQL(ctx context.Context, db *sql.DB, dialect sqlstore.Dialect) (database, error) {
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	cfg := sqlstore.Config{DB: db, Dialect: dialect}
	err := sqlstore.Migrate(ctx, cfg)
	if err != nil {
		return database{}, errors.Join(err, db.Close())
	}
	store, err := sqlstore.New(ctx, cfg)
	if err != nil {
		return database{}, errors.Join(err, db.Close())
	}
	return database{store, func() { _ = db.Close() }}, nil
}

func openRedis(ctx context.Context, u *url.URL, log *slog.Logger) (database, error) {
	query := u.Query()
	prefix := query.Get("prefix") // ours, and not of redis.ParseURL
	query.Del("prefix")
	bare := *u
	bare.RawQuery = query.Encode()
	options, err := redis.ParseURL(bare.String())
	if err != nil {
		return database{}, err
	}
	options.ContextTimeoutEnabled = true
	client := redis.NewClient(options)
	store, err := redisstore.New(ctx, redisstore.Config{Client: client, Prefix: prefix, Logger: log})
	if err != nil {
		return database{}, errors.Join(err, client.Close())
	}
	return database{store, func() { _ = client.Close() }}, nil
}
