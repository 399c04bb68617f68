package trend_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// Ids are small numbers, and each tenant has its own: the management key may belong to another one now.
func TestRevoke_IDBelongsToAnotherKey_DeletesNothing(t *testing.T) {
	m := newManager(t)
	conn := m.open(m.root())
	strangers := m.issue(conn)
	live := m.live("leased")
	ours := json.RawMessage(fmt.Sprintf(`{"v":1,"id":%d,"name":"vault-ours"}`, strangers.Data["api_key_id"]))

	failure := refusal(t, conn.Revoke(t.Context(), ours))
	require.Equal(t, provider.ClassInvalid, failure.Class)
	require.Equal(t, live, m.live("leased"))

	_, err := conn.Renew(t.Context(), ours, hour(nil).Lifetime)
	require.Equal(t, provider.ClassInvalid, refusal(t, err).Class)
	require.NoError(t, conn.Revoke(t.Context(), strangers.Handle))
	require.Equal(t, live-1, m.live("leased"))
}
