package providertest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// Refusal demands that err is the error that the contract promises, and returns it.
func Refusal(t testing.TB, err error) *provider.Error {
	t.Helper()
	require.Error(t, err)
	failure, ok := err.(*provider.Error) //nolint:errorlint // the contract promises this very type
	require.True(t, ok, "%T is not the error of the contract: %v", err, err)
	return failure
}

// RequireClass demands that err is the error that the contract promises, of that class, and returns it.
func RequireClass(t testing.TB, class provider.Class, err error) *provider.Error {
	t.Helper()
	failure := Refusal(t, err)
	require.Equal(t, class.String(), failure.Class.String(), failure.Error())
	return failure
}
