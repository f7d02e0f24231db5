package attacks_test

import (
	"encoding/base32"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfatest"
)

// The tests of this file pass bad input: it gets a clear error, and nothing is
// loaded, stored, sent or counted.

func TestHostileIDs(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	ch := r.Ask(f)
	ctx := t.Context()
	for _, prefix := range []string{"auth_factor_", "auth_challenge_"} {
		for _, id := range []string{
			"", " ", "x", prefix, prefix + "01ARZ3NDEKTSV4RRFFQ69G5FA",
			prefix + "01ARZ3NDEKTSV4RRFFQ69G5FAVV",
			prefix + "01arz3ndektsv4rrffq69g5fav", prefix + "8ZZZZZZZZZZZZZZZZZZZZZZZZZ",
			prefix + "01ARZ3NDEKTSV4RRFFQ69G5FIL",
			prefix + "01ARZ3NDEKTSV4RRFFQ69G5FA\x00", prefix + "01ARZ3NDEKTSV4RRFFQ69G5F\nV",
			strings.ToUpper(prefix) + "01ARZ3NDEKTSV4RRFFQ69G5FAV",
			" " + prefix + "01ARZ3NDEKTSV4RRFFQ69G5FAV", prefix + "\xff\xfe1ARZ3NDEKTSV4RRFFQ69G5FA",
			prefix + "' OR '1'='1", prefix + "٠١ARZ3NDEKTSV4RRFFQ69G",
			"auth_number_01ARZ3NDEKTSV4RRFFQ69G5FAV", "auth_user_01ARZ3NDEKTSV4RRFFQ69G5FAV",
			strings.Repeat("a", 1<<20), prefix + strings.Repeat("0", 1<<20),
			"+15005550006", "123456",
		} {
			for _, user := range []string{ann, mfa.AnyUser, ""} {
				if prefix == "auth_factor_" {
					p := mfa.FactorParams{FactorID: id, UserID: user}
					refused(t, r.Rig, id, mfa.ErrNotFound, func() error { _, err := r.Factor(ctx, p); return err })
					refused(
						t,
						r.Rig,
						id,
						mfa.ErrNotFound,
						func() error {
							return r.Unenroll(ctx, mfa.UnenrollParams{FactorID: p.FactorID, UserID: p.UserID})
						},
					)
					refused(t, r.Rig, id, mfa.ErrNotFound, func() error { return r.Unlock(ctx, p) })
					refused(t, r.Rig, id, mfa.ErrNotFound, func() error {
						_, err := r.Challenge(ctx, mfa.ChallengeParams{FactorID: id, UserID: user})
						return err
					})
				} else {
					refused(t, r.Rig, id, mfa.ErrNotFound, func() error {
						_, err := r.Verify(ctx, mfa.VerifyParams{ChallengeID: id, UserID: user, Code: "123456"})
						return err
					})
				}
			}
		}
	}
	// One kind of id in the place of the other.
	refused(t, r.Rig, ch.ID, mfa.ErrNotFound, func() error {
		_, err := r.Factor(ctx, mfa.FactorParams{FactorID: ch.ID, UserID: ann})
		return err
	})
	// What is no id is not repeated: it may be a code or a number in the wrong field.
	_, err := r.Verify(ctx, mfa.VerifyParams{ChallengeID: "+15005550006"})
	if e := refusal(t, err); strings.Contains(e.Error(), "5550006") || e.ID != "" {
		t.Errorf("%v", e)
	}
	_, err = r.Factor(ctx, mfa.FactorParams{FactorID: "auth_factor_invalid"})
	if e := refusal(t, err); e.Message != "Authentication Factor not found: 'auth_factor_invalid'." {
		t.Errorf("%v", e)
	}
}

