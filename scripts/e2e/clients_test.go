package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/vendorfacts"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/scripts/devserver"
)

const (
	// replacements is how many times each consumer must replace its credential.
	replacements = 3

	// pollInterval is the time between two uses of a consumer's credential at the vendor.
	pollInterval = 250 * time.Millisecond

	// consumerTimeout bounds the replacements of one consumer on a slow machine.
	consumerTimeout = 2 * time.Minute

	// Leases are as short as Vault and its clients can handle on a busy machine. A lifetime watcher renews at 70 to
	// 73 % of a lease, and stops when the renewed lease is too short for another renewal. Here that happens at the
	// second renewal, after 11.5 seconds, which leaves more than three seconds for the replacement.
	renewableTTL, renewableMaxTTL = 8 * time.Second, 15 * time.Second
	fixedTTL                      = 8 * time.Second
)

// consumer is a client that keeps a working credential in a file. start starts it in its own directory, with the path
// that it reads credentials from, and returns the file.
type consumer struct {
	name  string
	start func(t *testing.T, dir, creds string) (program *devserver.Program, file string)
}

// All consumers run at the same time, over several lifetimes of a credential. The file of each consumer holds a
// credential that the vendor accepts at every moment.
func TestConsumers_EveryVendor_KeepAWorkingCredential(t *testing.T) {
	client, mountPath := reset(t)
	enableAppRole(t, client)
	watcher, renewScript := buildWatcher(t), exampleFile(t, "renew.sh")
	everywhere := []consumer{
		{"agent", startAgent},
		{"go", func(t *testing.T, dir, creds string) (*devserver.Program, string) {
			return startConsumer(t, dir, creds, revocationInBody, watcher, "-creds", creds, "-file", "credential.json")
		}},
	}
	script := consumer{"shell", func(t *testing.T, dir, creds string) (*devserver.Program, string) {
		return startConsumer(t, dir, creds, revocationInPath, renewScript, creds, "credential.json")
	}}

	health := startWatchdog(t)
	tests := map[string]func(*testing.T){}
	for _, vendor := range vendorfacts.All() {
		consumers := everywhere
		if vendor.Name == "trend" || vendor.Name == "lacework" { // one vendor with renewable leases and one without
			consumers = append(consumers[:len(everywhere):len(everywhere)], script)
		}
		for _, c := range consumers {
			creds := writeShortRole(t, client, mountPath, vendor, c.name)
			tests[vendor.Name+"/"+c.name] = func(t *testing.T) {
				program, file := c.start(t, t.TempDir(), creds)
				requireLifetimes(t, health, vendor, program, file)
			}
		}
		for name, test := range furtherConsumers(vendor) {
			creds := writeShortRole(t, client, mountPath, vendor, name)
			tests[vendor.Name+"/"+name] = func(t *testing.T) { test(t, health, vendor, creds) }
		}
	}
	runConcurrently(t, tests)
}

// furtherConsumers are tests of consumers that keep no credential in a file.
func furtherConsumers(vendor vendorfacts.Vendor) map[string]func(*testing.T, *watchdog, vendorfacts.Vendor, string) {
	type tests = map[string]func(*testing.T, *watchdog, vendorfacts.Vendor, string)
	switch vendor.Name {
	case "lacework":
		return tests{"env_template": requireRestarts, "proxy": requireProxyForwards}
	case "trend", "fortianalyzer":
		return tests{"proxy": requireProxyCaches}
	}
	return nil
}

// runConcurrently runs all tests at the same time. t.Parallel would run as many as there are processors, but these
// tests wait much longer than they compute.
func runConcurrently(t *testing.T, tests map[string]func(*testing.T)) {
	t.Helper()
	var running sync.WaitGroup
	for name, test := range tests {
		running.Go(func() { t.Run(name, test) })
	}
	running.Wait()
}

