package trend_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRights_Missing_AreForbidden(t *testing.T) {
	m := newManager(t)
	weak := m.create("weak", nil).Member("secretKey")
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
		require.Equal(t, 403, refused.Status, "%s %s", c.method, c.path)
		require.Equal(t, object{"message": c.message}, refused.Body)
	}
	require.Equal(t, 200, m.works(weak))

	lesser := m.Act("create_role", "name", "lesser", "lacks", "canDeleteApiKeys")["role_id"]
	m.Act("set_role", "role_id", lesser)
	require.Equal(t, 403, m.as(m.root, http.MethodDelete, "/apikeys/2", nil).Status)
	require.Equal(t, 200, m.create("other", nil).Status)
}

func TestRequest_UnknownKeyRoleOrPath_Answers404(t *testing.T) {
	m := newManager(t)
	for _, c := range []struct{ method, path string }{
		{http.MethodGet, "/apikeys/99"}, {http.MethodPost, "/apikeys/99"}, {http.MethodDelete, "/apikeys/99"},
		{http.MethodPost, "/apikeys/99/secretkey"},
	} {
		require.Equal(t, object{"message": "The API key does not exist"}, m.as(m.root, c.method, c.path, "{}").Body)
	}
	for _, c := range []struct{ method, path string }{
		{http.MethodGet, "/roles/99"}, {http.MethodPut, "/apikeys/1"}, {http.MethodDelete, "/sessions/current"},
		{http.MethodGet, "/apikeys/99999999999"}, {http.MethodGet, "/administratorroles"},
	} {
		require.Equal(t, 404, m.as(m.root, c.method, c.path, nil).Status, c.path)
	}
}

func TestKey_FiveWrongSecrets_IsLocked(t *testing.T) {
	m := newManager(t)
	secret := m.create("x", nil).Member("secretKey")
	for range 4 {
		require.Equal(t, 401, m.works("2:wrong"))
	}
	require.InDelta(t, 4, m.get("/apikeys/2").Body["unsuccessfulSignInAttempts"], 0)
	require.Equal(t, 200, m.works(secret), "the right secret resets the count")
	require.Equal(t, 401, m.works("3:wrong"), "the prefix of no key")
	for range 5 {
		m.works("2:wrong")
	}
	require.Equal(t, 401, m.works(secret))
	locked := m.get("/apikeys/2").Body
	require.Equal(t, false, locked["active"])
	require.InDelta(t, float64(in(15*time.Minute)), locked["unlockTime"], 0)
	require.True(t, m.Issued()[1].Live)

	m.MoveClock(15 * time.Minute)
	require.Equal(t, 200, m.works(secret))
	require.NotContains(t, m.get("/apikeys/2").Body, "unlockTime")
}

func TestSession_WithoutCookieRIDOrVersion_IsRefused(t *testing.T) {
	m := newManager(t)
	m.Set("lenient_sessions", "no")
	session := m.session()
	require.Regexp(t, `^sID=[0-9A-F]{32}$`, session["Cookie"])
	require.Equal(t, 200, m.do(http.MethodGet, "/api/apikeys", session, "{}").Status)
	require.Equal(t, 403, m.do(http.MethodGet, "/api/apikeys/current", session, nil).Status, "a session has no key of its own")
	for without, status := range map[string]int{"Cookie": 401, "rID": 401, "api-version": 400} {
		header := map[string]string{}
		for name, value := range session {
			if name != without {
				header[name] = value
			}
		}
		require.Equal(t, status, m.do(http.MethodGet, "/api/apikeys", header, nil).Status, without)
	}
	m.MoveClock(30 * time.Minute)
	require.Equal(t, 401, m.do(http.MethodGet, "/api/apikeys", session, nil).Status, "idle for too long")
}

func TestSession_WrongLogin_IsRefused(t *testing.T) {
	m := newManager(t)
	for _, changes := range []object{{"password": "wrong"}, {"userName": "unknown"}, {"tenantName": "other"}} {
		require.Equal(t, 401, m.logIn(changes).Status)
	}
	require.Equal(t, 200, m.logIn(object{"tenantName": "acme", "mfaCode": "ignored"}).Status)
	m.Act("change_password", "password", "new")
	require.Equal(t, 401, m.logIn(nil).Status)
	require.Equal(t, 200, m.logIn(object{"password": "new"}).Status)
}

func TestUser_FiveWrongPasswords_IsLockedUntilUnlocked(t *testing.T) {
	m := newManager(t)
	for range 5 {
		require.Equal(t, 401, m.logIn(object{"password": "wrong"}).Status)
	}
	require.Equal(t, 401, m.logIn(nil).Status)
	m.MoveClock(24 * time.Hour)
	require.Equal(t, 401, m.logIn(nil).Status)
	m.Act("unlock_user")
	require.Equal(t, 200, m.logIn(nil).Status)
}

