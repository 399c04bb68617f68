package backend

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/pool"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// asWritten returns what a client that reads an object and writes it back sends: the JSON of the answer, decoded as
// Vault decodes a request.
func asWritten(t testing.TB, read map[string]any) map[string]any {
	t.Helper()
	encoded, err := json.Marshal(read)
	require.NoError(t, err)
	decoder := json.NewDecoder(bytes.NewReader(encoded))
	decoder.UseNumber()
	var written map[string]any
	require.NoError(t, decoder.Decode(&written))
	return written
}

// asTyped is asWritten for Vault's command line, which sends texts.
func asTyped(t testing.TB, read map[string]any) map[string]any {
	t.Helper()
	typed := map[string]any{}
	for field, value := range asWritten(t, read) {
		switch value := value.(type) {
		case []any:
			texts := []string{}
			for _, element := range value {
				texts = append(texts, fmt.Sprint(element))
			}
			typed[field] = strings.Join(texts, ",")
		case map[string]any:
			if len(value) > 0 {
				pairs := []any{}
				for key, element := range value {
					pairs = append(pairs, key+"="+fmt.Sprint(element))
				}
				typed[field] = pairs
			} else {
				typed[field] = ""
			}
		default:
			typed[field] = fmt.Sprint(value)
		}
	}
	return typed
}

// records returns everything that the mount has stored of configs, roles, logins and credentials.
func (m *mount) records() map[string]string {
	m.t.Helper()
	records := map[string]string{}
	for _, prefix := range []string{
		store.ConfigPrefix, store.RolePrefix, store.RootIntentPrefix, ledger.StoragePrefix, ledger.HolderPrefix, pool.SessionPrefix, pool.SharedSessionPrefix,
	} {
		keys, err := logical.CollectKeysWithPrefix(m.t.Context(), m.storage, prefix)
		require.NoError(m.t, err)
		for _, key := range keys {
			stored, err := m.storage.Get(m.t.Context(), key)
			require.NoError(m.t, err)
			records[key] = string(stored.Value)
		}
	}
	return records
}

// requireRoundTrip requires that a write of what a read of the path shows changes nothing in storage, needs no secret
// and sends the vendor no request: as a whole and field by field, as an update and as a patch.
func (m *mount) requireRoundTrip(vendor, path string) {
	m.t.Helper()
	read := m.must(logical.ReadOperation, path, nil).Data
	require.NotEmpty(m.t, read)
	writes := map[string]map[string]any{"all": asWritten(m.t, read), "all, as typed": asTyped(m.t, read), "nothing": {}}
	for field, value := range asWritten(m.t, read) {
		writes[field] = map[string]any{field: value}
	}
	requests, records := len(m.vendors.Requests(vendor)), m.records()
	for name, data := range writes {
		for _, operation := range []logical.Operation{logical.UpdateOperation, logical.PatchOperation} {
			_, status, err := m.request(operation, path, maps.Clone(data))
			require.NoError(m.t, err, "%s of %s: %s", operation, path, name)
			require.Less(m.t, status, 300, "%s of %s: %s", operation, path, name)
			require.Equal(m.t, records, m.records(), "%s of %s: %s", operation, path, name)
		}
	}
	require.Equal(m.t, read, m.must(logical.ReadOperation, path, nil).Data)
	require.Len(m.t, m.vendors.Requests(vendor), requests, path)
}

// roundTripObjects are configs and roles by vendor: with as few fields as possible, and with all of them.
var roundTripObjects = map[string]struct {
	config, role []map[string]any
}{
	"ftd": {
		config: []map[string]any{{}, {"api_version": "v6", "password_policy": "strong", "rotation_period": "24h", "max_credentials": 2}, {
			"rotation_period": 0, "rotation_schedule": "0 3 * * 6", "rotation_window": "4h", "disable_automated_rotation": true,
		}},
	},
	"fortianalyzer": {config: []map[string]any{{}, {"idle_timeout": "10m"}}},
	"fortisiem": {config: []map[string]any{{}, {
		"expires_in_unit": "seconds", "verify_path": "/phoenix/rest/system/health/summary", "revoke_method": "DELETE",
	}}},
	"lacework": {role: []map[string]any{{}, {"subaccount": "emea"}, {"org_access": true}}},
	"trend": {
		config: []map[string]any{{}, {"api_key_id": 1, "allowed_role_names": "Auditor,Full Access", "allowed_role_ids": []any{2, 3}, "rotation_period": "24h"}},
		role: []map[string]any{
			{"role_name": "Auditor"}, {"role_id": 2}, {"role_id": 2, "description": "of the tests", "locale": "ja-JP", "time_zone": "Asia/Tokyo"},
		},
	},
}

