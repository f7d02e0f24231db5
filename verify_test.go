package mfa_test

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/authfactor/mfa"
)

// The tests of this file are about what people type: what means the same has one
// spelling, and what does not is never made the same.

// digitsOf writes ASCII digits with those of another script, which begin at zero.
func digitsOf(zero rune, code string) string {
	return strings.Map(func(r rune) rune { return zero + r - '0' }, code)
}

// spelled are other ways to write a code of six digits.
var spelled = map[string]func(code string) string{
	"white space around":    func(c string) string { return " " + c + "\r\n" },
	"more of it":            func(c string) string { return "\t\v\f" + c },
	"a space":               func(c string) string { return c[:3] + " " + c[3:] },
	"a hyphen":              func(c string) string { return c[:3] + "-" + c[3:] },
	"spaces":                func(c string) string { return strings.Join(strings.Split(c, ""), " ") },
	"a hyphen in front":     func(c string) string { return "-" + c },
	"a hyphen behind":       func(c string) string { return c + " - " },
	"hyphens":               func(c string) string { return c[:2] + "-" + c[2:4] + "-" + c[4:] },
	"a line break":          func(c string) string { return c[:3] + "\r\n" + c[3:] },
	"a no-break space":      func(c string) string { return c[:3] + "\u00a0" + c[3:] },
	"a narrow one":          func(c string) string { return c[:3] + "\u202f" + c[3:] },
	"an ideographic one":    func(c string) string { return "\u3000" + c[:3] + "\u3000" + c[3:] },
	"a figure space":        func(c string) string { return c[:3] + "\u2007" + c[3:] },
	"an en dash":            func(c string) string { return c[:3] + "–" + c[3:] },
	"a no-break hyphen":     func(c string) string { return c[:3] + "\u2011" + c[3:] },
	"a minus":               func(c string) string { return c[:3] + "\u2212" + c[3:] },
	"a full-width hyphen":   func(c string) string { return c[:3] + "－" + c[3:] },
	"a Japanese long vowel": func(c string) string { return c[:3] + "ー" + c[3:] },
	"left-to-right mark":    func(c string) string { return "\u200e" + c },
	"isolated":              func(c string) string { return "\u2066" + c + "\u2069" },
	"embedded":              func(c string) string { return "\u202a" + c + "\u202c" },
	"zero-width space":      func(c string) string { return c[:3] + "\u200b" + c[3:] },
	"byte order mark":       func(c string) string { return "\ufeff" + c },
	"soft hyphen, joiner": func(c string) string {
		return c[:2] + "\u00ad" + c[2:3] + "\u2060" + c[3:]
	},
	"full-width":   func(c string) string { return digitsOf('０', c) },
	"Arabic-Indic": func(c string) string { return digitsOf('٠', c) },
	"Persian":      func(c string) string { return digitsOf('۰', c) },
	"Devanagari":   func(c string) string { return digitsOf('०', c) },
	"Thai, with a space": func(c string) string {
		return digitsOf('๐', c[:3]) + " " + digitsOf('๐', c[3:])
	},
	"N'Ko":                   func(c string) string { return digitsOf('\u07c0', c) },
	"Adlam":                  func(c string) string { return digitsOf('\U0001e950', c) },
	"mathematical bold":      func(c string) string { return digitsOf('\U0001d7ce', c) },
	"mathematical monospace": func(c string) string { return digitsOf('\U0001d7f6', c) },
	"two scripts":            func(c string) string { return digitsOf('０', c[:3]) + c[3:] },
	"64 characters": func(c string) string {
		return digitsOf('０', c) + strings.Repeat("\u3000", 58)
	},
}

