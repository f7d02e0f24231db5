package mfa

import "github.com/authfactor/mfa/proof"

// A refusal is one reason why a call is refused. Each list is in the order in which the
// reasons are looked at: the doc comments of Challenge and Verify and docs/design.md
// have the same.
type refusal[D any] struct {
	name   string // both for TestRefusalsAreDocumented alone
	reason error  // that the error matches
	refuse func(D) *outcome
}

// firstRefusal returns the outcome of the first reason that holds, nil if none does.
func firstRefusal[D any](refusals []refusal[D], d D) *outcome {
	for _, r := range refusals {
		if out := r.refuse(d); out != nil {
			return out
		}
	}
	return nil
}

func refused(err error, events ...Event) *outcome { return &outcome{err: err, events: events} }

var challengeRefusals = []refusal[*challenging]{
	{"lapsed", ErrNotFound, (*challenging).lapsed},
	{"ownerless", ErrInvalidParameter, (*challenging).ownerless},
	{"noSender", ErrNoSMSSender, (*challenging).noSender},
	{"notAllowed", ErrPhoneNumberNotAllowed, (*challenging).notAllowed},
	{"unconfirmed", ErrFactorUnverified, (*challenging).unconfirmed},
	{"reusedKey", ErrIdempotencyKey, (*challenging).reusedKey},
	{"disabled", ErrFactorDisabled, (*challenging).disabled},
	{"waiting", ErrThrottled, (*challenging).waiting},
	{"pumping", ErrPumping, (*challenging).pumping},
}

var verifyRefusals = []refusal[*verifying]{
	{"lapsed", ErrNotFound, (*verifying).lapsed},
	{"ownerless", ErrInvalidParameter, (*verifying).ownerless},
	{"otherAction", proof.ErrMismatch, (*verifying).otherAction},
	{"reusedKey", ErrIdempotencyKey, (*verifying).reusedKey},
	{"previouslyVerified", ErrChallengePreviouslyVerified, (*verifying).previouslyVerified},
	{"expired", ErrChallengeExpired, (*verifying).expired},
	{"usedUp", ErrTooManyAttempts, (*verifying).usedUp},
	{"unconfirmed", ErrFactorUnverified, (*verifying).unconfirmed},
	{"disabled", ErrFactorDisabled, (*verifying).disabled},
	{"waiting", ErrThrottled, (*verifying).waiting},
}

// lapsed: the factor was not confirmed in time.
func (d *challenging) lapsed() *outcome {
	if d.factor.lapsed(d.now) {
		return refused(errNotFound(kindFactor, d.factor.ID))
	}
	return nil
}

// ownerless: a receipt is somebody's.
func (d *challenging) ownerless() *outcome {
	if d.in.Action != (proof.Action{}) && d.user == nil {
		return refused(errParameter("An action is approved by a factor with an owner."))
	}
	return nil
}

// noSender: this service has no SMSSender, unlike the one that enrolled the
// factor.
func (d *challenging) noSender() *outcome {
	if d.phone != nil && !d.sender {
		return refused(errNoSMSSender())
	}
	return nil
}

// notAllowed: this service has other Regions than the one that enrolled the
// factor.
func (d *challenging) notAllowed() *outcome {
	if d.phone != nil && !d.allowed {
		return refused(errPhoneNumberNotAllowed(""))
	}
	return nil
}

// unconfirmed: whoever has the password alone can enroll a factor, and must not log in
// with it, nor approve anything, beside one that was confirmed.
func (d *challenging) unconfirmed() *outcome {
	allowed := d.confirm && d.in.Action == (proof.Action{})
	if !d.factor.verified && d.user.hasVerified() && !allowed {
		return refused(errFactorUnverified(d.factor.ID))
	}
	return nil
}

// reusedKey: the idempotency key was used for another request.
func (d *challenging) reusedKey() *outcome {
	if d.earlier != nil && !d.request.sameAsked(d.asked) {
		return refused(errIdempotencyKey(d.factor.ID))
	}
	return nil
}

// disabled: too many wrong codes in a row, and no device with its own allowance. A
// repeated request is answered all the same.
func (d *challenging) disabled() *outcome {
	if disabled, _ := d.counter.shut(d.now); disabled && d.earlier == nil {
		return refused(errFactorDisabled(d.factor.ID))
	}
	return nil
}

// waiting: the factor is temporarily locked after wrong codes, or number or
// user reached a message quota; whichever is longer. A repeated request is
// answered all the same.
func (d *challenging) waiting() *outcome {
	if d.earlier != nil {
		return nil
	}
	_, wait := d.counter.shut(d.now)
	kind, reason := EventThrottled, ReasonWrongCodes
	if d.phone != nil {
		if unsent, _ := d.messageWait(); unsent > wait {
			wait, kind, reason = unsent, EventMessageRefused, ReasonMessages
		}
	}
	if wait == 0 {
		return nil
	}
	wait = d.factor.shownWait(d.now, wait)
	e := d.factor.event(kind)
	e.RetryAfter, e.Purpose = wait, d.in.Action.Purpose
	return refused(errThrottled(d.factor.ID, wait, reason), e)
}

