package backend

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fuzzSecret is what a § in a secret field of a fuzzed request becomes.
const fuzzSecret = "hunter2-hunter2-hunter2"

// storedSecret is the secret of every config that exists before the fuzzed write.
const storedSecret = "correct-horse-battery"

// fuzzedConfigs are configs that are accepted, by vendor. Nothing listens at their addresses.
var fuzzedConfigs = []map[string]any{
	{"vendor": "lacework", "address": "https://127.0.0.1:1", "key_id": "k", "secret_key": storedSecret},
	{"vendor": "trend", "address": "https://127.0.0.1:1", "api_key": storedSecret},
	{"vendor": "fortianalyzer", "address": "https://127.0.0.1:1", "username": "u", "password": storedSecret},
	{"vendor": "fortisiem", "address": "https://127.0.0.1:1", "client_id": "c", "client_secret": storedSecret},
	{"vendor": "ftd", "address": "https://127.0.0.1:1", "username": "u", "password": storedSecret},
}

// fuzzMount is a mount without vendors: the writes are never verified.
type fuzzMount struct{ *mount }

// stored is everything in storage.
func (m *fuzzMount) stored() map[string]string {
	m.t.Helper()
	keys, err := logical.CollectKeys(m.t.Context(), m.storage)
	require.NoError(m.t, err)
	all := map[string]string{}
	for _, key := range keys {
		entry, err := m.storage.Get(m.t.Context(), key)
		require.NoError(m.t, err)
		all[key] = string(entry.Value)
	}
	return all
}

// write sends a fuzzed write and requires what holds for every write: it is accepted or rejected, a rejected write stores
// nothing, and neither a response nor the log has a secret. It reports whether the storage is as before.
func (m *fuzzMount) write(operation uint8, path string, data map[string]any) (unchanged bool) {
	m.t.Helper()
	before := m.stored()
	kind := []logical.Operation{logical.UpdateOperation, logical.PatchOperation}[operation%2]
	_, status, err := m.request(kind, path, data)
	assert.True(m.t, status >= 200 && status < 300 || status >= 400 && status < 500, "status %d: %v", status, err)
	if status >= 400 {
		assert.Equal(m.t, before, m.stored(), "a rejected write stores nothing: %v", err)
	}
	for _, read := range []string{path, "config/there", "roles/there"} {
		_, status, err := m.request(logical.ReadOperation, read, nil)
		assert.Less(m.t, status, 500, "%s: %v", read, err)
	}
	m.requireNoSecretLogged()
	return maps.Equal(before, m.stored())
}

// fuzzedData reads the fields of a request as Vault does. A § in a secret field becomes fuzzSecret. It returns nil if the
// body is not a request.
func fuzzedData(fields map[string]*framework.FieldSchema, body string) map[string]any {
	decoder := json.NewDecoder(strings.NewReader(body))
	decoder.UseNumber()
	var raw map[string]json.RawMessage
	if decoder.Decode(&raw) != nil {
		return nil
	}
	data := map[string]any{}
	for name, value := range raw {
		if schema := fields[name]; schema != nil && schema.DisplayAttrs != nil && schema.DisplayAttrs.Sensitive {
			value = bytes.ReplaceAll(value, []byte("§"), []byte(fuzzSecret))
		}
		decoder := json.NewDecoder(bytes.NewReader(value))
		decoder.UseNumber()
		var decoded any
		if decoder.Decode(&decoded) != nil {
			return nil
		}
		data[name] = decoded
	}
	return data
}

// configFieldsOf are the fields that a vendor adds to a config.
func configFieldsOf(vendor string) map[string]*framework.FieldSchema {
	for _, registered := range registry() {
		if registered.Name() == vendor {
			return registered.ConfigFields()
		}
	}
	return nil
}

// oddValues are values, as JSON, that a field may not expect.
var oddValues = []string{
	`""`, `"§"`, `null`, `0`, `-1`, `1e400`, `9223372036854775808`, `0.5`, `true`, `"true"`, `[]`, `["§"]`, `{}`, `{"§":"§"}`,
	`"9223372036854775807s"`, `"-1h"`, `"1h30m"`, `"\u0000"`, `"\ud800"`, `"https://§@127.0.0.1:1"`, `"http://127.0.0.1:1"`, `"https://127.0.0.1:2"`,
}

// configFieldNames are fields of a config of that vendor, and an unknown one.
func configFieldNames(vendor string) []string {
	names := []string{
		"name", "vendor", "address", "ca_cert", "tls_server_name", "tls_skip_verify", "request_timeout", "max_retries",
		"max_credentials", "custom_metadata", "force", "leave_behind", "no_such_field",
	}
	return append(names, slices.Sorted(maps.Keys(configFieldsOf(vendor)))...)
}

