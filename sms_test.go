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
	f := r.Phone(ann, "(500) 555-0006")
	for template, want := range map[string]string{
		"":                          "Your verification code is 123456.",
		"Your FooCorp is {{code}}.": "Your FooCorp is 123456.",
		"{{code}} ist Ihr Code 🔑":   "123456 ist Ihr Code 🔑",
	} {
		_, err := r.Challenge(t.Context(), mfa.ChallengeParams{
			FactorID: f.ID, UserID: ann, SMSTemplate: template,
		})
		if err != nil {
			t.Fatal(err)
		}
		messages := r.SMS.Messages()
		m := messages[len(messages)-1]
		if got := strings.Replace(m.Body, r.Right(f), "123456", 1); got != want || m.To != phone {
			t.Errorf("message %q to %s, want %q to %s", got, m.To, want, phone)
		}
		r.Clock.Advance(time.Hour)
	}
}

// TestMessageID: the id of a message is an idempotency key, its own for each
// challenge, and does not hold the challenge's id.
func TestMessageID(t *testing.T) {
	r := newRig(t)
	f := r.Phone(ann, phone)
	ch := r.Ask(f)
	m := r.SMS.Messages()
	if len(m) != 2 || m[0].ID == m[1].ID || len(m[1].ID) != 32 ||
		strings.Contains(m[1].ID, strings.TrimPrefix(ch.ID, "auth_challenge_")) {
		t.Errorf("message ids %q and %q", m[0].ID, m[1].ID)
	}
}

func TestDestinationIsEnrolledNumber(t *testing.T) {
	r := newRig(t)
	f := r.Phone(ann, phone)
	r.EnrollSMS(ann, "+15005550007") // a change of number is a new factor, unverified
	r.Ask(f)
	messages := r.SMS.Messages()
	if to := messages[len(messages)-1].To; to != phone {
		t.Errorf("the code went to %s", to)
	}
}

// TestCooldown: 60, 120, 300, 600, then 900 seconds between messages, per number
// and per user, whatever challenge or factor they are for; a success takes it back.
func TestCooldown(t *testing.T) {
	want := []time.Duration{time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute}
	r := newRig(t)
	f := r.Phone(ann, phone)
	r.Clock.Advance(24 * time.Hour)
	for i, wait := range want {
		r.Ask(f)
		sends := r.SMS.Sends()
		r.Clock.Advance(wait - time.Millisecond)
		_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
		mustBe(t, err, mfa.ErrThrottled)
		if got := refusal(t, err).RetryAfter; got != time.Millisecond {
			t.Fatalf("message %d: %s left of a wait of %s, want 1ms", i+1, got, wait)
		}
		if r.SMS.Sends() != sends {
			t.Fatal("a throttled challenge sent a message")
		}
		r.Clock.Advance(time.Millisecond)
	}
	ch := r.Ask(f) // the fifth: the hour is full, and the cool-down 15 minutes
	if _, err := r.Answer(ch, f, r.Right(f)); err != nil {
		t.Fatal(err)
	}
	_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
	if got := refusal(t, err).RetryAfter; got != time.Hour-18*time.Minute {
		t.Fatalf("after a success the wait is %s, want what is left of the hour", got)
	}
	r.Clock.Advance(time.Hour)
	ch = r.Ask(f)
	if _, err := r.Answer(ch, f, r.Right(f)); err != nil { // in the same millisecond, too
		t.Fatal(err)
	}
	_, err = r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
	if got := refusal(t, err).RetryAfter; got != time.Minute {
		t.Fatalf("between two messages there is a wait of %s, want a minute whatever succeeded", got)
	}
	r.Clock.Advance(time.Minute)
	r.Ask(f)
	r.Clock.Advance(time.Minute)
	r.Ask(f)
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
			factors := []enrolled{r.EnrollSMS(ann, phone)}
			if tt.verified {
				r.LogIn(factors[0])
				r.Clock.Advance(25 * time.Hour)
			} else { // of whom each has two a day
				factors = append(factors, r.EnrollSMS("user_bob", phone), r.EnrollSMS("user_eve", phone))
			}
			begin, sent := r.Clock.Now(), []time.Time{}
			for r.Clock.Now().Sub(begin) < 23*time.Hour {
				shortest := 24 * time.Hour
				for _, f := range factors {
					_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: f.UserID})
					if err == nil {
						sent = append(sent, r.Clock.Now())
						shortest = 0
						break
					}
					shortest = min(shortest, refusal(t, err).RetryAfter)
				}
				r.Clock.Advance(shortest)
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
				t.Errorf(
					"%d messages in a day and up to %d in an hour, want %d and %d",
					len(sent),
					inHour,
					tt.daily,
					tt.hourly,
				)
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
			f := r.EnrollSMS(user, phone)
			_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: user})
			if err == nil {
				sent[user] = append(sent[user], r.Clock.Now())
			} else if wait := refusal(t, err).RetryAfter; !errors.Is(err, mfa.ErrThrottled) ||
				wait <= 0 || wait > aDay {
				t.Fatal(err)
			}
		}
		for range 2 * 24 * 6 {
			for _, stranger := range tt.strangers {
				ask(stranger)
			}
			ask(ann)
			r.Clock.Advance(10 * time.Minute)
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
	f := r.EnrollSMS(ann, phone)
	for range 2 {
		r.Ask(f)
		r.Clock.Advance(time.Hour)
	}
	for _, keys := range [][]string{{one, two}, {two, one}} {
		r.with(keys...)
		_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
		if mustBe(t, err, mfa.ErrThrottled); refusal(t, err).RetryAfter != 22*time.Hour {
			t.Errorf("%v, want a wait of 22h", err)
		}
	}
	r.Ask(r.EnrollSMS("user_bob", phone)) // which moves the number to the new key
	_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
	if mustBe(t, err, mfa.ErrThrottled); refusal(t, err).RetryAfter != 22*time.Hour {
		t.Errorf("moved to the new key: %v, want a wait of 22h", err)
	}
}