// writeShortRole creates a role with short leases and a config for it, and returns the path of its credentials.
func writeShortRole(t *testing.T, client *api.Client, mountPath string, vendor vendorfacts.Vendor, name string) string {
	t.Helper()
	name = vendor.Name + "-" + name
	fields := configFields(t, vendor.Name)
	switch {
	case vendor.Sessions > 0:
		// All consumers share one config. Each holds two sessions while it replaces one, and the engine holds one.
		name, fields["max_credentials"] = vendor.Name, vendor.Sessions-1
	case vendor.Name == "fortisiem":
		// The product serves one token request every five seconds for each client id, so each consumer gets a client id.
		created, err := server.Control().Act(t.Context(), vendor.Name, "create_client", map[string]string{"access_token_expiry": "20s"})
		require.NoError(t, err)
		fields["client_id"], fields["client_secret"] = created["client_id"], created["client_secret"]
	}
	write(t, client, mountPath+"/config/"+name, fields)
	role := map[string]any{"config": name, "ttl": fixedTTL.String()}
	if vendor.Renewable() {
		role["ttl"], role["max_ttl"] = renewableTTL.String(), renewableMaxTTL.String()
	}
	maps.Copy(role, vendor.Role)
	write(t, client, mountPath+"/roles/"+name, role)
	return mountPath + "/creds/" + name
}

// requireLifetimes uses the credential in a file at the vendor, again and again, until the consumer has replaced it
// often enough.
func requireLifetimes(t *testing.T, health *watchdog, vendor vendorfacts.Vendor, program *devserver.Program, file string) {
	t.Helper()
	seen, began := map[string]bool{}, time.Now()
	for deadline := began.Add(consumerTimeout); len(seen) <= replacements; time.Sleep(pollInterval) {
		require.True(t, program.Running(), "the consumer has ended: %s", program.Output())
		require.True(t, time.Now().Before(deadline), "seen %d credentials: %s", len(seen), program.Output())
		credential := readCredential(t, file)
		if credential == nil {
			require.Empty(t, seen, "the file was deleted")
			began = time.Now()
			continue
		}
		token := credential["token"].(string)
		if verdict := use(t, vendor, credential); verdict != vendorfacts.Accepted {
			// The consumer may have replaced the credential after the test read it.
			if now := readCredential(t, file); now["token"] == token {
				failUnlessSlow(t, health, "the vendor's verdict on the credential that the file still holds: %s: %s", verdict, program.Output())
			}
			continue
		}
		if expires, known := credential["expires_at"].(string); known && !vendor.Renewable() {
			at, err := time.Parse(time.RFC3339, expires)
			require.NoError(t, err)
			require.True(t, time.Now().Before(at), "the file holds a credential that has expired")
		}
		seen[token] = true
	}
	if took := time.Since(began); vendor.Renewable() && health.healthy(took) {
		require.Greater(t, took, replacements*renewableTTL, "the consumer replaced credentials instead of renewing them")
	}
}

// failUnlessSlow fails the test because of a stale credential, unless Vault was slow.
func failUnlessSlow(t *testing.T, health *watchdog, message string, args ...any) {
	t.Helper()
	if health.healthy(renewableMaxTTL) {
		require.FailNow(t, "the credential is stale", append([]any{message}, args...)...)
	}
	t.Logf("tolerated, since Vault was slow: "+message, args...)
}

// readCredential reads a credential from a file with the data of an answer, or with the whole answer. It returns nil
// when there is no file.
func readCredential(t *testing.T, file string) map[string]any {
	t.Helper()
	text, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return nil
	}
	require.NoError(t, err)
	var credential map[string]any
	require.NoError(t, json.Unmarshal(text, &credential), "a consumer replaces the file in one step")
	if data, whole := credential["data"].(map[string]any); whole {
		credential = data
	}
	return credential
}

// exampleFile returns the path of an example.
func exampleFile(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "examples", name))
	require.NoError(t, err)
	return path
}

// buildWatcher builds the Go example and returns the program.
func buildWatcher(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "watcher")
	output, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "../examples/watcher").CombinedOutput()
	require.NoError(t, err, "%s", output)
	return program
}

