package mfa

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/authfactor/mfa/internal/limit"
	"github.com/authfactor/mfa/internal/typed"
	"github.com/authfactor/mfa/proof"
)

// A FactorStatus reports whether a factor can be used. As a string it is what JSON and the
// stores have.
type FactorStatus string

// The states of a factor. A person who has a factor in another state than
// StatusUnverified must not log in with the password alone: if a disabled factor were a
// reason to ask for no code, wrong codes would be a way in.
const (
	// StatusUnverified is a factor that was not confirmed yet. It is gone after 24 hours.
	StatusUnverified FactorStatus = "unverified"

	// StatusVerified is a factor that a first successful Verify confirmed, or Import.
	StatusVerified FactorStatus = "verified"

	// StatusDisabled is a factor that was confirmed and then had too many wrong codes in
	// a row: see [Service.Unlock].
	StatusDisabled FactorStatus = "disabled"
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

// A Factor is what may be shown of an authentication factor. Under every verb of fmt,
// in logs and in JSON its phone number is masked.
type Factor struct {
	ID        string // "auth_factor_" and a ULID; keep it
	UserID    string // the owner; "" for none
	Name      string
	Type      FactorType
	Status    FactorStatus
	CreatedAt time.Time
	UpdatedAt time.Time // moves with Status

	TOTPIssuer string // of a TOTP factor
	TOTPUser   string // of a TOTP factor

	RecoveryCodesLeft int // of a set of recovery codes: how many were not used yet

	phone *string
}

// Restricted reports whether NIST SP 800-63B-4 section 3.2.9 restricts this type of
// factor: true for SMS. Offer an unrestricted one beside it, and say why.
func (f Factor) Restricted() bool {
	m := builtIn.of(f.Type)
	return m != nil && m.traits().restricted
}

// PhoneNumber is the number of an SMS factor in E.164, such as "+15005550006";
// "" for other types.
func (f Factor) PhoneNumber() string {
	if f.phone == nil {
		return ""
	}
	return *f.phone
}

// MaskedPhoneNumber shows the last two digits of an SMS factor's number, always
// at the same width; "" for other types.
func (f Factor) MaskedPhoneNumber() string {
	if f.phone == nil {
		return ""
	}
	return "+*********" + (*f.phone)[len(*f.phone)-2:]
}

// Format prints the factor on one line, whatever the verb.
func (f Factor) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, f.line()) }

func (f Factor) line() string {
	parts := []string{f.ID, string(f.Type), string(f.Status)}
	for _, p := range []string{f.UserID, f.Name, f.TOTPIssuer, f.TOTPUser, f.MaskedPhoneNumber()} {
		if p != "" {
			parts = append(parts, fmt.Sprintf("%q", p))
		}
	}
	return "{" + strings.Join(parts, " ") + "}"
}

// LogValue logs the factor as it prints.
func (f Factor) LogValue() slog.Value { return slog.StringValue(f.line()) }

// MarshalJSON gives the JSON of the WorkOS MFA API, with "name" and "status" beside, and
// with the phone number masked, as [Factor.MaskedPhoneNumber] has it. Package mfahttp,
// which serves that API, shows the whole number.
func (f Factor) MarshalJSON() ([]byte, error) {
	type totp struct {
		Issuer string `json:"issuer"`
		User   string `json:"user"`
	}
	type sms struct {
		PhoneNumber string `json:"phone_number"`
	}
	out := struct {
		Object    string       `json:"object"`
		ID        string       `json:"id"`
		CreatedAt string       `json:"created_at"`
		UpdatedAt string       `json:"updated_at"`
		UserID    string       `json:"user_id,omitempty"`
		Name      string       `json:"name,omitempty"`
		Status    FactorStatus `json:"status"`
		Type      FactorType   `json:"type"`
		TOTP      *totp        `json:"totp,omitempty"`
		SMS       *sms         `json:"sms,omitempty"`
		Left      *int         `json:"recovery_codes_left,omitempty"`
	}{
		Object: "authentication_factor", ID: f.ID, CreatedAt: jsonTime(f.CreatedAt), UpdatedAt: jsonTime(f.UpdatedAt),
		UserID: f.UserID, Name: f.Name, Status: f.Status, Type: f.Type,
	}
	if f.TOTPIssuer != "" {
		out.TOTP = &totp{f.TOTPIssuer, f.TOTPUser}
	}
	if f.phone != nil {
		out.SMS = &sms{f.MaskedPhoneNumber()}
	}
	if m := builtIn.of(f.Type); m != nil && m.traits().backup {
		out.Left = &f.RecoveryCodesLeft
	}
	return json.Marshal(out)
}

// jsonTime is the time as JavaScript's toISOString gives it.
func jsonTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

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

// FactorParams names a factor.
type FactorParams struct {
	FactorID string // as Enroll gave it
	UserID   string // the owner, "" for a factor without one, or AnyUser
}

