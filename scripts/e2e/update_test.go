package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/vendorfacts"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/scripts/devserver"
)

// The versions of the update. Both are built from this code: what differs is the version that the binary reports.
const (
	olderVersion = "v1.0.0"
	newerVersion = "v1.1.0"
)

// An update is a file for each version, which Vault knows by its version. Leases that were issued before are renewed and
// revoked after it, up and down, and by a node that became active later.
func TestUpdate_TwoVersions_LeasesSurviveUpAndDown(t *testing.T) {
	t.Parallel()
	u := startUpdate(t)
	u.install(t, olderVersion)
	u.enable(t)
	old := u.readAll(t)
	require.Equal(t, olderVersion, u.running(t))

	u.install(t, newerVersion)
	require.Equal(t, olderVersion, u.running(t), "a registered version changes nothing")
	u.tune(t, newerVersion)
	require.Equal(t, olderVersion, u.running(t), "nor does the version of the mount, before the reload")
	u.renewAll(t, old)
	u.reload(t)
	require.Equal(t, newerVersion, u.running(t))
	u.renewAll(t, old)
	u.revoke(t, old[:2])
	u.requireLive(t, len(old)-2)
	latest := u.readAll(t)

	// The successor runs the version of the mount. Its plugin was never started or reloaded there before.
	u.failOver(t)
	require.Equal(t, newerVersion, u.running(t))
	u.renewAll(t, old[2:])
	u.renewAll(t, latest)

	u.tune(t, olderVersion)
	u.reload(t)
	require.Equal(t, olderVersion, u.running(t))
	u.renewAll(t, old[2:])
	u.renewAll(t, latest)
	u.revoke(t, old[2:])
	u.revoke(t, latest)
	u.requireLive(t, 0)
	require.NoError(t, u.client.Sys().DeregisterPluginWithContext(t.Context(), &api.DeregisterPluginInput{
		Name: devserver.PluginName, Type: api.PluginTypeSecrets, Version: newerVersion,
	}))
	u.reload(t)
	require.Equal(t, olderVersion, u.running(t))
}

// Vault cannot start a version whose file is missing or has changed. A reload fails then, and the mount keeps its version.
// The next active node has no version that runs: its mount answers errors until the previous version is chosen and
// another node becomes active. No lease is lost.
func TestUpdate_FileOfTheVersionChanged_PreviousVersionRepairs(t *testing.T) {
	t.Parallel()
	u := startUpdate(t)
	u.install(t, olderVersion)
	u.enable(t)
	leases := u.readAll(t)
	u.install(t, newerVersion)
	u.tune(t, newerVersion)
	for _, node := range u.server.Nodes() {
		require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(node.PluginPath()), pluginFile(newerVersion)), []byte("changed"), 0o700))
	}
	_, err := u.client.Logical().WriteWithContext(t.Context(), "sys/plugins/reload/backend", map[string]any{"plugin": devserver.PluginName})
	require.ErrorContains(t, err, "checksums did not match")
	require.Equal(t, olderVersion, read(t, u.client, u.server.MountPath()+"/info").Data["version"])
	u.renewAll(t, leases)
	u.failOver(t)
	u.client.SetMaxRetries(0)
	answer, err := u.client.Logical().ReadWithContext(t.Context(), u.server.MountPath()+"/info")
	require.True(t, answer == nil || err != nil, "no version runs") // the client returns no answer for a 404
	for _, l := range leases {
		_, err = u.client.Sys().RenewWithContext(t.Context(), l.secret.LeaseID, 0)
		require.Error(t, err)
	}
	t.Logf("a mount without a version that starts answers: %v", err)

	// A reload would start the plugin, but Vault keeps the storage of a mount read-only that did not start with the node.
	u.tune(t, olderVersion)
	u.failOver(t)
	require.Equal(t, olderVersion, u.running(t))
	u.renewAll(t, leases)
	u.revoke(t, leases)
	u.requireLive(t, 0)
}

// update is a cluster whose plugin is updated.
type update struct {
	server *devserver.Server
	client *api.Client
}

// updatedLease is a lease of a vendor, with its credential.
type updatedLease struct {
	vendor vendorfacts.Vendor
	secret *api.Secret
}

// startUpdate starts a cluster of its own: a node that becomes active must have the files, too.
func startUpdate(t *testing.T) *update {
	t.Helper()
	started, err := devserver.Start(t.Context(), devserver.Options{Nodes: 2, WithoutPlugin: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, started.Close()) })
	return &update{server: started, client: started.Client()}
}

// pluginFile is the name of the file of a version.
func pluginFile(version string) string { return devserver.PluginName + "-" + version }

