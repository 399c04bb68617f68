package lacework_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/lacework"
)

// account is an emulated Lacework account on a clock that stands still.
type account struct {
	t           *testing.T
	srv         *emulator.Server
	key, secret string
}

// newAccount serves Lacework for the length of a test.
func newAccount(t *testing.T) *account {
	t.Helper()
	fixed := time.Date(2030, 1, 2, 3, 4, 5, 678_901_234, time.UTC)
	srv, err := emulator.Start(emulator.Config{PlainHTTP: true, Now: func() time.Time { return fixed }}, lacework.New())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, srv.Close()) })
	root := srv.State().Vendors["lacework"].Credentials
	return &account{t: t, srv: srv, key: root["key_id"], secret: root["secret_key"]}
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	text   string
	body   map[string]any // nil if the text is not a JSON object
}

// do sends a request; header lines are given as name and value in turn.
func (a *account) do(method, path, body string, header ...string) answer {
	a.t.Helper()
	req, err := http.NewRequestWithContext(a.t.Context(), method, a.srv.URL("lacework")+path, strings.NewReader(body))
	require.NoError(a.t, err)
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(a.t, err)
	defer func() { _ = resp.Body.Close() }()
	content, err := io.ReadAll(resp.Body)
	require.NoError(a.t, err)
	result := answer{status: resp.StatusCode, header: resp.Header, text: string(content)}
	_ = json.Unmarshal(content, &result.body)
	return result
}

// mint asks for a token with a body after the key id, such as `,"expiryTime":60`.
func (a *account) mint(rest string) answer {
	a.t.Helper()
	return a.do(http.MethodPost, "/api/v2/access/tokens", `{"keyId":"`+a.key+`"`+rest+`}`, "X-LW-UAKS", a.secret)
}

// token mints a token for an hour.
func (a *account) token() string {
	a.t.Helper()
	minted := a.mint(`,"expiryTime":3600`)
	require.Contains(a.t, minted.body, "token", minted.text)
	return minted.body["token"].(string)
}

// profile reads the user profile with an Authorization header.
func (a *account) profile(authorization string, header ...string) answer {
	a.t.Helper()
	return a.do(http.MethodGet, "/api/v2/UserProfile", "", append([]string{"Authorization", authorization}, header...)...)
}

// set changes a switch.
func (a *account) set(name, value string) {
	a.t.Helper()
	require.NoError(a.t, a.srv.SetSwitch("lacework", name, value))
}

// act carries out an action.
func (a *account) act(name string, arguments map[string]string) map[string]string {
	a.t.Helper()
	result, err := a.srv.Do("lacework", name, arguments)
	require.NoError(a.t, err)
	return result
}

func TestMint_AnswersTwoMembersWithMilliseconds(t *testing.T) {
	a := newAccount(t)
	minted := a.mint(`,"expiryTime":60`)
	require.Equal(t, 201, minted.status)
	require.Equal(t, "application/json", minted.header.Get("Content-Type"))
	require.Len(t, minted.body, 2)
	require.Equal(t, "2030-01-02T03:05:05.678Z", minted.body["expiresAt"])
	require.True(t, strings.HasPrefix(minted.body["token"].(string), "_"))

	issued := a.srv.Credentials("lacework")
	require.Len(t, issued, 1)
	require.Equal(t, emulator.KindLeased, issued[0].Kind)
	require.Empty(t, issued[0].Marker)
	require.Equal(t, time.Date(2030, 1, 2, 3, 5, 5, 678_000_000, time.UTC), *issued[0].ExpiresAt)
	require.NotContains(t, minted.body["token"], issued[0].ID)
	require.Equal(t, "access_token", a.srv.Requests("lacework")[0].Operation)
}

