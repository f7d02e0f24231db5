package attacks_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfatest"
)

// The tests of this file show what a bad day of the database, the provider or the
// caller cannot do.

// TestRoundTrips is the budget of principle P3, in calls of the store.
func TestRoundTrips(t *testing.T) {
	r := newRig(t)
	newTOTP, usedTOTP := r.EnrollTOTP("user_new"), r.TOTP(ann)
	newSMS, usedSMS := r.EnrollSMS("user_newer", "+15005550008"), r.Phone("user_bob", "+15005550007")
	firstTOTP, firstSMS := r.EnrollTOTP("user_two"), r.EnrollSMS("user_three", "+15005550010")
	r.EnrollSMS("user_two", "+15005550011")
	r.EnrollTOTP("user_three")
	unowned, keyedTOTP, keyedSMS := r.TOTP(""), r.TOTP("user_eve"), r.Phone("user_eve", "+15005550009")
	keys := map[string]string{keyedTOTP.ID: "a key", keyedSMS.ID: "a key"} // idempotency costs nothing
	const one, two, three = "Load Save", "Load Load Save", "Load Load Load Save"
	for _, tt := range []struct {
		name                     string
		factor                   enrolled
		challenge, wrong, verify string
	}{
		{"TOTP to be confirmed", newTOTP, one, one, one},
		{"TOTP", usedTOTP, one, one, one},
		{"TOTP without an owner", unowned, one, one, one},
		{"SMS to be confirmed", newSMS, two, two, two},
		{"SMS", usedSMS, two, one, one},
		{"TOTP to be confirmed, which ends another", firstTOTP, one, two, two},
		{"SMS to be confirmed, which ends another", firstSMS, two, three, three},
		{"TOTP with a key", keyedTOTP, one, one, one},
		{"SMS with a key", keyedSMS, two, one, one},
	} {
		key := keys[tt.factor.ID]
		var ch mfa.Challenge
		if got := r.Calls(func() {
			var err error
			if ch, err = r.Challenge(t.Context(), mfa.ChallengeParams{
				FactorID:       tt.factor.ID,
				UserID:         tt.factor.UserID,
				Confirm:        true,
				IdempotencyKey: key,
			}); err != nil {
				t.Fatal(err)
			}
		}); got != tt.challenge {
			t.Errorf("%s: Challenge calls %q, want %q", tt.name, got, tt.challenge)
		}
		if got := r.Calls(
			func() { _, _ = r.AnswerWith(key, ch, tt.factor, r.Wrong(tt.factor)) },
		); got != tt.wrong {
			t.Errorf("%s: a wrong code calls %q, want %q", tt.name, got, tt.wrong)
		}
		if got := r.Calls(func() {
			if _, err := r.AnswerWith(strings.ToUpper(key), ch, tt.factor, r.Right(tt.factor)); err != nil {
				t.Fatal(err)
			}
		}); got != tt.verify {
			t.Errorf("%s: a right code calls %q, want %q", tt.name, got, tt.verify)
		}
	}
}

// scenarios prepare a call each that writes, on a rig of their own.
var scenarios = map[string]func(r *rig) func(context.Context) error{
	"Enroll": func(r *rig) func(context.Context) error {
		r.TOTP(ann)
		return func(ctx context.Context) error {
			enr, err := r.Enroll(ctx, mfa.EnrollParams{
				UserID: ann, TOTP: &mfa.TOTPParams{Issuer: "Foo Corp", User: "alan"},
			})
			if err != nil && enr != (mfa.Enrollment{}) {
				return fmt.Errorf("%w: an error came with an enrolment", errTold)
			}
			return err
		}
	},
	"Import": func(r *rig) func(context.Context) error {
		r.TOTP(ann)
		return func(ctx context.Context) error {
			f, err := r.Import(ctx, mfa.ImportParams{
				UserID: ann, Secret: vectorSecret, Issuer: "Foo Corp", User: "alan",
			})
			if err != nil && f.ID != "" {
				return fmt.Errorf("%w: an error came with a factor", errTold)
			}
			return err
		}
	},
	"Challenge TOTP": func(r *rig) func(context.Context) error {
		return challengeScenario(r, r.TOTP(ann))
	},
	"Challenge SMS": func(r *rig) func(context.Context) error {
		return challengeScenario(r, r.Phone(ann, phone))
	},
	"Verify right TOTP": func(r *rig) func(context.Context) error {
		f := r.TOTP(ann)
		return verifyScenario(r, f, r.Ask(f), r.Right(f))
	},
	"Verify wrong TOTP": func(r *rig) func(context.Context) error {
		f := r.TOTP(ann)
		return verifyScenario(r, f, r.Ask(f), r.Wrong(f))
	},
	"Verify right SMS": func(r *rig) func(context.Context) error {
		f := r.EnrollSMS(ann, phone)
		ch := r.Ask(f)
		return verifyScenario(r, f, ch, r.Right(f))
	},
	"Verify wrong SMS": func(r *rig) func(context.Context) error {
		f := r.EnrollSMS(ann, phone)
		ch := r.Ask(f)
		return verifyScenario(r, f, ch, r.Wrong(f))
	},
	"Unenroll": func(r *rig) func(context.Context) error {
		f := r.TOTP(ann)
		return func(ctx context.Context) error {
			return r.Unenroll(ctx, mfa.UnenrollParams{FactorID: f.ID, UserID: ann})
		}
	},
	"Unlock": func(r *rig) func(context.Context) error {
		f := r.TOTP(ann)
		r.Fail(f, 5)
		return func(ctx context.Context) error {
			return r.Unlock(ctx, mfa.FactorParams{FactorID: f.ID, UserID: ann})
		}
	},
}

