package backend

import (
	"context"
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
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/storagetest"
)

func TestRevoke_LiveCredential_EndsAtTheVendor(t *testing.T) {
	for name, prepare := range map[string]func(*mount, *vaultLease){
		"at once":                    func(*mount, *vaultLease) {},
		"after a restart":            func(m *mount, _ *vaultLease) { m.restart() },
		"after the role was deleted": func(m *mount, _ *vaultLease) { m.must(logical.DeleteOperation, "roles/ftd", nil) },
		"twice":                      func(m *mount, l *vaultLease) { require.NoError(m.t, m.revoke(l)) },
	} {
		t.Run(name, func(t *testing.T) {
			m := newConfiguredMount(t, "ftd", nil)
			leased := m.read("ftd")
			prepare(m, leased)
			require.NoError(t, m.revoke(leased))
			m.requireNoneLeft("ftd")
			ended := m.vendors.Credentials("ftd")
			require.Equal(t, "revoked", ended[len(ended)-1].EndedBy)
			require.Equal(t, 1, m.operations("ftd")["password"], "the engine's login survives the process")
		})
	}
}

func TestRevoke_VendorUnreachable_IsRetriedUntilConfirmed(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	leased := m.read("ftd")
	m.fault(emulator.Fault{Vendor: "ftd", Route: "*", DropBefore: true})
	require.Error(t, m.revoke(leased), "Vault learns that the credential was not revoked")
	entry := m.firstEntry("ftd")
	require.Equal(t, ledger.StateRevoking, entry.State)
	require.Equal(t, 1, entry.Attempts)
	require.NotEmpty(t, entry.LastError)

	requests := len(m.vendors.Requests("ftd"))
	m.runPeriodic()
	require.Len(t, m.vendors.Requests("ftd"), requests, "no retry before the pause has ended")
	m.runPeriodicAfter(lease.MinRetryPause)
	require.Greater(t, len(m.vendors.Requests("ftd")), requests)
	require.Len(t, m.leased("ftd"), 1)

	m.vendors.ClearFaults("ftd")
	m.restart()
	m.runPeriodicAfter(2 * lease.MinRetryPause)
	m.requireNoneLeft("ftd")
}

func TestRevoke_VendorCannotRevoke_KeepsEntryUntilExpiry(t *testing.T) {
	m := newConfiguredMount(t, "lacework", nil)
	leased := m.read("lacework")
	before := len(m.vendors.Requests("lacework"))
	require.NoError(t, m.revoke(leased))
	require.Len(t, m.vendors.Requests("lacework"), before, "the vendor has no request for it")
	require.Len(t, m.ledgerOf("lacework"), 1)
	require.Equal(t, ledger.StateExpiring, m.firstEntry("lacework").State)
	m.runPeriodicAfter(time.Hour)
	require.Empty(t, m.ledgerOf("lacework"))
}

// A session lives as long as the application uses it, so its entry must not be deleted by time alone.
func TestRevoke_KeptAliveByUse_IsRetriedPastExpiry(t *testing.T) {
	m := newConfiguredMount(t, "fortianalyzer", map[string]any{"ttl": "10m", "max_ttl": "8h"})
	leased := m.read("fortianalyzer")
	m.fault(emulator.Fault{Vendor: "fortianalyzer", Route: "exec /sys/logout", DropBefore: true})
	require.Error(t, m.revoke(leased))
	for range 4 {
		m.clock.Advance(12 * time.Minute)
		useSession(m, leased)
		m.runPeriodic()
		require.Len(t, m.ledgerOf("fortianalyzer"), 1, "the vendor has not confirmed the revocation")
	}
	m.vendors.ClearFaults("fortianalyzer")
	m.runPeriodicAfter(lease.MaxRetryPause)
	m.requireNoneLeft("fortianalyzer")
}

// useSession sends a request of the application.
func useSession(m *mount, l *vaultLease) {
	m.t.Helper()
	callSession(m, l, "get", "/sys/status")
}

// callSession makes a JSON-RPC call of the application.
func callSession(m *mount, l *vaultLease, method, url string) {
	m.t.Helper()
	body := fmt.Sprintf(`{"id":1,"method":%q,"params":[{"url":%q}],"session":%q}`, method, url, l.data["token"])
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
	m := newConfiguredMount(t, "ftd", nil)
	leased := m.read("ftd")
	m.restart()
	vendor := m.backend.providers["ftd"]
	delete(m.backend.providers, "ftd")
	require.Error(t, m.revoke(leased))
	require.Equal(t, ledger.StateRevoking, m.firstEntry("ftd").State)
	m.backend.providers["ftd"] = vendor
	m.runPeriodicAfter(2 * lease.MinRetryPause)
	require.Empty(t, m.leased("ftd"))
}

