package explore

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/authfactor/mfa"
)

// A promise holds after every run, whatever the order and the faults. It returns what breaks
// it, "" for nothing.
type promise struct {
	name   string
	breaks func(*run) string
}

// promises are those about one run by itself. For ofAnOrder there are others to be compared with.
var promises = []promise{
	{"no operation panics", func(r *run) string {
		for _, c := range r.callers {
			if c.panics != "" {
				return c.verb.name + ": " + c.panics
			}
		}
		return ""
	}},
	{
		"at every moment the records of a user agree, and the old or the new factor is there",
		func(r *run) string { return r.broken },
	},
	{"a code, a receipt and a token are accepted once", acceptedOnce},
	{"nothing is told that was not committed", toldCommitted},
	{"failures are never fewer than were told", failuresCounted},
	{"messages are never over the quota", messagesInQuota},
}

// atThisMoment is what is wrong between two calls; "" for nothing.
func (r *run) atThisMoment() string {
	w := r.world
	ends := map[string]bool{} // by person: whether anything may end their factors
	for _, v := range r.verbs() {
		ends[v.who] = ends[v.who] || v.ends
	}
	for who, mayEnd := range ends {
		factors, err := w.svc.Factors(w.ctx, who)
		if err != nil {
			return fmt.Sprintf("%s's factors: %v", who, err)
		}
		confirmed := 0
		for _, f := range factors {
			if f.Status != mfa.StatusUnverified && f.Type != mfa.TypeRecoveryCodes {
				confirmed++
			}
		}
		if n := w.firsts[who]; confirmed < n && !mayEnd {
			return fmt.Sprintf("%s has %d confirmed factors, and had %d", who, confirmed, n)
		}
	}
	return ""
}

func acceptedOnce(r *run) string {
	for i, c := range r.callers {
		for _, d := range r.callers[:i] {
			if c.verb.once != "" && c.verb.once == d.verb.once && c.usedUp() && d.usedUp() {
				return c.verb.once + " was accepted twice"
			}
		}
		if c.verb.never && c.accepted() && strings.HasPrefix(c.told, "true") {
			return c.verb.name + " let somebody in"
		}
	}
	return ""
}

// leftAPart reports whether an operation of several commits ended between two of them.
func (c *caller) leftAPart() bool { return c.verb.partial && !c.accepted() }

// usedUp reports whether an operation succeeded by what is good for one. (A repeated answer, and
// a user who has nothing to turn off, need not write.)
func (c *caller) usedUp() bool { return c.accepted() && c.writes > 0 }

// accepted reports whether an operation succeeded.
func (c *caller) accepted() bool { return !c.dead && c.err == nil }

func toldCommitted(r *run) string {
	for _, c := range r.callers {
		wrong := c.verb.guess != "" && errors.Is(c.err, mfa.ErrInvalidCode)
		if c.dead || c.writes > 0 || c.verb.sameKey {
			continue
		}
		if wrong || c.accepted() && c.verb.writes {
			return fmt.Sprintf("%q was told %q, and nothing was written", c.verb.name, c.outcome())
		}
	}
	return ""
}

// failuresCounted guesses once more at each factor with wrong codes that nothing cleared, an
// hour later.
func failuresCounted(r *run) string {
	told := map[string]int{}
	for _, c := range r.callers {
		if c.verb.guess != "" && errors.Is(c.err, mfa.ErrInvalidCode) {
			told[c.verb.guess]++
		}
	}
	for _, c := range r.callers {
		if c.verb.ends {
			return ""
		}
		delete(told, c.verb.clears)
	}
	w := r.world
	for id, n := range told {
		start, known := w.failures[id]
		if !known {
			continue
		}
		got, err := w.failuresOf(id)
		if err != nil {
			return fmt.Sprintf("guessing at %s: %v", w.called(id), err)
		}
		if got < start+n {
			return fmt.Sprintf("%s had %d failures, %d more were told, and %d are stored",
				w.called(id), start, n, got)
		}
	}
	return ""
}

// hourOfLocks is how long the longest temporary lock lasts.
const hourOfLocks = time.Hour

// failuresOf is how many failures in a row a factor of Ann has, in the run's store, which has one
// more after it.
func (w *world) failuresOf(factorID string) (int, error) {
	before := w.now
	w.now = w.now.Add(hourOfLocks)
	defer func() { w.now, w.heard = before, nil }()
	ch, err := w.svc.Challenge(w.ctx, mfa.ChallengeParams{FactorID: factorID, UserID: ann})
	if err != nil {
		return 0, err
	}
	counted := 0
	w.heard = func(e mfa.Event) {
		if e.Kind == mfa.EventFailed {
			counted = e.Failures - 1
		}
	}
	_, err = w.svc.Verify(w.ctx, mfa.VerifyParams{ChallengeID: ch.ID, UserID: ann, Code: notCode})
	if !errors.Is(err, mfa.ErrInvalidCode) {
		return 0, err
	}
	return counted, nil
}

// messagesInQuota: the clock stands still, and a minute passes between two messages.
func messagesInQuota(r *run) string {
	sent := map[string]int{}
	for _, c := range r.callers {
		for _, to := range c.sent {
			if sent[to]++; sent[to] > 1 {
				return "two messages within a minute"
			}
		}
	}
	return ""
}
