package mfa_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/internal/operator"
)

// TestConfirmWithin: what mfahttp asks for confirms a factor of up to an hour by the
// service's clock, and nothing else does without Confirm.
func TestConfirmWithin(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	within := operator.WithConfirm(ctx, time.Hour)
	r.totp(ann)
	enr, err := r.Enroll(ctx, mfa.EnrollParams{UserID: ann, GenericOTP: true, ByOperator: true})
	if err != nil {
		t.Fatal(err)
	}
	challenge := func(ctx context.Context, key string) (mfa.Challenge, error) {
		return r.Challenge(ctx, mfa.ChallengeParams{FactorID: enr.Factor.ID, UserID: mfa.AnyUser, IdempotencyKey: key})
	}
	refused := func(ctx context.Context, key, when string) {
		t.Helper()
		if _, err := challenge(ctx, key); !errors.Is(err, mfa.ErrFactorUnverified) {
			t.Errorf("%s: error %v", when, err)
		}
	}
	refused(ctx, "", "not asked")
	refused(operator.WithConfirm(ctx, 0), "", "within no time")
	r.clock.Advance(-time.Hour)
	first, err := challenge(within, "key")
	if err != nil {
		t.Fatalf("a clock that is an hour behind: %v", err)
	}
	r.clock.Advance(-time.Millisecond)
	refused(within, "", "a clock that is more than an hour behind")
	r.clock.Advance(2*time.Hour + time.Millisecond)
	if _, err := challenge(within, ""); err != nil {
		t.Errorf("after an hour: %v", err)
	}
	r.clock.Advance(time.Millisecond)
	refused(within, "", "after more than an hour")
	refused(ctx, "key", "not asked, with a key")
	again, err := challenge(within, "key")
	if err != nil || again.ID != first.ID || again.Code() != first.Code() {
		t.Errorf("the same call again: %v, %v", again, err)
	}
}