func TestHostileUsers(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	ch := r.Ask(f)
	ctx := t.Context()
	for _, user := range []string{
		strings.Repeat("u", 256), "a\x00b", "a\nb", "\xff", "\x00any user ", "a\u0085",
		strings.Repeat("u", 1<<20),
	} {
		refused(t, r.Rig, user, mfa.ErrInvalidParameter, func() error {
			_, err := r.Enroll(ctx, mfa.EnrollParams{
				UserID: user, TOTP: &mfa.TOTPParams{Issuer: "a", User: "b"},
			})
			return err
		})
		refused(
			t,
			r.Rig,
			user,
			mfa.ErrInvalidParameter,
			func() error { _, err := r.Factors(ctx, user); return err },
		)
		refused(t, r.Rig, user, mfa.ErrInvalidParameter, func() error {
			_, err := r.Factor(ctx, mfa.FactorParams{FactorID: f.ID, UserID: user})
			return err
		})
		refused(t, r.Rig, user, mfa.ErrInvalidParameter, func() error {
			return r.Unenroll(ctx, mfa.UnenrollParams{FactorID: f.ID, UserID: user})
		})
		refused(t, r.Rig, user, mfa.ErrInvalidParameter, func() error {
			return r.Unlock(ctx, mfa.FactorParams{FactorID: f.ID, UserID: user})
		})
		refused(t, r.Rig, user, mfa.ErrInvalidParameter, func() error {
			_, err := r.Challenge(ctx, mfa.ChallengeParams{FactorID: f.ID, UserID: user})
			return err
		})
		refused(t, r.Rig, user, mfa.ErrInvalidParameter, func() error {
			_, err := r.Verify(ctx, mfa.VerifyParams{ChallengeID: ch.ID, UserID: user, Code: "123456"})
			return err
		})
	}
	refused(t, r.Rig, "AnyUser enrolls", mfa.ErrInvalidParameter, func() error {
		_, err := r.Enroll(ctx, mfa.EnrollParams{
			UserID: mfa.AnyUser, TOTP: &mfa.TOTPParams{Issuer: "a", User: "b"},
		})
		return err
	})
	refused(
		t,
		r.Rig,
		"AnyUser lists",
		mfa.ErrInvalidParameter,
		func() error { _, err := r.Factors(ctx, mfa.AnyUser); return err },
	)
	for _, user := range []string{strings.Repeat("u", 255), "O'Brien; --", "日本", "a b"} {
		r.LogIn(r.EnrollTOTP(user))
	}
}

func TestEnrollParameters(t *testing.T) {
	r := newRig(t)
	enroll := func(p mfa.EnrollParams) func() error {
		return func() error { _, err := r.Enroll(t.Context(), p); return err }
	}
	totp := func(issuer, user string) mfa.EnrollParams {
		return mfa.EnrollParams{NoOwner: true, TOTP: &mfa.TOTPParams{Issuer: issuer, User: user}}
	}
	refused(t, r.Rig, "no method", mfa.ErrInvalidParameter, enroll(mfa.EnrollParams{}))
	refused(t, r.Rig, "two methods", mfa.ErrInvalidParameter, enroll(mfa.EnrollParams{
		NoOwner: true,
		TOTP:    &mfa.TOTPParams{Issuer: "a", User: "b"}, SMS: &mfa.SMSParams{PhoneNumber: phone},
	}))
	for _, bad := range []string{
		" ", "\u3000", strings.Repeat("x", 65), strings.Repeat("é", 65), strings.Repeat("x", 1<<20),
		"\xff", "a\xc3", "a\x00", "a\nb", "\x1b[31m",
		"\u202e", "a\u200b", "\u2066a", "\u2028", "\ufeffa",
	} {
		refused(t, r.Rig, bad, mfa.ErrInvalidParameter, enroll(totp(bad, "b")))
		refused(t, r.Rig, bad, mfa.ErrInvalidParameter, enroll(totp("a", bad)))
		p := totp("a", "b")
		p.Name = bad
		refused(t, r.Rig, bad, mfa.ErrInvalidParameter, enroll(p))
	}
	for _, bad := range []string{"", "a:b", ":", "a:"} {
		refused(t, r.Rig, bad, mfa.ErrInvalidParameter, enroll(totp("a", bad)))
	}
	for _, bad := range []string{"", ":"} {
		refused(t, r.Rig, bad, mfa.ErrInvalidParameter, enroll(totp(bad, "b")))
	}

	for _, good := range []string{"x", strings.Repeat("x", 64), "a%3Ab", "Ünïcode & Co. <b>", "👩"} {
		p := totp(good, good)
		p.Name = good + ":"
		if len([]rune(p.Name)) > 64 {
			p.Name = good
		}
		enr, err := r.Enroll(t.Context(), p)
		if err != nil || enr.Factor.Name != p.Name || enr.Factor.TOTPIssuer != good ||
			enr.Factor.TOTPUser != good {
			t.Errorf("%q: %v, %v", good, enr.Factor, err)
		}
	}
}

