package mfa_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfatest"
	"github.com/authfactor/mfa/proof"
)

// strict is a rig that requires proofs, as the zero Config does.
func strict(t *testing.T) *rig {
	t.Helper()
	return newRig(t, func(c *mfa.Config) { c.InsecureSkipProof = false })
}

func enrollment(userID, receipt string) mfa.EnrollParams {
	return mfa.EnrollParams{
		UserID:  userID,
		NoOwner: userID == "",
		TOTP:    &mfa.TOTPParams{Issuer: "Foo Corp", User: "alan"},
		Receipt: receipt,
	}
}

// TestReceipt: a receipt says who approved what, with which factor and when, and is
// checked with the public keys alone.
func TestReceipt(t *testing.T) {
	r := newRig(t)
	for _, f := range []enrolled{r.TOTP(ann), r.Phone(ann, phone)} {
		r.Clock.Advance(time.Hour + 999*time.Millisecond)
		receipt := r.Approve(f, pay)
		keys, err := proof.ParseKeys(r.ProofKeys().String())
		if err != nil {
			t.Fatal(err)
		}
		got, err := proof.Checker{
			Keys: keys,
			Now:  r.Clock.Now,
		}.Check(t.Context(), proof.Claim{
			Receipt: receipt, UserID: ann, Action: pay,
		})
		if err != nil {
			t.Fatal(err)
		}
		at := r.Clock.Now().Truncate(time.Second)
		want := proof.Receipt{
			ChallengeID: got.ChallengeID,
			UserID:      ann,
			FactorID:    f.ID,
			FactorType:  string(f.Type),
			Action:      pay,
			IssuedAt:    at,
			ExpiresAt:   at.Add(5 * time.Minute),
		}
		if got != want || !strings.HasPrefix(got.ChallengeID, "auth_challenge_") {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
}

// TestNoReceipt: a login has none, nor has a code that was not accepted.
func TestNoReceipt(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	v, err := r.Answer(r.Ask(f), f, r.Right(f))
	if err != nil || v.Receipt() != "" {
		t.Errorf("a login has the receipt %q, %v", v.Receipt(), err)
	}
	ch, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann, Action: pay})
	if err != nil {
		t.Fatal(err)
	}
	v, err = r.Verify(t.Context(), mfa.VerifyParams{
		ChallengeID: ch.ID, UserID: ann, Code: r.Wrong(f), Action: pay,
	})
	mustBe(t, err, mfa.ErrInvalidCode)
	if v.Receipt() != "" || (mfa.Verification{}).Receipt() != "" {
		t.Error("what was not approved has a receipt")
	}
}

// TestActionIsBound: a challenge is answered for the action that it was made for, and
// another one is neither compared nor counted nor written.
func TestActionIsBound(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	login := r.Ask(f)
	bound, err := r.Challenge(t.Context(), mfa.ChallengeParams{
		FactorID: f.ID, UserID: ann, Action: pay,
	})
	if err != nil {
		t.Fatal(err)
	}
	saves := len(r.Store.Calls("Save"))
	for _, tt := range []struct {
		ch     mfa.Challenge
		action proof.Action
	}{
		{login, pay},
		{bound, proof.Action{}},
		{bound, proof.ActionOf("pay")},
		{bound, proof.ActionOf("pay", "EUR 500.00", "DE00000000000000000000")},
		{bound, proof.ActionOf("pay ", "EUR 500.00", "DE89370400440532013000")},
	} {
		for _, code := range []string{r.Right(f), r.Wrong(f)} {
			v, err := r.Verify(t.Context(), mfa.VerifyParams{
				ChallengeID: tt.ch.ID, UserID: ann, Code: code, Action: tt.action,
			})
			mustBe(t, err, proof.ErrMismatch)
			if e := refusal(t, err); e.ID != tt.ch.ID || v.Valid || v.Receipt() != "" {
				t.Errorf("%+v: %v, %+v", tt.action, err, v)
			}
		}
	}
	if len(r.Store.Calls("Save")) != saves {
		t.Error("another action was written")
	}
	if _, err := r.Verify(t.Context(), mfa.VerifyParams{
		ChallengeID: bound.ID, UserID: ann, Code: r.Right(f), Action: pay,
	}); err != nil {
		t.Errorf("the action itself: %v", err)
	}
}

