package fortianalyzer_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/emulatortest"
)

func TestGrant_Valid_AnswersSevenMembers(t *testing.T) {
	c := newCloud(t)
	granted := c.grant()
	require.Equal(t, 200, granted.Status)
	require.Len(t, granted.Body, 7)
	require.EqualValues(t, 3660, granted.Body["expires_in"])
	require.Equal(t, "success", granted.Body["status"])
	require.Equal(t, "Bearer", granted.Body["token_type"])
	require.Len(t, granted.Member("access_token"), 30)
	require.Equal(t, 200, c.verify(granted.Member("access_token")).Status)

	c.RequireIssued(emulator.KindLogin, "", emulatortest.Now.Add(time.Hour+time.Minute))
	require.Len(t, c.Issued(), 1)
}

func TestGrant_InvalidRequest_IsRefused(t *testing.T) {
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
		"unknown user":          {full("username", "UNKNOWN"), 400},
		"no password":           {full("password", ""), 400},
		"wrong password":        {full("password", "wrong"), 400},
		"another grant":         {full("grant_type", "client_credentials"), 400},
		"wrong refresh token":   {full("grant_type", "refresh_token"), 400},
	} {
		t.Run(name, func(t *testing.T) {
			refused := c.post("/api/v1/oauth/token/", test.body)
			require.Equal(t, test.status, refused.Status, refused.Text)
			require.NotEmpty(t, refused.Body["error"])
			require.NotEmpty(t, refused.Body["error_description"])
			require.NotContains(t, refused.Text, c.password)
		})
	}
	require.Equal(t, 400, c.do(http.MethodPost, c.AuthAddress()+"/api/v1/oauth/token/", "{").Status)
	followed := c.post("/api/v1/oauth/token", full("scope", ""))
	require.Equal(t, 400, followed.Status, "without the slash at the end, a client that follows the redirect loses the body")
	require.Contains(t, followed.Text, "Request is not valid JSON")
	c.Set("missing_slash", "404")
	require.Equal(t, 404, c.post("/api/v1/oauth/token", full("scope", "")).Status, "the slash at the end")
	require.Equal(t, 405, c.do(http.MethodGet, c.AuthAddress()+"/api/v1/oauth/token/", "").Status)
	require.Empty(t, c.Issued())
}

func TestGrant_SecondToken_EndsTheFirstButNotItsSession(t *testing.T) {
	c := newCloud(t)
	first := c.token()
	session := c.login(first).Member("session")
	c.client = "FortiManager"
	require.Equal(t, 200, c.grant().Status, "another application")
	c.client = "FortiAnalyzer"
	require.Equal(t, 200, c.verify(first).Status)

	second := c.token()
	require.Equal(t, 401, c.verify(first).Status)
	require.Equal(t, 401, c.login(first).Status)
	require.Equal(t, []string{"superseded", "", ""}, c.EndReasons(emulator.KindLogin))
	require.Equal(t, 200, c.revoke(second).Status)
	require.Equal(t, 0, c.status(session))
}

func TestRefresh_LiveOrExpiredAccessToken_IsReplaced(t *testing.T) {
	c := newCloud(t)
	first := c.grant()
	second := c.refresh(first.Member("refresh_token"))
	require.Equal(t, 200, second.Status)
	require.Equal(t, 401, c.verify(first.Member("access_token")).Status)
	c.MoveClock(24 * time.Hour)
	third := c.refresh(second.Member("refresh_token"))
	require.Equal(t, 200, third.Status)
	require.Equal(t, 200, c.verify(third.Member("access_token")).Status)
	require.Equal(t, 400, c.refresh(first.Member("refresh_token")).Status, "replaced by the second refresh token")
}

func TestRevoke_Twice_Succeeds(t *testing.T) {
	c := newCloud(t)
	token := c.token()
	for range 2 {
		require.Equal(t, 200, c.revoke(token).Status)
	}
	require.Equal(t, 200, c.revoke("unknown").Status)
	require.Equal(t, 400, c.revoke("").Status)
	c.client = "unknown"
	require.Equal(t, 401, c.revoke(token).Status)
	c.client = "FortiAnalyzer"
	require.Equal(t, 401, c.verify(token).Status)
	require.Equal(t, []string{"revoked"}, c.EndReasons(emulator.KindLogin))
}