func TestTOTPSecrets(t *testing.T) {
	r := newRig(t)
	params := func(secret string) mfa.EnrollParams {
		return mfa.EnrollParams{
			NoOwner: true,
			TOTP:    &mfa.TOTPParams{Issuer: "a", User: "b", Secret: secret},
		}
	}
	encode := func(n int) string { return base32.StdEncoding.EncodeToString(make([]byte, n)) }
	for _, bad := range []string{
		" ", "0", "1", "not base32!", encode(15), encode(10), encode(129), strings.Repeat("A", 1<<20),
		rfcSecret + "\n", rfcSecret[:16] + "\r\n" + rfcSecret[16:], "\t" + rfcSecret,
		rfcSecret[:31] + "ı", rfcSecret[:31] + "ſ", rfcSecret[:31] + "Ａ",
		"AAAA====" + rfcSecret, rfcSecret + "\x00", "otpauth://totp/a:b?secret=" + rfcSecret,
	} {
		refused(
			t,
			r.Rig,
			bad,
			mfa.ErrInvalidTOTPSecret,
			func() error { _, err := r.Enroll(t.Context(), params(bad)); return err },
		)
	}
	_, err := r.Enroll(t.Context(), params(encode(10)))
	if e := refusal(
		t,
		err,
	); e.Code != "invalid_totp_secret" || !strings.Contains(e.Message, "has 10 bytes") ||
		!strings.Contains(e.Message, "RFC 4226") {
		t.Errorf("%v does not say why", e)
	}
	for _, same := range []string{
		rfcSecret, strings.ToLower(rfcSecret),
		rfcSecret[:4] + " " + rfcSecret[4:8] + "-" + rfcSecret[8:] + " ", rfcSecret + "======",
	} {
		enr, err := r.Enroll(t.Context(), params(same))
		if err != nil || enr.TOTP.Secret() != rfcSecret {
			t.Errorf("another spelling of the secret: %v", err)
		}
	}
}

func TestPhoneNumbers(t *testing.T) {
	r := newRig(t, func(c *mfa.Config) { c.Regions = []string{"US", "GB", "DE"} })
	enroll := func(number string) func() error {
		return func() error {
			_, err := r.Enroll(t.Context(), mfa.EnrollParams{
				NoOwner: true, SMS: &mfa.SMSParams{PhoneNumber: number},
			})
			return err
		}
	}
	for _, bad := range []string{
		"", "foo", "+1234", "+1 (212) 555-1234;ext=3", "1-800-FLOWERS", "+１５００５５５０００６", "＋15005550006",
		"+1٥005550006",
		"+1 500 555 0006 x3", "+15005550006,3", "tel:+15005550006", "+", "++15005550006",
		"0", "+999123456789", "+1500555000", "+150055500066", strings.Repeat("1", 33),
		strings.Repeat("1", 1<<20), "' OR 1=1", "+1 5OO 555 0006",
	} {
		refused(t, r.Rig, bad, mfa.ErrInvalidPhoneNumber, enroll(bad))
	}
	for _, notAllowed := range []string{
		"+33612345678", "+18005550199", "+442071234567", "+449098790000",
	} {
		refused(t, r.Rig, notAllowed, mfa.ErrPhoneNumberNotAllowed, enroll(notAllowed))
	}
	_, err := r.Enroll(t.Context(), mfa.EnrollParams{
		NoOwner: true, SMS: &mfa.SMSParams{PhoneNumber: "+33612345678"},
	})
	if e := refusal(
		t,
		err,
	); e.Code != "phone_number_not_allowed" ||
		strings.Contains(e.Error(), "612345678") {
		t.Errorf("%v", e)
	}
	for _, same := range []string{
		"+15005550006", "+1 (500) 555-0006", "(500) 555-0006", "500.555.0006", "5005550006",
		"15005550006", "1 500 555 0006",
	} {
		if f := r.EnrollSMS("", same); f.PhoneNumber() != phone {
			t.Errorf("%q is kept as %s", same, f.PhoneNumber())
		}
	}
	if f := r.EnrollSMS("", "+44 7400 123456"); f.PhoneNumber() != "+447400123456" {
		t.Errorf("kept as %s", f.PhoneNumber())
	}

	r = newRig(t, func(c *mfa.Config) { c.DefaultRegion = "" })
	refused(
		t,
		r.Rig,
		"a national number without a default region",
		mfa.ErrInvalidPhoneNumber,
		func() error {
			_, err := r.Enroll(t.Context(), mfa.EnrollParams{
				NoOwner: true, SMS: &mfa.SMSParams{PhoneNumber: "5005550006"},
			})
			return err
		},
	)
}

