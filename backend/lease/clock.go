package lease

import (
	"sync"
	"time"
)

// clockTolerance is how far the wall clock may drift from the monotonic one between two looks at both. Drift
// and slewing stay far below it; a step, or a suspended machine, exceeds it.
const clockTolerance = time.Minute

// monotonic is implemented by a clock that also measures the time that passes. The measure does not change when
// the wall clock is set.
type monotonic interface {
	// Elapsed is the time that has passed since an arbitrary moment.
	Elapsed() time.Duration
}

// clockWatch compares the wall clock with the monotonic one. The zero value is ready to use. It is safe for
// concurrent use.
type clockWatch struct {
	mu      sync.Mutex
	begun   bool
	wall    time.Time
	elapsed time.Duration
	// steadySince is the monotonic time of the start, or of the last jump. jumped is true if there was one.
	steadySince time.Duration
	jumped      bool
}

// steady reports whether the wall clock has moved evenly for at least ClockSettle.
func (w *clockWatch) steady(wall time.Time, elapsed time.Duration) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	jump := wall.Sub(w.wall) - (elapsed - w.elapsed)
	if !w.begun || jump.Abs() > clockTolerance {
		w.jumped = w.begun
		w.begun, w.steadySince = true, elapsed
	}
	w.wall, w.elapsed = wall, elapsed
	return elapsed-w.steadySince >= ClockSettle
}

// clockIsSteady reports whether the wall clock can be trusted to judge an entry by its age alone. A clock that
// does not measure the time that passes is trusted.
func (c *Credentials) clockIsSteady(now time.Time) bool {
	clock, ok := c.Clock.(monotonic)
	return !ok || c.watch.steady(now, clock.Elapsed())
}

// clockHasJumped reports whether this process has seen the wall clock jump less than ClockSettle ago. Unlike
// clockIsSteady, it trusts the clock of a process that has just begun.
func (c *Credentials) clockHasJumped(now time.Time) bool {
	if c.clockIsSteady(now) {
		return false
	}
	c.watch.mu.Lock()
	defer c.watch.mu.Unlock()
	return c.watch.jumped
}