// TestSpellingsOfACode: a code is accepted however it is written, once: no spelling of
// a used code is another code.
func TestSpellingsOfACode(t *testing.T) {
	for name, spell := range spelled {
		r := newRig(t)
		f := r.TOTP(ann)
		code := r.Right(f)
		if v, err := r.Answer(r.Ask(f), f, spell(code)); err != nil || !v.Valid {
			t.Errorf("%s: %v", name, err)
			continue
		}
		r.Took()
		_, err := r.Answer(r.Ask(f), f, code)
		mustBe(t, err, mfa.ErrInvalidCode)
		if events := r.Took(); len(events) != 2 || events[1].Kind != mfa.EventReplayed {
			t.Errorf("%s: then the code itself is no replay: %+v", name, events)
		}
		_, err = r.Answer(r.Ask(f), f, spell(code))
		mustBe(t, err, mfa.ErrInvalidCode)
		if events := r.Took(); len(events) != 2 || events[1].Kind != mfa.EventReplayed {
			t.Errorf("%s: again, it is no replay: %+v", name, events)
		}
	}
}

// TestSpellingsOfAWrongCode: other spelled of a wrong code are counted as it is.
func TestSpellingsOfAWrongCode(t *testing.T) {
	r := newRig(t)
	f := r.EnrollSMS(ann, phone) // codes by message are typed in the same way
	ch := r.Ask(f)
	wrong := r.Wrong(f)
	for i, spell := range []string{"a space", "Persian", "left-to-right mark", "hyphens"} {
		_, err := r.Answer(ch, f, spelled[spell](wrong))
		mustBe(t, err, mfa.ErrInvalidCode)
		if left := refusal(t, err).AttemptsLeft; left != 4-i {
			t.Errorf("%s: %d attempts left, want %d", spell, left, 4-i)
		}
	}
	if _, err := r.Answer(ch, f, spelled["full-width"](r.Right(f))); err != nil {
		t.Error(err)
	}
}

// TestDigitsOfAllScripts: in Unicode the decimal digits of a script follow each other
// in order, from zero. That is what reading them relies on.
func TestDigitsOfAllScripts(t *testing.T) {
	zeros := 0
	each := func(lo, hi, stride rune) {
		if stride != 1 || (hi-lo+1)%10 != 0 {
			t.Errorf("decimal digits from %U to %U, stride %d", lo, hi, stride)
		}
		for zero := lo; zero <= hi; zero += 10 {
			zeros++
			r, f := vectorRig(t)
			if v, err := r.Answer(r.Ask(f), f, digitsOf(zero, "287082")); err != nil || !v.Valid {
				t.Errorf("digits from %U: %v", zero, err)
			}
		}
	}
	for _, r := range unicode.Nd.R16 {
		each(rune(r.Lo), rune(r.Hi), rune(r.Stride))
	}
	for _, r := range unicode.Nd.R32 {
		each(rune(r.Lo), rune(r.Hi), rune(r.Stride))
	}
	if zeros < 60 {
		t.Errorf("%d scripts", zeros)
	}
}

// TestRecoveryCodeSpellings: case, spaces, dashes, full-width letters and letters that
// look like digits are forgiven, once. What cannot be a code is not counted.
func TestRecoveryCodeSpellings(t *testing.T) {
	r := newRig(t)
	f, codes := r.Recovery(ann)
	for !strings.Contains(codes[3], "0") || !strings.Contains(codes[3], "1") ||
		!strings.Contains(codes[4], "0") || !strings.Contains(codes[4], "1") {
		f, codes = r.Recovery(ann)
	}
	wide := func(s string) string {
		return strings.Map(func(r rune) rune { return r + '！' - '!' }, s)
	}
	for i, spell := range []func(string) string{
		strings.ToLower,
		func(s string) string { return strings.ReplaceAll(s, "-", "") },
		func(s string) string { return " \t" + strings.ReplaceAll(s, "-", "  ") + "\r\n" },
		func(s string) string { return strings.NewReplacer("0", "O", "1", "l").Replace(s) },
		func(s string) string { return strings.NewReplacer("0", "o", "1", "I").Replace(s) },
		func(s string) string { return "\u200e" + strings.ReplaceAll(s, "-", "–") },
		func(s string) string { return strings.ReplaceAll(s, "-", "\u00a0\u2011\n") },
		wide,
		func(s string) string { return wide(strings.ToLower(s)) },
	} {
		if _, err := r.Answer(r.Ask(f), f, spell(codes[i])); err != nil {
			t.Errorf("spelling %d: %v", i, err)
		}
		for _, again := range []string{codes[i], spell(codes[i])} {
			_, err := r.Answer(r.Ask(f), f, again)
			mustBe(t, err, mfa.ErrInvalidCode)
		}
		r.Clock.Advance(time.Hour)
	}
	ch, code := r.Ask(f), codes[9]
	for _, typed := range []string{
		"", code[:28], code + "0", code + strings.Repeat(" ", 40), "U" + code[1:], "Ｕ" + code[1:],
		"é" + code[2:], "К" + code[1:], "\u212a" + code[1:], "ſ" + code[1:],
		code[:28] + "[", code[:28] + "＠", code[:28] + "ﾏ", "123456", strings.Repeat("A", 1<<20),
		code[:28] + "\x00", "\u202e" + code, code[:28] + "\xff",
	} {
		_, err := r.Answer(ch, f, typed)
		if e := refusal(t, err); e.Code != "invalid_one_time_code" || e.AttemptsLeft != 5 {
			t.Errorf("%.40q: %v, %d left", typed, err, e.AttemptsLeft)
		}
	}
	if _, err := r.Answer(ch, f, code); err != nil {
		t.Error(err)
	}
}

