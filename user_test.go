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
			ch, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann, Confirm: f.ID != codes.Factor.ID})
			if err != nil {
				t.Fatal(err)
			}
			open[f.ID] = ch
		}

		r.took()
		app := r.totp(ann)
		replaced := 0
		for _, e := range r.took() {
			if e.Kind == mfa.EventReplaced {
				replaced++
			}
		}
		if replaced != 3 {
			t.Errorf("%d events of factors that ended, want 3", replaced)
		}

		answers := map[string]string{
			codes.Factor.ID:   codes.RecoveryCodes.Codes()[0],
			number.Factor.ID:  r.sms.Code(phone),
			generic.Factor.ID: open[generic.Factor.ID].Code(),
		}
		for id, ch := range open {
			for _, confirm := range []bool{false, true} {
				_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: id, UserID: ann, Confirm: confirm})
				mustBe(t, err, mfa.ErrNotFound)
			}
			_, err := r.Verify(t.Context(), mfa.VerifyParams{ChallengeID: ch.ID, UserID: ann, Code: answers[id]})
			mustBe(t, err, mfa.ErrNotFound)
		}
		if got := r.factorIDs(ann); !slices.Equal(got, []string{app.ID}) {
			t.Errorf("factors %v, want %s alone", got, app.ID)
		}

		// What an operator enrolls afterwards is confirmed, and ends nothing.
		enr, err := r.Enroll(t.Context(), mfa.EnrollParams{UserID: ann, SMS: &mfa.SMSParams{PhoneNumber: phone}, ByOperator: true})
		if err != nil {
			t.Fatal(err)
		}
		r.clock.Advance(time.Hour)
		r.login(enrolled{Factor: enr.Factor})
		if got := r.factorIDs(ann); len(got) != 2 {
			t.Errorf("factors %v, want two", got)
		}
	}
}

func (r *rig) factorIDs(userID string) []string {
	r.t.Helper()
	factors, err := r.Factors(r.t.Context(), userID)
	if err != nil {
		r.t.Fatal(err)
	}
	ids := []string{}
	for _, f := range factors {
		ids = append(ids, f.ID)
	}
	return ids
}

// TestFirstImportEndsOthers: an app of another system is a first factor too.
func TestFirstImportEndsOthers(t *testing.T) {
	r := strict(t)
	codes, list := r.recovery(ann)
	ch := r.challenge(codes)
	r.enrollSMS(ann, phone)
	f := r.imports(mfa.ImportParams{})
	_, err := r.answer(ch, codes, list[0])
	mustBe(t, err, mfa.ErrNotFound)
	if got := r.factorIDs(ann); !slices.Equal(got, []string{f.ID}) {
		t.Errorf("factors %v, want %s alone", got, f.ID)
	}
}

// usedCode is a set of recovery codes of which one was used, and its receipt for enrolling.
func (r *rig) usedCode() (set enrolled, receipt string) {
	r.t.Helper()
	set, list := r.recovery(ann)
	enroll := proof.ActionOf(mfa.PurposeEnroll)
	ch, err := r.Challenge(r.t.Context(), mfa.ChallengeParams{FactorID: set.ID, UserID: ann, Action: enroll})
	if err != nil {
		r.t.Fatal(err)
	}
	v, err := r.Verify(r.t.Context(), mfa.VerifyParams{ChallengeID: ch.ID, UserID: ann, Action: enroll, Code: list[0]})
	if err != nil {
		r.t.Fatal(err)
	}
	return set, v.Receipt()
}

