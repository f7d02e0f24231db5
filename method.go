package mfa

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/authfactor/mfa/internal/codec"
)

// A FactorType is the kind of a factor. JSON, the stores and the WorkOS MFA API
// have the same string.
type FactorType string

// The types of factors that every [Service] has.
const (
	TypeTOTP       FactorType = "totp"        // an authenticator app (RFC 6238)
	TypeSMS        FactorType = "sms"         // a phone number that receives text messages
	TypeGenericOTP FactorType = "generic_otp" // codes that the application delivers itself

	// TypeRecoveryCodes is a list on paper, for a person who has nothing else at hand.
	TypeRecoveryCodes FactorType = "recovery_codes"
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

	// ask makes what a new challenge of its factor remembers. The siblings are the other
	// confirmed factors of the same type, for a type with the trait ceremony.
	ask(f *factor, ch *challenge, siblings []*factor) error

	// check compares an answer, and on a right one changes what is kept, so that it is
	// not right again. It changes nothing else: a lost race asks anew.
	check(f *factor, answer string, ch *challenge, now time.Time, p Policy) (verdict, error)

	// proves reports whether the owner of a confirmed factor must have it at hand, so
	// that a receipt of it can be required.
	proves() bool

	// usedUp reports whether no code is left to answer with.
	usedUp() bool
}

// A verdict is what an answer turns out to be. The zero value is no success.
type verdict int

const (
	wrong    verdict = iota
	noCode           // it cannot be one: answered as a wrong code, and not counted
	replayed         // right, but used up: accepted before, or older than one that was
	copied           // right, but by a copy of the key: see ErrCopied
	right
)

// traits are the rules that differ by type, as answers. The zero value is a factor
// that must be confirmed, that counts its own wrong codes, and that any user has
// several of.
type traits struct {
	kind FactorType
	amr  string // what a right code proves, with spaces between: see Verification.AMR

	needsOwner  bool // a person without a UserID cannot have one
	restricted  bool // by NIST SP 800-63B-4 section 3.2.9
	noPhishing  bool // its answers are bound to the site: section 3.2.5
	messages    bool // its codes go out as text messages, which are limited
	handsOut    bool // the application delivers its codes: see Challenge.Code
	backup      bool // for a person who has nothing else at hand: it is no first factor
	confirmed   bool // from the start: its owner was shown it and nothing is to be tried
	oneSet      bool // a new one takes the place of the old one at once
	unguessable bool // wrong codes lock it for a while, and never disable it
	unlimited   bool // they do not even lock it
	ceremony    bool // VerifyParams.Answer answers it, perhaps of another factor of the type

	// Where wrong codes count until the factor is confirmed. Enrolling again must
	// give no extra guesses.
	unconfirmed place
}

// A place is whose record counts wrong codes.
type place int

const (
	onFactor place = iota
	onNumber
	onUser // or on the factor, where there is no owner
)

// methods are the types that a Service has.
type methods []method

// builtIn are the types that every Service has.
var builtIn = methods{totpMethod{}, smsMethod{}, genericMethod{}, recoveryMethod{}}

// of returns the method of a type, nil if there is none. Without a list it is one of those
// that are built in.
func (all methods) of(kind FactorType) method {
	if all == nil {
		all = builtIn
	}
	for _, m := range all {
		if m.traits().kind == kind {
			return m
		}
	}
	return nil
}

// asked returns the one method that the parameters ask for.
func (all methods) asked(p EnrollParams) (method, error) {
	var found method
	n := 0
	for _, m := range all {
		if m.asked(p) {
			found, n = m, n+1
		}
	}
	switch {
	case n == 0 && p.Method != nil:
		return nil, errUnknownType(all[len(builtIn):])
	case n != 1, p.Method != nil && !found.traits().ceremony:
		return nil, errParameter("Exactly one of TOTP, SMS, GenericOTP, RecoveryCodes " +
			"and Method must be given.")
	}
	return found, nil
}

