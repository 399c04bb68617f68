package pool

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

func TestExclusive_RequestsAreRunning_WaitsForThem(t *testing.T) {
	p, _ := newTestPool(false)
	entry := &store.Config{ConnectionID: "1"}
	used, err := p.Acquire(nil, "edge", entry)
	require.NoError(t, err)
	acquired := make(chan error)
	go func() {
		_, release, err := p.AcquireExclusive(t.Context(), nil, "edge", entry)
		if err == nil {
			release()
		}
		acquired <- err
	}()
	<-used.YieldRequested()
	require.True(t, p.IsExclusive("edge"))
	conn, released, err := p.TryAcquire(nil, "edge", entry)
	require.NoError(t, err)
	require.Nil(t, conn, "new requests wait")
	_, _, err = p.AcquireExclusive(t.Context(), nil, "edge", entry)
	require.ErrorIs(t, err, ErrRotationInProgress)
	select {
	case err := <-acquired:
		require.Fail(t, "the connection is in use", "%v", err)
	default:
	}
	used.Release()
	require.NoError(t, <-acquired)
	<-released
	require.False(t, p.IsExclusive("edge"))
	conn, _, err = p.TryAcquire(nil, "edge", entry)
	require.NoError(t, err)
	require.Equal(t, 1, conn.Users())
	conn.Release()
}

func TestExclusive_CallerGivesUp_ConfigIsFreeAgain(t *testing.T) {
	p, _ := newTestPool(false)
	entry := &store.Config{ConnectionID: "1"}
	used, err := p.Acquire(nil, "edge", entry)
	require.NoError(t, err)
	defer used.Release()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err = p.AcquireExclusive(ctx, nil, "edge", entry)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, provider.ClassUnavailable, provider.ClassOf(err))
	require.False(t, p.IsExclusive("edge"))
	select {
	case <-used.YieldRequested():
		require.Fail(t, "a caller that gave up still asks others to yield")
	default:
	}
}

func TestExclusive_DriverPanicsInLogout_ConfigIsFreeAgain(t *testing.T) {
	p, last := newTestPool(true)
	_, release, err := p.AcquireExclusive(t.Context(), nil, "edge", &store.Config{ConnectionID: "1"})
	require.NoError(t, err)
	p.Swap(t.Context(), nil, "edge", nil, &store.Config{ConnectionID: "2"}, last())
	require.NotPanics(t, release)
	p.AwaitLogouts(t.Context())
	require.False(t, p.IsExclusive("edge"))
}
