package mfa

import (
	"time"

	"github.com/authfactor/mfa/internal/limit"
)

// The numbers of the limits. docs/design.md has the sources and the arithmetic.
const (
	digits     = 6
	codeSpace  = 1_000_000
	period     = 30 // seconds
	secretSize = 20 // bytes: RFC 4226 section 4 R6 recommends 160 bits

	maxStepsAhead = 20 // of an import: ten minutes

	maxLifetime       = 10 * time.Minute // NIST SP 800-63B-4 section 3.1.3.2
	defaultAttempts   = 5
	defaultFailures   = 30
	defaultHourly     = 5 // messages
	defaultDaily      = 10
	strangerHourly    = 3 // messages to a number that is not confirmed, and may be a stranger's
	strangerDaily     = 5
	userDaily         = 2  // of these, for one user
	defaultBlockSize  = 50 // messages to numbers never confirmed, of a block of 10,000
	defaultRegionSize = 200
	maxBlockSize      = 1000
	maxRegionSize     = 100_000
	minBusyShare      = 4 // calls of which one writes a region then, and this many at most
	maxBusyShare      = 64
	blockBonus        = 1  // messages that a confirmation takes out beside its own
	regionBonus       = 2  // half of the people confirm, and all ask for 1.2
	bucketHash        = 20 // bytes of a bucket's name
	regionShards      = 4  // records that a region's are counted in
	suspicious        = 5  // wrong codes in a row, after which the owner is told
	maxUnlimited      = 50 // wrong codes in a row that are counted where they never lock
	maxGuessChance    = 1e-4

	bucketSize  = 50
	bucketDrain = 14*time.Hour + 24*time.Minute

	maxSkew = time.Hour // what is noted further in the future is of a clock that was ahead

	maxFactors        = 10
	maxMembers        = maxSave - 2 // with those that are to replace others: see deleteAll
	maxKeys           = 3           // of a keyring: a number has a record for each
	maxHourlySends    = 10
	maxDailySends     = 30
	maxSends          = maxDailySends + deviceSends // that are remembered: all of a day
	unverifiedLapse   = 24 * time.Hour
	keepLapsed        = 24 * time.Hour
	maxRaces          = 8
	racePause         = 4 * time.Millisecond // at most, after the first; twice that after the next
	raceWait          = time.Second
	maxSave           = 16 // records: the contract of Store
	maxRounds         = 64 // of Saves, to delete what there is of a user
	commitTimeout     = 5 * time.Second
	voidTimeout       = 2 * time.Second
	defaultSend       = 15 * time.Second // that the sender has for a message
	maxSendTimeout    = 5 * time.Minute
	maxTokenAge       = 90 * 24 * time.Hour // of SealToken
	maxSenderText     = 512                 // bytes of a sender's error that are logged
	maxText           = 64                  // characters of an issuer, user or name
	maxUserID         = 255                 // bytes
	maxMessageParts   = 3
	outboxSize        = 1000
	maxIdempotencyKey = 255 // bytes
	maxMethods        = 3   // of Config.Methods: the first confirmation ends one of each type
	maxAnswer         = 64 << 10
	maxMethodState    = 16 << 10 // bytes that a Method keeps of a factor, or of a challenge
	maxDetails        = 4 << 10  // bytes of what Describe gives
	maxMethodOptions  = 32 << 10
	maxSource         = 255 // bytes
	maxRequests       = 4   // with a key, that a factor remembers
	keepRequest       = 24 * time.Hour
	keepVerify        = time.Minute
	defaultMaxRecords = 1_000_000

	clockSkew = 5 * time.Second // that processes' clocks may differ by

	maxGoneApps    = 4 // whose used codes a user's record remembers
	maxDevices     = 5 // trusted, per user
	deviceSeed     = 32
	deviceTrusted  = 30 * 24 * time.Hour // no code is asked for
	deviceKnown    = 90 * 24 * time.Hour // it has its own allowance
	deviceGrace    = 30 * time.Second    // that the previous token is good
	deviceGuesses  = 3                   // wrong codes a day, of its own allowance
	deviceSends    = 3                   // messages a day, of its own allowance
	deviceFailures = 10                  // wrong codes in a row, of its own allowance, that revoke it
)