// install builds a version, copies it to every node and registers it.
func (u *update) install(t *testing.T, version string) {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "plugin")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-o", binary, "-ldflags",
		"-s -w -X github.com/vendorauth/vault-plugin-secrets-vendorauth/backend.Version="+version, "./cmd/"+devserver.PluginName)
	build.Dir, build.Env = repository(t), append(os.Environ(), "CGO_ENABLED=0")
	output, err := build.CombinedOutput()
	require.NoError(t, err, "%s", output)
	sum, err := u.server.InstallPlugin(binary, pluginFile(version))
	require.NoError(t, err)
	require.NoError(t, u.client.Sys().RegisterPluginWithContext(t.Context(), &api.RegisterPluginInput{
		Name: devserver.PluginName, Type: api.PluginTypeSecrets, Version: version, Command: pluginFile(version), SHA256: sum,
	}))
}

// enable enables the plugin, with a config and roles of each vendor whose leases can be renewed.
func (u *update) enable(t *testing.T) {
	t.Helper()
	require.NoError(t, u.client.Sys().MountWithContext(t.Context(), u.server.MountPath(), &api.MountInput{Type: devserver.PluginName}))
	for _, vendor := range renewableVendors() {
		fields := configFieldsOn(t, u.server, vendor.Name)
		fields["requests_per_minute"] = 0 // the rate limits are not the subject
		write(t, u.client, u.server.MountPath()+"/config/"+vendor.Name, fields)
		for _, sharing := range []string{"exclusive", "shared"} {
			write(t, u.client, u.server.MountPath()+"/roles/"+vendor.Name+"-"+sharing, roleFields(vendor, map[string]any{
				"config": vendor.Name, "ttl": "10m", "max_ttl": "1h", "sharing": sharing,
			}))
		}
	}
}

// readAll reads a credential of each role.
func (u *update) readAll(t *testing.T) []updatedLease {
	t.Helper()
	var leases []updatedLease
	for _, vendor := range renewableVendors() {
		for _, sharing := range []string{"exclusive", "shared"} {
			leases = append(leases, updatedLease{vendor, read(t, u.client, u.server.MountPath()+"/creds/"+vendor.Name+"-"+sharing)})
		}
	}
	return leases
}

// renewAll renews leases, whose vendors must accept their credentials afterwards.
func (u *update) renewAll(t *testing.T, leases []updatedLease) {
	t.Helper()
	for _, l := range leases {
		renewed, err := u.client.Sys().RenewWithContext(t.Context(), l.secret.LeaseID, 0)
		require.NoError(t, err, l.vendor.Name)
		require.Equal(t, 600, renewed.LeaseDuration, l.vendor.Name)
		verdict, err := l.vendor.Use(t.Context(), vendorClientOn(t, u.server), l.secret.Data)
		require.NoError(t, err)
		require.Equal(t, vendorfacts.Accepted, verdict, l.vendor.Name)
	}
}

// revoke revokes leases.
func (u *update) revoke(t *testing.T, leases []updatedLease) {
	t.Helper()
	for _, l := range leases {
		revokeLease(t, u.client, l.secret.LeaseID)
	}
}

// requireLive requires that many live leased credentials at all vendors together. A shared credential counts once for
// all its leases.
func (u *update) requireLive(t *testing.T, want int) {
	t.Helper()
	count := 0
	for _, vendor := range renewableVendors() {
		credentials, err := u.server.Control().Credentials(t.Context(), vendor.Name)
		require.NoError(t, err)
		for _, credential := range credentials {
			require.NotEqual(t, "evicted", credential.EndedBy)
			if credential.Live && credential.Kind == "leased" {
				count++
			}
		}
	}
	require.Equal(t, want, count)
}

// tune sets the version that the mount runs after its next start.
func (u *update) tune(t *testing.T, version string) {
	t.Helper()
	require.NoError(t, u.client.Sys().TuneMountAllowNilWithContext(t.Context(), u.server.MountPath(), api.TuneMountConfigInput{PluginVersion: &version}))
}

// reload starts the plugin again, with the version of each mount.
func (u *update) reload(t *testing.T) {
	t.Helper()
	_, err := u.client.Logical().WriteWithContext(t.Context(), "sys/plugins/reload/backend", map[string]any{"plugin": devserver.PluginName})
	require.NoError(t, err)
}

// running returns the version that answers. Vault's record of it must be the same.
func (u *update) running(t *testing.T) string {
	t.Helper()
	answer := read(t, u.client, u.server.MountPath()+"/info")
	mount, err := u.client.Sys().GetMountWithContext(t.Context(), u.server.MountPath())
	require.NoError(t, err)
	require.Equal(t, answer.Data["version"], mount.RunningVersion)
	return mount.RunningVersion
}

// failOver makes the other node active, and sends requests to it from then on.
func (u *update) failOver(t *testing.T) {
	t.Helper()
	leader, err := u.server.AwaitActive(t.Context())
	require.NoError(t, err)
	require.NoError(t, leader.Client().Sys().StepDownWithContext(t.Context()))
	require.Eventually(t, func() bool {
		active, err := u.server.Active(t.Context())
		if err != nil || active == leader {
			return false
		}
		u.client = active.Client()
		return true
	}, time.Minute, 100*time.Millisecond)
}
