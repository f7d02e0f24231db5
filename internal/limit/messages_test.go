package limit_test

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/authfactor/mfa/internal/limit"
)

var (
	sending = limit.Sending{Hour: 3, Day: 5, Cooldown: []time.Duration{time.Minute, 5 * time.Minute}, MaxSkew: time.Hour}
	sharing = limit.Sharing{Day: 2, MaxSkew: time.Hour}
)

// TestCooldown: it grows with each message since the last success, the last one stays, and
// the message that confirmed the number begins none.
func TestCooldown(t *testing.T) {
	more, now := sending.Plus(100), start
	var m limit.Messages
	for _, want := range []time.Duration{time.Minute, 5 * time.Minute, 5 * time.Minute} {
		m.Charge(now, more)
		wantWait(t, "in a row", m.Wait(now, more), want)
		now = now.Add(want)
		wantWait(t, "a moment before the end", m.Wait(now.Add(-1), more), 1)
		wantWait(t, "at the end", m.Wait(now, more), 0)
	}
	m.Since = now
	m.Charge(now.Add(time.Second), more)
	wantWait(t, "after a success", m.Wait(now.Add(time.Second), more), time.Minute)
	m.Forgiven = now.Add(time.Second)
	wantWait(t, "after the message that confirms", m.Wait(now.Add(time.Second), more), 0)
	m.Charge(now.Add(2*time.Second), more)
	wantWait(t, "after one more", m.Wait(now.Add(2*time.Second), more), 5*time.Minute)
}

// TestCooldownOfForgotten: a message of a day ago does not lengthen the cool-down from the
// moment on when it is forgotten, which may be within the cool-down.
func TestCooldownOfForgotten(t *testing.T) {
	more, now := sending.Plus(100), start.Add(24*time.Hour-2*time.Minute)
	var m limit.Messages
	m.Charge(start, more)
	m.Charge(now, more)
	wantWait(t, "until the first is forgotten", m.Wait(now, more), 2*time.Minute)
	wantWait(t, "a moment before", m.Wait(now.Add(2*time.Minute-1), more), 1)
	wantWait(t, "then", m.Wait(now.Add(2*time.Minute), more), 0)
	m.Charge(now.Add(90*time.Second), more)
	wantWait(t, "with one more that stays", m.Wait(now.Add(90*time.Second), more), 5*time.Minute)
}

// TestQuota: so many an hour and a day, and no more; and Plus is so many more.
func TestQuota(t *testing.T) {
	var m limit.Messages
	at := func(minute int) time.Time { return start.Add(time.Duration(minute) * time.Minute) }
	for _, minute := range []int{0, 10, 20} {
		wantWait(t, "within the hour", m.QuotaWait(at(minute), sending), 0)
		m.Charge(at(minute), sending)
	}
	wantWait(t, "an hour's", m.QuotaWait(at(20), sending), 40*time.Minute)
	wantWait(t, "an hour's, with the cool-down", m.Wait(at(20), sending), 40*time.Minute)
	wantWait(t, "of one more", m.QuotaWait(at(20), sending.Plus(1)), 0)
	wantWait(t, "a moment before the hour is over", m.QuotaWait(at(60).Add(-1), sending), 1)
	wantWait(t, "after the hour", m.QuotaWait(at(60), sending), 0)
	m.Charge(at(60), sending)
	m.Charge(at(120), sending)
	wantWait(t, "a day's", m.QuotaWait(at(240), sending), 20*time.Hour)
	wantWait(t, "a day's of one more", m.QuotaWait(at(240), sending.Plus(1)), 0)
	wantWait(t, "after the day", m.QuotaWait(at(24*60), sending), 0)
	if got, want := m.Lapse(), at(26*60); !got.Equal(want) {
		t.Errorf("they lapse at %s, want %s", got, want)
	}
	if got := (limit.Messages{}).Lapse(); !got.IsZero() {
		t.Errorf("none lapse at %s", got)
	}
}

