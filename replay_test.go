package mfa_test

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

var rfcSecret = base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString([]byte("12345678901234567890"))

// TestVectorsHOTP verifies the codes of RFC 4226 Appendix D: counter n is the time
// step that begins at 30n seconds.
func TestVectorsHOTP(t *testing.T) {
	for n, code := range []string{"755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"} {
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
	r.clock.Set(at)
	enr, err := r.Enroll(t.Context(), mfa.EnrollParams{NoOwner: true, TOTP: &mfa.TOTPParams{Issuer: "Foo Corp", User: "alan", Secret: rfcSecret}})
	if err != nil {
		t.Fatal(err)
	}
	f := enrolled{enr.Factor, enr.TOTP.Secret()}
	if v, err := r.answer(r.challenge(f), f, code); err != nil || !v.Valid {
		t.Errorf("code %s at %s: %v", code, at.UTC(), err)
	}
}

// TestWindow: the codes of one step before and after are accepted, no others, and
// with ExactStep only the current one (RFC 6238 section 5.2).
func TestWindow(t *testing.T) {
	for _, exact := range []bool{false, true} {
		for steps := -3; steps <= 3; steps++ {
			r := newRig(t, func(c *mfa.Config) { c.Policy.ExactStep = exact })
			f := r.totp(ann)
			code := mfatest.Code(f.secret, r.clock.Now().Add(time.Duration(steps)*30*time.Second))
			_, err := r.answer(r.challenge(f), f, code)
			want := steps == 0 || !exact && (steps == -1 || steps == 1)
			if (err == nil) != want {
				t.Errorf("ExactStep %t, a code of %+d steps: %v", exact, steps, err)
			}
		}
	}
}

func TestTOTPReplaySameStep(t *testing.T) {
	r := newRig(t)
	f := r.totp(ann)
	code := r.right(f)
	ch := r.challenge(f)
	if _, err := r.answer(ch, f, code); err != nil {
		t.Fatal(err)
	}
	_, err := r.answer(ch, f, code)
	mustBe(t, err, mfa.ErrChallengePreviouslyVerified)

	r.took()
	_, err = r.answer(r.challenge(f), f, code)
	mustBe(t, err, mfa.ErrInvalidCode)
	if e := refusal(t, err); e.AttemptsLeft != 4 {
		t.Errorf("a replay left %d attempts, want 4: it counts as a wrong code", e.AttemptsLeft)
	}
	events := r.took()
	if len(events) != 2 || events[0].Kind != mfa.EventFailed || events[1].Kind != mfa.EventReplayed {
		t.Errorf("events %+v, want failed and replayed", events)
	}
}

func TestTOTPReplayParallel(t *testing.T) {
	r := newRig(t)
	f := r.totp(ann)
	ch, code := r.challenge(f), r.right(f)
	errs := all(200, func(int) error { _, err := r.answer(ch, f, code); return err })
	if n := count(errs, nil); n != 1 {
		t.Errorf("200 parallel right codes gave %d successes, want 1", n)
	}
}

// TestAllPathsShareConsume: one code, two challenges at once, from two processes.
func TestAllPathsShareConsume(t *testing.T) {
	for range 20 {
		r := newRig(t)
		f := r.totp(ann)
		code := r.right(f)
		challenges := []mfa.Challenge{r.challenge(f), r.challenge(f)}
		services := []*mfa.Service{r.Service, r.another()}
		errs := all(2, func(i int) error {
			_, err := services[i].Verify(t.Context(), mfa.VerifyParams{ChallengeID: challenges[i].ID, UserID: ann, Code: code})
			return err
		})
		if count(errs, nil) != 1 || count(errs, mfa.ErrInvalidCode) != 1 {
			t.Fatalf("two challenges with one code: %v, want one success", errs)
		}
	}
}

func TestReplayWithWhitespaceVariants(t *testing.T) {
	r := newRig(t)
	f := r.totp(ann)
	code := r.right(f)
	if _, err := r.answer(r.challenge(f), f, code); err != nil {
		t.Fatal(err)
	}
	for _, variant := range []string{" " + code, code + " ", code + "\n", "\t" + code, code[:3] + " " + code[3:], code[:3] + "-" + code[3:], "\u00a0" + code} {
		ch := r.patientChallenge(f)
		_, err := r.answer(ch, f, variant)
		mustBe(t, err, mfa.ErrInvalidCode)
	}
}

func TestReplayInNextStepWithinDrift(t *testing.T) {
	r := newRig(t)
	f := r.totp(ann)
	code := r.right(f)
	if _, err := r.answer(r.challenge(f), f, code); err != nil {
		t.Fatal(err)
	}
	r.clock.Advance(30 * time.Second)
	_, err := r.answer(r.challenge(f), f, code)
	mustBe(t, err, mfa.ErrInvalidCode)
}

func TestReplayAtLastMomentOfWindow(t *testing.T) {
	r := newRig(t)
	f := r.totp(ann)
	r.clock.Set(r.clock.Now().Truncate(30 * time.Second))
	code := mfatest.Code(f.secret, r.clock.Now().Add(30*time.Second)) // the app is ahead
	if _, err := r.answer(r.challenge(f), f, code); err != nil {
		t.Fatal(err)
	}
	r.clock.Advance(90*time.Second - time.Millisecond)
	_, err := r.answer(r.challenge(f), f, code)
	mustBe(t, err, mfa.ErrInvalidCode)
	if events := r.took(); events[len(events)-1].Kind != mfa.EventReplayed {
		t.Errorf("the code was outside the window; the test needs it at its last moment")
	}
}

// TestOlderCodeAfterNewer: once a code was accepted, those of the steps before it
// are used up as well.
func TestOlderCodeAfterNewer(t *testing.T) {
	r := newRig(t)
	f := r.totp(ann)
	older := mfatest.Code(f.secret, r.clock.Now().Add(-30*time.Second))
	if _, err := r.answer(r.challenge(f), f, r.right(f)); err != nil {
		t.Fatal(err)
	}
	_, err := r.answer(r.challenge(f), f, older)
	mustBe(t, err, mfa.ErrInvalidCode)
	if _, err := r.answer(r.challenge(f), f, mfatest.Code(f.secret, r.clock.Now().Add(30*time.Second))); err != nil {
		t.Errorf("the code of the next step: %v", err)
	}
}

// TestEqualCodesInAdjacentSteps: where two steps of the window have the same code by
// chance, accepting it uses up both.
func TestEqualCodesInAdjacentSteps(t *testing.T) {
	const step, code = 59061240, "963181" // of the RFC's secret; the next step's is the same
	r := newRig(t)
	r.clock.Set(time.Unix(step*30, 0))
	enr, err := r.Enroll(t.Context(), mfa.EnrollParams{UserID: ann, TOTP: &mfa.TOTPParams{Issuer: "Foo Corp", User: "alan", Secret: rfcSecret}})
	if err != nil {
		t.Fatal(err)
	}
	f := enrolled{enr.Factor, enr.TOTP.Secret()}
	if next := mfatest.Code(f.secret, r.clock.Now().Add(30*time.Second)); r.right(f) != code || next != code {
		t.Fatalf("the codes are %s and %s", r.right(f), next)
	}
	if _, err := r.answer(r.challenge(f), f, code); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		r.clock.Advance(30 * time.Second)
		_, err = r.answer(r.challenge(f), f, code)
		mustBe(t, err, mfa.ErrInvalidCode)
	}
}

