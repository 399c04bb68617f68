package backend

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/lease"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/storagetest"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// restartAfter restarts the mount after it was not active for some time.
func (m *mount) restartAfter(pause time.Duration) {
	m.t.Helper()
	m.backend.Clean(m.t.Context())
	m.clock.Advance(pause)
	m.start()
}

// copyOf returns a mount on a copy of the storage as it is now, next to the original and at the same vendors. It is not
// started.
func copyOf(original *mount) *mount {
	original.t.Helper()
	restored := &mount{
		t: original.t, storage: &logical.InmemStorage{}, vendors: original.vendors, clock: original.clock,
		breakerPause: original.breakerPause, revokePatience: original.revokePatience, system: newSystem(), allowAddresses: original.allowAddresses,
	}
	ctx := original.t.Context()
	keys, err := logical.CollectKeys(ctx, original.storage)
	require.NoError(original.t, err)
	for _, key := range keys {
		entry, err := original.storage.Get(ctx, key)
		require.NoError(original.t, err)
		require.NoError(original.t, restored.storage.Put(ctx, entry))
	}
	original.t.Cleanup(func() {
		if restored.backend != nil {
			restored.backend.Clean(ctx)
		}
	})
	return restored
}

func (m *mount) rotationSuspended(name string) bool {
	m.t.Helper()
	return m.must(logical.ReadOperation, "config/"+name, nil).Data["rotation_suspended"].(bool)
}

// The storage may be a restored copy: the original's root credential must not be replaced.
func TestHeartbeat_Gap_RotationWaitsForTheOperator(t *testing.T) {
	forRotations(t, func(t *testing.T, m *mount, r rotationCase) {
		m.must(logical.UpdateOperation, "config/"+r.vendor, map[string]any{"rotation_period": "24h"})
		m.runPeriodic()
		before := m.config(r.vendor).Root.UpdatedAt
		require.False(t, m.rotationSuspended(r.vendor))

		m.restartAfter(25 * time.Hour)
		m.runPeriodic()
		require.Equal(t, before, m.config(r.vendor).Root.UpdatedAt)
		require.True(t, m.rotationSuspended(r.vendor))
		m.requireLogged("WARN", "restored copy")

		m.restart()
		m.runPeriodic()
		require.Equal(t, before, m.config(r.vendor).Root.UpdatedAt, "another start does not end it")

		m.rotate(r.vendor)
		require.False(t, m.rotationSuspended(r.vendor))
		after := m.config(r.vendor).Root.UpdatedAt
		m.clock.Advance(25 * time.Hour)
		m.runPeriodic()
		m.rememberRotatedSecrets(r.vendor)
		require.True(t, m.config(r.vendor).Root.UpdatedAt.After(after), "it is rotated automatically again")
	})
}

func TestHeartbeat_ShortPause_RotatesWhenDue(t *testing.T) {
	m := newMount(t)
	m.writeConfig("ftd", map[string]any{"rotation_period": "1h"})
	for range 3 {
		m.runPeriodic()
		m.restartAfter(maxHeartbeatGap - time.Minute)
	}
	before := m.config("ftd").Root.UpdatedAt
	m.runPeriodic()
	m.rememberRotatedSecrets("ftd")
	require.True(t, m.config("ftd").Root.UpdatedAt.After(before))
}

// A snapshot that was taken during a rotation holds the intent of the root credential that the original uses now.
func TestHeartbeat_GapWithIntent_KeepsTheOriginalsRoot(t *testing.T) {
	original := newMount(t)
	original.writeConfig("trend", nil)
	original.runPeriodic()
	restored := copyOf(original)
	original.fault(emulator.Fault{Vendor: "trend", Route: "deleteApiKey", Status: http.StatusForbidden}) // the previous key lives on for now
	original.rotate("trend")
	original.vendors.ClearFaults("trend")
	original.clock.Advance(time.Hour)
	restored.start()
	intent := store.RootIntent{Marker: original.config("trend").RootMarker}
	require.NoError(t, restored.backend.store.PutRootIntent(t.Context(), restored.storage, "trend", intent))
	restored.runPeriodic()
	original.must(logical.UpdateOperation, "config/trend/check", nil)
}

// The original has renewed a lease since the snapshot was taken.
func TestHeartbeat_CopyOfRenewedLease_IsNotRevoked(t *testing.T) {
	original := newMount(t)
	original.configure("trend", trendRotation.role)
	held := original.read("trend")
	original.runPeriodic()
	restored := copyOf(original)
	original.clock.Advance(10 * time.Minute)
	_, err := original.renew(held, time.Hour)
	require.NoError(t, err)

	original.clock.Advance(35 * time.Minute)
	restored.start()
	require.Error(t, restored.revoke(held), "Vault revokes what has expired when it starts")
	restored.requireLogged("WARN", "extended until")
	original.clock.Advance(lease.LostLeaseGrace)
	restored.runPeriodic()
	require.Len(t, original.leased("trend"), 1)
	_, err = original.renew(held, time.Hour)
	require.NoError(t, err)

	report := restored.must(logical.UpdateOperation, "config/trend/tidy", nil)
	require.Equal(t, 1, report.Data["revoked"], "an operator decides")
	require.Empty(t, original.leased("trend"))
}

// Nothing was extended: the pause was that of the only Vault.
func TestHeartbeat_GapWithoutCopy_RevokesLostLeases(t *testing.T) {
	m := newMount(t)
	m.configure("trend", trendRotation.role)
	lost, held := m.read("trend"), m.read("trend")
	m.runPeriodic()
	m.restartAfter(maxHeartbeatGap + time.Minute)
	require.NoError(t, m.revoke(held))
	m.clock.Advance(lease.LostLeaseGrace)
	m.runPeriodic()
	require.Empty(t, m.leased("trend"))
	require.NoError(t, m.revoke(lost))
}

func TestHeartbeat_CopyUnmounted_KeepsTheCreatedRoot(t *testing.T) {
	forCreatedRoots(t, func(t *testing.T, original *mount) {
		original.runPeriodic()
		restored := copyOf(original)
		original.clock.Advance(time.Hour)
		restored.start()
		restored.unmount()
		require.Len(t, original.bootstrapped(), 1)
		restored.requireLogged("ERROR", original.bootstrapped()[0].Marker)
	})
}

func TestHeartbeat_Stored_OncePerInterval(t *testing.T) {
	m := newMount(t)
	counted := storagetest.Wrap(m.storage)
	m.storage = counted
	m.restart()
	for range 5 {
		m.runPeriodic()
		m.clock.Advance(time.Minute)
	}
	require.Equal(t, 1, counted.Count(storagetest.Put))
	m.clock.Advance(heartbeatInterval)
	m.runPeriodic()
	require.Equal(t, 2, counted.Count(storagetest.Put))
}

// A later version has written it: what it says of a gap is not known.
func TestHeartbeat_LaterVersion_StopsBackgroundWork(t *testing.T) {
	m := newMount(t)
	m.writeConfig("ftd", map[string]any{"rotation_period": "1h"})
	require.NoError(t, m.storage.Put(t.Context(), &logical.StorageEntry{Key: store.HeartbeatKey, Value: []byte(`{"version":2}`)}))
	before := m.config("ftd").Root.UpdatedAt
	m.clock.Advance(2 * time.Hour)
	m.runPeriodic()
	require.Equal(t, before, m.config("ftd").Root.UpdatedAt)
	m.rejected(http.StatusInternalServerError, logical.ReadOperation, "config/ftd", nil, "later version")
	require.Contains(t, strings.ToLower(m.logText()), "later version")
}
