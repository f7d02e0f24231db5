package mfa

import (
	"context"
	"slices"
	"time"

	"github.com/authfactor/mfa/internal/typed"
	"github.com/authfactor/mfa/proof"
)

// EnrollParams says what to enroll: exactly one of TOTP, SMS, GenericOTP,
// RecoveryCodes and Method.
type EnrollParams struct {
	// UserID is the owner, as the application calls the person: up to 255 bytes of
	// UTF-8 without control characters. Only calls with the same UserID, or
	// AnyUser, reach the factor. A user has at most 10 factors, and messages to
	// all their numbers share one quota. Required unless NoOwner is true.
	UserID string

	// NoOwner enrolls a factor that has no owner: whoever has its id can use it,
	// StartLogin never asks for it, and no limit per user applies. It is for an
	// API that names no users, such as the WorkOS MFA API. With a UserID it is
	// ErrInvalidParameter. Defaults to false.
	NoOwner bool

	// Name is what the person calls the factor, such as "work phone": up to 64
	// characters. Optional.
	Name string

	// Replaces is the id of a verified factor of the same user, such as the app on
	// the old phone. It keeps working until the new factor is confirmed, and is
	// deleted in that commit. Unknown and foreign ids and recovery codes are
	// ErrNotFound. An enrolment that is begun anew must name it again. Optional;
	// ErrInvalidParameter without a UserID, and with RecoveryCodes, which replace
	// the old set anyway.
	Replaces string

	// Receipt is what Verification.Receipt returned for the action
	// proof.ActionOf(PurposeEnroll), or proof.ActionOf(PurposeEnroll, Replaces) if
	// Replaces is given. It is redeemed in the commit that enrolls. Required
	// (ErrProofRequired; NIST SP 800-63B-4 section 4.1.2.1) if the user has a
	// verified factor other than recovery codes of which none was used. Any
	// verified factor of the user can answer that challenge. A login can be for
	// that action too, and so can confirming a first factor, unless the user has
	// recovery codes: then one code does for both. Ignored where none is required:
	// see Config.InsecureSkipProof.
	Receipt string

	// HasFactor is what LoginParams.HasFactor is given. If it is true and no
	// confirmed factor is stored, the store was lost: Enroll returns ErrIntegrity,
	// since whoever has the session alone must not enroll the first one anew. (An
	// enrolment that comes back with a backup can still be confirmed for 24 hours:
	// show no page for a code while StartLogin returns ErrIntegrity.) With
	// ByOperator it changes nothing; without a UserID it is ErrInvalidParameter.
	// Defaults to false, which trusts the store.
	HasFactor bool

	// ByOperator is true if the user does not make this call: an operator enrolls
	// a person who proved who they are, or a server's API carries no receipts.
	// Then no receipt is required, and giving one is ErrInvalidParameter. Never
	// set it from a request. Defaults to false.
	ByOperator bool

	TOTP *TOTPParams // an authenticator app
	SMS  *SMSParams  // a phone number

	// GenericOTP enrolls whatever the application delivers codes by, such as push
	// or a voice call: [Challenge.Code] returns the code of each challenge. (NIST
	// SP 800-63B-4 section 3.1.3.1 rules out e-mail.) Limit how often you deliver.
	// Until the factor is confirmed, wrong codes count on the user, so that
	// enrolling again gives no extra guesses. Without a UserID they count on the
	// factor alone: limit how often such a person enrolls.
	GenericOTP bool

	// RecoveryCodes makes ten codes that are accepted once each, for a person who
	// has no other factor at hand. The factor is verified from the start, so tell
	// the person at once that it was added. A new set replaces the old one, whose
	// codes stop working then. Requires a UserID. With a user's first factor,
	// VerifyParams.NewRecoveryCodes makes them without a receipt.
	RecoveryCodes bool

	// Method enrolls a factor of a type of Config.Methods. Wrong answers count as
	// those of GenericOTP do, unless its type is InsecureUnlimited.
	Method *MethodParams
}

// An Enrollment is the answer of [Service.Enroll].
type Enrollment struct {
	// Factor is unverified yet, unless it is a set of recovery codes, or an app that
	// TOTPParams.Secret gave again.
	Factor Factor `json:"factor"`

	// TOTP is set for TOTP, nil otherwise.
	TOTP *TOTPEnrollment `json:"totp,omitempty"`

	// RecoveryCodes is set for recovery codes, nil otherwise.
	RecoveryCodes *RecoveryCodesEnrollment `json:"recovery_codes,omitempty"`
}

