package mfa_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/cryptotest"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfatest"
)

// TestMessageText: the message is the template with the code in it, and goes to
// the enrolled number.
func TestMessageText(t *testing.T) {
	r := newRig(t)
	f := r.phone(ann, "(500) 555-0006")
	for template, want := range map[string]string{
		"":                          "Your verification code is 123456.",
		"Your FooCorp is {{code}}.": "Your FooCorp is 123456.",
		"{{code}} ist Ihr Code 🔑":   "123456 ist Ihr Code 🔑",
	} {
		_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann, SMSTemplate: template})
		if err != nil {
			t.Fatal(err)
		}
		messages := r.sms.Messages()
		m := messages[len(messages)-1]
		if got := strings.Replace(m.Body, r.right(f), "123456", 1); got != want || m.To != phone {
			t.Errorf("message %q to %s, want %q to %s", got, m.To, want, phone)
		}
		r.clock.Advance(time.Hour)
	}
}

// TestMessageID: the id of a message is an idempotency key, its own for each
// challenge, and does not hold the challenge's id.
func TestMessageID(t *testing.T) {
	r := newRig(t)
	f := r.phone(ann, phone)
	ch := r.challenge(f)
	m := r.sms.Messages()
	if len(m) != 2 || m[0].ID == m[1].ID || len(m[1].ID) != 32 || strings.Contains(m[1].ID, strings.TrimPrefix(ch.ID, "auth_challenge_")) {
		t.Errorf("message ids %q and %q", m[0].ID, m[1].ID)
	}
}

func TestDestinationIsEnrolledNumber(t *testing.T) {
	r := newRig(t)
	f := r.phone(ann, phone)
	r.enrollSMS(ann, "+15005550007") // a change of number is a new factor, unverified
	r.challenge(f)
	messages := r.sms.Messages()
	if to := messages[len(messages)-1].To; to != phone {
		t.Errorf("the code went to %s", to)
	}
}

// TestCooldown: 60, 120, 300, 600, then 900 seconds between messages, per number
// and per user, whatever challenge or factor they are for; a success takes it back.
func TestCooldown(t *testing.T) {
	want := []time.Duration{time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute}
	r := newRig(t)
	f := r.phone(ann, phone)
	r.clock.Advance(24 * time.Hour)
	for i, wait := range want {
		r.challenge(f)
		sends := r.sms.Sends()
		r.clock.Advance(wait - time.Millisecond)
		_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
		mustBe(t, err, mfa.ErrThrottled)
		if got := refusal(t, err).RetryAfter; got != time.Millisecond {
			t.Fatalf("message %d: %s left of a wait of %s, want 1ms", i+1, got, wait)
		}
		if r.sms.Sends() != sends {
			t.Fatal("a throttled challenge sent a message")
		}
		r.clock.Advance(time.Millisecond)
	}
	ch := r.challenge(f) // the fifth: the hour is full, and the cool-down 15 minutes
	if _, err := r.answer(ch, f, r.right(f)); err != nil {
		t.Fatal(err)
	}
	_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
	if got := refusal(t, err).RetryAfter; got != time.Hour-18*time.Minute {
		t.Fatalf("after a success the wait is %s, want what is left of the hour", got)
	}
	r.clock.Advance(time.Hour)
	ch = r.challenge(f)
	if _, err := r.answer(ch, f, r.right(f)); err != nil { // in the same millisecond, too
		t.Fatal(err)
	}
	_, err = r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
	if got := refusal(t, err).RetryAfter; got != time.Minute {
		t.Fatalf("between two messages there is a wait of %s, want a minute whatever succeeded", got)
	}
	r.clock.Advance(time.Minute)
	r.challenge(f)
	r.clock.Advance(time.Minute)
	r.challenge(f)
}

