package mfa

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/authfactor/mfa/internal/limit"
	"github.com/authfactor/mfa/internal/operator"
	"github.com/authfactor/mfa/proof"
)

// The states of a challenge's record.
const (
	statusPending = "pending"
	statusVoid    = "void" // its message could not be sent
	// And StatusVerified.
)

// ChallengeParams says which factor to challenge.
type ChallengeParams struct {
	FactorID string // as Enroll gave it
	UserID   string // the owner, "" for a factor without one, or AnyUser

	// SMSTemplate is the text of the message, such as "Your FooCorp code is
	// {{code}}.", with {{code}} in it, no other "{{", and at most 3 messages long. A last
	// line "@example.com #{{code}}" may have it once more: phones and browsers then fill in
	// the code on that site alone (WICG, Origin-bound one-time codes). Line breaks are sent
	// as LF, and taken off the ends. Other control and format characters are refused, but
	// not U+200C and U+200D between two visible characters, as Persian and emoji have them.
	// Checked, but not used, for other types.
	// Defaults to "Your verification code is {{code}}."
	SMSTemplate string

	// Confirm says that this challenge is to confirm an enrolment, for a person who
	// is already logged in. Without it, an unverified factor of a user who has a
	// verified or disabled one is ErrFactorUnverified: whoever only has the password
	// cannot log in with a factor that they enrolled a moment ago. Set it on the page
	// that enrolls, for the first factor too; never set it at login.
	Confirm bool

	// Action is what the code is to approve, such as a payment: the challenge is verified
	// with the same Action alone, and its Verification has a receipt for it. The factor must
	// have an owner. One that is not verified while its owner has one that is approves
	// nothing, Confirm or not (ErrFactorUnverified). A text message should say what it is
	// about: see SMSTemplate. Defaults to none, for a login.
	Action proof.Action

	// Device is the Token of the browser's cookie, if it has one, for a device of its own
	// lane: while a verified factor waits or is disabled, or the number or the user had their share
	// of messages, it takes 3 wrong codes and 3 messages a day, so that a stranger who guesses does
	// not lock out the owner. The messages are 3 beyond the quotas of number and user, whatever the
	// device. A token that is not good is the same as none. Defaults to none.
	Device string

	// IdempotencyKey makes a call that is made again, because its answer was lost, give the
	// same answer: within 24 hours the same challenge, and no second message. An SMS factor
	// remembers its last four keys, and any other factor all of them. A key whose message
	// could not be sent is free again. That is one message at most: none, if the process died
	// in between. With other parameters it is ErrIdempotencyKey. Take a new one each time
	// a person asks, of at most 255 bytes that nobody guesses, such as a random UUID. Give
	// ctx a life of its own, or whoever hangs up voids the challenge. Defaults to none.
	IdempotencyKey string
}

// A Challenge is one question to a factor, to be answered with [Service.Verify].
// Its JSON is the one of the WorkOS MFA API, without the code.
type Challenge struct {
	ID        string    `json:"id"` // "auth_challenge_" and a ULID; keep it, not in the browser alone
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"` // the same as CreatedAt
	ExpiresAt time.Time `json:"expires_at"` // from this moment on it is ErrChallengeExpired
	FactorID  string    `json:"authentication_factor_id"`

	code *hidden[string]
}

// Code is the code that the application is to deliver, for a challenge of a
// TypeGenericOTP factor that [Service.Challenge] returned; "" for all others. It does
// not print.
func (c Challenge) Code() string {
	if c.code == nil {
		return ""
	}
	return (*c.code)()
}

// MarshalJSON gives the JSON of the WorkOS MFA API.
func (c Challenge) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Object    string `json:"object"`
		ID        string `json:"id"`
		CreatedAt string `json:"created_at"`
		UpdatedAt string `json:"updated_at"`
		ExpiresAt string `json:"expires_at"`
		FactorID  string `json:"authentication_factor_id"`
	}{"authentication_challenge", c.ID, jsonTime(c.CreatedAt), jsonTime(c.UpdatedAt), jsonTime(c.ExpiresAt), c.FactorID})
}

