package ftd_test

import (
	"net/http"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

func TestCheck_LocalUser_ReportsRoleAndVersions(t *testing.T) {
	d := newDevice(t)
	result, err := d.open().Check(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "admin", result.Identity)
	assert.Equal(t, "ROLE_ADMIN", result.Details["user_role"])
	assert.Contains(t, result.Details["supported_versions"], "v6")
	assert.Empty(t, result.Warnings)
}

func TestCheck_ExternalUser_ReturnsWarning(t *testing.T) {
	d := newDevice(t)
	root := d.Act("add_external_user", "name", "reader", "role", "ro")
	d.fields["username"], d.fields["password"] = root["username"], root["password"]
	result, err := d.open().Check(t.Context())
	require.NoError(t, err)
	require.Len(t, result.Warnings, 1)
	assert.Contains(t, result.Warnings[0], "not a local user")
}

func TestCheck_OldRelease_ReturnsWarning(t *testing.T) {
	d := newDevice(t)
	d.InjectFault(emulator.Fault{Route: "/api/versions", Status: 404})
	d.InjectFault(emulator.Fault{Route: "object/users", Status: 403})
	result, err := d.open().Check(t.Context())
	require.NoError(t, err)
	assert.NotContains(t, result.Details, "supported_versions")
	assert.Len(t, result.Warnings, 1)
}

func TestCheck_DuringBackoff_RevokesNothing(t *testing.T) {
	d := newDevice(t)
	holder := d.open()
	issue(t, holder, "va-1")
	d.fields["password"] = "wrong"
	asking := d.open()
	_, err := asking.Check(t.Context())
	requireClass(t, provider.ClassUnauthenticated, err)
	_, err = d.open().Check(t.Context())
	requireClass(t, provider.ClassUnauthenticated, err)
	logins := d.Requested("password")
	revocations := d.Requested("revoke_token")
	_, err = asking.Check(t.Context())
	failure := requireClass(t, provider.ClassUnauthenticated, err)
	assert.Positive(t, failure.RetryAfter)
	assert.Equal(t, logins, d.Requested("password"))
	assert.Equal(t, revocations, d.Requested("revoke_token"))
}

// A device lists an external user after the local ones, so the check asks for it by name.
func TestCheck_ExternalUserObject_ReportsItsRole(t *testing.T) {
	d := newDevice(t)
	d.Set("external_users", "objects")
	root := d.Act("add_external_user", "name", "operator", "role", "admin")
	d.fields["username"], d.fields["password"] = root["username"], root["password"]
	result, err := d.open().Check(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "operator", result.Identity)
	assert.Equal(t, "ROLE_ADMIN", result.Details["user_role"])
	require.Len(t, result.Warnings, 1)
	assert.Contains(t, result.Warnings[0], "rotate-root is refused")
}

func TestCheck_UserNotReadable_WarnsOrFails(t *testing.T) {
	for status, want := range map[int]provider.Class{
		http.StatusForbidden: 0, http.StatusNotFound: 0, http.StatusUnprocessableEntity: 0, // 0 means a warning
		http.StatusUnauthorized: provider.ClassUnauthenticated, http.StatusServiceUnavailable: provider.ClassUnavailable,
	} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			d := newDevice(t)
			d.InjectFault(emulator.Fault{Route: readUsers, Status: status})
			result, err := d.open().Check(t.Context())
			if want != 0 {
				requireClass(t, want, err)
				return
			}
			require.NoError(t, err)
			require.Len(t, result.Warnings, 1)
			assert.Contains(t, result.Warnings[0], "role could not be read")
		})
	}
}
