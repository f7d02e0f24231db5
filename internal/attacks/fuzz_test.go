package attacks_test

import (
	"encoding/base32"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfatest"
)

// What a person may type: a code, or something that is neither compared nor counted.
func FuzzCode(f *testing.F) {
	for _, typed := range []string{
		"287082", " 287082\r\n", "287 082", "2-87082", "28-70-82", "\u00a0287082", "２８７０８２", "٢٨٧٠٨٢",
		"+287082", "0287082",
		"\u202e287082", "\u0600287082", "\U0001d7ec87082", "\u2066287\u202f082\u2069", "287−082",
		"߂߈߇߀߈߂", "287082\x00", "0x4616a", "755224", "000000", "", "1_2345", "28708 2 -",
		strings.Repeat(" ", 58) + "287082", strings.Repeat(" ", 59) + "287082", "\x80287082",
		strings.Repeat("\u3000", 58) + "287082", strings.Repeat("\u3000", 59) + "287082",
	} {
		f.Add(typed)
	}
	sixDigits := regexp.MustCompile(`^[0-9]{6}$`)
	valid := []string{"755224", "287082", "359152"} // of the steps 0, 1 and 2
	f.Fuzz(func(t *testing.T, typed string) {
		code := strings.Map(asciiDigit, saysNothing.ReplaceAllString(typed, ""))
		isCode := utf8.ValidString(typed) && utf8.RuneCountInString(typed) <= 64 &&
			sixDigits.MatchString(code)

		r, factor := vectorRig(t)
		v, err := r.Answer(r.Ask(factor), factor, typed)
		if isCode && slices.Contains(valid, code) {
			if err != nil || !v.Valid {
				t.Fatalf("the right code %q: %v", typed, err)
			}
			return
		}
		mustBe(t, err, mfa.ErrInvalidCode)
		left := 5
		if isCode {
			left = 4
		}
		if e := refusal(t, err); v.Valid || e.AttemptsLeft != left {
			t.Fatalf("%q: valid %t, %d attempts left, want %d", typed, v.Valid, e.AttemptsLeft, left)
		}
	})
}

// saysNothing is what a code may have around and between its digits, and a phone number
// besides brackets, slashes and dots.
var saysNothing = regexp.MustCompile(
	`[\s\v\x{85}\pZ\p{Pd}\x{2212}\x{30fc}\x{ff70}\x{ad}\x{61c}\x{180e}` +
		`\x{200b}-\x{200f}\x{202a}-\x{202d}\x{2060}-\x{206f}\x{feff}` +
		`\x{13430}-\x{1343f}\x{1bca0}-\x{1bca3}\x{1d173}-\x{1d17a}\x{e0001}\x{e0020}-\x{e007f}]`,
)

// asciiDigit gives a decimal digit of any script in ASCII, and other characters as
// they are.
func asciiDigit(r rune) rune {
	for _, ranges := range unicode.Nd.R16 {
		if lo := rune(ranges.Lo); lo <= r && r <= rune(ranges.Hi) {
			return '0' + (r-lo)%10
		}
	}
	for _, ranges := range unicode.Nd.R32 {
		if lo := rune(ranges.Lo); lo <= r && r <= rune(ranges.Hi) {
			return '0' + (r-lo)%10
		}
	}
	return r
}

// What a person may type of recovery codes: a code of the set, once, or something that
// is not counted, or a wrong code.
func FuzzRecoveryCode(f *testing.F) {
	for _, how := range []string{
		"", "-", " ", "–\u200e", "\u202e", "\x00", "\xff", "a", "０", strings.Repeat(" ", 17),
		strings.Repeat("\u3000", 2),
	} {
		f.Add(how, uint8(0), false, false)
		f.Add(how, uint8(4), true, true)
	}
	f.Fuzz(func(t *testing.T, between string, at uint8, wide, lower bool) {
		r := newRig(t)
		set, codes := r.Recovery(ann)
		letters := strings.ReplaceAll(codes[0], "-", "")
		typed := letters
		if lower {
			typed = strings.ToLower(typed)
		}
		if wide {
			typed = strings.Map(func(r rune) rune { return r - '!' + '！' }, typed)
		}
		runes := []rune(typed)
		typed = string(runes[:at%25]) + between + string(runes[at%25:])
		rest := strings.Map(asciiDigit, saysNothing.ReplaceAllString(between, ""))
		same := rest == "" && utf8.ValidString(between) && utf8.RuneCountInString(typed) <= 64
		ch := r.Ask(set)
		_, err := r.Answer(ch, set, typed)
		if same != (err == nil) {
			t.Fatalf("%q at %d, full-width %t, lower case %t: %v", between, at%25, wide, lower, err)
		}
		left := 9
		if !same {
			mustBe(t, err, mfa.ErrInvalidCode)
			if refusal(t, err).AttemptsLeft != 5 {
				t.Fatalf("%q was counted", typed)
			}
			left = 10
		}
		if r.Left(set) != left {
			t.Fatalf("%q: %d codes left", typed, r.Left(set))
		}
		if _, err := r.Answer(r.Ask(set), set, letters); same == (err == nil) {
			t.Fatalf("%q, and then the code as it was made: %v", typed, err)
		}
	})
}

