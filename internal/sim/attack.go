package main

import (
	"context"
	"errors"
	"time"

	"github.com/authfactor/mfa"
)

// attackTally are the messages to an attacker's numbers that nobody confirms. Those to
// numbers that the attacker reads are counted apart.
type attackTally struct {
	messages int
	total    window
	blocks   map[string]*window
	regions  map[string]*window
	readable int
	confirms int // by the attacker's own numbers
}

func newAttackTally() attackTally {
	return attackTally{blocks: map[string]*window{}, regions: map[string]*window{}}
}

func (t *attackTally) add(now time.Time, region, block string) {
	t.messages++
	t.total.add(now)
	for key, in := range map[string]map[string]*window{block: t.blocks, region: t.regions} {
		if in[key] == nil {
			in[key] = new(window)
		}
		in[key].add(now)
	}
}

// most is the largest of some windows.
func most(windows map[string]*window) int {
	n := 0
	for _, w := range windows {
		n = max(n, w.most)
	}
	return n
}

// An attacker has accounts, and takes each message that the service sends. (The service
// knows no addresses, so an attacker has as many as there are requests.)
type attacker struct {
	*world
	accounts  []string
	perNumber int           // messages a day that each number is to get: 5 at most
	numbers   int           // of each block; the same are used again when all were
	open      func() bool   // whether it is the time to attack
	pause     time.Duration // between two tries for one block, at least
	perOwn    int           // messages to others that follow each own number that confirms

	next int // of the accounts
}

// newAttacker makes one that sends all that it can.
func (w *world) newAttacker(accounts int) *attacker {
	a := &attacker{
		world: w, perNumber: 5, numbers: blockSize, pause: 10 * time.Second, perOwn: 1,
		open: func() bool { return true },
	}
	for range accounts {
		a.accounts = append(a.accounts, w.newUser())
	}
	return a
}

// account gives the next one.
func (a *attacker) account() string {
	a.next++
	return a.accounts[a.next%len(a.accounts)]
}

// A pump is what an attacker does with one block.
type pump struct {
	*attacker
	region string
	deck   *deck
	filled bool // it was full once: before that, own numbers would gain nothing
	own    int  // numbers of the block that the attacker reads, and confirms one by one
	turn   int
}

// attack pumps a block from a time on.
func (a *attacker) attack(from time.Time, region, block string, own int) {
	p := &pump{attacker: a, region: region, deck: &deck{block: block}, own: own}
	a.at(from, p.step)
}

// A target is a number, and the account that has it enrolled.
type target struct {
	number, user, factor string
	sent                 int
}

// enroll has the next account enroll the number.
func (a *attacker) enroll(t *target) {
	t.user = a.account()
	enr, err := a.svc.Enroll(context.Background(), mfa.EnrollParams{
		UserID: t.user, SMS: &mfa.SMSParams{PhoneNumber: t.number},
	})
	must(err)
	t.factor = enr.Factor.ID
}

// challenge asks for a message. A wait of 0 says that it was sent.
func (a *attacker) challenge(t *target) (id string, wait time.Duration, full bool) {
	ch, err := a.svc.Challenge(context.Background(), mfa.ChallengeParams{
		FactorID: t.factor, UserID: t.user, Confirm: true,
	})
	switch {
	case errors.Is(err, mfa.ErrThrottled):
		// RetryAfter ends with a whole minute: a try in that minute may be in time.
		return "", max(retryAfter(err)-time.Minute, a.pause), errors.Is(err, mfa.ErrPumping)
	case errors.Is(err, mfa.ErrNotFound): // the account has enrolled another number
		a.enroll(t)
		return a.challenge(t)
	}
	must(err)
	return ch.ID, 0, false
}

// step sends the first message to one number more, and goes on when that is done.
func (p *pump) step() {
	if !p.open() {
		p.after(time.Minute, p.step)
		return
	}
	if p.deck.given >= p.numbers {
		p.deck.given = 0
	}
	t := &target{number: p.deck.next()}
	p.enroll(t)
	p.turn++
	if p.own > 0 && p.filled && p.turn%(p.perOwn+1) == 0 {
		p.own--
		p.confirm(t)
		return
	}
	p.first(t)
}

