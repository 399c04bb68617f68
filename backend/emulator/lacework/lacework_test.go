package lacework_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/emulatortest"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/lacework"
)

// account is an emulated Lacework account, with the API key to use.
type account struct {
	*emulatortest.Server
	key, secret string
}

type answer = emulatortest.Answer

// newAccount serves Lacework until the test ends.
func newAccount(t *testing.T) *account {
	t.Helper()
	return withRoot(emulatortest.Start(t, lacework.New()))
}

// withRoot uses the first API key.
func withRoot(server *emulatortest.Server) *account {
	root := server.Root()
	return &account{Server: server, key: root["key_id"], secret: root["secret_key"]}
}

// do sends a JSON request. header contains the names and values of other headers in alternation.
func (a *account) do(method, path, body string, header ...string) answer {
	a.T.Helper()
	return a.Send(method, a.Address()+path, body, append([]string{"Content-Type", "application/json"}, header...)...)
}

// issue requests a token. rest is the body after the key id, such as `,"expiryTime":60`.
func (a *account) issueToken(rest string) answer {
	a.T.Helper()
	return a.do(http.MethodPost, "/api/v2/access/tokens", `{"keyId":"`+a.key+`"`+rest+`}`, "X-LW-UAKS", a.secret)
}

// token issues a token that lives one hour.
func (a *account) token() string {
	a.T.Helper()
	return a.issueToken(`,"expiryTime":3600`).Member("token")
}

// profile reads the user profile with an Authorization header.
func (a *account) profile(authorization string, header ...string) answer {
	a.T.Helper()
	return a.do(http.MethodGet, "/api/v2/UserProfile", "", append([]string{"Authorization", authorization}, header...)...)
}

func TestIssue_ValidKey_AnswersTwoMembersInMilliseconds(t *testing.T) {
	a := newAccount(t)
	answer := a.issueToken(`,"expiryTime":60`)
	require.Equal(t, 201, answer.Status)
	require.Equal(t, "application/json", answer.Header.Get("Content-Type"))
	require.Len(t, answer.Body, 2)
	require.Equal(t, "2030-01-02T03:05:05.678Z", answer.Body["expiresAt"])
	require.True(t, strings.HasPrefix(answer.Member("token"), "_"))

	issued := a.RequireIssued(emulator.KindLeased, "", time.Date(2030, 1, 2, 3, 5, 5, 678_000_000, time.UTC))
	require.Len(t, a.Issued(), 1)
	require.NotContains(t, answer.Member("token"), issued.ID)
	require.Equal(t, "access_token", a.Operations()[0])
}

func TestIssue_HeadersOfOtherCalls_AreIgnored(t *testing.T) {
	a := newAccount(t)
	a.Set("unknown_member", "ignore")
	issued := a.do(http.MethodPost, "/api/v2/access/tokens", `{"keyId":"`+a.key+`","expiryTime":60,"x":1}`,
		"x-lw-uaks", a.secret, "Method", "POST", "Account-Name", "sub", "Org-Access", "true", "Authorization", "stale")
	require.Equal(t, 201, issued.Status)
}

func TestIssue_TenSeconds_IsAccepted(t *testing.T) {
	require.Equal(t, "2030-01-02T03:04:15.678Z", newAccount(t).issueToken(`,"expiryTime":10`).Body["expiresAt"])
}

func TestIssue_WithoutExpiry_LivesOneHour(t *testing.T) {
	require.Equal(t, "2030-01-02T04:04:05.678Z", newAccount(t).issueToken("").Body["expiresAt"])
}

func TestIssue_InvalidRequest_IsRefused(t *testing.T) {
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
			require.Equal(t, c.status, refused.Status, refused.Text)
			require.Len(t, refused.Body, 1)
			require.NotEmpty(t, refused.Body["message"])
			require.NotEmpty(t, refused.Header.Get("RateLimit-Remaining"))
			require.NotContains(t, refused.Text, a.secret)
		})
	}
	require.Equal(t, "Access Key is null.", a.do(http.MethodPost, path, good).Body["message"])
	require.Empty(t, a.Issued())
	require.Equal(t, 201, a.issueToken(`,"expiryTime":86400`).Status)
}

func TestToken_WithAndWithoutScheme_WorksUntilExpiry(t *testing.T) {
	a := newAccount(t)
	token := a.token()
	for _, authorization := range []string{"Bearer " + token, "bearer " + token, token} {
		require.Equal(t, 200, a.profile(authorization).Status)
	}
	for _, authorization := range []string{"", "Bearer", "Bearer wrong", "Basic " + token} {
		require.Equal(t, 403, a.profile(authorization).Status, authorization)
	}
	a.MoveClock(time.Hour)
	require.Equal(t, 403, a.profile(token).Status)
}