func TestLogin_Valid_AnswersASessionThatNeedsEscaping(t *testing.T) {
	c := newCloud(t)
	logged := c.login(c.token())
	require.Equal(t, 200, logged.Status)
	require.Len(t, logged.Body, 1)
	for _, character := range []string{"+", "/", "="} {
		require.Contains(t, logged.Body["session"], character)
	}
	c.RequireIssued(emulator.KindLeased, "", emulatortest.Now.Add(15*time.Minute))
}

func TestLogin_InvalidToken_IsRefused(t *testing.T) {
	c := newCloud(t)
	require.Equal(t, 401, c.login("unknown").Status)
	require.Equal(t, 401, c.do(http.MethodPost, c.Address()+"/p/forticloud_jsonrpc_login/", "{").Status)
	require.Equal(t, 404, c.do(http.MethodPost, c.Address()+"/p/forticloud_jsonrpc_login", "{}").Status)
	require.Equal(t, 405, c.do(http.MethodGet, c.Address()+"/p/forticloud_jsonrpc_login/", "").Status)
	token := c.token()
	c.MoveClock(time.Hour + time.Minute)
	require.Equal(t, 401, c.login(token).Status, "expired")
	c.client = "FortiManager"
	require.Equal(t, 401, c.login(c.token()).Status, "another application")
	require.Empty(t, c.EndReasons(emulator.KindLeased))
}

func TestLoginMax_Reached_CountsLiveSessionsPerUser(t *testing.T) {
	c := newCloud(t)
	c.Set("login_max", "2")
	first := c.session()
	c.session()
	require.Equal(t, 401, c.login(c.token()).Status)
	require.Equal(t, 0, c.logout(first))
	c.session()
	c.MoveClock(15 * time.Minute)
	c.session()

	other := c.Act("create_api_user")
	c.session()
	c.username, c.password = other["username"], other["password"]
	require.NotEmpty(t, c.session())
}

func TestSession_Idle_EndsUnlessUsed(t *testing.T) {
	c := newCloud(t)
	used, idle := c.session(), c.session()
	c.MoveClock(14 * time.Minute)
	require.Equal(t, 0, c.status(used))
	c.MoveClock(14 * time.Minute)
	require.Equal(t, 0, c.status(used))
	require.Equal(t, -11, c.status(idle))
	require.Equal(t, -11, c.logout(idle))
	require.Equal(t, []string{"", "expired"}, c.EndReasons(emulator.KindLeased))
}

func TestCall_SecondLogout_IsRefused(t *testing.T) {
	c := newCloud(t)
	session := c.session()
	require.Equal(t, 0, c.call(session, "exec", "sys/logout"), "without the slash")
	require.Equal(t, -11, c.logout(session))
	require.Equal(t, -11, c.status(session))
	require.Equal(t, []string{"revoked"}, c.EndReasons(emulator.KindLeased))
}

func TestCall_KnownReads_Succeed(t *testing.T) {
	c := newCloud(t)
	session := c.session()
	for _, url := range []string{
		"/sys/status", "sys/status", "/cli/global/system/status", "/cli/global/system/global", "/cli/global/system/admin/setting",
	} {
		require.Equal(t, 0, c.call(session, "get", url), url)
	}
	global := c.do(http.MethodPost, c.Address()+"/jsonrpc",
		`{"method":"get","params":[{"url":"/cli/global/system/global"}],"session":"`+session+`"}`)
	require.Contains(t, global.Text, `"workspace-mode":"disabled"`)
	require.Equal(t, -11, c.call(session, "get", "/unknown"))
	require.Equal(t, -11, c.call(session, "delete", "/sys/status"))
	require.Equal(t, -11, c.status("unknown"))
}

func TestCall_SparseEnvelope_IsAccepted(t *testing.T) {
	c := newCloud(t)
	session := c.session()
	rpc := c.Address() + "/jsonrpc"
	sparse := c.do(http.MethodPost, rpc, `{"method":"get","params":[{"url":"/cli/global/system/global"}],"session":"`+session+`"}`)
	require.Equal(t, 200, sparse.Status)
	require.NotContains(t, sparse.Body, "id")
	require.Contains(t, sparse.Text, `\/cli\/global\/system\/global`)
	none := c.do(http.MethodPost, rpc, `{"id":2,"method":"get","params":[{"url":"/cli/global/system/global"}],"session":null,"jsonrpc":"2.0"}`)
	require.JSONEq(t, `{"id":2,"result":[{"status":{"code":-11,"message":"No permission for the resource"},"url":"/cli/global/system/global"}]}`, none.Text)
	require.Equal(t, 400, c.do(http.MethodPost, rpc, "{").Status)
}

