package provider

import (
	"github.com/hashicorp/vault/sdk/framework"
)

// StringField returns a text field of a config or role, or its schema's default if it is absent. fields may be
// nil. For a value of another type, the error is ClassInvalid and names the field. It never quotes the value.
func StringField(fields *framework.FieldData, name string) (string, error) {
	value, err := field(fields, name, "must be text")
	text, _ := value.(string)
	return text, err
}

// RequiredField is [StringField] for a field that must not be empty. For an empty one, the error is ClassInvalid.
func RequiredField(fields *framework.FieldData, name string) (string, error) {
	text, err := StringField(fields, name)
	if err == nil && text == "" {
		err = InvalidField(name, "must not be empty")
	}
	return text, err
}

// BoolField returns a boolean field of a config or role, or its schema's default if it is absent. fields may be
// nil. For a value of another type, the error is ClassInvalid and names the field. It never quotes the value.
func BoolField(fields *framework.FieldData, name string) (bool, error) {
	value, err := field(fields, name, "must be true or false")
	yes, _ := value.(bool)
	return yes, err
}

// field returns the value of a field, converted to the type of its schema.
func field(fields *framework.FieldData, name, complaint string) (any, error) {
	if fields == nil {
		return nil, nil
	}
	value, present, err := fields.GetOkErr(name)
	if err != nil {
		return nil, InvalidField(name, "%s", complaint)
	}
	if !present || value == nil {
		return fields.Schema[name].DefaultOrZero(), nil
	}
	return value, nil
}
