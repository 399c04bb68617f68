package fortianalyzer_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

func TestGrant_AnswersTheSevenMembers(t *testing.T) {
	c := newCloud(t)
	granted := c.grant()
	require.Equal(t, 200, granted.status)
	require.Len(t, granted.body, 7)
	require.EqualValues(t, 3600, granted.body["expires_in"])
	require.Equal(t, "success", granted.body["status"])
	require.Equal(t, "Bearer", granted.body["token_type"])
	require.Len(t, c.text(granted, "access_token"), 30)
	require.Equal(t, 200, c.verify(c.text(granted, "access_token")).status)

	issued := c.srv.Credentials("fortianalyzer")
	require.Len(t, issued, 1)
	require.Equal(t, emulator.KindLogin, issued[0].Kind)
	require.Equal(t, time.Date(2030, 1, 2, 4, 4, 5, 0, time.UTC), *issued[0].ExpiresAt)
}

func TestGrant_Refuses(t *testing.T) {
	c := newCloud(t)
	full := func(change string, value string) map[string]string {
		body := map[string]string{"username": c.username, "password": c.password, "client_id": c.client, "grant_type": "password"}
		body[change] = value
		return body
	}
	for name, test := range map[string]struct {
		body   map[string]string
		status int
	}{
		"no client_id":          {full("client_id", ""), 400},
		"another client_id":     {full("client_id", "flexvm"), 401},
		"client_id in capitals": {full("client_id", "FORTIANALYZER"), 401},
		"no username":           {full("username", ""), 400},
		"unknown user":          {full("username", "NOBODY"), 401},
		"no password":           {full("password", ""), 400},
		"wrong password":        {full("password", "wrong"), 401},
		"another grant":         {full("grant_type", "client_credentials"), 400},
		"wrong refresh token":   {full("grant_type", "refresh_token"), 401},
	} {
		t.Run(name, func(t *testing.T) {
			refused := c.post("/api/v1/oauth/token/", test.body)
			require.Equal(t, test.status, refused.status, refused.text)
			require.Equal(t, "error", refused.body["status"])
			require.NotEmpty(t, refused.body["message"])
			require.NotContains(t, refused.text, c.password)
		})
	}
	require.Equal(t, 400, c.do(http.MethodPost, c.srv.AuthURL("fortianalyzer")+"/api/v1/oauth/token/", "{").status)
	require.Equal(t, 404, c.post("/api/v1/oauth/token", full("scope", "")).status, "the slash at the end")
	require.Equal(t, 405, c.do(http.MethodGet, c.srv.AuthURL("fortianalyzer")+"/api/v1/oauth/token/", "").status)
	require.Empty(t, c.srv.Credentials("fortianalyzer"))
}

func TestGrant_ASecondTokenEndsTheFirst_ButNotItsSession(t *testing.T) {
	c := newCloud(t)
	first := c.text(c.grant(), "access_token")
	session := c.text(c.login(first), "session")
	c.client = "FortiManager"
	require.Equal(t, 200, c.grant().status, "another application")
	c.client = "FortiAnalyzer"
	require.Equal(t, 200, c.verify(first).status)

	second := c.text(c.grant(), "access_token")
	require.Equal(t, 401, c.verify(first).status)
	require.Equal(t, 401, c.login(first).status)
	require.Equal(t, []string{"superseded", "", ""}, c.ends(emulator.KindLogin))
	require.Equal(t, 200, c.revoke(second).status)
	require.Equal(t, 0, c.status(session))
}

func TestRefresh_WorksBeforeAndAfterTheAccessTokenExpires(t *testing.T) {
	c := newCloud(t)
	first := c.grant()
	second := c.refresh(c.text(first, "refresh_token"))
	require.Equal(t, 200, second.status)
	require.Equal(t, 401, c.verify(c.text(first, "access_token")).status)
	c.advance(24 * time.Hour)
	third := c.refresh(c.text(second, "refresh_token"))
	require.Equal(t, 200, third.status)
	require.Equal(t, 200, c.verify(c.text(third, "access_token")).status)
	require.Equal(t, 401, c.refresh(c.text(first, "refresh_token")).status, "rotated away")
}

