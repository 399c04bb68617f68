package fortianalyzer_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/emulatortest"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/fortianalyzer"
)

// cloud is an emulated FortiAnalyzer Cloud with its OAuth server, and the API user and application to use.
type cloud struct {
	*emulatortest.Server
	username, password, client string
}

type answer = emulatortest.Answer

// newCloud serves FortiAnalyzer Cloud until the test ends.
func newCloud(t *testing.T) *cloud {
	t.Helper()
	return withRoot(emulatortest.Start(t, fortianalyzer.New()))
}

// withRoot uses the first API user.
func withRoot(server *emulatortest.Server) *cloud {
	root := server.Root()
	return &cloud{Server: server, username: root["username"], password: root["password"], client: "FortiAnalyzer"}
}

// do sends a JSON request to a URL. header contains the names and values of other headers in alternation.
func (c *cloud) do(method, url string, body any, header ...string) answer {
	c.T.Helper()
	return c.Send(method, url, body, append([]string{"Content-Type", "application/json"}, header...)...)
}

// post sends JSON to a path of the OAuth server.
func (c *cloud) post(path string, body map[string]string) answer {
	c.T.Helper()
	return c.do(http.MethodPost, c.AuthAddress()+path, body)
}

// grant requests an access token.
func (c *cloud) grant() answer {
	c.T.Helper()
	return c.post("/api/v1/oauth/token/", map[string]string{
		"username": c.username, "password": c.password, "client_id": c.client, "grant_type": "password",
	})
}

// token returns a new access token.
func (c *cloud) token() string {
	c.T.Helper()
	return c.grant().Member("access_token")
}

// refresh exchanges a refresh token.
func (c *cloud) refresh(token string) answer {
	c.T.Helper()
	return c.post("/api/v1/oauth/token/", map[string]string{
		"client_id": c.client, "grant_type": "refresh_token", "refresh_token": token,
	})
}

// revoke revokes an access token.
func (c *cloud) revoke(token string) answer {
	c.T.Helper()
	return c.post("/api/v1/oauth/revoke_token/", map[string]string{"client_id": c.client, "token": token})
}

// verify calls verify_token with an access token.
func (c *cloud) verify(token string) answer {
	c.T.Helper()
	return c.do(http.MethodGet, c.AuthAddress()+"/api/v1/oauth/verify_token/?client_id="+c.client, nil,
		"Authorization", "Bearer "+token)
}

// login exchanges an access token for a session.
func (c *cloud) login(token string) answer {
	c.T.Helper()
	return c.do(http.MethodPost, c.Address()+"/p/forticloud_jsonrpc_login/", map[string]string{"access_token": token})
}

// session opens a session with a new access token.
func (c *cloud) session() string {
	c.T.Helper()
	return c.login(c.token()).Member("session")
}

// call makes a JSON-RPC call and returns its code.
func (c *cloud) call(session, method, url string) int {
	c.T.Helper()
	answered := c.do(http.MethodPost, c.Address()+"/jsonrpc", map[string]any{
		"id": 7, "method": method, "params": []any{map[string]string{"url": url}}, "session": session, "verbose": 1,
	})
	require.Equal(c.T, 200, answered.Status)
	require.EqualValues(c.T, 7, answered.Body["id"])
	result := answered.Body["result"].([]any)[0].(map[string]any)
	require.Equal(c.T, url, result["url"])
	return int(result["status"].(map[string]any)["code"].(float64))
}

// status calls get /sys/status and returns the code.
func (c *cloud) status(session string) int {
	c.T.Helper()
	return c.call(session, "get", "/sys/status")
}

// logout calls exec /sys/logout and returns the code.
func (c *cloud) logout(session string) int {
	c.T.Helper()
	return c.call(session, "exec", "/sys/logout")
}
