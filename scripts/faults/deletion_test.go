package faults

import (
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/scripts/devserver"
)

// cutOff makes a vendor unreachable, until the returned function is called.
func (s *cluster) cutOff(t *testing.T, v vendor) (restore func()) {
	t.Helper()
	control := s.server.Control()
	require.NoError(t, control.AddFault(t.Context(), devserver.Fault{Vendor: v.emulated, Route: "*", DropBefore: true}))
	return func() { require.NoError(t, control.ClearFaults(t.Context(), v.emulated)) }
}

// A config is deleted by force while its vendor is out, and the plugin dies. The config stays for as long as it is
// needed, and no longer.
func TestConfigDeletedByForce_WhileVendorIsOut(t *testing.T) {
	if testing.Short() {
		t.Skip("the engine's own tests have the same without a server")
	}
	t.Parallel()
	s := newStand(t, 1, 15*time.Second)
	for _, v := range named("ftd", "trend", "fortianalyzer", "lacework") {
		o := s.begin(t, "config deleted by force, vendor out, plugin killed", "delete", v)
		own, err := o.read(t.Context(), s.vault(), o.role)
		require.NoError(t, err, "%s", o)
		o.mustRead(t, o.shared)
		restore := s.cutOff(t, v)
		config := s.at("config/%s", o.config)
		_, err = s.vault().Logical().DeleteWithContext(t.Context(), config)
		var refused *api.ResponseError
		require.ErrorAs(t, err, &refused, "%s", o)
		require.Equal(t, 409, refused.StatusCode, "%s", o)
		_, err = s.vault().Logical().DeleteWithDataWithContext(t.Context(), config, map[string][]string{"force": {"true"}})
		require.NoError(t, err, "%s", o)
		if err := o.revoke(t.Context(), s.vault(), own); v.revoking {
			require.Error(t, err, "%s: reported as revoked although the vendor has not heard of it", o)
		}
		require.NoError(t, s.server.KillPlugin())
		s.awaitPlugin(t)
		restore()
		o.conclude(t)
		require.True(t, await(drainTimeout, func() bool {
			_ = s.endLeases(t.Context(), o.role)
			_ = s.endLeases(t.Context(), o.shared)
			left, err := s.vault().Logical().ReadWithContext(t.Context(), config)
			require.NoError(t, err)
			if left != nil {
				_ = s.settle(t, o.config)
			}
			return left == nil
		}), "%s: the config does not go", o)
		s.mu.Lock()
		delete(s.open, o.config)
		s.mu.Unlock()
		progress("config deleted by force: %s", v.name)
	}
	s.drain(t)
}

// A mount is disabled while its vendor is out, and the plugin dies. Vault does not let go of it before everything is
// revoked.
func TestMountDisabled_WhileVendorIsOut(t *testing.T) {
	if testing.Short() {
		t.Skip("the end-to-end tests disable a mount")
	}
	t.Parallel()
	s := newStand(t, 1, 60*time.Second)
	const fault = "mount disabled, vendor out, plugin killed"
	for _, v := range named("ftd", "trend", "fortianalyzer") {
		mount := "disabled-" + v.name
		sys := s.vault().Sys()
		require.NoError(t, sys.MountWithContext(t.Context(), mount, &api.MountInput{Type: devserver.PluginName}))
		fields, err := v.configFields(s.server.Emulator())
		require.NoError(t, err)
		_, err = s.vault().Logical().WriteWithContext(t.Context(), mount+"/config/main", fields)
		require.NoError(t, err)
		for role, sharing := range map[string]string{"own": "exclusive", "shared": "shared"} {
			fields := map[string]any{"config": "main", "ttl": s.ttl.String(), "sharing": sharing}
			for field, value := range v.role {
				fields[field] = value
			}
			_, err = s.vault().Logical().WriteWithContext(t.Context(), mount+"/roles/"+role, fields)
			require.NoError(t, err)
			_, err = s.vault().Logical().ReadWithContext(t.Context(), mount+"/creds/"+role)
			require.NoError(t, err)
		}
		made, err := s.living(t.Context(), v.emulated)
		require.NoError(t, err)
		require.Len(t, made, 2)

		restore := s.cutOff(t, v)
		require.Error(t, sys.UnmountWithContext(t.Context(), mount), "reported as done although the vendor has not heard of it")
		require.NoError(t, s.server.KillPlugin())
		restore()
		require.True(t, await(patience, func() bool { return sys.UnmountWithContext(t.Context(), mount) == nil }), "%s cannot be disabled", mount)
		left, err := s.living(t.Context(), v.emulated)
		require.NoError(t, err)
		if len(left) > 0 {
			t.Errorf("%s, %s: alive after the mount has gone: %+v", fault, v.name, left)
		}
		note(fault, v.name, row{runs: 1, made: len(made), orphans: len(left)})
		progress("mount disabled: %s", v.name)
	}
}
