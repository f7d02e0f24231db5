package attacks_test

import (
	"slices"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfatest"
)

// The rules of docs/design.md a second time, told as a history of what happened and
// not as counters, for FuzzSequence to hold the service against.
type modelFactor struct {
	id, owner, secret string // no secret: SMS
	own               history
	number, user      *history // nil where there is none
	enrolled, success time.Time
	verified, gone    bool
	lastStep          int64
}

type modelChallenge struct {
	id, code string // code: of an SMS challenge
	factor   *modelFactor
	created  time.Time
	wrong    int
	verified bool
}

// A history is of a factor, a number or a user.
type history struct {
	row, ever, sent []time.Time // wrong codes since the last right one and since Unlock; messages
	since           time.Time   // messages up to then do not lengthen the cool-down
	forgiven        time.Time   // the latest message, if its code confirmed the number
	disabled        bool

	shares map[string][]time.Time // of a number's messages those before it was confirmed, by user
}

func (f *modelFactor) lapsed(now time.Time) bool {
	return !f.verified && now.Sub(f.enrolled) >= 24*time.Hour
}

// guessed is the history that the factor's wrong codes belong to.
func (f *modelFactor) guessed(now time.Time) *history {
	if f.secret != "" || f.verified {
		return &f.own
	}
	if f.number.debt(now) <= 0 {
		f.number.row, f.number.ever, f.number.disabled = nil, nil, false
	}
	return f.number
}

// debt is how long the bucket takes to drain: each wrong code adds 14.4 hours.
func (h *history) debt(now time.Time) (debt time.Duration) {
	var last time.Time
	for _, t := range append(slices.Clone(h.ever), now) {
		debt, last = max(0, debt-t.Sub(last))+864*time.Minute, t
	}
	return debt - 864*time.Minute
}

// until is how long it is until a time after the nth latest; no time, no wait.
func until(now time.Time, times []time.Time, nth int, after time.Duration) time.Duration {
	if len(times) < nth || after == 0 {
		return 0
	}
	return times[len(times)-nth].Add(after).Sub(now)
}

func (h *history) guessWait(now time.Time) time.Duration {
	pause := []time.Duration{
		0, 0, 0, 0, 0, 30, 60, 120, 240, 480, 960, 1920, 3600,
	}[min(len(h.row), 12)]
	return max(0, h.debt(now)-49*864*time.Minute, until(now, h.row, 1, pause*time.Second))
}

// forget drops messages of a day ago. That is written down with each change, so it
// holds for a clock that is a little behind as well.
func (h *history) forget(now time.Time) {
	h.sent = slices.DeleteFunc(h.sent, func(t time.Time) bool { return now.Sub(t) >= 24*time.Hour })
}

func (h *history) sendWait(now, since time.Time, hour, day int) time.Duration {
	recent := history{sent: slices.Clone(h.sent)}
	recent.forget(now)
	wait := max(
		0,
		until(now, recent.sent, hour, time.Hour),
		until(now, recent.sent, day, 24*time.Hour),
	)
	n := len(recent.sent)
	if n == 0 || recent.sent[n-1].Equal(h.forgiven) {
		return wait
	}
	last := recent.sent[n-1]
	cooling := func(at time.Time) bool {
		lately := history{
			sent: slices.DeleteFunc(
				slices.Clone(recent.sent),
				func(t time.Time) bool { return !t.After(since) },
			),
		}
		lately.forget(at)
		return last.Add(
			[]time.Duration{1, 1, 2, 5, 10, 15}[min(len(lately.sent), 5)] * time.Minute,
		).After(
			at,
		)
	}
	ends := []time.Time{now} // when the cool-down may be over
	for _, t := range recent.sent {
		ends = append(ends, t.Add(24*time.Hour))
	}
	for _, minutes := range []time.Duration{1, 2, 5, 10, 15} {
		ends = append(ends, last.Add(minutes*time.Minute))
	}
	slices.SortFunc(ends, time.Time.Compare)
	for _, end := range ends {
		if !end.Before(now) && !cooling(end) {
			return max(wait, end.Sub(now))
		}
	}
	return wait
}