// busy is how long after it was written a shard is written by one call in [Policy.busyShare].
const busy = 50 * time.Millisecond

// guessing are the limits on wrong codes.
var guessing = limit.Guessing{
	Free: 4,
	Backoff: []time.Duration{
		30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute,
		8 * time.Minute, 16 * time.Minute, 32 * time.Minute, time.Hour,
	},
	BucketSize: bucketSize, BucketDrain: bucketDrain, MaxSkew: maxSkew,
}

func (p Policy) withDefaults() Policy {
	if p.ChallengeLifetime == 0 {
		p.ChallengeLifetime = maxLifetime
	}
	if p.MaxAttempts == 0 {
		p.MaxAttempts = defaultAttempts
	}
	if p.MaxFailures == 0 {
		p.MaxFailures = defaultFailures
	}
	if p.MessagesPerDay == 0 {
		p.MessagesPerDay = defaultDaily
	}
	if p.MessagesPerHour == 0 {
		p.MessagesPerHour = min(defaultHourly, p.MessagesPerDay)
	}
	if p.PumpingBlock == 0 {
		p.PumpingBlock = defaultBlockSize
	}
	if p.PumpingRegion == 0 {
		p.PumpingRegion = defaultRegionSize
	}
	return p
}

// cooldown is the wait after the 1st, 2nd, ... message since the last success; the
// last one stays.
var cooldown = []time.Duration{
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute,
}

// deviceSendQuota are the limits on messages of a device's own allowance.
var deviceSendQuota = limit.Sending{Cooldown: cooldown, MaxSkew: maxSkew}.Plus(deviceSends)

// sendQuota are the limits on messages to a number, and on those for a user.
func (p Policy) sendQuota() limit.Sending {
	return limit.Sending{
		Hour: p.MessagesPerHour, Day: p.MessagesPerDay, Cooldown: cooldown, MaxSkew: maxSkew,
	}
}

// unverifiedSendQuota are those on messages to a number whose factor is not confirmed,
// which may be a stranger's.
func (p Policy) unverifiedSendQuota() limit.Sending {
	q := p.sendQuota()
	q.Hour, q.Day = min(q.Hour, strangerHourly), min(q.Day, strangerDaily)
	return q
}

// userShare is how many of a day's messages to a number whose factor is not confirmed can
// be for one user, so that a stranger cannot use up all of them.
var userShare = limit.Sharing{Day: userDaily, MaxSkew: maxSkew}

// blockPumping is the bucket of a block of numbers.
func (p Policy) blockPumping() limit.Pumping {
	return limit.Pumping{Size: p.PumpingBlock, Shards: 1, MaxSkew: maxSkew}
}

// regionPumping is that of a region.
func (p Policy) regionPumping() limit.Pumping {
	return limit.Pumping{Size: p.PumpingRegion, Shards: regionShards, MaxSkew: maxSkew}
}

// busyShare is for how many calls at once one is counted. What a region of 400 and more is
// counted to hold is then wrong by about a tenth: the square root of its size times the share.
func (p Policy) busyShare() int {
	return min(max(minBusyShare, p.PumpingRegion/100), maxBusyShare)
}

// steps is how many TOTP codes are valid at once.
func (p Policy) steps() int {
	if p.ExactStep {
		return 1
	}
	return 3
}