// roleFieldNames are fields of roles of all vendors, and an unknown one.
var roleFieldNames = []string{
	"name", "config", "ttl", "max_ttl", "sharing", "max_wait", "no_such_field", "subaccount", "org_access", "role_id", "role_name",
	"locale", "time_zone", "description",
}

// newFuzzMount returns a mount with a config and a role of that vendor, both with the name "there".
func newFuzzMount(t *testing.T, base map[string]any) *fuzzMount {
	t.Helper()
	m := &fuzzMount{newMountWithoutVendors(t)}
	m.rotatedSecrets = []string{fuzzSecret, storedSecret}
	config := maps.Clone(base)
	config["verify_connection"] = false
	m.must(logical.UpdateOperation, "config/there", config)
	role := map[string]any{"config": "there", "ttl": "15m", "max_ttl": "1h"}
	if base["vendor"] == "trend" {
		role["role_id"] = 4
	}
	m.must(logical.UpdateOperation, "roles/there", role)
	return m
}

// fuzzedConfig returns the data of a fuzzed write of a config, or nil if the body is none.
func fuzzedConfig(base map[string]any, operation uint8, body string) map[string]any {
	data := fuzzedData(configFieldsOf(base["vendor"].(string)), body)
	if data == nil {
		return nil
	}
	if _, given := data["vendor"]; !given && operation%4 < 2 {
		data["vendor"] = base["vendor"]
	}
	if _, login := data["username"]; login && (base["vendor"] == "trend" || data["vendor"] != base["vendor"]) {
		return nil // Trend's login is used at once to create a key, even with verify_connection=false
	}
	data["verify_connection"] = false
	return data
}

// writeConfig is one fuzzed write of a config.
func writeConfig(t *testing.T, vendor, operation uint8, name, body string) {
	base := fuzzedConfigs[int(vendor)%len(fuzzedConfigs)]
	if data := fuzzedConfig(base, operation, body); data != nil {
		m := newFuzzMount(t, base)
		defer m.backend.Clean(t.Context())
		m.write(operation, "config/"+name, data)
	}
}

// writeRole is one fuzzed write of a role.
func writeRole(t *testing.T, vendor, operation uint8, name, body string) {
	if data := fuzzedData(nil, body); data != nil {
		m := newFuzzMount(t, fuzzedConfigs[int(vendor)%len(fuzzedConfigs)])
		defer m.backend.Clean(t.Context())
		m.write(operation, "roles/"+name, data)
	}
}

// TestWrites_OddValues_AreAcceptedOrRejected writes each odd value to each field, as an update and as a new record. A
// mount is used until a write changes its storage: most are rejected, and most of the time is for new mounts.
func TestWrites_OddValues_AreAcceptedOrRejected(t *testing.T) {
	for _, base := range fuzzedConfigs {
		t.Run(base["vendor"].(string), func(t *testing.T) {
			t.Parallel()
			var m *fuzzMount
			write := func(operation uint8, path string, data map[string]any) {
				if data == nil {
					return
				}
				if m == nil {
					m = newFuzzMount(t, base)
				}
				if !m.write(operation, path, data) {
					m.backend.Clean(t.Context())
					m = nil
				}
			}
			for j, value := range oddValues {
				operation := uint8(j)
				for _, name := range []string{"there", "new"} {
					for _, field := range configFieldNames(base["vendor"].(string)) {
						write(operation, "config/"+name, fuzzedConfig(base, operation, `{"`+field+`":`+value+`}`))
					}
					for _, field := range roleFieldNames {
						write(operation, "roles/"+name, fuzzedData(nil, `{"`+field+`":`+value+`}`))
					}
				}
			}
		})
	}
}

// FuzzConfigWrite writes configs of each vendor, as an update and as a new config.
func FuzzConfigWrite(f *testing.F) {
	for i, base := range fuzzedConfigs {
		whole, err := json.Marshal(base)
		require.NoError(f, err)
		f.Add(uint8(i), uint8(0), "new", string(whole))
		for j, field := range configFieldNames(base["vendor"].(string)) {
			f.Add(uint8(i), uint8(j), "there", `{"`+field+`":`+oddValues[(5*i+j)%len(oddValues)]+`}`)
		}
	}
	f.Fuzz(writeConfig)
}

// FuzzRoleWrite writes roles of each vendor, as an update and as a new role.
func FuzzRoleWrite(f *testing.F) {
	for i := range fuzzedConfigs {
		f.Add(uint8(i), uint8(0), "new", `{"config":"there","ttl":"1h","max_ttl":"30m","sharing":"shared"}`)
		f.Add(uint8(i), uint8(0), "new", `{"config":"there","ttl":9223372036854775807,"max_ttl":-9223372036854775808}`)
		for j, field := range roleFieldNames {
			f.Add(uint8(i), uint8(j), "there", `{"`+field+`":`+oddValues[(5*i+j)%len(oddValues)]+`}`)
		}
	}
	f.Fuzz(writeRole)
}