// What is shown is refused, with nothing stored, or kept as it is: no character of it
// controls how others look.
func FuzzName(f *testing.F) {
	for _, name := range []string{
		"work phone", "👩\u200d💻 laptop", "گوشی\u200cام", "a\u200d", "\u200ca", "a\u200d\u200cb",
		"a \u200db", "\u202ea", "a\u2028b", " ", "\xff", "\u200d", strings.Repeat("界", 64),
		strings.Repeat("界", 65),
	} {
		f.Add(name)
	}
	visible := regexp.MustCompile(`^[^\s\v\x{85}\pZ\p{Cc}\p{Cf}]`)
	f.Fuzz(func(t *testing.T, name string) {
		r := newRig(t)
		enr, err := r.Enroll(t.Context(), mfa.EnrollParams{NoOwner: true, Name: name, GenericOTP: true})
		if err != nil {
			mustBe(t, err, mfa.ErrInvalidParameter)
			if len(r.Store.Calls()) > 0 {
				t.Fatalf("%q was refused after something was done", name)
			}
			if n := utf8.RuneCountInString(
				name,
			); utf8.ValidString(name) && n <= 64 && strings.TrimSpace(name) != "" &&
				!regexp.MustCompile(`[\pC\p{Zl}\p{Zp}]`).MatchString(name) {
				t.Fatalf("%q was refused: %v", name, err)
			}
			return
		}
		if enr.Factor.Name != name || !utf8.ValidString(name) || utf8.RuneCountInString(name) > 64 {
			t.Fatalf("%q was kept as %q", name, enr.Factor.Name)
		}
		rest := name
		for {
			at := strings.IndexFunc(
				rest,
				func(r rune) bool { return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) },
			)
			if at < 0 {
				break
			}
			before, _ := utf8.DecodeLastRuneInString(rest[:at])
			after := rest[min(at+3, len(rest)):]
			if !strings.ContainsRune("\u200c\u200d", []rune(rest[at:])[0]) || at == 0 ||
				!visible.MatchString(string(before)) ||
				!visible.MatchString(after) {
				t.Fatalf("%q was taken", name)
			}
			rest = after
		}
	})
}

