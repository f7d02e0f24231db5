package mfa

import (
	"fmt"
	"slices"
	"time"
)

// The limits, all of them. docs/design.md has the sources and the arithmetic.
const (
	digits     = 6
	codeSpace  = 1_000_000
	period     = 30 // seconds
	secretSize = 20 // bytes: RFC 4226 section 4 R6 recommends 160 bits

	maxStepsAhead = 20 // of an import: ten minutes

	maxLifetime     = 10 * time.Minute // NIST SP 800-63B-4 section 3.1.3.2
	defaultAttempts = 5
	defaultFailures = 30
	maxGuessChance  = 1e-4

	bucketSize  = 50
	bucketDrain = 14*time.Hour + 24*time.Minute

	maxSkew = time.Hour // what is noted further in the future is of a clock that was ahead

	maxFactors        = 10
	maxMembers        = 16 // with those that are to replace others
	maxSends          = 32 // that are remembered; a day has 10
	unverifiedLapse   = 24 * time.Hour
	keepLapsed        = 24 * time.Hour
	maxRaces          = 8
	racePause         = 4 * time.Millisecond // at most, after the first; twice that after the next
	raceWait          = time.Second
	commitTimeout     = 5 * time.Second
	voidTimeout       = 2 * time.Second
	maxText           = 64  // characters of an issuer, user or name
	maxUserID         = 255 // bytes
	maxMessageParts   = 3
	outboxSize        = 1000
	maxIdempotencyKey = 255 // bytes
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
	deviceKnown    = 90 * 24 * time.Hour // it has a lane of its own
	deviceGrace    = 30 * time.Second    // that the previous token is good
	deviceGuesses  = 3                   // wrong codes a day, in that lane
	deviceSends    = 3                   // messages a day, in that lane
	deviceFailures = 10                  // wrong codes in a row, in that lane, end it
)

// backoff is the wait after the 5th, 6th, ... consecutive failure; the last one
// stays.
var backoff = [...]time.Duration{
	30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute,
	8 * time.Minute, 16 * time.Minute, 32 * time.Minute, time.Hour,
}

const freeFailures = 4

// cooldown is the wait after the 1st, 2nd, ... message since the last success; the
// last one stays.
var cooldown = [...]time.Duration{
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute,
}

// A quota is how many messages may be sent in an hour and in a day.
type quota struct{ hour, day int }

var (
	sendQuota           = quota{hour: 5, day: 10}
	unverifiedSendQuota = quota{hour: 3, day: 5} // to a number whose factor is not confirmed
)

// userShare is how many of a day's messages to a number whose factor is not confirmed can
// be for one user, so that a stranger cannot use up all of them.
const userShare = 2

// A Policy changes what may be changed about the limits. The zero value is the
// recommended one.
type Policy struct {
	// ExactStep accepts the TOTP code of the current 30 seconds only, as a literal
	// reading of OWASP ASVS 5.0 6.5.5 asks. Defaults to false: the codes of one step
	// before and after are accepted too, for clocks that differ (RFC 6238 section 5.2).
	ExactStep bool

	// ChallengeLifetime is how long a challenge can be verified, from 1 to 10
	// minutes. Defaults to 10 minutes.
	ChallengeLifetime time.Duration

	// MaxAttempts is how many wrong codes a challenge takes, from 1 to 10.
	// Defaults to 5.
	MaxAttempts int

	// MaxFailures is how many wrong codes in a row, over all challenges, disable a
	// factor. Recovery codes are never disabled, as nobody guesses 120 bits: wrong ones
	// begin waits, which the owner can sit out. New refuses a number that gives a guesser more than one chance in
	// 10,000 while nobody logs in: at most 33, or 100 with ExactStep. Defaults to 30.
	// For the chance when the owner does log in see GuessProbability.
	MaxFailures int
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
	return p
}

