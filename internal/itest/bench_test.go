package itest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"database/sql/driver"
	"flag"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfatest"
	"github.com/authfactor/mfa/redisstore"
	"github.com/authfactor/mfa/sqlstore"
)

// The figures of .ci/bench-stores. Each is measured in turn with what it is held against,
// often and shortly, because a machine has better and worse moments.

const (
	conns  = 16 // connections to a server, and people who log in at once
	rounds = 9
)

var (
	manyRows = flag.Int("rows", 10_000_000, "challenges that BenchmarkRows stores")

	start = time.Unix(1_750_000_000, 0) // of everybody's clock
)

// BenchmarkFlows is a challenge and its verification through the service, and the same
// statements sent bare.
func BenchmarkFlows(b *testing.B) {
	for _, s := range servers {
		b.Run(s.name, func(b *testing.B) {
			p, _ := s.place(b)
			if p.Dialect == sqlstore.PostgreSQL {
				p.fill(b, 100_000) // for a smaller table its plans are others
			}
			db := p.pool(b, nil)
			bare := newBare(b, p, db)
			people, others := enroll(b, db), enroll(b, db)
			for range rounds {
				b.Run("service", func(b *testing.B) { people.run(b, login) })
				b.Run("bare", func(b *testing.B) { others.run(b, bare.login) })
			}
		})
	}
}

// BenchmarkRows is the same through the service, in a table of PostgreSQL with few
// challenges and in one with many, from which Purge then deletes a tenth or more.
func BenchmarkRows(b *testing.B) {
	few, _ := servers[0].place(b)
	many, _ := servers[0].place(b)
	few.fill(b, 10_000)
	many.fill(b, *manyRows)
	inFew, inMany := enroll(b, few.pool(b, nil)), enroll(b, many.pool(b, nil))
	for range rounds {
		b.Run("few", func(b *testing.B) { inFew.run(b, login) })
		b.Run("many", func(b *testing.B) { inMany.run(b, login) })
	}
	before := start.Add(-24 * time.Hour)
	for range rounds / 3 {
		b.Run("purge", func(b *testing.B) { before = many.purge(b, before) })
	}
}

// fill stores n challenges that were verified and expired in the day before start, with
// ids in order of time, as ULIDs are.
func (p place) fill(b *testing.B, n int) {
	b.Helper()
	db := p.pool(b, nil)
	table := p.Schema + ".mfa_records"
	for _, text := range []string{
		fmt.Sprintf(`INSERT INTO %s (id, kind, parent, user_id, type, status, created_at, updated_at, expires_at, version, state)
			SELECT 'auth_challenge_0' || upper(to_hex(ms) || substr(hex, 1, 14)), 'challenge', 'auth_factor_0' || upper(substr(hex, 15, 25)), '', 'totp', 'verified',
				to_timestamp(ms / 1000.0), to_timestamp(ms / 1000.0), to_timestamp(ms / 1000.0 + 600), 2, decode(hex || substr(hex, 1, 22), 'hex')
			FROM (SELECT %d - 600000 - (%d - i) * 86400000 / %[3]d AS ms, encode(sha512(int8send(i)), 'hex') || encode(sha512(int8send(-i)), 'hex') AS hex
				FROM generate_series(1, %[3]d::bigint) i OFFSET 0) random`, table, start.UnixMilli(), n),
		"VACUUM ANALYZE " + table,
		"CHECKPOINT", // or writing all that would go on beside what is measured
	} {
		if _, err := db.sql.ExecContext(b.Context(), text); err != nil {
			b.Fatal(err)
		}
	}
}

