package backend

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/lease"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/rotation"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// rotationCase is how root credentials are replaced at a vendor.
type rotationCase struct {
	vendor string
	role   map[string]any
	// change is the route of the request that makes the change.
	change string
}

var rotations = []rotationCase{
	{vendor: "ftd", change: "PUT *"},
	{vendor: "trend", change: "createApiKey", role: map[string]any{"role_name": "Auditor"}},
}

// forRotations runs a test for each vendor whose root credentials can be replaced, with a config and a role.
func forRotations(t *testing.T, run func(*testing.T, *mount, rotationCase)) {
	t.Helper()
	for _, r := range rotations {
		t.Run(r.vendor, func(t *testing.T) {
			m := newMount(t)
			m.configure(r.vendor, r.role)
			run(t, m, r)
		})
	}
}

func (m *mount) rotate(vendor string) *logical.Response {
	m.t.Helper()
	defer m.rememberRotatedSecrets(vendor)
	return m.must(logical.UpdateOperation, "config/"+vendor+"/rotate-root", nil)
}

// requireSettled demands that the stored root credential works, that the one of the beginning is the only other that
// may, as told, and that nothing is left to do.
func (m *mount) requireSettled(r rotationCase, rotated bool) {
	m.t.Helper()
	m.rememberRotatedSecrets(r.vendor)
	m.must(logical.ReadOperation, "config/"+r.vendor+"/check", nil)
	require.NoError(m.t, m.revoke(m.read(r.vendor)))
	require.Len(m.t, m.logins(r.vendor), 1, "one root key at Trend, one login at FTD")
	entry, err := store.ReadConfig(m.t.Context(), m.storage, r.vendor)
	require.NoError(m.t, err)
	require.Nil(m.t, entry.Root.Previous)
	require.False(m.t, entry.Root.RecheckCredentials)
	require.False(m.t, entry.Root.InDoubt())
	noted, err := m.storage.List(m.t.Context(), store.RootIntentPrefix)
	require.NoError(m.t, err)
	require.Empty(m.t, noted)

	_, status, err := m.request(logical.UpdateOperation, "config/first", m.configData(r.vendor, nil))
	if rotated {
		require.Equal(m.t, http.StatusBadRequest, status, "the root credential of the beginning is dead: %v", err)
		return
	}
	require.NoError(m.t, err, "the root credential of the beginning is in force")
	m.must(logical.DeleteOperation, "config/first", nil)
}

func TestRotateRoot_NewOneIsInUseAndTheFormerDead(t *testing.T) {
	forRotations(t, func(t *testing.T, m *mount, r rotationCase) {
		sent := m.watchEvents()
		before := m.read(r.vendor)
		m.clock.advance(time.Minute)
		response := m.rotate(r.vendor)
		require.NotEmpty(t, response.Warnings)
		require.Equal(t, []string{rotation.EventRotate}, sent.kinds)
		read := m.must(logical.ReadOperation, "config/"+r.vendor, nil).Data
		require.Equal(t, formatTime(m.clock.Now()), read["root_updated_at"])
		require.NoError(t, m.revoke(before))
		m.restart()
		m.requireSettled(r, true)
		require.Empty(t, m.leased(r.vendor))
		m.rotate(r.vendor)
		m.requireSettled(r, true)
	})
}

func TestRotateRoot_VendorsWithoutAnAPI_RefuseAndTellWhatToDo(t *testing.T) {
	m := newMount(t)
	for _, vendor := range []string{"lacework", "fortianalyzer", "fortisiem"} {
		m.configure(vendor, nil)
		for path, data := range map[string]map[string]any{"config/" + vendor + "/rotate-root": nil, "config/" + vendor: {"rotation_period": "24h"}} {
			status, text := m.refused(logical.UpdateOperation, path, data)
			require.Equal(t, http.StatusBadRequest, status)
			require.Contains(t, text, m.backend.providers[vendor].Capabilities().RotationNote)
		}
	}
	status, _ := m.refused(logical.UpdateOperation, "config/nothing/rotate-root", nil)
	require.Equal(t, http.StatusBadRequest, status)
}

func TestRotateRoot_VendorRefuses_PresentOneStays(t *testing.T) {
	forRotations(t, func(t *testing.T, m *mount, r rotationCase) {
		sent := m.watchEvents()
		m.fault(emulator.Fault{Vendor: r.vendor, Route: r.change, Status: http.StatusForbidden, Times: 1})
		status, _ := m.refused(logical.UpdateOperation, "config/"+r.vendor+"/rotate-root", nil)
		require.Equal(t, http.StatusBadRequest, status)
		require.Equal(t, []string{rotation.EventRotateFail}, sent.kinds)
		m.requireSettled(r, false)
	})
}

