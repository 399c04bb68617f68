package e2e

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/scripts/devserver"
)

// keptLeases are stored leases that a test saw before they were revoked.
var keptLeases struct {
	mu      sync.Mutex
	records []string
}

// keepLeases reads the stored leases for the search at the end.
func keepLeases(t *testing.T) []string {
	t.Helper()
	leases, err := storedLeases(t.Context(), server.Client())
	require.NoError(t, err)
	require.NotEmpty(t, leases)
	keptLeases.mu.Lock()
	defer keptLeases.mu.Unlock()
	keptLeases.records = append(keptLeases.records, leases...)
	return leases
}

// vendorCase is how one vendor's credential lives.
type vendorCase struct {
	vendor    string
	role      map[string]any
	renewable bool
	revokes   bool
	// use sends the credential to the vendor and returns the status.
	use func(t *testing.T, credential map[string]any) int
}

// bearerOn uses a credential as a bearer token on a path of the address that came with it.
func bearerOn(path string) func(*testing.T, map[string]any) int {
	return func(t *testing.T, credential map[string]any) int {
		t.Helper()
		return get(t, credential["address"].(string)+path, map[string]string{
			"Authorization": credential["token_type"].(string) + " " + credential["token"].(string),
		})
	}
}

// keyOn uses a credential in the header that its token_type names, beside the api-version.
func keyOn(path string) func(*testing.T, map[string]any) int {
	return func(t *testing.T, credential map[string]any) int {
		t.Helper()
		return get(t, credential["address"].(string)+path, map[string]string{
			credential["token_type"].(string): credential["token"].(string), "api-version": "v1",
		})
	}
}

// get sends a request to a vendor, trusting the emulator's CA, and returns the status.
func get(t *testing.T, url string, headers map[string]string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	for name, value := range headers {
		req.Header.Set(name, value)
	}
	response, err := vendorClient(t).Do(req)
	require.NoError(t, err)
	response.Body.Close()
	return response.StatusCode
}

// vendorClient trusts the emulator's CA.
func vendorClient(t *testing.T) *http.Client {
	t.Helper()
	ca, err := os.ReadFile(server.Emulator().CACertFile)
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(ca))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 30 * time.Second}
}

// sessionOn asks a FortiAnalyzer for its status, and returns 401 for its code -11, which it answers to a
// session that has ended.
func sessionOn(t *testing.T, credential map[string]any) int {
	t.Helper()
	body, err := json.Marshal(map[string]any{
		"id": 1, "method": "get", "params": []any{map[string]any{"url": "/sys/status"}}, "session": credential["token"],
	})
	require.NoError(t, err)
	response, err := vendorClient(t).Post(credential["url"].(string), "application/json", bytes.NewReader(body))
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	var answer struct {
		Result []struct {
			Status struct {
				Code int `json:"code"`
			} `json:"status"`
		} `json:"result"`
	}
	require.NoError(t, json.NewDecoder(response.Body).Decode(&answer))
	require.Len(t, answer.Result, 1)
	if answer.Result[0].Status.Code == -11 {
		return http.StatusUnauthorized
	}
	return response.StatusCode
}

func vendorCases() []vendorCase {
	return []vendorCase{
		{vendor: "fortianalyzer", renewable: true, revokes: true, role: map[string]any{"ttl": "10m", "max_ttl": "8h"}, use: sessionOn},
		{vendor: "fortisiem", use: bearerOn("/phoenix/rest/system/health/summary")},
		{vendor: "lacework", use: bearerOn("/api/v2/UserProfile")},
		{vendor: "trend", renewable: true, revokes: true, role: map[string]any{"role_name": "Auditor"}, use: keyOn("/apikeys/current")},
		{vendor: "ftd", renewable: true, revokes: true, use: bearerOn("/object/networks")},
	}
}

