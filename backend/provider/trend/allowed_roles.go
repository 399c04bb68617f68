package trend

import (
	"slices"

	"github.com/hashicorp/vault/sdk/framework"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// allowedRoles are the administrator roles that leased keys may get. If both lists are empty, all roles may be given
// that the management key may assign.
type allowedRoles struct {
	names []string
	ids   []int
}

func allowedRoleNamesSchema() *framework.FieldSchema {
	return &framework.FieldSchema{
		Type: framework.TypeCommaStringSlice,
		Description: "Administrator roles that roles of this config may name in role_name. If this field or allowed_role_ids is set, " +
			"all others are refused. The default of both, empty, is every role that the management key may assign.",
		DisplayAttrs: &framework.DisplayAttributes{Name: "Allowed role names"},
	}
}

func allowedRoleIDsSchema() *framework.FieldSchema {
	return &framework.FieldSchema{
		Type:         framework.TypeCommaIntSlice,
		Description:  "IDs of administrator roles that roles of this config may name in role_id; see allowed_role_names.",
		DisplayAttrs: &framework.DisplayAttributes{Name: "Allowed role IDs"},
	}
}

// parseAllowedRoles reads and checks the config fields. The error is ClassInvalid and names the field.
func parseAllowedRoles(fields *framework.FieldData) (allowedRoles, error) {
	var allowed allowedRoles
	if fields == nil {
		return allowed, nil
	}
	names, _, err := fields.GetOkErr(fieldAllowedRoleNames)
	if err != nil {
		return allowed, provider.InvalidField(fieldAllowedRoleNames, "must be a list of names")
	}
	ids, _, err := fields.GetOkErr(fieldAllowedRoleIDs)
	if err != nil {
		return allowed, provider.InvalidField(fieldAllowedRoleIDs, "must be a list of whole numbers")
	}
	allowed.names, _ = names.([]string)
	allowed.ids, _ = ids.([]int)
	if slices.Contains(allowed.names, "") {
		return allowed, provider.InvalidField(fieldAllowedRoleNames, "must not contain an empty name")
	}
	for _, id := range allowed.ids {
		if id < 1 || id > maxID {
			return allowed, provider.InvalidField(fieldAllowedRoleIDs, "must contain whole numbers from 1 to %d only", maxID)
		}
	}
	return allowed, nil
}

// check returns a ClassInvalid error if a key may not get the administrator role of these settings. A role_name is
// compared with the names only, and a role_id with the IDs only: which of them belong together is the manager's to
// change.
func (a allowedRoles) check(settings keySettings) error {
	switch {
	case len(a.names) == 0 && len(a.ids) == 0:
		return nil
	case settings.roleID != 0 && !slices.Contains(a.ids, settings.roleID):
		return provider.InvalidField(fieldRoleID, "%d is not in %s of the config", settings.roleID, fieldAllowedRoleIDs)
	case settings.roleID == 0 && !slices.Contains(a.names, settings.roleName):
		return provider.InvalidField(fieldRoleName, "%q is not in %s of the config", settings.roleName, fieldAllowedRoleNames)
	}
	return nil
}

// addTo adds the lists that are set to the fields of a config.
func (a allowedRoles) addTo(fields map[string]any) map[string]any {
	if len(a.names) > 0 {
		fields[fieldAllowedRoleNames] = a.names
	}
	if len(a.ids) > 0 {
		fields[fieldAllowedRoleIDs] = a.ids
	}
	return fields
}

// CheckRole implements [provider.RoleChecker].
func (c *connection) CheckRole(role *framework.FieldData) error {
	settings, err := parseRole(role)
	if err != nil {
		return err
	}
	return c.allowed.check(settings)
}
