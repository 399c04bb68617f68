package fortianalyzer

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

func TestRevoke_LiveSession_LogsOutWithoutPassword(t *testing.T) {
	c := newCloud(t)
	conn := c.open()
	credential := c.issue(conn)
	c.Act("download_credentials") // this invalidates the stored password
	require.NoError(t, conn.Revoke(t.Context(), credential.Handle))
	require.Zero(t, c.sessions())
	require.Equal(t, 1, c.Requested(routeToken))
}

func TestRevoke_SessionAlreadyEnded_SucceedsAfterProof(t *testing.T) {
	for name, end := range map[string]func(*cloud, *connection, *provider.Credential){
		"by an administrator": func(c *cloud, _ *connection, _ *provider.Credential) { c.Act("end_sessions") },
		"by its idle timeout": func(c *cloud, conn *connection, _ *provider.Credential) { c.Clock.Advance(conn.idle) },
		"by a first revocation": func(c *cloud, conn *connection, credential *provider.Credential) {
			require.NoError(c.T, conn.Revoke(c.T.Context(), credential.Handle))
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCloud(t)
			conn := c.open()
			credential := c.issue(conn)
			end(c, conn, credential)
			before := len(c.Operations())
			require.NoError(t, conn.Revoke(t.Context(), credential.Handle))
			require.Equal(t, []string{routeLogout, routeStatus, routeLogin, routeStatus, routeLogout}, c.Operations()[before:])
			require.Zero(t, c.sessions(), "the session that proved it is logged out too")
		})
	}
}

func TestRevoke_UserLostPermission_ReturnsForbidden(t *testing.T) {
	c := newCloud(t, "logout_needs_permission", "yes")
	conn := c.open()
	credential := c.issue(conn)
	c.Act("set_permission", "permission", "no")
	failure := requireClass(t, provider.ClassForbidden, conn.Revoke(t.Context(), credential.Handle))
	require.Equal(t, opLogout, failure.Op)
	require.Equal(t, remedyPermission, failure.Remedy)

	c.Act("set_permission", "permission", "yes")
	require.NoError(t, conn.Revoke(t.Context(), credential.Handle))
	require.Equal(t, 1, c.sessions(), "the session of the failed confirmation could not be logged out either")
	c.Clock.Advance(conn.idle)
	require.Zero(t, c.sessions())
}

func TestRevoke_LogoutNotPermitted_ReturnsForbidden(t *testing.T) {
	c := newCloud(t)
	conn := c.open()
	credential := c.issue(conn)
	c.InjectFault(emulator.Fault{Route: routeLogout, Body: body(permissionDenied)})
	requireClass(t, provider.ClassForbidden, conn.Revoke(t.Context(), credential.Handle))
	require.Equal(t, 1, c.Requested(routeLogin), "no new session is needed: the old one still works")
	require.Equal(t, 1, c.sessions())
}

func TestRevoke_ConfirmationFails_ReturnsError(t *testing.T) {
	for name, test := range map[string]struct {
		arrange func(*cloud)
		class   provider.Class
	}{
		// It says nothing about other sessions, which are logged out without the password.
		"wrong password": {func(c *cloud) {
			c.Act("download_credentials")
			c.Clock.Advance(minPasswordInterval)
		}, provider.ClassUnavailable},
		"login rejected": {func(c *cloud) {
			c.InjectFault(emulator.Fault{Route: routeLogin, Status: 403})
		}, provider.ClassForbidden},
		"login lost": {func(c *cloud) { c.InjectFault(emulator.Fault{Route: routeLogin, DropAfter: true}) }, provider.ClassAmbiguous},
		"status of the old session lost": {func(c *cloud) {
			c.InjectFault(emulator.Fault{Route: routeStatus, DropAfter: true})
		}, provider.ClassUnavailable},
		"status of the new session lost": {func(c *cloud) {
			c.InjectFault(emulator.Fault{Route: routeStatus, Skip: 1, DropAfter: true})
		}, provider.ClassUnavailable},
		"undocumented code for the old session": {func(c *cloud) {
			c.InjectFault(emulator.Fault{Route: routeStatus, Body: body(`{"result":[{"status":{"code":-3,"message":"x"}}]}`)})
		}, provider.ClassUnavailable},
		"undocumented code for the new session": {func(c *cloud) {
			c.InjectFault(emulator.Fault{Route: routeStatus, Skip: 1, Body: body(`{"result":[{"status":{"code":-3,"message":"x"}}]}`)})
		}, provider.ClassUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCloud(t)
			conn := c.open()
			credential := c.issue(conn)
			c.Act("end_sessions")
			test.arrange(c)
			requireClass(t, test.class, conn.Revoke(t.Context(), credential.Handle))
		})
	}
}

