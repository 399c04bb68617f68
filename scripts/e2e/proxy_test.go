package e2e

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"
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

// requireProxyCaches reads through a proxy: all readers get one credential, which the proxy renews, and
// another one before it ends.
func requireProxyCaches(t *testing.T, beat *watchdog, vendor vendorCase, creds string) {
	t.Helper()
	client := startProxy(t, creds)
	leases, began, reads := map[string]bool{}, time.Now(), 0
	for deadline := began.Add(keepingTimeout); len(leases) <= replacements; time.Sleep(pollInterval) {
		require.True(t, time.Now().Before(deadline), "seen %d leases", len(leases))
		secret := read(t, client, creds)
		reads++
		if status := vendor.use(t, secret.Data); status != http.StatusOK {
			if read(t, client, creds).LeaseID == secret.LeaseID {
				excuse(t, beat, "the proxy hands out what the vendor answers with %d", status)
			}
			continue
		}
		leases[secret.LeaseID] = true
	}
	require.Greater(t, reads, 5*len(leases), "most reads are answered from memory")
	if took := time.Since(began); beat.steady(took) {
		require.Greater(t, took, replacements*renewableTTL, "the proxy renews")
	}
}

// requireProxyPassesOn reads through a proxy what cannot be renewed: the proxy keeps none of it, so each
// reader gets a credential of its own.
func requireProxyPassesOn(t *testing.T, _ *watchdog, vendor vendorCase, creds string) {
	t.Helper()
	client := startProxy(t, creds)
	first, second := read(t, client, creds), read(t, client, creds)
	require.NotEqual(t, first.LeaseID, second.LeaseID)
	require.Equal(t, http.StatusOK, vendor.use(t, first.Data))
	require.Equal(t, http.StatusOK, vendor.use(t, second.Data))
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