func (p Policy) validate() error {
	if p.ChallengeLifetime < time.Minute || p.ChallengeLifetime > maxLifetime {
		return fmt.Errorf("%w: Policy.ChallengeLifetime is %s; it must be from 1m0s to %s", ErrConfig, p.ChallengeLifetime, maxLifetime)
	}
	if p.MaxAttempts < 1 || p.MaxAttempts > 10 {
		return fmt.Errorf("%w: Policy.MaxAttempts is %d; it must be from 1 to 10", ErrConfig, p.MaxAttempts)
	}
	if p.MaxFailures < 1 {
		return fmt.Errorf("%w: Policy.MaxFailures is %d; it must be at least 1", ErrConfig, p.MaxFailures)
	}
	// RFC 4226 section 6: the chance of a guesser is steps x tries / 10^digits.
	if chance := float64(p.steps()*p.MaxFailures) / codeSpace; chance > maxGuessChance {
		return fmt.Errorf("%w: Policy.MaxFailures is %d: with %d codes valid at once a guesser has a chance of %.2g, more than %.0g; at most %d is allowed",
			ErrConfig, p.MaxFailures, p.steps(), chance, maxGuessChance, int(maxGuessChance*codeSpace)/p.steps())
	}
	return nil
}

// steps is how many TOTP codes are valid at once.
func (p Policy) steps() int {
	if p.ExactStep {
		return 1
	}
	return 3
}

