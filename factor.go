package mfa

import (
	"context"
	"crypto/sha256"
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
	"github.com/authfactor/mfa/proof"
)

// The types of factors, in [Factor.Type].
const (
	TypeTOTP       = "totp"        // an authenticator app (RFC 6238)
	TypeSMS        = "sms"         // a phone number that receives text messages
	TypeGenericOTP = "generic_otp" // codes that the application delivers itself

	TypeRecoveryCodes = "recovery_codes" // a list on paper, for who has nothing else at hand
)

// The states of a factor, in [Factor.Status]. A person who has a factor in another
// state than StatusUnverified must not log in with the password alone: a disabled
// factor is no reason to ask for none, or wrong codes would be a way in.
const (
	StatusUnverified = "unverified" // not confirmed yet; gone after 24 hours
	StatusVerified   = "verified"   // confirmed by a first successful Verify, or imported
	StatusDisabled   = "disabled"   // confirmed, and then too many wrong codes in a row; see Service.Reset
)

// EnrollParams says what to enroll: exactly one of TOTP, SMS, GenericOTP and
// RecoveryCodes.
type EnrollParams struct {
	// UserID is the owner, as the application calls the person: up to 255 bytes of
	// UTF-8 without control characters. With it, the factor is reached by calls with
	// the same UserID only, the person has at most 10 factors, and messages to all
	// their numbers share one budget. Optional: without it none of this holds.
	UserID string

	// Name is what the person calls the factor, such as "work phone": up to 64
	// characters. Optional.
	Name string

	// Replaces is the id of a confirmed factor of the same user, such as the app on the
	// old phone. It works on until the new one is confirmed, and is deleted in that same
	// commit. One that is not there or not the user's is ErrNotFound, and so is a set of
	// recovery codes: these replace each other. An enrolment that is begun anew has to name
	// it again. Optional.
	Replaces string

	// Proof is the receipt of a fresh second factor: required if the user has a
	// verified factor (ErrProofRequired; NIST SP 800-63B-4 section 4.1.2.1), and spent in the
	// commit that enrolls. Challenge one of the user's factors for the action
	// proof.ActionOf(PurposeEnroll), or proof.ActionOf(PurposeEnroll, Replaces) if Replaces is
	// given, and pass what Verification.Receipt returns. A login, and
	// confirming a first factor, can be for that action too: then one code does for both.
	// Not looked at where none is required: see Config.RequireProof. A set of recovery codes of
	// which none was used requires none.
	Proof string

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
	// dead from that moment. Wants a UserID.
	RecoveryCodes bool
}

// TOTPParams enrolls an authenticator app. Issuer and User are what the app
// shows: up to 64 characters each, of any script, without control and format
// characters (but U+200C and U+200D between two visible ones). The longest otpauth
// URI has 2,541 bytes. One of more than 512 bytes makes a QR code of many modules: show
// it at its own size, up to 692 pixels wide. A short label is easier to scan.
type TOTPParams struct {
	// Issuer is the application, such as "Foo Corp". Required. A ':' is left out of the
	// label of the URI, which it would divide; the issuer parameter has it.
	Issuer string

	// User is the account, such as "alan.turing@foo-corp.com", without ':'. Required. It is
	// a label: shorten it if need be.
	User string

	// Secret brings along the secret of an existing enrolment, in base32 (case,
	// spaces, hyphens and padding do not matter), of 16 to 128 bytes (RFC 4226
	// section 4 R6), used with SHA-1, 6 digits and 30 seconds. If a verified factor of
	// the user has this secret, it is the same app: Enroll writes nothing and
	// returns that factor, whose used codes stay used.
	// Defaults to a new secret of 20 bytes.
	Secret string
}

