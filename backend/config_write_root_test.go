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
)

// A mistyped and unverified root credential must not cost the one that works.
func TestConfigWrite_UnverifiedRoot_KeepsTheVaultManagedRoot(t *testing.T) {
	for name, passwords := range map[string][]string{
		"once": {"a typing mistake"}, "twice": {"a typing mistake", "another mistake"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newConfiguredMount(t, "ftd", nil)
			m.rotate("ftd")
			for _, password := range passwords {
				m.must(logical.UpdateOperation, "config/ftd", map[string]any{"password": password, "verify_connection": false})
			}
			m.requireRecovers("ftd")
		})
	}
}

func TestConfigWrite_NewConfig_HasNoCandidates(t *testing.T) {
	m := newMount(t)
	m.writeConfig("trend", nil)
	require.Empty(t, m.config("trend").Root.Candidates)
}

// The right to change an address is not the right to read the root credential, or another that the config keeps.
func TestConfigWrite_TrustChangesAfterRotation_MustVerify(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	m.rotate("ftd")
	for field, value := range map[string]any{"address": "127.0.0.1:1", "tls_skip_verify": true} {
		m.rejected(http.StatusBadRequest, logical.UpdateOperation, "config/ftd", map[string]any{field: value, "password": "x", "verify_connection": false}, "verify_connection")
	}
}

func TestConfigWrite_VerifiedRoot_DropsCandidates(t *testing.T) {
	for name, verifications := range map[string][]bool{
		"verified": {true}, "unverified, then verified": {false, true},
	} {
		t.Run(name, func(t *testing.T) {
			m := newConfiguredMount(t, "ftd", nil)
			m.rotate("ftd")
			m.changePassword("An0ther-password")
			for _, verify := range verifications {
				m.must(logical.UpdateOperation, "config/ftd", map[string]any{"password": "An0ther-password", "verify_connection": verify})
				require.NoError(t, m.readAndRevoke("ftd"))
			}
			root := m.config("ftd").Root
			require.Empty(t, root.Candidates)
			require.False(t, root.VaultManaged)
			m.must(logical.DeleteOperation, "config/ftd", nil)
		})
	}
}

// Only the current root credential can revoke the previous one, and only at the address of the config.
func TestConfigWrite_PreviousRootNotRevoked_IsRejected(t *testing.T) {
	m := newConfiguredMount(t, "trend", auditorRole)
	m.rotateKeepingPrevious()
	written := map[string]any{"api_key": m.configData("trend", nil)["api_key"]}
	m.rejected(http.StatusBadRequest, logical.UpdateOperation, "config/trend", written, "only the present root credential can do that")
	require.Len(t, m.logins("trend"), 2)

	written["leave_behind"] = true
	response := m.must(logical.UpdateOperation, "config/trend", written)
	require.Contains(t, strings.Join(response.Warnings, "\n"), "revoke it at the vendor")
	m.vendors.ClearFaults("trend")
	m.runPeriodicAfter(rotation.RejectedBackoff + time.Second)
	m.must(logical.UpdateOperation, "config/trend/check", nil)
}

// An operator who changes a setting does not have to know about an interrupted rotation, or the password.
func TestConfigWrite_RotationInDoubt_IsResolvedFirst(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	m.failRotation(http.StatusFailedDependency, emulator.Fault{Vendor: "ftd", Route: "PUT *", DropAfter: true})
	m.must(logical.UpdateOperation, "config/ftd", map[string]any{"request_timeout": "20s"})
	m.runPeriodic()
	m.requireResolved(ftdRotation, true)
}

func TestConfigWrite_InDoubtAndWrongSetting_NeedsNoVerify(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	m.must(logical.UpdateOperation, "config/ftd", map[string]any{"api_version": "v6"})
	m.failRotation(http.StatusFailedDependency, emulator.Fault{Vendor: "ftd", Route: "PUT *", DropAfter: true})
	m.fault(emulator.Fault{Vendor: "ftd", Route: "* /api/fdm/v6/*", Status: http.StatusUnauthorized}) // the device was upgraded
	m.rejected(http.StatusBadRequest, logical.UpdateOperation, "config/ftd", map[string]any{"api_version": "latest"}, "verify_connection=false")
	m.must(logical.UpdateOperation, "config/ftd", map[string]any{"api_version": "latest", "verify_connection": false})
	require.NoError(t, m.readAndRevoke("ftd"))
	m.rememberRotatedSecrets("ftd")
}
