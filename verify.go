package mfa

import (
	"cmp"
	"context"
	"crypto/subtle"
	"errors"
	"strings"

	"github.com/authfactor/mfa/internal/typed"
	"github.com/authfactor/mfa/proof"
)

// VerifyParams is an answer to a challenge.
type VerifyParams struct {
	ChallengeID string // as Challenge gave it
	UserID      string // the owner, "" for a factor without one, or AnyUser

	// Code is what the person typed: six decimal digits of any script, with any
	// white space, dashes and invisible format characters around and between them.
	// In a recovery code case, full-width letters, and letters that look like
	// digits are accepted as well. Anything else, and more than 64 characters, is
	// ErrInvalidCode, but not compared and not counted. All spellings of a code
	// are that one code.
	Code string

	// Answer answers a challenge of a factor of Config.Methods, in place of Code:
	// what its type says, such as the JSON of a passkey's assertion. At most 64
	// KiB. An empty one is ErrInvalidCode, and not counted.
	Answer []byte

	// Action must equal the challenge's. Build it from the request that is about
	// to be executed. If it differs, the error is proof.ErrMismatch, and the code
	// is neither compared nor counted. Defaults to none, for a login.
	Action proof.Action

	// TrustDevice is true if the person wants the browser to be trusted: for 30
	// days [Service.StartLogin] skips the code, and for 90 the device has the
	// allowance of ChallengeParams.DeviceToken. Of more than five devices of a
	// user the oldest is replaced. The factor must have an owner.
	// Verification.Device has the token, except in a repeated answer. Defaults to
	// false.
	TrustDevice bool

	// DeviceName is what the person calls the browser, such as "Firefox on Linux":
	// up to 64 characters. Ignored without TrustDevice. Defaults to "Browser".
	DeviceName string

	// DeviceToken is the token from the browser's trusted-device cookie, if any:
	// see ChallengeParams.DeviceToken. With TrustDevice that device is renewed.
	// Defaults to none.
	DeviceToken string

	// NewRecoveryCodes makes a set of recovery codes in the same commit, if the
	// code confirms a factor and the user has no set and fewer than ten factors;
	// otherwise it changes nothing. A set that this confirmation deletes (see
	// Enroll) counts as none; a used-up set counts. The factor must have an owner.
	// Show the person Verification.RecoveryCodes.
	//
	// The codes are not stored. If the answer is lost without an IdempotencyKey,
	// the person makes a new set by Enroll, with a receipt. Defaults to false.
	NewRecoveryCodes bool

	// IdempotencyKey makes retries safe: within a minute after a success the same
	// call, with the same spelling of the code, succeeds again. A wrong code
	// counts each time. With another code it is ErrIdempotencyKey. At most 255
	// bytes that nobody can guess, such as a random UUID. Defaults to none.
	//
	// With NewRecoveryCodes a repeat returns the same codes, even used ones, as
	// long as the user has that set. They are derived from this key, of which only
	// a MAC is stored, and a random seed that is encrypted in the challenge. Do
	// not store the key in that database: without it nobody who has the store and
	// the Keyring can derive the codes.
	IdempotencyKey string
}

// A Verification is the answer of [Service.Verify]. The zero value is not
// verified. Its JSON is the one of the WorkOS MFA API: the challenge and "valid".
type Verification struct {
	Challenge Challenge `json:"challenge"` // set when Valid is true, and with ErrInvalidCode
	Valid     bool      `json:"valid"`     // true exactly if Verify's error is nil

	// Factor is the factor that answered. It is set when Valid is true.
	Factor Factor `json:"-"`

	// FirstUse is true if this code confirmed the enrolment. Tell the person, by
	// another channel, that a factor was added.
	FirstUse bool `json:"-"`

	// Device is the trusted device, with the Token for its cookie; zero if
	// TrustDevice was false, and in a repeated answer.
	Device TrustedDevice `json:"-"`

	// RecoveryCodes are what NewRecoveryCodes made: show them to the person once,
	// on a page with Cache-Control: no-store. nil if none were made. They are not
	// printed, and in no JSON.
	RecoveryCodes *RecoveryCodesEnrollment `json:"-"`

	receipt *hidden[string]
}