// A number is refused, with nothing stored, or it has one spelling from then on: that
// of its digits alone.
func FuzzPhoneNumber(f *testing.F) {
	for _, number := range []string{
		"+15005550006", "(212) 555-1234", "+44 20 7946 0958", "+447911123456", "+44 (0) 7911 123456",
		"0044 7911 123456", "foo", "+1234", "+1 (212) 555-1234;ext=3",
		"1-800-FLOWERS", "１２１２５５５１２３４", "+1\u202c2125551234", "+39 347 123 4567", "+54 9 11 2345 6789",
		"+54 11 15 2345 6789", "+52 1 55 1234 5678", "+", "", "++12125551234", "+7 912 345 67 89",
		"+999123456789",
		"\u202d+49 151/23456789\u202c", "+5215512345678", "+541123456789", "+255725000000",
		"+16212345678", "+4400912345678", "+1 000 000 0000", "+4990012345678",
	} {
		f.Add(number, false)
		f.Add(number, true)
	}
	e164 := regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)
	forgiven := regexp.MustCompile(saysNothing.String() + `|[()（）/／.．·・]`)
	f.Fuzz(func(t *testing.T, typed string, unchecked bool) {
		r := newRig(t, func(c *mfa.Config) {
			c.Regions = mfa.AllRegions()
			if unchecked {
				c.UncheckedRegions = c.Regions
			}
		})
		digits := forgiven.ReplaceAllString(typed, "")
		plain := utf8.ValidString(typed) && utf8.RuneCountInString(typed) <= 64 &&
			regexp.MustCompile(`^\+?[0-9]+$`).MatchString(digits)
		enr, err := r.Enroll(t.Context(), mfa.EnrollParams{
			NoOwner: true, SMS: &mfa.SMSParams{PhoneNumber: typed},
		})
		if err != nil {
			if !errors.Is(err, mfa.ErrInvalidPhoneNumber) && !errors.Is(err, mfa.ErrPhoneNumberNotAllowed) {
				t.Fatalf("%q: %v", typed, err)
			}
			if calls := r.Store.Calls(); len(calls) > 0 {
				t.Fatalf("%q was refused after %v", typed, calls)
			}
			if _, again := r.Enroll(t.Context(), mfa.EnrollParams{
				NoOwner: true, SMS: &mfa.SMSParams{PhoneNumber: digits},
			}); plain &&
				fmt.Sprint(again) != fmt.Sprint(err) {
				t.Fatalf("%q: %v, and its digits: %v", typed, err, again)
			}
			return
		}
		number := enr.Factor.PhoneNumber()
		if !e164.MatchString(number) || !plain ||
			digits[max(0, len(digits)-6):] != number[max(0, len(number)-min(len(digits), 6)):] {
			t.Fatalf("%q was taken as %q", typed, number)
		}
		for _, same := range []string{number, digits} {
			again, err := r.Enroll(t.Context(), mfa.EnrollParams{
				NoOwner: true, SMS: &mfa.SMSParams{PhoneNumber: same},
			})
			if err != nil || again.Factor.PhoneNumber() != number {
				t.Fatalf("%q is %q, and %q is %q, %v", typed, number, same, again.Factor.PhoneNumber(), err)
			}
		}
		r.Ask(enrolled{Factor: enr.Factor})
		if m := r.SMS.Messages(); m[0].To != number {
			t.Fatalf("%q was sent to %q", number, m[0].To)
		}
	})
}

// A template is refused, with nothing stored, charged or sent, or the message is
// the template with the code in its places, and at most three parts long.
func FuzzTemplate(f *testing.F) {
	for _, template := range []string{
		"Your FooCorp code is {{code}}.", "{{code}}", "{{ code }}", "{{code}}{{code}}", "{{{code}}}",
		"{{code}}}", "{{{{code}}}}", "code", "{{code}} {{name}}", "{{code", "{ {{code}}",
		"a\nb {{code}}", "{{code}}\r\n\r\n@example.com #{{code}}\r\n",
		"{{code}}\n@example.com #{{code}} @a.example", "{{code}}\n{{code}}", "{{code}}\n@{ #{{code}}",
		"a\rb{{code}}", "می\u200c{{code}}", "\u202e{{code}}", "\xff{{code}}", "\U0001f511 {{code}}",
		"%s {{code}} %d", "[€] {{code}}", strings.Repeat("x", 453) + "{{code}}",
		strings.Repeat("x", 454) + "{{code}}", strings.Repeat("ж", 195) + "{{code}}",
		strings.Repeat("ж", 196) + "{{code}}",
		strings.Repeat("€", 226) + "{{code}}",
	} {
		f.Add(template)
	}
	f.Fuzz(func(t *testing.T, template string) {
		r := newRig(t)
		factor := r.EnrollSMS("", phone)
		before := len(r.Store.Calls())
		_, err := r.Challenge(t.Context(), mfa.ChallengeParams{
			FactorID: factor.ID, SMSTemplate: template,
		})
		if template == "" {
			template = "Your verification code is {{code}}."
		}
		if err != nil {
			mustBe(t, err, mfa.ErrInvalidParameter)
			if len(r.Store.Calls()) != before || r.SMS.Sends() != 0 {
				t.Fatalf("%q was refused after something was done", template)
			}
			plain := strings.Replace(template, "{{code}}", "", 1)
			if plain != template &&
				!strings.ContainsFunc(
					plain,
					func(r rune) bool { return r < ' ' || r > '~' || r == '{' || r == '`' },
				) &&
				len(plain) <= 3*153-3*6 {
				t.Fatalf("%q was refused: %v", template, err)
			}
			return
		}
		body := r.SMS.Messages()[0].Body
		want := strings.Trim(strings.ReplaceAll(template, "\r\n", "\n"), "\n")
		before1, after, found := strings.Cut(want, "{{code}}")
		if !found || len(body) < len(before1)+6 {
			t.Fatalf("%q became %q", template, body)
		}
		code := body[len(before1) : len(before1)+6]
		if !regexp.MustCompile(`^[0-9]{6}$`).MatchString(code) ||
			body != strings.ReplaceAll(want, "{{code}}", code) {
			t.Fatalf("%q became %q", template, body)
		}
		if n := strings.Count(
			want,
			"{{code}}",
		); n > 2 ||
			n == 2 &&
				!regexp.MustCompile(`\n@[^ @#{\n]+ #$`).MatchString(strings.Split(after, "{{code}}")[0]) {
			t.Fatalf("%q was sent", body)
		}
		control := func(r rune) bool {
			return unicode.IsControl(r) && r != '\n' ||
				unicode.Is(unicode.Cf, r) && r != 0x200c && r != 0x200d
		}
		if strings.Contains(body, "{{") || !utf8.ValidString(body) ||
			strings.ContainsFunc(body, control) {
			t.Fatalf("%q was sent", body)
		}
		units := 0 // of UTF-16, of which three messages take 3 x 67; of GSM's septets they take 3 x 153
		for _, c := range body {
			units += utf8.RuneLen(c) / 4
			units++
		}
		if units > 3*153 {
			t.Fatalf("%d characters do not fit three messages", units)
		}
		if strings.ContainsFunc(body, func(r rune) bool { return r > 'ω' && r != '€' }) && units > 3*67 {
			t.Fatalf("%d UTF-16 units do not fit three messages", units)
		}
	})
}

