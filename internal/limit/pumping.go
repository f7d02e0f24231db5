package limit

import (
	"slices"
	"time"
)

// Pumping has the numbers of a leaky bucket of messages to numbers that are not confirmed. It
// may be in several shards, each written by itself, so that calls at once do not meet.
type Pumping struct {
	Size    int // how many the shards hold together; as many drain within 24 hours
	Shards  int
	MaxSkew time.Duration
}

// all is how long a full bucket takes to drain, over all shards.
func (p Pumping) all() time.Duration { return day * time.Duration(p.Shards) }

// each is how long one message takes to drain from its shard: whole milliseconds, as times are
// stored.
func (p Pumping) each() time.Duration {
	return (p.all() / time.Duration(p.Size)).Truncate(time.Millisecond)
}

// left is how long a shard takes to drain that is empty at a time. One that a clock of far
// ahead noted is empty.
func (p Pumping) left(now, empty time.Time) time.Duration {
	left := empty.Sub(now)
	if left > p.all()+p.MaxSkew {
		return 0
	}
	return min(max(left, 0), p.all())
}

// Wait is how long it takes until the shards, which are empty at these times, have room for
// one more message; 0 for now.
func (p Pumping) Wait(now time.Time, empty ...time.Time) (wait time.Duration) {
	over := p.each() - p.all()
	var lefts []time.Duration // of those that drain
	for _, e := range empty {
		if left := p.left(now, e); left > 0 {
			lefts = append(lefts, left)
			over += left
		}
	}
	slices.Sort(lefts)
	for i, left := range lefts {
		n := time.Duration(len(lefts) - i) // drain at once until the next one is empty
		if step := left - wait; over > step*n {
			over -= step * n
			wait = left
			continue
		}
		return wait + max((over+n-1)/n, 0)
	}
	return wait
}

// Add gives when a shard is empty after so many messages more.
func (p Pumping) Add(now, empty time.Time, n int) time.Time {
	return now.Add(min(p.left(now, empty)+time.Duration(n)*p.each(), p.all()))
}

// Remove gives when it is after so many messages fewer: now, if there were not as many.
func (p Pumping) Remove(now, empty time.Time, n int) time.Time {
	return now.Add(max(p.left(now, empty)-time.Duration(n)*p.each(), 0))
}
