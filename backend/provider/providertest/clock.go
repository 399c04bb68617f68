package providertest

import (
	"sync"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

var _ provider.Clock = (*Clock)(nil)

// Clock is a [provider.Clock] that shows the same time until a test moves it. It is safe for concurrent use.
type Clock struct {
	mu     sync.Mutex
	now    time.Time
	timers []timer
}

type timer struct {
	at      time.Time
	channel chan time.Time
}

// NewClock returns a clock that shows 2 January 2026, 03:04:05 UTC. It is a whole second, so that a time from a Date
// header compares equal.
func NewClock() *Clock {
	return &Clock{now: time.Date(2026, time.January, 2, 3, 4, 5, 0, time.UTC)}
}

// Now returns the time that the clock shows.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// After returns a channel that receives a value when the clock has moved by d. If d is not positive, it receives the
// value immediately.
func (c *Clock) After(d time.Duration) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	channel := make(chan time.Time, 1)
	if d <= 0 {
		channel <- c.now
		return channel
	}
	c.timers = append(c.timers, timer{at: c.now.Add(d), channel: channel})
	return channel
}

// Advance moves the clock forward and fires the timers that are due.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.set(c.now.Add(d))
}

// Set moves the clock forward or back to now, and fires the timers that are due.
func (c *Clock) Set(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.set(now)
}

// set moves the clock. The caller holds the mutex. The channels are buffered, so it never blocks.
func (c *Clock) set(now time.Time) {
	c.now = now
	waiting := c.timers[:0]
	for _, next := range c.timers {
		if next.at.After(now) {
			waiting = append(waiting, next)
			continue
		}
		next.channel <- now
	}
	c.timers = waiting
}
