package providertest

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// refusedRoot returns the class of a refused root credential in this variant.
func (e *env) refusedRoot() provider.Class {
	if e.variant.RefusedRoot != provider.ClassUnknown {
		return e.variant.RefusedRoot
	}
	return provider.ClassUnauthenticated
}

// rootRequests returns the number of requests that carry the root credential. Without a login, all do.
func (e *env) rootRequests() int {
	if e.suite.Login == "" {
		return e.Requested()
	}
	return e.Requested(e.suite.Login)
}

// openWrong returns a connection whose root credential the vendor refuses.
func (e *env) openWrong() provider.Connection {
	for name, value := range e.suite.WrongRoot {
		if schema := e.provider.ConfigFields()[name]; schema.DisplayAttrs != nil && schema.DisplayAttrs.Sensitive {
			e.addSecret(fmt.Sprint(value))
		}
	}
	return e.open(func(config *provider.Config) { *config = e.config(e.suite.WrongRoot) })
}

// checkTests prove the statements about Check.
var checkTests = []test{
	{name: "Check_ReturnsIdentity", run: func(t *testing.T, e *env) {
		result, err := e.open().Check(t.Context())
		require.NoError(t, e.checkErr(err))
		assert.NotEmpty(t, result.Identity)
		_ = e.checkErr(fmt.Errorf("%+v", result)) // the result must not hold a secret
	}},
	{name: "Check_CreatedCredential_IsReported", run: func(t *testing.T, e *env) {
		result, err := e.open().Check(t.Context())
		require.NoError(t, e.checkErr(err))
		if e.Live(emulator.KindLeased) == 0 {
			assert.Nil(t, result.Issued)
			return
		}
		assert.True(t, e.provider.Capabilities().CheckIssues)
		require.NotNil(t, result.Issued)
		assert.True(t, e.works(result.Issued))
		assert.True(t, result.Issued.ExpiresAt.After(e.Clock.Now()))
		assert.NotEmpty(t, result.Issued.Handle)
	}},
	{name: "Check_Repeated_LeavesOneLogin", needs: needsLogin, run: func(t *testing.T, e *env) {
		connection := e.open()
		for range 3 {
			_, err := connection.Check(t.Context())
			require.NoError(t, e.checkErr(err))
			assert.Equal(t, 1, e.Live(emulator.KindLogin))
		}
		logins := 3 // each check performs a real login
		if e.suite.ChecksReuseLogin {
			logins = 1
		}
		assert.Equal(t, logins, e.Requested(e.suite.Login))
		e.issue(connection)
		assert.Equal(t, logins, e.Requested(e.suite.Login), "the connection uses the login of the check")
	}},
	{name: "Check_LiveCredential_StaysValid", needs: needsRevoker, run: func(t *testing.T, e *env) {
		if e.variant.LoginOwnsCredentials {
			t.Skip("the vendor ends credentials together with their login")
		}
		connection := e.open()
		credential := e.issue(connection)
		_, err := connection.Check(t.Context())
		require.NoError(t, e.checkErr(err))
		assert.True(t, e.works(credential))
	}},
	{name: "Check_WrongRoot_IsSentOnce", run: func(t *testing.T, e *env) {
		_, err := e.openWrong().Check(t.Context())
		assert.Equal(t, e.refusedRoot(), provider.ClassOf(e.checkErr(err)), "%v", err)
		if e.refusedRoot() == provider.ClassUnauthenticated {
			assert.Equal(t, 1, e.rootRequests(), "another attempt may lock the account")
		}
	}},
	{name: "Check_Unreachable_IsUnavailable", once: true, run: func(t *testing.T, e *env) {
		_, err := e.open(func(config *provider.Config) { config.Address = closedPort(t) }).Check(t.Context())
		assert.Equal(t, provider.ClassUnavailable, provider.ClassOf(e.checkErr(err)), "%v", err)
	}},
	{name: "Check_CanceledContext_IsReturned", once: true, run: func(t *testing.T, e *env) {
		_, err := e.open().Check(canceled(t))
		require.ErrorIs(t, e.checkErr(err), context.Canceled)
	}},
}
