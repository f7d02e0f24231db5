// Package explore runs operations of the real Service at once, in every order in which their
// calls of the store and the sender can happen, with every fault that such a call can have.
//
// An operation is a coroutine that stops before each of its calls. The scheduler decides who
// goes on and how that call ends, and comes back, depth first, until it has taken every
// decision. After each run the promises of promises.go are checked.
//
// Two calls commute if neither writes what the other reads or writes. Of the orders that differ
// in such calls only, one is run: what was tried at a decision sleeps below the later ones until
// a call that does not commute with it happens (sleep sets).
package explore

import (
	"slices"
	"strconv"
	"strings"
)

// A fault is how a call ends that does not go well. As a letter it stands in the name of a
// schedule.
type fault byte

const (
	noFault      fault = 0
	failedBefore fault = 'b' // the call did nothing, and its caller is told that it failed
	failedAfter  fault = 'a' // the call did all, and its caller is told that it failed
	diedBefore   fault = 'x' // the process ended before the call
	diedAfter    fault = 'y' // the process ended after the call
)

// What a call that only reads can suffer. If the process ends there, that is as if it ended
// before the next call that writes, or returned nothing to anybody.
var readingFaults = []fault{failedBefore}

// What any other call can suffer.
var writingFaults = []fault{failedBefore, failedAfter, diedBefore, diedAfter}

// A step is one decision: whose call happens, and how it ends.
type step struct {
	who   int
	fault fault
}

func (s step) String() string {
	text := strconv.Itoa(s.who) // one digit: there are few operations
	if s.fault != noFault {
		text += string(rune(s.fault))
	}
	return text
}

// A set has members from 0 to 255.
type set [4]uint64

func (s *set) add(i int) { s[i/64] |= 1 << (i % 64) }

func (s set) meets(o set) bool {
	return s[0]&o[0]|s[1]&o[1]|s[2]&o[2]|s[3]&o[3] != 0
}

// A footprint is what a call read and wrote, each record and each list under a number.
type footprint struct{ reads, writes set }

func (f footprint) commutes(g footprint) bool {
	return !f.writes.meets(g.writes) && !f.writes.meets(g.reads) && !f.reads.meets(g.writes)
}

// A slept step was taken before at the same place. It need not be taken again until something
// happens that does not commute with it.
type slept struct {
	step
	did footprint
}

// A node is one decision of the schedule that is being explored.
type node struct {
	steps []step // what can be decided, in the order in which it is tried
	taken int    // the one of them that is being explored
	did   footprint
	sleep []slept
}

// asleep reports whether a step need not be taken.
func (n *node) asleep(s step) bool {
	return slices.ContainsFunc(n.sleep, func(z slept) bool { return z.step == s })
}

// next moves on to a step that has to be taken.
func (n *node) next() bool {
	for n.taken++; n.taken < len(n.steps); n.taken++ {
		if !n.asleep(n.steps[n.taken]) {
			return true
		}
	}
	return false
}

// An exploration is one of a few operations that begin at once.
type exploration struct {
	world  *world
	verbs  []verb
	faults int  // at most so many in a run
	serial bool // whoever has begun goes on to the end
	whole  bool // without sleep sets, to compare

	runs, cut int // schedules that were run to the end, and that were given up as known
	nodes     []node
}

// each runs every schedule and hands each run to f, which returns false to end.
func (e *exploration) each(f func(*run) bool) {
	for {
		r, ended := e.once()
		if !ended {
			e.cut++
		} else if e.runs++; !f(r) {
			return
		}
		for len(e.nodes) > 0 {
			n := &e.nodes[len(e.nodes)-1]
			n.sleep = append(n.sleep, slept{n.steps[n.taken], n.did})
			if n.next() {
				break
			}
			e.nodes = e.nodes[:len(e.nodes)-1]
		}
		if len(e.nodes) == 0 {
			return
		}
	}
}

// once runs one schedule: the decisions that were taken before, and after them the first that
// are open. It reports false if all that is left there was run before.
func (e *exploration) once() (*run, bool) {
	r := e.world.begin(e.verbs)
	var sleep []slept // below the last decision
	for depth := 0; r.goesOn(); depth++ {
		if depth == len(e.nodes) {
			n := node{steps: r.steps(e.faults-r.faults, e.serial), taken: -1, sleep: sleep}
			if !n.next() {
				r.abandon()
				return r, false
			}
			e.nodes = append(e.nodes, n)
		}
		n := &e.nodes[depth]
		taken := n.steps[n.taken]
		n.did = r.take(taken)
		sleep = nil
		for _, z := range n.sleep {
			if !e.whole && !e.serial && z.who != taken.who && z.did.commutes(n.did) {
				sleep = append(sleep, z)
			}
		}
	}
	return r, true
}

// schedule is the name of a run, which runs again by it: see replay.
func (r *run) schedule() string {
	var text strings.Builder
	for i, v := range r.verbs() {
		if i > 0 {
			text.WriteString(" + ")
		}
		text.WriteString(v.name)
	}
	text.WriteString(":")
	for _, s := range r.taken {
		text.WriteString(" " + s.String())
	}
	return text.String()
}

// parse reads what schedule gave.
func (w *world) parse(text string) (verbs []verb, steps []step, ok bool) {
	names, taken, _ := strings.Cut(text, ":")
	for name := range strings.SplitSeq(names, " + ") {
		v, known := w.verbNamed(strings.TrimSpace(name))
		if !known {
			return nil, nil, false
		}
		verbs = append(verbs, v)
	}
	for word := range strings.FieldsSeq(taken) {
		s := step{who: int(word[0]) - '0'}
		if len(word) > 1 {
			s.fault = fault(word[1])
		}
		if s.who < 0 || s.who >= len(verbs) || len(word) > 2 {
			return nil, nil, false
		}
		steps = append(steps, s)
	}
	return verbs, steps, true
}

// replay runs one schedule. It reports false if there is no such schedule.
func (w *world) replay(verbs []verb, steps []step) (*run, bool) {
	r := w.begin(verbs)
	for _, s := range steps {
		if !slices.Contains(r.steps(len(steps), false), s) {
			r.abandon()
			return r, false
		}
		r.take(s)
	}
	if r.goesOn() {
		r.abandon()
		return r, false
	}
	return r, true
}