// TestSpellingsShareBudget: two spellings of one number are one number.
func TestSpellingsShareBudget(t *testing.T) {
	r := newRig(t)
	first, second := r.EnrollSMS("user_1", phone), r.EnrollSMS("user_2", "(500) 555-0006")
	r.Ask(first)
	_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: second.ID, UserID: "user_2"})
	mustBe(t, err, mfa.ErrThrottled)
}

func TestTemplates(t *testing.T) {
	r := newRig(t)
	f := r.EnrollSMS("", phone)
	for _, bad := range []string{
		"Your code", "{{code}} {{code}}", "{{ code }}", "{{Code}}", "{{other}} {{code}}", "{code}",
		"{{code", "{{{code}}", "{{code}}{{",
		"\u202e{{code}}", "\u200b{{code}}", "\x00{{code}}", "\xff{{code}}",
		strings.Repeat("x", 454) + "{{code}}", strings.Repeat("é", 460) + "{{code}}",
		strings.Repeat("日", 196) + "{{code}}", strings.Repeat("€", 227) + "{{code}}",
		strings.Repeat("x", 1<<20) + "{{code}}",
	} {
		refused(t, r.Rig, bad, mfa.ErrInvalidParameter, func() error {
			_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, SMSTemplate: bad})
			return err
		})
	}
	// Three parts have 459 septets or 201 UTF-16 units, six of them the code.
	for _, good := range []string{
		"{{code}}", "{{code}}}}", "%s %d {{code}} $1 \\1", strings.Repeat("x", 453) + "{{code}}",
		strings.Repeat("日", 195) + "{{code}}", strings.Repeat("€", 225) + "{{code}}",
	} {
		if _, err := r.Challenge(t.Context(), mfa.ChallengeParams{
			FactorID: f.ID, SMSTemplate: good,
		}); err != nil {
			t.Errorf("%.40q: %v", good, err)
		}
		body := r.SMS.Messages()[len(r.SMS.Messages())-1].Body
		if want := strings.Replace(good, "{{code}}", r.Right(f), 1); body != want {
			t.Errorf("%.40q is sent as %.40q", good, body)
		}
		r.Clock.Advance(12 * time.Hour)
		f = r.EnrollSMS("", phone)
	}
	// A TOTP factor has no message: its template is checked, and then ignored.
	app := r.TOTP(ann)
	if _, err := r.Challenge(
		t.Context(),
		mfa.ChallengeParams{FactorID: app.ID, UserID: ann, SMSTemplate: "{{code}}"},
	); err != nil {
		t.Error(err)
	}
}

