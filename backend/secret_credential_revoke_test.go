package backend

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/lease"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
)

func TestRevoke_LiveCredential_EndsAtTheVendor(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil)
	leased := m.read("ftd")
	require.NoError(t, m.revoke(leased))
	require.Empty(t, m.leased("ftd"))
	require.Empty(t, m.ledgerOf("ftd"))
	ended := m.vendors.Credentials("ftd")
	require.Equal(t, "revoked", ended[len(ended)-1].EndedBy)
}

func TestRevoke_Twice_Succeeds(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil)
	leased := m.read("ftd")
	require.NoError(t, m.revoke(leased))
	require.NoError(t, m.revoke(leased))
}

func TestRevoke_AfterRestart_Succeeds(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil)
	leased := m.read("ftd")
	m.restart()
	require.NoError(t, m.revoke(leased))
	require.Empty(t, m.leased("ftd"))
	require.Equal(t, 1, m.operations("ftd")["password"], "the engine's login outlives the process")
}

func TestRevoke_RoleDeleted_Succeeds(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil)
	leased := m.read("ftd")
	m.must(logical.DeleteOperation, "roles/ftd", nil)
	require.NoError(t, m.revoke(leased))
	require.Empty(t, m.leased("ftd"))
}

func TestRevoke_VendorUnreachable_IsRetriedUntilConfirmed(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil)
	leased := m.read("ftd")
	m.fault(emulator.Fault{Vendor: "ftd", Route: "*", DropBefore: true})
	require.Error(t, m.revoke(leased), "Vault is told that it did not happen")
	entry, err := m.backend.ledger.Get(t.Context(), m.storage, "ftd", m.ledgerOf("ftd")[0])
	require.NoError(t, err)
	require.Equal(t, ledger.StateRevoking, entry.State)
	require.Equal(t, 1, entry.Attempts)
	require.NotEmpty(t, entry.LastError)

	requests := len(m.vendors.Requests("ftd"))
	m.runPeriodic()
	require.Len(t, m.vendors.Requests("ftd"), requests, "not before its time")
	m.clock.Advance(lease.MinRetryPause)
	m.runPeriodic()
	require.Greater(t, len(m.vendors.Requests("ftd")), requests)
	require.Len(t, m.leased("ftd"), 1)

	m.vendors.ClearFaults("ftd")
	m.restart()
	m.clock.Advance(2 * lease.MinRetryPause)
	m.runPeriodic()
	require.Empty(t, m.leased("ftd"))
	require.Empty(t, m.ledgerOf("ftd"))
}

func TestRevoke_VendorCannotRevoke_KeepsEntryUntilExpiry(t *testing.T) {
	m := newMount(t)
	m.configure("lacework", nil)
	leased := m.read("lacework")
	before := len(m.vendors.Requests("lacework"))
	require.NoError(t, m.revoke(leased))
	require.Len(t, m.vendors.Requests("lacework"), before, "there is nothing to call")
	entries, err := m.backend.ledger.List(t.Context(), m.storage, "lacework")
	require.NoError(t, err)
	require.Len(t, entries, 1)
	require.Equal(t, ledger.StateExpiring, entries[0].State)
	m.clock.Advance(time.Hour)
	m.runPeriodic()
	require.Empty(t, m.ledgerOf("lacework"))
}

// A session lives as long as the application uses it, so its entry must not be deleted by time alone.
func TestRevoke_KeptAliveByUse_IsRetriedPastExpiry(t *testing.T) {
	m := newMount(t)
	m.configure("fortianalyzer", map[string]any{"ttl": "10m", "max_ttl": "8h"})
	leased := m.read("fortianalyzer")
	m.fault(emulator.Fault{Vendor: "fortianalyzer", Route: "exec /sys/logout", DropBefore: true})
	require.Error(t, m.revoke(leased))
	for range 4 {
		m.clock.Advance(12 * time.Minute)
		useSession(m, leased)
		m.runPeriodic()
		require.Len(t, m.ledgerOf("fortianalyzer"), 1, "the vendor has not agreed yet")
	}
	m.vendors.ClearFaults("fortianalyzer")
	m.clock.Advance(lease.MaxRetryPause)
	m.runPeriodic()
	require.Empty(t, m.leased("fortianalyzer"))
	require.Empty(t, m.ledgerOf("fortianalyzer"))
}

// useSession sends a request of the application.
func useSession(m *mount, l *vaultLease) {
	m.t.Helper()
	body := fmt.Sprintf(`{"id":1,"method":"get","params":[{"url":"/sys/status"}],"session":%q}`, l.data["token"])
	request, err := http.NewRequestWithContext(m.t.Context(), http.MethodPost, m.vendors.URL("fortianalyzer")+"/jsonrpc", strings.NewReader(body))
	require.NoError(m.t, err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(m.vendors.CACertPEM())
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
	}}
	response, err := client.Do(request)
	require.NoError(m.t, err)
	require.NoError(m.t, response.Body.Close())
}

func TestRevoke_ConfigCannotBeOpened_IsRetried(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil)
	leased := m.read("ftd")
	m.restart()
	vendor := m.backend.providers["ftd"]
	delete(m.backend.providers, "ftd")
	require.Error(t, m.revoke(leased))
	entry, err := m.backend.ledger.Get(t.Context(), m.storage, "ftd", m.ledgerOf("ftd")[0])
	require.NoError(t, err)
	require.Equal(t, ledger.StateRevoking, entry.State)
	m.backend.providers["ftd"] = vendor
	m.clock.Advance(2 * lease.MinRetryPause)
	m.runPeriodic()
	require.Empty(t, m.leased("ftd"))
}

// A manager that keeps no expiry never ends a key, so its entry must not be deleted by time alone.
func TestRevoke_VendorKeepsNoExpiry_IsRetriedPastExpiry(t *testing.T) {
	m := newMount(t)
	m.setSwitch("trend", "expiry_precision", "nothing")
	m.configure("trend", map[string]any{"role_name": "Auditor"})
	leased := m.read("trend")
	m.fault(emulator.Fault{Vendor: "trend", Route: "deleteApiKey", Status: http.StatusServiceUnavailable})
	require.Error(t, m.revoke(leased))
	m.clock.Advance(3 * time.Hour)
	m.runPeriodic()
	require.Len(t, m.ledgerOf("trend"), 1)
	m.vendors.ClearFaults("trend")
	m.clock.Advance(lease.MaxRetryPause)
	m.runPeriodic()
	require.Empty(t, m.ledgerOf("trend"))
	require.Empty(t, m.leased("trend"))
}

// The vendor has moved the expiry, and its response was lost: the recorded expiry is too early.
func TestRevoke_RenewResponseLost_IsRetriedPastExpiry(t *testing.T) {
	m := newMount(t)
	m.configure("trend", map[string]any{"role_name": "Auditor", "ttl": "5m"})
	leased := m.read("trend")
	m.fault(emulator.Fault{Vendor: "trend", Route: "modifyApiKey", DropAfter: true})
	_, err := m.renew(leased, time.Hour)
	require.Error(t, err)
	m.fault(emulator.Fault{Vendor: "trend", Route: "deleteApiKey", DropBefore: true})
	require.Error(t, m.revoke(leased))
	m.clock.Advance(10 * time.Minute)
	m.runPeriodic()
	require.Len(t, m.leased("trend"), 1)
	require.Len(t, m.ledgerOf("trend"), 1)
	m.vendors.ClearFaults("trend")
	m.clock.Advance(lease.MaxRetryPause)
	m.runPeriodic()
	require.Empty(t, m.leased("trend"))
	require.Empty(t, m.ledgerOf("trend"))
}