// TestUsedCodesAreNoFirstFactor: recovery codes of which one was used are a second
// factor. A new app requires their receipt then, and does not end them.
func TestUsedCodesAreNoFirstFactor(t *testing.T) {
	r := strict(t)
	early := r.enrollTOTP(ann) // by somebody with the password, before the code was used
	codes, receipt := r.usedCode()
	confirm, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: early.ID, UserID: ann, Confirm: true})
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.answer(confirm, early, r.right(early))
	mustBe(t, err, mfa.ErrFactorUnverified)

	r.clock.Advance(time.Minute) // ids are in the order of time
	enr, err := r.Enroll(t.Context(), enrollment(ann, receipt))
	if err != nil {
		t.Fatal(err)
	}
	r.login(enrolled{enr.Factor, enr.TOTP.Secret()})
	if got := r.factorIDs(ann); !slices.Equal(got, []string{codes.ID, enr.Factor.ID}) {
		t.Errorf("factors %v, want the codes and the new app", got)
	}
}

// TestEnrolledBeforehandBesideCodes: what was enrolled before one of the codes was used
// stays when another app is confirmed, and is not confirmed beside that either.
func TestEnrolledBeforehandBesideCodes(t *testing.T) {
	r := strict(t)
	early := r.enrollSMS(ann, phone)
	_, receipt := r.usedCode()
	enr, err := r.Enroll(t.Context(), enrollment(ann, receipt))
	if err != nil {
		t.Fatal(err)
	}
	r.login(enrolled{enr.Factor, enr.TOTP.Secret()})
	confirm, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: early.ID, UserID: ann, Confirm: true})
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.answer(confirm, early, r.right(early))
	mustBe(t, err, mfa.ErrFactorUnverified)
}

// drop takes rows out of the store, as a lost one is gone.
func (r *rig) drop(which func(mfa.Record) bool) (dropped []mfa.Record) {
	r.t.Helper()
	for _, rec := range r.records() {
		if !which(rec) {
			continue
		}
		err := r.store.Store.Save(r.t.Context(), mfa.Change{Record: mfa.Record{ID: rec.ID, Version: rec.Version}, Delete: true})
		if err != nil {
			r.t.Fatal(err)
		}
		dropped = append(dropped, rec)
	}
	return dropped
}

func withID(id string) func(mfa.Record) bool {
	return func(rec mfa.Record) bool { return rec.ID == id }
}

func ofKind(kind string) func(mfa.Record) bool {
	return func(rec mfa.Record) bool { return rec.Kind == kind }
}

// opens are the ways by which a user without a second factor becomes one with a
// factor of whoever knows the password, and by which a factor is taken away.
func (r *rig) opens(f enrolled) map[string]error {
	r.t.Helper()
	errs := map[string]error{}
	ctx := r.t.Context()
	_, errs["Factors"] = r.Factors(ctx, ann)
	_, errs["Enroll"] = r.Enroll(ctx, enrollment(ann, ""))
	_, errs["Enroll codes"] = r.Enroll(ctx, mfa.EnrollParams{UserID: ann, RecoveryCodes: true})
	_, errs["Enroll by an operator"] = r.Enroll(ctx, mfa.EnrollParams{UserID: ann, GenericOTP: true, ByOperator: true})
	_, errs["Import"] = r.Import(ctx, mfa.ImportParams{UserID: ann, Secret: otherSecret, Issuer: "a", User: "b"})
	if f.ID != "" {
		p := mfa.FactorParams{FactorID: f.ID, UserID: ann}
		_, errs["Factor"] = r.Factor(ctx, p)
		_, errs["Challenge"] = r.Challenge(ctx, mfa.ChallengeParams{FactorID: f.ID, UserID: ann, Confirm: true})
		errs["Unenroll"] = r.Unenroll(ctx, mfa.UnenrollParams{FactorID: p.FactorID, UserID: p.UserID})
	}
	return errs
}