// GuessProbability is the chance, from 0 to 1, that somebody who knows the password and
// nothing else gets a confirmed factor of the type to accept a guessed code within the
// window, both its ends included, and so 0 for what can be guessed in one moment. It is a
// bound: nobody has a better chance, whatever they do in however many sessions.
//
// It is guesses x codes valid at once x the chance of the likeliest code, as RFC 4226
// appendix A.4.2 has it: each guess another code, and for an app one of those below
// 483648, which are likelier by 0.024 %. The guesses are the worst case, the owner logging
// in as often as helps: a success resets the failures in a row and so the back-off, but
// not the leaky bucket. That admits 50 wrong codes and one more for each 14.4 hours. If
// nobody logs in, guessing ends at MaxFailures for ever, and by the chance until then New
// refuses a Policy; but recovery codes are never disabled, so of them the worst case is
// reached without the owner. Of the fields, ExactStep lowers the worst case, and for the
// other types a MaxFailures of 1: then the first wrong code is the last.
//
// What it leaves out makes the true chance smaller for TypeSMS, where each challenge costs
// one of ten messages a day, and for TypeRecoveryCodes, where ten codes are at most ten
// logins. [Service.Reset] empties the bucket, and a second factor has one of its own.
//
// The zero fields of p are the defaults. An unknown type, a negative window and a Policy
// that New refuses are no assurance: the answer is 1.
func (p Policy) GuessProbability(factorType string, window time.Duration) float64 {
	p = p.withDefaults()
	m := methodOf(factorType)
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

// guesses counts the wrong codes given to a factor or, before it was confirmed,
// to its number or its user.
type guesses struct {
	failures int64     // in a row
	last     time.Time // of the wrong codes; no more than a full bucket before it is empty
	bucket   time.Time // when the leaky bucket will be empty
	disabled bool
	told     int64 // how many thirds full the owner was told that the bucket is, since it was empty

	forgotten time.Time // when forget last emptied a bucket of a clock that was ahead
}

// fail counts one wrong code. The limit is how many in a row disable, 0 for none. It says
// whether the owner is to be told how full the bucket is.
func (g *guesses) fail(now time.Time, limit int) (tell bool) {
	g.forget(now)
	g.failures++
	g.last = now
	if !g.bucket.After(now) {
		g.bucket, g.told = now, 0
	}
	g.bucket = g.bucket.Add(bucketDrain)
	g.disabled = g.disabled || limit > 0 && g.failures >= int64(limit)
	thirds := int64(3 * g.bucket.Sub(now) / (bucketSize * bucketDrain))
	tell = thirds > g.told && thirds < 3
	g.told = max(g.told, thirds)
	return tell
}

// succeed forgets the failures in a row, never those in the bucket.
func (g *guesses) succeed(now time.Time) {
	g.forget(now)
	g.failures = 0
}

// forget empties a bucket of a clock that was ahead: with what is added to it, it would
// begin a wait for times that never were. It does so once in the time that a full bucket
// takes to drain, and otherwise cuts what is above a full one: between two processes
// whose clocks differ for long, each call would empty it for the next. So whoever
// guesses has one bucket more by it, and no more failures in a row.
func (g *guesses) forget(now time.Time) {
	if !g.ahead(now) {
		return
	}
	g.last = time.Time{}
	if g.mayForget(now) {
		g.bucket, g.told, g.forgotten = time.Time{}, 0, now
	} else if full := now.Add((bucketSize - 1) * bucketDrain); g.bucket.After(full) {
		g.bucket = full
	}
}

func (g *guesses) mayForget(now time.Time) bool {
	return !g.forgotten.After(now.Add(-bucketSize * bucketDrain))
}

// forgive forgets wrong codes of a number or a user once the bucket has drained: guessing
// must not keep a number from being enrolled for ever.
func (g *guesses) forgive(now time.Time) {
	g.forget(now)
	if !g.bucket.After(now) {
		*g = guesses{forgotten: g.forgotten}
	}
}

// ahead reports whether a clock that was ahead noted the last wrong code.
func (g *guesses) ahead(now time.Time) bool { return g.last.After(now.Add(maxSkew)) }

// wait is how long no code is compared, 0 for not at all. What a clock that was ahead
// noted begins no wait that would not end before that time comes.
func (g *guesses) wait(now time.Time) time.Duration {
	if g.ahead(now) && g.mayForget(now) {
		return 0
	}
	var wait time.Duration
	if n := g.failures - freeFailures; n > 0 && !g.ahead(now) {
		pause := backoff[min(n, int64(len(backoff)))-1]
		wait = min(g.last.Add(pause).Sub(now), pause)
	}
	full := g.bucket.Sub(now.Add((bucketSize - 1) * bucketDrain))
	return max(wait, min(full, bucketDrain), 0)
}

// sends are the messages of the last 24 hours to a number or a user, oldest first.
type sends struct {
	times    []time.Time
	since    time.Time // the last success: sends before it do not lengthen the cool-down
	forgiven time.Time // the send whose code confirmed the number: no cool-down follows it
}

// wait is how long no message may be sent, 0 for not at all.
func (s *sends) wait(now time.Time, q quota) time.Duration {
	s.forget(now)
	var wait time.Duration
	level := 0
	for _, t := range s.times {
		if t.After(s.since) {
			level++
		}
	}
	if n := len(s.times); n > 0 && !s.times[n-1].Equal(s.forgiven) {
		pause := cooldown[min(max(level, 1), len(cooldown))-1]
		wait = min(s.times[n-1].Add(pause).Sub(now), pause)
	}
	return max(wait, s.full(now, q))
}

// full is the part of wait that the quota makes, the cool-down aside.
func (s *sends) full(now time.Time, q quota) time.Duration {
	s.forget(now)
	var wait time.Duration
	n := len(s.times)
	if n >= q.hour {
		wait = max(wait, min(s.times[n-q.hour].Add(time.Hour).Sub(now), time.Hour))
	}
	if n >= q.day {
		wait = max(wait, min(s.times[n-q.day].Add(24*time.Hour).Sub(now), 24*time.Hour))
	}
	return max(wait, 0)
}

// inDay is how many there were in the last 24 hours.
func (s *sends) inDay(now time.Time) int {
	s.forget(now)
	return len(s.times)
}

// charge counts one message; it is never refunded.
func (s *sends) charge(now time.Time) {
	s.forget(now)
	s.times, s.forgiven = append(s.times, now), time.Time{}
}

// forget drops what is older than a day, and what a clock that was ahead noted.
func (s *sends) forget(now time.Time) {
	if s.since.After(now.Add(maxSkew)) {
		s.since = time.Time{}
	}
	s.times = slices.DeleteFunc(s.times, func(t time.Time) bool { return dayOver(t, now) })
}

// dayOver says whether a message no longer counts: a day later, and where a clock that
// was ahead noted it.
func dayOver(t, now time.Time) bool {
	return !t.Add(24*time.Hour).After(now) || t.After(now.Add(maxSkew))
}

// lapse is when the last of the sends is forgotten.
func (s *sends) lapse() time.Time {
	if len(s.times) == 0 {
		return time.Time{}
	}
	return s.times[len(s.times)-1].Add(24 * time.Hour)
}