// VerifyParams is an answer to a challenge.
type VerifyParams struct {
	ChallengeID string // as Challenge gave it
	UserID      string // the owner, "" for a factor without one, or AnyUser

	// Code is what the person typed: six decimal digits of any script, with any white space,
	// dashes and invisible format characters around and between them. For a recovery code
	// case, full-width letters, and letters that look like digits are forgiven as well. What
	// is not a code then, or has more than 64 characters, is answered as a wrong code, but
	// not compared and not counted. All spellings of a code are that one code.
	Code string

	// Action is what the code is to approve, made anew from what is about to be done. If
	// it is not the one that the challenge was made for, the error matches proof.ErrMismatch, and
	// nothing is compared or counted: the request was changed meanwhile, or a challenge of
	// one purpose was brought to the page of another. Defaults to none, for a login.
	Action proof.Action

	// TrustDevice is a name for the browser, such as "Firefox on Linux", of up to 64
	// characters, if the person wants it to be trusted: for 30 days after this code it need not
	// be asked for one (Service.UseDevice), and for 90 it has a lane of its own. The factor must have an
	// owner, who has five devices at most: the oldest one gives way. The token is in the
	// Verification's Device; a repeated answer has none. Defaults to none.
	TrustDevice string

	// Device is the Token of the browser's cookie, if it has one: see ChallengeParams.Device.
	// With TrustDevice the same device goes on.
	Device string

	// IdempotencyKey makes a call that is made again, because its answer was lost, succeed
	// again: within a minute after it succeeded, with the same code in the same spelling, on this challenge
	// alone. A wrong code counts each time. With another code it is ErrIdempotencyKey. At
	// most 255 bytes that nobody guesses, such as a random UUID. Defaults to none.
	IdempotencyKey string
}

// A Verification is the answer of [Service.Verify]. The zero value is not
// verified. Its JSON is the one of the WorkOS MFA API: the challenge and "valid".
type Verification struct {
	Challenge Challenge `json:"challenge"` // set when Valid is true, and with ErrInvalidCode
	Valid     bool      `json:"valid"`     // true exactly if Verify's error is nil

	// Factor is the one that answered: whose it is, and of what type. It is set when
	// Valid is true.
	Factor Factor `json:"-"`

	// FirstUse says that this code confirmed the enrolment. Tell the person, by
	// another channel, that a factor was added.
	FirstUse bool `json:"-"`

	// Device is the one that is trusted from now on, with the Token for its cookie; zero if
	// TrustDevice was "".
	Device TrustedDevice `json:"-"`

	receipt *hidden[string]
}

// Receipt is the proof that the person approved the challenge's Action: good for 5
// minutes from when the code was accepted, checked by package proof or by
// [Service.Spend]. "" if the challenge was made for none, or the code was not accepted.
// It does not print. Whoever has it can act in the person's place.
func (v Verification) Receipt() string {
	if v.receipt == nil {
		return ""
	}
	return (*v.receipt)()
}

