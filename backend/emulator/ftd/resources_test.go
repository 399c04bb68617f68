package ftd_test

import (
	"maps"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

func TestVersions_AreFreeAndEndWithLatest(t *testing.T) {
	d := newDevice(t)
	versions := d.do(http.MethodGet, "/api/versions", "", nil)
	require.Equal(t, []any{"v1", "v2", "v3", "v4", "v5", "v6", "latest"}, versions.body["supportedVersions"])
	for _, version := range versions.body["supportedVersions"].([]any) {
		login := d.do(http.MethodPost, "/api/fdm/"+version.(string)+"/fdm/token", "",
			object{"grant_type": "password", "username": "admin", "password": d.password})
		require.Equal(t, 200, login.status)
	}
}

func TestUnsupportedVersion_Is401(t *testing.T) {
	d := newDevice(t)
	refused := d.do(http.MethodPost, "/api/fdm/v7/fdm/token", "", object{"grant_type": "password"})
	require.Equal(t, 401, refused.status)
	require.Equal(t, object{"message": "Unauthorized", "status_code": 401.0}, refused.body)
}

func TestResources_RefuseWithErrorWrapper(t *testing.T) {
	d := newDevice(t)
	login := "Bearer " + d.login().access(t)
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
		require.Equal(t, c.status, refused.status, "%s %s", c.method, c.path)
		require.Equal(t, "ERROR", refused.body["error"].(object)["severity"])
	}
}

func TestSpecification_NeedsATokenAndNamesWhatIsServed(t *testing.T) {
	d := newDevice(t)
	require.Equal(t, 401, d.do(http.MethodGet, "/apispec/ngfw.json", "", nil).status)
	spec := d.do(http.MethodGet, "/apispec/ngfw.json", "Bearer "+d.login().access(t), nil)
	require.Equal(t, "2.0", spec.body["swagger"])
	for _, model := range []string{"Token", "User", "ActiveUserSessions", "ApiVersions", "NetworkObject"} {
		require.Contains(t, spec.body["definitions"], model)
	}
	for _, path := range []string{"/fdm/token", "/object/users/{objId}", "/action/activeusersessions", "/object/networks"} {
		require.Contains(t, spec.body["paths"], path)
	}
}

func TestUsers_ListIsPagedFilteredAndMasked(t *testing.T) {
	d := newDevice(t)
	login := d.login().access(t)
	d.act("add_external_user", map[string]string{"name": "radius", "role": "ro"})
	list := d.get(login, "/object/users")
	require.Len(t, list.body["items"], 1, "external users are not objects of the device")
	require.Equal(t, 1.0, list.body["paging"].(object)["count"])
	require.Empty(t, d.get(login, "/object/users?filter=name:other").body["items"])
	require.Empty(t, d.get(login, "/object/users?offset=1").body["items"])
	admin := d.admin(login)
	require.Equal(t, "*********", admin["password"])
	require.Equal(t, "LOCAL", admin["identitySourceId"])
	require.Equal(t, admin, d.get(login, "/object/users/"+admin["id"].(string)).body)
	require.NotContains(t, list.text, d.password)
}

func TestPasswordChange_TakesEffectAndEndsSessions(t *testing.T) {
	d := newDevice(t)
	login := d.login().access(t)
	leased := d.custom(login, "s", nil).access(t)
	changed := d.change(login, object{"password": d.password, "newPassword": "New-Passw0rd"})
	require.Equal(t, 200, changed.status, changed.text)
	require.Equal(t, "*********", changed.body["newPassword"])
	require.Equal(t, []string{"password_changed", "password_changed"}, d.endings())
	require.Equal(t, 401, d.works(leased))
	require.Equal(t, 400, d.login().status)
	first := d.password
	d.password = "New-Passw0rd"
	require.Equal(t, 200, d.login().status)

	d.srv.Reset()
	d.password = first
	require.Equal(t, 200, d.login().status, "back to the state file's password")
}

func TestUserChange_Refuses(t *testing.T) {
	d := newDevice(t)
	login := d.login().access(t)
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
			require.Equal(t, 422, refused.status, refused.text)
			require.Equal(t, "Validation", refused.body["error"].(object)["key"])
		})
	}
	before := d.admin(login)["version"]
	require.Equal(t, 200, d.change(login, object{"id": ""}).status, "a change without a new password; the id may be missing")
	require.NotEqual(t, before, d.admin(login)["version"])
	require.Equal(t, 200, d.login().status)
}

