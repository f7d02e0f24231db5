package mfa

import (
	"context"
	"slices"
	"time"

	"github.com/authfactor/mfa/internal/typed"
	"github.com/authfactor/mfa/proof"
)

// EnrollParams says what to enroll: exactly one of TOTP, SMS, GenericOTP, RecoveryCodes
// and Method.
type EnrollParams struct {
	// UserID is the owner, as the application calls the person: up to 255 bytes of
	// UTF-8 without control characters. The factor is reached by calls with the same
	// UserID only, the person has at most 10 factors, and messages to all their numbers
	// share one budget. Required unless NoOwner is true.
	UserID string

	// NoOwner enrolls a factor that is nobody's: whoever has its id reaches it, StartLogin
	// asks for none of it, and no limit goes by a user. It is for an API that names no
	// users, as the hosted one. With a UserID it is ErrInvalidParameter. Defaults to false.
	NoOwner bool

	// Name is what the person calls the factor, such as "work phone": up to 64
	// characters. Optional.
	Name string

	// Replaces is the id of a confirmed factor of the same user, such as the app on the
	// old phone. It works on until the new one is confirmed, and is deleted in that same
	// commit. One that is not there or not the user's is ErrNotFound, and so is a set of
	// recovery codes: these replace each other. An enrolment that is begun anew has to name
	// it again. Optional.
	Replaces string

	// Receipt is the receipt of a fresh second factor: required if the user has a
	// verified factor (ErrProofRequired; NIST SP 800-63B-4 section 4.1.2.1), and spent in the
	// commit that enrolls. Challenge one of the user's factors for the action
	// proof.ActionOf(PurposeEnroll), or proof.ActionOf(PurposeEnroll, Replaces) if Replaces is
	// given, and pass what Verification.Receipt returns. A login, and
	// confirming a first factor, can be for that action too: then one code does for both.
	// Not looked at where none is required: see Config.InsecureSkipProof. A set of recovery codes of
	// which none was used requires none.
	Receipt string

	// ByOperator says that the user does not make this call, and that no proof is required: an
	// operator enrolls a person who proved who they are, or a server whose API carries
	// no proofs. Never set it from a request. Defaults to false.
	ByOperator bool

	TOTP *TOTPParams // an authenticator app
	SMS  *SMSParams  // a phone number

	// GenericOTP enrolls whatever the application delivers codes by, such as push or a
	// voice call: each challenge hands it one, by [Challenge.Code]. (NIST SP 800-63B-4
	// section 3.1.3.1 rules out e-mail.) Limit how often you deliver. Wrong codes before it is
	// confirmed count on the user, so that enrolling again is no new budget. Without a UserID
	// they count on the factor alone: limit how often such a person enrolls.
	GenericOTP bool

	// RecoveryCodes makes ten codes that are accepted once each, for a person who has no
	// other factor at hand. They need no confirming: the factor is verified, so tell the
	// person at once that it was added. A new set takes the place of the old one, which is
	// dead from that moment. Wants a UserID. With a user's first factor,
	// VerifyParams.NewRecoveryCodes makes them without a receipt.
	RecoveryCodes bool

	Method *MethodParams // a factor of a type of Config.Methods
}

// An Enrollment is the answer of [Service.Enroll].
type Enrollment struct {
	Factor Factor          `json:"factor"`         // unverified yet, unless it is a set of recovery codes
	TOTP   *TOTPEnrollment `json:"totp,omitempty"` // set for TOTP, nil otherwise

	// RecoveryCodes is set for recovery codes, nil otherwise.
	RecoveryCodes *RecoveryCodesEnrollment `json:"recovery_codes,omitempty"`
}

