package fortianalyzer

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
)

func TestLogout_AccessTokenNotRevoked_IsError(t *testing.T) {
	for _, status := range []int{400, 401, 500} {
		c := newCloud(t)
		conn := c.open()
		c.issue(conn)
		c.InjectFault(emulator.Fault{Route: routeRevokeToken, Status: status, Times: 1})
		require.Equal(t, opRevoke, providertest.Refusal(t, conn.Logout(t.Context())).Op)
		require.Equal(t, 1, c.Live(emulator.KindLogin))
		require.NoError(t, c.open().Logout(t.Context()), "the access token is still stored")
		require.Zero(t, c.Live(emulator.KindLogin))
	}
}

func TestIssue_AccessTokenLost_IsNotRequestedTwice(t *testing.T) {
	for name, fault := range map[string]emulator.Fault{
		"before":    {DropBefore: true},
		"after":     {DropAfter: true},
		"truncated": {Truncate: true},
		"500":       {Status: 500},
		"502":       {Status: 502},
		"503":       {Status: 503},
		"html":      {Body: body("<!DOCTYPE html><html></html>")},
		"empty":     {Body: body("")},
		"no token":  {Body: body(`{"token_type":"Bearer"}`)},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCloud(t)
			fault.Route = routeToken
			c.InjectFault(fault)
			config := c.config()
			config.MaxRetries = 3
			conn, err := New().Open(config)
			require.NoError(t, err)
			defer conn.Close()
			_, err = conn.Issue(t.Context(), issueRequest)
			requireClass(t, provider.ClassUnavailable, err)
			require.Equal(t, []string{routeToken}, c.Operations())
		})
	}
}

func TestIssue_TLSServerName_AppliesToInstanceOnly(t *testing.T) {
	c := newCloud(t)
	config := c.config()
	config.TLSServerName = "elsewhere.example"
	conn, err := New().Open(config)
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.Issue(t.Context(), issueRequest)
	require.Equal(t, opLogin, requireClass(t, provider.ClassInvalid, err).Op)
	require.Equal(t, []string{routeToken}, c.Operations())
}
