package fortianalyzer

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
)

// requireGrants requires numbers of password and refresh grants so far.
func (c *cloud) requireGrants(passwords, refreshes int) {
	c.T.Helper()
	require.Equal(c.T, passwords, c.Requested(routeToken), "password grants")
	require.Equal(c.T, refreshes, c.Requested(routeRefresh), "refresh grants")
}

func TestAccount_ConcurrentConfigs_SendOnePassword(t *testing.T) {
	c := newCloud(t, "login_max", "0")
	first, second := c.openAs("first"), c.openAs("second")
	var group errgroup.Group
	for i := range 24 {
		conn := []*connection{first, second}[i%2]
		group.Go(func() error {
			_, err := conn.Issue(t.Context(), issueRequest)
			return err
		})
	}
	require.NoError(t, group.Wait())
	require.Equal(t, 24, c.sessions())
	c.requireGrants(1, 0)
	c.restart()
	c.issue(c.openAs("first"))
	c.requireGrants(1, 0)
}

func TestAccount_TokenNearItsEnd_IsRefreshed(t *testing.T) {
	for _, form := range []string{"rotate", "keep", "absent"} {
		c := newCloud(t, "refresh_token", form)
		conn := c.open()
		c.issue(conn)
		for i := range 3 {
			c.Clock.Advance(time.Hour - time.Second) // the token lives for 61 minutes
			c.issue(conn)
			require.Equal(t, i, c.Requested(routeRefresh), "not earlier than a minute before the end")
			c.Clock.Advance(time.Second)
			c.issue(conn)
			c.requireGrants(1, i+1)
		}
	}
}

func TestAccount_RefreshRefused_SendsPassword(t *testing.T) {
	c := newCloud(t, "refresh_token_life", "10m")
	conn := c.open()
	c.issue(conn)
	c.Clock.Advance(2 * time.Hour)
	c.issue(conn)
	c.requireGrants(2, 1)
}

func TestAccount_RefreshLost_SendsNoPassword(t *testing.T) {
	for name, fault := range map[string]emulator.Fault{
		"lost": {DropAfter: true}, "500": {Status: 500}, "503": {Status: 503}, "no connection": {DropBefore: true},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCloud(t)
			conn := c.open()
			c.issue(conn)
			c.Clock.Advance(2 * time.Hour)
			fault.Route, fault.Times = routeRefresh, 1
			c.InjectFault(fault)
			_, err := conn.Issue(t.Context(), issueRequest)
			requireClass(t, provider.ClassUnavailable, err)
			require.Equal(t, 1, c.Requested(routeToken))
			c.issue(conn)
		})
	}
}

// Another program that logs in as the same API user ends the token.
func TestAccount_TokenEndedByOtherProgram_IsReplacedOnce(t *testing.T) {
	c := newCloud(t, "login_max", "0")
	conn := c.open()
	c.issue(conn)
	c.Clock.Advance(10 * time.Minute)
	other, err := New().Open(c.Config(c.provider, nil)) // has neither the memory nor the store of the mount
	require.NoError(t, err)
	defer other.Close()
	c.issue(other.(*connection))
	var group errgroup.Group
	for range 20 {
		group.Go(func() error {
			_, err := conn.Issue(t.Context(), issueRequest)
			return err
		})
	}
	require.NoError(t, group.Wait())
	c.requireGrants(2, 1)
}

// The instance rejects logins beyond login-max with the same answer as those with a token that has ended.
func TestAccount_LoginsRejected_SendNoPassword(t *testing.T) {
	for _, status := range []string{"401", "403", "400", "200"} {
		for name, verify := range map[string]struct {
			fault     *emulator.Fault
			refreshes int
		}{
			"token is valid":      {nil, 0},
			"call is unknown":     {&emulator.Fault{Status: 404}, 11},
			"call is misanswered": {&emulator.Fault{Status: 401}, 11},
			"server is down":      {&emulator.Fault{DropBefore: true}, 0},
		} {
			t.Run(status+" "+name, func(t *testing.T) {
				c := newCloud(t, "login_max", "1", "login_failure_status", status)
				if verify.fault != nil {
					verify.fault.Route = routeVerify
					c.InjectFault(*verify.fault)
				}
				conn := c.open()
				c.issue(conn)
				for range 60 {
					_, err := conn.Issue(t.Context(), issueRequest)
					require.Contains(t, requireClass(t, provider.ClassForbidden, err).Remedy, "login-max")
					c.Clock.Advance(10 * time.Second)
					_, err = conn.Renew(t.Context(), c.issued, time.Minute)
					require.NoError(t, err)
				}
				require.Equal(t, 1, c.Requested(routeToken))
				require.LessOrEqual(t, c.Requested(routeRefresh), verify.refreshes, "at most one a minute")
			})
		}
	}
}

