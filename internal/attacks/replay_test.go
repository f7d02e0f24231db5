package attacks_test

import (
	"encoding/base32"
	"fmt"
	"testing"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfatest"
)

// The tests of this file show that a code is accepted once. Most carry the name of
// a known attack.

var rfcSecret = base32.StdEncoding.WithPadding(
	base32.NoPadding,
).EncodeToString(
	[]byte("12345678901234567890"),
)

// TestVectorsHOTP verifies the codes of RFC 4226 Appendix D: counter n is the time
// step that begins at 30n seconds.
func TestVectorsHOTP(t *testing.T) {
	for n, code := range []string{
		"755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871",
		"520489",
	} {
		verifyVector(t, time.Unix(int64(30*n)+1, 0), code)
	}
}

// TestVectorsTOTP verifies the codes of RFC 6238 Appendix B for SHA-1, which has
// eight digits: six are the last six of them.
func TestVectorsTOTP(t *testing.T) {
	for at, code := range map[int64]string{
		59: "94287082", 1111111109: "07081804", 1111111111: "14050471",
		1234567890: "89005924", 2000000000: "69279037", 20000000000: "65353130",
	} {
		verifyVector(t, time.Unix(at, 0), code[2:])
	}
}

func verifyVector(t *testing.T, at time.Time, code string) {
	t.Helper()
	r := newRig(t, func(c *mfa.Config) { c.Policy.ExactStep = true })
	r.Clock.Set(at)
	enr, err := r.Enroll(t.Context(), mfa.EnrollParams{
		NoOwner: true,
		TOTP:    &mfa.TOTPParams{Issuer: "Foo Corp", User: "alan", Secret: rfcSecret},
	})
	if err != nil {
		t.Fatal(err)
	}
	f := enrolled{Factor: enr.Factor, Secret: enr.TOTP.Secret()}
	if v, err := r.Answer(r.Ask(f), f, code); err != nil || !v.Valid {
		t.Errorf("code %s at %s: %v", code, at.UTC(), err)
	}
}

// TestWindow: the codes of one step before and after are accepted, no others, and
// with ExactStep only the current one (RFC 6238 section 5.2).
func TestWindow(t *testing.T) {
	for _, exact := range []bool{false, true} {
		for steps := -3; steps <= 3; steps++ {
			r := newRig(t, func(c *mfa.Config) { c.Policy.ExactStep = exact })
			f := r.TOTP(ann)
			code := mfatest.Code(f.Secret, r.Clock.Now().Add(time.Duration(steps)*30*time.Second))
			_, err := r.Answer(r.Ask(f), f, code)
			want := steps == 0 || !exact && (steps == -1 || steps == 1)
			if (err == nil) != want {
				t.Errorf("ExactStep %t, a code of %+d steps: %v", exact, steps, err)
			}
		}
	}
}

func TestTOTPReplaySameStep(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	code := r.Right(f)
	ch := r.Ask(f)
	if _, err := r.Answer(ch, f, code); err != nil {
		t.Fatal(err)
	}
	_, err := r.Answer(ch, f, code)
	mustBe(t, err, mfa.ErrChallengePreviouslyVerified)

	r.Took()
	_, err = r.Answer(r.Ask(f), f, code)
	mustBe(t, err, mfa.ErrInvalidCode)
	if e := refusal(t, err); e.AttemptsLeft != 4 {
		t.Errorf("a replay left %d attempts, want 4: it counts as a wrong code", e.AttemptsLeft)
	}
	events := r.Took()
	if len(events) != 2 || events[0].Kind != mfa.EventFailed || events[1].Kind != mfa.EventReplayed {
		t.Errorf("events %+v, want failed and replayed", events)
	}
}

func TestTOTPReplayParallel(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	ch, code := r.Ask(f), r.Right(f)
	errs := all(200, func(int) error { _, err := r.Answer(ch, f, code); return err })
	if n := count(errs, nil); n != 1 {
		t.Errorf("200 parallel right codes gave %d successes, want 1", n)
	}
}

