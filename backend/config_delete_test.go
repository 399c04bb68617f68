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
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

func TestConfigDelete_Unused_EndsTheLogin(t *testing.T) {
	m := newMount(t)
	m.writeConfig("ftd", nil)
	m.restart()
	m.must(logical.DeleteOperation, "config/ftd", nil)
	require.Empty(t, m.logins("ftd"))
	m.requireNoKeys("config/", "session/")
}

func TestConfigDelete_LiveCredentials_RequiresForce(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	leased := m.read("ftd")

	m.rejected(http.StatusConflict, logical.DeleteOperation, "config/ftd", nil, "force=true")
	m.read("ftd")
	require.NoError(t, m.readAndRevoke("ftd"))

	response := m.must(logical.DeleteOperation, "config/ftd", map[string]any{"force": true})
	require.Contains(t, response.Warnings[0], "retired")
	m.rejected(http.StatusBadRequest, logical.ReadOperation, "creds/ftd", nil, "retired")
	require.Equal(t, true, m.must(logical.ReadOperation, "config/ftd", nil).Data["retired"])

	require.NoError(t, m.revoke(leased))
	require.Len(t, m.leased("ftd"), 1, "the second credential is still leased")
	m.runPeriodicAfter(3 * time.Hour)
	m.requireNoKeys("config/")
	require.Empty(t, m.leased("ftd"))
}

func TestConfigDelete_AbandonRetired_NamesWhatRemains(t *testing.T) {
	m := newConfiguredMount(t, "fortianalyzer", map[string]any{"ttl": "10m"})
	leased := m.read("fortianalyzer")
	m.rejected(http.StatusBadRequest, logical.UpdateOperation, "abandon/fortianalyzer", nil, "force=true")
	m.rejected(http.StatusNotFound, logical.UpdateOperation, "abandon/missing", nil, "does not exist")
	m.must(logical.DeleteOperation, "config/fortianalyzer", map[string]any{"force": true})
	m.fault(emulator.Fault{Vendor: "fortianalyzer", Route: "*", DropBefore: true})
	require.Error(t, m.revoke(leased))
	response := m.must(logical.UpdateOperation, "abandon/fortianalyzer", nil)
	require.Equal(t, []string{leased.data["credential_id"].(string)}, response.Data["abandoned"], "the vendor has no field for a marker")
	require.Contains(t, response.Warnings[0], leased.data["credential_id"])
	require.NotContains(t, response.Warnings[0], "vault-")
	require.Contains(t, m.logText(), "config abandoned by the operator")
	require.Empty(t, m.ledgerOf("fortianalyzer"))
	require.NoError(t, m.revoke(leased), "Vault can forget the lease")
}

// The process died after the last ledger entry of a retired config was deleted, and before the config was.
func TestConfigDelete_CrashWhenDrained_IsCompletedLater(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	leased := m.read("ftd")
	m.must(logical.DeleteOperation, "config/ftd", map[string]any{"force": true})
	m.removeEntry("ftd", leased)
	m.runPeriodic()
	m.runPeriodicAfter(reconcileInterval)
	m.requireNoKeys(store.ConfigPrefix)
}

func TestConfigDelete_RetiredVaultManagedRoot_Warns(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	m.rotate("ftd")
	held := m.read("ftd")
	response := m.must(logical.DeleteOperation, "config/ftd", map[string]any{"force": true})
	require.Contains(t, strings.Join(response.Warnings, "\n"), "only Vault knows")
	require.NoError(t, m.revoke(held))
}

func TestConfigDelete_VaultManagedRoot_RequiresForce(t *testing.T) {
	for name, prepare := range map[string]func(*mount){
		"rotated": func(m *mount) { m.rotate("ftd") },
		"in doubt": func(m *mount) {
			m.failRotation(http.StatusFailedDependency, emulator.Fault{Vendor: "ftd", Route: "PUT *", DropAfter: true})
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newConfiguredMount(t, "ftd", nil)
			prepare(m)
			m.rejected(http.StatusConflict, logical.DeleteOperation, "config/ftd", nil, "only Vault knows")
			m.rememberRotatedSecrets("ftd")
			response := m.must(logical.DeleteOperation, "config/ftd", map[string]any{"force": true})
			require.Contains(t, strings.Join(response.Warnings, "\n"), "only Vault knows")
		})
	}
}

