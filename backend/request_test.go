package backend

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// pathOperation is one operation of a path, on a config or role "there", which exists.
type pathOperation struct {
	path      string
	operation logical.Operation
	fields    map[string]*framework.FieldSchema
	// pathFields are the fields whose values are in path.
	pathFields []string
}

// pathOperations are all operations of all paths of the mount.
func (m *mount) pathOperations() []pathOperation {
	var all []pathOperation
	for _, path := range m.backend.Paths {
		form := formOf(path, logical.UpdateOperation)
		address := path.Pattern
		for _, field := range form.PathFields {
			address = strings.ReplaceAll(address, framework.GenericNameRegex(field), "there")
		}
		address = strings.Trim(address, "^$?")
		for operation := range path.Operations {
			all = append(all, pathOperation{address, operation, formOf(path, operation).Fields, form.PathFields})
		}
	}
	return all
}

func TestPathOperations_AllPaths_AreFound(t *testing.T) {
	m := newMountWithoutVendors(t)
	var found []string
	for _, all := range m.pathOperations() {
		require.NotNil(t, m.backend.Route(all.path), all.path)
		found = append(found, fmt.Sprintf("%s %s", all.operation, all.path))
	}
	require.Subset(t, found, []string{
		"create config/there", "patch config/there", "read config/there", "delete config/there", "list config/", "update roles/there",
		"read creds/there", "update config/there/rotate-root", "update config/there/tidy", "list config/there/credentials/", "read info", "read metrics",
	})
}

// wrongValues are values, as JSON, that each type of field must reject: storing one would change it.
var wrongValues = map[framework.FieldType][]string{
	framework.TypeString: {`5`, `1.50`, `true`, `["canary"]`, `{"canary":"canary"}`, `[]`},
	framework.TypeBool:   {`""`, `"canary"`, `"TRUE"`, `"yes"`, `"t"`, `2`, `1`, `["true"]`, `{}`, `" true"`},
	framework.TypeInt: {
		`""`, `"canary"`, `"010"`, `"0x10"`, `1.9`, `"1.9"`, `5.0`, `1e3`, `"1e3"`, `true`, `"true"`, `["5"]`, `{}`, `" 5"`, `"+5"`, `9223372036854775808`,
	},
	framework.TypeDurationSecond: {
		`""`, `"canary"`, `"500ms"`, `0.5`, `1.5`, `"0.5"`, `"-500ms"`, `"-1h"`, `-1`, `"010"`, `true`, `["1h"]`, `{}`, `"1 h"`, `"1.5s"`, `"1h0.0000000001s"`,
		`"9223372036854775807s"`, `9223372036854775807`, `"1w"`,
	},
	framework.TypeCommaStringSlice: {`5`, `true`, `{"canary":"x"}`, `["canary",5]`, `"canary,,x"`, `[" canary"]`, `[""]`, `[["canary"]]`},
	framework.TypeStringSlice:      {`5`, `true`, `{"canary":"x"}`, `["canary",5]`, `["canary "]`, `[null]`},
	framework.TypeCommaIntSlice:    {`"canary"`, `true`, `{}`, `[1.5]`, `"4,,5"`, `"04"`, `["canary"]`, `[true]`},
	framework.TypeKVPairs:          {`"canary"`, `["canary"]`, `5`, `true`, `{"k":5}`, `{"k":true}`, `{"k":["canary"]}`, `{"":"canary"}`, `["k=canary","k=v"]`},
}

// fields reads a request as Vault does.
func fields(t *testing.T, body string) map[string]any {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(body))
	decoder.UseNumber()
	var data map[string]any
	require.NoError(t, decoder.Decode(&data), body)
	return data
}

