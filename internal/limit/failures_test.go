package limit_test

import (
	"testing"
	"time"

	"github.com/authfactor/mfa/internal/limit"
)

// The numbers of these tests are small, and other ones than the library's.
var guessing = limit.Guessing{
	Free: 2, Backoff: []time.Duration{time.Minute, 5 * time.Minute},
	BucketSize: 6, BucketDrain: 10 * time.Hour, MaxSkew: time.Hour,
}

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// failed are the failures of one moment, without the waits.
func failed(n int, at time.Time) limit.Failures {
	var f limit.Failures
	for range n {
		f.Fail(at, guessing, 0)
	}
	return f
}

func wantWait(t *testing.T, what string, got, want time.Duration) {
	t.Helper()
	if got != want {
		t.Errorf("%s: a wait of %s, want %s", what, got, want)
	}
}

// TestFailuresInARow: the first ones are free, then the waits grow, and the last one stays.
func TestFailuresInARow(t *testing.T) {
	for n, want := range []time.Duration{0, 0, 0, time.Minute, 5 * time.Minute, 5 * time.Minute} {
		wantWait(t, "at once", failed(n, start).Wait(start, guessing), want)
	}
	f := failed(3, start)
	wantWait(t, "a moment before the end", f.Wait(start.Add(time.Minute-1), guessing), 1)
	wantWait(t, "at the end", f.Wait(start.Add(time.Minute), guessing), 0)
}

// TestFailuresDisable: so many in a row, and not one less; none with 0.
func TestFailuresDisable(t *testing.T) {
	for _, disableAt := range []int{0, 1, 3} {
		var f limit.Failures
		for n := 1; n <= 4; n++ {
			f.Fail(start, guessing, disableAt)
			if want := disableAt > 0 && n >= disableAt; f.Disabled != want {
				t.Errorf("%d in a row, of %d: disabled %t", n, disableAt, f.Disabled)
			}
		}
		f.Succeed(start, guessing)
		if f.Disabled != (disableAt > 0) {
			t.Errorf("of %d: after a success disabled %t", disableAt, f.Disabled)
		}
	}
}

// TestBucket: it holds so many, whatever succeeds, and one more for each drain.
func TestBucket(t *testing.T) {
	var f limit.Failures
	for range 6 {
		wantWait(t, "while it fills", f.Wait(start, guessing), 0)
		f.Fail(start, guessing, 0)
		f.Succeed(start, guessing)
	}
	wantWait(t, "full", f.Wait(start, guessing), 10*time.Hour)
	now := start.Add(10 * time.Hour)
	wantWait(t, "a moment before the drain", f.Wait(now.Add(-1), guessing), 1)
	wantWait(t, "after the drain", f.Wait(now, guessing), 0)
	f.Fail(now, guessing, 0)
	wantWait(t, "full again", f.Wait(now, guessing), 10*time.Hour)
	if got, want := f.Lapse(), start.Add(70*time.Hour); !got.Equal(want) {
		t.Errorf("it lapses at %s, want %s", got, want)
	}
}

// TestTold: of a third and of two thirds, once each until the bucket was empty.
func TestTold(t *testing.T) {
	var f limit.Failures
	tells := func(now time.Time, n int) (told []int) {
		for i := range n {
			if f.Fail(now, guessing, 0) {
				told = append(told, i+1)
			}
		}
		return told
	}
	now := start
	if told := tells(now, 6); len(told) != 2 || told[0] != 2 || told[1] != 4 {
		t.Errorf("told at %v, want at 2 and 4", told)
	}
	now = now.Add(50 * time.Hour) // one is left
	if told := tells(now, 5); told != nil {
		t.Errorf("told again at %v, before it was empty", told)
	}
	now = now.Add(60 * time.Hour)
	if told := tells(now, 6); len(told) != 2 {
		t.Errorf("told at %v after it was empty", told)
	}
}

// TestForgive: nothing is left once the bucket has drained, and before that all.
func TestForgive(t *testing.T) {
	f := failed(3, start)
	f.Disabled = true
	before := f
	if f.Forgive(start.Add(30*time.Hour-1), guessing); f != before {
		t.Errorf("a moment before: %+v", f)
	}
	if f.Forgive(start.Add(30*time.Hour), guessing); f != (limit.Failures{}) {
		t.Errorf("at the end: %+v", f)
	}
}