// TestLostRowsOpenNothing: a record that another one says must be there, and is not, is
// an error on every way that a user without a second factor may go.
func TestLostRowsOpenNothing(t *testing.T) {
	for name, lose := range map[string]func(r *rig, f, other enrolled) (left enrolled){
		"a factor": func(r *rig, f, other enrolled) enrolled {
			r.drop(withID(f.ID))
			return enrolled{}
		},
		"the only factor": func(r *rig, f, other enrolled) enrolled {
			if err := r.Unenroll(r.t.Context(), mfa.UnenrollParams{FactorID: other.ID, UserID: mfa.AnyUser}); err != nil {
				r.t.Fatal(err)
			}
			r.drop(withID(f.ID))
			return enrolled{}
		},
		"all factors": func(r *rig, _, _ enrolled) enrolled {
			r.drop(ofKind("factor"))
			return enrolled{}
		},
		"the user's record": func(r *rig, f, _ enrolled) enrolled {
			r.drop(ofKind("user"))
			return f
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := strict(t)
			f := r.totp(ann)
			enr, err := r.Enroll(t.Context(), mfa.EnrollParams{UserID: ann, SMS: &mfa.SMSParams{PhoneNumber: phone}, ByOperator: true})
			if err != nil {
				t.Fatal(err)
			}
			other := enrolled{Factor: enr.Factor}
			r.login(other)
			left := lose(r, f, other)
			before := len(r.records())
			for what, err := range r.opens(left) {
				if !errors.Is(err, mfa.ErrIntegrity) {
					t.Errorf("%s: %v, want ErrIntegrity", what, err)
				}
			}
			if after := len(r.records()); after != before {
				t.Errorf("%d records, were %d", after, before)
			}
		})
	}
}

// TestLostAtConfirmation: a row that is lost after the enrolment is missed when it is
// confirmed, so that nothing ends or takes the place of what is not there.
func TestLostAtConfirmation(t *testing.T) {
	r := strict(t)
	old := r.totp(ann)
	next, err := r.Enroll(t.Context(), mfa.EnrollParams{
		UserID: ann, TOTP: &mfa.TOTPParams{Issuer: "a", User: "b"}, Replaces: old.ID, ByOperator: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	app := enrolled{next.Factor, next.TOTP.Secret()}
	ch, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: app.ID, UserID: ann, Confirm: true})
	if err != nil {
		t.Fatal(err)
	}
	r.drop(withID(old.ID))
	_, err = r.answer(ch, app, r.right(app))
	mustBe(t, err, mfa.ErrIntegrity)
}

