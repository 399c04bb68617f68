package lacework_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
)

func TestIssue_RoleFields_ReturnsHeadersAsHints(t *testing.T) {
	for name, test := range map[string]struct{ role, data map[string]any }{
		"none":        {nil, map[string]any{}},
		"sub-account": {map[string]any{"subaccount": "emea"}, map[string]any{"account_name": "emea"}},
		"org":         {map[string]any{"org_access": true}, map[string]any{"org_access": true}},
		"org off":     {map[string]any{"org_access": false}, map[string]any{}},
	} {
		t.Run(name, func(t *testing.T) {
			product := newProduct(t)
			credential, err := product.Issue(t.Context(), request(test.role))
			require.NoError(t, err)
			assert.Equal(t, test.data, credential.Data)
			assert.Equal(t, "Bearer", credential.TokenType)
			assert.Equal(t, product.Address(), credential.Address)
		})
	}
}

func TestIssue_RateLimited_ReturnsVendorsRetryTime(t *testing.T) {
	product := newProduct(t)
	product.Set("rate_limit", "1")
	product.Set("rate_limit_reset", "next")
	_, err := product.Issue(t.Context(), request(nil))
	require.NoError(t, err)
	_, err = product.Issue(t.Context(), request(nil))
	assert.Equal(t, provider.ClassRateLimited, provider.ClassOf(err), "%v", err)
	assert.Equal(t, time.Hour, provider.RetryAfterOf(err))
	assert.ErrorContains(t, err, "480 requests an hour")
}

func TestIssue_RateLimitReset_CountsUpToOneDay(t *testing.T) {
	for seconds, want := range map[string]time.Duration{
		"0": 0, "1": time.Second, "86400": 24 * time.Hour, "86401": 0, "-1": 0, "soon": 0,
	} {
		product := newProduct(t)
		product.InjectFault(emulator.Fault{
			Route: "access_token", Status: http.StatusTooManyRequests, Header: map[string]string{"RateLimit-Reset": seconds},
		})
		_, err := product.Issue(t.Context(), request(nil))
		assert.Equal(t, want, providertest.RequireClass(t, provider.ClassRateLimited, err).RetryAfter, seconds)
	}
}

func TestIssue_Lifetime_IsAcceptedFromSecondToDay(t *testing.T) {
	product := newProduct(t)
	wanted := request(nil)
	for _, wanted.Lifetime = range []time.Duration{time.Second, 24 * time.Hour} {
		credential, err := product.Issue(t.Context(), wanted)
		require.NoError(t, err)
		assert.Equal(t, wanted.Lifetime, credential.ExpiresAt.Sub(product.Clock.Now()))
	}
	for _, wanted.Lifetime = range []time.Duration{0, time.Second - 1, 24*time.Hour + 1} {
		_, err := product.Issue(t.Context(), wanted)
		assert.Equal(t, "ttl", providertest.RequireClass(t, provider.ClassInvalid, err).Field)
	}
	assert.Len(t, product.Issued(), 2, "the product is not asked for another lifetime")
}

func TestIssue_KeyRejected_ReturnsClassAndRemedy(t *testing.T) {
	for name, test := range map[string]struct {
		switches map[string]string
		status   int
		class    provider.Class
		remedy   string
	}{
		"disabled, 401":   {nil, 401, provider.ClassUnauthenticated, "disabled or deleted"},
		"disabled, 403":   {map[string]string{"disabled_key_status": "403"}, 403, provider.ClassForbidden, "may be disabled"},
		"no such account": {nil, 404, provider.ClassInvalid, "lacework.net"},
	} {
		t.Run(name, func(t *testing.T) {
			product := newProduct(t)
			for name, value := range test.switches {
				product.Set(name, value)
			}
			if test.status == http.StatusNotFound {
				product.InjectFault(emulator.Fault{Route: "access_token", Status: test.status})
			} else {
				product.Act("disable_key")
			}
			_, err := product.Issue(t.Context(), request(nil))
			assert.Contains(t, providertest.RequireClass(t, test.class, err).Remedy, test.remedy)
		})
	}
}

func TestIssue_KeyRejected_IsNotSentAgainInThePause(t *testing.T) {
	product := newProduct(t)
	product.Act("disable_key")
	_, err := product.Issue(t.Context(), request(nil))
	failure := providertest.RequireClass(t, provider.ClassUnauthenticated, err)
	assert.NotErrorIs(t, err, provider.ErrNotSent)
	assert.Positive(t, failure.RetryAfter)
	for range 5 {
		_, err = product.Issue(t.Context(), request(nil))
		require.ErrorIs(t, err, provider.ErrNotSent)
		_, err = product.Check(t.Context())
		require.ErrorIs(t, err, provider.ErrNotSent)
	}
	assert.Equal(t, 1, product.Requested("access_token"))
	product.Clock.Advance(failure.RetryAfter)
	_, err = product.Issue(t.Context(), request(nil))
	require.NotErrorIs(t, err, provider.ErrNotSent)
	assert.Equal(t, 2, product.Requested("access_token"))
}

func TestIssue_UnrecognizedURL_NamesTheAddress(t *testing.T) {
	product := newProduct(t)
	product.InjectFault(emulator.Fault{Route: "access_token", Status: 403, Body: new(`{"message":"Unrecognized url"}`)})
	_, err := product.Issue(t.Context(), request(nil))
	failure := providertest.RequireClass(t, provider.ClassInvalid, err)
	assert.Equal(t, "address", failure.Field)
	assert.Contains(t, failure.Remedy, "<account>.lacework.net")
}

func TestIssue_TokenAlreadyExpired_IsNotReturned(t *testing.T) {
	product := newProduct(t)
	product.InjectFault(emulator.Fault{Route: "access_token", Status: 201, Body: new(`{"token":"_x","expiresAt":"2001-01-01T00:00:00.000Z"}`)})
	_, err := product.Issue(t.Context(), request(nil))
	assert.Equal(t, provider.ClassAmbiguous, provider.ClassOf(err), "%v", err)
}
