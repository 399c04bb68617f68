package backend

import (
	"net/http"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/all"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/lease"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// A credential that is revoked at another place is reported as gone and lives on; and whoever may change the
// address could have the leased secrets sent to it.
func TestConfigUpdate_AddressMovesWhileCredentialsLive_SendsNothingThere(t *testing.T) {
	for vendor, role := range map[string]map[string]any{
		"ftd": nil, "fortianalyzer": {"ttl": "10m"}, "trend": {"role_name": "Auditor"},
	} {
		t.Run(vendor, func(t *testing.T) {
			m := newMount(t)
			other, err := emulator.Start(emulator.Config{Seed: 1, Now: m.clock.Now}, all.Vendors()...)
			require.NoError(t, err)
			defer func() { require.NoError(t, other.Close()) }()
			m.configure(vendor, role)
			leased := m.read(vendor)
			move := m.configData(vendor, map[string]any{
				"address": other.URL(vendor), "ca_cert": string(other.CACertPEM()), "verify_connection": false,
			})

			status, text := m.refused(logical.UpdateOperation, "config/"+vendor, move)
			require.Equal(t, http.StatusConflict, status)
			require.Contains(t, text, "force=true")

			move["force"] = true
			m.must(logical.UpdateOperation, "config/"+vendor, move)
			require.Error(t, m.revoke(leased), "nobody there can end it")
			_, err = m.renew(leased, 0)
			require.Error(t, err)
			require.Empty(t, other.Requests(vendor), "and nothing of it was sent there")
			require.Len(t, m.leased(vendor), 1)
			require.Len(t, m.ledgerOf(vendor), 1)

			m.must(logical.UpdateOperation, "config/"+vendor, m.configData(vendor, map[string]any{"force": true}))
			require.NoError(t, m.revoke(leased))
			require.Empty(t, m.leased(vendor))
		})
	}
}

func TestRevoke_ConfigCannotBeOpened_IsKept(t *testing.T) {
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
	m.clock.advance(2 * lease.MinRetryPause)
	m.runPeriodic()
	require.Empty(t, m.leased("ftd"))
}

func TestTidy_OneThatCannotBeEnded_DoesNotStopTheOthers(t *testing.T) {
	m := newMount(t)
	m.configure("trend", map[string]any{"role_name": "Auditor"})
	m.fault(emulator.Fault{Vendor: "trend", Route: "deleteApiKey", Status: http.StatusUnprocessableEntity})
	for range 3 {
		require.Error(t, m.revoke(m.read("trend")))
		m.clock.advance(time.Second)
	}
	m.vendors.ClearFaults("trend")
	m.fault(emulator.Fault{Vendor: "trend", Route: "deleteApiKey", Status: http.StatusUnprocessableEntity, Times: 1})
	response := m.must(logical.UpdateOperation, "config/trend/tidy", nil)
	require.Equal(t, 2, response.Data["revoked"])
	require.NotEmpty(t, response.Warnings)
	require.Len(t, m.leased("trend"), 1)
}

func TestPostpone_VendorWasNotAsked_IsNoAttempt(t *testing.T) {
	m := newMount(t)
	m.breakerPause = time.Hour
	m.restart()
	m.configure("ftd", nil)
	leased := m.read("ftd")
	m.fault(emulator.Fault{Vendor: "ftd", Route: "*", DropBefore: true})
	for range 10 {
		require.Error(t, m.revoke(leased))
	}
	entry, err := m.backend.ledger.Get(t.Context(), m.storage, "ftd", m.ledgerOf("ftd")[0])
	require.NoError(t, err)
	require.Equal(t, 3, entry.Attempts)
	require.False(t, entry.NextAttemptAt.After(m.clock.Now().Add(lease.MinRetryPause)))
}

// The process died after the last credential of a retired config was struck out and before the config was.
func TestRetired_CrashBeforeItsDeletion_IsDeletedLater(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil)
	leased := m.read("ftd")
	m.must(logical.DeleteOperation, "config/ftd", map[string]any{"force": true})
	require.NoError(t, m.backend.ledger.Remove(t.Context(), m.storage, "ftd", leased.secret.InternalData["id"].(string)))
	m.runPeriodic()
	m.clock.advance(reconcileInterval)
	m.runPeriodic()
	left, err := m.storage.List(t.Context(), store.ConfigPrefix)
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestConfigDelete_Abandon_IsForWhatIsRetiredAndSaysWhatIsLeft(t *testing.T) {
	m := newMount(t)
	m.configure("fortianalyzer", map[string]any{"ttl": "10m"})
	leased := m.read("fortianalyzer")
	status, text := m.refused(logical.DeleteOperation, "config/fortianalyzer", map[string]any{"abandon": true})
	require.Equal(t, http.StatusBadRequest, status)
	require.Contains(t, text, `"abandon"`)
	m.must(logical.DeleteOperation, "config/fortianalyzer", map[string]any{"force": true})
	m.fault(emulator.Fault{Vendor: "fortianalyzer", Route: "*", DropBefore: true})
	require.Error(t, m.revoke(leased))
	response := m.must(logical.DeleteOperation, "config/fortianalyzer", map[string]any{"abandon": true})
	require.Contains(t, response.Warnings[0], "vault-")
	require.Empty(t, m.ledgerOf("fortianalyzer"))
	require.NoError(t, m.revoke(leased), "Vault can forget the lease")
}

func TestConfigPatch_NullVerification_IsTheDefaultAndVerifies(t *testing.T) {
	m := newMount(t)
	m.must(logical.UpdateOperation, "config/ftd", m.configData("ftd", nil))
	status, _ := m.refused(logical.PatchOperation, "config/ftd", map[string]any{"password": "wrong", "verify_connection": nil})
	require.Equal(t, http.StatusBadRequest, status)
}

func TestRenew_SmallerIncrement_DoesNotShortenTheCredential(t *testing.T) {
	m := newMount(t)
	m.configure("trend", map[string]any{"role_name": "Auditor", "ttl": "1h"})
	leased := m.read("trend")
	before := *m.leased("trend")[0].ExpiresAt
	m.fault(emulator.Fault{Vendor: "trend", Route: "modifyApiKey", DropAfter: true})
	_, err := m.renew(leased, time.Minute)
	require.Error(t, err, "the lease keeps its old end")
	require.False(t, m.leased("trend")[0].ExpiresAt.Before(before.Add(-time.Second)))
}

func TestRenew_Shared_LeaseEndsNoLaterThanTheBooksSay(t *testing.T) {
	m := newMount(t)
	require.NoError(t, m.vendors.SetSwitch("fortianalyzer", "idle_timeout", "8h"))
	m.must(logical.UpdateOperation, "config/fortianalyzer", m.configData("fortianalyzer", map[string]any{"idle_timeout": "8h"}))
	m.must(logical.UpdateOperation, "roles/app", map[string]any{
		"config": "fortianalyzer", "ttl": "10m", "max_ttl": "2h", "sharing": "shared",
	})
	m.read("app")
	m.clock.advance(100 * time.Minute)
	late := m.read("app")
	response, err := m.renew(late, 2*time.Hour)
	require.NoError(t, err)
	end := late.secret.IssueTime.Add(response.Secret.MaxTTL)
	require.False(t, end.After(m.clock.Now().Add(20*time.Minute+time.Second)), "the life of a shared credential is the role's max_ttl")
}

func TestShared_LastRevokeIsUnderWay_NewReaderGetsANewCredential(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", map[string]any{"sharing": "shared"})
	last := m.read("ftd")
	m.fault(emulator.Fault{Vendor: "ftd", Route: "revoke_token", Delay: 300 * time.Millisecond, Times: 1})
	done := make(chan error)
	go func() { done <- m.revoke(last) }()
	require.Eventually(t, func() bool { return m.operations("ftd")["revoke_token"] > 0 }, 5*time.Second, time.Millisecond)
	fresh := m.read("ftd")
	require.NotEqual(t, last.data["token"], fresh.data["token"])
	require.NoError(t, <-done)
	require.Len(t, m.leased("ftd"), 1)
}

func TestShared_RoleWrittenAgainUnchanged_KeepsTheCredential(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", map[string]any{"sharing": "shared"})
	first := m.read("ftd")
	m.must(logical.UpdateOperation, "roles/ftd", map[string]any{"sharing": "shared", "ttl": "15m"})
	require.Equal(t, first.data["token"], m.read("ftd").data["token"])
}

func TestShared_RootCredentialChanged_NewReadersGetItsCredential(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", map[string]any{"sharing": "shared"})
	first := m.read("ftd")
	m.must(logical.UpdateOperation, "config/ftd", map[string]any{"max_retries": 1})
	require.NotEqual(t, first.data["token"], m.read("ftd").data["token"])
	require.NoError(t, m.revoke(first))
}

// The vendor has moved the end, and its answer was lost: what is written down is too early.
func TestRevoke_RenewalWasNotHeard_IsTriedAgainBeyondTheRecordedEnd(t *testing.T) {
	m := newMount(t)
	m.configure("trend", map[string]any{"role_name": "Auditor", "ttl": "5m"})
	leased := m.read("trend")
	m.fault(emulator.Fault{Vendor: "trend", Route: "modifyApiKey", DropAfter: true})
	_, err := m.renew(leased, time.Hour)
	require.Error(t, err)
	m.fault(emulator.Fault{Vendor: "trend", Route: "deleteApiKey", DropBefore: true})
	require.Error(t, m.revoke(leased))
	m.clock.advance(10 * time.Minute)
	m.runPeriodic()
	require.Len(t, m.leased("trend"), 1)
	require.Len(t, m.ledgerOf("trend"), 1)
	m.vendors.ClearFaults("trend")
	m.clock.advance(lease.MaxRetryPause)
	m.runPeriodic()
	require.Empty(t, m.leased("trend"))
	require.Empty(t, m.ledgerOf("trend"))
}

// FortiSIEM alone decides how long a token lives, and its answer was lost.
func TestCreds_AnswerLostAndLifetimeUnknown_IsKeptInTheBooksForLong(t *testing.T) {
	m := newMount(t)
	require.NoError(t, m.vendors.SetSwitch("fortisiem", "access_token_expiry", "24h"))
	m.must(logical.UpdateOperation, "config/fortisiem", m.configData("fortisiem", map[string]any{"verify_connection": false}))
	m.must(logical.UpdateOperation, "roles/fortisiem", map[string]any{"config": "fortisiem", "ttl": "5m"})
	m.fault(emulator.Fault{Vendor: "fortisiem", Route: "*", DropAfter: true, Times: 1})
	status, _ := m.refused(logical.ReadOperation, "creds/fortisiem", nil)
	require.Equal(t, http.StatusFailedDependency, status)
	m.clock.advance(12 * time.Hour)
	m.runPeriodic()
	require.Len(t, m.leased("fortisiem"), 1)
	require.Len(t, m.ledgerOf("fortisiem"), 1)
}
