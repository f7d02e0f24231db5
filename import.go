package mfa

import (
	"cmp"
	"context"
	"time"

	"github.com/authfactor/mfa/internal/otpauth"
)

// ImportParams is an authenticator app as another system knows it. It is a plain
// value: printing it shows the secret.
type ImportParams struct {
	UserID string // the owner, as in EnrollParams.UserID. Required: it is how a second run is recognized
	Name   string // what the person calls it, as in EnrollParams.Name. Optional

	// Secret is the shared secret in base32, as in TOTPParams.Secret, or the whole otpauth
	// URI (the key URI format) that the app once scanned. Its bytes, if the other system
	// keeps them otherwise, go through base32.StdEncoding. Required.
	Secret string

	// Issuer and User are what is shown of the factor, under the rules of TOTPParams. They
	// default to what the URI says, and are the way out where that is refused or is not
	// what you want. Required beside a secret that is no URI.
	Issuer, User string

	// LastUsed is when the other system last accepted a code of this app, or any moment
	// since, such as when the person was last seen there. The codes of that time and of the
	// 30 seconds after are used up: what a system accepts that lets an app be one step ahead,
	// as most do. Defaults to the moment of the import: every code that is valid then is
	// used up, and a first login right after it waits 30 to 60 seconds for the next one.
	LastUsed time.Time

	// LastStep says the same exactly, for systems that keep it: which code was last
	// accepted, in steps of 30 seconds since 1970. It may be 10 minutes ahead. Where both
	// are given, the later counts. 0, and the -1 of some systems, is not known.
	LastStep int64
}

// Import brings along an authenticator app that a person uses with another system, as a
// factor that is verified at once and logs in right away. The app must make its codes as
// this library does: with SHA-1, 6 digits and 30 seconds.
//
// It is the operator's verb, for a batch job or a first login after the change: nothing
// here proves that the person still has the app. Have the other system accept no more
// codes of the person first: what it accepts later is accepted here once more. The
// secret does not come back out. It raises [EventImported], of which nobody has to be
// told, since nothing is new to the person.
//
// A job that died half way is run again. A secret that the user has in a verified factor
// already is that factor, as it is: nothing is written, unless LastUsed or LastStep are
// given and later than the last code that was used here, and then only that. (So a
// factor that the person took away in between comes back: finish the job before people
// use it.) The first app of a user ends what they enrolled here before, recovery codes
// too, as confirming a first factor does; beside a verified factor an enrolment that the
// user has begun goes on, unless it is of the same secret ([EventReplaced]).
//
// [ErrInvalidTOTPSecret] means that this person has to enroll anew: the secret is not
// base32, or shorter than 16 bytes (RFC 4226 section 4 R6: whoever sees a few codes can
// try it out, and no limit on wrong codes helps), or the URI asks for other codes, is
// malformed, or has a parameter twice or one that may change the codes. (The message says
// where the secret alone, taken out of the URI, would do.) Do not take them for somebody
// without a second factor until they have.
// [ErrInvalidParameter] means that the call can be mended: no user, an issuer or user
// that cannot be shown, a URI with two issuers, a step in the future. Nothing is stored
// with either, nor with [ErrTooManyFactors], at 10 factors.
func (s *Service) Import(ctx context.Context, p ImportParams) (Factor, error) {
	now, err := s.now()
	if err != nil {
		return Factor{}, err
	}
	f, err := s.importedFactor(now, p)
	if err != nil {
		return Factor{}, err
	}
	load := func(ctx context.Context) (*enrolling, error) {
		of, err := s.loadPerson(ctx, p.UserID)
		return &enrolling{person: of, factor: f}, err
	}
	return transact(ctx, s, "", load, func(d *enrolling) (Factor, outcome) { return decideImport(d, p) })
}

// importedFactor checks the parameters and makes the record.
func (s *Service) importedFactor(now time.Time, p ImportParams) (*factor, error) {
	if p.UserID == "" {
		return nil, errParameter("An import must have a user.")
	}
	if p.LastStep > now.Unix()/period+maxStepsAhead {
		return nil, errParameter("LastStep is in the future: it counts steps of %d seconds since 1970.", period)
	}
	params := TOTPParams{Issuer: p.Issuer, User: p.User, Secret: p.Secret}
	if otpauth.IsURI(p.Secret) {
		if err := params.readKeyURI(p.Secret); err != nil {
			return nil, err
		}
	}
	if params.Secret == "" {
		return nil, errTOTPSecret("The TOTP secret is missing.") // not a new one
	}
	enroll := EnrollParams{UserID: p.UserID, Name: p.Name}
	if err := checkOwner(enroll, totpMethod{}.traits()); err != nil {
		return nil, err
	}
	own, err := newApp(params)
	if err != nil {
		return nil, err
	}
	f, err := newRecord(now, enroll, totpMethod{}.traits(), own)
	if err != nil {
		return nil, err
	}
	f.confirm(now)
	return f, nil
}

// decideImport adds the factor, unless the user has it already. Used codes stay used.
func decideImport(d *enrolling, p ImportParams) (Factor, outcome) {
	known, next := p.nextStep(d.now)
	if same := d.sameApp(d.factor); same != nil {
		if !known || !same.use(next) {
			return same.public(), outcome{}
		}
		return same.public(), outcome{save: []stored{same}}
	}
	d.factor.use(next)
	d.user.resumeUsedCodes(d.factor, nil)
	told, out := decideEnroll(d)
	if out.err == nil {
		out.events[0].Kind = EventImported
	}
	return told, out
}

// nextStep is the oldest step that the other system cannot have accepted, and whether
// it is known or only right now.
func (p ImportParams) nextStep(now time.Time) (known bool, next int64) {
	// An app may be a step ahead. Nothing was accepted later than now.
	usedAt := func(t time.Time) int64 { return min(t.Unix(), now.Unix())/period + 1 }
	last := max(p.LastStep, 0)
	if p.LastUsed.Unix() > 0 {
		last = max(last, usedAt(p.LastUsed))
	}
	if last > 0 {
		return true, last + 1
	}
	return false, usedAt(now) + 1
}

// readKeyURI sets the secret, and the issuer and user where they are not set, from an
// otpauth URI.
func (app *TOTPParams) readKeyURI(text string) error {
	key, err := otpauth.Parse(text)
	switch {
	case err != nil:
		return errOTPAuth(err)
	case app.Issuer == "" && key.TwoIssuers:
		return errParameter("The otpauth URI names two issuers: ImportParams.Issuer says which is meant.")
	}
	app.Issuer, app.User = cmp.Or(app.Issuer, key.Issuer), cmp.Or(app.User, key.Account)
	app.Secret = key.Secret
	return nil
}
