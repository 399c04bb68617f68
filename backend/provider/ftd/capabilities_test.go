package ftd_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/ftd"
)

// A device allows five sessions. The engine's login takes one, and by default one stays free for a person.
func TestCapabilities_Limits_FillDeviceWithoutEviction(t *testing.T) {
	limits := ftd.New().Capabilities()
	d := newDevice(t)
	c := d.open()
	for active := range limits.DefaultMaxCredentials {
		_, err := c.Issue(t.Context(), requestWithActive(active))
		require.NoError(t, err)
	}
	person := d.Act("ui_login")
	assert.Zero(t, d.evicted())
	_, err := c.Issue(t.Context(), requestWithActive(limits.DefaultMaxCredentials))
	requireClass(t, provider.ClassCapacity, err)

	d.Act("ui_logout", "id", person["id"])
	for active := limits.DefaultMaxCredentials; active < limits.MaxCredentials; active++ {
		_, err := c.Issue(t.Context(), requestWithActive(active))
		require.NoError(t, err)
	}
	assert.Equal(t, limits.MaxCredentials, d.Live(emulator.KindLeased))
	_, err = c.Issue(t.Context(), requestWithActive(limits.MaxCredentials))
	requireClass(t, provider.ClassCapacity, err)
	assert.Zero(t, d.evicted())
}
