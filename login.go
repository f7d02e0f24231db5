package mfa

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// LoginParams says who is logging in.
type LoginParams struct {
	// UserID is the person whose password was right: the id from the application's
	// own row, never what was typed, since another spelling is another person, who
	// has no factor. Required.
	UserID string

	// DeviceToken is what the browser's cookie holds, "" for nothing. It is a plain string:
	// do not print these parameters.
	DeviceToken string

	// HasFactor is true if the application's own record of the person says that
	// they have a confirmed factor. If none is stored then, StartLogin returns
	// ErrIntegrity: a store that was lost or restored lets nobody in. Set that
	// record with any nil error of Verify, with Import (also for a person whose
	// secret it refused) and with Enroll of recovery codes; clear it once Unenroll
	// deleted the last factor, and with a nil error of TurnOff. Give HasFactor to
	// TurnOff and Enroll too. Defaults to false, which trusts the store.
	HasFactor bool
}

// A Login is what a login needs beside the password. The zero value requires a code.
type Login struct {
	// SkipCode is true if the password is enough: the person has no confirmed factor, or
	// the browser is a trusted device.
	SkipCode bool `json:"skip_code"`

	// Factors are the confirmed factors, best first: those that cannot be phished
	// ([Factor.PhishingResistant]), others that NIST SP 800-63B-4 does not restrict,
	// those that it does, recovery codes, and within each those used last; then the
	// locked ones, which cannot be challenged. Challenge the
	// one that the person chooses. With a nil error it is empty exactly if
	// SkipCode is true, and the first one is never locked.
	Factors []LoginFactor `json:"factors"`

	token *hidden[string]
}

// DeviceToken is what the browser's cookie must hold from now on, for 90 days:
// the same token, the next one, or "" for no cookie. Set the cookie whenever
// the error is nil. Printing the Login does not show it.
func (l Login) DeviceToken() string {
	if l.token == nil {
		return ""
	}
	return (*l.token)()
}

// A LoginFactor is a confirmed factor of a person who logs in.
type LoginFactor struct {
	Factor

	// Locked is true if too many wrong codes disabled the factor, unless
	// DeviceToken gives this browser its own allowance. It cannot be challenged
	// until Service.Unlock.
	Locked bool

	// RetryAfter is how long the factor is temporarily locked after wrong
	// codes, 0 for not at all (or not for this browser), and 0 if Locked.
	// Limits on text messages are not in it: Challenge returns them.
	RetryAfter time.Duration
}

// Format prints what [Factor.Format] does, Locked and RetryAfter, whatever the verb.
func (f LoginFactor) Format(s fmt.State, _ rune) {
	_, _ = fmt.Fprintf(s, "{%s locked=%t retry_after=%s}", f.line(), f.Locked, f.RetryAfter)
}

// LogValue logs the factor as it prints.
func (f LoginFactor) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(f)) }

// MarshalJSON gives the JSON of the Factor, with "locked", and with "retry_after" in whole
// seconds, rounded up.
func (f LoginFactor) MarshalJSON() ([]byte, error) {
	factor, err := f.Factor.MarshalJSON()
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(factor[:len(factor)-1], `,"locked":%t,"retry_after":%d}`,
		f.Locked, wholeSeconds(f.RetryAfter)), nil
}

// StartLogin returns what a login needs once the password was right: a code,
// and by which factors, or nothing more. Call it once for each login, and log
// the person in without a code only if its error is nil and SkipCode is true.
//
// A browser is let in without a code for 30 days after
// [VerifyParams.TrustDevice], by a token that is good for one login. A token
// that comes again was copied: the device is revoked, [EventDeviceStolen] is
// raised, and a code is required. For two tabs, a double click and a lost
// answer, the previous token is still good for 30 seconds after it was
// replaced.
//
// No UserID, and [AnyUser], are [ErrInvalidParameter]. [ErrNoUsableFactor] is
// returned if a code is required and no factor can answer: each is disabled,
// used up, or has no way to be sent a message. [ErrIntegrity] is returned if
// records are missing or were changed. Any other error comes from the store, or
// is [ErrThrottled] after eight lost races. With any error, log nobody in. It
// takes two reads, and one write if the token changes.
//
// A cookie belongs to one person: the token of somebody else who uses the same
// browser is kept.
func (s *Service) StartLogin(ctx context.Context, p LoginParams) (Login, error) {
	if err := checkOneUser(p.UserID); err != nil {
		return Login{}, err
	}
	load := func(ctx context.Context) (*startingLogin, error) { return s.loadStartingLogin(ctx, p) }
	return transact(ctx, s, "", load, (*startingLogin).decide)
}

