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

func TestRevoke_EndsTheCredentialAtTheVendor(t *testing.T) {
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

func TestRevoke_AfterTheRoleWasDeleted_Succeeds(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil)
	leased := m.read("ftd")
	m.must(logical.DeleteOperation, "roles/ftd", nil)
	require.NoError(t, m.revoke(leased))
	require.Empty(t, m.leased("ftd"))
}

func TestRevoke_VendorUnreachable_FailsAndIsTriedAgainUntilTheVendorAgrees(t *testing.T) {
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
	m.clock.advance(lease.MinRetryPause)
	m.runPeriodic()
	require.Greater(t, len(m.vendors.Requests("ftd")), requests)
	require.Len(t, m.leased("ftd"), 1)

	m.vendors.ClearFaults("ftd")
	m.restart()
	m.clock.advance(2 * lease.MinRetryPause)
	m.runPeriodic()
	require.Empty(t, m.leased("ftd"))
	require.Empty(t, m.ledgerOf("ftd"))
}

func TestRevoke_VendorThatCannot_EndsTheLeaseAndKeepsTheAccount(t *testing.T) {
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
	m.clock.advance(time.Hour)
	m.runPeriodic()
	require.Empty(t, m.ledgerOf("lacework"))
}

// Vault crashed after the engine answered and before it stored the lease: nobody will ever revoke it.
func TestPeriodic_LeaseWasLost_EndsTheCredential(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil)
	m.read("ftd")
	m.restart()
	m.clock.advance(15*time.Minute + lease.LostLeaseGrace - 10*time.Second)
	m.runPeriodic()
	require.Len(t, m.leased("ftd"), 1, "Vault may still revoke it itself")
	m.clock.advance(time.Minute)
	m.runPeriodic()
	require.Empty(t, m.leased("ftd"))
	require.Empty(t, m.ledgerOf("ftd"))
}

func TestRenew_StaysInsideTheCredentialsLife(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil) // ttl 15m, max_ttl 2h
	leased := m.read("ftd")
	for name, test := range map[string]struct {
		increment, wantMin, wantMax time.Duration
	}{
		"without increment":                {0, 15*time.Minute - time.Second, 15 * time.Minute},
		"with a larger one":                {time.Hour, time.Hour - time.Second, time.Hour},
		"with one beyond the maximum":      {24 * time.Hour, 2*time.Hour - 2*time.Second, 2 * time.Hour},
		"with a smaller one than the role": {time.Minute, time.Minute - time.Second, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			response, err := m.renew(leased, test.increment)
			require.NoError(t, err)
			require.GreaterOrEqual(t, response.Secret.TTL, test.wantMin)
			require.LessOrEqual(t, response.Secret.TTL, test.wantMax)
			live := m.leased("ftd")[0]
			require.False(t, m.clock.Now().Add(response.Secret.TTL).After(*live.ExpiresAt))
			require.False(t, leased.secret.IssueTime.Add(response.Secret.MaxTTL).After(*live.ExpiresAt))
		})
	}
}

// A session lives on as long as somebody uses it, so its account must not be closed by the clock.
func TestRevoke_KeptAliveByUse_IsTriedAgainBeyondItsExpiry(t *testing.T) {
	m := newMount(t)
	m.configure("fortianalyzer", map[string]any{"ttl": "10m", "max_ttl": "8h"})
	leased := m.read("fortianalyzer")
	m.fault(emulator.Fault{Vendor: "fortianalyzer", Route: "exec /sys/logout", DropBefore: true})
	require.Error(t, m.revoke(leased))
	for range 4 {
		m.clock.advance(12 * time.Minute)
		useSession(m, leased)
		m.runPeriodic()
		require.Len(t, m.ledgerOf("fortianalyzer"), 1, "the vendor has not agreed yet")
	}
	m.vendors.ClearFaults("fortianalyzer")
	m.clock.advance(lease.MaxRetryPause)
	m.runPeriodic()
	require.Empty(t, m.leased("fortianalyzer"))
	require.Empty(t, m.ledgerOf("fortianalyzer"))
}

// useSession is a call of the application's.
func useSession(m *mount, l *testLease) {
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

func TestRenew_ExtendableCredential_GoesBeyondItsFirstExpiry(t *testing.T) {
	m := newMount(t)
	m.configure("fortianalyzer", map[string]any{"ttl": "10m", "max_ttl": "8h"})
	leased := m.read("fortianalyzer")
	require.Equal(t, 8*time.Hour, leased.secret.MaxTTL.Round(time.Minute), "the idle timeout bounds one renewal, not the sum")
	for range 5 {
		m.clock.advance(9 * time.Minute)
		response, err := m.renew(leased, 0)
		require.NoError(t, err)
		require.Equal(t, 10*time.Minute, response.Secret.TTL)
		require.Len(t, m.leased("fortianalyzer"), 1)
	}
}

func TestRenew_KeepsALostLeasesClockAtBay(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil)
	leased := m.read("ftd")
	_, err := m.renew(leased, time.Hour)
	require.NoError(t, err)
	m.clock.advance(15*time.Minute + lease.LostLeaseGrace + time.Minute)
	m.runPeriodic()
	require.Len(t, m.leased("ftd"), 1, "the renewed lease still holds it")
}

func TestRenew_CredentialDiedAtTheVendor_SaysSoAndWhatToDo(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil)
	leased := m.read("ftd")
	m.clock.advance(3 * time.Hour)
	_, err := m.renew(leased, 0)
	require.ErrorContains(t, err, "creds/ftd")
}

func TestRenew_RoleDeleted_IsRefused(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil)
	leased := m.read("ftd")
	m.must(logical.DeleteOperation, "roles/ftd", nil)
	_, err := m.renew(leased, 0)
	require.ErrorContains(t, err, "was deleted")
}

func TestRenew_RolesTTLsChanged_UsesTheNewOnes(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil)
	leased := m.read("ftd")
	m.must(logical.UpdateOperation, "roles/ftd", map[string]any{"ttl": "5m"})
	response, err := m.renew(leased, 0)
	require.NoError(t, err)
	require.LessOrEqual(t, response.Secret.TTL, 5*time.Minute)
}

func TestRenew_RevokedCredential_IsRefused(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil)
	leased := m.read("ftd")
	require.NoError(t, m.revoke(leased))
	_, err := m.renew(leased, 0)
	require.ErrorContains(t, err, "revoked")
}

func TestInvalidate_AnotherNodeChangedTheConfig_IsSeenAtOnce(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil)
	m.read("ftd")

	here := m.backend
	m.start()
	m.must(logical.UpdateOperation, "config/ftd", map[string]any{"max_credentials": 1})
	m.backend.Clean(t.Context())
	m.backend = here
	for _, key := range []string{"config/ftd", "role/ftd", "ledger/ftd/x", "session/ftd/x"} {
		m.backend.Invalidate(t.Context(), key)
	}
	status, text := m.refused(logical.ReadOperation, "creds/ftd", nil)
	require.Equal(t, http.StatusConflict, status)
	require.Contains(t, text, "1 of 1")
}