func TestRevoke_LogoutAnswerLost_IsRepeatedAndConfirmed(t *testing.T) {
	c := newCloud(t)
	config := c.config()
	config.MaxRetries = 1
	opened, err := New().Open(config)
	require.NoError(t, err)
	defer opened.Close()
	conn := opened.(*connection)
	credential := c.issue(conn)
	c.InjectFault(emulator.Fault{Route: routeLogout, DropAfter: true, Times: 1})
	require.NoError(t, conn.Revoke(t.Context(), credential.Handle))
	require.Zero(t, c.sessions())
}

func TestRevoke_OtherAnswer_ReturnsError(t *testing.T) {
	for name, test := range map[string]struct {
		fault emulator.Fault
		class provider.Class
	}{
		"other code": {emulator.Fault{Body: body(`{"result":[{"status":{"code":-3,"message":"x"}}]}`)}, provider.ClassUnavailable},
		"no code":    {emulator.Fault{Body: body(`{"result":[{"status":{"message":"OK"}}]}`)}, provider.ClassUnavailable},
		"lost":       {emulator.Fault{DropBefore: true}, provider.ClassUnavailable},
		"404":        {emulator.Fault{Status: 404}, provider.ClassInvalid},
		"503":        {emulator.Fault{Status: 503}, provider.ClassUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCloud(t)
			conn := c.open()
			credential := c.issue(conn)
			test.fault.Route = routeLogout
			c.InjectFault(test.fault)
			requireClass(t, test.class, conn.Revoke(t.Context(), credential.Handle))
			require.Equal(t, 1, c.sessions())
		})
	}
}

func TestRevoke_ConcurrentConfirmations_UseOneSession(t *testing.T) {
	c := newCloud(t, "login_max", "0")
	conn := c.open()
	var leased []*provider.Credential
	for range 8 {
		leased = append(leased, c.issue(conn))
	}
	c.Act("end_sessions")
	c.Set("login_max", "1")
	var group errgroup.Group
	for _, credential := range leased {
		group.Go(func() error { return conn.Revoke(t.Context(), credential.Handle) })
	}
	require.NoError(t, group.Wait())
	require.Zero(t, c.sessions())
	require.Empty(t, conn.shared.probes.byKey, "the map is empty when no probe runs")
}

// confirmTogether revokes two sessions that have ended. Both confirmations wait at the same time before the first one begins.
func (c *cloud) confirmTogether(conn *connection) []error {
	c.T.Helper()
	leased := []*provider.Credential{c.issue(conn), c.issue(conn)}
	c.Act("end_sessions")
	key := conn.probeKey()
	release, err := conn.shared.probes.acquire(c.T.Context(), key)
	require.NoError(c.T, err)
	results := make(chan error, len(leased))
	for _, credential := range leased {
		go func() { results <- conn.Revoke(c.T.Context(), credential.Handle) }()
	}
	require.Eventually(c.T, func() bool {
		conn.shared.probes.mu.Lock()
		defer conn.shared.probes.mu.Unlock()
		return conn.shared.probes.byKey[key].users == 1+len(leased)
	}, 10*time.Second, time.Millisecond)
	release()
	return []error{<-results, <-results}
}

func TestRevoke_WaitingConfirmations_ShareEachProof(t *testing.T) {
	c := newCloud(t)
	conn := c.open()
	for round := range 3 {
		for _, err := range c.confirmTogether(conn) {
			require.NoError(t, err)
		}
		require.Equal(t, 3*(round+1), c.Requested(routeLogin), "two of the leased sessions and one of the engine's own")
	}
}

// A confirmation that failed proves nothing for one that waited behind it.
func TestRevoke_ProofFails_WaitingConfirmationFailsToo(t *testing.T) {
	c := newCloud(t)
	conn := c.open()
	c.InjectFault(emulator.Fault{Route: routeLogin, Skip: 2, Status: 503})
	for _, err := range c.confirmTogether(conn) {
		requireClass(t, provider.ClassUnavailable, err)
	}
	require.Equal(t, 4, c.Requested(routeLogin), "each confirmation tries")
}
