package backend

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"
)

// updateGolden makes the tests write what they would compare.
var updateGolden = flag.Bool("update", false, "write the golden files of the API")

// openAPI returns the OpenAPI document of the mount, as Vault gets it.
func (m *mount) openAPI() *framework.OASDocument {
	m.t.Helper()
	m.system.PluginEnvironment = &logical.PluginEnvironment{}
	response, err := m.backend.HandleRequest(m.t.Context(), &logical.Request{
		Operation: logical.HelpOperation, Storage: m.storage, Data: map[string]any{"requestResponsePrefix": "vendorauth"},
	})
	require.NoError(m.t, err)
	document, ok := response.Data["openapi"].(*framework.OASDocument)
	require.True(m.t, ok)
	return document
}

func TestOpenAPI_Document_IsTheGoldenFile(t *testing.T) {
	m := newMountWithoutVendors(t)
	document := m.openAPI()
	document.Info.Version = ""
	var got bytes.Buffer
	encoder := json.NewEncoder(&got)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	require.NoError(t, encoder.Encode(sorted(t, document)))
	file := filepath.Join("testdata", "openapi.json")
	if *updateGolden {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(file, got.Bytes(), 0o600))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), got.String(),
		"the API has changed: if that is intended, run go test ./backend -run TestOpenAPI -update and review the difference")
}

// sorted returns the document as decoded JSON, in which the lists of required fields have an order: the framework's depends
// on that of a map.
func sorted(t *testing.T, document *framework.OASDocument) any {
	t.Helper()
	for _, item := range document.Paths {
		for _, operation := range []*framework.OASOperation{item.Post, item.Patch} {
			if operation == nil || operation.RequestBody == nil {
				continue
			}
			for _, content := range operation.RequestBody.Content {
				sortStrings(content.Schema.Required)
			}
		}
	}
	for _, schema := range document.Components.Schemas {
		sortStrings(schema.Required)
	}
	encoded, err := json.Marshal(document)
	require.NoError(t, err)
	var decoded any
	require.NoError(t, json.Unmarshal(encoded, &decoded))
	return decoded
}

func TestOpenAPI_EveryOperation_DeclaresItsAnswers(t *testing.T) {
	m := newMountWithoutVendors(t)
	for _, path := range m.backend.Paths {
		name := pathName(path.Pattern)
		for operation, handler := range path.Operations {
			properties := handler.Properties()
			require.NotEmpty(t, properties.Summary, "%s %s", operation, name)
			require.NotEmpty(t, properties.Responses, "%s %s: declare its answers in path_docs.go", operation, name)
			for status, responses := range properties.Responses {
				require.Len(t, responses, 1, "%s %s %d", operation, name, status)
				require.NotEmpty(t, responses[0].Description)
				for field, schema := range responses[0].Fields {
					require.NotEmpty(t, schema.Description, "%s %s: %s", operation, name, field)
				}
			}
		}
		for field, schema := range path.Fields {
			require.NotEmpty(t, schema.Description, "%s: %s", name, field)
			require.Contains(t, ".)", schema.Description[len(schema.Description)-1:], "%s: %s is described by sentences", name, field)
		}
	}
}

func TestPathHelp_SharedField_IsDescribedByVendor(t *testing.T) {
	b := newMountWithoutVendors(t).backend
	for object, schema := range map[string]schemaFunc{"config": configSchema, "role": roleSchema} {
		fields := b.withVendorFields(nil, schema)
		for _, vendor := range b.providers {
			for name, own := range schema(vendor) {
				help := fields[name].Description
				require.Contains(t, help, own.Description, "%s field %s of %s", object, name, vendor.Name())
				before, _, _ := strings.Cut(help, own.Description)
				label := before[strings.LastIndex(before, "("):]
				require.Contains(t, label, vendor.Name(), "%s field %s: the description of %s stands under %q", object, name, vendor.Name(), label)
			}
		}
	}
	help := b.withVendorFields(nil, configSchema)
	require.Nil(t, help["client_id"].Default, "only one of its vendors has a default")
	require.Contains(t, help["client_id"].Description, "Default: FortiAnalyzer.")
	require.Contains(t, help["idle_timeout"].Description, "Default: 900 seconds.")
	require.Contains(t, help["password"].Description, "(ftd) Password of that user. Required.")
}

// The examples of the help are commands that the engine accepts: path, operation and fields, and each vendor's example of a
// config opens.
func TestPathHelp_Examples_AreAccepted(t *testing.T) {
	b := newMountWithoutVendors(t).backend
	for _, path := range b.Paths {
		name := pathName(path.Pattern)
		_, examples, found := strings.Cut(path.HelpDescription, "Examples:")
		require.True(t, found, "%s has no example", name)
		for line := range strings.SplitSeq(strings.TrimSpace(examples), "\n") {
			words := strings.Fields(strings.TrimSpace(line))
			require.Equal(t, []string{"$", "vault"}, words[:2], line)
			operation := map[string]logical.Operation{
				"read": logical.ReadOperation, "list": logical.ListOperation, "write": logical.UpdateOperation,
				"patch": logical.PatchOperation, "delete": logical.DeleteOperation,
			}[words[2]]
			words = words[3:]
			for strings.HasPrefix(words[0], "-") {
				words = words[1:]
			}
			target := strings.TrimPrefix(words[0], "vendorauth/")
			if operation == logical.ListOperation {
				target += "/"
			}
			require.Same(t, path, b.Route(target), line)
			require.Contains(t, path.Operations, operation, line)
			data := map[string]any{}
			for _, word := range words[1:] {
				field, value, ok := strings.Cut(word, "=")
				require.True(t, ok, line)
				data[field] = value
			}
			parsed, err := formOf(path, operation).Parse(data)
			require.NoError(t, err, line)
			requireOpens(t, b, parsed, line)
		}
	}
}
