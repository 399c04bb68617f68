package backend

import (
	"maps"
	"reflect"
	"slices"

	"github.com/hashicorp/vault/sdk/framework"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// maxSecretSize bounds a secret, in bytes. All texts of a vendor are searched for its parts.
const maxSecretSize = 16 << 10

// mergeVendorFields returns the stored fields of a config or role with the changes of a write. Values have the type of
// their schema. A null or the default removes a field, so that a default has one stored form. A value that equals what
// a read shows changes nothing. A field that gets another value than its default resets its alternatives.
func mergeVendorFields(
	stored map[string]any, data *framework.FieldData, schema map[string]*framework.FieldSchema, alternatives []provider.Alternative,
) (map[string]any, error) {
	merged := make(map[string]any, len(schema))
	maps.Copy(merged, stored)
	present := &framework.FieldData{Raw: stored, Schema: schema}
	var chosen []string
	for field, declared := range schema {
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
		if !ok {
			continue
		}
		if byDefault, _ := declared.Default.(string); byDefault != "" && value == "" {
			return nil, provider.InvalidField(field, "must not be empty; its default is %q", byDefault)
		}
		if text, _ := value.(string); store.IsSensitive(declared) && len(text) > maxSecretSize {
			return nil, provider.InvalidField(field, "is too large: a secret has at most 16 KiB")
		}
		isDefault := reflect.DeepEqual(value, declared.DefaultOrZero())
		if !isDefault {
			chosen = append(chosen, field)
		}
		switch {
		case reflect.DeepEqual(value, storedValue(present, field)):
		case isDefault:
			delete(merged, field)
		default:
			merged[field] = value
		}
	}
	for _, alternative := range alternatives {
		if !slices.ContainsFunc(alternative.Fields, func(field string) bool { return slices.Contains(chosen, field) }) {
			continue
		}
		for _, field := range alternative.Replaces {
			if _, given := data.Raw[field]; !given {
				delete(merged, field)
			}
		}
	}
	return merged, nil
}

// storedValue returns a stored field as a read shows it: its default if it is absent, and nil if it does not have the
// type of its schema.
func storedValue(stored *framework.FieldData, field string) any {
	value, ok, err := stored.GetOkErr(field)
	switch {
	case err != nil:
		return nil
	case !ok || value == nil:
		return stored.GetDefaultOrZero(field)
	}
	return value
}

// rejectReadOnlyChanges returns an error for a read-only field of a write that differs from what a read shows: the
// operator would believe that the write changes it. shown is nil for an object that does not exist yet.
func rejectReadOnlyChanges(data *framework.FieldData, readOnly map[string]*framework.FieldSchema, shown map[string]any) error {
	for _, field := range slices.Sorted(maps.Keys(readOnly)) {
		raw, given := data.Raw[field]
		if !given {
			continue
		}
		if shown == nil {
			return provider.InvalidField(field, "is read-only: leave it out of the first write")
		}
		value, _, err := data.GetOkErr(field)
		if err != nil || raw == nil || !reflect.DeepEqual(value, shown[field]) {
			return provider.InvalidField(field, "is read-only, and its present value is %v: leave it out, or read again and give that value", shown[field])
		}
	}
	return nil
}
