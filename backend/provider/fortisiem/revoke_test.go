package fortisiem_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/fortisiem"
)

// revoke calls Revoke.
func revoke(t *testing.T, connection provider.Connection, credential *provider.Credential) error {
	t.Helper()
	return connection.(provider.Revoker).Revoke(t.Context(), credential.Handle)
}

func TestRevoke_RevokeURL_IsCalledAsConfigured(t *testing.T) {
	for name, fields := range map[string]map[string]any{
		"no body":           {},
		"form":              {"revoke_body": "token={{token}}&client={{client_id}}"},
		"JSON":              {"revoke_body": `{"token":"{{token}}"}`, "revoke_method": "PUT"},
		"DELETE":            {"revoke_method": "DELETE"},
		"PATCH with a form": {"revoke_body": "token={{token}}", "revoke_method": "PATCH"},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAppliance(t, "revoke_route", "yes")
			connection := a.hooked(fields)
			gone, other := a.issue(connection), a.issue(connection)
			require.NoError(t, revoke(t, connection, gone))
			require.Equal(t, 1, a.Live(emulator.KindLeased))
			require.Equal(t, emulator.EndedRevoked, a.EndReasons()[0])
			require.NoError(t, revoke(t, connection, other))
			require.Zero(t, a.Live(emulator.KindLeased))
		})
	}
}

func TestRevoke_TokenAlreadyGone_Succeeds(t *testing.T) {
	for _, status := range []string{"404", "200", "401"} {
		t.Run(status, func(t *testing.T) {
			a := newAppliance(t, "revoke_route", "yes", "revoke_unknown_status", status)
			connection := a.hooked(nil)
			credential := a.issue(connection)
			for range 3 {
				require.NoError(t, revoke(t, connection, credential))
			}
			expired := a.issue(connection)
			a.Clock.Set(expired.ExpiresAt.Add(1e9))
			require.NoError(t, revoke(t, connection, expired))
		})
	}
}

// A wrong path is answered with 404 too. If that counted as success, no token would ever be revoked.
func TestRevoke_NotFoundButTokenWorks_Fails(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		class  provider.Class
	}{
		"not found":    {http.StatusNotFound, provider.ClassInvalid},
		"gone":         {http.StatusGone, provider.ClassInvalid},
		"unauthorized": {http.StatusUnauthorized, provider.ClassUnauthenticated},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAppliance(t, "revoke_route", "yes")
			connection := a.hooked(nil)
			credential := a.issue(connection)
			a.InjectFault(emulator.Fault{Route: "oauth_revoke", Status: c.status})
			failure := refusal(t, revoke(t, connection, credential))
			require.Equal(t, c.class, failure.Class)
			require.Equal(t, "revoke_url", failure.Field)
			require.Contains(t, failure.Message, "still works")
			require.Equal(t, 1, a.Live(emulator.KindLeased))
		})
	}
}

func TestRevoke_NoConfirmation_Fails(t *testing.T) {
	for name, c := range map[string]struct {
		faults []emulator.Fault
		class  provider.Class
	}{
		"error":     {[]emulator.Fault{{Route: "oauth_revoke", Status: 500}}, provider.ClassUnavailable},
		"forbidden": {[]emulator.Fault{{Route: "oauth_revoke", Status: 403}}, provider.ClassForbidden},
		"redirect":  {[]emulator.Fault{{Route: "oauth_revoke", Status: 302}}, provider.ClassInvalid},
		"lost":      {[]emulator.Fault{{Route: "oauth_revoke", DropAfter: true}}, provider.ClassUnavailable},
		"not found, and verify_path fails": {[]emulator.Fault{
			{Route: "oauth_revoke", Status: 404}, {Route: "health_summary", Status: 503},
		}, provider.ClassUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAppliance(t, "revoke_route", "yes")
			connection := a.hooked(nil)
			credential := a.issue(connection)
			for _, fault := range c.faults {
				a.InjectFault(fault)
			}
			require.Equal(t, c.class, refusal(t, revoke(t, connection, credential)).Class)
			a.EndFaults()
			require.NoError(t, revoke(t, connection, credential))
		})
	}
}

// revoke_body can hold a credential of the service behind revoke_url, which may send it back in an error.
func TestRevoke_EchoedBody_IsRedacted(t *testing.T) {
	const short, long, nested = "visible", "8-chars!", "another-credential"
	for template, hidden := range map[string][]string{
		`{"token":"{{token}}","a":"` + short + `","b":"` + long + `","c":[{"d":"` + nested + `"}]}`: {long, nested},
		"token={{token}}&a=" + short + "&b=" + url.QueryEscape(long):                                {long},
	} {
		a := newAppliance(t, "revoke_route", "yes")
		connection := a.hooked(map[string]any{"revoke_body": template})
		credential := a.issue(connection)
		echo := `{"error":"FORBIDDEN","message":"` + short + " " + long + " " + nested + `"}`
		a.InjectFault(emulator.Fault{Route: "oauth_revoke", Status: http.StatusForbidden, Body: &echo})
		failure := refusal(t, revoke(t, connection, credential))
		require.Contains(t, failure.Error(), short, "a short text occurs by chance")
		for _, text := range hidden {
			require.NotContains(t, failure.Error(), text)
		}
	}
}