// TestAllPathsShareConsume: one code, two challenges at once, from two processes.
func TestAllPathsShareConsume(t *testing.T) {
	for range 20 {
		r := newRig(t)
		f := r.TOTP(ann)
		code := r.Right(f)
		challenges := []mfa.Challenge{r.Ask(f), r.Ask(f)}
		services := []*mfa.Service{r.Service, r.Another()}
		errs := all(2, func(i int) error {
			_, err := services[i].Verify(t.Context(), mfa.VerifyParams{
				ChallengeID: challenges[i].ID, UserID: ann, Code: code,
			})
			return err
		})
		if count(errs, nil) != 1 || count(errs, mfa.ErrInvalidCode) != 1 {
			t.Fatalf("two challenges with one code: %v, want one success", errs)
		}
	}
}

func TestReplayWithWhitespaceVariants(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	code := r.Right(f)
	if _, err := r.Answer(r.Ask(f), f, code); err != nil {
		t.Fatal(err)
	}
	for _, variant := range []string{
		" " + code, code + " ", code + "\n", "\t" + code, code[:3] + " " + code[3:],
		code[:3] + "-" + code[3:], "\u00a0" + code,
	} {
		ch := r.AskPatiently(f)
		_, err := r.Answer(ch, f, variant)
		mustBe(t, err, mfa.ErrInvalidCode)
	}
}

func TestReplayInNextStepWithinDrift(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	code := r.Right(f)
	if _, err := r.Answer(r.Ask(f), f, code); err != nil {
		t.Fatal(err)
	}
	r.Clock.Advance(30 * time.Second)
	_, err := r.Answer(r.Ask(f), f, code)
	mustBe(t, err, mfa.ErrInvalidCode)
}

func TestReplayAtLastMomentOfWindow(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	r.Clock.Set(r.Clock.Now().Truncate(30 * time.Second))
	code := mfatest.Code(f.Secret, r.Clock.Now().Add(30*time.Second)) // the app is ahead
	if _, err := r.Answer(r.Ask(f), f, code); err != nil {
		t.Fatal(err)
	}
	r.Clock.Advance(90*time.Second - time.Millisecond)
	_, err := r.Answer(r.Ask(f), f, code)
	mustBe(t, err, mfa.ErrInvalidCode)
	if events := r.Took(); events[len(events)-1].Kind != mfa.EventReplayed {
		t.Errorf("the code was outside the window; the test needs it at its last moment")
	}
}

// TestOlderCodeAfterNewer: once a code was accepted, those of the steps before it
// are used up as well.
func TestOlderCodeAfterNewer(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	older := mfatest.Code(f.Secret, r.Clock.Now().Add(-30*time.Second))
	if _, err := r.Answer(r.Ask(f), f, r.Right(f)); err != nil {
		t.Fatal(err)
	}
	_, err := r.Answer(r.Ask(f), f, older)
	mustBe(t, err, mfa.ErrInvalidCode)
	if _, err := r.Answer(
		r.Ask(f),
		f,
		mfatest.Code(f.Secret, r.Clock.Now().Add(30*time.Second)),
	); err != nil {
		t.Errorf("the code of the next step: %v", err)
	}
}

// TestEqualCodesInAdjacentSteps: where two steps of the window have the same code by
// chance, accepting it uses up both.
func TestEqualCodesInAdjacentSteps(t *testing.T) {
	const step, code = 59061240, "963181" // of the RFC's secret; the next step's is the same
	r := newRig(t)
	r.Clock.Set(time.Unix(step*30, 0))
	enr, err := r.Enroll(t.Context(), mfa.EnrollParams{
		UserID: ann,
		TOTP:   &mfa.TOTPParams{Issuer: "Foo Corp", User: "alan", Secret: rfcSecret},
	})
	if err != nil {
		t.Fatal(err)
	}
	f := enrolled{Factor: enr.Factor, Secret: enr.TOTP.Secret()}
	if next := mfatest.Code(
		f.Secret,
		r.Clock.Now().Add(30*time.Second),
	); r.Right(f) != code ||
		next != code {
		t.Fatalf("the codes are %s and %s", r.Right(f), next)
	}
	if _, err := r.Answer(r.Ask(f), f, code); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		r.Clock.Advance(30 * time.Second)
		_, err = r.Answer(r.Ask(f), f, code)
		mustBe(t, err, mfa.ErrInvalidCode)
	}
}

