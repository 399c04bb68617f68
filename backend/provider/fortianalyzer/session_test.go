package fortianalyzer

import (
	"context"
	"net/http/httptrace"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

func TestIssue_SessionWithoutPermission_IsLoggedOut(t *testing.T) {
	c := newCloud(t)
	c.Act("set_permission", "permission", "no")
	_, err := c.open().Issue(t.Context(), issueRequest)
	require.Equal(t, remedyPermission, requireClass(t, provider.ClassForbidden, err).Remedy)
	require.Equal(t, []string{routeToken, routeLogin, routeStatus, routeLogout}, c.Operations())
	require.Zero(t, c.sessions())
}

func TestIssue_VerificationFails_SessionIsLoggedOut(t *testing.T) {
	for name, fault := range map[string]emulator.Fault{
		"lost":        {DropAfter: true},
		"500":         {Status: 500},
		"404":         {Status: 404},
		"other code":  {Body: body(`{"result":[{"status":{"code":-3,"message":"x"}}]}`)},
		"no result":   {Body: body(`{"result":[]}`)},
		"no status":   {Body: body(`{"result":[{"data":{}}]}`)},
		"no envelope": {Body: body(`{"error":{"code":-1,"message":"x"}}`)},
		"not JSON":    {Body: body(`nonsense`)},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCloud(t)
			fault.Route = routeStatus
			c.InjectFault(fault)
			_, err := c.open().Issue(t.Context(), issueRequest)
			require.True(t, provider.ClassOf(err).Definite(), err)
			require.Zero(t, c.sessions())
			require.Equal(t, 1, c.Requested(routeLogout))
		})
	}
}

func TestIssue_UnusableSessionNotLoggedOut_IsAmbiguous(t *testing.T) {
	t.Run("answers lost", func(t *testing.T) {
		c := newCloud(t)
		c.InjectFault(emulator.Fault{Route: "/jsonrpc", DropBefore: true})
		_, err := c.open().Issue(t.Context(), issueRequest)
		requireClass(t, provider.ClassAmbiguous, err)
		require.Equal(t, 1, c.sessions())
	})
	t.Run("not permitted", func(t *testing.T) {
		c := newCloud(t, "logout_needs_permission", "yes")
		c.Act("set_permission", "permission", "no")
		_, err := c.open().Issue(t.Context(), issueRequest)
		require.Equal(t, remedyPermission, requireClass(t, provider.ClassAmbiguous, err).Remedy)
		require.Equal(t, 1, c.sessions())
	})
	t.Run("other code", func(t *testing.T) {
		c := newCloud(t)
		c.InjectFault(emulator.Fault{Route: "/jsonrpc", Body: body(`{"result":[{"status":{"code":-3,"message":"x"}}]}`)})
		_, err := c.open().Issue(t.Context(), issueRequest)
		requireClass(t, provider.ClassAmbiguous, err)
	})
}

func TestIssue_RequestCanceled_LeavesNothingBehind(t *testing.T) {
	for name, test := range map[string]struct {
		route string
		class provider.Class
	}{
		"while the token is requested": {routeToken, provider.ClassUnavailable},
		"while logging in":             {routeLogin, provider.ClassAmbiguous},
		"while verifying":              {routeStatus, provider.ClassUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCloud(t)
			c.InjectFault(emulator.Fault{Route: test.route, Delay: time.Hour})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			// The requests of this issue, in order. The context is canceled once the delayed request is written.
			steps := []string{routeToken, routeLogin, routeStatus, routeLogout}
			written := 0
			ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) {
				if steps[written] == test.route {
					cancel()
				}
				written++
			}})
			_, err := c.open().Issue(ctx, issueRequest)
			requireClass(t, test.class, err)
			require.ErrorIs(t, err, context.Canceled)
			require.Zero(t, c.sessions())
			require.LessOrEqual(t, c.Requested(routeToken), 1)
		})
	}
}