func TestWrites_WrongValueOfEachField_AreRejected(t *testing.T) {
	m := newFuzzMount(t, fuzzedConfigs[1])
	before := m.stored()
	count := 0
	for _, all := range m.pathOperations() {
		if !isWrite(all.operation) {
			continue
		}
		for _, field := range slices.Sorted(maps.Keys(all.fields)) {
			if slices.Contains(all.pathFields, field) {
				m.rejected(http.StatusBadRequest, all.operation, all.path, map[string]any{field: "there"}, `"`+field+`"`, "part of the path")
				continue
			}
			values := wrongValues[all.fields[field].Type]
			require.NotEmpty(t, values, "%s: no wrong values of type %s", field, all.fields[field].Type)
			for _, value := range values {
				text := m.rejected(http.StatusBadRequest, all.operation, all.path, fields(t, `{"`+field+`":`+value+`}`), `field "`+field+`"`)
				require.NotContains(t, text, "canary", "%s=%s", field, value)
				count++
			}
		}
	}
	require.Greater(t, count, 120)
	require.Equal(t, before, m.stored(), "a rejected write stores nothing")
	require.NotContains(t, m.logText(), "canary")
}

func TestRequests_UnknownField_IsRejectedOnEveryPath(t *testing.T) {
	m := newFuzzMount(t, fuzzedConfigs[0])
	before := m.stored()
	for _, all := range m.pathOperations() {
		for _, field := range []string{"no_such_field", "Vendor", "plugin_name", "creation_statements", "token_ttl", "list"} {
			m.rejected(http.StatusBadRequest, all.operation, all.path, map[string]any{field: "canary"}, `field "`+field+`": is unknown here`)
		}
		if !isWrite(all.operation) {
			m.rejected(http.StatusBadRequest, all.operation, all.path, map[string]any{"ttl": "1h"}, `field "ttl": is unknown here`)
		}
	}
	require.Equal(t, before, m.stored())
}

func TestRequests_MistypedField_NamesTheNearest(t *testing.T) {
	m := newFuzzMount(t, fuzzedConfigs[4])
	for _, test := range []struct {
		operation          logical.Operation
		path, given, meant string
	}{
		{logical.UpdateOperation, "roles/there", "max_tll", "max_ttl"},
		{logical.UpdateOperation, "roles/there", "TTL", "ttl"},
		{logical.PatchOperation, "roles/there", "max-ttl", "max_ttl"},
		{logical.UpdateOperation, "roles/there", "shraing", "sharing"},
		{logical.UpdateOperation, "config/there", "tls_skip_verfy", "tls_skip_verify"},
		{logical.PatchOperation, "config/there", "pasword", "password"},
		{logical.UpdateOperation, "config/new", "addrss", "address"},
		{logical.UpdateOperation, "config/there", "verify_connnection", "verify_connection"},
		{logical.UpdateOperation, "config/there/tidy", "dry-run", "dry_run"},
		{logical.DeleteOperation, "config/there", "froce", "force"},
	} {
		text := m.rejected(http.StatusBadRequest, test.operation, test.path, map[string]any{test.given: "hunter2"}, fmt.Sprintf("did you mean %q?", test.meant))
		require.NotContains(t, text, "hunter2")
	}
}