func TestRevoke_IsIdempotent(t *testing.T) {
	c := newCloud(t)
	token := c.text(c.grant(), "access_token")
	for range 2 {
		require.Equal(t, 200, c.revoke(token).status)
	}
	require.Equal(t, 200, c.revoke("unknown").status)
	require.Equal(t, 400, c.revoke("").status)
	c.client = "unknown"
	require.Equal(t, 401, c.revoke(token).status)
	c.client = "FortiAnalyzer"
	require.Equal(t, 401, c.verify(token).status)
	require.Equal(t, []string{"revoked"}, c.ends(emulator.KindLogin))
}

func TestLogin_AnswersASessionThatMustBeEncoded(t *testing.T) {
	c := newCloud(t)
	logged := c.login(c.text(c.grant(), "access_token"))
	require.Equal(t, 200, logged.status)
	require.Len(t, logged.body, 1)
	for _, character := range []string{"+", "/", "="} {
		require.Contains(t, logged.body["session"], character)
	}
	issued := c.srv.Credentials("fortianalyzer")
	require.Equal(t, emulator.KindLeased, issued[1].Kind)
	require.Empty(t, issued[1].Marker)
	require.Equal(t, time.Date(2030, 1, 2, 3, 19, 5, 0, time.UTC), *issued[1].ExpiresAt)
}

func TestLogin_RefusesEveryTokenThatDoesNotWorkHere(t *testing.T) {
	c := newCloud(t)
	require.Equal(t, 401, c.login("unknown").status)
	require.Equal(t, 401, c.do(http.MethodPost, c.srv.URL("fortianalyzer")+"/p/forticloud_jsonrpc_login/", "{").status)
	require.Equal(t, 404, c.do(http.MethodPost, c.srv.URL("fortianalyzer")+"/p/forticloud_jsonrpc_login", "{}").status)
	require.Equal(t, 405, c.do(http.MethodGet, c.srv.URL("fortianalyzer")+"/p/forticloud_jsonrpc_login/", "").status)
	token := c.text(c.grant(), "access_token")
	c.advance(time.Hour)
	require.Equal(t, 401, c.login(token).status, "expired")
	c.client = "FortiManager"
	require.Equal(t, 401, c.login(c.text(c.grant(), "access_token")).status, "another application")
	require.Empty(t, c.ends(emulator.KindLeased))
}

func TestLoginMax_CountsLiveSessionsPerUser(t *testing.T) {
	c := newCloud(t)
	c.set("login_max", "2")
	first := c.session()
	c.session()
	require.Equal(t, 401, c.login(c.text(c.grant(), "access_token")).status)
	require.Equal(t, 0, c.logout(first))
	c.session()
	c.advance(15 * time.Minute)
	c.session()

	other := c.act("create_api_user", nil)
	c.session()
	c.username, c.password = other["username"], other["password"]
	require.NotEmpty(t, c.session())
}

func TestSession_EndsWhenIdleAndLivesByUse(t *testing.T) {
	c := newCloud(t)
	used, idle := c.session(), c.session()
	c.advance(14 * time.Minute)
	require.Equal(t, 0, c.status(used))
	c.advance(14 * time.Minute)
	require.Equal(t, 0, c.status(used))
	require.Equal(t, -11, c.status(idle))
	require.Equal(t, -11, c.logout(idle))
	require.Equal(t, []string{"", "expired"}, c.ends(emulator.KindLeased))
}

func TestCall_LogoutEndsTheSessionOnce(t *testing.T) {
	c := newCloud(t)
	session := c.session()
	require.Equal(t, 0, c.call(session, "exec", "sys/logout"), "without the slash")
	require.Equal(t, -11, c.logout(session))
	require.Equal(t, -11, c.status(session))
	require.Equal(t, []string{"revoked"}, c.ends(emulator.KindLeased))
}

func TestCall_ServesTheReads(t *testing.T) {
	c := newCloud(t)
	session := c.session()
	for _, url := range []string{
		"/sys/status", "sys/status", "/cli/global/system/status", "/cli/global/system/global", "/cli/global/system/admin/setting",
	} {
		require.Equal(t, 0, c.call(session, "get", url), url)
	}
	require.Equal(t, -11, c.call(session, "get", "/unknown"))
	require.Equal(t, -11, c.call(session, "delete", "/sys/status"))
	require.Equal(t, -11, c.status("unknown"))
}