// The name in the product's certificate is not that of another host's.
func TestRevoke_TLSServerName_AppliesToProductsHost(t *testing.T) {
	a := newAppliance(t, "revoke_route", "yes")
	credential := a.issue(a.open(nil))
	address, err := url.Parse(a.Address())
	require.NoError(t, err)
	for host, usable := range map[string]bool{"127.0.0.1": false, "localhost": true} {
		config := a.Config(fortisiem.New(), map[string]any{"revoke_url": "https://" + host + ":" + address.Port() + revokePath})
		config.TLSServerName = "siem.example" // which is not in the certificate
		connection, err := fortisiem.New().Open(config)
		require.NoError(t, err)
		t.Cleanup(connection.Close)
		require.Equal(t, usable, revoke(t, connection, credential) == nil, host)
	}
}

func TestRevoke_WithoutRevokeURL_FailsWithoutRequest(t *testing.T) {
	a := newAppliance(t, "revoke_route", "yes")
	connection := a.open(nil)
	credential := a.issue(connection)
	before := a.Requested()
	failure := refusal(t, revoke(t, connection, credential))
	require.Equal(t, provider.ClassInvalid, failure.Class)
	require.Equal(t, "revoke_url", failure.Field)
	require.Equal(t, before, a.Requested())
	require.NoError(t, revoke(t, a.hooked(nil), credential), "a revoke_url that is set later applies to existing credentials")
}

func TestRevoke_InvalidHandle_IsInvalid(t *testing.T) {
	connection := newAppliance(t).hooked(nil)
	for _, handle := range []string{``, `{}`, `[]`, `{"v":2,"token":"hunter2"}`, `{"v":1}`} {
		failure := refusal(t, connection.(provider.Revoker).Revoke(t.Context(), json.RawMessage(handle)))
		require.Equal(t, provider.ClassInvalid, failure.Class)
		require.NotContains(t, failure.Error(), "hunter2")
	}
}

func TestIssue_Handle_HoldsTheTokenOnly(t *testing.T) {
	a := newAppliance(t)
	credential := a.issue(a.open(nil))
	require.JSONEq(t, `{"v":1,"token":"`+credential.Token+`"}`, string(credential.Handle))
	require.NotContains(t, string(credential.Handle), a.Root()["client_secret"])
}

// The path of a call belongs to the operator's service, for which a trailing slash can make another path.
func TestRevoke_RevokeURL_IsSentAsWritten(t *testing.T) {
	var paths []string
	service := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		paths = append(paths, r.RequestURI)
	}))
	t.Cleanup(service.Close)
	a := newAppliance(t)
	for written, sent := range map[string]string{
		"": "/", "/": "/", "/revoke": "/revoke", "/revoke/": "/revoke/", "/a/revoke//": "/a/revoke//", "//revoke": "//revoke",
		"/a/./b/../revoke/": "/a/./b/../revoke/", "/a%20b/": "/a%20b/",
	} {
		paths = nil
		connection := a.open(map[string]any{"revoke_url": service.URL + written})
		require.NoError(t, revoke(t, connection, a.issue(connection)), written)
		require.Equal(t, []string{sent}, paths, written)
	}
}

// A service of the operator on another host gets the token in the places of the template, escaped for each place, and no
// part of the root credential.
func TestRevoke_OtherHost_GetsTheFilledTemplate(t *testing.T) {
	type seen struct {
		method, path, authorization, contentType, body string
	}
	var requests []seen
	service := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		requests = append(requests, seen{
			r.Method, r.URL.Path, r.Header.Get("Authorization"), r.Header.Get("Content-Type"), string(body),
		})
	}))
	t.Cleanup(service.Close)
	a := newAppliance(t)
	answer := `{"access_token":"a\"b&c=d +{{client_id}}","expires_in":3600}`
	a.InjectFault(emulator.Fault{Route: "oauth_token", Body: &answer})
	const token = `a"b&c=d +{{client_id}}`
	id := a.Root()["client_id"]

	for template, check := range map[string]func(t *testing.T, got seen){
		"": func(t *testing.T, got seen) {
			require.Empty(t, got.body)
			require.Empty(t, got.contentType)
		},
		"x=1&t={{token}}&t=pre-{{client_id}}": func(t *testing.T, got seen) {
			require.Equal(t, "application/x-www-form-urlencoded", got.contentType)
			form, err := url.ParseQuery(got.body)
			require.NoError(t, err)
			require.Equal(t, url.Values{"x": {"1"}, "t": {token, "pre-" + id}}, form)
		},
		` [{"n":12345678901234567890,"t":["{{token}}"],"ok":true,"by":null}] `: func(t *testing.T, got seen) {
			require.Equal(t, "application/json", got.contentType)
			encoded, err := json.Marshal(token)
			require.NoError(t, err)
			require.JSONEq(t, `[{"n":12345678901234567890,"t":[`+string(encoded)+`],"ok":true,"by":null}]`, got.body)
			require.Contains(t, got.body, "12345678901234567890")
		},
	} {
		t.Run(template, func(t *testing.T) {
			requests = nil
			connection := a.open(map[string]any{"revoke_url": service.URL + "/tokens/revoke/", "revoke_body": template})
			require.NoError(t, revoke(t, connection, a.issue(connection)))
			require.Len(t, requests, 1)
			require.Equal(t, "POST", requests[0].method)
			require.Equal(t, "/tokens/revoke/", requests[0].path)
			require.Equal(t, "Bearer "+token, requests[0].authorization)
			check(t, requests[0])
		})
	}
}
