// Package input reads the fields of a request exactly. A field that the path does not have is rejected, and so is a
// value that the engine would have to change before it could store it: Vault's framework alone ignores unknown fields,
// and turns 0.5 into 0, "010" into 8 and true into 1.
package input

import (
	"maps"
	"slices"

	"github.com/hashicorp/vault/sdk/framework"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// MaxSize bounds the size of a value in bytes: a bundle of all public certificate authorities fits. Each item of a list or
// an object counts as at least 16 bytes. A larger record fails in some of Vault's storages, and each copy of a config in
// memory has its values.
const MaxSize = 256 << 10

const (
	wantsLess = "is too large: a value has at most 256 KiB"

	// itemSize is what an item of a list or an object counts in addition to its text.
	itemSize = 16
)

// sizeOf returns the size of a parsed value.
func sizeOf(value any) int {
	size := 0
	switch typed := value.(type) {
	case string:
		size = len(typed)
	case []string:
		for _, item := range typed {
			size += len(item) + itemSize
		}
	case []int:
		size = len(typed) * itemSize
	case map[string]any:
		for key, item := range typed {
			size += len(key) + sizeOf(item) + itemSize
		}
	}
	return size
}

// Form is what one operation of a path accepts.
type Form struct {
	// Fields are the fields that the path declares.
	Fields map[string]*framework.FieldSchema
	// PathFields are the names of the fields whose values are parts of the path, such as the name of a role. A body
	// cannot contain them.
	PathFields []string
	// QueryOnly is true for an operation without a body. It accepts the fields that are declared with Query.
	QueryOnly bool
	// Patch is true for a JSON merge patch (RFC 7396), in which a null removes a key of a TypeKVPairs field.
	Patch bool
}

// Parse returns the values of a request, each in one form for its type: string, bool, int (of durations: seconds),
// []string, []int, map[string]any. The values in the map of a TypeKVPairs field are text, and nil for a key that a patch
// removes. A value that is nil stands for the field's default. An empty text for TypeKVPairs is parsed as nil, since the
// CLI can send no null, and an empty object changes nothing in a patch.
//
// The error is ClassInvalid, names the first wrong field in alphabetical order, and says what is accepted. It never
// contains a value, since any value can be a secret that was written to the wrong field.
func (f Form) Parse(data map[string]any) (map[string]any, error) {
	if len(data) == 0 {
		return nil, nil
	}
	parsed := make(map[string]any, len(data))
	for _, name := range slices.Sorted(maps.Keys(data)) {
		if slices.Contains(f.PathFields, name) {
			return nil, provider.InvalidField(name, "is a part of the path, and no field of the request")
		}
		schema := f.Fields[name]
		if schema == nil || f.QueryOnly && !schema.Query {
			return nil, f.unknown(name)
		}
		value, complaint := f.parse(schema, data[name])
		if complaint == "" && sizeOf(value) > MaxSize {
			complaint = wantsLess
		}
		if complaint != "" {
			return nil, provider.InvalidField(name, "%s", complaint)
		}
		parsed[name] = value
	}
	return parsed, nil
}

// parse returns a value in the form of its type, or a complaint that says what is accepted.
func (f Form) parse(schema *framework.FieldSchema, value any) (parsed any, complaint string) {
	if value == nil {
		return nil, ""
	}
	switch schema.Type {
	case framework.TypeString:
		return parseText(schema, value)
	case framework.TypeBool:
		return parseBool(value)
	case framework.TypeInt, framework.TypeInt64:
		return parseInt(value)
	case framework.TypeDurationSecond, framework.TypeSignedDurationSecond:
		return parseSeconds(value, schema.Type == framework.TypeSignedDurationSecond)
	case framework.TypeStringSlice, framework.TypeCommaStringSlice:
		return parseTexts(value)
	case framework.TypeCommaIntSlice:
		return parseInts(value)
	case framework.TypeKVPairs:
		pairs, complaint := parsePairs(value)
		if !f.Patch {
			maps.DeleteFunc(pairs, func(_ string, item any) bool { return item == nil })
		}
		if pairs == nil {
			return nil, complaint
		}
		return pairs, ""
	default:
		// A new type of field needs a parser. The test of all paths fails on this.
		return nil, "has a type that cannot be parsed exactly"
	}
}
