package providertest

import (
	"context"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// renewTests prove the statements about Renewer.
var renewTests = []test{
	{name: "Renew_LiveCredential_KeepsOrExtendsExpiry", needs: needsRenewer, run: func(t *testing.T, e *env) {
		connection := e.open()
		credential := e.issue(connection)
		for range 3 {
			e.Clock.Advance(10 * time.Minute)
			end, err := e.renew(connection, credential.Handle)
			require.NoError(t, err)
			assert.True(t, end.After(e.Clock.Now()))
			assert.False(t, end.After(*e.LastIssued(emulator.KindLeased).ExpiresAt), "never later than the vendor's expiry")
			switch e.provider.Capabilities().Renewal {
			case provider.RenewalExtends:
				assert.False(t, end.Before(e.Clock.Now().Add(lifetime)), "extended to at least now plus lifetime")
			case provider.RenewalWithinLife:
				assert.True(t, end.Equal(credential.ExpiresAt), "fixed since the issue")
			case provider.RenewalNone:
			}
		}
		assert.True(t, e.works(credential))
	}},
	{name: "Renew_RevokedCredential_IsNotFound", needs: both(needsRenewer, needsRevoker), run: func(t *testing.T, e *env) {
		connection := e.open()
		credential := e.issue(connection)
		require.NoError(t, e.revoke(connection, credential.Handle))
		_, err := e.renew(connection, credential.Handle)
		assert.Equal(t, provider.ClassNotFound, provider.ClassOf(err), "%v", err)
	}},
	{name: "Renew_ExpiredCredential_IsNotFound", needs: needsRenewer, run: func(t *testing.T, e *env) {
		connection := e.open()
		credential := e.issue(connection)
		e.Clock.Advance(2 * lifetime)
		_, err := e.renew(connection, credential.Handle)
		assert.Equal(t, provider.ClassNotFound, provider.ClassOf(err), "%v", err)
	}},
	{name: "Renew_Unreachable_IsNotNotFound", needs: needsRenewer, run: func(t *testing.T, e *env) {
		connection := e.open()
		credential := e.issue(connection)
		for _, fault := range unreachable {
			e.InjectFault(fault)
			_, err := e.renew(connection, credential.Handle)
			e.EndFaults()
			require.Error(t, err)
			assert.NotEqual(t, provider.ClassNotFound, provider.ClassOf(err), "%v", err)
		}
		_, err := e.renew(connection, credential.Handle)
		require.NoError(t, err, "a renewal succeeds afterwards")
	}},
	{name: "Renew_NotFound_MeansCredentialEnded", needs: needsRenewer, run: func(t *testing.T, e *env) {
		credential := e.issue(e.open())
		e.checkRevocation(credential, func(connection provider.Connection) bool {
			_, err := e.renew(connection, credential.Handle)
			return provider.ClassOf(err) == provider.ClassNotFound
		})
	}},
	{name: "Renew_CanceledContext_IsReturned", needs: needsRenewer, run: func(t *testing.T, e *env) {
		connection := e.open()
		credential := e.issue(connection)
		_, err := connection.(provider.Renewer).Renew(canceled(t), credential.Handle, lifetime)
		require.ErrorIs(t, e.checkErr(err), context.Canceled)
	}},
	{name: "Renew_InvalidHandle_IsAnErrorWithoutCall", needs: needsRenewer, run: func(t *testing.T, e *env) {
		connection := e.open()
		for _, handle := range badHandles {
			_, err := e.renew(connection, json.RawMessage(handle))
			require.Error(t, err)
			assert.NotEqual(t, provider.ClassNotFound, provider.ClassOf(err), "the engine would delete its ledger entry: %v", err)
		}
		assert.Zero(t, e.Requested())
	}},
}

// unreachable are faults with which every request fails.
var unreachable = []emulator.Fault{
	{Route: emulator.AnyRoute, DropBefore: true},
	{Route: emulator.AnyRoute, Status: 500},
	{Route: emulator.AnyRoute, Status: 503},
	{Route: emulator.AnyRoute, Status: 429},
	{Route: emulator.AnyRoute, Truncate: true},
}

// refusals are statuses with which a vendor does not answer every request, but with which a server at a wrong address or
// a proxy does, or the vendor after a change of the root credential. None of them proves that a credential has ended.
var refusals = []int{400, 401, 403, 404, 408, 409, 410, 422}

// checkRevocation calls act while every request is refused, and again with a wrong root credential. If act reports that
// the credential is gone, the credential must not work.
func (e *env) checkRevocation(credential *provider.Credential, act func(provider.Connection) (gone bool)) {
	e.t.Helper()
	for _, status := range refusals {
		if slices.Contains(e.suite.Gone, status) {
			continue
		}
		connection := e.open()
		e.InjectFault(emulator.Fault{Route: emulator.AnyRoute, Status: status})
		gone := act(connection)
		e.EndFaults()
		require.False(e.t, gone && e.works(credential), "status %d is no proof that the credential has ended", status)
	}
	connection := e.open()
	e.InjectFault(emulator.Fault{Route: emulator.AnyRoute, Body: new("<!DOCTYPE html><html><body>Log in here</body></html>")})
	gone := act(connection)
	e.EndFaults()
	require.False(e.t, gone && e.works(credential), "a login page is no proof that the credential has ended")
	e.sessions = &Sessions{}
	gone = act(e.openWrong())
	require.False(e.t, gone && e.works(credential), "a refused root credential is no proof that the credential has ended")
}

// badHandles are not valid for any vendor.
var badHandles = []string{"", "null", "{}", "[]", `"x"`, `{"v":999,"token":"x","id":"1"}`, `{"v":1}`}

// both reports whether one and other apply.
func both(one, other func(*Suite, provider.Capabilities) bool) func(*Suite, provider.Capabilities) bool {
	return func(s *Suite, c provider.Capabilities) bool { return one(s, c) && other(s, c) }
}

// revokeTests prove the statements about Revoker.
var revokeTests = []test{
	{name: "Revoke_LiveCredential_IsEnded", needs: needsRevoker, run: func(t *testing.T, e *env) {
		connection := e.open()
		credential := e.issue(connection)
		require.NoError(t, e.revoke(connection, credential.Handle))
		assert.False(t, e.works(credential))
		assert.Equal(t, emulator.EndedRevoked, e.LastIssued(emulator.KindLeased).EndedBy)
	}},
	{name: "Revoke_OtherCredential_StaysValid", needs: needsRevoker, run: func(t *testing.T, e *env) {
		connection := e.open()
		one, other := e.issue(connection), e.issue(connection)
		require.NoError(t, e.revoke(connection, one.Handle))
		assert.True(t, e.works(other))
	}},
	{name: "Revoke_Twice_Succeeds", needs: needsRevoker, run: func(t *testing.T, e *env) {
		connection := e.open()
		credential := e.issue(connection)
		require.NoError(t, e.revoke(connection, credential.Handle))
		require.NoError(t, e.revoke(connection, credential.Handle))
	}},
	{name: "Revoke_Concurrently_Succeeds", needs: needsRevoker, run: func(t *testing.T, e *env) {
		connection := e.open()
		credential := e.issue(connection)
		var group errgroup.Group
		for range 5 {
			group.Go(func() error { return e.revoke(connection, credential.Handle) })
		}
		require.NoError(t, group.Wait())
		assert.False(t, e.works(credential))
	}},
	{name: "Revoke_AfterExpiry_Succeeds", needs: needsRevoker, run: func(t *testing.T, e *env) {
		connection := e.open()
		credential := e.issue(connection)
		e.Clock.Advance(2 * lifetime)
		require.NoError(t, e.revoke(connection, credential.Handle))
	}},
	{name: "Revoke_LostAnswer_IsAnErrorAndCanBeRepeated", needs: needsRevoker, run: func(t *testing.T, e *env) {
		connection := e.open()
		credential := e.issue(connection)
		e.InjectFault(emulator.Fault{Route: emulator.AnyRoute, DropAfter: true})
		require.Error(t, e.revoke(connection, credential.Handle), "a lost answer is no confirmation")
		e.EndFaults()
		require.NoError(t, e.revoke(connection, credential.Handle))
		assert.False(t, e.works(credential))
	}},
	{name: "Revoke_Unreachable_IsAnError", needs: needsRevoker, run: func(t *testing.T, e *env) {
		connection := e.open()
		credential := e.issue(connection)
		for _, fault := range unreachable[:4] {
			e.InjectFault(fault)
			require.Error(t, e.revoke(connection, credential.Handle))
			e.EndFaults()
			require.True(t, e.works(credential), "nothing was revoked")
		}
		require.NoError(t, e.revoke(connection, credential.Handle))
	}},
	{name: "Revoke_Success_MeansCredentialEnded", needs: needsRevoker, run: func(t *testing.T, e *env) {
		credential := e.issue(e.open())
		e.checkRevocation(credential, func(connection provider.Connection) bool {
			return e.revoke(connection, credential.Handle) == nil
		})
	}},
	{name: "Revoke_AfterRestart_UsesStoredHandleAndLogin", needs: needsRevoker, run: func(t *testing.T, e *env) {
		first := e.open()
		credential := e.issue(first)
		first.Close()
		// The handle passes through the storage.
		stored, err := json.Marshal(map[string]json.RawMessage{"handle": credential.Handle})
		require.NoError(t, err)
		var loaded map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(stored, &loaded))
		logins := e.Requested(e.suite.Login)
		require.NoError(t, e.revoke(e.open(), loaded["handle"]))
		assert.False(t, e.works(credential))
		if e.suite.Login != "" {
			assert.Equal(t, logins, e.Requested(e.suite.Login), "the connection uses the stored login")
		}
	}},
	{name: "Revoke_CanceledContext_IsReturned", needs: needsRevoker, run: func(t *testing.T, e *env) {
		connection := e.open()
		credential := e.issue(connection)
		err := connection.(provider.Revoker).Revoke(canceled(t), credential.Handle)
		require.ErrorIs(t, e.checkErr(err), context.Canceled)
		assert.True(t, e.works(credential))
	}},
	{name: "Revoke_InvalidHandle_IsAnErrorWithoutCall", needs: needsRevoker, run: func(t *testing.T, e *env) {
		connection := e.open()
		for _, handle := range badHandles {
			require.Error(t, e.revoke(connection, json.RawMessage(handle)))
		}
		assert.Zero(t, e.Requested())
	}},
}