// AMR is what the code proved, in the values of RFC 8176, for the claim "amr" of
// a token:
//
//   - "otp" for TypeTOTP;
//   - "otp" and "sms" for TypeSMS, so that a message can be told from an app;
//   - "otp" for TypeGenericOTP: add "tel" if you deliver the code by a call;
//   - "otp" for TypeRecoveryCodes, because each code is accepted once. RFC 8176
//     has no value for a list on paper, and "kba" is for questions about the
//     person. To tell them from an app, look at Factor.Type;
//   - what its [Ceremony] says for a type of [Config.Methods]: "hwk" or "swk", and
//     "user", for a passkey.
//
// It is about this code alone. If the application checked a password as well,
// add "pwd", and "mfa" for more than one factor. nil if Valid is false, or
// Verify did not return the Verification.
func (v Verification) AMR() []string {
	if !v.Valid {
		return nil
	}
	return strings.Fields(v.Factor.amr)
}

// Verify answers a challenge with the code that the person typed. Its error is
// nil only if the code is right, was not accepted before (but see
// [VerifyParams.IdempotencyKey]), and that is durable.
//
// It refuses, in this order:
//   - malformed parameters: [ErrInvalidParameter];
//   - a challenge that is not there or not the user's, or whose factor was not confirmed
//     in time: [ErrNotFound];
//   - TrustDevice or NewRecoveryCodes for a factor without an owner: [ErrInvalidParameter];
//   - another Action than the challenge's: [proof.ErrMismatch];
//   - an IdempotencyKey that was used with another code: [ErrIdempotencyKey];
//   - a challenge that was verified: [ErrChallengePreviouslyVerified];
//   - one that is older than its lifetime, or that would confirm a factor of
//     Config.Methods that is confirmed by now: [ErrChallengeExpired];
//   - one that had MaxAttempts wrong codes, or whose message was not sent:
//     [ErrTooManyAttempts];
//   - an enrolment made without a receipt, once its owner has a confirmed factor other
//     than unused recovery codes, and an Action by an enrolment beside a confirmed
//     factor: [ErrFactorUnverified];
//   - a disabled factor: [ErrFactorDisabled];
//   - a factor that is temporarily locked after wrong codes: [ErrThrottled] with
//     RetryAfter.
//
// In all these cases nothing is compared or counted. A wrong code is
// [ErrInvalidCode]: the Verification has the challenge, which can be tried
// again. It is counted on the challenge and on the factor; but while that is
// unconfirmed, on the number (TypeSMS) or on the user (TypeGenericOTP, and a
// type of Config.Methods that is not InsecureUnlimited), and while it is locked,
// on the trusted device that [VerifyParams.DeviceToken] names.
//
// After eight lost races it is ErrThrottled with [ReasonRaces], and nothing was
// counted. [ErrIntegrity], [ErrClock] and an error of a [Ceremony] count nothing
// either. Any other error comes from the store; then the code may have been
// counted or used up.
func (s *Service) Verify(ctx context.Context, p VerifyParams) (Verification, error) {
	if err := checkVerify(p); err != nil {
		return Verification{}, err
	}
	load := func(ctx context.Context) (*verifying, error) { return s.loadVerifying(ctx, p) }
	return transact(ctx, s, p.ChallengeID, load, s.decide)
}

// checkVerify checks the parameters of Verify that need no reading.
func checkVerify(p VerifyParams) error {
	if err := checkCaller(p.UserID); err != nil {
		return err
	}
	if err := checkIdempotencyKey(p.IdempotencyKey); err != nil {
		return err
	}
	if len(p.Answer) > maxAnswer {
		return errParameter("The answer must have at most %d bytes.", maxAnswer)
	}
	if p.TrustDevice {
		if err := checkText("name of the device", p.DeviceName, typed.Optional); err != nil {
			return err
		}
	}
	if !wellFormed(challengePrefix, p.ChallengeID) {
		return errNotFound(kindChallenge, p.ChallengeID)
	}
	return nil
}

