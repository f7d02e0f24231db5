package itest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfatest"
)

// TestKeyedChallenges: on every store, 32 callers who make one challenge of an app after
// the other, each with an idempotency key of its own, keep none of 30 logins by the same
// app out; and two calls with one key give one challenge.
func TestKeyedChallenges(t *testing.T) {
	for _, server := range append(servers, server{name: "memory"}) {
		t.Run(server.name, func(t *testing.T) {
			var stores [2]mfa.Store
			if server.name == "memory" {
				stores[0] = new(mfa.MemoryStore)
				stores[1] = stores[0]
			} else {
				place, _ := server.place(t)
				stores[0], stores[1] = place.mustOpen(t), place.mustOpen(t)
			}
			l := newLife(t, stores)
			app := l.enroll(mfa.EnrollParams{TOTP: &mfa.TOTPParams{Issuer: "Foo Corp", User: "alan"}})
			if _, err := l.logIn(app); err != nil {
				t.Fatal(err)
			}
			over, done := make(chan struct{}), new(sync.WaitGroup)
			var made, failed atomic.Int64
			for i := range 32 {
				done.Go(func() {
					for n := 0; ; n++ {
						select {
						case <-over:
							return
						default:
						}
						if err := l.challengeTwice(i, app.Factor.ID, fmt.Sprintf("key %d of %d", n, i)); err == nil {
							made.Add(1)
						} else if failed.Add(1) == 1 {
							t.Errorf("the first challenge with a key that failed: %v", err)
						}
					}
				})
			}
			in := 0
			for range 30 {
				l.clock.Advance(time.Minute)
				if _, err := l.logIn(app); err == nil {
					in++
				} else {
					t.Log(err)
				}
			}
			close(over)
			done.Wait()
			if in != 30 {
				t.Errorf("%d of 30 right codes got in", in)
			}
			t.Logf("beside %d challenges with a key, and %d that failed", made.Load(), failed.Load())
		})
	}
}

// logIn types the app's code.
func (l *life) logIn(app mfa.Enrollment) (mfa.Verification, error) {
	ch, err := l.services[1].Challenge(l.t.Context(), mfa.ChallengeParams{FactorID: app.Factor.ID, UserID: alan})
	if err != nil {
		return mfa.Verification{}, err
	}
	return l.services[0].Verify(l.t.Context(), mfa.VerifyParams{
		ChallengeID: ch.ID, UserID: alan, Code: mfatest.Code(app.TOTP.Secret(), l.clock.Now()),
	})
}

// challengeTwice asks both processes for a challenge with one key, as a client does whose
// first answer was lost.
func (l *life) challengeTwice(first int, factorID, key string) error {
	var told [2]mfa.Challenge
	for i := range told {
		var err error
		p := mfa.ChallengeParams{FactorID: factorID, UserID: alan, IdempotencyKey: key}
		if told[i], err = l.services[(first+i)%2].Challenge(context.WithoutCancel(l.t.Context()), p); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	if told[0] != told[1] {
		return errors.New("two challenges with one key")
	}
	return nil
}
