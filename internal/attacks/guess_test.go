package attacks_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/internal/testrig"
	"github.com/authfactor/mfa/mfatest"
)

// The tests of this file show that wrong codes cost what docs/design.md says, by
// whatever way they come.

// TestBackoff: four wrong codes are free, from the fifth on each begins a wait; a
// try during a wait is not compared, not counted and does not lengthen it.
func TestBackoff(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	want := []time.Duration{
		0, 0, 0, 0, 30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute,
		8 * time.Minute, 16 * time.Minute, 32 * time.Minute, time.Hour, time.Hour, time.Hour,
	}
	ch := r.Ask(f)
	for i, wait := range want {
		if i%5 == 0 && i > 0 {
			ch = r.Ask(f)
		}
		_, err := r.Answer(ch, f, r.Wrong(f))
		if errors.Is(err, mfa.ErrChallengeExpired) {
			ch = r.Ask(f)
			_, err = r.Answer(ch, f, r.Wrong(f))
		}
		mustBe(t, err, mfa.ErrInvalidCode)
		e := refusal(t, err)
		if e.RetryAfter != wait {
			t.Fatalf("wrong code %d: wait %s, want %s", i+1, e.RetryAfter, wait)
		}
		if wait >= 10*time.Minute && e.AttemptsLeft != 0 {
			t.Fatalf(
				"wrong code %d: %d attempts left of a challenge that expires in the wait of %s",
				i+1,
				e.AttemptsLeft,
				wait,
			)
		}
		if wait == 0 {
			continue
		}
		r.Clock.Advance(wait - time.Millisecond)
		_, err = r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
		mustBe(t, err, mfa.ErrThrottled)
		if got := refusal(t, err).RetryAfter; got != time.Millisecond {
			t.Fatalf("after wrong code %d the wait is still %s, want 1ms", i+1, got)
		}
		r.Clock.Advance(time.Millisecond)
	}
}

// TestWaitIsNotCompared: during a wait even the right code is refused, uncounted.
func TestWaitIsNotCompared(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	open := r.Ask(f)
	r.Fail(f, 5)
	before := r.Record("factor")
	for range 10 {
		_, err := r.Answer(open, f, r.Right(f))
		mustBe(t, err, mfa.ErrThrottled)
		if e := refusal(t, err); e.RetryAfter != 30*time.Second || e.AttemptsLeft != -1 {
			t.Fatalf("%+v, want a wait of 30s and unknown attempts", e)
		}
	}
	if r.Record("factor").Version != before.Version {
		t.Error("a try during a wait was written")
	}
	r.Clock.Advance(30 * time.Second)
	if _, err := r.Answer(open, f, r.Right(f)); err != nil {
		t.Errorf("after the wait: %v", err)
	}
}

// TestAttempts: the fifth wrong code is answered as wrong with none left, the sixth
// call is refused whatever its code is.
func TestAttempts(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	ch := r.Ask(f)
	for left := 4; left >= 0; left-- {
		v, err := r.Answer(ch, f, r.Wrong(f))
		mustBe(t, err, mfa.ErrInvalidCode)
		if e := refusal(t, err); e.AttemptsLeft != left {
			t.Fatalf("%d attempts left, want %d", e.AttemptsLeft, left)
		}
		if v.Valid || v.Challenge != ch {
			t.Fatalf("with ErrInvalidCode: %+v, want the challenge and not valid", v)
		}
	}
	r.Clock.Advance(time.Minute)
	v, err := r.Answer(ch, f, r.Right(f))
	mustBe(t, err, mfa.ErrTooManyAttempts)
	if e := refusal(t, err); e.AttemptsLeft != 0 || e.Code != "one_time_code_too_many_attempts" {
		t.Errorf("%+v", e)
	}
	if v != (mfa.Verification{}) {
		t.Errorf("a refusal came with %+v", v)
	}
}

