package backend

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"
)

func TestAllowedRoles_NamesAndGlobs_DecideAtWriteAndRead(t *testing.T) {
	m := newMount(t)
	m.writeConfig("lacework", nil)
	for _, test := range []struct {
		allowed any
		names   map[string]bool
	}{
		{nil, map[string]bool{"reader": true, "admin": true}},
		{"*", map[string]bool{"reader": true}},
		{"", map[string]bool{"reader": false}},
		{[]any{}, map[string]bool{"reader": false}},
		{"reader", map[string]bool{"reader": true, "reader2": false, "a-reader": false, "admin": false}},
		{"reader,admin", map[string]bool{"reader": true, "admin": true, "other": false}},
		{[]any{"reader", "admin"}, map[string]bool{"reader": true, "admin": true, "other": false}},
		{"app-*", map[string]bool{"app-1": true, "app-1-ro": true, "app": false, "my-app-1": false}},
		{"*-ro", map[string]bool{"app-ro": true, "app-rw": false, "app-ro-2": false}},
		{"app-*-ro", map[string]bool{"app-1-ro": true, "app-1-rw": false}},
		{"*admin*", map[string]bool{"superadmin2": true, "reader": false}},
		{"app-?", map[string]bool{"app-1": false}},
		{"app-[12]", map[string]bool{"app-1": false}},
	} {
		for name, want := range test.names {
			t.Run(fmt.Sprintf("%v/%s", test.allowed, name), func(t *testing.T) {
				m.must(logical.PatchOperation, "config/lacework", map[string]any{"allowed_roles": nil})
				role := map[string]any{"config": "lacework", "ttl": "10m"}
				m.must(logical.UpdateOperation, "roles/"+name, role)
				response := m.must(logical.PatchOperation, "config/lacework", map[string]any{"allowed_roles": test.allowed})
				issued := len(m.leased("lacework"))
				if want {
					m.must(logical.UpdateOperation, "roles/"+name, map[string]any{"ttl": "11m"})
					m.read(name)
				} else {
					require.Contains(t, response.Warnings[0], name, "the operator learns which roles stop")
					m.rejected(http.StatusBadRequest, logical.ReadOperation, "creds/"+name, nil, "allowed_roles", name)
					m.rejected(http.StatusBadRequest, logical.UpdateOperation, "roles/"+name, map[string]any{"ttl": "11m"}, "allowed_roles", name)
					m.must(logical.DeleteOperation, "roles/"+name, nil)
					m.rejected(http.StatusBadRequest, logical.UpdateOperation, "roles/"+name, role, "allowed_roles", name)
					require.Len(t, m.leased("lacework"), issued, "no token was issued")
				}
				m.must(logical.DeleteOperation, "roles/"+name, nil)
			})
		}
	}
}

func TestAllowedRoles_EmptyName_IsRefused(t *testing.T) {
	m := newMount(t)
	m.writeConfig("lacework", nil)
	m.rejected(http.StatusBadRequest, logical.UpdateOperation, "config/lacework", map[string]any{"allowed_roles": []any{"reader", ""}}, "allowed_roles")
}

// A reader of a shared credential makes no vendor call, and must be refused all the same.
func TestAllowedRoles_RoleRemoved_EndsReadsAndKeepsLeases(t *testing.T) {
	for _, sharing := range []string{"exclusive", "shared"} {
		t.Run(sharing, func(t *testing.T) {
			m := newConfiguredMount(t, "ftd", map[string]any{"sharing": sharing})
			leased := m.read("ftd")
			m.must(logical.UpdateOperation, "config/ftd", map[string]any{"allowed_roles": "other"})
			for range 2 {
				m.rejected(http.StatusBadRequest, logical.ReadOperation, "creds/ftd", nil, "allowed_roles")
				m.restart()
			}
			_, err := m.renew(leased, 0)
			require.NoError(t, err)
			require.NoError(t, m.revoke(leased))
			m.requireNoneLeft("ftd")
			m.requireRoundTrip("ftd", "roles/ftd")
		})
	}
}

func TestAllowedRoles_RoleMoves_IsCheckedByTheNewConfig(t *testing.T) {
	m := newConfiguredMount(t, "lacework", nil)
	m.must(logical.UpdateOperation, "config/closed", m.configData("lacework", map[string]any{"allowed_roles": "admin"}))
	m.rejected(http.StatusBadRequest, logical.UpdateOperation, "roles/lacework", map[string]any{"config": "closed"}, "allowed_roles", "closed")
	m.read("lacework")
}

