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

	fieldAllowedRoleNames = "allowed_role_names"
	fieldAllowedRoleIDs   = "allowed_role_ids"

	fieldRoleID      = "role_id"
	fieldRoleName    = "role_name"
	fieldDescription = "description"
	fieldLocale      = "locale"
	fieldTimeZone    = "time_zone"
)

// Defaults of the leased keys. They are the vendor's own defaults.
const (
	defaultLocale   = "en-US"
	defaultTimeZone = "Etc/UTC"
)

// loginFields are the config fields of a login that creates a management key.
var loginFields = []string{fieldUsername, fieldPassword, fieldTenantName, fieldMFACode, fieldBootstrapRoleID}

// locales are the values that the vendor's SDK accepts.
var locales = []string{defaultLocale, "ja-JP"}

func (vendor) ConfigFields() map[string]*framework.FieldSchema {
	return map[string]*framework.FieldSchema{
		fieldAPIKey: {
			Type:         framework.TypeString,
			Description:  "Secret of the management API key, which creates and deletes the leased keys.",
			DisplayAttrs: &framework.DisplayAttributes{Name: "API key", Sensitive: true},
		},
		fieldAPIKeyID: {
			Type:         framework.TypeInt,
			Description:  "ID of the management API key. The engine writes it when it creates that key.",
			DisplayAttrs: &framework.DisplayAttributes{Name: "API key ID"},
		},
		fieldUsername: {
			Type:         framework.TypeString,
			Description:  "User that logs in once to create the management API key. Use it instead of api_key. Not stored.",
			DisplayAttrs: &framework.DisplayAttributes{Name: "User name"},
		},
		fieldPassword: {
			Type:         framework.TypeString,
			Description:  "Password of that user. Not stored.",
			DisplayAttrs: &framework.DisplayAttributes{Name: "Password", Sensitive: true},
		},
		fieldTenantName: {
			Type:         framework.TypeString,
			Description:  "Tenant (account) that the user logs in to, if the manager has several. Not stored.",
			DisplayAttrs: &framework.DisplayAttributes{Name: "Tenant name"},
		},
		fieldMFACode: {
			Type:         framework.TypeString,
			Description:  "Current code of the user's authenticator, if the user has one. Not stored.",
			DisplayAttrs: &framework.DisplayAttributes{Name: "MFA code", Sensitive: true},
		},
		fieldBootstrapRoleID: {
			Type:         framework.TypeInt,
			Description:  "ID of the administrator role that the new management API key gets. Not stored.",
			DisplayAttrs: &framework.DisplayAttributes{Name: "Role ID of the management key"},
		},
		fieldAllowedRoleNames: allowedRoleNamesSchema(),
		fieldAllowedRoleIDs:   allowedRoleIDsSchema(),
	}
}

func (vendor) RoleFields() map[string]*framework.FieldSchema {
	return map[string]*framework.FieldSchema{
		fieldRoleID: {
			Type:         framework.TypeInt,
			Description:  "ID of the administrator role of the keys. Set either role_id or role_name.",
			DisplayAttrs: &framework.DisplayAttributes{Name: "Role ID"},
		},
		fieldRoleName: {
			Type:         framework.TypeString,
			Description:  "Name of the administrator role of the keys. Each issue looks it up. Set either role_name or role_id.",
			DisplayAttrs: &framework.DisplayAttributes{Name: "Role name"},
		},
		fieldDescription: {
			Type:         framework.TypeString,
			Description:  "Text at the beginning of the description of the keys. The engine adds its own text.",
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

// rootCredential is either a management key or a login that creates one.
type rootCredential struct {
	apiKey   string
	apiKeyID int // 0 if it is not known

	bootstrap *bootstrapLogin // nil if there is an apiKey
}

// bootstrapLogin is a user's login, with which Bootstrap creates the management key.
type bootstrapLogin struct {
	username, password  string
	tenantName, mfaCode string
	roleID              int // of the management key
}

// parseRoot reads the root credential. It rejects a config with both kinds: the intended one cannot be
// determined, and the login would stay unused without a message.
func parseRoot(fields *framework.FieldData) (rootCredential, error) {
	var root rootCredential
	login := &bootstrapLogin{}
	for name, target := range map[string]*string{
		fieldAPIKey: &root.apiKey, fieldUsername: &login.username, fieldPassword: &login.password,
		fieldTenantName: &login.tenantName, fieldMFACode: &login.mfaCode,
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
	if login.roleID, err = idField(fields, fieldBootstrapRoleID); err != nil {
		return root, err
	}
	if root.apiKey == "" && *login == (bootstrapLogin{}) {
		return root, provider.InvalidField(fieldAPIKey,
			"must not be empty, unless %s, %s and %s are set to create a key", fieldUsername, fieldPassword, fieldBootstrapRoleID)
	}
	if root.apiKey == "" {
		root.bootstrap = login
		return root, login.check()
	}
	if name := login.firstField(); name != "" {
		return root, provider.InvalidField(name,
			"belongs to a login that creates an %[1]s, but the write has an %[1]s too; give one of them",
			fieldAPIKey)
	}
	if !httpclient.ValidToken(root.apiKey) {
		return root, provider.InvalidField(fieldAPIKey, "must be printable ASCII without spaces or line breaks")
	}
	return root, nil
}

// check returns an error that names the first required field that is missing.
func (l *bootstrapLogin) check() error {
	switch {
	case l.username == "":
		return provider.InvalidField(fieldUsername, "must not be empty if there is no %s", fieldAPIKey)
	case l.password == "":
		return provider.InvalidField(fieldPassword, "must not be empty if there is a %s", fieldUsername)
	case l.roleID == 0:
		return provider.InvalidField(fieldBootstrapRoleID, "must be the ID of the administrator role of the new management key")
	}
	return nil
}

// firstField returns the name of the first field that is set, or "" if none is.
func (l *bootstrapLogin) firstField() string {
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

// keySettings are the settings of a role for its leased keys.
type keySettings struct {
	roleID      int // 0 if roleName is set instead
	roleName    string
	description string
	locale      string
	timeZone    string
}

// ValidateRole checks the fields of a role.
func (vendor) ValidateRole(role *framework.FieldData) error {
	_, err := parseRole(role)
	return err
}

// parseRole reads and checks the fields of a role.
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
		return settings, provider.InvalidField(fieldRoleID, "must be set, or else %s", fieldRoleName)
	case settings.roleID != 0 && settings.roleName != "":
		return settings, provider.InvalidField(fieldRoleName, "cannot be set together with %s", fieldRoleID)
	case !slices.Contains(locales, settings.locale):
		return settings, provider.InvalidField(fieldLocale, "must be one of %q", locales)
	case !httpclient.ValidToken(settings.timeZone):
		return settings, provider.InvalidField(fieldTimeZone, `must be a name such as "America/New_York"`)
	}
	return settings, nil
}

// keyDescription joins the role's description and the engine's.
func (s keySettings) keyDescription(engineDescription string) string {
	if s.description == "" {
		return engineDescription
	}
	return s.description + " (" + engineDescription + ")"
}

// maxID is the largest ID. IDs are positive 32-bit integers.
const maxID = 1<<31 - 1

// idField returns a field that holds an ID, or 0 if the field is absent.
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
		return 0, provider.InvalidField(name, "must be a whole number from 1 to %d", maxID)
	}
	return id, nil
}