// Whatever issuer and user are, an app that reads the URI finds them again, with
// exactly one secret.
func FuzzKeyURI(f *testing.F) {
	for _, s := range [][2]string{
		{"Foo Corp", "alan.turing@foo-corp.com"}, {"a", "b"}, {"ACME:Evil", "x"},
		{"a?secret=AAAA", "b&issuer=x#y"}, {"a/b", "../../hotp/x"}, {"100%", "%3A"}, {"ä ö", "日本"},
		{"+", "a+b"},
		{" ", "x"}, {"Star Trek: Website", "x"}, {":", "x"}, {"a:", "a"}, {"a", ":b"},
		{"نی\u200cنی", "x"}, {strings.Repeat("𠮷", 64), strings.Repeat("𠮷", 64)}, {"\u202e", "x"},
		{"a\x00", "x"}, {strings.Repeat("界", 20), strings.Repeat("界", 20)},
		{strings.Repeat("x", 65), "x"}, {"\xff", "x"},
	} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, issuer, user string) {
		r := newRig(t)
		enr, err := r.Enroll(t.Context(), mfa.EnrollParams{
			NoOwner: true, TOTP: &mfa.TOTPParams{Issuer: issuer, User: user},
		})
		if err != nil {
			mustBe(t, err, mfa.ErrInvalidParameter)
			if calls := r.Store.Calls(); len(calls) > 0 {
				t.Fatalf("%q, %q was refused after %v", issuer, user, calls)
			}
			return
		}
		uri, err := url.Parse(enr.TOTP.URI())
		if err != nil {
			t.Fatal(err)
		}
		query, err := url.ParseQuery(uri.RawQuery)
		if err != nil {
			t.Fatal(err)
		}
		if uri.Scheme != "otpauth" || uri.Host != "totp" || uri.Fragment != "" || uri.User != nil ||
			uri.Path != "/"+strings.ReplaceAll(issuer, ":", "")+":"+user {
			t.Fatalf(
				"%q, %q: the URI is read as %q, %q, path %q, fragment %q",
				issuer,
				user,
				uri.Scheme,
				uri.Host,
				uri.Path,
				uri.Fragment,
			)
		}
		if !slices.Equal(query["secret"], []string{enr.TOTP.Secret()}) ||
			!slices.Equal(query["issuer"], []string{issuer}) {
			t.Fatalf(
				"%q, %q: the query has %d secrets and the issuers %q",
				issuer,
				user,
				len(query["secret"]),
				query["issuer"],
			)
		}
		if n := len(
			enr.TOTP.URI(),
		); strings.Contains(enr.TOTP.URI(), "+") || n > 2368 ||
			n <= 512 && len(enr.TOTP.QRCode()) >= 3000 {
			t.Fatalf("%q, %q: a URI of %d bytes and an image of %d", issuer, user, n, len(enr.TOTP.QRCode()))
		}
		imported, err := r.Import(t.Context(), mfa.ImportParams{UserID: ann, Secret: enr.TOTP.URI()})
		if err != nil || imported.TOTPIssuer != issuer ||
			imported.TOTPUser != strings.TrimLeft(user, " ") {
			t.Fatalf(
				"%q, %q: imported as %q, %q, %v",
				issuer,
				user,
				imported.TOTPIssuer,
				imported.TOTPUser,
				err,
			)
		}
	})
}