// TestQuotas: five messages an hour and ten a day to a number, three and five while
// it is unverified.
func TestQuotas(t *testing.T) {
	for _, tt := range []struct {
		name          string
		verified      bool
		hourly, daily int
	}{{"verified", true, 5, 10}, {"unverified", false, 3, 5}} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			factors := []enrolled{r.enrollSMS(ann, phone)}
			if tt.verified {
				r.login(factors[0])
				r.clock.Advance(25 * time.Hour)
			} else { // of whom each has two a day
				factors = append(factors, r.enrollSMS("user_bob", phone), r.enrollSMS("user_eve", phone))
			}
			begin, sent := r.clock.Now(), []time.Time{}
			for r.clock.Now().Sub(begin) < 23*time.Hour {
				shortest := 24 * time.Hour
				for _, f := range factors {
					_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: f.UserID})
					if err == nil {
						sent = append(sent, r.clock.Now())
						shortest = 0
						break
					}
					shortest = min(shortest, refusal(t, err).RetryAfter)
				}
				r.clock.Advance(shortest)
			}
			inHour := 0
			for _, at := range sent {
				n := 0
				for _, other := range sent {
					if !other.Before(at) && other.Sub(at) < time.Hour {
						n++
					}
				}
				inHour = max(inHour, n)
			}
			if len(sent) != tt.daily || inHour != tt.hourly {
				t.Errorf("%d messages in a day and up to %d in an hour, want %d and %d", len(sent), inHour, tt.daily, tt.hourly)
			}
		})
	}
}

// TestNoUserFillsANumber: of the five messages a day to a number that is not confirmed, two
// are the most that go to one user, however often they enroll it, or to all that enroll it
// without a user. So its owner gets theirs, beside one stranger; three strangers fill it.
func TestNoUserFillsANumber(t *testing.T) {
	for _, tt := range []struct {
		strangers []string
		owner     bool // gets a message on each of two days
	}{
		{[]string{"user_mallory"}, true},
		{[]string{""}, true},
		{[]string{"user_mallory", ""}, true}, // the fifth
		{[]string{"user_mallory", "user_trudy", "user_eve"}, false},
	} {
		r := newRig(t)
		sent := map[string][]time.Time{}
		ask := func(user string) {
			f := r.enrollSMS(user, phone)
			_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: user})
			if err == nil {
				sent[user] = append(sent[user], r.clock.Now())
			} else if wait := refusal(t, err).RetryAfter; !errors.Is(err, mfa.ErrThrottled) || wait <= 0 || wait > aDay {
				t.Fatal(err)
			}
		}
		for range 2 * 24 * 6 {
			for _, stranger := range tt.strangers {
				ask(stranger)
			}
			ask(ann)
			r.clock.Advance(10 * time.Minute)
		}
		for user, times := range sent {
			for i := range times {
				if i >= 2 && times[i].Sub(times[i-2]) < aDay {
					t.Errorf("%q beside %q: three messages in a day, at %v", user, tt.strangers, times)
					break
				}
			}
		}
		days := map[int]bool{}
		for _, at := range sent[ann] {
			days[at.YearDay()] = true
		}
		if tt.owner != (len(days) >= 2) || tt.owner != (len(sent[ann]) > 0) {
			t.Errorf("beside %q the owner was sent a message at %v", tt.strangers, sent[ann])
		}
	}
}

// TestShareOutlivesRotation: neither is a new key a new share of a number's messages.
func TestShareOutlivesRotation(t *testing.T) {
	one, two := mfa.NewKey(), mfa.NewKey()
	r := newRig(t)
	r.with(one)
	f := r.enrollSMS(ann, phone)
	for range 2 {
		r.challenge(f)
		r.clock.Advance(time.Hour)
	}
	for _, keys := range [][]string{{one, two}, {two, one}} {
		r.with(keys...)
		_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
		if mustBe(t, err, mfa.ErrThrottled); refusal(t, err).RetryAfter != 22*time.Hour {
			t.Errorf("%v, want a wait of 22h", err)
		}
	}
	r.challenge(r.enrollSMS("user_bob", phone)) // which moves the number to the new key
	_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
	if mustBe(t, err, mfa.ErrThrottled); refusal(t, err).RetryAfter != 22*time.Hour {
		t.Errorf("moved to the new key: %v, want a wait of 22h", err)
	}
}