// TestRowsPutBack: a row that was deleted or written since, and is put back whole, opens
// with the keys. What the user's record says of it does not agree.
func TestRowsPutBack(t *testing.T) {
	putBack := func(r *rig, rec mfa.Record) {
		r.t.Helper()
		r.drop(withID(rec.ID))
		rows := append(r.records(), rec)
		store := new(mfa.MemoryStore)
		for _, row := range rows { // a store writes versions from 1
			for version := int64(0); version < row.Version; version++ {
				change := row
				change.Version = version
				if err := store.Save(r.t.Context(), mfa.Change{Record: change}); err != nil {
					r.t.Fatal(err)
				}
			}
		}
		r.store.Store = store
	}
	find := func(r *rig, id string) mfa.Record {
		r.t.Helper()
		i := slices.IndexFunc(r.records(), withID(id))
		return r.records()[i]
	}

	t.Run("a factor that was taken away", func(t *testing.T) {
		r := strict(t)
		r.phone(ann, phone)
		enr, err := r.Enroll(t.Context(), mfa.EnrollParams{UserID: ann, TOTP: &mfa.TOTPParams{Issuer: "a", User: "b"}, ByOperator: true})
		if err != nil {
			t.Fatal(err)
		}
		stolen := enrolled{enr.Factor, enr.TOTP.Secret()} // the phone is
		r.login(stolen)
		ch, receipt := r.challenge(stolen), r.approve(stolen, pay)
		row := find(r, stolen.ID)
		if err := r.Unenroll(t.Context(), mfa.UnenrollParams{FactorID: stolen.ID, UserID: mfa.AnyUser}); err != nil {
			t.Fatal(err)
		}
		putBack(r, row)
		_, err = r.answer(ch, stolen, r.right(stolen))
		mustBe(t, err, mfa.ErrIntegrity)
		_, err = r.Redeem(t.Context(), proof.Claim{Receipt: receipt, UserID: ann, Action: pay})
		mustBe(t, err, mfa.ErrIntegrity)
		for what, err := range r.opens(stolen) {
			if !errors.Is(err, mfa.ErrIntegrity) {
				t.Errorf("%s: %v, want ErrIntegrity", what, err)
			}
		}
		if err := r.Unenroll(t.Context(), mfa.UnenrollParams{FactorID: stolen.ID, UserID: mfa.AnyUser}); err != nil {
			t.Errorf("an operator takes it away: %v", err)
		}
		if got := r.factorIDs(ann); len(got) != 1 {
			t.Errorf("factors %v, want the number alone", got)
		}
	})

	t.Run("a factor as it was before it was confirmed", func(t *testing.T) {
		r := strict(t)
		f := r.enrollTOTP(ann)
		row := find(r, f.ID)
		r.login(f)
		putBack(r, row)
		for what, err := range r.opens(f) {
			if !errors.Is(err, mfa.ErrIntegrity) {
				t.Errorf("%s: %v, want ErrIntegrity", what, err)
			}
		}
	})

	t.Run("the user as they were without factors", func(t *testing.T) {
		r := strict(t)
		f := r.totp(ann)
		if err := r.Unenroll(t.Context(), mfa.UnenrollParams{FactorID: f.ID, UserID: mfa.AnyUser}); err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(r.records(), ofKind("user"))
		row := r.records()[i]
		r.totp(ann)
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
	r.totp(ann)
	enr, err := r.Enroll(t.Context(), mfa.EnrollParams{UserID: ann, SMS: &mfa.SMSParams{PhoneNumber: phone}, ByOperator: true})
	if err != nil {
		t.Fatal(err)
	}
	r.login(enrolled{Factor: enr.Factor})
	taken := false
	r.store.Before = func(ctx context.Context, c mfatest.Call) error {
		if c.Method == "List" && !taken {
			taken = true
			return r.another().Unenroll(ctx, mfa.UnenrollParams{FactorID: enr.Factor.ID, UserID: mfa.AnyUser})
		}
		return nil
	}
	if got := r.factorIDs(ann); len(got) != 1 || !taken {
		t.Errorf("factors %v", got)
	}
}

// TestLapsedTrust: an enrolment that lapsed, and whose user's record was purged before it,
// is not there.
func TestLapsedTrust(t *testing.T) {
	r := newRig(t)
	f := r.enrollTOTP(ann)
	ch, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann, Confirm: true})
	if err != nil {
		t.Fatal(err)
	}
	r.clock.Advance(24 * time.Hour)
	r.drop(ofKind("user"))
	for _, name := range []string{"", "Firefox"} {
		_, err = r.Verify(t.Context(), mfa.VerifyParams{ChallengeID: ch.ID, UserID: ann, Code: r.right(f), TrustDevice: name != "", DeviceName: name})
		mustBe(t, err, mfa.ErrNotFound)
	}
}

// TestRevokeLostDevice: a device whose row is lost is revoked all the same, and not
// trusted when the row is put back.
func TestRevokeLostDevice(t *testing.T) {
	for name, revoke := range map[string]func(r *rig, d mfa.TrustedDevice) error{
		"one": func(r *rig, d mfa.TrustedDevice) error {
			return r.RevokeDevice(r.t.Context(), ann, d.ID)
		},
		"all": func(r *rig, d mfa.TrustedDevice) error {
			return r.RevokeDevices(r.t.Context(), ann)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			d := r.trust(r.totp(ann), "Firefox")
			row := r.drop(ofKind("device"))[0]
			if err := revoke(r, d); err != nil {
				t.Fatal(err)
			}
			row.Version = 0
			if err := r.store.Store.Save(t.Context(), mfa.Change{Record: row}); err != nil {
				t.Fatal(err)
			}
			_, err := r.use(d.Token())
			mustBe(t, err, errAsked)
		})
	}
}