// A secret that is brought along is refused, or makes the codes of the same bytes.
func FuzzTOTPSecret(f *testing.F) {
	for _, secret := range []string{
		vectorSecret, strings.ToLower(vectorSecret), "GEZD GNBV GY3T QOJQ GEZD-GNBV-GY3T-QOJQ",
		vectorSecret + "======", vectorSecret[:26], vectorSecret[:24], "ſEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ",
		vectorSecret + "\n", "0189", strings.Repeat("A", 512), strings.Repeat("A", 208),
		"GEZDGNBVGY3TQOJQGEZDGNBVGZ",
	} {
		f.Add(secret)
	}
	f.Fuzz(func(t *testing.T, secret string) {
		r := newRig(t)
		if secret == "" {
			return // asks for a new one
		}
		enr, err := r.Enroll(t.Context(), mfa.EnrollParams{
			NoOwner: true, TOTP: &mfa.TOTPParams{Issuer: "a", User: "b", Secret: secret},
		})
		if err != nil {
			mustBe(t, err, mfa.ErrInvalidTOTPSecret)
			if len(secret) >= 8 && strings.Contains(err.Error(), secret) || len(r.Store.Calls()) > 0 {
				t.Fatal("it was refused, and shown or used")
			}
			return
		}
		plain := strings.ToUpper(
			strings.NewReplacer(" ", "", "-", "").Replace(strings.TrimRight(secret, "=")),
		)
		bytes, err := base32.StdEncoding.WithPadding(
			base32.NoPadding,
		).DecodeString(
			strings.TrimRight(plain, "="),
		)
		if err != nil || len(bytes) < 16 || len(bytes) > 128 {
			t.Fatalf("%d bytes were taken, %v", len(bytes), err)
		}
		if got := enr.TOTP.Secret(); got != base32.StdEncoding.WithPadding(
			base32.NoPadding,
		).EncodeToString(
			bytes,
		) {
			t.Fatal("the app gets another secret")
		}
		factor := enrolled{Factor: enr.Factor, Secret: enr.TOTP.Secret()}
		if v, err := r.Answer(r.Ask(factor), factor, r.Right(factor)); !v.Valid {
			t.Fatal(err)
		}
	})
}