// purge deletes what expired from a time on, in steps, while somebody logs in, and
// returns the time that it came to. A batch is one statement, so no lock is held for
// longer than the longest of them takes.
func (p place) purge(b *testing.B, before time.Time) time.Time {
	b.Helper()
	var sent recorder
	db := p.pool(b, &sent)
	saves := &timed{Store: p.pool(b, nil)}
	somebody := newPerson(b, saves)
	longest := func(meanwhile func()) float64 {
		saves.longest = 0
		ctx, stop := context.WithCancel(b.Context())
		defer stop()
		var running sync.WaitGroup
		running.Go(func() {
			for ctx.Err() == nil {
				if err := login(b.Context(), somebody); err != nil {
					b.Error(err)
					return
				}
			}
		})
		meanwhile()
		stop()
		running.Wait()
		return saves.longest.Seconds() * 1000
	}
	alone := longest(func() { time.Sleep(3 * time.Second) })
	sent.calls = nil
	purged := 0
	beside := longest(func() {
		for b.Loop() {
			if next := before.Add(48 * time.Minute); next.Before(start) { // a thirtieth of all
				before = next
			}
			n, err := db.Purge(b.Context(), before)
			if err != nil {
				b.Fatal(err)
			}
			purged += n
		}
	})
	var batch time.Duration
	for _, c := range sent.calls {
		batch = max(batch, c.took)
	}
	b.ReportMetric(float64(purged)/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(batch.Seconds()*1000, "longest-batch-ms")
	b.ReportMetric(beside, "longest-save-ms")
	b.ReportMetric(alone, "longest-save-alone-ms")
	return before
}

// A timed store remembers the longest Save of one goroutine.
type timed struct {
	mfa.Store
	longest time.Duration
}

func (t *timed) Save(ctx context.Context, changes ...mfa.Change) error {
	begin := time.Now()
	err := t.Store.Save(ctx, changes...)
	t.longest = max(t.longest, time.Since(begin))
	return err
}

// A pool is a store and the connections under it, of the one kind or the other.
type pool struct {
	mfa.Store
	sql   *sql.DB
	redis *redis.Client
}

// pool connects to a place. What is sent is noted, if there is somebody to note it.
func (p place) pool(b *testing.B, sent *recorder) *pool {
	b.Helper()
	var to pool
	var err error
	if p.Dialect == "" {
		to.redis = redis.NewClient(&redis.Options{Addr: p.Address, PoolSize: conns, ContextTimeoutEnabled: true})
		b.Cleanup(func() { _ = to.redis.Close() })
		if sent != nil {
			to.redis.AddHook(sent)
		}
		to.Store, err = redisstore.New(b.Context(), redisstore.Config{Client: to.redis, Prefix: p.Schema, Logger: slog.New(slog.DiscardHandler)})
	} else {
		if to.sql, err = sql.Open(p.Driver, p.Address); err != nil {
			b.Fatal(err)
		}
		if sent != nil {
			sent.driver, sent.dsn = to.sql.Driver(), p.Address
			to.sql = sql.OpenDB(sent)
		}
		b.Cleanup(func() { _ = to.sql.Close() })
		to.sql.SetMaxOpenConns(conns)
		to.sql.SetMaxIdleConns(conns)
		to.Store, err = sqlstore.New(b.Context(), p.config(to.sql))
	}
	if err != nil {
		b.Fatal(err)
	}
	return &to
}

// A person logs in with a factor of their own, by a clock of their own that moves on by
// a minute each time.
type person struct {
	store                     mfa.Store
	svc                       *mfa.Service
	now                       atomic.Int64 // milliseconds
	factor, secret, challenge string
	version                   int64 // of the factor's record
}

type people [conns]*person

func enroll(b *testing.B, store mfa.Store) people {
	b.Helper()
	var all people
	for i := range all {
		all[i] = newPerson(b, store)
	}
	return all
}

func newPerson(b *testing.B, store mfa.Store) *person {
	b.Helper()
	p := &person{store: store, version: 1}
	p.now.Store(start.UnixMilli())
	var err error
	if p.svc, err = newService(store, &p.now); err != nil {
		b.Fatal(err)
	}
	enr, err := p.svc.Enroll(b.Context(), mfa.EnrollParams{NoOwner: true, TOTP: &mfa.TOTPParams{Issuer: "Foo Corp", User: "alan.turing@foo-corp.com"}})
	if err != nil {
		b.Fatal(err)
	}
	p.factor, p.secret = enr.Factor.ID, enr.TOTP.Secret()
	return p
}

// login is a flow through the service.
func login(ctx context.Context, p *person) error {
	now := p.now.Add(time.Minute.Milliseconds())
	ch, err := p.svc.Challenge(ctx, mfa.ChallengeParams{FactorID: p.factor})
	if err != nil {
		return err
	}
	p.challenge = ch.ID
	_, err = p.svc.Verify(ctx, mfa.VerifyParams{ChallengeID: ch.ID, Code: mfatest.Code(p.secret, time.UnixMilli(now))})
	p.version++
	return err
}

// run has all people log in, each as often as they come to, and looks whether the store
// has it.
func (all people) run(b *testing.B, login func(context.Context, *person) error) {
	b.Helper()
	var begun atomic.Int64
	var running sync.WaitGroup
	for _, p := range all {
		running.Go(func() {
			for begun.Add(1) <= int64(b.N) {
				if err := login(b.Context(), p); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	running.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "flows/s")
	for _, p := range all {
		records, err := p.store.Load(b.Context(), p.factor) // with its user's, if it has one
		written := func(r mfa.Record) bool { return r.ID == p.factor && r.Version == p.version }
		if err != nil || !slices.ContainsFunc(records, written) {
			b.Fatalf("not all of it was written: %v, %v", records, err)
		}
	}
}

// A call is what a store sent once.
type call struct {
	kind callKind
	text string
	args []any
	took time.Duration
}

type callKind int

const (
	queryCall callKind = iota
	execCall
	beginCall
	redisCall
)

// A recorder notes what a store sends: as a database/sql driver around another, or
// as a hook of a Redis client.
type recorder struct {
	driver driver.Driver
	dsn    string
	calls  []call
}

func (r *recorder) note(kind callKind, text string, values []driver.NamedValue, since time.Time) {
	c := call{kind: kind, text: text, took: time.Since(since)}
	for _, v := range values {
		c.args = append(c.args, v.Value)
	}
	r.calls = append(r.calls, c)
}

func (r *recorder) Driver() driver.Driver { return r.driver }

func (r *recorder) Connect(context.Context) (driver.Conn, error) {
	conn, err := r.driver.Open(r.dsn)
	return recorded{conn, r}, err
}

// recorded is a connection.
type recorded struct {
	driver.Conn
	to *recorder
}

func (c recorded) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	defer c.to.note(queryCall, text, args, time.Now())
	return c.Conn.(driver.QueryerContext).QueryContext(ctx, text, args)
}

func (c recorded) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	defer c.to.note(execCall, text, args, time.Now())
	return c.Conn.(driver.ExecerContext).ExecContext(ctx, text, args)
}

func (c recorded) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	defer c.to.note(beginCall, "", nil, time.Now())
	return c.Conn.(driver.ConnBeginTx).BeginTx(ctx, opts)
}

func (r *recorder) DialHook(next redis.DialHook) redis.DialHook { return next }

func (r *recorder) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (r *recorder) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		r.calls = append(r.calls, call{kind: redisCall, args: cmd.Args()})
		return next(ctx, cmd)
	}
}

