package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/vendorfacts"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/scripts/devserver"
)

const (
	// sharingAgents is how many agents hold leases on one credential.
	sharingAgents = 5

	// sharedTTL is the TTL of their leases. A file is good within one TTL after the vendor serves again.
	sharedTTL = 24 * time.Second

	// troubleLasts is how long the vendor cannot serve.
	troubleLasts = 40 * time.Second
)

// TestAgents_OnASharedRole_LeasesStayBoundedAndFilesHeal takes the credential that five agents share away, together
// with the vendor's ability to issue another one. Each agent that read again after a failed renewal would get a lease
// on the dead credential, ten a second. After the cure each must hold the new credential in its file, not just a lease
// on it.
func TestAgents_OnASharedRole_LeasesStayBoundedAndFilesHeal(t *testing.T) {
	client, mountPath := reset(t)
	t.Cleanup(func() {
		// While the device has the password that the config has: a reset sets the first one again.
		require.NoError(t, client.Sys().RevokePrefixWithContext(context.Background(), mountPath+"/creds/app"))
	})
	enableAppRole(t, client)
	write(t, client, mountPath+"/config/main", configFields(t, "ftd"))
	write(t, client, mountPath+"/roles/app", map[string]any{
		"config": "main", "ttl": sharedTTL.String(), "max_ttl": "2h", "sharing": "shared",
	})
	require.NoError(t, server.Control().SetSwitch(t.Context(), "ftd", "password_change_ends", "everything"))
	creds := mountPath + "/creds/app"
	agents := make(map[string]*devserver.Program, sharingAgents)
	for range sharingAgents {
		agent, file := startAgent(t, t.TempDir(), creds)
		agents[file] = agent
	}
	token := requireGoodFiles(t, agents, time.Minute)

	var password string
	for _, trouble := range []struct {
		name       string
		begin, end func()
	}{
		{"outage",
			func() {
				act(t, "ftd", "end_sessions")
				dropConnections(t, "ftd")
			},
			func() { require.NoError(t, server.Control().ClearFaults(t.Context(), "ftd")) },
		},
		{"root credential",
			func() { password = act(t, "ftd", "change_password")["password"] },
			func() { write(t, client, mountPath+"/config/main", map[string]any{"password": password}) },
		},
		{"credential only", func() { act(t, "ftd", "end_sessions") }, func() {}},
	} {
		trouble.begin()
		lasts := troubleLasts
		if trouble.name == "credential only" {
			lasts = 0
		}
		for began := time.Now(); time.Since(began) < lasts; time.Sleep(pollInterval) {
			require.LessOrEqual(t, leaseCount(t, client, creds), 2*sharingAgents, trouble.name)
		}
		trouble.end()
		renewed := requireGoodFiles(t, agents, sharedTTL+5*time.Second)
		require.NotEqual(t, token, renewed, trouble.name)
		// One lease on the new credential, one on the credential before it, and one on that of the trouble before, which has
		// not expired.
		require.LessOrEqual(t, leaseCount(t, client, creds), 3*sharingAgents, trouble.name)
		require.Equal(t, 1, live(t, "ftd", "leased"), trouble.name)
		token = renewed
	}
}

// requireGoodFiles requires that within some time each agent's file holds the same token, which the vendor accepts,
// and returns it.
func requireGoodFiles(t *testing.T, agents map[string]*devserver.Program, within time.Duration) string {
	t.Helper()
	vendor := vendorfacts.Named("ftd")
	var token, state string
	require.Eventually(t, func() bool {
		token = ""
		for file, agent := range agents {
			require.True(t, agent.Running(), "the agent has ended: %s", agent.Output())
			held := readCredential(t, file)
			if held == nil {
				state = fmt.Sprintf("%s is missing: %s", file, agent.Output())
				return false
			}
			if !accepted(t, vendor, held) || token != "" && token != held["token"] {
				state = fmt.Sprintf("%s holds a token that has ended, or not the current one: %s", file, agent.Output())
				return false
			}
			token = held["token"].(string)
		}
		return true
	}, within, pollInterval, "%s", &lazyText{&state})
	return token
}

// lazyText is a text that is read when it is shown.
type lazyText struct{ text *string }

func (l *lazyText) String() string { return *l.text }

// leaseCount counts the leases of a path that Vault holds.
func leaseCount(t *testing.T, client *api.Client, path string) int {
	t.Helper()
	listed, err := client.Logical().ListWithContext(t.Context(), "sys/leases/lookup/"+path)
	require.NoError(t, err)
	if listed == nil {
		return 0
	}
	keys, _ := listed.Data["keys"].([]any)
	return len(keys)
}

// act performs an action at a vendor and returns its result.
func act(t *testing.T, vendor, action string) map[string]string {
	t.Helper()
	result, err := server.Control().Act(t.Context(), vendor, action, nil)
	require.NoError(t, err)
	return result
}