// A Method is a type of factor that is not built in, such as a passkey. The
// library gives it what the built-in types have: single use, expiry, attempts,
// limits on wrong answers, events, receipts, encryption at rest.
type Method struct {
	// Type is its name: 1 to 32 characters of a to z, 0 to 9 and '_'. It is stored
	// and must never change. Required.
	Type FactorType

	// Ceremony makes its challenges and checks the answers. Required.
	Ceremony Ceremony

	// PhishingResistant is true for a type whose answers are good on this site alone,
	// whatever its owner is led to believe (NIST SP 800-63B-4 section 3.2.5). Such
	// factors are the first that [Service.StartLogin] lists. Defaults to false.
	PhishingResistant bool

	// InsecureUnlimited is true for a type whose answers nobody can guess, such as
	// signatures: wrong ones never lock or disable the factor, and more than 50 in
	// a row are not counted. A challenge still takes [Policy.MaxAttempts] of them.
	// Those in a row go on counting where a later release makes it false. Defaults
	// to false.
	InsecureUnlimited bool
}

// A Ceremony is what a [Method] adds to Enroll, Challenge and Verify. Its methods are called
// by many goroutines at once, and again after a lost race: they must not keep anything, nor
// change what they are given. If one panics, the call fails and nothing is stored or counted.
type Ceremony interface {
	// Enroll makes the State of a new factor, at most 16 KiB, from MethodParams.Params.
	// Its error refuses them: the caller gets an [ErrInvalidParameter] whose message has
	// the text of this error, so it must have no secrets.
	Enroll(params []byte) (state []byte, err error)

	// Begin makes the question of a challenge: the options that
	// [Challenge.Options] returns, at most 32 KiB, and what the challenge keeps to
	// check the answer by, at most 16 KiB. f is the factor that is challenged; if
	// it is not verified, the answer confirms it. siblings are the other verified
	// factors of its type and owner. Challenge returns Begin's error.
	Begin(f MethodFactor, siblings []MethodFactor) (options, kept []byte, err error)

	// Claims returns the id of the verified factor that an answer says it is of,
	// "" for the one that was challenged. If it is a sibling, Finish gets that
	// one's State. The claim is not trusted: a wrong answer counts on the claimed
	// factor.
	Claims(kept, answer []byte) (factorID string)

	// Finish checks an answer of 1 byte to 64 KiB, which may come from anybody,
	// and returns the factor's next State, at most 16 KiB. Any error means a wrong
	// answer, which is counted; the error itself is dropped. Accept each answer
	// once: bind it to kept, or record it in the new State. Whether it confirms the
	// factor is told by f.Verified. An error that matches [ErrCopied] also raises
	// [EventCopied].
	Finish(f MethodFactor, kept, answer []byte) (state []byte, err error)

	// Describe tells what may be shown of a factor. amr is what its answer proves, in the
	// values of RFC 8176, for [Verification.AMR]. details is a JSON object of at most
	// 4 KiB for [Factor.Details], nil for none. Anything else is left out, and both are
	// if Describe panics: that must shut nobody out.
	Describe(state []byte) (amr []string, details []byte)
}

// A MethodFactor is a factor as its [Ceremony] sees it.
type MethodFactor struct {
	ID       string // as Enroll gave it
	Verified bool   // it was confirmed
	State    []byte // as Enroll made it, and later as Finish returned it
}

// MethodParams enrolls a factor of a type of [Config.Methods].
type MethodParams struct {
	Type FactorType // of one of Config.Methods

	// Params are what [Ceremony.Enroll] makes the factor of, as the type defines it: at
	// most 16 KiB (ErrInvalidParameter). Defaults to none.
	Params []byte
}

// An outsideMethod is one of Config.Methods.
type outsideMethod struct{ Method }

func (m outsideMethod) traits() traits {
	t := traits{
		kind: m.Type, ceremony: true,
		noPhishing: m.PhishingResistant, unlimited: m.InsecureUnlimited,
	}
	if !t.unlimited { // otherwise wrong answers would write the user's record for ever
		t.unconfirmed = onUser
	}
	return t
}

// chance is no assurance: nothing is known of the answers.
func (outsideMethod) chance(Policy) float64 { return 1 }

func (m outsideMethod) asked(p EnrollParams) bool {
	return p.Method != nil && p.Method.Type == m.Type
}

