package mfa_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfatest"
	"github.com/authfactor/mfa/proof"
)

// TestTrustedDevice: a browser is let in without a code for 30 days after one was typed on
// it, each time with the newest token.
func TestTrustedDevice(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	typed := r.Clock.Now()
	d := r.Trust(f, "Firefox")
	if !d.ExpiresAt.Equal(typed.Add(30*24*time.Hour)) || !d.CreatedAt.Equal(typed) ||
		!strings.HasPrefix(d.ID, "auth_device_") {
		t.Errorf("%+v", d)
	}
	token := d.Token()
	for range 29 {
		r.Clock.Advance(24 * time.Hour)
		next, err := r.Use(token)
		if err != nil || next.ID != d.ID || next.Token() == token || !next.UsedAt.Equal(r.Clock.Now()) ||
			!next.ExpiresAt.Equal(d.ExpiresAt) {
			t.Fatalf("%+v, %v", next, err)
		}
		token = next.Token()
	}
	r.Clock.Set(d.ExpiresAt)
	_, err := r.Use(token)
	mustBe(t, err, errAsked)
	if got := r.TrustedNames(); !slices.Equal(got, []string{"Firefox"}) {
		t.Errorf("devices with a lane are %v", got)
	}

	// A code on the same browser: the same device goes on.
	v, err := r.Verify(t.Context(), mfa.VerifyParams{
		ChallengeID: r.Ask(f).ID,
		UserID:      ann,
		Code:        r.Right(f),
		TrustDevice: true,
		DeviceName:  "Firefox 2",
		DeviceToken: token,
	})
	if err != nil || v.Device.ID != d.ID {
		t.Fatalf("%+v, %v", v.Device, err)
	}
	if _, err := r.Use(v.Device.Token()); err != nil {
		t.Error(err)
	}
	if got := r.TrustedNames(); !slices.Equal(got, []string{"Firefox 2"}) {
		t.Errorf("devices %v", got)
	}
}

// TestStolenToken: an older token kills the line: whoever copied the cookie, or the owner
// after them, is asked for a code, and the owner is told.
func TestStolenToken(t *testing.T) {
	r := newRig(t)
	d := r.Trust(r.TOTP(ann), "Firefox")
	stolen := d.Token()
	next, err := r.Use(stolen) // by the thief, or by the owner
	if err != nil {
		t.Fatal(err)
	}
	r.Clock.Advance(30 * time.Second)
	r.Took()
	_, err = r.Use(stolen)
	mustBe(t, err, errAsked)
	if e := r.Took(); len(e) != 1 || e[0].Kind != mfa.EventDeviceStolen || e[0].DeviceID != d.ID ||
		e[0].UserID != ann ||
		!e[0].Notify() {
		t.Errorf("%+v", e)
	}
	_, err = r.Use(next.Token())
	mustBe(t, err, errAsked)
	if got := r.TrustedNames(); len(got) != 0 {
		t.Errorf("devices %v", got)
	}
}

// TestForgedTokens: a token that was never made is refused, changes nothing, and does not
// end the trust in a device whose id somebody knows.
func TestForgedTokens(t *testing.T) {
	r := newRig(t)
	f, bob := r.TOTP(ann), r.TOTP("user_bob")
	d, bobs := r.Trust(f, "Firefox"), r.Trust(bob, "Chrome")
	token := d.Token()
	parts := strings.Split(token, ".")
	forged := []string{
		"",
		".",
		"..",
		parts[0],
		parts[0] + "." + parts[1],
		parts[0] + "." + parts[1] + ".",
		parts[0] + ".0." + parts[2],
		parts[0] + ".2." + parts[2],
		parts[0] + ".-1." + parts[2],
		parts[0] + ".01." + parts[2],
		parts[0] + ".+1." + parts[2],
		parts[0] + ".99999999999999999999." + parts[2],
		strings.Split(bobs.Token(), ".")[0] + "." + parts[1] + "." + parts[2],
		bobs.Token(),
		token + "A",
		token + "\n",
		strings.ToLower(token),
		strings.Repeat("a", 1<<20),
		f.ID + ".1." + parts[2],
	}
	for i := range token {
		forged = append(forged, token[:i]+token[i+1:], token[:i]+string(token[i]^1)+token[i+1:])
	}
	saves := len(r.Store.Calls("Save"))
	for _, text := range forged {
		got, err := r.Use(text)
		if !errors.Is(err, errAsked) || got != (used{}) ||
			len(text) > 40 && strings.Contains(err.Error(), text) {
			t.Errorf("%.60q: %+v, %v", text, got, err)
		}
	}
	if login, err := r.StartLogin(t.Context(), mfa.LoginParams{
		UserID: "user_bob", DeviceToken: token,
	}); err != nil || login.SkipCode ||
		login.DeviceToken() != token { // whose cookie is left alone
		t.Errorf("somebody else's: %+v, %v", login, err)
	}
	if len(r.Store.Calls("Save")) != saves {
		t.Error("a forged token was written")
	}
	if _, err := r.Use(token); err != nil {
		t.Errorf("the token itself: %v", err)
	}
}

