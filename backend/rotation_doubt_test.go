package backend

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/lease"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/rotation"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// nthActsAndFails is a storage whose n-th write takes place and reports a failure, as that of a leader which is
// deposed while it writes.
type nthActsAndFails struct {
	logical.Storage
	left int
}

func (s *nthActsAndFails) Put(ctx context.Context, entry *logical.StorageEntry) error {
	err := s.Storage.Put(ctx, entry)
	if s.left--; s.left == 0 {
		return errStorage
	}
	return err
}

func (s *nthActsAndFails) Delete(ctx context.Context, key string) error {
	err := s.Storage.Delete(ctx, key)
	if s.left--; s.left == 0 {
		return errStorage
	}
	return err
}

func (m *mount) rotateOn(storage logical.Storage, vendor string) (int, error) {
	_, status, err := m.send(m.t.Context(), &logical.Request{
		Operation: logical.UpdateOperation, Path: "config/" + vendor + "/rotate-root", Storage: storage, MountPoint: "vendorauth/",
	})
	return status, err
}

// refusedRotation is a rotation that fails for a fault of the vendor's.
func (m *mount) refusedRotation(fault emulator.Fault) {
	m.t.Helper()
	fault.Times = 1
	m.fault(fault)
	m.refused(logical.UpdateOperation, "config/"+fault.Vendor+"/rotate-root", nil)
}

// proposed is the password that the device was asked to change to last.
func (m *mount) proposed() string {
	m.t.Helper()
	entry, err := store.ReadConfig(m.t.Context(), m.storage, "ftd")
	require.NoError(m.t, err)
	return entry.Root.Candidates[len(entry.Root.Candidates)-1].Fields["password"].(string)
}

func (m *mount) changePassword(password string) {
	m.t.Helper()
	_, err := m.vendors.Do("ftd", "change_password", map[string]string{"password": password})
	require.NoError(m.t, err)
}

// requireRecovers demands that reads work again, once one has found the root credential refused.
func (m *mount) requireRecovers(vendor string) {
	m.t.Helper()
	for range 2 {
		if _, _, err := m.request(logical.ReadOperation, "creds/"+vendor, nil); err == nil {
			break
		}
		m.clock.advance(time.Minute) // the device may wish to be left alone, and a refused login is remembered
	}
	require.NoError(m.t, m.revoke(m.read(vendor)))
	m.rememberRotatedSecrets(vendor)
}

// wrongPasswords counts logins that the device has refused.
func (m *mount) wrongPasswords() (count int) {
	for _, request := range m.vendors.Requests("ftd") {
		if request.Operation == "password" && request.Status == http.StatusBadRequest {
			count++
		}
	}
	return count
}

func TestRotateRoot_WriteTookPlaceAndReportedAFailure_StoredRootIsTheOneThatLives(t *testing.T) {
	for _, r := range rotations {
		for n := 1; ; n++ {
			over := false
			t.Run(fmt.Sprintf("%s/%d", r.vendor, n), func(t *testing.T) {
				m := newMount(t)
				m.configure(r.vendor, r.role)
				m.rotate(r.vendor) // from now on, nobody but Vault knows one that works
				storage := &nthActsAndFails{Storage: m.storage, left: n}
				_, err := m.rotateOn(storage, r.vendor)
				over = storage.left > 0
				m.restart()
				require.NoError(t, m.revoke(m.read(r.vendor)), "after: %v", err)
				m.clock.advance(time.Hour)
				m.runPeriodic()
				m.requireSettled(r, true)
			})
			if over || t.Failed() {
				require.Greater(t, n, 2, "a run without a failure that came too early")
				break
			}
		}
	}
}

func TestBootstrap_WriteTookPlaceAndReportedAFailure_StoredRootIsNotEnded(t *testing.T) {
	m := newMount(t)
	_, _, err := m.send(t.Context(), &logical.Request{
		Operation: logical.CreateOperation, Path: "config/trend", Data: m.bootstrapData(nil), MountPoint: "vendorauth/",
		Storage: &nthActsAndFails{Storage: m.storage, left: 2},
	})
	require.Error(t, err)
	m.restart()
	m.clock.advance(lease.IssueDeadline + time.Second)
	m.runPeriodic()
	m.must(logical.ReadOperation, "config/trend/check", nil)
	require.Len(t, m.bootstrapped(), 1)
}

// Whatever the engine makes of the vendor's answer, the change may take place later.
func TestRotateRoot_ChangeComesLateAndRotationsFollow_NoPasswordIsForgotten(t *testing.T) {
	refusal := emulator.Fault{Vendor: "ftd", Route: "PUT *", Status: http.StatusLocked}
	lost := emulator.Fault{Vendor: "ftd", Route: "PUT *", DropBefore: true}
	for name, then := range map[string]func(*mount){
		"the operator tries again": func(m *mount) { _, _ = m.rotateOn(m.storage, "ftd") },
		"another is refused first": func(m *mount) { _, _ = m.rotateOn(m.storage, "ftd"); m.runPeriodic() },
		"rotation_period tries again": func(m *mount) {
			m.clock.advance(25 * time.Hour)
			m.runPeriodic()
		},
		"nobody does anything": func(*mount) {},
	} {
		for _, first := range []emulator.Fault{refusal, lost} {
			t.Run(fmt.Sprintf("%s/lost=%t", name, first.DropBefore), func(t *testing.T) {
				m := newMount(t)
				m.configure("ftd", nil)
				m.must(logical.UpdateOperation, "config/ftd", map[string]any{"rotation_period": "24h"})
				m.refusedRotation(first)
				_, _, _ = m.request(logical.ReadOperation, "creds/ftd", nil)
				m.changePassword(m.proposed())
				then(m)
				m.requireRecovers("ftd")
			})
		}
	}
}