// errTold marks an error that came with something told.
var errTold = errors.New("told")

func challengeScenario(r *rig, f enrolled) func(context.Context) error {
	return func(ctx context.Context) error {
		ch, err := r.Challenge(ctx, mfa.ChallengeParams{FactorID: f.ID, UserID: f.UserID})
		if err != nil && ch != (mfa.Challenge{}) {
			return fmt.Errorf("%w: an error came with a challenge", errTold)
		}
		return err
	}
}

func verifyScenario(r *rig, f enrolled, ch mfa.Challenge, code string) func(context.Context) error {
	return func(ctx context.Context) error {
		v, err := r.Verify(ctx, mfa.VerifyParams{ChallengeID: ch.ID, UserID: f.UserID, Code: code})
		if err != nil && !errors.Is(err, mfa.ErrInvalidCode) && v != (mfa.Verification{}) {
			return fmt.Errorf("%w: an error came with a verification", errTold)
		}
		return err
	}
}

// TestStoreFaults fails each store call of each call, before it is applied and
// after: the cause comes back, nothing is told, and what was applied counts.
func TestStoreFaults(t *testing.T) {
	broken := errors.New("connection lost")
	for name, prepare := range scenarios {
		for _, after := range []bool{false, true} {
			for n := 1; ; n++ {
				r := newRig(t)
				call := prepare(r)
				before, sends, calls := r.Versions(), r.SMS.Sends(), len(r.Store.Calls())
				hook := mfatest.Nth(calls+n, broken)
				if after {
					r.Store.After = hook
				} else {
					r.Store.Before = hook
				}
				r.Took()
				err := call(t.Context())
				if len(r.Store.Calls()) < calls+n {
					break // there is no nth call
				}
				what := fmt.Sprintf("%s, store call %d failed, applied %t", name, n, after)
				saved := r.Store.Calls()[calls+n-1].Method == "Save"
				if !errors.Is(err, broken) || errors.Is(err, errTold) {
					t.Errorf("%s: error %v, want the store's", what, err)
				}
				if changed := fmt.Sprint(before) != fmt.Sprint(r.Versions()); changed != (saved && after) {
					t.Errorf("%s: records changed %t", what, changed)
				}
				if r.SMS.Sends() != sends {
					t.Errorf("%s: a message was sent", what)
				}
				if events := r.Took(); len(events) != 0 {
					t.Errorf("%s: events %+v", what, events)
				}
				if strings.Contains(fmt.Sprint(err), "500555") {
					t.Errorf("%s: error %v", what, err)
				}
			}
		}
	}
}

// TestLostAnswerCounts: when the answer of a commit is lost, a wrong code was
// counted and a right one is used up.
func TestLostAnswerCounts(t *testing.T) {
	broken := errors.New("connection lost")
	r := newRig(t)
	f := r.TOTP(ann)
	ch, right := r.Ask(f), r.Right(f)
	lose := func(_ context.Context, c mfatest.Call) error {
		if c.Method == "Save" {
			return broken
		}
		return nil
	}
	r.Store.After = lose
	_, err := r.Answer(ch, f, r.Wrong(f))
	mustBe(t, err, broken)
	r.Store.After = nil
	_, err = r.Answer(ch, f, r.Wrong(f))
	if e := refusal(t, err); e.AttemptsLeft != 3 {
		t.Errorf("%d attempts left, want 3: the lost one counts", e.AttemptsLeft)
	}
	r.Store.After = lose
	_, err = r.Answer(ch, f, right)
	mustBe(t, err, broken)
	r.Store.After = nil
	_, err = r.Answer(ch, f, right)
	mustBe(t, err, mfa.ErrChallengePreviouslyVerified)
	_, err = r.Answer(r.Ask(f), f, right)
	mustBe(t, err, mfa.ErrInvalidCode)
}

