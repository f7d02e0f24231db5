package explore

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A report is what came of exploring a few operations.
type report struct {
	runs     int // schedules that were run
	serial   int // of these, with the operations one after the other
	cut      int // schedules that were given up, since all that they led to had been run
	outcomes int // different ones
	broken   *breach
}

// A breach is a run that breaks a promise.
type breach struct {
	promise string
	how     string
	steps   []step
	faults  int
}

// switches is how often another operation went on.
func (b *breach) switches() int {
	n := 0
	for i := range b.steps {
		if i > 0 && b.steps[i].who != b.steps[i-1].who {
			n++
		}
	}
	return n
}

// explore runs operations in every order, with so many faults at most, and ends at the first
// breach. It then looks for one with fewer faults, and of these for the one with the fewest
// changes from one operation to another.
func (w *world) explore(verbs []verb, faults int) report {
	defer w.seeded()()
	rep := w.exploreUpTo(verbs, faults, nil)
	for few := 0; few <= faults && rep.broken != nil; few++ {
		var least *breach
		w.exploreUpTo(verbs, few, func(b *breach) {
			if least == nil || b.switches() < least.switches() {
				least = b
			}
		})
		if least != nil {
			rep.broken = least
			break
		}
	}
	return rep
}

// exploreUpTo hands each breach to all, or ends at the first if that is nil.
func (w *world) exploreUpTo(verbs []verb, faults int, all func(*breach)) (rep report) {
	clear(w.numbers)
	orders := map[[32]byte]bool{} // outcomes of some order
	one := &exploration{world: w, verbs: verbs, faults: faults, serial: true}
	one.each(func(r *run) bool {
		orders[sha256.Sum256([]byte(r.outcome().key()))] = true
		return true
	})
	e := &exploration{world: w, verbs: verbs, faults: faults}
	seen := map[[32]byte]bool{}
	e.each(func(r *run) bool {
		hash := sha256.Sum256([]byte(r.outcome().key()))
		seen[hash] = true
		b := r.breach(orders[hash])
		switch {
		case b == nil:
			return true
		case all != nil:
			all(b)
			return true
		}
		rep.broken = b
		return false
	})
	rep.runs, rep.serial, rep.cut, rep.outcomes = e.runs+one.runs, one.runs, e.cut, len(seen)
	return rep
}

// breach is what a run breaks, nil for nothing.
func (r *run) breach(ofSomeOrder bool) *breach {
	b := &breach{steps: r.taken, faults: r.faults}
	for _, p := range promises {
		if b.how = p.breaks(r); b.how != "" {
			b.promise = p.name
			return b
		}
	}
	if !ofSomeOrder && !slices.ContainsFunc(r.callers, (*caller).leftAPart) {
		b.promise = ofAnOrder
		return b
	}
	return nil
}

// ofAnOrder is the promise that the outcomes of the operations one after the other are for.
const ofAnOrder = "every outcome is that of the operations one after the other, in some order"

// show runs a schedule, and tells as a program what every operation did, call by call, what is
// broken, and how to run it again. It reports false if there is no such schedule.
func (w *world) show(verbs []verb, steps []step) (text string, keeps, ok bool) {
	defer w.seeded()()
	clear(w.numbers)
	var lines []string
	w.trace = func(who int, k *call) { lines = append(lines, w.line(who, k)) }
	r, ok := w.replay(verbs, steps)
	if w.trace = nil; !ok {
		return "", false, false
	}
	out := r.outcome()
	b := r.breach(true)
	other := w.nearest(verbs, out, r.faults)
	if b == nil && other != "" && !slices.ContainsFunc(r.callers, (*caller).leftAPart) {
		b = &breach{promise: ofAnOrder}
	}
	var program strings.Builder
	if b != nil {
		fmt.Fprintf(&program, "broken: %s\n\t%s\n", b.promise, b.how)
	}
	for i, v := range verbs {
		fmt.Fprintf(&program, "%c := %s\n", 'A'+i, v.name)
	}
	for _, line := range lines {
		program.WriteString(line + "\n")
	}
	for i, told := range out.told {
		fmt.Fprintf(&program, "%c returns %s\n", 'A'+i, told)
	}
	fmt.Fprintf(&program, "%sagain: go test ./internal/explore -run TestSchedule -schedule '%s'\n",
		other, r.schedule())
	return program.String(), b == nil, true
}

// line describes a call of an operation.
func (w *world) line(who int, k *call) string {
	var of []string
	for _, id := range k.of {
		of = append(of, w.called(id))
	}
	result := map[fault]string{
		noFault: k.result, failedBefore: "fails, and nothing happened",
		failedAfter: "fails, and it was " + k.result, diedBefore: "the process ends before it",
		diedAfter: "the process ends after it, and it was " + k.result,
	}[k.fault]
	return fmt.Sprintf("%c: %s(%s) // %s", 'A'+who, k.method, strings.Join(of, ", "), result)
}

// nearest says how an outcome differs from the most similar one of the operations one after the
// other; "" if it is that of an order.
func (w *world) nearest(verbs []verb, out outcome, faults int) string {
	best, text := 1<<30, ""
	one := &exploration{world: w, verbs: verbs, faults: faults, serial: true}
	one.each(func(r *run) bool {
		if differs := w.differences(out, r.outcome()); len(differs) < best {
			best, text = len(differs), ""
			if best > 0 {
				text = fmt.Sprintf("one after the other, as in %q, instead:\n%s\n",
					r.schedule(), strings.Join(differs, "\n"))
			}
		}
		return best > 0
	})
	return text
}

// differences lists what another outcome has instead.
func (w *world) differences(is, other outcome) (differs []string) {
	for i := range is.told {
		if other.told[i] != is.told[i] {
			differs = append(differs, fmt.Sprintf("\t%c returns %s", 'A'+i, other.told[i]))
		}
	}
	ids := slices.AppendSeq(slices.Collect(maps.Keys(is.state)), maps.Keys(other.state))
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) {
		if a, b := is.state[id], other.state[id]; a != b {
			differs = append(differs, fmt.Sprintf("\t%s: here\n\t%q, there\n\t%q", w.called(id), a, b))
		}
	}
	return differs
}
