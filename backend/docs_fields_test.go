package backend

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// fieldCode matches the names of fields in the first cell of a row.
var fieldCode = regexp.MustCompile("`([a-z0-9_]+)`")

// documentedFields returns the fields of the first table below a heading, with the text of their cell "Default".
func documentedFields(t *testing.T, page, heading string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "docs", page))
	require.NoError(t, err)
	_, section, found := strings.Cut(string(text), "\n"+heading+"\n")
	require.True(t, found, "%s has no heading %s", page, heading)
	_, table, found := strings.Cut(section, "\n| Field | Default | What |\n|---|---|---|\n")
	require.True(t, found, "%s has no table of fields below %s", page, heading)
	fields := map[string]string{}
	for line := range strings.Lines(table) {
		cells := strings.SplitN(line, "|", 4)
		if len(cells) != 4 {
			break
		}
		names := fieldCode.FindAllStringSubmatch(cells[1], -1)
		require.NotEmpty(t, names, line)
		for _, name := range names {
			require.NotContains(t, fields, name[1], "%s has two rows for this field", page)
			fields[name[1]] = strings.TrimSpace(cells[2])
		}
	}
	return fields
}

// writableFields returns the fields of a path that a write can change, without those of vendors.
func writableFields(fields, readOnly map[string]*framework.FieldSchema) map[string]*framework.FieldSchema {
	writable := maps.Clone(fields)
	for name := range readOnly {
		delete(writable, name)
	}
	delete(writable, "name")
	return writable
}

// requireNames requires that a table has a row for each of the fields, and no other.
func requireNames(t *testing.T, fields map[string]*framework.FieldSchema, documented map[string]string) {
	t.Helper()
	require.ElementsMatch(t, slices.Collect(maps.Keys(fields)), slices.Collect(maps.Keys(documented)))
}

// durationDefault returns seconds as the tables write them.
func durationDefault(seconds int) string {
	switch {
	case seconds == 0:
		return "`0`"
	case seconds%60 != 0:
		return fmt.Sprintf("`%ds`", seconds)
	default:
		return fmt.Sprintf("`%dm`", seconds/60)
	}
}

// defaultText returns what the cell "Default" of a field must begin with. It is empty if the schema does not say.
func defaultText(schema *framework.FieldSchema) string {
	switch value := schema.Default.(type) {
	case nil:
		if schema.Required {
			return "required"
		}
		if schema.Type == framework.TypeBool {
			return "`false`"
		}
		return ""
	case int:
		if schema.Type == framework.TypeDurationSecond {
			return durationDefault(value)
		}
		return fmt.Sprintf("`%d`", value)
	case []string:
		return "`" + strings.Join(value, ",") + "`"
	default:
		return fmt.Sprintf("`%v`", value)
	}
}

// checkDefaults compares the cells "Default" with the defaults of the schemas.
func checkDefaults(t *testing.T, fields map[string]*framework.FieldSchema, documented map[string]string) {
	t.Helper()
	for name, schema := range fields {
		assert.True(t, strings.HasPrefix(documented[name], defaultText(schema)), "the default of %s is %s, not %s", name, defaultText(schema), documented[name])
	}
}

func TestDocs_ConfigFields_EqualTheSchema(t *testing.T) {
	readOnly := maps.Clone(readOnlyConfigFields())
	readOnly["force"] = nil // a deletion's
	fields := writableFields(configFields(&framework.FieldSchema{}), readOnly)
	documented := documentedFields(t, "reference.md", "## Fields of a config")
	requireNames(t, fields, documented)
	checkDefaults(t, fields, documented)
}

func TestDocs_RoleFields_EqualTheSchema(t *testing.T) {
	fields := writableFields(roleFields(), readOnlyRoleFields())
	documented := documentedFields(t, "reference.md", "## Fields of a role")
	requireNames(t, fields, documented)
	checkDefaults(t, fields, documented)
}

func TestDocs_VendorConfigFields_EqualTheSchema(t *testing.T) {
	for _, vendor := range registry() {
		t.Run(vendor.Name(), func(t *testing.T) {
			documented := documentedFields(t, filepath.Join("vendors", vendor.Name()+".md"), "## Config")
			can := vendor.Capabilities()
			for name, value := range map[string]int{
				"max_credentials": can.DefaultMaxCredentials, "requests_per_minute": can.DefaultRequestsPerMinute,
			} {
				assert.True(t, strings.HasPrefix(documented[name]+",", "`"+strconv.Itoa(value)+"`"), "the default of %s is %d, not %s", name, value, documented[name])
				delete(documented, name)
			}
			requireNames(t, vendor.ConfigFields(), documented)
			checkDefaults(t, vendor.ConfigFields(), documented)
		})
	}
}

func TestDocs_VendorRoleFields_EqualTheSchema(t *testing.T) {
	for _, vendor := range registry() {
		t.Run(vendor.Name(), func(t *testing.T) {
			documented := documentedFields(t, filepath.Join("vendors", vendor.Name()+".md"), "## Role")
			fields := writableFields(roleFields(), readOnlyRoleFields())
			maps.Copy(fields, vendor.RoleFields())
			requireNames(t, fields, documented)
			checkDefaults(t, fields, documented)

			sharing, fixed := defaultSharing(vendor), vendor.Capabilities().Renewal == provider.RenewalWithinLife
			assert.Equal(t, "`"+sharing+"`", documented["sharing"])
			fourTimes := fixed || sharing == store.SharingShared
			assert.Equal(t, fourTimes, strings.HasPrefix(documented["max_ttl"], "four times the `ttl`"), documented["max_ttl"])
			assert.True(t, strings.HasPrefix(documented["ttl"], "the mount's"), documented["ttl"])
			for _, name := range []string{"max_wait", "max_credentials"} {
				assert.True(t, strings.HasPrefix(documented[name], "`0`"), documented[name])
			}
		})
	}
}
