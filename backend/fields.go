package backend

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/framework"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// readOnlyText begins the description of a field that a write cannot change.
const readOnlyText = "Read-only:"

// schemaFunc returns the config fields or the role fields of a vendor.
type schemaFunc func(provider.Provider) map[string]*framework.FieldSchema

// withVendorFields adds the fields of all vendors to the engine's, and describes all of them. A field of several vendors
// gets the description of each of them. Its default is that of the path only if all of them have the same one.
func (b *backend) withVendorFields(fields map[string]*framework.FieldSchema, schema schemaFunc) map[string]*framework.FieldSchema {
	fields = described(fields)
	declared := map[string]map[string]*framework.FieldSchema{} // by field and vendor
	for name, vendor := range b.providers {
		for field, own := range schema(vendor) {
			if declared[field] == nil {
				declared[field] = map[string]*framework.FieldSchema{}
			}
			declared[field][name] = own
		}
	}
	for field, owners := range declared {
		fields[field] = mergedField(owners)
	}
	return fields
}

// mergedField returns the schema of a field of one or more vendors. Vendors that describe it alike stand together.
func mergedField(owners map[string]*framework.FieldSchema) *framework.FieldSchema {
	var texts []string
	vendors := map[string][]string{} // by text
	names := slices.Sorted(maps.Keys(owners))
	merged := *owners[names[0]]
	merged.Required = false // other vendors do not have the field
	for _, name := range names {
		text := describe(owners[name])
		if len(vendors[text]) == 0 {
			texts = append(texts, text)
		}
		vendors[text] = append(vendors[text], name)
		if !reflect.DeepEqual(owners[name].Default, merged.Default) {
			merged.Default = nil
		}
	}
	for i, text := range texts {
		texts[i] = fmt.Sprintf("(%s) %s", strings.Join(vendors[text], ", "), text)
	}
	merged.Description = strings.Join(texts, " ")
	return &merged
}

// described returns copies of fields whose descriptions contain what path-help does not show otherwise.
func described(fields map[string]*framework.FieldSchema) map[string]*framework.FieldSchema {
	copies := make(map[string]*framework.FieldSchema, len(fields))
	for name, field := range fields {
		if field == nil {
			continue
		}
		copied := *field
		copied.Description = describe(field)
		copies[name] = &copied
	}
	return copies
}

// describe returns the description of a field with its unit, whether it is required, and its default, unless the
// description itself explains the default.
func describe(field *framework.FieldSchema) string {
	text := field.Description
	if strings.HasPrefix(text, readOnlyText) {
		return text
	}
	if field.Type == framework.TypeDurationSecond {
		text += " In seconds, or with a unit, such as 90s, 15m, 1h30m or 1d."
	}
	if field.Required {
		text += " Required."
	}
	if strings.Contains(strings.ToLower(field.Description), "default") {
		return text
	}
	switch {
	case field.Default != nil && field.Type == framework.TypeDurationSecond:
		text += fmt.Sprintf(" Default: %v seconds.", field.Default)
	case field.Default != nil:
		text += fmt.Sprintf(" Default: %v.", field.Default)
	case field.Type == framework.TypeBool:
		text += " Default: false."
	}
	return text
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
