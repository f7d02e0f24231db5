package itest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfatest"
)

// BenchmarkUsers is a challenge and its verification among a hundred thousand users of PostgreSQL,
// with synchronous_commit on and off: through the service, and by the leanest statements that give
// the same guarantee, through pgx's own pool. These decide nothing, encrypt nothing and write the
// columns that change alone.
func BenchmarkUsers(b *testing.B) {
	p, _ := servers[0].place(b)
	p.fillUsers(b, 100_000)
	for _, commit := range []string{"on", "off"} {
		b.Run(commit, func(b *testing.B) {
			at := p
			at.Address += "&synchronous_commit=" + commit
			store := at.pool(b, nil)
			pool := at.lean(b)
			var all [conns]*resident
			for i := range all {
				all[i] = newResident(b, store)
			}
			rows := make([]leanRows, len(all))
			for i := range rows {
				rows[i] = newLean(b, store, pool, p.Schema+".mfa_records")
			}
			var ratios []float64
			for range rounds {
				service := residents(b, "service", func(ctx context.Context, i int) error {
					return all[i].login(ctx)
				})
				lean := residents(b, "lean", func(ctx context.Context, i int) error {
					return rows[i].login(ctx)
				})
				ratios = append(ratios, service/lean)
			}
			median(b, ratios, "of-lean") // at least 0.9 is wanted
		})
	}
}

// median reports the median of figures.
func median(b *testing.B, figures []float64, unit string) {
	b.Helper()
	slices.Sort(figures)
	b.Run("ratio", func(b *testing.B) {
		for b.Loop() {
			_ = figures
		}
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(figures[len(figures)/2], unit)
	})
}

