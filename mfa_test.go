package mfa_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"image/png"
	"math"
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

// The tests below hold what GuessProbability says against attacks on a service.

var factorTypes = []mfa.FactorType{
	mfa.TypeTOTP,
	mfa.TypeSMS,
	mfa.TypeGenericOTP,
	mfa.TypeRecoveryCodes,
}

// chance is that of one guess, by hand.
func chance(p mfa.Policy, factorType mfa.FactorType) float64 {
	switch factorType {
	case mfa.TypeTOTP:
		if p.ExactStep {
			return 2148 / math.Pow(2, 31)
		}
		return 3 * 2148 / math.Pow(2, 31)
	case mfa.TypeRecoveryCodes:
		return 10 / math.Pow(2, 120)
	default:
		return 1e-6
	}
}

// allowed is how many guesses GuessProbability counts.
func allowed(t *testing.T, p mfa.Policy, factorType mfa.FactorType, window time.Duration) int {
	t.Helper()
	n := p.GuessProbability(factorType, window) / chance(p, factorType)
	if math.Abs(n-math.Round(n)) > 1e-6 {
		t.Fatalf("%s within %s: %v guesses", factorType, window, n)
	}
	return int(math.Round(n))
}

// TestGuessProbability: fifty guesses and one for each drain, of every type, to the
// nanosecond; and no assurance where nothing is known.
func TestGuessProbability(t *testing.T) {
	for _, factorType := range factorTypes {
		for _, tt := range []struct {
			policy  mfa.Policy
			window  time.Duration
			guesses int
		}{
			{mfa.Policy{}, 0, 50},
			{mfa.Policy{}, drain - 1, 50},
			{mfa.Policy{}, drain, 51},
			{mfa.Policy{}, 10*drain - 1, 59},
			{mfa.Policy{}, aYear, 658},
			{mfa.Policy{ChallengeLifetime: time.Minute, MaxAttempts: 1, MaxFailures: 2}, drain, 51},
			{mfa.Policy{ChallengeLifetime: 10 * time.Minute, MaxAttempts: 5, MaxFailures: 30}, drain, 51},
			{mfa.Policy{MaxFailures: 1}, aYear,
				map[bool]int{true: 658, false: 1}[factorType == mfa.TypeRecoveryCodes]},
			{mfa.Policy{ExactStep: true, MaxFailures: 100}, drain, 51},
		} {
			if got := allowed(t, tt.policy, factorType, tt.window); got != tt.guesses {
				t.Errorf(
					"%s within %s under %+v: %d guesses, want %d",
					factorType,
					tt.window,
					tt.policy,
					got,
					tt.guesses,
				)
			}
		}
		if p := (mfa.Policy{}).GuessProbability(factorType, math.MaxInt64); p <= 0 || p >= 1 {
			t.Errorf("%s within 292 years: %g", factorType, p)
		}
		for _, p := range []mfa.Policy{
			{MaxFailures: 34}, {MaxFailures: -1}, {MaxAttempts: 11}, {ChallengeLifetime: time.Hour},
		} {
			if got := p.GuessProbability(factorType, 0); got != 1 {
				t.Errorf("%s under %+v, which New refuses: %g, want 1", factorType, p, got)
			}
		}
		if got := (mfa.Policy{}).GuessProbability(factorType, -1); got != 1 {
			t.Errorf("%s within less than nothing: %g, want 1", factorType, got)
		}
	}
	for _, unknown := range []mfa.FactorType{"", "TOTP", "passkey"} {
		if got := (mfa.Policy{}).GuessProbability(unknown, 0); got != 1 {
			t.Errorf("%q: %g, want 1", unknown, got)
		}
	}
}