// markerTests prove the statements about MarkerRevoker.
var markerTests = []test{
	{name: "RevokeMarker_LiveCredential_IsEnded", needs: needsMarker, run: func(t *testing.T, e *env) {
		connection := e.open()
		request := e.request()
		credential, err := e.tryIssue(connection, request)
		require.NoError(t, err)
		other := e.issue(connection)
		require.NoError(t, e.revokeMarker(connection, request.Marker))
		assert.False(t, e.works(credential))
		assert.True(t, e.works(other))
		require.NoError(t, e.revokeMarker(connection, request.Marker), "a repeated call succeeds")
	}},
	{name: "RevokeMarker_UnknownMarker_SucceedsAndFindsNone", needs: needsMarker, run: func(t *testing.T, e *env) {
		connection := e.open()
		credential := e.issue(connection)
		found, err := connection.(provider.MarkerRevoker).RevokeMarker(t.Context(), e.request().Marker)
		require.NoError(t, e.checkErr(err))
		assert.False(t, found)
		assert.True(t, e.works(credential))
	}},
	{name: "RevokeMarker_AfterExpiry_Succeeds", needs: needsMarker, run: func(t *testing.T, e *env) {
		connection := e.open()
		request := e.request()
		_, err := e.tryIssue(connection, request)
		require.NoError(t, err)
		e.Clock.Advance(2 * lifetime)
		require.NoError(t, e.revokeMarker(connection, request.Marker))
	}},
	{name: "RevokeMarker_Unreachable_IsAnError", needs: needsMarker, run: func(t *testing.T, e *env) {
		connection := e.open()
		request := e.request()
		credential, err := e.tryIssue(connection, request)
		require.NoError(t, err)
		for _, fault := range unreachable[:4] {
			e.InjectFault(fault)
			require.Error(t, e.revokeMarker(connection, request.Marker))
			e.EndFaults()
			require.True(t, e.works(credential))
		}
	}},
	{name: "RevokeMarker_Success_MeansCredentialEnded", needs: needsMarker, run: func(t *testing.T, e *env) {
		request := e.request()
		credential, err := e.tryIssue(e.open(), request)
		require.NoError(t, err)
		e.checkRevocation(credential, func(connection provider.Connection) bool {
			return e.revokeMarker(connection, request.Marker) == nil
		})
	}},
	{name: "RevokeMarker_CanceledContext_IsReturned", needs: needsMarker, run: func(t *testing.T, e *env) {
		connection := e.open()
		_, err := connection.(provider.MarkerRevoker).RevokeMarker(canceled(t), e.request().Marker)
		require.ErrorIs(t, e.checkErr(err), context.Canceled)
	}},
}

