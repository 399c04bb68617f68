package trend_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// revokeRoot asks for the deletion of the emulator's management key.
func (m *manager) revokeRoot(marker string) error {
	return m.open(m.rootFields()).(provider.RootRevoker).RevokeRoot(m.T.Context(), marker)
}

func TestRevokeRoot_OwnKey_IsDeleted(t *testing.T) {
	for name, fault := range map[string]emulator.Fault{
		"answered":             {Route: "createApiKey", Status: http.StatusTeapot},
		"answer lost":          {Route: "deleteApiKey", DropAfter: true},
		"answered by a proxy":  {Route: "deleteApiKey", DropAfter: true, Times: 1},
		"answered as rejected": {Route: "deleteApiKey", DropAfter: true, Times: 2},
	} {
		t.Run(name, func(t *testing.T) {
			m := newManager(t)
			m.InjectFault(fault)
			require.NoError(t, m.revokeRoot("vault-management"))
			require.Zero(t, m.liveNamed("vault-management"))
		})
	}
}

func TestRevokeRoot_ManagerRefuses_IsAnError(t *testing.T) {
	for status, class := range map[string]provider.Class{
		"400": provider.ClassInvalid, "403": provider.ClassForbidden, "409": provider.ClassInvalid,
	} {
		m := newManager(t, "delete_own_key", status)
		require.Equal(t, class, provider.ClassOf(m.revokeRoot("vault-management")), status)
		m.requireRootOnly()
	}
}

func TestRevokeRoot_NotConfirmed_IsAnError(t *testing.T) {
	for name, fault := range map[string]emulator.Fault{
		"not answered":          {Route: "deleteApiKey", DropBefore: true},
		"answered by a proxy":   {Route: "deleteApiKey", Status: http.StatusNoContent},
		"not found by a proxy":  {Route: "deleteApiKey", Status: http.StatusNotFound},
		"no check of the key":   {Route: "describeCurrentApiKey", Skip: 1, Status: http.StatusServiceUnavailable},
		"no check, a lost line": {Route: "describeCurrentApiKey", Skip: 1, DropBefore: true},
	} {
		t.Run(name, func(t *testing.T) {
			m := newManager(t)
			m.InjectFault(fault)
			require.Error(t, m.revokeRoot("vault-management"))
		})
	}
}

func TestRevokeRoot_AnotherName_DeletesNothing(t *testing.T) {
	m := newManager(t)
	require.Equal(t, provider.ClassInvalid, provider.ClassOf(m.revokeRoot(nextMarker)))
	require.Zero(t, m.Requested("deleteApiKey"))
	m.requireRootOnly()
}

func TestRevokeRoot_RejectedKey_IsUnauthenticated(t *testing.T) {
	m := newManager(t)
	require.NoError(t, m.revokeRoot("vault-management"))
	require.Equal(t, provider.ClassUnauthenticated, provider.ClassOf(m.revokeRoot("vault-management")))
}