// TestMessagesAreForgotten: those of a day ago, and what a clock that was ahead noted.
func TestMessagesAreForgotten(t *testing.T) {
	now := start.Add(30 * time.Hour)
	m := limit.Messages{
		Times: limit.Day{now.Add(-24 * time.Hour), now.Add(-24*time.Hour + 1), now.Add(time.Hour), now.Add(time.Hour + 1)},
		Since: now.Add(time.Hour + 1),
	}
	m.Forget(now, sending.MaxSkew)
	want := limit.Messages{Times: limit.Day{now.Add(-24*time.Hour + 1), now.Add(time.Hour)}}
	if !reflect.DeepEqual(m, want) {
		t.Errorf("%+v, want %+v", m, want)
	}
}

// TestMergedMessages: those of both, in order, of too many the last.
func TestMergedMessages(t *testing.T) {
	at := func(hour int) time.Time { return start.Add(time.Duration(hour) * time.Hour) }
	m := limit.Messages{Times: limit.Day{at(1), at(4)}, Since: at(1)}
	m.Merge(limit.Messages{Times: limit.Day{at(0), at(2), at(3)}, Since: at(3), Forgiven: at(2)}, 4)
	want := limit.Messages{Times: limit.Day{at(1), at(2), at(3), at(4)}, Since: at(3), Forgiven: at(2)}
	if !reflect.DeepEqual(m, want) {
		t.Errorf("%+v, want %+v", m, want)
	}
}

// TestDay: it counts what happened in the last 24 hours, and forgets the rest when
// something is added.
func TestDay(t *testing.T) {
	var d limit.Day
	for i, hour := range []int{0, 1, 23} {
		now := start.Add(time.Duration(hour) * time.Hour)
		d.Add(now, time.Hour)
		if n := d.Count(now, time.Hour); n != i+1 {
			t.Errorf("%d after %d were added", n, i+1)
		}
	}
	now := start.Add(24 * time.Hour)
	if n := d.Count(now, time.Hour); n != 2 || len(d) != 3 {
		t.Errorf("%d count a day later, and %d are kept", n, len(d))
	}
	if d.Add(now, time.Hour); len(d) != 3 {
		t.Errorf("%d are kept", len(d))
	}
	if n := d.Count(start.Add(-time.Hour), time.Hour); n != 0 {
		t.Errorf("%d of a clock that was ahead count", n)
	}
}

// TestShares: each user has so many a day under all names, and takes nobody else's.
func TestShares(t *testing.T) {
	var s limit.Shares
	s.Charge(start, "ann", sharing)
	s.Charge(start.Add(time.Hour), "ann of before", sharing)
	now := start.Add(2 * time.Hour)
	ann, bob := []string{"ann", "ann of before"}, []string{"bob"}
	wantWait(t, "of ann", s.Wait(now, ann, sharing), 22*time.Hour)
	wantWait(t, "of bob", s.Wait(now, bob, sharing), 0)
	wantWait(t, "of one name", s.Wait(now, ann[:1], sharing), 0)
	wantWait(t, "a day later", s.Wait(start.Add(24*time.Hour), ann, sharing), 0)
	wantWait(t, "of a clock that was ahead", s.Wait(start.Add(-time.Hour), ann, sharing), 0)
	if s.Charge(start.Add(24*time.Hour), "bob", sharing); len(s) != 2 || s[1].User != "bob" {
		t.Errorf("%+v are kept", s)
	}
}

// TestSharesOfADay: a message counts for 24 hours, and not where a clock noted it that was far
// ahead.
func TestSharesOfADay(t *testing.T) {
	var s limit.Shares
	s.Charge(start, "ann", sharing)
	s.Charge(start.Add(time.Hour), "bob", sharing)
	for after, want := range map[time.Duration]int{
		-2 * time.Hour: 0, 24*time.Hour - 1: 2, 24 * time.Hour: 1, 25 * time.Hour: 0,
	} {
		if n := s.Count(start.Add(after), sharing); n != want {
			t.Errorf("%d count after %v, want %d", n, after, want)
		}
	}
}