// Enroll adds a factor, unverified: challenge it and verify a first code to
// confirm it, within 24 hours. That code is used up: within the same 30 seconds a
// login needs the app's next one. Only call it for a person who is logged in. If they
// have a verified factor, it requires [EnrollParams.Receipt].
//
// Confirming the first factor of a user ends every other one that they had before,
// recovery codes too, whoever enrolled it ([EventReplaced]): until then the
// password alone was enough to enroll one. So enroll recovery codes after that, or have
// them made by the confirmation itself: [VerifyParams.NewRecoveryCodes].
//
// A user has at most 10 factors ([ErrTooManyFactors]) and one unverified of each
// type: a new one replaces it. One that works is replaced with [EnrollParams.Replaces]. With NoOwner neither rule holds. A new
// enrolment is never a new budget of messages or guesses for a phone number.
//
// Malformed parameters are [ErrInvalidParameter], [ErrInvalidTOTPSecret],
// [ErrInvalidPhoneNumber] or [ErrPhoneNumberNotAllowed]; nothing is stored then.
func (s *Service) Enroll(ctx context.Context, p EnrollParams) (Enrollment, error) {
	now, err := s.now()
	if err != nil {
		return Enrollment{}, err
	}
	f, enr, err := s.newFactor(now, p)
	if err != nil {
		return Enrollment{}, err
	}
	action := proof.ActionOf(PurposeEnroll)
	if p.Replaces != "" {
		action = proof.ActionOf(PurposeEnroll, p.Replaces)
	}
	load := func(ctx context.Context) (*enrolling, error) {
		of, err := s.loadPerson(ctx, p.UserID)
		if err != nil {
			return nil, err
		}
		d := &enrolling{person: of, factor: f}
		f.proved = p.ByOperator
		if !p.ByOperator && of.proves() {
			f.proved = true
			d.proof, err = s.loadProof(ctx, of.now, proof.Claim{Receipt: p.Receipt, UserID: p.UserID, Action: action})
		}
		return d, err
	}
	enr.Factor, err = transact(ctx, s, "", load, decideEnroll)
	if err != nil {
		return Enrollment{}, err
	}
	return enr, nil
}

// newFactor checks the parameters and makes the record, and what the person is shown.
func (s *Service) newFactor(now time.Time, p EnrollParams) (*factor, Enrollment, error) {
	var enr Enrollment
	m, err := s.methods.asked(p)
	if err != nil {
		return nil, enr, err
	}
	if err := checkOwner(p, m.traits()); err != nil {
		return nil, enr, err
	}
	own, err := m.enroll(s, p, &enr)
	if err != nil {
		return nil, Enrollment{}, err
	}
	f, err := newRecord(now, p, m.traits(), own)
	return f, enr, err
}

// checkOwner checks the parameters that all types have.
func checkOwner(p EnrollParams, t traits) error {
	switch {
	case p.UserID == AnyUser:
		return errParameter("AnyUser cannot own a factor.")
	case p.UserID == "" && !p.NoOwner:
		return errParameter("UserID must be given, or NoOwner for a factor of nobody.")
	case p.UserID != "" && p.NoOwner:
		return errParameter("NoOwner must not be given together with UserID.")
	}
	if err := checkUserID(p.UserID); err != nil {
		return err
	}
	if err := checkText("name", p.Name, typed.Optional); err != nil {
		return err
	}
	if p.Replaces != "" && (p.UserID == "" || t.oneSet) {
		return errParameter("Replaces must have a user, and is not for recovery codes.")
	}
	if t.needsOwner && p.UserID == "" {
		return errParameter("Recovery codes must have a user.")
	}
	return nil
}

// newRecord makes the record of a factor.
func newRecord(now time.Time, p EnrollParams, t traits, own possession) (*factor, error) {
	id, err := newID(factorPrefix, now)
	if err != nil {
		return nil, err
	}
	f := &factor{traits: t, own: own, name: p.Name, replaces: p.Replaces}
	f.ID, f.Kind, f.Type, f.UserID, f.Status = id, kindFactor, string(t.kind), p.UserID, string(StatusUnverified)
	f.CreatedAt, f.UpdatedAt, f.ExpiresAt = now, now, now.Add(unverifiedLapse)
	if p.UserID != "" {
		f.Parent = userRecordID(p.UserID)
	}
	if t.confirmed {
		f.confirm(now)
	}
	return f, nil
}

// enrolling is a factor that is to be added.
type enrolling struct {
	*person
	factor *factor
	proof  *challenge // whose receipt is spent; nil: none is required
}

// decideEnroll adds the factor to its user's record, in the place of one of the
// same type that was never confirmed; one that is verified from the start, only if it
// is the same app, or the user's first. Factors that lapsed or are gone make room.
func decideEnroll(d *enrolling) (Factor, outcome) {
	f, u := d.factor, d.user
	out := outcome{save: []stored{f}, events: []Event{f.event(EventEnrolled)}}
	if u == nil {
		return f.public(), out
	}
	if same := d.sameApp(f); same != nil && same.ID != f.replaces {
		if f.replaces != "" {
			return Factor{}, outcome{err: errParameter("The user has this app already, as another factor than the one that Replaces names.")}
		}
		return same.public(), outcome{} // with its used codes
	}
	u.factors = nil
	for _, other := range d.factors {
		switch gone, told := d.gone(other); {
		case !gone:
			u.factors = append(u.factors, other.membership())
		case told:
			out.events = append(out.events, other.event(EventReplaced))
			fallthrough
		default:
			out.drop(other)
		}
	}
	if f.replaces != "" && !u.replaceable(f.replaces) {
		return Factor{}, outcome{err: errNotFound(kindFactor, f.replaces)}
	}
	if len(u.factors)-d.going(out) >= maxFactors || len(u.factors) >= maxMembers {
		return Factor{}, outcome{err: errTooManyFactors()}
	}
	u.factors = append(u.factors, f.membership())
	u.touch(d.now)
	out.put(u)
	out.spend(d.proof)
	return f.public(), out
}

