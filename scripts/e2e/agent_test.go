package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/vendorfacts"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/scripts/devserver"
)

// enableAppRole enables the AppRole auth method, once for the server.
func enableAppRole(t *testing.T, client *api.Client) {
	t.Helper()
	enabled, err := client.Sys().ListAuthWithContext(t.Context())
	require.NoError(t, err)
	if _, exists := enabled["approle/"]; !exists {
		require.NoError(t, client.Sys().EnableAuthWithOptionsWithContext(t.Context(), "approle", &api.EnableAuthOptions{Type: "approle"}))
	}
}

// writeAppRole creates an AppRole that may read credentials from one path, and writes its ids to the files that the
// examples name.
func writeAppRole(t *testing.T, dir, creds string) {
	t.Helper()
	client, name := server.Client(), strings.ReplaceAll(creds, "/", "-")
	write(t, client, "auth/approle/role/"+name, map[string]any{"token_policies": applicationPolicy(t, creds), "token_ttl": "20m"})
	roleID := read(t, client, "auth/approle/role/"+name+"/role-id").Data["role_id"].(string)
	secretID := write(t, client, "auth/approle/role/"+name+"/secret-id", nil).Data["secret_id"].(string)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "role-id"), []byte(roleID), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "secret-id"), []byte(secretID), 0o600))
}

// startAgent starts the example agent, which has one template for all vendors.
func startAgent(t *testing.T, dir, creds string) (*devserver.Program, string) {
	t.Helper()
	return startVault(t, "agent", "agent.hcl", dir, creds), filepath.Join(dir, "credential.json")
}

// startVault copies an example to a directory and starts `vault agent` or `vault proxy` there.
func startVault(t *testing.T, command, config, dir, creds string) *devserver.Program {
	t.Helper()
	require.NoError(t, os.CopyFS(dir, os.DirFS(exampleFile(t, command))))
	writeAppRole(t, dir, creds)
	return runVault(t, command, config, dir, creds)
}

// runVault starts `vault agent` or `vault proxy` in a directory that has all its files.
func runVault(t *testing.T, command, config, dir, creds string) *devserver.Program {
	t.Helper()
	cmd := exec.Command(server.VaultBinary(), command, "-config="+config)
	cmd.Dir = dir
	cmd.Env = environment("VENDORAUTH_CREDS=" + creds)
	return startProgram(t, filepath.Join(dir, "log"), cmd)
}

// application is the program that env_template starts in the test: it writes its environment to a file and waits.
const application = `#!/bin/sh
trap 'exit 0' TERM
printf '{"address": "%s", "token": "%s", "token_type": "%s"}' "$API_ADDRESS" "$API_TOKEN" "$API_TOKEN_TYPE" >credential.new
mv credential.new credential.json
echo $$ >pid
while :; do sleep 0.1; done
`

// requireRestarts verifies that an agent restarts an application with each new credential in its environment.
func requireRestarts(t *testing.T, health *watchdog, vendor vendorfacts.Vendor, creds string) {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "application"), []byte(application), 0o700))
	agent := startVault(t, "agent", "env.hcl", dir, creds)
	requireLifetimes(t, health, vendor, agent, filepath.Join(dir, "credential.json"))

	require.NoError(t, agent.Stop())
	pid := readPID(t, filepath.Join(dir, "pid"))
	require.Eventually(t, func() bool { return syscall.Kill(pid, 0) == syscall.ESRCH }, 10*time.Second, 50*time.Millisecond,
		"the application ends with its agent")
}

// A person deletes the key at the vendor's console. Consumers replace it at the next renewal, not at the end of the
// lease.
func TestConsumers_KeyDeletedAtVendor_ReplaceIt(t *testing.T) {
	client, mountPath := reset(t)
	enableAppRole(t, client)
	watcher, vendor := buildWatcher(t), vendorfacts.Named("trend")
	write(t, client, mountPath+"/config/main", configFields(t, vendor.Name))
	// A consumer renews every four seconds. Without a failed renewal it would replace the key after 24 hours.
	write(t, client, mountPath+"/roles/app", roleFields(vendor, map[string]any{"ttl": "6s", "max_ttl": "24h"}))
	creds := mountPath + "/creds/app"
	tests := map[string]func(*testing.T){}
	for _, c := range []consumer{
		{"agent", startAgent},
		{"go", func(t *testing.T, dir, creds string) (*devserver.Program, string) {
			return startConsumer(t, dir, creds, revocationInBody, watcher, "-creds", creds, "-file", "credential.json")
		}},
	} {
		tests[c.name] = func(t *testing.T) {
			program, file := c.start(t, t.TempDir(), creds)
			var first map[string]any
			require.Eventually(t, func() bool { first = readCredential(t, file); return first != nil }, time.Minute, pollInterval)
			endAtVendor(t, vendor, first)
			requireRefused(t, vendor, first)
			require.Eventually(t, func() bool {
				now := readCredential(t, file)
				return now["token"] != first["token"] && accepted(t, vendor, now)
			}, time.Minute, pollInterval, "%s", program.Output())
		}
	}
	runConcurrently(t, tests)
}
