package backend

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/lease"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/storagetest"
)

// Retries with a root credential that the vendor rejects can lock the account.
func TestPeriodic_RootRejected_BacksOff(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	m.read("ftd")
	m.read("ftd")
	_, err := m.vendors.Do("ftd", "change_password", nil)
	require.NoError(t, err)
	m.setSwitch("ftd", "password_change_ends", "logins")
	m.clock.Advance(15*time.Minute + lease.LostLeaseGrace + time.Minute)
	before := m.operations("ftd")["password"]
	for range 60 {
		m.runPeriodic()
		m.clock.Advance(time.Minute)
	}
	require.LessOrEqual(t, m.operations("ftd")["password"]-before, 5, "within an hour")
}

// A leader that has stalled finds that its leases ended long ago, and does not know yet that its successor has renewed
// them. The only sign is that it cannot write.
func TestPeriodic_StalledLeaderCannotWrite_RevokesNothing(t *testing.T) {
	for _, sharing := range []string{"exclusive", "shared"} {
		t.Run(sharing, func(t *testing.T) {
			m := newMount(t)
			var failing atomic.Bool
			m.storage = storagetest.FailWhile(m.storage, &failing, storagetest.Writes...)
			m.restart()
			m.configure("trend", map[string]any{"role_name": "Auditor", "ttl": "90m", "sharing": sharing})
			m.read("trend")
			m.clock.Advance(90*time.Minute + lease.LostLeaseGrace + time.Second)
			calls := len(m.vendors.Requests("trend"))
			failing.Store(true)
			m.runPeriodic()
			require.Len(t, m.vendors.Requests("trend"), calls)

			failing.Store(false)
			m.runPeriodic()
			m.requireNoneLeft("trend")
		})
	}
}

func TestPeriodic_OrphanAtTheVendor_IsReportedHourlyAndKept(t *testing.T) {
	m := newConfiguredMount(t, "trend", map[string]any{"role_name": "Auditor", "ttl": "90m"})
	lost := m.read("trend")
	m.removeEntry("trend", lost)
	sent := m.watchEvents()
	m.runPeriodic()
	m.runPeriodicAfter(firstReconcile / 2)
	require.Empty(t, sent.kinds, "other work is more urgent after a start")
	m.runPeriodicAfter(firstReconcile / 2)
	require.Equal(t, []string{lease.EventOrphansFound}, sent.kinds)
	m.runPeriodicAfter(reconcileInterval / 2)
	require.Len(t, sent.kinds, 1, "not at each periodic run")
	m.runPeriodicAfter(reconcileInterval / 2)
	require.Len(t, sent.kinds, 2)
	require.Len(t, m.leased("trend"), 1, "this Vault may be a copy, and its original may have issued the credential")
}

// Vault crashed after the engine answered and before Vault stored the lease: no request will revoke it.
func TestPeriodic_LeaseLost_RevokesTheCredential(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	m.read("ftd")
	m.restart()
	m.runPeriodicAfter(15*time.Minute + lease.LostLeaseGrace - 10*time.Second)
	require.Len(t, m.leased("ftd"), 1, "Vault may still revoke it itself")
	m.runPeriodicAfter(time.Minute)
	m.requireNoneLeft("ftd")
}