// SMSParams enrolls a phone number. Nothing is sent before [Service.Challenge].
type SMSParams struct {
	// PhoneNumber in international form, such as "+1 500 555 0006", or in the
	// national form of Config.DefaultRegion: ASCII digits, and a '+' in front. White space,
	// dashes, slashes, dots, brackets and invisible format characters around and between
	// them are forgiven, up to 64 characters in all. It is kept in E.164, in the one form
	// that works: +52 1 55 1234 5678, as numbers in Mexico were once written, is
	// +525512345678.
	PhoneNumber string
}

// An Enrollment is the answer of [Service.Enroll].
type Enrollment struct {
	Factor Factor          // unverified yet, unless it is a set of recovery codes
	TOTP   *TOTPEnrollment // set for TOTP, nil otherwise

	RecoveryCodes *RecoveryCodesEnrollment `json:",omitempty"` // set for recovery codes, nil otherwise
}

// A TOTPEnrollment holds what the person's app needs. It cannot be read again
// later, and does not print: its JSON is {}. An API for a browser puts what the
// three methods return into an answer of its own, with Cache-Control: no-store.
type TOTPEnrollment struct {
	shown hidden[totpSecrets]
}

type totpSecrets struct{ secret, uri, qrCode string }

// Secret is the shared secret in base32, for typing it in: 32 characters unless
// it was brought along.
func (e *TOTPEnrollment) Secret() string { return e.shown().secret }

// URI is the otpauth URI that the QR code holds.
func (e *TOTPEnrollment) URI() string { return e.shown().uri }

// QRCode is a PNG image as a data URI, with the quiet zone that scanners need.
// In html/template, wrap it: template.URL(enr.TOTP.QRCode()).
func (e *TOTPEnrollment) QRCode() string { return e.shown().qrCode }

// A Factor is what may be shown of an authentication factor. It prints with its
// phone number masked, under every verb; its JSON is the one of the WorkOS MFA
// API, with the number, and name and status beside.
type Factor struct {
	ID        string // "auth_factor_" and a ULID; keep it
	UserID    string // the owner; "" for none
	Name      string
	Type      string // TypeTOTP, TypeSMS, TypeGenericOTP or TypeRecoveryCodes
	Status    string // StatusUnverified, StatusVerified or StatusDisabled
	CreatedAt time.Time
	UpdatedAt time.Time // moves with Status

	TOTPIssuer string // of a TOTP factor
	TOTPUser   string // of a TOTP factor

	RecoveryCodesLeft int // of a set of recovery codes: how many were not used yet

	phone *string
}

// Restricted says whether NIST SP 800-63B-4 section 3.2.9 restricts this type of
// factor: true for SMS. Offer an unrestricted one beside it, and say why.
func (f Factor) Restricted() bool { return f.Type == TypeSMS }

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
	parts := []string{f.ID, f.Type, f.Status}
	for _, p := range []string{f.UserID, f.Name, f.TOTPIssuer, f.TOTPUser, f.MaskedPhoneNumber()} {
		if p != "" {
			parts = append(parts, fmt.Sprintf("%q", p))
		}
	}
	return "{" + strings.Join(parts, " ") + "}"
}

// LogValue logs the factor as it prints.
func (f Factor) LogValue() slog.Value { return slog.StringValue(f.line()) }

// MarshalJSON gives the JSON of the WorkOS MFA API, with "name" and "status".
func (f Factor) MarshalJSON() ([]byte, error) {
	type totp struct {
		Issuer string `json:"issuer"`
		User   string `json:"user"`
	}
	type sms struct {
		PhoneNumber string `json:"phone_number"`
	}
	out := struct {
		Object    string `json:"object"`
		ID        string `json:"id"`
		CreatedAt string `json:"created_at"`
		UpdatedAt string `json:"updated_at"`
		UserID    string `json:"user_id,omitempty"`
		Name      string `json:"name,omitempty"`
		Status    string `json:"status"`
		Type      string `json:"type"`
		TOTP      *totp  `json:"totp,omitempty"`
		SMS       *sms   `json:"sms,omitempty"`
		Left      *int   `json:"recovery_codes_left,omitempty"`
	}{
		Object: "authentication_factor", ID: f.ID, CreatedAt: jsonTime(f.CreatedAt), UpdatedAt: jsonTime(f.UpdatedAt),
		UserID: f.UserID, Name: f.Name, Status: f.Status, Type: f.Type,
	}
	if f.Type == TypeTOTP {
		out.TOTP = &totp{f.TOTPIssuer, f.TOTPUser}
	}
	if f.phone != nil {
		out.SMS = &sms{*f.phone}
	}
	if f.Type == TypeRecoveryCodes {
		out.Left = &f.RecoveryCodesLeft
	}
	return json.Marshal(out)
}

