package failpoint

import "time"

// Clock is the machine's clock. Its methods are those of provider.SystemClock.
type Clock interface {
	// Now returns the wall clock's time.
	Now() time.Time
	// After returns a channel that receives a value after the duration d.
	After(d time.Duration) <-chan time.Time
	// Elapsed returns the time that has passed since an arbitrary moment. It does not change when the wall clock is set.
	Elapsed() time.Duration
}
