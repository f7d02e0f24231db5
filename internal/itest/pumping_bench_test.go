package itest

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfatest"
)

// BenchmarkPumping sends first messages to numbers of one region on PostgreSQL: to numbers that
// count for the buckets against pumping, and to such as were confirmed once and count for none.
func BenchmarkPumping(b *testing.B) {
	p, _ := servers[0].place(b)
	store := p.pool(b, nil)
	var clock mfatest.Clock
	sms := new(mfatest.Sender)
	svc, err := mfa.New(mfa.Config{
		Store: store, Keys: mfatest.Keys(), SMS: sms, Regions: []string{"US"}, Now: clock.Now,
		Policy: mfa.Policy{PumpingBlock: 1000, PumpingRegion: 100_000},
	})
	if err != nil {
		b.Fatal(err)
	}
	var next atomic.Int64
	number := func() string {
		n := next.Add(1)
		return fmt.Sprintf("+1500%d%02d%04d", 2+n%7, 20+n/7%80, n/560)
	}
	enroll := func(number string) mfa.Factor {
		enr, err := svc.Enroll(b.Context(), mfa.EnrollParams{
			UserID: "user_" + rand.Text(), SMS: &mfa.SMSParams{PhoneNumber: number},
		})
		if err != nil {
			b.Fatal(err)
		}
		return enr.Factor
	}
	send := func(ctx context.Context, f mfa.Factor) (mfa.Challenge, error) {
		return svc.Challenge(ctx, mfa.ChallengeParams{FactorID: f.ID, UserID: f.UserID, Confirm: true})
	}
	fresh := func() mfa.Factor { return enroll(number()) }
	known := func() mfa.Factor {
		to := number()
		f := enroll(to)
		ch, err := send(b.Context(), f)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := svc.Verify(b.Context(), mfa.VerifyParams{
			ChallengeID: ch.ID, UserID: f.UserID, Code: sms.Code(to),
		}); err != nil {
			b.Fatal(err)
		}
		return enroll(to)
	}
	var ratios []float64
	for range rounds {
		rates := map[string]float64{}
		for _, way := range []struct {
			name string
			make func() mfa.Factor
		}{{"without", known}, {"with", fresh}} {
			b.Run(way.name, func(b *testing.B) {
				factors := make([]mfa.Factor, b.N)
				spread(b.N, func(i int) { factors[i] = way.make() })
				clock.Advance(time.Hour) // since the messages before
				var failed atomic.Int64
				b.ResetTimer()
				spread(b.N, func(i int) {
					if _, err := send(b.Context(), factors[i]); err != nil {
						failed.Add(1)
						b.Log(err)
					}
				})
				if b.StopTimer(); failed.Load() > 0 {
					b.Errorf("%d of %d were not sent", failed.Load(), b.N)
				}
				rates[way.name] = float64(b.N) / b.Elapsed().Seconds()
				b.ReportMetric(rates[way.name], "messages/s")
			})
		}
		ratios = append(ratios, rates["with"]/rates["without"])
	}
	slices.Sort(ratios)
	b.Run("ratio", func(b *testing.B) {
		for b.Loop() {
			_ = ratios
		}
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(ratios[len(ratios)/2], "of-without") // at least 0.8 is wanted
	})
}

// spread does something so many times, by as many goroutines as there are connections.
func spread(n int, do func(i int)) {
	var begun atomic.Int64
	var running sync.WaitGroup
	for range conns {
		running.Go(func() {
			for i := begun.Add(1) - 1; i < int64(n); i = begun.Add(1) - 1 {
				do(int(i))
			}
		})
	}
	running.Wait()
}
