package lacework

import (
	"github.com/hashicorp/vault/sdk/framework"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

const (
	fieldKeyID      = "key_id"
	fieldSecretKey  = "secret_key"
	fieldSubaccount = "subaccount"
	fieldOrgAccess  = "org_access"
)

func (vendor) ConfigFields() map[string]*framework.FieldSchema {
	return map[string]*framework.FieldSchema{
		fieldKeyID: {
			Type:         framework.TypeString,
			Required:     true,
			Description:  "ID of the API key, as the console shows it.",
			DisplayAttrs: &framework.DisplayAttributes{Name: "Key ID"},
		},
		fieldSecretKey: {
			Type:         framework.TypeString,
			Required:     true,
			Description:  "Secret of the API key.",
			DisplayAttrs: &framework.DisplayAttributes{Name: "Secret key", Sensitive: true},
		},
	}
}

func (vendor) RoleFields() map[string]*framework.FieldSchema {
	return map[string]*framework.FieldSchema{
		fieldSubaccount: {
			Type: framework.TypeString,
			Description: "Sub-account that applications send in the header Account-Name. The answer contains it as a hint; " +
				"it does not limit the token. It needs the key of a regular user.",
			DisplayAttrs: &framework.DisplayAttributes{Name: "Sub-account"},
		},
		fieldOrgAccess: {
			Type: framework.TypeBool,
			Description: "Whether applications send the header Org-Access: true, for data of the whole organisation. The answer " +
				"contains it as a hint; it gives the token no permission. It needs the key of an organisation administrator.",
			DisplayAttrs: &framework.DisplayAttributes{Name: "Organisation access"},
		},
	}
}

func (vendor) ValidateRole(role *framework.FieldData) error {
	_, err := parseScope(role)
	return err
}

// scope contains the headers that a role recommends for calls with the token.
type scope struct {
	subaccount string
	orgAccess  bool
}

// parseScope reads the vendor's fields of a role. An error is ClassInvalid and names the field.
func parseScope(role *framework.FieldData) (scope, error) {
	subaccount, err := provider.StringField(role, fieldSubaccount)
	if err != nil {
		return scope{}, err
	}
	orgAccess, err := provider.BoolField(role, fieldOrgAccess)
	if err != nil {
		return scope{}, err
	}
	if !httpclient.ValidToken(subaccount) {
		return scope{}, errNotInHeader(fieldSubaccount)
	}
	if subaccount != "" && orgAccess {
		// The product would ignore Account-Name without an error.
		return scope{}, provider.InvalidField(fieldSubaccount, "has no effect together with %s=true", fieldOrgAccess)
	}
	return scope{subaccount: subaccount, orgAccess: orgAccess}, nil
}

// headerField returns a required field whose value can be sent in an HTTP header.
func headerField(fields *framework.FieldData, name string) (string, error) {
	value, err := provider.RequiredField(fields, name)
	if err != nil {
		return "", err
	}
	if !httpclient.ValidToken(value) {
		return "", errNotInHeader(name)
	}
	return value, nil
}

// errNotInHeader is the error for a field whose value cannot be sent in an HTTP header.
func errNotInHeader(name string) error {
	return provider.InvalidField(name, "must be printable ASCII without spaces or line breaks")
}
