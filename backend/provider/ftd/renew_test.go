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

// The password was changed at the device, and the token has ended too. The renewal is about the token.
func TestRenew_DeadTokenAndRefusedLogin_IsNotFound(t *testing.T) {
	d := newDevice(t)
	c := d.open()
	credential := issue(t, c, "va-1")
	d.Set("password_change_ends", "everything")
	d.Act("change_password")
	_, err := c.Renew(t.Context(), credential.Handle, time.Hour)
	requireClass(t, provider.ClassNotFound, err)
}

func TestRenew_UnknownVersionAndRefusedLogin_SaysSo(t *testing.T) {
	for name, fault := range map[string]emulator.Fault{
		"versions fail":    {Route: "GET /api/versions", Status: 503},
		"versions unknown": {Route: "GET /api/versions", Status: 404},
		"other versions":   {Route: "GET /api/versions", Body: new(`{"supportedVersions":["v1"]}`)},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDevice(t)
			c := d.open()
			credential := issue(t, c, "va-1")
			d.Set("password_change_ends", "everything")
			d.Act("change_password")
			d.InjectFault(fault)
			_, err := c.Renew(t.Context(), credential.Handle, time.Hour)
			require.Contains(t, requireClass(t, provider.ClassUnauthenticated, err).Message, "whether it has ended cannot be confirmed")
		})
	}
}
