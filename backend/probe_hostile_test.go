package backend

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/vendorfacts"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/probe"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/storagetest"
)

// probeMount returns a mount with a config and a role of the vendor. The probe is the first to see the product, and its
// waits take no time.
func probeMount(t *testing.T, vendor vendorfacts.Vendor) *mount {
	t.Helper()
	m := newMount(t)
	m.clock.passWaits()
	m.writeConfig(vendor.Name, map[string]any{"verify_connection": false})
	m.writeProbeRole(vendor, vendor.Name)
	return m
}

// writeProbeRole writes a role of a config, with the name of the config.
func (m *mount) writeProbeRole(vendor vendorfacts.Vendor, config string) {
	m.t.Helper()
	role := map[string]any{"config": config, "ttl": "15m", "max_ttl": "2h"}
	maps.Copy(role, vendor.Role)
	m.must(logical.UpdateOperation, "roles/"+config, role)
}

// probeOn probes a config with the role of its name.
func (m *mount) probeOn(storage logical.Storage, config string) (*logical.Response, int, error) {
	return m.requestOn(storage, logical.UpdateOperation, "config/"+config+"/probe", map[string]any{"confirm": config, "role": config})
}

// startProbe begins a probe of a config. The result is closed when the request has ended.
func (m *mount) startProbe(config string) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _, _ = m.probeOn(m.storage, config)
	}()
	return done
}

// requireAllEnds lets the background work end everything, and requires that it does.
func (m *mount) requireAllEnds(vendor, message string) {
	m.t.Helper()
	for range 4 {
		m.runPeriodicAfter(30 * time.Hour)
	}
	require.Empty(m.t, m.leased(vendor), message)
	require.Empty(m.t, m.ledgerOf(vendor), message)
}

// Each answer of the vendor in turn is lost, or is an error. A report says what happened, and nothing stays.
func TestProbe_EachAnswerFails_LeavesNothing(t *testing.T) {
	faults := map[string]emulator.Fault{
		"lost": {DropAfter: true}, "not sent": {DropBefore: true}, "500": {Status: http.StatusInternalServerError},
		"401": {Status: http.StatusUnauthorized}, "not JSON": {Body: new("OK")},
	}
	for _, vendor := range vendorfacts.All() {
		t.Run(vendor.Name, func(t *testing.T) {
			usual := probeMount(t, vendor)
			usual.runProbe(vendor.Name)
			requests := len(usual.vendors.Requests(vendor.Name))
			require.Positive(t, requests)
			m := probeMount(t, vendor)
			for _, name := range slices.Sorted(maps.Keys(faults)) {
				for n := range requests {
					what := fmt.Sprintf("answer %d: %s", n+1, name)
					fault := faults[name]
					fault.Vendor, fault.Route, fault.Skip, fault.Times = vendor.Name, emulator.AnyRoute, n, 1
					m.fault(fault)
					response, _, err := m.probeOn(m.storage, vendor.Name)
					require.NoError(t, err, what)
					m.vendors.ClearFaults(vendor.Name)
					require.Contains(t, []any{"complete", "interrupted"}, response.Data["state"], what)
					assert.Positive(t, len(response.Data["steps"].([]any)), what)
					m.requireAllEnds(vendor.Name, what)
				}
			}
			require.Equal(t, "complete", m.runProbe(vendor.Name)["state"], "the config works as before")
		})
	}
}

// Each operation of Vault's storage fails in turn.
func TestProbe_EachStorageOperationFails_LeavesNothing(t *testing.T) {
	for _, vendor := range vendorfacts.All() {
		t.Run(vendor.Name, func(t *testing.T) {
			m := probeMount(t, vendor)
			counted := storagetest.Wrap(m.storage)
			_, _, err := m.probeOn(counted, vendor.Name)
			require.NoError(t, err)
			m.requireAllEnds(vendor.Name, "without a failure")
			for n := range counted.Count() {
				what := fmt.Sprintf("storage operation %d", n+1)
				_, _, _ = m.probeOn(storagetest.FailNth(m.storage, n+1), vendor.Name)
				m.requireAllEnds(vendor.Name, what)
			}
			require.Equal(t, "complete", m.runProbe(vendor.Name)["state"])
		})
	}
}

