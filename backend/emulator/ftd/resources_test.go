package ftd_test

import (
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

func TestVersions_WithoutToken_AreListedWithLatestLast(t *testing.T) {
	d := newDevice(t)
	versions := d.do(http.MethodGet, "/api/versions", "", nil)
	require.Equal(t, []any{"v1", "v2", "v3", "v4", "v5", "v6", "latest"}, versions.Body["supportedVersions"])
	for _, version := range versions.Body["supportedVersions"].([]any) {
		login := d.do(http.MethodPost, "/api/fdm/"+version.(string)+"/fdm/token", "",
			object{"grant_type": "password", "username": "admin", "password": d.password})
		require.Equal(t, 200, login.Status)
	}
}

func TestVersion_Unsupported_IsRefusedWith401(t *testing.T) {
	d := newDevice(t)
	refused := d.do(http.MethodPost, "/api/fdm/v7/fdm/token", "", object{"grant_type": "password"})
	require.Equal(t, 401, refused.Status)
	require.Equal(t, object{"message": "Unauthorized", "status_code": 401.0}, refused.Body)
}

func TestResources_InvalidRequest_AnswersErrorWrapper(t *testing.T) {
	d := newDevice(t)
	login := "Bearer " + d.access(d.login())
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{http.MethodGet, "/elsewhere", 404},
		{http.MethodGet, "/api/fdm/latest/object/none", 404},
		{http.MethodGet, "/api/fdm/latest/object/users/none", 404},
		{http.MethodGet, "/api/fdm/latest/action/activeusersessions/none", 404},
		{http.MethodPost, "/api/fdm/latest/object/users", 405},
		{http.MethodGet, "/api/fdm/latest/fdm/token", 405},
		{http.MethodPut, "/apispec/ngfw.json", 405},
	} {
		refused := d.do(c.method, c.path, login, nil)
		require.Equal(t, c.status, refused.Status, "%s %s", c.method, c.path)
		require.Equal(t, "ERROR", refused.Body["error"].(object)["severity"])
	}
}

func TestSpecification_WithToken_DescribesTheServedPaths(t *testing.T) {
	d := newDevice(t)
	require.Equal(t, 401, d.do(http.MethodGet, "/apispec/ngfw.json", "", nil).Status)
	spec := d.do(http.MethodGet, "/apispec/ngfw.json", "Bearer "+d.access(d.login()), nil)
	require.Equal(t, "2.0", spec.Body["swagger"])
	for _, model := range []string{"Token", "User", "ActiveUserSessions", "ApiVersions", "NetworkObject"} {
		require.Contains(t, spec.Body["definitions"], model)
	}
	for _, path := range []string{"/fdm/token", "/object/users/{objId}", "/action/activeusersessions", "/object/networks"} {
		require.Contains(t, spec.Body["paths"], path)
	}
}

// Cisco's Ansible module reads the models and operations of the document before every call, and fails without these.
func TestSpecification_AnsibleModule_FindsItsModels(t *testing.T) {
	d := newDevice(t)
	login := d.access(d.login())
	spec := d.do(http.MethodGet, "/apispec/ngfw.json", "Bearer "+login, nil).Body
	definitions := spec["definitions"].(object)
	user := definitions["User"].(object)
	require.Subset(t, user["required"], []any{"identitySourceId", "userServiceTypes", "type"})
	require.Equal(t, "#/definitions/UserPreferences", user["properties"].(object)["userPreferences"].(object)["$ref"])
	sessions := definitions["ActiveUserSessions"].(object)["properties"].(object)
	require.Equal(t, "string", sessions["sessionDuration"].(object)["type"])
	require.IsType(t, "", d.sessions(login)[0].(object)["sessionDuration"])
	operations := map[any]bool{}
	for path, methods := range spec["paths"].(object) {
		for method, operation := range methods.(object) {
			operations[operation.(object)["operationId"]] = true
			requireReferences(t, operation, definitions, method+" "+path)
		}
	}
	for _, operation := range []string{"token", "getUserList", "editUser", "getSystemInformation", "getActiveUserSessionsList"} {
		require.True(t, operations[operation], operation)
	}
	requireReferences(t, definitions, definitions, "definitions")
	information := d.get(login, "/operational/systeminfo/default").Body
	require.NotEmpty(t, information["databaseInfo"].(object)["buildVersion"])
}

