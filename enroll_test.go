package mfa_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/authfactor/mfa"
)

func (r *rig) enrollInPlaceOf(old enrolled) (enrolled, error) {
	enr, err := r.Enroll(r.T.Context(), mfa.EnrollParams{
		UserID:   old.UserID,
		Replaces: old.ID,
		TOTP:     &mfa.TOTPParams{Issuer: "Foo Corp", User: "new phone"},
	})
	if err != nil {
		return enrolled{}, err
	}
	return enrolled{Factor: enr.Factor, Secret: enr.TOTP.Secret()}, nil
}

// TestReplace: the old app works until the new one is confirmed, and is gone with that
// very commit.
func TestReplace(t *testing.T) {
	r := newRig(t)
	old := r.TOTP(ann)
	next, err := r.enrollInPlaceOf(old)
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: next.ID, UserID: ann})
	mustBe(t, err, mfa.ErrFactorUnverified)
	r.LogIn(old)
	open := r.Ask(old)
	ch, err := r.Challenge(t.Context(), mfa.ChallengeParams{
		FactorID: next.ID, UserID: ann, Confirm: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.Answer(ch, next, r.Wrong(next))
	mustBe(t, err, mfa.ErrInvalidCode)
	if _, err := r.Factor(t.Context(), mfa.FactorParams{FactorID: old.ID, UserID: ann}); err != nil {
		t.Errorf("after a wrong code the old one is gone: %v", err)
	}
	r.Took()
	saves := len(r.Store.Calls("Save"))
	v, err := r.Answer(ch, next, r.Right(next))
	if err != nil || !v.FirstUse {
		t.Fatal(v, err)
	}
	if n := len(r.Store.Calls("Save")) - saves; n != 1 {
		t.Errorf("%d commits", n)
	}
	events := r.Took()
	if len(events) != 3 || events[2].Kind != mfa.EventReplaced || events[2].FactorID != old.ID {
		t.Errorf("events %+v", events)
	}
	_, err = r.Answer(open, old, r.Right(old))
	mustBe(t, err, mfa.ErrNotFound)
	factors, err := r.Factors(t.Context(), ann)
	if err != nil || len(factors) != 1 || factors[0].ID != next.ID {
		t.Errorf("%v, %v", factors, err)
	}
	r.Clock.Advance(time.Hour)
	r.LogIn(next)
}

// TestReplaceRefused: only a confirmed factor of the same user is replaced.
func TestReplaceRefused(t *testing.T) {
	r := newRig(t)
	bob, gone := r.TOTP("user_bob"), r.TOTP(ann)
	if err := r.Unenroll(t.Context(), mfa.UnenrollParams{FactorID: gone.ID, UserID: ann}); err != nil {
		t.Fatal(err)
	}
	unconfirmed := r.EnrollSMS(ann, phone) // after the first confirmation, which would end it
	saves := len(r.Store.Calls("Save"))
	for name, id := range map[string]string{
		"another user's": bob.ID, "unconfirmed": unconfirmed.ID, "gone": gone.ID, "no id": "123456",
	} {
		_, err := r.enrollInPlaceOf(enrolled{Factor: mfa.Factor{ID: id, UserID: ann}})
		if !errors.Is(err, mfa.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := r.enrollInPlaceOf(enrolled{Factor: mfa.Factor{ID: bob.ID}})
	mustBe(t, err, mfa.ErrInvalidParameter)
	_, err = r.Enroll(t.Context(), mfa.EnrollParams{
		UserID: ann, RecoveryCodes: true, Replaces: bob.ID,
	})
	mustBe(t, err, mfa.ErrInvalidParameter)
	if n := len(r.Store.Calls("Save")) - saves; n != 0 {
		t.Errorf("%d commits", n)
	}
}

// TestReplaceRecoveryCodes: an app does not take the place of a set of recovery codes.
func TestReplaceRecoveryCodes(t *testing.T) {
	r := newRig(t)
	r.TOTP(ann)
	codes, _ := r.RecoveryWith(ann, "")
	_, err := r.enrollInPlaceOf(codes)
	mustBe(t, err, mfa.ErrNotFound)
}

// TestReplaceAtTheCap: whoever has ten factors can replace one, and has ten then.
func TestReplaceAtTheCap(t *testing.T) {
	r := newRig(t)
	var all []enrolled
	for range 10 {
		all = append(all, r.TOTP(ann))
	}
	_, err := r.Enroll(t.Context(), mfa.EnrollParams{
		UserID: ann, TOTP: &mfa.TOTPParams{Issuer: "a", User: "b"},
	})
	mustBe(t, err, mfa.ErrTooManyFactors)
	next, err := r.enrollInPlaceOf(all[3])
	if err != nil {
		t.Fatal(err)
	}
	r.LogIn(next)
	factors, err := r.Factors(t.Context(), ann)
	if err != nil || len(factors) != 10 ||
		slices.ContainsFunc(factors, func(f mfa.Factor) bool { return f.ID == all[3].ID }) {
		t.Errorf("%d factors, %v", len(factors), err)
	}
	_, err = r.Enroll(t.Context(), mfa.EnrollParams{
		UserID: ann, TOTP: &mfa.TOTPParams{Issuer: "a", User: "b"},
	})
	mustBe(t, err, mfa.ErrTooManyFactors)
}

// TestReplaceBesideOthers: at the cap, what is to go makes room for other replacements
// and for a new set of recovery codes, once each.
func TestReplaceBesideOthers(t *testing.T) {
	r := newRig(t)
	var all []enrolled
	for range 9 {
		all = append(all, r.TOTP(ann))
	}
	set, _ := r.Recovery(ann)
	if _, err := r.enrollInPlaceOf(all[0]); err != nil {
		t.Fatal(err)
	}
	r.Recovery(ann)
	sms := mfa.EnrollParams{UserID: ann, Replaces: all[0].ID, SMS: &mfa.SMSParams{PhoneNumber: phone}}
	_, err := r.Enroll(t.Context(), sms) // two for one that goes
	mustBe(t, err, mfa.ErrTooManyFactors)
	sms.Replaces = all[1].ID
	if _, err := r.Enroll(t.Context(), sms); err != nil {
		t.Error(err)
	}
	_, err = r.Enroll(t.Context(), mfa.EnrollParams{UserID: ann, GenericOTP: true})
	mustBe(t, err, mfa.ErrTooManyFactors)
	_, err = r.enrollInPlaceOf(set) // it is gone, and could not be replaced
	mustBe(t, err, mfa.ErrNotFound)
}

// TestReplaceByItself: an app that is brought along a second time brings its used codes.
func TestReplaceByItself(t *testing.T) {
	r := newRig(t)
	old := r.EnrollTOTP(ann)
	ch := r.Ask(old)
	code := r.Right(old)
	if _, err := r.Answer(ch, old, code); err != nil {
		t.Fatal(err)
	}
	enr, err := r.Enroll(t.Context(), mfa.EnrollParams{
		UserID:   ann,
		Replaces: old.ID,
		TOTP:     &mfa.TOTPParams{Issuer: "Bar Corp", User: "alan", Secret: old.Secret},
	})
	if err != nil {
		t.Fatal(err)
	}
	next := enrolled{Factor: enr.Factor, Secret: enr.TOTP.Secret()}
	ch, err = r.Challenge(t.Context(), mfa.ChallengeParams{
		FactorID: next.ID, UserID: ann, Confirm: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.Answer(ch, next, code)
	mustBe(t, err, mfa.ErrInvalidCode)
	r.Clock.Advance(30 * time.Second)
	if _, err := r.Answer(ch, next, r.Right(next)); err != nil {
		t.Error(err)
	}
}

// TestReplaceWhatIsGone: a factor that was taken away meanwhile, or disabled, stands in
// nobody's way.
func TestReplaceWhatIsGone(t *testing.T) {
	r := newRig(t)
	for name, meanwhile := range map[string]func(enrolled) error{
		"gone": func(f enrolled) error {
			return r.Unenroll(t.Context(), mfa.UnenrollParams{FactorID: f.ID, UserID: ann})
		},
		"disabled": func(f enrolled) error { r.Fail(f, 30); return nil },
	} {
		old := r.TOTP(ann)
		if name == "disabled" {
			if err := meanwhile(old); err != nil { // takes longer than an enrolment lives
				t.Fatal(err)
			}
		}
		next, err := r.enrollInPlaceOf(old)
		if err != nil {
			t.Fatal(name, err)
		}
		if name == "gone" {
			if err := meanwhile(old); err != nil {
				t.Fatal(err)
			}
		}
		r.LogIn(next)
		factors, err := r.Factors(t.Context(), ann)
		if err != nil || slices.ContainsFunc(factors, func(f mfa.Factor) bool { return f.ID == old.ID }) {
			t.Errorf("%s: %v, %v", name, factors, err)
		}
	}
}

// TestReplaceAtOnce: confirming the new app beside logins with the old one loses
// nothing, and afterwards there is one of the two.
func TestReplaceAtOnce(t *testing.T) {
	r := newRig(t)
	old := r.TOTP(ann)
	next, err := r.enrollInPlaceOf(old)
	if err != nil {
		t.Fatal(err)
	}
	ch, err := r.Challenge(t.Context(), mfa.ChallengeParams{
		FactorID: next.ID, UserID: ann, Confirm: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	open, right, code := r.Ask(old), r.Right(next), r.Right(old)
	errs := all(2, func(i int) error {
		if i == 0 {
			_, err := r.Answer(ch, next, right)
			return err
		}
		_, err := r.Answer(open, old, code)
		return err
	})
	if errs[0] != nil || errs[1] != nil && !errors.Is(errs[1], mfa.ErrNotFound) {
		t.Errorf("confirming: %v, logging in: %v", errs[0], errs[1])
	}
	if factors, err := r.Factors(
		t.Context(),
		ann,
	); err != nil || len(factors) != 1 ||
		factors[0].ID != next.ID {
		t.Errorf("%v, %v", factors, err)
	}
}
