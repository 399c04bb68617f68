package backend

import (
	"context"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/storagetest"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// A config that stays must go on searching what it may have issued.
func TestConfigDelete_Fails_KeepsItsSearches(t *testing.T) {
	for name, fail := range map[string]func(m *mount) (storage logical.Storage, status int){
		"the root credential is refused": func(m *mount) (logical.Storage, int) {
			m.setSwitch("trend", "delete_own_key", "403")
			return m.storage, http.StatusConflict
		},
		"the config cannot be deleted": func(m *mount) (logical.Storage, int) {
			failing := storagetest.Wrap(m.storage)
			failing.Before = func(_ context.Context, operation storagetest.Operation) error {
				if operation == (storagetest.Operation{Kind: storagetest.Delete, Key: store.ConfigPrefix + "trend"}) {
					return storagetest.ErrFailed
				}
				return nil
			}
			return failing, http.StatusInternalServerError
		},
	} {
		t.Run(name, func(t *testing.T) {
			m, relay := behindRelay(t, "trend", true)
			if name == "the root credential is refused" {
				m, relay = bootstrappedBehindRelay(t)
			}
			m.rejected(http.StatusFailedDependency, logical.ReadOperation, "creds/trend", nil)
			m.wait(5)
			require.Equal(t, false, m.inventory("trend")["occupies_slot"])
			storage, status := fail(m)
			_, got, err := m.requestOn(storage, logical.DeleteOperation, "config/trend", nil)
			require.Error(t, err)
			require.Equal(t, status, got)
			require.Len(t, m.ledgerOf("trend"), 1)
			require.NotContains(t, m.logText(), "one may still appear")
			relay.finish()
			require.Len(t, m.leased("trend"), 1)
			m.wait(15)
			require.Empty(t, m.leased("trend"), "what appeared later was found")
			require.Empty(t, m.ledgerOf("trend"))
		})
	}
}

// bootstrappedBehindRelay is behindRelay with a root credential that the engine has created.
func bootstrappedBehindRelay(t *testing.T) (*mount, *relay) {
	t.Helper()
	m, r := behindRelay(t, "trend", false)
	address := m.config("trend").Address
	m.must(logical.DeleteOperation, "config/trend", nil)
	m.must(logical.UpdateOperation, "config/trend", m.bootstrapData(map[string]any{
		"ca_cert": "", "address": address, "request_timeout": 1, "max_retries": 0,
	}))
	late := lateVendors["trend"]
	r.isCreate = late.isCreate
	return m, r
}

// What is lost with a config is named, although a later step fails.
func TestConfigDelete_LaterStepFails_NamesTheLosses(t *testing.T) {
	for name, key := range map[string]string{"the config": store.ConfigPrefix + "ftd", "its session": "session/ftd/"} {
		t.Run(name, func(t *testing.T) {
			m := newConfiguredMount(t, "ftd", nil)
			m.rotate("ftd")
			failing := storagetest.Wrap(m.storage)
			failing.Before = func(_ context.Context, operation storagetest.Operation) error {
				if operation.Kind != storagetest.Get && operation.Key == key {
					return storagetest.ErrFailed
				}
				return nil
			}
			_, status, err := m.requestOn(failing, logical.DeleteOperation, "config/ftd", map[string]any{"force": true})
			require.Equal(t, http.StatusInternalServerError, status)
			require.ErrorContains(t, err, "only Vault knows")
		})
	}
}

func TestConfigDelete_RetiringFails_NamesTheLosses(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	m.rotate("ftd")
	held := m.read("ftd")
	failing := storagetest.FailNth(m.storage, 1, storagetest.Put)
	_, status, err := m.requestOn(failing, logical.DeleteOperation, "config/ftd", map[string]any{"force": true})
	require.Equal(t, http.StatusInternalServerError, status)
	require.ErrorContains(t, err, "only Vault knows")
	require.NoError(t, m.revoke(held))
}

// Some entries are deleted before the storage fails: their markers are known to nothing else.
func TestConfigAbandon_StorageFails_NamesWhatWasAbandoned(t *testing.T) {
	m := newConfiguredMount(t, "fortianalyzer", map[string]any{"ttl": "10m"})
	var issued []string
	for range 2 {
		issued = append(issued, m.read("fortianalyzer").data["credential_id"].(string))
	}
	m.withoutRetries("fortianalyzer")
	m.must(logical.DeleteOperation, "config/fortianalyzer", map[string]any{"force": true})
	m.fault(emulator.Fault{Vendor: "fortianalyzer", Route: "*", DropBefore: true})
	failing := storagetest.FailNth(m.storage, 2, storagetest.Delete)
	_, _, err := m.requestOn(failing, logical.UpdateOperation, "abandon/fortianalyzer", nil)
	require.Error(t, err)
	require.Len(t, m.ledgerOf("fortianalyzer"), 1)
	gone := slices.DeleteFunc(issued, func(id string) bool { return id == m.ledgerOf("fortianalyzer")[0] })
	require.Len(t, gone, 1)
	require.ErrorContains(t, err, "abandoned without revocation: "+gone[0]+":")
}

// A deletion without force stores the config as retired before it revokes the root credential, and restores it after a
// failure. The background work must not complete the deletion in between.
func TestConfigDelete_WorkerDuringFailure_KeepsTheRoot(t *testing.T) {
	forCreatedRoots(t, func(t *testing.T, m *mount) {
		m.withoutRetries("trend")
		m.fault(emulator.Fault{Vendor: "trend", Route: "deleteApiKey", DropBefore: true})
		blocked, gate := storagetest.BlockNth(m.storage, 2, storagetest.Put, store.ConfigPrefix+"trend")
		deleted := inBackground(func() error {
			_, _, err := m.requestOn(blocked, logical.DeleteOperation, "config/trend", nil)
			return err
		})
		<-gate.Reached // the restored config is being written
		m.vendors.ClearFaults("trend")
		worked := inBackground(func() error { return m.backend.tryDeleteRetired(t.Context(), m.storage, "trend") })
		require.Eventually(t, func() bool { return len(worked) > 0 || len(m.bootstrapped()) == 0 }, 10*time.Second, time.Millisecond)
		gate.Open()
		require.NoError(t, <-worked)
		require.ErrorContains(t, <-deleted, "force=true")
		require.Len(t, m.bootstrapped(), 1)
		require.NoError(t, m.readAndRevoke("trend"))
	})
}

func TestConfigDelete_TwiceAtOnce_OneIsRefused(t *testing.T) {
	forCreatedRoots(t, func(t *testing.T, m *mount) {
		blocked, gate := storagetest.BlockNth(m.storage, 1, storagetest.Put, store.ConfigPrefix+"trend")
		deleted := inBackground(func() error {
			_, _, err := m.requestOn(blocked, logical.DeleteOperation, "config/trend", nil)
			return err
		})
		<-gate.Reached
		second := inBackground(func() error {
			_, _, err := m.request(logical.DeleteOperation, "config/trend", nil)
			return err
		})
		select {
		case err := <-second:
			require.ErrorContains(t, err, "being deleted")
		case <-time.After(10 * time.Second):
			t.Error("the second deletion waits for the first")
		}
		gate.Open()
		require.NoError(t, <-deleted)
		require.Empty(t, m.bootstrapped())
		m.requireNoKeys(store.ConfigPrefix)
	})
}

func TestConfigDelete_RestoringFails_SaysSo(t *testing.T) {
	forCreatedRoots(t, func(t *testing.T, m *mount) {
		m.withoutRetries("trend")
		m.fault(emulator.Fault{Vendor: "trend", Route: "deleteApiKey", DropBefore: true})
		failing := storagetest.FailNth(m.storage, 2, storagetest.Put)
		_, status, err := m.requestOn(failing, logical.DeleteOperation, "config/trend", nil)
		require.Equal(t, http.StatusConflict, status)
		require.ErrorContains(t, err, "it is retired")
		require.True(t, m.config("trend").Retired)
	})
}