// jsonTime is the time as JavaScript's toISOString gives it.
func jsonTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// Enroll adds a factor, unverified: challenge it and verify a first code to
// confirm it, within 24 hours. That code is used up: within the same 30 seconds a
// login needs the app's next one. Only call it for a person who is logged in. If they
// have a verified factor, it requires [EnrollParams.Proof].
//
// Confirming the first factor of a user ends every other one that they had before,
// recovery codes too, whoever enrolled it ([EventReplaced]): until then the
// password alone was enough to enroll one. So enroll recovery codes after that.
//
// A user has at most 10 factors ([ErrTooManyFactors]) and one unverified of each
// type: a new one replaces it. One that works is replaced with [EnrollParams.Replaces]. Without a UserID neither rule holds. A new
// enrolment is never a new budget of messages or guesses for a phone number.
//
// Malformed parameters are [ErrInvalidParameter], [ErrInvalidTOTPSecret],
// [ErrInvalidPhoneNumber] or [ErrPhoneNumberNotAllowed]; nothing is stored then.
func (s *Service) Enroll(ctx context.Context, p EnrollParams) (Enrollment, error) {
	now, err := s.now()
	if err != nil {
		return Enrollment{}, err
	}
	f, err := s.newFactor(now, p)
	if err != nil {
		return Enrollment{}, err
	}
	enr := Enrollment{}
	if p.TOTP != nil {
		if enr.TOTP, err = s.totpEnrollment(f); err != nil {
			return Enrollment{}, err
		}
	}
	if p.RecoveryCodes {
		if enr.RecoveryCodes, err = newRecoveryCodes(f); err != nil {
			return Enrollment{}, err
		}
	}
	load := func(ctx context.Context) (*view, error) {
		f.proved = p.ByOperator
		v, err := s.loadUser(ctx, p.UserID)
		if err != nil || p.ByOperator || !slices.ContainsFunc(v.factors, (*factor).provable) {
			return v, err
		}
		f.proved = true
		action := proof.ActionOf(PurposeEnroll)
		if p.Replaces != "" {
			action = proof.ActionOf(PurposeEnroll, p.Replaces)
		}
		return v, s.loadProof(ctx, v, proof.Claim{Receipt: p.Proof, UserID: p.UserID, Action: action})
	}
	enr.Factor, err = transact(ctx, s, "", load, func(now time.Time, v *view) (Factor, outcome) {
		return decideEnroll(now, v, f)
	})
	if err != nil {
		return Enrollment{}, err
	}
	return enr, nil
}