// Challenge asks a factor for a code; for an SMS factor a code is sent.
//
// The order of refusal: malformed parameters ([ErrInvalidParameter]); not there
// or not the user's ([ErrNotFound]); [ErrFactorUnverified]; [ErrIdempotencyKey];
// [ErrFactorDisabled]; [ErrThrottled] with RetryAfter, while the factor waits after wrong codes or the
// number or the user had their share of messages. Nothing is stored, sent or
// charged then.
//
// Messages are limited per number and per user, over all factors: 60 seconds between
// two, then 2, 5, 10 and 15 minutes until a code was right, 5 an hour and 10 a day. To a
// number that is not confirmed there are 3 an hour and 5 a day, of which 2 are for one
// user, or for all that enroll it without one; and RetryAfter is rounded up to a minute,
// since it would tell when somebody else was sent a message. The message whose code
// confirmed the number does not delay the next one. Earlier challenges stay open, and a code
// answers its own challenge only: after sending again, keep the new challenge's id,
// and tell the person to type the newest code. A challenge of a TOTP factor sends
// nothing and is not limited.
//
// ctx bounds the sending too, and nothing else does: give it a deadline that your
// provider keeps. When the sender fails, the error is [ErrMessageNotSent] with the
// sender's own wrapped in it (its text is left out), the challenge is void, and the
// message counts: the next one has to wait.
func (s *Service) Challenge(ctx context.Context, p ChallengeParams) (Challenge, error) {
	template, err := canonicalTemplate(p.SMSTemplate)
	if err != nil {
		return Challenge{}, err
	}
	if err := checkIdempotencyKey(p.IdempotencyKey); err != nil {
		return Challenge{}, err
	}
	if p.Action != (proof.Action{}) && !p.Action.Valid() {
		return Challenge{}, errParameter("The purpose of the action must be 1 to 64 printable ASCII characters.")
	}
	load := func(ctx context.Context) (*view, error) { return s.loadChallengeable(ctx, p) }
	within := operator.ConfirmWithin(ctx)
	sure := p.IdempotencyKey == ""
	v, err := transact(ctx, s, p.FactorID, load, func(now time.Time, v *view) (*view, outcome) {
		out := s.decideChallenge(now, v, p, within)
		if errors.Is(out.err, ErrThrottled) && !sure {
			// The same request, made at once, may have charged the number after the factor
			// was read that remembers it.
			sure = true
			return v, outcome{err: ErrConflict}
		}
		return v, out
	})
	if err != nil {
		return Challenge{}, err
	}
	ch := v.challenge
	if v.earlier != nil {
		ch = v.earlier
	} else if v.factor.Type == TypeSMS {
		if err := s.send(ctx, v, template); err != nil {
			return Challenge{}, err
		}
	}
	told := ch.public()
	if v.factor.Type == TypeGenericOTP {
		told.code = new(hide(ch.code))
	}
	return told, nil
}

// loadChallengeable reads the factor and prepares a challenge of it, whose times
// decideChallenge sets.
func (s *Service) loadChallengeable(ctx context.Context, p ChallengeParams) (*view, error) {
	now, err := s.now()
	if err != nil {
		return nil, err
	}
	request := p.request()
	ids := request.challengeIDs(p.FactorID, now)
	v, records, err := s.loadFactorBeside(ctx, p.FactorID, p.UserID, toChallenge, ids...)
	if err != nil {
		return nil, err
	}
	ch := &challenge{}
	if ch.ID, err = newID(challengePrefix, now); err != nil {
		return nil, err
	}
	ch.Kind, ch.Parent, ch.Type, ch.Status, ch.action = kindChallenge, v.factor.ID, v.factor.Type, statusPending, p.Action
	if v.factor.Type == TypeSMS {
		if s.sms == nil {
			return nil, errNoSMSSender()
		}
		if !s.phones.allowed(v.factor.phone) {
			return nil, errPhoneNumberNotAllowed("")
		}
	}
	if v.factor.Type == TypeSMS || v.factor.Type == TypeGenericOTP {
		if ch.code, err = newCode(); err != nil {
			return nil, err
		}
	}
	v.challenge = ch
	if err := s.openLane(ctx, nil, v, p.Device); err != nil {
		return nil, err
	}
	switch {
	case request == nil:
	case v.factor.keepsKeys():
		var again bool
		if v.request, again = v.factor.requested(request, now); again {
			return v, s.loadEarlier(ctx, v)
		}
	default:
		ch.ID, ch.asked = ids[0], request.asked
		return v, s.openEarlier(records, v, ids, now)
	}
	return v, nil
}

