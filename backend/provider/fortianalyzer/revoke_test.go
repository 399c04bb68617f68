package fortianalyzer

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

func TestRevoke_LogsTheSessionOutWithoutThePassword(t *testing.T) {
	c := newCloud(t)
	conn := c.open()
	credential := c.issue(conn)
	c.Act("download_credentials") // the stored password is wrong from now on
	require.NoError(t, conn.Revoke(t.Context(), credential.Handle))
	require.Zero(t, c.sessions())
	require.Equal(t, 1, c.Requested(askToken))
}

func TestRevoke_SessionAlreadyGone_SucceedsOnceANewOneProvesIt(t *testing.T) {
	for name, end := range map[string]func(*cloud, *connection, *provider.Credential){
		"by an administrator": func(c *cloud, _ *connection, _ *provider.Credential) { c.Act("end_sessions") },
		"by its idle timeout": func(c *cloud, conn *connection, _ *provider.Credential) { c.Clock.Advance(conn.idle) },
		"by ourselves": func(c *cloud, conn *connection, credential *provider.Credential) {
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
			require.Equal(t, []string{logOut, readStatus, askToken, logIn, revokeToken, readStatus, logOut}, c.Operations()[before:])
			require.Zero(t, c.sessions(), "the session that proved it is gone too")
		})
	}
}

func TestRevoke_UserLostItsPermission_IsNotTakenForGone(t *testing.T) {
	c := newCloud(t, "logout_needs_permission", "yes")
	conn := c.open()
	credential := c.issue(conn)
	c.Act("set_permission", "permission", "no")
	failure := requireClass(t, provider.ClassForbidden, conn.Revoke(t.Context(), credential.Handle))
	require.Equal(t, opLogout, failure.Op)
	require.Equal(t, remedyProfile, failure.Remedy)

	c.Act("set_permission", "permission", "yes")
	require.NoError(t, conn.Revoke(t.Context(), credential.Handle))
	require.Equal(t, 1, c.sessions(), "the session that could prove nothing could not be logged out either")
	c.Clock.Advance(conn.idle)
	require.Zero(t, c.sessions())
}

func TestRevoke_SessionThatWorksButMayNotLogOut_IsNotTakenForGone(t *testing.T) {
	c := newCloud(t)
	conn := c.open()
	credential := c.issue(conn)
	c.InjectFault(emulator.Fault{Route: logOut, Body: body(denial)})
	requireClass(t, provider.ClassForbidden, conn.Revoke(t.Context(), credential.Handle))
	require.Equal(t, 1, c.Requested(logIn), "no new session is needed to see that")
	require.Equal(t, 1, c.sessions())
}

func TestRevoke_WhatCannotBeConfirmedIsAFailure(t *testing.T) {
	for name, test := range map[string]struct {
		spoil func(*cloud)
		class provider.Class
	}{
		"wrong password": {func(c *cloud) { c.Act("download_credentials") }, provider.ClassUnauthenticated},
		"login refused": {func(c *cloud) {
			c.InjectFault(emulator.Fault{Route: logIn, Status: 403})
		}, provider.ClassForbidden},
		"login lost": {func(c *cloud) { c.InjectFault(emulator.Fault{Route: logIn, DropAfter: true}) }, provider.ClassAmbiguous},
		"status of the old session lost": {func(c *cloud) {
			c.InjectFault(emulator.Fault{Route: readStatus, DropAfter: true})
		}, provider.ClassUnavailable},
		"status of the new session lost": {func(c *cloud) {
			c.InjectFault(emulator.Fault{Route: readStatus, Skip: 1, DropAfter: true})
		}, provider.ClassUnavailable},
		"strange status of the old session": {func(c *cloud) {
			c.InjectFault(emulator.Fault{Route: readStatus, Body: body(`{"result":[{"status":{"code":-3,"message":"x"}}]}`)})
		}, provider.ClassUnavailable},
		"strange status of the new session": {func(c *cloud) {
			c.InjectFault(emulator.Fault{Route: readStatus, Skip: 1, Body: body(`{"result":[{"status":{"code":-3,"message":"x"}}]}`)})
		}, provider.ClassUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCloud(t)
			conn := c.open()
			credential := c.issue(conn)
			c.Act("end_sessions")
			test.spoil(c)
			requireClass(t, test.class, conn.Revoke(t.Context(), credential.Handle))
		})
	}
}

func TestRevoke_ALostLogoutIsRepeatedAndConfirmed(t *testing.T) {
	c := newCloud(t)
	config := c.config()
	config.MaxRetries = 1
	opened, err := New().Open(config)
	require.NoError(t, err)
	defer opened.Close()
	conn := opened.(*connection)
	credential := c.issue(conn)
	c.InjectFault(emulator.Fault{Route: logOut, DropAfter: true, Times: 1})
	require.NoError(t, conn.Revoke(t.Context(), credential.Handle))
	require.Zero(t, c.sessions())
}

func TestRevoke_AnythingElseIsAFailure(t *testing.T) {
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
			test.fault.Route = logOut
			c.InjectFault(test.fault)
			requireClass(t, test.class, conn.Revoke(t.Context(), credential.Handle))
			require.Equal(t, 1, c.sessions())
		})
	}
}

func TestRevoke_ConfirmationsTakeOneSessionAtATime(t *testing.T) {
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
	require.Empty(t, probes.byKey, "no gate is left behind")
}
