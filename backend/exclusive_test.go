package backend

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// While a config's root credential is being rotated, whatever would change the config is refused, and whatever uses
// it waits.
func TestRotateRoot_OtherRequestsMeanwhile(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil)
	m.read("ftd")
	entry, conn, err := m.backend.acquireConfig(t.Context(), m.storage, "ftd")
	require.NoError(t, err)
	conn.release()
	_, free, err := m.backend.connections.acquireExclusive(t.Context(), m.storage, "ftd", entry)
	require.NoError(t, err)
	for _, request := range []struct {
		operation logical.Operation
		path      string
	}{
		{logical.UpdateOperation, "config/ftd"}, {logical.DeleteOperation, "config/ftd"},
	} {
		status, text := m.refused(request.operation, request.path, nil)
		require.Equal(t, http.StatusConflict, status, text)
	}
	read := make(chan error)
	go func() {
		_, _, err := m.send(t.Context(), &logical.Request{
			Operation: logical.ReadOperation, Path: "creds/ftd", Storage: m.storage, MountPoint: "vendorauth/",
		})
		read <- err
	}()
	select {
	case err := <-read:
		require.Fail(t, "read did not wait", "%v", err)
	case <-time.After(50 * time.Millisecond):
	}
	free()
	require.NoError(t, <-read)
}

func TestSeize_WaitsForRequestsUnderWay(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil)
	entry, used, err := m.backend.acquireConfig(t.Context(), m.storage, "ftd")
	require.NoError(t, err)
	seized := make(chan error)
	go func() {
		_, free, err := m.backend.connections.acquireExclusive(t.Context(), m.storage, "ftd", entry)
		if err == nil {
			free()
		}
		seized <- err
	}()
	require.Eventually(t, func() bool { return m.backend.connections.isExclusive("ftd") }, time.Minute, time.Millisecond)
	select {
	case err := <-seized:
		require.Fail(t, "the connection is in use", "%v", err)
	default:
	}
	used.release()
	require.NoError(t, <-seized)
	require.False(t, m.backend.connections.isExclusive("ftd"))
}

func TestRotateRoot_ReaderWaitsForASlotOnAFormerConnection_MeetsNoChange(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil)
	require.NoError(t, m.vendors.SetSwitch("ftd", "password_change_ends", "logins"))
	m.must(logical.UpdateOperation, "config/ftd", map[string]any{"max_credentials": 1})
	m.must(logical.UpdateOperation, "roles/ftd", map[string]any{"max_wait": "30s"})
	held := m.read("ftd")
	entry, conn, err := m.backend.acquireConfig(t.Context(), m.storage, "ftd")
	require.NoError(t, err)
	conn.release()
	require.NotNil(t, entry)
	read := make(chan error)
	go func() {
		response, _, err := m.send(t.Context(), &logical.Request{Operation: logical.ReadOperation, Path: "creds/ftd", Storage: m.storage, MountPoint: "vendorauth/"})
		if err == nil {
			err = m.revoke(m.leaseOf(response))
		}
		read <- err
	}()
	require.Eventually(t, func() bool {
		conn.mu.Lock()
		defer conn.mu.Unlock()
		return conn.users > 0
	}, time.Minute, time.Millisecond)
	m.must(logical.UpdateOperation, "config/ftd", map[string]any{"request_timeout": "20s"})
	m.rotate("ftd")
	require.NoError(t, m.revoke(held))
	require.NoError(t, <-read)
	require.Zero(t, m.wrongPasswords())
}

// panicsOnLogout is a connection whose driver panics while it is closed.
type panicsOnLogout struct{ provider.Connection }

func (panicsOnLogout) Logout(context.Context) error { panic("driver") }
func (panicsOnLogout) Close()                       {}

func TestSeize_DriverPanicsWhileItIsClosed_ConfigIsFreeAgain(t *testing.T) {
	c := newConnections(func(logical.Storage, string, *configEntry) (provider.Connection, error) { return panicsOnLogout{}, nil }, time.Second)
	_, free, err := c.acquireExclusive(t.Context(), nil, "x", &configEntry{ConnectionID: "1"})
	require.NoError(t, err)
	c.swap(t.Context(), "x", "2", panicsOnLogout{}, func(error) {})
	require.Panics(t, free)
	require.False(t, c.isExclusive("x"))
}