// requireReferences requires that each $ref in a part of the document names a definition.
func requireReferences(t *testing.T, part any, definitions object, where string) {
	t.Helper()
	switch value := part.(type) {
	case object:
		if ref, ok := value["$ref"].(string); ok {
			require.Contains(t, definitions, strings.TrimPrefix(ref, "#/definitions/"), where)
		}
		for _, each := range value {
			requireReferences(t, each, definitions, where)
		}
	case []any:
		for _, each := range value {
			requireReferences(t, each, definitions, where)
		}
	}
}

func TestUsers_List_IsPagedFilteredAndMasked(t *testing.T) {
	d := newDevice(t)
	login := d.access(d.login())
	d.Act("add_external_user", "name", "radius", "role", "ro")
	list := d.get(login, "/object/users")
	require.Len(t, list.Body["items"], 1, "an external user is no object before the first login")
	require.Equal(t, 1.0, list.Body["paging"].(object)["count"])
	require.Empty(t, d.get(login, "/object/users?filter=name:other").Body["items"])
	require.Empty(t, d.get(login, "/object/users?offset=1").Body["items"])
	admin := d.admin(login)
	require.Equal(t, "*********", admin["password"])
	require.Equal(t, "e3e74c32-3c03-11e8-983b-95c21a1b6da9", admin["identitySourceId"])
	require.Len(t, d.get(login, "/object/users?filter=fts~ADM").Body["items"], 1)
	require.Empty(t, d.get(login, "/object/users?filter=fts~other").Body["items"])
	d.external("rw")
	require.Len(t, d.get(login, "/object/users?limit=0").Body["items"], 2, "a limit of 0 is no limit")
	require.Equal(t, admin, d.get(login, "/object/users/"+admin["id"].(string)).Body)
	require.NotContains(t, list.Text, d.password)
}

func TestPasswordChange_Valid_AppliesAndEndsSessions(t *testing.T) {
	d := newDevice(t)
	login := d.access(d.login())
	leased := d.access(d.custom(login, "s", nil))
	changed := d.change(login, object{"password": d.password, "newPassword": "New-Passw0rd"})
	require.Equal(t, 200, changed.Status, changed.Text)
	require.Equal(t, "*********", changed.Body["newPassword"])
	require.Equal(t, []string{"password_changed", "password_changed"}, d.EndReasons())
	require.Equal(t, 401, d.works(leased))
	require.Equal(t, 400, d.login().Status)
	first := d.password
	d.password = "New-Passw0rd"
	require.Equal(t, 200, d.login().Status)

	d.Reset()
	d.password = first
	require.Equal(t, 200, d.login().Status, "back to the state file's password")
}

func TestUserChange_Invalid_IsRefused(t *testing.T) {
	d := newDevice(t)
	login := d.access(d.login())
	good := func(changes object) object {
		body := object{"password": d.password, "newPassword": "New-Passw0rd"}
		maps.Copy(body, changes)
		return body
	}
	for name, changes := range map[string]object{
		"stale version":      {"version": "old"},
		"wrong password":     {"password": "wrong"},
		"the same password":  {"newPassword": d.password},
		"too weak":           {"newPassword": "short"},
		"other type":         {"type": "other"},
		"other id":           {"id": "other"},
		"renamed":            {"name": "root"},
		"role left out":      {"userRole": nil},
		"services left out":  {"userServiceTypes": nil},
		"source left out":    {"identitySourceId": nil},
		"version left out":   {"version": nil},
		"everything missing": {"type": nil, "version": nil, "name": nil},
	} {
		t.Run(name, func(t *testing.T) {
			refused := d.change(login, good(changes))
			require.Equal(t, 422, refused.Status, refused.Text)
			require.Equal(t, "Validation", refused.Body["error"].(object)["key"])
		})
	}
	before := d.admin(login)["version"]
	require.Equal(t, 200, d.change(login, object{"id": ""}).Status, "a change without a new password; the id may be missing")
	require.NotEqual(t, before, d.admin(login)["version"])
	require.Equal(t, 200, d.login().Status)
}

