package mfa_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfatest"
	"github.com/authfactor/mfa/proof"
)

// TestFirstConfirmationEndsOthers: before the first factor is confirmed, the password
// alone is enough to enroll one. So the confirmation ends every other one, a set of
// recovery codes and an enrolment alike, whoever began it.
func TestFirstConfirmationEndsOthers(t *testing.T) {
	for _, byOperator := range []bool{false, true} {
		r := strict(t)
		plant := func(p mfa.EnrollParams) mfa.Enrollment {
			t.Helper()
			p.UserID, p.ByOperator = ann, byOperator
			enr, err := r.Enroll(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			return enr
		}
		codes := plant(mfa.EnrollParams{RecoveryCodes: true})
		number := plant(mfa.EnrollParams{SMS: &mfa.SMSParams{PhoneNumber: phone}})
		generic := plant(mfa.EnrollParams{GenericOTP: true})
		open := map[string]mfa.Challenge{}
		for _, f := range []mfa.Factor{codes.Factor, number.Factor, generic.Factor} {
			ch, err := r.Challenge(t.Context(), mfa.ChallengeParams{
				FactorID: f.ID, UserID: ann, Confirm: f.ID != codes.Factor.ID,
			})
			if err != nil {
				t.Fatal(err)
			}
			open[f.ID] = ch
		}

		r.Took()
		app := r.TOTP(ann)
		replaced := 0
		for _, e := range r.Took() {
			if e.Kind == mfa.EventReplaced {
				replaced++
			}
		}
		if replaced != 3 {
			t.Errorf("%d events of factors that ended, want 3", replaced)
		}

		answers := map[string]string{
			codes.Factor.ID:   codes.RecoveryCodes.Codes()[0],
			number.Factor.ID:  r.SMS.Code(phone),
			generic.Factor.ID: open[generic.Factor.ID].Code(),
		}
		for id, ch := range open {
			for _, confirm := range []bool{false, true} {
				_, err := r.Challenge(t.Context(), mfa.ChallengeParams{
					FactorID: id, UserID: ann, Confirm: confirm,
				})
				mustBe(t, err, mfa.ErrNotFound)
			}
			_, err := r.Verify(t.Context(), mfa.VerifyParams{
				ChallengeID: ch.ID, UserID: ann, Code: answers[id],
			})
			mustBe(t, err, mfa.ErrNotFound)
		}
		if got := r.FactorIDs(ann); !slices.Equal(got, []string{app.ID}) {
			t.Errorf("factors %v, want %s alone", got, app.ID)
		}

		// What an operator enrolls afterwards is confirmed, and ends nothing.
		enr, err := r.Enroll(t.Context(), mfa.EnrollParams{
			UserID: ann, SMS: &mfa.SMSParams{PhoneNumber: phone}, ByOperator: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		r.Clock.Advance(time.Hour)
		r.LogIn(enrolled{Factor: enr.Factor})
		if got := r.FactorIDs(ann); len(got) != 2 {
			t.Errorf("factors %v, want two", got)
		}
	}
}

// TestFirstImportEndsOthers: an app of another system is a first factor too.
func TestFirstImportEndsOthers(t *testing.T) {
	r := strict(t)
	codes, list := r.Recovery(ann)
	ch := r.Ask(codes)
	r.EnrollSMS(ann, phone)
	f := r.imports(mfa.ImportParams{})
	_, err := r.Answer(ch, codes, list[0])
	mustBe(t, err, mfa.ErrNotFound)
	if got := r.FactorIDs(ann); !slices.Equal(got, []string{f.ID}) {
		t.Errorf("factors %v, want %s alone", got, f.ID)
	}
}

// usedCode is a set of recovery codes of which one was used, and its receipt for enrolling.
func (r *rig) usedCode() (set enrolled, receipt string) {
	r.T.Helper()
	set, list := r.Recovery(ann)
	enroll := proof.ActionOf(mfa.PurposeEnroll)
	ch, err := r.Challenge(r.T.Context(), mfa.ChallengeParams{
		FactorID: set.ID, UserID: ann, Action: enroll,
	})
	if err != nil {
		r.T.Fatal(err)
	}
	v, err := r.Verify(r.T.Context(), mfa.VerifyParams{
		ChallengeID: ch.ID, UserID: ann, Action: enroll, Code: list[0],
	})
	if err != nil {
		r.T.Fatal(err)
	}
	return set, v.Receipt()
}

// TestUsedCodesAreNoFirstFactor: recovery codes of which one was used are a second
// factor. A new app requires their receipt then, and does not end them.
func TestUsedCodesAreNoFirstFactor(t *testing.T) {
	r := strict(t)
	early := r.EnrollTOTP(ann) // by somebody with the password, before the code was used
	codes, receipt := r.usedCode()
	confirm, err := r.Challenge(t.Context(), mfa.ChallengeParams{
		FactorID: early.ID, UserID: ann, Confirm: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.Answer(confirm, early, r.Right(early))
	mustBe(t, err, mfa.ErrFactorUnverified)

	r.Clock.Advance(time.Minute) // ids are in the order of time
	enr, err := r.Enroll(t.Context(), enrollment(ann, receipt))
	if err != nil {
		t.Fatal(err)
	}
	r.LogIn(enrolled{Factor: enr.Factor, Secret: enr.TOTP.Secret()})
	if got := r.FactorIDs(ann); !slices.Equal(got, []string{codes.ID, enr.Factor.ID}) {
		t.Errorf("factors %v, want the codes and the new app", got)
	}
}

// TestEnrolledBeforehandBesideCodes: what was enrolled before one of the codes was used
// stays when another app is confirmed, and is not confirmed beside that either.
func TestEnrolledBeforehandBesideCodes(t *testing.T) {
	r := strict(t)
	early := r.EnrollSMS(ann, phone)
	_, receipt := r.usedCode()
	enr, err := r.Enroll(t.Context(), enrollment(ann, receipt))
	if err != nil {
		t.Fatal(err)
	}
	r.LogIn(enrolled{Factor: enr.Factor, Secret: enr.TOTP.Secret()})
	confirm, err := r.Challenge(t.Context(), mfa.ChallengeParams{
		FactorID: early.ID, UserID: ann, Confirm: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.Answer(confirm, early, r.Right(early))
	mustBe(t, err, mfa.ErrFactorUnverified)
}

// opens are the ways by which a user without a second factor becomes one with a
// factor of whoever knows the password, and by which a factor is taken away.
func (r *rig) opens(f enrolled) map[string]error {
	r.T.Helper()
	errs := map[string]error{}
	ctx := r.T.Context()
	_, errs["Factors"] = r.Factors(ctx, ann)
	_, errs["Enroll"] = r.Enroll(ctx, enrollment(ann, ""))
	_, errs["Enroll codes"] = r.Enroll(ctx, mfa.EnrollParams{UserID: ann, RecoveryCodes: true})
	_, errs["Enroll by an operator"] = r.Enroll(ctx, mfa.EnrollParams{
		UserID: ann, GenericOTP: true, ByOperator: true,
	})
	_, errs["Import"] = r.Import(ctx, mfa.ImportParams{
		UserID: ann, Secret: otherSecret, Issuer: "a", User: "b",
	})
	if f.ID != "" {
		p := mfa.FactorParams{FactorID: f.ID, UserID: ann}
		_, errs["Factor"] = r.Factor(ctx, p)
		_, errs["Challenge"] = r.Challenge(ctx, mfa.ChallengeParams{
			FactorID: f.ID, UserID: ann, Confirm: true,
		})
		errs["Unenroll"] = r.Unenroll(ctx, mfa.UnenrollParams{FactorID: p.FactorID, UserID: p.UserID})
	}
	return errs
}

// TestLostRowsOpenNothing: a record that another one says must be there, and is not, is
// an error on every way that a user without a second factor may go.
func TestLostRowsOpenNothing(t *testing.T) {
	for name, lose := range map[string]func(r *rig, f, other enrolled) (left enrolled){
		"a factor": func(r *rig, f, other enrolled) enrolled {
			r.Drop(withID(f.ID))
			return enrolled{}
		},
		"the only factor": func(r *rig, f, other enrolled) enrolled {
			if err := r.Unenroll(r.T.Context(), mfa.UnenrollParams{
				FactorID: other.ID, UserID: mfa.AnyUser,
			}); err != nil {
				r.T.Fatal(err)
			}
			r.Drop(withID(f.ID))
			return enrolled{}
		},
		"all factors": func(r *rig, _, _ enrolled) enrolled {
			r.Drop(ofKind("factor"))
			return enrolled{}
		},
		"the user's record": func(r *rig, f, _ enrolled) enrolled {
			r.Drop(ofKind("user"))
			return f
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := strict(t)
			f := r.TOTP(ann)
			enr, err := r.Enroll(t.Context(), mfa.EnrollParams{
				UserID: ann, SMS: &mfa.SMSParams{PhoneNumber: phone}, ByOperator: true,
			})
			if err != nil {
				t.Fatal(err)
			}
			other := enrolled{Factor: enr.Factor}
			r.LogIn(other)
			left := lose(r, f, other)
			before := len(r.Records())
			for what, err := range r.opens(left) {
				if !errors.Is(err, mfa.ErrIntegrity) {
					t.Errorf("%s: %v, want ErrIntegrity", what, err)
				}
			}
			if after := len(r.Records()); after != before {
				t.Errorf("%d records, were %d", after, before)
			}
		})
	}
}

// TestLostAtConfirmation: a row that is lost after the enrolment is missed when it is
// confirmed, so that nothing ends or takes the place of what is not there.
func TestLostAtConfirmation(t *testing.T) {
	r := strict(t)
	old := r.TOTP(ann)
	next, err := r.Enroll(t.Context(), mfa.EnrollParams{
		UserID: ann, TOTP: &mfa.TOTPParams{Issuer: "a", User: "b"}, Replaces: old.ID, ByOperator: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	app := enrolled{Factor: next.Factor, Secret: next.TOTP.Secret()}
	ch, err := r.Challenge(t.Context(), mfa.ChallengeParams{
		FactorID: app.ID, UserID: ann, Confirm: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Drop(withID(old.ID))
	_, err = r.Answer(ch, app, r.Right(app))
	mustBe(t, err, mfa.ErrIntegrity)
}

// TestRowsPutBack: a row that was deleted or written since, and is put back whole, opens
// with the keys. What the user's record says of it does not agree.
func TestRowsPutBack(t *testing.T) {
	putBack := func(r *rig, rec mfa.Record) {
		r.T.Helper()
		r.Drop(withID(rec.ID))
		rows := append(r.Records(), rec)
		store := new(mfa.MemoryStore)
		for _, row := range rows { // a store writes versions from 1
			for version := int64(0); version < row.Version; version++ {
				change := row
				change.Version = version
				if err := store.Save(r.T.Context(), mfa.Change{Record: change}); err != nil {
					r.T.Fatal(err)
				}
			}
		}
		r.Store.Store = store
	}
	find := func(r *rig, id string) mfa.Record {
		r.T.Helper()
		i := slices.IndexFunc(r.Records(), withID(id))
		return r.Records()[i]
	}

	t.Run("a factor that was taken away", func(t *testing.T) {
		r := strict(t)
		r.Phone(ann, phone)
		enr, err := r.Enroll(t.Context(), mfa.EnrollParams{
			UserID: ann, TOTP: &mfa.TOTPParams{Issuer: "a", User: "b"}, ByOperator: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		stolen := enrolled{Factor: enr.Factor, Secret: enr.TOTP.Secret()} // the phone is
		r.LogIn(stolen)
		ch, receipt := r.Ask(stolen), r.Approve(stolen, pay)
		row := find(r, stolen.ID)
		if err := r.Unenroll(t.Context(), mfa.UnenrollParams{
			FactorID: stolen.ID, UserID: mfa.AnyUser,
		}); err != nil {
			t.Fatal(err)
		}
		putBack(r, row)
		_, err = r.Answer(ch, stolen, r.Right(stolen))
		mustBe(t, err, mfa.ErrIntegrity)
		_, err = r.Redeem(t.Context(), proof.Claim{Receipt: receipt, UserID: ann, Action: pay})
		mustBe(t, err, mfa.ErrIntegrity)
		for what, err := range r.opens(stolen) {
			if !errors.Is(err, mfa.ErrIntegrity) {
				t.Errorf("%s: %v, want ErrIntegrity", what, err)
			}
		}
		if err := r.Unenroll(t.Context(), mfa.UnenrollParams{
			FactorID: stolen.ID, UserID: mfa.AnyUser,
		}); err != nil {
			t.Errorf("an operator takes it away: %v", err)
		}
		if got := r.FactorIDs(ann); len(got) != 1 {
			t.Errorf("factors %v, want the number alone", got)
		}
	})

	t.Run("a factor as it was before it was confirmed", func(t *testing.T) {
		r := strict(t)
		f := r.EnrollTOTP(ann)
		row := find(r, f.ID)
		r.LogIn(f)
		putBack(r, row)
		for what, err := range r.opens(f) {
			if !errors.Is(err, mfa.ErrIntegrity) {
				t.Errorf("%s: %v, want ErrIntegrity", what, err)
			}
		}
	})

	t.Run("a factor that answers for another, before it was confirmed", func(t *testing.T) {
		r := newRig(t, withToys(toyCeremony{}))
		one, two := r.toy(ann), r.enrollToy(ann)
		row := find(r, two.ID)
		if _, err := r.answerToy(r.challengeToy(two), two); err != nil {
			t.Fatal(err)
		}
		ch := r.challengeToy(one)
		putBack(r, row)
		_, err := r.answerToy(ch, two)
		mustBe(t, err, mfa.ErrIntegrity)
	})

	t.Run("the user as they were without factors", func(t *testing.T) {
		r := strict(t)
		f := r.TOTP(ann)
		if err := r.Unenroll(t.Context(), mfa.UnenrollParams{
			FactorID: f.ID, UserID: mfa.AnyUser,
		}); err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(r.Records(), ofKind("user"))
		row := r.Records()[i]
		r.TOTP(ann)
		putBack(r, row)
		for what, err := range r.opens(enrolled{}) {
			if !errors.Is(err, mfa.ErrIntegrity) {
				t.Errorf("%s: %v, want ErrIntegrity", what, err)
			}
		}
	})
}

// TestReadsOfTwoMoments: records that are read one after the other contradict each other
// while somebody writes them. That is no lost row.
func TestReadsOfTwoMoments(t *testing.T) {
	r := strict(t)
	r.TOTP(ann)
	enr, err := r.Enroll(t.Context(), mfa.EnrollParams{
		UserID: ann, SMS: &mfa.SMSParams{PhoneNumber: phone}, ByOperator: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	r.LogIn(enrolled{Factor: enr.Factor})
	taken := false
	r.Store.Before = func(ctx context.Context, c mfatest.Call) error {
		if c.Method == "List" && !taken {
			taken = true
			return r.Another().Unenroll(ctx, mfa.UnenrollParams{
				FactorID: enr.Factor.ID, UserID: mfa.AnyUser,
			})
		}
		return nil
	}
	if got := r.FactorIDs(ann); len(got) != 1 || !taken {
		t.Errorf("factors %v", got)
	}
}

// TestLapsedTrust: an enrolment that lapsed, and whose user's record was purged before it,
// is not there.
func TestLapsedTrust(t *testing.T) {
	r := newRig(t)
	f := r.EnrollTOTP(ann)
	ch, err := r.Challenge(t.Context(), mfa.ChallengeParams{
		FactorID: f.ID, UserID: ann, Confirm: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Clock.Advance(24 * time.Hour)
	r.Drop(ofKind("user"))
	for _, name := range []string{"", "Firefox"} {
		_, err = r.Verify(t.Context(), mfa.VerifyParams{
			ChallengeID: ch.ID,
			UserID:      ann,
			Code:        r.Right(f),
			TrustDevice: name != "",
			DeviceName:  name,
		})
		mustBe(t, err, mfa.ErrNotFound)
	}
}

// TestRevokeLostDevice: a device whose row is lost is revoked all the same, and not
// trusted when the row is put back.
func TestRevokeLostDevice(t *testing.T) {
	for name, revoke := range map[string]func(r *rig, d mfa.TrustedDevice) error{
		"one": func(r *rig, d mfa.TrustedDevice) error {
			return r.RevokeDevice(r.T.Context(), ann, d.ID)
		},
		"all": func(r *rig, d mfa.TrustedDevice) error {
			return r.RevokeDevices(r.T.Context(), ann)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			d := r.Trust(r.TOTP(ann), "Firefox")
			row := r.Drop(ofKind("device"))[0]
			if err := revoke(r, d); err != nil {
				t.Fatal(err)
			}
			row.Version = 0
			if err := r.Store.Store.Save(t.Context(), mfa.Change{Record: row}); err != nil {
				t.Fatal(err)
			}
			_, err := r.Use(d.Token())
			mustBe(t, err, errAsked)
		})
	}
}

// TestRevokeDamagedDevice: a device whose row does not open stands in the way of no
// revocation.
func TestRevokeDamagedDevice(t *testing.T) {
	for name, revoke := range map[string]func(r *rig, good mfa.TrustedDevice) error{
		"all": func(r *rig, _ mfa.TrustedDevice) error { return r.RevokeDevices(r.T.Context(), ann) },
		"the one that is whole": func(r *rig, good mfa.TrustedDevice) error {
			return r.RevokeDevice(r.T.Context(), ann, good.ID)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			f := r.TOTP(ann)
			good, bad := r.Trust(f, "good"), r.Trust(f, "bad")
			row := r.Records()[slices.IndexFunc(r.Records(), withID(bad.ID))]
			row.State = slices.Clone(row.State)
			row.State[len(row.State)-1] ^= 1
			if err := r.Store.Store.Save(t.Context(), mfa.Change{Record: row}); err != nil {
				t.Fatal(err)
			}
			if err := revoke(r, good); err != nil {
				t.Error(err)
			}
			_, err := r.Use(good.Token())
			mustBe(t, err, errAsked)
		})
	}
}

// TestWritesAllTheTime: a reading that somebody writes into each time is no lost row.
func TestWritesAllTheTime(t *testing.T) {
	r := newRig(t)
	other := r.Another()
	writing := false
	r.Store.Before = func(ctx context.Context, c mfatest.Call) error {
		if c.Method != "List" || writing {
			return nil
		}
		writing = true
		defer func() { writing = false }()
		_, err := other.Enroll(ctx, mfa.EnrollParams{
			UserID: ann, TOTP: &mfa.TOTPParams{Issuer: "a", User: "b"},
		})
		return err
	}
	_, err := r.Factors(t.Context(), ann)
	mustBe(t, err, mfa.ErrThrottled)
}

// TestConfirmingEvictsNothing: a confirmation ends the trust in all devices, so that it
// reads none of them to make room.
func TestConfirmingEvictsNothing(t *testing.T) {
	r := newRig(t)
	old := r.TOTP(ann)
	for range 5 {
		r.Trust(old, "Firefox")
	}
	enr, err := r.Enroll(t.Context(), mfa.EnrollParams{
		UserID: ann, Replaces: old.ID, SMS: &mfa.SMSParams{PhoneNumber: phone},
	})
	if err != nil {
		t.Fatal(err)
	}
	f := enrolled{Factor: enr.Factor}
	ch := r.challengeToConfirm(f)
	got := r.Calls(func() {
		_, err = r.Verify(t.Context(), mfa.VerifyParams{
			ChallengeID: ch.ID,
			UserID:      ann,
			Code:        r.Right(f),
			TrustDevice: true,
			DeviceName:  "Chrome",
		})
	})
	if err != nil || got != "Load Load Load Save" {
		t.Errorf("%v; %q", err, got)
	}
	if got := r.TrustedNames(); !slices.Equal(got, []string{"Chrome"}) {
		t.Errorf("devices %v", got)
	}
}

// TestSameSecret: an app whose secret the user has in a verified factor is that factor:
// one code is not accepted by two of one secret, and enrolling is no way around a
// factor that was disabled.
func TestSameSecret(t *testing.T) {
	r := newRig(t)
	enroll := func(p mfa.EnrollParams) (mfa.Enrollment, error) {
		p.UserID, p.TOTP = ann, &mfa.TOTPParams{Issuer: "a", User: "b", Secret: otherSecret}
		return r.Enroll(t.Context(), p)
	}
	enr, err := enroll(mfa.EnrollParams{})
	if err != nil {
		t.Fatal(err)
	}
	f := enrolled{Factor: enr.Factor, Secret: otherSecret}
	ch, err := r.Challenge(t.Context(), mfa.ChallengeParams{
		FactorID: f.ID, UserID: ann, Confirm: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	code := r.Right(f)
	if _, err := r.Answer(ch, f, code); err != nil {
		t.Fatal(err)
	}
	before := r.Records()

	again, err := enroll(mfa.EnrollParams{})
	if err != nil || again.Factor.ID != f.ID || again.Factor.Status != mfa.StatusVerified ||
		again.TOTP.Secret() != enr.TOTP.Secret() {
		t.Fatalf("%+v, %v", again, err)
	}
	if after := r.Records(); len(after) != len(before) {
		t.Errorf("%d records, were %d", len(after), len(before))
	}
	ch, err = r.Challenge(t.Context(), mfa.ChallengeParams{
		FactorID: again.Factor.ID, UserID: ann, Confirm: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.Answer(ch, f, code)
	mustBe(t, err, mfa.ErrInvalidCode)

	// It replaces itself, and no other one.
	if _, err := enroll(mfa.EnrollParams{Replaces: f.ID}); err != nil {
		t.Error(err)
	}
	other := r.Phone(ann, phone)
	_, err = enroll(mfa.EnrollParams{Replaces: other.ID})
	mustBe(t, err, mfa.ErrInvalidParameter)

	r.Fail(f, 29) // and the used code
	again, err = enroll(mfa.EnrollParams{})
	if err != nil || again.Factor.Status != mfa.StatusDisabled {
		t.Errorf("%+v, %v, want the disabled factor", again.Factor, err)
	}
}

// TestUsedCodesOfAnAppThatWasGone: an app that is taken away and enrolled again, by its
// secret, keeps its used codes.
func TestUsedCodesOfAnAppThatWasGone(t *testing.T) {
	for _, pending := range []bool{false, true} {
		r := newRig(t)
		f := r.TOTP(ann)
		var again mfa.Enrollment
		enroll := func(replaces string) {
			var err error
			again, err = r.Enroll(t.Context(), mfa.EnrollParams{
				UserID:   ann,
				Replaces: replaces,
				TOTP:     &mfa.TOTPParams{Issuer: "a", User: "b", Secret: f.Secret},
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if pending {
			enroll(f.ID)
		}
		code := r.Right(f)
		if _, err := r.Answer(r.Ask(f), f, code); err != nil {
			t.Fatal(err)
		}
		if err := r.Unenroll(t.Context(), mfa.UnenrollParams{
			FactorID: f.ID, UserID: mfa.AnyUser,
		}); err != nil {
			t.Fatal(err)
		}
		if !pending {
			enroll("")
		}
		ch := r.challengeToConfirm(enrolled{Factor: again.Factor, Secret: f.Secret})
		_, err := r.Answer(ch, f, code)
		mustBe(t, err, mfa.ErrInvalidCode)
		r.Clock.Advance(30 * time.Second)
		if _, err := r.Answer(ch, f, r.Right(f)); err != nil {
			t.Errorf("the next code: %v", err)
		}
	}
}

// TestUsedCodesOfAnImportThatWasGone: nor does an import take a code that was used here,
// whatever the other system knows.
func TestUsedCodesOfAnImportThatWasGone(t *testing.T) {
	r := newRig(t)
	p := mfa.ImportParams{LastUsed: r.Clock.Now().Add(-time.Hour)}
	f := r.imports(p)
	code := r.Right(f)
	if _, err := r.Answer(r.Ask(f), f, code); err != nil {
		t.Fatal(err)
	}
	if err := r.Unenroll(t.Context(), mfa.UnenrollParams{
		FactorID: f.ID, UserID: mfa.AnyUser,
	}); err != nil {
		t.Fatal(err)
	}
	f = r.imports(p)
	_, err := r.Answer(r.Ask(f), f, code)
	mustBe(t, err, mfa.ErrInvalidCode)
}

// TestReceiptNamesWhatGoes: a receipt for enrolling takes no factor away; for that it
// names the factor.
func TestReceiptNamesWhatGoes(t *testing.T) {
	r := strict(t)
	f := r.TOTP(ann)
	other, err := r.Enroll(t.Context(), mfa.EnrollParams{
		UserID: ann, SMS: &mfa.SMSParams{PhoneNumber: phone}, ByOperator: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	r.LogIn(enrolled{Factor: other.Factor})
	p := enrollment(ann, "")
	p.Replaces = f.ID
	for name, action := range map[string]proof.Action{
		"to enroll":              proof.ActionOf(mfa.PurposeEnroll),
		"to replace another":     proof.ActionOf(mfa.PurposeEnroll, other.Factor.ID),
		"to take the same away":  proof.ActionOf(mfa.PurposeUnenroll, f.ID),
		"to enroll, with a name": proof.ActionOf(mfa.PurposeEnroll, ""),
	} {
		r.Clock.Advance(time.Minute)
		p.Receipt = r.Approve(f, action)
		if _, err := r.Enroll(t.Context(), p); !errors.Is(err, mfa.ErrProofRequired) {
			t.Errorf("a receipt %s: %v", name, err)
		}
	}
	r.Clock.Advance(time.Minute)
	receipt := r.Approve(f, proof.ActionOf(mfa.PurposeEnroll, f.ID))
	if _, err := r.Enroll(
		t.Context(),
		enrollment(ann, receipt),
	); !errors.Is(
		err,
		mfa.ErrProofRequired,
	) {
		t.Errorf("a receipt to replace, for one factor more: %v", err)
	}
	p.Receipt = receipt
	if _, err := r.Enroll(t.Context(), p); err != nil {
		t.Error(err)
	}
}

func (r *rig) challengeToConfirm(f enrolled) mfa.Challenge {
	r.T.Helper()
	ch, err := r.Challenge(r.T.Context(), mfa.ChallengeParams{
		FactorID: f.ID, UserID: f.UserID, Confirm: true,
	})
	if err != nil {
		r.T.Fatal(err)
	}
	return ch
}

// savesSeen tells how many records each Save has.
type savesSeen struct {
	mfa.Store
	seen func(records int)
}

func (s savesSeen) Save(ctx context.Context, changes ...mfa.Change) error {
	s.seen(len(changes))
	return s.Store.Save(ctx, changes...)
}

// TestLargestSave: no Save has more than 16 records. The largest confirms the number of a
// user who had all that can end with it, under a keyring of three keys of which each left
// a budget of the number.
func TestLargestSave(t *testing.T) {
	r := newRig(t, func(c *mfa.Config) {
		for i := range 3 {
			c.Methods = append(
				c.Methods,
				mfa.Method{Type: mfa.FactorType(fmt.Sprint("toy_", i)), Ceremony: toyCeremony{}},
			)
		}
	})
	keys := make([]string, 3)
	for i := range keys {
		keys[i] = mfa.NewKey()
	}
	largest := 0
	r.Store.Store = savesSeen{r.Store.Store, func(n int) { largest = max(largest, n) }}
	// Old processes, of one key each, leave a budget of the number each.
	budgets := func(keys ...string) {
		for i, key := range keys {
			r.with(key)
			r.challengeToConfirm(r.EnrollSMS(fmt.Sprintf("%s %d", r.Clock.Now(), i), phone))
		}
	}
	budgets(keys...)
	r.with(keys...)
	r.Clock.Advance(25 * time.Hour) // their messages are forgotten, and the records are not
	f := r.EnrollSMS(ann, phone)
	r.Recovery(ann)
	r.EnrollTOTP(ann)
	if _, err := r.Enroll(t.Context(), mfa.EnrollParams{UserID: ann, GenericOTP: true}); err != nil {
		t.Fatal(err)
	}
	for _, m := range r.Config.Methods {
		if _, err := r.Enroll(t.Context(), mfa.EnrollParams{
			UserID: ann, Method: &mfa.MethodParams{Type: m.Type},
		}); err != nil {
			t.Fatal(err)
		}
	}
	largest = 0
	ch := r.challengeToConfirm(f)
	r.Clock.Advance(time.Second) // or another call may write for this one
	if largest != 7 {            // the challenge, the user, three of the number, its block, its region
		t.Errorf("Challenge saves %d records, want 7", largest)
	}
	code := r.Right(f)
	budgets(keys[1:]...) // the first has the budget that Challenge wrote
	r.with(keys...)
	r.Clock.Advance(time.Second)
	largest = 0
	_, err := r.Verify(t.Context(), mfa.VerifyParams{
		ChallengeID:      ch.ID,
		UserID:           ann,
		Code:             code,
		TrustDevice:      true,
		DeviceName:       "Firefox",
		NewRecoveryCodes: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	// They are the challenge, the factor, the user, three of the number, its block, its
	// region, six that end, the device and the new codes.
	if largest != 16 {
		t.Errorf("Verify saves %d records, want 16", largest)
	}
}

// TestUnenrollDisabled: a factor that wrong codes disabled is taken away by a receipt, as
// any other one: guessing must be no way to get rid of it.
func TestUnenrollDisabled(t *testing.T) {
	r := strict(t)
	f := r.TOTP(ann)
	r.Fail(f, 30)
	p := mfa.FactorParams{FactorID: f.ID, UserID: ann}
	mustBe(
		t,
		r.Unenroll(t.Context(), mfa.UnenrollParams{FactorID: p.FactorID, UserID: p.UserID}),
		mfa.ErrProofRequired,
	)
	if got, err := r.Factor(t.Context(), p); err != nil || got.Status != mfa.StatusDisabled {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestReplacedLeavesTheList: a factor that was replaced is on its user's list no more. It
// does not count among the ten, and is not missed.
func TestReplacedLeavesTheList(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	for range 20 {
		enr, err := r.Enroll(t.Context(), mfa.EnrollParams{
			UserID: ann, TOTP: &mfa.TOTPParams{Issuer: "a", User: "b"}, Replaces: f.ID,
		})
		if err != nil {
			t.Fatal(err)
		}
		f = enrolled{Factor: enr.Factor, Secret: enr.TOTP.Secret()}
		r.LogIn(f)
		if got := r.FactorIDs(ann); !slices.Equal(got, []string{f.ID}) {
			t.Fatalf("factors %v, want %s alone", got, f.ID)
		}
	}
}