// TestSpellingsOfANumber: whatever stands around and between the digits, it is one
// number, with one budget.
func TestSpellingsOfANumber(t *testing.T) {
	r := newRig(
		t,
		func(c *mfa.Config) { c.Regions, c.DefaultRegion = []string{"US", "DE", "GB"}, "DE" },
	)
	for _, same := range []string{
		"+4915123456789", " +49 151 23456789", "+49\u00a0151\u202f23456789",
		"\u202a+49 151 23456789\u202c", "\u202b+4915123456789\u202c", "\u202d+49 151 23456789\u202c",
		"\u200e+4915123456789", "\u2068+49 151 23456789\u2069", "+49\u2011151\u201123456789",
		"+49 151/23456789", "+49 (0)151 / 234 567 89", "+49.151.23456789",
		"(+49) 151 – 23456789", "+49−151−23456789", "\u3000+49　151　（23456789）", "+49 151・23456789",
		"+4915123456789\r\n", "\ufeff0151/234 567-89", "0049 151 23456789",
		"\t+49\u200b151\u00ad23456789" + strings.Repeat(" ", 40),
	} {
		if f := r.EnrollSMS("", same); f.PhoneNumber() != "+4915123456789" {
			t.Errorf("%q is kept as %s", same, f.PhoneNumber())
		}
	}
	first, second := r.EnrollSMS(
		"user_1",
		"+49 151/23456789",
	), r.EnrollSMS(
		"user_2",
		"\u202d0151\u00a023456789\u202c",
	)
	r.Ask(first)
	_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: second.ID, UserID: "user_2"})
	mustBe(t, err, mfa.ErrThrottled)

	// ASCII digits, one plus in front, and nothing that shows them in another order.
	for _, bad := range []string{
		"+４９15123456789", "＋4915123456789", "+49١٥123456789", "49+15123456789", "++4915123456789",
		"+49151+23456789", "\u202e+4915123456789", "+4915123456789\u202e", "+49151\u061523456789",
		"+49151\u060023456789", "+49151*23456789", "+49151#23456789", "+49151~23456789",
		"+49151_23456789", "+49151:23456789", "+49151\x0023456789", "+49151\x1b23456789",
		"+49151\xff23456789", "+49 151 2345678O", "+49151x23456789",
		" ", "\u200e", "+", "+ ", "-/.", "()", strings.Repeat(" ", 60) + "+4915123456789",
		"+4915123456789" + strings.Repeat("\u3000", 1<<20),
	} {
		refused(t, r.Rig, bad, mfa.ErrInvalidPhoneNumber, func() error {
			_, err := r.Enroll(t.Context(), mfa.EnrollParams{
				NoOwner: true, SMS: &mfa.SMSParams{PhoneNumber: bad},
			})
			return err
		})
	}
}

