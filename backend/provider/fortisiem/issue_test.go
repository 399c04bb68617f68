package fortisiem_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// A token expires at its own exp. expires_in with the operator's unit can only shorten that, and it is the only source for
// a token without exp. The expiry is always one second earlier.
func TestIssue_ExpirySources_EarliestCounts(t *testing.T) {
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
		"auto: opaque, minutes":         {[]string{"token_form", "opaque", "expires_in_unit", "minutes"}, "auto", 15 * time.Second},
		"auto: no exp, minutes":         {[]string{"token_form", "jwt_without_exp", "expires_in_unit", "minutes"}, "auto", 15 * time.Second},
		"minutes: opaque":               {[]string{"token_form", "opaque", "expires_in_unit", "minutes"}, "minutes", 15 * time.Minute},
		"minutes: exp":                  {[]string{"expires_in_unit", "minutes"}, "minutes", 15 * time.Minute},
		"minutes: exp, mismatch":        {[]string{"expires_in_unit", "mismatch"}, "minutes", 15 * time.Minute},
		"minutes: exp, seconds":         {[]string{"expires_in_unit", "seconds"}, "minutes", 15 * time.Minute},
		"seconds: exp, minutes":         {[]string{"expires_in_unit", "minutes"}, "seconds", 15 * time.Second},
		"seconds: opaque":               {[]string{"token_form", "opaque", "expires_in_unit", "seconds"}, "seconds", 15 * time.Minute},
		"auto: clock ahead":             {[]string{"clock_skew", "26h"}, "auto", 15 * time.Minute},
		"auto: clock behind":            {[]string{"clock_skew", "-26h"}, "auto", 15 * time.Minute},
		"auto: clock ahead, with iat":   {[]string{"clock_skew", "26h", "token_has_iat", "yes"}, "auto", 15 * time.Minute},
		"auto: a day":                   {[]string{"access_token_expiry", "24h"}, "auto", 24 * time.Hour},
		"auto: less than a minute":      {[]string{"access_token_expiry", "50s"}, "auto", 50 * time.Second},
		"auto: labeled as text":         {[]string{"json_content_type", "text/plain"}, "auto", 15 * time.Minute},
		"default unit: opaque, minutes": {[]string{"token_form", "opaque", "expires_in_unit", "minutes"}, "", 15 * time.Second},
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

func TestIssue_TokenWithoutUsableLifetime_IsAnError(t *testing.T) {
	for name, switches := range map[string][]string{
		"one second":         {"access_token_expiry", "1s"},
		"expires_in is zero": {"access_token_expiry", "30s", "token_form", "opaque", "expires_in_unit", "minutes"},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAppliance(t, switches...)
			require.Equal(t, provider.ClassAmbiguous, a.refused(a.open(nil)).Class, "the token exists")
		})
	}
}

func TestIssue_UnusualAnswer_IsUnderstoodOrAmbiguous(t *testing.T) {
	const noError = provider.Class(-1)
	for name, c := range map[string]struct {
		body  string
		class provider.Class
		life  time.Duration
	}{
		"seconds in quotes":   {`{"access_token":"t","expires_in":"3600"}`, noError, time.Hour},
		"a fraction":          {`{"access_token":"t","expires_in":3600.9,"token_type":"bearer"}`, noError, time.Hour},
		"no lifetime":         {`{"access_token":"t","token_type":"Bearer"}`, provider.ClassAmbiguous, 0},
		"a lifetime in words": {`{"access_token":"t","expires_in":"soon"}`, provider.ClassAmbiguous, 0},
		"a lifetime of null":  {`{"access_token":"t","expires_in":null}`, provider.ClassAmbiguous, 0},
		"no token":            {`{"expires_in":3600}`, provider.ClassAmbiguous, 0},
		"an array":            {`[]`, provider.ClassAmbiguous, 0},
		"a login page":        {`<!DOCTYPE html><html></html>`, provider.ClassAmbiguous, 0},
		"exp in milliseconds": { // {"alg":"XY1"} {"sub":"a","exp":1893553445000}
			`{"access_token":"eyJhbGciOiJYWTEifQ.eyJzdWIiOiJhIiwiZXhwIjoxODkzNTUzNDQ1MDAwfQ.c2ln","expires_in":3600}`, noError, time.Hour,
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAppliance(t)
			a.InjectFault(emulator.Fault{Route: "oauth_token", Body: &c.body})
			credential, err := a.open(nil).Issue(t.Context(), request)
			if c.class == noError {
				require.NoError(t, err)
				require.Equal(t, c.life-time.Second, credential.ExpiresAt.Sub(a.Clock.Now()))
				return
			}
			require.Equal(t, c.class, refusal(t, err).Class)
		})
	}
}

