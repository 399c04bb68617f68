package backend

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/helper/errutil"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fuzzSecret is what a § in a secret field of a fuzzed request becomes.
const fuzzSecret = "hunter2-hunter2-hunter2"

// storedSecret is the secret of every config that is there beforehand.
const storedSecret = "correct-horse-battery"

// fuzzedConfigs are configs that are accepted, by vendor. Nothing listens at their addresses.
var fuzzedConfigs = []map[string]any{
	{"vendor": "lacework", "address": "https://127.0.0.1:1", "key_id": "k", "secret_key": storedSecret},
	{"vendor": "trend", "address": "https://127.0.0.1:1", "api_key": storedSecret},
	{"vendor": "fortianalyzer", "address": "https://127.0.0.1:1", "username": "u", "password": storedSecret},
	{"vendor": "fortisiem", "address": "https://127.0.0.1:1", "client_id": "c", "client_secret": storedSecret},
	{"vendor": "ftd", "address": "https://127.0.0.1:1", "username": "u", "password": storedSecret},
}

// fuzzMount is a mount without vendors: what is written is never verified.
type fuzzMount struct {
	t       *testing.T
	backend *backend
	storage *logical.InmemStorage
	log     bytes.Buffer
}

func newFuzzMount(t *testing.T) *fuzzMount {
	t.Helper()
	m := &fuzzMount{t: t, storage: &logical.InmemStorage{}}
	m.backend = newBackend(options{providers: registry(), clock: &clock{}, random: rand.Reader})
	require.NoError(t, m.backend.Setup(t.Context(), &logical.BackendConfig{
		Logger:      hclog.New(&hclog.LoggerOptions{Level: hclog.Trace, Output: &m.log}),
		System:      &logical.StaticSystemView{DefaultLeaseTTLVal: time.Hour, MaxLeaseTTLVal: 48 * time.Hour},
		StorageView: m.storage,
	}))
	t.Cleanup(func() { m.backend.Clean(context.Background()) })
	return m
}

// send sends a request and returns its status as Vault's HTTP layer would, and everything that it tells.
func (m *fuzzMount) send(operation logical.Operation, path string, data map[string]any) (status int, told string) {
	m.t.Helper()
	req := &logical.Request{Operation: operation, Path: path, Data: data, Storage: m.storage, MountPoint: "vendorauth/", ID: "fuzz"}
	if operation == logical.UpdateOperation {
		found, exists, err := m.backend.HandleExistenceCheck(m.t.Context(), req)
		if err != nil && !errors.Is(err, logical.ErrUnsupportedPath) { // Vault goes on, and is told again
			require.ErrorAs(m.t, err, &errutil.UserError{})
			return http.StatusBadRequest, err.Error()
		}
		if found && !exists {
			req.Operation = logical.CreateOperation
		}
	}
	response, err := m.backend.HandleRequest(m.t.Context(), req)
	encoded, encodeErr := json.Marshal(response)
	require.NoError(m.t, encodeErr)
	told = string(encoded)
	if err != nil {
		told += err.Error()
	}
	status, _ = logical.RespondErrorCommon(req, response, err)
	logical.AdjustErrorStatusCode(&status, err)
	if status == 0 {
		status = http.StatusOK
	}
	return status, told
}

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

// write sends a fuzzed write and demands what holds for any: it is accepted or refused, a refusal stores
// nothing, and nothing tells a secret.
func (m *fuzzMount) write(operation uint8, path string, data map[string]any) {
	m.t.Helper()
	before := m.stored()
	kind := []logical.Operation{logical.UpdateOperation, logical.PatchOperation}[operation%2]
	status, told := m.send(kind, path, data)
	assert.True(m.t, status >= 200 && status < 300 || status >= 400 && status < 500, "status %d: %s", status, told)
	if status >= 400 {
		assert.Equal(m.t, before, m.stored(), "a refused write stores nothing: %s", told)
	}
	for _, read := range []string{path, "config/there", "roles/there"} {
		again, shown := m.send(logical.ReadOperation, read, nil)
		assert.Less(m.t, again, 500, "%s: %s", read, shown)
		told += shown
	}
	told += m.log.String()
	for _, secret := range []string{fuzzSecret, storedSecret} {
		assert.NotContains(m.t, told, secret)
	}
}