func TestLifecycle_EveryVendor_ReadRenewRevoke(t *testing.T) {
	for _, test := range vendorCases() {
		t.Run(test.vendor, func(t *testing.T) {
			client, mountPath := reset(t)
			write(t, client, mountPath+"/config/main", configFields(t, test.vendor))
			role := map[string]any{"config": "main", "ttl": "10m", "max_ttl": "1h"}
			for field, value := range test.role {
				role[field] = value
			}
			write(t, client, mountPath+"/roles/app", role)

			secret := read(t, client, mountPath+"/creds/app")
			require.Equal(t, test.renewable, secret.Renewable)
			require.InDelta(t, 600, secret.LeaseDuration, 1)
			require.Equal(t, http.StatusOK, test.use(t, secret.Data), "the vendor takes the credential")
			stored := strings.Join(keepLeases(t), "\n")
			require.Contains(t, stored, `"secret_type":"vendor_credential"`)

			renewed, err := client.Sys().RenewWithContext(t.Context(), secret.LeaseID, 840)
			if test.renewable {
				require.NoError(t, err)
				require.InDelta(t, 840, renewed.LeaseDuration, 1)
				require.Equal(t, http.StatusOK, test.use(t, secret.Data))
			} else {
				require.ErrorContains(t, err, "not renewable")
			}

			require.NoError(t, client.Sys().RevokeWithContext(t.Context(), secret.LeaseID))
			if test.revokes {
				require.NotEqual(t, http.StatusOK, test.use(t, secret.Data), "the credential ended with its lease")
				require.Zero(t, live(t, test.vendor, "leased"))
				require.Contains(t, endings(t, test.vendor), "revoked")
			} else {
				require.Equal(t, http.StatusOK, test.use(t, secret.Data), "the vendor cannot end it")
				require.NotEmpty(t, secret.Warnings, "and every answer says so")
				require.Contains(t, strings.Join(secret.Warnings, " "), secret.Data["expires_at"])
			}
		})
	}
}

// endings lists how the leased credentials of a vendor ended.
func endings(t *testing.T, vendor string) []string {
	t.Helper()
	credentials, err := server.Control().Credentials(t.Context(), vendor)
	require.NoError(t, err)
	var endings []string
	for _, credential := range credentials {
		if credential.Kind == "leased" {
			endings = append(endings, credential.EndedBy)
		}
	}
	return endings
}

func TestLease_ExpiresByItself_EndsAtTheVendor(t *testing.T) {
	client, mountPath := reset(t)
	write(t, client, mountPath+"/config/main", configFields(t, "ftd"))
	write(t, client, mountPath+"/roles/app", map[string]any{"config": "main", "ttl": "2s", "max_ttl": "1h"})
	read(t, client, mountPath+"/creds/app")
	require.Equal(t, 1, live(t, "ftd", "leased"))
	require.Eventually(t, func() bool { return live(t, "ftd", "leased") == 0 }, 30*time.Second, 100*time.Millisecond)
	require.Contains(t, endings(t, "ftd"), "revoked")
}

func TestMountDisabled_RevokesEverything(t *testing.T) {
	require.NoError(t, server.Control().Reset(t.Context()))
	client := vault(t)
	require.NoError(t, client.Sys().MountWithContext(t.Context(), "e2e-disabled", &api.MountInput{Type: devserver.PluginName}))
	write(t, client, "e2e-disabled/config/main", configFields(t, "ftd"))
	write(t, client, "e2e-disabled/roles/app", map[string]any{"config": "main"})
	for range 3 {
		read(t, client, "e2e-disabled/creds/app")
	}
	require.NoError(t, client.Sys().UnmountWithContext(t.Context(), "e2e-disabled"))
	require.Zero(t, live(t, "ftd", "leased"))
}

func TestPluginKilled_LeaseIsRevokedByTheNextProcess(t *testing.T) {
	client, mountPath := reset(t)
	write(t, client, mountPath+"/config/main", configFields(t, "ftd"))
	write(t, client, mountPath+"/roles/app", map[string]any{"config": "main"})
	secret := read(t, client, mountPath+"/creds/app")
	require.NoError(t, server.KillPlugin())
	require.Eventually(t, func() bool {
		return client.Sys().RevokeWithOptionsWithContext(t.Context(), &api.RevokeOptions{LeaseID: secret.LeaseID, Sync: true}) == nil
	}, time.Minute, 200*time.Millisecond)
	require.Zero(t, live(t, "ftd", "leased"))
	require.Equal(t, 1, operations(t, "ftd", "password"), "the engine goes on with its stored login")
}

func TestPlugin_ReportsItsVersionAndServesTwoMountsFromOneProcess(t *testing.T) {
	client, mountPath := reset(t)
	other, otherPath := reset(t)
	mounts, err := client.Sys().ListMountsWithContext(t.Context())
	require.NoError(t, err)
	require.Regexp(t, `^v\d+\.\d+\.\d+`, mounts[mountPath+"/"].RunningVersion)
	info := read(t, client, mountPath+"/info")
	require.Equal(t, mounts[mountPath+"/"].RunningVersion, info.Data["version"])
	read(t, other, otherPath+"/info")
	processes, err := server.Nodes()[0].PluginProcesses()
	require.NoError(t, err)
	require.Len(t, processes, 1)
}