// newFactor checks the parameters and makes the record.
func (s *Service) newFactor(now time.Time, p EnrollParams) (*factor, error) {
	types := 0
	for _, given := range []bool{p.TOTP != nil, p.SMS != nil, p.GenericOTP, p.RecoveryCodes} {
		if given {
			types++
		}
	}
	if types != 1 {
		return nil, errParameter("Exactly one of TOTP, SMS, GenericOTP and RecoveryCodes must be given.")
	}
	if p.UserID == AnyUser {
		return nil, errParameter("AnyUser cannot own a factor.")
	}
	if err := checkUserID(p.UserID); err != nil {
		return nil, err
	}
	if err := checkText("name", p.Name, optional); err != nil {
		return nil, err
	}
	if p.Replaces != "" && (p.UserID == "" || p.RecoveryCodes) {
		return nil, errParameter("Replaces must have a user, and is not for recovery codes.")
	}
	f := &factor{name: p.Name, replaces: p.Replaces}
	switch {
	case p.TOTP != nil:
		f.Type = TypeTOTP
		if err := checkText("TOTP issuer", p.TOTP.Issuer, ofIssuer); err != nil {
			return nil, err
		}
		if err := checkText("TOTP user", p.TOTP.User, ofUser); err != nil {
			return nil, err
		}
		secret, err := totpSecret(p.TOTP.Secret)
		if err != nil {
			return nil, err
		}
		f.issuer, f.account, f.secret = p.TOTP.Issuer, p.TOTP.User, secret
	case p.GenericOTP:
		f.Type = TypeGenericOTP
	case p.RecoveryCodes:
		f.Type = TypeRecoveryCodes
		if p.UserID == "" {
			return nil, errParameter("Recovery codes must have a user.")
		}
	default:
		f.Type = TypeSMS
		if s.sms == nil {
			return nil, errNoSMSSender()
		}
		phone, err := s.phones.normalize(p.SMS.PhoneNumber)
		if err != nil {
			return nil, err
		}
		f.phone = phone
	}
	id, err := newID(factorPrefix, now)
	if err != nil {
		return nil, err
	}
	f.ID, f.Kind, f.UserID, f.Status = id, kindFactor, p.UserID, StatusUnverified
	f.CreatedAt, f.UpdatedAt, f.ExpiresAt = now, now, now.Add(unverifiedLapse)
	if p.RecoveryCodes {
		f.verified = true
		f.setStatus(now)
	}
	if p.UserID != "" {
		f.Parent = userRecordID(p.UserID)
	}
	return f, nil
}

// decideEnroll adds the factor to its user's record, in the place of one of the
// same type that was never confirmed; one that is verified from the start, only if it
// is the same app, or the user's first. Factors that lapsed or are gone make room.
func decideEnroll(now time.Time, v *view, f *factor) (Factor, outcome) {
	out := outcome{save: []stored{f}, events: []Event{f.event(EventEnrolled)}}
	if v.user == nil {
		return f.public(), out
	}
	u := v.user
	if same := v.sameApp(f); same != nil && same.ID != f.replaces {
		if f.replaces != "" {
			return Factor{}, outcome{err: errParameter("The user has this app already, as another factor than the one that Replaces names.")}
		}
		return same.public(), outcome{} // with its used codes
	}
	imported := f.verified && f.Type != TypeRecoveryCodes
	first := imported && !slices.ContainsFunc(v.factors, (*factor).provable)
	u.factors = nil
	for _, other := range v.factors {
		switch {
		case first && !other.lapsed(now):
			out.remove = append(out.remove, other)
			out.events = append(out.events, other.event(EventReplaced))
		case other.verified && f.Type == TypeRecoveryCodes && other.Type == f.Type:
			out.remove = append(out.remove, other)
			out.events = append(out.events, other.event(EventReplaced))
		case other.verified:
			u.factors = append(u.factors, other.membership())
		case other.lapsed(now):
			out.remove = append(out.remove, other)
		case other.Type == f.Type && (!f.verified || string(other.secret) == string(f.secret)):
			out.remove = append(out.remove, other)
			out.events = append(out.events, other.event(EventReplaced))
		default:
			u.factors = append(u.factors, other.membership())
		}
	}
	replaceable := func(id string) bool {
		return slices.ContainsFunc(u.factors, func(m membership) bool { return m.id == id && m.verified && m.kind != TypeRecoveryCodes })
	}
	if f.replaces != "" && !replaceable(f.replaces) {
		return Factor{}, outcome{err: errNotFound(kindFactor, f.replaces)}
	}
	// Those that others are to replace go in the end, each once.
	going := map[string]bool{}
	for _, other := range append(slices.Clone(v.factors), f) {
		if !other.verified && replaceable(other.replaces) && !slices.ContainsFunc(out.remove, func(r stored) bool { return r.columns().ID == other.ID }) {
			going[other.replaces] = true
		}
	}
	if len(u.factors)-len(going) >= maxFactors || len(u.factors) >= maxMembers {
		return Factor{}, outcome{err: errTooManyFactors()}
	}
	u.factors = append(u.factors, f.membership())
	u.touch(now)
	out.save = append(out.save, u)
	out.spend(v.proof)
	return f.public(), out
}

