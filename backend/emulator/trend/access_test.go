package trend_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRights_AreEnforced(t *testing.T) {
	m := newManager(t)
	weak := m.create("weak", nil).secret(t)
	for _, c := range []struct{ method, path, message string }{
		{http.MethodPost, "/apikeys", "Not authorized to create API keys"},
		{http.MethodGet, "/apikeys", "Not authorized to view API keys"},
		{http.MethodGet, "/apikeys/1", "Not authorized to view API keys"},
		{http.MethodPost, "/apikeys/search", "Not authorized to view API keys"},
		{http.MethodPost, "/apikeys/1", "Not authorized to edit API keys"},
		{http.MethodDelete, "/apikeys/1", "Not authorized to delete API keys"},
		{http.MethodPost, "/apikeys/1/secretkey", "Not authorized to generate API secret keys"},
		{http.MethodPost, "/roles/search", "Not authorized to view administrator roles"},
		{http.MethodGet, "/roles", "Not authorized to view administrator roles"},
	} {
		refused := m.as(weak, c.method, c.path, nil)
		require.Equal(t, 403, refused.status, "%s %s", c.method, c.path)
		require.Equal(t, object{"message": c.message}, refused.body)
	}
	require.Equal(t, 200, m.works(weak))

	lesser := m.act("create_role", map[string]string{"name": "lesser", "lacks": "canDeleteApiKeys"})["role_id"]
	m.act("set_role", map[string]string{"role_id": lesser})
	require.Equal(t, 403, m.as(m.root, http.MethodDelete, "/apikeys/2", nil).status)
	require.Equal(t, 200, m.create("other", nil).status)
}

func TestMissingThings_Are404(t *testing.T) {
	m := newManager(t)
	for _, c := range []struct{ method, path string }{
		{http.MethodGet, "/apikeys/99"}, {http.MethodPost, "/apikeys/99"}, {http.MethodDelete, "/apikeys/99"},
		{http.MethodPost, "/apikeys/99/secretkey"},
	} {
		require.Equal(t, object{"message": "The API key does not exist"}, m.as(m.root, c.method, c.path, "{}").body)
	}
	for _, c := range []struct{ method, path string }{
		{http.MethodGet, "/roles/99"}, {http.MethodPut, "/apikeys/1"}, {http.MethodDelete, "/sessions/current"},
		{http.MethodGet, "/apikeys/99999999999"}, {http.MethodGet, "/administratorroles"},
	} {
		require.Equal(t, 404, m.as(m.root, c.method, c.path, nil).status, c.path)
	}
}

func TestLockout_AfterWrongSecrets(t *testing.T) {
	m := newManager(t)
	secret := m.create("x", nil).secret(t)
	for range 4 {
		require.Equal(t, 401, m.works("2:wrong"))
	}
	require.InDelta(t, 4, m.get("/apikeys/2").body["unsuccessfulSignInAttempts"], 0)
	require.Equal(t, 200, m.works(secret), "a right secret takes the count back")
	require.Equal(t, 401, m.works("3:wrong"), "no key's")
	for range 5 {
		m.works("2:wrong")
	}
	require.Equal(t, 401, m.works(secret))
	locked := m.get("/apikeys/2").body
	require.Equal(t, false, locked["active"])
	require.InDelta(t, float64(in(15*time.Minute)), locked["unlockTime"], 0)
	require.True(t, m.srv.Credentials("trend")[1].Live)

	require.NoError(t, m.srv.Advance(15*time.Minute))
	require.Equal(t, 200, m.works(secret))
	require.NotContains(t, m.get("/apikeys/2").body, "unlockTime")
}

func TestSessions_NeedCookieRIDAndVersion(t *testing.T) {
	m := newManager(t)
	session := m.session()
	require.Regexp(t, `^sID=[0-9A-F]{32}$`, session["Cookie"])
	require.Equal(t, 200, m.do(http.MethodGet, "/api/apikeys", session, "{}").status)
	require.Equal(t, 403, m.do(http.MethodGet, "/api/apikeys/current", session, nil).status, "a session is no key")
	for without, status := range map[string]int{"Cookie": 401, "rID": 401, "api-version": 400} {
		header := map[string]string{}
		for name, value := range session {
			if name != without {
				header[name] = value
			}
		}
		require.Equal(t, status, m.do(http.MethodGet, "/api/apikeys", header, nil).status, without)
	}
	require.NoError(t, m.srv.Advance(30*time.Minute))
	require.Equal(t, 401, m.do(http.MethodGet, "/api/apikeys", session, nil).status, "idle for too long")
}

func TestSessions_RefuseAWrongLogin(t *testing.T) {
	m := newManager(t)
	for _, changes := range []object{{"password": "wrong"}, {"userName": "nobody"}, {"tenantName": "other"}} {
		require.Equal(t, 401, m.logIn(changes).status)
	}
	require.Equal(t, 200, m.logIn(object{"tenantName": "acme", "mfaCode": "ignored"}).status)
	m.act("change_password", map[string]string{"password": "new"})
	require.Equal(t, 401, m.logIn(nil).status)
	require.Equal(t, 200, m.logIn(object{"password": "new"}).status)
}