// TestRevokeDamagedDevice: a device whose row does not open stands in the way of no
// revocation.
func TestRevokeDamagedDevice(t *testing.T) {
	for name, revoke := range map[string]func(r *rig, good mfa.TrustedDevice) error{
		"all": func(r *rig, _ mfa.TrustedDevice) error { return r.RevokeDevices(r.t.Context(), ann) },
		"the one that is whole": func(r *rig, good mfa.TrustedDevice) error {
			return r.RevokeDevice(r.t.Context(), ann, good.ID)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			f := r.totp(ann)
			good, bad := r.trust(f, "good"), r.trust(f, "bad")
			row := r.records()[slices.IndexFunc(r.records(), withID(bad.ID))]
			row.State = slices.Clone(row.State)
			row.State[len(row.State)-1] ^= 1
			if err := r.store.Store.Save(t.Context(), mfa.Change{Record: row}); err != nil {
				t.Fatal(err)
			}
			if err := revoke(r, good); err != nil {
				t.Error(err)
			}
			_, err := r.use(good.Token())
			mustBe(t, err, errAsked)
		})
	}
}

// TestWritesAllTheTime: a reading that somebody writes into each time is no lost row.
func TestWritesAllTheTime(t *testing.T) {
	r := newRig(t)
	other := r.another()
	writing := false
	r.store.Before = func(ctx context.Context, c mfatest.Call) error {
		if c.Method != "List" || writing {
			return nil
		}
		writing = true
		defer func() { writing = false }()
		_, err := other.Enroll(ctx, mfa.EnrollParams{UserID: ann, TOTP: &mfa.TOTPParams{Issuer: "a", User: "b"}})
		return err
	}
	_, err := r.Factors(t.Context(), ann)
	mustBe(t, err, mfa.ErrThrottled)
}