// TestActionRefused: what cannot be approved is refused before anything is stored or sent.
func TestActionRefused(t *testing.T) {
	r := strict(t)
	unowned, first := r.TOTP(""), r.EnrollTOTP(ann)
	for name, tt := range map[string]struct {
		factor enrolled
		action proof.Action
		want   error
	}{
		"no purpose":          {first, proof.Action{Hash: pay.Hash}, mfa.ErrInvalidParameter},
		"a long purpose":      {first, proof.ActionOf(strings.Repeat("a", 65)), mfa.ErrInvalidParameter},
		"a purpose of lines":  {first, proof.ActionOf("pay\nmore"), mfa.ErrInvalidParameter},
		"another script":      {first, proof.ActionOf("größer"), mfa.ErrInvalidParameter},
		"a factor of nobody":  {unowned, pay, mfa.ErrInvalidParameter},
		"64 characters: fine": {first, proof.ActionOf(strings.Repeat("a", 64)), nil},
	} {
		stored := len(r.Records())
		_, err := r.Challenge(t.Context(), mfa.ChallengeParams{
			FactorID: tt.factor.ID, UserID: tt.factor.UserID, Action: tt.action,
		})
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
		if tt.want != nil && len(r.Records()) != stored {
			t.Errorf("%s: something was stored", name)
		}
	}
}

// TestRedeem: a receipt is let through once, whoever asks: 50 at once, over two
// processes, and again.
func TestRedeem(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	claim := proof.Claim{Receipt: r.Approve(f, pay), UserID: ann, Action: pay}
	services := []*mfa.Service{r.Service, r.Another()}
	receipts := make([]proof.Receipt, 50)
	errs := all(50, func(i int) (err error) {
		receipts[i], err = services[i%2].Redeem(t.Context(), claim)
		return err
	})
	for i, err := range errs {
		if (err == nil) != (receipts[i].FactorID == f.ID) ||
			err != nil && receipts[i] != (proof.Receipt{}) {
			t.Errorf("%v with %+v", err, receipts[i])
		}
	}
	if n := count(
		errs,
		nil,
	); n != 1 ||
		count(errs, proof.ErrSpent)+count(errs, mfa.ErrThrottled) != 49 {
		t.Errorf("%d were let through: %v", n, errs)
	}
	_, err := r.Redeem(t.Context(), claim)
	mustBe(t, err, proof.ErrSpent)
}

// TestRedeemRefused: a receipt of another user, action or keyring, one that is too old, and
// one whose factor is gone are not let through; and forged ones never reach the store.
func TestRedeemRefused(t *testing.T) {
	r := newRig(t)
	f, bob := r.TOTP(ann), r.TOTP("user_bob")
	receipt, bobs := r.Approve(f, pay), r.Approve(bob, pay)
	r.Config.Keys = newKeys(t)
	r.Config.Store = new(mfa.MemoryStore)
	for name, tt := range map[string]struct {
		claim proof.Claim
		want  error
	}{
		"none":       {proof.Claim{UserID: ann, Action: pay}, proof.ErrInvalid},
		"of another": {proof.Claim{Receipt: bobs, UserID: ann, Action: pay}, proof.ErrMismatch},
		"of any user": {
			proof.Claim{Receipt: receipt, UserID: mfa.AnyUser, Action: pay}, proof.ErrMismatch,
		},
		"of nobody": {proof.Claim{Receipt: receipt, Action: pay}, proof.ErrMismatch},
		"for something else": {
			proof.Claim{Receipt: receipt, UserID: ann, Action: proof.ActionOf("pay", "EUR 5000.00")},
			proof.ErrMismatch,
		},
		"for nothing": {proof.Claim{Receipt: receipt, UserID: ann}, proof.ErrMismatch},
		"truncated": {
			proof.Claim{Receipt: receipt[:len(receipt)-1], UserID: ann, Action: pay},
			proof.ErrInvalid,
		},
	} {
		loads := len(r.Store.Calls())
		_, err := r.Redeem(t.Context(), tt.claim)
		mustBe(t, err, tt.want)
		if len(r.Store.Calls()) != loads {
			t.Errorf("%s: the store was asked", name)
		}
	}
	_, err := r.Another().Redeem(t.Context(), proof.Claim{Receipt: receipt, UserID: ann, Action: pay})
	mustBe(t, err, proof.ErrInvalid) // signed by a key of another keyring

	if err := r.Unenroll(t.Context(), mfa.UnenrollParams{
		FactorID: bob.ID, UserID: "user_bob",
	}); err != nil {
		t.Fatal(err)
	}
	_, err = r.Redeem(t.Context(), proof.Claim{Receipt: bobs, UserID: "user_bob", Action: pay})
	mustBe(t, err, proof.ErrSpent)
	r.Clock.Advance(5 * time.Minute)
	_, err = r.Redeem(t.Context(), proof.Claim{Receipt: receipt, UserID: ann, Action: pay})
	mustBe(t, err, proof.ErrExpired)
}

