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
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/rotation"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// A root credential that was typed in wrongly, and not tried, does not cost the one that works.
func TestConfigWrite_UnverifiedRoot_KeepsTheOneThatOnlyVaultKnows(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil)
	m.rotate("ftd")
	m.must(logical.UpdateOperation, "config/ftd", map[string]any{"password": "a typing mistake", "verify_connection": false})
	m.requireRecovers("ftd")

	m.must(logical.UpdateOperation, "config/other", m.configData("trend", nil))
	entry, err := store.ReadConfig(t.Context(), m.storage, "other")
	require.NoError(t, err)
	require.Empty(t, entry.Root.Candidates)
}

func TestConfigWrite_UnverifiedRootTwice_KeepsTheOneThatOnlyVaultKnows(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil)
	m.rotate("ftd")
	for _, mistake := range []string{"a typing mistake", "another mistake"} {
		m.must(logical.UpdateOperation, "config/ftd", map[string]any{"password": mistake, "verify_connection": false})
	}
	m.requireRecovers("ftd")
}

// The right to change an address is not the right to read the root credential, nor one that is kept beside it.
func TestConfigWrite_MovedAfterARotation_IsVerified(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil)
	m.rotate("ftd")
	for field, value := range map[string]any{"address": "127.0.0.1:1", "tls_skip_verify": true} {
		status, text := m.refused(logical.UpdateOperation, "config/ftd", map[string]any{field: value, "password": "x", "verify_connection": false})
		require.Equal(t, http.StatusBadRequest, status)
		require.Contains(t, text, "verify_connection")
	}
}

func TestConfigWrite_VendorOfALaterVersion_IsRefusedPlainly(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil)
	entry, err := store.ReadConfig(t.Context(), m.storage, "ftd")
	require.NoError(t, err)
	entry.Vendor = "later"
	m.putConfig("ftd", entry)
	status, _ := m.refused(logical.UpdateOperation, "config/ftd", map[string]any{"max_retries": 1})
	require.Equal(t, http.StatusBadRequest, status)
}

func TestConfigWrite_WrittenAgainWithVerification_MakesVaultForgetTheOthers(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil)
	m.rotate("ftd")
	m.changePassword("An0ther-password")
	for _, verify := range []bool{false, true} {
		m.must(logical.UpdateOperation, "config/ftd", map[string]any{"password": "An0ther-password", "verify_connection": verify})
		require.NoError(t, m.revoke(m.read("ftd")))
	}
	m.must(logical.DeleteOperation, "config/ftd", nil)
}

func TestConfigDelete_RetiredWithARootThatOnlyVaultKnows_IsTold(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil)
	m.rotate("ftd")
	held := m.read("ftd")
	response := m.must(logical.DeleteOperation, "config/ftd", map[string]any{"force": true})
	require.Contains(t, strings.Join(response.Warnings, "\n"), "only Vault knows")
	require.NoError(t, m.revoke(held))
}

func TestConfigWrite_VerifiedRoot_MakesVaultForgetTheOthers(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil)
	m.rotate("ftd")
	m.changePassword("An0ther-password")
	m.must(logical.UpdateOperation, "config/ftd", map[string]any{"password": "An0ther-password"})
	entry, err := store.ReadConfig(t.Context(), m.storage, "ftd")
	require.NoError(t, err)
	require.Empty(t, entry.Root.Candidates)
	require.False(t, entry.Root.VaultManaged)
	m.must(logical.DeleteOperation, "config/ftd", nil)
}

func TestConfigDelete_RootThatOnlyVaultKnows_NeedsForce(t *testing.T) {
	for name, prepare := range map[string]func(*mount){
		"rotated":  func(m *mount) { m.rotate("ftd") },
		"in doubt": func(m *mount) { m.refusedRotation(emulator.Fault{Vendor: "ftd", Route: "PUT *", DropAfter: true}) },
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			m.configure("ftd", nil)
			prepare(m)
			status, text := m.refused(logical.DeleteOperation, "config/ftd", nil)
			require.Equal(t, http.StatusConflict, status)
			require.Contains(t, text, "only Vault knows")
			m.rememberRotatedSecrets("ftd")
			response := m.must(logical.DeleteOperation, "config/ftd", map[string]any{"force": true})
			require.Contains(t, strings.Join(response.Warnings, "\n"), "only Vault knows")
		})
	}
}

func TestConfigDelete_RotatedMeanwhile_IsRefused(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil)
	before, err := store.ReadConfig(t.Context(), m.storage, "ftd")
	require.NoError(t, err)
	m.rotate("ftd")
	require.ErrorContains(t, m.backend.deleteConfig(t.Context(), m.storage, "ftd", before), "changed by another request")
	require.NoError(t, m.revoke(m.read("ftd")))
}

func TestConfigDelete_RootMayBeLeftOfALostAnswer_NeedsForceUntilItIsEnded(t *testing.T) {
	m := newMount(t)
	r := rotations[1]
	m.configure(r.vendor, r.role)
	m.fault(emulator.Fault{Vendor: "trend", Route: "searchApiKeys", Status: http.StatusServiceUnavailable})
	m.refusedRotation(emulator.Fault{Vendor: "trend", Route: "createApiKey", DropAfter: true})
	m.vendors.ClearFaults("trend")
	require.Len(t, m.logins("trend"), 2)
	status, _ := m.refused(logical.DeleteOperation, "config/trend", nil)
	require.Equal(t, http.StatusConflict, status)
	m.clock.advance(lease.IssueDeadline + time.Second)
	m.must(logical.DeleteOperation, "config/trend", nil)
	require.Len(t, m.logins("trend"), 1)
}

// The former root credential can be ended by the present one alone, where the config points now.
func TestConfigWrite_FormerRootIsStillAlive_IsEndedFirstOrTheWriteIsRefused(t *testing.T) {
	m := newMount(t)
	r := rotations[1]
	m.configure(r.vendor, r.role)
	m.fault(emulator.Fault{Vendor: "trend", Route: "deleteApiKey", Status: http.StatusForbidden})
	m.rotate("trend")
	written := map[string]any{"api_key": m.configData("trend", nil)["api_key"]}
	_, text := m.refused(logical.UpdateOperation, "config/trend", written)
	require.Contains(t, text, "only the present root credential can do that")
	require.Len(t, m.logins("trend"), 2)

	response := m.must(logical.UpdateOperation, "config/trend", map[string]any{"api_key": written["api_key"], "force": true})
	require.Contains(t, strings.Join(response.Warnings, "\n"), "revoke it at the vendor")
	m.vendors.ClearFaults("trend")
	m.clock.advance(rotation.RejectedBackoff + time.Second)
	m.runPeriodic()
	m.must(logical.ReadOperation, "config/trend/check", nil)
}

// Nobody has to know that a rotation was interrupted to change a setting, or has to know the password.
func TestConfigWrite_RotationInDoubt_IsSettledFirst(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil)
	m.fault(emulator.Fault{Vendor: "ftd", Route: "PUT *", DropAfter: true, Times: 1})
	m.refused(logical.UpdateOperation, "config/ftd/rotate-root", nil)
	m.must(logical.UpdateOperation, "config/ftd", map[string]any{"request_timeout": "20s"})
	m.runPeriodic()
	m.requireSettled(rotations[0], true)
}
