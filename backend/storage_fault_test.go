package backend

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/storagetest"
)

// forEachOperation runs a test with n = 1, 2, 3 ..., whose storage fails at its n-th operation, until the test ends before
// that operation. The test has at least atLeast operations.
func forEachOperation(t *testing.T, name string, atLeast int, run func(t *testing.T, n int) (ended bool)) {
	t.Helper()
	for n, ended := 1, false; !ended && !t.Failed(); n++ {
		t.Run(fmt.Sprintf("%s/%d", name, n), func(t *testing.T) { ended = run(t, n) })
		if ended {
			require.Greater(t, n, atLeast, "the test ended before it had reached its storage operations")
		}
	}
}

// Whichever storage operation fails, the ledger has every credential that lives at the vendor, and all can be revoked
// afterwards.
func TestCreds_NthStorageOperationFails_LosesNothing(t *testing.T) {
	for _, sharing := range []string{"exclusive", "shared"} {
		forEachOperation(t, sharing, 5, func(t *testing.T, n int) bool {
			m := newMountOn(t, emulator.Config{Seed: 1, PlainHTTP: true})
			m.clock.endWaits()
			m.writeConfig("ftd", map[string]any{"ca_cert": nil})
			m.must(logical.UpdateOperation, "roles/ftd", map[string]any{"config": "ftd", "ttl": "15m", "max_ttl": "2h", "sharing": sharing})
			m.restart() // nothing is cached
			failing := storagetest.FailNth(m.storage, n)
			response, _, err := m.requestOn(failing, logical.ReadOperation, "creds/ftd", nil)
			if err == nil {
				leased := m.leaseOf(response)
				_, _, _ = m.handle(t.Context(), &logical.Request{Operation: logical.RenewOperation, Secret: leased.secret, Storage: failing})
				if err := m.revokeOn(failing, leased); err != nil {
					require.NoError(t, m.revoke(leased), "Vault retries")
				}
			}
			m.requireInLedger()
			m.runPeriodicAfter(3 * time.Hour)
			m.runPeriodic()
			m.requireNoneLeft("ftd")
			m.requireNoKeys(ledger.HolderPrefix)
			return failing.Count() < n
		})
	}
}

// requireInLedger requires a stored ledger entry for every credential that lives at FTD.
func (m *mount) requireInLedger() {
	m.t.Helper()
	markers := map[string]bool{}
	for _, id := range m.ledgerOf("ftd") {
		stored, err := m.storage.Get(m.t.Context(), "ledger/ftd/"+id)
		require.NoError(m.t, err)
		var entry ledger.Entry
		require.NoError(m.t, json.Unmarshal(stored.Value, &entry))
		markers[entry.Marker] = true
	}
	for _, credential := range m.leased("ftd") {
		require.True(m.t, markers[credential.Marker], "%s lives and has no ledger entry", credential.Marker)
	}
}

// Whichever storage operation fails, and the process dies, one root credential works and no other remains.
func TestRotateRoot_CrashAtNthStorageOperation_LosesNoRoot(t *testing.T) {
	for _, r := range rotations {
		forEachOperation(t, r.vendor, 5, func(t *testing.T, n int) bool {
			m := newConfiguredMount(t, r.vendor, r.role)
			m.restart() // nothing is cached
			failing := storagetest.FailNth(m.storage, n)
			_, _, err := m.requestOn(failing, logical.UpdateOperation, "config/"+r.vendor+"/rotate-root", nil)
			m.restart()
			require.NoError(t, m.readAndRevoke(r.vendor), "after: %v", err)
			m.runPeriodicAfter(time.Hour) // a login that could not be stored has ended too
			fields, first := m.config(r.vendor).Fields, m.configData(r.vendor, nil)
			m.requireResolved(r, fields["password"] != first["password"] || fields["api_key"] != first["api_key"])
			return failing.Count() < n
		})
	}
}

// The write that reports a failure has acted, as on a leader that loses its lock during the write.
func TestRotateRoot_NthWriteActsAndFails_StoredRootWorks(t *testing.T) {
	for _, r := range rotations {
		forEachOperation(t, r.vendor, 2, func(t *testing.T, n int) bool {
			m := newConfiguredMount(t, r.vendor, r.role)
			m.rotate(r.vendor) // from now on, only Vault knows the root credential
			failing := storagetest.FailAfterNth(m.storage, n, storagetest.Writes...)
			_, _, err := m.requestOn(failing, logical.UpdateOperation, "config/"+r.vendor+"/rotate-root", nil)
			m.restart()
			require.NoError(t, m.readAndRevoke(r.vendor), "after: %v", err)
			m.runPeriodicAfter(time.Hour)
			m.requireResolved(r, true)
			return failing.Count(storagetest.Writes...) < n
		})
	}
}
