// Package limit counts wrong codes and messages, and tells how long the next one has to
// wait. Its types are what is remembered of the past. The numbers and the time are
// parameters: no function reads a clock, and none that answers a question changes
// anything.
//
// Times that lie more than MaxSkew ahead were noted by a process whose clock was ahead,
// and begin no wait. Those that lie less ahead count, since clocks differ.
package limit

import "time"

// Guessing has the numbers of the limits on wrong codes.
type Guessing struct {
	Free    int             // how many in a row begin no wait
	Backoff []time.Duration // the wait after one more, two more, ...; the last one stays

	BucketSize  int           // how many the leaky bucket holds
	BucketDrain time.Duration // how long one takes to drain

	MaxSkew time.Duration
}

// fullBucket is how long a full bucket takes to drain.
func (g Guessing) fullBucket() time.Duration { return time.Duration(g.BucketSize) * g.BucketDrain }

// Failures are the wrong codes that were given to one factor, number or user. Those in a
// row begin waits that grow, until a success. All of them are in a leaky bucket, which no
// success empties: when it is full, the next one has to wait until one has drained.
type Failures struct {
	InARow   int64
	Last     time.Time // the last of them
	Bucket   Bucket
	Disabled bool // too many in a row
}

// Wait returns how long no code is compared, 0 for not at all. A last failure that is
// dated ahead by more than MaxSkew is that of a clock that was ahead: it begins no wait,
// unless the bucket was emptied for such a clock already.
func (f Failures) Wait(now time.Time, g Guessing) time.Duration {
	ahead := f.ahead(now, g)
	if ahead && f.Bucket.mayBeEmptied(now, g) {
		return 0
	}
	var wait time.Duration
	if n := f.InARow - int64(g.Free); n > 0 && !ahead {
		pause := g.Backoff[min(n, int64(len(g.Backoff)))-1]
		wait = min(f.Last.Add(pause).Sub(now), pause)
	}
	return max(wait, f.Bucket.wait(now, g))
}

// Lapse returns when the last of the failures has drained.
func (f Failures) Lapse() time.Time { return f.Bucket.Empty }

// Fail counts one wrong code. So many in a row as disableAt disable, 0 for none. It reports
// whether the owner is to be told how full the bucket is.
func (f *Failures) Fail(now time.Time, g Guessing, disableAt int) (tell bool) {
	f.forget(now, g)
	f.InARow++
	f.Last = now
	f.Disabled = f.Disabled || disableAt > 0 && f.InARow >= int64(disableAt)
	return f.Bucket.add(now, g)
}

// Succeed forgets the failures in a row, never those in the bucket.
func (f *Failures) Succeed(now time.Time, g Guessing) {
	f.forget(now, g)
	f.InARow = 0
}

// Forgive forgets all failures once the bucket has drained. It is for the counter of a
// number or user whose factor is not confirmed: guessing must not keep a factor from
// being enrolled for ever.
func (f *Failures) Forgive(now time.Time, g Guessing) {
	f.forget(now, g)
	if !f.Bucket.Empty.After(now) {
		*f = Failures{Bucket: Bucket{Emptied: f.Bucket.Emptied}}
	}
}

// Merge adds the failures that were counted elsewhere for the same. It assumes the worst:
// that both counted the same time.
func (f *Failures) Merge(other Failures) {
	f.InARow = max(f.InARow, other.InARow)
	f.Last = later(f.Last, other.Last)
	f.Disabled = f.Disabled || other.Disabled
	f.Bucket.Empty = later(f.Bucket.Empty, other.Bucket.Empty)
	f.Bucket.Told = max(f.Bucket.Told, other.Bucket.Told)
	f.Bucket.Emptied = later(f.Bucket.Emptied, other.Bucket.Emptied)
}

// ahead reports whether a clock that was ahead noted the last failure.
func (f Failures) ahead(now time.Time, g Guessing) bool { return f.Last.After(now.Add(g.MaxSkew)) }

// forget drops what a clock that was ahead noted: with what is added to it, it would begin
// a wait for times that never were.
func (f *Failures) forget(now time.Time, g Guessing) {
	if f.ahead(now, g) {
		f.Last = time.Time{}
		f.Bucket.lower(now, g)
	}
}

// A Bucket is a leaky bucket of wrong codes.
type Bucket struct {
	Empty   time.Time // when it will be
	Told    int64     // how many thirds full the owner was told that it is, since it was empty
	Emptied time.Time // when it was last emptied for a clock that was ahead
}

// add puts one wrong code into the bucket. It reports whether another third is full, for
// the first time since the bucket was empty; of the last third a wait tells.
func (b *Bucket) add(now time.Time, g Guessing) (tell bool) {
	if !b.Empty.After(now) {
		b.Empty, b.Told = now, 0
	}
	b.Empty = b.Empty.Add(g.BucketDrain)
	thirds := int64(3 * b.Empty.Sub(now) / g.fullBucket())
	tell = thirds > b.Told && thirds < 3
	b.Told = max(b.Told, thirds)
	return tell
}

// wait is how long it takes until one more has room.
func (b Bucket) wait(now time.Time, g Guessing) time.Duration {
	over := b.Empty.Sub(now.Add(g.fullBucket() - g.BucketDrain))
	return max(min(over, g.BucketDrain), 0)
}

// lower empties a bucket of a clock that was ahead. It does so once in the time that a
// full bucket takes to drain, and otherwise leaves room for one: between two processes
// whose clocks differ for long, each call would empty it for the next. So whoever guesses
// has one bucket more by it, and no more failures in a row.
func (b *Bucket) lower(now time.Time, g Guessing) {
	if b.mayBeEmptied(now, g) {
		*b = Bucket{Emptied: now}
	} else if room := now.Add(g.fullBucket() - g.BucketDrain); b.Empty.After(room) {
		b.Empty = room
	}
}

func (b Bucket) mayBeEmptied(now time.Time, g Guessing) bool {
	return !b.Emptied.After(now.Add(-g.fullBucket()))
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
