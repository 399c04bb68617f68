package fortisiem_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/fortisiem"
)

const (
	tokenPath  = "/phoenix/rest/pub/security/oauth/token"
	revokePath = "/phoenix/rest/pub/security/oauth/revoke"
	healthPath = "/phoenix/rest/system/health/summary"

	formType = "application/x-www-form-urlencoded"
)

// appliance is an emulated FortiSIEM on a clock that stands still.
type appliance struct {
	t          *testing.T
	srv        *emulator.Server
	id, secret string
}

// newAppliance serves FortiSIEM for the length of a test.
func newAppliance(t *testing.T) *appliance {
	t.Helper()
	fixed := time.Date(2030, 1, 2, 3, 4, 5, 678_901_234, time.UTC)
	srv, err := emulator.Start(emulator.Config{PlainHTTP: true, Now: func() time.Time { return fixed }}, fortisiem.New())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, srv.Close()) })
	root := srv.State().Vendors["fortisiem"].Credentials
	return &appliance{t: t, srv: srv, id: root["client_id"], secret: root["client_secret"]}
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	text   string
	body   map[string]any // nil if the text is not a JSON object
}

// do sends a request; header lines are given as name and value in turn.
func (a *appliance) do(method, path, body string, header ...string) answer {
	a.t.Helper()
	req, err := http.NewRequestWithContext(a.t.Context(), method, a.srv.URL("fortisiem")+path, strings.NewReader(body))
	require.NoError(a.t, err)
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

// exchange asks for a token with the pair, at once; members are added to the form or take a member away
// when empty.
func (a *appliance) exchange(members ...string) answer {
	a.t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {a.id}, "client_secret": {a.secret}}
	for i := 0; i < len(members); i += 2 {
		form.Set(members[i], members[i+1])
	}
	return a.do(http.MethodPost, tokenPath, form.Encode(), "Content-Type", formType)
}

// later is exchange after the interval between two token requests.
func (a *appliance) later(members ...string) answer {
	a.t.Helper()
	require.NoError(a.t, a.srv.Advance(5*time.Second))
	return a.exchange(members...)
}

// token gets a token after the interval.
func (a *appliance) token() string {
	a.t.Helper()
	got := a.later()
	require.Contains(a.t, got.body, "access_token", got.text)
	return got.body["access_token"].(string)
}

// health reads the health summary with an Authorization header.
func (a *appliance) health(authorization string) answer {
	a.t.Helper()
	return a.do(http.MethodGet, healthPath, "", "Authorization", authorization)
}

// set changes a switch.
func (a *appliance) set(name, value string) {
	a.t.Helper()
	require.NoError(a.t, a.srv.SetSwitch("fortisiem", name, value))
}

// act carries out an action.
func (a *appliance) act(name string, arguments map[string]string) map[string]string {
	a.t.Helper()
	result, err := a.srv.Do("fortisiem", name, arguments)
	require.NoError(a.t, err)
	return result
}

// claimsOf reads the payload of a JWT.
func claimsOf(t *testing.T, token string) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	require.Len(t, parts, 3)
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	require.NoError(t, err)
	var claims map[string]any
	require.NoError(t, json.Unmarshal(payload, &claims))
	return claims
}

func TestExchange_AnswersThreeMembersAndAJWT(t *testing.T) {
	a := newAppliance(t)
	got := a.exchange()
	require.Equal(t, 200, got.status)
	require.Equal(t, "application/json", got.header.Get("Content-Type"))
	require.Len(t, got.body, 3)
	require.Equal(t, "Bearer", got.body["token_type"])
	require.InDelta(t, 15, got.body["expires_in"], 0, "minutes")

	token := got.body["access_token"].(string)
	claims := claimsOf(t, token)
	require.Equal(t, "super/admin", claims["sub"])
	require.NotEmpty(t, claims["scope"])
	require.InDelta(t, time.Date(2030, 1, 2, 3, 19, 5, 0, time.UTC).Unix(), claims["exp"], 0)
	require.NotContains(t, claims, "iat")

	issued := a.srv.Credentials("fortisiem")
	require.Len(t, issued, 1)
	require.Equal(t, emulator.KindLeased, issued[0].Kind)
	require.Empty(t, issued[0].Marker)
	require.Equal(t, time.Date(2030, 1, 2, 3, 19, 5, 0, time.UTC), *issued[0].ExpiresAt)
	require.NotContains(t, token, issued[0].ID)
	require.Equal(t, "oauth_token", a.srv.Requests("fortisiem")[0].Operation)
}