// TestDisabled: the thirtieth wrong code in a row disables the factor; no time helps,
// Unlock does (NIST SP 800-63B-4 section 3.2.2).
func TestDisabled(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	r.Fail(f, 29)
	ch := r.AskPatiently(f)
	r.Took()
	_, err := r.Answer(ch, f, r.Wrong(f))
	mustBe(t, err, mfa.ErrInvalidCode)
	if e := refusal(t, err); e.AttemptsLeft != 0 || e.RetryAfter != 0 {
		t.Errorf("%d attempts left of a disabled factor, after %s", e.AttemptsLeft, e.RetryAfter)
	}
	events := r.Took()
	if n := len(events); n != 2 || events[1].Kind != mfa.EventDisabled || events[0].Failures != 30 {
		t.Errorf("events %+v, want failed with 30 failures and disabled", events)
	}
	got, err := r.Factor(t.Context(), mfa.FactorParams{FactorID: f.ID, UserID: ann})
	if err != nil || got.Status != mfa.StatusDisabled || !got.UpdatedAt.Equal(r.Clock.Now()) {
		t.Errorf("factor %v updated %s, %v; want disabled now", got, got.UpdatedAt, err)
	}
	_, err = r.Answer(ch, f, r.Right(f))
	mustBe(t, err, mfa.ErrFactorDisabled)
	r.Clock.Advance(10 * 365 * 24 * time.Hour)
	_, err = r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
	mustBe(t, err, mfa.ErrFactorDisabled)

	if err := r.Unlock(t.Context(), mfa.FactorParams{FactorID: f.ID, UserID: ann}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Answer(r.Ask(f), f, r.Right(f)); err != nil {
		t.Errorf("after Unlock: %v", err)
	}
}

// TestDisabledUnverified: a factor that was never confirmed is not called disabled,
// so that "disabled" says: this person has a second factor.
func TestDisabledUnverified(t *testing.T) {
	r := newRig(t, func(c *mfa.Config) { c.Policy.MaxFailures = 3 })
	f := r.EnrollTOTP(ann)
	r.Fail(f, 3)
	_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
	mustBe(t, err, mfa.ErrFactorDisabled)
	factors, err := r.Factors(t.Context(), ann)
	if err != nil || len(factors) != 1 || factors[0].Status != mfa.StatusUnverified {
		t.Errorf("%v, %v; want it unverified", factors, err)
	}
	r.LogIn(r.EnrollTOTP(ann)) // enrolling anew helps
}

// TestUnlockKeepsUsedCodes: an operator's Unlock makes no used code valid again.
func TestUnlockKeepsUsedCodes(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	code := r.Right(f)
	if _, err := r.Answer(r.Ask(f), f, code); err != nil {
		t.Fatal(err)
	}
	if err := r.Unlock(t.Context(), mfa.FactorParams{FactorID: f.ID, UserID: ann}); err != nil {
		t.Fatal(err)
	}
	_, err := r.Answer(r.Ask(f), f, code)
	mustBe(t, err, mfa.ErrInvalidCode)
}

// TestChallengeDeadAfterLock: a challenge from before the factor was disabled is
// dead as well.
func TestChallengeDeadAfterLock(t *testing.T) {
	r := newRig(t, func(c *mfa.Config) { c.Policy.MaxFailures = 3 })
	f := r.TOTP(ann)
	open := r.Ask(f)
	r.Fail(f, 3)
	_, err := r.Answer(open, f, r.Right(f))
	mustBe(t, err, mfa.ErrFactorDisabled)
}

// TestRechallengeKeepsFailures: a new challenge is not a new budget (NIST
// SP 800-63B-4 section 3.1.3.2).
func TestRechallengeKeepsFailures(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	for i := 1; i <= 5; i++ {
		_, err := r.Answer(r.Ask(f), f, r.Wrong(f))
		mustBe(t, err, mfa.ErrInvalidCode)
		if waits := refusal(t, err).RetryAfter > 0; waits != (i == 5) {
			t.Fatalf("wrong code %d on a challenge of its own: waits %t", i, waits)
		}
	}
	_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
	mustBe(t, err, mfa.ErrThrottled)
}

func TestParallelChallengesShareBudget(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	challenges := make([]mfa.Challenge, 50)
	for i := range challenges {
		challenges[i] = r.Ask(f)
	}
	services := []*mfa.Service{r.Service, r.Another()}
	code := r.Wrong(f)
	errs := all(200, func(i int) error {
		_, err := services[i%2].Verify(t.Context(), mfa.VerifyParams{
			ChallengeID: challenges[i%50].ID, UserID: ann, Code: code,
		})
		return err
	})
	if n := count(errs, mfa.ErrInvalidCode); n > 5 || n == 0 {
		t.Errorf("%d of 200 wrong codes were answered, want 1 to 5", n)
	}
	if n := count(errs, mfa.ErrInvalidCode) + count(errs, mfa.ErrThrottled); n != 200 {
		t.Errorf("%d calls were answered or throttled, want all 200: %v", n, errs)
	}
}

func TestBurstCannotExceedBudget(t *testing.T) {
	r := newRig(t)
	for _, f := range []enrolled{
		r.TOTP(ann), r.Phone(ann, phone), r.EnrollSMS("user_bob", "+15005550007"),
	} {
		ch := r.Ask(f)
		code := r.Wrong(f)
		r.Took()
		errs := all(200, func(int) error { _, err := r.Answer(ch, f, code); return err })
		answered := count(errs, mfa.ErrInvalidCode)
		if answered > 5 || answered == 0 {
			t.Errorf("%s: %d of 200 wrong codes were answered, want 1 to 5", f.Type, answered)
		}
		counted := 0
		for _, e := range r.Took() {
			if e.Kind == mfa.EventFailed {
				counted++
			}
		}
		if counted != answered {
			t.Errorf("%s: %d wrong codes were answered and %d counted", f.Type, answered, counted)
		}
	}
}

// TestRightCodeInBurst: with a right code among 200 wrong ones nothing is told twice.
func TestRightCodeInBurst(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	ch := r.Ask(f)
	right, wrong := r.Right(f), r.Wrong(f)
	errs := all(200, func(i int) error {
		code := wrong
		if i%40 == 7 {
			code = right
		}
		_, err := r.Answer(ch, f, code)
		return err
	})
	if n := count(errs, nil); n > 1 {
		t.Errorf("%d successes", n)
	}
	if n := count(errs, mfa.ErrInvalidCode); n > 5 {
		t.Errorf("%d wrong codes were answered", n)
	}
}

// TestLostRaces: who loses eight races is told to come back in a second, the same
// for a right and a wrong code. Between them there are pauses that grow, and none of two
// callers has the same.
func TestLostRaces(t *testing.T) { synctest.Test(t, lostRaces) }

func lostRaces(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	ch := r.Ask(f)
	var lost []time.Time
	r.Store.Before = func(_ context.Context, c mfatest.Call) error {
		if c.Method == "Save" {
			lost = append(lost, time.Now())
			return fmt.Errorf("somebody was quicker: %w", mfa.ErrConflict)
		}
		return nil
	}
	calls := len(r.Store.Calls())
	var told [2]mfa.Error
	var took [2]time.Duration
	for i, code := range []string{r.Right(f), r.Wrong(f)} {
		lost = nil
		v, err := r.Answer(ch, f, code)
		for n := 1; n < len(lost); n++ {
			if pause, longest := lost[n].Sub(lost[n-1]), 4*time.Millisecond<<(n-1); pause >= longest {
				t.Errorf("pause %d was %s, want less than %s", n, pause, longest)
			}
		}
		took[i] = lost[len(lost)-1].Sub(lost[0])
		if !time.Now().Equal(lost[len(lost)-1]) {
			t.Error("there was a pause after the last race")
		}
		mustBe(t, err, mfa.ErrThrottled)
		told[i] = *refusal(t, err)
		if v != (mfa.Verification{}) {
			t.Errorf("a lost race came with %+v", v)
		}
	}
	// Seven pauses that do not grow are less than 28ms. Either is a chance of 1e-8.
	if took[0] == took[1] || max(took[0], took[1]) < 28*time.Millisecond {
		t.Errorf("pauses of %s and %s in all", took[0], took[1])
	}
	if told[0] != told[1] || told[0].RetryAfter != time.Second || told[0].ID != ch.ID {
		t.Errorf("right code: %+v, wrong code: %+v; want the same, 1s", told[0], told[1])
	}
	if n := len(r.Store.Calls()) - calls; n != 2*8*2 {
		t.Errorf("%d store calls, want 8 times a read and a write for each", n)
	}
}

// TestHangUpInAPause: a caller who hangs up after a lost race is told so at once, and
// nothing else.
func TestHangUpInAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		f := r.TOTP(ann)
		ch := r.Ask(f)
		ctx, hangUp := context.WithCancel(t.Context())
		loads := 0
		r.Store.Before = func(_ context.Context, c mfatest.Call) error {
			if c.Method != "Save" {
				loads++
				return nil
			}
			hangUp()
			return mfa.ErrConflict
		}
		r.Took()
		for _, code := range []string{r.Right(f), r.Wrong(f)} {
			begin := time.Now()
			v, err := r.Verify(ctx, mfa.VerifyParams{ChallengeID: ch.ID, UserID: ann, Code: code})
			if loads == 0 || !errors.Is(err, context.Canceled) || v != (mfa.Verification{}) ||
				!time.Now().Equal(begin) {
				t.Errorf("after %s: %+v, %v", time.Since(begin), v, err)
			}
		}
		if events := r.Took(); len(events) > 0 {
			t.Errorf("events %+v", events)
		}
	})
}