// What is written in one of Vault's forms is read back as the same value.
func TestWrites_OtherFormsOfAValue_AreStoredExactly(t *testing.T) {
	m := newFuzzMount(t, fuzzedConfigs[1])
	for _, test := range []struct {
		path, field, value string
		want               any
	}{
		{"roles/there", "ttl", `90`, int64(90)},
		{"roles/there", "ttl", `"90"`, int64(90)},
		{"roles/there", "ttl", `"90s"`, int64(90)},
		{"roles/there", "ttl", `"0h30m"`, int64(1800)},
		{"roles/there", "ttl", `0`, int64(0)},
		{"roles/there", "max_ttl", `"1d"`, int64(86400)},
		{"roles/there", "max_ttl", `null`, int64(0)},
		{"roles/there", "max_wait", `"1m"`, int64(60)},
		{"roles/there", "max_credentials", `"10"`, 10},
		{"roles/there", "max_credentials", `0`, 0},
		{"roles/there", "role_id", `"4"`, 4},
		{"roles/there", "description", `" a, b=c "`, " a, b=c "},
		{"roles/there", "description", `"010"`, "010"},
		{"roles/there", "description", `""`, ""},
		{"config/there", "max_retries", `"0"`, 0},
		{"config/there", "request_timeout", `"20s"`, int64(20)},
		{"config/there", "request_timeout", `null`, int64(30)},
		{"config/there", "tls_skip_verify", `"1"`, true},
		{"config/there", "tls_skip_verify", `"false"`, false},
		{"config/there", "tls_skip_verify", `true`, true},
		{"config/there", "tls_skip_verify", `null`, false},
		{"config/there", "custom_metadata", `{"Owner":"Net Sec","empty":""}`, map[string]string{"Owner": "Net Sec", "empty": ""}},
		{"config/there", "custom_metadata", `"a=b=c"`, map[string]string{"a": "b=c"}},
		{"config/there", "custom_metadata", `["a=b","c=d,e"]`, map[string]string{"a": "b", "c": "d,e"}},
		{"config/there", "custom_metadata", `""`, map[string]string{}},
	} {
		data := fields(t, `{"`+test.field+`":`+test.value+`}`)
		if strings.HasPrefix(test.path, "config/") {
			data["verify_connection"], data["api_key"] = false, storedSecret
		}
		m.must(logical.UpdateOperation, test.path, data)
		require.Equal(t, test.want, m.must(logical.ReadOperation, test.path, nil).Data[test.field], "%s=%s", test.field, test.value)
	}
}

func TestNames_UpperAndLowerCase_AreDifferentNames(t *testing.T) {
	m := newFuzzMount(t, fuzzedConfigs[0])
	for _, path := range []string{"config/There", "config/THERE", "roles/There", "creds/There"} {
		_, status, _ := m.request(logical.ReadOperation, path, nil)
		require.Equal(t, http.StatusNotFound, status, path)
	}
	m.rejected(http.StatusBadRequest, logical.UpdateOperation, "roles/new", map[string]any{"config": "There"}, `"There" does not exist`)
	other := maps.Clone(fuzzedConfigs[4])
	other["verify_connection"] = false
	m.must(logical.UpdateOperation, "config/There", other)
	m.must(logical.UpdateOperation, "roles/There", map[string]any{"config": "There", "ttl": "1h"})
	require.Equal(t, "There", m.must(logical.ReadOperation, "roles/There", nil).Data["config"])
	require.Equal(t, "there", m.must(logical.ReadOperation, "roles/there", nil).Data["config"])
	require.ElementsMatch(t, []string{"There", "there"}, m.keys(store.RolePrefix))
	m.must(logical.DeleteOperation, "config/There", nil)
	require.Equal(t, []string{"there"}, m.keys(store.ConfigPrefix))
	m.rejected(http.StatusBadRequest, logical.UpdateOperation, "config/new", map[string]any{"vendor": "FTD", "address": "https://127.0.0.1:1"}, `"vendor"`)
}