func TestRoundTrip_EveryObject_ChangesNothing(t *testing.T) {
	common := map[string]any{
		"request_timeout": "20s", "max_retries": 1, "max_credentials": 2, "requests_per_minute": 0, "allowed_roles": "reader,app-*",
		"custom_metadata": map[string]any{"owner": "netsec", "note": ""},
	}
	commonRole := map[string]any{"ttl": "10m", "max_ttl": "30m", "sharing": "shared", "max_wait": "5s", "max_credentials": 1}
	for vendor, objects := range roundTripObjects {
		t.Run(vendor, func(t *testing.T) {
			m := newMount(t)
			m.clock.passWaits()
			m.system.SetPasswordPolicy("strong", func() (string, error) { return "Aa1-generated-for-tests", nil })
			configs, roles := append(objects.config, common), append(objects.role, commonRole)
			for _, config := range configs {
				m.writeConfig(vendor, config)
				m.requireRoundTrip(vendor, "config/"+vendor)
			}
			for _, fields := range roles {
				role := map[string]any{"config": vendor}
				if vendor == "trend" && fields["role_id"] == nil {
					role["role_name"] = "Auditor"
				}
				maps.Copy(role, fields)
				m.must(logical.UpdateOperation, "roles/reader", role)
				m.requireRoundTrip(vendor, "roles/reader")
			}
			m.read("reader")
			m.requireRoundTrip(vendor, "config/"+vendor)
			m.requireRoundTrip(vendor, "roles/reader")
		})
	}
}

// unservedFields are values that the emulator does not serve, so the config that has them is not verified.
var unservedFields = map[string]any{
	"grant": "refresh_token", "refresh_token": "refresh-for-tests", "token_path": "/phoenix/rest/other", "revoke_url": "https://hook.example//Revoke/",
	"revoke_body": `{"token":"{{token}}"}`, "verify_connection": false,
}

func TestRoundTrip_UnverifiedConfig_ChangesNothing(t *testing.T) {
	m := newMount(t)
	m.writeConfig("fortisiem", unservedFields)
	m.requireRoundTrip("fortisiem", "config/fortisiem")
}

// Every field of a vendor is in the table above with another value than its default.
func TestRoundTrip_Table_HasEveryField(t *testing.T) {
	root := map[string]any{"username": 1, "client_id": 1, "auth_address": 1, "key_id": 1} // of the emulator, or never stored
	for vendor, objects := range roundTripObjects {
		for _, vendorOf := range registry() {
			if vendorOf.Name() != vendor {
				continue
			}
			given := maps.Clone(root)
			maps.Copy(given, unservedFields)
			for _, fields := range slices.Concat(objects.config, objects.role) {
				maps.Copy(given, fields)
			}
			for field, schema := range vendorOf.ConfigFields() {
				if !store.IsSensitive(schema) && !slices.Contains([]string{"tenant_name", "bootstrap_role_id"}, field) {
					require.Contains(t, given, field, vendor)
				}
			}
			for field := range vendorOf.RoleFields() {
				require.Contains(t, given, field, vendor)
			}
		}
	}
	require.Len(t, roundTripObjects, len(registry()))
}

func TestRoundTrip_RotatedRoot_ChangesNothing(t *testing.T) {
	for _, vendor := range []string{"ftd", "trend"} {
		t.Run(vendor, func(t *testing.T) {
			m := newMount(t)
			m.writeConfig(vendor, nil)
			m.must(logical.UpdateOperation, "config/"+vendor+"/rotate-root", nil)
			m.rememberRotatedSecrets(vendor)
			m.requireRoundTrip(vendor, "config/"+vendor)
		})
	}
}

