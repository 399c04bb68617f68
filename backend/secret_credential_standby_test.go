package backend

import (
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"
)

// A standby cannot write the ledger, and must not call a vendor. Vault forwards the request.
func TestStandby_RenewAndRevoke_AreForwarded(t *testing.T) {
	for name, state := range map[string]consts.ReplicationState{
		"performance standby": consts.ReplicationPerformanceStandby, "DR secondary": consts.ReplicationDRSecondary,
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			m.configure("trend", trendRotation.role)
			held := m.read("trend")
			requests := len(m.vendors.Requests("trend"))
			m.system.ReplicationStateVal = state
			_, err := m.renew(held, time.Hour)
			require.ErrorIs(t, err, logical.ErrReadOnly)
			require.ErrorIs(t, m.revoke(held), logical.ErrReadOnly)
			require.Len(t, m.vendors.Requests("trend"), requests)

			m.system.ReplicationStateVal = 0
			require.NoError(t, m.revoke(held))
		})
	}
}
