package backend

import (
	"net/http"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// rotationCase is a vendor whose root credential can be rotated.
type rotationCase struct {
	vendor string
	role   map[string]any
	// change is the route of the request that changes or creates the root credential.
	change string
}

// FTD replaces the password in place. Trend creates a new key, and the engine then revokes the previous one.
var (
	ftdRotation   = rotationCase{vendor: "ftd", change: "PUT *"}
	trendRotation = rotationCase{vendor: "trend", change: "createApiKey", role: auditorRole}
	rotations     = []rotationCase{ftdRotation, trendRotation}
)

// forRotations runs a test for each vendor whose root credential can be rotated, with a config and a role.
func forRotations(t *testing.T, run func(*testing.T, *mount, rotationCase)) {
	t.Helper()
	for _, r := range rotations {
		t.Run(r.vendor, func(t *testing.T) {
			m := newConfiguredMount(t, r.vendor, r.role)
			run(t, m, r)
		})
	}
}

// rotate rotates a root credential, which has to succeed.
func (m *mount) rotate(vendor string) *logical.Response {
	m.t.Helper()
	defer m.rememberRotatedSecrets(vendor)
	return m.must(logical.UpdateOperation, "config/"+vendor+"/rotate-root", nil)
}

// rotateKeepingPrevious rotates the root credential of Trend, which rejects the revocation of the previous one until its
// faults are cleared.
func (m *mount) rotateKeepingPrevious() *logical.Response {
	m.t.Helper()
	m.fault(emulator.Fault{Vendor: "trend", Route: "deleteApiKey", Status: http.StatusForbidden})
	return m.rotate("trend")
}

// tryRotate rotates a root credential, which may fail.
func (m *mount) tryRotate(vendor string) error {
	m.t.Helper()
	_, _, err := m.request(logical.UpdateOperation, "config/"+vendor+"/rotate-root", nil)
	return err
}

// requireResolved requires that the stored root credential works and that no rotation work remains. The first root
// credential must have ended if rotated is true, and must still work otherwise.
func (m *mount) requireResolved(r rotationCase, rotated bool) {
	m.t.Helper()
	m.rememberRotatedSecrets(r.vendor)
	m.must(logical.UpdateOperation, "config/"+r.vendor+"/check", nil)
	require.NoError(m.t, m.readAndRevoke(r.vendor))
	require.Len(m.t, m.logins(r.vendor), 1, "one root key at Trend, one login at FTD")
	entry := m.config(r.vendor)
	require.Nil(m.t, entry.Root.Previous)
	require.False(m.t, entry.Root.RecheckCredentials)
	require.False(m.t, entry.Root.InDoubt())
	m.requireNoKeys(store.RootIntentPrefix)

	_, status, err := m.request(logical.UpdateOperation, "config/first", m.configData(r.vendor, nil))
	if rotated {
		require.Equal(m.t, http.StatusBadRequest, status, "the first root credential has ended: %v", err)
		return
	}
	require.NoError(m.t, err, "the first root credential still works")
	m.must(logical.DeleteOperation, "config/first", nil)
}

// failRotation requests a rotation that meets a fault of the vendor, and requires this status.
func (m *mount) failRotation(status int, fault emulator.Fault) {
	m.t.Helper()
	fault.Times = 1
	m.fault(fault)
	m.rejected(status, logical.UpdateOperation, "config/"+fault.Vendor+"/rotate-root", nil)
}

// candidatePassword is the password that the engine last asked the device to set.
func (m *mount) candidatePassword() string {
	m.t.Helper()
	candidates := m.config("ftd").Root.Candidates
	return candidates[len(candidates)-1].Fields["password"].(string)
}

func (m *mount) changePassword(password string) {
	m.t.Helper()
	_, err := m.vendors.Do("ftd", "change_password", map[string]string{"password": password})
	require.NoError(m.t, err)
}

// requireRecovers requires that reads work again once one of them has found that the vendor rejects the root credential.
func (m *mount) requireRecovers(vendor string) {
	m.t.Helper()
	for range 2 {
		if _, err := m.tryRead(vendor); err == nil {
			break
		}
		m.clock.Advance(time.Minute) // the device may have asked to back off, and a rejected login is remembered
	}
	require.NoError(m.t, m.readAndRevoke(vendor))
	m.rememberRotatedSecrets(vendor)
}

// wrongPasswords counts the logins that the device has rejected.
func (m *mount) wrongPasswords() (count int) {
	for _, request := range m.vendors.Requests("ftd") {
		if request.Operation == "password" && request.Status == http.StatusBadRequest {
			count++
		}
	}
	return count
}