// FactorParams names a factor.
type FactorParams struct {
	FactorID string // as Enroll gave it
	UserID   string // the owner, "" for a factor without one, or AnyUser

	// Proof is for Unenroll: the receipt of a fresh second factor, required to take away a
	// verified factor of a user, unless UserID is AnyUser (ErrProofRequired). It is of the
	// action proof.ActionOf(PurposeUnenroll, FactorID), and by any factor of the user, such as
	// the one that goes. See EnrollParams.Proof, and Config.RequireProof.
	Proof string
}

// Factor returns a factor. One that is not there, not the user's, or was not
// confirmed in time is [ErrNotFound].
func (s *Service) Factor(ctx context.Context, p FactorParams) (Factor, error) {
	now, err := s.now()
	if err != nil {
		return Factor{}, err
	}
	v, err := agreed(p.FactorID, func() (*view, error) { return s.loadFactor(ctx, p.FactorID, p.UserID, withUser) })
	if err != nil {
		return Factor{}, err
	}
	if v.factor.lapsed(now) {
		return Factor{}, errNotFound(kindFactor, p.FactorID)
	}
	return v.factor.public(), nil
}

// Factors returns the factors of a user, oldest first, unverified and disabled ones
// included: challenge one that is StatusVerified (of recovery codes: with
// RecoveryCodesLeft; on a browser with a device's token also one that is StatusDisabled, see
// ChallengeParams.Device), and let nobody in without a code who has one that is not
// StatusUnverified. No factors and no error means that the user has none: a verified factor
// whose row was lost is [ErrIntegrity]. "" and AnyUser are [ErrInvalidParameter].
func (s *Service) Factors(ctx context.Context, userID string) ([]Factor, error) {
	if userID == "" || userID == AnyUser {
		return nil, errParameter("Factors are listed for one user.")
	}
	if err := checkUserID(userID); err != nil {
		return nil, err
	}
	now, err := s.now()
	if err != nil {
		return nil, err
	}
	v, err := agreed("", func() (*view, error) { return s.loadUser(ctx, userID) })
	if err != nil {
		return nil, err
	}
	factors := []Factor{}
	for _, f := range v.factors {
		if !f.lapsed(now) {
			factors = append(factors, f.public())
		}
	}
	return factors, nil
}

// Unenroll deletes a factor. Its open challenges are not found from then on. The
// budgets of its number and user stay. To take away a verified factor the user
// wants [FactorParams.Proof]: whoever has the password alone must not. An operator, as AnyUser,
// does not.
func (s *Service) Unenroll(ctx context.Context, p FactorParams) error {
	load := func(ctx context.Context) (*view, error) {
		how := withUser
		if p.UserID == AnyUser {
			how = whatIsLeft // the way out when records are lost
		}
		v, err := s.loadFactor(ctx, p.FactorID, p.UserID, how)
		if err == nil && v.factor.verified && p.UserID != AnyUser && p.UserID != "" {
			err = s.loadProof(ctx, v, proof.Claim{Receipt: p.Proof, UserID: p.UserID, Action: proof.ActionOf(PurposeUnenroll, p.FactorID)})
		}
		return v, err
	}
	_, err := transact(ctx, s, p.FactorID, load, func(now time.Time, v *view) (struct{}, outcome) {
		f, u := v.factor, v.user
		if f.lapsed(now) {
			return struct{}{}, outcome{err: errNotFound(kindFactor, p.FactorID)}
		}
		out := outcome{remove: []stored{f}, events: []Event{f.event(EventUnenrolled)}}
		if u != nil {
			u.drop(f)
			u.touch(now)
			out.save = append(out.save, u)
		}
		out.spend(v.proof)
		return struct{}{}, out
	})
	return err
}