func TestCall_TakesSparseEnvelopesAndEscapesSlashes(t *testing.T) {
	c := newCloud(t)
	session := c.session()
	rpc := c.srv.URL("fortianalyzer") + "/jsonrpc"
	sparse := c.do(http.MethodPost, rpc, `{"method":"get","params":[{"url":"/cli/global/system/global"}],"session":"`+session+`"}`)
	require.Equal(t, 200, sparse.status)
	require.NotContains(t, sparse.body, "id")
	require.Contains(t, sparse.text, `\/cli\/global\/system\/global`)
	none := c.do(http.MethodPost, rpc, `{"id":2,"method":"get","params":[{"url":"/cli/global/system/global"}],"session":null,"jsonrpc":"2.0"}`)
	require.JSONEq(t, `{"id":2,"result":[{"status":{"code":-11,"message":"No permission for the resource"},"url":"/cli/global/system/global"}]}`, none.text)
	require.Equal(t, 400, c.do(http.MethodPost, rpc, "{").status)
}

func TestRequests_NameTheirOperation(t *testing.T) {
	c := newCloud(t)
	c.refresh(c.text(c.grant(), "refresh_token"))
	session := c.session()
	c.call(session, "exec", "sys/logout")
	c.revoke("unknown")
	c.verify("unknown")
	c.do(http.MethodPost, c.srv.URL("fortianalyzer")+"/jsonrpc", `{"method":"get"}`)
	c.do(http.MethodGet, c.srv.URL("fortianalyzer")+"/", "")
	var operations []string
	for _, seen := range c.srv.Requests("fortianalyzer") {
		operations = append(operations, seen.Operation)
	}
	require.Equal(t, []string{
		"oauth_token", "oauth_token_refresh", "oauth_token", "forticloud_jsonrpc_login",
		"exec /sys/logout", "oauth_revoke_token", "oauth_verify_token", "get", "",
	}, operations)
}

func TestActions_StandForThePortalAndTheConsole(t *testing.T) {
	c := newCloud(t)
	session := c.session()
	token := c.text(c.grant(), "access_token")
	c.act("disable_api_user", nil)
	require.Equal(t, 401, c.grant().status)
	require.Equal(t, 401, c.login(token).status)
	require.Equal(t, 0, c.status(session), "sessions live on")
	c.act("enable_api_user", map[string]string{"username": c.username})
	require.Equal(t, 200, c.grant().status)

	first := c.password
	c.password = c.act("download_credentials", nil)["password"]
	require.NotEqual(t, first, c.password)
	require.Equal(t, 200, c.grant().status)
	require.Equal(t, 0, c.status(session))

	c.act("set_permission", map[string]string{"permission": "no"})
	require.Equal(t, -11, c.status(session))
	c.act("set_permission", map[string]string{"permission": "yes"})
	require.Equal(t, 0, c.status(session))
	c.act("end_sessions", nil)
	require.Equal(t, -11, c.status(session))
	require.Equal(t, []string{"administrator"}, c.ends(emulator.KindLeased))

	for action, arguments := range map[string]map[string]string{
		"disable_api_user": {"username": "NOBODY"}, "set_permission": {"permission": "some"},
	} {
		_, err := c.srv.Do("fortianalyzer", action, arguments)
		require.Error(t, err, action)
	}
	_, err := c.srv.Do("fortianalyzer", "set_permission", map[string]string{"username": "NOBODY", "permission": "no"})
	require.Error(t, err)

	c.srv.Reset()
	require.Equal(t, 401, c.grant().status)
	c.password = first
	require.Equal(t, 200, c.grant().status, "the root user is back")
}

func TestInjectedError_LooksLikeEitherServers(t *testing.T) {
	c := newCloud(t)
	require.NoError(t, c.srv.AddFault(emulator.Fault{Vendor: "fortianalyzer", Route: "*", Status: 503}))
	require.JSONEq(t, `{"status":"error","message":"Service Unavailable"}`, c.grant().text)
	require.JSONEq(t, `{"status":{"code":503,"message":"Service Unavailable"}}`, c.login("x").text)
}
