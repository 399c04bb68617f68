package trend

import (
	"slices"

	"github.com/hashicorp/vault/sdk/framework"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

const (
	fieldAPIKey   = "api_key"
	fieldAPIKeyID = "api_key_id"

	fieldUsername        = "username"
	fieldPassword        = "password"
	fieldTenantName      = "tenant_name"
	fieldMFACode         = "mfa_code"
	fieldBootstrapRoleID = "bootstrap_role_id"

	fieldRoleID      = "role_id"
	fieldRoleName    = "role_name"
	fieldDescription = "description"
	fieldLocale      = "locale"
	fieldTimeZone    = "time_zone"
)

// Defaults of the keys that are made, which are the vendor's own.
const (
	defaultLocale   = "en-US"
	defaultTimeZone = "Etc/UTC"
)

// locales are the values that the vendor's SDK knows.
var locales = []string{defaultLocale, "ja-JP"}

func (vendor) ConfigFields() map[string]*framework.FieldSchema {
	return map[string]*framework.FieldSchema{
		fieldAPIKey: {
			Type:         framework.TypeString,
			Description:  "Secret of the management API key, with which keys are made and deleted.",
			DisplayAttrs: &framework.DisplayAttributes{Name: "API key", Sensitive: true},
		},
		fieldAPIKeyID: {
			Type:         framework.TypeInt,
			Description:  "ID of the management API key. Written by the engine when it makes that key itself.",
			DisplayAttrs: &framework.DisplayAttributes{Name: "API key ID"},
		},
		fieldUsername: {
			Type:         framework.TypeString,
			Description:  "User that logs in once to make the management API key, in place of api_key. Not stored.",
			DisplayAttrs: &framework.DisplayAttributes{Name: "User name"},
		},
		fieldPassword: {
			Type:         framework.TypeString,
			Description:  "Password of that user. Not stored.",
			DisplayAttrs: &framework.DisplayAttributes{Name: "Password", Sensitive: true},
		},
		fieldTenantName: {
			Type:         framework.TypeString,
			Description:  "Tenant (account) that the user logs in to, where there are several. Not stored.",
			DisplayAttrs: &framework.DisplayAttributes{Name: "Tenant name"},
		},
		fieldMFACode: {
			Type:         framework.TypeString,
			Description:  "Code of the user's authenticator, where the user has one. Not stored.",
			DisplayAttrs: &framework.DisplayAttributes{Name: "MFA code", Sensitive: true},
		},
		fieldBootstrapRoleID: {
			Type:         framework.TypeInt,
			Description:  "ID of the administrator role of the management API key that is made. Not stored.",
			DisplayAttrs: &framework.DisplayAttributes{Name: "Role ID of the management key"},
		},
	}
}

func (vendor) RoleFields() map[string]*framework.FieldSchema {
	return map[string]*framework.FieldSchema{
		fieldRoleID: {
			Type:         framework.TypeInt,
			Description:  "ID of the administrator role of the keys. Either this or role_name.",
			DisplayAttrs: &framework.DisplayAttributes{Name: "Role ID"},
		},
		fieldRoleName: {
			Type:         framework.TypeString,
			Description:  "Name of the administrator role of the keys, looked up for each. Either this or role_id.",
			DisplayAttrs: &framework.DisplayAttributes{Name: "Role name"},
		},
		fieldDescription: {
			Type:         framework.TypeString,
			Description:  "Text that precedes the engine's own in the description of the keys.",
			DisplayAttrs: &framework.DisplayAttributes{Name: "Description"},
		},
		fieldLocale: {
			Type:         framework.TypeString,
			Default:      defaultLocale,
			Description:  `Locale of the keys: "en-US" or "ja-JP".`,
			DisplayAttrs: &framework.DisplayAttributes{Name: "Locale"},
		},
		fieldTimeZone: {
			Type:         framework.TypeString,
			Default:      defaultTimeZone,
			Description:  `Time zone of the keys, such as "America/New_York".`,
			DisplayAttrs: &framework.DisplayAttributes{Name: "Time zone"},
		},
	}
}

// rootCredential is either a management key or a login to make one with.
type rootCredential struct {
	apiKey   string
	apiKeyID int // 0 when it is not known

	once *oneTimeLogin
}

// oneTimeLogin is what the management key is made with.
type oneTimeLogin struct {
	username, password  string
	tenantName, mfaCode string
	roleID              int
}

// parseRoot reads the root credential. Both kinds at once are refused: which of the two was meant cannot be
// known, and the login would silently stay unused.
func parseRoot(fields *framework.FieldData) (rootCredential, error) {
	var root rootCredential
	once := &oneTimeLogin{}
	for name, target := range map[string]*string{
		fieldAPIKey: &root.apiKey, fieldUsername: &once.username, fieldPassword: &once.password,
		fieldTenantName: &once.tenantName, fieldMFACode: &once.mfaCode,
	} {
		var err error
		if *target, err = provider.StringField(fields, name); err != nil {
			return root, err
		}
	}
	var err error
	if root.apiKeyID, err = idField(fields, fieldAPIKeyID); err != nil {
		return root, err
	}
	if once.roleID, err = idField(fields, fieldBootstrapRoleID); err != nil {
		return root, err
	}
	if root.apiKey == "" && *once == (oneTimeLogin{}) {
		return root, provider.InvalidField(fieldAPIKey,
			"must not be empty, unless %s, %s and %s are given to make a key with", fieldUsername, fieldPassword, fieldBootstrapRoleID)
	}
	if root.apiKey == "" {
		root.once = once
		return root, once.check()
	}
	if given := once.firstField(); given != "" {
		return root, provider.InvalidField(given,
			"is of a login that makes an %[1]s, and there is an %[1]s already; to have a new one made, give an empty %[1]s with it", fieldAPIKey)
	}
	if !httpclient.ValidToken(root.apiKey) {
		return root, provider.InvalidField(fieldAPIKey, "must be printable ASCII without spaces or line breaks")
	}
	return root, nil
}

// check tells what is missing of a login.
func (l *oneTimeLogin) check() error {
	switch {
	case l.username == "":
		return provider.InvalidField(fieldUsername, "must not be empty where there is no %s", fieldAPIKey)
	case l.password == "":
		return provider.InvalidField(fieldPassword, "must not be empty where there is a %s", fieldUsername)
	case l.roleID == 0:
		return provider.InvalidField(fieldBootstrapRoleID, "must be the ID of the role that the management key shall have")
	}
	return nil
}

// firstField names a field of the login that is given, or returns "".
func (l *oneTimeLogin) firstField() string {
	switch {
	case l.username != "":
		return fieldUsername
	case l.password != "":
		return fieldPassword
	case l.tenantName != "":
		return fieldTenantName
	case l.mfaCode != "":
		return fieldMFACode
	case l.roleID != 0:
		return fieldBootstrapRoleID
	}
	return ""
}

// keySettings is what a role says about its keys.
type keySettings struct {
	roleID      int // 0 when the name is to be looked up
	roleName    string
	description string
	locale      string
	timeZone    string
}

func parseRole(role *framework.FieldData) (keySettings, error) {
	var settings keySettings
	for name, target := range map[string]*string{
		fieldRoleName: &settings.roleName, fieldDescription: &settings.description,
		fieldLocale: &settings.locale, fieldTimeZone: &settings.timeZone,
	} {
		var err error
		if *target, err = provider.StringField(role, name); err != nil {
			return settings, err
		}
	}
	var err error
	if settings.roleID, err = idField(role, fieldRoleID); err != nil {
		return settings, err
	}
	if settings.locale == "" {
		settings.locale = defaultLocale
	}
	if settings.timeZone == "" {
		settings.timeZone = defaultTimeZone
	}
	switch {
	case settings.roleID == 0 && settings.roleName == "":
		return settings, provider.InvalidField(fieldRoleID, "must be given, or %s", fieldRoleName)
	case settings.roleID != 0 && settings.roleName != "":
		return settings, provider.InvalidField(fieldRoleName, "cannot be given together with %s", fieldRoleID)
	case !slices.Contains(locales, settings.locale):
		return settings, provider.InvalidField(fieldLocale, "must be one of %q", locales)
	case !httpclient.ValidToken(settings.timeZone):
		return settings, provider.InvalidField(fieldTimeZone, `must be a name such as "America/New_York"`)
	}
	return settings, nil
}

// describe joins the role's description and the engine's.
func (s keySettings) describe(engines string) string {
	if s.description == "" {
		return engines
	}
	return s.description + " (" + engines + ")"
}

// maxID is the largest ID, a positive 32-bit integer.
const maxID = 1<<31 - 1

// idField reads a field that holds an ID, or 0 when it is absent.
func idField(fields *framework.FieldData, name string) (int, error) {
	if fields == nil {
		return 0, nil
	}
	value, present, err := fields.GetOkErr(name)
	if err != nil {
		return 0, provider.InvalidField(name, "must be a whole number")
	}
	id, _ := value.(int)
	if present && (id < 1 || id > maxID) {
		return 0, provider.InvalidField(name, "must be a whole number from 1")
	}
	return id, nil
}
