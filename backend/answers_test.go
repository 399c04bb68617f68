package backend

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

func configSchema(vendor provider.Provider) map[string]*framework.FieldSchema {
	return vendor.ConfigFields()
}

func roleSchema(vendor provider.Provider) map[string]*framework.FieldSchema {
	return vendor.RoleFields()
}

func sortStrings(values []string) { slices.Sort(values) }

// requireOpens requires that the fields of a config are what its vendor accepts. Other fields pass.
func requireOpens(t *testing.T, b *backend, fields map[string]any, line string) {
	t.Helper()
	name, ok := fields["vendor"].(string)
	if !ok {
		return
	}
	vendor := b.providers[name]
	require.NotNil(t, vendor, line)
	for field, schema := range vendor.ConfigFields() {
		if schema.Required {
			require.Contains(t, fields, field, line)
		}
	}
	require.NotEmpty(t, fields["address"], line)
	conn, err := vendor.Open(provider.Config{
		Name: "example", Address: fields["address"].(string), Clock: provider.SystemClock{},
		Fields: &framework.FieldData{Raw: fields, Schema: vendor.ConfigFields()},
	})
	require.NoError(t, err, line)
	conn.Close()
}

// requireDeclared requires that a successful answer has exactly the members that the path declares for it, with their types.
// The harness calls it for every answer of every test.
func (m *mount) requireDeclared(req *logical.Request, response *logical.Response) {
	m.t.Helper()
	if !hasFields(req.Operation) || response.IsError() {
		return
	}
	path := m.backend.Route(req.Path)
	require.NotNil(m.t, path, req.Path)
	where := string(req.Operation) + " " + pathName(path.Pattern)
	declared := path.Operations[req.Operation].Properties().Responses
	if response == nil || len(response.Data) == 0 {
		if status := emptyStatus(req, response); status != http.StatusNotFound {
			require.Contains(m.t, declared, status, where)
			require.Empty(m.t, declared[status][0].Fields, "%s answers without data", where)
		}
		return
	}
	require.Contains(m.t, declared, http.StatusOK, where)
	if _, raw := response.Data[logical.HTTPRawBody]; raw {
		require.Equal(m.t, declared[http.StatusOK][0].MediaType, response.Data[logical.HTTPContentType], where)
		return
	}
	requireMembers(m.t, where, declared[http.StatusOK][0].Fields, response.Data)
	if details := listDetails(pathName(path.Pattern)); details != nil && req.Operation == logical.ListOperation {
		for name, listed := range response.Data["key_info"].(map[string]any) {
			requireMembers(m.t, where+": "+name, details, listed.(map[string]any))
		}
	}
}

// emptyStatus is the status of an answer without data: Vault answers a read or a list of nothing with 404.
func emptyStatus(req *logical.Request, response *logical.Response) int {
	switch {
	case !isWrite(req.Operation) && req.Operation != logical.DeleteOperation:
		return http.StatusNotFound
	case response != nil:
		return http.StatusOK
	default:
		return http.StatusNoContent
	}
}

// listDetails are the details that a list declares.
func listDetails(path string) map[string]*framework.FieldSchema {
	return map[string]map[string]*framework.FieldSchema{
		"info/": capabilityFields(), "config": listedConfigFields(), "roles": listedRoleFields(),
		"config/<name>/credentials": listedCredentialFields(),
	}[path]
}

// jsonKinds are the JSON types that the OpenAPI document declares for the framework's types.
var jsonKinds = map[framework.FieldType]string{
	framework.TypeString: "string", framework.TypeBool: "bool", framework.TypeInt: "number", framework.TypeInt64: "number",
	framework.TypeDurationSecond: "number", framework.TypeFloat: "number", framework.TypeMap: "object", framework.TypeKVPairs: "object",
	framework.TypeStringSlice: "array", framework.TypeCommaStringSlice: "array", framework.TypeCommaIntSlice: "array", framework.TypeSlice: "array",
}

// requireMembers compares data, as a client decodes it, with the declared members.
func requireMembers(t testing.TB, where string, declared map[string]*framework.FieldSchema, data map[string]any) {
	t.Helper()
	encoded, err := json.Marshal(data)
	require.NoError(t, err)
	var decoded map[string]any
	require.NoError(t, json.Unmarshal(encoded, &decoded))
	for name, value := range decoded {
		schema, ok := declared[name]
		if !ok {
			t.Fatalf("%s: the member %q is not declared", where, name)
		}
		kind := ""
		switch value.(type) {
		case nil:
			kind = "null"
		case string:
			kind = "string"
		case bool:
			kind = "bool"
		case float64:
			kind = "number"
		case []any:
			kind = "array"
		case map[string]any:
			kind = "object"
		}
		if want := jsonKinds[schema.Type]; kind != want {
			t.Fatalf("%s: the member %q is of type %s, and declared as %s", where, name, kind, want)
		}
		if text, isText := value.(string); isText && len(schema.AllowedValues) > 0 {
			require.Contains(t, schema.AllowedValues, any(text), "%s: %s", where, name)
		}
	}
	for name, schema := range declared {
		if _, ok := decoded[name]; schema.Required && !ok {
			t.Fatalf("%s: the member %q is missing", where, name)
		}
	}
}