func TestClockOutOfRange(t *testing.T) {
	for _, at := range []time.Time{
		{}, time.Unix(0, 0), time.Unix(-1, 0), time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Unix(1<<60, 0),
	} {
		r := newRig(t)
		f := r.TOTP(ann)
		ch := r.Ask(f)
		r.Clock.Set(at)
		ctx, p := t.Context(), mfa.FactorParams{FactorID: f.ID, UserID: ann}
		for name, call := range map[string]func() error{
			"Enroll": func() error {
				_, err := r.Enroll(ctx, mfa.EnrollParams{
					UserID: ann, TOTP: &mfa.TOTPParams{Issuer: "a", User: "b"},
				})
				return err
			},
			"Challenge": func() error {
				_, err := r.Challenge(ctx, mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
				return err
			},
			"Verify":  func() error { _, err := r.Answer(ch, f, "123456"); return err },
			"Factor":  func() error { _, err := r.Factor(ctx, p); return err },
			"Factors": func() error { _, err := r.Factors(ctx, ann); return err },
			"Unenroll": func() error {
				return r.Unenroll(ctx, mfa.UnenrollParams{FactorID: p.FactorID, UserID: p.UserID})
			},
			"Unlock": func() error { return r.Unlock(ctx, p) },
			"Purge":  func() error { _, err := r.Purge(ctx); return err },
		} {
			refused(t, r.Rig, name+" at "+at.String(), mfa.ErrClock, call)
		}
	}
}

// TestMalformedCodes: they are answered as wrong, and not compared, counted or
// written.
func TestMalformedCodes(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	ch, right := r.Ask(f), r.Right(f)
	saves := len(r.Store.Calls("Save"))
	for _, code := range []string{
		"", " ", "12345", "1234567", "+12345", "-12345", "-00001", "1_2345", "12345a", "0x1234", "1e5",
		"12.345", "12345\x00", "\x00123456",
		"１２３４５", "１２３４５６７", "٠١٢٣٤", "¹²³⁴⁵⁶", "①②③④⑤⑥", "一二三四五六", "ⅠⅡⅢⅣⅤⅥ", "½23456",
		"1\ufe0f\u20e323456", "\U000e0031\U000e0032\U000e0033\U000e0034\U000e0035\U000e0036",
		"\u202e123456", "12345\u202e6", "\u0600123456", "123\u06dd456", "\ufff9123456", "123.456",
		"123,456", "123/456", "123_456", "(123456)", "123~456", "123'456",
		"\xff23456", "123456\xff", "\xc0\xb1\xc0\xb2\xc0\xb3", "\u200e\u2066\u2069", "------",
		strings.Repeat("\u3000", 59) + right, strings.Repeat("\u3000", 1<<20) + right,
		strings.Repeat("1", 1<<20), strings.Repeat(" ", 1<<20) + right, right + strings.Repeat(" ", 100),
		right + right, "{{code}}",
	} {
		v, err := r.Answer(ch, f, code)
		mustBe(t, err, mfa.ErrInvalidCode)
		if e := refusal(t, err); e.AttemptsLeft != 5 || v.Valid || v.Challenge != ch {
			t.Errorf("%.40q: %d attempts left, %+v", code, e.AttemptsLeft, v)
		}
	}
	if len(r.Store.Calls("Save")) != saves {
		t.Error("a malformed code was written")
	}
	if _, err := r.Answer(ch, f, right); err != nil {
		t.Errorf("then the right code: %v", err)
	}
}

func TestConfig(t *testing.T) {
	discard := slog.New(slog.DiscardHandler)
	store, sender, keys := &mfatest.FaultyStore{
		Store: new(mfa.MemoryStore),
	}, new(
		mfatest.Sender,
	), mfatest.Keys()
	for _, tt := range []struct {
		cfg  mfa.Config
		says string // "" for no error
	}{
		{mfa.Config{}, ""},
		{mfa.Config{Store: new(mfa.MemoryStore)}, ""},
		{mfa.Config{Store: store}, "Config.Keys is required"},
		{mfa.Config{Store: store, Keys: new(mfa.Keyring)}, "Config.Keys is required"},
		{mfa.Config{Store: store, Keys: keys}, ""},
		{mfa.Config{SMS: sender}, "Config.Regions is required"},
		{mfa.Config{SMS: sender, Regions: mfa.AllRegions()}, ""},
		{mfa.Config{SMS: new(mfa.Outbox)}, ""},
		{mfa.Config{SMS: sender, Regions: []string{"us"}}, `Config.Regions has "us"`},
		{mfa.Config{SMS: sender, Regions: []string{"US", "XX"}}, `Config.Regions has "XX"`},
		{mfa.Config{SMS: sender, Regions: []string{"US"}, DefaultRegion: "DE"},
			`Config.DefaultRegion is "DE"`},
		{mfa.Config{Policy: mfa.Policy{MaxFailures: 34}}, "at most 33"},
		{mfa.Config{Policy: mfa.Policy{MaxFailures: 101, ExactStep: true}}, "at most 100"},
		{mfa.Config{Policy: mfa.Policy{ChallengeLifetime: 11 * time.Minute}},
			"is 11m0s; it must be from 1m0s to 10m0s"},
		{mfa.Config{Policy: mfa.Policy{MaxAttempts: 11}}, "is 11; it must be from 1 to 10"},
		{mfa.Config{Policy: mfa.Policy{MessagesPerDay: 31}}, "is 31; it must be from 1 to 30"},
		{mfa.Config{Policy: mfa.Policy{MessagesPerHour: 4, MessagesPerDay: 3}},
			"is 4; it must be from 1 to 10, and at most MessagesPerDay, which is 3"},
		{mfa.Config{SendTimeout: 5 * time.Minute}, ""},
		{mfa.Config{SendTimeout: 5*time.Minute + 1},
			"Config.SendTimeout is 5m0.000000001s; it must be from"},
		{mfa.Config{SendTimeout: -1}, "Config.SendTimeout is -1ns; it must be from"},
	} {
		tt.cfg.Logger = discard
		_, err := mfa.New(tt.cfg)
		if tt.says == "" && err != nil ||
			tt.says != "" && (!errors.Is(err, mfa.ErrConfig) || !strings.Contains(err.Error(), tt.says)) {
			t.Errorf("error %v, want %q", err, tt.says)
		}
	}
	svc, err := mfa.New(mfa.Config{Store: store, Keys: keys, Logger: discard})
	if err != nil {
		t.Fatal(err)
	}
	_, err = svc.Enroll(t.Context(), mfa.EnrollParams{
		NoOwner: true, SMS: &mfa.SMSParams{PhoneNumber: phone},
	})
	mustBe(t, err, mfa.ErrNoSMSSender)
	if code := refusal(t, err).Code; code != "sms_not_configured" {
		t.Error(code)
	}
}

// TestSenderTakenOut: a phone number that was enrolled with a sender is refused
// without one.
func TestSenderTakenOut(t *testing.T) {
	r := newRig(t)
	f := r.Phone(ann, phone)
	r.Config.SMS = nil
	_, err := r.Another().Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
	mustBe(t, err, mfa.ErrNoSMSSender)
}

func TestParseKeyring(t *testing.T) {
	good := mfa.NewKey()
	for text, says := range map[string]string{
		"":                         "key 1 is not",
		",":                        "key 1 is not",
		"secret":                   "key 1 is not",
		good[:40]:                  "key 1 is not",
		good + "," + good + "x":    "key 2 is not",
		good + ",":                 "key 2 is not",
		good + "," + good:          "key 2 stands in the keyring twice",
		strings.Repeat("A", 1<<20): "key 1 is not",
		base32.StdEncoding.EncodeToString(make([]byte, 32)): "key 1 is not",
	} {
		ring, err := mfa.ParseKeyring(text)
		if ring != nil || !errors.Is(err, mfa.ErrConfig) || !strings.Contains(err.Error(), says) {
			t.Errorf("error %v, want %q", err, says)
		} else if len(text) > 4 && strings.Contains(err.Error(), text[:5]) {
			t.Errorf("error %v shows the key", err)
		}
	}
	if _, err := mfa.ParseKeyring(" " + good + " , " + mfa.NewKey() + "\n"); err != nil {
		t.Error(err)
	}
	if good == mfa.NewKey() {
		t.Error("two new keys are the same")
	}
}

// TestMalformedBeforeMissing: a malformed parameter is told before a challenge that cannot
// be there, as the list of Verify has it.
func TestMalformedBeforeMissing(t *testing.T) {
	r := newRig(t)
	for name, p := range map[string]mfa.VerifyParams{
		"a long answer": {Answer: make([]byte, 64<<10+1)},
		"a device name": {TrustDevice: true, DeviceName: "a\x00"},
		"a long key":    {IdempotencyKey: strings.Repeat("k", 256)},
	} {
		p.ChallengeID, p.UserID = "123456", ann
		refused(t, r.Rig, name, mfa.ErrInvalidParameter, func() error {
			_, err := r.Verify(t.Context(), p)
			return err
		})
	}
}