func TestReplayAcrossChallenges(t *testing.T) {
	r := newRig(t)
	f := r.totp(ann)
	first, second, code := r.challenge(f), r.challenge(f), r.right(f)
	if _, err := r.answer(first, f, code); err != nil {
		t.Fatal(err)
	}
	_, err := r.answer(second, f, code)
	mustBe(t, err, mfa.ErrInvalidCode)
}

func TestReplayAcrossInstances(t *testing.T) {
	r := newRig(t)
	f := r.totp(ann)
	code, ch := r.right(f), r.challenge(f)
	if _, err := r.another().Verify(t.Context(), mfa.VerifyParams{ChallengeID: ch.ID, UserID: ann, Code: code}); err != nil {
		t.Fatal(err)
	}
	_, err := r.answer(r.challenge(f), f, code)
	mustBe(t, err, mfa.ErrInvalidCode)
}

func TestEnrolCodeCannotLogin(t *testing.T) {
	r := newRig(t)
	f := r.enrollTOTP(ann)
	code := r.right(f)
	v, err := r.answer(r.challenge(f), f, code)
	if err != nil || !v.FirstUse {
		t.Fatalf("confirming: %+v, %v", v, err)
	}
	_, err = r.answer(r.challenge(f), f, code)
	mustBe(t, err, mfa.ErrInvalidCode)
}

