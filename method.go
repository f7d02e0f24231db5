package mfa

import (
	"time"

	"github.com/authfactor/mfa/internal/codec"
)

// The types of factors, in [Factor.Type].
const (
	TypeTOTP       = "totp"        // an authenticator app (RFC 6238)
	TypeSMS        = "sms"         // a phone number that receives text messages
	TypeGenericOTP = "generic_otp" // codes that the application delivers itself

	TypeRecoveryCodes = "recovery_codes" // a list on paper, for who has nothing else at hand
)

// A method is one type of factor. What is particular to a type stands in the file
// of its method and possession; no other file asks which type a factor has.
type method interface {
	traits() traits

	// chance is that of one guess.
	chance(p Policy) float64

	// asked reports whether the parameters ask for a factor of this type.
	asked(p EnrollParams) bool

	// enroll checks the parameters of this type and makes the factor's own part. What
	// the person is shown once goes into the Enrollment.
	enroll(s *Service, p EnrollParams, enr *Enrollment) (possession, error)

	// empty is a factor's own part to be read from State.
	empty() possession
}

// A possession is a factor's own part: what its owner has, as far as it is kept.
type possession interface {
	// fields lists what is kept in State.
	fields(c *codec.Codec)

	// describe sets what may be shown.
	describe(f *Factor)

	// ask makes what a new challenge remembers.
	ask(ch *challenge) error

	// check compares an answer, and on a right one changes what is kept, so that it is
	// not right again. It is pure: a lost race asks anew.
	check(answer string, ch *challenge, now time.Time, p Policy) (verdict, error)

	// proves reports whether the owner of a confirmed factor must have it at hand, so
	// that a receipt of it can be required.
	proves() bool

	// spent reports whether nothing is left that could be answered with.
	spent() bool
}

// A verdict is what an answer turns out to be. The zero value is no success.
type verdict int

const (
	wrong    verdict = iota
	noCode           // it cannot be one: answered as a wrong code, and not counted
	replayed         // right, and accepted before
	right
)

// traits are the rules that differ by type, as answers. The zero value is a factor
// that must be confirmed, that counts its own wrong codes, and that any user has
// several of.
type traits struct {
	kind string   // the Type
	amr  []string // what a right code proves: see Verification.AMR

	needsOwner  bool // a person without a UserID cannot have one
	restricted  bool // by NIST SP 800-63B-4 section 3.2.9
	messages    bool // its codes go out as text messages, which are limited
	handsOut    bool // the application delivers its codes: see Challenge.Code
	backup      bool // for a person who has nothing else at hand: it is no first factor
	confirmed   bool // from the start: its owner was shown it and nothing is to be tried
	oneSet      bool // a new one takes the place of the old one at once
	unguessable bool // wrong codes make it wait, and never disable it

	// Where wrong codes count until the factor is confirmed. An enrolment that can be
	// repeated must not be a new budget of guesses.
	unconfirmed place
}

// A place is whose record counts wrong codes.
type place int

const (
	onFactor place = iota
	onNumber
	onUser // or on the factor, where there is no owner
)

// builtIn are the types that every Service has.
var builtIn = [...]method{totpMethod{}, smsMethod{}, genericMethod{}, recoveryMethod{}}

// methodOf returns the method of a type, nil if there is none.
func methodOf(kind string) method {
	for _, m := range builtIn {
		if m.traits().kind == kind {
			return m
		}
	}
	return nil
}

// askedMethod returns the one method that the parameters ask for.
func askedMethod(p EnrollParams) (method, error) {
	var found method
	n := 0
	for _, m := range builtIn {
		if m.asked(p) {
			found, n = m, n+1
		}
	}
	if n != 1 {
		return nil, errParameter("Exactly one of TOTP, SMS, GenericOTP and RecoveryCodes must be given.")
	}
	return found, nil
}

// ownFields reads or writes the factor's own part, which has a length of its own, so that
// what a newer version appends to it is kept.
func (f *factor) ownFields(c *codec.Codec) {
	var state []byte
	if !c.Reading() {
		part := codec.NewWriter(nil)
		f.own.fields(part)
		part.Rest(&f.ownLater)
		state = part.Written()
		c.Bytes(&state)
		return
	}
	m := methodOf(f.Type)
	if m == nil {
		c.Refuse()
		return
	}
	f.traits, f.own = m.traits(), m.empty()
	c.Bytes(&state)
	part := codec.NewReader(state)
	f.own.fields(part)
	part.Rest(&f.ownLater)
	if part.Bad() {
		c.Refuse()
	}
}
