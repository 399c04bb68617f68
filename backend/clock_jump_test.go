package backend

import (
	"maps"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/lease"
)

// steppedClock is a clock that also measures the time that passes: Advance moves the wall clock only.
type steppedClock struct {
	*clock
	elapsed time.Duration
}

func (c *steppedClock) Elapsed() time.Duration { return c.elapsed }

// newMountWithOwnClock is a mount whose clock is not the vendors'.
func newMountWithOwnClock(t *testing.T) *mount {
	return newMountOn(t, emulator.Config{Seed: 1, Now: time.Now})
}

// roleData are the fields that a vendor's role needs.
func roleData(vendor string, more map[string]any) map[string]any {
	data := map[string]any{"ttl": "10m"}
	if vendor == "trend" {
		data["role_name"] = "Auditor"
	}
	maps.Copy(data, more)
	return data
}

// revokeRoutes are the operations by which the vendors end a credential.
var revokeRoutes = map[string]string{"ftd": "revoke_token", "trend": "deleteApiKey", "fortianalyzer": "exec /sys/logout"}

func TestClock_AheadForAMinute_LosesNothing(t *testing.T) {
	for _, vendor := range []string{"ftd", "trend", "fortianalyzer", "lacework"} {
		for _, sharing := range []string{"exclusive", "shared"} {
			t.Run(vendor+" "+sharing, func(t *testing.T) {
				m := newMountWithOwnClock(t)
				m.configure(vendor, roleData(vendor, map[string]any{"sharing": sharing}))
				stepped := &steppedClock{clock: m.clock}
				m.backend.credentials.Clock = stepped
				m.runPeriodic()
				stepped.elapsed += 2 * lease.ClockSettle
				m.clock.Advance(2 * lease.ClockSettle)
				m.runPeriodic()
				leased := m.read(vendor)
				live := len(m.leased(vendor))
				stepped.elapsed += time.Minute
				m.clock.Advance(24*time.Hour + time.Minute)
				m.runPeriodic()
				require.Len(t, m.leased(vendor), live, "a live lease holds it")
				require.Len(t, m.ledgerOf(vendor), 1)

				m.clock.Advance(-24 * time.Hour)
				require.NoError(t, m.revoke(leased))
				if vendor != "lacework" {
					require.Empty(t, m.leased(vendor))
					require.Empty(t, m.ledgerOf(vendor))
				}
			})
		}
	}
}

// An operator tidies while the clock is ahead. A jump makes every lease look lost.
func TestClock_AheadDuringTidy_LosesNothing(t *testing.T) {
	for vendor := range revokeRoutes {
		for _, sharing := range []string{"exclusive", "shared"} {
			t.Run(vendor+" "+sharing, func(t *testing.T) {
				m := newMountWithOwnClock(t)
				m.configure(vendor, roleData(vendor, map[string]any{"sharing": sharing}))
				stepped := &steppedClock{clock: m.clock}
				m.backend.credentials.Clock = stepped
				leased := m.read(vendor)
				m.runPeriodic()
				m.clock.Advance(24 * time.Hour)
				report := m.must(logical.UpdateOperation, "config/"+vendor+"/tidy", nil)
				require.Equal(t, 0, report.Data["revoked"])
				require.Len(t, m.leased(vendor), 1)

				m.clock.Advance(-24 * time.Hour)
				m.must(logical.UpdateOperation, "config/"+vendor+"/tidy", nil)
				require.Len(t, m.leased(vendor), 1)
				require.NoError(t, m.revoke(leased))
				require.Empty(t, m.leased(vendor))
				require.Empty(t, m.ledgerOf(vendor))
			})
		}
	}
}

// A wrong clock is not noticed in a process that knows no other. The vendor is asked all the same.
func TestClock_AheadUnnoticed_AsksTheVendorBeforeDeletion(t *testing.T) {
	for vendor, route := range revokeRoutes {
		t.Run(vendor, func(t *testing.T) {
			m := newMountWithOwnClock(t)
			m.writeConfig(vendor, map[string]any{"max_retries": 0})
			role := roleData(vendor, map[string]any{"config": vendor})
			m.must(logical.UpdateOperation, "roles/"+vendor, role)
			leased := m.read(vendor)
			m.fault(emulator.Fault{Vendor: vendor, Route: route, DropBefore: true})
			m.clock.Advance(24 * time.Hour)
			m.runPeriodic()
			require.Len(t, m.leased(vendor), 1)
			require.Len(t, m.ledgerOf(vendor), 1, "the vendor has not confirmed")
			m.vendors.ClearFaults(vendor)
			m.clock.Advance(-24 * time.Hour)
			require.NoError(t, m.revoke(leased))
			require.Empty(t, m.leased(vendor))
			require.Empty(t, m.ledgerOf(vendor))
		})
	}
}

func TestClock_SetBack_RetriesWithinTheLongestPause(t *testing.T) {
	for vendor, route := range revokeRoutes {
		for _, offset := range []time.Duration{time.Hour, 24 * time.Hour, 365 * 24 * time.Hour} {
			t.Run(vendor+" "+offset.String(), func(t *testing.T) {
				m := newMountWithOwnClock(t)
				m.clock.Advance(offset)
				m.writeConfig(vendor, map[string]any{"max_retries": 0})
				m.must(logical.UpdateOperation, "roles/"+vendor, roleData(vendor, map[string]any{"config": vendor}))
				leased := m.read(vendor)
				m.fault(emulator.Fault{Vendor: vendor, Route: route, DropBefore: true, Times: 1})
				require.Error(t, m.revoke(leased))
				m.clock.Advance(-offset)
				m.wait(int(lease.MaxRetryPause / time.Minute))
				require.Empty(t, m.leased(vendor))
				require.Empty(t, m.ledgerOf(vendor))
			})
		}
	}
}

// The age of a credential that cannot be revoked proves its end only by a clock that has moved evenly.
func TestClock_JumpedAhead_UnrevocableEntryIsKept(t *testing.T) {
	m := newMountWithOwnClock(t)
	m.configure("lacework", nil)
	stepped := &steppedClock{clock: m.clock}
	m.backend.credentials.Clock = stepped
	m.runPeriodic()
	require.NoError(t, m.revoke(m.read("lacework")))
	m.clock.Advance(24 * time.Hour)
	m.runPeriodic()
	require.Len(t, m.ledgerOf("lacework"), 1)
	for range int(lease.ClockSettle/time.Minute) + 1 {
		stepped.elapsed += time.Minute
		m.clock.Advance(time.Minute)
		m.runPeriodic()
	}
	require.Empty(t, m.ledgerOf("lacework"), "the time has really passed")
}