func TestToken_AttemptsToRevoke_AreRefused(t *testing.T) {
	a := newAccount(t)
	token := a.token()
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{http.MethodDelete, "/api/v2/access/tokens", 405},
		{http.MethodGet, "/api/v2/access/tokens", 405},
		{http.MethodPost, "/api/v2/access/tokens/revoke", 403},
		{http.MethodDelete, "/api/v2/access/tokens/" + token, 403},
		{http.MethodPost, "/api/v1/access/tokens", 403},
		{http.MethodPost, "/api/v2/UserProfile", 405},
	} {
		refused := a.do(c.method, c.path, "", "Authorization", "Bearer "+token)
		require.Equal(t, c.status, refused.Status, "%s %s", c.method, c.path)
		require.NotEmpty(t, refused.Body["message"])
	}
	require.Equal(t, 200, a.profile(token).Status)
}

func TestAccountHeaders_OrgAccess_HasPriority(t *testing.T) {
	a := newAccount(t)
	token := a.token()
	name := func(header ...string) any {
		profile := a.profile(token, header...).Body["data"].([]any)[0].(map[string]any)
		return profile["accounts"].([]any)[0].(map[string]any)["accountName"]
	}
	require.Equal(t, "ACME", name())
	require.Equal(t, "SUB", name("account-name", "sub"))
	require.Equal(t, "SUB", name("account-name", "sub", "Org-Access", "false"))
	require.Equal(t, "ACME", name("account-name", "sub", "org-access", "TRUE"))
}

func TestServiceUser_OtherAccount_IsForbidden(t *testing.T) {
	a := newAccount(t)
	made := a.Act("create_key", "user", "service")
	a.key, a.secret = made["key_id"], made["secret_key"]
	token := a.token()
	require.Equal(t, 200, a.profile(token, "Org-Access", "false").Status)
	require.Equal(t, 403, a.profile(token, "Account-Name", "sub").Status)
	require.Equal(t, 403, a.profile(token, "Org-Access", "true").Status)
}

func TestRateLimit_Reached_AppliesPerUserAndFunctionality(t *testing.T) {
	a := newAccount(t)
	a.Set("rate_limit", "3")
	var token string
	for remaining := 2; remaining >= 0; remaining-- {
		issued := a.issueToken(`,"expiryTime":3600`)
		require.Equal(t, 201, issued.Status)
		require.Equal(t, "3", issued.Header.Get("RateLimit-Limit"))
		require.Equal(t, strconv.Itoa(remaining), issued.Header.Get("RateLimit-Remaining"))
		token = issued.Member("token")
	}
	require.Equal(t, 429, a.issueToken("").Status)
	require.Equal(t, 200, a.profile(token).Status, "another functionality")

	second := a.Act("create_key")
	a.key, a.secret = second["key_id"], second["secret_key"]
	require.Equal(t, 429, a.issueToken("").Status, "another key of the same user")
	service := a.Act("create_key", "user", "service")
	a.key, a.secret = service["key_id"], service["secret_key"]
	require.Equal(t, 201, a.issueToken("").Status, "another user")

	a.key, a.secret = second["key_id"], second["secret_key"]
	a.MoveClock(20 * time.Minute)
	require.Equal(t, 201, a.issueToken("").Status, "a third of an hour gives back one of three")
	require.Equal(t, 429, a.issueToken("").Status)
}

func TestActions_OnKeys_ApplyUntilReset(t *testing.T) {
	a := newAccount(t)
	a.Act("disable_key")
	require.Equal(t, 401, a.issueToken("").Status)
	a.Act("enable_key", "key_id", a.key)
	require.Equal(t, 201, a.issueToken("").Status)
	a.Act("delete_key")
	require.Equal(t, 401, a.issueToken("").Status)
	a.ActRefused("enable_key")

	a.Reset()
	require.Equal(t, 201, a.issueToken("").Status, "the root key is back")
	for range 19 {
		a.Act("create_key")
	}
	a.ActRefused("create_key") // the user has 20 keys
	a.ActRefused("create_key", "user", "other")
}

func TestInjectedError_StatusOnly_HasTheVendorsForm(t *testing.T) {
	a := newAccount(t)
	a.InjectFault(emulator.Fault{Route: "access_token", Status: 500})
	refused := a.issueToken("")
	require.Equal(t, 500, refused.Status)
	require.Equal(t, map[string]any{"message": "Internal Server Error"}, refused.Body)
}
