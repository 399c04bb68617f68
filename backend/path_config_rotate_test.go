package backend

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/rotation"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/storagetest"
)

func TestRotateRoot_Succeeds_PreviousRootIsRevoked(t *testing.T) {
	forRotations(t, func(t *testing.T, m *mount, r rotationCase) {
		sent := m.watchEvents()
		before := m.read(r.vendor)
		m.clock.Advance(time.Minute)
		response := m.rotate(r.vendor)
		require.NotEmpty(t, response.Warnings)
		require.Equal(t, []string{rotation.EventRotate}, sent.kinds)
		read := m.must(logical.ReadOperation, "config/"+r.vendor, nil).Data
		m.requireNow(read["root_updated_at"])
		require.NoError(t, m.revoke(before))
		m.restart()
		m.requireResolved(r, true)
		require.Empty(t, m.leased(r.vendor))
		m.rotate(r.vendor)
		m.requireResolved(r, true)
	})
}

func TestRotateRoot_VendorWithoutAPI_NamesTheManualSteps(t *testing.T) {
	m := newMount(t)
	for _, vendor := range []string{"lacework", "fortianalyzer", "fortisiem"} {
		m.configure(vendor, nil)
		for path, data := range map[string]map[string]any{"config/" + vendor + "/rotate-root": nil, "config/" + vendor: {"rotation_period": "24h"}} {
			m.rejected(http.StatusBadRequest, logical.UpdateOperation, path, data, m.backend.providers[vendor].Capabilities().RotationNote)
		}
	}
	m.rejected(http.StatusNotFound, logical.UpdateOperation, "config/nothing/rotate-root", nil)
}

func TestRotateRoot_VendorRejects_KeepsTheRoot(t *testing.T) {
	forRotations(t, func(t *testing.T, m *mount, r rotationCase) {
		sent := m.watchEvents()
		m.fault(emulator.Fault{Vendor: r.vendor, Route: r.change, Status: http.StatusForbidden, Times: 1})
		m.rejected(http.StatusBadRequest, logical.UpdateOperation, "config/"+r.vendor+"/rotate-root", nil)
		require.Equal(t, []string{rotation.EventRotateFail}, sent.kinds)
		m.requireResolved(r, false)
	})
}