// verifying is a challenge that is to be answered.
type verifying struct {
	held
	in        VerifyParams
	policy    Policy
	challenge *challenge
	request   *request // nil: without an idempotency key
	repeated  bool     // the last request had this one's key
	shared    *shared  // the counter of all who answer
	counter   counter  // where a wrong code counts: the shared one, or the device's own
	beside    beside   // the user's other factors, if this one is not confirmed yet
	known     known    // the device that the call names
	unproved  bool     // the factor was enrolled without a receipt, which is required by now
}

// loadVerifying reads a challenge whose factor the user may reach.
func (s *Service) loadVerifying(ctx context.Context, p VerifyParams) (*verifying, error) {
	d := &verifying{in: p, policy: s.policy, challenge: new(challenge)}
	ids := []string{p.ChallengeID}
	if id, _, ok := parseDeviceToken(p.DeviceToken); ok {
		ids = append(ids, id)
	}
	records, m, err := s.loadNow(ctx, ids...)
	if err != nil {
		return nil, err
	}
	d.moment = m
	rec, ok := records.find(p.ChallengeID)
	if !ok {
		return nil, errNotFound(kindChallenge, p.ChallengeID)
	}
	if err := s.keys.decode(rec, kindChallenge, d.challenge); err != nil {
		return nil, err
	}
	d.request = newRequest(p.IdempotencyKey, p.ChallengeID, p.UserID, p.Code, string(p.Answer))
	d.repeated = d.request.sameKey(d.challenge.request, d.now, keepVerify)
	d.factor, err = s.ownedFactor(records, d.challenge.Parent, p.UserID)
	if err == nil {
		d.user, err = s.openUser(records, d.now, d.factor)
	}
	if err == nil {
		err = s.loadClaimed(ctx, d)
	}
	if errors.Is(err, ErrNotFound) {
		err = errNotFound(kindChallenge, p.ChallengeID)
	}
	if err != nil {
		return nil, err
	}
	d.unproved = s.unproved(d.factor)
	return d, s.loadAround(ctx, records, d)
}

// loadAround reads what an answer may change beside the challenge, its factor and their
// user.
func (s *Service) loadAround(ctx context.Context, records loaded, d *verifying) error {
	f, u := d.factor, d.user
	var err error
	if d.known, err = s.openKnown(records, d.moment, u, d.in.DeviceToken); err != nil {
		return err
	}
	full := u != nil && len(u.devices) >= maxDevices
	if d.in.TrustDevice && f.verified && d.known.device == nil && full {
		if d.known.oldest, err = s.readDevices(ctx, u.devices[0]); err != nil {
			return err
		}
	}
	n, err := s.loadCountingPhone(ctx, f)
	if err != nil {
		return err
	}
	d.shared = newShared(d.now, f, u, n, s.policy)
	d.counter = d.chooseCounter()
	d.beside, err = s.loadBeside(ctx, f, u)
	return err
}

func (d *verifying) chooseCounter() counter {
	return chooseCounter(d.now, d.shared, d.known.device, d.user, d.challenge)
}

// decide returns what an answer comes to. It is the whole of Verify but for
// reading and writing: nothing here blocks, and nothing is told before it is
// committed.
func (s *Service) decide(d *verifying) (Verification, outcome) {
	ch, f := d.challenge, d.factor
	if d.answeredBefore() { // and the answer was lost
		return s.again(d)
	}
	if out := firstRefusal(verifyRefusals, d); out != nil {
		return Verification{}, *out
	}
	if !f.verified && d.user != nil {
		d.user.resumeUsedCodes(f, d.beside.replaced)
	}
	answer := d.in.Code
	if f.traits.ceremony {
		answer = string(d.in.Answer)
	}
	is, err := f.own.check(f, answer, ch, d.now, d.policy)
	switch {
	case err != nil:
		return Verification{}, outcome{err: err}
	case is == noCode:
		left := d.policy.MaxAttempts - int(ch.failures)
		return Verification{Challenge: ch.public()}, outcome{err: errInvalidCode(ch.ID, left, 0)}
	}
	ch.answered(d.request, d.now)
	if is != right {
		return d.failed(is)
	}
	return s.accepted(d)
}