// TestWaitOfAStranger: whoever enrolls a number that they cannot confirm learns to the
// minute, and not better, when its owner was sent a message or gave a wrong code.
func TestWaitOfAStranger(t *testing.T) {
	r := newRig(t)
	owner := r.phone(ann, phone)
	stranger := r.enrollSMS("user_mallory", phone)
	whole := func(what string, err error, left time.Duration) {
		t.Helper()
		if wait := refusal(t, err).RetryAfter; wait != time.Minute {
			t.Errorf("%s, with %s left: a wait of %s, want a minute", what, left, wait)
		}
		if events := r.took(); len(events) != 1 || events[0].RetryAfter != time.Minute {
			t.Errorf("%s: events %+v", what, events)
		}
	}
	r.challenge(owner)
	r.clock.Advance(17*time.Second + 123*time.Millisecond)
	r.took()
	_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: stranger.ID, UserID: stranger.UserID})
	whole("after a message", err, 43*time.Second-123*time.Millisecond)

	r.clock.Advance(time.Hour)
	open := r.challenge(stranger)
	another := r.enrollSMS("user_bob", phone) // who mistypes
	ch := r.patientChallenge(another)
	wrong := wrongFor(r.right(another))
	for range 4 {
		_, err := r.answer(ch, another, wrong)
		mustBe(t, err, mfa.ErrInvalidCode)
	}
	r.took()
	_, err = r.answer(ch, another, wrong)
	mustBe(t, err, mfa.ErrInvalidCode)
	whole("the fifth wrong code", err, 30*time.Second)
	r.clock.Advance(7 * time.Second)
	_, err = r.answer(open, stranger, wrong)
	mustBe(t, err, mfa.ErrThrottled)
	whole("after a wrong code", err, 23*time.Second)
}

// TestFirstLoginAfterConfirming: the message whose code confirms a number does not delay
// the first login; the one of that login does delay the next, and all of them count. One
// that was sent after it delays as any other.
func TestFirstLoginAfterConfirming(t *testing.T) {
	for _, user := range []string{ann, ""} {
		r := newRig(t)
		f := r.enrollSMS(user, phone)
		if _, err := r.answer(r.challenge(f), f, r.right(f)); err != nil {
			t.Fatal(err)
		}
		ch := r.challenge(f) // at once
		_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: user})
		if mustBe(t, err, mfa.ErrThrottled); refusal(t, err).RetryAfter != time.Minute {
			t.Errorf("a third message at once: %v", err)
		}
		if _, err := r.answer(ch, f, r.right(f)); err != nil {
			t.Fatal(err)
		}
		_, err = r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: user})
		mustBe(t, err, mfa.ErrThrottled)
		for r.sms.Sends() < 5 {
			r.patientChallenge(f)
		}
		r.clock.Advance(15 * time.Minute)
		_, err = r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: user})
		if mustBe(t, err, mfa.ErrThrottled); refusal(t, err).RetryAfter <= 15*time.Minute {
			t.Errorf("a sixth message within an hour: %v", err)
		}
	}
	r := newRig(t)
	f := r.enrollSMS(ann, phone)
	first := r.challenge(f)
	code := r.right(f)
	r.clock.Advance(time.Minute)
	r.challenge(f)
	if _, err := r.answer(first, f, code); err != nil {
		t.Fatal(err)
	}
	_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
	mustBe(t, err, mfa.ErrThrottled)
}

// TestUserQuota: several numbers of one user share the user's cool-down, after a right
// code too.
func TestUserQuota(t *testing.T) {
	r := newRig(t)
	first := r.phone(ann, phone)
	second := r.phone(ann, "+15005550007")
	ch := r.challenge(first)
	_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: second.ID, UserID: ann})
	mustBe(t, err, mfa.ErrThrottled)
	if _, err := r.answer(ch, first, r.right(first)); err != nil {
		t.Fatal(err)
	}
	_, err = r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: second.ID, UserID: ann})
	mustBe(t, err, mfa.ErrThrottled)
}

// TestNumberQuotaAcrossUsers: two users of one number share its cool-down (and may
// share the number: NIST SP 800-63B-4 section 3-R1), but no codes.
func TestNumberQuotaAcrossUsers(t *testing.T) {
	r := newRig(t)
	first, second := r.phone(ann, phone), r.phone("user_bob", phone)
	ch := r.challenge(first)
	_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: second.ID, UserID: "user_bob"})
	mustBe(t, err, mfa.ErrThrottled)
	code := r.right(first)
	r.clock.Advance(time.Minute)
	other := r.challenge(second)
	if code == r.right(second) {
		t.Skip("one in a million: both codes are the same")
	}
	_, err = r.answer(other, second, code)
	mustBe(t, err, mfa.ErrInvalidCode)
	if _, err := r.answer(ch, first, code); err != nil {
		t.Error(err)
	}
}

// TestParallelChallengesSendOnce: of 50 challenges at once one sends.
func TestParallelChallengesSendOnce(t *testing.T) {
	r := newRig(t)
	f := r.phone(ann, phone)
	sends := r.sms.Sends()
	errs := all(50, func(int) error {
		_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
		return err
	})
	if n := r.sms.Sends() - sends; n != 1 || count(errs, nil) != 1 || count(errs, mfa.ErrThrottled) != 49 {
		t.Errorf("%d messages and %d challenges, want one: %v", n, count(errs, nil), errs)
	}
}