// No text of a caller's reaches the store unless it has the shape that the store's
// contract promises.
func FuzzIDs(f *testing.F) {
	const ulid = "01KE3Z8M2Q4R5S6T7V8W9X0Y1Z"
	for _, id := range []string{
		"auth_factor_" + ulid, "auth_challenge_" + ulid, "auth_factor_" + strings.ToLower(ulid),
		"auth_factor_8" + ulid[1:], "auth_factor_" + ulid + " ", "auth_factor_", "' OR 1=1 --", "\x00",
		"auth_user_MFRGGZDFMZTWQ2LKNNWG23TPOBYXE43U", strings.Repeat("x", 1<<10), "\xff", "../x",
	} {
		f.Add(id, "ann", "phone")
	}
	f.Add("auth_factor_"+ulid, mfa.AnyUser, "")
	f.Add("auth_factor_"+ulid, "a\nb", "\u202e")
	f.Add("auth_factor_"+ulid, strings.Repeat("x", 256), strings.Repeat("x", 65))
	shape := regexp.MustCompile(`^auth_(factor|challenge)_[0-7][0-9A-HJKMNP-TV-Z]{25}$`)
	f.Fuzz(func(t *testing.T, id, userID, name string) {
		r := newRig(t)
		plausibleUser := userID == mfa.AnyUser ||
			len(userID) <= 255 && utf8.ValidString(userID) &&
				!strings.ContainsFunc(userID, unicode.IsControl)
		for verb, call := range map[string]func() error{
			"Challenge": func() error {
				_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: id, UserID: userID})
				return err
			},
			"Verify": func() error {
				_, err := r.Verify(t.Context(), mfa.VerifyParams{
					ChallengeID: id, UserID: userID, Code: "123456",
				})
				return err
			},
			"Factor": func() error {
				_, err := r.Factor(t.Context(), mfa.FactorParams{FactorID: id, UserID: userID})
				return err
			},
			"Unenroll": func() error {
				return r.Unenroll(t.Context(), mfa.UnenrollParams{FactorID: id, UserID: userID})
			},
			"Unlock": func() error {
				return r.Unlock(t.Context(), mfa.FactorParams{FactorID: id, UserID: userID})
			},
		} {
			before := len(r.Store.Calls())
			err := call()
			kind := "auth_factor_"
			if verb == "Verify" {
				kind = "auth_challenge_"
			}
			asked := len(r.Store.Calls()) > before
			switch {
			case !plausibleUser:
				mustBe(t, err, mfa.ErrInvalidParameter)
			default:
				mustBe(t, err, mfa.ErrNotFound)
			}
			if want := plausibleUser && strings.HasPrefix(id, kind) && shape.MatchString(id); asked != want {
				t.Fatalf("%s of %q by %q: a store call is %t, want %t", verb, id, userID, asked, want)
			}
		}

		before := len(r.Store.Calls())
		enr, err := r.Enroll(t.Context(), mfa.EnrollParams{
			UserID:  userID,
			NoOwner: userID == "",
			Name:    name,
			SMS:     &mfa.SMSParams{PhoneNumber: phone},
		})
		if err != nil {
			mustBe(t, err, mfa.ErrInvalidParameter)
			if len(r.Store.Calls()) > before {
				t.Fatalf("%q by %q was refused after a store call", name, userID)
			}
			return
		}
		if userID == mfa.AnyUser || utf8.RuneCountInString(name) > 64 || !utf8.ValidString(name) ||
			strings.ContainsFunc(name, unicode.IsControl) {
			t.Fatalf("%q by %q was taken", name, userID)
		}
		if got, err := r.Factor(t.Context(), mfa.FactorParams{
			FactorID: enr.Factor.ID, UserID: userID,
		}); err != nil || got.Name != name ||
			got.UserID != userID {
			t.Fatalf("%q by %q came back as %q by %q, %v", name, userID, got.Name, got.UserID, err)
		}
	})
}

