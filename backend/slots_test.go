package backend

import (
	"net/http"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/storagetest"
)

// The vendor reports that the credentials do not exist any more, as after a reboot of the device.
func TestSlots_CredentialsFoundDead_AreFreeAtOnce(t *testing.T) {
	for _, sharing := range []string{"exclusive", "shared"} {
		t.Run(sharing, func(t *testing.T) {
			m := newMount(t)
			m.clock.endWaits()
			m.configure("ftd", map[string]any{"ttl": "1h", "sharing": sharing})
			m.writeConfig("ftd", map[string]any{"max_credentials": 1})
			leased := m.read("ftd")
			_, err := m.vendors.Do("ftd", "end_sessions", nil)
			require.NoError(t, err)
			ended, err := m.backend.credentials.Recheck(t.Context(), m.storage, "ftd", m.config("ftd"))
			require.NoError(t, err)
			require.Equal(t, 1, ended)
			shown := m.inventory("ftd")
			require.Equal(t, "revoking", shown["state"])
			require.Equal(t, false, shown["occupies_slot"])
			next := m.read("ftd")
			require.NotEqual(t, leased.data["token"], next.data["token"])
			_, err = m.renew(leased, 0)
			require.ErrorContains(t, err, "read a new one")
			m.runPeriodic()
			require.Len(t, m.ledgerOf("ftd"), 1, "the vendor has confirmed the end")
			require.NoError(t, m.revoke(leased))
			require.NoError(t, m.revoke(next))
			require.Empty(t, m.ledgerOf("ftd"))
		})
	}
}

func TestSlots_Limit_NamesTheEndOfALease(t *testing.T) {
	for _, sharing := range []string{"exclusive", "shared"} {
		t.Run(sharing, func(t *testing.T) {
			m := newMount(t)
			m.writeConfig("ftd", map[string]any{"max_credentials": 1})
			m.must(logical.UpdateOperation, "roles/first", map[string]any{"config": "ftd", "ttl": "20m", "max_ttl": "4h", "sharing": sharing})
			m.must(logical.UpdateOperation, "roles/second", map[string]any{"config": "ftd", "ttl": "10m"})
			leased := m.read("first")
			m.clock.Advance(10 * time.Minute)
			_, err := m.renew(leased, 0)
			require.NoError(t, err)
			end := m.inventory("ftd")["lease_expires_at"].(string)
			at, err := time.Parse(time.RFC3339, end)
			require.NoError(t, err)
			require.InDelta(t, 20*time.Minute, at.Sub(m.clock.Now()), float64(5*time.Second), "the renewed end of the lease")
			m.rejected(http.StatusConflict, logical.ReadOperation, "creds/second", nil, "1 of 1 credentials of the config", "free at "+end)
			m.restart()
			m.rejected(http.StatusConflict, logical.ReadOperation, "creds/second", nil, "free at "+end)
		})
	}
}

func TestSlots_FailedRevocation_NamesTheNextAttempt(t *testing.T) {
	m := newMount(t)
	m.writeConfig("ftd", map[string]any{"max_credentials": 1, "max_retries": 0})
	m.must(logical.UpdateOperation, "roles/ftd", map[string]any{"config": "ftd", "ttl": "1h"})
	leased := m.read("ftd")
	m.fault(emulator.Fault{Vendor: "ftd", Route: "revoke_token", Status: http.StatusInternalServerError, Times: 1})
	require.Error(t, m.revoke(leased))
	next := m.inventory("ftd")["next_attempt_at"].(string)
	m.rejected(http.StatusConflict, logical.ReadOperation, "creds/ftd", nil, "free at "+next)
}

func TestSlots_RoleLimit_LeavesTheOthersTheirShare(t *testing.T) {
	for _, vendor := range []string{"ftd", "trend"} {
		t.Run(vendor, func(t *testing.T) {
			m := newMount(t)
			m.writeConfig(vendor, map[string]any{"max_credentials": 3})
			role := roleData(vendor, map[string]any{"config": vendor})
			m.must(logical.UpdateOperation, "roles/other", role)
			role["max_credentials"] = 2
			m.must(logical.UpdateOperation, "roles/greedy", role)
			require.Equal(t, 2, m.must(logical.ReadOperation, "roles/greedy", nil).Data["max_credentials"])

			first := m.read("greedy")
			m.read("greedy")
			m.rejected(http.StatusConflict, logical.ReadOperation, "creds/greedy", nil, `2 of 2 credentials of role "greedy"`, "max_credentials")
			m.read("other")
			m.rejected(http.StatusConflict, logical.ReadOperation, "creds/other", nil, "3 of 3 credentials of the config")
			m.restart()
			m.rejected(http.StatusConflict, logical.ReadOperation, "creds/greedy", nil, `2 of 2 credentials of role "greedy"`)
			require.NoError(t, m.revoke(first))
			m.read("greedy")
		})
	}
}

func TestRole_MaxCredentials_IsCheckedAndEndsNoSharing(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", map[string]any{"sharing": "shared"})
	m.rejected(http.StatusBadRequest, logical.UpdateOperation, "roles/ftd", map[string]any{"max_credentials": -1}, "max_credentials")
	before := m.read("ftd")
	m.must(logical.UpdateOperation, "roles/ftd", map[string]any{"max_credentials": 1, "max_wait": "5s"})
	require.Equal(t, before.data["token"], m.read("ftd").data["token"])
	m.must(logical.UpdateOperation, "roles/ftd", map[string]any{"ttl": "20m", "max_wait": 0})
	m.rejected(http.StatusConflict, logical.ReadOperation, "creds/ftd", nil, `role "ftd"`)
}

// While the vendor does not answer, a further attempt to revoke is refused without a storage write.
func TestRevoke_BreakerOpen_WritesNothing(t *testing.T) {
	for vendor, route := range revokeRoutes {
		t.Run(vendor, func(t *testing.T) {
			m := newMount(t)
			m.keepBreakersOpen()
			m.writeConfig(vendor, map[string]any{"max_retries": 0})
			m.must(logical.UpdateOperation, "roles/"+vendor, roleData(vendor, map[string]any{"config": vendor}))
			leased := m.read(vendor)
			m.fault(emulator.Fault{Vendor: vendor, Route: route, DropBefore: true})
			for range 5 {
				require.Error(t, m.revoke(leased))
			}
			storage := storagetest.Wrap(m.storage)
			for range 20 {
				require.Error(t, m.revokeOn(storage, leased))
			}
			require.Zero(t, storage.Count(storagetest.Writes...))
		})
	}
}
