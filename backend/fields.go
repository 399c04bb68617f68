package backend

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/framework"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// schemaFunc picks one of a vendor's two sets of fields.
type schemaFunc func(provider.Provider) map[string]*framework.FieldSchema

// withVendorFields adds the fields of all vendors to those of a path. A field that several vendors
// have is described once, with the vendors' names.
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

// rejectForeignFields fails on a field that belongs to another vendor than this one: ignored, it would
// let the operator believe that it has an effect.
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

// mergeVendorFields returns the stored fields overlaid with those that the request carries. Values are
// kept in the type of their schema. A null (from a patch) takes a field back to its default.
func mergeVendorFields(stored map[string]any, data *framework.FieldData, schema map[string]*framework.FieldSchema) (map[string]any, error) {
	merged := make(map[string]any, len(schema))
	maps.Copy(merged, stored)
	for field := range schema {
		raw, given := data.Raw[field]
		if !given {
			continue
		}
		if raw == nil {
			delete(merged, field)
			continue
		}
		value, ok, err := data.GetOkErr(field)
		if err != nil {
			return nil, provider.InvalidField(field, "%s", err)
		}
		if ok {
			merged[field] = value
		}
	}
	return merged, nil
}

// checkSecrets refuses a secret of a wrong type before the framework does, whose refusal quotes the value.
func (b *backend) checkSecrets(data map[string]any) error {
	for field, value := range data {
		if !b.sensitive[field] {
			continue
		}
		switch value.(type) {
		case nil, string, json.Number, float64, int, int64:
		default:
			return provider.InvalidField(field, "must be text")
		}
	}
	return nil
}

// sensitiveFields are the names of all secrets of all vendors.
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

// fieldValue returns the value of a field that the request carries, typed as its schema says. A null (from a
// patch) is the field's default.
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

// applyField replaces a setting by the value that the request carries, if it does.
func applyField[T any](data *framework.FieldData, field string, target *T) {
	if value, ok := fieldValue[T](data, field); ok {
		*target = value
	}
}

// applySeconds is overlay for a duration, which requests carry in seconds.
func applySeconds(data *framework.FieldData, field string, target *time.Duration) {
	if seconds, ok := fieldValue[int](data, field); ok {
		*target = time.Duration(seconds) * time.Second
	}
}
