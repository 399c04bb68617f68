package backend

import (
	"net/http"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/lease"
)

func TestBreaker_VendorDoesNotAnswer_OpensAfterThreeCalls(t *testing.T) {
	m := newMount(t)
	m.keepBreakersOpen()
	m.configure("trend", auditorRole)
	var leases []*vaultLease
	for range 20 {
		leases = append(leases, m.read("trend"))
	}
	m.fault(emulator.Fault{Vendor: "trend", Route: "deleteApiKey", DropBefore: true})
	before := m.operations("trend")["deleteApiKey"]
	for _, leased := range leases {
		require.Error(t, m.revoke(leased))
	}
	perCall := defaultMaxRetries + 1
	require.Equal(t, 3*perCall, m.operations("trend")["deleteApiKey"]-before)
	require.Len(t, m.ledgerOf("trend"), 20, "each is kept and retried")
	require.ErrorContains(t, m.revoke(leases[0]), "circuit breaker open")
	m.read("trend") // only this operation fails: the vendor answers all others
}

func TestBreaker_VendorRejects_StaysClosed(t *testing.T) {
	m := newMount(t)
	m.keepBreakersOpen()
	m.configure("lacework", nil)
	m.fault(emulator.Fault{Vendor: "lacework", Route: "POST /api/v2/access/tokens", Status: http.StatusForbidden, Times: 5})
	for range 5 {
		m.rejected(http.StatusBadRequest, logical.ReadOperation, "creds/lacework", nil)
	}
	m.read("lacework")
}

func TestBreaker_IsOpen_RevocationCountsNoAttempt(t *testing.T) {
	m := newMount(t)
	m.keepBreakersOpen()
	m.configure("ftd", nil)
	leased := m.read("ftd")
	m.fault(emulator.Fault{Vendor: "ftd", Route: "*", DropBefore: true})
	for range 10 {
		require.Error(t, m.revoke(leased))
	}
	entry := m.firstEntry("ftd")
	require.Equal(t, 3, entry.Attempts)
	require.False(t, entry.NextAttemptAt.After(m.clock.Now().Add(lease.MinRetryPause)))
}