// residents has each of them log in by turns, b.N times in all, and gives how many did in a second.
func residents(b *testing.B, name string, login func(context.Context, int) error) (rate float64) {
	b.Helper()
	b.Run(name, func(b *testing.B) {
		var begun atomic.Int64
		var running sync.WaitGroup
		for i := range conns {
			running.Go(func() {
				for begun.Add(1) <= int64(b.N) {
					if err := login(b.Context(), i); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		running.Wait()
		b.StopTimer()
		rate = float64(b.N) / b.Elapsed().Seconds()
		b.ReportMetric(rate, "flows/s")
	})
	return rate
}

// fillUsers stores n users with a factor each, and a challenge that was verified.
func (p place) fillUsers(b *testing.B, n int) {
	b.Helper()
	db := p.pool(b, nil)
	table := p.Schema + ".mfa_records"
	for _, text := range []string{
		fmt.Sprintf(`INSERT INTO %[1]s (id, kind, parent, user_id, type, status, created_at, updated_at, expires_at, version, state)
			SELECT id, kind, parent, user_id, type, 'verified', at, at, expires, 2, decode(hex || hex, 'hex')
			FROM (SELECT i, upper(encode(sha224(int8send(i)), 'hex')) AS name, encode(sha512(int8send(i)), 'hex') AS hex, to_timestamp(%[2]d - i) AS at FROM generate_series(1, %[3]d::bigint) i OFFSET 0) one,
			LATERAL (VALUES
				('auth_user_' || substr(name, 1, 40), 'user', '', 'user_' || i, '', NULL::timestamptz),
				('auth_factor_0' || substr(name, 1, 25), 'factor', 'auth_user_' || substr(name, 1, 40), 'user_' || i, 'totp', NULL),
				('auth_challenge_0' || substr(name, 1, 25), 'challenge', 'auth_factor_0' || substr(name, 1, 25), 'user_' || i, 'totp', at + interval '10 minutes')
			) v (id, kind, parent, user_id, type, expires)`, table, start.Unix(), n),
		"VACUUM ANALYZE " + table,
		"CHECKPOINT", // or writing all that would go on beside what is measured
	} {
		if _, err := db.sql.ExecContext(b.Context(), text); err != nil {
			b.Fatal(err)
		}
	}
}

// A resident is a user with an app, and a clock that moves on by a minute with each login.
type resident struct {
	svc                  *mfa.Service
	now                  atomic.Int64
	user, factor, secret string
}

func newResident(b *testing.B, store mfa.Store) *resident {
	b.Helper()
	m := &resident{user: "user_" + rand.Text()}
	m.now.Store(start.UnixMilli())
	var err error
	if m.svc, err = newService(store, &m.now); err != nil {
		b.Fatal(err)
	}
	enr, err := m.svc.Enroll(b.Context(), mfa.EnrollParams{
		UserID: m.user, TOTP: &mfa.TOTPParams{Issuer: "Foo Corp", User: "alan.turing@foo-corp.com"},
	})
	if err != nil {
		b.Fatal(err)
	}
	m.factor, m.secret = enr.Factor.ID, enr.TOTP.Secret()
	if err := m.answer(b.Context(), mfa.ChallengeParams{Confirm: true}); err != nil {
		b.Fatal(err)
	}
	return m
}

func (m *resident) login(ctx context.Context) error { return m.answer(ctx, mfa.ChallengeParams{}) }

func (m *resident) answer(ctx context.Context, p mfa.ChallengeParams) error {
	now := m.now.Add(time.Minute.Milliseconds())
	p.FactorID, p.UserID = m.factor, m.user
	ch, err := m.svc.Challenge(ctx, p)
	if err != nil {
		return err
	}
	_, err = m.svc.Verify(ctx, mfa.VerifyParams{
		ChallengeID: ch.ID, UserID: m.user, Code: mfatest.Code(m.secret, time.UnixMilli(now)),
	})
	return err
}

// leanRows are what the leanest statements know of a resident: the ids, and how large their State is.
type leanRows struct {
	pool                                        *pgxpool.Pool
	user, factor                                string
	challengeState, verifiedState, factorState  []byte
	loadFactor, insert, loadChallenge, conclude string
}

func (p place) lean(b *testing.B) *pgxpool.Pool {
	b.Helper()
	cfg, err := pgxpool.ParseConfig(p.Address)
	if err != nil {
		b.Fatal(err)
	}
	cfg.MaxConns, cfg.MinConns = conns, conns
	pool, err := pgxpool.NewWithConfig(b.Context(), cfg)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(pool.Close)
	return pool
}

// newLean makes a resident like any other, whose records the statements then change.
func newLean(b *testing.B, store mfa.Store, pool *pgxpool.Pool, table string) leanRows {
	b.Helper()
	m := newResident(b, store)
	size := func(id string) int {
		records, err := store.Load(b.Context(), id)
		i := slices.IndexFunc(records, func(r mfa.Record) bool { return r.ID == id })
		if err != nil || i < 0 {
			b.Fatal(records, err)
		}
		return len(records[i].State)
	}
	ch, err := m.svc.Challenge(b.Context(), mfa.ChallengeParams{FactorID: m.factor, UserID: m.user})
	if err != nil {
		b.Fatal(err)
	}
	l := leanRows{pool: pool, user: m.user, factor: m.factor}
	l.challengeState = make([]byte, size(ch.ID))
	l.verifiedState = make([]byte, size(ch.ID))
	l.factorState = make([]byte, size(m.factor))
	for _, state := range [][]byte{l.challengeState, l.verifiedState, l.factorState} {
		_, _ = rand.Read(state)
	}
	up := table + " f LEFT JOIN " + table + " u ON u.id = f.parent"
	own := "f.version, f.user_id, f.status, f.state, u.version, u.user_id, u.state"
	l.loadFactor = "SELECT " + own + " FROM " + up + " WHERE f.id = $1"
	l.insert = "INSERT INTO " + table + " (id, kind, parent, user_id, type, status, created_at, updated_at, " +
		"expires_at, version, state) VALUES ($1, 'challenge', $2, $3, 'totp', '', $4, $4, $5, 1, $6)"
	l.loadChallenge = "SELECT c.version, c.user_id, c.expires_at, c.state, " + own + " FROM " + table +
		" c LEFT JOIN " + table + " f ON f.id = c.parent LEFT JOIN " + table + " u ON u.id = f.parent WHERE c.id = $1"
	l.conclude = "WITH locked AS MATERIALIZED (SELECT id FROM " + table +
		" WHERE id = $1 AND version = $2 OR id = $3 AND version = $4 ORDER BY id FOR NO KEY UPDATE), " +
		"complete AS MATERIALIZED (SELECT 1 FROM locked HAVING count(*) = 2) " +
		"UPDATE " + table + " r SET status = 'verified', updated_at = $5, version = r.version + 1, state = w.state " +
		"FROM complete, (VALUES ($1, $6::bytea), ($3, $7::bytea)) w (id, state) WHERE r.id = w.id"
	return l
}

// login reads and writes what a login does. It looks at what each statement gave.
func (l leanRows) login(ctx context.Context) error {
	var ignored any
	var factorVersion, userVersion, version int64
	var text string
	var state, challengeState, userState []byte
	now := start
	if err := l.pool.QueryRow(ctx, l.loadFactor, l.factor).
		Scan(&factorVersion, &text, &text, &state, &userVersion, &text, &userState); err != nil {
		return err
	}
	id := "auth_challenge_0" + rand.Text()[:25]
	if _, err := l.pool.Exec(ctx, l.insert, id, l.factor, l.user, now, now.Add(10*time.Minute),
		l.challengeState); err != nil {
		return err
	}
	if err := l.pool.QueryRow(ctx, l.loadChallenge, id).Scan(&version, &text, &ignored, &challengeState,
		&factorVersion, &text, &text, &state, &userVersion, &text, &userState); err != nil {
		return err
	}
	tag, err := l.pool.Exec(ctx, l.conclude, id, version, l.factor, factorVersion, now,
		l.verifiedState, l.factorState)
	if err == nil && tag.RowsAffected() != 2 {
		err = fmt.Errorf("%d rows were written, and not 2", tag.RowsAffected())
	}
	return err
}

// BenchmarkCrowds is many calls at once for one record, on PostgreSQL: the logins of one factor, each
// with a challenge of its own, and the enrolments of one user. It reports how many of a hundred were
// told to try again because they lost eight races in a row, and how long the slowest took.
func BenchmarkCrowds(b *testing.B) {
	p, _ := servers[0].place(b)
	store := p.pool(b, nil)
	crowd := func(name string, n int, prepare func() func(context.Context) error) {
		b.Run(name, func(b *testing.B) {
			var refused, slowest int64
			for b.Loop() {
				b.StopTimer()
				call := prepare()
				var calls sync.WaitGroup
				var throttled, longest atomic.Int64
				begin := make(chan struct{})
				for range n {
					calls.Go(func() {
						<-begin
						since := time.Now()
						switch err := call(b.Context()); {
						case errors.Is(err, mfa.ErrThrottled):
							throttled.Add(1)
						case err != nil:
							b.Error(err)
						}
						took := int64(time.Since(since))
						for old := longest.Load(); took > old && !longest.CompareAndSwap(old, took); {
							old = longest.Load()
						}
					})
				}
				b.StartTimer()
				close(begin)
				calls.Wait()
				refused += throttled.Load()
				slowest = max(slowest, longest.Load())
			}
			b.ReportMetric(100*float64(refused)/float64(b.N*n), "%-throttled")
			b.ReportMetric(float64(slowest)/1e6, "ms-slowest")
		})
	}
	crowd("64-logins-of-a-factor", 64, func() func(context.Context) error {
		m := newResident(b, store)
		m.now.Add(time.Minute.Milliseconds())
		code := mfatest.Code(m.secret, time.UnixMilli(m.now.Load()))
		return func(ctx context.Context) error {
			ch, err := m.svc.Challenge(ctx, mfa.ChallengeParams{FactorID: m.factor, UserID: m.user})
			if err != nil {
				return err
			}
			_, err = m.svc.Verify(ctx, mfa.VerifyParams{ChallengeID: ch.ID, UserID: m.user, Code: code})
			if errors.Is(err, mfa.ErrInvalidCode) { // another one had it first
				return nil
			}
			return err
		}
	})
	crowd("200-enrolments-of-a-user", 200, func() func(context.Context) error {
		m := newResident(b, store)
		user := "user_" + rand.Text() // without a factor: a second one needs a receipt
		return func(ctx context.Context) error {
			_, err := m.svc.Enroll(ctx, mfa.EnrollParams{
				UserID: user, TOTP: &mfa.TOTPParams{Issuer: "Foo Corp", User: "alan"},
			})
			if errors.Is(err, mfa.ErrTooManyFactors) {
				return nil
			}
			return err
		}
	})
}