func TestDefaultsThrottle(t *testing.T) {
	var clock mfatest.Clock
	svc, err := mfa.New(mfa.Config{Now: clock.Now, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	enr, err := svc.Enroll(t.Context(), mfa.EnrollParams{
		NoOwner: true, TOTP: &mfa.TOTPParams{Issuer: "Foo Corp", User: "alan"},
	})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{&testrig.Rig{T: t, Clock: &clock, Service: svc}}
	r.Fail(enrolled{Factor: enr.Factor, Secret: enr.TOTP.Secret()}, 5)
	_, err = svc.Challenge(t.Context(), mfa.ChallengeParams{FactorID: enr.Factor.ID})
	mustBe(t, err, mfa.ErrThrottled)
}

// TestEveryEntryPointCounts: login, confirmation and a login by an operator's tool
// (AnyUser) share one count, which another process sees.
func TestEveryEntryPointCounts(t *testing.T) {
	r := newRig(t)
	f := r.EnrollTOTP(ann)
	other := r.Another()
	ways := []func(mfa.Challenge) error{
		func(ch mfa.Challenge) error { _, err := r.Answer(ch, f, r.Wrong(f)); return err },
		func(ch mfa.Challenge) error {
			_, err := other.Verify(t.Context(), mfa.VerifyParams{
				ChallengeID: ch.ID, UserID: mfa.AnyUser, Code: r.Wrong(f),
			})
			return err
		},
	}
	for i := 1; i <= 5; i++ {
		ch, err := r.Challenge(t.Context(), mfa.ChallengeParams{
			FactorID: f.ID, UserID: ann, Confirm: i%2 == 0,
		})
		if err != nil {
			t.Fatal(err)
		}
		err = ways[i%2](ch)
		mustBe(t, err, mfa.ErrInvalidCode)
		if events := r.Took(); events[len(events)-1].Failures != i {
			t.Fatalf("wrong code %d was counted as number %d", i, events[len(events)-1].Failures)
		}
	}
	_, err := other.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: mfa.AnyUser})
	mustBe(t, err, mfa.ErrThrottled)
}

