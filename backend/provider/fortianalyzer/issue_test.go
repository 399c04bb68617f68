package fortianalyzer

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

func TestIssue_Default_LeasesSessionAndKeepsAccessToken(t *testing.T) {
	c := newCloud(t)
	credential := c.issue(c.open())
	require.Equal(t, []string{routeToken, routeLogin, routeStatus}, c.Operations())
	require.Equal(t, 1, c.sessions())
	require.Equal(t, 1, c.Live(emulator.KindLogin), "the access token opens the next session")

	require.Equal(t, "session", credential.TokenType)
	require.Equal(t, c.Address(), credential.Address)
	require.Equal(t, map[string]any{
		"session": credential.Token, "url": c.Address() + "/jsonrpc",
	}, credential.Data)
	require.Equal(t, c.Clock.Now().Add(15*time.Minute), credential.ExpiresAt)
	require.Equal(t, map[string]any{"v": 1.0, "session": credential.Token}, decode(t, credential.Handle))
	require.Empty(t, credential.Warnings)
}

func TestIssue_FortiManagerCloud_NeedsItsClientID(t *testing.T) {
	c := newCloud(t, "product", "FortiManager")
	require.NotEmpty(t, c.issue(c.open(fieldClientID, "FortiManager")).Token)
	_, err := c.open().Issue(t.Context(), issueRequest)
	require.Contains(t, requireClass(t, provider.ClassForbidden, err).Remedy, "client_id")
}

func TestIssue_LifetimeAboveIdleTimeout_IsInvalid(t *testing.T) {
	c := newCloud(t)
	conn := c.open(fieldIdleTimeout, "10m")
	for _, lifetime := range []time.Duration{0, time.Millisecond, time.Second - 1, 10*time.Minute + 1} {
		_, err := conn.Issue(t.Context(), provider.IssueRequest{Lifetime: lifetime})
		require.Equal(t, "ttl", requireClass(t, provider.ClassInvalid, err).Field)
	}
	require.Empty(t, c.Operations())
	for _, lifetime := range []time.Duration{time.Second, 10 * time.Minute} {
		_, err := conn.Issue(t.Context(), provider.IssueRequest{Lifetime: lifetime})
		require.NoError(t, err)
	}
	credential := c.issue(conn)
	require.Equal(t, c.Clock.Now().Add(10*time.Minute), credential.ExpiresAt, "the expiry is the idle timeout, whatever the requested lifetime")
}
