package backend

import (
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"
)

// One release may issue a token only once for each client id: the token of the config write's login is not lost.
func TestFortiSIEM_ConfigWrite_TokenIsFirstCredential(t *testing.T) {
	for name, restarts := range map[string]bool{"same process": false, "after a restart": true} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			m.setSwitch("fortisiem", "single_issue", "yes")
			m.writeConfig("fortisiem", nil)
			require.Len(t, m.leased("fortisiem"), 1)
			if restarts {
				m.restart()
			}
			m.must(logical.UpdateOperation, "roles/reader", map[string]any{"config": "fortisiem", "ttl": "5m"})
			first, second := m.read("reader"), m.read("reader")
			require.Equal(t, first.data["token"], second.data["token"], "readers share by default")
			require.Len(t, m.leased("fortisiem"), 1)
			require.Equal(t, 1, m.operations("fortisiem")["oauth_token"])
			require.NoError(t, m.revoke(first))
			require.NoError(t, m.revoke(second))
		})
	}
}

// The token of a check that no read got ends with the config, where the operator has a call for that.
func TestFortiSIEM_ConfigDeleted_EndsUnusedToken(t *testing.T) {
	m := newMount(t)
	m.setSwitch("fortisiem", "revoke_route", "yes")
	hook := m.vendors.State().Vendors["fortisiem"].URL + "/phoenix/rest/pub/security/oauth/revoke"
	m.writeConfig("fortisiem", map[string]any{"revoke_url": hook, "revoke_body": "token={{token}}"})
	require.Len(t, m.leased("fortisiem"), 1)
	m.must(logical.DeleteOperation, "config/fortisiem", nil)
	require.Empty(t, m.leased("fortisiem"))
	m.requireNoKeys("session/")
}