// failed counts a wrong code: on the challenge, and where the factor's count.
func (d *verifying) failed(is verdict) (Verification, outcome) {
	ch, f := d.challenge, d.factor
	out := outcome{save: []stored{ch}}
	ch.failures++
	count := d.counter.fail(d.now, &out)
	left := d.policy.MaxAttempts - int(ch.failures)
	disabled, wait := d.chooseCounter().shut(d.now) // for the next code, on this device
	wait = f.shownWait(d.now, wait)
	if disabled {
		left, wait = 0, 0 // waiting does not help
	} else if ch.expired(d.now.Add(wait)) {
		left = 0
	}
	kinds := []EventKind{EventFailed}
	if is == replayed {
		kinds = append(kinds, EventReplayed)
	}
	if is == copied {
		kinds = append(kinds, EventCopied)
	}
	if count.disables {
		kinds = append(kinds, EventDisabled)
	}
	for _, kind := range kinds {
		e := f.eventOf(ch, kind)
		e.Failures, e.RetryAfter, e.filling = int(count.inRow), wait, count.tell
		out.events = append(out.events, e)
	}
	out.err = errInvalidCode(ch.ID, left, wait)
	return Verification{Challenge: ch.public()}, out
}

// accepted is what a right code comes to.
func (s *Service) accepted(d *verifying) (Verification, outcome) {
	ch, f, now := d.challenge, d.factor, d.now
	out := outcome{save: []stored{ch, f}}
	told := Verification{Valid: true, FirstUse: !f.verified}
	failures := int(d.counter.failures())
	ch.Status, ch.code, ch.acceptedAt = statusDone, "", now
	ch.Parent, ch.kept, ch.options = f.ID, nil, nil // the factor that answered
	ch.request.firstUse = len(ch.request.key) > 0 && told.FirstUse
	d.counter.succeed(now, &out)
	f.success = now
	f.confirm(now)
	for _, kind := range d.kinds(told.FirstUse, failures) {
		e := f.eventOf(ch, kind)
		e.Failures = failures
		out.events = append(out.events, e)
	}
	if n := d.shared.phone; n != nil {
		n.sends.Forgiven = ch.CreatedAt
		n.confirm(now, d.policy, &out)
		out.savePhone(now, n)
	}
	if d.user != nil {
		d.acceptedUser(&out, told.FirstUse)
	}
	if told.FirstUse && d.in.NewRecoveryCodes && d.user.takesRecoveryCodes(now) {
		var err error
		if told.RecoveryCodes, err = d.addRecoveryCodes(&out); err != nil {
			return Verification{}, outcome{err: err}
		}
	}
	if d.in.TrustDevice {
		d.user.touch(now) // before, since it ends all trust where the factors have changed
		device, err := out.trust(now, d.user, d.known, cmp.Or(d.in.DeviceName, defaultDeviceName))
		if err != nil {
			return Verification{}, outcome{err: err}
		}
		out.put(d.user)
		told.Device = device.public(true)
		e := f.eventOf(ch, EventDeviceTrusted)
		e.DeviceID = device.ID
		out.events = append(out.events, e)
	}
	told.Challenge, told.Factor, told.receipt = ch.public(), f.public(), s.receipt(ch, f)
	return told, out
}

// match compares the code with every candidate and returns the place of the last
// one that is equal, -1 for none. It is the only place that compares codes, and
// takes the same time whatever they are.
func match(code string, candidates []string) int {
	matched := -1
	for i, c := range candidates {
		equal := subtle.ConstantTimeCompare([]byte(c), []byte(code))
		matched = subtle.ConstantTimeSelect(equal, i, matched)
	}
	return matched
}
