package backend

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/lease"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// managementRole is the emulator's role that may manage API keys.
const managementRole = 3

// bootstrapData is a config that is written with a login instead of a root credential.
func (m *mount) bootstrapData(changes map[string]any) map[string]any {
	login := m.vendors.State().Vendors["trend"].Login
	data := m.configData("trend", map[string]any{
		"api_key": nil, "username": login["username"], "password": login["password"], "bootstrap_role_id": managementRole,
	})
	for field, value := range changes {
		data[field] = value
	}
	return data
}

// bootstrapped are the live management keys that were made from the login.
func (m *mount) bootstrapped() []emulator.Credential {
	var made []emulator.Credential
	for _, credential := range m.logins("trend") {
		if strings.HasPrefix(credential.Marker, m.markerPrefix()+"config-") {
			made = append(made, credential)
		}
	}
	return made
}

func TestBootstrap_LoginMakesTheRootCredentialAndIsForgotten(t *testing.T) {
	m := newMount(t)
	m.must(logical.UpdateOperation, "config/trend", m.bootstrapData(nil))
	read := m.must(logical.ReadOperation, "config/trend", nil).Data
	require.Equal(t, []string{"api_key"}, read["sensitive_fields_set"])
	require.Empty(t, read["username"])
	require.Len(t, m.bootstrapped(), 1)

	stored, err := m.storage.Get(t.Context(), "config/trend")
	require.NoError(t, err)
	require.NotContains(t, string(stored.Value), m.vendors.State().Vendors["trend"].Login["password"])
	intents, err := m.storage.List(t.Context(), store.RootIntentPrefix)
	require.NoError(t, err)
	require.Empty(t, intents)

	m.restart()
	m.must(logical.UpdateOperation, "roles/app", map[string]any{"config": "trend", "role_name": "Auditor"})
	require.NoError(t, m.revoke(m.read("app")))
}

func TestBootstrap_WrongPassword_LeavesNothing(t *testing.T) {
	m := newMount(t)
	status, _ := m.refused(logical.UpdateOperation, "config/trend", m.bootstrapData(map[string]any{"password": "wrong"}))
	require.Equal(t, http.StatusBadRequest, status)
	require.Empty(t, m.bootstrapped())
	for _, prefix := range []string{store.ConfigPrefix, store.RootIntentPrefix} {
		stored, err := m.storage.List(t.Context(), prefix)
		require.NoError(t, err)
		require.Empty(t, stored)
	}
}

// A write that has failed may have taken place: the key would be the stored one then. It is ended once there is a
// config that has another.
func TestBootstrap_ConfigMayNotBeStored_KeyEndsWithTheNextWrite(t *testing.T) {
	m := newMount(t)
	// The intent is the first write, the config the second.
	_, _, err := m.send(t.Context(), &logical.Request{
		Operation: logical.CreateOperation, Path: "config/trend", Data: m.bootstrapData(nil),
		Storage: &failingStorage{Storage: m.storage, failPut: 2},
	})
	require.ErrorContains(t, err, "storage is gone")
	m.must(logical.UpdateOperation, "config/trend", m.bootstrapData(nil))
	m.clock.advance(lease.IssueDeadline + time.Second)
	m.runPeriodic()
	require.Len(t, m.bootstrapped(), 1)
	m.must(logical.ReadOperation, "config/trend/check", nil)
}

// The process died between the vendor's create and the store: the login is not kept, so the next config of
// the name ends what was left.
func TestBootstrap_CrashBeforeTheStore_IsCleanedByTheNextConfig(t *testing.T) {
	m := newMount(t)
	m.fault(emulator.Fault{Vendor: "trend", Route: "deleteApiKey", DropBefore: true})
	_, _, err := m.send(t.Context(), &logical.Request{
		Operation: logical.CreateOperation, Path: "config/trend", Data: m.bootstrapData(nil),
		Storage: &failingStorage{Storage: m.storage, failPut: 2},
	})
	require.Error(t, err)
	require.Len(t, m.bootstrapped(), 1, "the orphan")
	m.vendors.ClearFaults("trend")
	m.restart()
	m.clock.advance(lease.IssueDeadline)

	m.must(logical.UpdateOperation, "config/trend", m.configData("trend", nil))
	require.Empty(t, m.bootstrapped())
	intents, err := m.storage.List(t.Context(), store.RootIntentPrefix)
	require.NoError(t, err)
	require.Empty(t, intents)
}

// The process died between storing the config and striking the note out: the note names the root credential that
// is in use now.
func TestBootstrap_NoteLeftBehind_DoesNotEndTheConfigsOwnRoot(t *testing.T) {
	m := newMount(t)
	m.must(logical.UpdateOperation, "config/trend", m.bootstrapData(nil))
	made := m.bootstrapped()
	require.Len(t, made, 1)
	require.NoError(t, m.backend.store.PutRootIntent(t.Context(), m.storage, "trend", store.RootIntent{Marker: made[0].Marker, At: m.clock.Now()}))
	m.clock.advance(time.Hour)

	m.must(logical.PatchOperation, "config/trend", map[string]any{"request_timeout": "20s"})
	m.must(logical.UpdateOperation, "config/trend/tidy", nil)
	require.Len(t, m.bootstrapped(), 1)
	notes, err := m.storage.List(t.Context(), store.RootIntentPrefix)
	require.NoError(t, err)
	require.Empty(t, notes)
}

// A key of the operator's own has taken the place of the one that the engine had made.
func TestTidy_RootCredentialWasReplaced_FormerOneIsOwnerless(t *testing.T) {
	m := newMount(t)
	m.must(logical.UpdateOperation, "config/trend", m.bootstrapData(nil))
	m.must(logical.UpdateOperation, "config/trend", map[string]any{"api_key": m.vendors.State().Vendors["trend"].Credentials["api_key"]})
	report := m.must(logical.UpdateOperation, "config/trend/tidy", nil).Data
	require.Equal(t, 1, report["orphans_revoked"])
	require.Empty(t, m.bootstrapped())
}

// A manager that keeps no expiry never ends a key by itself: its account must not be closed by the clock.
func TestRevoke_VendorKeepsNoExpiry_IsTriedAgainBeyondIt(t *testing.T) {
	m := newMount(t)
	require.NoError(t, m.vendors.SetSwitch("trend", "expiry_precision", "nothing"))
	m.configure("trend", map[string]any{"role_name": "Auditor"})
	leased := m.read("trend")
	m.fault(emulator.Fault{Vendor: "trend", Route: "deleteApiKey", Status: http.StatusServiceUnavailable})
	require.Error(t, m.revoke(leased))
	m.clock.advance(3 * time.Hour)
	m.runPeriodic()
	require.Len(t, m.ledgerOf("trend"), 1)
	m.vendors.ClearFaults("trend")
	m.clock.advance(lease.MaxRetryPause)
	m.runPeriodic()
	require.Empty(t, m.ledgerOf("trend"))
	require.Empty(t, m.leased("trend"))
}
