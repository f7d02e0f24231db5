package mfa

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/authfactor/mfa/internal/limit"
	"github.com/authfactor/mfa/internal/otpauth"
	"github.com/authfactor/mfa/internal/phone"
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
// job before people use it.) If it is the user's first factor, it deletes what
// they enrolled here before, recovery codes too ([EventReplaced]). Beside a verified factor an
// enrolment that the user has begun goes on, unless it has the same secret.
//
// [ErrInvalidTOTPSecret] means that this person has to enroll anew; until then
// do not take them for somebody without a second factor. The secret is not
// base32, or is shorter than 16 or longer than 128 bytes (RFC 4226 section 4 R6: whoever sees a
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
	if err := checkOwner(enroll); err != nil {
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

// Unlock clears the failures of a factor, and with them a temporary lock and
// StatusDisabled. Call it for a person who has proved by other means who they
// are. It never makes a used code valid again, and gives no messages back. If
// the failures count on the number or the user (see Verify), it clears those. A
// factor that does not exist, is somebody else's, or was not confirmed in time
// is [ErrNotFound].
func (s *Service) Unlock(ctx context.Context, p FactorParams) error {
	type unlocking struct {
		held
		counter *shared
	}
	load := func(ctx context.Context) (*unlocking, error) {
		records, m, err := s.loadFactor(ctx, p.FactorID, p.UserID)
		if err != nil {
			return nil, err
		}
		d := &unlocking{held: held{moment: m}}
		if d.factor, err = s.ownedFactor(records, p.FactorID, p.UserID); err != nil {
			return nil, err
		}
		if d.factor.countsOnUser() { // for all others a user's record that is lost does not matter
			if d.user, err = s.openUser(records, d.now, d.factor); err != nil {
				return nil, err
			}
		}
		n, err := s.loadCountingPhone(ctx, d.factor)
		if err != nil {
			return nil, err
		}
		d.counter = newShared(d.now, d.factor, d.user, n, s.policy)
		return d, nil
	}
	_, err := transact(ctx, s, p.FactorID, load, func(d *unlocking) (struct{}, outcome) {
		f := d.factor
		if f.lapsed(d.now) {
			return struct{}{}, outcome{err: errNotFound(kindFactor, p.FactorID)}
		}
		out := outcome{save: []stored{f}}
		f.guesses = limit.Failures{} // of its own too, if it counts elsewhere
		f.setStatus(d.now)
		d.counter.clear(d.now, &out)
		out.events = append(out.events, f.event(EventUnlocked))
		return struct{}{}, out
	})
	return err
}

// ResealParams says where [Service.Reseal] begins, and how fast it goes. The
// zero value is from the start, at 100 records a second.
type ResealParams struct {
	// After is the last ResealProgress.After of an earlier run, to go on from there.
	// Defaults to "", the beginning.
	After string

	// PerSecond is how many records are written in a second at most.
	// Defaults to 100. Below 0 it is ErrInvalidParameter.
	PerSecond int
}

// A ResealProgress is how far [Service.Reseal] has come.
type ResealProgress struct {
	After    string // the id of the last record; keep it to go on from here
	Walked   int    // records read by this call
	Resealed int    // records written by this call
}

// Reseal encrypts every factor, trusted device and user's record with the first
// key of [Config.Keys], so that the other keys can be removed: run it to its
// end once all processes encrypt with the first one, and remove the others 24
// hours later, when no challenge is left that they encrypted. It is safe beside
// live traffic, and twice at once.
//
// It yields after each record, with an error if one failed; go on or break at
// will. A record that does not open or could not be written is passed over: run
// it again when the cause is gone. An error of the listing store ends it, as a
// cancelled context does. The limits of a phone number move with its factor;
// without one they are forgotten with their key.
//
//	for p, err := range svc.Reseal(ctx, mfa.ResealParams{}) {
//		...
//	}
func (s *Service) Reseal(ctx context.Context, p ResealParams) iter.Seq2[ResealProgress, error] {
	return func(yield func(ResealProgress, error) bool) {
		progress := ResealProgress{After: p.After}
		if p.PerSecond < 0 {
			yield(progress, errParameter("PerSecond must not be negative."))
			return
		}
		if p.PerSecond == 0 {
			p.PerSecond = 100
		}
		kinds := []struct{ name, prefix string }{ // in order of id
			{kindDevice, devicePrefix}, {kindFactor, factorPrefix}, {kindUser, userPrefix},
		}
		for _, kind := range kinds {
			if progress.After > kind.prefix && !strings.HasPrefix(progress.After, kind.prefix) {
				continue
			}
			// Up to an empty page: a record that a short page hides would lose its key.
			query := Query{Kind: kind.name, After: max(progress.After, kind.prefix), Limit: 100}
			for rec, err := range s.list(ctx, query, emptyIsLast) {
				if err != nil {
					yield(progress, err)
					return
				}
				written, err := s.reseal(ctx, rec)
				progress.After = rec.ID
				progress.Walked++
				if written {
					progress.Resealed++
				}
				if !yield(progress, err) {
					return
				}
				if written && !wait(ctx, time.Second/time.Duration(p.PerSecond)) {
					yield(progress, fmt.Errorf("mfa: resealing: %w", ctx.Err()))
					return
				}
			}
		}
	}
}

// reseal writes one record again if another key than the first sealed it, or any
// record of its number.
func (s *Service) reseal(ctx context.Context, rec Record) (written bool, err error) {
	current := bytes.HasPrefix(rec.State, s.keys.keys()[0].id[:])
	if rec.Kind == kindFactor {
		written, err = s.resealFactor(ctx, rec, current)
	} else if !current {
		written, err = s.resealOther(ctx, rec)
	}
	if errors.Is(err, ErrNotFound) { // deleted meanwhile
		return false, nil
	}
	return written, err
}

// resealFactor writes a factor, unless its key is current, and the limits of
// its number.
func (s *Service) resealFactor(ctx context.Context, rec Record, current bool) (bool, error) {
	type resealing struct {
		moment
		factor *factor
		phone  *numberLimits // nil: it sends no messages
	}
	if m := s.methods.of(FactorType(rec.Type)); current && (m == nil || !m.traits().messages) {
		return false, nil
	}
	load := func(ctx context.Context) (d resealing, err error) {
		var records loaded
		if records, d.moment, err = s.loadFactor(ctx, rec.ID, AnyUser); err != nil {
			return d, err
		}
		if d.factor, err = s.ownedFactor(records, rec.ID, AnyUser); err != nil {
			return d, err
		}
		if d.factor.traits.messages {
			d.phone, err = s.loadPhone(ctx, d.factor, phone.RegionOf(d.factor.number()))
		}
		return d, err
	}
	return transact(ctx, s, rec.ID, load, func(d resealing) (bool, outcome) {
		var out outcome
		if !current {
			out.put(d.factor)
		}
		if d.phone != nil && len(d.phone.older) > 0 {
			out.savePhone(d.now, d.phone)
		}
		return len(out.save) > 0, out
	})
}

// resealOther writes a device or a user's record.
func (s *Service) resealOther(ctx context.Context, rec Record) (bool, error) {
	type resealing struct {
		moment
		record stored
	}
	load := func(ctx context.Context) (d resealing, err error) {
		var records loaded
		if records, d.moment, err = s.loadNow(ctx, rec.ID); err != nil {
			return d, err
		}
		found, ok := records.find(rec.ID)
		if !ok {
			return d, errNotFound(rec.Kind, rec.ID)
		}
		d.record = new(user)
		if rec.Kind == kindDevice {
			d.record = new(device)
		}
		return d, s.keys.decode(found, rec.Kind, d.record)
	}
	return transact(ctx, s, rec.ID, load, func(d resealing) (bool, outcome) {
		return true, outcome{save: []stored{d.record}}
	})
}

// Purge deletes what expired more than 24 hours ago: challenges, enrolments
// that were never confirmed, trusted devices (after 90 days), and rate limits
// that count nothing any more. It returns how many records. Call it now and
// then, such as once an hour; nothing else does.
func (s *Service) Purge(ctx context.Context) (int, error) {
	now, err := s.now()
	if err != nil {
		return 0, err
	}
	n, err := s.store.Purge(ctx, now.Add(-keepLapsed))
	if err != nil {
		return n, fmt.Errorf("mfa: purging: %w", err)
	}
	return n, nil
}
