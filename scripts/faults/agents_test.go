package faults

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/scripts/devserver"
)

const (
	// sharingAgents is how many agents share a credential.
	sharingAgents = 5
	// agentTTL is the ttl of their leases. A file holds a working credential within one ttl after the vendor serves again.
	agentTTL = 20 * time.Second
	// troubleLasts is how long the vendor does not serve.
	troubleLasts = 25 * time.Second
)

// Five Vault agents share a credential, which ends together with the vendor's ability to issue another one: by an outage,
// and by a root credential that is broken. The leases stay bounded by the number of agents, and after the cure each file
// holds the new credential.
func TestAgents_VendorInTrouble_FilesHealWithoutStorm(t *testing.T) {
	if testing.Short() {
		t.Skip("the end-to-end tests cover this")
	}
	t.Parallel()
	cl := newCluster(t, 1, agentTTL)
	v := labeled("ftd")[0]
	control := cl.server.Control()
	// Both troubles end the shared token. A build with failpoints sends a rejected password again after a second, which
	// would lock the user.
	for name, value := range map[string]string{
		"password_change_ends": "everything", "reboot_keeps_tokens": "no", "failed_attempts_until_lockout": "0",
	} {
		require.NoError(t, control.SetSwitch(t.Context(), v.Name, name, value))
	}
	sc := cl.begin(t, "none", "five agents", v)
	agents := cl.startAgents(t, sc)
	held, problem := sc.awaitFiles(t, agents, recoveryTimeout, "")
	require.Empty(t, problem, "%s", sc)
	act := func(action string) map[string]string {
		result, err := control.Act(t.Context(), v.Name, action, nil)
		require.NoError(t, err)
		return result
	}
	var password string
	for _, trouble := range []trouble{
		{
			"five agents on a shared role: outage in which the device restarts",
			func() {
				act("reboot")
				require.NoError(t, control.AddFault(t.Context(), devserver.Fault{Vendor: v.Name, Route: "*", DropBefore: true}))
			},
			func() { require.NoError(t, control.ClearFaults(t.Context(), v.Name)) },
		},
		{
			"five agents on a shared role: root credential broken and cured",
			func() { password = act("change_password")["password"] },
			func() {
				_, err := cl.vault().Logical().WriteWithContext(t.Context(), cl.path("config/%s", sc.config), map[string]any{"password": password})
				require.NoError(t, err)
			},
		},
	} {
		held = sc.endure(t, trouble, agents, held)
	}
	for _, agent := range agents {
		require.NoError(t, agent.Stop())
	}
	cl.drain(t)
}

// trouble is a time in which the vendor does not serve, and has ended the agents' credential.
type trouble struct {
	fault string
	// begin and end are what happens at the vendor.
	begin, end func()
}

// endure watches the leases of the agents while the vendor is in trouble, and their files after the cure. It returns the
// token that they hold then.
func (sc *scenario) endure(t *testing.T, trouble trouble, agents map[string]*devserver.Program, before string) (token string) {
	t.Helper()
	sc.fault = trouble.fault
	from, most := len(sc.credentials(t)), 0
	trouble.begin()
	for began := time.Now(); time.Since(began) < troubleLasts; {
		leases, err := sc.leases(t.Context(), sc.shared)
		require.NoError(t, err)
		most = max(most, len(leases))
		await(500*time.Millisecond, func() bool { return false })
	}
	trouble.end()
	result := row{runs: 1}
	token, problem := sc.awaitFiles(t, agents, agentTTL+5*time.Second, before)
	if problem != "" {
		t.Errorf("%s: within one ttl after the cure: %s", sc, problem)
		result.lostLeases++
	}
	for _, c := range sc.orphans(t, sc.target) {
		t.Errorf("%s: live at the vendor and not in the ledger: %+v", sc, c)
		result.orphans++
	}
	for _, c := range sc.credentials(t)[from:] {
		if c.Kind == "leased" {
			result.issued++
		}
	}
	record(sc.fault, sc.target.label, result)
	progress("%s: at most %d leases of %d agents, %d credentials", sc.fault, most, sharingAgents, result.issued)
	require.LessOrEqual(t, most, 2*sharingAgents+1, "%s", sc)
	return token
}

// credentials returns the credentials of the scenario's vendor.
func (sc *scenario) credentials(t *testing.T) []devserver.Credential {
	t.Helper()
	all, err := sc.server.Control().Credentials(t.Context(), sc.target.Name)
	require.NoError(t, err)
	return all
}

// startAgents starts agents that share the scenario's credential, by the file that each keeps.
func (cl *cluster) startAgents(t *testing.T, sc *scenario) map[string]*devserver.Program {
	t.Helper()
	client, creds := cl.vault(), cl.path("creds/%s", sc.shared)
	require.NoError(t, client.Sys().EnableAuthWithOptionsWithContext(t.Context(), "approle", &api.EnableAuthOptions{Type: "approle"}))
	require.NoError(t, client.Sys().PutPolicyWithContext(t.Context(), "application", fmt.Sprintf("path %q { capabilities = [\"read\"] }", creds)))
	write := func(path string, data map[string]any) *api.Secret {
		secret, err := client.Logical().WriteWithContext(t.Context(), path, data)
		require.NoError(t, err)
		return secret
	}
	write("auth/approle/role/application", map[string]any{"token_policies": "application", "token_ttl": "20m"})
	roleID, err := client.Logical().ReadWithContext(t.Context(), "auth/approle/role/application/role-id")
	require.NoError(t, err)
	agents := map[string]*devserver.Program{}
	for range sharingAgents {
		dir := t.TempDir()
		require.NoError(t, os.CopyFS(dir, os.DirFS("../examples/agent")))
		secretID := write("auth/approle/role/application/secret-id", nil)
		for file, value := range map[string]string{"role-id": text(roleID.Data, "role_id"), "secret-id": text(secretID.Data, "secret_id")} {
			require.NoError(t, os.WriteFile(filepath.Join(dir, file), []byte(value), 0o600))
		}
		cmd := exec.Command(cl.server.VaultBinary(), "agent", "-config=agent.hcl")
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "VAULT_ADDR="+client.Address(), "VENDORAUTH_CREDS="+creds)
		agent, err := devserver.StartProgram("vault agent", filepath.Join(dir, "log"), cmd)
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, agent.Stop()) })
		agents[filepath.Join(dir, "credential.json")] = agent
	}
	return agents
}

// awaitFiles waits until all files hold the same credential, which works and is not the token before. It returns its
// token, and otherwise what is wrong with one of the files.
func (sc *scenario) awaitFiles(t *testing.T, agents map[string]*devserver.Program, within time.Duration, before string) (token, problem string) {
	t.Helper()
	await(within, func() bool {
		token, problem = "", ""
		for file, agent := range agents {
			credential, err := readFile(file)
			require.NoError(t, err)
			held := text(credential, "token")
			if held == "" || held == before || token != "" && held != token {
				problem = fmt.Sprintf("%s holds no credential, an old one, or another one than the other files:\n%s", file, agent.Output())
				return false
			}
			if works, err := sc.target.works(t.Context(), sc.httpClient, credential); err != nil || !works {
				problem = fmt.Sprintf("%s holds a credential that has ended (%v):\n%s", file, err, agent.Output())
				return false
			}
			token = held
		}
		return true
	})
	return token, problem
}

// readFile returns the credential in an agent's file, or nil before there is one.
func readFile(file string) (map[string]any, error) {
	content, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var credential map[string]any
	if err == nil {
		err = json.Unmarshal(content, &credential)
	}
	return credential, err
}
