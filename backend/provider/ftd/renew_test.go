package ftd_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

func TestRenew_EvictedToken_IsNotFound(t *testing.T) {
	d := newDevice(t)
	c := d.open()
	credential := issue(t, c, "va-1")
	d.evictLogin()
	_, err := c.Renew(t.Context(), credential.Handle, time.Hour)
	requireClass(t, provider.ClassNotFound, err)
}

func TestRenew_BusyDevice_IsUnavailable(t *testing.T) {
	d := newDevice(t)
	c := d.open()
	credential := issue(t, c, "va-1")
	d.Set("device_state", "busy")
	_, err := c.Renew(t.Context(), credential.Handle, time.Hour)
	assert.Equal(t, 10*time.Second, requireClass(t, provider.ClassUnavailable, err).RetryAfter)
}

func TestRenew_ForbiddenAnswer_MeansLiveToken(t *testing.T) {
	d := newDevice(t)
	c := d.open()
	credential := issue(t, c, "va-1")
	d.InjectFault(emulator.Fault{Route: "object/users", Status: 403})
	end, err := c.Renew(t.Context(), credential.Handle, time.Hour)
	require.NoError(t, err)
	assert.True(t, end.Equal(credential.ExpiresAt))
}
