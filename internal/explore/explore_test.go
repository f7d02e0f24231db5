package explore

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authfactor/mfa"
)

var (
	form = flag.String("explore.form", "quick", "quick: what a minute takes; "+
		"gate: all pairs with two faults, and triples without; long: both with three")
	part = flag.String("explore.part", "1/1",
		"which part of the groups to explore: 1/2 and 2/2 are two processes that share the work")
	schedule = flag.String("schedule", "", "the schedule that TestSchedule runs")
)

func TestMain(m *testing.M) {
	debug.SetGCPercent(400) // each run leaves a store behind, and nothing else
	os.Exit(m.Run())
}

// open makes a world for a test.
func open(tb testing.TB) *world {
	tb.Helper()
	w := newWorld()
	tb.Cleanup(w.close)
	return w
}

// TestAlone runs each operation by itself, with up to two faults.
func TestAlone(t *testing.T) {
	w := open(t)
	var groups [][]verb
	for _, v := range w.verbs() {
		groups = append(groups, []verb{v})
	}
	w.mustKeep(t, groups, 2)
}

// TestPairs runs any two operations at once, with up to two faults. In the quick form it runs,
// without faults, those of one person and the core's of two, and with one fault the first of the
// core.
func TestPairs(t *testing.T) {
	w := open(t)
	switch *form {
	case "long":
		w.mustKeep(t, pairs(w.verbs()), 3)
	case "gate":
		w.mustKeep(t, pairs(w.verbs()), 2)
	case "quick":
		quick := slices.DeleteFunc(pairs(w.verbs()), func(p []verb) bool {
			return p[0].slow || p[1].slow || p[0].who != p[1].who && !(p[0].core && p[1].core)
		})
		w.mustKeep(t, quick, 0)
		w.mustKeep(t, pairs(core(w.verbs())[:7]), 1)
	default:
		t.Fatalf("-explore.form is %q", *form)
	}
}

// TestTriples runs any three operations of the core at once, and in the quick form the first of
// them. In the long form they have up to three faults, and any three of one person run without.
func TestTriples(t *testing.T) {
	w := open(t)
	switch verbs := core(w.verbs()); *form {
	case "long":
		w.mustKeep(t, triples(verbs), 3)
		w.mustKeep(t, triples(w.verbs()), 0)
	case "gate":
		w.mustKeep(t, triples(verbs), 0)
	default:
		w.mustKeep(t, triples(verbs[:4]), 0)
	}
}

func core(verbs []verb) []verb {
	return slices.DeleteFunc(slices.Clone(verbs), func(v verb) bool { return !v.core })
}

func pairs(verbs []verb) (groups [][]verb) {
	for i, v := range verbs {
		for _, u := range verbs[i:] {
			groups = append(groups, []verb{v, u})
		}
	}
	return groups
}

// triples leaves out those of several people, whose records are others.
func triples(verbs []verb) (groups [][]verb) {
	for i, v := range verbs {
		for j, u := range verbs[i:] {
			for _, x := range verbs[i+j:] {
				if v.who == u.who && u.who == x.who {
					groups = append(groups, []verb{v, u, x})
				}
			}
		}
	}
	return groups
}

// mustKeep explores groups of operations, and shows the first schedules that break a promise.
func (w *world) mustKeep(t *testing.T, groups [][]verb, faults int) {
	t.Helper()
	var k, n int
	if _, err := fmt.Sscanf(*part, "%d/%d", &k, &n); err != nil || n < 1 {
		t.Fatalf("-explore.part is %q", *part)
	}
	began, sum, broken, explored := time.Now(), report{}, 0, 0
	for i, verbs := range groups {
		if i%n != k-1 {
			continue
		}
		explored++
		rep := w.explore(verbs, faults)
		sum.runs += rep.runs
		sum.serial += rep.serial
		sum.cut += rep.cut
		sum.outcomes += rep.outcomes
		if *form != "quick" {
			var names []string
			for _, v := range verbs {
				names = append(names, v.name)
			}
			t.Logf("%s: %d schedules", strings.Join(names, " + "), rep.runs)
		}
		if rep.broken == nil {
			continue
		}
		text, _, _ := w.show(verbs, rep.broken.steps)
		t.Error(text)
		if broken++; broken == 3 {
			break
		}
	}
	t.Logf("%d groups with up to %d faults: %d schedules, of them %d one after the other, "+
		"and %d cut short; %d outcomes; %.1f s",
		explored, faults, sum.runs, sum.serial, sum.cut, sum.outcomes, time.Since(began).Seconds())
}

// TestSleepSets: what is left out, as it differs only in calls that commute, changes no outcome.
func TestSleepSets(t *testing.T) {
	w := open(t)
	left, all := 0, 0
	for _, verbs := range pairs(core(w.verbs())[:3]) {
		reduced, whole := w.outcomes(verbs, 1, false), w.outcomes(verbs, 1, true)
		if a, b := keysOf(reduced), keysOf(whole); !slices.Equal(a, b) {
			t.Errorf("%s + %s: %d outcomes, and %d without sleep sets",
				verbs[0].name, verbs[1].name, len(a), len(b))
		}
		left += sum(reduced)
		all += sum(whole)
	}
	t.Logf("%d of %d schedules are left", left, all)
	if left > all*2/3 {
		t.Errorf("%d of %d schedules are left", left, all)
	}
}

