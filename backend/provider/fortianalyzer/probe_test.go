package fortianalyzer

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

func TestUse_AnyAnswer_ReportsIfSessionIsAccepted(t *testing.T) {
	for name, test := range map[string]struct {
		fault    *emulator.Fault
		accepted bool
		class    provider.Class // of the error; 0 means none
	}{
		"accepted":   {nil, true, 0},
		"denied":     {&emulator.Fault{Body: &permissionDenied}, false, 0},
		"other code": {&emulator.Fault{Body: body(`{"result":[{"status":{"code":-3,"message":"x"}}]}`)}, false, provider.ClassUnavailable},
		"no answer":  {&emulator.Fault{Status: http.StatusServiceUnavailable}, false, provider.ClassUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCloud(t)
			conn := c.open()
			credential := c.issue(conn)
			if test.fault != nil {
				test.fault.Route = routeStatus
				c.InjectFault(*test.fault)
			}
			accepted, err := conn.Use(t.Context(), credential)
			require.Equal(t, test.accepted, accepted)
			if test.class == 0 {
				require.NoError(t, err)
				return
			}
			requireClass(t, test.class, err)
		})
	}
}

func TestInspect_SystemStatus_NamesTheProduct(t *testing.T) {
	c := newCloud(t)
	conn := c.open()
	credential := c.issue(conn)
	facts, err := conn.Inspect(t.Context(), credential)
	require.NoError(t, err)
	require.Equal(t, map[string]string{
		"status_data": "present", provider.InspectedProduct: "FAZVM64-VIO-CLOUD v7.6.6-build3652 260114 (GA.M)",
	}, facts)
	for _, data := range []string{``, `"data":"x",`} {
		c.InjectFault(emulator.Fault{Route: routeStatus, Body: body(`{"result":[{` + data + `"status":{"code":0,"message":"OK"}}]}`), Times: 1})
		facts, err = conn.Inspect(t.Context(), credential)
		require.NoError(t, err)
		require.Equal(t, map[string]string{"status_data": "absent"}, facts)
	}
	c.InjectFault(emulator.Fault{Route: routeStatus, Status: http.StatusServiceUnavailable})
	_, err = conn.Inspect(t.Context(), credential)
	requireClass(t, provider.ClassUnavailable, err)
}
