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

// TestChallengeAgain: a challenge that is asked for again under its key is the same one,
// by another process too, and no second message is sent or charged.
func TestChallengeAgain(t *testing.T) {
	r := newRig(t)
	f := r.Phone(ann, phone)
	sends := r.SMS.Sends()
	first, err := r.AskWith("key 1", f)
	if err != nil {
		t.Fatal(err)
	}
	before := len(r.Store.Calls("Save"))
	r.Clock.Advance(time.Minute)
	other := r.Another()
	again, err := other.Challenge(t.Context(), mfa.ChallengeParams{
		FactorID: f.ID, UserID: ann, IdempotencyKey: "key 1",
	})
	if err != nil || again != first {
		t.Errorf("again: %+v, %v; want %+v", again, err, first)
	}
	if n := r.SMS.Sends() - sends; n != 1 || len(r.Store.Calls("Save")) != before {
		t.Errorf("%d messages were sent, want 1; and something was written", n)
	}
	if _, err := r.Answer(again, f, r.Right(f)); err != nil {
		t.Error(err)
	}
	r.Clock.Advance(24*time.Hour - time.Minute)
	first.ResendAt = r.Clock.Now() // there is no wait any more
	if again, err = r.AskWith("key 1", f); err != nil || again != first {
		t.Errorf("a day later: %+v, %v", again, err)
	}
	r.Clock.Advance(time.Millisecond)
	if again, err = r.AskWith("key 1", f); err != nil || again.ID == first.ID {
		t.Errorf("after a day the key is free: %+v, %v", again, err)
	}
}

// TestChallengeAgainWhileDisabled: what was answered once is answered again, although the
// factor was disabled since.
func TestChallengeAgainWhileDisabled(t *testing.T) {
	r := newRig(t, func(c *mfa.Config) { c.Policy.MaxFailures = 5 })
	f := r.TOTP(ann)
	first, err := r.AskWith("key 1", f)
	if err != nil {
		t.Fatal(err)
	}
	r.Fail(f, 5)
	_, err = r.AskWith("key 2", f)
	mustBe(t, err, mfa.ErrFactorDisabled)
	if again, err := r.AskWith("key 1", f); err != nil || again != first {
		t.Errorf("again: %+v, %v; want %+v", again, err, first)
	}
}

// TestChallengeKeyOfAnother: a key with other parameters is refused and sends nothing, so
// that neither the owner and an operator share it, nor two actions; on another factor it
// is another key.
func TestChallengeKeyOfAnother(t *testing.T) {
	for _, factorType := range factorTypes {
		t.Run(string(factorType), func(t *testing.T) {
			g := newGuesser(t, factorType, mfa.Policy{}, 0)
			r, f := g.Rig, g.F
			others := []enrolled{g.Phone("user_bob", "+12125551234"), g.TOTP("user_eve")}
			pay := func(p *mfa.ChallengeParams) { p.Action = proof.ActionOf("pay", "EUR 5.00") }
			first, err := r.AskWith("key", f, pay)
			if err != nil {
				t.Fatal(err)
			}
			r.Clock.Advance(time.Hour)
			sends, saves := r.SMS.Sends(), len(r.Store.Calls("Save"))
			for name, change := range map[string]func(*mfa.ChallengeParams){
				"template": func(p *mfa.ChallengeParams) { p.SMSTemplate = "It is {{code}}." },
				"user":     func(p *mfa.ChallengeParams) { p.UserID = mfa.AnyUser },
				"confirm":  func(p *mfa.ChallengeParams) { p.Confirm = true },
				"another action": func(p *mfa.ChallengeParams) {
					p.Action = proof.ActionOf("pay", "EUR 500.00")
				},
				"no action": func(p *mfa.ChallengeParams) { p.Action = proof.Action{} },
			} {
				_, err := r.AskWith("key", f, pay, change)
				if e := refusal(
					t,
					err,
				); !errors.Is(err, mfa.ErrIdempotencyKey) || e.Code != "idempotency_key_reused" ||
					e.ID != f.ID {
					t.Errorf("%s: %v", name, err)
				}
			}
			if again, err := r.AskWith("key", f, pay); err != nil || again.ID != first.ID {
				t.Errorf("the same again: %+v, %v", again, err)
			}
			if r.SMS.Sends() != sends || len(r.Store.Calls("Save")) != saves {
				t.Error("something was sent or written")
			}
			for _, other := range others {
				if _, err := r.AskWith("key", other); err != nil {
					t.Errorf("another factor, %s: %v", other.Type, err)
				}
			}
			_, err = r.AskWith(strings.Repeat("k", 256), f)
			mustBe(t, err, mfa.ErrInvalidParameter)
		})
	}
}

