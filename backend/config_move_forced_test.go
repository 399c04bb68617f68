package backend

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/lease"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/storagetest"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// moveForced moves a config to another address although it has credentials at the present one, and returns the warnings.
func (m *mount) moveForced(vendor string) string {
	m.t.Helper()
	pass := make(chan struct{})
	close(pass)
	address, _ := m.secondAddress(vendor, pass)
	response := m.writeConfig(vendor, map[string]any{"address": address, "leave_behind": true})
	require.NotNil(m.t, response)
	return strings.Join(response.Warnings, "\n")
}

// The vendor cannot be asked any more. Where renewals move the vendor's end, the recorded expiry is no bound.
func TestConfigMove_Forced_EntriesEndAtTheirBound(t *testing.T) {
	forEachRenewable(t, func(t *testing.T, vendor string, role map[string]any) {
		m := newMount(t)
		role["max_ttl"] = "2h"
		m.configure(vendor, role)
		held := m.read(vendor)
		marker := m.nameAtVendor(vendor)
		require.Contains(t, m.moveForced(vendor), marker)
		require.Error(t, m.revoke(held))
		if vendor != "ftd" {
			m.runPeriodicAfter(time.Hour)
			require.Len(t, m.ledgerOf(vendor), 1, "a renewal whose answer was lost can have moved its end")
		}
		m.runPeriodicAfter(2*time.Hour + 10*time.Minute)
		require.Empty(t, m.ledgerOf(vendor))
		require.NoError(t, m.revoke(held), "Vault can forget the lease")
		if vendor != "ftd" {
			m.requireLogged("ERROR", marker)
		}
	})
}

func TestConfigGone_Entries_EndAtTheirBound(t *testing.T) {
	forEachRenewable(t, func(t *testing.T, vendor string, role map[string]any) {
		m := newMount(t)
		role["max_ttl"] = "2h"
		m.configure(vendor, role)
		held := m.read(vendor)
		require.NoError(t, m.storage.Delete(t.Context(), store.ConfigPrefix+vendor))
		m.restart()
		require.Error(t, m.revoke(held))
		m.runPeriodicAfter(3 * time.Hour)
		require.Empty(t, m.ledgerOf(vendor))
	})
}

// The answer to a renewal is lost after max_ttl was raised: the bound that was recorded at the issue is too early.
func TestConfigMove_MaxTTLRaised_KeepsTheEntryUntilItsBound(t *testing.T) {
	for vendor, fault := range map[string]emulator.Fault{
		"trend":         {Vendor: "trend", Route: "modifyApiKey", DropAfter: true},
		"fortianalyzer": {Vendor: "fortianalyzer", Route: "*", DropAfter: true},
	} {
		t.Run(vendor, func(t *testing.T) {
			m := newMount(t)
			role := map[string]any{"ttl": "10m", "max_ttl": "20m"}
			if vendor == "trend" {
				role["role_name"] = "Auditor"
			}
			m.configure(vendor, role)
			m.withoutRetries(vendor)
			held := m.read(vendor)
			m.must(logical.PatchOperation, "roles/"+vendor, map[string]any{"max_ttl": "24h"})
			m.fault(fault)
			m.clock.Advance(3 * time.Second) // the refusal of a new lease's renewal is delayed
			_, err := m.renew(held, 20*time.Hour)
			require.Error(t, err)
			m.vendors.ClearFaults(vendor)
			entry := m.firstEntry(vendor)
			longest := map[string]time.Duration{"trend": 20 * time.Hour, "fortianalyzer": 10 * time.Minute}[vendor]
			require.False(t, entry.LatestExpiresAt.Before(m.clock.Now().Add(longest)), "it is stored before the vendor is asked")
		})
	}
}

