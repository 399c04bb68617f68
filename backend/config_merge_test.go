package backend

import (
	"net/http"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"
)

func TestAlternatives_OneGiven_ReplacesTheOther(t *testing.T) {
	for name, test := range map[string]struct {
		vendor       string
		first, write map[string]any
		want         map[string]any
		text         string
	}{
		"id for name":            {"trend", map[string]any{"role_name": "Auditor"}, map[string]any{"role_id": 1}, map[string]any{"role_id": 1, "role_name": ""}, ""},
		"name for id":            {"trend", map[string]any{"role_id": 1}, map[string]any{"role_name": "Auditor"}, map[string]any{"role_id": 0, "role_name": "Auditor"}, ""},
		"name for id, both":      {"trend", map[string]any{"role_id": 1}, map[string]any{"role_name": "Auditor", "role_id": 0}, map[string]any{"role_id": 0, "role_name": "Auditor"}, ""},
		"id for name, both":      {"trend", map[string]any{"role_name": "Auditor"}, map[string]any{"role_name": "", "role_id": 2}, map[string]any{"role_id": 2, "role_name": ""}, ""},
		"both with a value":      {"trend", map[string]any{"role_name": "Auditor"}, map[string]any{"role_name": "Auditor", "role_id": 2}, nil, `"role_name"`},
		"neither":                {"trend", map[string]any{"role_name": "Auditor"}, map[string]any{"role_name": ""}, nil, `"role_id"`},
		"neither, null":          {"trend", map[string]any{"role_id": 2}, map[string]any{"role_id": nil}, nil, `"role_id"`},
		"the same name":          {"trend", map[string]any{"role_name": "Auditor"}, map[string]any{"role_name": "Auditor", "role_id": nil}, map[string]any{"role_id": 0, "role_name": "Auditor"}, ""},
		"access for sub-account": {"lacework", map[string]any{"subaccount": "emea"}, map[string]any{"org_access": true}, map[string]any{"subaccount": "", "org_access": true}, ""},
		"sub-account for access": {"lacework", map[string]any{"org_access": true}, map[string]any{"subaccount": "emea"}, map[string]any{"subaccount": "emea", "org_access": false}, ""},
		"no access":              {"lacework", map[string]any{"subaccount": "emea"}, map[string]any{"org_access": false}, map[string]any{"subaccount": "emea", "org_access": false}, ""},
	} {
		for _, operation := range []logical.Operation{logical.UpdateOperation, logical.PatchOperation} {
			t.Run(name+"/"+string(operation), func(t *testing.T) {
				m := newConfiguredMount(t, test.vendor, test.first)
				if test.text != "" {
					m.rejected(http.StatusBadRequest, operation, "roles/"+test.vendor, test.write, test.text)
					return
				}
				m.must(operation, "roles/"+test.vendor, test.write)
				read := m.must(logical.ReadOperation, "roles/"+test.vendor, nil).Data
				for field, value := range test.want {
					require.Equal(t, value, read[field], field)
				}
				m.requireRoundTrip(test.vendor, "roles/"+test.vendor)
				m.read(test.vendor)
			})
		}
	}
}

func TestAlternatives_LoginForKey_CreatesAnotherKey(t *testing.T) {
	m := newMount(t)
	m.writeConfig("trend", map[string]any{"allowed_role_names": "Auditor"})
	login := m.vendors.State().Vendors["trend"].Login
	write := map[string]any{"username": login["username"], "password": login["password"], "bootstrap_role_id": managementRole}
	m.must(logical.UpdateOperation, "config/trend", write)
	m.rememberRotatedSecrets("trend")
	require.Len(t, m.bootstrapped(), 1)
	read := m.must(logical.ReadOperation, "config/trend", nil).Data
	require.Equal(t, []string{"Auditor"}, read["allowed_role_names"])
	require.NotZero(t, read["api_key_id"])

	m.writeConfig("trend", nil)
	read = m.must(logical.ReadOperation, "config/trend", nil).Data
	require.Empty(t, read["username"])
	write["api_key"] = m.configData("trend", nil)["api_key"]
	m.rejected(http.StatusBadRequest, logical.UpdateOperation, "config/trend", write, "give one of them")
}