func TestRateLimitKeyIsCanonical(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	ch, code := r.Ask(f), r.Wrong(f)
	variants := []string{
		code,
		" " + code,
		code + "\n",
		code[:3] + " " + code[3:],
		code[:3] + "-" + code[3:],
	}
	for i, variant := range variants {
		_, err := r.Answer(ch, f, variant)
		if e := refusal(t, err); e.AttemptsLeft != 4-i {
			t.Fatalf("variant %d left %d attempts, want %d", i, e.AttemptsLeft, 4-i)
		}
	}
}

func TestSuccessDoesNotClearOtherKeys(t *testing.T) {
	r := newRig(t)
	f, other := r.TOTP(ann), r.TOTP("user_bob")
	second := r.TOTP(ann)
	r.Fail(f, 5)
	for _, o := range []enrolled{other, second} {
		if _, err := r.Answer(r.Ask(o), o, r.Right(o)); err != nil {
			t.Fatal(err)
		}
	}
	_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
	mustBe(t, err, mfa.ErrThrottled)
}

// TestSuccessForgetsRow: a success forgets the failures in a row (NIST SP 800-63B-4
// section 3.2.2), and tells how many there were.
func TestSuccessForgetsRow(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	r.Fail(f, 4)
	r.Took()
	if _, err := r.Answer(r.AskPatiently(f), f, r.Right(f)); err != nil {
		t.Fatal(err)
	}
	if e := r.Took()[0]; e.Kind != mfa.EventVerified || e.Failures != 4 {
		t.Errorf("event %+v, want verified after 4 failures", e)
	}
	ch := r.Ask(f)
	for range 4 {
		_, err := r.Answer(ch, f, r.Wrong(f))
		if wait := refusal(t, err).RetryAfter; wait != 0 {
			t.Fatalf("a wait of %s among the first four after a success", wait)
		}
	}
}

func TestUnknownChallengeDoesNotCount(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	ch := r.Ask(f)
	before := r.Records()
	for _, p := range []mfa.VerifyParams{
		{ChallengeID: "auth_challenge_01ARZ3NDEKTSV4RRFFQ69G5FAV", UserID: ann, Code: r.Wrong(f)},
		{ChallengeID: ch.ID, UserID: "user_bob", Code: r.Wrong(f)},
		{ChallengeID: ch.ID, Code: r.Wrong(f)},
		{ChallengeID: f.ID, UserID: ann, Code: r.Wrong(f)},
	} {
		_, err := r.Verify(t.Context(), p)
		mustBe(t, err, mfa.ErrNotFound)
	}
	after := r.Records()
	for i := range before {
		if before[i].Version != after[i].Version {
			t.Errorf("record %s was written", before[i].ID)
		}
	}
}