// TestWaitOfAStranger: whoever enrolls a number that they cannot confirm learns to the
// minute, and not better, when its owner was sent a message or gave a wrong code.
func TestWaitOfAStranger(t *testing.T) {
	r := newRig(t)
	owner := r.Phone(ann, phone)
	stranger := r.EnrollSMS("user_mallory", phone)
	whole := func(what string, err error, left time.Duration) {
		t.Helper()
		wait := refusal(t, err).RetryAfter
		end := r.Clock.Now().Add(wait)
		if end != end.Truncate(time.Minute) || wait < left || wait >= left+time.Minute {
			t.Errorf("%s, with %s left: until %s, want the end of that minute", what, left, end)
		}
		if events := r.Took(); len(events) != 1 || events[0].RetryAfter != wait {
			t.Errorf("%s: events %+v", what, events)
		}
	}
	r.Ask(owner)
	r.Clock.Advance(17*time.Second + 123*time.Millisecond)
	r.Took()
	_, err := r.Challenge(t.Context(), mfa.ChallengeParams{
		FactorID: stranger.ID, UserID: stranger.UserID,
	})
	whole("after a message", err, 43*time.Second-123*time.Millisecond)
	// Nor does it tell whoever asks again and again.
	end := r.Clock.Now().Add(refusal(t, err).RetryAfter)
	for range 42 {
		r.Clock.Advance(time.Second)
		_, err := r.Challenge(t.Context(), mfa.ChallengeParams{
			FactorID: stranger.ID, UserID: stranger.UserID,
		})
		if now := r.Clock.Now().Add(refusal(t, err).RetryAfter); now != end {
			t.Fatalf("it ends at %s, and was to end at %s", now, end)
		}
	}
	r.Took()

	r.Clock.Advance(time.Hour)
	open := r.Ask(stranger)
	another := r.EnrollSMS("user_bob", phone) // who mistypes
	ch := r.AskPatiently(another)
	wrong := wrongFor(r.Right(another))
	for range 4 {
		_, err := r.Answer(ch, another, wrong)
		mustBe(t, err, mfa.ErrInvalidCode)
	}
	r.Took()
	_, err = r.Answer(ch, another, wrong)
	mustBe(t, err, mfa.ErrInvalidCode)
	whole("the fifth wrong code", err, 30*time.Second)
	r.Clock.Advance(7 * time.Second)
	_, err = r.Answer(open, stranger, wrong)
	mustBe(t, err, mfa.ErrThrottled)
	whole("after a wrong code", err, 23*time.Second)
}

// TestFirstLoginAfterConfirming: the message whose code confirms a number does not delay
// the first login; the one of that login does delay the next, and all of them count. One
// that was sent after it delays as any other.
func TestFirstLoginAfterConfirming(t *testing.T) {
	for _, user := range []string{ann, ""} {
		r := newRig(t)
		f := r.EnrollSMS(user, phone)
		if _, err := r.Answer(r.Ask(f), f, r.Right(f)); err != nil {
			t.Fatal(err)
		}
		ch := r.Ask(f) // at once
		_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: user})
		if mustBe(t, err, mfa.ErrThrottled); refusal(t, err).RetryAfter != time.Minute {
			t.Errorf("a third message at once: %v", err)
		}
		if _, err := r.Answer(ch, f, r.Right(f)); err != nil {
			t.Fatal(err)
		}
		_, err = r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: user})
		mustBe(t, err, mfa.ErrThrottled)
		for r.SMS.Sends() < 5 {
			r.AskPatiently(f)
		}
		r.Clock.Advance(15 * time.Minute)
		_, err = r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: user})
		if mustBe(t, err, mfa.ErrThrottled); refusal(t, err).RetryAfter <= 15*time.Minute {
			t.Errorf("a sixth message within an hour: %v", err)
		}
	}
	r := newRig(t)
	f := r.EnrollSMS(ann, phone)
	first := r.Ask(f)
	code := r.Right(f)
	r.Clock.Advance(time.Minute)
	r.Ask(f)
	if _, err := r.Answer(first, f, code); err != nil {
		t.Fatal(err)
	}
	_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
	mustBe(t, err, mfa.ErrThrottled)
}