func TestRoundTrip_CreatedRoot_ChangesNothing(t *testing.T) {
	m := newMount(t)
	m.must(logical.UpdateOperation, "config/trend", m.bootstrapData(map[string]any{"allowed_role_names": "Auditor", "allowed_role_ids": 2}))
	m.rememberRotatedSecrets("trend")
	require.Equal(t, []string{"Auditor"}, m.must(logical.ReadOperation, "config/trend", nil).Data["allowed_role_names"])
	m.requireRoundTrip("trend", "config/trend")
}

// A login to find out which password works is the work of a request that needs it.
func TestRoundTrip_RootInDoubt_SendsNothing(t *testing.T) {
	m := newMount(t)
	m.writeConfig("ftd", nil)
	m.failRotation(http.StatusFailedDependency, emulator.Fault{Vendor: "ftd", Route: "PUT *", DropAfter: true})
	m.rememberRotatedSecrets("ftd")
	if m.config("ftd").Root.InDoubt() {
		m.requireRoundTrip("ftd", "config/ftd")
	} else {
		t.Fatal("the root credential is not in doubt")
	}
}

func TestRoundTrip_RetiredConfig_ChangesNothing(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	m.read("ftd")
	m.must(logical.DeleteOperation, "config/ftd", map[string]any{"force": true})
	m.requireRoundTrip("ftd", "config/ftd")
	m.requireRoundTrip("ftd", "roles/ftd")
	m.rejected(http.StatusBadRequest, logical.UpdateOperation, "config/ftd", map[string]any{"max_retries": 1}, "retired")
	m.rejected(http.StatusBadRequest, logical.UpdateOperation, "roles/ftd", map[string]any{"ttl": "1m"}, "retired")
}

func TestRoundTrip_RoleOfMissingConfig_ChangesNothing(t *testing.T) {
	m := newConfiguredMount(t, "lacework", nil)
	m.must(logical.DeleteOperation, "config/lacework", nil)
	m.requireRoundTrip("lacework", "roles/lacework")
	m.rejected(http.StatusBadRequest, logical.UpdateOperation, "roles/lacework", map[string]any{"ttl": "1m"}, "does not exist")
}

// What is read is accepted although the operator gives the root credential too, as Terraform does.
func TestRoundTrip_WithTheSecret_IsVerified(t *testing.T) {
	m := newMount(t)
	m.writeConfig("ftd", nil)
	data := asWritten(t, m.must(logical.ReadOperation, "config/ftd", nil).Data)
	data["password"] = "wrong"
	m.rejected(http.StatusBadRequest, logical.UpdateOperation, "config/ftd", data, "password")
	data["password"] = m.configData("ftd", nil)["password"]
	m.must(logical.UpdateOperation, "config/ftd", data)
}

func TestReadOnlyField_OtherValue_IsRefused(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	records := m.records()
	for field, values := range map[string][]any{
		"root_updated_at":      {"2020-01-02T03:04:05Z", "", nil},
		"root_state":           {"in_doubt", "", nil},
		"last_rotation":        {"2020-01-02T03:04:05Z", nil},
		"next_rotation":        {"2020-01-02T03:04:05Z", nil},
		"root_expires_at":      {"2020-01-02T03:04:05Z", nil},
		"retired":              {true, "true", nil},
		"rotation_suspended":   {true, nil},
		"sensitive_fields_set": {[]any{}, []any{"password", "username"}, "", nil},
	} {
		for _, value := range values {
			for _, operation := range []logical.Operation{logical.UpdateOperation, logical.PatchOperation} {
				m.rejected(http.StatusBadRequest, operation, "config/ftd", map[string]any{field: value, "max_retries": 1}, `"`+field+`"`, "read-only")
			}
			m.rejected(http.StatusBadRequest, logical.UpdateOperation, "config/other", m.configData("ftd", map[string]any{field: "x"}), field)
		}
	}
	for _, value := range []any{"trend", "", nil} {
		m.rejected(http.StatusBadRequest, logical.UpdateOperation, "roles/ftd", map[string]any{"vendor": value, "ttl": "1m"}, `"vendor"`, "read-only")
	}
	require.Equal(t, records, m.records())
}
