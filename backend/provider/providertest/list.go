package providertest

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// markerPrefix is the prefix of the markers of [env.request].
const markerPrefix = "va-edge-"

// lister returns a test of a statement about Lister.
func lister(name string, run func(t *testing.T, e *env)) test {
	return test{name: name, needs: needsMarker, run: func(t *testing.T, e *env) {
		if _, lists := e.open().(provider.Lister); !lists {
			t.Skip("the vendor lists no credentials")
		}
		run(t, e)
	}}
}

// issueMarked issues a credential with a marker.
func (e *env) issueMarked(connection provider.Connection, marker string) *provider.Credential {
	e.t.Helper()
	request := e.request()
	request.Marker = marker
	credential, err := e.tryIssue(connection, request)
	require.NoError(e.t, err)
	return credential
}

// requireListed requires that found are the credentials with these markers: all of them if the vendor lists all.
func (e *env) requireListed(found []provider.Listed, markers ...string) {
	e.t.Helper()
	var names []string
	for _, each := range found {
		names = append(names, each.Marker)
		for _, credential := range e.Issued() {
			if credential.Marker == each.Marker && credential.Live && credential.ExpiresAt != nil {
				assert.False(e.t, each.ExpiresAt.After(*credential.ExpiresAt), "never later than the vendor's expiry")
			}
		}
	}
	if e.suite.ListsAll || e.variant.ListsAll {
		require.ElementsMatch(e.t, markers, names)
		return
	}
	require.Subset(e.t, markers, names)
}

// listTests prove the statements about Lister.
var listTests = []test{
	lister("List_LiveCredentials_AreReturned", func(_ *testing.T, e *env) {
		connection := e.open()
		for _, skew := range []string{"0s", "1h", "-1h"} {
			e.Set(emulator.SwitchClockSkew, skew)
			credential := e.issueMarked(connection, "va-edge-reader-1")
			other := e.issueMarked(connection, "va-edge-writer-1")
			found, err := e.list(connection, markerPrefix)
			require.NoError(e.t, err)
			e.requireListed(found, "va-edge-reader-1", "va-edge-writer-1")
			require.NoError(e.t, e.revoke(connection, credential.Handle))
			require.NoError(e.t, e.revoke(connection, other.Handle))
			found, err = e.list(connection, markerPrefix)
			require.NoError(e.t, err)
			require.Empty(e.t, found, "revoked credentials are not returned")
		}
	}),
	lister("List_OtherPrefixes_AreNotReturned", func(t *testing.T, e *env) {
		connection := e.open()
		e.issueMarked(connection, "va-edge")
		e.issueMarked(connection, "va-edges-reader-1")
		e.issueMarked(connection, "x-va-edge-reader-1")
		found, err := e.list(connection, markerPrefix)
		require.NoError(t, err)
		assert.Empty(t, found)
	}),
	lister("List_ChangesNothing", func(t *testing.T, e *env) {
		connection := e.open()
		credential := e.issueMarked(connection, "va-edge-reader-1")
		before, logins := e.Issued(), e.rootRequests()
		for range 2 {
			_, err := e.list(connection, markerPrefix)
			require.NoError(t, err)
		}
		assert.True(t, e.works(credential))
		assert.Equal(t, before, e.Issued())
		if e.suite.Login != "" {
			assert.Equal(t, logins, e.rootRequests(), "List uses the connection's login")
		}
	}),
	lister("List_ReturnedMarker_CanBeRevoked", func(t *testing.T, e *env) {
		connection := e.open()
		credential := e.issueMarked(connection, "va-edge-reader-1")
		found, err := e.list(connection, markerPrefix)
		require.NoError(t, err)
		for _, each := range found {
			require.NoError(t, e.revokeMarker(connection, each.Marker))
			assert.False(t, e.works(credential))
		}
		found, err = e.list(connection, markerPrefix)
		require.NoError(t, err)
		assert.Empty(t, found)
	}),
	lister("List_Unreachable_IsAnError", func(t *testing.T, e *env) {
		connection := e.open()
		e.issueMarked(connection, "va-edge-reader-1")
		for _, fault := range unreachable {
			e.InjectFault(fault)
			_, err := e.list(connection, markerPrefix)
			e.EndFaults()
			require.Contains(t, []provider.Class{provider.ClassUnavailable, provider.ClassRateLimited}, provider.ClassOf(err), "%v", err)
		}
	}),
	lister("List_RefusedRequest_IsAnError", func(t *testing.T, e *env) {
		connection := e.open()
		e.issueMarked(connection, "va-edge-reader-1")
		for _, status := range refusals {
			e.InjectFault(emulator.Fault{Route: emulator.AnyRoute, Status: status})
			_, err := e.list(connection, markerPrefix)
			e.EndFaults()
			require.Error(t, err, "status %d does not mean that no credential exists", status)
			require.NotEqual(t, provider.ClassUnknown, provider.ClassOf(err), "%v", err)
		}
	}),
	lister("List_WrongRoot_IsRefused", func(t *testing.T, e *env) {
		_, err := e.list(e.openWrong(), markerPrefix)
		assert.Equal(t, e.refusedRoot(), provider.ClassOf(err), "%v", err)
	}),
	lister("List_CanceledContext_IsReturned", func(t *testing.T, e *env) {
		_, err := e.open().(provider.Lister).List(canceled(t), markerPrefix)
		require.ErrorIs(t, e.checkErr(err), context.Canceled)
	}),
	lister("List_InvalidPrefix_IsInvalidWithoutCall", func(t *testing.T, e *env) {
		connection := e.open()
		for _, prefix := range []string{"", "v", "va_", "va%", "VA-", "va edge", "vä"} {
			_, err := e.list(connection, prefix)
			assert.Equal(t, provider.ClassInvalid, provider.ClassOf(err), "%q: %v", prefix, err)
		}
		assert.Zero(t, e.Requested())
	}),
}
