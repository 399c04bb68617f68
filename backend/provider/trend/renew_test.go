package trend_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

func TestRenew_LiveKey_MovesItsExpiry(t *testing.T) {
	m := newManager(t)
	conn := m.open(m.rootFields())
	credential := m.issue(conn)
	m.Clock.Advance(30 * time.Minute)
	end, err := conn.Renew(t.Context(), credential.Handle, time.Hour)
	require.NoError(t, err)
	assert.Equal(t, m.Clock.Now().Add(time.Hour), end)
	assert.Equal(t, "2:", credential.Token[:2], "the same key")
	m.Clock.Advance(45 * time.Minute)
	assert.True(t, m.LastIssued(emulator.KindLeased).Live)
}

func TestRenew_SkewedClockAfterRestart_IsCorrected(t *testing.T) {
	for _, skew := range []string{"6h", "-6h"} {
		m := newManager(t, emulator.SwitchClockSkew, skew)
		credential := m.issue(m.open(m.rootFields()))
		end, err := m.open(m.rootFields()).Renew(t.Context(), credential.Handle, 2*time.Hour)
		require.NoError(t, err)
		assert.Equal(t, m.Clock.Now().Add(2*time.Hour), end, skew)
		assert.False(t, end.After(*m.LastIssued(emulator.KindLeased).ExpiresAt))
	}
}

func TestRenew_EarlierExpiry_ReturnsTheStoredOne(t *testing.T) {
	for rule, want := range map[string]time.Duration{"accept": time.Minute, "reject": time.Hour} {
		m := newManager(t, "shortened_expiry", rule)
		conn := m.open(m.rootFields())
		credential := m.issue(conn)
		end, err := conn.Renew(t.Context(), credential.Handle, time.Minute)
		require.NoError(t, err, rule)
		assert.Equal(t, m.Clock.Now().Add(want), end, rule)
	}
}

func TestRenew_ExpiryRoundedDown_IsReturned(t *testing.T) {
	m := newManager(t, "expiry_precision", "day_start")
	conn := m.open(m.rootFields())
	request := hourRequest(nil)
	request.Lifetime = 48 * time.Hour
	credential, err := conn.Issue(t.Context(), request)
	require.NoError(t, err)
	end, err := conn.Renew(t.Context(), credential.Handle, 49*time.Hour)
	require.NoError(t, err)
	assert.Equal(t, m.LastIssued(emulator.KindLeased).ExpiresAt.Add(-time.Second), end)
}

func TestRenew_ExpiredKey_IsNotFoundUnlessRevived(t *testing.T) {
	for rule, revived := range map[string]bool{"reject": false, "ignore": false, "revive": true} {
		m := newManager(t, "extend_expired_key", rule)
		conn := m.open(m.rootFields())
		credential := m.issue(conn)
		m.Clock.Advance(2 * time.Hour)
		end, err := conn.Renew(t.Context(), credential.Handle, time.Hour)
		if revived {
			require.NoError(t, err)
			assert.Equal(t, m.Clock.Now().Add(time.Hour), end)
			assert.True(t, m.LastIssued(emulator.KindLeased).Live)
			continue
		}
		assert.Equal(t, provider.ClassNotFound, provider.ClassOf(err), "%s: %v", rule, err)
	}
}

func TestRenew_KeyLockedOrDeleted_IsNotFound(t *testing.T) {
	for action, message := range map[string]string{"lock_key": "locked out", "delete_key": "does not exist"} {
		m := newManager(t)
		conn := m.open(m.rootFields())
		credential := m.issue(conn)
		m.Act(action, "id", "2")
		_, err := conn.Renew(t.Context(), credential.Handle, time.Hour)
		failure := providerError(t, err)
		assert.Equal(t, provider.ClassNotFound, failure.Class)
		assert.Contains(t, failure.Message+": "+failure.Detail, message)
		require.NoError(t, conn.Revoke(t.Context(), credential.Handle))
	}
}

func TestRenew_RejectedForALiveKey_IsInvalid(t *testing.T) {
	m := newManager(t)
	conn := m.open(m.rootFields())
	credential := m.issue(conn)
	m.InjectFault(emulator.Fault{Route: "modifyApiKey", Status: http.StatusBadRequest})
	_, err := conn.Renew(t.Context(), credential.Handle, 2*time.Hour)
	assert.Equal(t, provider.ClassInvalid, provider.ClassOf(err), "%v", err)
	m.InjectFault(emulator.Fault{Route: "describeApiKey", DropBefore: true})
	_, err = conn.Renew(t.Context(), credential.Handle, 2*time.Hour)
	assert.Equal(t, provider.ClassInvalid, provider.ClassOf(err), "%v", err)
}