// TestInterleavedSuccessBudget: whoever logs in every day does not give a guesser a
// fresh budget every day. A bucket of 50 drains one per 14.4 hours; success does
// not empty it, and when it is full the next guess waits, without being disabled.
func TestInterleavedSuccessBudget(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	guesses, failed, first, begin := 0, 0, 0, r.Clock.Now()
	for r.Clock.Now().Sub(begin) < 30*24*time.Hour {
		ch, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
		if err == nil && guesses%4 == 3 { // never a fifth in a row
			_, err = r.Answer(ch, f, r.Right(f))
			if err == nil {
				guesses++ // so that the next is a guess again
				r.Clock.Advance(time.Minute)
				continue
			}
		}
		if err == nil {
			_, err = r.Answer(ch, f, r.Wrong(f))
		}
		switch {
		case errors.Is(err, mfa.ErrInvalidCode):
			guesses++
			failed++
			r.Clock.Advance(time.Minute)
		case errors.Is(err, mfa.ErrThrottled):
			wait := refusal(t, err).RetryAfter
			if wait > 14*time.Hour+24*time.Minute {
				t.Fatalf("a wait of %s", wait)
			}
			if first == 0 {
				first = failed
			}
			r.Clock.Advance(wait)
		default:
			t.Fatal(err)
		}
	}
	if first != 50 || failed != 99 { // the hundredth comes when the 30 days are over
		t.Errorf("%d wrong codes at once and %d in 30 days, want 50 and 99", first, failed)
	}
}

// enrollGeneric enrolls what the application delivers codes by.
func (r *rig) enrollGeneric(userID string) enrolled {
	r.T.Helper()
	enr, err := r.Enroll(r.T.Context(), mfa.EnrollParams{
		UserID: userID, NoOwner: userID == "", GenericOTP: true,
	})
	if err != nil {
		r.T.Fatal(err)
	}
	return enrolled{Factor: enr.Factor}
}

// guessGeneric enrolls anew and guesses, until a guess has to wait, and says how many were
// answered at once.
func (r *rig) guessGeneric(userID string) (answered int, refused error) {
	r.T.Helper()
	for {
		f := r.enrollGeneric(userID)
		ch, err := r.Challenge(r.T.Context(), mfa.ChallengeParams{
			FactorID: f.ID, UserID: userID, Confirm: true,
		})
		for err == nil {
			if _, err = r.Answer(ch, f, wrongFor(ch.Code())); errors.Is(err, mfa.ErrInvalidCode) {
				answered++
				err = nil
			}
		}
		if !errors.Is(err, mfa.ErrTooManyAttempts) || answered > 100 {
			return answered, err
		}
	}
}

// TestEnrolGenericAgain: whoever enrolls what the application delivers codes by, guesses,
// and enrolls again, has one budget: that of the user, which no other factor shares.
func TestEnrolGenericAgain(t *testing.T) {
	r := newRig(t)
	app, number := r.TOTP(ann), r.Phone(ann, phone)
	answered, err := r.guessGeneric(ann)
	if mustBe(
		t,
		err,
		mfa.ErrThrottled,
	); answered != 5 ||
		refusal(t, err).RetryAfter != 30*time.Second {
		t.Errorf("%d wrong codes at once, then %v; want 5 and a wait of 30s", answered, err)
	}
	if answered, _ := r.guessGeneric("user_bob"); answered != 5 {
		t.Errorf("another user has %d", answered)
	}
	r.LogIn(app)
	r.LogIn(number)
	for total := 5; total < 30; total += answered {
		if answered, err = r.guessGeneric(ann); errors.Is(err, mfa.ErrThrottled) {
			r.Clock.Advance(refusal(t, err).RetryAfter)
		}
	}
	_, err = r.guessGeneric(ann)
	mustBe(t, err, mfa.ErrFactorDisabled)
	r.LogIn(app)

	f := r.enrollGeneric(ann)
	if err := r.Unlock(t.Context(), mfa.FactorParams{FactorID: f.ID, UserID: ann}); err != nil {
		t.Fatal(err)
	}
	ch := r.AskPatiently(f)
	_, err = r.Answer(ch, f, wrongFor(ch.Code()))
	mustBe(t, err, mfa.ErrInvalidCode)
	if _, err := r.Answer(ch, f, ch.Code()); err != nil {
		t.Errorf("after Unlock: %v", err)
	}
	for range 2 { // the confirmed one has a count of its own, and the user's row is forgotten
		ch = r.Ask(f)
		for range 2 {
			_, err = r.Answer(ch, f, wrongFor(ch.Code()))
			mustBe(t, err, mfa.ErrInvalidCode)
		}
	}
	if answered, _ := r.guessGeneric(ann); answered != 5 {
		t.Errorf("beside wrong codes for the confirmed one, %d", answered)
	}
}

// TestGenericRoundTrips: counting on the user costs no read and no write more.
func TestGenericRoundTrips(t *testing.T) {
	r := newRig(t)
	f := r.enrollGeneric(ann)
	var ch mfa.Challenge
	for i, calls := range []string{
		r.Calls(func() { ch = r.Ask(f) }),
		r.Calls(func() { _, _ = r.Answer(ch, f, wrongFor(ch.Code())) }),
		r.Calls(func() { _, _ = r.Answer(ch, f, ch.Code()) }),
	} {
		if calls != "Load Save" {
			t.Errorf("%s calls %q", []string{"Challenge", "a wrong code", "a right code"}[i], calls)
		}
	}
}

