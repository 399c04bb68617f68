package backend

import (
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/vendorfacts"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/lease"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
)

// shortPatience is how long the revocations of these tests wait. No vendor answers so fast on a busy machine.
const shortPatience = 20 * time.Millisecond

// forImpatient runs a test for each vendor that revokes, on a mount whose revocations wait for a short time only, with a
// lease. Requests to the vendor are given up after a second.
func forImpatient(t *testing.T, test func(t *testing.T, m *mount, vendor string, leased *vaultLease)) {
	t.Helper()
	for _, facts := range vendorfacts.All() {
		if !facts.Revokes {
			continue
		}
		t.Run(facts.Name, func(t *testing.T) {
			t.Parallel()
			m := newMount(t)
			m.revokePatience = shortPatience
			m.restart()
			m.configure(facts.Name, facts.Role)
			m.must(logical.UpdateOperation, "config/"+facts.Name, map[string]any{"request_timeout": "1s", "max_retries": 0})
			test(t, m, facts.Name, m.read(facts.Name))
		})
	}
}

// stopPassing ends passWaits.
func (c *clock) stopPassing() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.passing = false
}

// awaitRevocations waits until no revocation of a config is running: a tidy joins them.
func (m *mount) awaitRevocations(config string) {
	m.t.Helper()
	_, _, _ = m.request(logical.UpdateOperation, "config/"+config+"/tidy", nil) // it fails if the vendor does not answer
}

// Vault holds its state lock while it revokes a lease, so a silent vendor must not keep it for a request_timeout.
func TestRevoke_SilentVendor_ReturnsSoonAndIsRetried(t *testing.T) {
	forImpatient(t, func(t *testing.T, m *mount, vendor string, leased *vaultLease) {
		m.fault(emulator.Fault{Vendor: vendor, Route: "*", Delay: time.Hour})
		err := m.revoke(leased)
		require.ErrorContains(t, err, "has not confirmed the revocation yet")
		require.Equal(t, ledger.StateRevoking, m.firstEntry(vendor).State)
		m.awaitRevocations(vendor)
		require.Equal(t, ledger.StateRevoking, m.firstEntry(vendor).State)
		require.Equal(t, 1, m.firstEntry(vendor).Attempts, "the failure is recorded, although the request had ended before")
		require.NotContains(t, m.firstEntry(vendor).LastError, "has not confirmed")

		m.vendors.ClearFaults(vendor)
		m.runPeriodicAfter(lease.MinRetryPause) // the background work is patient
		m.requireNoneLeft(vendor)
		require.NoError(t, m.revoke(leased))
	})
}

// A vendor that answers late is asked once, and has all the time that the config gives it.
func TestRevoke_SlowVendor_GoesOnAfterTheRequest(t *testing.T) {
	forImpatient(t, func(t *testing.T, m *mount, vendor string, leased *vaultLease) {
		before := m.operations(vendor)
		m.fault(emulator.Fault{Vendor: vendor, Route: "*", Delay: 10 * shortPatience})
		require.Error(t, m.revoke(leased))
		require.Error(t, m.revoke(leased), "Vault's repetition joins the running revocation")
		_, err := m.renew(leased, time.Minute)
		require.Error(t, err, "the credential is about to end")
		m.runPeriodic() // the background work leaves it to the running revocation
		m.awaitRevocations(vendor)
		m.requireNoneLeft(vendor)
		require.NoError(t, m.revoke(leased))
		revoked := m.operations(vendor)
		for _, facts := range vendorfacts.All() {
			if facts.Name == vendor {
				require.Equal(t, 1, revoked[facts.Operations.Revoke]-before[facts.Operations.Revoke])
			}
		}
	})
}

// Vault gives an unmount up with the first revocation that fails.
func TestRevoke_SlowVendorAndUnmount_WaitsForTheVendor(t *testing.T) {
	forImpatient(t, func(t *testing.T, m *mount, vendor string, leased *vaultLease) {
		m.fault(emulator.Fault{Vendor: vendor, Route: "*", Delay: 10 * shortPatience})
		m.system.TaintedVal = true
		require.NoError(t, m.revoke(leased))
		m.requireNoneLeft(vendor)
	})
}

// A process that ends leaves the revocation to the next one, at once.
func TestRevoke_EndsWithTheMount_IsContinued(t *testing.T) {
	forImpatient(t, func(t *testing.T, m *mount, vendor string, leased *vaultLease) {
		m.must(logical.UpdateOperation, "config/"+vendor, map[string]any{"request_timeout": "60s"})
		m.fault(emulator.Fault{Vendor: vendor, Route: "*", Delay: time.Hour})
		require.Error(t, m.revoke(leased))
		begun := time.Now()
		m.restart()
		require.Less(t, time.Since(begun), 10*time.Second)
		require.Equal(t, ledger.StateRevoking, m.firstEntry(vendor).State)
		m.vendors.ClearFaults(vendor)
		m.runPeriodicAfter(lease.MaxRetryPause)
		m.requireNoneLeft(vendor)
	})
}

// The wait for a turn counts: the lease of a config whose limit is used up does not keep Vault's lock either.
func TestRevoke_LongQueue_ReturnsSoonAndGoesOn(t *testing.T) {
	m := newMount(t)
	m.revokePatience = shortPatience
	m.clock.passWaits()
	m.restart()
	m.configure("trend", auditorRole)
	m.must(logical.UpdateOperation, "config/trend", map[string]any{"requests_per_minute": 60})
	var leases []*vaultLease
	for range 8 {
		leases = append(leases, m.read("trend")) // uses the burst up
	}
	m.clock.stopPassing()
	begun := time.Now()
	for _, leased := range leases {
		_ = m.revoke(leased)
	}
	require.Less(t, time.Since(begun), 5*time.Second, "16 calls take longer")
	require.NotEmpty(t, m.leased("trend"))
	for _, id := range m.ledgerOf("trend") {
		entry, err := m.backend.ledger.Get(t.Context(), m.storage, "trend", id)
		require.NoError(t, err)
		require.Equal(t, ledger.StateRevoking, entry.State)
	}
	m.awaitRevocations("trend")
	m.requireNoneLeft("trend")
}

// The last holder's revocation deletes the retired config, also when the request has ended before.
func TestRevoke_LastOfRetiredConfig_DeletesItLate(t *testing.T) {
	forImpatient(t, func(t *testing.T, m *mount, vendor string, leased *vaultLease) {
		m.must(logical.DeleteOperation, "config/"+vendor, map[string]any{"force": true})
		require.NotNil(t, m.config(vendor))
		m.fault(emulator.Fault{Vendor: vendor, Route: "*", Delay: 10 * shortPatience})
		require.Error(t, m.revoke(leased))
		m.awaitRevocations(vendor)
		m.runPeriodic()
		require.Nil(t, m.config(vendor))
		m.requireNoneLeft(vendor)
	})
}