// request is how the call is known again.
func (p ChallengeParams) request() *request {
	confirm := map[bool]string{true: "confirm"}[p.Confirm]
	return newRequest(p.IdempotencyKey, p.FactorID, p.UserID, p.SMSTemplate, confirm, p.Action.Purpose, string(p.Action.Hash[:]))
}

// loadEarlier sets the view's earlier challenge. One that is gone, or whose message
// failed, leaves its key free.
func (s *Service) loadEarlier(ctx context.Context, v *view) error {
	records, err := s.load(ctx, v.request.challengeID)
	if err != nil {
		return err
	}
	rec, ok := records.find(v.request.challengeID)
	if !ok {
		return nil
	}
	earlier := new(challenge)
	if err := s.keys.opened(rec, kindChallenge, earlier); err != nil {
		return err
	}
	if earlier.Status != statusVoid {
		v.earlier = earlier
	}
	return nil
}

// openEarlier sets the view's earlier challenge to one that its idempotency key gave its
// id, of at most a day ago.
func (s *Service) openEarlier(records loaded, v *view, ids []string, now time.Time) error {
	for _, id := range ids {
		rec, ok := records.find(id)
		if !ok {
			continue
		}
		earlier := new(challenge)
		if err := s.keys.opened(rec, kindChallenge, earlier); err != nil {
			return err
		}
		if now.Sub(earlier.CreatedAt).Abs() <= keepRequest {
			v.earlier, v.request = earlier, request{asked: earlier.asked}
		}
	}
	return nil
}

// decideChallenge says whether the factor may be challenged now, and charges the
// message. A factor that was enrolled within this time is confirmed without in.Confirm.
func (s *Service) decideChallenge(now time.Time, v *view, in ChallengeParams, within time.Duration) outcome {
	v.forgive(now)
	ch, f, u, n, lane := v.challenge, v.factor, v.user, v.number, v.lane()
	// Either way: clocks of several servers differ. What was answered once is answered again.
	recent := within > 0 && (now.Sub(f.CreatedAt).Abs() <= within || v.earlier != nil)
	confirm := in.Confirm || recent
	switch {
	case f.lapsed(now):
		return outcome{err: errNotFound(kindFactor, f.ID)}
	case ch.action != (proof.Action{}) && f.UserID == "":
		return outcome{err: errParameter("An action is approved by a factor with an owner.")}
	case !f.verified && u.hasVerified() && (!confirm || ch.action != (proof.Action{})):
		return outcome{err: errFactorUnverified(f.ID)}
	}
	request := in.request()
	switch {
	case v.earlier != nil && !request.sameAsked(v.request):
		return outcome{err: errIdempotencyKey(f.ID)}
	case v.earlier != nil:
		return outcome{} // its answer was lost
	case lane.Disabled && !v.ownLane(now):
		return outcome{err: errFactorDisabled(f.ID)}
	}
	wait, kind := lane.Wait(now, guessing), EventThrottled
	if v.ownLane(now) {
		wait = 0
	}
	out := outcome{save: []stored{ch}}
	if request != nil && f.keepsKeys() {
		f.remember(request, now, ch.ID)
		out.save = append(out.save, f)
	}
	if f.Type == TypeSMS {
		quota := sendQuota
		if !f.verified {
			quota = unverifiedSendQuota
		}
		// The factor remembers its successes, so that Verify need not write here.
		n.sends.Since = later(n.sends.Since, f.success)
		unsent := n.sends.Wait(now, quota)
		if u != nil {
			unsent = max(unsent, u.sends.Wait(now, sendQuota))
		}
		if !f.verified {
			users := s.keys.numberUsers(f.phone, f.UserID)
			unsent = max(unsent, n.shares.Wait(now, users, userShare))
			n.shares.Charge(now, users[0], userShare)
		}
		if unsent > cooldown[0] && v.ownMessages(now, quota) { // longer than impatience makes it
			unsent = 0
			v.device.guesses.Forget(now, maxSkew)
			v.device.sends.Charge(now, deviceSendQuota)
			out.save = append(out.save, v.device)
		}
		n.sends.Charge(now, quota)
		n.touch(now)
		out.saveNumber(v)
		if u != nil {
			u.sends.Charge(now, sendQuota)
			u.touch(now)
			out.save = append(out.save, u)
		}
		if unsent > wait {
			wait, kind = unsent, EventMessageRefused
		}
	}
	if wait > 0 {
		wait = f.told(wait)
		e := f.event(kind)
		e.RetryAfter = wait
		return outcome{err: errThrottled(f.ID, wait), events: []Event{e}}
	}
	ch.CreatedAt, ch.UpdatedAt, ch.ExpiresAt = now, now, now.Add(s.policy.ChallengeLifetime)
	return out
}

