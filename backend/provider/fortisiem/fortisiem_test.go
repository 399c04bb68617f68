package fortisiem_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/fortisiem"
)

func TestCapabilities_Revocation_DependsOnTheConfig(t *testing.T) {
	can := fortisiem.New().Capabilities()
	assert.True(t, can.Revokes)
	assert.Equal(t, provider.RenewalNone, can.Renewal)
	assert.Empty(t, can.Marker)
	a := newAppliance(t)
	assert.False(t, a.open(nil).(provider.ConditionalRevoker).CanRevoke())
	assert.True(t, a.hooked(nil).(provider.ConditionalRevoker).CanRevoke())
	assert.Zero(t, a.open(nil).MaxLifetime())
}

func TestLogout_Credentials_StayValid(t *testing.T) {
	a := newAppliance(t)
	for _, connection := range []provider.Connection{a.open(nil), a.open(map[string]any{"revoke_url": "https://127.0.0.1:1/"})} {
		a.issue(connection)
		require.NoError(t, connection.Logout(t.Context()))
	}
	require.Equal(t, 2, a.Live(emulator.KindLeased))
}