// The config is deleted while the probe waits for the vendor: for the first answer, when there is no credential yet, and for
// each later one.
func TestProbe_ConfigDeletedWhileItRuns_LeavesNothing(t *testing.T) {
	for _, vendor := range vendorfacts.All() {
		t.Run(vendor.Name, func(t *testing.T) {
			usual := probeMount(t, vendor)
			usual.runProbe(vendor.Name)
			for n := range len(usual.vendors.Requests(vendor.Name)) {
				what := fmt.Sprintf("request %d", n+1)
				m := probeMount(t, vendor)
				m.fault(emulator.Fault{Vendor: vendor.Name, Route: emulator.AnyRoute, Skip: n, Times: 1, Delay: 100 * time.Millisecond})
				done := m.startProbe(vendor.Name)
				require.Eventually(t, func() bool { return len(m.vendors.Requests(vendor.Name)) > n }, 10*time.Second, time.Millisecond, what)
				m.must(logical.DeleteOperation, "config/"+vendor.Name, map[string]any{"force": true})
				<-done
				require.Eventually(t, func() bool { return m.backend.probes.get(vendor.Name) == nil }, 10*time.Second, time.Millisecond, what)
				m.requireAllEnds(vendor.Name, what)
				m.requireNoKeys("probe/", "ledger/", "config/")
				m.rejected(http.StatusNotFound, logical.ReadOperation, "config/"+vendor.Name+"/probe", nil)
			}
		})
	}
}

// The vendor does not know the role of the credentials, which the config cannot find out before.
func TestProbe_RoleUnknownToVendor_SaysSo(t *testing.T) {
	m := probeMount(t, vendorfacts.Named("trend"))
	m.must(logical.UpdateOperation, "roles/trend", map[string]any{"config": "trend", "role_name": "No Such Role"})
	report := m.runProbe("trend")
	require.Equal(t, "interrupted", report["state"])
	require.Equal(t, "differs", probeRow(report, provider.StepIssue, "")["verdict"])
	require.Equal(t, provider.ClassInvalid.String(), probeRow(report, provider.StepIssue, "")["observed"])
	m.requireNoneLeft("trend")
}

// One of many requests at once probes, and the others get 409.
func TestProbe_ManyAtOnce_OneRuns(t *testing.T) {
	for _, vendor := range vendorfacts.All() {
		t.Run(vendor.Name, func(t *testing.T) {
			m := probeMount(t, vendor)
			m.fault(emulator.Fault{Vendor: vendor.Name, Route: emulator.AnyRoute, Times: 1, Delay: 500 * time.Millisecond})
			const requests = 20
			var group sync.WaitGroup
			statuses := make([]int, requests)
			for i := range requests {
				group.Go(func() { _, statuses[i], _ = m.probeOn(m.storage, vendor.Name) })
			}
			group.Wait()
			slices.Sort(statuses)
			assert.Equal(t, http.StatusOK, statuses[0])
			assert.Equal(t, http.StatusConflict, statuses[1], "%v", statuses)
			assert.Equal(t, http.StatusConflict, statuses[requests-1], "%v", statuses)
			m.requireAllEnds(vendor.Name, "at the end")
		})
	}
}

// Probes of several configs of one product at once do not disturb each other, nor the readers.
func TestProbe_SeveralConfigsOfOneUser_EndOnlyTheirOwn(t *testing.T) {
	for _, vendor := range vendorfacts.All() {
		t.Run(vendor.Name, func(t *testing.T) {
			m := probeMount(t, vendor)
			held := m.read(vendor.Name)
			names := []string{vendor.Name, "second", "third"}
			for _, name := range names[1:] {
				m.must(logical.UpdateOperation, "config/"+name, m.configData(vendor.Name, map[string]any{"verify_connection": false}))
				m.writeProbeRole(vendor, name)
				if vendor.Name == "ftd" {
					// The first login of a config cannot be counted: the device lists its sessions only to a login.
					m.must(logical.UpdateOperation, "config/"+name+"/check", nil)
				}
			}
			var group sync.WaitGroup
			for _, name := range names {
				group.Go(func() {
					response, _, err := m.probeOn(m.storage, name)
					if assert.NoError(t, err) {
						assert.Contains(t, []any{"complete", "interrupted"}, response.Data["state"])
					}
				})
			}
			group.Wait()
			for _, each := range m.vendors.Credentials(vendor.Name) {
				assert.NotEqual(t, "evicted", each.EndedBy, "%+v", each)
			}
			if vendor.Revokes {
				require.Len(t, m.leased(vendor.Name), 1, "the credential of the lease")
			}
			if vendor.Renewable() {
				_, err := m.renew(held, time.Minute)
				require.NoError(t, err)
			}
			if vendor.Name == "fortianalyzer" {
				require.Equal(t, 1, m.operations(vendor.Name)["oauth_token"], "%v", m.operations(vendor.Name))
			}
		})
	}
}

