package explore

import (
	"flag"
	"os"
	"regexp"
	"runtime/debug"
	"slices"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	debug.SetGCPercent(800) // each run leaves a store behind, and nothing else
	os.Exit(m.Run())
}

var (
	everything = flag.Bool("explore.all", false, "explore all of it, and not only what a minute takes")
	schedule   = flag.String("schedule", "", "the schedule that TestSchedule runs")
	faultsFlag = flag.Int("f", 0, "")
	only       = flag.String("only", "", "")
)

// explored explores each group of operations.
func explored(t *testing.T, w *world, groups [][]verb, faults int) {
	t.Helper()
	began, sum, bad := time.Now(), report{}, 0
	for _, verbs := range groups {
		began := time.Now()
		rep := w.explore(verbs, faults)
		if d := time.Since(began); d > time.Second {
			t.Logf("%s + %s: %d schedules, %.1f s", verbs[0].name, verbs[len(verbs)-1].name, rep.runs, d.Seconds())
		}
		sum.runs += rep.runs
		sum.serial += rep.serial
		sum.cut += rep.cut
		sum.outcomes += rep.outcomes
		if rep.broken != nil {
			t.Error(w.program(verbs, rep.broken))
			if bad++; bad == 400 {
				break
			}
		}
	}
	t.Logf("%d groups, %d faults: %d schedules (%d one after the other), %d cut, %d outcomes, %.1f s",
		len(groups), faults, sum.runs, sum.serial, sum.cut, sum.outcomes, time.Since(began).Seconds())
}

// TestAlone runs each operation by itself, with up to two faults.
func TestAlone(t *testing.T) {
	w := newWorld()
	var groups [][]verb
	for _, v := range w.verbs() {
		groups = append(groups, []verb{v})
	}
	explored(t, w, groups, 2)
}

func pairs(verbs []verb) (groups [][]verb) {
	for i, v := range verbs {
		for _, u := range verbs[i:] {
			groups = append(groups, []verb{v, u})
		}
	}
	return groups
}

// TestPairs runs any two operations at once.
func TestPairs(t *testing.T) {
	w := newWorld()
	verbs := w.verbs()
	if *only != "" {
		verbs = slices.DeleteFunc(verbs, func(v verb) bool { return !regexp.MustCompile(*only).MatchString(v.name) })
	}
	explored(t, w, pairs(verbs), *faultsFlag)
}

func triples(verbs []verb) (groups [][]verb) {
	for i, v := range verbs {
		for j, u := range verbs[i:] {
			for _, x := range verbs[i+j:] {
				if v.who == u.who && u.who == x.who { // those of others share nothing
					groups = append(groups, []verb{v, u, x})
				}
			}
		}
	}
	return groups
}

// TestTriples runs any three operations of the core at once.
func TestTriples(t *testing.T) {
	w := newWorld()
	core := slices.DeleteFunc(w.verbs(), func(v verb) bool { return !v.core })
	explored(t, w, triples(core), *faultsFlag)
}

// TestSchedule runs one schedule again: what a breach is printed with.
func TestSchedule(t *testing.T) {
	w := newWorld()
	if *schedule == "" {
		t.Skip("no -schedule")
	}
	verbs, steps, ok := w.parse(*schedule)
	if !ok {
		t.Fatal("no such schedule")
	}
	t.Log(w.program(verbs, &breach{steps: steps}))
}

// TestOutcomesAlone shows what each operation comes to if nothing disturbs it.
func TestOutcomesAlone(t *testing.T) {
	w := newWorld()
	for _, v := range w.verbs() {
		e := &exploration{world: w, verbs: []verb{v}}
		e.each(func(r *run) bool {
			o := r.outcome()
			t.Logf("%s: %.150s; %d records; %d calls", v.name, o.told[0], len(o.state), len(r.taken))
			return true
		})
	}
}