// TestGenericIsForgiven: the count stays as long as its bucket is not empty, though nothing
// else is left of the user, and is forgotten then.
func TestGenericIsForgiven(t *testing.T) {
	r := newRig(t, func(c *mfa.Config) { c.Policy.MaxFailures = 5 })
	_, err := r.guessGeneric(ann)
	mustBe(t, err, mfa.ErrFactorDisabled)
	r.Clock.Advance(5*drain - time.Minute)
	if _, err := r.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err = r.guessGeneric(ann)
	mustBe(t, err, mfa.ErrFactorDisabled)
	r.Clock.Advance(2 * time.Minute)
	if answered, _ := r.guessGeneric(ann); answered != 5 {
		t.Errorf("once the bucket was empty, %d wrong codes", answered)
	}
}

// TestGenericWithoutOwner: without a user there is none to count on; each enrolment has a
// count of its own.
func TestGenericWithoutOwner(t *testing.T) {
	r := newRig(t)
	f := r.enrollGeneric("")
	for range 5 {
		ch := r.AskPatiently(f)
		_, err := r.Answer(ch, f, wrongFor(ch.Code()))
		mustBe(t, err, mfa.ErrInvalidCode)
	}
	_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID})
	mustBe(t, err, mfa.ErrThrottled)
	r.Ask(r.enrollGeneric(""))
}

// TestOwnerIsTold: of wrong codes that are never five in a row the owner is told when the
// bucket is a third full, and when it is two thirds full, once each until it is empty.
func TestOwnerIsTold(t *testing.T) {
	for _, factorType := range []mfa.FactorType{mfa.TypeGenericOTP, mfa.TypeTOTP} {
		g := newGuesser(t, factorType, mfa.Policy{}, 0)
		g.Took()
		// tries are four wrong codes a day, and a login.
		tries := func(days int) (told []int, guesses int) {
			for day := 1; day <= days; day++ {
				g.Clock.Advance(aDay)
				g.Mine = mfa.Challenge{}
				for range 4 {
					if err := g.Guess(
						g.Clock.Now(),
					); err == nil ||
						!errors.Is(err, mfa.ErrInvalidCode) && !errors.Is(err, mfa.ErrThrottled) {
						t.Fatal(err)
					}
				}
				g.OwnerLogsIn()
				for _, e := range g.Took() {
					if e.Kind == mfa.EventFailed {
						guesses++
					}
					if e.Notify() {
						told = append(told, day)
					}
					if e.Notify() && e.Kind != mfa.EventFailed {
						t.Errorf("%s, day %d: %+v", factorType, day, e)
					}
				}
			}
			return told, guesses
		}
		told, guesses := tries(365)
		// Four come in and 1.67 drain each day: 17 on the seventh, 34 on the fourteenth.
		if !slices.Equal(told, []int{7, 14}) || guesses < 600 {
			t.Errorf(
				"%s: of %d wrong codes in a year the owner was told on the days %v",
				factorType,
				guesses,
				told,
			)
		}
		g.Clock.Advance(20 * aDay) // not empty yet
		if told, _ := tries(14); len(told) > 0 {
			t.Errorf("%s: told again on the days %v, while the bucket was never empty", factorType, told)
		}
		g.Clock.Advance(40 * aDay)
		if told, _ := tries(14); !slices.Equal(told, []int{7, 14}) {
			t.Errorf("%s: once the bucket was empty, told on the days %v", factorType, told)
		}
		if err := g.Unlock(t.Context(), mfa.FactorParams{FactorID: g.F.ID, UserID: ann}); err != nil {
			t.Fatal(err)
		}
		g.Took()
		if told, _ := tries(14); !slices.Equal(told, []int{7, 14}) {
			t.Errorf("%s: after Unlock, told on the days %v", factorType, told)
		}
	}
}

// TestOwnerIsToldAtOnce: of fifty wrong codes at once the 17th and the 34th are told, and
// not that the bucket is full, which begins a wait.
func TestOwnerIsToldAtOnce(t *testing.T) {
	g := newGuesser(t, mfa.TypeGenericOTP, mfa.Policy{}, 0)
	g.Took()
	var told []int
	for n := 1; n <= 50; n++ {
		mustBe(t, g.Guess(g.Clock.Now()), mfa.ErrInvalidCode)
		if e := g.Took(); e[0].Notify() {
			told = append(told, n)
		}
		if n%4 == 0 {
			g.OwnerLogsIn()
			g.Took()
			g.Mine = mfa.Challenge{}
		}
	}
	if !slices.Equal(told, []int{17, 34}) {
		t.Errorf("the owner was told of the wrong codes %v", told)
	}
}

