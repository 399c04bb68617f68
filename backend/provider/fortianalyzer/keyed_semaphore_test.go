package fortianalyzer

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

func TestIssue_ConcurrentLogins_DoNotEndOtherAccessTokens(t *testing.T) {
	c := newCloud(t, "login_max", "0")
	first, second := c.open(), c.open() // two configs of one API user
	var group errgroup.Group
	for i := range 24 {
		conn := []*connection{first, second}[i%2]
		group.Go(func() error {
			_, err := conn.Issue(t.Context(), issueRequest)
			return err
		})
	}
	require.NoError(t, group.Wait())
	require.Equal(t, 24, c.sessions())
	require.Empty(t, logins.byKey, "the map is empty when no login runs")
}

func TestKeyedSemaphore_ContextEnds_StopsWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s keyedSemaphore
		key := loginKey{"auth", "user", "client"}
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

		releaseOther, err := s.acquire(t.Context(), loginKey{"auth", "user", "other client"})
		require.NoError(t, err, "another application has a semaphore of its own")
		releaseOther()

		release()
		release, err = s.acquire(t.Context(), key)
		require.NoError(t, err)
		release()
		require.Empty(t, s.byKey)
	})
}
