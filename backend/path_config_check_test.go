package backend

import (
	"net/http"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

// A read of check sends nothing to any vendor, and returns what the last write has found.
func TestCheck_Read_ReturnsTheLastResultWithoutACall(t *testing.T) {
	for _, vendor := range []string{"fortianalyzer", "fortisiem", "ftd", "lacework", "trend"} {
		t.Run(vendor, func(t *testing.T) {
			m := newMount(t)
			m.clock.endWaits()
			m.writeConfig(vendor, nil)
			before := len(m.vendors.Requests(vendor))
			m.requireNoCheck(vendor)
			m.clock.Advance(time.Minute) // FortiSIEM limits how often tokens are requested
			require.Len(t, m.vendors.Requests(vendor), before)

			checked := m.must(logical.UpdateOperation, "config/"+vendor+"/check", nil).Data
			require.Equal(t, "ok", checked["outcome"])
			require.NotEmpty(t, checked["identity"])
			m.requireNow(checked["checked_at"])
			before, live := len(m.vendors.Requests(vendor)), len(m.leased(vendor))
			for range 3 {
				require.Equal(t, checked, m.must(logical.ReadOperation, "config/"+vendor+"/check", nil).Data)
			}
			require.Len(t, m.vendors.Requests(vendor), before)
			require.Len(t, m.leased(vendor), live)
		})
	}
}

func TestCheck_Failed_IsReadAfterwards(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	m.refuse("ftd", "no")
	m.rejected(http.StatusBadRequest, logical.UpdateOperation, "config/ftd/check", nil, vendorWords)
	read := m.must(logical.ReadOperation, "config/ftd/check", nil).Data
	require.Equal(t, "invalid", read["outcome"])
	require.Contains(t, read["error"], vendorWords)
	require.Empty(t, read["identity"])

	m.vendors.ClearFaults("ftd")
	m.must(logical.UpdateOperation, "config/ftd/check", nil)
	require.Equal(t, "ok", m.must(logical.ReadOperation, "config/ftd/check", nil).Data["outcome"])
}

func TestCheck_ConfigWrittenAgain_HasNoResult(t *testing.T) {
	m := newMount(t)
	m.writeConfig("ftd", nil)
	m.must(logical.UpdateOperation, "config/ftd/check", nil)
	m.must(logical.DeleteOperation, "config/ftd", nil)
	m.requireNoCheck("ftd")
	m.writeConfig("ftd", nil)
	m.requireNoCheck("ftd") // the result is that of an earlier config
}

// requireNoCheck requires that a read of a config's check finds no result.
func (m *mount) requireNoCheck(config string) {
	m.t.Helper()
	m.rejected(http.StatusNotFound, logical.ReadOperation, "config/"+config+"/check", nil)
}

// The token of a check is in the inventory until it expires, also if the config is deleted in between.
func TestCheck_CreatesAToken_IsInTheInventory(t *testing.T) {
	for _, vendor := range []string{"fortisiem", "lacework"} {
		t.Run(vendor, func(t *testing.T) {
			m := newMount(t)
			m.clock.endWaits()
			m.writeConfig(vendor, nil)
			m.clock.Advance(10 * time.Second)
			checked := m.must(logical.UpdateOperation, "config/"+vendor+"/check", nil).Data
			require.Len(t, m.leased(vendor), 2, "one of the config's write, one of the check")
			listed := m.credentialsOf(vendor)
			require.Len(t, listed, 2)
			described := listed[checked["credential_id"].(string)].(map[string]any)
			require.Equal(t, "check", described["purpose"])
			require.Equal(t, "expiring", described["state"])
			require.Equal(t, 0, described["holders"])
			require.Equal(t, false, described["occupies_slot"])
			require.Empty(t, described["marker"])
			require.Empty(t, described["lease_expires_at"])

			m.must(logical.DeleteOperation, "config/"+vendor, nil)
			m.runPeriodicAfter(48 * time.Hour)
			m.runPeriodicAfter(10 * time.Minute) // the clock runs evenly again
			m.requireNoKeys("ledger/", "config/")
		})
	}
}

// FortiSIEM may issue only one token for a client: the token of the config's write is the first that a reader gets.
func TestCheck_LifetimeByVendor_NextReaderGetsTheToken(t *testing.T) {
	for name, role := range map[string]map[string]any{"exclusive": nil, "shared": sharedRole} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			m.clock.endWaits()
			m.configure("fortisiem", role)
			require.Len(t, m.leased("fortisiem"), 1)
			leased := m.read("fortisiem")
			require.Len(t, m.leased("fortisiem"), 1, "no other token was created")
			require.Len(t, m.keys("ledger/fortisiem/"), 1, "the token is in the ledger once")
			described := m.credentialsOf("fortisiem")[leased.data["credential_id"].(string)].(map[string]any)
			require.Equal(t, "lease", described["purpose"])
			require.Equal(t, 1, described["holders"])
			require.NotEmpty(t, leased.data["token"])
		})
	}
}