func TestSMSConsumeRace(t *testing.T) {
	r := newRig(t)
	f := r.phone(ann, phone)
	ch := r.challenge(f)
	code := r.right(f)
	errs := all(200, func(int) error { _, err := r.answer(ch, f, code); return err })
	if n := count(errs, nil); n != 1 {
		t.Errorf("200 parallel right codes gave %d successes, want 1", n)
	}
}

// TestConfirmRace: two confirmations at once give one success and one FirstUse.
func TestConfirmRace(t *testing.T) {
	r := newRig(t)
	f := r.enrollTOTP(ann)
	ch, code := r.challenge(f), r.right(f)
	r.took()
	errs := all(50, func(int) error { _, err := r.answer(ch, f, code); return err })
	first := 0
	for _, e := range r.took() {
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
	f := r.phone(ann, phone)
	first := r.challenge(f)
	firstCode := r.right(f)
	second := r.patientChallenge(f)
	secondCode := r.right(f)
	if firstCode == secondCode {
		t.Skip("one in a million: both codes are the same")
	}
	_, err := r.answer(first, f, secondCode)
	mustBe(t, err, mfa.ErrInvalidCode)
	_, err = r.answer(second, f, firstCode)
	mustBe(t, err, mfa.ErrInvalidCode)
	for ch, code := range map[string]string{first.ID: firstCode, second.ID: secondCode} {
		if _, err := r.Verify(t.Context(), mfa.VerifyParams{ChallengeID: ch, UserID: ann, Code: code}); err != nil {
			t.Errorf("each code on its own challenge: %v", err)
		}
	}
}

// TestClockBackwards: a clock that is set back makes no code valid again, and no
// wait longer than it ever was.
func TestClockBackwards(t *testing.T) {
	r := newRig(t)
	f := r.totp(ann)
	r.clock.Advance(time.Hour)
	code := r.right(f)
	if _, err := r.answer(r.challenge(f), f, code); err != nil {
		t.Fatal(err)
	}
	r.clock.Advance(-30 * time.Second)
	_, err := r.answer(r.challenge(f), f, code)
	mustBe(t, err, mfa.ErrInvalidCode)

	r.fail(f, 4) // five in a row: a wait of 30 seconds
	r.clock.Advance(-time.Hour)
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
	f, s := r.totp(ann), r.phone("user_bob", phone)
	r.clock.Advance(year)
	ch := r.challenge(f)
	code := r.right(f)
	r.fail(f, 5)
	for range 3 {
		r.challenge(s)
		r.clock.Advance(15 * time.Minute)
	}
	r.clock.Advance(-year)
	_, err := r.answer(ch, f, code)
	mustBe(t, err, mfa.ErrChallengeExpired)
	r.login(f)
	r.login(s)
}

// TestClockWasAheadForLong: neither does a full bucket of that time last.
func TestClockWasAheadForLong(t *testing.T) {
	r := newRig(t, func(c *mfa.Config) { c.Policy = mfa.Policy{ExactStep: true, MaxFailures: 100} })
	f := r.totp(ann)
	r.clock.Advance(365 * 24 * time.Hour)
	r.fail(f, 50)
	_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
	mustBe(t, err, mfa.ErrThrottled)
	r.clock.Advance(-365 * 24 * time.Hour)
	_, err = r.answer(r.challenge(f), f, r.wrong(f))
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
		now := g.clock.Now()
		g.clock.Advance(aDay)
		g.guesses = nil
		g.attack(0)
		g.clock.Set(now)
		var waited time.Duration
		for {
			ch, err := g.Challenge(t.Context(), mfa.ChallengeParams{FactorID: g.f.ID, UserID: ann})
			if err == nil {
				_, err = g.answer(ch, g.f, ch.Code())
			}
			if err == nil {
				break
			}
			wait := refusal(t, err).RetryAfter
			if wait <= 0 || wait > 14*time.Hour+24*time.Minute || waited > 3*aDay {
				t.Fatalf("accident %d: after %s a wait of %s", accident+1, waited, wait)
			}
			g.clock.Advance(wait)
			waited += wait
		}
		if want := []time.Duration{0, aDay + 14*time.Hour + 24*time.Minute}[accident]; waited != want {
			t.Errorf("accident %d: the owner waited for %s, want %s", accident+1, waited, want)
		}
		g.clock.Advance(7 * aDay)
	}
}