// TestConfirmingEvictsNothing: a confirmation ends the trust in all devices, so that it
// reads none of them to make room.
func TestConfirmingEvictsNothing(t *testing.T) {
	r := newRig(t)
	old := r.totp(ann)
	for range 5 {
		r.trust(old, "Firefox")
	}
	enr, err := r.Enroll(t.Context(), mfa.EnrollParams{UserID: ann, Replaces: old.ID, SMS: &mfa.SMSParams{PhoneNumber: phone}})
	if err != nil {
		t.Fatal(err)
	}
	f := enrolled{Factor: enr.Factor}
	ch := r.challengeToConfirm(f)
	got := r.calls(func() {
		_, err = r.Verify(t.Context(), mfa.VerifyParams{ChallengeID: ch.ID, UserID: ann, Code: r.right(f), TrustDevice: true, DeviceName: "Chrome"})
	})
	if err != nil || got != "Load Load Load Save" {
		t.Errorf("%v; %q", err, got)
	}
	if got := r.devices(); !slices.Equal(got, []string{"Chrome"}) {
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
	f := enrolled{enr.Factor, otherSecret}
	ch, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann, Confirm: true})
	if err != nil {
		t.Fatal(err)
	}
	code := r.right(f)
	if _, err := r.answer(ch, f, code); err != nil {
		t.Fatal(err)
	}
	before := r.records()

	again, err := enroll(mfa.EnrollParams{})
	if err != nil || again.Factor.ID != f.ID || again.Factor.Status != mfa.StatusVerified || again.TOTP.Secret() != enr.TOTP.Secret() {
		t.Fatalf("%+v, %v", again, err)
	}
	if after := r.records(); len(after) != len(before) {
		t.Errorf("%d records, were %d", len(after), len(before))
	}
	ch, err = r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: again.Factor.ID, UserID: ann, Confirm: true})
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.answer(ch, f, code)
	mustBe(t, err, mfa.ErrInvalidCode)

	// It replaces itself, and no other one.
	if _, err := enroll(mfa.EnrollParams{Replaces: f.ID}); err != nil {
		t.Error(err)
	}
	other := r.phone(ann, phone)
	_, err = enroll(mfa.EnrollParams{Replaces: other.ID})
	mustBe(t, err, mfa.ErrInvalidParameter)

	r.fail(f, 29) // and the used code
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
		f := r.totp(ann)
		var again mfa.Enrollment
		enroll := func(replaces string) {
			var err error
			again, err = r.Enroll(t.Context(), mfa.EnrollParams{
				UserID: ann, Replaces: replaces, TOTP: &mfa.TOTPParams{Issuer: "a", User: "b", Secret: f.secret},
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if pending {
			enroll(f.ID)
		}
		code := r.right(f)
		if _, err := r.answer(r.challenge(f), f, code); err != nil {
			t.Fatal(err)
		}
		if err := r.Unenroll(t.Context(), mfa.UnenrollParams{FactorID: f.ID, UserID: mfa.AnyUser}); err != nil {
			t.Fatal(err)
		}
		if !pending {
			enroll("")
		}
		ch := r.challengeToConfirm(enrolled{again.Factor, f.secret})
		_, err := r.answer(ch, f, code)
		mustBe(t, err, mfa.ErrInvalidCode)
		r.clock.Advance(30 * time.Second)
		if _, err := r.answer(ch, f, r.right(f)); err != nil {
			t.Errorf("the next code: %v", err)
		}
	}
}

// TestUsedCodesOfAnImportThatWasGone: nor does an import take a code that was used here,
// whatever the other system knows.
func TestUsedCodesOfAnImportThatWasGone(t *testing.T) {
	r := newRig(t)
	p := mfa.ImportParams{LastUsed: r.clock.Now().Add(-time.Hour)}
	f := r.imports(p)
	code := r.right(f)
	if _, err := r.answer(r.challenge(f), f, code); err != nil {
		t.Fatal(err)
	}
	if err := r.Unenroll(t.Context(), mfa.UnenrollParams{FactorID: f.ID, UserID: mfa.AnyUser}); err != nil {
		t.Fatal(err)
	}
	f = r.imports(p)
	_, err := r.answer(r.challenge(f), f, code)
	mustBe(t, err, mfa.ErrInvalidCode)
}

// TestReceiptNamesWhatGoes: a receipt for enrolling takes no factor away; for that it
// names the factor.
func TestReceiptNamesWhatGoes(t *testing.T) {
	r := strict(t)
	f := r.totp(ann)
	other, err := r.Enroll(t.Context(), mfa.EnrollParams{UserID: ann, SMS: &mfa.SMSParams{PhoneNumber: phone}, ByOperator: true})
	if err != nil {
		t.Fatal(err)
	}
	r.login(enrolled{Factor: other.Factor})
	p := enrollment(ann, "")
	p.Replaces = f.ID
	for name, action := range map[string]proof.Action{
		"to enroll":              proof.ActionOf(mfa.PurposeEnroll),
		"to replace another":     proof.ActionOf(mfa.PurposeEnroll, other.Factor.ID),
		"to take the same away":  proof.ActionOf(mfa.PurposeUnenroll, f.ID),
		"to enroll, with a name": proof.ActionOf(mfa.PurposeEnroll, ""),
	} {
		r.clock.Advance(time.Minute)
		p.Receipt = r.approve(f, action)
		if _, err := r.Enroll(t.Context(), p); !errors.Is(err, mfa.ErrProofRequired) {
			t.Errorf("a receipt %s: %v", name, err)
		}
	}
	r.clock.Advance(time.Minute)
	receipt := r.approve(f, proof.ActionOf(mfa.PurposeEnroll, f.ID))
	if _, err := r.Enroll(t.Context(), enrollment(ann, receipt)); !errors.Is(err, mfa.ErrProofRequired) {
		t.Errorf("a receipt to replace, for one factor more: %v", err)
	}
	p.Receipt = receipt
	if _, err := r.Enroll(t.Context(), p); err != nil {
		t.Error(err)
	}
}

func (r *rig) challengeToConfirm(f enrolled) mfa.Challenge {
	r.t.Helper()
	ch, err := r.Challenge(r.t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: f.UserID, Confirm: true})
	if err != nil {
		r.t.Fatal(err)
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
// user who had all that can end with it, under a keyring of four keys of which each left
// a budget of the number.
func TestLargestSave(t *testing.T) {
	r := newRig(t, func(c *mfa.Config) {
		for i := range 4 {
			c.Methods = append(c.Methods, mfa.Method{Type: mfa.FactorType(fmt.Sprint("toy_", i)), Ceremony: toyCeremony{}})
		}
	})
	keys := make([]string, 4)
	for i := range keys {
		keys[i] = mfa.NewKey()
	}
	largest := 0
	r.store.Store = savesSeen{r.store.Store, func(n int) { largest = max(largest, n) }}
	// Old processes, of one key each, leave a budget of the number each.
	budgets := func(keys ...string) {
		for i, key := range keys {
			r.with(key)
			r.challengeToConfirm(r.enrollSMS(fmt.Sprintf("%s %d", r.clock.Now(), i), phone))
		}
	}
	budgets(keys...)
	r.with(keys...)
	r.clock.Advance(25 * time.Hour) // their messages are forgotten, and the records are not
	f := r.enrollSMS(ann, phone)
	r.recovery(ann)
	r.enrollTOTP(ann)
	if _, err := r.Enroll(t.Context(), mfa.EnrollParams{UserID: ann, GenericOTP: true}); err != nil {
		t.Fatal(err)
	}
	for _, m := range r.cfg.Methods {
		if _, err := r.Enroll(t.Context(), mfa.EnrollParams{UserID: ann, Method: &mfa.MethodParams{Type: m.Type}}); err != nil {
			t.Fatal(err)
		}
	}
	largest = 0
	ch := r.challengeToConfirm(f)
	if largest != 6 { // the challenge, the user, four budgets
		t.Errorf("Challenge saves %d records, want 6", largest)
	}
	code := r.right(f)
	budgets(keys[1:]...) // the first has the budget that Challenge wrote
	r.with(keys...)
	largest = 0
	_, err := r.Verify(t.Context(), mfa.VerifyParams{ChallengeID: ch.ID, UserID: ann, Code: code, TrustDevice: true, DeviceName: "Firefox", NewRecoveryCodes: true})
	if err != nil {
		t.Fatal(err)
	}
	if largest != 16 { // the challenge, the factor, the user, four budgets, seven that end, the device, the new codes
		t.Errorf("Verify saves %d records, want 16", largest)
	}
}

// TestUnenrollDisabled: a factor that wrong codes disabled is taken away by a receipt, as
// any other one: guessing must be no way to get rid of it.
func TestUnenrollDisabled(t *testing.T) {
	r := strict(t)
	f := r.totp(ann)
	r.fail(f, 30)
	p := mfa.FactorParams{FactorID: f.ID, UserID: ann}
	mustBe(t, r.Unenroll(t.Context(), mfa.UnenrollParams{FactorID: p.FactorID, UserID: p.UserID}), mfa.ErrProofRequired)
	if got, err := r.Factor(t.Context(), p); err != nil || got.Status != mfa.StatusDisabled {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestReplacedLeavesTheList: a factor that was replaced is on its user's list no more. It
// does not count among the ten, and is not missed.
func TestReplacedLeavesTheList(t *testing.T) {
	r := newRig(t)
	f := r.totp(ann)
	for range 20 {
		enr, err := r.Enroll(t.Context(), mfa.EnrollParams{
			UserID: ann, TOTP: &mfa.TOTPParams{Issuer: "a", User: "b"}, Replaces: f.ID,
		})
		if err != nil {
			t.Fatal(err)
		}
		f = enrolled{enr.Factor, enr.TOTP.Secret()}
		r.login(f)
		if got := r.factorIDs(ann); !slices.Equal(got, []string{f.ID}) {
			t.Fatalf("factors %v, want %s alone", got, f.ID)
		}
	}
}
