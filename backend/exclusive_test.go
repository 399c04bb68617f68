package backend

import (
	"net/http"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"
)

// While a config's root credential is being rotated, whatever would change the config is refused, and whatever uses
// it waits.
func TestRotateRoot_OtherRequestsMeanwhile(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil)
	m.read("ftd")
	entry, conn, err := m.backend.rotator.Acquire(t.Context(), m.storage, "ftd")
	require.NoError(t, err)
	conn.Release()
	_, free, err := m.backend.pool.AcquireExclusive(t.Context(), m.storage, "ftd", entry)
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

func TestRotateRoot_ReaderWaitsForASlotOnAFormerConnection_MeetsNoChange(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil)
	require.NoError(t, m.vendors.SetSwitch("ftd", "password_change_ends", "logins"))
	m.must(logical.UpdateOperation, "config/ftd", map[string]any{"max_credentials": 1})
	m.must(logical.UpdateOperation, "roles/ftd", map[string]any{"max_wait": "30s"})
	held := m.read("ftd")
	entry, conn, err := m.backend.rotator.Acquire(t.Context(), m.storage, "ftd")
	require.NoError(t, err)
	conn.Release()
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
		return conn.Users() > 0
	}, time.Minute, time.Millisecond)
	m.must(logical.UpdateOperation, "config/ftd", map[string]any{"request_timeout": "20s"})
	m.rotate("ftd")
	require.NoError(t, m.revoke(held))
	require.NoError(t, <-read)
	require.Zero(t, m.wrongPasswords())
}