// TestPersonalNumbers: only in North America are these numbers of persons' phones. In
// Britain, for one, they forward at the caller's cost.
func TestPersonalNumbers(t *testing.T) {
	r := newRig(t, func(c *mfa.Config) { c.Regions, c.DefaultRegion = mfa.AllRegions(), "" })
	r.EnrollSMS(ann, "+15335550006")
	refused(t, r.Rig, "a personal number in Britain", mfa.ErrPhoneNumberNotAllowed, func() error {
		_, err := r.Enroll(t.Context(), mfa.EnrollParams{
			NoOwner: true, SMS: &mfa.SMSParams{PhoneNumber: "+44 70 1234 5678"},
		})
		return err
	})
}

// TestOldForms: Mexico dropped the 1 of mobile numbers, and people still write it. It
// is the same number, with the same budget.
func TestOldForms(t *testing.T) {
	r := newRig(
		t,
		func(c *mfa.Config) { c.Regions, c.DefaultRegion = []string{"MX", "AR", "US", "BR"}, "MX" },
	)
	for _, same := range []string{
		"+525512345678", "+5215512345678", "+52 1 55 1234 5678", "+52 (1) 55-1234-5678", "55 1234 5678",
	} {
		if f := r.EnrollSMS("", same); f.PhoneNumber() != "+525512345678" {
			t.Errorf("%q is kept as %s", same, f.PhoneNumber())
		}
	}
	first, second := r.EnrollSMS("user_1", "+5215512345678"), r.EnrollSMS("user_2", "+525512345678")
	r.Ask(first)
	_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: second.ID, UserID: "user_2"})
	mustBe(t, err, mfa.ErrThrottled)

	// Without +52, a 1 may be the country code of the United States. Nothing else has an
	// old form whose new one is sure.
	for _, bad := range []string{
		"1 551 234 5678", "+5225512345678", "+52155123456789", "+521551234567", "+521001234567",
		"+520445512345678", "+552187654321",
	} {
		refused(t, r.Rig, bad, mfa.ErrInvalidPhoneNumber, func() error {
			_, err := r.Enroll(t.Context(), mfa.EnrollParams{
				NoOwner: true, SMS: &mfa.SMSParams{PhoneNumber: bad},
			})
			return err
		})
	}
}

// TestArgentina: a mobile number without its 9 is that of a fixed line. The error says
// what to do, and does not make one of the other: they may be two people's.
func TestArgentina(t *testing.T) {
	r := newRig(t, func(c *mfa.Config) { c.Regions = []string{"AR", "US"} })
	for _, same := range []string{"+5491123456789", "+54 9 11 2345-6789", "+54 11 15 2345-6789"} {
		if f := r.EnrollSMS("", same); f.PhoneNumber() != "+5491123456789" {
			t.Errorf("%q is kept as %s", same, f.PhoneNumber())
		}
	}
	enroll := func(r *rig, number string) (err error) {
		refused(t, r.Rig, number, mfa.ErrPhoneNumberNotAllowed, func() error {
			_, err = r.Enroll(t.Context(), mfa.EnrollParams{
				NoOwner: true, SMS: &mfa.SMSParams{PhoneNumber: number},
			})
			return err
		})
		return err
	}
	const hint = "must have a 9 after the country code"
	for _, number := range []string{"+541123456789", "+54 11 2345-6789"} {
		if e := refusal(
			t,
			enroll(r, number),
		); !strings.Contains(e.Message, hint) || e.Code != "phone_number_not_allowed" ||
			strings.Contains(e.Error(), "2345") {
			t.Errorf("%v", e)
		}
	}
	// Where that would not help, it is not said.
	elsewhere := newRig(t)
	for _, err := range []error{
		enroll(elsewhere, "+541123456789"), enroll(elsewhere, "+5491123456789"),
		enroll(r, "+442071234567"), enroll(r, "+18005550199"), enroll(r, "+548001234567"),
	} {
		if strings.Contains(err.Error(), hint) {
			t.Error(err)
		}
	}
}