// Reset clears the failures of a factor, its wait and its being disabled. Call it
// for a person who has proved by other means who they are. It never makes a used
// code valid again, and gives no messages back. Of a factor that is not confirmed yet it
// clears the failures that count elsewhere: of TypeSMS those of the number, of
// TypeGenericOTP those of the user.
func (s *Service) Reset(ctx context.Context, p FactorParams) error {
	load := func(ctx context.Context) (*view, error) { return s.loadFactor(ctx, p.FactorID, p.UserID, withCount) }
	_, err := transact(ctx, s, p.FactorID, load, func(now time.Time, v *view) (struct{}, outcome) {
		f, n, u := v.factor, v.number, v.user
		if f.lapsed(now) {
			return struct{}{}, outcome{err: errNotFound(kindFactor, p.FactorID)}
		}
		f.guesses = limit.Failures{}
		f.setStatus(now)
		out := outcome{save: []stored{f}, events: []Event{f.event(EventReset)}}
		if n != nil {
			n.guesses = limit.Failures{}
			n.touch(now)
			out.saveNumber(v)
		}
		if u != nil {
			u.guesses = limit.Failures{}
			u.touch(now)
			out.save = append(out.save, u)
		}
		return struct{}{}, out
	})
	return err
}

// How much of a view to load beside a factor.
type loading int

const (
	withUser    loading = iota // its user's record, which must agree with it
	toChallenge                // the same, and the number of an SMS factor
	whatIsLeft                 // its user's record if it is there: for operators
	withCount                  // the number or the user, while it is that which counts failures
	toReseal                   // the number of an SMS factor alone
)

// loadFactor reads a factor that the user may reach, and what belongs to it.
func (s *Service) loadFactor(ctx context.Context, id, userID string, how loading) (*view, error) {
	v, _, err := s.loadFactorBeside(ctx, id, userID, how)
	return v, err
}

// loadFactorBeside is loadFactor, with the records of other ids in the same read.
func (s *Service) loadFactorBeside(ctx context.Context, id, userID string, how loading, others ...string) (*view, loaded, error) {
	if err := checkCaller(userID); err != nil {
		return nil, nil, err
	}
	if !wellFormed(factorPrefix, id) {
		return nil, nil, errNotFound(kindFactor, id)
	}
	records, err := s.load(ctx, append([]string{id}, others...)...)
	if err != nil {
		return nil, nil, err
	}
	v := new(view)
	if err := s.openFactor(records, v, id, userID); err != nil {
		return nil, nil, err
	}
	if v.factor == nil {
		return nil, nil, errNotFound(kindFactor, id)
	}
	f := v.factor
	switch {
	case how == withUser, how == toChallenge, how == withCount && f.failsOnUser():
		if err := s.openUser(records, v); err != nil {
			return nil, nil, err
		}
	case how == whatIsLeft:
		if rec, ok := records.find(f.Parent); ok {
			v.user = new(user)
			if err := s.keys.opened(rec, kindUser, v.user); err != nil {
				return nil, nil, err
			}
		}
	}
	if how == withCount && f.failsOnNumber() || (how == toChallenge || how == toReseal) && f.Type == TypeSMS {
		if err := s.loadNumber(ctx, v); err != nil {
			return nil, nil, err
		}
	}
	return v, records, nil
}

// openFactor sets the view's factor unless it is not there or not the user's.
func (s *Service) openFactor(records loaded, v *view, id, userID string) error {
	rec, ok := records.find(id)
	if !ok {
		return nil
	}
	f := new(factor)
	if err := s.keys.opened(rec, kindFactor, f); err != nil {
		return err
	}
	if userID == AnyUser || userID == f.UserID {
		v.factor = f
	}
	return nil
}

