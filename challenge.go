package mfa

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/authfactor/mfa/internal/operator"
	"github.com/authfactor/mfa/proof"
)

// The states of a challenge's record.
const (
	statusPending = "pending"
	statusVoid    = "void"     // its message could not be sent
	statusDone    = "verified" // it cannot be used again
)

// ChallengeParams says which factor to challenge.
type ChallengeParams struct {
	FactorID string // as Enroll gave it
	UserID   string // the owner, "" for a factor without one, or AnyUser

	// SMSTemplate is the text of the message: at most 3 messages long, with
	// {{code}} in it and no other "{{". A last line "@example.com #{{code}}" may
	// repeat the code, so that phones and browsers fill it in on that site alone
	// (WICG, Origin-bound one-time codes). Line breaks are sent as LF and trimmed
	// at the ends. Other control and format characters are refused, except U+200C
	// and U+200D between visible characters. Checked for every type of factor.
	// Defaults to "Your verification code is {{code}}."
	SMSTemplate string

	// Confirm is true if a person who is already logged in confirms an enrolment.
	// Without it, an unverified factor of a user who has a verified or disabled
	// one is ErrFactorUnverified: whoever knows only the password must not log in
	// with a factor enrolled a moment ago. Set it on the page that enrolls, for
	// the first factor too; never set it at login. Defaults to false.
	Confirm bool

	// Action is what the code approves, such as a payment. Verify requires the
	// same Action, and returns a receipt for it. The factor must have an owner. If
	// the user has a verified factor, an unverified one is ErrFactorUnverified,
	// even with Confirm. Let SMSTemplate say what the code approves. Defaults to
	// none, for a login.
	Action proof.Action

	// DeviceToken is the token from the browser's trusted-device cookie, if
	// any. While a verified factor is temporarily locked or disabled, or a
	// message to it would have to wait for more than a minute, a trusted device
	// of its owner may still submit 3 wrong codes and request 3 messages a day,
	// so that a stranger who guesses does not lock out the owner. All devices
	// together get 3 messages beyond a quota. An invalid token is ignored.
	// Defaults to none.
	DeviceToken string

	// IdempotencyKey makes retries safe: for 24 hours a call with the same key and
	// parameters (but for DeviceToken) returns the same challenge and sends
	// nothing. With other parameters it is ErrIdempotencyKey. An SMS factor keeps its four latest
	// keys, any other factor all of them. If sending failed, the key may be used
	// again; if the process died before sending, no message is sent. At most 255
	// bytes that nobody can guess, such as a random UUID, new each time a person
	// asks. Defaults to none.
	IdempotencyKey string
}

// A Challenge is one question to a factor, to be answered with [Service.Verify].
// Its JSON is the one of the WorkOS MFA API, without the code.
type Challenge struct {
	ID        string    `json:"id"` // "auth_challenge_" and a ULID; keep it in the server's session
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"` // the same as CreatedAt
	ExpiresAt time.Time `json:"expires_at"` // from then on Verify returns ErrChallengeExpired
	FactorID  string    `json:"authentication_factor_id"`

	// ResendAt is when the message quotas of the number and the user allow the
	// next message, for a button "send again": now, if they allow one at once.
	// Until then Challenge returns ErrThrottled. For an unconfirmed number it is
	// rounded up to a whole minute, and so is the end of [Error.RetryAfter]. A right
	// code or a trusted device ([ChallengeParams.DeviceToken]) can make it
	// earlier. It leaves out locks after wrong codes, ErrPumping and, in a repeated answer for
	// an unconfirmed number, the messages that others had sent there: Challenge may
	// still return ErrThrottled then. It is zero for a factor without messages, and
	// in a [Verification].
	ResendAt time.Time `json:"-"`

	code    *hidden[string]
	options *hidden[[]byte]
}

// Code is the code that the application delivers, for a challenge of a
// TypeGenericOTP factor that [Service.Challenge] returned; "" for all others.
// Printing the Challenge does not show it.
func (c Challenge) Code() string {
	if c.code == nil {
		return ""
	}
	return (*c.code)()
}

// Options are what to give to the person's browser or device, for a challenge
// of a factor of [Config.Methods] that [Service.Challenge] returned; nil for
// all others. Printing the Challenge does not show them.
func (c Challenge) Options() []byte {
	if c.options == nil {
		return nil
	}
	return slices.Clone((*c.options)())
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
	}{
		"authentication_challenge", c.ID,
		jsonTime(c.CreatedAt), jsonTime(c.UpdatedAt), jsonTime(c.ExpiresAt), c.FactorID,
	})
}

