package fortianalyzer_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/fortianalyzer"
)

// cloud is an emulated FortiAnalyzer Cloud with its OAuth server, on a clock that stands still.
type cloud struct {
	t                          *testing.T
	srv                        *emulator.Server
	http                       *http.Client
	username, password, client string
}

// newCloud serves FortiAnalyzer Cloud for the length of a test.
func newCloud(t *testing.T) *cloud {
	t.Helper()
	fixed := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	srv, err := emulator.Start(emulator.Config{PlainHTTP: true, Now: func() time.Time { return fixed }}, fortianalyzer.New())
	require.NoError(t, err)
	transport := &http.Transport{}
	t.Cleanup(func() {
		require.NoError(t, srv.Close())
		transport.CloseIdleConnections()
	})
	root := srv.State().Vendors["fortianalyzer"].Credentials
	return &cloud{
		t: t, srv: srv, http: &http.Client{Transport: transport},
		username: root["username"], password: root["password"], client: "FortiAnalyzer",
	}
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	text   string
	body   map[string]any // nil if the text is not a JSON object
}

// do sends a request to a URL; header lines are given as name and value in turn.
func (c *cloud) do(method, url, body string, header ...string) answer {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, url, strings.NewReader(body))
	require.NoError(c.t, err)
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.http.Do(req)
	require.NoError(c.t, err)
	defer func() { _ = resp.Body.Close() }()
	content, err := io.ReadAll(resp.Body)
	require.NoError(c.t, err)
	result := answer{status: resp.StatusCode, header: resp.Header, text: string(content)}
	_ = json.Unmarshal(content, &result.body)
	return result
}

// post sends JSON to a path of the OAuth server.
func (c *cloud) post(path string, body map[string]string) answer {
	c.t.Helper()
	content, err := json.Marshal(body)
	require.NoError(c.t, err)
	return c.do(http.MethodPost, c.srv.AuthURL("fortianalyzer")+path, string(content))
}

// grant asks for an access token.
func (c *cloud) grant() answer {
	c.t.Helper()
	return c.post("/api/v1/oauth/token/", map[string]string{
		"username": c.username, "password": c.password, "client_id": c.client, "grant_type": "password",
	})
}

// refresh exchanges a refresh token.
func (c *cloud) refresh(token string) answer {
	c.t.Helper()
	return c.post("/api/v1/oauth/token/", map[string]string{
		"client_id": c.client, "grant_type": "refresh_token", "refresh_token": token,
	})
}

// revoke revokes an access token.
func (c *cloud) revoke(token string) answer {
	c.t.Helper()
	return c.post("/api/v1/oauth/revoke_token/", map[string]string{"client_id": c.client, "token": token})
}

// verify asks whether an access token works.
func (c *cloud) verify(token string) answer {
	c.t.Helper()
	return c.do(http.MethodGet, c.srv.AuthURL("fortianalyzer")+"/api/v1/oauth/verify_token/?client_id="+c.client, "",
		"Authorization", "Bearer "+token)
}

// login exchanges an access token for a session.
func (c *cloud) login(token string) answer {
	c.t.Helper()
	return c.do(http.MethodPost, c.srv.URL("fortianalyzer")+"/p/forticloud_jsonrpc_login/", `{"access_token":"`+token+`"}`)
}

// text returns a member of an answer that is text.
func (c *cloud) text(a answer, member string) string {
	c.t.Helper()
	value, ok := a.body[member].(string)
	require.True(c.t, ok, "%s in %d %s", member, a.status, a.text)
	return value
}

// session goes the whole way to a session.
func (c *cloud) session() string {
	c.t.Helper()
	return c.text(c.login(c.text(c.grant(), "access_token")), "session")
}

// call makes a JSON-RPC call and returns its code.
func (c *cloud) call(session, method, url string) int {
	c.t.Helper()
	content, err := json.Marshal(map[string]any{
		"id": 7, "method": method, "params": []any{map[string]string{"url": url}}, "session": session, "verbose": 1,
	})
	require.NoError(c.t, err)
	answered := c.do(http.MethodPost, c.srv.URL("fortianalyzer")+"/jsonrpc", string(content))
	require.Equal(c.t, 200, answered.status)
	require.EqualValues(c.t, 7, answered.body["id"])
	result := answered.body["result"].([]any)[0].(map[string]any)
	require.Equal(c.t, url, result["url"])
	return int(result["status"].(map[string]any)["code"].(float64))
}

// status makes the cheap call.
func (c *cloud) status(session string) int {
	c.t.Helper()
	return c.call(session, "get", "/sys/status")
}

// logout ends a session.
func (c *cloud) logout(session string) int {
	c.t.Helper()
	return c.call(session, "exec", "/sys/logout")
}

// ends returns why each credential of a kind has ended, in order of issue, "" for a live one.
func (c *cloud) ends(kind string) []string {
	c.t.Helper()
	var ends []string
	for _, issued := range c.srv.Credentials("fortianalyzer") {
		if issued.Kind == kind {
			ends = append(ends, issued.EndedBy)
		}
	}
	return ends
}

// set changes a switch.
func (c *cloud) set(name, value string) {
	c.t.Helper()
	require.NoError(c.t, c.srv.SetSwitch("fortianalyzer", name, value))
}

// act carries out an action.
func (c *cloud) act(name string, arguments map[string]string) map[string]string {
	c.t.Helper()
	result, err := c.srv.Do("fortianalyzer", name, arguments)
	require.NoError(c.t, err)
	return result
}

// advance moves the clock.
func (c *cloud) advance(d time.Duration) {
	c.t.Helper()
	require.NoError(c.t, c.srv.Advance(d))
}