// This test makes every request of the API succeed, for every vendor; the harness compares each answer with its declaration.
func TestAnswers_EveryOperation_AreAsDeclared(t *testing.T) {
	answered := map[string]bool{}
	for _, vendor := range registry() {
		name := vendor.Name()
		m := newMount(t)
		m.clock.passWaits()
		do := func(operation logical.Operation, path string, data map[string]any) {
			route := m.backend.Route(path)
			require.NotNil(t, route, path)
			answered[string(operation)+" "+pathName(route.Pattern)] = true
			m.must(operation, path, data)
		}
		role := map[string]any{"config": name}
		if name == "trend" {
			role["role_name"] = "Auditor"
		}
		do(logical.CreateOperation, "config/"+name, m.configData(name, nil))
		do(logical.UpdateOperation, "config/"+name, map[string]any{"max_retries": 1})
		do(logical.PatchOperation, "config/"+name, map[string]any{"custom_metadata": map[string]any{"owner": "netsec"}})
		do(logical.CreateOperation, "roles/reader", role)
		do(logical.UpdateOperation, "roles/reader", map[string]any{"ttl": "10m", "max_ttl": "20m"})
		do(logical.PatchOperation, "roles/reader", map[string]any{"max_wait": "5s"})
		do(logical.UpdateOperation, "config/"+name+"/check", nil)
		for _, path := range []string{"info", "info/" + name, "config/" + name, "config/" + name + "/check", "roles/reader", "creds/reader", "metrics"} {
			do(logical.ReadOperation, path, nil)
		}
		for _, path := range []string{"info/", "config/", "roles/", "config/" + name + "/credentials/"} {
			do(logical.ListOperation, path, nil)
		}
		do(logical.UpdateOperation, "config/"+name+"/tidy", map[string]any{"dry_run": true})
		do(logical.UpdateOperation, "config/"+name+"/tidy", nil)
		do(logical.UpdateOperation, "config/"+name+"/probe", map[string]any{"confirm": name, "role": "reader"})
		do(logical.ReadOperation, "config/"+name+"/probe", nil)
		do(logical.UpdateOperation, "trust/"+name, map[string]any{"ca_cert": string(m.vendors.CACertPEM()) + otherCA(t)})
		if vendor.Capabilities().RotatesRoot {
			do(logical.UpdateOperation, "config/"+name+"/rotate-root", nil)
			m.rememberRotatedSecrets(name)
		}
		do(logical.DeleteOperation, "roles/reader", nil)
		do(logical.DeleteOperation, "config/"+name, map[string]any{"force": true})
		if m.config(name) != nil {
			do(logical.UpdateOperation, "abandon/"+name, nil)
		}
	}
	for _, path := range newMountWithoutVendors(t).backend.Paths {
		for operation := range path.Operations {
			require.True(t, answered[string(operation)+" "+pathName(path.Pattern)], "%s %s is not in this test", operation, pathName(path.Pattern))
		}
	}
}

func TestLists_Nothing_AreNotFound(t *testing.T) {
	m := newMount(t)
	empty := func(path string) {
		response, status, err := m.request(logical.ListOperation, path, nil)
		require.NoError(t, err, path)
		require.Equal(t, http.StatusNotFound, status, path)
		require.NotContains(t, response.Data, "keys", path)
	}
	empty("config/")
	empty("roles/")
	m.writeConfig("ftd", nil)
	empty("config/ftd/credentials/")
}

func TestRoleList_Details_AreThoseOfTheRoles(t *testing.T) {
	m := newConfiguredMount(t, "ftd", map[string]any{"sharing": "shared", "max_credentials": 2})
	listed := m.must(logical.ListOperation, "roles/", nil).Data
	require.Equal(t, []string{"ftd"}, listed["keys"])
	details := listed["key_info"].(map[string]any)["ftd"].(map[string]any)
	read := m.must(logical.ReadOperation, "roles/ftd", nil).Data
	for field, value := range details {
		require.Equal(t, read[field], value, field)
	}
	require.Len(t, details, len(listedRoleFields()))
}
