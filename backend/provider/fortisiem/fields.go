package fortisiem

import (
	"path"
	"slices"
	"strings"
	"unicode"

	"github.com/hashicorp/vault/sdk/framework"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

const (
	fieldClientID     = "client_id"
	fieldClientSecret = "client_secret"
	fieldTokenPath    = "token_path"
	fieldVerifyPath   = "verify_path"
	fieldGrant        = "grant"
	fieldRefreshToken = "refresh_token"
	fieldUnit         = "expires_in_unit"
	fieldRevokeURL    = "revoke_url"
	fieldRevokeMethod = "revoke_method"
	fieldRevokeBody   = "revoke_body"
)

// The documented paths of release 7.5.1.
const (
	defaultTokenPath  = "/phoenix/rest/pub/security/oauth/token"
	defaultVerifyPath = "/phoenix/rest/system/health/summary"
)

// Values of the field grant, which are those of grant_type.
const (
	grantClientCredentials = "client_credentials"
	grantRefreshToken      = "refresh_token"
)

// Values of the field expires_in_unit.
const (
	unitAuto    = "auto"
	unitSeconds = "seconds"
	unitMinutes = "minutes"
)

var (
	grants        = []string{grantClientCredentials, grantRefreshToken}
	units         = []string{unitAuto, unitSeconds, unitMinutes}
	revokeMethods = []string{"POST", "PUT", "PATCH", "DELETE"}
)

// configFields returns the schema of the vendor's own config fields.
func configFields() map[string]*framework.FieldSchema {
	return map[string]*framework.FieldSchema{
		fieldClientID: {
			Type:         framework.TypeString,
			Required:     true,
			Description:  "Client id of the API token, as shown in the GUI.",
			DisplayAttrs: &framework.DisplayAttributes{Name: "Client ID"},
		},
		fieldClientSecret: {
			Type:         framework.TypeString,
			Description:  "Client secret of the API token.",
			DisplayAttrs: &framework.DisplayAttributes{Name: "Client secret", Sensitive: true},
		},
		fieldTokenPath: {
			Type: framework.TypeString, Default: defaultTokenPath,
			Description:  "Path of the token endpoint.",
			DisplayAttrs: &framework.DisplayAttributes{Name: "Token path"},
		},
		fieldVerifyPath: {
			Type: framework.TypeString, Default: defaultVerifyPath,
			Description:  "Path that the owner of the API token may read. The engine reads it to find out whether a token works.",
			DisplayAttrs: &framework.DisplayAttributes{Name: "Verify path"},
		},
		fieldGrant: {
			Type: framework.TypeString, Default: grantClientCredentials, AllowedValues: anyOf(grants),
			Description: "OAuth grant: client_credentials, or refresh_token for release 7.5.0, whose request is not documented and " +
				"not tested with the product.",
			DisplayAttrs: &framework.DisplayAttributes{Name: "Grant"},
		},
		fieldRefreshToken: {
			Type:         framework.TypeString,
			Description:  "Refresh token of the API token, for grant=refresh_token only.",
			DisplayAttrs: &framework.DisplayAttributes{Name: "Refresh token", Sensitive: true},
		},
		fieldUnit: {
			Type: framework.TypeString, Default: unitAuto, AllowedValues: anyOf(units),
			Description: "Unit of expires_in, about which the product's documents disagree: seconds, minutes, or auto. auto uses the " +
				"token's own expiry, and seconds, the shorter lifetime, for a token that does not contain its expiry.",
			DisplayAttrs: &framework.DisplayAttributes{Name: "Unit of expires_in"},
		},
		fieldRevokeURL: {
			Type: framework.TypeString,
			Description: "An https:// URL that ends an access token, if you know or operate one: the product documents none. The engine " +
				"calls it when a lease ends, with the token as bearer. A 2xx answer confirms that the token has ended.",
			DisplayAttrs: &framework.DisplayAttributes{Name: "Revocation URL"},
		},
		fieldRevokeMethod: {
			Type: framework.TypeString, Default: "POST", AllowedValues: anyOf(revokeMethods),
			Description:  "Method of the call of revoke_url: POST, PUT, PATCH or DELETE.",
			DisplayAttrs: &framework.DisplayAttributes{Name: "Revocation method"},
		},
		fieldRevokeBody: {
			Type: framework.TypeString,
			Description: "Body of the call of revoke_url: a JSON object or array, or a form. {{token}} and {{client_id}} in its values " +
				"are replaced. The default is no body. It can hold a credential of the revocation service, so it is never shown.",
			DisplayAttrs: &framework.DisplayAttributes{Name: "Revocation body", Sensitive: true},
		},
	}
}

// anyOf converts values for FieldSchema.AllowedValues.
func anyOf(values []string) []any {
	list := make([]any, 0, len(values))
	for _, value := range values {
		list = append(list, value)
	}
	return list
}

// settings are the vendor's own fields of a config.
type settings struct {
	clientID, clientSecret string
	tokenPath, verifyPath  string
	grant, refreshToken    string
	unit                   string

	revokeURL, revokeMethod, revokeBody string
}

// parseSettings reads and checks the fields. The error is ClassInvalid and names the field. It quotes no secret.
func parseSettings(fields *framework.FieldData) (*settings, error) {
	s := &settings{}
	for _, step := range []struct {
		field  string
		target *string
		parse  func(fields *framework.FieldData, field string) (string, error)
	}{
		{fieldClientID, &s.clientID, trimmed},
		{fieldClientSecret, &s.clientSecret, trimmed},
		{fieldTokenPath, &s.tokenPath, absolutePath},
		{fieldVerifyPath, &s.verifyPath, absolutePath},
		{fieldGrant, &s.grant, choice(grants)},
		{fieldRefreshToken, &s.refreshToken, provider.StringField},
		{fieldUnit, &s.unit, choice(units)},
		{fieldRevokeURL, &s.revokeURL, provider.StringField},
		{fieldRevokeMethod, &s.revokeMethod, choice(revokeMethods)},
		{fieldRevokeBody, &s.revokeBody, provider.StringField},
	} {
		value, err := step.parse(fields, step.field)
		if err != nil {
			return nil, err
		}
		*step.target = value
	}
	switch {
	case s.grant == grantRefreshToken && s.refreshToken == "":
		return nil, provider.InvalidField(fieldRefreshToken, "is required with %s=%s", fieldGrant, grantRefreshToken)
	case s.grant != grantRefreshToken && s.refreshToken != "":
		return nil, provider.InvalidField(fieldRefreshToken, "has no effect without %s=%s", fieldGrant, grantRefreshToken)
	case s.revokeURL == "" && s.revokeBody != "":
		return nil, provider.InvalidField(fieldRevokeBody, "has no effect without %s", fieldRevokeURL)
	}
	return s, nil
}

// trimmed returns a required field that must not begin or end with white space, such as the line break at the end of a
// file. The product would only answer that the credentials are wrong, and count the failure.
func trimmed(fields *framework.FieldData, name string) (string, error) {
	value, err := provider.RequiredField(fields, name)
	if err == nil && strings.TrimSpace(value) != value {
		err = provider.InvalidField(name, "must not begin or end with white space")
	}
	return value, err
}

// absolutePath returns a field with a path, or its default if it is empty.
func absolutePath(fields *framework.FieldData, name string) (string, error) {
	value, err := provider.StringField(fields, name)
	if err != nil {
		return "", err
	}
	if value == "" {
		value, _ = configFields()[name].Default.(string)
	}
	forbidden := func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune(`?#%\`, r)
	}
	if !strings.HasPrefix(value, "/") || path.Clean(value) != value || strings.ContainsFunc(value, forbidden) {
		return "", provider.InvalidField(name, "must be a path that begins with a slash, without a query or escaped characters")
	}
	return value, nil
}

// choice returns a function that reads a field with one of the values. An empty field means the first one.
func choice(values []string) func(*framework.FieldData, string) (string, error) {
	return func(fields *framework.FieldData, name string) (string, error) {
		value, err := provider.StringField(fields, name)
		if err != nil {
			return "", err
		}
		if value == "" {
			return values[0], nil
		}
		if !slices.Contains(values, value) {
			return "", provider.InvalidField(name, "must be one of %s", strings.Join(values, ", "))
		}
		return value, nil
	}
}
