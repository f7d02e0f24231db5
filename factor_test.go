package mfa_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfatest"
)

// The tests of this file show who reaches which factor, and how factors come and go.

func TestCodeOfOtherUser(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	bob := r.TOTP("user_bob")
	ch := r.Ask(f)
	for _, userID := range []string{"user_bob", "", "user_ann ", "USER_ANN"} {
		_, err := r.Verify(t.Context(), mfa.VerifyParams{
			ChallengeID: ch.ID, UserID: userID, Code: r.Right(f),
		})
		mustBe(t, err, mfa.ErrNotFound)
		_, err = r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: userID})
		mustBe(t, err, mfa.ErrNotFound)
		_, err = r.Factor(t.Context(), mfa.FactorParams{FactorID: f.ID, UserID: userID})
		mustBe(t, err, mfa.ErrNotFound)
		mustBe(
			t,
			r.Unenroll(t.Context(), mfa.UnenrollParams{FactorID: f.ID, UserID: userID}),
			mfa.ErrNotFound,
		)
		mustBe(
			t,
			r.Unlock(t.Context(), mfa.FactorParams{FactorID: f.ID, UserID: userID}),
			mfa.ErrNotFound,
		)
	}
	_, err := r.Answer(ch, f, r.Right(bob))
	mustBe(t, err, mfa.ErrInvalidCode)
	v, err := r.Verify(t.Context(), mfa.VerifyParams{
		ChallengeID: ch.ID, UserID: mfa.AnyUser, Code: r.Right(f),
	})
	if err != nil || v.Factor.UserID != ann || v.Factor.ID != f.ID {
		t.Errorf("an operator: %+v, %v; want Ann's factor", v, err)
	}
}

// TestChallengeNotFoundIsOne: a challenge that is not there and one of somebody else are
// refused with the same error, which does not say which factor it is of.
func TestChallengeNotFoundIsOne(t *testing.T) {
	r := newRig(t)
	ch := r.Ask(r.TOTP(ann))
	missing := "auth_challenge_01ARZ3NDEKTSV4RRFFQ69G5FAV"
	_, other := r.Verify(t.Context(), mfa.VerifyParams{
		ChallengeID: ch.ID, UserID: "user_bob", Code: "123456",
	})
	_, none := r.Verify(t.Context(), mfa.VerifyParams{
		ChallengeID: missing, UserID: "user_bob", Code: "123456",
	})
	mustBe(t, none, mfa.ErrNotFound)
	if refusal(t, other).ID != ch.ID ||
		strings.ReplaceAll(other.Error(), ch.ID, missing) != none.Error() {
		t.Errorf("%v and %v", other, none)
	}
}

// TestNotFoundIsOne: a factor that is not there and one of somebody else are refused
// with the same error.
func TestNotFoundIsOne(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	missing := "auth_factor_01ARZ3NDEKTSV4RRFFQ69G5FAV"
	_, other := r.Factor(t.Context(), mfa.FactorParams{FactorID: f.ID, UserID: "user_bob"})
	_, none := r.Factor(t.Context(), mfa.FactorParams{FactorID: missing, UserID: "user_bob"})
	a, b := refusal(t, other), refusal(t, none)
	if a.Code != b.Code || a.Message != "Authentication Factor not found: '"+f.ID+"'." ||
		b.Message != "Authentication Factor not found: '"+missing+"'." {
		t.Errorf("%v and %v", a, b)
	}
}

// TestUnownedFactor: without an owner there is no cap, no replacement, and no other
// user reaches it.
func TestUnownedFactor(t *testing.T) {
	r := newRig(t)
	first := r.EnrollTOTP("")
	for range 15 {
		r.EnrollTOTP("")
	}
	r.LogIn(first)
	_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: first.ID, UserID: ann})
	mustBe(t, err, mfa.ErrNotFound)
	_, err = r.Factors(t.Context(), "")
	mustBe(t, err, mfa.ErrInvalidParameter)
}