// Challenge asks a factor for a code, and sends it if the factor is of TypeSMS.
//
// It refuses, in this order:
//   - malformed parameters: [ErrInvalidParameter];
//   - a factor that is not there, not the user's, or was not confirmed in time:
//     [ErrNotFound];
//   - an Action for a factor without an owner: [ErrInvalidParameter];
//   - a factor of TypeSMS without Config.SMS: [ErrNoSMSSender];
//   - one whose number Config.Regions leaves out by now: [ErrPhoneNumberNotAllowed];
//   - one that is not confirmed, beside one that is: [ErrFactorUnverified];
//   - an IdempotencyKey of another request: [ErrIdempotencyKey];
//   - a disabled factor: [ErrFactorDisabled];
//   - a factor that is temporarily locked after wrong codes, or whose number or
//     user reached a message quota: [ErrThrottled] with RetryAfter;
//   - a number that was never confirmed, of a block or a region to which too many
//     messages went that nobody confirmed: [ErrPumping] with RetryAfter.
//
// In all these cases nothing is stored, sent or counted.
//
// Messages are limited per number and per user, over all factors: 60 seconds
// between two, then 2, 5, 10 and 15 minutes until a code is right, and by
// default 5 an hour and 10 a day ([Policy.MessagesPerHour],
// [Policy.MessagesPerDay]). An unconfirmed number gets at most 3 an hour and 5
// a day, 2 of them for one user, or for all that enroll it without one; the end
// of RetryAfter is rounded up to a minute, since it would tell when somebody else
// was sent a message. The message whose code confirmed the number does not
// delay the next one. Other types send nothing and have no such limits.
//
// Earlier challenges stay open, and a code answers its own challenge only:
// after sending again, keep the new challenge's id and ask for the newest code.
//
// Pass the request's context as ctx. If the client hangs up before the
// challenge is committed, none is made. After that the message is sent all the
// same: the sender has [Config.SendTimeout], or until the deadline of ctx if
// that is earlier. The message counts, whatever comes of it.
//
// If the sender did not hand the message over, or ctx's deadline passed before
// it was asked, the challenge is cancelled and the error is
// [ErrMessageNotSent], which wraps the cause. The text of the cause is logged
// to [Config.Logger], without number and code. If it is unknown whether the
// message was handed over, as after a timeout, the challenge stays open and the
// error is nil, because the person may have the code: see [SMSSender] and
// [EventMessageUnknown].
func (s *Service) Challenge(ctx context.Context, p ChallengeParams) (Challenge, error) {
	template, err := s.checkChallenge(p)
	if err != nil {
		return Challenge{}, err
	}
	load := func(ctx context.Context) (*challenging, error) { return s.loadChallenging(ctx, p) }
	sure := p.IdempotencyKey == ""
	d, err := transact(ctx, s, p.FactorID, load, func(d *challenging) (*challenging, outcome) {
		out := d.decide()
		if errors.Is(out.err, ErrThrottled) && !sure {
			// The same request, made at once, may have been stored after the factor was read.
			sure = true
			return d, outcome{again: true}
		}
		return d, out
	})
	switch {
	case err != nil:
		return Challenge{}, err
	case d.earlier != nil:
		return d.answer(d.earlier), nil
	case d.factor.traits.messages:
		if err := s.send(ctx, d, template); err != nil {
			return Challenge{}, err
		}
	}
	return d.answer(d.challenge), nil
}

// checkChallenge checks what needs no reading, and returns the canonical
// template.
func (s *Service) checkChallenge(p ChallengeParams) (template string, err error) {
	if template, err = smsTemplate(p.SMSTemplate); err != nil {
		return "", err
	}
	if err := checkIdempotencyKey(p.IdempotencyKey); err != nil {
		return "", err
	}
	if p.Action != (proof.Action{}) && !p.Action.Valid() {
		return "", errParameter("The purpose of the action must be 1 to 64 printable ASCII characters.")
	}
	return template, nil
}

// challenging is a factor that is to be challenged.
type challenging struct {
	held
	in        ChallengeParams
	confirm   bool          // the challenge may confirm the factor
	challenge *challenge    // the new one
	siblings  []*factor     // whose owner's other answers are taken as well: see possession.ask
	counter   counter       // of wrong codes
	phone     *numberLimits // that the message goes to; nil: the factor's type has no messages
	policy    Policy
	users     []string   // what stands for the user in the record of the number
	sender    bool       // there is one for messages
	allowed   bool       // messages to this number are
	device    *device    // nil: the call names none that counts
	request   *request   // nil: without an idempotency key
	asked     request    // what earlier was asked for
	earlier   *challenge // that the same request was answered with; nil: its key is free
}