func (f *factor) public() Factor {
	out := Factor{
		ID: f.ID, UserID: f.UserID, Name: f.name, Type: f.Type, Status: f.Status,
		CreatedAt: f.CreatedAt, UpdatedAt: f.UpdatedAt, TOTPIssuer: f.issuer, TOTPUser: f.account,
	}
	if f.Type == TypeSMS {
		out.phone = new(f.phone)
	}
	out.RecoveryCodesLeft = len(f.recovery)
	return out
}

func (f *factor) membership() membership {
	return membership{id: f.ID, kind: f.Type, verified: f.verified, lapses: f.ExpiresAt}
}

// lapsed says whether the factor was not confirmed in time: it is gone then.
func (f *factor) lapsed(now time.Time) bool { return !f.verified && !now.Before(f.ExpiresAt) }

// failsOnNumber says whether wrong codes count on the number: an enrolment that
// can be repeated must not be a new budget.
func (f *factor) failsOnNumber() bool { return f.Type == TypeSMS && !f.verified }

// told is a wait as whoever asks may know it. Of a number that is not confirmed it may come
// of what others did, and tells when they did it to the minute only.
func (f *factor) told(wait time.Duration) time.Duration {
	if f.failsOnNumber() {
		return (wait + time.Minute - 1).Truncate(time.Minute)
	}
	return wait
}

// failsOnUser says whether wrong codes count on the user, for the same reason. (An app's
// next enrolment has a new secret, which whoever enrolls it is shown.)
func (f *factor) failsOnUser() bool {
	return f.Type == TypeGenericOTP && !f.verified && f.UserID != ""
}

// maxFailures is how many wrong codes in a row disable the factor, 0 for none.
func (f *factor) maxFailures(p Policy) int {
	if f.Type == TypeRecoveryCodes {
		return 0 // 120 bits are not guessed
	}
	return p.MaxFailures
}

// needsUser says whether a challenge or its verification involves the user's record.
func (f *factor) needsUser() bool { return !f.verified || f.Type == TypeSMS }

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
	if f.Status != status {
		f.Status, f.UpdatedAt = status, now
	}
}

// drop takes a factor off the user's list, and remembers the used codes of an app.
func (u *user) drop(f *factor) {
	u.factors = slices.DeleteFunc(u.factors, func(m membership) bool { return m.id == f.ID })
	if f.nextStep > 0 {
		u.gone = append(u.gone, goneApp{secretHash(f.secret), f.nextStep})
		u.gone = u.gone[max(0, len(u.gone)-maxGoneApps):]
	}
}

// nextStep is the oldest step of a secret whose code can be accepted, as far as the
// apps know that the user had before.
func (u *user) nextStep(secret []byte) int64 {
	next := int64(0)
	for _, app := range u.gone {
		if app.hash == secretHash(secret) {
			next = max(next, app.nextStep)
		}
	}
	return next
}

func secretHash(secret []byte) string {
	sum := sha256.Sum256(secret)
	return string(sum[:16])
}

// touch sets the times of a user's record before it is saved. It never expires
// while a verified factor counts against the cap.
func (u *user) touch(now time.Time) {
	if u.Version == 0 {
		u.CreatedAt = now
	}
	u.UpdatedAt = now
	if set := u.fingerprint(); string(set) != string(u.set) {
		u.set, u.devices = set, nil // whoever changed the factors may not be who trusted them
	}
	u.sends.Forget(now, sendQuota)
	u.ExpiresAt = later(now, later(u.sends.Lapse(), u.guesses.Lapse()))
	for _, m := range u.factors {
		if m.verified {
			u.ExpiresAt = time.Time{}
			return
		}
		u.ExpiresAt = later(u.ExpiresAt, m.lapses)
	}
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
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
