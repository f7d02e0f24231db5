package mfa_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/authfactor/mfa"
)

// with is a service over the rig's store, with other keys.
func (r *rig) with(keys ...string) *mfa.Service {
	r.t.Helper()
	ring, err := mfa.ParseKeyring(strings.Join(keys, ","))
	if err != nil {
		r.t.Fatal(err)
	}
	r.cfg.Keys = ring
	r.Service = r.another()
	return r.Service
}

// TestKeyRotation: what was sealed with the old key opens as long as it is in the
// keyring, and what is written again moves to the first.
func TestKeyRotation(t *testing.T) {
	before, after := mfa.NewKey(), mfa.NewKey()
	r := newRig(t)
	r.with(before)
	used, idle := r.totp(ann), r.totp("user_bob")

	r.with(before, after) // everywhere, before any process seals with the new one
	r.login(used)
	r.with(after, before)
	r.login(used)
	r.enrollSMS(ann, phone) // each login looks at the record of the user, which this writes

	r.with(after)
	r.login(used)
	_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: idle.ID, UserID: "user_bob"})
	mustBe(t, err, mfa.ErrIntegrity)
	if !strings.Contains(err.Error(), idle.ID) || !strings.Contains(err.Error(), "which is not in the keyring") {
		t.Errorf("error %v does not say which record and why", err)
	}
	r.with(after, before)
	r.login(idle)
}

// TestMixedKeyrings: during a rotation processes with either first key work side by
// side, on one count of failures and one budget of messages.
func TestMixedKeyrings(t *testing.T) {
	one, two := mfa.NewKey(), mfa.NewKey()
	r := newRig(t)
	old := r.with(one, two)
	f, s := r.totp(ann), r.phone("user_bob", phone)
	young := r.with(two, one)
	for i := range 5 {
		r.Service = []*mfa.Service{old, young}[i%2]
		_, err := r.answer(r.challenge(f), f, r.wrong(f))
		if waits := refusal(t, err).RetryAfter > 0; waits != (i == 4) {
			t.Fatalf("wrong code %d: waits %t", i+1, waits)
		}
	}
	r.clock.Advance(25 * time.Hour)
	begin, sent := r.clock.Now(), 0
	for i := 0; r.clock.Now().Sub(begin) < 23*time.Hour; i++ {
		r.Service = []*mfa.Service{old, young}[i%2]
		_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: s.ID, UserID: "user_bob"})
		if err == nil {
			sent++
		} else {
			mustBe(t, err, mfa.ErrThrottled)
		}
		r.clock.Advance(time.Minute)
	}
	if sent != 10 {
		t.Errorf("%d messages in a day from two processes, want 10", sent)
	}
}

// TestNumberSurvivesRotation: the budget of a number is taken over, failures
// included, and kept once.
func TestNumberSurvivesRotation(t *testing.T) {
	one, two := mfa.NewKey(), mfa.NewKey()
	r := newRig(t, func(c *mfa.Config) { c.Policy.MaxFailures = 5 })
	r.with(one)
	r.fail(r.enrollSMS("user_mallory", phone), 4)

	r.with(two, one)
	f := r.enrollSMS(ann, phone)
	ch := r.patientChallenge(f)
	_, err := r.answer(ch, f, r.wrong(f))
	mustBe(t, err, mfa.ErrInvalidCode)
	_, err = r.answer(ch, f, r.right(f))
	mustBe(t, err, mfa.ErrFactorDisabled) // the fifth, over both keys

	r.record("number") // is one
	r.with(two)
	_, err = r.answer(ch, f, r.right(f))
	mustBe(t, err, mfa.ErrFactorDisabled)
}

// TestMergedNumber: where a number has a record under each key, the stricter counts
// hold.
func TestMergedNumber(t *testing.T) {
	one, two := mfa.NewKey(), mfa.NewKey()
	r := newRig(t, func(c *mfa.Config) { c.Policy.MaxFailures = 5 })
	r.with(one)
	r.fail(r.enrollSMS("user_mallory", phone), 5)
	r.with(two) // by mistake, without the old key: a second record of the same number
	f := r.enrollSMS(ann, phone)
	r.clock.Advance(time.Hour)
	ch := r.patientChallenge(f)
	r.with(two, one)
	_, err := r.answer(ch, f, r.right(f))
	mustBe(t, err, mfa.ErrFactorDisabled)
}

// TestManyKeys: a keyring holds four: each may have a record of one number, and all of
// them change in one Save.
func TestManyKeys(t *testing.T) {
	var keys []string
	for range 4 {
		keys = append(keys, mfa.NewKey())
	}
	newRig(t).with(keys...)
	_, err := mfa.ParseKeyring(strings.Join(append(keys, mfa.NewKey()), ","))
	mustBe(t, err, mfa.ErrConfig)
}

// TestForeignKeys: two services with different keys on one table do not understand each
// other, and neither takes what it does not understand for "none": it says so, and
// changes nothing.
func TestForeignKeys(t *testing.T) {
	r := newRig(t)
	ours := r.with(mfa.NewKey())
	f := r.totp(ann)
	ch := r.challenge(f)
	theirs := r.with(mfa.NewKey())
	called := len(r.store.Calls("Save", "Purge"))
	ctx := t.Context()
	for what, call := range map[string]func() error{
		"Enroll": func() error {
			_, err := theirs.Enroll(ctx, mfa.EnrollParams{UserID: ann, TOTP: &mfa.TOTPParams{Issuer: "Foo Corp", User: "alan"}})
			return err
		},
		"Import": func() error {
			_, err := theirs.Import(ctx, mfa.ImportParams{UserID: ann, Secret: vectorSecret, Issuer: "Foo Corp", User: "alan"})
			return err
		},
		"Factors": func() error {
			_, err := theirs.Factors(ctx, ann)
			return err
		},
		"Factor": func() error {
			_, err := theirs.Factor(ctx, mfa.FactorParams{FactorID: f.ID, UserID: ann})
			return err
		},
		"Unenroll": func() error { return theirs.Unenroll(ctx, mfa.UnenrollParams{FactorID: f.ID, UserID: ann}) },
		"Challenge": func() error {
			_, err := theirs.Challenge(ctx, mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
			return err
		},
		"Verify": func() error {
			_, err := theirs.Verify(ctx, mfa.VerifyParams{ChallengeID: ch.ID, UserID: ann, Code: r.right(f)})
			return err
		},
		"Reseal": func() error {
			last, errs := walk(t, theirs, mfa.ResealParams{})
			if len(errs) != 2 || last.Resealed > 0 {
				t.Errorf("Reseal: %+v, errors %v; want one for the factor and one for the user", last, errs)
			}
			return errors.Join(errs...)
		},
	} {
		if err := call(); !errors.Is(err, mfa.ErrIntegrity) {
			t.Errorf("%s: error %v, want ErrIntegrity", what, err)
		}
	}
	if n := len(r.store.Calls("Save", "Purge")) - called; n > 0 {
		t.Errorf("%d writes", n)
	}
	r.Service = ours
	if _, err := r.answer(ch, f, r.right(f)); err != nil {
		t.Errorf("with the right keys: %v", err)
	}
}