// Factor returns a factor. One that is not there, not the user's, or was not
// confirmed in time is [ErrNotFound].
func (s *Service) Factor(ctx context.Context, p FactorParams) (Factor, error) {
	if _, err := s.now(); err != nil {
		return Factor{}, err
	}
	h, err := agreed(p.FactorID, func() (held, error) {
		h, _, err := s.hold(ctx, p.FactorID, p.UserID)
		return h, err
	})
	if err != nil {
		return Factor{}, err
	}
	if h.factor.lapsed(h.now) {
		return Factor{}, errNotFound(kindFactor, p.FactorID)
	}
	return h.factor.public(), nil
}

// Factors returns the factors of a user, oldest first, unverified and disabled ones
// included: challenge one that is StatusVerified (of recovery codes: with
// RecoveryCodesLeft; on a browser with a device's token also one that is StatusDisabled, see
// ChallengeParams.DeviceToken), and let nobody in without a code who has one that is not
// StatusUnverified. No factors and no error means that the user has none: a verified factor
// whose row was lost is [ErrIntegrity]. "" and AnyUser are [ErrInvalidParameter].
func (s *Service) Factors(ctx context.Context, userID string) ([]Factor, error) {
	if userID == "" || userID == AnyUser {
		return nil, errParameter("Factors are listed for one user.")
	}
	if err := checkUserID(userID); err != nil {
		return nil, err
	}
	if _, err := s.now(); err != nil {
		return nil, err
	}
	of, err := agreed("", func() (*person, error) { return s.loadPerson(ctx, userID) })
	if err != nil {
		return nil, err
	}
	factors := []Factor{}
	for _, f := range of.factors {
		if !f.lapsed(of.now) {
			factors = append(factors, f.public())
		}
	}
	return factors, nil
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

// RenameParams says what a factor is called from now on.
type RenameParams struct {
	FactorID string // as Enroll gave it
	UserID   string // the owner, "" for a factor without one, or AnyUser
	Name     string // as in EnrollParams.Name; "" for none
}

// Rename changes what the person calls a factor, and nothing else. It returns the factor as
// it is then. One that is not there, not the user's, or was not confirmed in time is
// [ErrNotFound]; a name that cannot be shown is [ErrInvalidParameter].
func (s *Service) Rename(ctx context.Context, p RenameParams) (Factor, error) {
	if err := checkText("name", p.Name, typed.Optional); err != nil {
		return Factor{}, err
	}
	load := func(ctx context.Context) (held, error) {
		h, _, err := s.hold(ctx, p.FactorID, p.UserID)
		return h, err
	}
	return transact(ctx, s, p.FactorID, load, func(h held) (Factor, outcome) {
		if h.factor.lapsed(h.now) {
			return Factor{}, outcome{err: errNotFound(kindFactor, p.FactorID)}
		}
		h.factor.name = p.Name
		return h.factor.public(), outcome{save: []stored{h.factor}}
	})
}

// Unlock clears the failures of a factor, its wait and its being disabled. Call it
// for a person who has proved by other means who they are. It never makes a used
// code valid again, and gives no messages back. Of a factor that is not confirmed yet it
// clears the failures that count elsewhere: of TypeSMS those of the number, of
// TypeGenericOTP those of the user.
func (s *Service) Unlock(ctx context.Context, p FactorParams) error {
	type resetting struct {
		held
		counter *shared
	}
	load := func(ctx context.Context) (*resetting, error) {
		records, m, err := s.loadFactor(ctx, p.FactorID, p.UserID)
		if err != nil {
			return nil, err
		}
		d := &resetting{held: held{moment: m}}
		if d.factor, err = s.openFactor(records, p.FactorID, p.UserID); err != nil {
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
	_, err := transact(ctx, s, p.FactorID, load, func(d *resetting) (struct{}, outcome) {
		f := d.factor
		if f.lapsed(d.now) {
			return struct{}{}, outcome{err: errNotFound(kindFactor, p.FactorID)}
		}
		out := outcome{save: []stored{f}}
		f.guesses = limit.Failures{}
		d.counter.reset(d.now, &out)
		f.setStatus(d.now)
		out.events = append(out.events, f.event(EventUnlocked))
		return struct{}{}, out
	})
	return err
}

// A held factor is one that the caller may reach.
type held struct {
	moment
	factor *factor
	user   *user // its owner's record, which agrees with it; nil: it has no owner
}

// hold reads a factor that the user may reach, and the records of other ids in the same
// read.
func (s *Service) hold(ctx context.Context, id, userID string, others ...string) (h held, records loaded, err error) {
	if records, h.moment, err = s.loadFactor(ctx, id, userID, others...); err != nil {
		return h, nil, err
	}
	if h.factor, err = s.openFactor(records, id, userID); err != nil {
		return h, nil, err
	}
	h.user, err = s.openUser(records, h.now, h.factor)
	return h, records, err
}

// holdWhatIsLeft reads a factor for an operator, with its user's record if that is
// there: the way out when records are lost.
func (s *Service) holdWhatIsLeft(ctx context.Context, id string) (h held, err error) {
	var records loaded
	if records, h.moment, err = s.loadFactor(ctx, id, AnyUser); err != nil {
		return h, err
	}
	if h.factor, err = s.openFactor(records, id, AnyUser); err != nil {
		return h, err
	}
	if rec, ok := records.find(h.factor.Parent); ok {
		h.user = new(user)
		err = s.keys.opened(rec, kindUser, h.user)
	}
	return h, err
}

// loadFactor reads the record of a factor, those of other ids, and the clock.
func (s *Service) loadFactor(ctx context.Context, id, userID string, others ...string) (loaded, moment, error) {
	if err := checkCaller(userID); err != nil {
		return nil, moment{}, err
	}
	if !wellFormed(factorPrefix, id) {
		return nil, moment{}, errNotFound(kindFactor, id)
	}
	return s.loadNow(ctx, append([]string{id}, others...)...)
}

// openFactor returns a factor that was read. One that is not there, or not the user's,
// is ErrNotFound.
func (s *Service) openFactor(records loaded, id, userID string) (*factor, error) {
	rec, ok := records.find(id)
	if !ok {
		return nil, errNotFound(kindFactor, id)
	}
	f, err := s.openedFactor(rec)
	if err != nil {
		return nil, err
	}
	if userID != AnyUser && userID != f.UserID {
		return nil, errNotFound(kindFactor, id)
	}
	return f, nil
}

// openedFactor reads the record of a factor, of one of the service's types.
func (s *Service) openedFactor(rec Record) (*factor, error) {
	f := &factor{methods: s.methods}
	return f, s.keys.opened(rec, kindFactor, f)
}

// loadCountingPhone reads the budget of the factor's number, nil unless wrong codes
// count there.
func (s *Service) loadCountingPhone(ctx context.Context, f *factor) (*budget, error) {
	if !f.countsOnNumber() {
		return nil, nil //nolint:nilnil // it means that they count elsewhere, and nothing else
	}
	return s.loadPhone(ctx, f)
}

func (f *factor) public() Factor {
	out := Factor{
		ID: f.ID, UserID: f.UserID, Name: f.name, Type: FactorType(f.Type), Status: FactorStatus(f.Status),
		CreatedAt: f.CreatedAt, UpdatedAt: f.UpdatedAt,
	}
	f.own.describe(&out)
	return out
}

func (f *factor) membership() membership {
	return membership{id: f.ID, backup: f.traits.backup, verified: f.verified, lapses: f.ExpiresAt}
}

// lapsed reports whether the factor was not confirmed in time: it is gone then.
func (f *factor) lapsed(now time.Time) bool { return !f.verified && !now.Before(f.ExpiresAt) }

// proves reports whether a receipt of the factor can be required.
func (f *factor) proves() bool { return f.verified && f.own.proves() }

// countsOnNumber reports whether wrong codes count on the number: an enrolment that can
// be repeated must not be a new budget.
func (f *factor) countsOnNumber() bool { return !f.verified && f.traits.unconfirmed == onNumber }

// countsOnUser reports whether wrong codes count on the user, for the same reason. (An
// app's next enrolment has a new secret, which whoever enrolls it is shown.)
func (f *factor) countsOnUser() bool {
	return !f.verified && f.traits.unconfirmed == onUser && f.UserID != ""
}

// confirm makes the factor one that logs in.
func (f *factor) confirm(now time.Time) {
	f.verified = true
	f.setStatus(now)
}

// setStatus derives Status; UpdatedAt moves with it.
func (f *factor) setStatus(now time.Time) {
	status := StatusUnverified
	if f.verified {
		status = StatusVerified
		f.ExpiresAt = time.Time{}
		if f.guesses.Disabled {
			status = StatusDisabled
		}
	}
	if f.Status != string(status) {
		f.Status, f.UpdatedAt = string(status), now
	}
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// checkText refuses what an app, a page or a log would show wrongly.
func checkText(what, text string, rule typed.Rule) error {
	if err := typed.Name(text, maxText, rule); err != nil {
		return errParameter("The %s %s.", what, err)
	}
	return nil
}

func checkUserID(id string) error {
	if len(id) > maxUserID || !utf8.ValidString(id) || strings.ContainsFunc(id, unicode.IsControl) {
		return errParameter("The user id must be at most %d bytes of UTF-8 without control characters.", maxUserID)
	}
	return nil
}

// checkCaller checks the UserID of a call that names a factor or a challenge.
func checkCaller(userID string) error {
	if userID == AnyUser {
		return nil
	}
	return checkUserID(userID)
}
