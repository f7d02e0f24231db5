package mfa

import (
	"crypto/fips140"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"github.com/authfactor/mfa/internal/codec"
	"github.com/authfactor/mfa/internal/otpauth"
	"github.com/authfactor/mfa/internal/typed"
)

// TOTPParams enrolls an authenticator app. Issuer and User are what the app
// shows: up to 64 characters each, of any script, without control and format
// characters (except U+200C and U+200D between two visible ones). The longest
// otpauth URI has 2,541 bytes. One of more than 512 bytes makes a QR code of
// many modules: show it at its own size, up to 692 pixels wide. A short label
// is easier to scan.
type TOTPParams struct {
	// Issuer is the application, such as "Foo Corp". Required. A ':' is left out
	// of the label of the URI, which it would split; the issuer parameter keeps
	// it.
	Issuer string

	// User is the account, such as "alan.turing@foo-corp.com", without ':'. It is
	// a label: shorten it if need be. Required.
	User string

	// Secret is the secret of an existing enrolment, in base32 (case, spaces,
	// hyphens and padding do not matter), of 16 to 128 bytes (RFC 4226 section 4
	// R6), used with SHA-1, 6 digits and 30 seconds. If a verified factor of the
	// user has this secret, Enroll writes nothing and returns that factor, whose
	// used codes stay used. Defaults to a new secret of 20 bytes.
	Secret string
}

// A TOTPEnrollment holds what the person's app needs, and cannot be read again
// later. Printing it does not show the secret, and its JSON is {}: an API for a
// browser puts what the three methods return into an answer of its own, with
// Cache-Control: no-store.
type TOTPEnrollment struct {
	shown hidden[totpSecrets]
}

type totpSecrets struct{ secret, uri, qrCode string }

// Secret is the shared secret in base32, for typing it in: 32 characters unless
// TOTPParams.Secret was given.
func (e *TOTPEnrollment) Secret() string { return e.shown().secret }

// URI is the otpauth URI that the QR code holds.
func (e *TOTPEnrollment) URI() string { return e.shown().uri }

// QRCode is a PNG image as a data URI, with the quiet zone that scanners need.
// In html/template, wrap it: template.URL(enr.TOTP.QRCode()).
func (e *TOTPEnrollment) QRCode() string { return e.shown().qrCode }

// An authenticator app (RFC 6238) is a factor that shares a secret with the service.
type totpMethod struct{}

func (totpMethod) traits() traits { return traits{kind: TypeTOTP, amr: "otp"} }

// chance is that of guessing one of the codes that are valid at once.
func (totpMethod) chance(p Policy) float64 { return float64(p.steps()) * likeliestTOTP }

func (totpMethod) asked(p EnrollParams) bool { return p.TOTP != nil }

func (totpMethod) enroll(s *Service, p EnrollParams, enr *Enrollment) (possession, error) {
	a, err := newApp(*p.TOTP)
	if err != nil {
		return nil, err
	}
	enr.TOTP, err = s.totpEnrollment(a)
	return a, err
}

func (totpMethod) empty() possession { return &app{} }

// An app is what the service keeps of an authenticator app.
type app struct {
	issuer, account string
	secret          []byte
	nextStep        int64 // the oldest step whose code can be accepted: none was from here on
}

func (a *app) fields(c *codec.Codec) {
	c.String(&a.issuer)
	c.String(&a.account)
	c.Bytes(&a.secret)
	c.Int(&a.nextStep)
}

func (a *app) describe(f *Factor) { f.TOTPIssuer, f.TOTPUser = a.issuer, a.account }

func (*app) proves() bool { return true }
func (*app) usedUp() bool { return false }

// ask leaves the challenge without a code: the app makes it.
func (*app) ask(*factor, *challenge, []*factor) error { return nil }

// check accepts each step once, and no step before one that was accepted (RFC 6238
// section 5.2).
func (a *app) check(
	_ *factor, answer string, _ *challenge, now time.Time, p Policy,
) (verdict, error) {
	code, ok := typed.Code(answer, digits)
	if !ok {
		return noCode, nil
	}
	first, codes, err := totpCodes(a.secret, now, p)
	if err != nil {
		return wrong, err
	}
	matched := match(code, codes)
	step := first + int64(matched)
	switch {
	case matched < 0:
		return wrong, nil
	case step < a.nextStep:
		return replayed, nil
	}
	a.nextStep = step + 1
	return right, nil
}

