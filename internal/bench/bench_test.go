package bench

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/boombuler/barcode/qr"
	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/internal/testrig"
	"github.com/authfactor/mfa/mfatest"
)

// The figures of docs/benchmarks.md are ratios to the two baselines, from one run.

// BaselineTOTP is what an application without mfa does for each code: three steps of
// pquerna/otp, and nothing remembered.
func BenchmarkBaselineTOTP(b *testing.B) {
	now := time.Unix(1_750_000_000, 0)
	opts := totp.ValidateOpts{Period: 30, Skew: 1, Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1}
	b.ReportAllocs()
	for b.Loop() {
		ok, err := totp.ValidateCustom("000000", testrig.VectorSecret, now, opts)
		if ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}

func BenchmarkBaselineQR(b *testing.B) {
	enr := newBench(b, 0).enroll(b)
	uri := enr.TOTP.URI()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := qr.Encode(uri, qr.M, qr.Unicode); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEnroll(b *testing.B) {
	bench := newBench(b, 0)
	b.ReportAllocs()
	for b.Loop() {
		bench.enroll(b)
	}
}

func BenchmarkChallenge(b *testing.B) {
	bench := newBench(b, 1000)
	factor := bench.enroll(b).Factor
	b.ReportAllocs()
	for b.Loop() {
		bench.challenge(b, factor.ID)
	}
}

// BenchmarkVerify has 1,000 live records: 500 factors with a challenge each.
func BenchmarkVerify(b *testing.B) {
	bench := newBench(b, 0)
	var people [500]struct {
		*mfa.Enrollment
		challengeID, code string
	}
	for i := range people {
		p := &people[i]
		p.Enrollment = bench.enroll(b)
		bench.verify(
			b,
			bench.challenge(b, p.Factor.ID).ID,
			mfatest.Code(p.TOTP.Secret(), time.Unix(bench.clock.Load(), 0)),
		)
	}
	verified := 0
	b.ReportAllocs()
	for b.Loop() {
		if verified%len(people) == 0 {
			b.StopTimer()
			bench.clock.Add(25 * 3600) // the challenges of before lapse
			for i := range people {
				p := &people[i]
				p.challengeID, p.code = bench.challenge(
					b,
					p.Factor.ID,
				).ID, mfatest.Code(
					p.TOTP.Secret(),
					time.Unix(bench.clock.Load(), 0),
				)
			}
			b.StartTimer()
		}
		p := &people[verified%len(people)]
		bench.verify(b, p.challengeID, p.code)
		verified++
	}
}

func BenchmarkVerifyWrong(b *testing.B) {
	bench := newBench(b, 1000)
	enr := bench.enroll(b)
	wrong := mfatest.Code(enr.TOTP.Secret(), time.Unix(1, 0)) // one in 333,333 times it is right
	b.ReportAllocs()
	var took time.Duration
	for b.Loop() {
		if err := bench.Unlock(b.Context(), mfa.FactorParams{FactorID: enr.Factor.ID}); err != nil {
			b.Fatal(err)
		}
		ch := bench.challenge(b, enr.Factor.ID)
		begin := time.Now()
		_, _ = bench.Verify(b.Context(), mfa.VerifyParams{ChallengeID: ch.ID, Code: wrong})
		took += time.Since(begin)
	}
	b.ReportMetric(
		float64(took.Nanoseconds())/float64(b.N),
		"ns/op",
	) // stopping the timer would take longer
}

// BenchmarkRecords is a challenge and its verification among stored challenges. It
// reports the median beside the mean.
func BenchmarkRecords(b *testing.B) {
	for _, n := range []int{1_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			bench := newBench(b, n)
			enr := bench.enroll(b)
			var took []time.Duration
			for b.Loop() {
				b.StopTimer()
				code := bench.next(enr.TOTP.Secret())
				b.StartTimer()
				begin := time.Now()
				bench.verify(b, bench.challenge(b, enr.Factor.ID).ID, code)
				took = append(took, time.Since(begin))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Nanoseconds()), "median-ns/op")
		})
	}
}