// TestUncheckedRegions: an operator may take numbers that the metadata does not know
// yet, by region, and none that it knows as something else.
func TestUncheckedRegions(t *testing.T) {
	lately := []string{"+255725000000", "+16212345678", "+16792345678"}
	enroll := func(r *rig, number string) error {
		_, err := r.Enroll(t.Context(), mfa.EnrollParams{
			NoOwner: true, SMS: &mfa.SMSParams{PhoneNumber: number},
		})
		return err
	}
	checked := newRig(t, func(c *mfa.Config) { c.Regions = []string{"US", "TZ"} })
	for _, number := range lately {
		refused(
			t,
			checked.Rig,
			number,
			mfa.ErrInvalidPhoneNumber,
			func() error { return enroll(checked, number) },
		)
	}

	r := newRig(t, func(c *mfa.Config) {
		c.Regions = []string{"US", "TZ", "DE", "MX"}
		c.UncheckedRegions = []string{"US", "TZ", "DE"}
	})
	for _, number := range append(lately, phone, "+255754000000") {
		f := r.EnrollSMS("", number)
		if f.PhoneNumber() != number {
			t.Errorf("%s is kept as %s", number, f.PhoneNumber())
		}
		r.LogIn(f)
	}
	if f := r.EnrollSMS("", "(621) 234-5678"); f.PhoneNumber() != lately[1] {
		t.Errorf("it is kept as %s", f.PhoneNumber())
	}
	for number, want := range map[string]error{
		"+19002345678":      mfa.ErrPhoneNumberNotAllowed, // premium rate
		"+18005551212":      mfa.ErrPhoneNumberNotAllowed, // toll free
		"+255222123456":     mfa.ErrPhoneNumberNotAllowed, // a fixed line
		"+12423591234":      mfa.ErrPhoneNumberNotAllowed, // the Bahamas, known
		"+447911123456":     mfa.ErrPhoneNumberNotAllowed,
		"+25572500000":      mfa.ErrInvalidPhoneNumber, // too short
		"+2557250000000":    mfa.ErrInvalidPhoneNumber,
		"2345678":           mfa.ErrInvalidPhoneNumber, // without its area code
		"+521234567890":     mfa.ErrInvalidPhoneNumber, // of a region that is not unchecked
		"+299123456":        mfa.ErrInvalidPhoneNumber,
		"+4990012345678":    mfa.ErrInvalidPhoneNumber, // a premium number with digits too many
		"+49151234567890":   mfa.ErrInvalidPhoneNumber, // a mobile one
		"+1 621 234 5678 x": mfa.ErrInvalidPhoneNumber,
		"+999123456789":     mfa.ErrInvalidPhoneNumber,
		"+490000":           mfa.ErrInvalidPhoneNumber, // too few digits, with its country's
		"+4911111111111111": mfa.ErrInvalidPhoneNumber, // more than E.164 has
		"+490015012345678":  mfa.ErrInvalidPhoneNumber, // one zero too many to be one number
	} {
		refused(t, r.Rig, number, want, func() error { return enroll(r, number) })
	}

	// A region that is taken out sends no messages any more.
	f := r.EnrollSMS(ann, "+255726000000")
	for _, change := range []func(){
		func() { r.Config.UncheckedRegions = []string{"US"} },
		func() { r.Config.Regions, r.Config.UncheckedRegions = []string{"US"}, nil },
	} {
		change()
		_, err := r.Another().Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
		mustBe(t, err, mfa.ErrPhoneNumberNotAllowed)
	}

	// Where regions share a country code nobody can tell whose such a number is: each of
	// them opens it.
	canada := newRig(t, func(c *mfa.Config) {
		c.Regions, c.UncheckedRegions, c.DefaultRegion = []string{"CA"}, []string{"CA"}, "CA"
	})
	if f := canada.EnrollSMS("", lately[1]); f.PhoneNumber() != lately[1] {
		t.Errorf("it is kept as %s", f.PhoneNumber())
	}
	refused(
		t,
		canada.Rig,
		phone,
		mfa.ErrPhoneNumberNotAllowed,
		func() error { return enroll(canada, phone) },
	)

	for _, unchecked := range [][]string{{"TZ"}, {"us"}, {"XX"}, {""}, {"US", "TZ"}} {
		_, err := mfa.New(
			mfa.Config{
				SMS:              r.SMS,
				Regions:          []string{"US"},
				UncheckedRegions: unchecked,
				Logger:           r.Config.Logger,
			},
		)
		if !errors.Is(err, mfa.ErrConfig) ||
			!strings.Contains(err.Error(), "Config.UncheckedRegions has") {
			t.Errorf("%q: %v", unchecked, err)
		}
	}
}