// A manager that keeps no expiry never ends a key, so its entry must not be deleted by time alone.
func TestRevoke_VendorKeepsNoExpiry_IsRetriedPastExpiry(t *testing.T) {
	m := newMount(t)
	m.setSwitch("trend", "expiry_precision", "nothing")
	m.configure("trend", auditorRole)
	leased := m.read("trend")
	m.fault(emulator.Fault{Vendor: "trend", Route: "deleteApiKey", Status: http.StatusServiceUnavailable})
	require.Error(t, m.revoke(leased))
	m.runPeriodicAfter(3 * time.Hour)
	require.Len(t, m.ledgerOf("trend"), 1)
	m.vendors.ClearFaults("trend")
	m.runPeriodicAfter(lease.MaxRetryPause)
	m.requireNoneLeft("trend")
}

// The vendor has moved the expiry, and its response was lost: the recorded expiry is too early.
func TestRevoke_RenewResponseLost_IsRetriedPastExpiry(t *testing.T) {
	m := newConfiguredMount(t, "trend", map[string]any{"role_name": "Auditor", "ttl": "5m"})
	m.clock.endWaits()
	leased := m.read("trend")
	m.fault(emulator.Fault{Vendor: "trend", Route: "modifyApiKey", DropAfter: true})
	_, err := m.renew(leased, time.Hour)
	require.Error(t, err)
	m.fault(emulator.Fault{Vendor: "trend", Route: "deleteApiKey", DropBefore: true})
	require.Error(t, m.revoke(leased))
	m.runPeriodicAfter(10 * time.Minute)
	require.Len(t, m.leased("trend"), 1)
	require.Len(t, m.ledgerOf("trend"), 1)
	m.vendors.ClearFaults("trend")
	m.runPeriodicAfter(lease.MaxRetryPause)
	m.requireNoneLeft("trend")
}

// A renewal changes the entry while the vendor refuses the revocation: the credential must end all the same.
func TestRevoke_FailsNextToARenewal_IsRetried(t *testing.T) {
	for _, vendor := range []string{"ftd", "trend", "fortianalyzer"} {
		t.Run(vendor, func(t *testing.T) {
			m := newMount(t)
			role := map[string]any{"ttl": "10m"}
			if vendor == "trend" {
				role["role_name"] = "Auditor"
			}
			m.configure(vendor, role)
			m.withoutRetries(vendor)
			held := m.read(vendor)
			m.fault(emulator.Fault{Vendor: vendor, Route: "*", DropBefore: true})
			interrupted, renewed := storagetest.Wrap(m.storage), false
			interrupted.After = func(ctx context.Context, operation storagetest.Operation) error {
				if renewed || operation.Kind != storagetest.Get || !strings.HasPrefix(operation.Key, ledger.StoragePrefix) {
					return nil
				}
				renewed = true
				entry := m.firstEntry(vendor)
				entry.LeaseExpiresAt = entry.LeaseExpiresAt.Add(time.Minute)
				return m.backend.ledger.Update(ctx, m.storage, entry)
			}
			require.Error(t, m.revokeOn(interrupted, held))
			require.True(t, renewed)
			entry := m.firstEntry(vendor)
			require.Equal(t, ledger.StateRevoking, entry.State)
			require.Equal(t, 1, entry.Attempts)
			m.vendors.ClearFaults(vendor)
			m.runPeriodicAfter(lease.MinRetryPause)
			m.requireNoneLeft(vendor)
		})
	}
}

// A record of a later version stops nothing else, and is kept.
func TestSweep_RecordOfALaterVersion_IsKeptAndReported(t *testing.T) {
	m := newConfiguredMount(t, "trend", auditorRole)
	require.NoError(t, m.storage.Put(t.Context(), &logical.StorageEntry{
		Key: "ledger/trend/later", Value: []byte(`{"version":99,"id":"later","marker":"vault-later","state":"paused"}`),
	}))
	m.restart()
	held := m.read("trend")
	m.fault(emulator.Fault{Vendor: "trend", Route: "deleteApiKey", Status: http.StatusServiceUnavailable})
	require.Error(t, m.revoke(held))
	m.vendors.ClearFaults("trend")
	m.wait(3)
	require.Equal(t, []string{"later"}, m.ledgerOf("trend"))
	require.Empty(t, m.leased("trend"))
	m.requireLogged("ERROR", "vault-later", "config=trend")
	require.Equal(t, 1, strings.Count(m.logText(), "vault-later"), "once in a process")
	require.Equal(t, "unreadable", m.inventory("trend")["state"])
	m.must(logical.UpdateOperation, "config/trend/tidy", nil)
	m.must(logical.UpdateOperation, "config/trend/rotate-root", nil)
	m.rememberRotatedSecrets("trend")
	m.rejected(http.StatusConflict, logical.DeleteOperation, "config/trend", nil)
	m.must(logical.DeleteOperation, "config/trend", map[string]any{"force": true})
	warnings := m.must(logical.UpdateOperation, "abandon/trend", nil).Warnings
	require.Contains(t, strings.Join(warnings, "\n"), "vault-later")
}