// send sends the code of a committed challenge. Unless that succeeds, and also if
// the sender panics, the challenge is void.
func (s *Service) send(ctx context.Context, v *view, template string) error {
	ch, f := v.challenge, v.factor
	sent := false
	defer func() {
		e := f.eventOf(ch, EventMessageSent)
		e.Time = ch.CreatedAt
		if !sent {
			e.Kind = EventMessageFailed
			ch.Version, ch.Status, ch.code = 1, statusVoid, ""
			if err := s.commit(ctx, voidTimeout, outcome{save: []stored{ch}}); err != nil {
				s.log.ErrorContext(ctx, "mfa: a challenge whose message failed could not be voided", "challenge", ch.ID, "error", err)
			}
		}
		s.emit(ctx, e)
	}()
	err := s.sms.Send(ctx, Message{ID: messageID(ch.ID), To: f.phone, Body: render(template, ch.code)})
	if err != nil {
		return &sendError{challengeID: ch.ID, cause: hide(err)}
	}
	sent = true
	return nil
}

// Verify answers a challenge with the code that the person typed. Its error is
// nil only if the code was right, was never accepted before, and that is durable.
//
// The order of refusal: malformed parameters ([ErrInvalidParameter]); not there or
// not the user's ([ErrNotFound]); another action ([proof.ErrMismatch]);
// [ErrIdempotencyKey]; [ErrChallengePreviouslyVerified];
// [ErrChallengeExpired]; [ErrTooManyAttempts]; [ErrFactorUnverified], for an
// enrolment without proof whose owner has since used a recovery code; [ErrFactorDisabled];
// [ErrThrottled] with RetryAfter; a wrong code ([ErrInvalidCode]), with which the
// Verification carries the challenge, and the same challenge can be tried again.
// A wrong code is counted on the challenge and on the factor (for one that is not
// confirmed, of TypeSMS on the number, and of TypeGenericOTP on the user). Any other error comes from the store, and
// the outcome, if it was committed, counts.
func (s *Service) Verify(ctx context.Context, p VerifyParams) (Verification, error) {
	load := func(ctx context.Context) (*view, error) { return s.loadChallenge(ctx, p) }
	var answered *view
	told, err := transact(ctx, s, p.ChallengeID, load, func(now time.Time, v *view) (Verification, outcome) {
		answered = v
		return s.decide(now, v, p)
	})
	if err == nil && p.Action != (proof.Action{}) {
		told.receipt = s.receipt(answered.challenge, answered.factor)
	}
	return told, err
}