func TestLegacyLogin_ForTheAnsibleClient(t *testing.T) {
	m := newManager(t)
	m.set("lenient_sessions", "yes")
	const path = "/rest/authentication/login/primary"
	opened := m.do(http.MethodPost, path, nil,
		object{"dsCredentials": object{"userName": m.login["username"], "password": m.login["password"]}})
	require.Equal(t, 200, opened.status)
	require.Regexp(t, `^[0-9A-F]{32}$`, opened.text)
	cookie := map[string]string{"Cookie": "sID=" + opened.text}
	require.Equal(t, 200, m.do(http.MethodPost, "/api/apikeys/search", cookie, nil).status)
	require.Equal(t, 200, m.do(http.MethodDelete, "/rest/authentication/logout?sID="+opened.text, nil, nil).status)
	require.Equal(t, 401, m.do(http.MethodPost, "/api/apikeys/search", cookie, nil).status)

	refused := m.do(http.MethodPost, path, nil, object{"dsCredentials": object{"userName": "x"}})
	require.Equal(t, 401, refused.status)
	require.NotEmpty(t, refused.body["error"].(object)["message"])
}

func TestRateLimit_SlidesAndDoesNotCountRefusals(t *testing.T) {
	m := newManager(t)
	secret := m.create("x", nil).secret(t)
	m.set("rate_limit", "2")
	require.NoError(t, m.srv.Advance(time.Minute))
	require.Equal(t, 200, m.works(m.root))
	require.NoError(t, m.srv.Advance(30*time.Second))
	require.Equal(t, 200, m.works(m.root))
	for range 3 {
		refused := m.get("/apikeys/current")
		require.Equal(t, 429, refused.status)
		require.Equal(t, object{"message": "Too many API requests"}, refused.body)
	}
	require.Equal(t, 200, m.works(secret), "another key")
	require.NoError(t, m.srv.Advance(30*time.Second))
	require.Equal(t, 200, m.works(m.root), "the first call has left the window")
	require.Equal(t, 429, m.works(m.root))
}

func TestRoles_CreateModifyDelete(t *testing.T) {
	m := newManager(t)
	session := m.session()
	made := m.do(http.MethodPost, "/api/roles", session, object{"name": "mine", "allowWebService": true,
		"rights": object{"platformRights": object{"apikeyRights": object{"canViewApiKeys": true}}}})
	require.Equal(t, 200, made.status, made.text)
	require.InDelta(t, 5, made.body["ID"], 0)
	secret := m.create("x", object{"roleID": 5}).secret(t)
	require.Equal(t, 200, m.as(secret, http.MethodGet, "/apikeys", nil).status)
	require.Equal(t, 400, m.do(http.MethodDelete, "/api/roles/5", session, nil).status, "in use")

	changed := m.do(http.MethodPost, "/api/roles/5", session, object{"allowWebService": false})
	require.Equal(t, 200, changed.status)
	require.Equal(t, "mine", changed.body["name"])
	require.Equal(t, 403, m.works(secret), "no longer allowed to use the API")
	require.Equal(t, 400, m.do(http.MethodPost, "/api/roles/1", session, object{"name": "x"}).status, "immutable")

	require.Equal(t, 204, m.as(m.root, http.MethodDelete, "/apikeys/2", nil).status)
	require.Equal(t, 204, m.do(http.MethodDelete, "/api/roles/5", session, nil).status)
	require.Equal(t, "Full Access,Auditor,API Key Management,Deployment", m.get("/roles").names("roles", "name"))
	require.Equal(t, "Auditor", m.get("/roles/2").body["name"])
}

func TestRoles_EqualOrLesserRightsOnly(t *testing.T) {
	m := newManager(t)
	require.Equal(t, 200, m.do(http.MethodPost, "/api/roles/3", m.session(),
		object{"canOnlyManipulateUsersWithEqualOrLesserRights": true}).status)
	require.Equal(t, 403, m.create("x", object{"roleID": 1}).status)
	require.Equal(t, 200, m.create("x", object{"roleID": 3}).status)
}

func TestActions_RefuseWhatDoesNotExist(t *testing.T) {
	m := newManager(t)
	for name, arguments := range map[string]map[string]string{
		"delete_key": {"id": "99"}, "set_role": {"role_id": "99"}, "set_expiry": {"in": "x"},
		"create_key": {}, "create_role": {},
	} {
		_, err := m.srv.Do("trend", name, arguments)
		require.Error(t, err, name)
	}
	m.act("set_expiry", map[string]string{"in": "1h"})
	require.InDelta(t, float64(in(time.Hour)), m.get("/apikeys/current").body["expiryDate"], 0)
	m.act("set_expiry", nil)
	require.NotContains(t, m.get("/apikeys/current").body, "expiryDate")
	m.act("lock_key", nil)
	require.Equal(t, 401, m.works(m.root))
	m.act("unlock_key", nil)
	require.Equal(t, 200, m.works(m.root))
	m.act("delete_key", nil)
	require.Equal(t, 401, m.works(m.root))
	require.Equal(t, "deleted_at_console", m.srv.Credentials("trend")[0].EndedBy)
}