func (m outsideMethod) enroll(_ *Service, p EnrollParams, _ *Enrollment) (possession, error) {
	if len(p.Method.Params) > maxMethodState {
		return nil, errParameter("The Params of Method must have at most %d bytes.", maxMethodState)
	}
	var state []byte
	var refused error
	err := m.guard("Enroll", func() error {
		state, refused = m.Ceremony.Enroll(slices.Clone(p.Method.Params))
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case refused != nil:
		return nil, errParameter("The Params of Method were refused: %s.", refused)
	case len(state) > maxMethodState:
		return nil, fmt.Errorf("mfa: Enroll of the type %q gave too many bytes", m.Type)
	}
	return &outsider{m, slices.Clone(state)}, nil
}

func (m outsideMethod) empty() possession { return &outsider{method: m} }

// An outsider is a factor's own part that a Ceremony makes and reads.
type outsider struct {
	method outsideMethod
	state  []byte
}

func (o *outsider) fields(c *codec.Codec) { c.Bytes(&o.state) }
func (*outsider) proves() bool            { return true }
func (*outsider) usedUp() bool            { return false }

func (o *outsider) describe(f *Factor) {
	_ = o.method.guard("Describe", func() error {
		amr, details := o.method.Ceremony.Describe(slices.Clone(o.state))
		f.amr = strings.Join(amr, " ")
		object := len(details) <= maxDetails && bytes.HasPrefix(details, []byte("{"))
		if object && utf8.Valid(details) && json.Valid(details) {
			f.Details = string(details)
		}
		return nil
	})
}

func (o *outsider) ask(f *factor, ch *challenge, siblings []*factor) error {
	var others []MethodFactor
	for _, other := range siblings {
		others = append(others, other.own.(*outsider).seen(other))
	}
	err := o.method.guard("Begin", func() (err error) {
		ch.options, ch.kept, err = o.method.Ceremony.Begin(o.seen(f), others)
		return err
	})
	switch {
	case err != nil:
		return err
	case len(ch.options) > maxMethodOptions || len(ch.kept) > maxMethodState:
		return fmt.Errorf("mfa: Begin of the type %q gave too many bytes", o.method.Type)
	}
	return nil
}

// claims is whose the answer says to be.
func (o *outsider) claims(ch *challenge, answer []byte) (id string, err error) {
	err = o.method.guard("Claims", func() error {
		id = o.method.Ceremony.Claims(slices.Clone(ch.kept), slices.Clone(answer))
		return nil
	})
	return id, err
}

func (o *outsider) check(
	f *factor, answer string, ch *challenge, _ time.Time, _ Policy,
) (verdict, error) {
	if answer == "" {
		return noCode, nil
	}
	var state []byte
	is := right
	err := o.method.guard("Finish", func() error {
		next, refused := o.method.Ceremony.Finish(o.seen(f), slices.Clone(ch.kept), []byte(answer))
		switch {
		case errors.Is(refused, ErrCopied):
			is = copied
		case refused != nil:
			is = wrong
		}
		state = next
		return nil
	})
	switch {
	case err != nil:
		return wrong, err
	case is != right:
		return is, nil
	case len(state) > maxMethodState:
		return wrong, fmt.Errorf("mfa: Finish of the type %q gave too many bytes", o.method.Type)
	}
	o.state = slices.Clone(state)
	return right, nil
}

// seen is the factor as its Ceremony sees it.
func (o *outsider) seen(f *factor) MethodFactor {
	return MethodFactor{ID: f.ID, Verified: f.verified, State: slices.Clone(o.state)}
}

// guard turns a panic into an error. Its value may hold anything.
func (m outsideMethod) guard(name string, call func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("mfa: %s of the type %q panicked with a %T", name, m.Type, p)
		}
	}()
	return call()
}

// loadClaimed puts the factor that the answer claims to be of in the place of the one that
// was challenged, where a type has it that either may answer.
func (s *Service) loadClaimed(ctx context.Context, d *verifying) error {
	f, u := d.factor, d.user
	if !f.traits.ceremony || !f.verified || u == nil || len(d.in.Answer) == 0 {
		return nil
	}
	several := slices.ContainsFunc(u.factors, func(m membership) bool {
		return m.id != f.ID && m.verified
	})
	if !several || d.refusedAnyhow() {
		return nil
	}
	id, err := f.own.(*outsider).claims(d.challenge, d.in.Answer)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(u.factors, func(m membership) bool { return m.id == id && m.verified })
	if i < 0 || id == f.ID {
		return nil
	}
	claimed, err := s.loadMembers(ctx, u, u.factors[i:i+1])
	if err != nil || claimed[0].Type != f.Type {
		return err
	}
	d.factor = claimed[0]
	return u.checkListed(d.factor)
}
