package pool

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

func TestMain(m *testing.M) { providertest.Main(m) }

// fakeConnection counts how it ends.
type fakeConnection struct {
	provider.Connection
	closed, loggedOut atomic.Int32
	panics            bool
}

func (c *fakeConnection) Close() { c.closed.Add(1) }

func (c *fakeConnection) Logout(context.Context) error {
	if c.panics {
		panic("driver")
	}
	c.loggedOut.Add(1)
	return nil
}

// newTestPool returns a pool whose connections are fakes, and the last one that was opened.
func newTestPool(panics bool) (p *Pool, last func() *fakeConnection) {
	p = New(Options{Clock: provider.SystemClock{}, Logger: hclog.NewNullLogger, BreakerPause: time.Second})
	var opened *fakeConnection
	p.openFunc = func(logical.Storage, string, *store.Config) (provider.Connection, error) {
		opened = &fakeConnection{panics: panics}
		return opened, nil
	}
	return p, func() *fakeConnection { return opened }
}

func TestPool_ConnectionIsReplaced_EndsWithItsLastUser(t *testing.T) {
	p, last := newTestPool(false)
	for name, test := range map[string]struct {
		replace           func()
		closed, loggedOut int32
	}{
		"config changed here":  {func() { p.Swap(t.Context(), nil, "edge", nil, &store.Config{ConnectionID: "2"}, &fakeConnection{}) }, 0, 1},
		"deleted":              {func() { p.Remove(t.Context(), "edge") }, 0, 1},
		"changed on a node":    {func() { p.Detach("edge") }, 1, 0},
		"mount goes away":      {func() { p.DetachAll() }, 1, 0},
		"opened with new root": {func() { acquireAndRelease(t, p, "3") }, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			p.Detach("edge")
			conn, err := p.Acquire(nil, "edge", &store.Config{ConnectionID: "1"})
			require.NoError(t, err)
			opened := last()
			test.replace()
			require.Zero(t, opened.closed.Load()+opened.loggedOut.Load(), "a caller uses it")
			require.False(t, conn.Retain(), "a retired connection takes no new users")
			conn.Release()
			require.Equal(t, test.closed, opened.closed.Load())
			require.Equal(t, test.loggedOut, opened.loggedOut.Load())
		})
	}
}

// acquireAndRelease acquires the connection of a config that has this connection id, and releases it.
func acquireAndRelease(t *testing.T, p *Pool, connectionID string) {
	t.Helper()
	conn, err := p.Acquire(nil, "edge", &store.Config{ConnectionID: connectionID})
	require.NoError(t, err)
	conn.Release()
}