// TestSlowTypos: a person who mistypes once a day is told nothing.
func TestSlowTypos(t *testing.T) {
	g := newGuesser(t, mfa.TypeGenericOTP, mfa.Policy{}, 0)
	g.Took()
	for range 365 {
		g.Clock.Advance(aDay)
		g.Mine = mfa.Challenge{}
		mustBe(t, g.Guess(g.Clock.Now()), mfa.ErrInvalidCode)
		g.OwnerLogsIn()
	}
	for _, e := range g.Took() {
		if e.Notify() {
			t.Errorf("%+v", e)
		}
	}
}

// TestRecoveryCodesAreNeverDisabled: wrong recovery codes begin waits, however many there
// are and whatever the policy, and the right one gets in after them.
func TestRecoveryCodesAreNeverDisabled(t *testing.T) {
	for _, policy := range []mfa.Policy{{}, {MaxFailures: 1}} {
		g := newGuesser(t, mfa.TypeRecoveryCodes, policy, 0)
		if n := g.Attack(30 * aDay); n < 60 {
			t.Errorf("%d wrong codes in 30 days under %+v", n, policy)
		}
		got, err := g.Factor(t.Context(), mfa.FactorParams{FactorID: g.F.ID, UserID: ann})
		if err != nil || got.Status != mfa.StatusVerified {
			t.Errorf("under %+v: %v, %v", policy, got, err)
		}
		g.Mine = mfa.Challenge{}
		mustBe(t, g.Guess(g.Clock.Now()), mfa.ErrInvalidCode)
		if events := kinds(g.Took()); !slices.Equal(events, []mfa.EventKind{mfa.EventFailed}) {
			t.Errorf("under %+v: events %v", policy, events)
		}
		_, err = g.Challenge(t.Context(), mfa.ChallengeParams{FactorID: g.F.ID, UserID: ann})
		if mustBe(t, err, mfa.ErrThrottled); refusal(t, err).RetryAfter > drain {
			t.Errorf("under %+v: %v", policy, err)
		}
		g.OwnerLogsIn()
	}
}

// TestReEnrolKeepsCounters: enrolling another factor changes nothing about a
// confirmed one.
func TestReEnrolKeepsCounters(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	r.Fail(f, 5)
	r.EnrollTOTP(ann)
	_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
	mustBe(t, err, mfa.ErrThrottled)
}

// TestReEnrolKeepsOldUntilConfirm: the confirmed factor logs in while and after a
// second one is enrolled.
func TestReEnrolKeepsOldUntilConfirm(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	second := r.EnrollTOTP(ann)
	if second.ID == f.ID || second.Secret == f.Secret {
		t.Fatal("the enrolment has the id or the secret of the old one")
	}
	r.LogIn(f)
	r.LogIn(second)
	r.LogIn(f)
}

// TestReEnrolIsNotANewBudget: neither messages nor guesses start afresh for a
// number that is enrolled again, by the same user or by another.
func TestReEnrolIsNotANewBudget(t *testing.T) {
	t.Run("sends", func(t *testing.T) {
		r := newRig(t)
		sent, begin := 0, r.Clock.Now()
		for i := 0; r.Clock.Now().Sub(begin) < 24*time.Hour; i++ {
			f := r.EnrollSMS(fmt.Sprintf("user_%d", i%3), phone)
			_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: f.UserID})
			if err == nil {
				sent++
			} else {
				mustBe(t, err, mfa.ErrThrottled)
			}
			r.Clock.Advance(5 * time.Minute)
		}
		if sent != 5 || r.SMS.Sends() != 5 {
			t.Errorf("%d messages in a day to an unverified number, want 5", sent)
		}
	})
	t.Run("guesses", func(t *testing.T) {
		r := newRig(t)
		for i := range 5 {
			f := r.EnrollSMS(fmt.Sprintf("user_%d", i%2), phone)
			_, err := r.Answer(r.AskPatiently(f), f, r.Wrong(f))
			mustBe(t, err, mfa.ErrInvalidCode)
			if got := refusal(t, err).RetryAfter; (got > 0) != (i == 4) {
				t.Fatalf("wrong code %d, on an enrolment of its own: wait %s", i+1, got)
			}
		}
		f := r.EnrollSMS(ann, phone)
		_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
		mustBe(t, err, mfa.ErrThrottled)
	})
}

