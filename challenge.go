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

	// DeviceToken is the Token of the browser's cookie, if it has one, for a device of its own
	// lane: while a verified factor waits or is disabled, or the number or the user had their share
	// of messages, it takes 3 wrong codes and 3 messages a day, so that a stranger who guesses does
	// not lock out the owner. The messages are 3 beyond the quotas of number and user, whatever the
	// device. A token that is not good is the same as none. Defaults to none.
	DeviceToken string

	// IdempotencyKey makes a call that is made again, because its answer was lost, give the
	// same answer: within 24 hours the same challenge, and no second message. An SMS factor
	// remembers its last four keys, and any other factor all of them. A key whose message
	// could not be sent is free again. That is one message at most: none, if the process died
	// in between. With other parameters it is ErrIdempotencyKey. Take a new one each time
	// a person asks, of at most 255 bytes that nobody guesses, such as a random UUID.
	// Defaults to none.
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

	// ResendAt is when the limits of the number and the user let the next message through,
	// for a button "send again". Until then Challenge is ErrThrottled. For a number
	// that is not confirmed it is rounded up to a whole minute from now, as
	// [Error.RetryAfter] is. A right code can make it earlier, and so can a device of its own
	// lane ([ChallengeParams.DeviceToken]); wrong codes begin waits of another kind. A call
	// that is answered again by its IdempotencyKey tells it as it is then: the present,
	// if a message may be sent at once. It is zero for a factor without messages, and
	// in a [Verification].
	ResendAt time.Time `json:"-"`

	code    *hidden[string]
	options *hidden[[]byte]
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

// Options are what the person's browser or device is asked, for a challenge of a factor of
// [Config.Methods] that [Service.Challenge] returned; nil for all others. They do not
// print.
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
	}{"authentication_challenge", c.ID, jsonTime(c.CreatedAt), jsonTime(c.UpdatedAt), jsonTime(c.ExpiresAt), c.FactorID})
}

// Challenge asks a factor for a code; for an SMS factor a code is sent.
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
//   - a factor that waits after wrong codes, or whose number or user had their share of
//     messages: [ErrThrottled] with RetryAfter.
//
// Nothing is stored, sent or charged then.
//
// Messages are limited per number and per user, over all factors: 60 seconds between
// two, then 2, 5, 10 and 15 minutes until a code was right, and by default 5 an hour and
// 10 a day: see [Policy.MessagesPerHour] and [Policy.MessagesPerDay]. To a
// number that is not confirmed there are 3 an hour and 5 a day at most, of which 2 are for one
// user, or for all that enroll it without one; and RetryAfter is rounded up to a minute,
// since it would tell when somebody else was sent a message. The message whose code
// confirmed the number does not delay the next one. Earlier challenges stay open, and a code
// answers its own challenge only: after sending again, keep the new challenge's id,
// and tell the person to type the newest code. A challenge of a TOTP factor sends
// nothing and is not limited.
//
// The context of a request is the right ctx. When its client hangs up, reading ends, and
// no challenge is made. Once a challenge is committed, its message is sent all the same:
// the sender has [Config.SendTimeout], or until the deadline of ctx, if that is earlier. The
// message counts, whatever comes of it.
//
// When the sender says that it did not hand the message over, or was not asked because the
// deadline of ctx was past, the challenge is void and the error is [ErrMessageNotSent] with
// the sender's own wrapped in it. Its text is left out; [Config.Logger] gets it, without
// number and code. Where it is unknown whether the message was handed over, as
// after a timeout, the challenge is open and the error nil, because the person may hold
// the code in their hands. [SMSSender] has the rule; [EventMessageUnknown] is raised.
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
			// The same request, made at once, may have charged the number after the factor
			// was read that remembers it.
			sure = true
			return d, outcome{again: true}
		}
		return d, out
	})
	switch {
	case err != nil:
		return Challenge{}, err
	case d.earlier != nil:
		return d.told(d.earlier), nil
	case d.factor.traits.messages:
		if err := s.send(ctx, d, template); err != nil {
			return Challenge{}, err
		}
	}
	return d.told(d.challenge), nil
}

