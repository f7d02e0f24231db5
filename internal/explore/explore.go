package explore

import (
	"crypto/sha256"
	"fmt"
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
		b.promise = "every outcome is that of the operations one after the other, in some order"
		return b
	}
	return nil
}

// program shows a breach: what every operation did, call by call, and how to run it again.
func (w *world) program(verbs []verb, b *breach) string {
	defer w.seeded()()
	var r *run
	lines := w.listen(func() { r, _ = w.replay(verbs, b.steps) })
	var text strings.Builder
	fmt.Fprintf(&text, "broken: %s\n", b.promise)
	if b.how != "" {
		fmt.Fprintf(&text, "\t%s\n", b.how)
	}
	for i, v := range verbs {
		fmt.Fprintf(&text, "%c := %s\n", 'A'+i, v.name)
	}
	for _, line := range lines {
		text.WriteString(line + "\n")
	}
	out := r.outcome()
	for i, told := range out.told {
		fmt.Fprintf(&text, "%c returns %s\n", 'A'+i, told)
	}
	text.WriteString(w.nearest(verbs, out, r.faults))
	fmt.Fprintf(&text, "again: go test ./internal/explore -run TestSchedule -schedule '%s'\n", r.schedule())
	return text.String()
}

// nearest says how the outcome differs from the most similar one of the operations one after the
// other; "" if it is that of an order.
func (w *world) nearest(verbs []verb, out outcome, faults int) string {
	best, text := 1<<30, ""
	one := &exploration{world: w, verbs: verbs, faults: faults, serial: true}
	one.each(func(r *run) bool {
		o := r.outcome()
		var differs []string
		for i := range o.told {
			if o.told[i] != out.told[i] {
				differs = append(differs, fmt.Sprintf("\t%c returns %s", 'A'+i, o.told[i]))
			}
		}
		for _, id := range unitedKeys(o.state, out.state) {
			if a, b := o.state[id], out.state[id]; a != b {
				differs = append(differs, fmt.Sprintf("\t%s: here\n\t%q, there\n\t%q", w.called(id), b, a))
			}
		}
		if len(differs) < best {
			best, text = len(differs), ""
			if len(differs) > 0 {
				text = "one after the other, as in" + strings.TrimPrefix(r.schedule(), strings.Split(r.schedule(), ":")[0]+":") +
					", instead:\n" + strings.Join(differs, "\n") + "\n"
			}
		}
		return best > 0
	})
	return text
}

func unitedKeys(a, b map[string]string) []string {
	var keys []string
	for _, m := range []map[string]string{a, b} {
		for k := range m {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}