// A marker can be searched only where its credential was asked for.
func TestConfigMove_MarkerIsSearched_IsRejected(t *testing.T) {
	m, _ := behindRelay(t, "trend", true)
	m.rejected(http.StatusFailedDependency, logical.ReadOperation, "creds/trend", nil)
	m.wait(5)
	require.Equal(t, false, m.inventory("trend")["occupies_slot"])
	marker := m.inventory("trend")["marker"].(string)
	elsewhere := m.configData("trend", map[string]any{"ca_cert": nil, "verify_connection": false})
	m.rejected(http.StatusConflict, logical.UpdateOperation, "config/trend", elsewhere, "searched")
	elsewhere["leave_behind"] = true
	require.Contains(t, strings.Join(m.must(logical.UpdateOperation, "config/trend", elsewhere).Warnings, "\n"), marker)
	m.wait(3 * 60)
	require.Empty(t, m.ledgerOf("trend"))
	m.requireLogged("ERROR", marker)
}

// Two moves at the same time: the one that loses must not let reads issue at the address that the other has left.
func TestConfigMove_TwoAtOnce_TheOldAddressStaysClosed(t *testing.T) {
	m := newMount(t)
	m.configure("trend", map[string]any{"role_name": "Auditor"})
	before := m.config("trend").Origin(m.backend.providers["trend"])
	pass := make(chan struct{})
	slow, arrived := m.secondAddress("trend", pass)
	loser := inBackground(func() error {
		_, _, err := m.request(logical.UpdateOperation, "config/trend", m.configData("trend", map[string]any{"address": slow}))
		return err
	})
	<-arrived
	open := make(chan struct{})
	close(open)
	fast, _ := m.secondAddress("trend", open)
	m.writeConfig("trend", map[string]any{"address": fast})
	close(pass)
	require.ErrorContains(t, <-loser, "changed by another request")
	require.True(t, m.originIsClosed("trend", before))
}

// A write stores the intent of the root credential that it replaces. The background work must not take it for the
// intent of the stored one, which it deletes.
func TestConfigWrite_WorkerDuringReplacement_KeepsTheIntent(t *testing.T) {
	forCreatedRoots(t, func(t *testing.T, m *mount) {
		root := m.config("trend").RootMarker
		intent := store.RootIntent{Marker: root, At: m.clock.Now(), Replaced: true}
		require.NoError(t, m.backend.store.PutRootIntent(t.Context(), m.storage, "trend", intent))
		m.runPeriodic()
		intents, err := m.backend.store.RootIntents(t.Context(), m.storage, "trend")
		require.NoError(t, err)
		require.Len(t, intents, 1, "the write is running")
		require.Len(t, m.bootstrapped(), 1)
		m.runPeriodicAfter(lease.IssueDeadline + time.Minute)
		m.requireNoKeys(store.RootIntentPrefix)
		require.Len(t, m.bootstrapped(), 1, "the process died before it stored the write")
	})
}

func TestConfigWrite_ReplacementConflicts_LeavesNoIntent(t *testing.T) {
	forCreatedRoots(t, func(t *testing.T, m *mount) {
		created, err := m.vendors.Do("trend", "create_key", map[string]string{"name": "operators"})
		require.NoError(t, err)
		interrupted, reads := storagetest.Wrap(m.storage), 0
		interrupted.After = func(ctx context.Context, operation storagetest.Operation) error {
			if operation == (storagetest.Operation{Kind: storagetest.Get, Key: store.ConfigPrefix + "trend"}) {
				reads++
			}
			if reads != 2 {
				return nil
			}
			reads++ // the existence check has read it, and the write: another request writes it now
			_, err := m.backend.store.ChangeConfig(ctx, m.storage, "trend", func(config *store.Config) { config.MaxRetries = 1 })
			return err
		}
		_, status, err := m.requestOn(interrupted, logical.UpdateOperation, "config/trend", map[string]any{"api_key": created["api_key"]})
		require.ErrorContains(t, err, "changed by another request")
		require.Equal(t, http.StatusConflict, status)
		m.requireNoKeys(store.RootIntentPrefix)
		require.Len(t, m.bootstrapped(), 1)
		m.must(logical.DeleteOperation, "config/trend", nil)
	})
}
