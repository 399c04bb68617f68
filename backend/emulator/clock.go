package emulator

import (
	"fmt"
	"sync/atomic"
	"time"
)

// Clock is real time plus an offset that only grows until a reset. It is safe for concurrent use.
type Clock struct {
	base   func() time.Time
	offset atomic.Int64
}

// newClock returns a clock that runs on base, or on [time.Now] if base is nil.
func newClock(base func() time.Time) *Clock {
	if base == nil {
		base = time.Now
	}
	return &Clock{base: base}
}

// Now returns the emulated time in UTC, without a monotonic reading: the emulated time jumps, and a
// comparison by monotonic readings would not see it.
func (c *Clock) Now() time.Time {
	return c.base().Round(0).UTC().Add(c.Offset())
}

// Offset returns how far the clock is ahead of real time.
func (c *Clock) Offset() time.Duration { return time.Duration(c.offset.Load()) }

// Advance moves the clock forward by d. It returns an error for a negative d: if the clock went back, expired
// credentials would be live again.
func (c *Clock) Advance(d time.Duration) error {
	if d < 0 {
		return fmt.Errorf("advance the clock: %s is negative; the clock only goes forward", d)
	}
	c.offset.Add(int64(d))
	return nil
}

// reset returns the clock to real time.
func (c *Clock) reset() { c.offset.Store(0) }
