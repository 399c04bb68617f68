package trend_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

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
