package fortisiem_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

func TestCheck_Result_HasIdentityAndTokenLifetime(t *testing.T) {
	for name, c := range map[string]struct {
		switches         []string
		identity, source string
	}{
		"JWT":            {[]string{"token_subject", "owner"}, "super/admin", "claim exp of the token and the answer's Date header"},
		"JWT with iat":   {[]string{"token_has_iat", "yes"}, "", "claims exp and iat of the token"},
		"opaque":         {[]string{"token_form", "opaque", "expires_in_unit", "seconds"}, "", "expires_in"},
		"health as text": {[]string{"json_content_type", "text/plain"}, "", "claim exp of the token and the answer's Date header"},
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

func TestCheck_WithRevokeURL_RevokesItsToken(t *testing.T) {
	a := newAppliance(t, "revoke_route", "yes")
	result, err := a.hooked(nil).Check(t.Context())
	require.NoError(t, err)
	require.Empty(t, result.Warnings)
	require.Zero(t, a.Live(emulator.KindLeased))

	a = newAppliance(t)
	result, err = a.hooked(nil).Check(t.Context())
	require.NoError(t, err, "a wrong revoke_url is only a warning, because the root credential works")
	require.Len(t, result.Warnings, 1)
	require.Contains(t, result.Warnings[0], "revoke_url")
}

func TestCheck_VerifyPathFails_HasClassAndField(t *testing.T) {
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
			require.Zero(t, a.Live(emulator.KindLeased), "the token of a failed check is revoked too")
		})
	}
}

func TestCheck_EqualLifetimes_AreKnownFromTheToken(t *testing.T) {
	a := newAppliance(t, "token_has_iat", "yes", "expires_in_unit", "seconds")
	result, err := a.open(map[string]any{"expires_in_unit": "seconds"}).Check(t.Context())
	require.NoError(t, err)
	require.Equal(t, "claims exp and iat of the token", result.Details["lifetime_known_from"])
}

func TestCheck_TokenRefused_IsReturnedIfItLives(t *testing.T) {
	a := newAppliance(t)
	a.InjectFault(emulator.Fault{Route: "health_summary", Status: http.StatusServiceUnavailable})
	result, err := a.open(nil).Check(t.Context())
	require.Equal(t, provider.ClassUnavailable, refusal(t, err).Class)
	require.NotNil(t, result, "the token lives, and nothing can revoke it")
	require.Equal(t, a.Issued()[0].ExpiresAt.Add(-time.Second), result.Issued.ExpiresAt)
	a.EndFaults()

	a.Set("access_token_expiry", "1s")
	a.Clock.Advance(10 * time.Second)
	result, err = a.open(nil).Check(t.Context())
	require.Equal(t, provider.ClassAmbiguous, refusal(t, err).Class)
	require.Nil(t, result, "the token has ended")
	a.Set("access_token_expiry", "15m")

	a.Set("revoke_route", "yes")
	a.InjectFault(emulator.Fault{Route: "health_summary", Status: http.StatusServiceUnavailable})
	a.Clock.Advance(10 * time.Second)
	result, err = a.hooked(nil).Check(t.Context())
	require.Error(t, err)
	require.Nil(t, result, "the token is revoked")
}

func TestCheck_WrongPath_NamesItsField(t *testing.T) {
	a := newAppliance(t)
	_, err := a.open(map[string]any{"verify_path": "/phoenix/rest/other"}).Check(t.Context())
	require.Equal(t, "verify_path", refusal(t, err).Field)
	_, err = a.open(map[string]any{"token_path": "/phoenix/rest/other"}).Check(t.Context())
	failure := refusal(t, err)
	require.Equal(t, provider.ClassInvalid, failure.Class)
	require.Equal(t, "token_path", failure.Field)
	require.Contains(t, failure.Remedy, "7.5.1")
}