// Whether the vendor has acted before its answer was lost cannot be known, and the next request finds it out.
func TestRotateRoot_AnswerLost_NextRequestFindsOutWhichIsInForce(t *testing.T) {
	for _, acted := range []bool{true, false} {
		t.Run(fmt.Sprintf("acted=%t", acted), func(t *testing.T) {
			forRotations(t, func(t *testing.T, m *mount, r rotationCase) {
				m.fault(emulator.Fault{Vendor: r.vendor, Route: r.change, DropAfter: acted, DropBefore: !acted, Times: 1})
				status, _ := m.refused(logical.UpdateOperation, "config/"+r.vendor+"/rotate-root", nil)
				require.Equal(t, http.StatusFailedDependency, status)
				if r.vendor == "ftd" {
					require.Equal(t, "in_doubt", m.must(logical.ReadOperation, "config/ftd", nil).Data["root_state"])
				}
				m.restart()
				require.NoError(t, m.revoke(m.read(r.vendor)), "the very next read")
				m.clock.advance(lease.IssueDeadline + time.Second)
				m.runPeriodic()
				// At Trend, what was made is ended: its secret was in the answer.
				m.requireSettled(r, acted && r.vendor == "ftd")
			})
		})
	}
}

// Whatever read or write of storage fails, and the process dies of it, one root credential works and no other is left.
func TestRotateRoot_StorageFailsAtTheNthOperationAndTheProcessDies_NoRootIsLost(t *testing.T) {
	for _, r := range rotations {
		for n := 1; ; n++ {
			over := false
			t.Run(fmt.Sprintf("%s/%d", r.vendor, n), func(t *testing.T) {
				m := newMount(t)
				m.configure(r.vendor, r.role)
				m.restart() // actionNone is cached
				failing := &nthFails{Storage: m.storage, left: n}
				_, _, err := m.send(t.Context(), &logical.Request{
					Operation: logical.UpdateOperation, Path: "config/" + r.vendor + "/rotate-root", Storage: failing, MountPoint: "vendorauth/",
				})
				over = failing.left > 0
				m.restart()
				require.NoError(t, m.revoke(m.read(r.vendor)), "after: %v", err)
				m.clock.advance(time.Hour) // a login that could not be stored has ended too
				m.runPeriodic()
				entry, err := store.ReadConfig(t.Context(), m.storage, r.vendor)
				require.NoError(t, err)
				first := m.configData(r.vendor, nil)
				rotated := entry.Fields["password"] != first["password"] || entry.Fields["api_key"] != first["api_key"]
				m.requireSettled(r, rotated)
			})
			if over || t.Failed() {
				require.Greater(t, n, 5, "a run without a failure that came too early")
				break
			}
		}
	}
}

func TestRotateRoot_UnderLoad_NoRequestMeetsTheChange(t *testing.T) {
	forRotations(t, func(t *testing.T, m *mount, r rotationCase) {
		m.must(logical.UpdateOperation, "config/"+r.vendor, map[string]any{"max_credentials": 3})
		m.must(logical.UpdateOperation, "roles/"+r.vendor, map[string]any{"max_wait": "20s"})
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				for range 10 {
					response, _, err := m.send(t.Context(), &logical.Request{
						Operation: logical.ReadOperation, Path: "creds/" + r.vendor, Storage: m.storage, MountPoint: "vendorauth/",
					})
					if err != nil {
						t.Error(err)
						return
					}
					if err := m.revoke(m.leaseOf(response)); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		for range 3 {
			m.rotate(r.vendor)
		}
		group.Wait()
		require.Empty(t, m.ledgerOf(r.vendor))
		m.requireSettled(r, true)
	})
}

func TestRotateRoot_VendorEndsCredentialsWithIt_TheyAreGivenToNobodyAndTakeNoSlot(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", map[string]any{"sharing": "shared"})
	require.NoError(t, m.vendors.SetSwitch("ftd", "password_change_ends", "everything"))
	m.must(logical.UpdateOperation, "roles/own", map[string]any{"config": "ftd"})
	shared, own := m.read("ftd"), m.read("own")
	response := m.rotate("ftd")
	require.Contains(t, strings.Join(response.Warnings, "\n"), "2 live credentials")
	m.runPeriodic()
	require.Empty(t, m.ledgerOf("ftd"))
	again := m.read("ftd")
	require.NotEqual(t, shared.data["token"], again.data["token"])
	require.Len(t, m.leased("ftd"), 1)
	_, err := m.renew(own, time.Minute)
	require.ErrorContains(t, err, "read a new one")
	for _, leased := range []*testLease{shared, own, again} {
		require.NoError(t, m.revoke(leased))
	}
	require.Empty(t, m.leased("ftd"))
}

// A leader that has stalled asks for the change after its successor has found that it did not take place.
func TestRotateRoot_ChangeComesLate_IsFoundOutOnceTheFormerIsRefused(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil)
	m.fault(emulator.Fault{Vendor: "ftd", Route: "PUT *", DropBefore: true, Times: 1})
	m.refused(logical.UpdateOperation, "config/ftd/rotate-root", nil)
	require.NoError(t, m.revoke(m.read("ftd")))
	entry, err := store.ReadConfig(t.Context(), m.storage, "ftd")
	require.NoError(t, err)
	require.Equal(t, store.CandidateRejected, entry.Root.Candidates[0].State)

	require.NoError(t, m.vendors.SetSwitch("ftd", "password_change_ends", "everything"))
	_, err = m.vendors.Do("ftd", "change_password", map[string]string{"password": entry.Root.Candidates[0].Fields["password"].(string)})
	require.NoError(t, err)
	status, _ := m.refused(logical.ReadOperation, "creds/ftd", nil)
	require.Equal(t, http.StatusBadRequest, status)
	require.NoError(t, m.revoke(m.read("ftd")))
	m.runPeriodic()
	m.requireSettled(rotations[0], true)
}

