package fortisiem_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/fortisiem"
)

func TestOpen_RefusesWhatCannotWork(t *testing.T) {
	a := newAppliance(t)
	for name, c := range map[string]struct {
		field   string
		changes map[string]any
	}{
		"no client id":              {"client_id", map[string]any{"client_id": ""}},
		"line break in the id":      {"client_id", map[string]any{"client_id": "hunter2\n"}},
		"no client secret":          {"client_secret", map[string]any{"client_secret": ""}},
		"line break in the secret":  {"client_secret", map[string]any{"client_secret": "hunter2\n"}},
		"relative token path":       {"token_path", map[string]any{"token_path": "oauth/token"}},
		"token path with a query":   {"token_path", map[string]any{"token_path": "/token?hunter2"}},
		"token path with dots":      {"token_path", map[string]any{"token_path": "/a/../token"}},
		"verify path with a space":  {"verify_path", map[string]any{"verify_path": "/health summary"}},
		"unknown grant":             {"grant", map[string]any{"grant": "password"}},
		"no refresh token":          {"refresh_token", map[string]any{"grant": "refresh_token"}},
		"useless refresh token":     {"refresh_token", map[string]any{"refresh_token": "hunter2"}},
		"unknown unit":              {"expires_in_unit", map[string]any{"expires_in_unit": "hours"}},
		"useless revocation body":   {"revoke_body", map[string]any{"revoke_body": "token={{token}}"}},
		"revocation URL: a path":    {"revoke_url", map[string]any{"revoke_url": "/revoke"}},
		"revocation URL: http":      {"revoke_url", map[string]any{"revoke_url": "http://hunter2.example/revoke"}},
		"revocation URL: userinfo":  {"revoke_url", map[string]any{"revoke_url": "https://a:hunter2@siem.example/revoke"}},
		"revocation URL: query":     {"revoke_url", map[string]any{"revoke_url": "https://siem.example/revoke?x=hunter2"}},
		"revocation method":         {"revoke_method", map[string]any{"revoke_url": "https://siem.example/", "revoke_method": "GET"}},
		"body with broken JSON":     {"revoke_body", map[string]any{"revoke_url": "https://siem.example/", "revoke_body": `{"token":`}},
		"body with a broken form":   {"revoke_body", map[string]any{"revoke_url": "https://siem.example/", "revoke_body": "a=%zz"}},
		"body with the root secret": {"revoke_body", map[string]any{"revoke_url": "https://siem.example/", "revoke_body": "s={{client_secret}}"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := a.tryOpen(c.changes)
			failure := refusal(t, err)
			require.Equal(t, provider.ClassInvalid, failure.Class)
			require.Equal(t, c.field, failure.Field)
			require.NotContains(t, failure.Error(), "hunter2")
		})
	}
}

func TestCapabilities_RevocationDependsOnTheConfig(t *testing.T) {
	can := fortisiem.New().Capabilities()
	assert.True(t, can.Revokes)
	assert.Equal(t, provider.RenewalNone, can.Renewal)
	assert.Empty(t, can.Marker)
	a := newAppliance(t)
	assert.False(t, a.open(nil).(provider.ConditionalRevoker).CanRevoke())
	assert.True(t, a.hooked(nil).(provider.ConditionalRevoker).CanRevoke())
	assert.Zero(t, a.open(nil).MaxLifetime())
}

// A token ends at its own exp; what the answer and the operator say about expires_in can only shorten that,
// and decides alone for a token that does not tell. A second is left away everywhere.
func TestIssue_Expiry(t *testing.T) {
	for name, c := range map[string]struct {
		switches []string
		unit     string
		want     time.Duration
	}{
		"auto: exp, minutes":            {[]string{"expires_in_unit", "minutes"}, "auto", 15 * time.Minute},
		"auto: exp, seconds":            {[]string{"expires_in_unit", "seconds"}, "auto", 15 * time.Minute},
		"auto: exp, mismatch":           {[]string{"expires_in_unit", "mismatch"}, "auto", 15 * time.Minute},
		"auto: exp and iat":             {[]string{"token_has_iat", "yes"}, "auto", 15 * time.Minute},
		"auto: opaque, seconds":         {[]string{"token_form", "opaque", "expires_in_unit", "seconds"}, "auto", 15 * time.Minute},
		"auto: opaque, minutes":         {[]string{"token_form", "opaque"}, "auto", 15 * time.Second},
		"auto: no exp, minutes":         {[]string{"token_form", "jwt_without_exp"}, "auto", 15 * time.Second},
		"minutes: opaque":               {[]string{"token_form", "opaque"}, "minutes", 15 * time.Minute},
		"minutes: exp":                  {nil, "minutes", 15 * time.Minute},
		"minutes: exp, mismatch":        {[]string{"expires_in_unit", "mismatch"}, "minutes", 15 * time.Minute},
		"minutes: exp, seconds":         {[]string{"expires_in_unit", "seconds"}, "minutes", 15 * time.Minute},
		"seconds: exp, minutes":         {nil, "seconds", 15 * time.Second},
		"seconds: opaque":               {[]string{"token_form", "opaque", "expires_in_unit", "seconds"}, "seconds", 15 * time.Minute},
		"auto: clock ahead":             {[]string{"clock_skew", "26h"}, "auto", 15 * time.Minute},
		"auto: clock behind":            {[]string{"clock_skew", "-26h"}, "auto", 15 * time.Minute},
		"auto: clock ahead, with iat":   {[]string{"clock_skew", "26h", "token_has_iat", "yes"}, "auto", 15 * time.Minute},
		"auto: a day":                   {[]string{"access_token_expiry", "24h"}, "auto", 24 * time.Hour},
		"auto: less than a minute":      {[]string{"access_token_expiry", "50s"}, "auto", 50 * time.Second},
		"auto: labelled as text":        {[]string{"json_content_type", "text/plain"}, "auto", 15 * time.Minute},
		"default unit: opaque, minutes": {[]string{"token_form", "opaque"}, "", 15 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAppliance(t, c.switches...)
			credential := a.issue(a.open(map[string]any{"expires_in_unit": c.unit}))
			require.Equal(t, c.want-time.Second, credential.ExpiresAt.Sub(a.Clock.Now()))
			require.False(t, credential.ExpiresAt.After(*a.Issued()[0].ExpiresAt), "never late")
			require.Equal(t, "Bearer", credential.TokenType)
			require.Equal(t, a.Address(), credential.Address)
			if c.want < request.Lifetime {
				require.Len(t, credential.Warnings, 1)
				require.Contains(t, credential.Warnings[0], "Access Token Expiry")
			} else {
				require.Empty(t, credential.Warnings)
			}
		})
	}
}

