package fortianalyzer

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

func TestKeyedSemaphore_ContextEnds_StopsWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s keyedSemaphore
		key := probeKey{"instance", accountKey{"auth", "user", "client"}}
		release, err := s.acquire(t.Context(), key)
		require.NoError(t, err)

		ctx, cancel := context.WithCancel(t.Context())
		waited := make(chan error)
		go func() {
			_, err := s.acquire(ctx, key)
			waited <- err
		}()
		synctest.Wait()
		cancel()
		requireClass(t, provider.ClassUnavailable, <-waited)

		releaseOther, err := s.acquire(t.Context(), probeKey{"instance", accountKey{"auth", "user", "other client"}})
		require.NoError(t, err, "another application has a semaphore of its own")
		releaseOther()
		releaseOther, err = s.acquire(t.Context(), probeKey{"other instance", key.account})
		require.NoError(t, err, "another instance has a semaphore of its own")
		releaseOther()

		release()
		release, err = s.acquire(t.Context(), key)
		require.NoError(t, err)
		release()
		require.Empty(t, s.byKey)
	})
}
