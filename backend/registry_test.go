package backend

import (
	"crypto/rand"
	"testing"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

func TestRegistry_VendorFields_ShareTypesAndNoEngineField(t *testing.T) {
	b := newBackend(options{clock: provider.SystemClock{}, random: rand.Reader})
	for name, test := range map[string]struct {
		schema schemaFunc
		own    map[string]*framework.FieldSchema
	}{
		"config": {provider.Provider.ConfigFields, configFields(nil)},
		"role":   {provider.Provider.RoleFields, b.pathRoles()[1].Fields},
	} {
		types := map[string]framework.FieldType{}
		for _, vendor := range registry() {
			for field, schema := range test.schema(vendor) {
				require.NotContains(t, test.own, field, "%s field of %s", name, vendor.Name())
				require.NotEmpty(t, schema.Description, "%s field %s of %s", name, field, vendor.Name())
				if known, ok := types[field]; ok {
					require.Equal(t, known, schema.Type, "%s field %s of %s", name, field, vendor.Name())
				}
				types[field] = schema.Type
			}
		}
	}
}

func TestRegistry_VendorNames_AreUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, vendor := range registry() {
		require.False(t, seen[vendor.Name()], vendor.Name())
		seen[vendor.Name()] = true
	}
}
