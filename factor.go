package mfa

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/authfactor/mfa/internal/phone"
	"github.com/authfactor/mfa/internal/typed"
)

// A FactorStatus is whether a factor can be used. JSON and the stores have the
// same string.
type FactorStatus string

// The states of a factor. A user with a verified or disabled factor must not
// log in with the password alone: otherwise wrong codes could disable the
// factor and so bypass it.
const (
	// StatusUnverified is a factor that is not confirmed yet. After 24 hours it no
	// longer exists.
	StatusUnverified FactorStatus = "unverified"

	// StatusVerified is a factor that a first successful Verify confirmed, and from
	// the start recovery codes and what Import adds.
	StatusVerified FactorStatus = "verified"

	// StatusDisabled is a verified factor that had too many wrong codes in a row:
	// see [Service.Unlock].
	StatusDisabled FactorStatus = "disabled"
)

// A Factor is what may be shown of an authentication factor. Printing, logging
// and JSON mask its phone number.
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

	RecoveryCodesLeft int // unused codes of a set of recovery codes; 0 for other types

	// Details is a JSON object of what a type of Config.Methods tells of its factor, such
	// as passkey.DetailsOf reads it; "" for other types, and if the type tells nothing.
	Details string

	phone      *string
	amr        string // what its answer proves, with spaces between: see Verification.AMR
	noPhishing bool
}

// Restricted reports whether NIST SP 800-63B-4 section 3.2.9 restricts this type of
// factor: true for SMS. Offer an unrestricted one beside it, and say why.
func (f Factor) Restricted() bool {
	m := builtIn.of(f.Type)
	return m != nil && m.traits().restricted
}

// PhishingResistant reports whether the factor answers on this site alone, whatever its owner
// is led to believe: see [Method.PhishingResistant]. Codes that a person types never do. To
// require such a factor, ask Verification.Factor once Verify's error is nil.
func (f Factor) PhishingResistant() bool { return f.noPhishing }

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