// TestMergedShares: those of both, in order, of too many the last.
func TestMergedShares(t *testing.T) {
	at := func(hour int) time.Time { return start.Add(time.Duration(hour) * time.Hour) }
	s := limit.Shares{{at(1), "ann"}, {at(3), "bob"}}
	s.Merge(limit.Shares{{at(0), "ann"}, {at(2), "ann"}}, 3)
	if want := (limit.Shares{{at(1), "ann"}, {at(2), "ann"}, {at(3), "bob"}}); !slices.Equal(s, want) {
		t.Errorf("%+v, want %+v", s, want)
	}
}

// mostWithin is how many of the times lie within the longest row of less than d.
func mostWithin(times []time.Time, d time.Duration) (most int) {
	for i := range times {
		for j := i; j < len(times) && times[j].Sub(times[i]) < d; j++ {
			most = max(most, j-i+1)
		}
	}
	return most
}

// FuzzMessages: whoever waits as told is never told wrong, and sends no more within an hour
// and a day than the quotas, nor more than their share. Asking changes nothing, and a clock
// that goes back makes no wait longer than a day.
func FuzzMessages(f *testing.F) {
	f.Add([]byte{0, 15, 0, 19, 0, 27, 0, 0, 31, 0, 35, 0})
	f.Add([]byte{0, 1, 0, 12, 0, 2, 0, 39, 0, 255, 0})
	f.Fuzz(func(t *testing.T, script []byte) {
		var m limit.Messages
		var s limit.Shares
		names := []string{"ann", "bob"}
		now, back := start, false
		var sent []time.Time
		by := map[string][]time.Time{}
		for _, b := range script[:min(len(script), 500)] {
			step := steps[int(b>>2)%len(steps)]
			name := names[int(b>>2)%2]
			beforeM, beforeS := slices.Clone(m.Times), slices.Clone(s)
			wait := m.Wait(now, sending)
			share := s.Wait(now, []string{name}, sharing)
			if quota := m.QuotaWait(now, sending); quota < 0 || quota > wait {
				t.Fatalf("a wait of %s, of which %s for the quotas", wait, quota)
			}
			if !slices.Equal(m.Times, beforeM) || !slices.Equal(s, beforeS) {
				t.Fatal("asking changed what is asked")
			}
			if wait < 0 || wait > 24*time.Hour || share < 0 || share > 24*time.Hour {
				t.Fatalf("waits of %s and %s", wait, share)
			}
			if !back && (m.Wait(now.Add(wait), sending) != 0 || wait > 0 && m.Wait(now.Add(wait-1), sending) != 1) {
				t.Fatalf("the wait is said to be %s, and is not: %+v", wait, m)
			}
			if share > 0 && !back && (s.Wait(now.Add(share-1), []string{name}, sharing) != 1 || s.Wait(now.Add(share), []string{name}, sharing) != 0) {
				t.Fatalf("the wait of %s is said to be %s, and is not: %+v", name, share, s)
			}
			switch b % 4 {
			case 0:
				if wait == 0 && share == 0 {
					m.Charge(now, sending)
					s.Charge(now, name, sharing)
					sent, by[name] = append(sent, now), append(by[name], now)
				}
			case 1:
				m.Since = now
			case 2:
				if len(sent) > 0 {
					m.Forgiven = sent[len(sent)-1]
				}
			default:
				if back = back || b > 200; b > 200 {
					step = -step
				}
				now = now.Add(step)
			}
		}
		if back {
			return
		}
		if hour, day := mostWithin(sent, time.Hour), mostWithin(sent, 24*time.Hour); hour > sending.Hour || day > sending.Day {
			t.Fatalf("%d messages in an hour, %d in a day", hour, day)
		}
		for name, own := range by {
			if n := mostWithin(own, 24*time.Hour); n > sharing.Day {
				t.Fatalf("%d messages of %s in a day", n, name)
			}
		}
	})
}