// TestCancelledContextTellsNothing cancels the caller's context before and after
// each store call of each call: either the outcome was committed and counts, or
// nothing was told.
func TestCancelledContextTellsNothing(t *testing.T) {
	for name, prepare := range scenarios {
		for _, after := range []bool{false, true} {
			for n := 1; ; n++ {
				r := newRig(t)
				call := prepare(r)
				before, calls := r.Versions(), len(r.Store.Calls())
				ctx, cancel := context.WithCancel(t.Context())
				hook := func(_ context.Context, c mfatest.Call) error {
					if c.N == calls+n {
						cancel()
					}
					return nil
				}
				if after {
					r.Store.After = hook
				} else {
					r.Store.Before = hook
				}
				err := call(ctx)
				cancel()
				if len(r.Store.Calls()) < calls+n {
					break
				}
				what := fmt.Sprintf("%s, cancelled at store call %d, after it %t", name, n, after)
				changed := fmt.Sprint(before) != fmt.Sprint(r.Versions())
				told := err == nil || errors.Is(err, mfa.ErrInvalidCode)
				switch {
				case errors.Is(err, errTold):
					t.Errorf("%s: %v", what, err)
				case told && !changed:
					t.Errorf("%s: %v was told and not committed", what, err)
				case !told && !errors.Is(err, context.Canceled):
					t.Errorf("%s: %v", what, err)
				case !told && changed && name != "Challenge SMS": // there the sender was cancelled
					t.Errorf("%s: committed, and then %v", what, err)
				}
				if r.Store.Calls()[calls+n-1].Method == "Save" && !changed {
					t.Errorf("%s: the commit did not outlive the caller", what)
				}
			}
		}
	}
}

// TestCancelledFromTheStart: with a context that is cancelled already, nothing is
// told or written.
func TestCancelledFromTheStart(t *testing.T) {
	for name, prepare := range scenarios {
		r := newRig(t)
		call := prepare(r)
		before := r.Versions()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		mustBe(t, call(ctx), context.Canceled)
		if fmt.Sprint(before) != fmt.Sprint(r.Versions()) {
			t.Errorf("%s wrote", name)
		}
	}
}

// TestFailureSurvivesCallerRollback: what the caller does with its own request after
// a wrong code takes no count back.
func TestFailureSurvivesCallerRollback(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	ch := r.Ask(f)
	for i := range 5 {
		ctx, rollback := context.WithCancel(t.Context())
		_, err := r.Verify(ctx, mfa.VerifyParams{ChallengeID: ch.ID, UserID: ann, Code: r.Wrong(f)})
		rollback()
		if e := refusal(t, err); e.AttemptsLeft != 4-i {
			t.Fatalf("%d attempts left, want %d", e.AttemptsLeft, 4-i)
		}
	}
}

// TestStorePanic: a panic of the store passes through, and the next call works.
func TestStorePanic(t *testing.T) {
	for name, prepare := range scenarios {
		r := newRig(t)
		call := prepare(r)
		calls := len(r.Store.Calls())
		r.Store.Before = func(_ context.Context, c mfatest.Call) error {
			if c.N == calls+1 {
				panic("store")
			}
			return nil
		}
		func() {
			defer func() {
				if recover() != "store" {
					t.Errorf("%s: the panic did not pass through", name)
				}
			}()
			_ = call(t.Context())
		}()
		if err := call(t.Context()); err != nil && !strings.Contains(name, "wrong") {
			t.Errorf("%s after the panic: %v", name, err)
		}
	}
}

// TestOnEventPanic: a panic of OnEvent is recovered and logged without its value, and
// the outcome stands.
func TestOnEventPanic(t *testing.T) {
	var log bytes.Buffer
	r := newRig(t, func(c *mfa.Config) {
		c.Logger = slog.New(slog.NewTextHandler(&log, nil))
		c.OnEvent = func(_ context.Context, e mfa.Event) { panic("the application's " + e.Kind) }
	})
	f := r.TOTP(ann)
	if _, err := r.Answer(r.Ask(f), f, r.Right(f)); err != nil {
		t.Fatal(err)
	}
	if out := log.String(); !strings.Contains(out, "OnEvent panicked") ||
		!strings.Contains(out, "event=verified") ||
		strings.Contains(out, "the application's") {
		t.Errorf("log %q", out)
	}
}

// TestOnEventCalls: OnEvent may call the service.
func TestOnEventCalls(t *testing.T) {
	var r *rig
	var seen []string
	r = newRig(t, func(c *mfa.Config) {
		c.OnEvent = func(ctx context.Context, e mfa.Event) {
			f, err := r.Factor(ctx, mfa.FactorParams{FactorID: e.FactorID, UserID: e.UserID})
			if err == nil {
				seen = append(seen, string(e.Kind)+" "+string(f.Status))
			}
		}
	})
	r.TOTP(ann)
	if want := []string{
		"enrolled unverified",
		"verified verified",
		"first_use verified",
	}; !slices.Equal(
		seen,
		want,
	) {
		t.Errorf("seen %v, want %v", seen, want)
	}
}

// TestCommitDeadline: a commit that does not return is given up after five seconds.
// (The real clock would be waited for; the deadline is what is looked at.)
func TestCommitDeadline(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	ch := r.Ask(f)
	var left time.Duration
	r.Store.Before = func(ctx context.Context, c mfatest.Call) error {
		if c.Method == "Save" {
			at, _ := ctx.Deadline()
			left = time.Until(at)
		}
		return nil
	}
	if _, err := r.Answer(ch, f, r.Right(f)); err != nil {
		t.Fatal(err)
	}
	if left <= 4*time.Second || left > 5*time.Second {
		t.Errorf("the commit has %s, want 5s", left)
	}
}