// first sends the first message.
func (p *pump) first(t *target) {
	_, wait, full := p.challenge(t)
	p.filled = p.filled || full
	switch {
	case wait > 0 && !full && p.numbers < blockSize: // of a number that is used again
		p.after(p.pause, p.step)
	case wait > 0:
		p.after(wait, func() { p.first(t) })
	default:
		p.counted(t)
		p.after(time.Second, p.step)
	}
}

// counted notes a message, and sends the number its others.
func (p *pump) counted(t *target) {
	t.sent++
	p.world.attack.add(p.clock.Now(), p.region, p.deck.block)
	if t.sent < p.perNumber {
		p.after(time.Minute, func() { p.more(t) })
	}
}

// more sends another message to a number, two for each account. While no bucket has room for
// it, a first message is as good.
func (p *pump) more(t *target) {
	if t.sent%2 == 0 {
		p.enroll(t)
	}
	_, wait, full := p.challenge(t)
	switch {
	case full:
	case wait > 0:
		p.after(wait, func() { p.more(t) })
	default:
		p.counted(t)
	}
}

// confirm has a number of the attacker's own confirmed, to empty the bucket.
func (p *pump) confirm(t *target) {
	id, wait, _ := p.challenge(t)
	if wait > 0 {
		p.after(wait, func() { p.confirm(t) })
		return
	}
	p.world.attack.readable++
	p.answer(t, id)
	p.after(time.Second, p.step) // with the room that it made
}

// answer types the code of the last message.
func (a *attacker) answer(t *target, challenge string) {
	_, err := a.svc.Verify(context.Background(), mfa.VerifyParams{
		ChallengeID: challenge, UserID: t.user, Code: a.code(),
	})
	must(err)
	a.world.attack.confirms++
}

// hoard has numbers of the attacker's own get all their messages of each day, without
// confirming them, until a time from which they are confirmed one after the other.
func (a *attacker) hoard(region, block string, own int, until time.Time) {
	p := &pump{attacker: a, region: region, deck: &deck{block: block}}
	var targets []*target
	for range own {
		t := &target{number: p.deck.next()}
		p.enroll(t)
		targets = append(targets, t)
		a.at(a.begin, func() { p.keep(t, until) })
	}
	p.deck.given = blockSize / 2 // of the others
	a.at(until, p.step)
	a.at(until.Add(day/4), func() { p.release(targets) })
}

// keep asks for a message to an own number whenever it gets one.
func (p *pump) keep(t *target, until time.Time) {
	if !p.clock.Now().Before(until.Add(-time.Hour)) {
		return
	}
	if t.sent%2 == 0 {
		p.enroll(t)
	}
	_, wait, _ := p.challenge(t)
	if wait == 0 {
		t.sent++
		p.world.attack.readable++
		wait = time.Minute
	}
	p.after(wait, func() { p.keep(t, until) })
}

// release confirms the hoarded numbers, each when the bucket is full again.
func (p *pump) release(targets []*target) {
	if len(targets) == 0 {
		return
	}
	id, wait, _ := p.challenge(targets[0])
	if wait > 0 {
		p.after(wait, func() { p.release(targets) })
		return
	}
	p.world.attack.readable++
	p.answer(targets[0], id)
	p.after(10*time.Minute, func() { p.release(targets[1:]) })
}

// readAll has each account confirm a number of its own, and then asks for all the messages
// that the service sends there. Each code is typed in, so that the next message is sent soon.
func (a *attacker) readAll(block string) {
	d := &deck{block: block}
	for range a.accounts {
		t := &target{number: d.next()}
		a.at(a.begin, func() { a.enroll(t); a.read(t) })
	}
}

func (a *attacker) read(t *target) {
	id, wait, _ := a.challenge(t)
	if wait > 0 {
		a.after(wait, func() { a.read(t) })
		return
	}
	a.world.attack.readable++
	a.answer(t, id)
	a.after(time.Minute, func() { a.read(t) })
}