// TestKeyedChallengeLeavesTheFactor: of a factor that sends no message, a challenge with a
// key is remembered without a write of the factor, which a login would lose a race to; and
// the same call again reads once.
func TestKeyedChallengeLeavesTheFactor(t *testing.T) {
	for _, factorType := range []mfa.FactorType{
		mfa.TypeTOTP, mfa.TypeGenericOTP, mfa.TypeRecoveryCodes,
	} {
		g := newGuesser(t, factorType, mfa.Policy{}, 0)
		before := g.Record("factor").Version
		first, err := g.AskWith("key", g.F)
		if err != nil {
			t.Fatal(err)
		}
		if after := g.Record("factor").Version; after != before {
			t.Errorf("%s: the factor was written: version %d, then %d", factorType, before, after)
		}
		var again mfa.Challenge
		if calls := g.Calls(
			func() { again, err = g.AskWith("key", g.F) },
		); calls != "Load" || err != nil || again.ID != first.ID ||
			again.Code() != first.Code() {
			t.Errorf("%s: again it calls %q, with %+v, %v", factorType, calls, again, err)
		}
	}
}

// TestKeyAtMidnight: a call is known again in the night, and by a process whose clock is a
// little behind; and once the key is free, the new challenge is the one that is known.
func TestKeyAtMidnight(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	ask := func(at time.Time, key string) string {
		t.Helper()
		r.Clock.Set(at)
		ch, err := r.AskWith(key, f)
		if err != nil {
			t.Fatal(err)
		}
		return ch.ID
	}
	midnight := r.Clock.Now().Truncate(24 * time.Hour).Add(24 * time.Hour)
	for key, apart := range map[string][2]time.Duration{
		"a night":            {-time.Second, time.Second},
		"a clock behind":     {time.Second, -time.Second},
		"a day":              {0, 24 * time.Hour},
		"the end of one":     {-time.Millisecond, 24*time.Hour - time.Millisecond},
		"the same day":       {0, 24*time.Hour - time.Millisecond},
		"a moment in itself": {0, 0},
	} {
		if first, again := ask(
			midnight.Add(apart[0]),
			key,
		), ask(
			midnight.Add(apart[1]),
			key,
		); first != again {
			t.Errorf("%s: %s, then %s", key, first, again)
		}
	}
	noon := midnight.Add(12 * time.Hour)
	first := ask(noon, "daily")
	second := ask(noon.Add(24*time.Hour+time.Millisecond), "daily")
	if again := ask(noon.Add(47*time.Hour), "daily"); second == first || again != second {
		t.Errorf("%s, a day later %s, and again %s", first, second, again)
	}
}

// TestChallengeKeyIsFreeAgain: a message that could not be sent does not use up the key.
func TestChallengeKeyIsFreeAgain(t *testing.T) {
	r := newRig(t)
	f := r.Phone(ann, phone)
	r.SMS.Script = func(context.Context, int, mfa.Message) error { return errors.New("no network") }
	_, err := r.AskWith("key", f)
	mustBe(t, err, mfa.ErrMessageNotSent)
	_, err = r.AskWith("key", f) // the message counts all the same
	mustBe(t, err, mfa.ErrThrottled)
	r.SMS.Script = nil
	r.Clock.Advance(time.Hour)
	ch, err := r.AskWith("key", f, func(p *mfa.ChallengeParams) { p.SMSTemplate = "Now: {{code}}" })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Answer(ch, f, r.Right(f)); err != nil {
		t.Error(err)
	}
}

// TestLastFourKeys: an SMS factor remembers four challenges; of an app each is remembered.
func TestLastFourKeys(t *testing.T) {
	for _, four := range []bool{true, false} {
		r := newRig(t)
		f := r.Phone(ann, phone)
		if !four {
			f = r.TOTP(ann)
		}
		first := map[string]string{}
		for _, key := range []string{"a", "b", "c", "d", "e"} {
			r.Clock.Advance(time.Hour)
			ch, err := r.AskWith(key, f)
			if err != nil {
				t.Fatal(err)
			}
			first[key] = ch.ID
		}
		r.Clock.Advance(time.Hour)
		for _, key := range []string{"b", "c", "d", "e", "a"} {
			ch, err := r.AskWith(key, f)
			if err != nil {
				t.Fatal(err)
			}
			if same := ch.ID == first[key]; same != (key != "a" || !four) {
				t.Errorf("%s, key %s: the same challenge: %t", f.Type, key, same)
			}
		}
	}
}

