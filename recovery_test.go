package mfa_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authfactor/mfa"
)

// recovery enrolls a set of recovery codes.
func (r *rig) recovery(userID string) (enrolled, []string) {
	r.t.Helper()
	return r.recoveryWith(userID, "")
}

func (r *rig) recoveryWith(userID, receipt string) (enrolled, []string) {
	r.t.Helper()
	enr, err := r.Enroll(r.t.Context(), mfa.EnrollParams{UserID: userID, NoOwner: userID == "", RecoveryCodes: true, Receipt: receipt})
	if err != nil {
		r.t.Fatal(err)
	}
	return enrolled{Factor: enr.Factor}, enr.RecoveryCodes.Codes()
}

// left is how many codes a set has.
func (r *rig) left(f enrolled) int {
	r.t.Helper()
	now, err := r.Factor(r.t.Context(), mfa.FactorParams{FactorID: f.ID, UserID: f.UserID})
	if err != nil {
		r.t.Fatal(err)
	}
	return now.RecoveryCodesLeft
}

// TestRecoveryCodes: ten codes, each accepted once, in any order.
func TestRecoveryCodes(t *testing.T) {
	r := newRig(t)
	f, codes := r.recovery(ann)
	if f.Type != mfa.TypeRecoveryCodes || f.Status != mfa.StatusVerified || f.RecoveryCodesLeft != 10 || len(codes) != 10 {
		t.Fatalf("%+v with %d codes", f.Factor, len(codes))
	}
	form := regexp.MustCompile(`^([0-9A-HJKMNP-TV-Z]{4}-){5}[0-9A-HJKMNP-TV-Z]{4}$`)
	slices.Reverse(codes)
	for i, code := range codes {
		if !form.MatchString(code) {
			t.Errorf("code %d has another form", i)
		}
		v, err := r.answer(r.challenge(f), f, code)
		if err != nil || v.FirstUse || v.Factor.RecoveryCodesLeft != 9-i || r.left(f) != 9-i {
			t.Fatalf("code %d: %+v, %v; %d left", i, v, err, r.left(f))
		}
		_, err = r.answer(r.challenge(f), f, code)
		mustBe(t, err, mfa.ErrInvalidCode)
		r.clock.Advance(24 * time.Hour)
	}
}

// TestRecoveryCodeAtOnce: of many calls at once with one code, one is accepted.
func TestRecoveryCodeAtOnce(t *testing.T) {
	r := newRig(t)
	f, codes := r.recovery(ann)
	challenges := make([]mfa.Challenge, 8)
	for i := range challenges {
		challenges[i] = r.challenge(f)
	}
	errs := all(len(challenges), func(i int) error {
		_, err := r.answer(challenges[i], f, codes[0])
		return err
	})
	if n := count(errs, nil); n != 1 || r.left(f) != 9 {
		t.Errorf("%d were accepted, %d are left: %v", n, r.left(f), errs)
	}
}

// TestNewRecoveryCodes: a new set kills the old one in the same commit.
func TestNewRecoveryCodes(t *testing.T) {
	r := newRig(t)
	old, codes := r.recovery(ann)
	open := r.challenge(old)
	saves := len(r.store.Calls("Save"))
	r.took()
	f, _ := r.recovery(ann)
	if n := len(r.store.Calls("Save")) - saves; n != 1 {
		t.Errorf("%d commits", n)
	}
	var kinds []mfa.EventKind
	for _, e := range r.took() {
		kinds = append(kinds, e.Kind)
	}
	if !slices.Equal(kinds, []mfa.EventKind{mfa.EventEnrolled, mfa.EventReplaced}) {
		t.Errorf("events %v", kinds)
	}
	_, err := r.answer(open, old, codes[0])
	mustBe(t, err, mfa.ErrNotFound)
	_, err = r.answer(r.challenge(f), f, codes[0])
	mustBe(t, err, mfa.ErrInvalidCode)
	factors, err := r.Factors(t.Context(), ann)
	if err != nil || len(factors) != 1 || factors[0].ID != f.ID {
		t.Errorf("%v, %v", factors, err)
	}
}

// TestRecoveryBudget: wrong codes for an app do not lock recovery, nor the other way
// round; and whose the codes are matters.
func TestRecoveryBudget(t *testing.T) {
	r := newRig(t)
	app := r.totp(ann)
	f, codes := r.recovery(ann)
	r.fail(app, 30)
	_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: app.ID, UserID: ann})
	mustBe(t, err, mfa.ErrFactorDisabled)
	if _, err := r.answer(r.challenge(f), f, codes[0]); err != nil {
		t.Errorf("recovery beside a disabled app: %v", err)
	}
	bob, _ := r.recovery("user_bob")
	ch := r.challenge(bob)
	for i := range 5 {
		_, err := r.answer(ch, bob, codes[1]) // of somebody else
		if e := refusal(t, err); e.Code != "invalid_one_time_code" || e.RetryAfter > 0 != (i == 4) {
			t.Errorf("try %d: %v", i+1, err)
		}
	}
	if _, err := r.answer(r.challenge(f), f, codes[1]); err != nil {
		t.Errorf("its owner's: %v", err)
	}
}

// TestRecoveryCodesEnroll: they belong to a user, and a factor that was never confirmed
// does not log in beside them.
func TestRecoveryCodesEnroll(t *testing.T) {
	r := newRig(t)
	_, err := r.Enroll(t.Context(), mfa.EnrollParams{NoOwner: true, RecoveryCodes: true})
	mustBe(t, err, mfa.ErrInvalidParameter)
	_, err = r.Enroll(t.Context(), mfa.EnrollParams{UserID: ann, RecoveryCodes: true, GenericOTP: true})
	mustBe(t, err, mfa.ErrInvalidParameter)
	r.recovery(ann)
	app := r.enrollTOTP(ann)
	_, err = r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: app.ID, UserID: ann})
	mustBe(t, err, mfa.ErrFactorUnverified)
}

// TestRecoveryCodesDoNotPrint: neither they nor their hashes show, and the stored state
// is sealed.
func TestRecoveryCodesDoNotPrint(t *testing.T) {
	r := newRig(t)
	enr, err := r.Enroll(t.Context(), mfa.EnrollParams{UserID: ann, RecoveryCodes: true})
	if err != nil {
		t.Fatal(err)
	}
	code := enr.RecoveryCodes.Codes()[0]
	v, err := r.answer(r.challenge(enrolled{Factor: enr.Factor}), enrolled{Factor: enr.Factor}, code)
	if err != nil {
		t.Fatal(err)
	}
	out := printed(enr) + printed(enr.RecoveryCodes) + printed(*enr.RecoveryCodes) + printed(v) + printed(r.took())
	for _, secret := range append(spellings(code), strings.ReplaceAll(code, "-", "")) {
		if strings.Contains(out, secret) {
			t.Error("a code is printed")
		}
	}
	enr.RecoveryCodes.Codes()[1] = "changed"
	if enr.RecoveryCodes.Codes()[1] == "changed" {
		t.Error("a caller can change the codes")
	}
}
