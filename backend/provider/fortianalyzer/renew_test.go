package fortianalyzer

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

func TestRenew_LiveSession_RestartsIdleTimeout(t *testing.T) {
	c := newCloud(t)
	conn := c.open()
	credential := c.issue(conn)
	for range 5 {
		c.Clock.Advance(14 * time.Minute)
		end, err := conn.Renew(t.Context(), credential.Handle, time.Minute)
		require.NoError(t, err)
		require.Equal(t, c.Clock.Now().Add(15*time.Minute), end)
	}
	require.Equal(t, 1, c.Requested(routeLogin))
	c.Clock.Advance(15 * time.Minute)
	_, err := conn.Renew(t.Context(), credential.Handle, time.Minute)
	requireClass(t, provider.ClassNotFound, err)
}

func TestRenew_UndocumentedAbsoluteLife_ReturnsNotFound(t *testing.T) {
	c := newCloud(t, "absolute_life", "20m")
	conn := c.open()
	credential := c.issue(conn)
	c.Clock.Advance(14 * time.Minute)
	_, err := conn.Renew(t.Context(), credential.Handle, time.Minute)
	require.NoError(t, err)
	c.Clock.Advance(6 * time.Minute)
	_, err = conn.Renew(t.Context(), credential.Handle, time.Minute)
	requireClass(t, provider.ClassNotFound, err)
}

func TestRenew_OtherFailure_KeepsLease(t *testing.T) {
	for name, fault := range map[string]emulator.Fault{
		"other code": {Body: body(`{"result":[{"status":{"code":-3,"message":"x"}}]}`)},
		"lost":       {DropAfter: true},
		"500":        {Status: 500},
		"503":        {Status: 503},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCloud(t)
			conn := c.open()
			credential := c.issue(conn)
			fault.Route, fault.Times = routeStatus, 1
			c.InjectFault(fault)
			_, err := conn.Renew(t.Context(), credential.Handle, time.Minute)
			requireClass(t, provider.ClassUnavailable, err)
			_, err = conn.Renew(t.Context(), credential.Handle, time.Minute)
			require.NoError(t, err)
		})
	}
}
