package backend

import (
	"net/http"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

func TestTidy_FailedRevocation_IsRetriedNow(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	leased := m.read("ftd")
	m.fault(emulator.Fault{Vendor: "ftd", Route: "*", DropBefore: true})
	require.Error(t, m.revoke(leased))
	m.vendors.ClearFaults("ftd")

	report := m.must(logical.UpdateOperation, "config/ftd/tidy", map[string]any{"dry_run": true}).Data
	require.Len(t, report["pending"], 1)
	require.Equal(t, 0, report["revoked"])
	require.Len(t, m.leased("ftd"), 1)

	report = m.must(logical.UpdateOperation, "config/ftd/tidy", nil).Data
	require.Equal(t, 1, report["revoked"])
	m.requireNoneLeft("ftd")
}

func TestTidy_LiveLeases_AreKept(t *testing.T) {
	m := newConfiguredMount(t, "ftd", sharedRole)
	m.configure("trend", auditorRole)
	m.read("ftd")
	m.read("trend")
	for _, config := range []string{"ftd", "trend"} {
		report := m.must(logical.UpdateOperation, "config/"+config+"/tidy", nil).Data
		require.Empty(t, report["pending"])
		require.Empty(t, report["orphans"])
		require.Len(t, m.leased(config), 1)
	}
}

// The ledger entry was lost, as after the restore of an old snapshot. The vendor still lists what this mount created.
func TestTidy_OrphanOfThisMount_IsRevoked(t *testing.T) {
	m := newMount(t)
	m.must(logical.UpdateOperation, "config/trend", m.bootstrapData(nil))
	m.must(logical.UpdateOperation, "roles/trend", map[string]any{"config": "trend", "role_name": "Auditor"})
	lost := m.read("trend")
	kept := m.read("trend")
	m.removeEntry("trend", lost)
	_, err := m.vendors.Do("trend", "create_key", map[string]string{"name": "vault-of-another-owner"})
	require.NoError(t, err)
	m.restart()

	report := m.must(logical.UpdateOperation, "config/trend/tidy", map[string]any{"dry_run": true}).Data
	require.Equal(t, true, report["reconciled"])
	require.Equal(t, []string{lost.data["key_name"].(string)}, report["orphans"])
	require.Len(t, m.leased("trend"), 2)

	report = m.must(logical.UpdateOperation, "config/trend/tidy", nil).Data
	require.Equal(t, 1, report["orphans_revoked"])
	left := m.leased("trend")
	require.Len(t, left, 1)
	require.Equal(t, kept.data["key_name"], left[0].Marker)
	require.Len(t, m.bootstrapped(), 1, "the engine's own management key is no orphan")
	var names []string
	for _, credential := range m.vendors.Credentials("trend") {
		if credential.Live {
			names = append(names, credential.Marker)
		}
	}
	require.Contains(t, names, "vault-of-another-owner")
}

func TestTidy_OneRevocationFails_RevokesTheOthers(t *testing.T) {
	m := newConfiguredMount(t, "trend", auditorRole)
	m.fault(emulator.Fault{Vendor: "trend", Route: "deleteApiKey", Status: http.StatusUnprocessableEntity})
	for range 3 {
		require.Error(t, m.revoke(m.read("trend")))
		m.clock.Advance(time.Second)
	}
	m.vendors.ClearFaults("trend")
	m.fault(emulator.Fault{Vendor: "trend", Route: "deleteApiKey", Status: http.StatusUnprocessableEntity, Times: 1})
	response := m.must(logical.UpdateOperation, "config/trend/tidy", nil)
	require.Equal(t, 2, response.Data["revoked"])
	require.NotEmpty(t, response.Warnings)
	require.Len(t, m.leased("trend"), 1)
}

// The operator has replaced the key that the engine created, and the record of that was lost.
func TestTidy_OperatorReplacedTheRoot_RevokesTheBootstrapped(t *testing.T) {
	m := newMount(t)
	m.must(logical.UpdateOperation, "config/trend", m.bootstrapData(nil))
	m.fault(emulator.Fault{Vendor: "trend", Route: "deleteApiKey", Status: http.StatusServiceUnavailable})
	m.must(logical.UpdateOperation, "config/trend", map[string]any{"api_key": m.vendors.State().Vendors["trend"].Credentials["api_key"]})
	m.vendors.ClearFaults("trend")
	require.Len(t, m.bootstrapped(), 1)
	require.NoError(t, m.storage.Delete(t.Context(), store.RootIntentPrefix+"trend"))
	report := m.must(logical.UpdateOperation, "config/trend/tidy", nil).Data
	require.Equal(t, 1, report["orphans_revoked"])
	require.Empty(t, m.bootstrapped())
}

// A tidy that could do nothing says so by its status: a script does not read warnings.
func TestTidy_VendorSilent_IsAnError(t *testing.T) {
	for _, vendor := range []string{"ftd", "trend"} {
		t.Run(vendor, func(t *testing.T) {
			m := newMount(t)
			m.configure(vendor, roleOf(vendor))
			leased := m.read(vendor)
			m.fault(emulator.Fault{Vendor: vendor, Route: "*", DropBefore: true})
			require.Error(t, m.revoke(leased))
			m.rejected(http.StatusServiceUnavailable, logical.UpdateOperation, "config/"+vendor+"/tidy", nil, "nothing could be tidied")
			report := m.must(logical.UpdateOperation, "config/"+vendor+"/tidy", map[string]any{"dry_run": true}).Data
			require.Equal(t, []string{leased.data["credential_id"].(string)}, report["pending"])
			m.vendors.ClearFaults(vendor)
			require.Equal(t, 1, m.must(logical.UpdateOperation, "config/"+vendor+"/tidy", nil).Data["revoked"])
		})
	}
}
