package backend

import (
	"maps"
	"net/http"
	"slices"
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

// managementRole is the emulator's role that may manage API keys.
const managementRole = 3

// bootstrapData is a config with a login in place of a root credential.
func (m *mount) bootstrapData(changes map[string]any) map[string]any {
	login := m.vendors.State().Vendors["trend"].Login
	data := m.configData("trend", map[string]any{
		"api_key": nil, "username": login["username"], "password": login["password"], "bootstrap_role_id": managementRole,
	})
	maps.Copy(data, changes)
	return data
}

// bootstrapped returns the live management keys that the engine created with the login.
func (m *mount) bootstrapped() []emulator.Credential {
	prefix := m.markerPrefix() + "config-"
	return slices.DeleteFunc(m.logins("trend"), func(c emulator.Credential) bool { return !strings.HasPrefix(c.Marker, prefix) })
}

func TestBootstrap_Login_CreatesRootAndIsNotStored(t *testing.T) {
	m := newMount(t)
	m.must(logical.UpdateOperation, "config/trend", m.bootstrapData(nil))
	read := m.must(logical.ReadOperation, "config/trend", nil).Data
	require.Equal(t, []string{"api_key"}, read["sensitive_fields_set"])
	require.Empty(t, read["username"])
	require.Len(t, m.bootstrapped(), 1)

	stored, err := m.storage.Get(t.Context(), "config/trend")
	require.NoError(t, err)
	require.NotContains(t, string(stored.Value), m.vendors.State().Vendors["trend"].Login["password"])
	m.requireNoKeys(store.RootIntentPrefix)

	m.restart()
	m.must(logical.UpdateOperation, "roles/app", map[string]any{"config": "trend", "role_name": "Auditor"})
	require.NoError(t, m.readAndRevoke("app"))
}

func TestBootstrap_WrongPassword_StoresNothing(t *testing.T) {
	m := newMount(t)
	m.rejected(http.StatusBadRequest, logical.UpdateOperation, "config/trend", m.bootstrapData(map[string]any{"password": "wrong"}))
	require.Empty(t, m.bootstrapped())
	m.requireNoKeys(store.ConfigPrefix, store.RootIntentPrefix)
}

// A write that reports a failure may have acted: the key could be the stored one. It is revoked once a stored config
// has another.
func TestBootstrap_ConfigWriteFails_NextWriteRevokesTheKey(t *testing.T) {
	m := newMount(t)
	// The intent is the first write, the config the second.
	_, _, err := m.requestOn(storagetest.FailFrom(m.storage, 2, storagetest.Writes...), logical.CreateOperation, "config/trend", m.bootstrapData(nil))
	require.ErrorContains(t, err, "storage is gone")
	m.must(logical.UpdateOperation, "config/trend", m.bootstrapData(nil))
	m.runPeriodicAfter(lease.IssueDeadline + time.Second)
	require.Len(t, m.bootstrapped(), 1)
	m.must(logical.UpdateOperation, "config/trend/check", nil)
}

// The process died after the vendor created the key and before the config was stored. The login is not kept, so the
// next config of the name revokes the key.
func TestBootstrap_CrashBeforeStoring_NextConfigRevokesTheKey(t *testing.T) {
	m := newMount(t)
	m.fault(emulator.Fault{Vendor: "trend", Route: "deleteApiKey", DropBefore: true})
	_, _, err := m.requestOn(storagetest.FailFrom(m.storage, 2, storagetest.Writes...), logical.CreateOperation, "config/trend", m.bootstrapData(nil))
	require.Error(t, err)
	require.Len(t, m.bootstrapped(), 1, "the orphaned key")
	m.vendors.ClearFaults("trend")
	m.restart()
	m.clock.Advance(lease.IssueDeadline)

	m.writeConfig("trend", nil)
	require.Empty(t, m.bootstrapped())
	m.requireNoKeys(store.RootIntentPrefix)
}

// The process died after the config was stored and before the intent was deleted: the intent names the root credential
// that is in use.
func TestBootstrap_IntentNotCleared_KeepsTheConfigsRoot(t *testing.T) {
	m := newMount(t)
	m.must(logical.UpdateOperation, "config/trend", m.bootstrapData(nil))
	keys := m.bootstrapped()
	require.Len(t, keys, 1)
	require.NoError(t, m.backend.store.PutRootIntent(t.Context(), m.storage, "trend", store.RootIntent{Marker: keys[0].Marker, At: m.clock.Now()}))
	m.clock.Advance(time.Hour)

	m.must(logical.PatchOperation, "config/trend", map[string]any{"request_timeout": "20s"})
	m.must(logical.UpdateOperation, "config/trend/tidy", nil)
	require.Len(t, m.bootstrapped(), 1)
	m.requireNoKeys(store.RootIntentPrefix)
}

func TestBootstrap_WriteActsAndFails_KeepsTheStoredRoot(t *testing.T) {
	m := newMount(t)
	_, _, err := m.requestOn(storagetest.FailAfterNth(m.storage, 2, storagetest.Writes...), logical.CreateOperation, "config/trend", m.bootstrapData(nil))
	require.Error(t, err)
	m.restart()
	m.runPeriodicAfter(lease.IssueDeadline + time.Second)
	m.must(logical.UpdateOperation, "config/trend/check", nil)
	require.Len(t, m.bootstrapped(), 1)
}
