package faults

import (
	"maps"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/scripts/devserver"
)

// cutOff makes a vendor unreachable until the returned function is called.
func (cl *cluster) cutOff(t *testing.T, v target) (restore func()) {
	t.Helper()
	control := cl.server.Control()
	require.NoError(t, control.AddFault(t.Context(), devserver.Fault{Vendor: v.Name, Route: "*", DropBefore: true}))
	return func() { require.NoError(t, control.ClearFaults(t.Context(), v.Name)) }
}

// An operator deletes a config with force=true while its vendor is unreachable, and the plugin is killed. The config
// stays until its last credential has ended, and no longer.
func TestConfig_ForceDeletedInOutage_StaysWhileNeeded(t *testing.T) {
	if testing.Short() {
		t.Skip("the engine's own tests cover this without a server")
	}
	t.Parallel()
	cl := newCluster(t, 1, 15*time.Second)
	for _, v := range labeled("ftd", "trend", "fortianalyzer", "lacework") {
		cl.deleteConfigInOutage(t, v)
		progress("config deleted by force: %s", v.label)
	}
	cl.drain(t)
}

// deleteConfigInOutage runs the scenario of the test above for one target.
func (cl *cluster) deleteConfigInOutage(t *testing.T, v target) {
	t.Helper()
	sc := cl.begin(t, "config deleted by force, vendor unreachable, plugin killed", "delete", v)
	exclusive, err := sc.read(t.Context(), cl.vault(), sc.role)
	require.NoError(t, err, "%s", sc)
	sc.mustRead(t, sc.shared)
	restore := cl.cutOff(t, v)
	config := cl.path("config/%s", sc.config)
	_, err = cl.vault().Logical().DeleteWithContext(t.Context(), config)
	var refused *api.ResponseError
	require.ErrorAs(t, err, &refused, "%s", sc)
	require.Equal(t, 409, refused.StatusCode, "%s", sc)
	_, err = cl.vault().Logical().DeleteWithDataWithContext(t.Context(), config, map[string][]string{"force": {"true"}})
	require.NoError(t, err, "%s", sc)
	if err := sc.revoke(t.Context(), cl.vault(), exclusive); v.revocable() {
		require.Error(t, err, "%s: the revocation succeeds although the vendor did not receive it", sc)
	}
	require.NoError(t, cl.server.KillPlugin())
	cl.awaitPlugin(t)
	restore()
	sc.conclude(t)
	require.True(t, await(drainTimeout, func() bool {
		_ = cl.revokeLeases(t.Context(), sc.role)
		_ = cl.revokeLeases(t.Context(), sc.shared)
		stored, err := cl.vault().Logical().ReadWithContext(t.Context(), config)
		require.NoError(t, err)
		if stored != nil {
			_ = cl.tidy(t, sc.config)
		}
		return stored == nil
	}), "%s: the config is not deleted", sc)
	cl.mu.Lock()
	delete(cl.open, sc.config)
	cl.mu.Unlock()
}

// An operator disables a mount while its vendor is unreachable, and the plugin is killed. Vault does not remove the mount
// before every credential is revoked.
func TestMount_DisabledInOutage_StaysUntilAllIsRevoked(t *testing.T) {
	if testing.Short() {
		t.Skip("the end-to-end tests disable a mount")
	}
	t.Parallel()
	cl := newCluster(t, 1, 60*time.Second)
	for _, v := range labeled("ftd", "trend", "fortianalyzer") {
		cl.disableMountInOutage(t, v)
		progress("mount disabled: %s", v.label)
	}
}

// disableMountInOutage runs the scenario of the test above for one target.
func (cl *cluster) disableMountInOutage(t *testing.T, v target) {
	t.Helper()
	const fault = "mount disabled, vendor unreachable, plugin killed"
	mount, sys := "disabled-"+v.label, cl.vault().Sys()
	require.NoError(t, sys.MountWithContext(t.Context(), mount, &api.MountInput{Type: devserver.PluginName}))
	fields, err := v.configFields(cl.server.Emulator())
	require.NoError(t, err)
	_, err = cl.vault().Logical().WriteWithContext(t.Context(), mount+"/config/main", fields)
	require.NoError(t, err)
	for role, sharing := range map[string]string{"own": "exclusive", "shared": "shared"} {
		fields := map[string]any{"config": "main", "ttl": cl.ttl.String(), "sharing": sharing}
		maps.Copy(fields, v.Role)
		_, err = cl.vault().Logical().WriteWithContext(t.Context(), mount+"/roles/"+role, fields)
		require.NoError(t, err)
		_, err = cl.vault().Logical().ReadWithContext(t.Context(), mount+"/creds/"+role)
		require.NoError(t, err)
	}
	issued, err := cl.liveCredentials(t.Context(), v.Name)
	require.NoError(t, err)
	require.Len(t, issued, 2)

	restore := cl.cutOff(t, v)
	require.Error(t, sys.UnmountWithContext(t.Context(), mount), "the mount is disabled although the vendor did not revoke its credentials")
	require.NoError(t, cl.server.KillPlugin())
	restore()
	require.True(t, await(recoveryTimeout, func() bool { return sys.UnmountWithContext(t.Context(), mount) == nil }), "%s cannot be disabled", mount)
	live, err := cl.liveCredentials(t.Context(), v.Name)
	require.NoError(t, err)
	if len(live) > 0 {
		t.Errorf("%s, %s: live after the mount was disabled: %+v", fault, v.label, live)
	}
	record(fault, v.label, row{runs: 1, issued: len(issued), orphans: len(live)})
}