func TestNames_CannotBeStored_Are400OnWriteAnd404OnRead(t *testing.T) {
	m := newFuzzMount(t, fuzzedConfigs[0])
	before := m.stored()
	for _, name := range []string{
		"a..b", "-a", "a-", ".a", "a.", "a b", "a%20b", "ä", "a@b", "a\nb", "a\x00b", "..", "*", "+", "a:b", strings.Repeat("n", 129), strings.Repeat("ü", 200),
	} {
		for _, path := range []string{"config/" + name, "roles/" + name} {
			for _, operation := range []logical.Operation{logical.UpdateOperation, logical.PatchOperation} {
				text := m.rejected(http.StatusBadRequest, operation, path, map[string]any{"ttl": "1h"}, "the name is invalid; a name ")
				require.Less(t, len(text), 500)
			}
			for _, operation := range []logical.Operation{logical.ReadOperation, logical.DeleteOperation} {
				m.rejected(http.StatusNotFound, operation, path, nil, "does not exist")
			}
		}
		m.rejected(http.StatusNotFound, logical.ReadOperation, "creds/"+name, nil, "does not exist")
		m.rejected(http.StatusBadRequest, logical.UpdateOperation, "config/"+name+"/tidy", nil, "the name is invalid")
		m.rejected(http.StatusNotFound, logical.ListOperation, "config/"+name+"/credentials/", nil, "does not exist")
		m.rejected(http.StatusBadRequest, logical.UpdateOperation, "roles/new", map[string]any{"config": name}, `field "config"`)
	}
	m.rejected(http.StatusBadRequest, logical.UpdateOperation, "roles/a/b", nil, "the name is invalid")
	require.Equal(t, before, m.stored())
}

func TestRequests_ObjectIsMissing_Are404OnEveryPath(t *testing.T) {
	m := newMountWithoutVendors(t)
	for _, all := range m.pathOperations() {
		path := strings.Replace(all.path, "there", "missing", 1)
		creates := all.operation == logical.CreateOperation || all.operation == logical.UpdateOperation || all.operation == logical.DeleteOperation
		if path == all.path || creates && strings.Count(path, "/") == 1 {
			continue // it names no object, creates one, or finds it deleted
		}
		_, status, _ := m.request(all.operation, path, nil)
		require.Equal(t, http.StatusNotFound, status, "%s %s", all.operation, path)
	}
	m.rejected(http.StatusNotFound, logical.ReadOperation, "no/such/path", nil, "no such path")
	m.rejected(http.StatusNotFound, logical.ReadOperation, "config/there/frobnicate", nil, "no such path")
	m.rejected(http.StatusMethodNotAllowed, logical.DeleteOperation, "info", nil, "no operation")
	m.rejected(http.StatusMethodNotAllowed, logical.UpdateOperation, "creds/there", nil, "no operation")
}

// Vault's core writes "1 error occurred" around an error that a backend returns.
func TestErrors_HaveAStatus_AreAnsweredAsABody(t *testing.T) {
	m := newMountWithoutVendors(t)
	read := &logical.Request{Operation: logical.ReadOperation, Path: "creds/missing", Storage: m.storage}
	response, err := m.backend.HandleRequest(t.Context(), read)
	require.NoError(t, err)
	require.Equal(t, map[string]any{
		logical.HTTPStatusCode:  http.StatusNotFound,
		logical.HTTPContentType: "application/json",
		logical.HTTPRawBody:     []byte(`{"errors":["role \"missing\" does not exist; write it to roles/missing"]}`),
	}, response.Data)

	// Vault would wrap the body like a credential.
	read.WrapInfo = &logical.RequestWrapInfo{TTL: time.Minute}
	_, err = m.backend.HandleRequest(t.Context(), read)
	coded, ok := err.(logical.HTTPCodedError) //nolint:errorlint // as Vault looks at it
	require.True(t, ok)
	require.Equal(t, http.StatusNotFound, coded.Code())
}

// The policies of a write are checked after the existence check: it must not depend on the fields.
func TestExistenceCheck_WrongFields_AreNotItsConcern(t *testing.T) {
	m := newFuzzMount(t, fuzzedConfigs[0])
	for path, want := range map[string]bool{"roles/there": true, "roles/new": false, "config/there": true, "roles/a..b": false, "config/-a": false} {
		found, exists, err := m.backend.HandleExistenceCheck(t.Context(), &logical.Request{
			Operation: logical.UpdateOperation, Path: path, Storage: m.storage, Data: map[string]any{"ttl": "soon", "no_such_field": 1},
		})
		require.NoError(t, err, path)
		require.True(t, found, path)
		require.Equal(t, want, exists, path)
	}
}
