package e2e

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/vendorfacts"
)

// startProxy starts the example proxy on a free port, and returns a client of it without a token.
func startProxy(t *testing.T, creds string) *api.Client {
	t.Helper()
	dir, address := t.TempDir(), freeAddress(t)
	require.NoError(t, os.CopyFS(dir, os.DirFS(exampleFile(t, "proxy"))))
	writeAppRole(t, dir, creds)
	file := filepath.Join(dir, "proxy.hcl")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Contains(t, string(text), `"127.0.0.1:8100"`)
	require.NoError(t, os.WriteFile(file, []byte(strings.Replace(string(text), "127.0.0.1:8100", address, 1)), 0o600))
	proxy := runVault(t, "proxy", "proxy.hcl", dir, creds)

	config := api.DefaultConfig()
	config.Address = "http://" + address
	client, err := api.NewClient(config)
	require.NoError(t, err)
	client.ClearToken()
	require.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := client.Auth().Token().LookupSelfWithContext(ctx)
		return err == nil
	}, time.Minute, pollInterval, "%s", proxy.Output())
	return client
}

// requireProxyCaches reads through a proxy. All readers get one credential, which the proxy renews, and which it
// replaces before the credential ends.
func requireProxyCaches(t *testing.T, health *watchdog, vendor vendorfacts.Vendor, creds string) {
	t.Helper()
	client := startProxy(t, creds)
	leases, began, reads := map[string]bool{}, time.Now(), 0
	for deadline := began.Add(consumerTimeout); len(leases) <= replacements; time.Sleep(pollInterval) {
		require.True(t, time.Now().Before(deadline), "seen %d leases", len(leases))
		secret := read(t, client, creds)
		reads++
		if verdict := use(t, vendor, secret.Data); verdict != vendorfacts.Accepted {
			if read(t, client, creds).LeaseID == secret.LeaseID {
				failUnlessSlow(t, health, "the vendor's verdict on a credential that the proxy still returns: %s", verdict)
			}
			continue
		}
		leases[secret.LeaseID] = true
	}
	require.Greater(t, reads, 5*len(leases), "the proxy answers most reads from memory")
	if took := time.Since(began); health.healthy(took) {
		require.Greater(t, took, replacements*renewableTTL, "the proxy renews")
	}
}

// requireProxyForwards reads non-renewable credentials through a proxy. The proxy caches none of them, so each reader
// gets its own credential.
func requireProxyForwards(t *testing.T, _ *watchdog, vendor vendorfacts.Vendor, creds string) {
	t.Helper()
	client := startProxy(t, creds)
	first, second := read(t, client, creds), read(t, client, creds)
	require.NotEqual(t, first.LeaseID, second.LeaseID)
	requireAccepted(t, vendor, first.Data)
	requireAccepted(t, vendor, second.Data)
}

// readPID reads a process id from a file.
func readPID(t *testing.T, file string) int {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	require.NoError(t, err)
	return pid
}