// MarshalJSON gives the JSON of the WorkOS MFA API, with "name", "status" and
// "details" added and the phone number masked as in [Factor.MaskedPhoneNumber]. Package
// mfahttp, which serves that API, shows the whole number.
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

		Details json.RawMessage `json:"details,omitempty"`
	}{
		Object: "authentication_factor", ID: f.ID,
		CreatedAt: jsonTime(f.CreatedAt), UpdatedAt: jsonTime(f.UpdatedAt),
		UserID: f.UserID, Name: f.Name, Status: f.Status, Type: f.Type,
		Details: json.RawMessage(f.Details),
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

// FactorParams names a factor.
type FactorParams struct {
	FactorID string // as Enroll gave it
	UserID   string // the owner, "" for a factor without one, or AnyUser
}

// Factor returns a factor. One that does not exist, is somebody else's, or was
// not confirmed in time is [ErrNotFound].
func (s *Service) Factor(ctx context.Context, p FactorParams) (Factor, error) {
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

// Factors returns a user's factors, oldest first, whatever their status. If any
// is verified or disabled, require a code: [Service.StartLogin] does, and tells
// which factors can answer. No factors and no error means that the user has
// none: a verified factor whose row was lost is [ErrIntegrity]. "" and AnyUser
// are [ErrInvalidParameter].
func (s *Service) Factors(ctx context.Context, userID string) ([]Factor, error) {
	if err := checkOneUser(userID); err != nil {
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

// RenameParams says which factor gets which name.
type RenameParams struct {
	FactorID string // as Enroll gave it
	UserID   string // the owner, "" for a factor without one, or AnyUser
	Name     string // as in EnrollParams.Name; "" for none
}

// Rename changes a factor's name, and returns the changed factor. Limit how often
// a person renames: each change writes the factor, and logins at that moment try
// again. The name that it has already is not written. A factor that
// does not exist, is somebody else's, or was not confirmed in time is
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
		if h.factor.name == p.Name {
			return h.factor.public(), outcome{}
		}
		h.factor.name = p.Name
		return h.factor.public(), outcome{save: []stored{h.factor}}
	})
}

// A held factor is one that the caller may reach.
type held struct {
	moment
	factor *factor
	user   *user // its owner's record, which agrees with it; nil: it has no owner
}

// hold reads a factor that the user may reach, and the records of other ids in the same
// read.
func (s *Service) hold(
	ctx context.Context, id, userID string, others ...string,
) (h held, records loaded, err error) {
	if records, h.moment, err = s.loadFactor(ctx, id, userID, others...); err != nil {
		return h, nil, err
	}
	if h.factor, err = s.ownedFactor(records, id, userID); err != nil {
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
	if h.factor, err = s.ownedFactor(records, id, AnyUser); err != nil {
		return h, err
	}
	if rec, ok := records.find(h.factor.Parent); ok {
		h.user = new(user)
		err = s.keys.decode(rec, kindUser, h.user)
	}
	return h, err
}

// loadFactor reads the record of a factor, those of other ids, and the clock.
func (s *Service) loadFactor(
	ctx context.Context, id, userID string, others ...string,
) (loaded, moment, error) {
	if err := checkCaller(userID); err != nil {
		return nil, moment{}, err
	}
	if !wellFormed(factorPrefix, id) {
		return nil, moment{}, errNotFound(kindFactor, id)
	}
	return s.loadNow(ctx, append([]string{id}, others...)...)
}

// ownedFactor returns a factor that was read. One that is not there, or not the user's,
// is ErrNotFound.
func (s *Service) ownedFactor(records loaded, id, userID string) (*factor, error) {
	rec, ok := records.find(id)
	if !ok {
		return nil, errNotFound(kindFactor, id)
	}
	f, err := s.decodeFactor(rec)
	if err != nil {
		return nil, err
	}
	if userID != AnyUser && userID != f.UserID {
		return nil, errNotFound(kindFactor, id)
	}
	return f, nil
}

// decodeFactor reads the record of a factor, of one of the service's types.
func (s *Service) decodeFactor(rec Record) (*factor, error) {
	f := &factor{methods: s.methods}
	return f, s.keys.decode(rec, kindFactor, f)
}

// loadCountingPhone reads the limits of the factor's number, nil unless wrong
// codes count there.
func (s *Service) loadCountingPhone(ctx context.Context, f *factor) (*numberLimits, error) {
	if !f.countsOnNumber() {
		return nil, nil //nolint:nilnil // it means that they count elsewhere, and nothing else
	}
	return s.loadPhone(ctx, f, phone.RegionOf(f.number()))
}

func (f *factor) public() Factor {
	out := Factor{
		ID: f.ID, UserID: f.UserID, Name: f.name,
		Type: FactorType(f.Type), Status: FactorStatus(f.Status),
		CreatedAt: f.CreatedAt, UpdatedAt: f.UpdatedAt,
		amr: f.traits.amr, noPhishing: f.traits.noPhishing,
	}
	f.own.describe(&out)
	return out
}

func (f *factor) membership() membership {
	return membership{id: f.ID, backup: f.traits.backup, verified: f.verified, lapses: f.ExpiresAt}
}

// lapsed reports whether the factor was not confirmed in time.
func (f *factor) lapsed(now time.Time) bool { return !f.verified && !now.Before(f.ExpiresAt) }

// proves reports whether a receipt of the factor can be required.
func (f *factor) proves() bool { return f.verified && f.own.proves() }

// countsOnNumber reports whether wrong codes count on the number: enrolling
// again must give no extra guesses.
func (f *factor) countsOnNumber() bool { return !f.verified && f.traits.unconfirmed == onNumber }

// countsOnUser reports whether wrong codes count on the user, for the same reason. (An
// app's next enrolment has a new secret, which whoever enrolls it is shown.)
func (f *factor) countsOnUser() bool {
	return !f.verified && f.traits.unconfirmed == onUser && f.UserID != ""
}

// confirm makes the factor one that can log in.
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

// checkText refuses what an app, a page or a log would show wrongly.
func checkText(what, text string, rule typed.Rule) error {
	if err := typed.Name(text, maxText, rule); err != nil {
		return errParameter("The %s %s.", what, err)
	}
	return nil
}

func checkUserID(id string) error {
	if len(id) > maxUserID || !utf8.ValidString(id) || strings.ContainsFunc(id, unicode.IsControl) {
		return errParameter("The user id must be at most %d bytes of UTF-8 "+
			"without control characters.", maxUserID)
	}
	return nil
}

// checkOneUser refuses what is not the id of one user.
func checkOneUser(userID string) error {
	if userID == "" || userID == AnyUser {
		return errParameter("UserID must be that of one user.")
	}
	return checkUserID(userID)
}

// checkCaller checks the UserID of a call that names a factor or a challenge.
func checkCaller(userID string) error {
	if userID == AnyUser {
		return nil
	}
	return checkUserID(userID)
}
