package main

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/authfactor/mfa"
)

// A crowd are honest people of one region who sign up.
type crowd struct {
	perDay  int
	spread  *spread
	confirm float64 // the part of them who confirm their number at last
	again   float64 // the part who ask for a second message
	refused int     // how many were
}

// busy is how many of a hundred people come in each hour of a day.
var busy = [24]int{1, 1, 1, 1, 1, 1, 2, 4, 5, 6, 6, 6, 6, 6, 5, 5, 5, 6, 7, 8, 8, 5, 3, 1}

// The rest of what people do, as parts of those who confirm.
const (
	nextDay   = 0.05 // come back for it the next day
	typesLate = 0.02 // type the code when it has expired, and ask for another one
	typesOff  = 0.10 // type a wrong code before the right one
	usesFirst = 0.20 // of those with two messages: type the code of the first
)

// honestTally is what became of honest people.
type honestTally struct {
	signUps, confirmed, refused int
	messages                    int
	waits                       int // for the quotas of number and user, which are no refusals
}

// signUps has a crowd sign up, every day until the end.
func (w *world) signUps(c *crowd) {
	w.every(day, func() {
		for range c.perDay {
			w.after(timeOfDay(w.random), func() { w.signUp(c) })
		}
	})
}

// timeOfDay is when somebody comes.
func timeOfDay(random *rand.Rand) time.Duration {
	n, hour := random.IntN(100), 0
	for n >= busy[hour] {
		n -= busy[hour]
		hour++
	}
	return time.Duration(hour)*time.Hour + time.Duration(random.Int64N(int64(time.Hour)))
}

// A person signs up with a number.
type person struct {
	*world
	crowd                *crowd
	user, number, factor string
	confirms, late, off  bool
	asksAgain, usesFirst bool
	refused              bool
	tomorrow             bool // comes back for it
}

// signUp is what one of a crowd does.
func (w *world) signUp(c *crowd) {
	chance := func(p float64) bool { return w.random.Float64() < p }
	p := &person{
		world: w, crowd: c, user: w.newUser(), number: c.spread.next(w.random),
		confirms: chance(c.confirm), asksAgain: chance(c.again), tomorrow: chance(nextDay),
		late: chance(typesLate), off: chance(typesOff), usesFirst: chance(usesFirst),
	}
	w.honest.signUps++
	p.enroll()
	first, ok := p.ask(p.begin)
	if ok {
		p.begin(first)
	}
}

func (p *person) enroll() {
	enr, err := p.svc.Enroll(context.Background(), mfa.EnrollParams{
		UserID: p.user, SMS: &mfa.SMSParams{PhoneNumber: p.number},
	})
	must(err)
	p.factor = enr.Factor.ID
}

// A letter is a message that a person has.
type letter struct{ challenge, code string }

// ask asks for a message. Whoever is told to wait for a quota does, and goes on with then.
// Whoever the breaker refuses goes away.
func (p *person) ask(then func(letter)) (l letter, ok bool) {
	ch, err := p.svc.Challenge(context.Background(), mfa.ChallengeParams{
		FactorID: p.factor, UserID: p.user, Confirm: true,
	})
	switch {
	case errors.Is(err, mfa.ErrPumping):
		if !p.refused {
			p.honest.refused++
			p.crowd.refused++
		}
		p.refused = true
		return l, false
	case errors.Is(err, mfa.ErrThrottled):
		p.honest.waits++
		p.after(retryAfter(err), func() {
			if l, ok := p.ask(then); ok {
				then(l)
			}
		})
		return l, false
	case errors.Is(err, mfa.ErrNotFound): // the enrolment is a day old
		p.enroll()
		return p.ask(then)
	}
	must(err)
	p.honest.messages++
	return letter{ch.ID, p.code()}, true
}

// begin is what follows the first message.
func (p *person) begin(first letter) {
	switch {
	case p.asksAgain:
		p.after(between(p.random, time.Minute, 5*time.Minute), func() {
			if second, ok := p.ask(p.typeIn); ok {
				p.typeIn(p.choose(first, second))
			}
		})
	case p.confirms && p.tomorrow:
		p.after(between(p.random, 14*time.Hour, 30*time.Hour), func() {
			p.enroll()
			if l, ok := p.ask(p.typeIn); ok {
				p.typeIn(l)
			}
		})
	default:
		p.typeIn(first)
	}
}

// choose is which of two messages a person goes by: the first arrives late for some.
func (p *person) choose(first, second letter) letter {
	if p.usesFirst {
		return first
	}
	return second
}

// typeIn is the answer to a message, after 5 seconds to 9 minutes.
func (p *person) typeIn(l letter) {
	if !p.confirms {
		return
	}
	wait := between(p.random, 5*time.Second, 9*time.Minute)
	if p.late {
		p.late, wait = false, between(p.random, 10*time.Minute, time.Hour)
	}
	p.after(wait, func() {
		if p.off {
			p.off = false
			wrong := []byte(l.code)
			wrong[0] = '0' + (wrong[0]-'0'+1)%10
			p.verify(l, string(wrong))
			p.after(5*time.Second, func() { p.verify(l, l.code) })
			return
		}
		p.verify(l, l.code)
	})
}

// verify types a code. Whoever is too late asks for another message.
func (p *person) verify(l letter, code string) {
	_, err := p.svc.Verify(context.Background(), mfa.VerifyParams{
		ChallengeID: l.challenge, UserID: p.user, Code: code,
	})
	switch {
	case errors.Is(err, mfa.ErrChallengeExpired):
		if l, ok := p.ask(p.typeIn); ok {
			p.typeIn(l)
		}
		return
	case errors.Is(err, mfa.ErrInvalidCode):
		return
	}
	must(err)
	p.honest.confirmed++
}

// between is a time between two, short ones being more likely: their logarithms are evenly
// spread.
func between(random *rand.Rand, least, most time.Duration) time.Duration {
	return time.Duration(float64(least) * math.Pow(float64(most)/float64(least), random.Float64()))
}

func retryAfter(err error) time.Duration {
	if e, ok := errors.AsType[*mfa.Error](err); ok {
		return max(e.RetryAfter, time.Second)
	}
	return time.Second
}

// A window counts what happened within any 24 hours.
type window struct {
	times []time.Time
	most  int
}

func (w *window) add(now time.Time) {
	i := slices.IndexFunc(w.times, func(t time.Time) bool { return t.After(now.Add(-day)) })
	if i < 0 {
		i = len(w.times)
	}
	w.times = append(w.times[i:], now)
	w.most = max(w.most, len(w.times))
}
