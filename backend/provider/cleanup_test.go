package provider_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

func TestCleanupContext_RequestCanceled_EndsASecondLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		request, hangUp := context.WithCancel(t.Context())
		ctx, cancel := provider.CleanupContext(request, time.Minute)
		defer cancel()
		time.Sleep(10 * time.Second)
		hangUp()
		began := time.Now()
		require.NoError(t, ctx.Err())
		<-ctx.Done()
		require.Equal(t, time.Second, time.Since(began))
	})
}

func TestCleanupContext_RequestGoesOn_EndsWithItsTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := provider.CleanupContext(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		<-ctx.Done()
		require.Equal(t, time.Minute, time.Since(began))

		ctx, cancel = provider.CleanupContext(t.Context(), time.Minute)
		cancel()
		require.Error(t, ctx.Err())
	})
}