func TestActiveUserSessions_Delete_EndsTheSession(t *testing.T) {
	d := newDevice(t)
	login := d.access(d.login())
	second := d.access(d.login())
	d.custom(login, "s", nil)
	d.Act("ui_login")
	list := d.sessions(login)
	require.Len(t, list, 4)
	item := list[1].(object)
	require.Equal(t, "ActiveUserSessions", item["type"])
	require.Equal(t, "admin", item["userName"])
	path := "/action/activeusersessions/" + item["id"].(string)
	require.Equal(t, item, d.get(login, path).Body)
	removed := d.do(http.MethodDelete, "/api/fdm/latest"+path, "Bearer "+login, nil)
	require.Equal(t, 204, removed.Status)
	require.Empty(t, removed.Text)
	require.Equal(t, 401, d.works(second))
	require.Equal(t, []string{"", "revoked", "", ""}, d.EndReasons())
}

func TestRoles_ExternalUser_HasOnlyTheRightsOfTheRole(t *testing.T) {
	d := newDevice(t)
	admin := d.access(d.login())
	session := d.sessions(admin)[0].(object)["id"].(string)
	for role, listing := range map[string]int{"rw": 200, "ro": 403} {
		login := d.external(role)
		require.Equal(t, 400, d.custom(login, "s", nil).Status)
		require.Equal(t, 400, d.revoke(login, "token_to_revoke", login).Status)
		require.Equal(t, listing, d.get(login, "/action/activeusersessions").Status)
		require.Equal(t, 403, d.do(http.MethodDelete, "/api/fdm/latest/action/activeusersessions/"+session, "Bearer "+login, nil).Status)
		require.Equal(t, 403, d.change(login, object{"password": d.password, "newPassword": "New-Passw0rd"}).Status)
		require.Equal(t, 200, d.works(login))
	}
	login := d.external("admin")
	require.Equal(t, 200, d.custom(login, "s", nil).Status)
}

func TestActions_InvalidArguments_AreRefused(t *testing.T) {
	d := newDevice(t)
	d.ActRefused("ui_logout", "id", "none")
	d.ActRefused("add_external_user", "name", "admin", "role", "ro")
	d.ActRefused("add_external_user", "name", "x", "role", "king")
}

func TestAction_ChangePassword_ReplacesTheRootPassword(t *testing.T) {
	d := newDevice(t)
	login := d.access(d.login())
	changed := d.Act("change_password")
	require.Equal(t, 401, d.works(login))
	require.Equal(t, 400, d.login().Status)
	d.password = changed["password"]
	require.Equal(t, 200, d.login().Status)
	require.Equal(t, "chosen", d.Act("change_password", "password", "chosen")["password"])
}

func TestFaults_RouteIsAGrant_ApplyToThatGrant(t *testing.T) {
	d := newDevice(t)
	d.InjectFault(emulator.Fault{Route: "custom_token", Status: 423})
	login := d.access(d.login())
	refused := d.custom(login, "s", nil)
	require.Equal(t, 423, refused.Status)
	require.Equal(t, "ERROR", refused.Body["error"].(object)["severity"])
	d.InjectFault(emulator.Fault{Route: "object/networks", Status: 408, Times: 1})
	refused = d.get(login, "/object/networks")
	require.Equal(t, 408, refused.Status)
	require.Equal(t, 408.0, refused.Body["status_code"])
	require.Equal(t, 200, d.works(login))
}