func TestZeroResultNotVerified(t *testing.T) {
	if v := (mfa.Verification{}); v.Valid || v.FirstUse {
		t.Error("the zero Verification is verified")
	}
	r := newRig(t)
	f := r.TOTP(ann)
	ch := r.Ask(f)
	for _, code := range []string{r.Wrong(f), "", "x"} {
		if v, err := r.Answer(ch, f, code); err == nil || v.Valid || v.Factor.ID != "" {
			t.Errorf("%+v, %v", v, err)
		}
	}
}

func TestMissingFactorFailsClosed(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	ch := r.Ask(f)
	if err := r.Unenroll(t.Context(), mfa.UnenrollParams{FactorID: f.ID, UserID: ann}); err != nil {
		t.Fatal(err)
	}
	_, err := r.Answer(ch, f, r.Right(f))
	mustBe(t, err, mfa.ErrNotFound)
	_, err = r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
	mustBe(t, err, mfa.ErrNotFound)
	mustBe(
		t,
		r.Unenroll(t.Context(), mfa.UnenrollParams{FactorID: f.ID, UserID: ann}),
		mfa.ErrNotFound,
	)
	factors, err := r.Factors(t.Context(), ann)
	if err != nil || factors == nil || len(factors) != 0 {
		t.Errorf("%v, %v; want no factors and no error", factors, err)
	}
	broken := fmt.Errorf("connection refused")
	r.Store.Before = func(context.Context, mfatest.Call) error { return broken }
	_, err = r.Factors(t.Context(), ann)
	mustBe(t, err, broken)
}

// TestUnenrollDuringVerify: of an Unenroll and a Verify at once, either the code was
// accepted before, or the challenge is not found.
func TestUnenrollDuringVerify(t *testing.T) {
	for range 20 {
		r := newRig(t)
		f := r.TOTP(ann)
		ch, code := r.Ask(f), r.Right(f)
		errs := all(2, func(i int) error {
			if i == 0 {
				return r.Unenroll(t.Context(), mfa.UnenrollParams{FactorID: f.ID, UserID: ann})
			}
			_, err := r.Answer(ch, f, code)
			return err
		})
		if errs[0] != nil || errs[1] != nil && count(errs, mfa.ErrNotFound) != 1 {
			t.Fatal(errs)
		}
	}
}

// TestTenFactors holds under fifty enrolments at once, too.
func TestTenFactors(t *testing.T) {
	r := newRig(t)
	for range 9 {
		r.TOTP(ann)
	}
	_ = all(50, func(i int) error {
		_, err := r.Enroll(t.Context(), mfa.EnrollParams{
			UserID: ann, TOTP: &mfa.TOTPParams{Issuer: "Foo Corp", User: "alan"},
		})
		return err
	})
	factors, err := r.Factors(t.Context(), ann)
	if err != nil || len(factors) != 10 {
		t.Fatalf("%d factors, %v; want 10", len(factors), err)
	}
	_, err = r.Enroll(t.Context(), mfa.EnrollParams{
		UserID: ann, SMS: &mfa.SMSParams{PhoneNumber: phone},
	})
	mustBe(t, err, mfa.ErrTooManyFactors)
	r.EnrollTOTP(ann) // replaces the unverified one
	if err := r.Unenroll(t.Context(), mfa.UnenrollParams{
		FactorID: factors[0].ID, UserID: ann,
	}); err != nil {
		t.Fatal(err)
	}
	r.EnrollSMS(ann, phone)
	if !slices.IsSortedFunc(
		factors,
		func(a, b mfa.Factor) int { return a.CreatedAt.Compare(b.CreatedAt) },
	) {
		t.Error("the factors are not listed oldest first")
	}
}

// TestOneUnverifiedOfAType: a new enrolment replaces the unconfirmed one of its type.
func TestOneUnverifiedOfAType(t *testing.T) {
	r := newRig(t)
	sms := r.EnrollSMS(ann, phone)
	r.Clock.Advance(time.Millisecond) // ids are in order of the millisecond
	old := r.EnrollTOTP(ann)
	ch := r.Ask(old)
	r.Took()
	young := r.EnrollTOTP(ann)
	events := r.Took()
	if len(events) != 2 || events[0].Kind != mfa.EventEnrolled ||
		events[1].Kind != mfa.EventReplaced ||
		events[1].FactorID != old.ID {
		t.Errorf("events %+v", events)
	}
	_, err := r.Answer(ch, old, r.Right(old))
	mustBe(t, err, mfa.ErrNotFound)
	factors, err := r.Factors(t.Context(), ann)
	if err != nil || len(factors) != 2 || factors[0].ID != sms.ID || factors[1].ID != young.ID {
		t.Errorf("%v, %v", factors, err)
	}
}