// jwtOf returns a token with these claims. No signature is verified.
func jwtOf(claims string) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"XY1"}`)) + "." + encode([]byte(claims)) + "." + encode([]byte("signature"))
}

func TestIssue_LifetimeInAnswer_HasLimits(t *testing.T) {
	const year = 366 * 24 * 3600
	claims := func(life int) string { return jwtOf(fmt.Sprintf(`{"iat":1767300000,"exp":%d}`, 1767300000+life)) }
	for name, c := range map[string]struct {
		unit, answer string
		life         time.Duration // zero means an error
		message      string
	}{
		"claims, the longest":       {"auto", `{"access_token":"` + claims(year) + `"}`, year * time.Second, ""},
		"claims, too long":          {"auto", `{"access_token":"` + claims(year+1) + `"}`, 0, "does not say how long"},
		"claims, no expires_in":     {"minutes", `{"access_token":"` + claims(3600) + `"}`, time.Hour, ""},
		"neither":                   {"auto", `{"access_token":"t"}`, 0, "does not say how long"},
		"expires_in, very long":     {"auto", `{"access_token":"t","expires_in":2147483648}`, year * time.Second, ""},
		"expires_in, not plausible": {"auto", `{"access_token":"t","expires_in":2147483649}`, 0, "does not say how long"},
		"expires_in, negative":      {"auto", `{"access_token":"t","expires_in":-1}`, 0, "does not say how long"},
		"two seconds":               {"auto", `{"access_token":"t","expires_in":2}`, 2 * time.Second, ""},
		"one second":                {"auto", `{"access_token":"t","expires_in":1}`, 0, "ends at once"},
		"both names":                {"auto", `{"access_token":"t","expires_in":60,"expiresIn":5}`, time.Minute, ""},
		"spare name":                {"auto", `{"access_token":"t","expiresIn":5}`, 5 * time.Minute, ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAppliance(t)
			a.InjectFault(emulator.Fault{Route: "oauth_token", Body: &c.answer})
			credential, err := a.open(map[string]any{"expires_in_unit": c.unit}).Issue(t.Context(), request)
			if c.life == 0 {
				failure := refusal(t, err)
				require.Equal(t, provider.ClassAmbiguous, failure.Class)
				require.Contains(t, failure.Message, c.message)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.life-time.Second, credential.ExpiresAt.Sub(a.Clock.Now()))
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

func TestIssue_RefreshGrant_WarnsOfANewRefreshToken(t *testing.T) {
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
	require.Equal(t, provider.ClassInvalid, a.refused(a.open(config)).Class, "release 7.5.1 accepts client_credentials only")
}

func TestErrors_EchoedSecret_IsRedacted(t *testing.T) {
	a := newAppliance(t)
	secret := a.Root()["client_secret"]
	body := `{"error":"BAD_REQUEST","message":"no client ` + secret + ` of ` + strings.ToUpper(secret) + `"}`
	a.InjectFault(emulator.Fault{Route: "oauth_token", Status: http.StatusBadRequest, Body: &body})
	failure := a.refused(a.open(nil))
	require.Equal(t, provider.ClassRateLimited, failure.Class)
	require.NotContains(t, failure.Error(), secret)
}

func TestIssue_Lifetime_IsAtLeastOneSecond(t *testing.T) {
	a := newAppliance(t)
	connection := a.open(nil)
	_, err := connection.Issue(t.Context(), provider.IssueRequest{Marker: "vault-1", Lifetime: time.Second})
	require.NoError(t, err)
	_, err = connection.Issue(t.Context(), provider.IssueRequest{Marker: "vault-2", Lifetime: time.Second - 1})
	require.Equal(t, "ttl", refusal(t, err).Field)
	require.Len(t, a.statuses("oauth_token"), 1)
}

func TestIssue_TokenLivesAsRequested_HasNoWarning(t *testing.T) {
	const life = 15*time.Minute - time.Second
	for lifetime, warnings := range map[time.Duration]int{life: 0, life + 1: 1} {
		a := newAppliance(t)
		credential, err := a.open(nil).Issue(t.Context(), provider.IssueRequest{Marker: "vault-1", Lifetime: lifetime})
		require.NoError(t, err)
		require.Len(t, credential.Warnings, warnings, lifetime)
	}
}
