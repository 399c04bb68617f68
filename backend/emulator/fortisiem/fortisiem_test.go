package fortisiem_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/emulatortest"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/fortisiem"
)

const (
	tokenPath  = "/phoenix/rest/pub/security/oauth/token"
	revokePath = "/phoenix/rest/pub/security/oauth/revoke"
	healthPath = "/phoenix/rest/system/health/summary"

	formType = "application/x-www-form-urlencoded"
)

// appliance is an emulated FortiSIEM, with the client id and secret to use.
type appliance struct {
	*emulatortest.Server
	id, secret string
}

type answer = emulatortest.Answer

// newAppliance serves FortiSIEM until the test ends.
func newAppliance(t *testing.T) *appliance {
	t.Helper()
	return withRoot(emulatortest.Start(t, fortisiem.New()))
}

// withRoot uses the first client.
func withRoot(server *emulatortest.Server) *appliance {
	root := server.Root()
	return &appliance{Server: server, id: root["client_id"], secret: root["client_secret"]}
}

// do sends a request. header contains names and values in alternation.
func (a *appliance) do(method, path, body string, header ...string) answer {
	a.T.Helper()
	return a.Send(method, a.Address()+path, body, header...)
}

// exchange requests a token with the client id and secret. members contains names and values in alternation that
// replace members of the form; an empty value is sent as an empty member.
func (a *appliance) exchange(members ...string) answer {
	a.T.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {a.id}, "client_secret": {a.secret}}
	for i := 0; i < len(members); i += 2 {
		form.Set(members[i], members[i+1])
	}
	return a.do(http.MethodPost, tokenPath, form.Encode(), "Content-Type", formType)
}

// later advances the clock by the interval between two token requests, and requests a token.
func (a *appliance) later(members ...string) answer {
	a.T.Helper()
	a.MoveClock(5 * time.Second)
	return a.exchange(members...)
}

// token gets a token after the interval.
func (a *appliance) token() string {
	a.T.Helper()
	return a.later().Member("access_token")
}

// health reads the health summary with an Authorization header.
func (a *appliance) health(authorization string) answer {
	a.T.Helper()
	return a.do(http.MethodGet, healthPath, "", "Authorization", authorization)
}

func TestExchange_ValidPair_AnswersThreeMembersAndAJWT(t *testing.T) {
	a := newAppliance(t)
	got := a.exchange()
	require.Equal(t, 200, got.Status)
	require.Equal(t, "application/json", got.Header.Get("Content-Type"))
	require.Len(t, got.Body, 3)
	require.Equal(t, "Bearer", got.Body["token_type"])
	require.InDelta(t, 900, got.Body["expires_in"], 0, "seconds")

	token := got.Member("access_token")
	claims := emulatortest.JWTClaims(t, token)
	require.Equal(t, a.id, claims["sub"])
	require.Equal(t, "read write", claims["scope"])
	require.InDelta(t, time.Date(2030, 1, 2, 3, 19, 5, 0, time.UTC).Unix(), claims["exp"], 0)
	require.NotContains(t, claims, "iat")

	issued := a.RequireIssued(emulator.KindLeased, "", time.Date(2030, 1, 2, 3, 19, 5, 0, time.UTC))
	require.Len(t, a.Issued(), 1)
	require.NotContains(t, token, issued.ID)
	require.Equal(t, "oauth_token", a.Operations()[0])
}

func TestExchange_IncompleteForm_IsRefused(t *testing.T) {
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
		require.Equal(t, 400, refused.Status, name)
		require.Equal(t, map[string]any{"error": "BAD_REQUEST", "message": "Invalid input parameters"}, refused.Body, name)
	}
	require.Equal(t, 405, a.do(http.MethodGet, tokenPath, "").Status)
	require.Empty(t, a.Issued())
	require.Equal(t, 200, a.later().Status)
}

func TestExchange_DocumentedRefusal_HasTheDocumentedMessage(t *testing.T) {
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
			func(a *appliance) answer { a.Act("deny_owner"); return a.exchange() },
			"Unauthorized user (the user who created the client does not have permission to request tokens)",
		},
		"expired secret": {
			func(a *appliance) answer { a.Act("expire_secret"); return a.exchange() },
			"Client secret expired",
		},
		"revoked client": {
			func(a *appliance) answer { a.Act("revoke_client"); return a.exchange() },
			"Client ID revoked",
		},
		"two at once": {
			func(a *appliance) answer { a.Set("early_answer", "400_documented"); a.exchange(); return a.exchange() },
			"Rate limit exceeded. Limit is 1 token request per ClientId every 5 seconds",
		},
		"too many refusals": {
			func(a *appliance) answer {
				for range 5 {
					require.Equal(a.T, "Invalid ClientId or ClientSecret", a.later("client_secret", "wrong").Body["message"])
				}
				a.MoveClock(5*time.Minute - time.Second)
				return a.exchange()
			},
			"Failure threshold exceeded. Token requests blocked for 5 minutes",
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAppliance(t)
			refused := c.provoke(a)
			require.Equal(t, 400, refused.Status)
			require.Equal(t, map[string]any{"error": "BAD_REQUEST", "message": c.message}, refused.Body)
		})
	}
}