// TestClockWasAheadThenTypo: what a clock that was ahead left behind, a full bucket and a
// message, begins no wait after a further wrong code or message either, nor when that time
// comes; and whoever guesses has no more than a bucket of their own. Clocks that differ by
// less count.
func TestClockWasAheadThenTypo(t *testing.T) {
	for _, ahead := range []time.Duration{30 * time.Minute, time.Hour + time.Millisecond, 10 * time.Hour, aDay, 30 * aDay, aYear} {
		t.Run(ahead.String(), func(t *testing.T) {
			g := newGuesser(t, mfa.TypeGenericOTP, mfa.Policy{}, 4)
			s := g.phone("user_bob", phone)
			now := g.clock.Now()
			g.clock.Advance(ahead)
			if n := g.attack(0); n != 50 {
				t.Fatalf("%d wrong codes while the clock is ahead", n)
			}
			g.clock.Set(now.Add(ahead))
			g.challenge(s)
			g.clock.Set(now)
			_, err := g.Challenge(t.Context(), mfa.ChallengeParams{FactorID: s.ID, UserID: s.UserID})
			if ahead < time.Hour {
				mustBe(t, err, mfa.ErrThrottled)
				_, err = g.Challenge(t.Context(), mfa.ChallengeParams{FactorID: g.f.ID, UserID: ann})
				mustBe(t, err, mfa.ErrThrottled)
				return
			}
			if err != nil {
				t.Fatalf("a message: %v", err)
			}
			ch := g.challenge(g.f)
			_, err = g.answer(ch, g.f, wrongFor(ch.Code()))
			mustBe(t, err, mfa.ErrInvalidCode)
			if wait := refusal(t, err).RetryAfter; wait != 0 {
				t.Errorf("after one wrong code a wait of %s", wait)
			}
			if _, err := g.answer(ch, g.f, ch.Code()); err != nil {
				t.Errorf("the right code: %v", err)
			}
			g.guesses = nil
			if n := g.attack(0); n != 49 {
				t.Errorf("after that %d wrong codes at once, want 49", n)
			}
		})
		t.Run(ahead.String()+" when it comes", func(t *testing.T) {
			g := newGuesser(t, mfa.TypeGenericOTP, mfa.Policy{}, 4)
			now := g.clock.Now()
			g.clock.Advance(ahead)
			g.attack(0)
			g.clock.Set(now)
			if ahead < time.Hour {
				return
			}
			ch := g.challenge(g.f)
			if _, err := g.answer(ch, g.f, ch.Code()); err != nil {
				t.Fatal(err)
			}
			g.clock.Set(now.Add(ahead))
			g.challenge(g.f)
		})
	}
}

// TestNumberOfAClockAhead: neither does a clock that was ahead lock a number that is not
// confirmed, nor does a success of that time keep the cool-down short.
func TestNumberOfAClockAhead(t *testing.T) {
	r := newRig(t, func(c *mfa.Config) { c.Policy.MaxFailures = 5 })
	f := r.phone(ann, "+15005550007")
	now := r.clock.Now()
	r.clock.Advance(30 * aDay)
	r.fail(r.enrollSMS("user_mallory", phone), 5)
	r.login(f)
	r.clock.Set(now)
	r.login(r.enrollSMS("user_bob", phone))
	for _, wait := range []time.Duration{time.Minute, 2 * time.Minute, 5 * time.Minute} {
		r.challenge(f)
		_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
		if mustBe(t, err, mfa.ErrThrottled); refusal(t, err).RetryAfter != wait {
			t.Errorf("%v, want a wait of %s", err, wait)
		}
		r.clock.Advance(wait)
	}
}

// TestNodeClockSkew: one process challenges, another whose clock is five seconds
// off verifies.
func TestNodeClockSkew(t *testing.T) {
	for _, skew := range []time.Duration{-5 * time.Second, 5 * time.Second} {
		r := newRig(t)
		f := r.totp(ann)
		r.cfg.Now = func() time.Time { return r.clock.Now().Add(skew) }
		other := r.another()
		ch := r.challenge(f)
		if _, err := other.Verify(t.Context(), mfa.VerifyParams{ChallengeID: ch.ID, UserID: ann, Code: r.right(f)}); err != nil {
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
		enr, err := r.Enroll(t.Context(), mfa.EnrollParams{UserID: ann, TOTP: &mfa.TOTPParams{Issuer: "Foo Corp", User: "alan", Secret: secret}})
		if err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		f := enrolled{enr.Factor, enr.TOTP.Secret()}
		if _, err := r.answer(r.challenge(f), f, r.right(f)); err != nil {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}
