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

func TestTokenLimiter_Turns_AreSpacedInOrderOfArrival(t *testing.T) {
	clock := providertest.NewClock()
	limiter := tokenLimiter{clock: clock}
	for i := range 6 {
		_, pause, err := limiter.reserve(t.Context())
		require.NoError(t, err)
		require.Equal(t, time.Duration(i)*tokenSpacing, pause)
	}
}

func TestTokenLimiter_FullQueue_IsRateLimited(t *testing.T) {
	clock := providertest.NewClock()
	limiter := tokenLimiter{clock: clock}
	admitted := 0
	var err error
	for ; err == nil; admitted++ {
		_, _, err = limiter.reserve(t.Context())
	}
	require.Equal(t, 7, admitted, "six turns are within 30 seconds, and the seventh caller is refused")
	require.Equal(t, provider.ClassRateLimited, provider.ClassOf(err))
	require.Equal(t, 6*tokenSpacing-maxQueue, provider.RetryAfterOf(err))
	clock.Advance(provider.RetryAfterOf(err))
	_, _, err = limiter.reserve(t.Context())
	require.NoError(t, err, "a turn is free after RetryAfter")
}

func TestTokenLimiter_TurnAtTheLimit_IsAdmitted(t *testing.T) {
	clock := providertest.NewClock()
	limiter := tokenLimiter{clock: clock}
	for range 6 {
		_, _, err := limiter.reserve(t.Context())
		require.NoError(t, err)
	}
	clock.Advance(6*tokenSpacing - maxQueue)
	_, pause, err := limiter.reserve(t.Context())
	require.NoError(t, err)
	require.Equal(t, maxQueue, pause)
}

func TestTokenLimiter_Deadline_LeavesTimeForTheAnswer(t *testing.T) {
	limiter := tokenLimiter{clock: providertest.NewClock()}
	hasty, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, pause, err := limiter.reserve(hasty)
	require.NoError(t, err, "the first turn is free, so the caller need not wait")
	require.Zero(t, pause)
	patient, cancel := context.WithTimeout(t.Context(), tokenSpacing+time.Second)
	defer cancel()
	_, _, err = limiter.reserve(patient)
	require.Equal(t, provider.ClassRateLimited, provider.ClassOf(err))
	patient, cancel = context.WithTimeout(t.Context(), tokenSpacing+answerAllowance+time.Minute)
	defer cancel()
	_, pause, err = limiter.reserve(patient)
	require.NoError(t, err)
	require.Equal(t, tokenSpacing, pause)
}

func TestTokenLimiter_DeadlineBeforeTurn_IsRateLimited(t *testing.T) {
	limiter := tokenLimiter{clock: providertest.NewClock()}
	ctx, cancel := context.WithTimeout(t.Context(), tokenSpacing)
	defer cancel()
	require.NoError(t, limiter.wait(ctx), "the first turn is now")
	err := limiter.wait(ctx)
	require.Equal(t, provider.ClassRateLimited, provider.ClassOf(err))
	_, pause, err := limiter.reserve(t.Context())
	require.NoError(t, err)
	require.Equal(t, tokenSpacing, pause, "the refused caller reserved no turn")
}

func TestTokenLimiter_CanceledWait_FreesLastTurnOnly(t *testing.T) {
	limiter := tokenLimiter{clock: providertest.NewClock()}
	first, _, err := limiter.reserve(t.Context())
	require.NoError(t, err)
	second, _, err := limiter.reserve(t.Context())
	require.NoError(t, err)
	limiter.release(first)
	_, pause, err := limiter.reserve(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2*tokenSpacing, pause)
	limiter.release(second.Add(tokenSpacing))
	_, pause, err = limiter.reserve(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2*tokenSpacing, pause)

	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	require.Equal(t, provider.ClassUnavailable, provider.ClassOf(limiter.wait(canceled)))
	_, pause, err = limiter.reserve(t.Context())
	require.NoError(t, err)
	require.Equal(t, 3*tokenSpacing, pause)
}

func TestTokenLimiter_ConcurrentCallers_KeepTheInterval(t *testing.T) {
	clock := providertest.NewClock()
	limiter := tokenLimiter{clock: clock}
	var (
		mu    sync.Mutex
		seen  = map[time.Time]bool{}
		group sync.WaitGroup
	)
	for range 50 {
		group.Go(func() {
			turn, _, err := limiter.reserve(t.Context())
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