// loginTests prove the statements about the connection's own login, and those about Logout and Close.
var loginTests = []test{
	{name: "Login_AllOperations_UseOne", needs: needsLogin, run: func(t *testing.T, e *env) {
		connection := e.open()
		for range 2 {
			credential := e.issue(connection)
			require.NoError(t, e.revoke(connection, credential.Handle))
		}
		assert.Equal(t, 1, e.Requested(e.suite.Login))
	}},
	{name: "Login_Expired_IsReplaced", needs: needsLogin, run: func(t *testing.T, e *env) {
		connection := e.open()
		credential := e.issue(connection)
		for range 4 {
			e.Clock.Advance(40 * time.Minute)
			other := e.issue(connection)
			require.NoError(t, e.revoke(connection, other.Handle))
			assert.LessOrEqual(t, e.Live(emulator.KindLogin), 1)
		}
		require.NoError(t, e.revoke(connection, credential.Handle))
	}},
	{name: "Logout_EndsTheLoginOnly", needs: needsLogin, run: func(t *testing.T, e *env) {
		connection := e.open()
		credential := e.issue(connection)
		require.NoError(t, e.checkErr(connection.Logout(t.Context())))
		assert.Zero(t, e.Live(emulator.KindLogin))
		assert.Empty(t, e.sessions.Saved())
		if !e.variant.LoginOwnsCredentials {
			assert.True(t, e.works(credential), "the issued credential stays valid")
		}
	}},
	{name: "Logout_AfterRestart_EndsTheStoredLogin", needs: needsLogin, run: func(t *testing.T, e *env) {
		first := e.open()
		e.issue(first)
		first.Close()
		require.NoError(t, e.checkErr(e.open().Logout(t.Context())))
		assert.Zero(t, e.Live(emulator.KindLogin))
		assert.Equal(t, 1, e.Requested(e.suite.Login))
	}},
	{name: "Logout_Unreachable_IsAnErrorAndCanBeRepeated", needs: needsLogin, run: func(t *testing.T, e *env) {
		connection := e.open()
		e.issue(connection)
		e.InjectFault(emulator.Fault{Route: emulator.AnyRoute, DropBefore: true})
		require.Error(t, e.checkErr(connection.Logout(t.Context())))
		e.EndFaults()
		assert.NotEmpty(t, e.sessions.Saved(), "the login is still stored")
		require.NoError(t, e.checkErr(e.open().Logout(t.Context())))
		assert.Zero(t, e.Live(emulator.KindLogin))
	}},
	{name: "Logout_UnusedSuccessor_KeepsTheLogin", needs: needsLogin, run: func(t *testing.T, e *env) {
		connection := e.open()
		e.issue(connection)
		successor := e.open(asSuccessor)
		require.NoError(t, e.checkErr(successor.Logout(t.Context())))
		assert.Equal(t, 1, e.Live(emulator.KindLogin))
		e.issue(connection)
		assert.Equal(t, 1, e.Requested(e.suite.Login))
	}},
	{name: "Check_Successor_LeavesOneLogin", needs: needsLogin, run: func(t *testing.T, e *env) {
		connection := e.open()
		e.issue(connection)
		successor := e.open(asSuccessor)
		_, err := successor.Check(t.Context())
		require.NoError(t, e.checkErr(err))
		require.NoError(t, e.checkErr(connection.Logout(t.Context())))
		assert.Equal(t, 1, e.Live(emulator.KindLogin))
		e.issue(successor)
		logins := 2 // the check of the successor performs a real login
		if e.suite.ChecksReuseLogin {
			logins = 1
		}
		assert.Equal(t, logins, e.Requested(e.suite.Login))
	}},
	{name: "Close_KeepsTheLogin", needs: needsLogin, run: func(t *testing.T, e *env) {
		connection := e.open()
		e.issue(connection)
		before := e.Requested()
		connection.Close()
		assert.Equal(t, before, e.Requested())
		assert.Equal(t, 1, e.Live(emulator.KindLogin))
		assert.NotEmpty(t, e.sessions.Saved())
	}},
}

// asSuccessor makes a configuration that of a connection that replaces another one.
func asSuccessor(config *provider.Config) {
	config.ConnectionID = "successor"
	config.Predecessor, config.Sessions = config.Sessions, &Sessions{}
}