// TestTextOfOtherScripts: U+200C and U+200D are part of Persian, Sinhala and emoji.
// What they are not part of is refused, and so is whatever turns text around.
func TestTextOfOtherScripts(t *testing.T) {
	r := newRig(t)
	good := []string{
		"👩\u200d💻 laptop",
		"گوشی\u200cام",
		"نی\u200cنی\u200cسایت",
		"ශ්\u200dරී ලංකා",
		"👁️\u200d🗨️",
		"❤️\u200d🔥",
		"🏳️\u200d🌈",
		"క్\u200cష",
		"Ünïcode",
	}
	for _, text := range good {
		enr, err := r.Enroll(t.Context(), mfa.EnrollParams{
			UserID: ann, Name: text, TOTP: &mfa.TOTPParams{Issuer: text, User: text},
		})
		if err != nil || enr.Factor.Name != text || enr.Factor.TOTPIssuer != text ||
			enr.Factor.TOTPUser != text {
			t.Errorf("%q: %v, %v", text, enr.Factor, err)
			continue
		}
		f := enrolled{Factor: enr.Factor, Secret: enr.TOTP.Secret()}
		v, err := r.Verify(t.Context(), mfa.VerifyParams{
			ChallengeID: r.AskPatiently(f).ID,
			UserID:      ann,
			Code:        r.Right(f),
			TrustDevice: text != "",
			DeviceName:  text,
		})
		if err != nil || v.Device.Name != text {
			t.Errorf("a device %q: %v, %v", text, v.Device, err)
		}
		if err := r.Unenroll(t.Context(), mfa.UnenrollParams{FactorID: f.ID, UserID: ann}); err != nil {
			t.Fatal(err)
		}
	}
	f := r.EnrollSMS("", phone)
	for _, template := range []string{
		"کد شما: {{code}} است. نی\u200cنی\u200cسایت", "ශ්\u200dරී ලංකා: {{code}}", "👩\u200d💻 {{code}}",
		"می\u200c{{code}}\u200cام",
	} {
		if _, err := r.Challenge(t.Context(), mfa.ChallengeParams{
			FactorID: f.ID, SMSTemplate: template,
		}); err != nil {
			t.Errorf("%q: %v", template, err)
			continue
		}
		body := r.SMS.Messages()[len(r.SMS.Messages())-1].Body
		if want := strings.Replace(template, "{{code}}", r.Right(f), 1); body != want {
			t.Errorf("%q is sent as %q", template, body)
		}
		r.Clock.Advance(12 * time.Hour)
		f = r.EnrollSMS("", phone)
	}

	for _, bad := range []string{
		"\u200ca", "a\u200d", "\u200d", "a\u200c\u200db", "a\u200d\u200db", "a \u200db", "a\u200d b",
		"a\u200d\u3000b", "a\u200d\u202eb", "a\ufeff\u200cb",
		"a\u200eb", "\u202aa\u202c", "a\u202eb", "\u2066a\u2069", "a\u061cb", "a\u200bb", "a\u2060b",
		"a\u00adb", "\U0001f3f4\U000e0067\U000e007f", "a\nb", "a\r\nb", "a\tb", "a\u2028b", "a\u0085b",
	} {
		refused(t, r.Rig, bad, mfa.ErrInvalidParameter, func() error {
			_, err := r.Enroll(t.Context(), mfa.EnrollParams{
				NoOwner: true, Name: bad, TOTP: &mfa.TOTPParams{Issuer: "a", User: "b"},
			})
			return err
		})
		refused(t, r.Rig, bad, mfa.ErrInvalidParameter, func() error {
			_, err := r.Enroll(t.Context(), mfa.EnrollParams{
				NoOwner: true, TOTP: &mfa.TOTPParams{Issuer: bad, User: "b"},
			})
			return err
		})
		refused(t, r.Rig, bad, mfa.ErrInvalidParameter, func() error {
			_, err := r.Enroll(t.Context(), mfa.EnrollParams{
				NoOwner: true, TOTP: &mfa.TOTPParams{Issuer: "a", User: bad},
			})
			return err
		})
		if strings.Contains(bad, "\n") {
			continue // a template has line breaks
		}
		refused(t, r.Rig, bad, mfa.ErrInvalidParameter, func() error {
			_, err := r.Challenge(
				t.Context(),
				mfa.ChallengeParams{FactorID: f.ID, SMSTemplate: "{{code}} " + bad},
			)
			return err
		})
	}
}