func TestRotateRoot_UnacceptablePassword_IsNotProposedAgain(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil)
	m.refusedRotation(emulator.Fault{Vendor: "ftd", Route: "PUT *", Status: http.StatusUnprocessableEntity})
	unacceptable := m.proposed()
	m.rotate("ftd")
	entry, err := store.ReadConfig(t.Context(), m.storage, "ftd")
	require.NoError(t, err)
	require.NotEqual(t, unacceptable, entry.Fields["password"])
}

// Whether a new password outlives a restart before the next deployment is not documented.
func TestRotateRoot_DeviceComesBackWithTheFormerPassword_IsFoundOut(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil)
	m.rotate("ftd")
	entry, err := store.ReadConfig(t.Context(), m.storage, "ftd")
	require.NoError(t, err)
	m.rotate("ftd")
	m.changePassword(entry.Fields["password"].(string))
	m.requireRecovers("ftd")
	m.runPeriodic()
	m.requireSettled(rotations[0], true)
}

// The device restarts in the middle of a rotation, and has the password from before the last one again.
func TestInDoubt_DeviceComesBackWithThePasswordBeforeTheStoredOne_IsFoundOut(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil)
	m.rotate("ftd")
	entry, err := store.ReadConfig(t.Context(), m.storage, "ftd")
	require.NoError(t, err)
	m.rotate("ftd")
	m.refusedRotation(emulator.Fault{Vendor: "ftd", Route: "PUT *", DropAfter: true})
	m.rememberRotatedSecrets("ftd")
	m.changePassword(entry.Fields["password"].(string))
	m.requireRecovers("ftd")
}

// A refusal can be about the present password, which a change that came late has replaced while our login lives on.
func TestRotateRoot_PresentPasswordIsCalledWrong_ProposedOneIsNotGivenUp(t *testing.T) {
	for _, ends := range []string{"everything", "logins", "own_session"} {
		t.Run(ends, func(t *testing.T) {
			m := newMount(t)
			m.configure("ftd", nil)
			require.NoError(t, m.vendors.SetSwitch("ftd", "password_change_ends", ends))
			m.refusedRotation(emulator.Fault{Vendor: "ftd", Route: "PUT *", DropBefore: true})
			require.NoError(t, m.revoke(m.read("ftd")))
			m.changePassword(m.proposed())
			for range 3 {
				_, _ = m.rotateOn(m.storage, "ftd")
				m.clock.advance(rotation.RejectedBackoff + time.Second)
			}
			m.clock.advance(24 * time.Hour)
			m.requireRecovers("ftd")
		})
	}
}

func TestRootRefused_NoOtherEither_IsNotAskedAgainAndAgain(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil)
	m.rotate("ftd")
	m.changePassword("somebody-elses-1A")
	m.clock.advance(25 * time.Hour)
	before := m.wrongPasswords()
	for range 59 {
		_, status, err := m.request(logical.ReadOperation, "creds/ftd", nil)
		require.Error(t, err)
		require.Equal(t, http.StatusBadRequest, status)
		m.clock.advance(10 * time.Second)
	}
	require.LessOrEqual(t, m.wrongPasswords()-before, 4)
}

func TestInDoubt_RotationHadTakenPlace_IsTold(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil)
	sent := m.watchEvents()
	m.refusedRotation(emulator.Fault{Vendor: "ftd", Route: "PUT *", DropAfter: true})
	m.runPeriodic()
	m.rememberRotatedSecrets("ftd")
	require.Equal(t, []string{rotation.EventRotateFail, rotation.EventRotate}, sent.kinds)
}

func TestInDoubt_DeviceDoesNotAnswerEverything_ReadsGoOnAndWrongPasswordsAreFew(t *testing.T) {
	for name, fault := range map[string]emulator.Fault{
		"users cannot be read":    {Vendor: "ftd", Route: "GET *users*", Status: http.StatusServiceUnavailable},
		"logins cannot be ended":  {Vendor: "ftd", Route: "revoke_token", Status: http.StatusLocked},
		"nothing but logins work": {Vendor: "ftd", Route: "GET *", Status: http.StatusServiceUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			m.configure("ftd", nil)
			m.must(logical.UpdateOperation, "config/ftd", map[string]any{"max_retries": 0})
			m.refusedRotation(emulator.Fault{Vendor: "ftd", Route: "PUT *", DropBefore: true})
			m.fault(fault)
			for range 20 {
				_, _, _ = m.request(logical.ReadOperation, "creds/ftd", nil)
			}
			require.LessOrEqual(t, m.wrongPasswords(), 2)
		})
	}
}

