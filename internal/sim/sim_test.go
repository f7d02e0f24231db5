package main

import (
	"flag"
	"testing"
)

// The program plays 30 days; go test ./internal/sim -days 30 does too.
var testDays = flag.Int("days", 3, "how many days the honest people sign up")

// played is the world of a scenario after so many days.
func played(t *testing.T, days int, c scenario) *world {
	t.Helper()
	c.days = days
	w, err := c.play(1, days)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// tenThousand are the people of one region whom the defaults must suit: half of them confirm,
// and a fifth asks for a second message.
func tenThousand(s *stage) { s.people(middle, middleBlocks, 10_000) }

func TestNobodyIsRefused(t *testing.T) {
	// The attacker's blocks have no people.
	attacked := func(s *stage) {
		const own = 5
		blocks := s.in(middle, middleBlocks)
		s.pumped(s.newAttacker(accounts), middle, blocks[:own])
		s.signUps(&crowd{
			perDay: 10_000, confirm: 0.5, again: 0.2, spread: spreadOver(blocks[own:], skew),
		})
	}
	for name, set := range map[string]func(*stage){
		"alone": tenThousand, "beside an attack": attacked,
	} {
		t.Run(name, func(t *testing.T) {
			days := *testDays
			if raceDetector && name == "alone" {
				t.Skip("beside an attack on other blocks there are as many people")
			} else if raceDetector {
				days = 1
			}
			w := played(t, days, scenario{set: set})
			if got, want := w.honest.signUps, 10_000*days; got != want {
				t.Errorf("%d people signed up, want %d", got, want)
			}
			if part := float64(w.honest.confirmed) / float64(w.honest.signUps); part < 0.47 {
				t.Errorf("%.2f of the people confirmed, want half of them", part)
			}
			if n := w.honest.refused; n != 0 {
				t.Errorf("%d people were refused", n)
			}
			if name != "alone" && w.attack.messages < 5*50*days {
				t.Errorf("the attacker got %d messages: that is no attack", w.attack.messages)
			}
		})
	}
}

func TestPeopleOfAFullBlockAreRefused(t *testing.T) {
	w := played(t, 1, scenario{set: closing(1)})
	if w.honest.refused == 0 {
		t.Error("nobody was refused in a block that an attacker filled")
	}
}

func TestMostOfABlock(t *testing.T) {
	for name, set := range map[string]func(*stage){
		"many numbers": oneBlock(0), "the same numbers": sameNumbers, "at midnight": midnights,
	} {
		t.Run(name, func(t *testing.T) {
			w := played(t, 2, scenario{set: set})
			if n := most(w.attack.blocks); n > 100 || n < 50 {
				t.Errorf("a block got %d messages within 24 hours, want 100 at most", n)
			}
		})
	}
}

func TestMostOfAnEnforcedRegion(t *testing.T) {
	w := played(t, 1, scenario{policy: enforced, set: manyBlocks(30, 5*minutely)})
	if n := most(w.attack.regions); n > 500 || n < 300 { // twice 200, or nobody attacked
		t.Errorf("a region got %d messages within 24 hours, want 500 at most", n)
	}
}

// What ten numbers were sent on ten days has drained when they are confirmed.
func TestConfirmationsAreNotSavedUp(t *testing.T) {
	w := played(t, 13, scenario{set: hoarded})
	if n := w.attack.confirms; n != 10 {
		t.Fatalf("%d numbers were confirmed, want 10", n)
	}
	if n := most(w.attack.blocks); n > 100+6*10 {
		t.Errorf("a block got %d messages within 24 hours, want 6 for each number beyond 100", n)
	}
}

func TestSameSeed(t *testing.T) {
	c := scenario{days: 1, policy: enforced, set: func(s *stage) {
		s.people(small, smallBlocks, 200)
		a := s.newAttacker(100)
		a.pause = minutely
		s.pumped(a, small, s.in(small, smallBlocks)[:5])
	}}
	row := func(seed uint64) string {
		w, err := c.play(seed, 1)
		if err != nil {
			t.Fatal(err)
		}
		return c.row(w)
	}
	if one, again := row(1), row(1); one != again {
		t.Errorf("the same seed gave\n%s\n%s", one, again)
	}
	if one, other := row(1), row(2); one == other {
		t.Errorf("another seed gave the same: %s", one)
	}
}