func TestReplayAcrossChallenges(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	first, second, code := r.Ask(f), r.Ask(f), r.Right(f)
	if _, err := r.Answer(first, f, code); err != nil {
		t.Fatal(err)
	}
	_, err := r.Answer(second, f, code)
	mustBe(t, err, mfa.ErrInvalidCode)
}

func TestReplayAcrossInstances(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	code, ch := r.Right(f), r.Ask(f)
	if _, err := r.Another().Verify(t.Context(), mfa.VerifyParams{
		ChallengeID: ch.ID, UserID: ann, Code: code,
	}); err != nil {
		t.Fatal(err)
	}
	_, err := r.Answer(r.Ask(f), f, code)
	mustBe(t, err, mfa.ErrInvalidCode)
}

func TestEnrolCodeCannotLogin(t *testing.T) {
	r := newRig(t)
	f := r.EnrollTOTP(ann)
	code := r.Right(f)
	v, err := r.Answer(r.Ask(f), f, code)
	if err != nil || !v.FirstUse {
		t.Fatalf("confirming: %+v, %v", v, err)
	}
	_, err = r.Answer(r.Ask(f), f, code)
	mustBe(t, err, mfa.ErrInvalidCode)
}

func TestSMSConsumeRace(t *testing.T) {
	r := newRig(t)
	f := r.Phone(ann, phone)
	ch := r.Ask(f)
	code := r.Right(f)
	errs := all(200, func(int) error { _, err := r.Answer(ch, f, code); return err })
	if n := count(errs, nil); n != 1 {
		t.Errorf("200 parallel right codes gave %d successes, want 1", n)
	}
}

// TestConfirmRace: two confirmations at once give one success and one FirstUse.
func TestConfirmRace(t *testing.T) {
	r := newRig(t)
	f := r.EnrollTOTP(ann)
	ch, code := r.Ask(f), r.Right(f)
	r.Took()
	errs := all(50, func(int) error { _, err := r.Answer(ch, f, code); return err })
	first := 0
	for _, e := range r.Took() {
		if e.Kind == mfa.EventFirstUse {
			first++
		}
	}
	if count(errs, nil) != 1 || first != 1 {
		t.Errorf("%d successes and %d first uses, want one of each", count(errs, nil), first)
	}
}

// TestSMSCodeOfAnotherChallenge: a code works for its own challenge only.
func TestSMSCodeOfAnotherChallenge(t *testing.T) {
	r := newRig(t)
	f := r.Phone(ann, phone)
	first := r.Ask(f)
	firstCode := r.Right(f)
	second := r.AskPatiently(f)
	secondCode := r.Right(f)
	if firstCode == secondCode {
		t.Skip("one in a million: both codes are the same")
	}
	_, err := r.Answer(first, f, secondCode)
	mustBe(t, err, mfa.ErrInvalidCode)
	_, err = r.Answer(second, f, firstCode)
	mustBe(t, err, mfa.ErrInvalidCode)
	for ch, code := range map[string]string{first.ID: firstCode, second.ID: secondCode} {
		if _, err := r.Verify(t.Context(), mfa.VerifyParams{
			ChallengeID: ch, UserID: ann, Code: code,
		}); err != nil {
			t.Errorf("each code on its own challenge: %v", err)
		}
	}
}

// TestClockBackwards: a clock that is set back makes no code valid again, and no
// wait longer than it ever was.
func TestClockBackwards(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	r.Clock.Advance(time.Hour)
	code := r.Right(f)
	if _, err := r.Answer(r.Ask(f), f, code); err != nil {
		t.Fatal(err)
	}
	r.Clock.Advance(-30 * time.Second)
	_, err := r.Answer(r.Ask(f), f, code)
	mustBe(t, err, mfa.ErrInvalidCode)

	r.Fail(f, 4) // five in a row: a wait of 30 seconds
	r.Clock.Advance(-time.Hour)
	_, err = r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
	mustBe(t, err, mfa.ErrThrottled)
	if wait := refusal(t, err).RetryAfter; wait > 30*time.Second {
		t.Errorf("the wait grew to %s", wait)
	}
}

