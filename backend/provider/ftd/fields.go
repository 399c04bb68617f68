package ftd

import (
	"regexp"

	"github.com/hashicorp/vault/sdk/framework"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

const (
	fieldUsername       = "username"
	fieldPassword       = "password"
	fieldPasswordPolicy = "password_policy"
	fieldAPIVersion     = "api_version"
)

// latestVersion is the device's alias of its newest API version.
const latestVersion = "latest"

var versionPattern = regexp.MustCompile(`^(latest|v[0-9]{1,4})$`)

// ConfigFields implements [provider.Provider].
func (vendor) ConfigFields() map[string]*framework.FieldSchema {
	return map[string]*framework.FieldSchema{
		fieldUsername: {
			Type:         framework.TypeString,
			Required:     true,
			Description:  "User that logs in to the device. Every leased token has the role of this user.",
			DisplayAttrs: &framework.DisplayAttributes{Name: "User name"},
		},
		fieldPassword: {
			Type:         framework.TypeString,
			Required:     true,
			Description:  "Password of that user.",
			DisplayAttrs: &framework.DisplayAttributes{Name: "Password", Sensitive: true},
		},
		fieldPasswordPolicy: {
			Type: framework.TypeString,
			Description: "Vault password policy that generates the next password for rotate-root; without one, the engine uses 32 random characters. " +
				"The device's own password rules are not documented.",
			DisplayAttrs: &framework.DisplayAttributes{Name: "Password policy"},
		},
		fieldAPIVersion: {
			Type:         framework.TypeString,
			Default:      latestVersion,
			Description:  `Version of the device's API: "latest", or one that the device lists at /api/versions, such as "v6".`,
			DisplayAttrs: &framework.DisplayAttributes{Name: "API version"},
		},
	}
}

// RoleFields implements [provider.Provider]. A custom token has no options, so there are none.
func (vendor) RoleFields() map[string]*framework.FieldSchema { return nil }

// ValidateRole implements [provider.Provider].
func (vendor) ValidateRole(*framework.FieldData) error { return nil }

// configFields are the values of the vendor's config fields.
type configFields struct {
	username       string
	password       string
	passwordPolicy string // empty for the engine's default
	apiVersion     string // never empty
}

// parseFields reads and checks the vendor's config fields. An error is ClassInvalid and names the field.
func parseFields(fields *framework.FieldData) (configFields, error) {
	var parsed configFields
	var err error
	if parsed.username, err = provider.RequiredField(fields, fieldUsername); err != nil {
		return configFields{}, err
	}
	if parsed.password, err = provider.RequiredField(fields, fieldPassword); err != nil {
		return configFields{}, err
	}
	if parsed.passwordPolicy, err = provider.StringField(fields, fieldPasswordPolicy); err != nil {
		return configFields{}, err
	}
	if parsed.apiVersion, err = provider.StringField(fields, fieldAPIVersion); err != nil {
		return configFields{}, err
	}
	if parsed.apiVersion == "" {
		parsed.apiVersion = latestVersion
	}
	if !versionPattern.MatchString(parsed.apiVersion) {
		return configFields{}, provider.InvalidField(fieldAPIVersion, `must be "latest" or a version such as "v6"`)
	}
	return parsed, nil
}