func TestIssue_ATokenThatEndsAtOnceOrNeverTells_IsNotHandedOut(t *testing.T) {
	for name, c := range map[string]struct {
		switches []string
		class    provider.Class
	}{
		"one second":         {[]string{"access_token_expiry", "1s"}, provider.ClassUnavailable},
		"expires_in is zero": {[]string{"access_token_expiry", "30s", "token_form", "opaque"}, provider.ClassAmbiguous},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAppliance(t, c.switches...)
			require.Equal(t, c.class, a.refused(a.open(nil)).Class)
		})
	}
}

func TestIssue_OddAnswers(t *testing.T) {
	const never = provider.Class(-1)
	for name, c := range map[string]struct {
		body  string
		class provider.Class
		life  time.Duration
	}{
		"seconds in quotes":     {`{"access_token":"t","expires_in":"3600"}`, never, time.Hour},
		"a fraction":            {`{"access_token":"t","expires_in":3600.9,"token_type":"bearer"}`, never, time.Hour},
		"no lifetime":           {`{"access_token":"t","token_type":"Bearer"}`, provider.ClassAmbiguous, 0},
		"a lifetime in words":   {`{"access_token":"t","expires_in":"soon"}`, provider.ClassAmbiguous, 0},
		"a lifetime of nothing": {`{"access_token":"t","expires_in":null}`, provider.ClassAmbiguous, 0},
		"no token":              {`{"expires_in":3600}`, provider.ClassAmbiguous, 0},
		"an array":              {`[]`, provider.ClassAmbiguous, 0},
		"a login page":          {`<!DOCTYPE html><html></html>`, provider.ClassAmbiguous, 0},
		"exp in milliseconds": { // {"alg":"XY1"} {"sub":"a","exp":1893553445000}
			`{"access_token":"eyJhbGciOiJYWTEifQ.eyJzdWIiOiJhIiwiZXhwIjoxODkzNTUzNDQ1MDAwfQ.c2ln","expires_in":3600}`, never, time.Hour,
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAppliance(t)
			a.InjectFault(emulator.Fault{Route: "oauth_token", Body: &c.body})
			credential, err := a.open(nil).Issue(t.Context(), request)
			if c.class == never {
				require.NoError(t, err)
				require.Equal(t, c.life-time.Second, credential.ExpiresAt.Sub(a.Clock.Now()))
				return
			}
			require.Equal(t, c.class, refusal(t, err).Class)
		})
	}
}

func TestIssue_LostAnswer_IsAmbiguousAndNotSentAgain(t *testing.T) {
	for name, fault := range map[string]emulator.Fault{
		"dropped": {Route: "oauth_token", DropAfter: true},
		"cut off": {Route: "oauth_token", Truncate: true},
		"500":     {Route: "oauth_token", Status: http.StatusInternalServerError},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAppliance(t)
			a.InjectFault(fault)
			require.Equal(t, provider.ClassAmbiguous, a.refused(a.open(nil)).Class)
			require.Len(t, a.statuses("oauth_token"), 1)
		})
	}
}

