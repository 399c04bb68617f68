package fortianalyzer

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// openUnverified opens a connection of another config of the account that accepts any certificate.
func (c *cloud) openUnverified(connectionID string, changes ...any) *connection {
	c.T.Helper()
	config := c.config(changes...)
	config.ConnectionID, config.TLSSkipVerify, config.CACert = connectionID, true, ""
	return c.openConfig(config)
}

// A writer of a config that verifies no certificate can answer for the OAuth server. The answer binds that config only.
func TestAccount_UnverifiedConfigIsLimited_OthersLogIn(t *testing.T) {
	for name, fault := range map[string]emulator.Fault{
		"rate limit":   {Status: http.StatusTooManyRequests, Header: map[string]string{"Retry-After": "86400"}},
		"server error": {Status: http.StatusInternalServerError},
		"lost answer":  {DropAfter: true},
	} {
		for _, password := range []string{"", "guessed"} {
			t.Run(name+" "+password, func(t *testing.T) {
				c := newCloud(t)
				verified := c.open()
				var changes []any
				if password != "" {
					changes = []any{fieldPassword, password}
				}
				unverified, same := c.openUnverified("unverified", changes...), c.openUnverified("same trust")
				fault.Route, fault.Times = routeToken, 1
				c.InjectFault(fault)
				_, err := unverified.Issue(t.Context(), issueRequest)
				require.Error(t, err)
				_, err = same.Issue(t.Context(), issueRequest)
				require.ErrorIs(t, err, provider.ErrNotSent, "the server's wish counts for all configs with this trust")
				c.requireGrants(1, 0)
				c.issue(verified)
				c.issue(same) // with the token of the other config
				c.requireGrants(2, 0)
			})
		}
	}
}

func TestAccount_UnverifiedRefreshIsLimited_OthersRefresh(t *testing.T) {
	c := newCloud(t)
	verified, unverified := c.open(), c.openUnverified("unverified")
	c.issue(verified)
	c.issue(unverified)
	c.Clock.Advance(2 * time.Hour)
	c.InjectFault(emulator.Fault{Route: routeRefresh, Status: http.StatusTooManyRequests, Header: map[string]string{"Retry-After": "86400"}, Times: 1})
	_, err := unverified.Issue(t.Context(), issueRequest)
	requireClass(t, provider.ClassRateLimited, err)
	c.issue(verified)
	c.requireGrants(1, 2)
}

// A caller that joins the flight of a connection with another trust does not get its failure.
func TestAccount_JoinedFlightOfOtherTrustFails_IsRepeated(t *testing.T) {
	c := newCloud(t)
	verified, unverified := c.open(), c.openUnverified("unverified")
	c.InjectFault(emulator.Fault{Route: routeToken, Status: http.StatusInternalServerError, Times: 1, Delay: 300 * time.Millisecond})
	var group errgroup.Group
	group.Go(func() error {
		_, err := unverified.Issue(t.Context(), issueRequest)
		requireClass(t, provider.ClassUnavailable, err)
		return nil
	})
	require.Eventually(t, func() bool { return c.Requested(routeToken) == 1 }, 5*time.Second, time.Millisecond)
	_, err := verified.Issue(t.Context(), issueRequest)
	require.NoError(t, err)
	require.NoError(t, group.Wait())
	c.requireGrants(2, 0)
}

// Configs with different trust log in at the same time, and share one password grant all the same.
func TestAccount_ConfigsOfSeveralTrusts_SendOnePassword(t *testing.T) {
	c := newCloud(t, "login_max", "0")
	connections := []*connection{c.openAs("first"), c.openUnverified("second")}
	var group errgroup.Group
	for i := range 24 {
		group.Go(func() error {
			_, err := connections[i%2].Issue(t.Context(), issueRequest)
			return err
		})
	}
	require.NoError(t, group.Wait())
	c.requireGrants(1, 0)
}

// The memory of a trust ends with its last connection, so that changes of a config do not add up.
func TestAccount_LastConnectionOfTrust_FreesItsBackoffs(t *testing.T) {
	c := newCloud(t)
	first := c.open()
	for range 3 {
		c.openUnverified("second").Close()
	}
	require.Len(t, first.account.backoffs, 1)
	again := c.openAs("again")
	require.Same(t, first.backoffs, again.backoffs)
	first.Close()
	require.Len(t, again.account.backoffs, 1)
}
