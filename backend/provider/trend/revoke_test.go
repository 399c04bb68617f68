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

// Ids are small numbers, and each tenant has its own: the management key may belong to another one now.
func TestRevoke_IDBelongsToAnotherKey_DeletesNothing(t *testing.T) {
	m := newManager(t)
	conn := m.open(m.rootKey())
	strangers := m.issue(conn)
	live := m.Live("leased")
	ours := json.RawMessage(fmt.Sprintf(`{"v":1,"id":%d,"name":"vault-ours"}`, strangers.Data["api_key_id"]))

	failure := refusal(t, conn.Revoke(t.Context(), ours))
	require.Equal(t, provider.ClassInvalid, failure.Class)
	require.Equal(t, live, m.Live("leased"))

	_, err := conn.Renew(t.Context(), ours, hour(nil).Lifetime)
	require.Equal(t, provider.ClassInvalid, refusal(t, err).Class)
	require.NoError(t, conn.Revoke(t.Context(), strangers.Handle))
	require.Equal(t, live-1, m.Live("leased"))
}

// A proxy in front of the manager answers in its place.
func TestRevoke_ManagerNeverHeardIt_IsNotBelieved(t *testing.T) {
	html, empty := "<html>not found</html>", "{}"
	for name, fault := range map[string]emulator.Fault{
		"404":               {Status: http.StatusNotFound},
		"404, an HTML page": {Status: http.StatusNotFound, Body: &html},
		"200, an object":    {Status: http.StatusOK, Body: &empty},
		"204":               {Status: http.StatusNoContent},
	} {
		t.Run(name, func(t *testing.T) {
			m := newManager(t)
			conn := m.open(m.rootKey())
			issued := m.issue(conn)
			fault.Route = "deleteApiKey"
			m.InjectFault(fault)
			require.Error(t, conn.Revoke(t.Context(), issued.Handle))
			require.Equal(t, 1, m.Live("leased"))
		})
	}
}

func TestRevokeMarker_LeavesLookalikesAlone(t *testing.T) {
	m := newManager(t)
	lookalikes := []string{strings.ToUpper(marker), marker + "0", strings.ReplaceAll(marker, "-", "x")}
	for _, name := range append(lookalikes, marker) {
		m.Act("create_key", "name", name)
	}
	require.NoError(t, m.open(m.rootKey()).RevokeMarker(t.Context(), marker))
	for _, credential := range m.Issued() {
		assert.Equal(t, credential.Marker != marker, credential.Live, credential.Marker)
	}
	// Were wildcards on, these would match.
	require.NoError(t, m.open(m.rootKey()).RevokeMarker(t.Context(), "vault_test_reader_1"))
	require.NoError(t, m.open(m.rootKey()).RevokeMarker(t.Context(), "%"))
	assert.Equal(t, 1+len(lookalikes), m.Live(emulator.KindLogin))
}

func TestRevokeMarker_SeveralOfTheName_EndsAll(t *testing.T) {
	m := newManager(t, "duplicate_name", "accept")
	for range 3 {
		m.Act("create_key", "name", marker)
	}
	require.NoError(t, m.open(m.rootKey()).RevokeMarker(t.Context(), marker))
	assert.Equal(t, 1, m.Live(emulator.KindLogin))
}

func TestRevokeMarker_StillListedAfterwards_IsAnError(t *testing.T) {
	m := newManager(t)
	conn := m.open(m.rootKey())
	m.issue(conn)
	m.InjectFault(emulator.Fault{Route: "deleteApiKey", Status: http.StatusNoContent, Body: new("")})
	err := conn.RevokeMarker(t.Context(), marker)
	assert.Equal(t, provider.ClassUnavailable, provider.ClassOf(err), "%v", err)
}

func TestRevoke_404OfAProxy_IsNotTakenForTheKeys(t *testing.T) {
	m := newManager(t)
	conn := m.open(m.rootKey())
	credential := m.issue(conn)
	m.InjectFault(emulator.Fault{Route: emulator.AnyRoute, Status: http.StatusNotFound, Body: new("<html>no such page</html>")})
	failure := refusal(t, conn.Revoke(t.Context(), credential.Handle))
	assert.Equal(t, provider.ClassInvalid, failure.Class)
	assert.Equal(t, "address", failure.Field)
	assert.True(t, m.LastIssued(emulator.KindLeased).Live)
}
