package backend

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/vendorfacts"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/lease"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
)

func TestProbe_ConfirmMissing_IsRejected(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	before := len(m.vendors.Requests("ftd"))
	for _, confirm := range []any{nil, "", "other", "FTD"} {
		data := map[string]any{"confirm": confirm}
		if confirm == nil {
			data = nil
		}
		m.rejected(http.StatusBadRequest, logical.UpdateOperation, "config/ftd/probe", data, "confirm")
	}
	require.Len(t, m.vendors.Requests("ftd"), before)
}

func TestProbe_Role_IsCheckedFirst(t *testing.T) {
	m := newConfiguredMount(t, "trend", auditorRole)
	m.configure("ftd", nil)
	before := len(m.vendors.Requests("trend"))
	for role, text := range map[string]string{"": "role", "absent": "does not exist", "ftd": "belongs to config"} {
		m.rejected(http.StatusBadRequest, logical.UpdateOperation, "config/trend/probe", map[string]any{"confirm": "trend", "role": role}, text)
	}
	m.must(logical.PatchOperation, "config/trend", map[string]any{"allowed_roles": []string{"another"}})
	m.rejected(http.StatusBadRequest, logical.UpdateOperation, "config/trend/probe", map[string]any{"confirm": "trend", "role": "trend"}, "allowed_roles")
	require.Len(t, m.vendors.Requests("trend"), before)
}

func TestProbe_RetiredConfig_IsRejected(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	m.read("ftd")
	m.must(logical.DeleteOperation, "config/ftd", map[string]any{"force": true})
	m.rejected(http.StatusBadRequest, logical.UpdateOperation, "config/ftd/probe", map[string]any{"confirm": "ftd"}, "retired")
}

func TestProbe_Ends_LeavesNothingButItsReport(t *testing.T) {
	for _, vendor := range vendorfacts.All() {
		t.Run(vendor.Name, func(t *testing.T) {
			m := newConfiguredMount(t, vendor.Name, vendor.Role)
			held := m.read(vendor.Name)
			others := len(m.leased(vendor.Name))
			m.clock.passWaits()
			report := m.runProbe(vendor.Name)
			require.Equal(t, "complete", report["state"])
			if vendor.Revokes {
				require.Len(t, m.leased(vendor.Name), others, "the credentials of the probe have ended, and no others")
				require.Len(t, m.ledgerOf(vendor.Name), 1, "the entry of the lease")
			}
			require.NotContains(t, report["report"], held.data["token"])
			require.Len(t, m.keys("probe/"), 1)
			m.restart()
			read := m.must(logical.ReadOperation, "config/"+vendor.Name+"/probe", nil).Data
			require.Equal(t, report["report"], read["report"], "a later process reads the last report")
			m.must(logical.DeleteOperation, "config/"+vendor.Name, map[string]any{"force": true})
			_ = m.revoke(held)
			m.runPeriodicAfter(72 * time.Hour)
			m.runPeriodicAfter(72 * time.Hour)
			m.requireNoKeys("probe/", "ledger/", "config/")
		})
	}
}

// The tokens of all credentials that a probe meets are secrets, and so are the root credentials, which each request of
// the harness looks for.
func TestProbe_Report_HoldsNoSecretOfTheVendor(t *testing.T) {
	for _, vendor := range vendorfacts.All() {
		t.Run(vendor.Name, func(t *testing.T) {
			m := newConfiguredMount(t, vendor.Name, vendor.Role)
			m.clock.passWaits()
			text := m.runProbe(vendor.Name)["report"].(string)
			state := m.vendors.State().Vendors[vendor.Name]
			for field, value := range state.Credentials {
				require.NotContains(t, text, value, field)
			}
			require.NotContains(t, text, strings.TrimPrefix(state.URL, "https://"), "the address")
			for _, leased := range m.vendors.Credentials(vendor.Name) {
				if leased.Marker != "" {
					require.NotContains(t, text, leased.Marker)
				}
			}
			require.NotContains(t, text, "eyJ", "the beginning of a JWT")
		})
	}
}

func TestProbe_NoRead_Is404(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	m.rejected(http.StatusNotFound, logical.ReadOperation, "config/ftd/probe", nil, "no probe was made")
}

