package backend

import (
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

// The engine cannot know whether the vendor acted before its response was lost. The next request resolves it.
func TestRotateRoot_ResponseLost_NextRequestResolvesRoot(t *testing.T) {
	for _, acted := range []bool{true, false} {
		t.Run(fmt.Sprintf("acted=%t", acted), func(t *testing.T) {
			forRotations(t, func(t *testing.T, m *mount, r rotationCase) {
				m.fault(emulator.Fault{Vendor: r.vendor, Route: r.change, DropAfter: acted, DropBefore: !acted, Times: 1})
				m.rejected(http.StatusFailedDependency, logical.UpdateOperation, "config/"+r.vendor+"/rotate-root", nil)
				if r.vendor == "ftd" {
					require.Equal(t, "in_doubt", m.must(logical.ReadOperation, "config/ftd", nil).Data["root_state"])
				}
				m.restart()
				require.NoError(t, m.readAndRevoke(r.vendor), "the next read")
				m.runPeriodicAfter(lease.IssueDeadline + time.Second)
				// At Trend, the created key is revoked: only the lost response had its secret.
				m.requireResolved(r, acted && r.vendor == "ftd")
			})
		})
	}
}

// A leader that has stalled asks for the change after its successor has found that it did not take place.
func TestInDoubt_LateChange_IsResolvedOnceRootIsRejected(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	m.failRotation(http.StatusFailedDependency, emulator.Fault{Vendor: "ftd", Route: "PUT *", DropBefore: true})
	require.NoError(t, m.readAndRevoke("ftd"))
	require.Equal(t, store.CandidateRejected, m.config("ftd").Root.Candidates[0].State)

	m.setSwitch("ftd", "password_change_ends", "everything")
	m.changePassword(m.candidatePassword())
	m.rejected(http.StatusBadRequest, logical.ReadOperation, "creds/ftd", nil)
	require.NoError(t, m.readAndRevoke("ftd"))
	m.runPeriodic()
	m.requireResolved(ftdRotation, true)
}

func TestInDoubt_VendorRejectsBothRoots_BacksOff(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	m.failRotation(http.StatusFailedDependency, emulator.Fault{Vendor: "ftd", Route: "PUT *", DropBefore: true})
	changed, err := m.vendors.Do("ftd", "change_password", nil)
	require.NoError(t, err)
	before := m.operations("ftd")["password"]
	for range 20 {
		text := m.rejected(http.StatusBadRequest, logical.ReadOperation, "creds/ftd", nil, "write a root credential that works to config/ftd")
		require.NotContains(t, text, "retry in", "the pause of one login is not the one that counts")
	}
	m.clock.Advance(20 * time.Second)
	m.rejected(http.StatusBadRequest, logical.ReadOperation, "creds/ftd", nil, "asks again in 9m40s", "write a root credential that works")
	m.clock.Advance(9 * time.Minute)
	m.rejected(http.StatusBadRequest, logical.ReadOperation, "creds/ftd", nil, "asks again in 40s")
	m.runPeriodic()
	require.LessOrEqual(t, m.operations("ftd")["password"]-before, 2)
	m.must(logical.UpdateOperation, "config/ftd", map[string]any{"password": changed["password"]})
	require.NoError(t, m.readAndRevoke("ftd"))
}

// Whatever the engine concludes from the response, the change may take place later.
func TestInDoubt_LateChangeThenRotations_KeepsEveryPassword(t *testing.T) {
	for name, then := range map[string]func(*mount){
		"the operator retries":       func(m *mount) { _ = m.tryRotate("ftd") },
		"a retry and a periodic run": func(m *mount) { _ = m.tryRotate("ftd"); m.runPeriodic() },
		"rotation_period retries": func(m *mount) {
			m.runPeriodicAfter(25 * time.Hour)
		},
		"no rotation follows": func(*mount) {},
	} {
		for firstFails, first := range map[string]struct {
			status int
			fault  emulator.Fault
		}{
			"rejected": {http.StatusServiceUnavailable, emulator.Fault{Vendor: "ftd", Route: "PUT *", Status: http.StatusLocked}},
			"lost":     {http.StatusFailedDependency, emulator.Fault{Vendor: "ftd", Route: "PUT *", DropBefore: true}},
		} {
			t.Run(name+"/"+firstFails, func(t *testing.T) {
				m := newConfiguredMount(t, "ftd", nil)
				m.must(logical.UpdateOperation, "config/ftd", map[string]any{"rotation_period": "24h"})
				m.failRotation(first.status, first.fault)
				_, _ = m.tryRead("ftd")
				m.changePassword(m.candidatePassword())
				then(m)
				m.requireRecovers("ftd")
			})
		}
	}
}

func TestRotateRoot_InvalidPassword_IsNotUsedAgain(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	m.failRotation(http.StatusBadRequest, emulator.Fault{Vendor: "ftd", Route: "PUT *", Status: http.StatusUnprocessableEntity})
	invalid := m.candidatePassword()
	m.rotate("ftd")
	require.NotEqual(t, invalid, m.config("ftd").Fields["password"])
}

// Whether a new password survives a restart before the next deployment is not documented.
func TestRotateRoot_DeviceRestoresPrevious_IsResolved(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	m.rotate("ftd")
	previous := m.config("ftd").Fields["password"].(string)
	m.rotate("ftd")
	m.changePassword(previous)
	m.requireRecovers("ftd")
	m.runPeriodic()
	m.requireResolved(ftdRotation, true)
}

// The device restarts during a rotation, and has the password from before the last rotation again.
func TestInDoubt_DeviceRestoresPrevious_IsResolved(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	m.rotate("ftd")
	previous := m.config("ftd").Fields["password"].(string)
	m.rotate("ftd")
	m.failRotation(http.StatusFailedDependency, emulator.Fault{Vendor: "ftd", Route: "PUT *", DropAfter: true})
	m.rememberRotatedSecrets("ftd")
	m.changePassword(previous)
	m.requireRecovers("ftd")
}

// The rejection can concern the current password, which a late change has replaced while the login of the engine lives.
func TestInDoubt_CurrentPasswordRejected_KeepsTheCandidate(t *testing.T) {
	for _, ends := range []string{"everything", "logins", "own_session"} {
		t.Run(ends, func(t *testing.T) {
			m := newConfiguredMount(t, "ftd", nil)
			m.setSwitch("ftd", "password_change_ends", ends)
			m.failRotation(http.StatusFailedDependency, emulator.Fault{Vendor: "ftd", Route: "PUT *", DropBefore: true})
			require.NoError(t, m.readAndRevoke("ftd"))
			m.changePassword(m.candidatePassword())
			for range 3 {
				_ = m.tryRotate("ftd")
				m.clock.Advance(rotation.RejectedBackoff + time.Second)
			}
			m.clock.Advance(24 * time.Hour)
			m.requireRecovers("ftd")
		})
	}
}

func TestRootRejected_NoCandidateWorks_BacksOff(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	m.rotate("ftd")
	m.changePassword("changed-by-operator-1A")
	m.clock.Advance(25 * time.Hour)
	before := m.wrongPasswords()
	for range 59 {
		m.rejected(http.StatusBadRequest, logical.ReadOperation, "creds/ftd", nil)
		m.clock.Advance(10 * time.Second)
	}
	require.LessOrEqual(t, m.wrongPasswords()-before, 4)
}

// The device rejects the stored password and all candidates. Reads, checks, writes of other settings and periodic runs
// together send each of them a few times an hour, and ever less.
func TestRootRejected_ManyPaths_SendEachPasswordRarely(t *testing.T) {
	for name, write := range map[string]map[string]any{
		"no write":             nil,
		"a timeout changes":    {"request_timeout": "20s"},
		"metadata changes":     {"custom_metadata": map[string]any{"owner": "team"}},
		"without verification": {"max_retries": 1, "verify_connection": false},
	} {
		t.Run(name, func(t *testing.T) {
			m := newConfiguredMount(t, "ftd", nil)
			m.rotate("ftd")
			m.changePassword("changed-by-operator-1A")
			m.clock.Advance(25 * time.Hour)
			var sent []int
			for range 3 {
				before := m.wrongPasswords()
				for range 60 {
					_, _ = m.tryRead("ftd")
					_, _ = m.tryRead("ftd")
					_, _, _ = m.request(logical.ReadOperation, "config/ftd/check", nil)
					if write != nil {
						_, _, _ = m.request(logical.UpdateOperation, "config/ftd", write)
					}
					m.runPeriodicAfter(time.Minute)
				}
				sent = append(sent, m.wrongPasswords()-before)
			}
			t.Log(sent)
			require.LessOrEqual(t, sent[0], 10, "two passwords, five times each")
			require.LessOrEqual(t, sent[1], 4)
			require.LessOrEqual(t, sent[2], 4)
		})
	}
}

// The device accepts the stored password again, which an operator's write has proved. Requests do not wait for the pause.
func TestRootRejected_WriteIsAccepted_RequestsContinue(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	m.rotate("ftd")
	stored := m.config("ftd").Fields["password"].(string)
	m.changePassword("changed-by-operator-1A")
	m.clock.Advance(25 * time.Hour)
	for range 3 {
		m.rejected(http.StatusBadRequest, logical.ReadOperation, "creds/ftd", nil)
	}
	m.changePassword(stored)
	m.clock.Advance(5 * time.Minute) // the pause of the password, not that of all of them
	m.rejected(http.StatusBadRequest, logical.ReadOperation, "creds/ftd", nil, "accepts neither")
	m.must(logical.UpdateOperation, "config/ftd", map[string]any{"api_version": "v6"})
	require.NoError(t, m.readAndRevoke("ftd"))
}

func TestInDoubt_RotationTookPlace_SendsItsEvent(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	sent := m.watchEvents()
	m.failRotation(http.StatusFailedDependency, emulator.Fault{Vendor: "ftd", Route: "PUT *", DropAfter: true})
	m.runPeriodic()
	m.rememberRotatedSecrets("ftd")
	require.Equal(t, []string{rotation.EventRotateFail, rotation.EventRotate}, sent.kinds)
}

func TestInDoubt_DeviceAnswersPartly_WrongPasswordsAreFew(t *testing.T) {
	for name, fault := range map[string]emulator.Fault{
		"users cannot be read":     {Vendor: "ftd", Route: "GET *users*", Status: http.StatusServiceUnavailable},
		"logins cannot be revoked": {Vendor: "ftd", Route: "revoke_token", Status: http.StatusLocked},
		"nothing but logins work":  {Vendor: "ftd", Route: "GET *", Status: http.StatusServiceUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			m := newConfiguredMount(t, "ftd", nil)
			m.must(logical.UpdateOperation, "config/ftd", map[string]any{"max_retries": 0})
			m.failRotation(http.StatusFailedDependency, emulator.Fault{Vendor: "ftd", Route: "PUT *", DropBefore: true})
			m.fault(fault)
			for range 20 {
				_, _ = m.tryRead("ftd")
			}
			require.LessOrEqual(t, m.wrongPasswords(), 2)
		})
	}
}

func TestInDoubt_LogoutFails_LoginsDoNotAccumulate(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	m.must(logical.UpdateOperation, "config/ftd", map[string]any{"max_retries": 0})
	m.setSwitch("ftd", "password_change_ends", "own_session")
	for range 3 {
		m.read("ftd")
	}
	m.failRotation(http.StatusFailedDependency, emulator.Fault{Vendor: "ftd", Route: "PUT *", DropAfter: true})
	m.fault(emulator.Fault{Vendor: "ftd", Route: "GET *", Status: http.StatusServiceUnavailable})
	m.fault(emulator.Fault{Vendor: "ftd", Route: "revoke_token", Status: http.StatusServiceUnavailable})
	for range 6 {
		_, _ = m.tryRead("ftd")
		m.clock.Advance(rotation.UnavailableBackoff)
	}
	require.Len(t, m.leased("ftd"), 3, "the engine's logins evict no session")
}
