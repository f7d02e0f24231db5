package mfa_test

import (
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfatest"
	"github.com/authfactor/mfa/proof"
)

// TestRecoveryCodes: ten codes, each accepted once, in any order.
func TestRecoveryCodes(t *testing.T) {
	r := newRig(t)
	f, codes := r.Recovery(ann)
	if f.Type != mfa.TypeRecoveryCodes || f.Status != mfa.StatusVerified ||
		f.RecoveryCodesLeft != 10 ||
		len(codes) != 10 {
		t.Fatalf("%+v with %d codes", f.Factor, len(codes))
	}
	form := regexp.MustCompile(`^([0-9A-HJKMNP-TV-Z]{4}-){5}[0-9A-HJKMNP-TV-Z]{4}$`)
	slices.Reverse(codes)
	for i, code := range codes {
		if !form.MatchString(code) {
			t.Errorf("code %d has another form", i)
		}
		v, err := r.Answer(r.Ask(f), f, code)
		if err != nil || v.FirstUse || v.Factor.RecoveryCodesLeft != 9-i || r.Left(f) != 9-i {
			t.Fatalf("code %d: %+v, %v; %d left", i, v, err, r.Left(f))
		}
		_, err = r.Answer(r.Ask(f), f, code)
		mustBe(t, err, mfa.ErrInvalidCode)
		r.Clock.Advance(24 * time.Hour)
	}
}

// TestRecoveryCodeAtOnce: of many calls at once with one code, one is accepted.
func TestRecoveryCodeAtOnce(t *testing.T) {
	r := newRig(t)
	f, codes := r.Recovery(ann)
	challenges := make([]mfa.Challenge, 8)
	for i := range challenges {
		challenges[i] = r.Ask(f)
	}
	errs := all(len(challenges), func(i int) error {
		_, err := r.Answer(challenges[i], f, codes[0])
		return err
	})
	if n := count(errs, nil); n != 1 || r.Left(f) != 9 {
		t.Errorf("%d were accepted, %d are left: %v", n, r.Left(f), errs)
	}
}

// TestNewRecoveryCodes: a new set kills the old one in the same commit.
func TestNewRecoveryCodes(t *testing.T) {
	r := newRig(t)
	old, codes := r.Recovery(ann)
	open := r.Ask(old)
	saves := len(r.Store.Calls("Save"))
	r.Took()
	f, _ := r.Recovery(ann)
	if n := len(r.Store.Calls("Save")) - saves; n != 1 {
		t.Errorf("%d commits", n)
	}
	var kinds []mfa.EventKind
	for _, e := range r.Took() {
		kinds = append(kinds, e.Kind)
	}
	if !slices.Equal(kinds, []mfa.EventKind{mfa.EventEnrolled, mfa.EventReplaced}) {
		t.Errorf("events %v", kinds)
	}
	_, err := r.Answer(open, old, codes[0])
	mustBe(t, err, mfa.ErrNotFound)
	_, err = r.Answer(r.Ask(f), f, codes[0])
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
	app := r.TOTP(ann)
	f, codes := r.Recovery(ann)
	r.Fail(app, 30)
	_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: app.ID, UserID: ann})
	mustBe(t, err, mfa.ErrFactorDisabled)
	if _, err := r.Answer(r.Ask(f), f, codes[0]); err != nil {
		t.Errorf("recovery beside a disabled app: %v", err)
	}
	bob, _ := r.Recovery("user_bob")
	ch := r.Ask(bob)
	for i := range 5 {
		_, err := r.Answer(ch, bob, codes[1]) // of somebody else
		if e := refusal(t, err); e.Code != "invalid_one_time_code" || e.RetryAfter > 0 != (i == 4) {
			t.Errorf("try %d: %v", i+1, err)
		}
	}
	if _, err := r.Answer(r.Ask(f), f, codes[1]); err != nil {
		t.Errorf("its owner's: %v", err)
	}
}

