package fortisiem

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
)

func TestTurns_AreSpacedInTheOrderOfArrival(t *testing.T) {
	clock := providertest.NewClock()
	queue := tokenLimiter{clock: clock}
	for i := range 6 {
		_, pause, err := queue.reserve(t.Context())
		require.NoError(t, err)
		require.Equal(t, time.Duration(i)*tokenSpacing, pause)
	}
}

func TestTurns_TheQueueIsBounded(t *testing.T) {
	clock := providertest.NewClock()
	queue := tokenLimiter{clock: clock}
	admitted := 0
	var err error
	for ; err == nil; admitted++ {
		_, _, err = queue.reserve(t.Context())
	}
	require.Equal(t, 7, admitted, "six are within 30 seconds")
	require.Equal(t, provider.ClassRateLimited, provider.ClassOf(err))
	require.Equal(t, 6*tokenSpacing-maxQueue, provider.RetryAfterOf(err))
	clock.Advance(provider.RetryAfterOf(err))
	_, _, err = queue.reserve(t.Context())
	require.NoError(t, err, "there is room after what the refusal said")
}

func TestTurns_ADeadlineBeforeTheTurn_IsRefusedAtOnce(t *testing.T) {
	queue := tokenLimiter{clock: providertest.NewClock()}
	ctx, cancel := context.WithTimeout(t.Context(), tokenSpacing)
	defer cancel()
	require.NoError(t, queue.wait(ctx), "the first turn is now")
	err := queue.wait(ctx)
	require.Equal(t, provider.ClassRateLimited, provider.ClassOf(err))
	_, pause, err := queue.reserve(t.Context())
	require.NoError(t, err)
	require.Equal(t, tokenSpacing, pause, "the refused took no turn")
}

func TestTurns_WhoGivesUpFreesTheLastTurnOnly(t *testing.T) {
	queue := tokenLimiter{clock: providertest.NewClock()}
	first, _, err := queue.reserve(t.Context())
	require.NoError(t, err)
	second, _, err := queue.reserve(t.Context())
	require.NoError(t, err)
	queue.giveBack(first)
	_, pause, err := queue.reserve(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2*tokenSpacing, pause)
	queue.giveBack(second.Add(tokenSpacing))
	_, pause, err = queue.reserve(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2*tokenSpacing, pause)

	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	require.Equal(t, provider.ClassUnavailable, provider.ClassOf(queue.wait(cancelled)))
	_, pause, err = queue.reserve(t.Context())
	require.NoError(t, err)
	require.Equal(t, 3*tokenSpacing, pause)
}

func TestTurns_ManyAtOnce_NoTwoTurnsAreCloserThanTheInterval(t *testing.T) {
	clock := providertest.NewClock()
	queue := tokenLimiter{clock: clock}
	var (
		mu    sync.Mutex
		seen  = map[time.Time]bool{}
		group sync.WaitGroup
	)
	for range 50 {
		group.Go(func() {
			turn, _, err := queue.reserve(t.Context())
			if err != nil {
				assert.Equal(t, provider.ClassRateLimited, provider.ClassOf(err))
				return
			}
			mu.Lock()
			defer mu.Unlock()
			assert.False(t, seen[turn])
			seen[turn] = true
			assert.Zero(t, turn.Sub(clock.Now())%tokenSpacing)
		})
	}
	group.Wait()
	require.Len(t, seen, 6)
}