// TestCodesBoundToASite: a last line that phones and browsers read, with the code once
// more. Line breaks are those of SMS, whatever a form or a file has.
func TestCodesBoundToASite(t *testing.T) {
	r := newRig(t)
	f := r.EnrollSMS("", phone)
	for template, want := range map[string]string{
		"Your code is {{code}}.\n\n@example.com #{{code}}": "Your code is 123456.\n\n" +
			"@example.com #123456",
		"Your code is {{code}}.\r\n\r\n@example.com #{{code}}\r\n": "Your code is 123456.\n\n" +
			"@example.com #123456",
		"\n{{code}}\n@example.com #{{code}} @shop.example\n\n": "123456\n" +
			"@example.com #123456 @shop.example",
		"Your code:\n@example.com #{{code}}": "Your code:\n@example.com #123456",
		"{{code}}\nis your code":             "123456\nis your code",
		"{{code}}\n@xn--bcher-kva.example:8443 #{{code}}": "123456\n" +
			"@xn--bcher-kva.example:8443 #123456",
		"کد {{code}}\n\n@example.com #{{code}}": "کد 123456\n\n@example.com #123456",
		strings.Repeat("x", 432) + "{{code}}\n@example.com #{{code}}": strings.Repeat("x", 432) +
			"123456\n@example.com #123456",
	} {
		if _, err := r.Challenge(t.Context(), mfa.ChallengeParams{
			FactorID: f.ID, SMSTemplate: template,
		}); err != nil {
			t.Errorf("%.60q: %v", template, err)
			continue
		}
		body := r.SMS.Messages()[len(r.SMS.Messages())-1].Body
		if got := strings.ReplaceAll(body, r.Right(f), "123456"); got != want {
			t.Errorf("%.60q is sent as %q, want %q", template, got, want)
		}
		r.Clock.Advance(12 * time.Hour)
		f = r.EnrollSMS("", phone)
	}
	for _, bad := range []string{
		"{{code}} {{code}}", "{{code}}\n{{code}}", "@example.com #{{code}} {{code}}",
		"@example.com #{{code}}\n{{code}}", "{{code}}\n@example.com {{code}}", "{{code}}\n@ #{{code}}",
		"{{code}}\n#{{code}}",
		"{{code}}\n@exam ple.com #{{code}}", "{{code}}\n @example.com #{{code}}",
		"{{code}}\n@example.com #{{code}}.", "{{code}}{{code}}\n@example.com #{{code}}",
		"{{code}}\n@example.com #{{code}}\nBye",
		"{{code}}\n@example.com #{{code}} {{", "{{{code}}\n@example.com #{{code}}",
		"{{code}}\n@{{name}} #{{code}}", "{{code}}\n@a@b #{{code}}",
		"\n", "\r\n", "a\rb {{code}}", "{{code}}\r", "a\u2028{{code}}", "a\u0085{{code}}", "a\v{{code}}",
		"\t{{code}}",
		strings.Repeat("x", 433) + "{{code}}\n@example.com #{{code}}",
		strings.Repeat("日", 175) + "{{code}}\n@example.com #{{code}}",
	} {
		refused(t, r.Rig, bad, mfa.ErrInvalidParameter, func() error {
			_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, SMSTemplate: bad})
			return err
		})
	}
}