// startConsumer starts a client that gets a Vault token from its environment. At its end it revokes its lease, for which
// its policy has one path.
func startConsumer(t *testing.T, dir, creds, revocation, program string, args ...string) (*devserver.Program, string) {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Dir = dir
	cmd.Env = environment("VAULT_TOKEN="+applicationToken(t, creds, revocation), "PATH="+pathWithVault())
	started := startProgram(t, filepath.Join(dir, "log"), cmd)
	t.Cleanup(func() {
		assert.NoError(t, started.Stop())
		assert.NotContains(t, started.Output(), "permission denied")
		assert.NotContains(t, started.Output(), "not revoked")
	})
	return started, filepath.Join(dir, "credential.json")
}

// startProgram starts a program and stops it when the test ends.
func startProgram(t *testing.T, log string, cmd *exec.Cmd) *devserver.Program {
	t.Helper()
	program, err := devserver.StartProgram(filepath.Base(cmd.Path), log, cmd)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, program.Stop()) })
	return program
}

// environment returns the environment of a Vault client without a token, with further variables.
func environment(variables ...string) []string {
	var env []string
	for _, variable := range server.Environ() {
		if !strings.HasPrefix(variable, "VAULT_TOKEN=") {
			env = append(env, variable)
		}
	}
	return append(env, variables...)
}

// pathWithVault returns a PATH with the vault command and the built programs at its beginning.
func pathWithVault() string {
	return filepath.Dir(server.VaultBinary()) + string(os.PathListSeparator) + os.Getenv("PATH")
}

// What a policy must allow for the revocation of an application's own leases; the page on applications has the table.
const (
	revocationInBody = "sys/leases/revoke"
	revocationInPath = "sys/leases/revoke/%s/*" // with the path of the credentials
)

// applicationPolicy writes the example's policy for credentials at one path, and for the revocation of leases as some
// clients need it. It returns the name of the policy.
func applicationPolicy(t *testing.T, creds string, revocations ...string) string {
	t.Helper()
	name := strings.NewReplacer("/", "-", "%", "").Replace(strings.Join(append([]string{creds}, revocations...), "-"))
	example, err := os.ReadFile(exampleFile(t, "policy.hcl"))
	require.NoError(t, err)
	rules := strings.ReplaceAll(string(example), "vendorauth/creds/dsm-auditor", creds)
	require.Contains(t, rules, strconv.Quote(creds))
	for _, revocation := range revocations {
		rules += fmt.Sprintf("path %q { capabilities = [\"update\"] }\n", strings.ReplaceAll(revocation, "%s", creds))
	}
	require.NoError(t, server.Client().Sys().PutPolicyWithContext(t.Context(), name, rules))
	return name
}

// applicationToken creates a token with the policy of an application and no other.
func applicationToken(t *testing.T, creds, revocation string) string {
	t.Helper()
	created, err := server.Client().Auth().Token().CreateWithContext(t.Context(), &api.TokenCreateRequest{
		Policies: []string{applicationPolicy(t, creds, revocation)}, TTL: "10m",
	})
	require.NoError(t, err)
	return created.Auth.ClientToken
}

// freeAddress returns a loopback address with an unused port.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

// mount enables the engine at another path until the test ends.
func mount(t *testing.T, client *api.Client, path string) {
	t.Helper()
	require.NoError(t, client.Sys().MountWithContext(t.Context(), path, &api.MountInput{Type: devserver.PluginName}))
	t.Cleanup(func() { require.NoError(t, client.Sys().UnmountWithContext(context.Background(), path)) })
}

// dropConnections makes a vendor unreachable: it drops every connection before it serves the request.
func dropConnections(t *testing.T, vendor string) {
	t.Helper()
	require.NoError(t, server.Control().AddFault(t.Context(), devserver.Fault{Vendor: vendor, Route: "*", DropBefore: true}))
}
