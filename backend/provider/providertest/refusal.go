package providertest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// Refusal requires that err is an [*provider.Error], and returns it.
func Refusal(t testing.TB, err error) *provider.Error {
	t.Helper()
	require.Error(t, err)
	failure, ok := err.(*provider.Error) //nolint:errorlint // the contract requires exactly this type
	require.True(t, ok, "the error is a %T, not a *provider.Error: %v", err, err)
	return failure
}

// RequireClass requires that err is an [*provider.Error] of that class, and returns it.
func RequireClass(t testing.TB, class provider.Class, err error) *provider.Error {
	t.Helper()
	failure := Refusal(t, err)
	require.Equal(t, class.String(), failure.Class.String(), failure.Error())
	return failure
}
