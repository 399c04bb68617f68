package backend

import (
	"net/http"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// A reader that the config excludes causes no logins, which the resolution of a root credential in doubt needs.
func TestCreds_ExcludedRoleAndRootInDoubt_SendsNothing(t *testing.T) {
	for name, exclude := range map[string]func(*store.Config, *store.Role){
		"allowed_roles":  func(config *store.Config, _ *store.Role) { config.AllowedRoles = []string{"other"} },
		"retired":        func(config *store.Config, _ *store.Role) { config.Retired = true },
		"another vendor": func(_ *store.Config, role *store.Role) { role.Vendor = "lacework" },
	} {
		for _, sharing := range []string{"exclusive", "shared"} {
			t.Run(name+" "+sharing, func(t *testing.T) {
				m := newConfiguredMount(t, "ftd", map[string]any{"sharing": sharing})
				m.failRotation(http.StatusFailedDependency, emulator.Fault{Vendor: "ftd", Route: "PUT *", DropAfter: true})
				m.exclude("ftd", exclude)
				before := len(m.vendors.Requests("ftd"))
				for range 3 {
					m.rejected(http.StatusBadRequest, logical.ReadOperation, "creds/ftd", nil)
				}
				require.Len(t, m.vendors.Requests("ftd"), before)
				require.True(t, m.config("ftd").Root.InDoubt())
			})
		}
	}
}

func TestCreds_ExcludedTrendRoleAndRootInDoubt_SendsNothing(t *testing.T) {
	m := newConfiguredMount(t, "trend", auditorRole)
	m.exclude("trend", func(config *store.Config, _ *store.Role) {
		config.Fields["allowed_role_names"], config.ConnectionID = []any{"Full Access"}, "another"
		config.Root.Candidates = []store.RootCandidate{{Fields: config.Fields, State: store.CandidatePending}}
	})
	require.True(t, m.config("trend").Root.InDoubt())
	before := len(m.vendors.Requests("trend"))
	for range 3 {
		m.rejected(http.StatusBadRequest, logical.ReadOperation, "creds/trend", nil, "role_name")
	}
	require.Len(t, m.vendors.Requests("trend"), before)
	require.True(t, m.config("trend").Root.InDoubt())
}

// A lease that was issued at another address is not renewed, which needs no answer of the product.
func TestRenew_OtherOriginAndRootInDoubt_SendsNothing(t *testing.T) {
	for _, sharing := range []string{"exclusive", "shared"} {
		t.Run(sharing, func(t *testing.T) {
			m := newConfiguredMount(t, "ftd", map[string]any{"sharing": sharing})
			held := m.read("ftd")
			m.failRotation(http.StatusFailedDependency, emulator.Fault{Vendor: "ftd", Route: "PUT *", DropAfter: true})
			m.exclude("ftd", func(config *store.Config, _ *store.Role) { config.Address += "/moved" })
			before := len(m.vendors.Requests("ftd"))
			_, err := m.renew(held, 0)
			require.ErrorContains(t, err, "issued at another address")
			require.Len(t, m.vendors.Requests("ftd"), before)
			require.True(t, m.config("ftd").Root.InDoubt())
		})
	}
}

// exclude changes the stored config and role of a vendor. A write of the config would resolve its root credential.
func (m *mount) exclude(vendor string, change func(*store.Config, *store.Role)) {
	m.t.Helper()
	_, err := m.backend.store.ChangeConfig(m.t.Context(), m.storage, vendor, func(config *store.Config) {
		role, err := store.ReadRole(m.t.Context(), m.storage, vendor)
		require.NoError(m.t, err)
		change(config, role)
		stored, err := logical.StorageEntryJSON(store.RolePrefix+vendor, role)
		require.NoError(m.t, err)
		require.NoError(m.t, m.storage.Put(m.t.Context(), stored))
		m.backend.store.InvalidateRole(vendor)
	})
	require.NoError(m.t, err)
}
