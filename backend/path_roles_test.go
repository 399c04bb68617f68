package backend

import (
	"net/http"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

func TestRoleWrite_BadInput_NamesFieldAndStoresNothing(t *testing.T) {
	m := newMount(t)
	m.writeConfig("ftd", nil)
	for name, test := range map[string]struct {
		data map[string]any
		text string
	}{
		"no config":              {map[string]any{"ttl": "1h"}, `"config"`},
		"missing config":         {map[string]any{"config": "missing"}, `"missing" does not exist`},
		"ttl beyond max_ttl":     {map[string]any{"config": "ftd", "ttl": "2h", "max_ttl": "1h"}, `"ttl"`},
		"malformed ttl":          {map[string]any{"config": "ftd", "ttl": "soon"}, `ttl`},
		"negative ttl":           {map[string]any{"config": "ftd", "ttl": "-1h"}, `ttl`},
		"another vendor's field": {map[string]any{"config": "ftd", "subaccount": "x"}, `"subaccount"`},
	} {
		t.Run(name, func(t *testing.T) {
			m.rejected(http.StatusBadRequest, logical.UpdateOperation, "roles/reader", test.data, test.text)
			m.requireNoKeys(store.RolePrefix)
		})
	}
}

func TestRoleWrite_TTLOverMaximum_IsCappedWithAWarning(t *testing.T) {
	m := newMount(t)
	m.writeConfig("lacework", nil)
	for name, test := range map[string]struct {
		ttl, text string
	}{
		"vendor's": {"25h", "the vendor's maximum of 24h0m0s"},
		"mount's":  {"49h", "the mount's maximum of 48h0m0s"},
	} {
		response := m.must(logical.UpdateOperation, "roles/reader", map[string]any{"config": "lacework", "ttl": test.ttl})
		require.NotNil(t, response, name)
		require.Contains(t, response.Warnings[0], test.text, name)
	}
	leased := m.read("reader")
	require.LessOrEqual(t, leased.secret.TTL.Hours(), 24.0)
}

func TestRoleWrite_SharingAbsent_IsVendorsDefault(t *testing.T) {
	m := newMount(t)
	info := m.must(logical.ListOperation, "info/", nil).Data["key_info"].(map[string]any)
	for vendor, want := range map[string]string{"lacework": "exclusive", "fortisiem": "shared"} {
		require.Equal(t, want, info[vendor].(map[string]any)["default_sharing"])
		m.writeConfig(vendor, nil)
		sharing := func() any { return m.must(logical.ReadOperation, "roles/reader", nil).Data["sharing"] }
		m.must(logical.UpdateOperation, "roles/reader", map[string]any{"config": vendor, "ttl": "5m"})
		require.Equal(t, want, sharing())
		for _, value := range []string{"exclusive", "shared"} {
			m.must(logical.UpdateOperation, "roles/reader", map[string]any{"sharing": value})
			m.must(logical.UpdateOperation, "roles/reader", map[string]any{"ttl": "6m"})
			require.Equal(t, value, sharing(), "an absent field stays")
		}
		m.must(logical.UpdateOperation, "roles/reader", map[string]any{"sharing": map[string]string{"shared": "exclusive", "exclusive": "shared"}[want]})
		m.must(logical.PatchOperation, "roles/reader", map[string]any{"sharing": nil})
		require.Equal(t, want, sharing(), "null is the default")
		m.rejected(http.StatusBadRequest, logical.UpdateOperation, "roles/reader", map[string]any{"sharing": ""}, "sharing")
		m.must(logical.DeleteOperation, "roles/reader", nil)
	}
}

func TestRoleUpdate_AbsentFields_Stay(t *testing.T) {
	m := newMount(t)
	m.writeConfig("lacework", nil)
	m.must(logical.UpdateOperation, "roles/reader", map[string]any{"config": "lacework", "ttl": "1h", "subaccount": "emea"})
	m.must(logical.UpdateOperation, "roles/reader", map[string]any{"ttl": "2h"})
	read := m.must(logical.ReadOperation, "roles/reader", nil).Data
	require.Equal(t, "emea", read["subaccount"])
	require.Equal(t, int64(7200), read["ttl"])
	m.must(logical.PatchOperation, "roles/reader", map[string]any{"subaccount": nil, "ttl": nil})
	read = m.must(logical.ReadOperation, "roles/reader", nil).Data
	require.Equal(t, "", read["subaccount"])
	require.Equal(t, int64(0), read["ttl"])
}

func TestRoleDelete_RoleIsUsed_EndsReading(t *testing.T) {
	m := newConfiguredMount(t, "lacework", nil)
	m.read("lacework")
	require.Equal(t, []string{"lacework"}, m.must(logical.ListOperation, "roles/", nil).Data["keys"])
	m.must(logical.DeleteOperation, "roles/lacework", nil)
	m.rejected(http.StatusNotFound, logical.ReadOperation, "creds/lacework", nil, "does not exist")
}

// A config that was deleted and created again for another vendor does not know the fields of the role.
func TestRole_ConfigHasAnotherVendor_MustBeWrittenAgain(t *testing.T) {
	m := newMount(t)
	m.must(logical.UpdateOperation, "config/edge", m.configData("ftd", nil))
	m.must(logical.UpdateOperation, "roles/reader", map[string]any{"config": "edge"})
	m.must(logical.DeleteOperation, "config/edge", nil)
	m.must(logical.UpdateOperation, "config/edge", m.configData("lacework", nil))
	m.rejected(http.StatusBadRequest, logical.ReadOperation, "creds/reader", nil, "write the role again")
	m.must(logical.UpdateOperation, "roles/reader", map[string]any{"config": "edge"})
	m.read("reader")
}
