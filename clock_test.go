package mfa_test

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
	r.t.Helper()
	now := r.cfg.Now
	defer func() { r.cfg.Now = now }()
	r.cfg.Now = func() time.Time { return now().Add(-by) }
	return r.another()
}

// TestClocksThatDifferForLong: two processes whose clocks differ by more than an hour give
// a guesser one bucket more, and not one with each call, however often the owner logs in.
func TestClocksThatDifferForLong(t *testing.T) {
	for _, by := range []time.Duration{2 * time.Hour, 40 * 24 * time.Hour} {
		r := newRig(t)
		f := r.totp(ann)
		services := []*mfa.Service{r.Service, r.behind(by)}
		counted := 0
		for range 20 {
			for i := range 28 {
				svc := services[i%2]
				ch, err := svc.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
				if err == nil {
					_, err = svc.Verify(t.Context(), mfa.VerifyParams{ChallengeID: ch.ID, UserID: ann, Code: r.wrong(f)})
				}
				if errors.Is(err, mfa.ErrInvalidCode) {
					counted++
				}
			}
			if ch, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann}); err == nil {
				_, _ = r.answer(ch, f, r.right(f)) // the owner, where they get in
			}
			r.clock.Advance(3 * time.Minute)
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
		ch, err := svc.Challenge(t.Context(), mfa.ChallengeParams{FactorID: enr.Factor.ID, UserID: ann, Confirm: true})
		if err == nil {
			_, err = svc.Verify(t.Context(), mfa.VerifyParams{ChallengeID: ch.ID, UserID: ann, Code: notCode(ch.Code())})
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
	r.store.Before = func(_ context.Context, c mfatest.Call) error {
		if c.Method != "Load" {
			return nil
		}
		r.store.Before = nil
		r.clock.Advance(while)
		meanwhile()
		return nil
	}
}

// TestSlowRead: a decision is made at the time when its records were read, and not when
// the call began: what another call wrote meanwhile is not of the future, and what expired
// meanwhile is not good.
func TestSlowRead(t *testing.T) {
	r := newRig(t)
	f := r.totp(ann)
	token := r.trust(f, "Firefox").Token()
	var other mfa.Login
	r.slowly(6*time.Second, func() {
		var err error
		if other, err = r.startLogin(mfa.LoginParams{UserID: ann, DeviceToken: token}); err != nil {
			t.Error(err)
		}
	})
	login, err := r.startLogin(mfa.LoginParams{UserID: ann, DeviceToken: token})
	if err != nil || !login.SkipCode || login.DeviceToken() != other.DeviceToken() || len(r.devices()) != 1 {
		t.Errorf("the slower of two tabs: %+v, %v, devices %v", login, err, r.devices())
	}

	// What was asked within the 30 seconds is in time, however slow the store is.
	token = login.DeviceToken()
	if _, err := r.startLogin(mfa.LoginParams{UserID: ann, DeviceToken: token}); err != nil {
		t.Fatal(err)
	}
	r.clock.Advance(29 * time.Second)
	r.slowly(10*time.Second, func() {})
	if again, err := r.startLogin(mfa.LoginParams{UserID: ann, DeviceToken: token}); err != nil || !again.SkipCode || len(r.devices()) != 1 {
		t.Errorf("a slow second tab: %+v, %v, devices %v", again, err, r.devices())
	}

	ch := r.challenge(f)
	r.clock.Advance(10*time.Minute - time.Second)
	code := r.right(f)
	r.slowly(time.Second, func() {})
	_, err = r.answer(ch, f, code)
	mustBe(t, err, mfa.ErrChallengeExpired)

	receipt := r.approve(f, pay)
	r.slowly(6*time.Minute, func() {})
	_, err = r.Redeem(t.Context(), proof.Claim{Receipt: receipt, UserID: ann, Action: pay})
	mustBe(t, err, proof.ErrExpired)
}

// TestUnlockWithoutUser: an operator frees a factor whose user's record is lost.
func TestUnlockWithoutUser(t *testing.T) {
	r := newRig(t)
	f := r.totp(ann)
	r.fail(f, 30)
	r.drop(ofKind("user"))
	if err := r.Unlock(t.Context(), mfa.FactorParams{FactorID: f.ID, UserID: mfa.AnyUser}); err != nil {
		t.Error(err)
	}
}