// GuessProbability is the chance, from 0 to 1, that somebody who knows only the
// password gets a confirmed factor of the type to accept a guessed code within
// the window. It is an upper bound, whatever they do in however many sessions.
// A window of 0 is one instant.
//
// It is guesses x codes valid at once x the chance of the likeliest code (RFC
// 4226 appendix A.4.2). For an app that is a code below 483648, likelier by
// 0.024 %. The guesses are the worst case: the owner logs in whenever that
// helps the guesser. A success resets the failures in a row, but not the leaky bucket,
// which admits 50 wrong codes and one more for each 14.4 hours. If the owner
// never logs in, guessing stops at MaxFailures; New validates a Policy by that
// smaller chance. Recovery codes are never disabled, so their worst case needs
// no owner. ExactStep lowers the result for an app, and a MaxFailures of 1 for
// all types but recovery codes: the first wrong code is then the last.
//
// The true chance is smaller for TypeSMS, where each challenge costs one of
// MessagesPerDay, and for TypeRecoveryCodes, where ten codes are at most ten
// logins. [Service.Unlock] empties the bucket, and a second factor has one of
// its own.
//
// Zero fields of p mean the defaults. For an unknown type, a type of
// [Config.Methods], a negative window and a Policy that New refuses it is 1.
func (p Policy) GuessProbability(factorType FactorType, window time.Duration) float64 {
	p = p.withDefaults()
	m := builtIn.of(factorType)
	if m == nil || window < 0 || p.validate() != nil {
		return 1
	}
	guesses := bucketSize + window/bucketDrain
	if p.MaxFailures == 1 && !m.traits().unguessable {
		guesses = 1 // it disables the factor, and then no login resets anything
	}
	return float64(guesses) * m.chance(p)
}

// likeliestTOTP is the chance of each code below 2^31 mod 10^6: 31 random bits are cut to
// six digits, and 2147 or 2148 of their values give the same (RFC 4226 appendix A.4.1).
const likeliestTOTP = 2148.0 / (1 << 31)

// A counter is where the wrong codes of a factor count, and what they begin. It is
// chosen once, when a call has read its records: see chooseCounter.
type counter interface {
	// shut reports whether no code is compared now: until Unlock, or for a wait.
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
	factor  *factor // whose counter it is, unless the number or the user is there
	phone   *numberLimits
	user    *user
}

// newShared chooses whose counter is the factor's. p has the limits of its
// number, nil unless they were read.
func newShared(now time.Time, f *factor, u *user, p *numberLimits, policy Policy) *shared {
	c := &shared{guesses: &f.guesses, factor: f, most: policy.MaxFailures}
	if f.traits.unguessable {
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
	if c.open { // no wait comes of it, and the factor is not written for ever
		if c.guesses.InARow < maxUnlimited {
			c.guesses.InARow++
			c.put(now, out)
		}
		return failure{inRow: c.guesses.InARow}
	}
	tell := c.guesses.Fail(now, guessing, c.most)
	c.put(now, out)
	return failure{inRow: c.guesses.InARow, disables: c.guesses.Disabled, tell: tell}
}

func (c *shared) succeed(now time.Time, out *outcome) {
	c.guesses.Succeed(now, guessing)
	c.put(now, out)
}

// clear forgets all.
func (c *shared) clear(now time.Time, out *outcome) {
	*c.guesses = limit.Failures{}
	c.put(now, out)
}

func (c *shared) put(now time.Time, out *outcome) {
	switch {
	case c.phone != nil:
		out.savePhone(now, c.phone)
	case c.user != nil:
		c.user.touch(now)
		out.put(c.user)
	default:
		c.factor.setStatus(now)
		out.put(c.factor)
	}
}

// shownWait is a wait as the caller may know it. For an unconfirmed number it may
// come of what others did, and its end to the millisecond would tell when: it ends
// with a minute of the clock. (A wait of whole minutes would tell the same to
// somebody who asks until it is one minute less.)
func (f *factor) shownWait(now time.Time, wait time.Duration) time.Duration {
	if wait == 0 || !f.countsOnNumber() {
		return wait
	}
	return now.Add(wait + time.Minute - 1).Truncate(time.Minute).Sub(now)
}

// A lane is the counter of a trusted device: its own allowance of a few wrong
// codes a day while the shared counter is shut, so that a stranger who guesses
// does not lock out the owner.
type lane struct {
	*shared
	device    *device
	user      *user
	challenge *challenge // that is answered; nil: none is made yet
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
	e := l.factor.eventOf(l.challenge, EventDeviceStolen)
	e.DeviceID = d.ID
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

// chooseCounter returns the device's lane while the shared counter is shut and the
// lane takes a guess. An unconfirmed factor has the shared counter only.
func chooseCounter(now time.Time, c *shared, d *device, u *user, ch *challenge) counter {
	disabled, wait := c.shut(now)
	if !disabled && wait == 0 || !d.takesGuess(now, u) || !c.factor.verified {
		return c
	}
	return &lane{shared: c, device: d, user: u, challenge: ch}
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