// challenge says which wait Challenge names, and what it answers.
func (f *modelFactor) challenge(now time.Time, confirm, hasVerified bool) (time.Duration, error) {
	wait := f.guessed(now).guessWait(now)
	switch {
	case f.gone || f.lapsed(now):
		return 0, mfa.ErrNotFound
	case !f.verified && !confirm && hasVerified:
		return 0, mfa.ErrFactorUnverified
	case f.guessed(now).disabled:
		return 0, mfa.ErrFactorDisabled
	}
	quotas := map[*history][2]int{}
	if f.secret == "" {
		if quotas[f.number] = [2]int{5, 10}; !f.verified {
			quotas[f.number] = [2]int{3, 5}
		}
		if f.user != nil {
			quotas[f.user] = [2]int{5, 10}
		}
	}
	since := map[*history]time.Time{f.number: f.success}
	for h, quota := range quotas {
		if h.since.After(since[h]) {
			since[h] = h.since
		}
		wait = max(wait, h.sendWait(now, since[h], quota[0], quota[1]))
	}
	if f.counted() {
		own := history{sent: slices.Clone(f.number.shares[f.owner])}
		own.forget(now)
		wait = max(wait, until(now, own.sent, 2, 24*time.Hour))
	}
	if wait > 0 {
		return wait, mfa.ErrThrottled
	}
	for h := range quotas {
		h.forget(now)
		h.sent, h.since, h.forgiven = append(h.sent, now), since[h], time.Time{}
	}
	if f.counted() {
		f.number.shares[f.owner] = append(f.number.shares[f.owner], now)
	}
	return 0, nil
}

// counted reports whether the factor's waits are those of a number that is not confirmed.
func (f *modelFactor) counted() bool { return f.secret == "" && !f.verified }

// told is a wait as the factor's user is told it.
func (f *modelFactor) told(now time.Time, wait time.Duration) time.Duration {
	if wait == 0 || !f.counted() {
		return wait
	}
	end := now.Add(wait).Truncate(time.Minute) // the end of a minute
	if end.Before(now.Add(wait)) {
		end = end.Add(time.Minute)
	}
	return end.Sub(now)
}

// verify says which wait Verify names, and what it answers to six digits, or to what
// is no code.
func (ch *modelChallenge) verify(now time.Time, code string, isCode bool) (time.Duration, error) {
	f, guessed := ch.factor, ch.factor.guessed(now)
	switch wait := guessed.guessWait(now); {
	case f.gone || f.lapsed(now):
		return 0, mfa.ErrNotFound
	case ch.verified:
		return 0, mfa.ErrChallengePreviouslyVerified
	case now.Sub(ch.created) >= 10*time.Minute:
		return 0, mfa.ErrChallengeExpired
	case ch.wrong >= 5:
		return 0, mfa.ErrTooManyAttempts
	case guessed.disabled:
		return 0, mfa.ErrFactorDisabled
	case wait > 0:
		return wait, mfa.ErrThrottled
	case !isCode:
		return 0, mfa.ErrInvalidCode
	}
	right := f.secret == "" && code == ch.code
	for step := now.Unix()/30 - 1; f.secret != "" && step <= now.Unix()/30+1; step++ {
		if mfatest.Code(f.secret, time.Unix(step*30, 0)) == code && step > f.lastStep {
			right, f.lastStep = true, step
		}
	}
	if !right {
		ch.wrong++
		guessed.row, guessed.ever = append(guessed.row, now), append(guessed.ever, now)
		guessed.disabled = guessed.disabled || len(guessed.row) >= 30
		if guessed.disabled {
			return 0, mfa.ErrInvalidCode
		}
		return guessed.guessWait(now), mfa.ErrInvalidCode
	}
	if f.user != nil && !(f.verified && f.secret != "") {
		f.user.forget(now)
	}
	if f.user != nil && f.secret == "" {
		f.user.since = now
	}
	if f.counted() {
		f.number.forgiven = ch.created
		if f.user != nil {
			f.user.forgiven = ch.created
		}
	}
	guessed.row, ch.verified, f.verified, f.success = nil, true, true, now
	return 0, nil
}
