package limit

import (
	"slices"
	"time"
)

// Sending has the numbers of the limits on messages.
type Sending struct {
	Hour, Day int             // how many within that time
	Cooldown  []time.Duration // the waits after each since the last success; the last one stays
	MaxSkew   time.Duration
}

// Plus returns the limits with so many more an hour and a day.
func (s Sending) Plus(n int) Sending {
	s.Hour, s.Day = s.Hour+n, s.Day+n
	return s
}

// Messages are those that were sent to one number, or for one user or device.
type Messages struct {
	Times    Day
	Since    time.Time // the last success: messages before it do not lengthen the cool-down
	Forgiven time.Time // the message whose code confirmed the number: no cool-down follows it
}

// Wait returns how long no message may be sent, 0 for not at all: to the nanosecond, unless
// something else happens meanwhile.
func (m Messages) Wait(now time.Time, s Sending) time.Duration {
	m = m.counted(now, s)
	var wait time.Duration
	if n := len(m.Times); n > 0 && !m.Times[n-1].Equal(m.Forgiven) {
		wait = m.pause(now, s)
	}
	return max(wait, m.Times.quotaWait(now, s))
}

// pause is what is left of the cool-down after the last message. It gets shorter with each
// earlier one that is forgotten meanwhile. It may be negative.
func (m Messages) pause(now time.Time, s Sending) time.Duration {
	last := m.Times[len(m.Times)-1]
	row := slices.DeleteFunc(slices.Clone(m.Times), func(t time.Time) bool { return !t.After(m.Since) })
	left := func(level int) time.Duration {
		pause := s.Cooldown[min(max(level, 1), len(s.Cooldown))-1]
		return min(last.Add(pause).Sub(now), pause)
	}
	wait := left(len(row))
	for i, t := range row {
		if forgotten := t.Add(day).Sub(now); forgotten < wait {
			wait = max(forgotten, left(len(row)-i-1))
		}
	}
	return wait
}

// QuotaWait returns the part of Wait that the hour and the day make, the cool-down aside.
func (m Messages) QuotaWait(now time.Time, s Sending) time.Duration {
	return m.counted(now, s).Times.quotaWait(now, s)
}

// Lapse returns when the last message no longer counts.
func (m Messages) Lapse() time.Time {
	if len(m.Times) == 0 {
		return time.Time{}
	}
	return m.Times[len(m.Times)-1].Add(day)
}

// Charge counts one message; it is never refunded.
func (m *Messages) Charge(now time.Time, s Sending) {
	m.Forget(now, s.MaxSkew)
	m.Times, m.Forgiven = append(m.Times, now), time.Time{}
}

// Forget drops what is over, and what a clock that was ahead noted.
func (m *Messages) Forget(now time.Time, maxSkew time.Duration) {
	if m.Since.After(now.Add(maxSkew)) {
		m.Since = time.Time{}
	}
	m.Times.Forget(now, maxSkew)
}

// Merge adds the messages that were counted elsewhere for the same. It keeps the last ones
// of them all.
func (m *Messages) Merge(other Messages, keep int) {
	m.Times = slices.Concat(m.Times, other.Times)
	slices.SortFunc(m.Times, time.Time.Compare)
	m.Times = m.Times[max(0, len(m.Times)-keep):]
	m.Since = later(m.Since, other.Since)
	m.Forgiven = later(m.Forgiven, other.Forgiven)
}

// counted are a copy of the messages, without what Forget drops.
func (m Messages) counted(now time.Time, s Sending) Messages {
	m.Times = slices.Clone(m.Times)
	m.Forget(now, s.MaxSkew)
	return m
}

const day = 24 * time.Hour

// A Day is when something happened in the last 24 hours, in the order in which it was
// noted.
type Day []time.Time

// Count returns how often it happened.
func (d Day) Count(now time.Time, maxSkew time.Duration) int {
	n := 0
	for _, t := range d {
		if !over(t, now, maxSkew) {
			n++
		}
	}
	return n
}

// Add notes that it happened.
func (d *Day) Add(now time.Time, maxSkew time.Duration) {
	d.Forget(now, maxSkew)
	*d = append(*d, now)
}

// Forget drops the times that no longer count.
func (d *Day) Forget(now time.Time, maxSkew time.Duration) {
	*d = slices.DeleteFunc(*d, func(t time.Time) bool { return over(t, now, maxSkew) })
}

func (d Day) quotaWait(now time.Time, s Sending) time.Duration {
	return max(d.wait(now, s.Hour, time.Hour), d.wait(now, s.Day, day), 0)
}

// wait is how long it takes until there were fewer than most within a time. It may be
// negative.
func (d Day) wait(now time.Time, most int, within time.Duration) time.Duration {
	if len(d) < most {
		return 0
	}
	return min(d[len(d)-most].Add(within).Sub(now), within)
}

// over reports whether a time no longer counts: a day later, and where a clock that was
// ahead noted it.
func over(t, now time.Time, maxSkew time.Duration) bool {
	return !t.Add(day).After(now) || t.After(now.Add(maxSkew))
}

// Sharing has the numbers of the limits on each user's part of the messages to a number.
type Sharing struct {
	Day     int // how many within 24 hours
	MaxSkew time.Duration
}

// Shares are messages of a day to one number, each with the user whom it was for.
type Shares []Share

// A Share is one message.
type Share struct {
	At   time.Time
	User string
}

// Wait returns how long no message may be sent for a user, 0 for not at all. The user may
// have several names.
func (s Shares) Wait(now time.Time, names []string, l Sharing) time.Duration {
	var own Day
	for _, share := range s {
		if slices.Contains(names, share.User) && !over(share.At, now, l.MaxSkew) {
			own = append(own, share.At)
		}
	}
	return own.wait(now, l.Day, day)
}

// Count returns how many messages of the last 24 hours there are.
func (s Shares) Count(now time.Time, l Sharing) int {
	n := 0
	for _, share := range s {
		if !over(share.At, now, l.MaxSkew) {
			n++
		}
	}
	return n
}

// Charge counts one message for a user.
func (s *Shares) Charge(now time.Time, name string, l Sharing) {
	*s = slices.DeleteFunc(*s, func(share Share) bool { return over(share.At, now, l.MaxSkew) })
	*s = append(*s, Share{now, name})
}

// Merge adds the shares that were counted elsewhere for the same number. It keeps the last
// ones of them all.
func (s *Shares) Merge(other Shares, keep int) {
	*s = slices.Concat(*s, other)
	slices.SortFunc(*s, func(a, b Share) int { return a.At.Compare(b.At) })
	*s = (*s)[max(0, len(*s)-keep):]
}