// TestUnverifiedLapses: an enrolment that was not confirmed within 24 hours is gone
// for every call, and makes room.
func TestUnverifiedLapses(t *testing.T) {
	r := newRig(t)
	f := r.EnrollTOTP(ann)
	r.Clock.Advance(24*time.Hour - time.Minute)
	ch := r.Ask(f)
	r.Clock.Advance(time.Minute - time.Millisecond)
	if _, err := r.Factor(t.Context(), mfa.FactorParams{FactorID: f.ID, UserID: ann}); err != nil {
		t.Fatal(err)
	}
	r.Clock.Advance(time.Millisecond)
	for purged := range 2 {
		_, err := r.Factor(t.Context(), mfa.FactorParams{FactorID: f.ID, UserID: ann})
		mustBe(t, err, mfa.ErrNotFound)
		_, err = r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
		mustBe(t, err, mfa.ErrNotFound)
		_, err = r.Answer(ch, f, r.Right(f))
		mustBe(t, err, mfa.ErrNotFound)
		mustBe(t, r.Unlock(t.Context(), mfa.FactorParams{FactorID: f.ID, UserID: ann}), mfa.ErrNotFound)
		mustBe(
			t,
			r.Unenroll(t.Context(), mfa.UnenrollParams{FactorID: f.ID, UserID: ann}),
			mfa.ErrNotFound,
		)
		if factors, err := r.Factors(t.Context(), ann); err != nil || len(factors) != 0 {
			t.Errorf("%v, %v; want none", factors, err)
		}
		if purged == 0 {
			r.Clock.Advance(48 * time.Hour)
			if _, err := r.Purge(t.Context()); err != nil {
				t.Fatal(err)
			}
			if left := r.Records(); len(left) != 0 {
				t.Errorf("after Purge %d records are left", len(left))
			}
		}
	}
}

// TestLapsedMakesRoom: an enrolment takes the user's lapsed ones away.
func TestLapsedMakesRoom(t *testing.T) {
	r := newRig(t)
	r.EnrollTOTP(ann)
	r.Clock.Advance(24 * time.Hour)
	f := r.EnrollSMS(ann, phone)
	if got := r.Record("factor"); got.ID != f.ID {
		t.Errorf("the store keeps %s", got.ID)
	}
}

// TestHalfPurged: a lapsed factor whose user's record was purged before it is not
// found, like any other.
func TestHalfPurged(t *testing.T) {
	r := newRig(t)
	f := r.EnrollTOTP(ann)
	user := r.Record("user")
	if err := r.Store.Store.Save(t.Context(), mfa.Change{Record: user, Delete: true}); err != nil {
		t.Fatal(err)
	}
	_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
	mustBe(t, err, mfa.ErrIntegrity)
	r.Clock.Advance(24 * time.Hour)
	_, err = r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
	mustBe(t, err, mfa.ErrNotFound)
}

// TestUnverifiedDoesNotLogIn: beside a verified factor, an unverified one is only
// challenged to confirm it. (Whoever has no verified factor confirms by logging in.)
func TestUnverifiedDoesNotLogIn(t *testing.T) {
	r := newRig(t)
	first := r.EnrollTOTP(ann)
	r.Ask(first)
	r.LogIn(first)
	second := r.EnrollSMS(ann, phone)
	sends := r.SMS.Sends()
	_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: second.ID, UserID: ann})
	mustBe(t, err, mfa.ErrFactorUnverified)
	if r.SMS.Sends() != sends {
		t.Error("a message was sent")
	}
	r.LogIn(second) // with Confirm
	r.Ask(second)
}

