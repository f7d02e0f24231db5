package main

import (
	"fmt"
	"time"

	"github.com/authfactor/mfa"
)

// A scenario is a world, and what is asked of it.
type scenario struct {
	name   string
	days   int // 0 for as many as the program is told
	policy mfa.Policy
	set    func(*stage)
}

// A stage is what a scenario sets up: people and attackers, over blocks of its regions.
type stage struct {
	*world
	seed   uint64
	blocks map[string][]string
}

// The regions: a large one, one in the middle, and one that has no more than 60 blocks of
// mobile numbers. The others are for attacks on many regions.
const (
	large, middle, small = "US", "NO", "SC"

	largeBlocks, middleBlocks, smallBlocks = 5000, 1600, 60
)

var others = []string{
	"AT", "BE", "CH", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GB", "GR", "HU", "IE", "IT",
	"NL", "PL", "PT", "SE",
}

// skew is that of people over the blocks of a region. With it the first of 1,600 blocks has 20
// times as many people as the mean one. More is not possible for long: at 10,000 sign-ups a
// day, 38 % of all its numbers sign up within 30 days.
const skew = 0.5

// in gives blocks of a region, the same ones to all who ask for as many.
func (s *stage) in(region string, most int) []string {
	key := fmt.Sprint(region, most)
	if s.blocks[key] == nil {
		blocks, err := blocksOf(s.seed, region, most)
		must(err)
		s.blocks[key] = blocks
	}
	return s.blocks[key]
}

// people sign up in the first blocks of a region, as the issue that asked for this has it:
// half of them confirm, and a fifth asks for a second message.
func (s *stage) people(region string, blocks, perDay int) {
	s.signUps(&crowd{
		perDay: perDay, confirm: 0.5, again: 0.2,
		spread: spreadOver(s.in(region, blocks), skew),
	})
}

// pumped has an attacker pump blocks from the beginning on.
func (s *stage) pumped(a *attacker, region string, blocks []string) {
	for _, block := range blocks {
		a.attack(s.begin, region, block, 0)
	}
}

const (
	accounts = 10_000      // of an attacker, unless the scenario says otherwise
	minutely = time.Minute // how often an attacker tries a block that is full
)

var (
	defaults = mfa.Policy{}
	enforced = mfa.Policy{PumpingRegions: true}
)

// allPeople are those of three regions: 10,000 a day of the large one, 1,000 and 100.
func allPeople(s *stage) {
	s.people(large, largeBlocks, 10_000)
	s.people(middle, middleBlocks, 1_000)
	s.people(small, smallBlocks, 100)
}

// beside has an attacker pump 20 blocks of the large region that have no honest people.
func beside(s *stage) {
	a := s.newAttacker(accounts)
	a.pause = minutely
	s.pumped(a, large, s.in(large, largeBlocks+20)[largeBlocks:])
}

func both(one, other func(*stage)) func(*stage) {
	return func(s *stage) {
		one(s)
		other(s)
	}
}

// oneBlock pumps one block, of whose numbers the attacker may read some.
func oneBlock(own int) func(*stage) {
	return func(s *stage) {
		s.newAttacker(accounts).attack(s.begin, large, s.in(large, 20)[0], own)
	}
}

// manyBlocks pumps blocks of the large region.
func manyBlocks(blocks int, pause time.Duration) func(*stage) {
	return func(s *stage) {
		a := s.newAttacker(accounts)
		a.pause = pause
		s.pumped(a, large, s.in(large, blocks))
	}
}

// manyRegions pumps 10 blocks of each of 20 regions.
func manyRegions(pause time.Duration) func(*stage) {
	return func(s *stage) {
		a := s.newAttacker(accounts)
		a.pause = pause
		for _, region := range append([]string{large}, others...) {
			s.pumped(a, region, s.in(region, 10))
		}
	}
}

// ownInRegion pumps 30 blocks of a region, and confirms numbers of the attacker's own there.
func ownInRegion(own int) func(*stage) {
	return func(s *stage) {
		a := s.newAttacker(accounts)
		a.pause, a.perOwn = 5*minutely, 2
		for _, block := range s.in(large, 30) {
			a.attack(s.begin, large, block, own/30)
		}
	}
}

// hoarded has ten numbers of the attacker's own get messages for ten days, and then confirms
// them on one day.
func hoarded(s *stage) {
	s.newAttacker(accounts).hoard(large, s.in(large, 20)[0], 10, s.begin.Add(11*day))
}

// sameNumbers has 10,000 accounts enroll the same 20 numbers of one block again and again.
func sameNumbers(s *stage) {
	a := s.newAttacker(accounts)
	a.numbers = 20
	a.attack(s.begin, large, s.in(large, 20)[0], 0)
}

// midnights attacks one block for an hour around each midnight only.
func midnights(s *stage) {
	a := s.newAttacker(accounts)
	a.open = func() bool {
		hour := s.clock.Now().Add(30 * time.Minute).Hour()
		return hour == 0
	}
	a.attack(s.begin, large, s.in(large, 20)[0], 0)
}

// closing has ten accounts keep full the blocks of people whom somebody wants to keep out.
func closing(blocks int) func(*stage) {
	return func(s *stage) {
		s.people(small, smallBlocks, 1_000)
		a := s.newAttacker(10 * blocks)
		s.pumped(a, small, s.in(small, smallBlocks)[:blocks])
	}
}

// reading has 100 accounts, each with a number of its own that it confirmed.
func reading(s *stage) {
	s.newAttacker(100).readAll(s.in(large, 20)[0])
}

var scenarios = []scenario{
	{"people alone: 10,000 a day of 5,000 blocks, 1,000 of 1,600, 100 of 60", 0, defaults, allPeople},
	{"the same people, an attack beside on 20 blocks of the first region", 0, defaults,
		both(allPeople, beside)},
	{"the same, regions enforced", 10, enforced, both(allPeople, beside)},
	{"1: 10,000 accounts, one block", 7, defaults, oneBlock(0)},
	{"2: 200 blocks of one region", 3, defaults, manyBlocks(200, minutely)},
	{"2: 30 blocks of one region, regions enforced", 3, enforced, manyBlocks(30, 5*minutely)},
	{"3: 10 blocks of each of 20 regions", 2, defaults, manyRegions(minutely)},
	{"3: the same, regions enforced", 2, enforced, manyRegions(5 * minutely)},
	{"4: one block, and 100 own numbers that confirm there", 7, defaults, oneBlock(100)},
	{"4: one block, and 1,000 own numbers that confirm there", 7, defaults, oneBlock(1000)},
	{"4: 30 blocks, 90 own numbers, regions enforced", 3, enforced, ownInRegion(90)},
	{"4: one block, 10 own numbers that get messages for 10 days and then confirm", 14, defaults,
		hoarded},
	{"5: one of 60 blocks of 1,000 people a day kept full, 10 accounts", 7, defaults, closing(1)},
	{"5: all of the 60 blocks, 600 accounts", 3, defaults, closing(smallBlocks)},
	{"6: the same 20 numbers of one block, again and again", 14, defaults, sameNumbers},
	{"7: one block, the hour around midnight only", 14, defaults, midnights},
	{"outside: 100 accounts, each reads a confirmed number", 7, defaults, reading},
}

// play lets a scenario happen.
func (c scenario) play(seed uint64, days int) (w *world, err error) {
	if c.days > 0 {
		days = c.days
	}
	regions := append([]string{large, middle, small}, others...)
	if w, err = newWorld(seed, days, c.policy, regions...); err != nil {
		return nil, err
	}
	return w, w.run(func() { c.set(&stage{w, seed, map[string][]string{}}) })
}
