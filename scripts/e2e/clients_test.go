package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/scripts/devserver"
)

const (
	// replacements is how many lifetimes of a credential each client goes through.
	replacements = 3

	// pollInterval is how often a credential that a client keeps is used at the vendor.
	pollInterval = 250 * time.Millisecond

	// keepingTimeout bounds a client's lifetimes on a slow machine.
	keepingTimeout = 2 * time.Minute

	// Leases are as short as Vault and its clients can handle on a busy machine. Watchers renew at 70 to 73 % of
	// a lease, and stop when a renewal brings less than they can do another one in. Here that is the second,
	// after 11.5 seconds, which leaves more than three for the change.
	renewableTTL, renewableMaxTTL = 8 * time.Second, 15 * time.Second
	fixedTTL                      = 8 * time.Second
)

// consumer is a client that keeps a working credential in a file. start starts it in a directory of its own,
// to read credentials from the path creds, and returns the file.
type consumer struct {
	name  string
	start func(t *testing.T, dir, creds string) (program *devserver.Program, file string)
}

// TestClients_KeepAWorkingCredential runs each client beside the others, over several lifetimes. At every
// moment the file holds a credential that the vendor accepts.
func TestClients_KeepAWorkingCredential(t *testing.T) {
	client, mountPath := reset(t)
	enableAppRole(t, client)
	watcher, renewScript := buildWatcher(t), exampleFile(t, "renew.sh")
	every := []consumer{
		{"agent", startAgent},
		{"go", func(t *testing.T, dir, creds string) (*devserver.Program, string) {
			return startKeeper(t, dir, creds, watcher, "-creds", creds, "-file", "credential.json")
		}},
	}
	script := consumer{"shell", func(t *testing.T, dir, creds string) (*devserver.Program, string) {
		return startKeeper(t, dir, creds, renewScript, creds, "credential.json")
	}}

	beat := startPulse(t)
	tests := map[string]func(*testing.T){}
	for _, vendor := range vendorCases() {
		keepers := every
		if vendor.vendor == "trend" || vendor.vendor == "lacework" {
			keepers = append(keepers[:len(every):len(every)], script) // one that renews, and one that cannot
		}
		for _, k := range keepers {
			creds := writeShortRole(t, client, mountPath, vendor, k.name)
			tests[vendor.vendor+"/"+k.name] = func(t *testing.T) {
				program, file := k.start(t, t.TempDir(), creds)
				requireLifetimes(t, beat, vendor, program, file)
			}
		}
		others := map[string]func(*testing.T, *watchdog, vendorCase, string){}
		switch vendor.vendor {
		case "lacework":
			others["env_template"], others["proxy"] = requireRestarts, requireProxyPassesOn
		case "trend", "fortianalyzer":
			others["proxy"] = requireProxyCaches
		}
		for name, test := range others {
			creds := writeShortRole(t, client, mountPath, vendor, name)
			tests[vendor.vendor+"/"+name] = func(t *testing.T) { test(t, beat, vendor, creds) }
		}
	}
	sideBySide(t, tests)
}

// sideBySide runs tests at the same time, all of them. They wait much more than they compute, so t.Parallel,
// which runs as many as there are processors, would only make them queue.
func sideBySide(t *testing.T, tests map[string]func(*testing.T)) {
	t.Helper()
	var running sync.WaitGroup
	for name, test := range tests {
		running.Go(func() { t.Run(name, test) })
	}
	running.Wait()
}

// writeShortRole makes a role with short leases, and a config of its own for it, and returns the path of its
// credentials.
func writeShortRole(t *testing.T, client *api.Client, mountPath string, vendor vendorCase, name string) string {
	t.Helper()
	name = vendor.vendor + "-" + name
	fields := configFields(t, vendor.vendor)
	switch vendor.vendor {
	case "ftd":
		// A device has five sessions. Two clients hold two each while they change over, and the engine one.
		name, fields["max_credentials"] = "ftd", 4
	case "fortisiem":
		// The product serves one request every five seconds for each client id, so each reader gets one.
		made, err := server.Control().Act(t.Context(), vendor.vendor, "create_client", map[string]string{"access_token_expiry": "20s"})
		require.NoError(t, err)
		fields["client_id"], fields["client_secret"] = made["client_id"], made["client_secret"]
	}
	write(t, client, mountPath+"/config/"+name, fields)
	role := map[string]any{}
	for field, value := range vendor.role {
		role[field] = value
	}
	role["config"], role["ttl"] = name, fixedTTL.String()
	if vendor.renewable {
		role["ttl"], role["max_ttl"] = renewableTTL.String(), renewableMaxTTL.String()
	}
	write(t, client, mountPath+"/roles/"+name, role)
	return mountPath + "/creds/" + name
}