// TestPreviousToken: the token before the current one is good for 30 seconds after it
// was replaced, so that two tabs or an answer that was lost end no trust. It returns the
// current token and writes nothing.
func TestPreviousToken(t *testing.T) {
	r := newRig(t)
	first := r.Trust(r.TOTP(ann), "Firefox").Token()
	second, err := r.Use(first)
	if err != nil {
		t.Fatal(err)
	}
	saves := len(r.Store.Calls("Save"))
	for range 2 {
		again, err := r.Use(first)
		if err != nil || again.Token() != second.Token() || again.UsedAt != second.UsedAt {
			t.Errorf("%+v, %v", again, err)
		}
		r.Clock.Advance(30*time.Second - time.Millisecond)
	}
	if got := len(r.Store.Calls("Save")); got != saves {
		t.Errorf("it wrote %d times", got-saves)
	}

	// An older one never was good.
	r.Clock.Advance(-25 * time.Second)
	if _, err := r.Use(second.Token()); err != nil {
		t.Fatal(err)
	}
	_, err = r.Use(first)
	mustBe(t, err, errAsked)
	if got := r.TrustedNames(); len(got) != 0 {
		t.Errorf("devices %v", got)
	}
}

// TestPreviousTokenEnds: not a moment after the 30 seconds, however often it was used in
// them; not when a clock that was ahead wrote the time; and never after the trust ended.
func TestPreviousTokenEnds(t *testing.T) {
	for name, end := range map[string]func(r *rig, next used){
		"30 seconds": func(r *rig, _ used) { r.Clock.Advance(3 * time.Millisecond) },
		"a clock that was ahead": func(r *rig, _ used) {
			r.Clock.Advance(-time.Minute)
		},
		"revocation": func(r *rig, next used) {
			r.Clock.Advance(-20 * time.Second)
			if err := r.RevokeDevice(r.T.Context(), ann, next.ID); err != nil {
				r.T.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			d := r.Trust(r.TOTP(ann), "Firefox")
			next, err := r.Use(d.Token())
			if err != nil {
				t.Fatal(err)
			}
			for range 3 {
				r.Clock.Advance(9999 * time.Millisecond)
				if _, err := r.Use(d.Token()); err != nil {
					t.Fatal(err)
				}
			}
			end(r, next)
			_, err = r.Use(d.Token())
			mustBe(t, err, errAsked)
		})
	}
}

// TestPreviousTokenWithCode: a code that was typed beside the previous token goes on with
// the same device and gives the current token, which is not replaced once more.
func TestPreviousTokenWithCode(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	d := r.Trust(f, "Firefox")
	next, err := r.Use(d.Token())
	if err != nil {
		t.Fatal(err)
	}
	verify := func(token string) mfa.TrustedDevice {
		t.Helper()
		code := r.Right(f)
		ch := r.Ask(f)
		v, err := r.Verify(t.Context(), mfa.VerifyParams{
			ChallengeID: ch.ID,
			UserID:      ann,
			Code:        code,
			TrustDevice: true,
			DeviceName:  "Firefox",
			DeviceToken: token,
		})
		if err != nil {
			t.Fatal(err)
		}
		return v.Device
	}
	if got := verify(d.Token()); got.ID != d.ID || got.Token() != next.Token() {
		t.Error("the previous token gave another device, or another token than the current one")
	}
	r.Clock.Advance(time.Minute)
	if _, err := r.Use(next.Token()); err != nil {
		t.Errorf("the current token: %v", err)
	}
}

// TestTokenAtOnce: of many logins at once with one token all are let in with the same next
// token, within the 30 seconds in which the token before is good.
func TestTokenAtOnce(t *testing.T) {
	r := newRig(t)
	d := r.Trust(r.TOTP(ann), "Firefox")
	services := []*mfa.Service{r.Service, r.Another()}
	var tokens [20]string
	errs := all(20, func(i int) error {
		login, err := services[i%2].StartLogin(t.Context(), mfa.LoginParams{
			UserID: ann, DeviceToken: d.Token(),
		})
		tokens[i] = login.DeviceToken()
		if err == nil && !login.SkipCode {
			err = errAsked
		}
		return err
	})
	if n := count(errs, nil); n != 20 || len(r.TrustedNames()) != 1 {
		t.Errorf("%d were let in: %v", n, errs)
	}
	for _, token := range tokens {
		if token != tokens[0] || token == d.Token() {
			t.Errorf("%d tokens came of one", len(tokens))
			break
		}
	}
}