// loadChallenge reads a challenge whose factor the user may reach.
func (s *Service) loadChallenge(ctx context.Context, p VerifyParams) (*view, error) {
	if err := checkCaller(p.UserID); err != nil {
		return nil, err
	}
	if err := checkIdempotencyKey(p.IdempotencyKey); err != nil {
		return nil, err
	}
	if !wellFormed(challengePrefix, p.ChallengeID) {
		return nil, errNotFound(kindChallenge, p.ChallengeID)
	}
	if err := checkText("name of the device", p.TrustDevice, optional); err != nil {
		return nil, err
	}
	ids := []string{p.ChallengeID}
	if id, _, ok := parseDeviceToken(p.Device); ok {
		ids = append(ids, id)
	}
	records, err := s.load(ctx, ids...)
	if err != nil {
		return nil, err
	}
	rec, ok := records.find(p.ChallengeID)
	if !ok {
		return nil, errNotFound(kindChallenge, p.ChallengeID)
	}
	v := &view{challenge: new(challenge)}
	if err := s.keys.opened(rec, kindChallenge, v.challenge); err != nil {
		return nil, err
	}
	if err := s.openFactor(records, v, v.challenge.Parent, p.UserID); err != nil {
		return nil, err
	}
	if v.factor == nil {
		return nil, errNotFound(kindChallenge, p.ChallengeID)
	}
	if p.TrustDevice != "" && v.factor.UserID == "" {
		return nil, errParameter("A trusted device must have a user.")
	}
	if err := s.openUser(records, v); errors.Is(err, ErrNotFound) {
		return nil, errNotFound(kindChallenge, p.ChallengeID)
	} else if err != nil {
		return nil, err
	}
	if err := s.openLane(ctx, records, v, p.Device); err != nil {
		return nil, err
	}
	if p.TrustDevice != "" && v.factor.verified && v.device == nil && len(v.user.devices) >= maxDevices {
		if v.devices, err = s.readDevices(ctx, v.user.devices[0]); err != nil {
			return nil, err
		}
	}
	if v.factor.failsOnNumber() {
		if err := s.loadNumber(ctx, v); err != nil {
			return nil, err
		}
	}
	return v, s.loadOthers(ctx, v)
}

// decide says what an answer comes to. It is the whole of Verify but for reading
// and writing: nothing here blocks, and nothing it says is told before it is
// committed.
func (s *Service) decide(now time.Time, v *view, in VerifyParams) (Verification, outcome) {
	v.forgive(now)
	p, ch, f, u, lane := s.policy, v.challenge, v.factor, v.user, v.lane()
	wait := lane.Wait(now, guessing)
	ownLane := (lane.Disabled || wait > 0) && v.ownLane(now)
	request := newRequest(in.IdempotencyKey, in.ChallengeID, in.UserID, in.Code)
	again := request.sameKey(ch.request, now, keepVerify)
	switch {
	case f.lapsed(now):
		return Verification{}, outcome{err: errNotFound(kindChallenge, ch.ID)}
	case ch.action != in.Action:
		return Verification{}, outcome{err: errOtherAction(ch.ID)}
	case again && !request.sameAsked(ch.request):
		out := outcome{err: errIdempotencyKey(ch.ID)}
		if ch.Status == StatusVerified { // whoever guessed the key may not try codes under it
			ch.answered(nil, now)
			out.save = []stored{ch}
		}
		return Verification{}, out
	case again && ch.Status == StatusVerified: // its answer was lost
		return Verification{Challenge: ch.public(), Valid: true, Factor: f.public(), FirstUse: ch.request.firstUse}, outcome{}
	case ch.Status == StatusVerified:
		return Verification{}, outcome{err: errPreviouslyVerified(ch.ID)}
	case !now.Before(ch.ExpiresAt), ch.CreatedAt.After(now.Add(maxLifetime)): // or of a clock that was ahead
		return Verification{}, outcome{err: errExpired(ch.ID)}
	case ch.Status != statusPending || ch.failures >= int64(p.MaxAttempts):
		return Verification{}, outcome{err: errTooManyAttempts(ch.ID)}
	case !f.verified && (ch.action != (proof.Action{}) && u.hasVerified() || v.provable() && s.unproved(f)):
		return Verification{}, outcome{err: errFactorUnverified(f.ID)}
	case lane.Disabled && !ownLane:
		return Verification{}, outcome{err: errFactorDisabled(f.ID)}
	case wait > 0 && !ownLane:
		wait = f.told(wait)
		e := f.eventOf(ch, EventThrottled)
		e.RetryAfter = wait
		return Verification{}, outcome{err: errThrottled(ch.ID, wait), events: []Event{e}}
	}
	code, ok := canonicalCode(in.Code)
	if f.Type == TypeRecoveryCodes {
		code, ok = canonicalRecovery(in.Code)
	}
	if !ok {
		left := p.MaxAttempts - int(ch.failures)
		return Verification{Challenge: ch.public()}, outcome{err: errInvalidCode(ch.ID, left, 0)}
	}

	if f.Type == TypeTOTP && !f.verified && u != nil { // it may be an app that the user had before
		f.nextStep = max(f.nextStep, u.nextStep(f.secret))
		if old := v.replaced; old != nil && string(old.secret) == string(f.secret) {
			f.nextStep = max(f.nextStep, old.nextStep)
		}
	}
	first, codes := int64(0), []string{ch.code}
	switch f.Type {
	case TypeTOTP:
		var err error
		if first, codes, err = totpCodes(f.secret, now, p); err != nil {
			return Verification{}, outcome{err: err}
		}
	case TypeRecoveryCodes:
		code, codes = recoveryHash(code), f.recovery
	}
	matched := match(code, codes)
	step := first + int64(matched)
	replayed := f.Type == TypeTOTP && matched >= 0 && step < f.nextStep

	out := outcome{save: []stored{ch, f}}
	ch.answered(request, now)
	if matched < 0 || replayed {
		return s.failed(now, v, out, ownLane, replayed)
	}
	switch f.Type {
	case TypeTOTP:
		f.nextStep = step + 1
	case TypeRecoveryCodes:
		f.recovery = slices.Delete(f.recovery, matched, matched+1)
	}
	return s.accepted(now, v, out, ownLane, in.TrustDevice)
}