// TestPurgeKeepsTheLiving: Purge takes no factor, and no budget that still counts.
func TestPurgeKeepsTheLiving(t *testing.T) {
	r := newRig(t)
	f, s := r.TOTP(ann), r.Phone("user_bob", phone)
	for range 10 {
		r.Clock.Advance(7 * 24 * time.Hour)
		if _, err := r.Purge(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	r.LogIn(f)
	r.Ask(s)
	r.Clock.Advance(30 * time.Second)
	if _, err := r.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: s.ID, UserID: "user_bob"})
	mustBe(t, err, mfa.ErrThrottled)
}

// TestRestrictedAndStatus: the first success confirms a factor, and UpdatedAt moves
// with its status only.
func TestRestrictedAndStatus(t *testing.T) {
	r := newRig(t)
	f := r.EnrollTOTP(ann)
	if f.Status != mfa.StatusUnverified || f.Restricted() || !f.CreatedAt.Equal(f.UpdatedAt) {
		t.Errorf("%v", f.Factor)
	}
	r.Clock.Advance(time.Hour)
	confirmed := r.Clock.Now()
	r.LogIn(f)
	r.LogIn(f)
	got, err := r.Factor(t.Context(), mfa.FactorParams{FactorID: f.ID, UserID: ann})
	if err != nil || got.Status != mfa.StatusVerified || !got.UpdatedAt.Equal(confirmed) {
		t.Errorf("%v updated %s, %v; want verified at %s", got, got.UpdatedAt, err, confirmed)
	}
}

// TestLifecycleEvents: each thing that happens to a factor raises one event, with
// its time.
func TestLifecycleEvents(t *testing.T) {
	r := newRig(t)
	f := r.EnrollSMS(ann, phone)
	r.LogIn(f)
	if err := r.Unlock(t.Context(), mfa.FactorParams{
		FactorID: f.ID, UserID: mfa.AnyUser,
	}); err != nil {
		t.Fatal(err)
	}
	if err := r.Unenroll(t.Context(), mfa.UnenrollParams{FactorID: f.ID, UserID: ann}); err != nil {
		t.Fatal(err)
	}
	var kinds []mfa.EventKind
	for _, e := range r.Took() {
		kinds = append(kinds, e.Kind)
		if e.FactorID != f.ID || e.UserID != ann || e.FactorType != mfa.TypeSMS || e.Time.IsZero() {
			t.Errorf("%+v", e)
		}
	}
	want := []mfa.EventKind{
		mfa.EventEnrolled,
		mfa.EventMessageSent,
		mfa.EventVerified,
		mfa.EventFirstUse,
		mfa.EventUnlocked,
		mfa.EventUnenrolled,
	}
	if !slices.Equal(kinds, want) {
		t.Errorf("events %v, want %v", kinds, want)
	}
}

// TestUnenrollLast: when the last verified factor is gone, the next enrolment is a
// first one again; and the user's record lasts as long as its messages count.
func TestUnenrollLast(t *testing.T) {
	r := newRig(t)
	f := r.EnrollSMS(ann, phone)
	sent := r.Clock.Now()
	r.LogIn(f)
	if expires := r.Record("user").ExpiresAt; !expires.IsZero() {
		t.Errorf("with a verified factor the user's record expires at %s", expires)
	}
	if err := r.Unenroll(t.Context(), mfa.UnenrollParams{FactorID: f.ID, UserID: ann}); err != nil {
		t.Fatal(err)
	}
	if expires := r.Record("user").ExpiresAt; !expires.Equal(sent.Add(24 * time.Hour)) {
		t.Errorf("the user's record expires at %s, want a day after the message", expires)
	}
	if expires := r.Record("number").ExpiresAt; !expires.IsZero() {
		t.Errorf("the record of a number that was confirmed expires at %s", expires)
	}
	r.Ask(r.EnrollTOTP(ann)) // without Confirm
}