func TestExchange_AfterBlockOrSuccess_CountsFailuresAgain(t *testing.T) {
	a := newAppliance(t)
	for range 5 {
		a.later("client_secret", "wrong")
	}
	a.MoveClock(5 * time.Minute)
	for range 3 {
		for range 4 {
			require.Equal(t, 400, a.later("client_secret", "wrong").Status)
		}
		require.Equal(t, 200, a.later().Status)
	}
}

func TestExchange_SecondClient_HasItsOwnLimits(t *testing.T) {
	a := newAppliance(t)
	require.Equal(t, 200, a.exchange().Status)
	made := a.Act("create_client", "access_token_expiry", "24h", "secret_expiry", "1h")
	a.id, a.secret = made["client_id"], made["client_secret"]
	got := a.exchange()
	require.Equal(t, 200, got.Status)
	require.InDelta(t, 24*3600, got.Body["expires_in"], 0)
	a.MoveClock(time.Hour)
	require.Equal(t, "Client secret expired", a.exchange().Body["message"])
}

func TestHealth_LiveBearerOrOwnersPassword_IsAccepted(t *testing.T) {
	a := newAppliance(t)
	token := a.token()
	login := a.Login()
	basic := func(name, password string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password))
	}
	for _, authorization := range []string{"Bearer " + token, "bearer " + token, basic(login["username"], login["password"])} {
		got := a.health(authorization)
		require.Equal(t, 200, got.Status)
		var instances []map[string]any
		require.NoError(t, json.Unmarshal([]byte(got.Text), &instances))
		for _, member := range []string{"id", "name", "healthStatus", "nodes"} {
			require.Contains(t, instances[0], member)
		}
		for _, member := range []string{"name", "nodesType", "status", "reason"} {
			require.Contains(t, instances[0]["nodes"].([]any)[0], member)
		}
	}
	for _, authorization := range []string{
		"", "Bearer", "Bearer wrong", token, basic("admin", login["password"]), basic(login["username"], "wrong"),
	} {
		got := a.health(authorization)
		require.Equal(t, 401, got.Status, authorization)
		require.Equal(t, "Not authorized", got.Body["message"])
	}
	a.MoveClock(15 * time.Minute)
	require.Equal(t, 401, a.health("Bearer "+token).Status)
	require.Equal(t, "health_summary", a.Operations()[1])
}

func TestToken_AttemptsToRevoke_AreRefused(t *testing.T) {
	a := newAppliance(t)
	token := a.token()
	for _, path := range []string{
		revokePath, "/phoenix/rest/pub/security/oauth/introspect", tokenPath + "/revoke", "/oauth/revoke",
	} {
		refused := a.do(http.MethodPost, path, "token="+token, "Content-Type", formType, "Authorization", "Bearer "+token)
		require.Equal(t, 404, refused.Status, path)
		require.NotEmpty(t, refused.Body["message"])
	}
	require.Equal(t, 405, a.do(http.MethodDelete, tokenPath, "").Status)
	require.Equal(t, 200, a.health("Bearer "+token).Status)
}

func TestRevokeRoute_NamedToken_IsEnded(t *testing.T) {
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
			a.Set("revoke_route", "yes")
			token, other := a.token(), a.token()
			require.Equal(t, 204, send(a, token).Status)
			require.Equal(t, 401, a.health("Bearer "+token).Status)
			require.Equal(t, 200, a.health("Bearer "+other).Status)
			require.Equal(t, emulator.EndedRevoked, a.EndReasons()[0])
			require.Equal(t, 404, send(a, token).Status)
		})
	}
	a := newAppliance(t)
	a.Set("revoke_route", "yes")
	require.Equal(t, 405, a.do(http.MethodGet, revokePath, "").Status)
	require.Equal(t, 400, a.do(http.MethodPost, revokePath, "x=y", "Content-Type", formType).Status)
	require.Equal(t, 400, a.do(http.MethodPost, revokePath, "%zz", "Content-Type", formType).Status)
	require.Equal(t, 400, a.do(http.MethodPost, revokePath, "{", "Content-Type", "application/json").Status)
}

func TestActions_OnClients_ApplyUntilReset(t *testing.T) {
	a := newAppliance(t)
	first := a.token()
	a.Act("deny_owner")
	require.Equal(t, 400, a.later().Status)
	a.Act("allow_owner", "client_id", a.id)
	require.Equal(t, 200, a.later().Status)
	reset := a.Act("reset_secret")
	require.Equal(t, 400, a.later().Status, "the old secret")
	require.Equal(t, 401, a.health("Bearer "+first).Status)
	require.Equal(t, 200, a.later("client_secret", reset["client_secret"]).Status)
	a.ActRefused("revoke_client", "client_id", "wrong")
	a.ActRefused("create_client", "secret_expiry", "soon")
	a.ActRefused("create_client", "secret_expiry", "-1h")

	a.Reset()
	require.Equal(t, 200, a.exchange().Status, "the root client is back")
}

func TestInjectedError_StatusOnly_HasTheVendorsForm(t *testing.T) {
	a := newAppliance(t)
	a.InjectFault(emulator.Fault{Route: "oauth_token", Status: 500})
	refused := a.exchange()
	require.Equal(t, 500, refused.Status)
	require.Equal(t, map[string]any{
		"error": "INTERNAL_ERROR", "message": "Internal server error occurred while issuing token",
	}, refused.Body)
}
