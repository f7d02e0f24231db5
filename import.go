package mfa

import (
	"cmp"
	"context"
	"time"

	"github.com/authfactor/mfa/internal/otpauth"
)

// ImportParams is an authenticator app as another system knows it. It is a
// plain value: printing it shows the secret.
type ImportParams struct {
	UserID string // the owner, as in EnrollParams.UserID; required
	Name   string // what the person calls it, as in EnrollParams.Name; optional

	// Secret is the shared secret in base32, as in TOTPParams.Secret, or the whole
	// otpauth URI (the key URI format) that the app once scanned. Encode raw bytes
	// with base32.StdEncoding. Required.
	Secret string

	// Issuer and User are what is shown of the factor, under the rules of
	// TOTPParams. They default to those of the URI, and replace them where these
	// are refused or not what you want. Required beside a secret that is no URI.
	Issuer, User string

	// LastUsed is when the other system last accepted a code of this app, or any
	// moment since, such as when the person was last seen there. Codes of that
	// 30-second step and the next are rejected, since most systems accept a code
	// one step ahead. Defaults to the moment of the import: all codes that are
	// valid then are rejected, so that a first login may have to wait up to a
	// minute.
	LastUsed time.Time

	// LastStep is the step of the code that was last accepted, in steps of 30
	// seconds since 1970, for systems that keep it. It may be 10 minutes ahead.
	// Where LastUsed is given too, the later counts. 0, and the -1 of some
	// systems, mean unknown.
	LastStep int64
}

// Import adds an authenticator app that a person uses with another system, as a
// factor that is verified at once. The app must make its codes with SHA-1, 6
// digits and 30 seconds.
//
// It is for an operator's batch job, or a first login after the change: nothing
// here proves that the person still has the app. Have the other system accept
// no more codes of the person first: what it accepts later is accepted here
// once more. The secret is never returned. [EventImported] is raised; the owner
// need not be told, since nothing is new to them.
//
// Import is idempotent: if a verified factor of the user has this secret, it is
// returned, and its last used step only moves forward, by LastUsed and
// LastStep. (A factor that the person deleted in between comes back: finish the
// job before people use it.) A user's first app deletes what they enrolled here
// before, recovery codes too ([EventReplaced]). Beside a verified factor an
// enrolment that the user has begun goes on, unless it has the same secret.
//
// [ErrInvalidTOTPSecret] means that this person has to enroll anew; until then
// do not take them for somebody without a second factor. The secret is not
// base32, or is shorter than 16 bytes (RFC 4226 section 4 R6: whoever sees a
// few codes can try it out, and no rate limit helps), or the URI asks for other
// codes, is malformed, or has a parameter twice or one that may change the
// codes. The message says where the secret alone, taken out of the URI, would
// do. [ErrInvalidParameter] means that the call can be corrected: no user, an
// issuer or user that cannot be shown, a URI with two issuers, a step in the
// future. At 10 factors it is [ErrTooManyFactors]. With any of these nothing is
// stored.
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
		return &enrolling{person: of, factor: f, imported: true}, err
	}
	return transact(ctx, s, "", load, func(d *enrolling) (Factor, outcome) {
		return decideImport(d, p)
	})
}

// importedFactor checks the parameters and makes the record.
func (s *Service) importedFactor(now time.Time, p ImportParams) (*factor, error) {
	if p.UserID == "" {
		return nil, errParameter("An import must have a user.")
	}
	if p.LastStep > now.Unix()/period+maxStepsAhead {
		return nil, errParameter("LastStep is in the future: "+
			"it counts steps of %d seconds since 1970.", period)
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