// checkChallenge checks the parameters of Challenge that need no reading, and returns
// the template in its canonical spelling.
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
	confirm   bool       // the challenge may confirm the factor
	challenge *challenge // the new one
	counter   counter    // of wrong codes
	phone     *budget    // that the message goes to; nil: the factor's type has no messages
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
		d.sender, d.allowed = s.sms != nil, s.phones.Allowed(d.factor.number())
		if d.phone, err = s.loadPhone(ctx, d.factor); err != nil {
			return nil, err
		}
		d.users = s.keys.numberUsers(d.factor.number(), d.factor.UserID)
	}
	siblings, err := s.loadSiblings(ctx, d.factor, d.user)
	if err != nil {
		return nil, err
	}
	if d.challenge, err = s.newChallenge(now, d.factor, siblings, p); err != nil {
		return nil, err
	}
	k, err := s.openKnown(records, d.moment, d.user, p.DeviceToken)
	if err != nil {
		return nil, err
	}
	d.device = k.device
	d.counter = chooseCounter(now, newShared(now, d.factor, d.user, d.phone, s.policy),
		d.device, d.user, d.factor, d.factor.eventOf(d.challenge, ""))
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

// newChallenge makes the record of a challenge.
func (s *Service) newChallenge(now time.Time, f *factor, siblings []*factor, p ChallengeParams) (*challenge, error) {
	id, err := newID(challengePrefix, now)
	if err != nil {
		return nil, err
	}
	ch := &challenge{action: p.Action}
	ch.ID, ch.Kind, ch.Parent, ch.Type, ch.Status = id, kindChallenge, f.ID, f.Type, statusPending
	ch.CreatedAt, ch.UpdatedAt, ch.ExpiresAt = now, now, now.Add(s.policy.ChallengeLifetime)
	return ch, f.own.ask(f, ch, siblings)
}

// request is how the call is known again.
func (p ChallengeParams) request() *request {
	confirm := map[bool]string{true: "confirm"}[p.Confirm]
	return newRequest(p.IdempotencyKey, p.FactorID, p.UserID, p.SMSTemplate, confirm, p.Action.Purpose, string(p.Action.Hash[:]))
}

// loadEarlier sets the earlier challenge by the keys that the factor remembers. One that
// is gone, or whose message failed, leaves its key free.
func (s *Service) loadEarlier(ctx context.Context, d *challenging) error {
	asked, again := d.factor.requested(d.request, d.now)
	if !again {
		return nil
	}
	records, err := s.load(ctx, asked.challengeID)
	if err != nil {
		return err
	}
	rec, ok := records.find(asked.challengeID)
	if !ok {
		return nil
	}
	earlier := new(challenge)
	if err := s.keys.opened(rec, kindChallenge, earlier); err != nil {
		return err
	}
	if earlier.Status != statusVoid {
		d.earlier, d.asked = earlier, asked
	}
	return nil
}

// openEarlier sets the earlier challenge to one that its idempotency key gave its id, of
// at most a day ago.
func (s *Service) openEarlier(records loaded, d *challenging, ids []string) error {
	for _, id := range ids {
		rec, ok := records.find(id)
		if !ok {
			continue
		}
		earlier := new(challenge)
		if err := s.keys.opened(rec, kindChallenge, earlier); err != nil {
			return err
		}
		if d.now.Sub(earlier.CreatedAt).Abs() <= keepRequest {
			d.earlier, d.asked = earlier, request{asked: earlier.asked}
		}
	}
	return nil
}

// decide says what comes of the call, and charges the message.
func (d *challenging) decide() outcome {
	if out := firstRefusal(challengeRefusals, d); out != nil {
		return *out
	}
	if d.earlier != nil {
		return outcome{} // its answer was lost
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
	if !f.verified {
		n.shares.Charge(now, d.users[0], userShare)
	}
	n.sends.Charge(now, d.quota())
	out.savePhone(now, n)
	if u != nil {
		u.sends.Charge(now, d.policy.sendQuota())
		u.touch(now)
		out.put(u)
	}
	return out
}

// told is what the caller is told of a challenge, once its message is charged.
func (d *challenging) told(ch *challenge) Challenge {
	told := ch.public()
	if d.factor.traits.handsOut {
		told.code = new(hide(ch.code))
	}
	if d.factor.traits.ceremony {
		told.options = new(hide(ch.options))
	}
	if d.phone != nil {
		told.ResendAt = d.now.Add(d.factor.told(d.sharedWait()))
	}
	return told
}

func (ch *challenge) public() Challenge {
	return Challenge{ID: ch.ID, FactorID: ch.Parent, CreatedAt: ch.CreatedAt, UpdatedAt: ch.UpdatedAt, ExpiresAt: ch.ExpiresAt}
}