// TestLongLabels: issuer and user have 64 characters of any script.
func TestLongLabels(t *testing.T) {
	r := newRig(t)
	const maxURI = 2541 // bytes, as the docs say
	for _, p := range []mfa.TOTPParams{
		{Issuer: "กองทุนการออมแห่งชาติไทย Ltd.", User: "somchai.long@example-corp.th"},
		{Issuer: "Государственное бюджетное учреждение здравоохранения", User: "ivan@example.test"},
		{Issuer: strings.Repeat("日", 64), User: strings.Repeat("日", 64)},
		{Issuer: strings.Repeat("𠮷", 64), User: strings.Repeat("𠮷", 64)},
		{Issuer: strings.Repeat("𠮷", 64), User: strings.Repeat("𠮷", 64),
			Secret: strings.Repeat("GEZDGNBV", 25) + "GEZDG"},
		{Issuer: strings.Repeat(":", 63) + "a", User: strings.Repeat("&", 64)},
	} {
		enr, err := r.Enroll(t.Context(), mfa.EnrollParams{NoOwner: true, TOTP: &p})
		if err != nil {
			t.Errorf("%d and %d bytes: %v", len(p.Issuer), len(p.User), err)
			continue
		}
		uri, err := url.Parse(enr.TOTP.URI())
		if err != nil || uri.Path != "/"+strings.ReplaceAll(p.Issuer, ":", "")+":"+p.User ||
			uri.Query().Get("issuer") != p.Issuer {
			t.Errorf("%q, %v", uri, err)
		}
		if n := len(enr.TOTP.URI()); n > maxURI || len(p.Secret) == 205 && n != maxURI {
			t.Errorf("a URI of %d bytes", n)
		}
		if f := r.importURI(enr.TOTP.URI()); f.TOTPIssuer != p.Issuer || f.TOTPUser != p.User {
			t.Errorf("imported as %q and %q", f.TOTPIssuer, f.TOTPUser)
		}
	}
}

// TestIssuerWithColon: it is shown as it is, and the label of the URI, whose parts a ':'
// divides, goes without.
func TestIssuerWithColon(t *testing.T) {
	r := newRig(t)
	for issuer, label := range map[string]string{
		"Star Trek: Website": "Star Trek Website", "a:b": "ab", "a:": "a", ":a:b:": "ab",
		"http://x.example": "http//x.example",
	} {
		enr, err := r.Enroll(t.Context(), mfa.EnrollParams{
			NoOwner: true, TOTP: &mfa.TOTPParams{Issuer: issuer, User: "alan"},
		})
		if err != nil || enr.Factor.TOTPIssuer != issuer {
			t.Errorf("%q: %v, %v", issuer, enr.Factor, err)
			continue
		}
		uri, err := url.Parse(enr.TOTP.URI())
		if err != nil || uri.Path != "/"+label+":alan" ||
			!slices.Equal(uri.Query()["issuer"], []string{issuer}) {
			t.Errorf("%q: %v, %v", issuer, uri, err)
		}
		if f := r.importURI(enr.TOTP.URI()); f.TOTPIssuer != issuer || f.TOTPUser != "alan" {
			t.Errorf("%q: imported as %q and %q", issuer, f.TOTPIssuer, f.TOTPUser)
		}
	}
	for _, bad := range []string{":", "::", " : ", ":\u3000:"} {
		refused(t, r.Rig, bad, mfa.ErrInvalidParameter, func() error {
			_, err := r.Enroll(t.Context(), mfa.EnrollParams{
				NoOwner: true, TOTP: &mfa.TOTPParams{Issuer: bad, User: "alan"},
			})
			return err
		})
	}
	// As others write it, with the ':' in the label.
	const secret = "?secret=" + otherSecret + "&issuer=Star+Trek%3A+Website"
	if f := r.importURI(
		"otpauth://totp/Star%20Trek%3A%20Website:alan" + secret,
	); f.TOTPIssuer != "Star Trek: Website" ||
		f.TOTPUser != "alan" {
		t.Errorf("%v", f)
	}
}

// importURI imports it for a user of its own.
func (r *rig) importURI(uri string) mfa.Factor {
	r.T.Helper()
	r.Clock.Advance(time.Minute)
	f, err := r.Import(r.T.Context(), mfa.ImportParams{
		UserID: "user_" + r.Clock.Now().Format(time.RFC3339), Secret: uri,
	})
	if err != nil {
		r.T.Error(err)
	}
	return f
}