// TestClockWasAhead: what was noted while the clock was a year ahead by mistake ends
// when the clock is right again, instead of in a year.
func TestClockWasAhead(t *testing.T) {
	const year = 365 * 24 * time.Hour
	r := newRig(t)
	f, s := r.TOTP(ann), r.Phone("user_bob", phone)
	r.Clock.Advance(year)
	ch := r.Ask(f)
	code := r.Right(f)
	r.Fail(f, 5)
	for range 3 {
		r.Ask(s)
		r.Clock.Advance(15 * time.Minute)
	}
	r.Clock.Advance(-year)
	_, err := r.Answer(ch, f, code)
	mustBe(t, err, mfa.ErrChallengeExpired)
	r.LogIn(f)
	r.LogIn(s)
}

// TestClockWasAheadForLong: neither does a full bucket of that time last.
func TestClockWasAheadForLong(t *testing.T) {
	r := newRig(t, func(c *mfa.Config) { c.Policy = mfa.Policy{ExactStep: true, MaxFailures: 100} })
	f := r.TOTP(ann)
	r.Clock.Advance(365 * 24 * time.Hour)
	r.Fail(f, 50)
	_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
	mustBe(t, err, mfa.ErrThrottled)
	r.Clock.Advance(-365 * 24 * time.Hour)
	_, err = r.Answer(r.Ask(f), f, r.Wrong(f))
	mustBe(t, err, mfa.ErrInvalidCode)
	if wait := refusal(t, err).RetryAfter; wait > 15*time.Hour {
		t.Errorf("the wait is %s", wait)
	}
}

// TestClockWasAheadTwice: of a second such accident within 30 days the bucket stays as it
// is, and the owner waits until it has room, told in steps of one wrong code's time. Two
// processes whose clocks differ for long look like that.
func TestClockWasAheadTwice(t *testing.T) {
	g := newGuesser(t, mfa.TypeGenericOTP, mfa.Policy{}, 4)
	for accident := range 2 {
		now := g.Clock.Now()
		g.Clock.Advance(aDay)
		g.Guesses = nil
		g.Attack(0)
		g.Clock.Set(now)
		var waited time.Duration
		for {
			ch, err := g.Challenge(t.Context(), mfa.ChallengeParams{FactorID: g.F.ID, UserID: ann})
			if err == nil {
				_, err = g.Answer(ch, g.F, ch.Code())
			}
			if err == nil {
				break
			}
			wait := refusal(t, err).RetryAfter
			if wait <= 0 || wait > 14*time.Hour+24*time.Minute || waited > 3*aDay {
				t.Fatalf("accident %d: after %s a wait of %s", accident+1, waited, wait)
			}
			g.Clock.Advance(wait)
			waited += wait
		}
		if want := []time.Duration{0, aDay + 14*time.Hour + 24*time.Minute}[accident]; waited != want {
			t.Errorf("accident %d: the owner waited for %s, want %s", accident+1, waited, want)
		}
		g.Clock.Advance(7 * aDay)
	}
}