// TestChallengeKeyAtOnce: of many calls at once with one key, one sends.
func TestChallengeKeyAtOnce(t *testing.T) {
	r := newRig(t)
	f := r.Phone(ann, phone)
	sends := r.SMS.Sends()
	ids := make([]string, 8)
	errs := all(len(ids), func(i int) error {
		ch, err := r.AskWith("key", f)
		ids[i] = ch.ID
		return err
	})
	for i, err := range errs {
		if err != nil || ids[i] != ids[0] {
			t.Errorf("call %d: %s, %v; want %s", i, ids[i], err, ids[0])
		}
	}
	if n := r.SMS.Sends() - sends; n != 1 {
		t.Errorf("%d messages were sent", n)
	}
}

// TestChallengeKeyBetweenReads: the same request, made between the two reads of another
// process, is not mistaken for a message of somebody else.
func TestChallengeKeyBetweenReads(t *testing.T) {
	r := newRig(t)
	f := r.Phone(ann, phone)
	p := mfa.ChallengeParams{FactorID: f.ID, UserID: ann, IdempotencyKey: "key"}
	loads := 0
	var first mfa.Challenge
	r.Store.Before = func(ctx context.Context, c mfatest.Call) error {
		if loads++; c.Method != "Load" || loads != 2 {
			return nil
		}
		var err error
		first, err = r.Another().Challenge(ctx, p)
		return err
	}
	again, err := r.Challenge(t.Context(), p)
	if err != nil || again != first {
		t.Errorf("%+v, %v; want %+v", again, err, first)
	}
}

// TestThrottledWithAKey: a key changes nothing about what a refusal says.
func TestThrottledWithAKey(t *testing.T) {
	r := newRig(t)
	f := r.Phone(ann, phone)
	r.Ask(f)
	r.Clock.Advance(time.Second)
	_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
	mustBe(t, err, mfa.ErrThrottled)
	want := refusal(t, err).RetryAfter
	r.Took()
	_, err = r.AskWith("key", f)
	mustBe(t, err, mfa.ErrThrottled)
	if got := refusal(t, err).RetryAfter; got != want || len(r.Took()) != 1 {
		t.Errorf("a wait of %s, want %s and an event", got, want)
	}
}