// The vendor's certified Ansible collection logs in by the legacy path, and then sends the cookie alone.
func TestLegacyLogin_LenientSessions_OpensASession(t *testing.T) {
	m := newManager(t)
	const path = "/rest/authentication/login/primary"
	opened := m.do(http.MethodPost, path, nil,
		object{"dsCredentials": object{"userName": m.Login()["username"], "password": m.Login()["password"]}})
	require.Equal(t, 200, opened.Status)
	require.Regexp(t, `^[0-9A-F]{32}$`, opened.Text)
	cookie := map[string]string{"Cookie": "sID=" + opened.Text}
	require.Equal(t, 200, m.do(http.MethodPost, "/api/apikeys/search", cookie, nil).Status)
	require.Equal(t, 200, m.do(http.MethodDelete, "/rest/authentication/logout?sID="+opened.Text, nil, nil).Status)
	require.Equal(t, 401, m.do(http.MethodPost, "/api/apikeys/search", cookie, nil).Status)

	refused := m.do(http.MethodPost, path, nil, object{"dsCredentials": object{"userName": "x"}})
	require.Equal(t, 401, refused.Status)
	require.NotEmpty(t, refused.Body["error"].(object)["message"])
}

func TestRateLimit_Reached_SlidesWithoutCountingRefusals(t *testing.T) {
	m := newManager(t)
	secret := m.create("x", nil).Member("secretKey")
	m.Set("rate_limit", "2")
	m.MoveClock(time.Minute)
	require.Equal(t, 200, m.works(m.root))
	m.MoveClock(30 * time.Second)
	require.Equal(t, 200, m.works(m.root))
	for range 3 {
		refused := m.get("/apikeys/current")
		require.Equal(t, 429, refused.Status)
		require.Equal(t, object{"message": "Too many API requests"}, refused.Body)
	}
	require.Equal(t, 200, m.works(secret), "another key")
	m.MoveClock(30 * time.Second)
	require.Equal(t, 200, m.works(m.root), "the first call is no longer in the window")
	require.Equal(t, 429, m.works(m.root))
}

func TestRoles_CreateModifyDelete_TakeEffect(t *testing.T) {
	m := newManager(t)
	session := m.session()
	made := m.do(http.MethodPost, "/api/roles", session, object{"name": "mine", "allowWebService": true,
		"rights": object{"platformRights": object{"apikeyRights": object{"canViewApiKeys": true}}}})
	require.Equal(t, 200, made.Status, made.Text)
	require.InDelta(t, 5, made.Body["ID"], 0)
	secret := m.create("x", object{"roleID": 5}).Member("secretKey")
	require.Equal(t, 200, m.as(secret, http.MethodGet, "/apikeys", nil).Status)
	require.Equal(t, 400, m.do(http.MethodDelete, "/api/roles/5", session, nil).Status, "in use")

	m.Set("allow_web_service", "enforced")
	changed := m.do(http.MethodPost, "/api/roles/5", session, object{"allowWebService": false})
	require.Equal(t, 200, changed.Status)
	require.Equal(t, "mine", changed.Body["name"])
	require.Equal(t, 403, m.works(secret), "no longer allowed to use the API")
	require.Equal(t, 400, m.do(http.MethodPost, "/api/roles/1", session, object{"name": "x"}).Status, "immutable")

	require.Equal(t, 204, m.as(m.root, http.MethodDelete, "/apikeys/2", nil).Status)
	require.Equal(t, 204, m.do(http.MethodDelete, "/api/roles/5", session, nil).Status)
	require.Equal(t, "Full Access,Auditor,API Key Management,Deployment", namesIn(m.get("/roles"), "roles", "name"))
	require.Equal(t, "Auditor", m.get("/roles/2").Body["name"])
}

func TestRoles_EqualOrLesserRights_LimitNewKeys(t *testing.T) {
	m := newManager(t)
	require.Equal(t, 200, m.do(http.MethodPost, "/api/roles/3", m.session(),
		object{"canOnlyManipulateUsersWithEqualOrLesserRights": true}).Status)
	require.Equal(t, 403, m.create("x", object{"roleID": 1}).Status)
	require.Equal(t, 200, m.create("x", object{"roleID": 3}).Status)
}

func TestActions_OnKeysAndRoles_TakeEffect(t *testing.T) {
	m := newManager(t)
	m.ActRefused("delete_key", "id", "99")
	m.ActRefused("set_role", "role_id", "99")
	m.ActRefused("set_expiry", "in", "x")
	m.ActRefused("create_key")
	m.ActRefused("create_role")
	m.Act("set_expiry", "in", "1h")
	require.InDelta(t, float64(in(time.Hour)), m.get("/apikeys/current").Body["expiryDate"], 0)
	m.Act("set_expiry")
	require.NotContains(t, m.get("/apikeys/current").Body, "expiryDate")
	m.Act("lock_key")
	require.Equal(t, 401, m.works(m.root))
	m.Act("unlock_key")
	require.Equal(t, 200, m.works(m.root))
	m.Act("delete_key")
	require.Equal(t, 401, m.works(m.root))
	require.Equal(t, "deleted_at_console", m.EndReasons()[0])
}