// What an administrator role of Trend may do is decided at the manager, so the config limits which of them are given.
func TestAllowedRoles_TrendAdministratorRoles_AreLimited(t *testing.T) {
	m := newMount(t)
	for name, test := range map[string]struct {
		config, role map[string]any
		field        string // in the refusal; empty if the role is allowed
	}{
		"no limit, name":            {nil, map[string]any{"role_name": "Full Access"}, ""},
		"no limit, ID":              {nil, map[string]any{"role_id": 1}, ""},
		"name":                      {map[string]any{"allowed_role_names": "Auditor"}, map[string]any{"role_name": "Auditor"}, ""},
		"another name":              {map[string]any{"allowed_role_names": "Auditor"}, map[string]any{"role_name": "Full Access"}, "role_name"},
		"the name in another case":  {map[string]any{"allowed_role_names": "Auditor"}, map[string]any{"role_name": "auditor"}, "role_name"},
		"ID, only names allowed":    {map[string]any{"allowed_role_names": "Auditor"}, map[string]any{"role_id": 2}, "role_id"},
		"ID":                        {map[string]any{"allowed_role_ids": "2,3"}, map[string]any{"role_id": 2}, ""},
		"another ID":                {map[string]any{"allowed_role_ids": []any{2}}, map[string]any{"role_id": 1}, "role_id"},
		"name, only IDs allowed":    {map[string]any{"allowed_role_ids": "2"}, map[string]any{"role_name": "Auditor"}, "role_name"},
		"both lists, name":          {map[string]any{"allowed_role_ids": "3", "allowed_role_names": "Auditor"}, map[string]any{"role_name": "Auditor"}, ""},
		"both lists, ID":            {map[string]any{"allowed_role_ids": "3", "allowed_role_names": "Auditor"}, map[string]any{"role_id": 3}, ""},
		"both lists, neither":       {map[string]any{"allowed_role_ids": "3", "allowed_role_names": "Auditor"}, map[string]any{"role_id": 2}, "role_id"},
		"a pattern is no pattern":   {map[string]any{"allowed_role_names": "*"}, map[string]any{"role_name": "Auditor"}, "role_name"},
		"a name among several":      {map[string]any{"allowed_role_names": []any{"Full Access", "Auditor"}}, map[string]any{"role_name": "Auditor"}, ""},
		"limit removed by an empty": {map[string]any{"allowed_role_names": ""}, map[string]any{"role_name": "Full Access"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			m.writeConfig("trend", nil)
			m.must(logical.PatchOperation, "config/trend", map[string]any{"allowed_role_names": nil, "allowed_role_ids": nil})
			role := map[string]any{"config": "trend", "ttl": "10m"}
			for field, value := range test.role {
				role[field] = value
			}
			m.must(logical.UpdateOperation, "roles/reader", role)
			m.must(logical.UpdateOperation, "roles/pooled", map[string]any{"config": "trend", "ttl": "10m", "sharing": "shared", "role_name": test.role["role_name"], "role_id": test.role["role_id"]})
			_, _ = m.tryRead("pooled") // the manager does not know each of these roles
			m.must(logical.UpdateOperation, "config/trend", test.config)
			before := len(m.leased("trend"))
			if test.field == "" {
				m.read("reader")
				m.read("pooled")
				m.must(logical.UpdateOperation, "roles/reader", map[string]any{"ttl": "11m"})
			} else {
				m.rejected(http.StatusBadRequest, logical.ReadOperation, "creds/reader", nil, test.field)
				m.rejected(http.StatusBadRequest, logical.ReadOperation, "creds/pooled", nil, test.field)
				m.rejected(http.StatusBadRequest, logical.UpdateOperation, "roles/reader", map[string]any{"ttl": "11m"}, test.field)
				m.requireRoundTrip("trend", "roles/reader")
				require.Len(t, m.leased("trend"), before, "no key was created")
			}
			m.must(logical.DeleteOperation, "roles/reader", nil)
			m.must(logical.DeleteOperation, "roles/pooled", nil)
		})
	}
	for field, values := range map[string][]any{"allowed_role_ids": {"0", "-1", []any{2, 0}, "4294967296"}, "allowed_role_names": {[]any{"a", ""}}} {
		for _, value := range values {
			m.rejected(http.StatusBadRequest, logical.UpdateOperation, "config/trend", map[string]any{field: value}, field)
		}
	}
}