// pumping: too many messages went to numbers of this block, or this region, that nobody
// confirmed: somebody may be paid for them. A number that was confirmed once is free of it, and
// a repeated request is answered all the same.
func (d *challenging) pumping() *outcome {
	if d.phone == nil || d.earlier != nil || d.policy.PumpingObserve {
		return nil
	}
	name, wait := d.phone.fullBucket(d.now, d.policy)
	if wait == 0 {
		return nil
	}
	e := d.factor.event(EventPumping)
	e.Bucket, e.RetryAfter, e.Purpose = name, d.factor.shownWait(d.now, wait), d.in.Action.Purpose
	return refused(errPumping(d.factor.ID, e.RetryAfter), e)
}

// lapsed: the factor of the challenge was not confirmed in time.
func (d *verifying) lapsed() *outcome {
	if d.factor.lapsed(d.now) {
		return refused(errNotFound(kindChallenge, d.challenge.ID))
	}
	return nil
}

// ownerless: trusted devices and recovery codes are somebody's.
func (d *verifying) ownerless() *outcome {
	if d.user != nil {
		return nil
	}
	switch {
	case d.in.TrustDevice:
		return refused(errParameter("A trusted device must have a user."))
	case d.in.NewRecoveryCodes:
		return refused(errParameter("Recovery codes must have a user."))
	}
	return nil
}

// otherAction: what is about to be done is not what the person was asked about.
func (d *verifying) otherAction() *outcome {
	if d.challenge.action != d.in.Action {
		return refused(errOtherAction(d.challenge.ID))
	}
	return nil
}

// reusedKey: the idempotency key was used with another code. Whoever guessed the key of
// a success may not try codes under it: it is forgotten.
func (d *verifying) reusedKey() *outcome {
	if !d.repeated || d.request.sameAsked(d.challenge.request) {
		return nil
	}
	out := refused(errIdempotencyKey(d.challenge.ID))
	if d.challenge.Status == statusDone {
		d.challenge.answered(nil, d.now)
		out.put(d.challenge)
	}
	return out
}

// previouslyVerified: a challenge is good for one code.
func (d *verifying) previouslyVerified() *outcome {
	if d.challenge.Status == statusDone {
		return refused(errPreviouslyVerified(d.challenge.ID))
	}
	return nil
}

// expired: a challenge is good for Policy.ChallengeLifetime, and not if a clock made it
// that was ahead. One that registers is good until its factor is confirmed: the answer to
// another would put another key in the place of the one that was confirmed.
func (d *verifying) expired() *outcome {
	ch := d.challenge
	registered := ch.registers && d.factor.verified
	if registered || ch.expired(d.now) || ch.CreatedAt.After(d.now.Add(maxLifetime)) {
		return refused(errExpired(ch.ID))
	}
	return nil
}

// usedUp: the challenge took all its wrong codes, or its message was not sent.
func (d *verifying) usedUp() *outcome {
	ch := d.challenge
	if ch.Status != statusPending || ch.failures >= int64(d.policy.MaxAttempts) {
		return refused(errTooManyAttempts(ch.ID))
	}
	return nil
}

// refusedAnyhow reports whether no answer to the challenge is checked, whatever it is, so that
// it need not be parsed.
func (d *verifying) refusedAnyhow() bool {
	reusedKey := d.repeated && !d.request.sameAsked(d.challenge.request)
	return reusedKey || d.otherAction() != nil || d.previouslyVerified() != nil ||
		d.expired() != nil || d.usedUp() != nil
}

// unconfirmed: a factor that is not confirmed approves no action beside one that is, and
// is not confirmed itself if it was enrolled without the receipt that is required now.
func (d *verifying) unconfirmed() *outcome {
	approves := d.in.Action != (proof.Action{}) && d.user.hasVerified()
	if !d.factor.verified && (approves || d.beside.proves && d.unproved) {
		return refused(errFactorUnverified(d.factor.ID))
	}
	return nil
}

// disabled: too many wrong codes in a row, and no device with its own allowance.
func (d *verifying) disabled() *outcome {
	if disabled, _ := d.counter.shut(d.now); disabled {
		return refused(errFactorDisabled(d.factor.ID))
	}
	return nil
}

// waiting: the factor is temporarily locked after wrong codes.
func (d *verifying) waiting() *outcome {
	_, wait := d.counter.shut(d.now)
	if wait == 0 {
		return nil
	}
	wait = d.factor.shownWait(d.now, wait)
	e := d.factor.eventOf(d.challenge, EventThrottled)
	e.RetryAfter = wait
	return refused(errThrottled(d.challenge.ID, wait, ReasonWrongCodes), e)
}