// TestRecoveryCodesEnroll: they belong to a user, and a factor that was never confirmed
// does not log in beside them.
func TestRecoveryCodesEnroll(t *testing.T) {
	r := newRig(t)
	_, err := r.Enroll(t.Context(), mfa.EnrollParams{NoOwner: true, RecoveryCodes: true})
	mustBe(t, err, mfa.ErrInvalidParameter)
	_, err = r.Enroll(t.Context(), mfa.EnrollParams{
		UserID: ann, RecoveryCodes: true, GenericOTP: true,
	})
	mustBe(t, err, mfa.ErrInvalidParameter)
	r.Recovery(ann)
	app := r.EnrollTOTP(ann)
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
	v, err := r.Answer(r.Ask(enrolled{Factor: enr.Factor}), enrolled{Factor: enr.Factor}, code)
	if err != nil {
		t.Fatal(err)
	}
	out := printed(
		enr,
	) + printed(
		enr.RecoveryCodes,
	) + printed(
		*enr.RecoveryCodes,
	) + printed(
		v,
	) + printed(
		r.Took(),
	)
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

// confirming is the answer that confirms a factor and asks for recovery codes.
func (r *rig) confirming(f enrolled) mfa.VerifyParams {
	r.T.Helper()
	ch := r.challengeToConfirm(f)
	return mfa.VerifyParams{
		ChallengeID:      ch.ID,
		UserID:           f.UserID,
		Code:             r.Right(f),
		NewRecoveryCodes: true,
	}
}

// sets are the sets of recovery codes that a user has.
func (r *rig) sets(userID string) []mfa.Factor {
	r.T.Helper()
	factors, err := r.Factors(r.T.Context(), userID)
	if err != nil {
		r.T.Fatal(err)
	}
	return slices.DeleteFunc(
		factors,
		func(f mfa.Factor) bool { return f.Type != mfa.TypeRecoveryCodes },
	)
}

// TestConfirmingMakesRecoveryCodes: the commit that confirms the first factor makes a set
// as well, without a receipt and without a read more. Each of its codes is accepted once.
func TestConfirmingMakesRecoveryCodes(t *testing.T) {
	for _, key := range []string{"", "key"} {
		r := strict(t)
		f := r.EnrollTOTP(ann)
		p := r.confirming(f)
		p.IdempotencyKey, p.TrustDevice = key, true
		r.Took()
		var v mfa.Verification
		var err error
		if calls := r.Calls(
			func() { v, err = r.Verify(t.Context(), p) },
		); calls != "Load Save" ||
			err != nil {
			t.Fatalf("it calls %q: %v", calls, err)
		}
		sets := r.sets(ann)
		if v.RecoveryCodes == nil || len(sets) != 1 || sets[0].Status != mfa.StatusVerified ||
			sets[0].RecoveryCodesLeft != 10 {
			t.Fatalf("%+v, and the sets %v", v.RecoveryCodes, sets)
		}
		events := r.Took()
		if got := kinds(
			events,
		); !slices.Equal(
			got,
			[]mfa.EventKind{mfa.EventVerified, mfa.EventFirstUse, mfa.EventEnrolled, mfa.EventDeviceTrusted},
		) {
			t.Fatalf("events %v", got)
		}
		e := events[2]
		if e.FactorID != sets[0].ID || e.FactorType != mfa.TypeRecoveryCodes || e.UserID != ann ||
			e.ChallengeID != p.ChallengeID ||
			!e.Notify() {
			t.Errorf("%+v", e)
		}
		login, err := r.StartLogin(t.Context(), mfa.LoginParams{
			UserID: ann, DeviceToken: v.Device.Token(),
		})
		if err != nil || !login.SkipCode {
			t.Errorf("the browser that was trusted with it is asked for a code, %v", err)
		}
		set := enrolled{Factor: sets[0]}
		codes := v.RecoveryCodes.Codes()
		slices.Sort(codes)
		if len(slices.Compact(codes)) != 10 {
			t.Errorf("%d codes", len(codes))
		}
		for _, code := range codes {
			if v, err := r.Answer(r.Ask(set), set, code); err != nil || v.RecoveryCodes != nil {
				t.Fatalf("a code: %+v, %v", v.RecoveryCodes, err)
			}
			_, err := r.Answer(r.Ask(set), set, code)
			mustBe(t, err, mfa.ErrInvalidCode)
			r.Clock.Advance(24 * time.Hour)
		}
	}
}

// TestNoNewRecoveryCodes: where nothing is confirmed, or the user has a set, a right code is
// accepted and nothing else changes; a set of which every code was used is one.
func TestNoNewRecoveryCodes(t *testing.T) {
	r := strict(t)
	app := r.EnrollTOTP(ann)
	p := r.confirming(app)
	p.NewRecoveryCodes = false
	if v, err := r.Verify(
		t.Context(),
		p,
	); err != nil || v.RecoveryCodes != nil ||
		len(r.sets(ann)) != 0 {
		t.Errorf("nobody asked for codes: %v, %v", v.RecoveryCodes, r.sets(ann))
	}
	none := func(what string, p mfa.VerifyParams, want int) {
		t.Helper()
		before := r.sets(ann)
		v, err := r.Verify(t.Context(), p)
		if err != nil || !v.Valid || v.RecoveryCodes != nil {
			t.Errorf("%s: %+v, %v", what, v, err)
		}
		if after := r.sets(
			ann,
		); len(after) != want || len(before) != want ||
			want > 0 && after[0].ID != before[0].ID {
			t.Errorf("%s: sets %v, then %v", what, before, after)
		}
		r.Clock.Advance(3 * time.Minute)
	}
	r.Clock.Advance(3 * time.Minute)
	none(
		"a login",
		mfa.VerifyParams{
			ChallengeID:      r.Ask(app).ID,
			UserID:           ann,
			Code:             r.Right(app),
			NewRecoveryCodes: true,
		},
		0,
	)

	set, codes := r.RecoveryWith(ann, r.Approve(app, proof.ActionOf(mfa.PurposeEnroll)))
	r.Clock.Advance(3 * time.Minute)
	second := func() enrolled {
		t.Helper()
		enr, err := r.Enroll(
			t.Context(),
			enrollment(ann, r.Approve(app, proof.ActionOf(mfa.PurposeEnroll))),
		)
		if err != nil {
			t.Fatal(err)
		}
		r.Clock.Advance(3 * time.Minute)
		return enrolled{Factor: enr.Factor, Secret: enr.TOTP.Secret()}
	}
	none("a second factor", r.confirming(second()), 1)
	for _, code := range codes {
		if _, err := r.Answer(r.Ask(set), set, code); err != nil {
			t.Fatal(err)
		}
	}
	none("a set of which no code is left", r.confirming(second()), 1)
	none(
		"a login beside it",
		mfa.VerifyParams{
			ChallengeID:      r.Ask(app).ID,
			UserID:           ann,
			Code:             r.Right(app),
			NewRecoveryCodes: true,
		},
		1,
	)
	v, err := r.Verify(t.Context(), mfa.VerifyParams{
		ChallengeID:      r.Ask(app).ID,
		UserID:           ann,
		Code:             r.Wrong(app),
		NewRecoveryCodes: true,
	})
	mustBe(t, err, mfa.ErrInvalidCode)
	if v.RecoveryCodes != nil {
		t.Error("a wrong code has recovery codes")
	}
}

// TestNewRecoveryCodesOfNobody: without an owner it is refused before anything is compared,
// counted or written.
func TestNewRecoveryCodesOfNobody(t *testing.T) {
	r := newRig(t)
	f := r.EnrollTOTP("")
	p := r.confirming(f)
	saves := len(r.Store.Calls("Save"))
	for range 6 {
		for _, code := range []string{r.Right(f), r.Wrong(f)} {
			p.Code = code
			_, err := r.Verify(t.Context(), p)
			mustBe(t, err, mfa.ErrInvalidParameter)
		}
	}
	if n := len(r.Store.Calls("Save")) - saves; n != 0 {
		t.Errorf("%d commits", n)
	}
	p.Code, p.NewRecoveryCodes = r.Right(f), false
	if v, err := r.Verify(t.Context(), p); err != nil || !v.FirstUse {
		t.Errorf("%+v, %v", v, err)
	}
}

// TestNewRecoveryCodesAgain: the same call has the same codes again, by another process too
// and although one was used, until their set is not the user's any more.
func TestNewRecoveryCodesAgain(t *testing.T) {
	for name, gone := range map[string]func(r *rig, app, set enrolled) error{
		"taken away": func(r *rig, _, set enrolled) error {
			return r.Unenroll(t.Context(), mfa.UnenrollParams{FactorID: set.ID, UserID: mfa.AnyUser})
		},
		"replaced": func(r *rig, _, _ enrolled) error {
			_, err := r.Enroll(t.Context(), mfa.EnrollParams{
				UserID: ann, RecoveryCodes: true, ByOperator: true,
			})
			return err
		},
	} {
		r := strict(t)
		f := r.EnrollTOTP(ann)
		p := r.confirming(f)
		p.IdempotencyKey = "a key that nobody guesses"
		first, err := r.Verify(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		codes := first.RecoveryCodes.Codes()
		bobs := r.confirming(r.EnrollTOTP("user_bob"))
		bobs.IdempotencyKey = p.IdempotencyKey
		if v, err := r.Verify(t.Context(), bobs); err != nil || v.RecoveryCodes.Codes()[0] == codes[0] {
			t.Errorf("two people with one key have one code, %v", err)
		}
		set := enrolled{Factor: r.sets(ann)[0]}
		if _, err := r.Answer(r.Ask(set), set, codes[0]); err != nil {
			t.Fatal(err)
		}
		r.Clock.Advance(30 * time.Second)
		saves := len(r.Store.Calls("Save"))
		again, err := r.Another().Verify(t.Context(), p)
		if err != nil || !again.FirstUse || again.RecoveryCodes == nil ||
			!slices.Equal(again.RecoveryCodes.Codes(), codes) {
			t.Fatalf("again: %+v, %v", again, err)
		}
		other := p
		other.NewRecoveryCodes = false
		if again, err := r.Verify(t.Context(), other); err != nil || again.RecoveryCodes != nil {
			t.Errorf("without asking for them: %+v, %v", again.RecoveryCodes, err)
		}
		if n := len(r.Store.Calls("Save")) - saves; n != 0 || len(r.sets(ann)) != 1 {
			t.Errorf("%d commits, sets %v", n, r.sets(ann))
		}
		if err := gone(r, f, set); err != nil {
			t.Fatal(err)
		}
		if again, err := r.Verify(
			t.Context(),
			p,
		); err != nil || !again.Valid ||
			again.RecoveryCodes != nil {
			t.Errorf("the set was %s: %+v, %v", name, again.RecoveryCodes, err)
		}
		r.Clock.Advance(31 * time.Second)
		_, err = r.Verify(t.Context(), p)
		mustBe(t, err, mfa.ErrChallengePreviouslyVerified)
	}
}

// TestLostRecoveryCodes: without a key a lost answer loses the codes, and a receipt makes
// new ones.
func TestLostRecoveryCodes(t *testing.T) {
	r := strict(t)
	f := r.EnrollTOTP(ann)
	p := r.confirming(f)
	v, err := r.Verify(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	lost := enrolled{Factor: r.sets(ann)[0]}
	_, err = r.Verify(t.Context(), p)
	mustBe(t, err, mfa.ErrChallengePreviouslyVerified)
	r.Clock.Advance(time.Minute)
	set, codes := r.RecoveryWith(ann, r.Approve(f, proof.ActionOf(mfa.PurposeEnroll)))
	_, err = r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: lost.ID, UserID: ann})
	mustBe(t, err, mfa.ErrNotFound)
	_, err = r.Answer(r.Ask(set), set, v.RecoveryCodes.Codes()[0])
	mustBe(t, err, mfa.ErrInvalidCode)
	if _, err := r.Answer(r.Ask(set), set, codes[0]); err != nil {
		t.Error(err)
	}
}

// TestNewRecoveryCodesAtOnce: however many calls confirm one factor, there is one set, and
// whoever is told codes is told those of that set.
func TestNewRecoveryCodesAtOnce(t *testing.T) {
	for _, oneKey := range []bool{true, false} {
		r := newRig(t)
		p := r.confirming(r.EnrollTOTP(ann))
		told := make([]mfa.Verification, 6)
		errs := all(len(told), func(i int) (err error) {
			mine := p
			mine.IdempotencyKey = "key"
			if !oneKey {
				mine.IdempotencyKey = string(rune('a' + i))
			}
			told[i], err = r.Verify(t.Context(), mine)
			return err
		})
		want := 1
		if oneKey {
			want = len(told)
		}
		if n := count(errs, nil); n != want || len(r.sets(ann)) != 1 {
			t.Fatalf("%d were told, want %d: %v; sets %v", n, want, errs, r.sets(ann))
		}
		set := enrolled{Factor: r.sets(ann)[0]}
		used := 0
		for i, v := range told {
			if errs[i] != nil {
				continue
			}
			if _, err := r.Answer(r.Ask(set), set, v.RecoveryCodes.Codes()[used]); err != nil {
				t.Errorf("code %d of answer %d: %v", used, i, err)
			}
			used++
		}
	}
}

// TestNewRecoveryCodesLostRace: codes that were made for a commit which lost its race are
// told to nobody, and neither are those of a commit that failed.
func TestNewRecoveryCodesLostRace(t *testing.T) {
	r := newRig(t)
	p := r.confirming(r.EnrollTOTP(ann))
	done := false
	r.Store.Before = func(ctx context.Context, c mfatest.Call) error {
		if c.Method == "Save" && !done {
			done = true
			_, err := r.Another().Enroll(ctx, mfa.EnrollParams{
				UserID: ann, SMS: &mfa.SMSParams{PhoneNumber: phone},
			})
			return err
		}
		return nil
	}
	v, err := r.Verify(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	r.Store.Before = nil
	if sets := r.sets(ann); len(sets) != 1 {
		t.Fatalf("sets %v", sets)
	}
	set := enrolled{Factor: r.sets(ann)[0]}
	if _, err := r.Answer(r.Ask(set), set, v.RecoveryCodes.Codes()[0]); err != nil {
		t.Error(err)
	}

	p = r.confirming(r.EnrollTOTP("user_bob"))
	failed := errors.New("no disk")
	r.Store.Before = func(_ context.Context, c mfatest.Call) error {
		if c.Method == "Save" {
			return failed
		}
		return nil
	}
	v, err = r.Verify(t.Context(), p)
	mustBe(t, err, failed)
	if v.RecoveryCodes != nil || len(r.sets("user_bob")) != 0 {
		t.Errorf("codes of a commit that failed: %v, %v", v.RecoveryCodes, r.sets("user_bob"))
	}
}

// TestNewRecoveryCodesAtTheCap: whoever has ten factors has no set made, and the code is
// accepted all the same. A factor that lapsed counts no more.
func TestNewRecoveryCodesAtTheCap(t *testing.T) {
	const none, enrolled, lapsed = 0, time.Hour, 24 * time.Hour
	for _, tt := range []struct {
		confirmed int
		number    time.Duration // that was enrolled so long ago
		want      int           // sets
	}{{9, none, 0}, {8, none, 1}, {8, enrolled, 0}, {8, lapsed, 1}} {
		r := newRig(t)
		for range tt.confirmed {
			r.TOTP(ann)
		}
		if tt.number > 0 {
			r.EnrollSMS(ann, phone)
			r.Clock.Advance(time.Minute)
		}
		f := r.EnrollTOTP(ann)
		r.Clock.Advance(max(0, tt.number-time.Minute))
		v, err := r.Verify(t.Context(), r.confirming(f))
		if err != nil || !v.FirstUse || v.RecoveryCodes != nil != (tt.want == 1) ||
			len(r.sets(ann)) != tt.want {
			t.Errorf("%+v: %+v, %v; sets %v", tt, v, err, r.sets(ann))
		}
	}
}

// TestNewRecoveryCodesEndOthers: a set of before the first confirmation ends with it, and
// so stands in no new one's way.
func TestNewRecoveryCodesEndOthers(t *testing.T) {
	r := strict(t)
	planted, known := r.Recovery(ann)
	open := r.Ask(planted)
	p := r.confirming(r.EnrollTOTP(ann))
	r.Took()
	v, err := r.Verify(t.Context(), p)
	if err != nil || v.RecoveryCodes == nil {
		t.Fatalf("%+v, %v", v.RecoveryCodes, err)
	}
	events := r.Took()
	if got := kinds(events); !slices.Equal(got, []mfa.EventKind{
		mfa.EventVerified, mfa.EventFirstUse, mfa.EventReplaced, mfa.EventEnrolled,
	}) || events[2].FactorID != planted.ID {
		t.Errorf("events %+v", events)
	}
	_, err = r.Answer(open, planted, known[0])
	mustBe(t, err, mfa.ErrNotFound)
	sets := r.sets(ann)
	if len(sets) != 1 || sets[0].ID == planted.ID {
		t.Fatalf("sets %v", sets)
	}
	set := enrolled{Factor: sets[0]}
	_, err = r.Answer(r.Ask(set), set, known[0])
	mustBe(t, err, mfa.ErrInvalidCode)
	if _, err := r.Answer(r.Ask(set), set, v.RecoveryCodes.Codes()[0]); err != nil {
		t.Error(err)
	}
}

// TestNewRecoveryCodesDoNotPrint: they are in no fmt verb, log or JSON of the answer.
func TestNewRecoveryCodesDoNotPrint(t *testing.T) {
	r := newRig(t)
	p := r.confirming(r.EnrollTOTP(ann))
	p.IdempotencyKey = "key"
	v, err := r.Verify(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	again, err := r.Verify(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	out := printed(v) + printed(again) + printed(r.Took())
	for _, code := range v.RecoveryCodes.Codes() {
		for _, secret := range append(spellings(code), strings.ReplaceAll(code, "-", "")) {
			if strings.Contains(out, secret) {
				t.Error("a code is printed")
			}
		}
	}
	text, err := json.Marshal(v)
	if err != nil || strings.Contains(strings.ToLower(string(text)), "recovery") {
		t.Errorf("%s, %v", text, err)
	}
}

// TestAMR: what a code proved, after RFC 8176; nothing where none was right.
func TestAMR(t *testing.T) {
	for factorType, want := range map[mfa.FactorType][]string{
		mfa.TypeTOTP: {"otp"}, mfa.TypeSMS: {"otp", "sms"}, mfa.TypeGenericOTP: {"otp"},
		mfa.TypeRecoveryCodes: {"otp"},
	} {
		g := newGuesser(t, factorType, mfa.Policy{}, 0)
		ch := g.Ask(g.F)
		v, err := g.Answer(ch, g.F, "no code")
		if err == nil || v.AMR() != nil {
			t.Errorf("%s, a wrong code: %q, %v", factorType, v.AMR(), err)
		}
		code := ch.Code()
		switch factorType {
		case mfa.TypeTOTP, mfa.TypeSMS:
			code = g.Right(g.F)
		case mfa.TypeRecoveryCodes:
			code = g.Codes[0]
		default:
		}
		v, err = g.Answer(ch, g.F, code)
		if err != nil || !slices.Equal(v.AMR(), want) {
			t.Errorf("%s: %q, %v; want %q", factorType, v.AMR(), err, want)
			continue
		}
		v.AMR()[0] = "changed"
		if !slices.Equal(v.AMR(), want) {
			t.Errorf("%s: a caller can change it: %q", factorType, v.AMR())
		}
	}
	if got := (mfa.Verification{}).AMR(); got != nil {
		t.Errorf("the zero Verification has %q", got)
	}
}