// TestDevicesDieWithFactors: whoever changes the factors may not be who trusted the
// browser, so each change of the verified ones ends the trust.
func TestDevicesDieWithFactors(t *testing.T) {
	for name, change := range map[string]func(r *rig, f enrolled){
		"another one confirmed": func(r *rig, _ enrolled) { r.Phone(ann, phone) },
		"taken away": func(r *rig, f enrolled) {
			_ = r.Unenroll(r.T.Context(), mfa.UnenrollParams{FactorID: f.ID, UserID: ann})
		},
		"recovery codes": func(r *rig, _ enrolled) { r.Recovery(ann) },
		"replaced": func(r *rig, f enrolled) {
			enr, err := r.Enroll(r.T.Context(), mfa.EnrollParams{
				UserID: ann, Replaces: f.ID, TOTP: &mfa.TOTPParams{Issuer: "Foo Corp", User: "alan"},
			})
			if err != nil {
				r.T.Fatal(err)
			}
			r.LogIn(enrolled{Factor: enr.Factor, Secret: enr.TOTP.Secret()})
		},
	} {
		r := newRig(t)
		f := r.TOTP(ann)
		d := r.Trust(f, "Firefox")
		change(r, f)
		_, err := r.Use(d.Token())
		if !errors.Is(err, errAsked) || len(r.TrustedNames()) != 0 {
			t.Errorf("%s: %v, %v", name, err, r.TrustedNames())
		}
	}
	r := newRig(t)
	f := r.TOTP(ann)
	d := r.Trust(f, "Firefox")
	r.LogIn(f)
	r.Fail(f, 1)
	pending := r.EnrollSMS(ann, phone)
	_ = r.Unenroll(t.Context(), mfa.UnenrollParams{FactorID: pending.ID, UserID: ann})
	if err := r.Unlock(t.Context(), mfa.FactorParams{FactorID: f.ID, UserID: ann}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Use(d.Token()); err != nil {
		t.Errorf("what is no change of factors: %v", err)
	}
}

// TestTrustWhileConfirming: the code that confirms a factor can trust the browser.
func TestTrustWhileConfirming(t *testing.T) {
	r := newRig(t)
	d := r.Trust(r.EnrollTOTP(ann), "Firefox")
	if _, err := r.Use(d.Token()); err != nil {
		t.Error(err)
	}
}

// TestFiveDevices: a user has five, and the oldest gives way.
func TestFiveDevices(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	var devices []mfa.TrustedDevice
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		devices = append(devices, r.Trust(f, name))
	}
	if got := r.TrustedNames(); !slices.Equal(got, []string{"b", "c", "d", "e", "f"}) {
		t.Errorf("devices %v", got)
	}
	_, err := r.Use(devices[0].Token())
	mustBe(t, err, errAsked)
	if _, err := r.Use(devices[1].Token()); err != nil {
		t.Error(err)
	}
}