// The mount is unmounted while a probe waits for the vendor.
func TestProbe_MountIsUnmounted_EndsItsCredentials(t *testing.T) {
	for _, vendor := range vendorfacts.All() {
		if !vendor.Revokes {
			continue
		}
		t.Run(vendor.Name, func(t *testing.T) {
			m := probeMount(t, vendor)
			before := 1 // the first credential
			if vendor.Name == "fortianalyzer" {
				before = 2 // and the session of the check
			}
			m.fault(emulator.Fault{Vendor: vendor.Name, Route: vendor.Operations.Issue, Skip: before, Times: 1, Delay: time.Hour})
			done := m.startProbe(vendor.Name)
			require.Eventually(t, func() bool { return m.operations(vendor.Name)[vendor.Operations.Issue] > before }, 10*time.Second, time.Millisecond)
			require.Len(t, m.leased(vendor.Name), 1)
			m.unmount()
			<-done
			require.Empty(t, m.leased(vendor.Name))
		})
	}
}

// A process that dies leaves no report that claims to run, or that an earlier probe made.
func TestProbe_ProcessDies_ReportIsInterrupted(t *testing.T) {
	m := probeMount(t, vendorfacts.Named("ftd"))
	first := m.runProbe("ftd")
	m.fault(emulator.Fault{Vendor: "ftd", Route: "custom_token", Delay: time.Hour})
	storage, frozen := m.storage, &logical.InmemStorage{}
	done := m.startProbe("ftd")
	require.Eventually(t, func() bool { return m.operations("ftd")["custom_token"] > 2 }, 10*time.Second, time.Millisecond)
	copyStorage(t, storage, frozen) // as the process that is killed leaves it
	m.backend.Clean(t.Context())
	<-done
	m.storage = frozen
	m.vendors.ClearFaults("ftd")
	m.start()
	left := m.must(logical.ReadOperation, "config/ftd/probe", nil)
	require.Equal(t, "interrupted", left.Data["state"])
	require.NotEqual(t, first["started_at"], left.Data["started_at"])
	require.Contains(t, strings.Join(left.Warnings, " "), "process")
	require.Contains(t, left.Data["report"], "process")
	require.Equal(t, "complete", m.runProbe("ftd")["state"])
	require.Equal(t, "complete", m.must(logical.ReadOperation, "config/ftd/probe", nil).Data["state"])
}

// copyStorage copies everything that is stored.
func copyStorage(t *testing.T, from, to logical.Storage) {
	t.Helper()
	keys, err := logical.CollectKeys(t.Context(), from)
	require.NoError(t, err)
	for _, key := range keys {
		entry, err := from.Get(t.Context(), key)
		require.NoError(t, err)
		if entry != nil {
			require.NoError(t, to.Put(t.Context(), entry))
		}
	}
}

// A report that was stored for a config is not that of another config of the same name.
func TestProbe_ConfigIsReplaced_OldReportIsDropped(t *testing.T) {
	m := probeMount(t, vendorfacts.Named("ftd"))
	m.must(logical.DeleteOperation, "config/ftd", nil)
	m.writeConfig("ftd", map[string]any{"verify_connection": false})
	m.backend.storeProbeReport(m.storage, "ftd", "the UID of the previous config", probe.Report{Vendor: "ftd", State: probe.StateComplete})
	m.requireNoKeys("probe/")
	m.backend.storeProbeReport(m.storage, "ftd", m.config("ftd").UID, probe.Report{Vendor: "ftd", State: probe.StateComplete})
	require.Len(t, m.keys("probe/"), 1)
}