// TestClockWasAheadThenTypo: what a clock that was ahead left behind, a full bucket and a
// message, begins no wait after a further wrong code or message either, nor when that time
// comes; and whoever guesses has no more than a bucket of their own. Clocks that differ by
// less count.
func TestClockWasAheadThenTypo(t *testing.T) {
	for _, ahead := range []time.Duration{
		30 * time.Minute, time.Hour + time.Millisecond, 10 * time.Hour, aDay, 30 * aDay, aYear,
	} {
		t.Run(ahead.String(), func(t *testing.T) {
			g := newGuesser(t, mfa.TypeGenericOTP, mfa.Policy{}, 4)
			s := g.Phone("user_bob", phone)
			now := g.Clock.Now()
			g.Clock.Advance(ahead)
			if n := g.Attack(0); n != 50 {
				t.Fatalf("%d wrong codes while the clock is ahead", n)
			}
			g.Clock.Set(now.Add(ahead))
			g.Ask(s)
			g.Clock.Set(now)
			_, err := g.Challenge(t.Context(), mfa.ChallengeParams{FactorID: s.ID, UserID: s.UserID})
			if ahead < time.Hour {
				mustBe(t, err, mfa.ErrThrottled)
				_, err = g.Challenge(t.Context(), mfa.ChallengeParams{FactorID: g.F.ID, UserID: ann})
				mustBe(t, err, mfa.ErrThrottled)
				return
			}
			if err != nil {
				t.Fatalf("a message: %v", err)
			}
			ch := g.Ask(g.F)
			_, err = g.Answer(ch, g.F, wrongFor(ch.Code()))
			mustBe(t, err, mfa.ErrInvalidCode)
			if wait := refusal(t, err).RetryAfter; wait != 0 {
				t.Errorf("after one wrong code a wait of %s", wait)
			}
			if _, err := g.Answer(ch, g.F, ch.Code()); err != nil {
				t.Errorf("the right code: %v", err)
			}
			g.Guesses = nil
			if n := g.Attack(0); n != 49 {
				t.Errorf("after that %d wrong codes at once, want 49", n)
			}
		})
		t.Run(ahead.String()+" when it comes", func(t *testing.T) {
			g := newGuesser(t, mfa.TypeGenericOTP, mfa.Policy{}, 4)
			now := g.Clock.Now()
			g.Clock.Advance(ahead)
			g.Attack(0)
			g.Clock.Set(now)
			if ahead < time.Hour {
				return
			}
			ch := g.Ask(g.F)
			if _, err := g.Answer(ch, g.F, ch.Code()); err != nil {
				t.Fatal(err)
			}
			g.Clock.Set(now.Add(ahead))
			g.Ask(g.F)
		})
	}
}

// TestNumberOfAClockAhead: neither does a clock that was ahead lock a number that is not
// confirmed, nor does a success of that time keep the cool-down short.
func TestNumberOfAClockAhead(t *testing.T) {
	r := newRig(t, func(c *mfa.Config) { c.Policy.MaxFailures = 5 })
	f := r.Phone(ann, "+15005550007")
	now := r.Clock.Now()
	r.Clock.Advance(30 * aDay)
	r.Fail(r.EnrollSMS("user_mallory", phone), 5)
	r.LogIn(f)
	r.Clock.Set(now)
	r.LogIn(r.EnrollSMS("user_bob", phone))
	for _, wait := range []time.Duration{time.Minute, 2 * time.Minute, 5 * time.Minute} {
		r.Ask(f)
		_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
		if mustBe(t, err, mfa.ErrThrottled); refusal(t, err).RetryAfter != wait {
			t.Errorf("%v, want a wait of %s", err, wait)
		}
		r.Clock.Advance(wait)
	}
}

// TestNodeClockSkew: one process challenges, another whose clock is five seconds
// off verifies.
func TestNodeClockSkew(t *testing.T) {
	for _, skew := range []time.Duration{-5 * time.Second, 5 * time.Second} {
		r := newRig(t)
		f := r.TOTP(ann)
		r.Config.Now = func() time.Time { return r.Clock.Now().Add(skew) }
		other := r.Another()
		ch := r.Ask(f)
		if _, err := other.Verify(t.Context(), mfa.VerifyParams{
			ChallengeID: ch.ID, UserID: ann, Code: r.Right(f),
		}); err != nil {
			t.Errorf("skew %s: %v", skew, err)
		}
	}
}

// TestImportedSecret: a secret that is brought along works as it is, whatever its
// length.
func TestImportedSecret(t *testing.T) {
	for _, size := range []int{16, 20, 32, 64, 128} {
		r := newRig(t)
		secret := base32.StdEncoding.EncodeToString(fmt.Appendf(nil, "%0*d", size, size))
		enr, err := r.Enroll(t.Context(), mfa.EnrollParams{
			UserID: ann,
			TOTP:   &mfa.TOTPParams{Issuer: "Foo Corp", User: "alan", Secret: secret},
		})
		if err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		f := enrolled{Factor: enr.Factor, Secret: enr.TOTP.Secret()}
		if _, err := r.Answer(r.Ask(f), f, r.Right(f)); err != nil {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}
