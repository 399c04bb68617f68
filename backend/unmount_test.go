package backend

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

// unmount ends the mount as Vault does: it taints the mount, revokes the leases, and calls Cleanup.
func (m *mount) unmount(leases ...*vaultLease) {
	m.t.Helper()
	m.system.TaintedVal = true
	for _, lease := range leases {
		require.NoError(m.t, m.revoke(lease))
	}
	m.backend.Clean(m.t.Context())
}

// requireLogged requires a line of the log with this level and these texts.
func (m *mount) requireLogged(level string, texts ...string) {
	m.t.Helper()
	for line := range strings.Lines(m.logText()) {
		found := strings.Contains(line, "["+level+"]")
		for _, text := range texts {
			found = found && strings.Contains(line, text)
		}
		if found {
			return
		}
	}
	require.Fail(m.t, "not logged", "%s %q in:\n%s", level, texts, m.logText())
}

func TestUnmount_CreatedRoot_IsRevoked(t *testing.T) {
	forCreatedRoots(t, func(t *testing.T, m *mount) {
		m.unmount(m.read("trend"))
		require.Empty(t, m.bootstrapped())
		require.Empty(t, m.leased("trend"))
		require.NotContains(t, m.logText(), "[ERROR]")
	})
}

// Its lease was deleted with force, so that Vault revokes nothing.
func TestUnmount_LiveCredential_IsRevoked(t *testing.T) {
	for _, vendor := range []string{"trend", "ftd", "fortianalyzer"} {
		t.Run(vendor, func(t *testing.T) {
			m := newMount(t)
			role := map[string]any{"ttl": "10m"}
			if vendor == "trend" {
				role["role_name"] = "Auditor"
			}
			m.configure(vendor, role)
			m.read(vendor)
			m.restart()
			m.unmount()
			require.Empty(t, m.leased(vendor))
			require.NotContains(t, m.logText(), "[ERROR]")
		})
	}
}

func TestUnmount_FailedRevocation_IsTriedAtOnce(t *testing.T) {
	m := newMount(t)
	m.configure("trend", trendRotation.role)
	held := m.read("trend")
	m.fault(emulator.Fault{Vendor: "trend", Route: "deleteApiKey", Status: http.StatusServiceUnavailable})
	require.Error(t, m.revoke(held))
	m.vendors.ClearFaults("trend")
	m.unmount()
	require.Empty(t, m.leased("trend"))
}

// The mount's storage is deleted: nothing else tells of the credential.
func TestUnmount_VendorSilent_LogsWhatIsLeft(t *testing.T) {
	forCreatedRoots(t, func(t *testing.T, m *mount) {
		m.read("trend")
		leased, root, config := m.leased("trend")[0], m.bootstrapped()[0].Marker, m.config("trend")
		m.fault(emulator.Fault{Vendor: "trend", Route: "*", DropBefore: true})
		m.unmount()
		entries, err := m.backend.ledger.List(t.Context(), m.storage, "trend")
		require.NoError(t, err)
		m.requireLogged("ERROR", leased.Marker, "vendor=trend", config.Address, formatTime(entries[0].ExpiresAt))
		m.requireLogged("ERROR", root, "vendor=trend", config.Address)
	})
}

// One vendor is silent. A root credential may be needed if the unmounting fails, and is named.
func TestUnmount_CredentialLeft_KeepsTheRoots(t *testing.T) {
	forCreatedRoots(t, func(t *testing.T, m *mount) {
		m.configure("ftd", nil)
		m.read("ftd")
		m.fault(emulator.Fault{Vendor: "ftd", Route: "*", DropBefore: true})
		root := m.bootstrapped()[0].Marker
		m.unmount()
		require.Len(t, m.bootstrapped(), 1)
		m.requireLogged("ERROR", root)
	})
}

func TestUnmount_NotRevocable_IsLoggedAsWarning(t *testing.T) {
	m := newMount(t)
	m.configure("lacework", map[string]any{"ttl": "1h"})
	m.unmount(m.read("lacework"))
	m.requireLogged("WARN", "lives until its expiry", "vendor=lacework")
	require.NotContains(t, m.logText(), "[ERROR]")
}

func TestUnmount_RotatedPassword_IsNamed(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil)
	m.rotate("ftd")
	m.unmount()
	m.requireLogged("ERROR", "only Vault knows", "config=ftd", m.config("ftd").Address)
}

// A seal, a step-down and a plugin reload end nothing: the next process continues.
func TestClean_UnmountOnly_EndsTheLogin(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil)
	require.NoError(t, m.revoke(m.read("ftd")))
	m.restart()
	require.Len(t, m.logins("ftd"), 1, "a restart keeps it")
	m.unmount()
	require.Empty(t, m.logins("ftd"))
}

func TestUnmount_Standby_SendsNothing(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil)
	m.read("ftd")
	requests := len(m.vendors.Requests("ftd"))
	m.system.ReplicationStateVal = consts.ReplicationPerformanceStandby
	m.unmount()
	require.Len(t, m.vendors.Requests("ftd"), requests)
}

func TestClean_VendorSilent_StopsAtOnce(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil)
	require.Error(t, func() error {
		held := m.read("ftd")
		m.fault(emulator.Fault{Vendor: "ftd", Route: "*", Delay: 20 * time.Second})
		m.must(logical.UpdateOperation, "config/ftd", map[string]any{"request_timeout": "1s", "max_retries": 0})
		return m.revoke(held)
	}())
	began := time.Now()
	m.backend.Clean(t.Context())
	require.Less(t, time.Since(began), 2*time.Second)
}