func TestCheck_TokenIsOld_NextReaderGetsAnother(t *testing.T) {
	m := newMount(t)
	m.clock.endWaits()
	m.configure("fortisiem", map[string]any{"ttl": "14m"})
	m.clock.Advance(9 * time.Minute) // more than half of its life
	m.read("fortisiem")
	require.Len(t, m.leased("fortisiem"), 2)
}

func TestCheck_AnotherRootSince_NextReaderGetsAnother(t *testing.T) {
	m := newMount(t)
	m.clock.endWaits()
	m.configure("fortisiem", nil)
	secret := m.vendors.State().Vendors["fortisiem"].Credentials["client_secret"]
	m.must(logical.UpdateOperation, "config/fortisiem", map[string]any{"client_secret": secret, "expires_in_unit": "seconds", "verify_connection": false})
	m.clock.Advance(time.Minute)
	m.read("fortisiem")
	require.Len(t, m.leased("fortisiem"), 2)
}

func TestCheck_AnswerLost_IsRecorded(t *testing.T) {
	m := newMount(t)
	m.clock.endWaits()
	m.must(logical.UpdateOperation, "config/lacework", m.configData("lacework", map[string]any{"verify_connection": false}))
	m.fault(emulator.Fault{Vendor: "lacework", Route: "*", DropAfter: true})
	m.rejected(http.StatusFailedDependency, logical.UpdateOperation, "config/lacework/check", nil)
	require.Len(t, m.leased("lacework"), 1)
	require.Len(t, m.keys("ledger/lacework/"), 1)
	require.NotEmpty(t, m.must(logical.ReadOperation, "config/lacework/check", nil).Data["credential_id"])

	m.vendors.ClearFaults("lacework")
	m.fault(emulator.Fault{Vendor: "lacework", Route: "*", Status: http.StatusUnauthorized})
	m.rejected(http.StatusBadRequest, logical.UpdateOperation, "config/lacework/check", nil)
	require.Len(t, m.keys("ledger/lacework/"), 1, "a refused login has created nothing")
}

// What is in memory about checks has the size of the configs that exist.
func TestCheck_ConfigDeleted_LeavesNothingInMemory(t *testing.T) {
	for name, end := range map[string]func(*mount, string){
		"by a request": func(m *mount, vendor string) {
			m.must(logical.DeleteOperation, "config/"+vendor, nil)
		},
		"by another node": func(m *mount, vendor string) {
			require.NoError(m.t, m.storage.Delete(m.t.Context(), "config/"+vendor))
			m.backend.Invalidate(m.t.Context(), "config/"+vendor)
		},
		"during the check": func(m *mount, vendor string) {
			last, ok := m.backend.checks.get(vendor, m.config(vendor).UID)
			require.True(m.t, ok)
			m.must(logical.DeleteOperation, "config/"+vendor, nil)
			m.backend.checks.put(vendor, last)
			m.runPeriodicAfter(48 * time.Hour) // the token of a check has expired
			m.runPeriodicAfter(10 * time.Minute)
		},
	} {
		for _, vendor := range []string{"fortianalyzer", "fortisiem", "ftd", "lacework", "trend"} {
			t.Run(name+"/"+vendor, func(t *testing.T) {
				m := newMount(t)
				m.clock.passWaits()
				m.writeConfig(vendor, nil)
				m.must(logical.UpdateOperation, "config/"+vendor+"/check", nil)
				require.Len(t, m.backend.checks.byConfig, 1)
				end(m, vendor)
				require.Empty(t, m.backend.checks.byConfig)
			})
		}
	}
}