// Enroll adds a factor for a person who is logged in. It is unverified
// (recovery codes are not): challenge it and verify a first code within 24
// hours to confirm it. That code is used up: a login in the same 30 seconds
// needs the app's next one. If the user has a verified factor
// other than unused recovery codes, [EnrollParams.Receipt] is required.
//
// Confirming a user's first factor deletes every other one that they had
// before, recovery codes too, whoever enrolled it ([EventReplaced]): until then
// the password alone was enough to enroll one. So enroll recovery codes after
// that, or have the confirmation make them: [VerifyParams.NewRecoveryCodes].
// Once a user has a verified factor other than unused recovery codes, earlier
// enrolments made without a receipt can no longer be confirmed.
//
// A user has at most 10 factors ([ErrTooManyFactors]) and one unverified of
// each type: a new one replaces it. A verified one is replaced with
// [EnrollParams.Replaces]. With NoOwner neither rule holds. Enrolling a phone
// number again gives no extra messages or guesses.
//
// Malformed parameters are [ErrInvalidParameter], [ErrInvalidTOTPSecret],
// [ErrInvalidPhoneNumber] or [ErrPhoneNumberNotAllowed], and SMS without a
// [Config.SMS] is [ErrNoSMSSender]; nothing is stored then.
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
		if p.HasFactor && !p.ByOperator && !of.user.hasVerified() {
			return nil, errNoneStored(of.user)
		}
		d := &enrolling{person: of, factor: f}
		f.proved = p.ByOperator
		if !p.ByOperator && of.needsReceipt() {
			f.proved = true
			d.proof, err = s.loadProof(ctx, of.now, proof.Claim{
				Receipt: p.Receipt, UserID: p.UserID, Action: action,
			})
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
	if err := checkOwner(p); err != nil {
		return nil, enr, err
	}
	if err := checkTogether(p, m.traits()); err != nil {
		return nil, enr, err
	}
	own, err := m.enroll(s, p, &enr)
	if err != nil {
		return nil, Enrollment{}, err
	}
	f, err := newRecord(now, p, m.traits(), own)
	return f, enr, err
}

// checkOwner checks the owner and the name.
func checkOwner(p EnrollParams) error {
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
	return checkText("name", p.Name, typed.Optional)
}

// checkTogether refuses parameters that do not go together.
func checkTogether(p EnrollParams, t traits) error {
	switch {
	case p.ByOperator && p.Receipt != "":
		return errParameter("A receipt is the user's own, and not given together with ByOperator.")
	case p.HasFactor && p.UserID == "":
		return errParameter("HasFactor must have a user.")
	case p.Replaces != "" && (p.UserID == "" || t.oneSet):
		return errParameter("Replaces must have a user, and is not for recovery codes.")
	case t.needsOwner && p.UserID == "":
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
	f.ID, f.Kind, f.Type, f.UserID = id, kindFactor, string(t.kind), p.UserID
	f.Status = string(StatusUnverified)
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
	factor   *factor
	imported bool
	proof    *challenge // whose receipt is redeemed; nil: none is required
}

// decideEnroll adds the factor to its user's list, and drops expired enrolments
// and any unverified factor of the same type. An imported app drops one only if
// its secret is the same, or all if it is the user's first factor.
func decideEnroll(d *enrolling) (Factor, outcome) {
	f, u := d.factor, d.user
	out := outcome{save: []stored{f}, events: []Event{f.event(EventEnrolled)}}
	if u == nil {
		return f.public(), out
	}
	if same := d.sameApp(f); same != nil && same.ID != f.replaces {
		if f.replaces != "" {
			return Factor{}, outcome{err: errParameter("The user has this app already, " +
				"as another factor than the one that Replaces names.")}
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
	out.redeem(d.proof)
	return f.public(), out
}

// gone reports whether the enrolment drops another factor, and whether that is
// an event.
func (d *enrolling) gone(other *factor) (gone, told bool) {
	f := d.factor
	switch {
	case d.imported && !d.needsReceipt() && !other.lapsed(d.now): // it is the user's first
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
	return slices.ContainsFunc(u.factors, func(m membership) bool {
		return m.id == id && m.first()
	})
}

// going is how many factors are deleted once all enrolments that replace one
// are confirmed.
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

	// Receipt is what Verification.Receipt returned for the action
	// proof.ActionOf(PurposeUnenroll, FactorID), by any verified factor of the
	// user, even the deleted one. It is redeemed in the commit that deletes.
	// Required (ErrProofRequired) to delete a verified factor of a user, unless
	// UserID is AnyUser. See Config.InsecureSkipProof.
	Receipt string

	// KeepOne refuses to delete the last confirmed factor of a user, recovery codes aside:
	// ErrLastFactor. A disabled one counts as one that stays. Two calls at once for two
	// factors do not delete both. Set it on an account page where TurnOff is what ends the
	// second factor. Defaults to false; then clear LoginParams.HasFactor once the user's last
	// factor is deleted.
	KeepOne bool
}

// Unenroll deletes a factor. Its open challenges are not found from then on;
// the rate limits of its number and user stay. To delete a verified factor, its
// owner must give [UnenrollParams.Receipt], since whoever has the password
// alone must not; an operator, with AnyUser, needs none. Deleting a verified
// factor also ends the trust in all devices of the user, and deletes their
// records. (One that the store fails to delete after the commit does nothing,
// and Purge deletes it.) A factor that does not exist, is somebody else's, or was not
// confirmed in time is [ErrNotFound]; one that must stay is [ErrLastFactor].
// [Service.TurnOff] deletes all factors.
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
		switch {
		case f.lapsed(d.now):
			return struct{}{}, outcome{err: errNotFound(kindFactor, p.FactorID)}
		case p.KeepOne && u.endsWithout(f):
			return struct{}{}, outcome{err: errLastFactor(f.ID)}
		}
		out := outcome{remove: []*Record{&f.Record}, events: []Event{f.event(EventUnenrolled)}}
		out.redeem(d.proof)
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
	rows.sweepCommitted(ctx, s)
	return nil
}

// unenrolling is a factor that is to be deleted.
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
		d.proof, err = s.loadProof(ctx, h.now, proof.Claim{
			Receipt: p.Receipt, UserID: p.UserID,
			Action: proof.ActionOf(PurposeUnenroll, p.FactorID),
		})
	}
	return d, err
}
