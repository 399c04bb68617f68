package trend_test

import (
	"maps"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

func TestCheckRole_AllowedRoles_AreExact(t *testing.T) {
	m := newManager(t)
	for name, test := range map[string]struct {
		config, role fields
		field        string // empty if the role is allowed
	}{
		"no limit":                 {nil, fields{"role_name": "Full Access"}, ""},
		"name":                     {fields{"allowed_role_names": []string{"Auditor"}}, fields{"role_name": "Auditor"}, ""},
		"part of a name":           {fields{"allowed_role_names": []string{"Auditor"}}, fields{"role_name": "Audit"}, "role_name"},
		"name with a space":        {fields{"allowed_role_names": []string{"Auditor"}}, fields{"role_name": "Auditor "}, "role_name"},
		"name, only IDs":           {fields{"allowed_role_ids": []int{2}}, fields{"role_name": "Auditor"}, "role_name"},
		"ID":                       {fields{"allowed_role_ids": []int{2}}, fields{"role_id": 2}, ""},
		"smallest ID":              {fields{"allowed_role_ids": []int{1}}, fields{"role_id": 1}, ""},
		"largest ID":               {fields{"allowed_role_ids": []int{1<<31 - 1}}, fields{"role_id": 1<<31 - 1}, ""},
		"another ID":               {fields{"allowed_role_ids": []int{2, 3}}, fields{"role_id": 22}, "role_id"},
		"ID, only names":           {fields{"allowed_role_names": []string{"Auditor"}}, fields{"role_id": 2}, "role_id"},
		"as storage returns them":  {fields{"allowed_role_ids": []any{2.0}, "allowed_role_names": []any{"Auditor"}}, fields{"role_id": 2}, ""},
		"role without either":      {nil, fields{}, "role_id"},
		"limited, without either":  {fields{"allowed_role_ids": []int{2}}, fields{}, "role_id"},
		"name of another language": {fields{"allowed_role_names": []string{"監査"}}, fields{"role_name": "監査"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			raw := m.rootFields()
			maps.Copy(raw, test.config)
			conn := m.open(raw)
			before := len(m.operations())
			request := hourRequest(nil)
			request.Role.Raw = test.role
			err := conn.(provider.RoleChecker).CheckRole(request.Role)
			if test.field == "" {
				require.NoError(t, err)
				return
			}
			_, issueErr := conn.Issue(t.Context(), request)
			for _, err := range []error{err, issueErr} {
				failure := providerError(t, err)
				assert.Equal(t, provider.ClassInvalid, failure.Class)
				assert.Equal(t, test.field, failure.Field)
			}
			require.Len(t, m.operations(), before, "no request was sent")
		})
	}
}
