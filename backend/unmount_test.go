package backend

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
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

// withoutRetries makes the configs send each request once.
func (m *mount) withoutRetries(configs ...string) {
	m.t.Helper()
	for _, config := range configs {
		m.must(logical.PatchOperation, "config/"+config, map[string]any{"max_retries": 0})
	}
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

// The unmounting has failed, since one vendor is silent, and Vault is sealed. The mount can still be unmounted or moved
// later: the root credentials are needed then, and are named.
func TestUnmount_RevocationFailed_KeepsTheRoots(t *testing.T) {
	forCreatedRoots(t, func(t *testing.T, m *mount) {
		m.configure("ftd", nil)
		m.withoutRetries("ftd")
		held := m.read("ftd")
		m.fault(emulator.Fault{Vendor: "ftd", Route: "*", DropBefore: true})
		root := m.bootstrapped()[0].Marker
		m.system.TaintedVal = true
		require.Error(t, m.revoke(held))
		m.backend.Clean(t.Context())
		require.Len(t, m.bootstrapped(), 1)
		m.requireLogged("ERROR", root)
	})
}

// A root credential is needed for the credentials of its own config, and not for those of others.
func TestUnmount_CredentialLeft_KeepsTheRootOfItsConfig(t *testing.T) {
	for name, silent := range map[string]string{"its own": "trend", "another config's": "ftd"} {
		t.Run(name, func(t *testing.T) {
			forCreatedRoots(t, func(t *testing.T, m *mount) {
				m.configure("ftd", nil)
				m.withoutRetries("ftd", "trend")
				m.read("ftd")
				m.read("trend")
				route := map[string]string{"trend": "deleteApiKey", "ftd": "*"}[silent]
				m.fault(emulator.Fault{Vendor: silent, Route: route, DropBefore: true})
				root := m.bootstrapped()[0].Marker
				m.unmount()
				if silent == "ftd" {
					require.Empty(t, m.bootstrapped())
					return
				}
				require.Len(t, m.bootstrapped(), 1)
				m.requireLogged("ERROR", root)
			})
		})
	}
}

// Nine configs of a silent vendor, and one that is served last by its name.
func TestUnmount_SilentVendor_DelaysNoOther(t *testing.T) {
	m := newMount(t)
	m.configure("trend", auditorRole)
	m.read("trend")
	for i := range 9 {
		name := fmt.Sprintf("ftd-%d", i)
		m.must(logical.UpdateOperation, "config/"+name, m.configData("ftd", map[string]any{"max_retries": 0, "verify_connection": false}))
		m.must(logical.UpdateOperation, "roles/"+name, map[string]any{"config": name, "ttl": "10m"})
	}
	m.read("ftd-0")
	m.fault(emulator.Fault{Vendor: "ftd", Route: "*", Delay: time.Minute})
	for i := range 9 {
		m.putEntry(fmt.Sprintf("ftd-%d", i))
	}
	m.backend.unmount(t.Context(), unmountLimits{total: 1500 * time.Millisecond, credentials: time.Second, endRoots: true})
	require.Empty(t, m.leased("trend"))
}

// putEntry stores an entry that must be searched at its vendor.
func (m *mount) putEntry(config string) {
	m.t.Helper()
	stored := m.config(config)
	entry, err := m.backend.ledger.Reserve(m.t.Context(), m.storage, ledger.Intent{
		ID: "searched" + config, Marker: m.markerPrefix() + config, Config: config, Role: config, UID: stored.UID,
		Origin: stored.Origin(m.backend.providers[stored.Vendor]), ExpiresAt: m.clock.Now().Add(time.Hour),
	})
	require.NoError(m.t, err)
	entry.State = ledger.StateSearching
	require.NoError(m.t, m.backend.ledger.Update(m.t.Context(), m.storage, entry))
}

// A mount that a failed unmounting has left tainted is sealed while a vendor is silent.
func TestClean_TaintedMountIsSealed_StopsSoon(t *testing.T) {
	for name, prepare := range map[string]func(m *mount, held *vaultLease){
		"the unmounting failed in this process": func(m *mount, held *vaultLease) {
			m.system.TaintedVal = true
			m.fault(emulator.Fault{Vendor: "ftd", Route: "*", DropBefore: true, Times: 10})
			require.Error(m.t, m.revoke(held))
			m.vendors.ClearFaults("ftd")
		},
		"it failed before this process": func(m *mount, _ *vaultLease) {
			m.backend.Clean(m.t.Context())
			m.system.TaintedVal = true
			m.start()
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newConfiguredMount(t, "ftd", nil)
			m.withoutRetries("ftd")
			held := m.read("ftd")
			prepare(m, held)
			m.fault(emulator.Fault{Vendor: "ftd", Route: "*", Delay: time.Minute})
			began := time.Now()
			m.backend.Clean(t.Context())
			require.Less(t, time.Since(began), 3*time.Second)
			m.requireLogged("ERROR", "unmounting: a credential is left at the vendor")
		})
	}
}

// While the last revocations run, nothing is issued and no rotation begins.
func TestUnmount_Running_IssuesAndRotatesNothing(t *testing.T) {
	for _, sharing := range []string{"exclusive", "shared"} {
		t.Run(sharing, func(t *testing.T) {
			m := newMount(t)
			m.configure("trend", map[string]any{"role_name": "Auditor", "sharing": sharing})
			m.backend.stopServing()
			m.rejected(http.StatusServiceUnavailable, logical.ReadOperation, "creds/trend", nil)
			m.must(logical.UpdateOperation, "config/trend", map[string]any{"rotation_period": "1h"})
			m.clock.Advance(2 * time.Hour)
			created := m.operations("trend")["createApiKey"]
			require.Error(t, m.backend.rotateIfDue(t.Context(), m.storage, "trend"))
			require.Equal(t, created, m.operations("trend")["createApiKey"])
			require.Empty(t, m.ledgerOf("trend"))
		})
	}
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