// TestRevokeDevice: one, or all; and nobody else's.
func TestRevokeDevice(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	a, b, c := r.Trust(f, "a"), r.Trust(f, "b"), r.Trust(f, "c")
	bobs := r.Trust(r.TOTP("user_bob"), "bob's")
	r.Took()
	for _, id := range []string{bobs.ID, "auth_device_", f.ID, "nonsense"} {
		mustBe(t, r.RevokeDevice(t.Context(), ann, id), mfa.ErrNotFound)
	}
	for _, user := range []string{"", mfa.AnyUser} {
		mustBe(t, r.RevokeDevices(t.Context(), user), mfa.ErrInvalidParameter)
		_, err := r.Devices(t.Context(), user)
		mustBe(t, err, mfa.ErrInvalidParameter)
	}
	if err := r.RevokeDevice(t.Context(), ann, b.ID); err != nil {
		t.Fatal(err)
	}
	_, err := r.Use(b.Token())
	mustBe(t, err, errAsked)
	if got := r.TrustedNames(); !slices.Equal(got, []string{"a", "c"}) {
		t.Errorf("devices %v", got)
	}
	if e := r.Took(); len(e) != 1 || e[0].Kind != mfa.EventDeviceRevoked || e[0].DeviceID != b.ID ||
		e[0].UserID != ann {
		t.Errorf("%+v", e)
	}
	for range 2 {
		if err := r.RevokeDevices(t.Context(), ann); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range []mfa.TrustedDevice{a, c} {
		_, err := r.Use(d.Token())
		mustBe(t, err, errAsked)
	}
	if login, err := r.StartLogin(t.Context(), mfa.LoginParams{
		UserID: "user_bob", DeviceToken: bobs.Token(),
	}); err != nil ||
		!login.SkipCode {
		t.Errorf("bob's: %+v, %v", login, err)
	}
}

// TestTrustRefused: a device has a user and a name that can be shown; and a wrong code
// trusts nothing.
func TestTrustRefused(t *testing.T) {
	r := newRig(t)
	f, unowned := r.TOTP(ann), r.TOTP("")
	for _, tt := range []struct {
		factor enrolled
		name   string
	}{{unowned, "Firefox"}, {f, strings.Repeat("a", 65)}, {f, "a\nb"}, {f, " "}} {
		_, err := r.Verify(t.Context(), mfa.VerifyParams{
			ChallengeID: r.Ask(tt.factor).ID,
			UserID:      tt.factor.UserID,
			Code:        r.Right(tt.factor),
			TrustDevice: tt.name != "",
			DeviceName:  tt.name,
		})
		mustBe(t, err, mfa.ErrInvalidParameter)
	}
	v, err := r.Verify(t.Context(), mfa.VerifyParams{
		ChallengeID: r.Ask(f).ID,
		UserID:      ann,
		Code:        r.Wrong(f),
		TrustDevice: true,
		DeviceName:  "Firefox",
	})
	mustBe(t, err, mfa.ErrInvalidCode)
	if v.Device != (mfa.TrustedDevice{}) || len(r.TrustedNames()) != 0 {
		t.Errorf("%+v", v.Device)
	}
}

// onDevice challenges and answers on the device.
func (r *rig) onDevice(token string, f enrolled, code string) (mfa.Verification, error) {
	ch, err := r.Challenge(r.T.Context(), mfa.ChallengeParams{
		FactorID: f.ID, UserID: ann, DeviceToken: token,
	})
	if err != nil {
		return mfa.Verification{}, err
	}
	return r.Verify(r.T.Context(), mfa.VerifyParams{
		ChallengeID: ch.ID, UserID: ann, Code: code, DeviceToken: token,
	})
}

// TestOwnLane: while a stranger's guessing makes the factor wait, or has disabled it, the
// owner's browser takes three wrong codes a day, and a success there gives the stranger
// nothing.
func TestOwnLane(t *testing.T) {
	for _, failures := range []int{5, 30} {
		r := newRig(t)
		f := r.TOTP(ann)
		token := r.Trust(f, "Firefox").Token()
		r.Fail(f, failures)
		waits := mfa.ErrThrottled
		if failures == 30 {
			waits = mfa.ErrFactorDisabled
		}
		_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
		mustBe(t, err, waits)
		_, err = r.onDevice(strings.Replace(token, ".1.", ".0.", 1), f, r.Right(f))
		mustBe(t, err, waits)

		if _, err := r.onDevice(token, f, r.Right(f)); err != nil {
			t.Fatalf("after %d failures: %v", failures, err)
		}
		_, err = r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
		mustBe(t, err, waits) // for everybody else
		for i := range 3 {
			_, err := r.onDevice(token, f, r.Wrong(f))
			mustBe(t, err, mfa.ErrInvalidCode)
			if wait := refusal(t, err).RetryAfter; i < 2 && wait != 0 {
				t.Errorf("after wrong code %d: a wait of %s", i+1, wait)
			}
		}
		if failures == 30 {
			r.Clock.Advance(23 * time.Hour)
			_, err = r.onDevice(token, f, r.Right(f))
			mustBe(t, err, waits)
			r.Clock.Advance(time.Hour)
			if _, err = r.onDevice(token, f, r.Right(f)); err != nil {
				t.Errorf("a day later: %v", err)
			}
		} else {
			_, err = r.onDevice(token, f, r.Right(f))
			mustBe(t, err, waits)
		}
	}
}

// TestOwnLaneIsSmall: 200 wrong codes at once in the lane are three answers; ten in a row
// end the device.
func TestOwnLaneIsSmall(t *testing.T) {
	r := newRig(t, func(c *mfa.Config) { c.Policy.MaxAttempts = 10 })
	f := r.TOTP(ann)
	d := r.Trust(f, "Firefox")
	r.Fail(f, 30)
	for day := range 4 {
		ch, err := r.Challenge(t.Context(), mfa.ChallengeParams{
			FactorID: f.ID, UserID: ann, DeviceToken: d.Token(),
		})
		if err != nil {
			t.Fatal(err)
		}
		code := r.Wrong(f)
		r.Took()
		answered := count(all(200, func(int) error {
			_, err := r.Verify(t.Context(), mfa.VerifyParams{
				ChallengeID: ch.ID, UserID: ann, Code: code, DeviceToken: d.Token(),
			})
			return err
		}), mfa.ErrInvalidCode)
		if want := []int{3, 3, 3, 1}[day]; answered > want || answered == 0 {
			t.Errorf("day %d: %d answers, want %d at most", day, answered, want)
		}
		for answered < []int{3, 3, 3, 1}[day] { // those that lost too many races
			_, err := r.Verify(t.Context(), mfa.VerifyParams{
				ChallengeID: ch.ID, UserID: ann, Code: code, DeviceToken: d.Token(),
			})
			mustBe(t, err, mfa.ErrInvalidCode)
			answered++
		}
		if events := kinds(
			r.Took(),
		); slices.Contains(events, mfa.EventDeviceStolen) != (day == 3) ||
			slices.Contains(events, mfa.EventDisabled) {
			t.Errorf("day %d: %v", day, events)
		}
		r.Clock.Advance(24 * time.Hour)
	}
	_, err := r.Challenge(t.Context(), mfa.ChallengeParams{
		FactorID: f.ID, UserID: ann, DeviceToken: d.Token(),
	})
	mustBe(t, err, mfa.ErrFactorDisabled)
	_, err = r.Use(d.Token())
	mustBe(t, err, errAsked)
}

// TestOwnMessages: while a stranger has used up the messages, the owner's browser gets
// three a day more, and impatience does not spend them.
func TestOwnMessages(t *testing.T) {
	r := newRig(t)
	f := r.Phone(ann, phone)
	token := r.Trust(f, "Firefox").Token()
	r.Clock.Advance(24 * time.Hour)
	send := func() error {
		_, err := r.Challenge(t.Context(), mfa.ChallengeParams{
			FactorID: f.ID, UserID: ann, DeviceToken: token,
		})
		return err
	}
	if err := send(); err != nil {
		t.Fatal(err)
	}
	mustBe(t, send(), mfa.ErrThrottled) // twice within a minute
	for range 4 {
		r.Clock.Advance(15 * time.Minute)
		if err := send(); err != nil {
			t.Fatal(err)
		}
	}
	_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
	mustBe(t, err, mfa.ErrThrottled)
	sent := r.SMS.Sends()
	for i := range 3 {
		ch, err := r.Challenge(t.Context(), mfa.ChallengeParams{
			FactorID: f.ID, UserID: ann, DeviceToken: token,
		})
		if err != nil {
			t.Fatal(i, err)
		}
		r.Clock.Advance(10 * time.Second)
		mustBe(t, send(), mfa.ErrThrottled) // a cool-down of its own
		if _, err := r.Verify(t.Context(), mfa.VerifyParams{
			ChallengeID: ch.ID, UserID: ann, Code: r.Right(f), DeviceToken: token,
		}); err != nil {
			t.Fatal(err)
		}
		r.Clock.Advance(5 * time.Minute)
	}
	mustBe(t, send(), mfa.ErrThrottled)
	if n := r.SMS.Sends() - sent; n != 3 {
		t.Errorf("%d messages in the lane", n)
	}
}

// TestDevicesAreNoBudget: devices are made at will, by whoever has a factor of their own;
// what they add to the messages of a number is three a day together, and to one that is
// not confirmed nothing.
func TestDevicesAreNoBudget(t *testing.T) {
	for name, tt := range map[string]struct {
		enroll func(r *rig) enrolled
		want   int
	}{
		"confirmed":     {func(r *rig) enrolled { return r.Phone(ann, phone) }, 13},
		"not confirmed": {func(r *rig) enrolled { return r.EnrollSMS(ann, phone) }, 2},
	} {
		r := newRig(t)
		own := r.TOTP(ann)
		f := tt.enroll(r)
		r.Clock.Advance(23 * time.Hour)
		if name == "confirmed" {
			r.Clock.Advance(time.Hour)
		} else {
			f = r.EnrollSMS(ann, phone) // the first one lapses
		}
		begin, sent := r.Clock.Now(), r.SMS.Sends()
		for r.Clock.Now().Before(begin.Add(22 * time.Hour)) {
			token := r.Trust(own, "x").Token()
			for range 3 {
				_, _ = r.Challenge(t.Context(), mfa.ChallengeParams{
					FactorID: f.ID, UserID: ann, Confirm: true, DeviceToken: token,
				})
				r.Clock.Advance(4 * time.Minute)
			}
		}
		if n := r.SMS.Sends() - sent; n != tt.want {
			t.Errorf("%d messages to a number that is %s, want %d", n, name, tt.want)
		}
	}
}

// TestDevicesAreNoBudgetOfAUser: what devices add to the messages of a user is three a day
// together too, over all their numbers.
func TestDevicesAreNoBudgetOfAUser(t *testing.T) {
	r := newRig(t)
	own := r.TOTP(ann)
	numbers := []enrolled{r.Phone(ann, phone), r.Phone(ann, "+12125551234")}
	r.Clock.Advance(24 * time.Hour)
	begin, sent := r.Clock.Now(), r.SMS.Sends()
	for i := 0; r.Clock.Now().Before(begin.Add(22 * time.Hour)); i++ {
		token := r.Trust(own, "x").Token()
		for range 3 {
			_, _ = r.Challenge(t.Context(), mfa.ChallengeParams{
				FactorID: numbers[i%2].ID, UserID: ann, DeviceToken: token,
			})
			r.Clock.Advance(4 * time.Minute)
		}
	}
	if n := r.SMS.Sends() - sent; n != 13 {
		t.Errorf("%d messages, want 13", n)
	}
}

// TestLaneIsForWaits: while no code has to wait, those of a device count as all others.
func TestLaneIsForWaits(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	token := r.Trust(f, "Firefox").Token()
	for range 5 {
		_, err := r.onDevice(token, f, r.Wrong(f))
		mustBe(t, err, mfa.ErrInvalidCode)
	}
	_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
	mustBe(t, err, mfa.ErrThrottled)
}

// TestUsedTokenHasNoLane: a token that was used before is the same as none.
func TestUsedTokenHasNoLane(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	used := r.Trust(f, "Firefox").Token()
	d, err := r.Use(used)
	if err != nil {
		t.Fatal(err)
	}
	r.Clock.Advance(time.Minute)
	r.Fail(f, 5)
	_, err = r.onDevice(used, f, r.Right(f))
	mustBe(t, err, mfa.ErrThrottled)
	if _, err := r.onDevice(d.Token(), f, r.Right(f)); err != nil {
		t.Errorf("the new token: %v", err)
	}
}

// TestNoLaneForNumbers: wrong codes for a number that is not confirmed count on the number,
// whatever device they come from.
func TestNoLaneForNumbers(t *testing.T) {
	r := newRig(t)
	token := r.Trust(r.TOTP(ann), "Firefox").Token()
	f := r.EnrollSMS(ann, phone)
	first := r.AskPatiently(f)
	r.Clock.Advance(time.Minute)
	second := r.AskPatiently(f)
	guess := func(ch mfa.Challenge) error {
		_, err := r.Verify(t.Context(), mfa.VerifyParams{
			ChallengeID: ch.ID, UserID: ann, Code: r.Wrong(f), DeviceToken: token,
		})
		return err
	}
	for range 5 {
		mustBe(t, guess(first), mfa.ErrInvalidCode)
	}
	mustBe(t, guess(second), mfa.ErrThrottled)
}

// TestLastWrongCodeOfADevice: what is told with the wrong code that ends the device is what
// holds without it; and a right code ends the row.
func TestLastWrongCodeOfADevice(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	token := r.Trust(f, "Firefox").Token()
	r.Fail(f, 30)
	for i := range 10 {
		if i > 0 && i%3 == 0 {
			r.Clock.Advance(24 * time.Hour)
		}
		_, err := r.onDevice(token, f, r.Wrong(f))
		mustBe(t, err, mfa.ErrInvalidCode)
		if e := refusal(t, err); (e.AttemptsLeft == 0) != (i%3 == 2 || i == 9) {
			t.Errorf("wrong code %d: %d attempts left", i+1, e.AttemptsLeft)
		}
	}
	_, err := r.onDevice(token, f, r.Right(f))
	mustBe(t, err, mfa.ErrFactorDisabled)
	if slices.ContainsFunc(r.Records(), ofKind("device")) {
		t.Error("its row is left")
	}

	r = newRig(t)
	f = r.TOTP(ann)
	token = r.Trust(f, "Firefox").Token()
	r.Fail(f, 30)
	for range 12 {
		_, err := r.onDevice(token, f, r.Wrong(f))
		mustBe(t, err, mfa.ErrInvalidCode)
		if _, err := r.onDevice(token, f, r.Right(f)); err != nil {
			t.Fatal(err)
		}
		r.Clock.Advance(12 * time.Hour)
	}
}

// TestDeviceClockWasAhead: what a clock trusted that was ahead is not trusted for longer.
func TestDeviceClockWasAhead(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	now := r.Clock.Now()
	r.Clock.Advance(365 * 24 * time.Hour)
	d := r.Trust(f, "Firefox")
	r.Clock.Set(now)
	_, err := r.Use(d.Token())
	mustBe(t, err, errAsked)
}

// TestLaneOfAClockAhead: wrong codes that a clock noted that was ahead are forgotten with
// the next success or message in the device's lane, and so do not count when that time
// comes.
func TestLaneOfAClockAhead(t *testing.T) {
	for what, inLane := range map[string]func(r *rig, f enrolled, token string) error{
		"a success": func(r *rig, f enrolled, token string) error {
			ch, err := r.Challenge(r.T.Context(), mfa.ChallengeParams{
				FactorID: f.ID, UserID: ann, DeviceToken: token,
			})
			if err == nil {
				_, err = r.Verify(r.T.Context(), mfa.VerifyParams{
					ChallengeID: ch.ID, UserID: ann, Code: r.Right(f), DeviceToken: token,
				})
			}
			return err
		},
		"a message": func(r *rig, f enrolled, token string) (err error) {
			// The last pause is too short for all but the lane.
			for _, pause := range []time.Duration{0, time.Minute, time.Second} {
				r.Clock.Advance(pause)
				_, err = r.Challenge(r.T.Context(), mfa.ChallengeParams{
					FactorID: f.ID, UserID: ann, DeviceToken: token,
				})
			}
			return err
		},
	} {
		r := newRig(t, func(c *mfa.Config) { c.Policy.MaxFailures = 5 })
		f := r.Phone(ann, phone)
		token := r.Trust(f, "Firefox").Token()
		r.Clock.Advance(time.Hour)
		r.Fail(f, 5)
		wrong := func() error {
			_, err := r.onDevice(token, f, r.Wrong(f))
			return err
		}
		now := r.Clock.Now().Add(24 * time.Hour)
		for i := range 3 {
			r.Clock.Set(now.Add(5*time.Hour + time.Duration(i)*10*time.Minute))
			mustBe(t, wrong(), mfa.ErrInvalidCode)
		}
		r.Clock.Advance(10 * time.Minute)
		mustBe(t, wrong(), mfa.ErrFactorDisabled)
		r.Clock.Set(now)
		if err := inLane(r, f, token); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		r.Clock.Set(now.Add(6 * time.Hour))
		if err := wrong(); !errors.Is(err, mfa.ErrInvalidCode) {
			t.Errorf("after %s: %v", what, err)
		}
	}
}

// TestDeviceRows: a device that gave way leaves no row behind.
func TestDeviceRows(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	for range 12 {
		r.Trust(f, "Firefox")
	}
	rows := slices.DeleteFunc(r.Records(), func(rec mfa.Record) bool { return rec.Kind != "device" })
	if len(rows) != 5 {
		t.Errorf("%d rows, want 5", len(rows))
	}
}

// TestRevokeBeatsUse: a thief who uses the token all the time does not hold off that it is
// revoked.
func TestRevokeBeatsUse(t *testing.T) {
	r := newRig(t)
	d := r.Trust(r.TOTP(ann), "Firefox")
	token := d.Token()
	thief := r.Another()
	busy := false
	r.Store.Before = func(ctx context.Context, c mfatest.Call) error {
		if c.Method == "Save" && !busy {
			busy = true
			if login, err := thief.StartLogin(ctx, mfa.LoginParams{
				UserID: ann, DeviceToken: token,
			}); err == nil {
				token = login.DeviceToken()
			}
			busy = false
		}
		return nil
	}
	if err := r.RevokeDevice(t.Context(), ann, d.ID); err != nil {
		t.Fatal(err)
	}
	r.Store.Before = nil
	_, err := r.Use(token)
	mustBe(t, err, errAsked)
}

// TestLaneOutlivesTrust: a browser is known for 90 days after a code, and trusted for 30.
func TestLaneOutlivesTrust(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	typed := r.Clock.Now()
	token := r.Trust(f, "Firefox").Token()
	r.Fail(f, 30)
	r.Clock.Set(typed.Add(90*24*time.Hour - time.Millisecond))
	_, err := r.Use(token)
	mustBe(t, err, errAsked)
	if _, err := r.onDevice(token, f, r.Right(f)); err != nil {
		t.Error(err)
	}
	r.Clock.Set(typed.Add(90 * 24 * time.Hour))
	_, err = r.onDevice(token, f, r.Right(f))
	mustBe(t, err, mfa.ErrFactorDisabled)
	r.Clock.Advance(24*time.Hour + time.Millisecond)
	if _, err := r.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(r.Records(), func(rec mfa.Record) bool { return rec.Kind == "device" }) {
		t.Error("Purge left it")
	}
}

// TestDeviceFaults: an error of the store lets nobody in, and a lost answer costs a code.
func TestDeviceFaults(t *testing.T) {
	for _, method := range []string{"Load", "Save"} {
		r := newRig(t)
		d := r.Trust(r.TOTP(ann), "Firefox")
		broken := errors.New("the database is gone")
		r.Store.After = func(_ context.Context, c mfatest.Call) error {
			if c.Method == method {
				return broken
			}
			return nil
		}
		got, err := r.Use(d.Token())
		mustBe(t, err, broken)
		if got != (used{}) {
			t.Errorf("an error came with %+v", got)
		}
		r.Store.After = nil
		if _, err = r.Use(d.Token()); err != nil { // written or not: it is still the previous one
			t.Errorf("after %s failed: %v", method, err)
		}
	}
}

// TestDeviceRoundTrips: a login is two reads, and one write where the token moves
// on; and trusting costs no more than the Verify that it belongs to.
func TestDeviceRoundTrips(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	token := r.Trust(f, "Firefox").Token()
	r.Fail(f, 5)
	ch, err := r.Challenge(t.Context(), mfa.ChallengeParams{
		FactorID: f.ID, UserID: ann, DeviceToken: token,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range []string{r.Wrong(f), r.Right(f)} {
		if got := r.Calls(func() {
			_, _ = r.Verify(t.Context(), mfa.VerifyParams{
				ChallengeID: ch.ID,
				UserID:      ann,
				Code:        code,
				DeviceToken: token,
				TrustDevice: true,
				DeviceName:  "Firefox",
			})
		}); got != "Load Save" {
			t.Errorf("Verify calls %q", got)
		}
	}
	devices, err := r.Devices(t.Context(), ann)
	if err != nil || len(devices) != 1 {
		t.Fatal(devices, err)
	}
	r.Clock.Advance(time.Hour)
	fresh := r.Trust(f, "Chrome").Token()
	// The second login is by the token before.
	for _, want := range []string{"Load List Save", "Load List"} {
		if got := r.Calls(func() {
			_, _ = r.StartLogin(t.Context(), mfa.LoginParams{UserID: ann, DeviceToken: fresh})
		}); got != want {
			t.Errorf("StartLogin calls %q, want %q", got, want)
		}
	}
}

// TestDevicesDoNotPrint: a token is a bearer token.
func TestDevicesDoNotPrint(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	v, err := r.Verify(t.Context(), mfa.VerifyParams{
		ChallengeID: r.Ask(f).ID,
		UserID:      ann,
		Code:        r.Right(f),
		TrustDevice: true,
		DeviceName:  "Firefox",
	})
	if err != nil {
		t.Fatal(err)
	}
	mac := v.Device.Token()[strings.LastIndexByte(v.Device.Token(), '.')+1:]
	login, err := r.StartLogin(t.Context(), mfa.LoginParams{
		UserID: ann, DeviceToken: v.Device.Token(),
	})
	if err != nil {
		t.Fatal(err)
	}
	next := login.DeviceToken()[strings.LastIndexByte(login.DeviceToken(), '.')+1:]
	for name, out := range map[string]string{
		"Verification": printed(v), "TrustedDevice": printed(v.Device),
		"*TrustedDevice": printed(&v.Device), "Login": printed(login), "*Login": printed(&login),
		"events": printed(r.Took()),
	} {
		if strings.Contains(out, mac) || strings.Contains(out, next) {
			t.Errorf("%s prints the token: %s", name, out)
		}
	}
}

// TestResealDevices: devices live longer than a key that is taken out.
func TestResealDevices(t *testing.T) {
	r := newRig(t)
	old, next := mfa.NewKey(), mfa.NewKey()
	ring := func(keys string) *mfa.Service {
		var err error
		if r.Config.Keys, err = mfa.ParseKeyring(keys); err != nil {
			t.Fatal(err)
		}
		return r.Another()
	}
	r.Service = ring(old)
	d := r.Trust(r.TOTP(ann), "Firefox")
	r.Service = ring(next + "," + old)
	for _, err := range r.Reseal(t.Context(), mfa.ResealParams{PerSecond: 1e6}) {
		if err != nil {
			t.Fatal(err)
		}
	}
	r.Service = ring(next)
	if _, err := r.Use(d.Token()); err != nil {
		t.Error(err)
	}
}

// TestTrustedDeviceApprovesNothing: a device skips no step-up: what is approved is asked for.
func TestTrustedDeviceApprovesNothing(t *testing.T) {
	r := strict(t)
	f := r.TOTP(ann)
	d := r.Trust(f, "Firefox")
	_, err := r.Enroll(t.Context(), enrollment(ann, d.Token()))
	mustBe(t, err, mfa.ErrProofRequired)
	_, err = r.Redeem(t.Context(), proof.Claim{Receipt: d.Token(), UserID: ann, Action: pay})
	mustBe(t, err, proof.ErrInvalid)
}

// TestRotationIsNoBudget: a change of keys keeps all messages of the day that decide
// something, those of devices too: ten to a number, and three more.
func TestRotationIsNoBudget(t *testing.T) {
	r := newRig(t)
	before, after := mfa.NewKey(), mfa.NewKey()
	r.with(before)
	factors := []enrolled{r.Phone(ann, phone), r.Phone("user_bob", phone)}
	r.Clock.Advance(24 * time.Hour)
	sent := 0
	var tokens []string
	for _, f := range factors {
		ch := r.AskPatiently(f)
		sent++
		v, err := r.Verify(t.Context(), mfa.VerifyParams{
			ChallengeID: ch.ID, UserID: f.UserID, Code: r.Right(f), TrustDevice: true, DeviceName: "Firefox",
		})
		if err != nil {
			t.Fatal(err)
		}
		tokens = append(tokens, v.Device.Token())
		r.Clock.Advance(15 * time.Minute)
	}
	for i := range 8 {
		r.LogIn(factors[i%2])
		sent++
		r.Clock.Advance(20 * time.Minute)
	}
	send := func(i int) error {
		_, err := r.Challenge(t.Context(), mfa.ChallengeParams{
			FactorID: factors[i].ID, UserID: factors[i].UserID, DeviceToken: tokens[i],
		})
		r.Clock.Advance(16 * time.Minute)
		if err == nil {
			sent++
		}
		return err
	}
	for range 3 {
		if err := send(0); err != nil {
			t.Fatal(err)
		}
	}
	mustBe(t, send(1), mfa.ErrThrottled)
	r.with(after, before)
	mustBe(t, send(1), mfa.ErrThrottled)
	if sent != 13 {
		t.Errorf("%d messages in a day", sent)
	}
}

// TestDeviceName: the name is the person's, and no consent by itself.
func TestDeviceName(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	verify := func(p mfa.VerifyParams) mfa.TrustedDevice {
		t.Helper()
		p.ChallengeID, p.UserID, p.Code = r.Ask(f).ID, ann, r.Right(f)
		v, err := r.Verify(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		r.Clock.Advance(time.Minute)
		return v.Device
	}
	if d := verify(mfa.VerifyParams{DeviceName: "Firefox"}); d != (mfa.TrustedDevice{}) {
		t.Errorf("trusted because it has a name: %+v", d)
	}
	if d := verify(mfa.VerifyParams{TrustDevice: true}); d.Name != "Browser" {
		t.Errorf("without a name it is called %q", d.Name)
	}
}