// loadChallenging reads the factor and prepares a challenge of it.
func (s *Service) loadChallenging(ctx context.Context, p ChallengeParams) (*challenging, error) {
	d := &challenging{in: p, request: p.request(), policy: s.policy}
	begun, err := s.now()
	if err != nil {
		return nil, err
	}
	ids := d.request.challengeIDs(p.FactorID, begun) // of the day before and after as well
	others := slices.Clone(ids)
	if id, _, ok := parseDeviceToken(p.DeviceToken); ok {
		others = append(others, id)
	}
	var records loaded
	if d.held, records, err = s.hold(ctx, p.FactorID, p.UserID, others...); err != nil {
		return nil, err
	}
	now := d.now
	if d.factor.traits.messages {
		var region string
		d.sender = s.sms != nil
		region, d.allowed = s.phones.Look(d.factor.number())
		if d.phone, err = s.loadPhone(ctx, d.factor, region); err != nil {
			return nil, err
		}
		// The factor remembers its successes, so that Verify need not write here.
		d.phone.sends.Since = later(d.phone.sends.Since, d.factor.success)
		d.users = s.keys.numberUsers(d.factor.number(), d.factor.UserID)
	}
	if d.siblings, err = s.loadSiblings(ctx, d.factor, d.user); err != nil {
		return nil, err
	}
	if d.challenge, err = s.newChallenge(now, d.factor, p); err != nil {
		return nil, err
	}
	k, err := s.openKnown(records, d.moment, d.user, p.DeviceToken)
	if err != nil {
		return nil, err
	}
	d.device = k.device
	shared := newShared(now, d.factor, d.user, d.phone, s.policy)
	d.counter = chooseCounter(now, shared, d.device, d.user, d.challenge)
	if d.request != nil {
		if d.factor.keepsKeys() {
			err = s.loadEarlier(ctx, d)
		} else {
			d.challenge.ID, d.challenge.asked = ids[0], d.request.asked
			err = s.openEarlier(records, d, ids)
		}
	}
	within := operator.ConfirmWithin(ctx)
	// Either way: clocks of several servers differ. What was answered once is answered again.
	recent := within > 0 && (now.Sub(d.factor.CreatedAt).Abs() <= within || d.earlier != nil)
	d.confirm = p.Confirm || recent
	return d, err
}

// newChallenge makes the record of a challenge, without its question.
func (s *Service) newChallenge(
	now time.Time, f *factor, p ChallengeParams,
) (*challenge, error) {
	id, err := newID(challengePrefix, now)
	if err != nil {
		return nil, err
	}
	ch := &challenge{action: p.Action, registers: f.traits.ceremony && !f.verified}
	ch.ID, ch.Kind, ch.Parent, ch.Type, ch.Status = id, kindChallenge, f.ID, f.Type, statusPending
	ch.CreatedAt, ch.UpdatedAt, ch.ExpiresAt = now, now, now.Add(s.policy.ChallengeLifetime)
	return ch, nil
}

// request is how the call is known again.
func (p ChallengeParams) request() *request {
	confirm := map[bool]string{true: "confirm"}[p.Confirm]
	return newRequest(p.IdempotencyKey, p.FactorID, p.UserID, p.SMSTemplate, confirm,
		p.Action.Purpose, string(p.Action.Hash[:]))
}

// decide returns what the call comes to, with the message counted.
func (d *challenging) decide() outcome {
	if out := firstRefusal(challengeRefusals, d); out != nil {
		return *out
	}
	if d.earlier != nil {
		return outcome{} // its answer was lost
	}
	if err := d.factor.own.ask(d.factor, d.challenge, d.siblings); err != nil {
		return outcome{err: err}
	}
	out := outcome{save: []stored{d.challenge}}
	if d.phone == nil {
		return out
	}
	f, u, n, now := d.factor, d.user, d.phone, d.now
	if d.request != nil {
		f.remember(d.request, now, d.challenge.ID)
		out.put(f)
	}
	if _, own := d.messageWait(); own {
		d.device.guesses.Forget(now, maxSkew)
		d.device.sends.Charge(now, deviceSendQuota)
		out.put(d.device)
	}
	if n.confirmed = n.confirmed || f.verified; !f.verified {
		n.shares.Charge(now, d.users[0], userShare)
	}
	n.sends.Charge(now, d.quota())
	full, _ := n.fullBucket(now, d.policy) // to be told, and not refused
	told := n.charge(now, d.policy, &out)
	if full != "" && !slices.Contains(told, full) {
		told = append(told, full)
	}
	for _, name := range told {
		e := f.eventOf(d.challenge, EventPumping)
		e.Bucket = name
		out.events = append(out.events, e)
	}
	out.savePhone(now, n)
	if u != nil {
		u.sends.Charge(now, d.policy.sendQuota())
		u.touch(now)
		out.put(u)
	}
	return out
}

// answer is what the caller gets of a challenge, once its message is counted.
func (d *challenging) answer(ch *challenge) Challenge {
	told := ch.public()
	if d.factor.traits.handsOut {
		told.code = new(hide(ch.code))
	}
	if d.factor.traits.ceremony {
		told.options = new(hide(ch.options))
	}
	if d.phone != nil {
		told.ResendAt = d.now.Add(d.factor.shownWait(d.now, d.resendWait()))
	}
	return told
}

func (ch *challenge) expired(now time.Time) bool { return !now.Before(ch.ExpiresAt) }

func (ch *challenge) public() Challenge {
	return Challenge{
		ID: ch.ID, FactorID: ch.Parent,
		CreatedAt: ch.CreatedAt, UpdatedAt: ch.UpdatedAt, ExpiresAt: ch.ExpiresAt,
	}
}
