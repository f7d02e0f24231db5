package limit_test

import (
	"testing"
	"time"

	"github.com/authfactor/mfa/internal/limit"
)

var pumping = limit.Pumping{Size: 8, Shards: 2, MaxSkew: time.Hour} // one drains in 6 h

// TestPumpingFills: shards hold together what the size says, in whichever it is, and one more
// when one has drained.
func TestPumpingFills(t *testing.T) {
	var one, other time.Time
	for i := range 8 {
		wantWait(t, "with room", pumping.Wait(start, one, other), 0)
		if i < 5 {
			one = pumping.Add(start, one, 1)
		} else {
			other = pumping.Add(start, other, 1)
		}
	}
	// Two drain at once: half as long as one takes.
	wantWait(t, "full", pumping.Wait(start, one, other), 3*time.Hour)
	wantWait(t, "a moment before", pumping.Wait(start.Add(3*time.Hour-1), one, other), 1)
	wantWait(t, "after it", pumping.Wait(start.Add(3*time.Hour), one, other), 0)

	one = time.Time{}
	for range 8 {
		one = pumping.Add(start, one, 1)
	}
	wantWait(t, "all in one shard", pumping.Wait(start, one), 6*time.Hour)
	if more := pumping.Add(start, one, 1); !more.Equal(one) {
		t.Errorf("one more than full drains at %v, want %v", more, one)
	}
}

// TestPumpingSmallShard: the wait is right where a shard is empty before there is room.
func TestPumpingSmallShard(t *testing.T) {
	small := start.Add(time.Hour)
	big := start.Add(44 * time.Hour) // 45 in all, and there is room at 42
	wantWait(t, "with a small one", pumping.Wait(start, big, small), 2*time.Hour)
	wantWait(t, "in any order", pumping.Wait(start, small, big), 2*time.Hour)
}

// TestPumpingRemoves: as many as are there, and never below none.
func TestPumpingRemoves(t *testing.T) {
	empty := pumping.Add(start, time.Time{}, 2)
	if got := pumping.Remove(start, empty, 1); !got.Equal(start.Add(6 * time.Hour)) {
		t.Errorf("one of two: empty at %v", got)
	}
	if got := pumping.Remove(start, empty, 3); !got.Equal(start) {
		t.Errorf("three of two: empty at %v", got)
	}
}

// TestPumpingInMilliseconds: a shard is empty at a whole millisecond, as times are stored, also
// if a message drains in a time that is none.
func TestPumpingInMilliseconds(t *testing.T) {
	p := limit.Pumping{Size: 7, Shards: 1, MaxSkew: time.Hour}
	empty := p.Add(start, time.Time{}, 1)
	if drains := empty.Sub(start); drains != 24*time.Hour/7/time.Millisecond*time.Millisecond {
		t.Errorf("one message drains in %v", drains)
	}
}

// TestPumpingClockAhead: what no clock of today can have noted is nothing, and what one can
// have is no more than full.
func TestPumpingClockAhead(t *testing.T) {
	full := start.Add(48 * time.Hour)
	wantWait(t, "ahead by less than clocks differ", pumping.Wait(start, full.Add(time.Hour)), 6*time.Hour)
	wantWait(t, "far ahead", pumping.Wait(start, full.Add(time.Hour+1)), 0)
	if got := pumping.Add(start, full.Add(time.Hour+1), 1); !got.Equal(start.Add(6 * time.Hour)) {
		t.Errorf("after far ahead it is empty at %v", got)
	}
}

// FuzzPumping: whoever waits as told is not told wrong, and within any time no more is let
// through than the size, what drains meanwhile and what was taken out.
func FuzzPumping(f *testing.F) {
	f.Add([]byte{0, 1, 0, 1, 0, 1, 0, 1, 0, 3, 9, 0, 2, 1, 0})
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 43, 0})
	f.Fuzz(func(t *testing.T, script []byte) {
		shards := make([]time.Time, 2)
		now := start
		var sent []time.Time
		removed := 0
		for _, b := range script[:min(len(script), 300)] {
			wait := pumping.Wait(now, shards...)
			if wait < 0 || wait > 6*time.Hour {
				t.Fatalf("a wait of %v", wait)
			}
			if wait > 0 && (pumping.Wait(now.Add(wait), shards...) != 0 ||
				pumping.Wait(now.Add(wait-1), shards...) == 0) {
				t.Fatalf("the wait is said to be %v, and is not: %v", wait, shards)
			}
			switch shard := int(b>>2) % 2; b % 4 {
			case 0, 1:
				if wait == 0 {
					shards[shard] = pumping.Add(now, shards[shard], 1)
					sent = append(sent, now)
				}
			case 2:
				shards[shard] = pumping.Remove(now, shards[shard], 1)
				removed++
			default:
				now = now.Add(steps[int(b>>2)%len(steps)])
			}
		}
		for i := range sent {
			for j := i; j < len(sent); j++ {
				within := sent[j].Sub(sent[i])
				if n, most := j-i+1, 8+removed+int(within/(3*time.Hour)); n > most {
					t.Fatalf("%d messages within %v, and at most %d are let through", n, within, most)
				}
			}
		}
	})
}
