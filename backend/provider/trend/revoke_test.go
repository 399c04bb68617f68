package trend_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// IDs are small numbers that are unique only within a tenant. After a change of the management key, the ID can
// be that of an unrelated key in another tenant.
func TestRevoke_IDOfAnotherKey_DeletesNothing(t *testing.T) {
	m := newManager(t)
	conn := m.open(m.rootFields())
	unrelated := m.issue(conn)
	live := m.Live("leased")
	leased := json.RawMessage(fmt.Sprintf(`{"v":1,"id":%d,"name":"vault-ours"}`, unrelated.Data["api_key_id"]))

	failure := providerError(t, conn.Revoke(t.Context(), leased))
	require.Equal(t, provider.ClassInvalid, failure.Class)
	require.Equal(t, live, m.Live("leased"))

	_, err := conn.Renew(t.Context(), leased, hourRequest(nil).Lifetime)
	require.Equal(t, provider.ClassInvalid, providerError(t, err).Class)
	require.NoError(t, conn.Revoke(t.Context(), unrelated.Handle))
	require.Equal(t, live-1, m.Live("leased"))
}

// A proxy in front of the manager answers without passing the request on.
func TestRevoke_ResponseOfAProxy_IsAnError(t *testing.T) {
	html, empty := "<html>not found</html>", "{}"
	for name, fault := range map[string]emulator.Fault{
		"404":               {Status: http.StatusNotFound},
		"404, an HTML page": {Status: http.StatusNotFound, Body: &html},
		"200, an object":    {Status: http.StatusOK, Body: &empty},
		"204":               {Status: http.StatusNoContent},
	} {
		t.Run(name, func(t *testing.T) {
			m := newManager(t)
			conn := m.open(m.rootFields())
			issued := m.issue(conn)
			fault.Route = "deleteApiKey"
			m.InjectFault(fault)
			require.Error(t, conn.Revoke(t.Context(), issued.Handle))
			require.Equal(t, 1, m.Live("leased"))
		})
	}
}

func TestRevokeMarker_SimilarNames_AreKept(t *testing.T) {
	m := newManager(t)
	similar := []string{strings.ToUpper(marker), marker + "0", strings.ReplaceAll(marker, "-", "x")}
	for _, name := range append(similar, marker) {
		m.Act("create_key", "name", name)
	}
	require.NoError(t, errOf(m.open(m.rootFields()).RevokeMarker(t.Context(), marker)))
	for _, credential := range m.Issued() {
		assert.Equal(t, credential.Marker != marker, credential.Live, credential.Marker)
	}
	// With wildcards these would match.
	require.NoError(t, errOf(m.open(m.rootFields()).RevokeMarker(t.Context(), "vault_test_reader_1")))
	require.NoError(t, errOf(m.open(m.rootFields()).RevokeMarker(t.Context(), "%")))
	assert.Equal(t, 1+len(similar), m.Live(emulator.KindLogin))
}

func TestRevokeMarker_SeveralKeys_DeletesAll(t *testing.T) {
	m := newManager(t, "duplicate_name", "accept")
	for range 3 {
		m.Act("create_key", "name", marker)
	}
	found, err := m.open(m.rootFields()).RevokeMarker(t.Context(), marker)
	require.NoError(t, err)
	assert.True(t, found)
	assert.Equal(t, 1, m.Live(emulator.KindLogin))
}

func TestRevokeMarker_ManyOtherKeys_ProveNothing(t *testing.T) {
	for count, class := range map[int]provider.Class{499: 0, 500: provider.ClassUnavailable} {
		m := newManager(t)
		body := `{"apiKeys":[` + strings.Repeat(`{"ID":2,"keyName":"other"},`, count-1) + `{"ID":2,"keyName":"other"}]}`
		m.InjectFault(emulator.Fault{Route: search, Body: &body})
		found, err := m.open(m.rootFields()).RevokeMarker(t.Context(), marker)
		assert.False(t, found)
		if class == 0 {
			require.NoError(t, err)
			continue
		}
		assert.Equal(t, class, providerError(t, err).Class, "a full page can have another one behind it")
	}
}

func TestRevokeMarker_Deletion_IsCheckedByItsStatus(t *testing.T) {
	t.Run("already gone", func(t *testing.T) {
		m := newManager(t)
		conn := m.open(m.rootFields())
		m.issue(conn)
		m.InjectFault(emulator.Fault{Route: "deleteApiKey", Status: http.StatusNotFound, ActBefore: true})
		found, err := conn.RevokeMarker(t.Context(), marker)
		require.NoError(t, err)
		assert.True(t, found)
	})
	t.Run("refused", func(t *testing.T) {
		m := newManager(t)
		conn := m.open(m.rootFields())
		m.issue(conn)
		m.InjectFault(emulator.Fault{Route: "deleteApiKey", Status: http.StatusForbidden})
		failure := providerError(t, errOf(conn.RevokeMarker(t.Context(), marker)))
		assert.Equal(t, provider.ClassForbidden, failure.Class)
		assert.Contains(t, failure.Remedy, "canDeleteApiKeys")
	})
}

func TestRevokeMarker_KeyStillListed_IsUnavailable(t *testing.T) {
	m := newManager(t)
	conn := m.open(m.rootFields())
	m.issue(conn)
	m.InjectFault(emulator.Fault{Route: "deleteApiKey", Status: http.StatusNoContent, Body: new("")})
	err := errOf(conn.RevokeMarker(t.Context(), marker))
	assert.Equal(t, provider.ClassUnavailable, provider.ClassOf(err), "%v", err)
}

func TestRevoke_404OnEveryPath_NamesTheAddress(t *testing.T) {
	m := newManager(t)
	conn := m.open(m.rootFields())
	credential := m.issue(conn)
	m.InjectFault(emulator.Fault{Route: emulator.AnyRoute, Status: http.StatusNotFound, Body: new("<html>no such page</html>")})
	failure := providerError(t, conn.Revoke(t.Context(), credential.Handle))
	assert.Equal(t, provider.ClassInvalid, failure.Class)
	assert.Equal(t, "address", failure.Field)
	assert.True(t, m.LastIssued(emulator.KindLeased).Live)
}

func TestRevoke_LostAnswer_IsConfirmedBySearch(t *testing.T) {
	for _, acted := range []bool{true, false} {
		m := newManager(t)
		conn := m.open(m.rootFields())
		credential := m.issue(conn)
		m.InjectFault(emulator.Fault{Route: "deleteApiKey", DropAfter: acted, DropBefore: !acted})
		err := conn.Revoke(t.Context(), credential.Handle)
		assert.Equal(t, acted, err == nil, "%v", err)
		if !acted {
			assert.Equal(t, provider.ClassUnavailable, provider.ClassOf(err), "%v", err)
			assert.Contains(t, err.Error(), "delete API key")
		}
	}
}
