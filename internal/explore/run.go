package explore

import (
	"fmt"
	"iter"
	"slices"

	"github.com/authfactor/mfa"
)

// A run is a few operations that began at once, over a store of their own.
type run struct {
	world   *world
	store   *mfa.MemoryStore
	callers []*caller
	turn    *caller // who goes on; nil: calls are of nobody, and go straight through

	taken   []step
	faults  int // of these
	touched []string
	broken  string // the promise that was broken at some moment; "" for none
}

// A caller is an operation that goes on from call to call.
type caller struct {
	verb verb
	asks *call // what it is about to do; nil: it has returned or died
	dead bool

	on    *coroutine // nil: it has returned or died
	draws draws

	told   string // what it returned
	err    error
	panics string // "" for none
	events []mfa.Event
	writes int      // calls of it that changed something
	sent   []string // numbers that it had messages sent to

	sending bool // its message is on its way, or was
}

// A coroutine runs one operation after the other, each up to its next call at a time. (One for
// each operation would do, but the race detector keeps some memory of each that ends.)
type coroutine struct {
	do     func()           // the operation
	yield  func(*call) bool // stops it before a call, or with nil after its end
	resume func() (*call, bool)
	stop   func()
}

// idle is a coroutine without an operation.
func (w *world) idle() *coroutine {
	if n := len(w.idlers); n > 0 {
		c := w.idlers[n-1]
		w.idlers = w.idlers[:n-1]
		return c
	}
	c := new(coroutine)
	c.resume, c.stop = iter.Pull(func(yield func(*call) bool) {
		c.yield = yield
		for goesOn := true; goesOn; goesOn = yield(nil) {
			c.do()
		}
	})
	return c
}

// close ends the coroutines of a world in which nothing runs.
func (w *world) close() {
	for _, c := range w.idlers {
		c.stop()
	}
	w.idlers = nil
}

// begin starts operations. Each stops before its first call.
func (w *world) begin(verbs []verb) *run {
	r := &run{world: w, store: w.store(verbs)}
	w.run = r
	for i, v := range verbs {
		c := &caller{verb: v, on: w.idle(), draws: draws{seed: uint64(i) + 1}}
		c.on.do = func() {
			defer func() {
				if p := recover(); p != nil && !c.dead {
					c.panics = fmt.Sprint(p)
				}
			}()
			c.told, c.err = v.do(w.ctx, w)
		}
		r.callers = append(r.callers, c)
		r.goOn(c)
	}
	return r
}

// goOn lets a caller run to its next call.
func (r *run) goOn(c *caller) {
	r.turn = c
	c.asks, _ = c.on.resume()
	r.turn = nil
	if c.asks == nil {
		r.world.idlers = append(r.world.idlers, c.on)
		c.on = nil
		return
	}
	c.sending = c.sending || c.asks.method == "Send"
}

func (r *run) goesOn() bool {
	return slices.ContainsFunc(r.callers, func(c *caller) bool { return c.asks != nil })
}

func (r *run) verbs() []verb {
	var verbs []verb
	for _, c := range r.callers {
		verbs = append(verbs, c.verb)
	}
	return verbs
}

// steps are what can be decided, in the order in which it is tried: whoever went on last first,
// and calls that go well before those that do not.
func (r *run) steps(faults int, serial bool) []step {
	var who []int
	last := -1
	if len(r.taken) > 0 {
		last = r.taken[len(r.taken)-1].who
		if r.callers[last].asks != nil {
			who = append(who, last)
		}
	}
	// A message takes its time, and its challenge is cancelled after it if it was not taken.
	busy := serial && len(who) > 0 && !r.callers[last].sending
	for i, c := range r.callers {
		if i != last && c.asks != nil && !busy {
			who = append(who, i)
		}
	}
	var steps []step
	for _, i := range who {
		steps = append(steps, step{who: i})
	}
	if faults > 0 {
		for _, i := range who {
			for _, f := range r.callers[i].asks.faults {
				steps = append(steps, step{i, f})
			}
		}
	}
	return steps
}

// take lets one call happen, and returns what it read and wrote.
func (r *run) take(s step) footprint {
	c := r.callers[s.who]
	k := c.asks
	k.fault = s.fault
	r.taken = append(r.taken, s)
	if s.fault != noFault {
		r.faults++
	}
	written := c.writes
	r.goOn(c)
	if c.writes > written && r.broken == "" {
		r.broken = r.atThisMoment()
	}
	if r.world.trace != nil {
		r.world.trace(s.who, k)
	}
	return k.did
}

// abandon ends all operations where they are.
func (r *run) abandon() {
	for _, c := range r.callers {
		if c.asks != nil {
			c.asks.fault = diedBefore
			r.goOn(c)
		}
	}
}

// draws is the randomness of one caller: always the same after each call.
type draws struct{ seed, n uint64 }

// fill is SplitMix64, by Sebastiano Vigna. Nothing here is a secret.
func (d *draws) fill(p []byte) {
	for len(p) > 0 {
		d.n++
		z := d.seed<<32 + d.n*0x9e3779b97f4a7c15
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		z ^= z >> 31
		for i := 0; i < 8 && len(p) > 0; i++ {
			p[0] = byte(z >> (8 * i))
			p = p[1:]
		}
	}
}

// Read is crypto/rand.Reader while a world is explored.
func (w *world) Read(p []byte) (int, error) {
	if w.run != nil && w.run.turn != nil {
		w.run.turn.draws.fill(p)
	} else {
		w.draws.fill(p)
	}
	return len(p), nil
}
