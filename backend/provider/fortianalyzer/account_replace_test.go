package fortianalyzer

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
)

// requireRejected requires that the instance rejects a login.
func (c *cloud) requireRejected(conn *connection) {
	c.T.Helper()
	_, err := conn.Issue(c.T.Context(), issueRequest)
	requireClass(c.T, provider.ClassForbidden, err)
}

func TestAccount_ReplacementRejectedToo_WaitsAMinute(t *testing.T) {
	c := newCloud(t)
	conn := c.open()
	c.InjectFault(emulator.Fault{Route: routeLogin, Status: 401})
	c.InjectFault(emulator.Fault{Route: routeVerify, Status: 401})
	requireReplacements := func(want int) {
		t.Helper()
		c.requireRejected(conn)
		require.Equal(t, want, c.Requested(routeVerify))
		c.requireGrants(1, want)
	}
	requireReplacements(1)
	requireReplacements(1)
	c.Clock.Advance(minReplaceInterval - 1)
	requireReplacements(1)
	c.Clock.Advance(1)
	requireReplacements(2)
}

// A server that does not know the call says nothing about a token, so only an old one is replaced.
func TestAccount_TokenStateUnknown_OldTokenIsReplaced(t *testing.T) {
	c := newCloud(t)
	conn := c.open()
	c.issue(conn)
	c.InjectFault(emulator.Fault{Route: routeLogin, Status: 401})
	c.InjectFault(emulator.Fault{Route: routeVerify, Status: 404})
	c.Clock.Advance(minTokenAge - 1)
	c.requireRejected(conn)
	c.requireGrants(1, 0)
	c.Clock.Advance(1)
	c.requireRejected(conn)
	c.requireGrants(1, 1)
}

func TestAccount_PasswordGrantUnavailable_IsPaused(t *testing.T) {
	for _, status := range []int{503, 501, 423} {
		c := newCloud(t)
		conn, other := c.openAs("first"), c.openAs("second")
		c.InjectFault(emulator.Fault{Route: routeToken, Status: status, Times: 1})
		_, err := conn.Issue(t.Context(), issueRequest)
		requireClass(t, provider.ClassUnavailable, err)
		_, err = other.Issue(t.Context(), issueRequest)
		require.ErrorIs(t, err, provider.ErrNotSent, status)
		c.requireGrants(1, 0)
	}
}

// A config that was deleted while the process stopped does not keep the token alive.
func TestLogout_OtherConfigIsGone_RevokesToken(t *testing.T) {
	c := newCloud(t, "refresh_token_life", "10m")
	first, second := c.openAs("first"), c.openAs("second")
	c.issue(first)
	c.issue(second)
	first.Close()
	second.Close()
	c.restart()
	first = c.openAs("first")
	c.Clock.Advance(2 * time.Hour)
	c.issue(first)
	c.requireGrants(2, 1)
	require.NoError(t, first.Logout(t.Context()))
	require.Zero(t, c.Live(emulator.KindLogin))
}

func TestLogout_RevocationFailed_CanBeRepeated(t *testing.T) {
	c := newCloud(t)
	conn := c.open()
	c.issue(conn)
	c.InjectFault(emulator.Fault{Route: routeRevokeToken, Status: 503, Times: 1})
	require.Equal(t, opRevoke, providertest.Refusal(t, conn.account.leave(t.Context(), conn)).Op)
	require.Equal(t, 1, c.Live(emulator.KindLogin))
	require.NoError(t, conn.account.leave(t.Context(), conn))
	require.Zero(t, c.Live(emulator.KindLogin))
	c.issue(conn)
	c.requireGrants(2, 0) // the revoked token is not used again
	require.Zero(t, c.Requested(routeVerify))
}

func TestAccount_TokenNotStored_IsLogged(t *testing.T) {
	for _, fails := range []bool{false, true} {
		c := newCloud(t)
		var log bytes.Buffer
		config := c.config()
		config.Logger = hclog.New(&hclog.LoggerOptions{Output: &log, Level: hclog.Warn})
		conn := c.openConfig(config)
		require.NoError(t, conn.account.load(t.Context()))
		if fails {
			c.stored[conn.api.accountKey().String()].Fail(errors.New("storage is down"))
		}
		c.issue(conn)
		if fails {
			require.Contains(t, log.String(), "could not be stored")
		} else {
			require.Empty(t, log.String())
		}
	}
}