// Nothing but what was sealed opens, wherever the bytes come from.
func FuzzSealedState(f *testing.F) {
	f.Add([]byte{}, uint16(0), byte(1))
	f.Add([]byte(nil), uint16(7), byte(0x80))
	f.Add([]byte(nil), uint16(8), byte(1))
	f.Add([]byte(nil), uint16(40), byte(1))
	f.Add(make([]byte, 48), uint16(0), byte(0))
	f.Fuzz(func(t *testing.T, state []byte, at uint16, flip byte) {
		r, factor := vectorRig(t)
		ch := r.Ask(factor)
		store := r.Config.Store.(*mfa.MemoryStore)
		for _, id := range []string{factor.ID, ch.ID} {
			records, err := store.Load(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			rec := records[0]
			sealed := rec.State
			if len(state) == 0 { // change one byte of the real one
				rec.State = slices.Clone(sealed)
				rec.State[int(at)%len(rec.State)] ^= flip
				if flip == 0 {
					continue
				}
			} else {
				rec.State = state
			}
			put(t, store, rec)
			if v, err := r.Answer(ch, factor, "287082"); v.Valid || !errors.Is(err, mfa.ErrIntegrity) {
				t.Fatalf("a state that was changed: valid %t, %v", v.Valid, err)
			}
			rec.State = sealed
			put(t, store, rec)
		}
		if v, err := r.Answer(ch, factor, "287082"); !v.Valid {
			t.Fatalf("put back: %v", err)
		}
	})
}

// put replaces a row by one of the same version.
func put(t *testing.T, store mfa.Store, rec mfa.Record) {
	t.Helper()
	change := mfa.Change{Record: rec, Delete: true}
	if err := store.Save(t.Context(), change); err != nil {
		t.Fatal(err)
	}
	version := rec.Version
	rec.Version = 0
	for ; rec.Version < version; rec.Version++ {
		if err := store.Save(t.Context(), mfa.Change{Record: rec}); err != nil {
			t.Fatal(err)
		}
	}
}

func FuzzParseKeyring(f *testing.F) {
	key := base64.StdEncoding.EncodeToString([]byte("a key for tests, known to anyone"))
	other := base64.StdEncoding.EncodeToString(make([]byte, 32))
	for _, text := range []string{
		key, key + "," + other, " " + key + " ,\n" + other, key + "," + key, "", ",", key + ",", key[:43],
		key[:42] + "F=", key[:20] + "\n" + key[20:], strings.Repeat("A", 44),
		base64.URLEncoding.EncodeToString([]byte(strings.Repeat("\xff", 32))),
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var keys []string
		good := true
		for part := range strings.SplitSeq(text, ",") {
			raw, err := base64.StdEncoding.Strict().DecodeString(strings.TrimSpace(part))
			good = good && err == nil && len(raw) == 32 && !slices.Contains(keys, string(raw))
			keys = append(keys, string(raw))
		}
		ring, err := mfa.ParseKeyring(text)
		if good != (err == nil) {
			t.Fatalf("%d keys, good %t: %v", len(keys), good, err)
		}
		if err != nil {
			mustBe(t, err, mfa.ErrConfig)
			for part := range strings.SplitSeq(text, ",") {
				if len(part) > 12 && strings.Contains(err.Error(), part) {
					t.Fatal("the error shows a key")
				}
			}
			return
		}
		if shown := fmt.Sprintf(
			"%v %+v %#v %s",
			ring,
			ring,
			*ring,
			ring,
		); strings.Contains(
			shown,
			strings.TrimSpace(strings.Split(text, ",")[0]),
		) {
			t.Fatal("a key is printed")
		}
		r := newRig(t, func(c *mfa.Config) { c.Keys = ring })
		r.LogIn(r.EnrollTOTP(ann))
	})
}

// mfatest.Code is given what an application's tests have; it panics, or gives six digits.
func FuzzVirtualAuthenticator(f *testing.F) {
	f.Add(vectorSecret, int64(59))
	f.Add("otpauth://totp/Foo:bar?secret="+vectorSecret, int64(1))
	f.Add("otpauth://hotp/Foo:bar?secret="+vectorSecret, int64(1))
	f.Add("otpauth:%", int64(0))
	f.Add("", int64(-1))
	f.Fuzz(func(t *testing.T, secret string, second int64) {
		defer func() {
			if p := recover(); p != nil && len(secret) >= 8 && strings.Contains(fmt.Sprint(p), secret) {
				t.Fatal("the panic shows the secret")
			}
		}()
		if code := mfatest.Code(
			secret,
			time.Unix(second, 0),
		); !regexp.MustCompile(
			`^[0-9]{6}$`,
		).MatchString(
			code,
		) {
			t.Fatalf("%q", code)
		}
	})
}

// What a browser's cookie may hold: the token that was given to it, or something that lets
// nobody in and changes nothing.
func FuzzDeviceToken(f *testing.F) {
	for _, token := range []string{
		"", "auth_device_01KDVDNA00C71085X815D37937.1.AAAA", "TOKEN", "TOKENA", "TOKEN.",
		"auth_factor_01KDVDNA00C71085X815D37937.1.A", "auth_device_.9223372036854775808.",
	} {
		f.Add(token)
	}
	f.Fuzz(func(t *testing.T, token string) {
		r := newRig(t)
		good := r.Trust(r.TOTP(ann), "Firefox").Token()
		token = strings.ReplaceAll(token, "TOKEN", good)
		saves := len(r.Store.Calls("Save"))
		d, err := r.Use(token)
		if token == good {
			if err != nil || d.Token() == good {
				t.Fatalf("the token itself: %v", err)
			}
			return
		}
		mustBe(t, err, errAsked)
		if d != (used{}) || len(r.Store.Calls("Save")) != saves ||
			len(token) > 40 && strings.Contains(err.Error(), token) {
			t.Fatalf("%q: %+v, %v", token, d, err)
		}
	})
}