// TestGuessesReachTheBound: an attack with the owner's help gets as many guesses as
// GuessProbability counts, and no more in any part of the window.
func TestGuessesReachTheBound(t *testing.T) {
	exact := mfa.Policy{ExactStep: true}
	for _, tt := range []struct {
		factorType mfa.FactorType
		policy     mfa.Policy
		window     time.Duration
		owner      int
	}{
		{mfa.TypeGenericOTP, mfa.Policy{}, 0, 4},
		{mfa.TypeGenericOTP, mfa.Policy{}, drain - time.Millisecond, 4},
		{mfa.TypeGenericOTP, mfa.Policy{}, drain, 4},
		{mfa.TypeGenericOTP, mfa.Policy{MaxAttempts: 1, MaxFailures: 2}, 30 * aDay, 1},
		{mfa.TypeGenericOTP, mfa.Policy{MaxFailures: 1}, aYear, 0},
		{mfa.TypeTOTP, mfa.Policy{}, 6 * time.Minute, 4},
		{mfa.TypeTOTP, mfa.Policy{}, time.Hour, 4},
		{mfa.TypeTOTP, mfa.Policy{}, aDay, 4},
		{mfa.TypeTOTP, mfa.Policy{}, 30 * aDay, 4},
		{mfa.TypeTOTP, mfa.Policy{}, aYear, 29}, // twice a month is enough
		{mfa.TypeTOTP, exact, time.Hour, 4},
		{mfa.TypeTOTP, exact, aDay, 4},
		{mfa.TypeTOTP, exact, 30 * aDay, 4},
		{mfa.TypeRecoveryCodes, mfa.Policy{}, time.Hour, 5},
		{mfa.TypeRecoveryCodes, mfa.Policy{}, aDay, 6},
		{mfa.TypeRecoveryCodes, mfa.Policy{}, 30 * aDay, 29},
		{mfa.TypeSMS, mfa.Policy{}, 7 * aDay, 4},
		{mfa.TypeSMS, mfa.Policy{}, 30 * aDay, 4},
		{mfa.TypeSMS, mfa.Policy{}, aYear, 4},
	} {
		t.Run(fmt.Sprintf("%s %s %+v", tt.factorType, tt.window, tt.policy), func(t *testing.T) {
			g := newGuesser(t, tt.factorType, tt.policy, tt.owner)
			got, want := g.Attack(tt.window), allowed(t, tt.policy, tt.factorType, tt.window)
			if got != want {
				t.Errorf(
					"%d guesses were answered within %s, and %d are said to be possible",
					got,
					tt.window,
					want,
				)
			}
			for i, first := range g.Guesses {
				for j := i; j < len(g.Guesses); j++ {
					part := g.Guesses[j].Sub(first)
					if most := allowed(t, tt.policy, tt.factorType, part); j-i+1 > most {
						t.Fatalf("%d guesses within %s, and only %d are said to be possible", j-i+1, part, most)
					}
				}
			}
		})
	}
}

// alone is how many guesses are answered within each window of the table in
// docs/threats.md while nobody logs in; more of recovery codes, which are never disabled.
var alone = []struct {
	name     string
	window   time.Duration
	guesses  int
	recovery int
}{
	{"at once", 0, 5, 5},
	{"1 hour", time.Hour, 11, 11},
	{"1 day", aDay, 30, 34},
	{"30 days", 30 * aDay, 30, 100},
	{"1 year", aYear, 30, 658},
}

// TestGuessesAlone: while nobody logs in, the back-off and MaxFailures leave a guesser
// less than GuessProbability says, and less than what New refuses.
func TestGuessesAlone(t *testing.T) {
	for _, tt := range alone {
		for _, factorType := range []mfa.FactorType{
			mfa.TypeTOTP, mfa.TypeGenericOTP, mfa.TypeRecoveryCodes,
		} {
			got, want := newGuesser(t, factorType, mfa.Policy{}, 0).Attack(tt.window), tt.guesses
			if factorType == mfa.TypeRecoveryCodes {
				want = tt.recovery
			}
			if got != want {
				t.Errorf("%s, %s: %d guesses, want %d", factorType, tt.name, got, want)
			}
			if p := float64(
				got,
			) * chance(
				mfa.Policy{},
				factorType,
			); p > 1e-4 ||
				p > (mfa.Policy{}).GuessProbability(factorType, tt.window) {
				t.Errorf("%s, %s: a chance of %g", factorType, tt.name, p)
			}
		}
	}
}

// TestGuessTable: the table of docs/threats.md says what GuessProbability says.
func TestGuessTable(t *testing.T) {
	doc, err := os.ReadFile("docs/threats.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range alone {
		cells := []string{"", tt.name}
		for _, p := range []float64{
			(mfa.Policy{}).GuessProbability(mfa.TypeTOTP, tt.window),
			mfa.Policy{ExactStep: true}.GuessProbability(mfa.TypeTOTP, tt.window),
			(mfa.Policy{}).GuessProbability(mfa.TypeSMS, tt.window),
			(mfa.Policy{}).GuessProbability(mfa.TypeRecoveryCodes, tt.window),
			float64(tt.guesses) * chance(mfa.Policy{}, mfa.TypeTOTP),
		} {
			cells = append(cells, strings.Replace(fmt.Sprintf("%.1e", p), "e-0", "e-", 1))
		}
		line := strings.TrimSpace(strings.Join(append(cells, ""), " | "))
		if !strings.Contains(string(doc), "\n"+line+"\n") {
			t.Errorf("docs/threats.md has no line\n%s", line)
		}
	}
}