// failed counts a wrong code: on the challenge, and on the factor, its number or the
// device.
func (s *Service) failed(now time.Time, v *view, out outcome, ownLane, replayed bool) (Verification, outcome) {
	p, ch, f, lane := s.policy, v.challenge, v.factor, v.lane()
	kinds := []string{EventFailed}
	if replayed {
		kinds = append(kinds, EventReplayed)
	}
	ch.failures++
	failures, tell := int64(0), false
	if ownLane {
		failures = out.failOwn(now, v)
	} else {
		tell = lane.Fail(now, guessing, f.maxFailures(p))
		failures = lane.InARow
		if lane.Disabled {
			kinds = append(kinds, EventDisabled)
		}
	}
	f.setStatus(now)
	if v.number != nil {
		v.number.touch(now)
		out.saveNumber(v)
	}
	if f.failsOnUser() {
		v.user.touch(now)
		out.save = append(out.save, v.user)
	}
	left := p.MaxAttempts - int(ch.failures)
	wait := f.told(lane.Wait(now, guessing))
	if v.ownLane(now) {
		wait = 0 // on this device
	} else if lane.Disabled {
		left, wait = 0, 0 // waiting does not help
	} else if !now.Add(wait).Before(ch.ExpiresAt) {
		left = 0
	}
	for _, kind := range kinds {
		e := f.eventOf(ch, kind)
		e.Failures, e.RetryAfter, e.filling = int(failures), wait, tell
		out.events = append(out.events, e)
	}
	out.err = errInvalidCode(ch.ID, left, wait)
	return Verification{Challenge: ch.public()}, out
}