// BenchmarkHeap reports the heap that one stored challenge takes, among 200,000.
func BenchmarkHeap(b *testing.B) {
	const n = 200_000
	heap := func() float64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc)
	}
	for b.Loop() {
		bench := newBench(b, 0)
		factor := bench.enroll(b).Factor
		before := heap()
		for range n {
			bench.challenge(b, factor.ID)
		}
		b.ReportMetric((heap()-before)/n, "B/challenge")
		runtime.KeepAlive(bench)
	}
}

// The parallel benchmarks: run them with -cpu 1,2. Each goroutine has a factor of its
// own, as each person has.
func BenchmarkParallelChallenge(b *testing.B) {
	bench := newBench(b, 1000)
	b.RunParallel(func(pb *testing.PB) {
		factor := bench.enroll(b).Factor
		for pb.Next() {
			bench.challenge(b, factor.ID)
		}
	})
}

func BenchmarkParallelVerify(b *testing.B) {
	shared := newBench(b, 1000)
	b.RunParallel(func(pb *testing.PB) {
		bench := shared.another(b) // with a clock of its own, to move on
		enr := bench.enroll(b)
		for pb.Next() {
			ch := bench.challenge(b, enr.Factor.ID)
			bench.verify(b, ch.ID, bench.next(enr.TOTP.Secret()))
		}
	})
}

func BenchmarkParallelEnroll(b *testing.B) {
	bench := newBench(b, 0)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			bench.enroll(b)
		}
	})
}

func BenchmarkParallelBaselineTOTP(b *testing.B) {
	now := time.Unix(1_750_000_000, 0)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			_, _ = totp.ValidateCustom(
				"000000",
				testrig.VectorSecret,
				now,
				totp.ValidateOpts{Period: 30, Skew: 1, Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1},
			)
		}
	})
}

// A bench is a service over a MemoryStore with some stored challenges. Its clock
// moves on by a minute for each code, so that none is used twice; challenges lapse
// from memory after a day, as in a running application.
type bench struct {
	*mfa.Service
	store *mfa.MemoryStore
	clock atomic.Int64 // Unix seconds
}

func newBench(b *testing.B, records int) *bench {
	b.Helper()
	bench := (&bench{store: &mfa.MemoryStore{MaxRecords: 1 << 30}}).another(b)
	if records > 0 {
		factor := bench.enroll(b).Factor
		for range records {
			bench.challenge(b, factor.ID)
		}
		runtime.GC()
	}
	return bench
}

// another is a service over the same store, as another process has it.
func (s *bench) another(b *testing.B) *bench {
	b.Helper()
	other := &bench{store: s.store}
	other.clock.Store(1_750_000_000)
	var err error
	other.Service, err = mfa.New(mfa.Config{
		Store: s.store, Keys: mfatest.Keys(), Logger: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return time.Unix(other.clock.Load(), 0) },
	})
	if err != nil {
		b.Fatal(err)
	}
	return other
}

func (s *bench) enroll(b *testing.B) *mfa.Enrollment {
	b.Helper()
	enr, err := s.Enroll(context.Background(), mfa.EnrollParams{
		NoOwner: true,
		TOTP:    &mfa.TOTPParams{Issuer: "Foo Corp", User: "alan.turing@foo-corp.com"},
	})
	if err != nil {
		b.Fatal(err)
	}
	return &enr
}

//nolint:thelper // b.Helper would be measured
func (s *bench) challenge(b *testing.B, factorID string) mfa.Challenge {
	ch, err := s.Challenge(context.Background(), mfa.ChallengeParams{FactorID: factorID})
	if err != nil {
		b.Fatal(err)
	}
	return ch
}

// next lets a minute pass.
func (s *bench) next(secret string) string {
	return mfatest.Code(secret, time.Unix(s.clock.Add(60), 0))
}

//nolint:thelper // b.Helper would be measured
func (s *bench) verify(b *testing.B, challengeID, code string) {
	if _, err := s.Verify(context.Background(), mfa.VerifyParams{
		ChallengeID: challengeID, Code: code,
	}); err != nil {
		b.Fatal(err)
	}
}