// outcomes counts the runs that come to each outcome.
func (w *world) outcomes(verbs []verb, faults int, whole bool) map[string]int {
	defer w.seeded()()
	clear(w.numbers)
	found := map[string]int{}
	e := &exploration{world: w, verbs: verbs, faults: faults, whole: whole}
	e.each(func(r *run) bool {
		found[r.outcome().key()]++
		return true
	})
	return found
}

func keysOf(m map[string]int) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func sum(m map[string]int) (n int) {
	for _, v := range m {
		n += v
	}
	return n
}

// TestEveryVerbSucceeds: no operation is refused if nothing disturbs it, unless it is meant to be.
func TestEveryVerbSucceeds(t *testing.T) {
	w := open(t)
	defer w.seeded()()
	for _, v := range w.verbs() {
		e := &exploration{world: w, verbs: []verb{v}}
		e.each(func(r *run) bool {
			c := r.callers[0]
			wrong := strings.Contains(v.name, "wrong") || strings.Contains(v.name, "replayed")
			if wrong != errors.Is(c.err, mfa.ErrInvalidCode) || !wrong && c.err != nil {
				t.Errorf("%s: %v", v.name, c.err)
			}
			return true
		})
	}
}

// TestSchedulesRunAgain: a schedule that is named comes to the same outcome again, in a world of
// its own.
func TestSchedulesRunAgain(t *testing.T) {
	w, again := open(t), open(t)
	for _, verbs := range pairs(core(w.verbs())[:3]) {
		e := &exploration{world: w, verbs: verbs, faults: 1}
		restore := w.seeded()
		var names, keys []string
		e.each(func(r *run) bool {
			names, keys = append(names, r.schedule()), append(keys, r.outcome().key())
			return true
		})
		restore()
		restore = again.seeded()
		for i, name := range names {
			verbs, steps, ok := again.parse(name)
			if !ok {
				t.Fatalf("%q is not understood", name)
			}
			if r, ok := again.replay(verbs, steps); !ok || r.outcome().key() != keys[i] {
				t.Fatalf("%q comes to something else", name)
			}
		}
		restore()
	}
}

// TestTornSaves shows that promises can be broken: a store that writes half of a Save breaks them,
// and the schedule that is shown does so again.
func TestTornSaves(t *testing.T) {
	w := open(t)
	w.torn = true
	v, _ := w.verbNamed("verify")
	u, _ := w.verbNamed("verify elsewhere")
	rep := w.explore([]verb{v, u}, 1)
	if rep.broken == nil || rep.broken.faults != 0 {
		t.Fatalf("%+v", rep.broken)
	}
	shown, _, _ := w.show([]verb{v, u}, rep.broken.steps)
	_, command, ok := strings.Cut(shown, "-schedule '")
	if !ok || !strings.Contains(shown, "accepted twice") {
		t.Fatal(shown)
	}
	verbs, steps, ok := w.parse(strings.TrimSuffix(strings.TrimSpace(command), "'"))
	if !ok {
		t.Fatal(command)
	}
	if again, keeps, ok := w.show(verbs, steps); !ok || keeps || again != shown {
		t.Errorf("run again: %s", again)
	}
}

// TestVersionsBeginAnew shows a limit that is known, and why the records of a world are at version
// 2: the record of a user whom Forget erased begins at version 1 again with the next enrolment,
// and whoever had read the old one at that version writes over it. (Forget requires that no other
// call for the user is running.)
func TestVersionsBeginAnew(t *testing.T) {
	w := open(t)
	w.fresh = true
	enroll, _ := w.verbNamed("enroll a key")
	forget, _ := w.verbNamed("forget")
	if rep := w.explore([]verb{enroll, forget}, 0); rep.broken != nil {
		t.Error("two operations are enough")
	}
	rep := w.explore([]verb{enroll, enroll, forget}, 0)
	if rep.broken == nil || !strings.Contains(rep.broken.how, "does not list it") {
		t.Errorf("%+v: if this was mended, a world needs no second version", rep.broken)
	}
}

// TestSchedule runs one schedule again, as a breach is shown with it.
func TestSchedule(t *testing.T) {
	if *schedule == "" {
		t.Skip("-schedule names one")
	}
	w := open(t)
	verbs, steps, ok := w.parse(*schedule)
	if !ok {
		t.Fatalf("%q names no schedule", *schedule)
	}
	text, keeps, ok := w.show(verbs, steps)
	switch {
	case !ok:
		t.Fatal("the operations do not make these calls, or not all of theirs")
	case !keeps:
		t.Error(text)
	default:
		t.Log("every promise is kept:\n" + text)
	}
}

// FuzzSchedule: whatever is given as a schedule is run or refused.
func FuzzSchedule(f *testing.F) {
	w := open(f)
	for _, text := range []string{
		"", ":", "verify", "verify: 0 0", "verify + unenroll: 0 1 1b", "verify: 00", "verify: 0z 9",
		"verify + verify + verify wrong: 0 1 2 0a 1y 2x", "unlock + unlock:0 0 1 1 1 1",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		verbs, steps, ok := w.parse(text)
		if !ok || len(verbs) > 9 || len(steps) > 1000 {
			return
		}
		defer w.seeded()()
		if r, ok := w.replay(verbs, steps); ok {
			if again, ok := w.replay(verbs, steps); !ok || again.outcome().key() != r.outcome().key() {
				t.Errorf("%q comes to something else", text)
			}
		}
	})
}