func TestExchange_TakesNothingButACompleteForm(t *testing.T) {
	a := newAppliance(t)
	pair := "client_id=" + a.id + "&client_secret=" + a.secret
	for name, refused := range map[string]answer{
		"JSON":                 a.do(http.MethodPost, tokenPath, `{"grant_type":"client_credentials"}`, "Content-Type", "application/json"),
		"no content type":      a.do(http.MethodPost, tokenPath, "grant_type=client_credentials&"+pair),
		"members in the query": a.do(http.MethodPost, tokenPath+"?grant_type=client_credentials&"+pair, "", "Content-Type", formType),
		"pair in a Basic header": a.do(http.MethodPost, tokenPath, "grant_type=client_credentials", "Content-Type", formType,
			"Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(a.id+":"+a.secret))),
		"no grant type":      a.exchange("grant_type", ""),
		"no client id":       a.exchange("client_id", ""),
		"no client secret":   a.exchange("client_secret", ""),
		"another grant type": a.exchange("grant_type", "password"),
		"a broken form":      a.do(http.MethodPost, tokenPath, "%zz", "Content-Type", formType),
	} {
		require.Equal(t, 400, refused.status, name)
		require.Equal(t, map[string]any{"error": "BAD_REQUEST", "message": "Invalid input parameters"}, refused.body, name)
	}
	require.Equal(t, 405, a.do(http.MethodGet, tokenPath, "").status)
	require.Empty(t, a.srv.Credentials("fortisiem"))
	require.Equal(t, 200, a.later().status)
}

func TestExchange_TheDocumentedRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		provoke func(a *appliance) answer
		message string
	}{
		"wrong secret": {
			func(a *appliance) answer { return a.exchange("client_secret", "wrong") },
			"Invalid ClientId or ClientSecret",
		},
		"unknown client": {
			func(a *appliance) answer { return a.exchange("client_id", "wrong") },
			"Invalid ClientId or ClientSecret",
		},
		"owner without the right": {
			func(a *appliance) answer { a.act("deny_owner", nil); return a.exchange() },
			"Unauthorized user (the user who created the client does not have permission to request tokens)",
		},
		"expired secret": {
			func(a *appliance) answer { a.act("expire_secret", nil); return a.exchange() },
			"Client secret expired",
		},
		"revoked client": {
			func(a *appliance) answer { a.act("revoke_client", nil); return a.exchange() },
			"Client ID revoked",
		},
		"two at once": {
			func(a *appliance) answer { a.exchange(); return a.exchange() },
			"Rate limit exceeded. Limit is 1 token request per ClientId every 5 seconds",
		},
		"too many refusals": {
			func(a *appliance) answer {
				for range 5 {
					require.Equal(a.t, "Invalid ClientId or ClientSecret", a.later("client_secret", "wrong").body["message"])
				}
				require.NoError(a.t, a.srv.Advance(5*time.Minute-time.Second))
				return a.exchange()
			},
			"Failure threshold exceeded. Token requests blocked for 5 minutes",
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAppliance(t)
			refused := c.provoke(a)
			require.Equal(t, 400, refused.status)
			require.Equal(t, map[string]any{"error": "BAD_REQUEST", "message": c.message}, refused.body)
		})
	}
}

func TestExchange_TheBlockEndsAndSuccessForgetsFailures(t *testing.T) {
	a := newAppliance(t)
	for range 5 {
		a.later("client_secret", "wrong")
	}
	require.NoError(t, a.srv.Advance(5*time.Minute))
	for range 3 {
		for range 4 {
			require.Equal(t, 400, a.later("client_secret", "wrong").status)
		}
		require.Equal(t, 200, a.later().status)
	}
}

func TestExchange_LimitsAreOfOneClientID(t *testing.T) {
	a := newAppliance(t)
	require.Equal(t, 200, a.exchange().status)
	made := a.act("create_client", map[string]string{"access_token_expiry": "24h", "secret_expiry": "1h"})
	a.id, a.secret = made["client_id"], made["client_secret"]
	got := a.exchange()
	require.Equal(t, 200, got.status)
	require.InDelta(t, 24*60, got.body["expires_in"], 0)
	require.NoError(t, a.srv.Advance(time.Hour))
	require.Equal(t, "Client secret expired", a.exchange().body["message"])
}