// startingLogin is a login whose password was right.
type startingLogin struct {
	*person
	in      LoginParams
	device  *device // that the token names, and that counts; nil: none
	token   tokenState
	foreign bool // the token is of a device of somebody else, who uses this browser too
	policy  Policy
	sends   func(*factor) bool // messages can go to the factor's number
}

func (s *Service) loadStartingLogin(ctx context.Context, p LoginParams) (*startingLogin, error) {
	d := &startingLogin{in: p, policy: s.policy}
	d.sends = func(f *factor) bool { return s.sms != nil && s.phones.Allowed(f.number()) }
	var others []string
	id, _, named := parseDeviceToken(p.DeviceToken)
	if named {
		others = append(others, id)
	}
	var records loaded
	var err error
	if d.person, records, err = s.loadPersonBeside(ctx, p.UserID, others...); err != nil || !named {
		return d, err
	}
	rec, ok := records.find(id)
	d.foreign = ok && rec.UserID != p.UserID
	if d.device, err = s.openDevice(records, d.now, id, d.user); err != nil || d.device == nil {
		return d, err
	}
	d.token = d.device.check(p.DeviceToken, d.moment)
	return d, nil
}

// decide says what the login needs. The order matters: nothing but a person without a
// confirmed factor, and a good token of a trusted device, does without a code.
func (d *startingLogin) decide() (Login, outcome) {
	if !d.user.hasVerified() {
		if d.in.HasFactor {
			return Login{}, outcome{err: errNoneStored(d.user)}
		}
		return Login{SkipCode: true, Factors: []LoginFactor{}, token: d.kept()}, outcome{}
	}
	told, out := d.useToken()
	if told.SkipCode {
		return told, out
	}
	var locked []LoginFactor
	for _, f := range d.ranked() {
		c := newShared(d.now, f, d.user, nil, d.policy)
		disabled, wait := chooseCounter(d.now, c, d.lane(), d.user, nil).shut(d.now)
		if disabled {
			locked = append(locked, LoginFactor{Factor: f.public(), Locked: true})
		} else {
			told.Factors = append(told.Factors, LoginFactor{Factor: f.public(), RetryAfter: wait})
		}
	}
	if len(told.Factors) == 0 {
		out.err = errNoUsableFactor()
		return Login{}, out
	}
	told.Factors = append(told.Factors, locked...)
	return told, out
}

// useToken says what the device's token opens, and which one comes next.
func (d *startingLogin) useToken() (Login, outcome) {
	var out outcome
	if d.device == nil {
		return Login{token: d.kept()}, out
	}
	trusted := d.now.Before(d.device.trusted)
	switch d.token {
	case tokenForged:
		return Login{}, out
	case tokenUsed:
		out.events = append(out.events, d.device.event(EventDeviceStolen))
		out.revoke(d.now, d.user, d.device.ID)
		return Login{}, out
	case tokenPrevious:
	case tokenGood:
		if trusted {
			d.device.rotate(d.now)
			d.device.UpdatedAt = d.now
			out.put(d.device)
		}
	}
	if trusted {
		out.events = append(out.events, d.device.event(EventDeviceUsed))
	}
	return Login{
		SkipCode: trusted, Factors: []LoginFactor{}, token: new(hide(d.device.token(d.device.uses))),
	}, out
}

// kept is the token of somebody else, whose cookie is left as it is; nil for none.
func (d *startingLogin) kept() *hidden[string] {
	if !d.foreign {
		return nil
	}
	return new(hide(d.in.DeviceToken))
}

// lane is the device whose own allowance this browser may use, nil for none.
func (d *startingLogin) lane() *device {
	if d.token == tokenGood || d.token == tokenPrevious {
		return d.device
	}
	return nil
}

// ranked are the confirmed factors that can be asked, best first.
func (d *startingLogin) ranked() []*factor {
	var factors []*factor
	for _, f := range d.factors {
		if f.verified && !f.own.usedUp() && (!f.traits.messages || d.sends(f)) {
			factors = append(factors, f)
		}
	}
	rank := func(f *factor) int {
		switch {
		case f.traits.backup:
			return 3
		case f.traits.restricted:
			return 2
		case f.traits.noPhishing:
			return 0
		}
		return 1
	}
	slices.SortStableFunc(factors, func(a, b *factor) int {
		if ra, rb := rank(a), rank(b); ra != rb {
			return ra - rb
		}
		return b.success.Compare(a.success)
	})
	return factors
}

// errNoneStored is what a lost store comes to.
func errNoneStored(u *user) error {
	return fmt.Errorf("%w: record %s: the application knows "+
		"of a confirmed factor, and none is stored", ErrIntegrity, u.ID)
}