func TestMint_IgnoresTheHeadersOfOtherCalls(t *testing.T) {
	a := newAccount(t)
	minted := a.do(http.MethodPost, "/api/v2/access/tokens", `{"keyId":"`+a.key+`","expiryTime":60,"x":1}`,
		"x-lw-uaks", a.secret, "Method", "POST", "Account-Name", "sub", "Org-Access", "true", "Authorization", "stale")
	require.Equal(t, 201, minted.status)
}

func TestMint_WithoutExpiry_LastsAnHour(t *testing.T) {
	require.Equal(t, "2030-01-02T04:04:05.678Z", newAccount(t).mint("").body["expiresAt"])
}

func TestMint_Refuses(t *testing.T) {
	a := newAccount(t)
	const path = "/api/v2/access/tokens"
	good := `{"keyId":"` + a.key + `","expiryTime":60}`
	for name, c := range map[string]struct {
		body, secret string
		status       int
	}{
		"no secret":           {good, "", 400},
		"no key id":           {`{"expiryTime":60}`, a.secret, 400},
		"key id misspelt":     {`{"keyID":"` + a.key + `","expiryTime":60}`, a.secret, 400},
		"wrong secret":        {good, "wrong", 401},
		"unknown key id":      {`{"keyId":"wrong","expiryTime":60}`, a.secret, 401},
		"no JSON":             {`keyId=x`, a.secret, 400},
		"an array":            {`[]`, a.secret, 400},
		"expiry of zero":      {`{"keyId":"` + a.key + `","expiryTime":0}`, a.secret, 400},
		"negative expiry":     {`{"keyId":"` + a.key + `","expiryTime":-1}`, a.secret, 400},
		"expiry as text":      {`{"keyId":"` + a.key + `","expiryTime":"60"}`, a.secret, 400},
		"expiry as fraction":  {`{"keyId":"` + a.key + `","expiryTime":60.5}`, a.secret, 400},
		"expiry over the day": {`{"keyId":"` + a.key + `","expiryTime":86401}`, a.secret, 400},
		"a body over 1 MB":    {good + strings.Repeat(" ", 1<<20), a.secret, 400},
	} {
		t.Run(name, func(t *testing.T) {
			refused := a.do(http.MethodPost, path, c.body, "X-LW-UAKS", c.secret)
			require.Equal(t, c.status, refused.status, refused.text)
			require.Len(t, refused.body, 1)
			require.NotEmpty(t, refused.body["message"])
			require.NotEmpty(t, refused.header.Get("RateLimit-Remaining"))
			require.NotContains(t, refused.text, a.secret)
		})
	}
	require.Equal(t, "Access Key is null.", a.do(http.MethodPost, path, good).body["message"])
	require.Empty(t, a.srv.Credentials("lacework"))
	require.Equal(t, 201, a.mint(`,"expiryTime":86400`).status)
}

func TestToken_WorksWithAndWithoutSchemeUntilItExpires(t *testing.T) {
	a := newAccount(t)
	token := a.token()
	for _, authorization := range []string{"Bearer " + token, "bearer " + token, token} {
		require.Equal(t, 200, a.profile(authorization).status)
	}
	for _, authorization := range []string{"", "Bearer", "Bearer wrong", "Basic " + token} {
		require.Equal(t, 401, a.profile(authorization).status, authorization)
	}
	require.NoError(t, a.srv.Advance(time.Hour))
	require.Equal(t, 401, a.profile(token).status)
}

func TestToken_CannotBeRevoked(t *testing.T) {
	a := newAccount(t)
	token := a.token()
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{http.MethodDelete, "/api/v2/access/tokens", 405},
		{http.MethodGet, "/api/v2/access/tokens", 405},
		{http.MethodPost, "/api/v2/access/tokens/revoke", 404},
		{http.MethodDelete, "/api/v2/access/tokens/" + token, 404},
		{http.MethodPost, "/api/v1/access/tokens", 404},
		{http.MethodPost, "/api/v2/UserProfile", 405},
	} {
		refused := a.do(c.method, c.path, "", "Authorization", "Bearer "+token)
		require.Equal(t, c.status, refused.status, "%s %s", c.method, c.path)
		require.NotEmpty(t, refused.body["message"])
	}
	require.Equal(t, 200, a.profile(token).status)
}

