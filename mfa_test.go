package mfa_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"flag"
	"image/png"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/cryptotest"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/internal/testrig"
)

// The tests of this file walk through the guide with its literal values.

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

// golden compares got with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (see -update); got\n%s", path, got)
	}
}

func indented(t *testing.T, v any) []byte {
	t.Helper()
	out, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(out, '\n')
}

// TestGuideTOTP is M1, M3, M5, M6 and M7.
func TestGuideTOTP(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 7)
	r := newRig(t)
	r.Clock.Set(time.Date(2022, 2, 15, 15, 26, 53, 274_999_999, time.FixedZone("CET", 3600)))
	enr, err := r.Enroll(t.Context(), mfa.EnrollParams{
		UserID: "user_42", Name: "work phone",
		TOTP: &mfa.TOTPParams{Issuer: "Foo Corp", User: "alan.turing@foo-corp.com"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^auth_factor_[0-9A-HJKMNP-TV-Z]{26}$`).MatchString(enr.Factor.ID) {
		t.Errorf("factor id %s", enr.Factor.ID)
	}
	if !regexp.MustCompile(`^[A-Z2-7]{32}$`).MatchString(enr.TOTP.Secret()) {
		t.Errorf("a secret of %d characters", len(enr.TOTP.Secret()))
	}
	if want := "otpauth://totp/Foo%20Corp:alan.turing%40foo-corp.com?secret=" +
		enr.TOTP.Secret() + "&issuer=Foo%20Corp"; enr.TOTP.URI() != want {
		t.Errorf("uri %s, want %s", enr.TOTP.URI(), want)
	}
	golden(t, "totp_factor.json", indented(t, enr.Factor))
	golden(t, "totp_enrollment.json", indented(t, enr))

	f := enrolled{Factor: enr.Factor, Secret: enr.TOTP.Secret()}
	ch := r.Ask(f)
	if !regexp.MustCompile(`^auth_challenge_[0-9A-HJKMNP-TV-Z]{26}$`).MatchString(ch.ID) {
		t.Errorf("challenge id %s", ch.ID)
	}
	if !ch.UpdatedAt.Equal(ch.CreatedAt) || ch.ExpiresAt.Sub(ch.CreatedAt) != 10*time.Minute ||
		ch.FactorID != f.ID {
		t.Errorf("%+v", ch)
	}
	golden(t, "challenge.json", indented(t, ch))

	v, err := r.Answer(ch, f, r.Wrong(f))
	mustBe(t, err, mfa.ErrInvalidCode)
	golden(t, "verification_invalid.json", indented(t, v))
	golden(t, "error_invalid_code.json", indented(t, err))

	v, err = r.Answer(ch, f, r.Right(f))
	if err != nil || !v.FirstUse || v.Factor.Status != mfa.StatusVerified ||
		v.Factor.UserID != "user_42" {
		t.Fatalf("%+v, %v", v, err)
	}
	golden(t, "verification_valid.json", indented(t, v))

	_, err = r.Answer(ch, f, r.Right(f))
	mustBe(t, err, mfa.ErrChallengePreviouslyVerified)
	golden(t, "error_previously_verified.json", indented(t, err))
	if e := refusal(
		t,
		err,
	); e.Message != "The authentication challenge '"+ch.ID+"' has already been verified." {
		t.Errorf("message %q", e.Message)
	}

	ch = r.Ask(f)
	r.Clock.Advance(10*time.Minute - time.Millisecond)
	_, err = r.Answer(ch, f, r.Wrong(f))
	mustBe(t, err, mfa.ErrInvalidCode)
	r.Clock.Advance(time.Millisecond)
	_, err = r.Answer(ch, f, r.Right(f))
	mustBe(t, err, mfa.ErrChallengeExpired)
	golden(t, "error_expired.json", indented(t, err))
	if e := refusal(t, err); e.Message != "The authentication challenge '"+ch.ID+"' has expired." {
		t.Errorf("message %q", e.Message)
	}
}

// TestGuideSMS is M2, M4 and M8.
func TestGuideSMS(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 8)
	r := newRig(t)
	_, err := r.Enroll(t.Context(), mfa.EnrollParams{
		NoOwner: true, SMS: &mfa.SMSParams{PhoneNumber: "foo"},
	})
	mustBe(t, err, mfa.ErrInvalidPhoneNumber)
	golden(t, "error_phone_number.json", indented(t, err))

	f := r.EnrollSMS("", "+15005550006")
	golden(t, "sms_factor.json", indented(t, f.Factor))
	if !f.Restricted() || f.PhoneNumber() != "+15005550006" ||
		f.MaskedPhoneNumber() != "+*********06" {
		t.Errorf(
			"restricted %t, number %s, masked %s",
			f.Restricted(),
			f.PhoneNumber(),
			f.MaskedPhoneNumber(),
		)
	}
	ch, err := r.Challenge(
		t.Context(),
		mfa.ChallengeParams{FactorID: f.ID, SMSTemplate: "Your FooCorp is {{code}}."},
	)
	if err != nil {
		t.Fatal(err)
	}
	code := r.SMS.Code("+15005550006")
	if body := r.SMS.Messages()[0].Body; body != "Your FooCorp is "+code+"." {
		t.Errorf("a message of %d characters", len(body))
	}
	r.Clock.Advance(10*time.Minute - time.Millisecond)
	if v, err := r.Answer(ch, f, code); err != nil || !v.Valid {
		t.Errorf("just before it expires: %v", err)
	}
	ch = r.Ask(f)
	code = r.Right(f)
	r.Clock.Advance(10 * time.Minute)
	_, err = r.Answer(ch, f, code)
	mustBe(t, err, mfa.ErrChallengeExpired)
}

// TestExpiredAndVerifiedStillAnswer: for 24 hours after it expired a challenge says
// so; then it is not found.
func TestExpiredAndVerifiedStillAnswer(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	verified, expired := r.Ask(f), r.Ask(f)
	if _, err := r.Answer(verified, f, r.Right(f)); err != nil {
		t.Fatal(err)
	}
	r.Clock.Advance(24*time.Hour + 10*time.Minute)
	if _, err := r.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := r.Answer(verified, f, r.Right(f))
	mustBe(t, err, mfa.ErrChallengePreviouslyVerified)
	_, err = r.Answer(expired, f, r.Right(f))
	mustBe(t, err, mfa.ErrChallengeExpired)

	r.Clock.Advance(time.Millisecond)
	if n, err := r.Purge(t.Context()); n != 2 || err != nil {
		t.Errorf("purged %d, %v; want the two challenges", n, err)
	}
	_, err = r.Answer(verified, f, r.Right(f))
	mustBe(t, err, mfa.ErrNotFound)
	golden := `{"code":"entity_not_found","message":"Authentication Challenge not found: '` +
		verified.ID + `'."}`
	if got, _ := json.Marshal(refusal(t, err)); string(got) != golden {
		t.Errorf("%s, want %s", got, golden)
	}
	r.LogIn(f) // the factor stays
}

// TestKeyURI: whatever the issuer and user are, the URI reads back as them, and
// nothing in them adds a parameter.
func TestKeyURI(t *testing.T) {
	for _, tt := range []struct{ issuer, user, uri string }{
		{"Foo Corp", "alan.turing@foo-corp.com",
			"otpauth://totp/Foo%20Corp:alan.turing%40foo-corp.com?secret=S&issuer=Foo%20Corp"},
		{"A&secret=AAAA#x?y/z+%", "~a-b_c.d",
			"otpauth://totp/A%26secret%3DAAAA%23x%3Fy%2Fz%2B%25:~a-b_c.d?secret=S" +
				"&issuer=A%26secret%3DAAAA%23x%3Fy%2Fz%2B%25"},
		{"Bäckerei", "日本",
			"otpauth://totp/B%C3%A4ckerei:%E6%97%A5%E6%9C%AC?secret=S&issuer=B%C3%A4ckerei"},
	} {
		r := newRig(t)
		enr, err := r.Enroll(t.Context(), mfa.EnrollParams{
			NoOwner: true, TOTP: &mfa.TOTPParams{Issuer: tt.issuer, User: tt.user},
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Replace(enr.TOTP.URI(), enr.TOTP.Secret(), "S", 1); got != tt.uri {
			t.Errorf("%s\nwant %s", got, tt.uri)
		}
		u, err := url.Parse(enr.TOTP.URI())
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		if u.Host != "totp" || u.Path != "/"+tt.issuer+":"+tt.user || q.Get("issuer") != tt.issuer ||
			len(q) != 2 ||
			q.Get("secret") != enr.TOTP.Secret() ||
			u.Fragment != "" {
			t.Errorf("%+v", u)
		}
	}
}

// TestQRCode: a PNG as a data URI, with four white modules around the code.
func TestQRCode(t *testing.T) {
	r := newRig(t)
	enr, err := r.Enroll(t.Context(), mfa.EnrollParams{
		NoOwner: true,
		TOTP:    &mfa.TOTPParams{Issuer: "Foo Corp", User: "alan.turing@foo-corp.com"},
	})
	if err != nil {
		t.Fatal(err)
	}
	data, ok := strings.CutPrefix(enr.TOTP.QRCode(), "data:image/png;base64,")
	if !ok {
		t.Fatal("no data URI of a PNG")
	}
	raw, err := base64.StdEncoding.DecodeString(data)
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	const scale, quiet = 4, 4 * 4
	size := img.Bounds().Dx()
	if modules := size/scale - 8; img.Bounds().Dy() != size || (modules-17)%4 != 0 {
		t.Errorf("the image is %v", img.Bounds())
	}
	black := func(x, y int) bool { r, _, _, _ := img.At(x, y).RGBA(); return r == 0 }
	for y := range size {
		for x := range size {
			if (x < quiet || y < quiet || x >= size-quiet || y >= size-quiet) && black(x, y) {
				t.Fatalf("the quiet zone is black at %d,%d", x, y)
			}
		}
	}
	for i := range 7 * scale { // the upper edge of the finder pattern
		if !black(quiet+i, quiet) {
			t.Fatalf("the code does not begin at %d,%d", quiet, quiet)
		}
	}
}

// The names of package testrig, as the tests of this package have them.
type (
	enrolled = testrig.Enrolled
	used     = testrig.Used
)

const (
	ann          = testrig.Ann
	phone        = testrig.Number
	drain        = testrig.Drain
	aDay         = testrig.Day
	aYear        = testrig.Year
	vectorSecret = testrig.VectorSecret
)

var (
	errAsked   = testrig.ErrAsked
	all        = testrig.All
	count      = testrig.Count
	kinds      = testrig.Kinds
	mustBe     = testrig.MustBe
	newGuesser = testrig.NewGuesser
	ofKind     = testrig.OfKind
	pay        = testrig.Pay
	printed    = testrig.Printed
	refused    = testrig.Refused
	refusal    = testrig.Refusal
	shows      = testrig.Shows
	spellings  = testrig.Spellings
	vectorRig  = testrig.VectorRig
	withID     = testrig.WithID
	wrongFor   = testrig.WrongFor
)

// A rig is that of package testrig, to which tests of this package add what they alone do.
type rig struct{ *testrig.Rig }

func newRig(t *testing.T, change ...func(*mfa.Config)) *rig {
	t.Helper()
	return &rig{testrig.New(t, change...)}
}
