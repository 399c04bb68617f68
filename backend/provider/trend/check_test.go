package trend_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

func TestCheck_ValidKey_ReturnsItsDetails(t *testing.T) {
	m := newManager(t)
	checked, err := m.open(m.rootFields()).Check(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "vault-management", checked.Identity)
	assert.Zero(t, checked.RootExpiresAt)
	assert.Empty(t, checked.Warnings)
	assert.Equal(t, 1, checked.Details["api_key_id"])
	assert.Equal(t, 3, checked.Details["role_id"])
	assert.EqualValues(t, 78422, checked.Details["tenant_id"])
	assert.Contains(t, checked.Details["role_urn"], "API Key Management")
	assert.NotEmpty(t, checked.Details["tenant_guid"])
	assert.Equal(t, "Deep Security Manager", checked.Details["product"])
}

func TestCheck_KeyNearItsExpiry_Warns(t *testing.T) {
	for left, warnings := range map[time.Duration]int{
		15 * 24 * time.Hour: 0, 13 * 24 * time.Hour: 1,
		provider.RootExpiryNotice + time.Second: 0, provider.RootExpiryNotice: 1, // the manager's second is not known exactly
	} {
		m := newManager(t, emulator.SwitchClockSkew, "300h")
		m.Act("set_expiry", "in", left.String())
		checked, err := m.open(m.rootFields()).Check(t.Context())
		require.NoError(t, err)
		assert.Equal(t, m.Clock.Now().Add(left-time.Second), checked.RootExpiresAt)
		assert.Len(t, checked.Warnings, warnings, left)
	}
}

func TestCheck_IDOfAnotherKey_Warns(t *testing.T) {
	m := newManager(t)
	for id, warnings := range map[int]int{1: 0, 7: 1} {
		raw := m.rootFields()
		raw["api_key_id"] = id
		checked, err := m.open(raw).Check(t.Context())
		require.NoError(t, err)
		assert.Len(t, checked.Warnings, warnings)
	}
}
