package fortianalyzer

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

func TestIssue_ConcurrentLoginsDoNotEndEachOthersAccessTokens(t *testing.T) {
	c := newCloud(t, "login_max", "0")
	one, other := c.open(), c.open() // two configs of one API user
	var group errgroup.Group
	for i := range 24 {
		conn := []*connection{one, other}[i%2]
		group.Go(func() error {
			_, err := conn.Issue(t.Context(), asked)
			return err
		})
	}
	require.NoError(t, group.Wait())
	require.Equal(t, 24, c.sessions())
	require.Empty(t, logins.byKey, "no gate is left behind")
}

func TestGates_ACallerWhoseTimeIsUpWaitsNoLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g keyedSemaphore
		key := gateKey{"auth", "user", "client"}
		leave, err := g.acquire(t.Context(), key)
		require.NoError(t, err)

		ctx, cancel := context.WithCancel(t.Context())
		refused := make(chan error)
		go func() {
			_, err := g.acquire(ctx, key)
			refused <- err
		}()
		synctest.Wait()
		cancel()
		requireClass(t, provider.ClassUnavailable, <-refused)

		elsewhere, err := g.acquire(t.Context(), gateKey{"auth", "user", "other client"})
		require.NoError(t, err, "another application is another gate")
		elsewhere()

		leave()
		again, err := g.acquire(t.Context(), key)
		require.NoError(t, err)
		again()
		require.Empty(t, g.byKey)
	})
}
