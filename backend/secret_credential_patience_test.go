package backend

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/vendorfacts"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/lease"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
)

// Vault holds its state lock while it revokes a lease, so a silent vendor must not keep it for a request_timeout.
func TestRevoke_SilentVendor_ReturnsSoonAndIsRetried(t *testing.T) {
	for _, facts := range vendorfacts.All() {
		if !facts.Revokes {
			continue
		}
		t.Run(facts.Name, func(t *testing.T) {
			t.Parallel()
			m := newMount(t)
			m.revokePatience = 20 * time.Millisecond
			m.restart()
			m.configure(facts.Name, facts.Role)
			leased := m.read(facts.Name)
			m.fault(emulator.Fault{Vendor: facts.Name, Route: "*", Delay: time.Hour})
			err := m.revoke(leased)
			require.ErrorContains(t, err, "within 20ms")
			require.Equal(t, ledger.StateRevoking, m.firstEntry(facts.Name).State)

			m.vendors.ClearFaults(facts.Name)
			m.runPeriodicAfter(lease.MinRetryPause) // the background work is patient
			m.requireNoneLeft(facts.Name)
		})
	}
}