func TestRotateRoot_VendorTakesNeither_IsNotAskedAgainAndAgain(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil)
	m.fault(emulator.Fault{Vendor: "ftd", Route: "PUT *", DropBefore: true, Times: 1})
	m.refused(logical.UpdateOperation, "config/ftd/rotate-root", nil)
	changed, err := m.vendors.Do("ftd", "change_password", nil)
	require.NoError(t, err)
	before := m.operations("ftd")["password"]
	for range 20 {
		status, text := m.refused(logical.ReadOperation, "creds/ftd", nil)
		require.Equal(t, http.StatusBadRequest, status)
		require.Contains(t, text, "write a root credential that works to config/ftd")
	}
	m.runPeriodic()
	require.LessOrEqual(t, m.operations("ftd")["password"]-before, 2)
	m.must(logical.UpdateOperation, "config/ftd", map[string]any{"password": changed["password"]})
	require.NoError(t, m.revoke(m.read("ftd")))
}

func TestRotateRoot_FormerCannotBeEnded_IsTriedAgainAndKeepsTheConfig(t *testing.T) {
	m := newMount(t)
	r := rotations[1]
	m.configure(r.vendor, r.role)
	m.fault(emulator.Fault{Vendor: "trend", Route: "deleteApiKey", Status: http.StatusForbidden})
	require.Contains(t, strings.Join(m.rotate("trend").Warnings, "\n"), "will be retried")
	require.Len(t, m.logins("trend"), 2)
	require.Equal(t, "previous_not_revoked", m.must(logical.ReadOperation, "config/trend", nil).Data["root_state"])
	_, text := m.refused(logical.DeleteOperation, "config/trend", nil)
	require.Contains(t, text, "revoking the previous root credential")
	_, text = m.refused(logical.UpdateOperation, "config/trend/rotate-root", nil)
	require.Contains(t, text, "revoking the previous root credential")
	m.runPeriodic()
	require.Len(t, m.logins("trend"), 2)
	m.vendors.ClearFaults("trend")
	m.clock.advance(rotation.RejectedBackoff + time.Second)
	m.runPeriodic()
	m.requireSettled(r, true)
}

func TestRotateRoot_ConfigIsRetiredMeanwhile_GoesWithTheFormerRoot(t *testing.T) {
	m := newMount(t)
	r := rotations[1]
	m.configure(r.vendor, r.role)
	held := m.read(r.vendor)
	m.fault(emulator.Fault{Vendor: "trend", Route: "deleteApiKey", Status: http.StatusForbidden})
	m.rotate("trend")
	m.must(logical.DeleteOperation, "config/trend", map[string]any{"force": true})
	require.Error(t, m.revoke(held))
	m.vendors.ClearFaults("trend")
	require.NoError(t, m.revoke(held))
	entry, err := store.ReadConfig(t.Context(), m.storage, "trend")
	require.NoError(t, err)
	require.NotNil(t, entry, "the former root credential is still alive")
	m.runPeriodic()
	entry, err = store.ReadConfig(t.Context(), m.storage, "trend")
	require.NoError(t, err)
	require.Nil(t, entry)
	require.Len(t, m.logins("trend"), 1)
}

func TestRotateRoot_PasswordPolicy_IsVaults(t *testing.T) {
	m := newMount(t)
	m.must(logical.UpdateOperation, "config/ftd", m.configData("ftd", map[string]any{"password_policy": "missing"}))
	status, text := m.refused(logical.UpdateOperation, "config/ftd/rotate-root", nil)
	require.Equal(t, http.StatusBadRequest, status)
	require.Contains(t, text, "password_policy")
}