func TestProbe_SlotsInUse_SkipsTheSecondCredential(t *testing.T) {
	m := newMount(t)
	m.clock.passWaits()
	m.writeConfig("ftd", map[string]any{"max_credentials": 2})
	m.must(logical.UpdateOperation, "roles/ftd", map[string]any{"config": "ftd", "ttl": "15m"})
	held := m.read("ftd")
	report := m.runProbe("ftd")
	require.Equal(t, "complete", report["state"])
	assert.Equal(t, "skipped", probeRow(report, "second_issue", "")["verdict"])
	assert.Equal(t, "skipped", probeRow(report, "expiry", "")["verdict"])
	assert.Equal(t, "refused", probeRow(report, "use_revoked", "")["observed"])
	_, err := m.renew(held, time.Minute)
	require.NoError(t, err, "the credential of the lease still works")

	m.read("ftd") // the last slot
	full := m.runProbe("ftd")
	assert.Equal(t, "interrupted", full["state"])
	assert.Equal(t, "no slot is free", probeRow(full, "issue", "")["observed"])
}

func TestProbe_SecondAtOnce_IsAConflict(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	m.fault(emulator.Fault{Vendor: "ftd", Route: "custom_token", Delay: time.Hour})
	ctx, done := m.backend.lifetime, make(chan struct{})
	go func() {
		defer close(done)
		_, _, _ = m.request(logical.UpdateOperation, "config/ftd/probe", map[string]any{"confirm": "ftd", "role": "ftd"})
	}()
	require.Eventually(t, func() bool { return m.backend.probes.get("ftd") != nil }, 10*time.Second, time.Millisecond)
	m.rejected(http.StatusConflict, logical.UpdateOperation, "config/ftd/probe", map[string]any{"confirm": "ftd", "role": "ftd"}, "running")
	running := m.must(logical.ReadOperation, "config/ftd/probe", nil).Data
	require.Equal(t, "running", running["state"])
	began := time.Now()
	m.backend.Clean(t.Context()) // the end of the mount ends the probe
	require.Less(t, time.Since(began), 2*time.Second)
	<-done
	require.Error(t, ctx.Err())
}

// A process that dies during a probe leaves its credential in the ledger, and the next one ends it.
func TestProbe_ProcessDies_CredentialIsEndedLater(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	m.fault(emulator.Fault{Vendor: "ftd", Route: "GET */operational/systeminfo/default", Delay: time.Hour})
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _, _ = m.request(logical.UpdateOperation, "config/ftd/probe", map[string]any{"confirm": "ftd", "role": "ftd"})
	}()
	require.Eventually(t, func() bool {
		entries := m.ledgerOf("ftd")
		return len(entries) == 1 && m.firstEntry("ftd").State == ledger.StateLive
	}, 10*time.Second, time.Millisecond)
	m.backend.Clean(t.Context())
	<-done
	require.Len(t, m.leased("ftd"), 1, "a process that ends calls the vendor no more")
	m.vendors.ClearFaults("ftd")
	m.start()
	m.runPeriodicAfter(2*time.Minute + lease.LostLeaseGrace + time.Minute)
	m.runPeriodicAfter(lease.ClockSettle)
	m.requireNoneLeft("ftd")
}

// A probe makes room for a rotation, which waits for the users of the connection.
func TestProbe_RotationWaits_ProbeEndsEarly(t *testing.T) {
	m := newConfiguredMount(t, "trend", auditorRole)
	done := make(chan map[string]any, 1)
	go func() {
		response, _, _ := m.request(logical.UpdateOperation, "config/trend/probe", map[string]any{"confirm": "trend", "role": "trend"})
		done <- response.Data
	}()
	// The probe waits for about twenty seconds for the end of its second credential.
	require.Eventually(t, func() bool {
		running := m.backend.probes.get("trend")
		return running != nil && len(running.probe.Snapshot().Rows) > 0 && len(m.leased("trend")) == 1
	}, 10*time.Second, time.Millisecond)
	began := time.Now()
	m.must(logical.UpdateOperation, "config/trend/rotate-root", nil)
	require.Less(t, time.Since(began), 10*time.Second)
	report := <-done
	require.NotEqual(t, "running", report["state"])
	m.rememberRotatedSecrets("trend")
	require.Empty(t, m.leased("trend"))
}