func TestIssue_RefreshGrant(t *testing.T) {
	a := newAppliance(t, "refresh_grant", "accepted")
	config := map[string]any{"grant": "refresh_token", "refresh_token": a.Act("make_refresh_token")["refresh_token"]}
	connection := a.open(config)
	require.Empty(t, a.issue(connection).Warnings)
	a.Set("refresh_token_rotates", "yes")
	rotated := a.issue(connection)
	require.Len(t, rotated.Warnings, 1)
	require.Contains(t, rotated.Warnings[0], "refresh token")
	require.Equal(t, provider.ClassInvalid, a.refused(connection).Class, "the stored refresh token is used up")

	a = newAppliance(t)
	config["refresh_token"] = a.Act("make_refresh_token")["refresh_token"]
	require.Equal(t, provider.ClassInvalid, a.refused(a.open(config)).Class, "release 7.5.1 takes client_credentials only")
}

func TestCheck_TellsWhoWeAreAndHowLongTokensLive(t *testing.T) {
	for name, c := range map[string]struct {
		switches         []string
		identity, source string
	}{
		"JWT":            {nil, "super/admin", "claim exp of the token and the answer's Date header"},
		"JWT with iat":   {[]string{"token_has_iat", "yes"}, "super/admin", "claims exp and iat of the token"},
		"opaque":         {[]string{"token_form", "opaque", "expires_in_unit", "seconds"}, "", "expires_in"},
		"health as text": {[]string{"json_content_type", "text/plain"}, "super/admin", "claim exp of the token and the answer's Date header"},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAppliance(t, c.switches...)
			result, err := a.open(nil).Check(t.Context())
			require.NoError(t, err)
			id := a.Root()["client_id"]
			if c.identity == "" {
				c.identity = id
			}
			require.Equal(t, c.identity, result.Identity)
			require.Equal(t, map[string]any{
				"client_id": id, "access_token_lifetime": "14m59s", "lifetime_known_from": c.source,
			}, result.Details)
			require.Len(t, result.Warnings, 1)
			require.Contains(t, result.Warnings[0], "14m59s")
			require.Equal(t, []int{200}, a.statuses("health_summary"))
		})
	}
}

func TestCheck_EndsItsTokenWhereItCan(t *testing.T) {
	a := newAppliance(t, "revoke_route", "yes")
	result, err := a.hooked(nil).Check(t.Context())
	require.NoError(t, err)
	require.Empty(t, result.Warnings)
	require.Zero(t, a.Live(emulator.KindLeased))

	a = newAppliance(t)
	result, err = a.hooked(nil).Check(t.Context())
	require.NoError(t, err, "a wrong revoke_url is a warning: the root credential works")
	require.Len(t, result.Warnings, 1)
	require.Contains(t, result.Warnings[0], "revoke_url")
}

func TestCheck_WhatTheVerifyPathProves(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		class  provider.Class
		field  string
	}{
		"refused":     {http.StatusUnauthorized, provider.ClassUnauthenticated, ""},
		"forbidden":   {http.StatusForbidden, provider.ClassInvalid, "verify_path"},
		"not found":   {http.StatusNotFound, provider.ClassInvalid, "verify_path"},
		"unavailable": {http.StatusServiceUnavailable, provider.ClassUnavailable, ""},
		"redirected":  {http.StatusFound, provider.ClassInvalid, ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAppliance(t, "revoke_route", "yes")
			a.InjectFault(emulator.Fault{Route: "health_summary", Status: c.status})
			_, err := a.hooked(nil).Check(t.Context())
			failure := refusal(t, err)
			require.Equal(t, c.class, failure.Class)
			require.Equal(t, c.field, failure.Field)
			require.Zero(t, a.Live(emulator.KindLeased), "the token of a failed check is ended too")
		})
	}
}

func TestCheck_PathsOfTheConfigAreUsed(t *testing.T) {
	a := newAppliance(t)
	_, err := a.open(map[string]any{"verify_path": "/phoenix/rest/other"}).Check(t.Context())
	require.Equal(t, "verify_path", refusal(t, err).Field)
	_, err = a.open(map[string]any{"token_path": "/phoenix/rest/other"}).Check(t.Context())
	failure := refusal(t, err)
	require.Equal(t, provider.ClassInvalid, failure.Class)
	require.Equal(t, "token_path", failure.Field)
	require.Contains(t, failure.Remedy, "7.5.1")
}

func TestClose_LeavesTheCredentialsAlive(t *testing.T) {
	a := newAppliance(t)
	for _, connection := range []provider.Connection{a.open(nil), a.open(map[string]any{"revoke_url": "https://127.0.0.1:1/"})} {
		a.issue(connection)
		require.NoError(t, connection.Logout(t.Context()))
	}
	require.Equal(t, 2, a.Live(emulator.KindLeased))
}

func TestErrors_HoldNoSecret(t *testing.T) {
	a := newAppliance(t)
	secret := a.Root()["client_secret"]
	body := `{"error":"BAD_REQUEST","message":"no client ` + secret + ` of ` + strings.ToUpper(secret) + `"}`
	a.InjectFault(emulator.Fault{Route: "oauth_token", Status: http.StatusBadRequest, Body: &body})
	failure := a.refused(a.open(nil))
	require.Equal(t, provider.ClassInvalid, failure.Class)
	require.NotContains(t, failure.Error(), secret)
}
