package provider_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// A machine that was suspended has a monotonic clock that lags behind: times must not be compared by it.
func TestSystemClock_Now_HasNoMonotonicReading(t *testing.T) {
	now := provider.SystemClock{}.Now()
	require.NotContains(t, now.String(), "m=")
}

func TestSystemClock_Elapsed_Grows(t *testing.T) {
	clock := provider.SystemClock{}
	before := clock.Elapsed()
	<-clock.After(1)
	require.Greater(t, clock.Elapsed(), before)
}