// TestUnenrollKeepsOne: with KeepOne the last confirmed factor stays, also when two are
// removed at once. Recovery codes are none that could stay alone, and can go.
func TestUnenrollKeepsOne(t *testing.T) {
	r := newRig(t)
	f, g := r.TOTP(ann), r.Phone(ann, phone)
	codes, _ := r.Recovery(ann)
	r.EnrollTOTP(ann) // not confirmed, so it counts for nothing
	remove := func(id string) error {
		return r.Unenroll(t.Context(), mfa.UnenrollParams{FactorID: id, UserID: ann, KeepOne: true})
	}
	var other error
	r.Store.Before = func(_ context.Context, c mfatest.Call) error {
		if c.Method == "Save" { // between the reading and the commit
			r.Store.Before = nil
			other = remove(g.ID)
		}
		return nil
	}
	if err := remove(f.ID); !errors.Is(err, mfa.ErrLastFactor) || other != nil {
		t.Errorf("the two calls: %v, %v", err, other)
	}
	mustBe(t, remove(f.ID), mfa.ErrLastFactor)
	r.LogIn(f)
	if err := r.Unenroll(t.Context(), mfa.UnenrollParams{FactorID: f.ID, UserID: ann}); err != nil {
		t.Errorf("without KeepOne: %v", err)
	}
	if err := remove(codes.ID); err != nil {
		t.Errorf("the recovery codes, which are all that is left: %v", err)
	}
}

// TestOwnerIsNamed: a factor of nobody is enrolled by that name alone, and not because a
// user id was forgotten.
func TestOwnerIsNamed(t *testing.T) {
	r := newRig(t)
	app := &mfa.TOTPParams{Issuer: "Foo Corp", User: "alan"}
	for _, p := range []mfa.EnrollParams{{TOTP: app}, {TOTP: app, UserID: ann, NoOwner: true}} {
		refused(t, r.Rig, fmt.Sprint(p.UserID, p.NoOwner), mfa.ErrInvalidParameter, func() error {
			_, err := r.Enroll(t.Context(), p)
			return err
		})
	}
}

// TestRename: a factor is called as its owner says, and stays what it is.
func TestRename(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	r.Fail(f, 2)
	r.Took()
	got, err := r.Rename(t.Context(), mfa.RenameParams{FactorID: f.ID, UserID: ann, Name: "old phone"})
	if err != nil || got.Name != "old phone" || got.Status != mfa.StatusVerified {
		t.Fatalf("%+v, %v", got, err)
	}
	now, err := r.Factor(t.Context(), mfa.FactorParams{FactorID: f.ID, UserID: ann})
	if err != nil || now.Name != "old phone" {
		t.Errorf("%+v, %v", now, err)
	}
	r.LogIn(f)
	if calls := r.Calls(func() {
		_, _ = r.Rename(t.Context(), mfa.RenameParams{FactorID: f.ID, UserID: ann})
	}); calls != "Load Save" {
		t.Errorf("Rename calls %q", calls)
	}
	// Whoever renames for ever must not win the owner's races.
	if calls := r.Calls(func() {
		_, _ = r.Rename(t.Context(), mfa.RenameParams{FactorID: f.ID, UserID: ann})
	}); calls != "Load" {
		t.Errorf("Rename to the same name calls %q", calls)
	}
	for _, tt := range []struct {
		p    mfa.RenameParams
		want error
	}{
		{mfa.RenameParams{FactorID: f.ID, UserID: "user_bob", Name: "mine"}, mfa.ErrNotFound},
		{mfa.RenameParams{FactorID: f.ID, Name: "nobody's"}, mfa.ErrNotFound},
		{mfa.RenameParams{FactorID: f.ID, UserID: ann, Name: "a\nb"}, mfa.ErrInvalidParameter},
		{mfa.RenameParams{FactorID: f.ID, UserID: ann, Name: strings.Repeat("a", 65)},
			mfa.ErrInvalidParameter},
		{mfa.RenameParams{FactorID: "auth_factor_", UserID: ann, Name: "a"}, mfa.ErrNotFound},
	} {
		_, err := r.Rename(t.Context(), tt.p)
		mustBe(t, err, tt.want)
	}
	pending := r.EnrollTOTP(ann)
	r.Clock.Advance(24 * time.Hour)
	_, err = r.Rename(t.Context(), mfa.RenameParams{FactorID: pending.ID, UserID: ann, Name: "late"})
	mustBe(t, err, mfa.ErrNotFound)
}
