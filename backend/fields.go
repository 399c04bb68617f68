package backend

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/framework"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// schemaFunc returns the config fields or the role fields of a vendor.
type schemaFunc func(provider.Provider) map[string]*framework.FieldSchema

// withVendorFields adds the fields of all vendors to those of a path. A field that several vendors have is added
// once; its description begins with the vendors' names.
func (b *backend) withVendorFields(fields map[string]*framework.FieldSchema, schema schemaFunc) map[string]*framework.FieldSchema {
	owners := make(map[string][]string)
	for _, name := range slices.Sorted(maps.Keys(b.providers)) {
		for field, declared := range schema(b.providers[name]) {
			if len(owners[field]) == 0 {
				described := *declared
				fields[field] = &described
			}
			owners[field] = append(owners[field], name)
		}
	}
	for field, names := range owners {
		fields[field].Description = fmt.Sprintf("(%s) %s", strings.Join(names, ", "), fields[field].Description)
	}
	return fields
}

// rejectForeignFields returns an error for a field that only other vendors have. If the field were ignored, the
// operator would believe that it has an effect.
func (b *backend) rejectForeignFields(vendor provider.Provider, data *framework.FieldData, schema schemaFunc) error {
	own := schema(vendor)
	for _, name := range slices.Sorted(maps.Keys(b.providers)) {
		for field := range schema(b.providers[name]) {
			if _, ok := own[field]; ok {
				continue
			}
			if _, given := data.Raw[field]; given {
				return provider.InvalidField(field, "is a field of vendor %q, not of %q", name, vendor.Name())
			}
		}
	}
	return nil
}

// sensitiveFields returns the names of the secret fields of all vendors.
func (b *backend) sensitiveFields() map[string]bool {
	names := make(map[string]bool)
	for _, vendor := range b.providers {
		for _, schema := range []map[string]*framework.FieldSchema{vendor.ConfigFields(), vendor.RoleFields()} {
			for field, declared := range schema {
				if store.IsSensitive(declared) {
					names[field] = true
				}
			}
		}
	}
	return names
}

// fieldValue returns the value of a field in the request, in the type of its schema. ok is false if the request
// does not contain the field. A null (from a patch) is the field's default.
func fieldValue[T any](data *framework.FieldData, field string) (value T, ok bool) {
	raw, ok := data.Raw[field]
	if !ok {
		return value, false
	}
	if raw == nil {
		value, ok = data.GetDefaultOrZero(field).(T)
		return value, ok
	}
	value, ok = data.Get(field).(T)
	return value, ok
}

// applyField sets target to the field's value if the request contains the field.
func applyField[T any](data *framework.FieldData, field string, target *T) {
	if value, ok := fieldValue[T](data, field); ok {
		*target = value
	}
}

// applySeconds is applyField for a duration. Requests contain durations in seconds.
func applySeconds(data *framework.FieldData, field string, target *time.Duration) {
	if seconds, ok := fieldValue[int](data, field); ok {
		*target = time.Duration(seconds) * time.Second
	}
}
