package backend

import (
	"net/http"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/vendorfacts"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/lease"
)

// forShared runs a test for each vendor whose credentials can be shared and revoked, on a mount with a shared role.
func forShared(t *testing.T, test func(t *testing.T, original *mount, vendor string)) {
	t.Helper()
	for _, facts := range vendorfacts.All() {
		if !facts.Revokes {
			continue
		}
		t.Run(facts.Name, func(t *testing.T) {
			original := newMount(t)
			role := map[string]any{"sharing": "shared", "ttl": "10m", "max_ttl": "4h"}
			for field, value := range facts.Role {
				role[field] = value
			}
			original.configure(facts.Name, role)
			test(t, original, facts.Name)
		})
	}
}

// The original's clients go on using the shared credential, and the vendor shows nothing of it: the credential was issued
// for as long as its leases can be renewed.
func TestHeartbeat_CopyOfSharedLease_IsNotRevoked(t *testing.T) {
	forShared(t, func(t *testing.T, original *mount, vendor string) {
		held := original.read(vendor)
		original.runPeriodic()
		restored := copyOf(original)
		// Clients renew while the copy does not run, which is longer than the lease in the copy.
		for range 8 {
			original.clock.Advance(5 * time.Minute)
			_, err := original.renew(held, 10*time.Minute)
			require.NoError(t, err)
		}
		restored.start()
		require.ErrorContains(t, restored.revoke(held), "it may be a copy", "Vault revokes what has expired when it starts")
		restored.requireLogged("WARN", "it may be a copy")
		original.clock.Advance(lease.MaxRetryPause / 2)
		restored.runPeriodic()
		require.Len(t, original.leased(vendor), 1)
		_, err := original.renew(held, 10*time.Minute)
		require.NoError(t, err)
		later := original.read(vendor)
		require.Equal(t, held.data["credential_id"], later.data["credential_id"])

		report := restored.must(logical.UpdateOperation, "config/"+vendor+"/tidy", nil)
		require.Equal(t, 1, report.Data["revoked"], "an operator decides")
		require.Empty(t, original.leased(vendor))
	})
}

// The background work of the copy finds that all leases that it knows have ended.
func TestHeartbeat_CopyOfLostHolders_IsNotRevoked(t *testing.T) {
	forShared(t, func(t *testing.T, original *mount, vendor string) {
		held := original.read(vendor)
		original.runPeriodic()
		restored := copyOf(original)
		for range 8 {
			original.clock.Advance(5 * time.Minute)
			_, err := original.renew(held, 10*time.Minute)
			require.NoError(t, err)
		}
		restored.start()
		for range 3 {
			restored.runPeriodic()
			original.clock.Advance(4 * time.Minute)
			_, err := original.renew(held, 10*time.Minute)
			require.NoError(t, err)
		}
		require.Len(t, original.leased(vendor), 1)
		restored.rejected(http.StatusConflict, logical.DeleteOperation, "config/"+vendor, nil)
	})
}

// The pause was that of the only Vault, whose clients have used the credential since.
func TestHeartbeat_GapAndSharedUse_RevokesWithLastHolder(t *testing.T) {
	forShared(t, func(t *testing.T, m *mount, vendor string) {
		first, second := m.read(vendor), m.read(vendor)
		m.runPeriodic()
		m.restartAfter(maxHeartbeatGap + time.Minute)
		fresh := m.read(vendor)
		for _, held := range []*vaultLease{first, second, fresh} {
			require.NoError(t, m.revoke(held))
		}
		m.requireNoneLeft(vendor)
	})
}

// No client uses the shared credential after the pause. It ends with its life at the latest.
func TestHeartbeat_GapWithoutUse_EndsAfterTheLife(t *testing.T) {
	m := newConfiguredMount(t, "trend", map[string]any{"role_name": "Auditor", "sharing": "shared", "ttl": "10m", "max_ttl": "1h"})
	held := m.read("trend")
	m.runPeriodic()
	m.restartAfter(maxHeartbeatGap + time.Minute)
	require.Error(t, m.revoke(held))
	m.runPeriodicAfter(time.Hour)
	require.NoError(t, m.revoke(held))
	m.requireNoneLeft("trend")
}