func TestConfigDelete_RotatedConcurrently_IsRejected(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	before := m.config("ftd")
	m.rotate("ftd")
	require.ErrorContains(t, m.backend.deleteConfig(t.Context(), m.storage, "ftd", before), "changed by another request")
	require.NoError(t, m.readAndRevoke("ftd"))
}

func TestConfigDelete_CreatedRootInDoubt_WaitsForRevocation(t *testing.T) {
	m := newConfiguredMount(t, "trend", auditorRole)
	m.fault(emulator.Fault{Vendor: "trend", Route: "searchApiKeys", Status: http.StatusServiceUnavailable})
	m.failRotation(http.StatusFailedDependency, emulator.Fault{Vendor: "trend", Route: "createApiKey", DropAfter: true})
	m.vendors.ClearFaults("trend")
	require.Len(t, m.logins("trend"), 2)
	m.rejected(http.StatusConflict, logical.DeleteOperation, "config/trend", nil)
	m.clock.Advance(lease.IssueDeadline + time.Second)
	m.must(logical.DeleteOperation, "config/trend", nil)
	require.Len(t, m.logins("trend"), 1)
}

func TestConfigDelete_PreviousRootNotRevoked_IsKept(t *testing.T) {
	m := newConfiguredMount(t, "trend", auditorRole)
	held := m.read("trend")
	m.rotateKeepingPrevious()
	m.must(logical.DeleteOperation, "config/trend", map[string]any{"force": true})
	require.Error(t, m.revoke(held))
	m.vendors.ClearFaults("trend")
	require.NoError(t, m.revoke(held))
	require.NotNil(t, m.config("trend"), "the previous root credential is not revoked yet")
	m.runPeriodic()
	require.Nil(t, m.config("trend"))
	require.Empty(t, m.logins("trend"), "the rotated one ended with the config")
}

// An operator who replaced the password that only Vault knew knows the new one. The vendor's word that it is the one in
// use is enough, whatever asked for it.
func TestConfigDelete_OperatorsRootAccepted_NeedsNoForce(t *testing.T) {
	for name, accept := range map[string]func(*mount){
		"check": func(m *mount) { m.must(logical.UpdateOperation, "config/ftd/check", nil) },
		"change of a setting": func(m *mount) {
			m.must(logical.UpdateOperation, "config/ftd", map[string]any{"api_version": "v6"})
		},
		"change of trust": func(m *mount) {
			m.must(logical.UpdateOperation, "trust/ftd", map[string]any{"tls_server_name": "localhost"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newConfiguredMount(t, "ftd", nil)
			m.rotate("ftd")
			m.changePassword("An0ther-password")
			m.must(logical.UpdateOperation, "config/ftd", map[string]any{"password": "An0ther-password", "verify_connection": false})
			m.clock.Advance(time.Second)
			accept(m)
			m.must(logical.DeleteOperation, "config/ftd", nil)
		})
	}
}

// Until the vendor has accepted what the operator wrote, the password that only Vault knows may be the one in use.
func TestConfigDelete_OperatorsRootUnverified_RequiresForce(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	m.must(logical.UpdateOperation, "config/ftd/check", nil)
	first := m.config("ftd").Fields["password"]
	m.rotate("ftd")
	m.clock.Advance(time.Second)
	m.must(logical.UpdateOperation, "config/ftd", map[string]any{"password": first, "verify_connection": false}) // accepted before the rotation
	m.rejected(http.StatusConflict, logical.DeleteOperation, "config/ftd", nil, "not verified", "config/ftd/check", "only Vault knows")
	m.requireRecovers("ftd")
	m.rejected(http.StatusConflict, logical.DeleteOperation, "config/ftd", nil, "only Vault knows")
}

// A change that a stalled rotation asked for may arrive after a check has accepted the operator's password.
func TestConfigCheck_OperatorsRoot_KeepsTheRotationsCandidate(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	m.rotate("ftd")
	m.changePassword("An0ther-password")
	m.must(logical.UpdateOperation, "config/ftd", map[string]any{"password": "An0ther-password", "verify_connection": false})
	m.failRotation(http.StatusFailedDependency, emulator.Fault{Vendor: "ftd", Route: "PUT *", DropBefore: true})
	m.must(logical.UpdateOperation, "config/ftd/check", nil)
	m.changePassword(m.candidatePassword())
	m.requireRecovers("ftd")
}
