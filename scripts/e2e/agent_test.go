package e2e

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/scripts/devserver"
)

// enableAppRole enables the login of applications, once for the server.
func enableAppRole(t *testing.T, client *api.Client) {
	t.Helper()
	enabled, err := client.Sys().ListAuthWithContext(t.Context())
	require.NoError(t, err)
	if _, there := enabled["approle/"]; !there {
		require.NoError(t, client.Sys().EnableAuthWithOptionsWithContext(t.Context(), "approle", &api.EnableAuthOptions{Type: "approle"}))
	}
}

// writeAppRole makes a login that may read credentials from one path, and puts it into the files that the
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

// startAgent starts the example agent, with one template for all vendors.
func startAgent(t *testing.T, dir, creds string) (*devserver.Program, string) {
	t.Helper()
	return startVault(t, "agent", "agent.hcl", dir, creds), filepath.Join(dir, "credential.json")
}

// startVault starts `vault agent` or `vault proxy` with a configuration of the examples, in a directory that
// holds the files which it names.
func startVault(t *testing.T, command, config, dir, creds string) *devserver.Program {
	t.Helper()
	require.NoError(t, os.CopyFS(dir, os.DirFS(exampleFile(t, command))))
	writeAppRole(t, dir, creds)
	return runVault(t, command, config, dir, creds)
}

// runVault starts `vault agent` or `vault proxy` where everything has been laid out.
func runVault(t *testing.T, command, config, dir, creds string) *devserver.Program {
	t.Helper()
	cmd := exec.Command(server.VaultBinary(), command, "-config="+config)
	cmd.Dir = dir
	cmd.Env = environment("VENDORAUTH_CREDS=" + creds)
	return startProgram(t, filepath.Join(dir, "log"), cmd)
}

// application is what env_template starts in the test: it shows what it was given, and waits.
const application = `#!/bin/sh
trap 'exit 0' TERM
printf '{"address": "%s", "token": "%s", "token_type": "%s"}' "$API_ADDRESS" "$API_TOKEN" "$API_TOKEN_TYPE" >credential.new
mv credential.new credential.json
echo $$ >pid
while :; do sleep 0.1; done
`

// requireRestarts lets an agent start an application with each new credential in its environment.
func requireRestarts(t *testing.T, beat *watchdog, vendor vendorCase, creds string) {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "application"), []byte(application), 0o700))
	agent := startVault(t, "agent", "env.hcl", dir, creds)
	requireLifetimes(t, beat, vendor, agent, filepath.Join(dir, "credential.json"))

	require.NoError(t, agent.Stop())
	pid := readPID(t, filepath.Join(dir, "pid"))
	require.Eventually(t, func() bool { return syscall.Kill(pid, 0) == syscall.ESRCH }, 10*time.Second, 50*time.Millisecond,
		"the application ends with its agent")
}

// TestAgent_CredentialDiesAtTheVendor_IsReplacedAtTheNextRenewal: somebody at the vendor's console deletes the
// key. The clients do not wait for the end of the lease.
func TestAgent_CredentialDiesAtTheVendor_IsReplacedAtTheNextRenewal(t *testing.T) {
	client, mountPath := reset(t)
	enableAppRole(t, client)
	watcher := buildWatcher(t)
	write(t, client, mountPath+"/config/main", configFields(t, "trend"))
	// Renewed every four seconds, and without that replaced after 24 hours only.
	write(t, client, mountPath+"/roles/app", map[string]any{"config": "main", "role_name": "Auditor", "ttl": "6s", "max_ttl": "24h"})
	creds := mountPath + "/creds/app"
	use := keyOn("/apikeys/current")
	tests := map[string]func(*testing.T){}
	for name, start := range map[string]func(*testing.T, string, string) (*devserver.Program, string){
		"agent": startAgent,
		"go": func(t *testing.T, dir, creds string) (*devserver.Program, string) {
			return startKeeper(t, dir, creds, watcher, "-creds", creds, "-file", "credential.json")
		},
	} {
		tests[name] = func(t *testing.T) {
			program, file := start(t, t.TempDir(), creds)
			var first map[string]any
			require.Eventually(t, func() bool { first = readCredential(t, file); return first != nil }, time.Minute, pollInterval)
			id, _, _ := strings.Cut(first["token"].(string), ":")
			_, err := server.Control().Act(t.Context(), "trend", "delete_key", map[string]string{"id": id})
			require.NoError(t, err)
			require.NotEqual(t, http.StatusOK, use(t, first))
			require.Eventually(t, func() bool {
				now := readCredential(t, file)
				return now["token"] != first["token"] && use(t, now) == http.StatusOK
			}, time.Minute, pollInterval, "%s", program.Output())
		}
	}
	sideBySide(t, tests)
}
