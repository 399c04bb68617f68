package e2e

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/vendorfacts"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/scripts/devserver"
)

// keptLeases are stored leases that a test read before they were revoked.
var keptLeases struct {
	mu      sync.Mutex
	records []string
}

// keepLeases reads the stored leases and keeps them for the search for secrets at the end of the run.
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

func TestLifecycle_EveryVendor_ReadRenewRevoke(t *testing.T) {
	forEachVendor(t, func(t *testing.T, client *api.Client, mountPath string, vendor vendorfacts.Vendor) {
		write(t, client, mountPath+"/roles/app", roleFields(vendor, map[string]any{"ttl": "10m", "max_ttl": "1h"}))

		secret := read(t, client, mountPath+"/creds/app")
		require.Equal(t, vendor.Renewable(), secret.Renewable)
		require.InDelta(t, 600, secret.LeaseDuration, 1)
		require.Empty(t, vendor.Missing(secret.Data), "members that an application needs")
		requireAccepted(t, vendor, secret.Data, "the vendor accepts a new credential")
		stored := strings.Join(keepLeases(t), "\n")
		require.Contains(t, stored, `"secret_type":"vendor_credential"`)

		renewed, err := client.Sys().RenewWithContext(t.Context(), secret.LeaseID, 840)
		if vendor.Renewable() {
			require.NoError(t, err)
			require.InDelta(t, 840, renewed.LeaseDuration, 1)
			requireAccepted(t, vendor, secret.Data)
		} else {
			require.ErrorContains(t, err, "not renewable")
		}

		revokeLease(t, client, secret.LeaseID)
		if vendor.Revokes {
			requireRefused(t, vendor, secret.Data, "the credential ended with its lease")
			require.Zero(t, live(t, vendor.Name, "leased"))
			require.Contains(t, endReasons(t, vendor.Name), vendor.EndedBy())
		} else {
			requireAccepted(t, vendor, secret.Data, "the vendor cannot revoke it")
			require.NotEmpty(t, secret.Warnings, "every answer warns of that")
			require.Contains(t, strings.Join(secret.Warnings, " "), secret.Data["expires_at"])
		}
	})
}

// endReasons lists how the leased credentials of a vendor ended.
func endReasons(t *testing.T, vendor string) []string {
	t.Helper()
	credentials, err := server.Control().Credentials(t.Context(), vendor)
	require.NoError(t, err)
	var reasons []string
	for _, credential := range credentials {
		if credential.Kind == "leased" {
			reasons = append(reasons, credential.EndedBy)
		}
	}
	return reasons
}

func TestLease_Expires_CredentialIsRevokedAtTheVendor(t *testing.T) {
	client, mountPath := reset(t)
	write(t, client, mountPath+"/config/main", configFields(t, "ftd"))
	write(t, client, mountPath+"/roles/app", map[string]any{"config": "main", "ttl": "2s", "max_ttl": "1h"})
	read(t, client, mountPath+"/creds/app")
	require.Equal(t, 1, live(t, "ftd", "leased"))
	require.Eventually(t, func() bool { return live(t, "ftd", "leased") == 0 }, 30*time.Second, 100*time.Millisecond)
	require.Contains(t, endReasons(t, "ftd"), vendorfacts.EndedRevoked)
}

func TestMount_Disabled_RevokesEveryCredential(t *testing.T) {
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

func TestPlugin_Killed_NextProcessRevokesTheLease(t *testing.T) {
	client, mountPath := reset(t)
	write(t, client, mountPath+"/config/main", configFields(t, "ftd"))
	write(t, client, mountPath+"/roles/app", map[string]any{"config": "main"})
	secret := read(t, client, mountPath+"/creds/app")
	require.NoError(t, server.KillPlugin())
	require.Eventually(t, func() bool {
		return client.Sys().RevokeWithOptionsWithContext(t.Context(), &api.RevokeOptions{LeaseID: secret.LeaseID, Sync: true}) == nil
	}, time.Minute, 200*time.Millisecond)
	require.Zero(t, live(t, "ftd", "leased"))
	login := vendorfacts.Named("ftd").Operations.Login
	require.Equal(t, 1, operations(t, "ftd", login), "the new process uses the stored session")
}

func TestPlugin_TwoMounts_OneProcessReportsItsVersion(t *testing.T) {
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
