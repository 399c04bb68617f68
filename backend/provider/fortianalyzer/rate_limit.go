package fortianalyzer

import (
	"context"
	"errors"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

const (
	// defaultLimitPause is the pause after a 429 without a Retry-After, whose form is not documented. One source
	// names a limit of 100 requests a minute.
	defaultLimitPause = 10 * time.Second

	// limitReserve is how much of the caller's time must be left after a pause, for the calls that follow.
	limitReserve = 2 * time.Second
)

// waitOut calls attempt, and again after each 429 when the vendor's pause is over. It does so while the caller's
// deadline leaves enough time. Without a deadline it does not wait. The last error is returned with its RetryAfter.
func waitOut[T any](ctx context.Context, clock provider.Clock, attempt func() (T, error)) (T, error) {
	for {
		result, err := attempt()
		pause, limited := limitPause(err)
		deadline, bounded := ctx.Deadline()
		if !limited || !bounded || time.Until(deadline) < pause+limitReserve {
			return result, err
		}
		select {
		case <-clock.After(pause):
		case <-ctx.Done():
			return result, err
		}
	}
}

// limitPause returns how long to wait after a 429. The engine's own pacing is none: it has waited already.
func limitPause(err error) (pause time.Duration, limited bool) {
	failure, ok := errors.AsType[*provider.Error](err)
	if !ok || failure.Class != provider.ClassRateLimited || httpclient.StatusOf(err) == 0 {
		return 0, false
	}
	if failure.RetryAfter <= 0 {
		return defaultLimitPause, true
	}
	return failure.RetryAfter, true
}