// fuzzedData reads the fields of a request as Vault does. A § becomes a secret in the fields of that kind.
// It returns nil for what is no
// request.
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
	for _, each := range registry() {
		if each.Name() == vendor {
			return each.ConfigFields()
		}
	}
	return nil
}

// oddValues are values, as JSON, that a field may not expect.
var oddValues = []string{
	`""`, `"§"`, `null`, `0`, `-1`, `1e400`, `9223372036854775808`, `0.5`, `true`, `"true"`, `[]`, `["§"]`, `{}`, `{"§":"§"}`,
	`"9223372036854775807s"`, `"-1h"`, `"1h30m"`, `"\u0000"`, `"\ud800"`, `"https://§@127.0.0.1:1"`, `"http://127.0.0.1:1"`, `"https://127.0.0.1:2"`,
}

// configFieldNames are fields of a config of that vendor, and one that there is not.
func configFieldNames(vendor string) []string {
	names := []string{
		"name", "vendor", "address", "ca_cert", "tls_server_name", "tls_skip_verify", "request_timeout", "max_retries",
		"max_credentials", "custom_metadata", "force", "no_such_field",
	}
	return append(names, slices.Sorted(maps.Keys(configFieldsOf(vendor)))...)
}

// roleFieldNames are fields of roles of all vendors, and one that there is not.
var roleFieldNames = []string{
	"name", "config", "ttl", "max_ttl", "sharing", "max_wait", "no_such_field", "subaccount", "org_access", "role_id", "role_name",
	"locale", "time_zone", "description",
}

// there is a mount with a config and a role of that vendor, both of the name "there".
func there(t *testing.T, base map[string]any) *fuzzMount {
	t.Helper()
	m := newFuzzMount(t)
	config := maps.Clone(base)
	config["verify_connection"] = false
	status, told := m.send(logical.UpdateOperation, "config/there", config)
	require.Less(t, status, 300, told)
	role := map[string]any{"config": "there", "ttl": "15m", "max_ttl": "1h"}
	if base["vendor"] == "trend" {
		role["role_id"] = 4
	}
	status, told = m.send(logical.UpdateOperation, "roles/there", role)
	require.Less(t, status, 300, told)
	return m
}

// writeConfig is one fuzzed write of a config.
func writeConfig(t *testing.T, vendor, operation uint8, name, body string) {
	base := fuzzedConfigs[int(vendor)%len(fuzzedConfigs)]
	data := fuzzedData(configFieldsOf(base["vendor"].(string)), body)
	if data == nil {
		return
	}
	if _, given := data["vendor"]; !given && operation%4 < 2 {
		data["vendor"] = base["vendor"]
	}
	if _, login := data["username"]; login && (base["vendor"] == "trend" || data["vendor"] != base["vendor"]) {
		return // Trend's login to make a key with is used at once, whatever verify_connection says
	}
	data["verify_connection"] = false
	there(t, base).write(operation, "config/"+name, data)
}

// writeRole is one fuzzed write of a role.
func writeRole(t *testing.T, vendor, operation uint8, name, body string) {
	if data := fuzzedData(nil, body); data != nil {
		there(t, fuzzedConfigs[int(vendor)%len(fuzzedConfigs)]).write(operation, "roles/"+name, data)
	}
}

// TestWrites_OddValues writes each odd value to each field, over what is there and anew.
func TestWrites_OddValues(t *testing.T) {
	for i, base := range fuzzedConfigs {
		for j, value := range oddValues {
			for _, name := range []string{"there", "new"} {
				for _, field := range configFieldNames(base["vendor"].(string)) {
					writeConfig(t, uint8(i), uint8(j), name, `{"`+field+`":`+value+`}`)
				}
				for _, field := range roleFieldNames {
					writeRole(t, uint8(i), uint8(j), name, `{"`+field+`":`+value+`}`)
				}
			}
		}
	}
}

// FuzzConfigWrite writes configs of each vendor: over one that is there, or new ones.
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

// FuzzRoleWrite writes roles of each vendor: over one that is there, or new ones.
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