func TestAccountHeaders_OrgAccessWins(t *testing.T) {
	a := newAccount(t)
	token := a.token()
	name := func(header ...string) any {
		profile := a.profile(token, header...).body["data"].([]any)[0].(map[string]any)
		return profile["accounts"].([]any)[0].(map[string]any)["accountName"]
	}
	require.Equal(t, "ACME", name())
	require.Equal(t, "SUB", name("account-name", "sub"))
	require.Equal(t, "SUB", name("account-name", "sub", "Org-Access", "false"))
	require.Equal(t, "ACME", name("account-name", "sub", "org-access", "TRUE"))
}

func TestServiceUser_IsConfinedToItsAccount(t *testing.T) {
	a := newAccount(t)
	made := a.act("create_key", map[string]string{"user": "service"})
	a.key, a.secret = made["key_id"], made["secret_key"]
	token := a.token()
	require.Equal(t, 200, a.profile(token, "Org-Access", "false").status)
	require.Equal(t, 403, a.profile(token, "Account-Name", "sub").status)
	require.Equal(t, 403, a.profile(token, "Org-Access", "true").status)
}

func TestRateLimit_IsPerUserAndFunctionality(t *testing.T) {
	a := newAccount(t)
	a.set("rate_limit", "3")
	var token string
	for remaining := 2; remaining >= 0; remaining-- {
		minted := a.mint(`,"expiryTime":3600`)
		require.Equal(t, 201, minted.status)
		require.Equal(t, "3", minted.header.Get("RateLimit-Limit"))
		require.Equal(t, strconv.Itoa(remaining), minted.header.Get("RateLimit-Remaining"))
		token = minted.body["token"].(string)
	}
	require.Equal(t, 429, a.mint("").status)
	require.Equal(t, 200, a.profile(token).status, "another functionality")

	second := a.act("create_key", nil)
	a.key, a.secret = second["key_id"], second["secret_key"]
	require.Equal(t, 429, a.mint("").status, "another key of the same user")
	service := a.act("create_key", map[string]string{"user": "service"})
	a.key, a.secret = service["key_id"], service["secret_key"]
	require.Equal(t, 201, a.mint("").status, "another user")

	a.key, a.secret = second["key_id"], second["secret_key"]
	require.NoError(t, a.srv.Advance(20*time.Minute))
	require.Equal(t, 201, a.mint("").status, "a third of an hour gives back one of three")
	require.Equal(t, 429, a.mint("").status)
}

func TestKeys_ActionsOnThem(t *testing.T) {
	a := newAccount(t)
	a.act("disable_key", nil)
	require.Equal(t, 401, a.mint("").status)
	a.act("enable_key", map[string]string{"key_id": a.key})
	require.Equal(t, 201, a.mint("").status)
	a.act("delete_key", nil)
	require.Equal(t, 401, a.mint("").status)
	_, err := a.srv.Do("lacework", "enable_key", nil)
	require.Error(t, err)

	a.srv.Reset()
	require.Equal(t, 201, a.mint("").status, "the root key is back")
	for range 19 {
		a.act("create_key", nil)
	}
	_, err = a.srv.Do("lacework", "create_key", nil)
	require.Error(t, err, "20 keys a user")
	_, err = a.srv.Do("lacework", "create_key", map[string]string{"user": "other"})
	require.Error(t, err)
}

func TestInjectedError_LooksLikeTheVendors(t *testing.T) {
	a := newAccount(t)
	require.NoError(t, a.srv.AddFault(emulator.Fault{Vendor: "lacework", Route: "access_token", Status: 500}))
	refused := a.mint("")
	require.Equal(t, 500, refused.status)
	require.Equal(t, map[string]any{"message": "Internal Server Error"}, refused.body)
}