func TestRotateRoot_UnderLoad_NoRequestFails(t *testing.T) {
	forRotations(t, func(t *testing.T, m *mount, r rotationCase) {
		m.must(logical.UpdateOperation, "config/"+r.vendor, map[string]any{"max_credentials": 3})
		m.must(logical.UpdateOperation, "roles/"+r.vendor, map[string]any{"max_wait": "20s"})
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				for range 10 {
					if err := m.readAndRevoke(r.vendor); err != nil {
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
		m.requireResolved(r, true)
	})
}

func TestRotateRoot_VendorEndsCredentials_FreesTheirSlots(t *testing.T) {
	m := newConfiguredMount(t, "ftd", sharedRole)
	m.clock.endWaits()
	m.setSwitch("ftd", "password_change_ends", "everything")
	m.must(logical.UpdateOperation, "roles/own", map[string]any{"config": "ftd"})
	shared, own := m.read("ftd"), m.read("own")
	require.Contains(t, strings.Join(m.rotate("ftd").Warnings, "\n"), "2 live credentials")
	m.runPeriodic()
	require.Empty(t, m.ledgerOf("ftd"))
	again := m.read("ftd")
	require.NotEqual(t, shared.data["token"], again.data["token"])
	require.Len(t, m.leased("ftd"), 1)
	_, err := m.renew(own, time.Minute)
	require.ErrorContains(t, err, "read a new one")
	for _, leased := range []*vaultLease{shared, own, again} {
		require.NoError(t, m.revoke(leased))
	}
	require.Empty(t, m.leased("ftd"))
}

func TestRotateRoot_PreviousNotRevoked_IsRetried(t *testing.T) {
	m := newConfiguredMount(t, "trend", auditorRole)
	require.Contains(t, strings.Join(m.rotateKeepingPrevious().Warnings, "\n"), "will be retried")
	require.Len(t, m.logins("trend"), 2)
	require.Equal(t, "previous_not_revoked", m.must(logical.ReadOperation, "config/trend", nil).Data["root_state"])
	m.rejected(http.StatusConflict, logical.DeleteOperation, "config/trend", nil, "revoking the previous root credential")
	m.rejected(http.StatusBadRequest, logical.UpdateOperation, "config/trend/rotate-root", nil, "revoking the previous root credential")
	m.runPeriodic()
	require.Len(t, m.logins("trend"), 2)
	m.vendors.ClearFaults("trend")
	m.runPeriodicAfter(rotation.RejectedBackoff + time.Second)
	m.requireResolved(trendRotation, true)
}

func TestRotateRoot_UnknownPasswordPolicy_IsRejected(t *testing.T) {
	m := newMount(t)
	m.system.SetPasswordPolicy("missing", func() (string, error) { return "Aa1-generated-for-tests", nil })
	m.writeConfig("ftd", map[string]any{"password_policy": "missing"})
	m.system.DeletePasswordPolicy("missing")
	m.rejected(http.StatusBadRequest, logical.UpdateOperation, "config/ftd/rotate-root", nil, "password_policy")
}

// Two rotations run at once. One has revoked the previous root credential of an earlier rotation, and then finds that
// the other has left one.
func TestRotateRoot_OtherRotationLeftPrevious_IsRejected(t *testing.T) {
	m := newConfiguredMount(t, "trend", auditorRole)
	m.rotateKeepingPrevious()
	m.vendors.ClearFaults("trend")
	slow, gate := storagetest.BlockNth(m.storage, 2, storagetest.Get, "config/trend")
	done := inBackground(func() error {
		_, _, err := m.requestOn(slow, logical.UpdateOperation, "config/trend/rotate-root", nil)
		return err
	})
	<-gate.Reached
	require.Len(t, m.logins("trend"), 1)
	m.rotateKeepingPrevious()
	m.vendors.ClearFaults("trend")
	gate.Open()
	require.Error(t, <-done)
	m.runPeriodicAfter(rotation.RejectedBackoff + time.Second)
	m.requireResolved(trendRotation, true)
}

func TestRotateRoot_RootSharedByConfigs_IsRejected(t *testing.T) {
	forRotations(t, func(t *testing.T, m *mount, r rotationCase) {
		m.must(logical.UpdateOperation, "config/other", m.configData(r.vendor, nil))
		m.rejected(http.StatusBadRequest, logical.UpdateOperation, "config/"+r.vendor+"/rotate-root", nil, `config "other" has the same root credential`)
		m.must(logical.UpdateOperation, "config/other/check", nil)
	})
}

func TestRotateRoot_SharedCredential_StaysShared(t *testing.T) {
	forRotations(t, func(t *testing.T, m *mount, r rotationCase) {
		m.must(logical.UpdateOperation, "roles/"+r.vendor, map[string]any{"sharing": "shared"})
		m.must(logical.UpdateOperation, "config/"+r.vendor, map[string]any{"max_credentials": 1})
		if r.vendor == "ftd" {
			m.setSwitch("ftd", "password_change_ends", "logins")
		}
		held := m.read(r.vendor)
		m.rotate(r.vendor)
		require.Equal(t, held.data["token"], m.read(r.vendor).data["token"])
		m.restart()
		require.Equal(t, held.data["token"], m.read(r.vendor).data["token"])
	})
}

// While a rotation has the connection to itself, requests that change the config are rejected, and requests that use it
// wait.
func TestRotateRoot_OtherRequests_WaitOrAreRejected(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	m.read("ftd")
	entry, conn, err := m.backend.rotator.Acquire(t.Context(), m.storage, "ftd")
	require.NoError(t, err)
	conn.Release()
	_, release, err := m.backend.pool.AcquireExclusive(t.Context(), m.storage, "ftd", entry)
	require.NoError(t, err)
	for _, operation := range []logical.Operation{logical.UpdateOperation, logical.DeleteOperation} {
		m.rejected(http.StatusConflict, operation, "config/ftd", nil)
	}
	read := inBackground(func() error {
		_, err := m.tryRead("ftd")
		return err
	})
	select {
	case err := <-read:
		require.Fail(t, "the read did not wait", "%v", err)
	case <-time.After(50 * time.Millisecond):
	}
	release()
	require.NoError(t, <-read)
}

func TestRotateRoot_ReaderWaitsForASlot_Succeeds(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	m.setSwitch("ftd", "password_change_ends", "logins")
	m.must(logical.UpdateOperation, "config/ftd", map[string]any{"max_credentials": 1})
	m.must(logical.UpdateOperation, "roles/ftd", map[string]any{"max_wait": "30s"})
	held := m.read("ftd")
	entry, conn, err := m.backend.rotator.Acquire(t.Context(), m.storage, "ftd")
	require.NoError(t, err)
	conn.Release()
	require.NotNil(t, entry)
	read := inBackground(func() error { return m.readAndRevoke("ftd") })
	require.Eventually(t, func() bool { return conn.Users() > 0 }, time.Minute, time.Millisecond)
	m.must(logical.UpdateOperation, "config/ftd", map[string]any{"request_timeout": "20s"})
	m.rotate("ftd")
	require.NoError(t, m.revoke(held))
	require.NoError(t, <-read)
	require.Zero(t, m.wrongPasswords())
}
