package mfatest

import (
	"sync"
	"time"
)

// A Clock is a clock that stands still until it is moved: its Now is an
// [mfa.Config.Now]. The zero value stands at 2026-01-01 00:00:00 UTC. It is
// safe for concurrent use.
type Clock struct {
	mu  sync.Mutex
	set bool
	now time.Time
}

// Now returns the time that the clock shows.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.read()
}

// Advance moves the clock on by d, or back if d is negative.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.set, c.now = true, c.read().Add(d)
}

// Set makes the clock show t.
func (c *Clock) Set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.set, c.now = true, t
}

func (c *Clock) read() time.Time {
	if !c.set {
		return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	return c.now
}