// TestVerifyAgain: within a minute the same answer under the same key succeeds again;
// nothing else does, and nothing is counted.
func TestVerifyAgain(t *testing.T) {
	r := newRig(t)
	f := r.EnrollTOTP(ann)
	ch := r.Ask(f)
	code := r.Right(f)
	first, err := r.AnswerWith("key", ch, f, code)
	if err != nil || !first.FirstUse {
		t.Fatal(first, err)
	}
	r.Took()
	saves := len(r.Store.Calls("Save"))
	r.Clock.Advance(time.Minute)
	again, err := r.AnswerWith("key", ch, f, code)
	if err != nil || !again.Valid || !again.FirstUse || again.Challenge != first.Challenge ||
		again.Factor.ID != f.ID {
		t.Errorf("again: %+v, %v", again, err)
	}
	for name, c := range map[string]struct {
		key  string
		want error
	}{
		"another key":            {"kez", mfa.ErrChallengePreviouslyVerified},
		"no key":                 {"", mfa.ErrChallengePreviouslyVerified},
		"a key that is too long": {strings.Repeat("k", 256), mfa.ErrInvalidParameter},
	} {
		if v, err := r.AnswerWith(c.key, ch, f, code); v.Valid || !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if len(r.Store.Calls("Save")) != saves || len(r.Took()) > 0 {
		t.Error("something was written or told")
	}
	if _, err := r.AnswerWith("key", r.Ask(f), f, code); !errors.Is(err, mfa.ErrInvalidCode) {
		t.Errorf("the same key and code on another challenge: %v", err)
	}
	r.Clock.Advance(time.Millisecond)
	if _, err := r.AnswerWith(
		"key",
		ch,
		f,
		code,
	); !errors.Is(
		err,
		mfa.ErrChallengePreviouslyVerified,
	) {
		t.Errorf("after a minute: %v", err)
	}
}

// TestVerifyKeyIsNoOracle: under the key of a success, another code or spelling is
// refused, and ends what the key was good for: nobody can try codes under it.
func TestVerifyKeyIsNoOracle(t *testing.T) {
	for name, change := range map[string]func(code, wrong string) string{
		"another code":     func(_, wrong string) string { return wrong },
		"another spelling": func(code, _ string) string { return code + " " },
	} {
		r := newRig(t)
		f := r.TOTP(ann)
		ch := r.Ask(f)
		code, wrong := r.Right(f), r.Wrong(f)
		if _, err := r.AnswerWith("key", ch, f, code); err != nil {
			t.Fatal(err)
		}
		if v, err := r.AnswerWith(
			"key",
			ch,
			f,
			change(code, wrong),
		); v.Valid ||
			!errors.Is(err, mfa.ErrIdempotencyKey) {
			t.Errorf("%s: %v", name, err)
		}
		if v, err := r.AnswerWith(
			"key",
			ch,
			f,
			code,
		); v.Valid ||
			!errors.Is(err, mfa.ErrChallengePreviouslyVerified) {
			t.Errorf("the right code after %s: %v", name, err)
		}
	}
}

// TestWrongVerifyAgain: a wrong code counts each time, its key takes no other code, and
// it does not share in what another call achieves.
func TestWrongVerifyAgain(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	ch, wrong := r.Ask(f), r.Wrong(f)
	for left := range 2 {
		_, err := r.AnswerWith("key", ch, f, wrong)
		if e := refusal(t, err); !errors.Is(err, mfa.ErrInvalidCode) || e.AttemptsLeft != 4-left {
			t.Errorf("try %d: %v, %d left", left+1, err, e.AttemptsLeft)
		}
	}
	_, err := r.AnswerWith("key", ch, f, r.Right(f))
	mustBe(t, err, mfa.ErrIdempotencyKey)
	if _, err := r.Answer(ch, f, r.Right(f)); err != nil {
		t.Fatal(err)
	}
	if v, err := r.AnswerWith(
		"key",
		ch,
		f,
		wrong,
	); v.Valid ||
		!errors.Is(err, mfa.ErrChallengePreviouslyVerified) {
		t.Errorf("the wrong code's key after a success: %v", err)
	}
}

// TestVerifyKeyAtOnce: of many calls at once with one key and code all succeed, and with
// keys of their own one does.
func TestVerifyKeyAtOnce(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	ch, code := r.Ask(f), r.Right(f)
	errs := all(8, func(int) error { _, err := r.AnswerWith("key", ch, f, code); return err })
	if n := count(errs, nil); n != 8 {
		t.Errorf("%d of 8 were told: %v", n, errs)
	}
	r.Clock.Advance(time.Minute)
	ch, code = r.Ask(f), r.Right(f)
	errs = all(
		8,
		func(i int) error { _, err := r.AnswerWith(string(rune('a'+i)), ch, f, code); return err },
	)
	if n := count(errs, nil); n != 1 {
		t.Errorf("%d of 8 were accepted: %v", n, errs)
	}
}

// TestGenericOTP: the code is handed to the application, and is used up as any other.
func TestGenericOTP(t *testing.T) {
	r := newRig(t)
	enr, err := r.Enroll(t.Context(), mfa.EnrollParams{UserID: ann, GenericOTP: true})
	if err != nil || enr.TOTP != nil || enr.Factor.Type != mfa.TypeGenericOTP ||
		enr.Factor.Restricted() {
		t.Fatal(enr, err)
	}
	f := enrolled{Factor: enr.Factor}
	ch, err := r.AskWith("key", f)
	if err != nil {
		t.Fatal(err)
	}
	again, err := r.AskWith("key", f)
	if err != nil || again.Code() != ch.Code() || again.ID != ch.ID {
		t.Errorf("again: %v, the same code: %t", err, again.Code() == ch.Code())
	}
	if text := printed(ch); len(ch.Code()) != 6 || shows(text, ch.Code()) {
		t.Errorf("code %q is printed, or is no code", ch.Code())
	}
	if other := r.Ask(f); other.Code() == ch.Code() && r.Ask(f).Code() == ch.Code() {
		t.Error("three challenges have one code")
	}
	wrong := "000000"
	if ch.Code() == wrong {
		wrong = "000001"
	}
	_, err = r.Answer(ch, f, wrong)
	mustBe(t, err, mfa.ErrInvalidCode)
	v, err := r.Answer(ch, f, ch.Code())
	if err != nil || !v.FirstUse || v.Challenge.Code() != "" {
		t.Errorf("%+v, %v", v, err)
	}
	_, err = r.Answer(ch, f, ch.Code())
	mustBe(t, err, mfa.ErrChallengePreviouslyVerified)
	if again, err = r.AskWith("key", f); err != nil || again.Code() != "" {
		t.Errorf("a used code is told again: %q, %v", again.Code(), err)
	}
	if n := r.SMS.Sends(); n != 0 {
		t.Errorf("%d messages were sent", n)
	}
	if r.Ask(r.TOTP(ann)).Code() != "" || r.Ask(r.Phone(ann, phone)).Code() != "" {
		t.Error("the challenge of an app or a phone tells a code")
	}
}