func TestActiveUserSessions_ListAndDelete(t *testing.T) {
	d := newDevice(t)
	login := d.login().access(t)
	second := d.login().access(t)
	d.custom(login, "s", nil)
	d.act("ui_login", nil)
	list := d.get(login, "/action/activeusersessions").body["items"].([]any)
	require.Len(t, list, 3, "custom tokens are not shown by default")
	item := list[1].(object)
	require.Equal(t, "ActiveUserSessions", item["type"])
	require.Equal(t, "admin", item["userName"])
	path := "/action/activeusersessions/" + item["id"].(string)
	require.Equal(t, item, d.get(login, path).body)
	removed := d.do(http.MethodDelete, "/api/fdm/latest"+path, "Bearer "+login, nil)
	require.Equal(t, 204, removed.status)
	require.Empty(t, removed.text)
	require.Equal(t, 401, d.works(second))
	require.Equal(t, []string{"", "revoked", "", ""}, d.endings())
}

func TestRoles_LimitWhatExternalUsersMayDo(t *testing.T) {
	d := newDevice(t)
	admin := d.login().access(t)
	session := d.get(admin, "/action/activeusersessions").body["items"].([]any)[0].(object)["id"].(string)
	for role, listing := range map[string]int{"rw": 200, "ro": 403} {
		user := d.act("add_external_user", map[string]string{"name": role, "role": role})
		login := d.grant("password", object{"username": user["username"], "password": user["password"]}).access(t)
		require.Equal(t, 400, d.custom(login, "s", nil).status)
		require.Equal(t, 400, d.revoke(login, "token_to_revoke", login).status)
		require.Equal(t, listing, d.get(login, "/action/activeusersessions").status)
		require.Equal(t, 403, d.do(http.MethodDelete, "/api/fdm/latest/action/activeusersessions/"+session, "Bearer "+login, nil).status)
		require.Equal(t, 403, d.change(login, object{"password": d.password, "newPassword": "New-Passw0rd"}).status)
		require.Equal(t, 200, d.works(login))
	}
	user := d.act("add_external_user", map[string]string{"name": "x", "role": "admin"})
	login := d.grant("password", object{"username": "x", "password": user["password"]}).access(t)
	require.Equal(t, 200, d.custom(login, "s", nil).status)
}

func TestActions_RefuseWhatMakesNoSense(t *testing.T) {
	d := newDevice(t)
	for name, arguments := range map[string]map[string]string{
		"ui_logout":         {"id": "none"},
		"add_external_user": {"name": "admin", "role": "ro"},
	} {
		_, err := d.srv.Do("ftd", name, arguments)
		require.Error(t, err, name)
	}
	_, err := d.srv.Do("ftd", "add_external_user", map[string]string{"name": "x", "role": "king"})
	require.Error(t, err)
}

func TestChangePassword_BehindTheEnginesBack(t *testing.T) {
	d := newDevice(t)
	login := d.login().access(t)
	changed := d.act("change_password", nil)
	require.Equal(t, 401, d.works(login))
	require.Equal(t, 400, d.login().status)
	d.password = changed["password"]
	require.Equal(t, 200, d.login().status)
	require.Equal(t, "chosen", d.act("change_password", map[string]string{"password": "chosen"})["password"])
}

func TestFaults_ReachGrantsByTheirName(t *testing.T) {
	d := newDevice(t)
	require.NoError(t, d.srv.AddFault(emulator.Fault{Vendor: "ftd", Route: "custom_token", Status: 423}))
	login := d.login().access(t)
	refused := d.custom(login, "s", nil)
	require.Equal(t, 423, refused.status)
	require.Equal(t, "ERROR", refused.body["error"].(object)["severity"])
	require.NoError(t, d.srv.AddFault(emulator.Fault{Vendor: "ftd", Route: "object/networks", Status: 408, Times: 1}))
	refused = d.get(login, "/object/networks")
	require.Equal(t, 408, refused.status)
	require.Equal(t, 408.0, refused.body["status_code"])
	require.Equal(t, 200, d.works(login))
}