func TestAccount_LoginsRejectedWithoutRefresh_SendFewPasswords(t *testing.T) {
	for _, status := range []int{401, 404} {
		c := newCloud(t, "refresh_token_life", "1s")
		conn := c.open()
		c.InjectFault(emulator.Fault{Route: routeLogin, Status: 401})
		c.InjectFault(emulator.Fault{Route: routeVerify, Status: status})
		for range 180 {
			_, err := conn.Issue(t.Context(), issueRequest)
			requireClass(t, provider.ClassForbidden, err)
			c.Clock.Advance(10 * time.Second)
		}
		require.LessOrEqual(t, c.Requested(routeToken), 8, "half an hour, at most one in five minutes")
	}
}

// A server that has forgotten all tokens, also a new one and its refresh token.
func TestAccount_NewTokenForgotten_IsReplaced(t *testing.T) {
	c := newCloud(t)
	conn := c.open()
	c.issue(conn)
	c.Reset()
	c.issue(conn)
	c.requireGrants(1, 1) // the log begins with the reset
	require.Equal(t, 1, c.Requested(routeVerify))
}

func TestAccount_AnotherPassword_IsSent(t *testing.T) {
	c := newCloud(t)
	conn := c.open()
	c.issue(conn)
	wrong := c.openAs("wrong", fieldPassword, "guessed")
	_, err := wrong.Check(t.Context())
	failure := requireClass(t, provider.ClassUnauthenticated, err)
	require.NotContains(t, failure.Remedy, "locked", "this password has never worked")
	c.requireGrants(2, 0)
	require.NoError(t, wrong.Logout(t.Context()))
	c.issue(conn)
	c.requireGrants(2, 0)

	fresh := c.Act("download_credentials")["password"]
	changed := c.openAs("changed", fieldPassword, fresh)
	_, err = changed.Check(t.Context())
	require.NoError(t, err)
	c.issue(changed)
	c.requireGrants(3, 0)
}

func TestAccount_PasswordRejectedAfterSuccess_NamesLockout(t *testing.T) {
	c := newCloud(t, "lockout_duration", "15m")
	conn := c.open()
	c.issue(conn)
	c.Act("lock_account")
	c.Clock.Advance(2 * time.Hour) // the access token has expired
	c.Act("lock_account")
	_, err := conn.Issue(t.Context(), issueRequest)
	failure := requireClass(t, provider.ClassUnauthenticated, err)
	require.Contains(t, failure.Remedy, "locked the account out")
	require.Contains(t, failure.Remedy, "config/edge")
	require.Equal(t, 30*time.Minute, failure.RetryAfter)
	c.requireGrants(2, 1)

	for range 29 {
		c.Clock.Advance(time.Minute)
		_, err := conn.Issue(t.Context(), issueRequest)
		require.ErrorIs(t, err, provider.ErrNotSent)
		require.Contains(t, requireClass(t, provider.ClassUnauthenticated, err).Remedy, "locked the account out")
		_, err = conn.Check(t.Context())
		require.ErrorIs(t, err, provider.ErrNotSent)
	}
	c.requireGrants(2, 1)
	c.Clock.Advance(time.Minute)
	c.issue(conn)
	c.requireGrants(3, 1)
}

// An attempt extends a lockout. The pause is as long as the longest one, so that the account receives no password in that time.
func TestAccount_LongestLockout_EndsWithoutOperator(t *testing.T) {
	c := newCloud(t, "lockout_duration", "30m")
	conn := c.open()
	c.issue(conn)
	c.Clock.Advance(24 * time.Hour) // the access token and its refresh token have expired
	c.Act("lock_account")
	locked := c.Requested(routeToken)
	for range 30 {
		_, err := conn.Issue(t.Context(), issueRequest)
		requireClass(t, provider.ClassUnauthenticated, err)
		_, err = conn.Check(t.Context())
		requireClass(t, provider.ClassUnauthenticated, err)
		c.Clock.Advance(time.Minute)
	}
	require.Equal(t, 1, c.Requested(routeToken)-locked)
	c.issue(conn)
}

func TestAccount_PasswordGrantLost_IsPaused(t *testing.T) {
	c := newCloud(t)
	conn, other := c.openAs("first"), c.openAs("second")
	c.InjectFault(emulator.Fault{Route: routeToken, Status: 500, Times: 1})
	_, err := conn.Issue(t.Context(), issueRequest)
	requireClass(t, provider.ClassUnavailable, err)
	_, err = other.Issue(t.Context(), issueRequest)
	require.ErrorIs(t, err, provider.ErrNotSent)
	requireClass(t, provider.ClassUnavailable, err)
	c.requireGrants(1, 0)
	c.Clock.Advance(minLostPause)
	c.issue(other)
}

