package provider

import (
	"context"
	"time"
)

// cleanupGrace is what is left of a clean-up once its request is canceled: a seal and a step-down wait for the requests
// that they cancel.
const cleanupGrace = time.Second

// CleanupContext returns the context of work that should be done although its request may be canceled, such as the
// revocation of what was just created and cannot be used. It ends after timeout, or a second after ctx has ended, and
// when the caller calls cancel, which it must. The engine completes from its stored intents what was not done by then.
func CleanupContext(ctx context.Context, timeout time.Duration) (detached context.Context, cancel context.CancelFunc) {
	detached, end := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	stop := context.AfterFunc(ctx, func() {
		grace := time.NewTimer(cleanupGrace)
		defer grace.Stop()
		select {
		case <-grace.C:
			end()
		case <-detached.Done():
		}
	})
	return detached, func() {
		stop()
		end()
	}
}
