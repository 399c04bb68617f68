package lacework_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	twin "github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/lacework"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/lacework"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
)

// product is an emulated account and a connection to it.
type product struct {
	*providertest.Instance
	provider.Connection
}

func newProduct(t *testing.T) product {
	t.Helper()
	served := providertest.StartInstance(t, twin.New())
	connection, err := lacework.New().Open(served.Config(lacework.New(), nil))
	require.NoError(t, err)
	t.Cleanup(connection.Close)
	return product{served, connection}
}

func request(role map[string]any) provider.IssueRequest {
	return provider.IssueRequest{
		Marker: "va-edge-reader-1", Lifetime: time.Hour,
		Role: &framework.FieldData{Raw: role, Schema: lacework.New().RoleFields()},
	}
}

func TestIssue_HintsAreTheHeadersToSend(t *testing.T) {
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

func TestIssue_RateLimitReadsTheVendorsHeader(t *testing.T) {
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

func TestIssue_RefusedKeys(t *testing.T) {
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

func TestIssue_TokenThatHasEndedAlreadyIsNotHandedOut(t *testing.T) {
	product := newProduct(t)
	product.InjectFault(emulator.Fault{Route: "access_token", Status: 201, Body: new(`{"token":"_x","expiresAt":"2001-01-01T00:00:00.000Z"}`)})
	_, err := product.Issue(t.Context(), request(nil))
	assert.Equal(t, provider.ClassUnavailable, provider.ClassOf(err), "%v", err)
}

func TestCheck_MintsTheShortestTokenAndSaysSo(t *testing.T) {
	product := newProduct(t)
	result, err := product.Check(t.Context())
	require.NoError(t, err)
	assert.Contains(t, result.Identity, "admin@")
	assert.Equal(t, true, result.Details["org_admin"])
	require.Len(t, result.Warnings, 1)
	assert.Contains(t, result.Warnings[0], "1m0s")
	minted := product.Issued()
	require.Len(t, minted, 1)
	assert.Equal(t, time.Minute, minted[0].ExpiresAt.Sub(minted[0].IssuedAt))
}

func TestCheck_FallsBackToTheDefaultLife(t *testing.T) {
	product := newProduct(t)
	product.Set("minimum_expiry", "300")
	result, err := product.Check(t.Context())
	require.NoError(t, err)
	assert.Contains(t, result.Warnings[0], "1h0m0s")
}

func TestCheck_ProfileIsACourtesy(t *testing.T) {
	t.Run("no content", func(t *testing.T) {
		product := newProduct(t)
		product.Set("user_profile", "no_content")
		result, err := product.Check(t.Context())
		require.NoError(t, err)
		assert.Equal(t, product.Root()["key_id"], result.Identity)
	})
	t.Run("forbidden", func(t *testing.T) {
		product := newProduct(t)
		product.InjectFault(emulator.Fault{Route: "user_profile", Status: http.StatusForbidden})
		result, err := product.Check(t.Context())
		require.NoError(t, err)
		assert.Len(t, result.Warnings, 2)
	})
	t.Run("token refused", func(t *testing.T) {
		product := newProduct(t)
		product.InjectFault(emulator.Fault{Route: "user_profile", Status: http.StatusUnauthorized})
		_, err := product.Check(t.Context())
		assert.Equal(t, provider.ClassUnauthenticated, provider.ClassOf(err), "%v", err)
	})
}

func TestOpen_KeysThatCannotStandInAHeaderAreRefused(t *testing.T) {
	driver := lacework.New()
	for _, field := range []string{"key_id", "secret_key"} {
		raw := map[string]any{"key_id": "ACME_1", "secret_key": "_s"}
		raw[field] = "with\nnewline"
		_, err := driver.Open(provider.Config{
			Address: "acme", Fields: &framework.FieldData{Raw: raw, Schema: driver.ConfigFields()},
		})
		assert.Equal(t, field, providertest.Refusal(t, err).Field)
	}
}