// TestSendFailure: a message that the sender did not hand over stays charged, its
// challenge is void, and the sender's error comes back as it was. That it went out all the
// same is the sender's mistake.
func TestSendFailure(t *testing.T) {
	cause := errors.New("provider: +15005550006 is unreachable")
	for name, script := range map[string]func(context.Context, int, mfa.Message) error{
		"fails":        func(context.Context, int, mfa.Message) error { return cause },
		"is delivered": func(context.Context, int, mfa.Message) error { return mfatest.Delivered(cause) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			f := r.enrollSMS(ann, phone)
			r.sms.Script = script
			ch, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
			if !errors.Is(err, cause) || !errors.Is(err, mfa.ErrMessageNotSent) || strings.Contains(err.Error(), "500555") {
				t.Errorf("error %v, want the sender's, without its text", err)
			}
			if ch != (mfa.Challenge{}) {
				t.Errorf("a failed message came with %+v", ch)
			}
			events := r.took()
			last := events[len(events)-1]
			if last.Kind != mfa.EventMessageFailed {
				t.Errorf("the last event is %+v, want message_failed", last)
			}
			code := "123456"
			if c := r.right(f); c != "" {
				code = c
			}
			_, err = r.Verify(t.Context(), mfa.VerifyParams{ChallengeID: last.ChallengeID, UserID: ann, Code: code})
			mustBe(t, err, mfa.ErrTooManyAttempts)
			_, err = r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
			mustBe(t, err, mfa.ErrThrottled)

			r.sms.Script = nil
			r.clock.Advance(time.Minute)
			r.login(f)
		})
	}
}

// TestChargedBeforeSending: when the message goes out, the charge and the challenge
// are durable already.
func TestChargedBeforeSending(t *testing.T) {
	r := newRig(t)
	f := r.enrollSMS(ann, phone)
	r.sms.Script = func(context.Context, int, mfa.Message) error {
		var kinds strings.Builder
		for _, rec := range r.records() {
			if rec.Kind == "challenge" || rec.Kind == "number" {
				kinds.WriteString(rec.Kind + " ")
			}
		}
		if kinds.String() != "challenge number " {
			t.Errorf("at the time of sending the store holds %q", kinds.String())
		}
		return nil
	}
	r.challenge(f)
}

// TestFailedChallengeSendsNothing: no message goes out when the challenge could not
// be committed.
func TestFailedChallengeSendsNothing(t *testing.T) {
	r := newRig(t)
	f := r.enrollSMS(ann, phone)
	broken := errors.New("disk full")
	r.store.Before = func(_ context.Context, c mfatest.Call) error {
		if c.Method == "Save" {
			return broken
		}
		return nil
	}
	_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
	mustBe(t, err, broken)
	if r.sms.Sends() != 0 {
		t.Error("a message was sent")
	}
}

// TestRegionTakenOut: a number whose region is no longer listed gets no messages,
// though it was enrolled once.
func TestRegionTakenOut(t *testing.T) {
	r := newRig(t)
	f := r.phone(ann, phone)
	r.cfg.Regions, r.cfg.DefaultRegion = []string{"DE"}, ""
	sends := r.sms.Sends()
	_, err := r.another().Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
	mustBe(t, err, mfa.ErrPhoneNumberNotAllowed)
	if r.sms.Sends() != sends {
		t.Error("a message was sent")
	}
}

// TestCodesAreUniform: no digit is likelier than another at any place of a code
// (chi-square, 9 degrees of freedom: 27.9 is exceeded once in a thousand).
func TestCodesAreUniform(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 1)
	r := newRig(t)
	const n = 1000
	var seen [6][10]float64
	for range n {
		f := r.enrollSMS("", phone)
		r.challenge(f)
		for place, digit := range r.right(f) {
			seen[place][digit-'0']++
		}
		r.clock.Advance(24 * time.Hour)
	}
	for place := range seen {
		chi := 0.0
		for _, count := range seen[place] {
			d := count - n/10
			chi += d * d / (n / 10)
		}
		if chi > 27.9 {
			t.Errorf("place %d: chi-square %.1f of %v", place, chi, seen[place])
		}
	}
}