// newApp checks the parameters of an app.
func newApp(p TOTPParams) (*app, error) {
	if err := checkText("TOTP issuer", p.Issuer, typed.OfIssuer); err != nil {
		return nil, err
	}
	if err := checkText("TOTP user", p.User, typed.OfUser); err != nil {
		return nil, err
	}
	secret, err := totpSecret(p.Secret)
	if err != nil {
		return nil, err
	}
	return &app{issuer: p.Issuer, account: p.User, secret: secret}, nil
}

// sameApp reports whether both factors are one app, with the same codes.
func sameApp(f, other *factor) bool {
	a, isApp := f.own.(*app)
	b, areApps := other.own.(*app)
	return isApp && areApps && string(a.secret) == string(b.secret)
}

// keepUsedCodes remembers the used codes of an app that is deleted.
func (u *user) keepUsedCodes(f *factor) {
	a, ok := f.own.(*app)
	if !ok || a.nextStep == 0 {
		return
	}
	u.gone = append(u.gone, goneApp{secretHash(a.secret), a.nextStep})
	u.gone = u.gone[max(0, len(u.gone)-maxGoneApps):]
}

// use marks the codes of an app's steps before this one as used. It reports whether that
// changed anything.
func (f *factor) use(nextStep int64) bool {
	a, ok := f.own.(*app)
	if !ok || nextStep <= a.nextStep {
		return false
	}
	a.nextStep = nextStep
	return true
}

// resumeUsedCodes marks the codes of an app as used that were used when the user had it
// before, or have it as the factor that this one replaces.
func (u *user) resumeUsedCodes(f, replaced *factor) {
	a, ok := f.own.(*app)
	if !ok {
		return
	}
	f.use(u.nextStep(a.secret))
	if replaced != nil && sameApp(f, replaced) {
		f.use(replaced.own.(*app).nextStep)
	}
}

// nextStep is the oldest step of a secret whose code can be accepted, as far as the
// apps know that the user had before.
func (u *user) nextStep(secret []byte) int64 {
	next := int64(0)
	for _, gone := range u.gone {
		if gone.hash == secretHash(secret) {
			next = max(next, gone.nextStep)
		}
	}
	return next
}

func secretHash(secret []byte) string {
	sum := sha256.Sum256(secret)
	return string(sum[:16])
}

// totpSecret returns the given secret, or a new one.
func totpSecret(given string) ([]byte, error) {
	if given == "" {
		secret := make([]byte, secretSize)
		_, err := rand.Read(secret)
		return secret, err
	}
	secret, err := otpauth.ParseSecret(given)
	if err != nil {
		return nil, errOTPAuth(err)
	}
	return secret, nil
}

// errOTPAuth is a refusal of package otpauth, which quotes nothing.
func errOTPAuth(err error) error {
	e, ok := errors.AsType[*otpauth.Error](err)
	switch {
	case !ok:
		return err
	case e.SecretAlone:
		return errTOTPSecret(e.Message + " The secret alone can be imported, with Issuer and User.")
	}
	return errTOTPSecret(e.Message)
}

// totpEnrollment makes what the person's app needs.
func (s *Service) totpEnrollment(a *app) (*TOTPEnrollment, error) {
	shown := totpSecrets{secret: otpauth.WriteSecret(a.secret)}
	shown.uri = otpauth.Write(otpauth.Key{Issuer: a.issuer, Account: a.account, Secret: shown.secret})
	var err error
	if shown.qrCode, err = s.qr.Draw(shown.uri); err != nil {
		return nil, errors.New("mfa: the otpauth URI does not fit a QR code")
	}
	return &TOTPEnrollment{shown: hide(shown)}, nil
}

// totpCodes returns the codes that are valid now, oldest first, and the step of
// the first one (RFC 6238 section 4.2; one step of delay each way: section 5.2).
func totpCodes(secret []byte, now time.Time, p Policy) (first int64, codes []string, err error) {
	step := now.Unix() / period
	around := int64(p.steps() / 2)
	first = max(step-around, 0)
	text := otpauth.WriteSecret(secret)
	opts := hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1}
	// Authenticator apps use SHA-1 (RFC 6238 section 1.2), which GODEBUG=fips140=only refuses.
	fips140.WithoutEnforcement(func() {
		for s := first; s <= step+around && err == nil; s++ {
			var code string
			code, err = hotp.GenerateCodeCustom(text, uint64(s), opts)
			codes = append(codes, code)
		}
	})
	if err != nil {
		return 0, nil, fmt.Errorf("mfa: computing a code: %w", err)
	}
	return first, codes, nil
}