func TestAccount_StoreFails_SendsNoPassword(t *testing.T) {
	c := newCloud(t)
	first := c.open()
	c.issue(first)
	first.Close()
	c.restart()
	store := c.stored[first.api.accountKey().String()]
	store.Fail(errors.New("storage is down"))
	conn := c.open()
	_, err := conn.Issue(t.Context(), issueRequest)
	requireClass(t, provider.ClassUnavailable, err)
	require.Error(t, conn.account.leave(t.Context(), conn))
	c.requireGrants(1, 0)
	store.Fail(nil)
	c.issue(conn)
	c.requireGrants(1, 0)

	c.Clock.Advance(2 * time.Hour)
	store.Fail(errors.New("storage is down"))
	c.issue(conn) // it works until the next restart
	c.requireGrants(1, 1)
}

func TestAccount_StoredTokenOfAnotherAccount_IsNotUsed(t *testing.T) {
	c := newCloud(t)
	for _, content := range []string{"nonsense", `{"v":2}`, `{"v":1,"account":"another","access_token":"x"}`} {
		c.stored = map[string]*providertest.Sessions{}
		key := c.open().api.accountKey().String()
		c.stored[key] = &providertest.Sessions{}
		c.stored[key].Put([]byte(content))
		c.restart()
		conn := c.open()
		c.issue(conn)
		conn.Close()
	}
	c.requireGrants(3, 0)
}

func TestAccount_ClockWasAhead_RefreshesToken(t *testing.T) {
	c := newCloud(t)
	start := c.Clock.Now()
	conn := c.open()
	c.Clock.Advance(24 * time.Hour)
	c.issue(conn)
	c.Clock.Set(start)
	c.issue(conn)
	c.requireGrants(1, 1)
	c.issue(conn)
	c.requireGrants(1, 1)
}

func TestLogout_OtherConfigUsesToken_LeavesIt(t *testing.T) {
	c := newCloud(t)
	first, second := c.openAs("first"), c.openAs("second")
	c.issue(first)
	c.issue(second)
	second.Close()
	c.restart()
	first = c.openAs("first") // the second one is not open yet
	require.NoError(t, first.Logout(t.Context()))
	require.Equal(t, 1, c.Live(emulator.KindLogin))
	second = c.openAs("second")
	c.issue(second)
	c.requireGrants(1, 0)

	again := c.openAs("second") // the same config, for example with another request_timeout
	require.NoError(t, again.Logout(t.Context()))
	require.Equal(t, 1, c.Live(emulator.KindLogin))
	discarded := c.openAs("third") // a config that was not stored
	require.NoError(t, discarded.Logout(t.Context()))
	require.Equal(t, 1, c.Live(emulator.KindLogin))
	require.NoError(t, second.Logout(t.Context()))
	require.Zero(t, c.Live(emulator.KindLogin))
	require.Empty(t, c.stored[second.api.accountKey().String()].Saved())
	require.Empty(t, c.provider.(vendor).shared.accounts.byKey)
}

func TestLogout_TokenExpired_SendsNothing(t *testing.T) {
	c := newCloud(t)
	conn := c.open()
	c.issue(conn)
	c.Clock.Advance(2 * time.Hour)
	before := len(c.Operations())
	require.NoError(t, conn.Logout(t.Context()))
	require.Len(t, c.Operations(), before)
}

func TestRateLimit_WithinCallersTime_IsWaitedFor(t *testing.T) {
	for name, route := range map[string]string{"token": routeToken, "login": routeLogin} {
		t.Run(name, func(t *testing.T) {
			c := newCloud(t)
			conn := c.open()
			c.InjectFault(emulator.Fault{Route: route, Status: 429, Header: map[string]string{"Retry-After": "7"}, Times: 1})
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			issued := make(chan error, 1)
			go func() {
				_, err := conn.Issue(ctx, issueRequest)
				issued <- err
			}()
			require.Eventually(t, func() bool { return c.Requested(route) == 1 }, 5*time.Second, time.Millisecond)
			require.Eventually(t, func() bool {
				c.Clock.Advance(time.Second)
				return len(issued) == 1
			}, 5*time.Second, 10*time.Millisecond)
			require.NoError(t, <-issued)
			require.Equal(t, 2, c.Requested(route))
		})
	}
}

func TestRateLimit_BeyondCallersTime_IsReturned(t *testing.T) {
	c := newCloud(t)
	conn, other := c.openAs("first"), c.openAs("second")
	c.InjectFault(emulator.Fault{Route: routeToken, Status: 429, Times: 1})
	ctx, cancel := context.WithTimeout(t.Context(), defaultLimitPause)
	defer cancel()
	_, err := conn.Issue(ctx, issueRequest)
	require.Equal(t, defaultLimitPause, requireClass(t, provider.ClassRateLimited, err).RetryAfter)
	c.Clock.Advance(time.Second)
	_, err = other.Issue(ctx, issueRequest)
	require.Equal(t, defaultLimitPause-time.Second, requireClass(t, provider.ClassRateLimited, err).RetryAfter)
	c.requireGrants(1, 0)
	c.Clock.Advance(defaultLimitPause)
	c.issue(other)
}
