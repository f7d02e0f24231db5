package mfa

import (
	"time"

	"github.com/authfactor/mfa/internal/limit"
)

// A counter is where the wrong codes of a factor count, and what they begin. It is
// chosen once, when a call has read its records: see chooseCounter.
type counter interface {
	// shut reports whether no code is compared now: for good, or for a wait.
	shut(now time.Time) (disabled bool, wait time.Duration)

	// failures is how many wrong codes in a row the factor had.
	failures() int64

	// fail counts a wrong code and adds what it changed to the outcome.
	fail(now time.Time, out *outcome) failure

	// succeed forgets the wrong codes in a row, and adds what that changed.
	succeed(now time.Time, out *outcome)
}

// A failure is what a wrong code comes to.
type failure struct {
	inRow    int64
	disables bool // from now on no code is compared
	tell     bool // the owner is to be told how full the bucket is
}

// A shared counter is that of all who answer: the factor's own or, while the factor is
// not confirmed and its enrolment could be repeated, its number's or its user's.
type shared struct {
	guesses *limit.Failures
	most    int     // wrong codes in a row that disable, 0 for none
	open    bool    // whatever wrong codes there are
	phone   *budget // whose counter it is; nil: not a number's
	user    *user   // whose counter it is; nil: not a user's
}

// newShared chooses whose counter is the factor's. p is the budget of its number, nil
// unless that was read.
func newShared(now time.Time, f *factor, u *user, p *budget, policy Policy) *shared {
	c := &shared{guesses: &f.guesses, most: policy.MaxFailures}
	if f.traits.unguessable || f.traits.unlimited {
		c.most = 0
	}
	c.open = f.traits.unlimited
	switch {
	case f.countsOnNumber():
		c.guesses, c.phone = &p.guesses, p
	case f.countsOnUser():
		c.guesses, c.user = &u.guesses, u
	default:
		return c
	}
	c.guesses.Forgive(now, guessing)
	return c
}

func (c *shared) shut(now time.Time) (bool, time.Duration) {
	if c.open {
		return false, 0
	}
	return c.guesses.Disabled, c.guesses.Wait(now, guessing)
}

func (c *shared) failures() int64 { return c.guesses.InARow }

func (c *shared) fail(now time.Time, out *outcome) failure {
	tell := c.guesses.Fail(now, guessing, c.most)
	c.put(now, out)
	return failure{c.guesses.InARow, c.guesses.Disabled, tell}
}

func (c *shared) succeed(now time.Time, out *outcome) {
	c.guesses.Succeed(now, guessing)
	c.put(now, out)
}

// reset forgets all.
func (c *shared) reset(now time.Time, out *outcome) {
	*c.guesses = limit.Failures{}
	c.put(now, out)
}

func (c *shared) put(now time.Time, out *outcome) {
	if c.phone != nil {
		out.savePhone(now, c.phone)
	}
	if c.user != nil {
		c.user.touch(now)
		out.put(c.user)
	}
}

// told is a wait as whoever asks may know it. Of a number that is not confirmed it may
// come of what others did, and to the millisecond it would tell when they did it.
func (f *factor) told(wait time.Duration) time.Duration {
	if f.countsOnNumber() {
		return (wait + time.Minute - 1).Truncate(time.Minute)
	}
	return wait
}

// A lane is the counter of a trusted device, which takes a few wrong codes a day while
// the shared counter is shut, so that a stranger who guesses does not lock out the owner.
type lane struct {
	*shared
	device *device
	user   *user
	event  Event // of the factor and challenge that are answered, without a kind
}

func (*lane) shut(time.Time) (bool, time.Duration) { return false, 0 }

// fail revokes a device with too many wrong codes in a row.
func (l *lane) fail(now time.Time, out *outcome) failure {
	d := l.device
	d.guesses.Add(now, maxSkew)
	d.failures++
	if d.failures < deviceFailures {
		out.put(d)
		return failure{inRow: d.failures}
	}
	e := l.event
	e.Kind, e.DeviceID = EventDeviceStolen, d.ID
	out.events = append(out.events, e)
	out.revoke(now, l.user, d.ID)
	out.drop(d)
	return failure{inRow: d.failures}
}

func (l *lane) succeed(now time.Time, out *outcome) {
	l.device.failures = 0
	l.device.guesses.Forget(now, maxSkew)
	out.put(l.device)
}

// chooseCounter gives the device's lane while the shared counter is shut and the lane
// takes a guess. Wrong codes for what is not confirmed count on the shared one alone.
func chooseCounter(now time.Time, c *shared, d *device, u *user, f *factor, e Event) counter {
	disabled, wait := c.shut(now)
	if !disabled && wait == 0 || !d.takesGuess(now, u) || !f.verified {
		return c
	}
	return &lane{shared: c, device: d, user: u, event: e}
}