// requireLifetimes uses the credential of a file at the vendor, again and again, until it was replaced often
// enough.
func requireLifetimes(t *testing.T, beat *watchdog, vendor vendorCase, program *devserver.Program, file string) {
	t.Helper()
	seen, began := map[string]bool{}, time.Now()
	for deadline := began.Add(keepingTimeout); len(seen) <= replacements; time.Sleep(pollInterval) {
		require.True(t, program.Running(), "the client has ended: %s", program.Output())
		require.True(t, time.Now().Before(deadline), "seen %d credentials: %s", len(seen), program.Output())
		credential := readCredential(t, file)
		if credential == nil {
			require.Empty(t, seen, "the file has gone")
			began = time.Now()
			continue
		}
		token := credential["token"].(string)
		if status := vendor.use(t, credential); status != http.StatusOK {
			// Between reading and using it, the file may have got another.
			if now := readCredential(t, file); now["token"] == token {
				excuse(t, beat, "the vendor answers %d, and the file still holds it: %s", status, program.Output())
			}
			continue
		}
		if expires, known := credential["expires_at"].(string); known && !vendor.renewable {
			at, err := time.Parse(time.RFC3339, expires)
			require.NoError(t, err)
			require.True(t, time.Now().Before(at), "the file holds a credential that has expired")
		}
		seen[token] = true
	}
	if took := time.Since(began); vendor.renewable && beat.steady(took) {
		require.Greater(t, took, replacements*renewableTTL, "credentials were replaced where they could have been renewed")
	}
}

// excuse fails the test, unless the machine has held Vault up.
func excuse(t *testing.T, beat *watchdog, message string, args ...any) {
	t.Helper()
	if beat.steady(renewableMaxTTL) {
		require.FailNow(t, "the credential is stale", append([]any{message}, args...)...)
	}
	t.Logf("excused, since Vault was held up: "+message, args...)
}

// readCredential reads a credential from a file: the members of an answer's data alone, or the whole answer.
// It returns nil while there is no file.
func readCredential(t *testing.T, file string) map[string]any {
	t.Helper()
	text, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return nil
	}
	require.NoError(t, err)
	var credential map[string]any
	require.NoError(t, json.Unmarshal(text, &credential), "a file is replaced at once, or readers find half of it")
	if data, whole := credential["data"].(map[string]any); whole {
		credential = data
	}
	if credential["vendor"] == "fortianalyzer" && credential["url"] == nil {
		credential["url"] = credential["address"].(string) + "/jsonrpc" // what the template for all vendors leaves out
	}
	return credential
}

// exampleFile returns the path of a file among the examples.
func exampleFile(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "examples", name))
	require.NoError(t, err)
	return path
}

// buildWatcher builds the example of a Go program.
func buildWatcher(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "watcher")
	output, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "../examples/watcher").CombinedOutput()
	require.NoError(t, err, "%s", output)
	return program
}

// startKeeper starts a client that gets a token of Vault's from its environment.
func startKeeper(t *testing.T, dir, creds, program string, args ...string) (*devserver.Program, string) {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Dir = dir
	cmd.Env = environment("VAULT_TOKEN="+applicationToken(t, creds), "PATH="+pathWithVault())
	return startProgram(t, filepath.Join(dir, "log"), cmd), filepath.Join(dir, "credential.json")
}

// startProgram starts a program and stops it when the test ends.
func startProgram(t *testing.T, log string, cmd *exec.Cmd) *devserver.Program {
	t.Helper()
	program, err := devserver.StartProgram(filepath.Base(cmd.Path), log, cmd)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, program.Stop()) })
	return program
}

// environment is that of a client of Vault without a token, and with further variables.
func environment(variables ...string) []string {
	var env []string
	for _, variable := range server.Environ() {
		if !strings.HasPrefix(variable, "VAULT_TOKEN=") {
			env = append(env, variable)
		}
	}
	return append(env, variables...)
}

// pathWithVault is a PATH on which the vault command and the built programs come first.
func pathWithVault() string {
	return filepath.Dir(server.VaultBinary()) + string(os.PathListSeparator) + os.Getenv("PATH")
}

// applicationPolicy allows to read credentials from one path, and to revoke leases.
func applicationPolicy(t *testing.T, creds string) string {
	t.Helper()
	name := strings.ReplaceAll(creds, "/", "-")
	rules := fmt.Sprintf("path %q { capabilities = [\"read\"] }\npath \"sys/leases/revoke\" { capabilities = [\"update\"] }", creds)
	require.NoError(t, server.Client().Sys().PutPolicyWithContext(t.Context(), name, rules))
	return name
}

// applicationToken makes a token that may do what an application needs and no more.
func applicationToken(t *testing.T, creds string) string {
	t.Helper()
	made, err := server.Client().Auth().Token().CreateWithContext(t.Context(), &api.TokenCreateRequest{
		Policies: []string{applicationPolicy(t, creds)}, TTL: "10m",
	})
	require.NoError(t, err)
	return made.Auth.ClientToken
}

// freeAddress returns a loopback address that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

// mount enables the engine once more, for the length of a test.
func mount(t *testing.T, client *api.Client, path string) {
	t.Helper()
	require.NoError(t, client.Sys().MountWithContext(t.Context(), path, &api.MountInput{Type: devserver.PluginName}))
	t.Cleanup(func() { require.NoError(t, client.Sys().UnmountWithContext(context.Background(), path)) })
}

// refuseAll makes a vendor unreachable: it cuts every connection.
func refuseAll(t *testing.T, vendor string) {
	t.Helper()
	require.NoError(t, server.Control().AddFault(t.Context(), devserver.Fault{Vendor: vendor, Route: "*", DropBefore: true}))
}