func TestCustomMetadata_UpdateAndPatch_FollowRFC7396(t *testing.T) {
	m := newMount(t)
	m.writeConfig("lacework", nil)
	const update, patch = logical.UpdateOperation, logical.PatchOperation
	for name, test := range map[string]struct {
		operation logical.Operation
		given     any
		want      map[string]string // nil if the write is refused
	}{
		"update replaces":                 {update, map[string]any{"c": "3"}, map[string]string{"c": "3"}},
		"update with nothing clears":      {update, map[string]any{}, map[string]string{}},
		"update with an empty text":       {update, "", map[string]string{}},
		"update with null clears":         {update, nil, map[string]string{}},
		"update as typed":                 {update, "c=3", map[string]string{"c": "3"}},
		"update as typed, twice":          {update, []any{"c=3", "d=x=y"}, map[string]string{"c": "3", "d": "x=y"}},
		"patch adds":                      {patch, map[string]any{"c": "3"}, map[string]string{"a": "1", "b": "2", "c": "3"}},
		"patch replaces one":              {patch, map[string]any{"a": "9"}, map[string]string{"a": "9", "b": "2"}},
		"patch removes one":               {patch, map[string]any{"a": nil}, map[string]string{"b": "2"}},
		"patch removes what is not there": {patch, map[string]any{"z": nil}, map[string]string{"a": "1", "b": "2"}},
		"patch removes and adds":          {patch, map[string]any{"a": nil, "b": "", "c": "3"}, map[string]string{"b": "", "c": "3"}},
		"patch with nothing":              {patch, map[string]any{}, map[string]string{"a": "1", "b": "2"}},
		"patch with null clears":          {patch, nil, map[string]string{}},
		"patch with an empty text":        {patch, "", map[string]string{}},
		"patch as typed":                  {patch, "c=3", map[string]string{"a": "1", "b": "2", "c": "3"}},
		"update with null in it":          {update, map[string]any{"a": nil, "c": "3"}, map[string]string{"c": "3"}},
		"a number":                        {update, map[string]any{"a": 1}, nil},
		"an object":                       {patch, map[string]any{"a": map[string]any{"b": "c"}}, nil},
		"no pair":                         {update, "a", nil},
		"no key":                          {patch, "=1", nil},
		"a whole number":                  {update, 5, nil},
		"true":                            {patch, true, nil},
	} {
		t.Run(name, func(t *testing.T) {
			m.must(update, "config/lacework", map[string]any{"custom_metadata": map[string]any{"a": "1", "b": "2"}})
			if test.want == nil {
				m.rejected(http.StatusBadRequest, test.operation, "config/lacework", map[string]any{"custom_metadata": test.given}, "custom_metadata")
				test.want = map[string]string{"a": "1", "b": "2"}
			} else {
				m.must(test.operation, "config/lacework", map[string]any{"custom_metadata": test.given})
			}
			require.Equal(t, test.want, m.must(logical.ReadOperation, "config/lacework", nil).Data["custom_metadata"])
			m.requireRoundTrip("lacework", "config/lacework")
		})
	}
}

// A null resets every field of a config and a role that has a default.
func TestPatch_NullForEachField_ResetsIt(t *testing.T) {
	m := newMount(t)
	m.clock.passWaits() // of a request limit
	m.must(logical.UpdateOperation, "config/defaults", m.configData("ftd", map[string]any{"requests_per_minute": nil}))
	want := m.must(logical.ReadOperation, "config/defaults", nil).Data
	changed := map[string]any{
		"request_timeout": "20s", "max_retries": 1, "max_credentials": 1, "requests_per_minute": 7, "rotation_schedule": "0 3 * * *",
		"rotation_window": "1h", "disable_automated_rotation": true,
		"allowed_roles": "a,b", "custom_metadata": map[string]any{"a": "b"}, "api_version": "v6", "tls_server_name": "localhost",
	}
	m.must(logical.UpdateOperation, "config/defaults", m.configData("ftd", changed))
	nulls := m.configData("ftd", nil)
	delete(nulls, "requests_per_minute")
	for field := range changed {
		nulls[field] = nil
	}
	m.must(logical.PatchOperation, "config/defaults", nulls)
	read := m.must(logical.ReadOperation, "config/defaults", nil).Data
	delete(want, "root_updated_at")
	delete(read, "root_updated_at")
	require.Equal(t, want, read)
	require.Nil(t, m.config("defaults").AllowedRoles)
	m.must(logical.UpdateOperation, "config/defaults", map[string]any{"rotation_period": "24h"})
	m.must(logical.PatchOperation, "config/defaults", map[string]any{"rotation_period": nil})
	require.Equal(t, want["rotation_period"], m.must(logical.ReadOperation, "config/defaults", nil).Data["rotation_period"])

	m.must(logical.UpdateOperation, "roles/reader", map[string]any{"config": "defaults"})
	want = m.must(logical.ReadOperation, "roles/reader", nil).Data
	changed = map[string]any{"ttl": "1m", "max_ttl": "2m", "sharing": "shared", "max_wait": "1s", "max_credentials": 1}
	m.must(logical.UpdateOperation, "roles/reader", changed)
	for field := range changed {
		changed[field] = nil
	}
	m.must(logical.PatchOperation, "roles/reader", changed)
	require.Equal(t, want, m.must(logical.ReadOperation, "roles/reader", nil).Data)
	for _, field := range []string{"config"} {
		m.rejected(http.StatusBadRequest, logical.PatchOperation, "roles/reader", map[string]any{field: nil}, field)
	}
	m.rejected(http.StatusBadRequest, logical.PatchOperation, "config/defaults", map[string]any{"address": nil}, "address")
}

func TestPasswordPolicy_Missing_IsRefusedWhenWritten(t *testing.T) {
	m := newMount(t)
	m.rejected(http.StatusBadRequest, logical.UpdateOperation, "config/ftd", m.configData("ftd", map[string]any{"password_policy": "missing"}), "password_policy", "missing")
	m.requireNoKeys("config/", "session/")
	require.Empty(t, m.vendors.Requests("ftd"), "it is refused before a login")

	m.writeConfig("ftd", nil)
	m.rejected(http.StatusBadRequest, logical.PatchOperation, "config/ftd", map[string]any{"password_policy": "missing"}, "password_policy")
	m.system.SetPasswordPolicy("strong", func() (string, error) { return "Aa1-generated-for-tests", nil })
	m.must(logical.UpdateOperation, "config/ftd", map[string]any{"password_policy": "strong"})

	m.system.DeletePasswordPolicy("strong")
	m.must(logical.UpdateOperation, "config/ftd", map[string]any{"max_retries": 1})
	m.writeConfig("ftd", map[string]any{"password_policy": "strong"}) // a new password is not refused because of it
	m.clock.Advance(time.Second)
	m.rejected(http.StatusBadRequest, logical.UpdateOperation, "config/ftd", map[string]any{"api_version": "v6"}, "password_policy")
}