// TestUserQuota: several numbers of one user share the user's cool-down, after a right
// code too.
func TestUserQuota(t *testing.T) {
	r := newRig(t)
	first := r.Phone(ann, phone)
	second := r.Phone(ann, "+15005550007")
	ch := r.Ask(first)
	_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: second.ID, UserID: ann})
	mustBe(t, err, mfa.ErrThrottled)
	if _, err := r.Answer(ch, first, r.Right(first)); err != nil {
		t.Fatal(err)
	}
	_, err = r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: second.ID, UserID: ann})
	mustBe(t, err, mfa.ErrThrottled)
}

// TestNumberQuotaAcrossUsers: two users of one number share its cool-down (and may
// share the number: NIST SP 800-63B-4 section 3-R1), but no codes.
func TestNumberQuotaAcrossUsers(t *testing.T) {
	r := newRig(t)
	first, second := r.Phone(ann, phone), r.Phone("user_bob", phone)
	ch := r.Ask(first)
	_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: second.ID, UserID: "user_bob"})
	mustBe(t, err, mfa.ErrThrottled)
	code := r.Right(first)
	r.Clock.Advance(time.Minute)
	other := r.Ask(second)
	if code == r.Right(second) {
		t.Skip("one in a million: both codes are the same")
	}
	_, err = r.Answer(other, second, code)
	mustBe(t, err, mfa.ErrInvalidCode)
	if _, err := r.Answer(ch, first, code); err != nil {
		t.Error(err)
	}
}

// TestParallelChallengesSendOnce: of 50 challenges at once one sends.
func TestParallelChallengesSendOnce(t *testing.T) {
	r := newRig(t)
	f := r.Phone(ann, phone)
	sends := r.SMS.Sends()
	errs := all(50, func(int) error {
		_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
		return err
	})
	if n := r.SMS.Sends() - sends; n != 1 || count(errs, nil) != 1 ||
		count(errs, mfa.ErrThrottled) != 49 {
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
			f := r.EnrollSMS(ann, phone)
			r.SMS.Script = script
			ch, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
			if !errors.Is(err, cause) || !errors.Is(err, mfa.ErrMessageNotSent) ||
				strings.Contains(err.Error(), "500555") {
				t.Errorf("error %v, want the sender's, without its text", err)
			}
			if ch != (mfa.Challenge{}) {
				t.Errorf("a failed message came with %+v", ch)
			}
			events := r.Took()
			last := events[len(events)-1]
			if last.Kind != mfa.EventMessageFailed {
				t.Errorf("the last event is %+v, want message_failed", last)
			}
			code := "123456"
			if c := r.Right(f); c != "" {
				code = c
			}
			_, err = r.Verify(t.Context(), mfa.VerifyParams{
				ChallengeID: last.ChallengeID, UserID: ann, Code: code,
			})
			mustBe(t, err, mfa.ErrTooManyAttempts)
			_, err = r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
			mustBe(t, err, mfa.ErrThrottled)

			r.SMS.Script = nil
			r.Clock.Advance(time.Minute)
			r.LogIn(f)
		})
	}
}

// TestChargedBeforeSending: when the message goes out, the charge and the challenge
// are durable already.
func TestChargedBeforeSending(t *testing.T) {
	r := newRig(t)
	f := r.EnrollSMS(ann, phone)
	r.SMS.Script = func(context.Context, int, mfa.Message) error {
		var kinds strings.Builder
		for _, rec := range r.Records() {
			if rec.Kind == "challenge" || rec.Kind == "number" {
				kinds.WriteString(rec.Kind + " ")
			}
		}
		if kinds.String() != "challenge number " {
			t.Errorf("at the time of sending the store holds %q", kinds.String())
		}
		return nil
	}
	r.Ask(f)
}

// TestFailedChallengeSendsNothing: no message goes out when the challenge could not
// be committed.
func TestFailedChallengeSendsNothing(t *testing.T) {
	r := newRig(t)
	f := r.EnrollSMS(ann, phone)
	broken := errors.New("disk full")
	r.Store.Before = func(_ context.Context, c mfatest.Call) error {
		if c.Method == "Save" {
			return broken
		}
		return nil
	}
	_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
	mustBe(t, err, broken)
	if r.SMS.Sends() != 0 {
		t.Error("a message was sent")
	}
}

// TestRegionTakenOut: a number whose region is no longer listed gets no messages,
// though it was enrolled once.
func TestRegionTakenOut(t *testing.T) {
	r := newRig(t)
	f := r.Phone(ann, phone)
	r.Config.Regions, r.Config.DefaultRegion = []string{"DE"}, ""
	sends := r.SMS.Sends()
	_, err := r.Another().Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
	mustBe(t, err, mfa.ErrPhoneNumberNotAllowed)
	if r.SMS.Sends() != sends {
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
		f := r.EnrollSMS("", phone)
		r.Ask(f)
		for place, digit := range r.Right(f) {
			seen[place][digit-'0']++
		}
		r.Clock.Advance(24 * time.Hour)
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
