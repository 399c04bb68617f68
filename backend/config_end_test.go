package backend

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/rotation"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/storagetest"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// createdRoots are the ways in which the engine creates a root credential.
var createdRoots = map[string]func(*mount){
	"bootstrapped": func(m *mount) { m.must(logical.UpdateOperation, "config/trend", m.bootstrapData(nil)) },
	"rotated": func(m *mount) {
		m.writeConfig("trend", nil)
		m.rotate("trend")
	},
}

// forCreatedRoots runs a test for each way, with a role.
func forCreatedRoots(t *testing.T, run func(*testing.T, *mount)) {
	t.Helper()
	for name, create := range createdRoots {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			create(m)
			m.must(logical.UpdateOperation, "roles/trend", map[string]any{"config": "trend", "role_name": "Auditor", "ttl": "15m", "max_ttl": "2h"})
			require.Len(t, m.bootstrapped(), 1)
			run(t, m)
		})
	}
}

// A key that only Vault knows has no expiry.
func TestConfigDelete_CreatedRoot_IsRevoked(t *testing.T) {
	forCreatedRoots(t, func(t *testing.T, m *mount) {
		require.Nil(t, m.must(logical.DeleteOperation, "config/trend", nil))
		require.Empty(t, m.bootstrapped())
		m.requireNoKeys(store.ConfigPrefix, store.RootIntentPrefix)
	})
}

func TestConfigDelete_CreatedRootRefused_IsNamed(t *testing.T) {
	for name, prepare := range map[string]func(*mount){
		"the vendor says no":   func(m *mount) { m.setSwitch("trend", "delete_own_key", "403") },
		"the vendor is silent": func(m *mount) { m.fault(emulator.Fault{Vendor: "trend", Route: "deleteApiKey", DropBefore: true}) },
	} {
		t.Run(name, func(t *testing.T) {
			forCreatedRoots(t, func(t *testing.T, m *mount) {
				prepare(m)
				root := m.bootstrapped()[0].Marker
				m.rejected(http.StatusConflict, logical.DeleteOperation, "config/trend", nil, root, "force=true")
				m.vendors.ClearFaults("trend")
				require.NoError(t, m.revoke(m.read("trend")), "the config still issues")

				prepare(m)
				response := m.must(logical.DeleteOperation, "config/trend", map[string]any{"force": true})
				require.Contains(t, strings.Join(response.Warnings, "\n"), root)
				require.Contains(t, m.logText(), root)
				m.requireNoKeys(store.ConfigPrefix)
			})
		})
	}
}

func TestConfigDelete_Drained_RevokesTheCreatedRoot(t *testing.T) {
	forCreatedRoots(t, func(t *testing.T, m *mount) {
		held := m.read("trend")
		m.must(logical.DeleteOperation, "config/trend", map[string]any{"force": true})
		require.Len(t, m.bootstrapped(), 1, "it must still revoke the credential")
		require.NoError(t, m.revoke(held))
		require.Empty(t, m.bootstrapped())
		m.requireNoKeys(store.ConfigPrefix)
	})
}

func TestConfigDelete_DrainedVendorSilent_IsCompletedLater(t *testing.T) {
	forCreatedRoots(t, func(t *testing.T, m *mount) {
		held := m.read("trend")
		m.must(logical.DeleteOperation, "config/trend", map[string]any{"force": true})
		m.fault(emulator.Fault{Vendor: "trend", Route: "deleteApiKey", Skip: 1, Status: http.StatusServiceUnavailable})
		require.NoError(t, m.revoke(held))
		require.NotNil(t, m.config("trend"), "only its root credential can revoke itself")
		m.runPeriodic()
		m.vendors.ClearFaults("trend")
		m.clock.Advance(rotation.RejectedBackoff + time.Second)
		m.runPeriodic()
		require.Empty(t, m.bootstrapped())
		m.requireNoKeys(store.ConfigPrefix)
	})
}

func TestConfigDelete_DrainedRootRefused_IsNamed(t *testing.T) {
	forCreatedRoots(t, func(t *testing.T, m *mount) {
		held := m.read("trend")
		m.must(logical.DeleteOperation, "config/trend", map[string]any{"force": true})
		m.setSwitch("trend", "delete_own_key", "403")
		sent := m.watchEvents()
		require.NoError(t, m.revoke(held))
		m.requireNoKeys(store.ConfigPrefix)
		require.Contains(t, sent.kinds, rotation.EventRevokeFail)
	})
}

// Whichever storage operation of a deletion fails: a config that is left issues, or the background work completes the
// deletion.
func TestConfigDelete_NthStorageOperationFails_NoKeyIsLeft(t *testing.T) {
	forEachOperation(t, "delete", 4, func(t *testing.T, n int) bool {
		m := newMount(t)
		m.must(logical.UpdateOperation, "config/trend", m.bootstrapData(nil))
		m.must(logical.UpdateOperation, "roles/trend", map[string]any{"config": "trend", "role_name": "Auditor"})
		m.restart()
		failing := storagetest.FailNth(m.storage, n)
		_, _, err := m.requestOn(failing, logical.DeleteOperation, "config/trend", nil)
		m.restart()
		m.runPeriodic()
		if config := m.config("trend"); config != nil && !config.Retired {
			require.NoError(t, m.revoke(m.read("trend")))
			m.must(logical.DeleteOperation, "config/trend", nil)
		}
		require.Empty(t, m.bootstrapped())
		m.requireNoKeys(store.ConfigPrefix)
		return err == nil
	})
}

func TestConfigAbandon_VendorAnswers_LeavesNothing(t *testing.T) {
	forCreatedRoots(t, func(t *testing.T, m *mount) {
		held := m.read("trend")
		m.must(logical.DeleteOperation, "config/trend", map[string]any{"force": true})
		response := m.must(logical.UpdateOperation, "abandon/trend", nil)
		require.Empty(t, response.Data["abandoned"])
		require.Empty(t, response.Warnings)
		require.Empty(t, m.leased("trend"))
		require.Empty(t, m.bootstrapped())
		require.NoError(t, m.revoke(held))
	})
}

func TestConfigAbandon_VendorSilent_NamesAllThatRemains(t *testing.T) {
	forCreatedRoots(t, func(t *testing.T, m *mount) {
		m.read("trend")
		root, leased := m.bootstrapped()[0].Marker, m.leased("trend")[0].Marker
		m.must(logical.DeleteOperation, "config/trend", map[string]any{"force": true})
		m.fault(emulator.Fault{Vendor: "trend", Route: "*", DropBefore: true})
		warnings := strings.Join(m.must(logical.UpdateOperation, "abandon/trend", nil).Warnings, "\n")
		require.Contains(t, warnings, root)
		require.Contains(t, warnings, leased)
	})
}

func TestConfigWrite_CreatedRootReplaced_IsRevoked(t *testing.T) {
	forCreatedRoots(t, func(t *testing.T, m *mount) {
		created, err := m.vendors.Do("trend", "create_key", map[string]string{"name": "operators"})
		require.NoError(t, err)
		m.must(logical.UpdateOperation, "config/trend", map[string]any{"api_key": created["api_key"]})
		require.Empty(t, m.bootstrapped())
		m.requireNoKeys(store.RootIntentPrefix)
		require.NoError(t, m.revoke(m.read("trend")))
	})
}
