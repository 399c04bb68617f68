package fortianalyzer

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// A token is refreshed when a tenth of its life is left, and at most a minute before its end. A life that is not believable
// counts as one hour.
func TestAccount_TokenLife_DecidesWhenItIsRefreshed(t *testing.T) {
	const day = 24 * time.Hour
	for seconds, refreshedAfter := range map[int64]time.Duration{
		100: 90 * time.Second, 600: 9 * time.Minute, 601: 541 * time.Second, 86400: day - time.Minute,
		2592000: 30*day - time.Minute, 2592001: 59 * time.Minute, 0: 59 * time.Minute, -1: 59 * time.Minute, 1: 900 * time.Millisecond,
	} {
		t.Run(fmt.Sprint(seconds), func(t *testing.T) {
			c := newCloud(t)
			conn := c.open()
			answer := fmt.Sprintf(`{"access_token":"t","refresh_token":"r","expires_in":%d}`, seconds)
			c.InjectFault(emulator.Fault{Route: routeToken, Body: &answer})
			c.InjectFault(emulator.Fault{Route: routeRefresh, Body: &answer})
			c.InjectFault(emulator.Fault{Route: routeLogin, Body: body(`{"session":"s"}`)})
			c.InjectFault(emulator.Fault{Route: routeStatus, Body: body(`{"result":[{"status":{"code":0,"message":"OK"}}]}`)})
			c.issue(conn)
			c.Clock.Advance(refreshedAfter - 1)
			c.issue(conn)
			c.requireGrants(1, 0)
			c.Clock.Advance(1)
			c.issue(conn)
			c.requireGrants(1, 1)
		})
	}
}

// The calls after a pause need time too.
func TestRateLimit_PauseLeavesTooLittleTime_IsReturned(t *testing.T) {
	for _, route := range []string{routeToken, routeLogin} {
		c := newCloud(t)
		conn := c.open()
		c.InjectFault(emulator.Fault{Route: route, Status: 429, Header: map[string]string{"Retry-After": "30"}, Times: 1})
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second+limitReserve/2)
		defer cancel()
		before := time.Now()
		_, err := conn.Issue(ctx, issueRequest)
		require.Equal(t, 30*time.Second, requireClass(t, provider.ClassRateLimited, err).RetryAfter)
		require.Less(t, time.Since(before), 20*time.Second, "it does not wait")
	}
}

// The instance's 429 has no Retry-After, which is not documented.
func TestRateLimit_NoRetryAfter_WaitsTheDefaultPause(t *testing.T) {
	c := newCloud(t)
	conn := c.open()
	c.issue(conn)
	c.InjectFault(emulator.Fault{Route: routeLogin, Status: 429, Times: 1})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	issued := make(chan error, 1)
	go func() {
		_, err := conn.Issue(ctx, issueRequest)
		issued <- err
	}()
	require.Eventually(t, func() bool { return c.Requested(routeLogin) == 2 }, 5*time.Second, time.Millisecond)
	start := c.Clock.Now()
	require.Eventually(t, func() bool {
		c.Clock.Advance(time.Second)
		return len(issued) == 1
	}, 20*time.Second, 10*time.Millisecond)
	require.NoError(t, <-issued)
	require.GreaterOrEqual(t, c.Clock.Now().Sub(start), defaultLimitPause)
}