func TestInDoubt_LoginsDoNotPileUp(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil)
	m.must(logical.UpdateOperation, "config/ftd", map[string]any{"max_retries": 0})
	require.NoError(t, m.vendors.SetSwitch("ftd", "password_change_ends", "own_session"))
	for range 3 {
		m.read("ftd")
	}
	m.refusedRotation(emulator.Fault{Vendor: "ftd", Route: "PUT *", DropAfter: true})
	m.fault(emulator.Fault{Vendor: "ftd", Route: "GET *", Status: http.StatusServiceUnavailable})
	m.fault(emulator.Fault{Vendor: "ftd", Route: "revoke_token", Status: http.StatusServiceUnavailable})
	for range 6 {
		_, _, _ = m.request(logical.ReadOperation, "creds/ftd", nil)
		m.clock.advance(rotation.UnavailableBackoff)
	}
	require.Len(t, m.leased("ftd"), 3, "nobody is logged out for a login of ours")
}

func TestInDoubt_SettingWasWrong_IsCorrectedWithoutVerifying(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil)
	m.must(logical.UpdateOperation, "config/ftd", map[string]any{"api_version": "v6"})
	m.refusedRotation(emulator.Fault{Vendor: "ftd", Route: "PUT *", DropAfter: true})
	m.fault(emulator.Fault{Vendor: "ftd", Route: "* /api/fdm/v6/*", Status: http.StatusUnauthorized}) // upgraded since
	_, text := m.refused(logical.UpdateOperation, "config/ftd", map[string]any{"api_version": "latest"})
	require.Contains(t, text, "verify_connection=false")
	m.must(logical.UpdateOperation, "config/ftd", map[string]any{"api_version": "latest", "verify_connection": false})
	require.NoError(t, m.revoke(m.read("ftd")))
	m.rememberRotatedSecrets("ftd")
}

// Two rotations at once: the second has ended the former root credential of one before, and then finds another.
func TestRotateRoot_AnotherRotationHasLeftAFormerRoot_IsRefused(t *testing.T) {
	m := newMount(t)
	r := rotations[1]
	m.configure(r.vendor, r.role)
	m.fault(emulator.Fault{Vendor: "trend", Route: "deleteApiKey", Status: http.StatusForbidden})
	m.rotate("trend")
	m.vendors.ClearFaults("trend")
	slow := &blocksGet{Storage: m.storage, key: "config/trend", nth: 2, reached: make(chan struct{}), goOn: make(chan struct{})}
	done := make(chan error)
	go func() { _, err := m.rotateOn(slow, "trend"); done <- err }()
	<-slow.reached
	require.Len(t, m.logins("trend"), 1)
	m.fault(emulator.Fault{Vendor: "trend", Route: "deleteApiKey", Status: http.StatusForbidden})
	m.rotate("trend")
	m.vendors.ClearFaults("trend")
	close(slow.goOn)
	require.Error(t, <-done)
	m.clock.advance(rotation.RejectedBackoff + time.Second)
	m.runPeriodic()
	m.requireSettled(r, true)
}

// blocksGet is a storage in which the n-th read of a key waits.
type blocksGet struct {
	logical.Storage
	key           string
	nth           int
	reached, goOn chan struct{}
}

func (s *blocksGet) Get(ctx context.Context, key string) (*logical.StorageEntry, error) {
	if key == s.key {
		if s.nth--; s.nth == 0 {
			close(s.reached)
			<-s.goOn
		}
	}
	return s.Storage.Get(ctx, key)
}

func TestRotateRoot_SharedCredential_IsSharedOn(t *testing.T) {
	forRotations(t, func(t *testing.T, m *mount, r rotationCase) {
		m.must(logical.UpdateOperation, "roles/"+r.vendor, map[string]any{"sharing": "shared"})
		m.must(logical.UpdateOperation, "config/"+r.vendor, map[string]any{"max_credentials": 1})
		if r.vendor == "ftd" {
			require.NoError(t, m.vendors.SetSwitch("ftd", "password_change_ends", "logins"))
		}
		held := m.read(r.vendor)
		m.rotate(r.vendor)
		require.Equal(t, held.data["token"], m.read(r.vendor).data["token"])
		m.restart()
		require.Equal(t, held.data["token"], m.read(r.vendor).data["token"])
	})
}

func TestRotateRoot_AnotherConfigHasTheSameRoot_IsRefused(t *testing.T) {
	forRotations(t, func(t *testing.T, m *mount, r rotationCase) {
		m.must(logical.UpdateOperation, "config/twin", m.configData(r.vendor, nil))
		status, text := m.refused(logical.UpdateOperation, "config/"+r.vendor+"/rotate-root", nil)
		require.Equal(t, http.StatusBadRequest, status)
		require.Contains(t, text, `config "twin" has the same root credential`)
		m.must(logical.ReadOperation, "config/twin/check", nil)
	})
}
