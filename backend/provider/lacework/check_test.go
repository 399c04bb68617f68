package lacework_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

func TestCheck_Default_IssuesShortestTokenAndWarns(t *testing.T) {
	product := newProduct(t)
	result, err := product.Check(t.Context())
	require.NoError(t, err)
	assert.Contains(t, result.Identity, "admin@")
	assert.Equal(t, true, result.Details["org_admin"])
	require.Len(t, result.Warnings, 1)
	assert.Contains(t, result.Warnings[0], "1m0s")
	issued := product.Issued()
	require.Len(t, issued, 1)
	assert.Equal(t, time.Minute, issued[0].ExpiresAt.Sub(issued[0].IssuedAt))
}

func TestCheck_LifetimeBelowMinimum_UsesDefault(t *testing.T) {
	product := newProduct(t)
	product.Set("minimum_expiry", "300")
	result, err := product.Check(t.Context())
	require.NoError(t, err)
	assert.Contains(t, result.Warnings[0], "1h0m0s")
}

func TestCheck_ProfileUnavailable_FailsForRejectedTokenOnly(t *testing.T) {
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
	t.Run("token rejected", func(t *testing.T) {
		product := newProduct(t)
		product.InjectFault(emulator.Fault{Route: "user_profile", Status: http.StatusUnauthorized})
		_, err := product.Check(t.Context())
		assert.Equal(t, provider.ClassUnauthenticated, provider.ClassOf(err), "%v", err)
	})
}
