package fortianalyzer

import (
	"bytes"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

func TestCheck_Default_LogsInAndOut(t *testing.T) {
	c := newCloud(t)
	conn := c.open()
	result, err := conn.Check(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{routeToken, routeLogin, routeStatus, routeSettings, routeLogout}, c.Operations())
	require.Zero(t, c.sessions())
	require.Equal(t, conn.api.username, result.Identity)
	require.Equal(t, map[string]any{
		"client_id": "FortiAnalyzer", "hostname": "FortiAnalyzer-Cloud", "serial_number": "FAZVCLTM26000001",
		"version": "v7.6.6-build3652 260114 (GA.M)", "platform_type": "FAZVM64-VIO-CLOUD", "idle_timeout_api": int64(900),
	}, result.Details)
	require.Empty(t, result.Warnings)
	require.True(t, result.RootExpiresAt.IsZero())
}

func TestCheck_IdleTimeoutTooLarge_Warns(t *testing.T) {
	c := newCloud(t, "idle_timeout", "5m")
	result, err := c.open().Check(t.Context())
	require.NoError(t, err)
	require.Len(t, result.Warnings, 1)
	require.Contains(t, result.Warnings[0], "idle_timeout=5m0s")
	result, err = c.open(fieldIdleTimeout, "5m").Check(t.Context())
	require.NoError(t, err)
	require.Empty(t, result.Warnings)
}

func TestCheck_DetailsUnavailable_Succeeds(t *testing.T) {
	c := newCloud(t, "status_data", "absent", "settings_readable", "no")
	result, err := c.open().Check(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[string]any{"client_id": "FortiAnalyzer"}, result.Details)
	require.Empty(t, result.Warnings)

	c.Set("settings_readable", "yes")
	for _, data := range []string{`"x"`, `{}`, `{"idle_timeout_api":0}`, `{"idle_timeout_api":-1}`} {
		c.InjectFault(emulator.Fault{
			Route: routeSettings, Body: body(`{"result":[{"data":` + data + `,"status":{"code":0,"message":"OK"}}]}`), Times: 1,
		})
		result, err = c.open().Check(t.Context())
		require.NoError(t, err)
		require.Equal(t, map[string]any{"client_id": "FortiAnalyzer"}, result.Details, data)
		require.Empty(t, result.Warnings, data)
	}
}

func TestCheck_CleanupFails_Warns(t *testing.T) {
	c := newCloud(t)
	var log bytes.Buffer
	config := c.config()
	config.Logger = hclog.New(&hclog.LoggerOptions{Output: &log, Level: hclog.Warn})
	conn := c.openConfig(config)
	_, err := conn.Check(t.Context())
	require.NoError(t, err)
	require.Empty(t, log.String())
	c.InjectFault(emulator.Fault{Route: routeLogout, DropBefore: true})
	result, err := conn.Check(t.Context())
	require.NoError(t, err)
	require.Len(t, result.Warnings, 1)
	require.Contains(t, log.String(), "ends by its idle timeout")
}

func TestCheck_LoginOrStatusFails_ReturnsClass(t *testing.T) {
	for name, test := range map[string]struct {
		arrange func(*cloud)
		class   provider.Class
	}{
		"a disabled user": {func(c *cloud) { c.Act("disable_api_user") }, provider.ClassUnauthenticated},
		"no permission":   {func(c *cloud) { c.Act("set_permission", "permission", "no") }, provider.ClassForbidden},
		"status lost":     {func(c *cloud) { c.InjectFault(emulator.Fault{Route: routeStatus, DropAfter: true}) }, provider.ClassUnavailable},
		"other code": {func(c *cloud) {
			c.InjectFault(emulator.Fault{Route: routeStatus, Body: body(`{"result":[{"status":{"code":-3,"message":"x"}}]}`)})
		}, provider.ClassUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCloud(t)
			test.arrange(c)
			_, err := c.open().Check(t.Context())
			requireClass(t, test.class, err)
			require.Zero(t, c.sessions())
		})
	}
}