func TestRequests_AfterEachCall_ContainItsOperation(t *testing.T) {
	c := newCloud(t)
	c.refresh(c.grant().Member("refresh_token"))
	session := c.session()
	c.call(session, "exec", "sys/logout")
	c.revoke("unknown")
	c.verify("unknown")
	c.do(http.MethodPost, c.Address()+"/jsonrpc", `{"method":"get"}`)
	c.do(http.MethodGet, c.Address()+"/", "")
	require.Equal(t, []string{
		"oauth_token", "oauth_token_refresh", "oauth_token", "forticloud_jsonrpc_login",
		"exec /sys/logout", "oauth_revoke_token", "oauth_verify_token", "get", "",
	}, c.Operations())
}

func TestActions_PortalAndConsole_ApplyUntilReset(t *testing.T) {
	c := newCloud(t)
	session := c.session()
	token := c.token()
	c.Act("disable_api_user")
	require.Equal(t, 400, c.grant().Status)
	require.Equal(t, 401, c.login(token).Status)
	require.Equal(t, 0, c.status(session), "the session is still live")
	c.Act("enable_api_user", "username", c.username)
	require.Equal(t, 200, c.grant().Status)

	first := c.password
	refresh := c.grant().Member("refresh_token")
	c.password = c.Act("download_credentials")["password"]
	require.NotEqual(t, first, c.password)
	require.Equal(t, 400, c.refresh(refresh).Status)
	require.Equal(t, 200, c.grant().Status)
	require.Equal(t, 0, c.status(session))

	c.Act("set_permission", "permission", "no")
	require.Equal(t, -11, c.status(session))
	c.Act("set_permission", "permission", "yes")
	require.Equal(t, 0, c.status(session))
	c.Act("end_sessions")
	require.Equal(t, -11, c.status(session))
	require.Equal(t, []string{"administrator"}, c.EndReasons(emulator.KindLeased))

	c.ActRefused("disable_api_user", "username", "UNKNOWN")
	c.ActRefused("set_permission", "permission", "some")
	c.ActRefused("set_permission", "username", "UNKNOWN", "permission", "no")

	c.Reset()
	require.Equal(t, 400, c.grant().Status)
	c.password = first
	require.Equal(t, 200, c.grant().Status, "the root user is back")
}

func TestInjectedError_StatusOnly_HasTheFormOfEachServer(t *testing.T) {
	c := newCloud(t)
	c.InjectFault(emulator.Fault{Route: "*", Status: 503})
	require.JSONEq(t, `{"status":"error","message":"Service Unavailable"}`, c.grant().Text)
	require.JSONEq(t, `{"status":{"code":503,"message":"Service Unavailable"}}`, c.login("x").Text)
}

func TestLockout_RepeatedGrants_RefusesAllClientIDs(t *testing.T) {
	c := newCloud(t)
	c.Set("lockout_threshold", "3")
	refresh := ""
	for range 3 {
		refresh = c.grant().Member("refresh_token")
	}
	require.Equal(t, "invalid_grant", c.grant().Body["error"])
	require.Equal(t, 400, c.refresh(refresh).Status)
	c.client = "FortiManager"
	require.Equal(t, 400, c.grant().Status, "another application of the same user")

	c.MoveClock(29 * time.Minute)
	require.Equal(t, 400, c.grant().Status, "an attempt extends the lockout")
	c.MoveClock(29 * time.Minute)
	require.Equal(t, 400, c.grant().Status)
	c.MoveClock(30 * time.Minute)
	require.Equal(t, 200, c.grant().Status)

	other := c.Act("create_api_user")
	c.Act("lock_account")
	require.Equal(t, 400, c.grant().Status)
	c.username, c.password = other["username"], other["password"]
	require.Equal(t, 200, c.grant().Status, "another user")
}