// A bare flow is what the store sent for one, of a person who served as the model.
type bare struct {
	db    *pool
	calls []call
	model *person
}

func newBare(b *testing.B, p place, db *pool) *bare {
	b.Helper()
	var sent recorder
	model := newPerson(b, p.pool(b, &sent))
	for range 4 { // until the factor's versions are none of a challenge's, and a script is known
		sent.calls = nil
		if err := login(b.Context(), model); err != nil {
			b.Fatal(err)
		}
	}
	return &bare{db, sent.calls, model}
}

// login sends the calls of the model for another person. The answer of each is looked
// at: what a Load finds, and what a Save changes.
func (f *bare) login(ctx context.Context, p *person) error {
	now := p.now.Add(time.Minute.Milliseconds())
	p.challenge = "auth_challenge_0" + strings.ToUpper(strconv.FormatInt(now, 32)) + rand.Text()[:16]
	wanted := []int64{p.version, 1, p.version + 1, 1, 1, 1}
	var db interface {
		QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error)
		ExecContext(ctx context.Context, text string, args ...any) (sql.Result, error)
	} = f.db.sql
	var tx *sql.Tx
	for i, c := range f.calls {
		args, got := f.args(c, p), int64(1)
		var err error
		switch c.kind {
		case beginCall:
			tx, err = f.db.sql.BeginTx(ctx, nil)
			db = tx
		case execCall:
			var result sql.Result
			if result, err = db.ExecContext(ctx, c.text, args...); err == nil {
				got, err = result.RowsAffected()
			}
		case queryCall:
			var rows *sql.Rows
			if rows, err = db.QueryContext(ctx, c.text, args...); err == nil {
				got, err = versions(rows)
			}
		case redisCall:
			var reply any
			if reply, err = f.db.redis.Do(ctx, args...).Result(); err == nil {
				got, err = versionsOf(reply)
			}
		}
		if err != nil {
			return err
		}
		if got != wanted[i] {
			return fmt.Errorf("call %d gave %d and not %d: %s", i, got, wanted[i], c.text)
		}
	}
	p.version++
	if tx != nil {
		return tx.Commit()
	}
	return nil
}

// args puts another person's ids, versions and times in the place of the model's.
func (f *bare) args(c call, p *person) []any {
	args := slices.Clone(c.args)
	later := p.now.Load() - f.model.now.Load()
	for i, a := range args {
		switch a := a.(type) {
		case string:
			switch {
			case a == f.model.challenge:
				args[i] = p.challenge
			case a == f.model.factor:
				args[i] = p.factor
			case c.kind == redisCall && len(a) == 13: // a time
				ms, err := strconv.ParseInt(a, 10, 64)
				if err == nil {
					args[i] = strconv.FormatInt(ms+later, 10)
				}
			}
		case int64:
			switch {
			case a == f.model.version-1:
				args[i] = p.version
			case a == f.model.version:
				args[i] = p.version + 1
			case a >= start.UnixMilli(): // a time of MySQL or SQLite
				args[i] = a + later
			}
		case time.Time:
			args[i] = a.Add(time.Duration(later) * time.Millisecond)
		}
	}
	return args
}

// versions reads records, or the count of changes, and adds up their versions.
func versions(rows *sql.Rows) (sum int64, err error) {
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil {
		return 0, err
	}
	var version int64
	values := make([]any, len(columns))
	for i := range values {
		values[i] = new(any)
	}
	values[max(0, slices.Index(columns, "version"))] = &version
	for rows.Next() {
		if err := rows.Scan(values...); err != nil {
			return 0, err
		}
		sum += version
	}
	return sum, rows.Err()
}

// versionsOf does that with a reply of Redis, which is "" for a change.
func versionsOf(reply any) (sum int64, err error) {
	if reply == "" {
		return 1, nil
	}
	records, _ := reply.([]any)
	for _, r := range records {
		version, err := strconv.ParseInt(fmt.Sprint(r.([]any)[9]), 10, 64)
		if err != nil {
			return 0, err
		}
		sum += version
	}
	return sum, nil
}
