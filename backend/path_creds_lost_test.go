package backend

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/lease"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/storagetest"
)

// The vendor acted and its response was lost: the credential exists and has no lease.
func TestCreds_ResponseLost_IsFoundByMarkerAndRevoked(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	m.fault(emulator.Fault{Vendor: "ftd", Route: "custom_token", DropAfter: true, Times: 1})
	// Vault's client does not retry this status.
	m.rejected(http.StatusFailedDependency, logical.ReadOperation, "creds/ftd", nil, "desired_subject")
	require.Len(t, m.leased("ftd"), 1, "the orphaned credential")
	require.Equal(t, 1, m.operations("ftd")["custom_token"], "the create was not sent again")

	m.runPeriodic()
	m.requireNoneLeft("ftd")
}

func TestCreds_ResponseLostWithoutMarkers_IsKeptUntilExpiry(t *testing.T) {
	m := newConfiguredMount(t, "lacework", nil)
	m.fault(emulator.Fault{Vendor: "lacework", Route: "POST /api/v2/access/tokens", DropAfter: true, Times: 1})
	m.rejected(http.StatusFailedDependency, logical.ReadOperation, "creds/lacework", nil)
	m.runPeriodic()
	require.Len(t, m.ledgerOf("lacework"), 1)
	m.runPeriodicAfter(time.Hour)
	require.Empty(t, m.ledgerOf("lacework"))
}

// FortiSIEM alone decides how long a token lives, and its response was lost.
func TestCreds_ResponseLostUnknownLifetime_EntryIsKept(t *testing.T) {
	m := newMount(t)
	m.setSwitch("fortisiem", "access_token_expiry", "24h")
	m.writeConfig("fortisiem", map[string]any{"verify_connection": false})
	m.must(logical.UpdateOperation, "roles/fortisiem", map[string]any{"config": "fortisiem", "ttl": "5m"})
	m.fault(emulator.Fault{Vendor: "fortisiem", Route: "*", DropAfter: true, Times: 1})
	m.rejected(http.StatusFailedDependency, logical.ReadOperation, "creds/fortisiem", nil)
	m.runPeriodicAfter(12 * time.Hour)
	require.Len(t, m.leased("fortisiem"), 1)
	require.Len(t, m.ledgerOf("fortisiem"), 1)
}

// The process died after the vendor created the credential and before its ledger entry was complete.
func TestCreds_CrashAfterCreate_IsFoundByMarkerAndRevoked(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	// From the second write on, storage fails and the vendor revokes nothing: as if the process were gone.
	m.fault(emulator.Fault{Vendor: "ftd", Route: "revoke_token", DropBefore: true})
	failing := storagetest.FailFrom(m.storage, 2, storagetest.Writes...)
	_, _, err := m.requestOn(failing, logical.ReadOperation, "creds/ftd", nil)
	require.Error(t, err)
	m.vendors.ClearFaults("ftd")
	m.restart()
	m.runPeriodic()
	require.Len(t, m.leased("ftd"), 1, "a request may still be issuing it")
	m.runPeriodicAfter(lease.IssueDeadline + time.Second)
	m.requireNoneLeft("ftd")
}

func TestCreds_EntryCannotBeCompleted_RevokesNow(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	failing := storagetest.FailFrom(m.storage, 2, storagetest.Writes...)
	_, status, err := m.requestOn(failing, logical.ReadOperation, "creds/ftd", nil)
	require.ErrorContains(t, err, "storage is gone")
	require.Equal(t, http.StatusInternalServerError, status)
	require.Empty(t, m.leased("ftd"))
}

func TestCreds_ClientHangsUp_LosesNothing(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	m.fault(emulator.Fault{Vendor: "ftd", Route: "custom_token", Delay: time.Minute, Times: 1})
	ctx, cancel := context.WithCancel(t.Context())
	statuses := make(chan int)
	go func() {
		_, status, _ := m.handle(ctx, &logical.Request{Operation: logical.ReadOperation, Path: "creds/ftd", Storage: m.storage})
		statuses <- status
	}()
	require.Eventually(t, func() bool { return m.operations("ftd")["custom_token"] > 0 }, 10*time.Second, time.Millisecond)
	cancel()
	require.Equal(t, http.StatusFailedDependency, <-statuses)
	m.runPeriodic()
	require.Empty(t, m.leased("ftd"))
	require.Len(t, m.ledgerOf("ftd"), 1, "the device may finish the request later")
	for range 3 {
		m.clock.Advance(lease.MaxSearch)
		m.runPeriodic()
	}
	m.requireNoneLeft("ftd")
}