// TestClockAhead: what a clock that was ahead noted begins no wait, and what comes next
// empties the bucket of that time; but once only within the time that a full one drains in.
func TestClockAhead(t *testing.T) {
	for what, next := range map[string]func(*limit.Failures, time.Time){
		"a failure":   func(f *limit.Failures, now time.Time) { f.Fail(now, guessing, 0) },
		"a success":   func(f *limit.Failures, now time.Time) { f.Succeed(now, guessing) },
		"forgiveness": func(f *limit.Failures, now time.Time) { f.Forgive(now, guessing) },
	} {
		f := failed(6, start.Add(time.Hour+1))
		wantWait(t, what+": ahead", f.Wait(start, guessing), 0)
		next(&f, start)
		if left := f.Lapse().Sub(start); left > 10*time.Hour {
			t.Errorf("after %s the bucket takes %s to drain", what, left)
		}
		f.Merge(failed(6, start.Add(2*time.Hour)))
		wantWait(t, what+": ahead again", f.Wait(start, guessing), 10*time.Hour)
		next(&f, start)
		if left := f.Lapse().Sub(start); left < 50*time.Hour {
			t.Errorf("after %s again the bucket takes %s to drain", what, left)
		}
	}
	f := failed(6, start.Add(time.Hour))
	wantWait(t, "by less than clocks may differ", f.Wait(start, guessing), 10*time.Hour)
}

// TestMergedFailures: of two counts of the same, whatever either says holds.
func TestMergedFailures(t *testing.T) {
	a, b := failed(1, start.Add(30*time.Minute)), failed(6, start)
	b.Disabled, b.Bucket.Emptied = true, start
	want := limit.Failures{
		InARow: 6, Last: a.Last, Disabled: true,
		Bucket: limit.Bucket{Empty: b.Bucket.Empty, Told: b.Bucket.Told, Emptied: start},
	}
	for _, pair := range [][2]limit.Failures{{a, b}, {b, a}} {
		got := pair[0]
		if got.Merge(pair[1]); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
}

// steps are how far the clock of a fuzz target moves.
var steps = [...]time.Duration{
	0, 1, time.Second, time.Minute, 5*time.Minute - 1, 20 * time.Minute, time.Hour,
	10 * time.Hour, 24*time.Hour - 1, 24 * time.Hour, 100 * time.Hour,
}

// FuzzFailures: whoever waits as told is never told wrong, and gives no more wrong codes
// within any time than the bucket admits, whatever succeeds meanwhile. Asking changes
// nothing, and a clock that goes back makes no wait longer than the longest.
func FuzzFailures(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 15, 0, 0, 1, 0, 0, 3, 31, 0})
	f.Add([]byte{0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 30, 0, 2, 0})
	f.Add([]byte{0, 0, 0, 30, 4, 31, 0, 0, 0, 7, 43, 0})
	f.Fuzz(func(t *testing.T, script []byte) {
		var f limit.Failures
		now, back := start, false
		var given []time.Time
		for _, b := range script[:min(len(script), 500)] {
			step := steps[int(b>>2)%len(steps)]
			before := f
			wait := f.Wait(now, guessing)
			if f != before {
				t.Fatalf("asking changed %+v to %+v", before, f)
			}
			if wait < 0 || wait > guessing.BucketDrain {
				t.Fatalf("a wait of %s", wait)
			}
			if wait > 0 && !back && (f.Wait(now.Add(wait-1), guessing) != 1 || f.Wait(now.Add(wait), guessing) != 0) {
				t.Fatalf("the wait is said to be %s, and is not: %+v", wait, f)
			}
			switch b % 4 {
			case 0:
				if wait == 0 {
					f.Fail(now, guessing, 0)
					given = append(given, now)
				}
			case 1:
				f.Succeed(now, guessing)
			case 2:
				f.Forgive(now, guessing)
			default:
				if back = back || b > 200; b > 200 {
					step = -step
				}
				now = now.Add(step)
			}
		}
		for i := range given {
			for j := i; j < len(given) && !back; j++ {
				window := given[j].Sub(given[i])
				if n, most := j-i+1, guessing.BucketSize+int(window/guessing.BucketDrain); n > most {
					t.Fatalf("%d wrong codes within %s, and the bucket admits %d", n, window, most)
				}
			}
		}
	})
}
