package attacks_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfatest"
	"github.com/authfactor/mfa/proof"
)

// behind is a service over the same store whose clock is behind.
func (r *rig) behind(by time.Duration) *mfa.Service {
	r.T.Helper()
	now := r.Config.Now
	defer func() { r.Config.Now = now }()
	r.Config.Now = func() time.Time { return now().Add(-by) }
	return r.Another()
}

// TestClocksThatDifferForLong: two processes whose clocks differ by more than an hour give
// a guesser one bucket more, and not one with each call, however often the owner logs in.
func TestClocksThatDifferForLong(t *testing.T) {
	for _, by := range []time.Duration{2 * time.Hour, 40 * 24 * time.Hour} {
		r := newRig(t)
		f := r.TOTP(ann)
		services := []*mfa.Service{r.Service, r.behind(by)}
		counted := 0
		for range 20 {
			for i := range 28 {
				svc := services[i%2]
				ch, err := svc.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
				if err == nil {
					_, err = svc.Verify(t.Context(), mfa.VerifyParams{
						ChallengeID: ch.ID, UserID: ann, Code: r.Wrong(f),
					})
				}
				if errors.Is(err, mfa.ErrInvalidCode) {
					counted++
				}
			}
			if ch, err := r.Challenge(t.Context(), mfa.ChallengeParams{
				FactorID: f.ID, UserID: ann,
			}); err == nil {
				_, _ = r.Answer(ch, f, r.Right(f)) // the owner, where they get in
			}
			r.Clock.Advance(3 * time.Minute)
		}
		if counted > 101 {
			t.Errorf("%s: %d wrong codes were compared in an hour, want at most two buckets", by, counted)
		}
	}
}

// TestClocksThatDifferUnconfirmed: nor do such clocks forget the failures in a row of what
// is not confirmed.
func TestClocksThatDifferUnconfirmed(t *testing.T) {
	r := newRig(t)
	services := []*mfa.Service{r.Service, r.behind(2 * time.Hour)}
	enr, err := r.Enroll(t.Context(), mfa.EnrollParams{UserID: ann, GenericOTP: true})
	if err != nil {
		t.Fatal(err)
	}
	counted := 0
	for i := range 400 {
		svc := services[i%2]
		ch, err := svc.Challenge(t.Context(), mfa.ChallengeParams{
			FactorID: enr.Factor.ID, UserID: ann, Confirm: true,
		})
		if err == nil {
			_, err = svc.Verify(t.Context(), mfa.VerifyParams{
				ChallengeID: ch.ID, UserID: ann, Code: notCode(ch.Code()),
			})
		}
		if errors.Is(err, mfa.ErrInvalidCode) {
			counted++
		}
	}
	if counted > 60 {
		t.Errorf("%d wrong codes were compared at one moment, want at most 60", counted)
	}
}

func notCode(code string) string {
	if code == "000000" {
		return "000001"
	}
	return "000000"
}

// slowly makes the next read take a while, in which something else happens.
func (r *rig) slowly(while time.Duration, meanwhile func()) {
	r.Store.Before = func(_ context.Context, c mfatest.Call) error {
		if c.Method != "Load" {
			return nil
		}
		r.Store.Before = nil
		r.Clock.Advance(while)
		meanwhile()
		return nil
	}
}

// TestSlowRead: a decision is made at the time when its records were read, and not when
// the call began: what another call wrote meanwhile is not of the future, and what expired
// meanwhile is not good.
func TestSlowRead(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	token := r.Trust(f, "Firefox").Token()
	var other mfa.Login
	r.slowly(6*time.Second, func() {
		var err error
		if other, err = r.Begin(mfa.LoginParams{UserID: ann, DeviceToken: token}); err != nil {
			t.Error(err)
		}
	})
	login, err := r.Begin(mfa.LoginParams{UserID: ann, DeviceToken: token})
	if err != nil || !login.SkipCode || login.DeviceToken() != other.DeviceToken() ||
		len(r.TrustedNames()) != 1 {
		t.Errorf("the slower of two tabs: %+v, %v, devices %v", login, err, r.TrustedNames())
	}

	// What was asked within the 30 seconds is in time, however slow the store is.
	token = login.DeviceToken()
	if _, err := r.Begin(mfa.LoginParams{UserID: ann, DeviceToken: token}); err != nil {
		t.Fatal(err)
	}
	r.Clock.Advance(29 * time.Second)
	r.slowly(10*time.Second, func() {})
	if again, err := r.Begin(
		mfa.LoginParams{UserID: ann, DeviceToken: token},
	); err != nil || !again.SkipCode ||
		len(r.TrustedNames()) != 1 {
		t.Errorf("a slow second tab: %+v, %v, devices %v", again, err, r.TrustedNames())
	}

	ch := r.Ask(f)
	r.Clock.Advance(10*time.Minute - time.Second)
	code := r.Right(f)
	r.slowly(time.Second, func() {})
	_, err = r.Answer(ch, f, code)
	mustBe(t, err, mfa.ErrChallengeExpired)

	receipt := r.Approve(f, pay)
	r.slowly(6*time.Minute, func() {})
	_, err = r.Redeem(t.Context(), proof.Claim{Receipt: receipt, UserID: ann, Action: pay})
	mustBe(t, err, proof.ErrExpired)
}

// TestUnlockWithoutUser: an operator frees a factor whose user's record is lost.
func TestUnlockWithoutUser(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	r.Fail(f, 30)
	r.Drop(ofKind("user"))
	if err := r.Unlock(t.Context(), mfa.FactorParams{
		FactorID: f.ID, UserID: mfa.AnyUser,
	}); err != nil {
		t.Error(err)
	}
}