// TestNumberIsForgiven: a stranger who guesses at a number cannot keep its owner
// from enrolling it for ever: the failures are forgotten once the bucket has
// drained, and Unlock does it at once.
func TestNumberIsForgiven(t *testing.T) {
	guessed := func(t *testing.T) (*rig, enrolled) {
		t.Helper()
		r := newRig(t, func(c *mfa.Config) { c.Policy.MaxFailures = 5 })
		stranger := r.EnrollSMS("user_mallory", phone)
		r.Fail(stranger, 5)
		f := r.EnrollSMS(ann, phone)
		_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
		mustBe(t, err, mfa.ErrFactorDisabled)
		return r, f
	}
	t.Run("by time", func(t *testing.T) {
		r, _ := guessed(t)
		r.Clock.Advance(5*(14*time.Hour+24*time.Minute) - time.Minute)
		if _, err := r.Purge(t.Context()); err != nil {
			t.Fatal(err)
		}
		f := r.EnrollSMS(ann, phone)
		_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
		mustBe(t, err, mfa.ErrFactorDisabled)
		r.Clock.Advance(2 * time.Minute)
		r.LogIn(r.EnrollSMS(ann, phone))
	})
	t.Run("by Unlock", func(t *testing.T) {
		r, f := guessed(t)
		if err := r.Unlock(t.Context(), mfa.FactorParams{FactorID: f.ID, UserID: ann}); err != nil {
			t.Fatal(err)
		}
		r.Clock.Advance(time.Minute)
		r.LogIn(f)
	})
}

// TestEventOnFailures: each wrong code that is answered raises one event with the
// count so far.
func TestEventOnFailures(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	ch := r.Ask(f)
	r.Took()
	for range 5 {
		_, _ = r.Answer(ch, f, r.Wrong(f))
	}
	_, _ = r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
	events := r.Took()
	if len(events) != 6 {
		t.Fatalf("%d events, want 5 and one throttled", len(events))
	}
	for i, e := range events[:5] {
		want := mfa.Event{
			Kind:         mfa.EventFailed,
			Time:         r.Clock.Now(),
			FactorID:     f.ID,
			FactorType:   mfa.TypeTOTP,
			FactorStatus: mfa.StatusVerified,
			UserID:       ann,
			ChallengeID:  ch.ID,
			Failures:     i + 1,
		}
		if i == 4 {
			want.RetryAfter = 30 * time.Second
		}
		if e != want {
			t.Errorf("event %d: %+v, want %+v", i, e, want)
		}
	}
	if e := events[5]; e.Kind != mfa.EventThrottled || e.RetryAfter != 30*time.Second {
		t.Errorf("the last event is %+v, want throttled for 30s", e)
	}
}

// TestPolicyBounds: New takes what the bounds allow and nothing beyond, and names
// the number.
func TestPolicyBounds(t *testing.T) {
	for _, tt := range []struct {
		policy mfa.Policy
		ok     bool
	}{
		{mfa.Policy{}, true},
		{mfa.Policy{ChallengeLifetime: time.Minute}, true},
		{mfa.Policy{ChallengeLifetime: time.Minute - 1}, false},
		{mfa.Policy{ChallengeLifetime: 10*time.Minute + 1}, false},
		{mfa.Policy{ChallengeLifetime: -time.Minute}, false},
		{mfa.Policy{MaxAttempts: 1}, true},
		{mfa.Policy{MaxAttempts: 10}, true},
		{mfa.Policy{MaxAttempts: 11}, false},
		{mfa.Policy{MaxAttempts: -1}, false},
		{mfa.Policy{MaxFailures: 33}, true},
		{mfa.Policy{MaxFailures: 34}, false},
		{mfa.Policy{MaxFailures: -1}, false},
		{mfa.Policy{MaxFailures: 100, ExactStep: true}, true},
		{mfa.Policy{MaxFailures: 101, ExactStep: true}, false},
		{mfa.Policy{MessagesPerHour: 1, MessagesPerDay: 1}, true},
		{mfa.Policy{MessagesPerHour: 10, MessagesPerDay: 30}, true},
		{mfa.Policy{MessagesPerHour: 10}, true},
		{mfa.Policy{MessagesPerDay: 2}, true},
		{mfa.Policy{MessagesPerHour: 11, MessagesPerDay: 30}, false},
		{mfa.Policy{MessagesPerHour: -1}, false},
		{mfa.Policy{MessagesPerDay: 31}, false},
		{mfa.Policy{MessagesPerDay: -1}, false},
		{mfa.Policy{MessagesPerHour: 4, MessagesPerDay: 3}, false},
	} {
		_, err := mfa.New(mfa.Config{Policy: tt.policy, Logger: slog.New(slog.DiscardHandler)})
		if (err == nil) != tt.ok || !tt.ok && !errors.Is(err, mfa.ErrConfig) {
			t.Errorf("%+v: %v", tt.policy, err)
		}
	}
}
