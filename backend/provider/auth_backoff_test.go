package provider_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

var start = time.Date(2026, time.January, 2, 3, 4, 5, 0, time.UTC)

func refused(retryAfter time.Duration, cause error) *provider.Error {
	return &provider.Error{
		Class: provider.ClassUnauthenticated, Op: "acme: login", Message: "wrong password",
		Remedy: "correct it", RetryAfter: retryAfter, Err: cause,
	}
}

// observe observes a refusal and returns the RetryAfter that it then has.
func observe(backoff *provider.AuthBackoff, now time.Time) time.Duration {
	failure := refused(0, nil)
	backoff.Observe(failure, now)
	return failure.RetryAfter
}

func TestAuthBackoff_Refusal_IsReturnedUntilThePauseEnds(t *testing.T) {
	backoff := &provider.AuthBackoff{Initial: 30 * time.Second}
	require.NoError(t, backoff.Err(start), "nothing was observed")

	cause := errors.New("status 401")
	failure := refused(0, cause)
	backoff.Observe(failure, start)
	require.Equal(t, 30*time.Second, failure.RetryAfter)
	failure.Message = "changed by its owner"

	err := backoff.Err(start.Add(20 * time.Second))
	require.Equal(t, provider.ClassUnauthenticated, provider.ClassOf(err))
	require.Equal(t, 10*time.Second, provider.RetryAfterOf(err))
	require.ErrorIs(t, err, provider.ErrNotSent)
	require.ErrorIs(t, err, cause)
	require.ErrorContains(t, err, "wrong password; nothing was sent")
	require.ErrorContains(t, err, "correct it")

	require.NotErrorIs(t, failure, provider.ErrNotSent, "the first error stands for a call that was made")
	require.NoError(t, backoff.Err(start.Add(30*time.Second)))
}

func TestAuthBackoff_FurtherRefusals_DoubleThePauseUpToMax(t *testing.T) {
	backoff := &provider.AuthBackoff{Initial: 30 * time.Second, Max: 100 * time.Second}
	now := start
	for _, want := range []time.Duration{30, 60, 100, 100} {
		require.Equal(t, want*time.Second, observe(backoff, now))
		now = now.Add(want * time.Second)
	}
	for range 200 { // no overflow
		now = now.Add(observe(backoff, now))
	}
	require.Equal(t, 100*time.Second, observe(backoff, now))
	backoff.Reset()
	require.NoError(t, backoff.Err(now))
	require.Equal(t, 30*time.Second, observe(backoff, now))
}

func TestAuthBackoff_WithoutMax_ThePauseDoesNotGrow(t *testing.T) {
	backoff := &provider.AuthBackoff{Initial: 30 * time.Second}
	for i := range 5 {
		require.Equal(t, 30*time.Second, observe(backoff, start.Add(time.Duration(i)*time.Hour)))
	}
}

func TestAuthBackoff_ConcurrentRefusals_CountOnce(t *testing.T) {
	backoff := &provider.AuthBackoff{Initial: 30 * time.Second, Max: time.Hour}
	var group sync.WaitGroup
	for range 10 {
		group.Go(func() {
			observe(backoff, start)
			assert.Error(t, backoff.Err(start))
		})
	}
	group.Wait()
	require.Equal(t, time.Minute, observe(backoff, start.Add(30*time.Second)))
}

func TestAuthBackoff_VendorAsksForMore_IsRemembered(t *testing.T) {
	backoff := &provider.AuthBackoff{Initial: 30 * time.Second}
	backoff.Observe(refused(time.Minute, nil), start)
	require.Equal(t, time.Second, provider.RetryAfterOf(backoff.Err(start.Add(59*time.Second))))
}

func TestAuthBackoff_Hold_LastsAsLongAsTheVendorAsked(t *testing.T) {
	backoff := &provider.AuthBackoff{Initial: 30 * time.Second, Max: time.Hour}
	backoff.Hold(refused(0, nil), start)
	require.NoError(t, backoff.Err(start), "the vendor did not ask for a pause")
	backoff.Hold(refused(5*time.Second, nil), start)
	require.Equal(t, 2*time.Second, provider.RetryAfterOf(backoff.Err(start.Add(3*time.Second))))
	require.NoError(t, backoff.Err(start.Add(5*time.Second)))
	require.Equal(t, 30*time.Second, observe(backoff, start.Add(time.Minute)), "Hold does not make the pause grow")
}