func TestHealth_TakesALiveBearerOrTheOwnersBasicPair(t *testing.T) {
	a := newAppliance(t)
	token := a.token()
	login := a.srv.State().Vendors["fortisiem"].Login
	basic := func(name, password string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password))
	}
	for _, authorization := range []string{"Bearer " + token, "bearer " + token, basic(login["username"], login["password"])} {
		got := a.health(authorization)
		require.Equal(t, 200, got.status)
		var instances []map[string]any
		require.NoError(t, json.Unmarshal([]byte(got.text), &instances))
		for _, member := range []string{"id", "name", "healthStatus", "nodes"} {
			require.Contains(t, instances[0], member)
		}
	}
	for _, authorization := range []string{
		"", "Bearer", "Bearer wrong", token, basic("admin", login["password"]), basic(login["username"], "wrong"),
	} {
		got := a.health(authorization)
		require.Equal(t, 401, got.status, authorization)
		require.Equal(t, "Not authorized", got.body["message"])
	}
	require.NoError(t, a.srv.Advance(15*time.Minute))
	require.Equal(t, 401, a.health("Bearer "+token).status)
	require.Equal(t, "health_summary", a.srv.Requests("fortisiem")[1].Operation)
}

func TestToken_HasNoPublicRevocation(t *testing.T) {
	a := newAppliance(t)
	token := a.token()
	for _, path := range []string{
		revokePath, "/phoenix/rest/pub/security/oauth/introspect", tokenPath + "/revoke", "/oauth/revoke",
	} {
		refused := a.do(http.MethodPost, path, "token="+token, "Content-Type", formType, "Authorization", "Bearer "+token)
		require.Equal(t, 404, refused.status, path)
		require.NotEmpty(t, refused.body["message"])
	}
	require.Equal(t, 405, a.do(http.MethodDelete, tokenPath, "").status)
	require.Equal(t, 200, a.health("Bearer "+token).status)
}

func TestRevokeRoute_EndsTheTokenThatIsNamed(t *testing.T) {
	for name, send := range map[string]func(a *appliance, token string) answer{
		"form": func(a *appliance, token string) answer {
			return a.do(http.MethodPost, revokePath, "token="+token, "Content-Type", formType)
		},
		"JSON": func(a *appliance, token string) answer {
			return a.do(http.MethodPut, revokePath, `{"token":"`+token+`"}`, "Content-Type", "application/json")
		},
		"bearer": func(a *appliance, token string) answer {
			return a.do(http.MethodDelete, revokePath, "", "Authorization", "Bearer "+token)
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAppliance(t)
			a.set("revoke_route", "yes")
			token, other := a.token(), a.token()
			require.Equal(t, 204, send(a, token).status)
			require.Equal(t, 401, a.health("Bearer "+token).status)
			require.Equal(t, 200, a.health("Bearer "+other).status)
			require.Equal(t, emulator.EndedRevoked, a.srv.Credentials("fortisiem")[0].EndedBy)
			require.Equal(t, 404, send(a, token).status)
		})
	}
	a := newAppliance(t)
	a.set("revoke_route", "yes")
	require.Equal(t, 405, a.do(http.MethodGet, revokePath, "").status)
	require.Equal(t, 400, a.do(http.MethodPost, revokePath, "x=y", "Content-Type", formType).status)
	require.Equal(t, 400, a.do(http.MethodPost, revokePath, "%zz", "Content-Type", formType).status)
	require.Equal(t, 400, a.do(http.MethodPost, revokePath, "{", "Content-Type", "application/json").status)
}

func TestClients_ActionsOnThem(t *testing.T) {
	a := newAppliance(t)
	first := a.token()
	a.act("deny_owner", nil)
	require.Equal(t, 400, a.later().status)
	a.act("allow_owner", map[string]string{"client_id": a.id})
	require.Equal(t, 200, a.later().status)
	reset := a.act("reset_secret", nil)
	require.Equal(t, 400, a.later().status, "the old secret")
	require.Equal(t, 401, a.health("Bearer "+first).status)
	require.Equal(t, 200, a.later("client_secret", reset["client_secret"]).status)
	_, err := a.srv.Do("fortisiem", "revoke_client", map[string]string{"client_id": "wrong"})
	require.Error(t, err)
	for _, life := range []string{"soon", "-1h"} {
		_, err = a.srv.Do("fortisiem", "create_client", map[string]string{"secret_expiry": life})
		require.Error(t, err)
	}

	a.srv.Reset()
	require.Equal(t, 200, a.exchange().status, "the root client is back")
}

func TestInjectedError_LooksLikeTheVendors(t *testing.T) {
	a := newAppliance(t)
	require.NoError(t, a.srv.AddFault(emulator.Fault{Vendor: "fortisiem", Route: "oauth_token", Status: 500}))
	refused := a.exchange()
	require.Equal(t, 500, refused.status)
	require.Equal(t, map[string]any{
		"error": "INTERNAL_ERROR", "message": "Internal server error occurred while issuing token",
	}, refused.body)
}