// gone reports whether another factor goes with the enrolment, and whether that is an
// event.
func (d *enrolling) gone(other *factor) (gone, told bool) {
	f := d.factor
	imported := f.verified && !f.traits.confirmed
	switch {
	case imported && !d.proves() && !other.lapsed(d.now): // it is the user's first
		return true, true
	case other.verified:
		newSet := f.traits.oneSet && other.Type == f.Type
		return newSet, newSet
	case other.lapsed(d.now):
		return true, false
	}
	same := other.Type == f.Type && (!f.verified || sameApp(f, other))
	return same, same
}

// replaceable reports whether a factor can be named by EnrollParams.Replaces.
func (u *user) replaceable(id string) bool {
	return slices.ContainsFunc(u.factors, func(m membership) bool { return m.id == id && m.verified && !m.backup })
}

// going is how many factors go when those that are not confirmed are, each once.
func (d *enrolling) going(out outcome) int {
	going := map[string]bool{}
	for _, other := range append(slices.Clone(d.factors), d.factor) {
		removed := slices.ContainsFunc(out.remove, func(rec *Record) bool { return rec.ID == other.ID })
		if !other.verified && !removed && d.user.replaceable(other.replaces) {
			going[other.replaces] = true
		}
	}
	return len(going)
}

// UnenrollParams says which factor to delete.
type UnenrollParams struct {
	FactorID string // as Enroll gave it
	UserID   string // the owner, "" for a factor without one, or AnyUser

	// Receipt is that of a fresh second factor: required to take away a verified factor of
	// a user, unless UserID is AnyUser (ErrProofRequired). It is of the action
	// proof.ActionOf(PurposeUnenroll, FactorID), by any factor of the user, such as the one
	// that goes. See EnrollParams.Receipt, and Config.InsecureSkipProof.
	Receipt string
}

// Unenroll deletes a factor. Its open challenges are not found from then on. The
// budgets of its number and user stay. To take away a verified factor the user
// requires [UnenrollParams.Receipt]: whoever has the password alone must not. An operator, as AnyUser,
// does not. Taking away a verified factor ends the trust in all devices of the user, and
// deletes their records. [Service.TurnOff] takes away all factors.
func (s *Service) Unenroll(ctx context.Context, p UnenrollParams) error {
	rows := new(deviceRows)
	load := func(ctx context.Context) (*unenrolling, error) {
		d, err := s.loadUnenrolling(ctx, p)
		if err == nil && d.factor.verified && d.user != nil {
			err = rows.load(ctx, s, d.user.UserID, d.user.devices)
		}
		return d, err
	}
	_, err := transact(ctx, s, p.FactorID, load, func(d *unenrolling) (struct{}, outcome) {
		f, u := d.factor, d.user
		if f.lapsed(d.now) {
			return struct{}{}, outcome{err: errNotFound(kindFactor, p.FactorID)}
		}
		out := outcome{remove: []*Record{&f.Record}, events: []Event{f.event(EventUnenrolled)}}
		out.spend(d.proof)
		if u != nil {
			u.drop(f)
			u.touch(d.now)
			out.put(u)
			rows.drop(&out, u.devices)
		}
		return struct{}{}, out
	})
	if err != nil {
		return err
	}
	return rows.sweep(ctx, s)
}

// unenrolling is a factor that is to be taken away.
type unenrolling struct {
	held
	proof *challenge // nil: none is required
}

func (s *Service) loadUnenrolling(ctx context.Context, p UnenrollParams) (*unenrolling, error) {
	if p.UserID == AnyUser {
		h, err := s.holdWhatIsLeft(ctx, p.FactorID)
		return &unenrolling{held: h}, err
	}
	h, _, err := s.hold(ctx, p.FactorID, p.UserID)
	d := &unenrolling{held: h}
	if err == nil && h.factor.verified && p.UserID != "" {
		d.proof, err = s.loadProof(ctx, h.now, proof.Claim{Receipt: p.Receipt, UserID: p.UserID, Action: proof.ActionOf(PurposeUnenroll, p.FactorID)})
	}
	return d, err
}