func newKeys(t *testing.T) *mfa.Keyring {
	t.Helper()
	keys, err := mfa.ParseKeyring(mfa.NewKey())
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// TestRedeemFaults: an error of the store is never a success; after a lost answer the
// receipt may be spent, and nobody is let through twice.
func TestRedeemFaults(t *testing.T) {
	for _, method := range []string{"Load", "Save"} {
		r := newRig(t)
		f := r.TOTP(ann)
		claim := proof.Claim{Receipt: r.Approve(f, pay), UserID: ann, Action: pay}
		broken := errors.New("the database is gone")
		fail := func(_ context.Context, c mfatest.Call) error {
			if c.Method == method {
				return broken
			}
			return nil
		}
		r.Store.After = fail
		receipt, err := r.Redeem(t.Context(), claim)
		mustBe(t, err, broken)
		if receipt != (proof.Receipt{}) {
			t.Errorf("an error came with %+v", receipt)
		}
		r.Store.After = nil
		_, err = r.Redeem(t.Context(), claim)
		if want := map[string]error{"Load": nil, "Save": proof.ErrSpent}[method]; !errors.Is(err, want) {
			t.Errorf("after %s failed: %v, want %v", method, err, want)
		}
	}
}

// TestEnrollWantsProof: a user with a verified factor shows it before they add another
// one, once for each; the first one, an operator and a factor of nobody need none.
func TestEnrollWantsProof(t *testing.T) {
	r := strict(t)
	enroll := proof.ActionOf(mfa.PurposeEnroll)
	f := r.TOTP(ann)
	bob := r.TOTP("user_bob")
	good, other, theirs := r.Approve(f, enroll), "", r.Approve(bob, enroll)
	r.Clock.Advance(time.Minute)
	other = r.Approve(f, proof.ActionOf(mfa.PurposeUnenroll, f.ID))
	stored := len(r.Records())
	for name, tt := range map[string]struct {
		receipt string
		why     error
	}{
		"none": {"", mfa.ErrProofRequired},
		"forged": {
			good[:strings.LastIndex(good, ".")] + theirs[strings.LastIndex(theirs, "."):],
			proof.ErrInvalid,
		},
		"of another":    {theirs, proof.ErrMismatch},
		"for unenroll":  {other, proof.ErrMismatch},
		"any user":      {mfa.AnyUser, proof.ErrInvalid},
		"of a megabyte": {strings.Repeat("a", 1<<20), proof.ErrInvalid},
	} {
		enr, err := r.Enroll(t.Context(), enrollment(ann, tt.receipt))
		mustBe(t, err, mfa.ErrProofRequired)
		mustBe(t, err, tt.why)
		if e := refusal(
			t,
			err,
		); e.Code != "second_factor_required" || enr.TOTP != nil ||
			tt.receipt != "" && strings.Contains(err.Error(), tt.receipt) {
			t.Errorf("%s: %v, %+v", name, err, enr)
		}
	}
	if len(r.Records()) != stored {
		t.Error("what was refused was stored")
	}
	saves := len(r.Store.Calls("Save"))
	enr, err := r.Enroll(t.Context(), enrollment(ann, good))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(r.Store.Calls("Save")) - saves; n != 1 {
		t.Errorf("%d commits", n)
	}
	r.LogIn(enrolled{Factor: enr.Factor, Secret: enr.TOTP.Secret()})
	_, err = r.Enroll(t.Context(), enrollment(ann, good))
	mustBe(t, err, proof.ErrSpent)
	byOperator := enrollment(ann, "")
	byOperator.ByOperator = true
	if _, err := r.Enroll(t.Context(), byOperator); err != nil {
		t.Errorf("the operator: %v", err)
	}
	r.TOTP("")
	if _, err := r.Enroll(t.Context(), enrollment("", "")); err != nil {
		t.Errorf("a factor of nobody: %v", err)
	}
	late := r.Approve(f, enroll)
	r.Clock.Advance(5 * time.Minute)
	_, err = r.Enroll(t.Context(), enrollment(ann, late))
	mustBe(t, err, proof.ErrExpired)
}

// TestProofIsSpentOnce: of many enrolments at once with one receipt one succeeds.
func TestProofIsSpentOnce(t *testing.T) {
	r := strict(t)
	f := r.TOTP(ann)
	receipt := r.Approve(f, proof.ActionOf(mfa.PurposeEnroll))
	errs := all(20, func(int) error {
		_, err := r.Enroll(t.Context(), enrollment(ann, receipt))
		return err
	})
	if n := count(
		errs,
		nil,
	); n != 1 ||
		count(errs, mfa.ErrProofRequired)+count(errs, mfa.ErrThrottled) != 19 {
		t.Errorf("%d succeeded: %v", n, errs)
	}
}

// TestUnenrollWantsProof: a verified factor is taken away with a receipt for that very
// factor, by any factor of the user; an unverified one, and by an operator, without.
func TestUnenrollWantsProof(t *testing.T) {
	r := strict(t)
	f := r.TOTP(ann)
	codes, list := r.RecoveryWith(ann, r.Approve(f, proof.ActionOf(mfa.PurposeEnroll)))
	r.Clock.Advance(time.Minute)
	pending, err := r.Enroll(
		t.Context(),
		enrollment(ann, r.Approve(f, proof.ActionOf(mfa.PurposeEnroll))),
	)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Unenroll(t.Context(), mfa.UnenrollParams{
		FactorID: pending.Factor.ID, UserID: ann,
	}); err != nil {
		t.Errorf("what was never confirmed: %v", err)
	}
	mustBe(
		t,
		r.Unenroll(t.Context(), mfa.UnenrollParams{FactorID: f.ID, UserID: ann}),
		mfa.ErrProofRequired,
	)
	r.Clock.Advance(time.Minute)
	other := r.Approve(f, proof.ActionOf(mfa.PurposeUnenroll, codes.ID))
	mustBe(
		t,
		r.Unenroll(t.Context(), mfa.UnenrollParams{FactorID: f.ID, UserID: ann, Receipt: other}),
		proof.ErrMismatch,
	)
	mustBe(
		t,
		r.Unenroll(t.Context(), mfa.UnenrollParams{FactorID: f.ID, UserID: "user_bob", Receipt: other}),
		mfa.ErrNotFound,
	)

	// The app is lost: a recovery code takes it away.
	away := proof.ActionOf(mfa.PurposeUnenroll, f.ID)
	ch, err := r.Challenge(t.Context(), mfa.ChallengeParams{
		FactorID: codes.ID, UserID: ann, Action: away,
	})
	if err != nil {
		t.Fatal(err)
	}
	v, err := r.Verify(t.Context(), mfa.VerifyParams{
		ChallengeID: ch.ID, UserID: ann, Code: list[0], Action: away,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Unenroll(t.Context(), mfa.UnenrollParams{
		FactorID: f.ID, UserID: ann, Receipt: v.Receipt(),
	}); err != nil {
		t.Fatal(err)
	}
	if err := r.Unlock(t.Context(), mfa.FactorParams{FactorID: codes.ID, UserID: ann}); err != nil {
		t.Errorf("Unlock is the operator's: %v", err)
	}
	if err := r.Unenroll(t.Context(), mfa.UnenrollParams{
		FactorID: codes.ID, UserID: mfa.AnyUser,
	}); err != nil {
		t.Errorf("an operator: %v", err)
	}
}

// TestUnenrollSpendsProof: the receipt that took a factor away is good for nothing more.
func TestUnenrollSpendsProof(t *testing.T) {
	r := strict(t)
	f := r.TOTP(ann)
	codes, _ := r.RecoveryWith(ann, r.Approve(f, proof.ActionOf(mfa.PurposeEnroll)))
	r.Clock.Advance(time.Minute)
	away := proof.ActionOf(mfa.PurposeUnenroll, codes.ID)
	receipt := r.Approve(f, away)
	if err := r.Unenroll(t.Context(), mfa.UnenrollParams{
		FactorID: codes.ID, UserID: ann, Receipt: receipt,
	}); err != nil {
		t.Fatal(err)
	}
	_, err := r.Redeem(t.Context(), proof.Claim{Receipt: receipt, UserID: ann, Action: away})
	mustBe(t, err, proof.ErrSpent)
}

// TestUnenrollItself: the last factor is taken away by its own code.
func TestUnenrollItself(t *testing.T) {
	r := strict(t)
	f := r.TOTP(ann)
	receipt := r.Approve(f, proof.ActionOf(mfa.PurposeUnenroll, f.ID))
	if err := r.Unenroll(t.Context(), mfa.UnenrollParams{
		FactorID: f.ID, UserID: ann, Receipt: receipt,
	}); err != nil {
		t.Fatal(err)
	}
	if factors, err := r.Factors(t.Context(), ann); err != nil || len(factors) != 0 {
		t.Errorf("%v, %v", factors, err)
	}
}

// TestEnrolledBeforehand: what was enrolled while the user had no verified factor, which
// needs no proof, is not confirmed after they have one: neither by a new challenge nor by
// one that was open.
func TestEnrolledBeforehand(t *testing.T) {
	r := strict(t)
	theirs := r.EnrollSMS(ann, phone) // by somebody in a stolen session
	open, err := r.Challenge(t.Context(), mfa.ChallengeParams{
		FactorID: theirs.ID, UserID: ann, Confirm: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	f := r.TOTP(ann)
	_, err = r.Answer(open, theirs, r.Right(theirs))
	mustBe(t, err, mfa.ErrNotFound)
	_, err = r.Challenge(t.Context(), mfa.ChallengeParams{
		FactorID: theirs.ID, UserID: ann, Confirm: true,
	})
	mustBe(t, err, mfa.ErrNotFound)

	enr, err := r.Enroll(t.Context(), mfa.EnrollParams{
		UserID:  ann,
		SMS:     &mfa.SMSParams{PhoneNumber: phone},
		Receipt: r.Approve(f, proof.ActionOf(mfa.PurposeEnroll)),
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Clock.Advance(time.Hour)
	r.LogIn(enrolled{Factor: enr.Factor})
}

// TestFirstFactorApproves: the code that confirms a first factor approves an action too,
// such as the recovery codes right after it; that of a second one approves nothing.
func TestFirstFactorApproves(t *testing.T) {
	r := strict(t)
	enroll := proof.ActionOf(mfa.PurposeEnroll)
	f := r.EnrollTOTP(ann)
	codes, _ := r.RecoveryWith(ann, r.Approve(f, enroll))
	r.Clock.Advance(time.Minute)
	enr, err := r.Enroll(t.Context(), enrollment(ann, r.Approve(f, enroll)))
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.Challenge(t.Context(), mfa.ChallengeParams{
		FactorID: enr.Factor.ID, UserID: ann, Confirm: true, Action: pay,
	})
	mustBe(t, err, mfa.ErrFactorUnverified)
	if codes.Status != mfa.StatusVerified {
		t.Error(codes)
	}
}

// TestInsecureSkipProof: an application that asks for codes by its own means says so.
func TestInsecureSkipProof(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	r.EnrollTOTP(ann)
	r.LogIn(r.EnrollSMS(ann, phone))
	if err := r.Unenroll(t.Context(), mfa.UnenrollParams{FactorID: f.ID, UserID: ann}); err != nil {
		t.Error(err)
	}
}

// TestProofAfterRotation: a receipt is good while its key is in the keyring, first or not.
func TestProofAfterRotation(t *testing.T) {
	r := newRig(t)
	old, next := mfa.NewKey(), mfa.NewKey()
	ring := func(keys ...string) *mfa.Service {
		var err error
		if r.Config.Keys, err = mfa.ParseKeyring(strings.Join(keys, ",")); err != nil {
			t.Fatal(err)
		}
		return r.Another()
	}
	r.Service = ring(old)
	f := r.TOTP(ann)
	claim := proof.Claim{Receipt: r.Approve(f, pay), UserID: ann, Action: pay}
	if keys := ring(old, next).ProofKeys(); len(keys) != 2 || !keys[0].Equal(r.ProofKeys()[0]) {
		t.Errorf("keys %s", keys)
	}
	if _, err := ring(next, old).Redeem(t.Context(), claim); err != nil {
		t.Errorf("with the new key in front: %v", err)
	}
}

// payment is a right answer to a challenge for pay, with an idempotency key.
func (r *rig) payment() mfa.VerifyParams {
	r.T.Helper()
	f := r.TOTP(ann)
	ch, err := r.Challenge(r.T.Context(), mfa.ChallengeParams{
		FactorID: f.ID, UserID: ann, Action: pay,
	})
	if err != nil {
		r.T.Fatal(err)
	}
	return mfa.VerifyParams{
		ChallengeID:    ch.ID,
		UserID:         ann,
		Code:           r.Right(f),
		Action:         pay,
		IdempotencyKey: "a key",
	}
}

// TestRepeatedVerifyReceipt: the same request again has a receipt of the same life, and
// the two are spent as one.
func TestRepeatedVerifyReceipt(t *testing.T) {
	r := newRig(t)
	answer := r.payment()
	first, err := r.Verify(t.Context(), answer)
	if err != nil {
		t.Fatal(err)
	}
	r.Clock.Advance(30 * time.Second)
	again, err := r.Verify(t.Context(), answer)
	if err != nil || again.Receipt() != first.Receipt() || first.Receipt() == "" {
		t.Errorf("%q and %q: %v", first.Receipt(), again.Receipt(), err)
	}
	if _, err := r.Redeem(t.Context(), proof.Claim{
		Receipt: first.Receipt(), UserID: ann, Action: pay,
	}); err != nil {
		t.Fatal(err)
	}
	_, err = r.Redeem(t.Context(), proof.Claim{Receipt: again.Receipt(), UserID: ann, Action: pay})
	mustBe(t, err, proof.ErrSpent)
}

// TestRepeatedVerifyOfAnotherAction: the same request for another action has no receipt.
func TestRepeatedVerifyOfAnotherAction(t *testing.T) {
	r := newRig(t)
	answer := r.payment()
	if _, err := r.Verify(t.Context(), answer); err != nil {
		t.Fatal(err)
	}
	answer.Action = proof.ActionOf("pay", "EUR 5.00")
	v, err := r.Verify(t.Context(), answer)
	mustBe(t, err, proof.ErrMismatch)
	if v.Valid || v.Receipt() != "" {
		t.Errorf("%+v", v)
	}
}

// TestReceiptsDoNotPrint: a receipt is a bearer token.
func TestReceiptsDoNotPrint(t *testing.T) {
	r := strict(t)
	f := r.TOTP(ann)
	ch, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann, Action: pay})
	if err != nil {
		t.Fatal(err)
	}
	v, err := r.Verify(t.Context(), mfa.VerifyParams{
		ChallengeID: ch.ID, UserID: ann, Code: r.Right(f), Action: pay,
	})
	if err != nil {
		t.Fatal(err)
	}
	signature := v.Receipt()[strings.LastIndexByte(v.Receipt(), '.')+1:]
	_, spendErr := r.Redeem(t.Context(), proof.Claim{
		Receipt: v.Receipt(), UserID: "user_bob", Action: pay,
	})
	_, enrollErr := r.Enroll(t.Context(), enrollment(ann, v.Receipt()))
	for name, out := range map[string]string{
		"Verification": printed(v), "*Verification": printed(&v), "error of Redeem": printed(spendErr),
		"error of Enroll": printed(enrollErr), "events": printed(r.Took()),
	} {
		if strings.Contains(out, signature) {
			t.Errorf("%s prints the receipt: %s", name, out)
		}
	}
}

// TestRedeemRoundTrips: one read and one write.
func TestRedeemRoundTrips(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	claim := proof.Claim{Receipt: r.Approve(f, pay), UserID: ann, Action: pay}
	if got := r.Calls(func() {
		if _, err := r.Redeem(t.Context(), claim); err != nil {
			t.Fatal(err)
		}
	}); got != "Load Save" {
		t.Errorf("Redeem calls %q", got)
	}
}

// TestRecoveryCodesFirst: a set of recovery codes that nobody used asks for no proof: its
// answer may have been lost, or the app beside it not be confirmed yet. One that was used does.
func TestRecoveryCodesFirst(t *testing.T) {
	r := strict(t)
	r.Recovery(ann) // and the answer is lost
	r.Recovery(ann)
	r.TOTP(ann)
	_, err := r.Enroll(t.Context(), enrollment(ann, ""))
	mustBe(t, err, mfa.ErrProofRequired)

	alone, _ := r.Enroll(t.Context(), mfa.EnrollParams{UserID: "user_bob", RecoveryCodes: true})
	ch := r.Ask(enrolled{Factor: alone.Factor})
	if _, err := r.Answer(
		ch,
		enrolled{Factor: alone.Factor},
		alone.RecoveryCodes.Codes()[0],
	); err != nil {
		t.Fatal(err)
	}
	_, err = r.Enroll(t.Context(), enrollment("user_bob", ""))
	mustBe(t, err, mfa.ErrProofRequired)
}

// TestProofOfALostRace: what counts is what the commit is based on. A receipt that was
// asked for before the factors were taken away, and is not spent, proves nothing later.
func TestProofOfALostRace(t *testing.T) {
	r := strict(t)
	f := r.TOTP(ann)
	receipt := r.Approve(f, proof.ActionOf(mfa.PurposeEnroll))
	r.Clock.Advance(time.Hour / 30)
	done := false
	r.Store.Before = func(ctx context.Context, c mfatest.Call) error {
		if c.Method == "Save" && !done {
			done = true
			return r.Another().Unenroll(ctx, mfa.UnenrollParams{FactorID: f.ID, UserID: mfa.AnyUser})
		}
		return nil
	}
	enr, err := r.Enroll(t.Context(), enrollment(ann, receipt))
	if err != nil {
		t.Fatal(err)
	}
	r.Store.Before = nil
	r.Clock.Advance(time.Minute)
	phones := r.EnrollSMS(ann, phone)
	r.LogIn(phones)
	_, err = r.Challenge(t.Context(), mfa.ChallengeParams{
		FactorID: enr.Factor.ID, UserID: ann, Confirm: true,
	})
	mustBe(t, err, mfa.ErrNotFound)
}

// TestReceiptOfWhatWasTurnedOff: where somebody deletes the factors after the first read, the
// answer is that of a call a moment later, and not that the receipt is used up.
func TestReceiptOfWhatWasTurnedOff(t *testing.T) {
	for _, c := range []struct {
		name   string
		reads  int // before it reads the receipt's challenge
		action func(enrolled) proof.Action
		call   func(*rig, enrolled, string) error
		want   error
	}{
		{
			"Enroll", 2, func(enrolled) proof.Action { return proof.ActionOf(mfa.PurposeEnroll) },
			func(r *rig, _ enrolled, receipt string) error {
				_, err := r.Enroll(r.T.Context(), enrollment(ann, receipt))
				return err
			}, nil, // nothing is left that a receipt could be required of
		},
		{
			"Unenroll", 1,
			func(f enrolled) proof.Action { return proof.ActionOf(mfa.PurposeUnenroll, f.ID) },
			func(r *rig, f enrolled, receipt string) error {
				return r.Unenroll(r.T.Context(), mfa.UnenrollParams{
					FactorID: f.ID, UserID: ann, Receipt: receipt,
				})
			}, mfa.ErrNotFound,
		},
		{
			"TurnOff", 2, func(enrolled) proof.Action { return proof.ActionOf(mfa.PurposeTurnOff) },
			func(r *rig, _ enrolled, receipt string) error {
				return r.TurnOff(r.T.Context(), mfa.TurnOffParams{UserID: ann, Receipt: receipt})
			}, nil,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := strict(t)
			f := r.TOTP(ann)
			receipt := r.Approve(f, c.action(f))
			last := len(r.Store.Calls()) + c.reads
			r.Store.After = func(ctx context.Context, call mfatest.Call) error {
				if call.N != last {
					return nil
				}
				return r.TurnOff(ctx, mfa.TurnOffParams{UserID: ann, ByOperator: true})
			}
			if err := c.call(r, f, receipt); !errors.Is(err, c.want) || c.want == nil && err != nil {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
}

// TestUnverifiedApprovesLate: an open challenge for an action, of a factor that is not
// confirmed, approves nothing once another one is verified.
func TestUnverifiedApprovesLate(t *testing.T) {
	r := newRig(t)
	f := r.EnrollTOTP(ann)
	ch, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann, Action: pay})
	if err != nil {
		t.Fatal(err)
	}
	r.Recovery(ann)
	_, err = r.Verify(t.Context(), mfa.VerifyParams{
		ChallengeID: ch.ID, UserID: ann, Code: r.Right(f), Action: pay,
	})
	mustBe(t, err, mfa.ErrFactorUnverified)
}