// accepted is what a right code comes to.
func (s *Service) accepted(now time.Time, v *view, out outcome, ownLane bool, trustDevice string) (Verification, outcome) {
	ch, f, u, lane := v.challenge, v.factor, v.user, v.lane()
	saveUser := u != nil && (f.needsUser() || trustDevice != "")
	kinds := []string{EventVerified}
	firstUse := !f.verified
	if firstUse {
		kinds = append(kinds, EventFirstUse)
	}
	if f.Type == TypeRecoveryCodes {
		kinds = append(kinds, EventRecovered)
	}
	failures := int(lane.InARow)
	if failures >= suspicious {
		kinds = append(kinds, EventSuccessAfterFailures)
	}
	ch.Status, ch.code, ch.verified = StatusVerified, "", now
	ch.request.firstUse = len(ch.request.key) > 0 && firstUse
	if ownLane {
		v.device.failures = 0
		v.device.guesses.Forget(now, maxSkew)
	} else {
		lane.Succeed(now, guessing)
	}
	f.verified, f.success = true, now
	f.setStatus(now)
	for _, kind := range kinds {
		e := f.eventOf(ch, kind)
		e.Failures = failures
		out.events = append(out.events, e)
	}
	if v.number != nil {
		v.number.sends.Forgiven = ch.CreatedAt
		v.number.touch(now)
		out.saveNumber(v)
	}
	if firstUse && u != nil {
		out.end(u, v.ending()...)
	}
	if saveUser {
		u.verified(f)
		if f.Type == TypeSMS {
			u.sends.Since = now
			if firstUse {
				u.sends.Forgiven = ch.CreatedAt
			}
		}
		u.touch(now)
		out.save = append(out.save, u)
	}
	told := Verification{Challenge: ch.public(), Valid: true, Factor: f.public(), FirstUse: firstUse}
	if trustDevice != "" {
		if err := s.trust(now, v, &out, trustDevice); err != nil {
			return Verification{}, outcome{err: err}
		}
		told.Device = v.device.public(true)
		e := f.eventOf(ch, EventDeviceTrusted)
		e.DeviceID = v.device.ID
		out.events = append(out.events, e)
	}
	if ownLane || trustDevice != "" {
		out.save = append(out.save, v.device)
	}
	return told, out
}

// failOwn counts a wrong code in the lane of the device, which ends with too many.
func (out *outcome) failOwn(now time.Time, v *view) (failures int64) {
	d := v.device
	d.guesses.Add(now, maxSkew)
	d.failures++
	if d.failures < deviceFailures {
		out.save = append(out.save, d)
		return d.failures
	}
	e := v.factor.eventOf(v.challenge, EventDeviceStolen)
	e.DeviceID = d.ID
	out.events = append(out.events, e)
	out.revoke(now, v.user, d.ID)
	v.device = nil
	return d.failures
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

// lane is where wrong codes count: on the factor or, while the factor is not confirmed
// and its enrolment could be repeated, on the number or the user.
func (v *view) lane() *limit.Failures {
	switch {
	case v.factor.failsOnNumber():
		return &v.number.guesses
	case v.factor.failsOnUser() && v.user != nil:
		return &v.user.guesses
	}
	return &v.factor.guesses
}

// forgive drops wrong codes that have drained, where they count on a number or a user. A
// decision begins with it.
func (v *view) forgive(now time.Time) {
	if lane := v.lane(); lane != &v.factor.guesses {
		lane.Forgive(now, guessing)
	}
}

func (u *user) hasVerified() bool {
	return u != nil && slices.ContainsFunc(u.factors, func(m membership) bool { return m.verified })
}

// hasApp says whether a factor is verified that is not a set of recovery codes.
func (u *user) hasApp() bool {
	return u != nil && slices.ContainsFunc(u.factors, func(m membership) bool { return m.verified && m.kind != TypeRecoveryCodes })
}

// verified notes that the factor was confirmed.
func (u *user) verified(f *factor) {
	for i := range u.factors {
		if u.factors[i].id == f.ID {
			u.factors[i].verified = true
		}
	}
}

func (ch *challenge) public() Challenge {
	return Challenge{ID: ch.ID, FactorID: ch.Parent, CreatedAt: ch.CreatedAt, UpdatedAt: ch.UpdatedAt, ExpiresAt: ch.ExpiresAt}
}
