package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/scripts/devserver"
)

// A copy of Vault's storage starts next to the original, which has renewed its leases since. Until an operator decides
// otherwise, the copy rotates no root credential, and revokes nothing that the original has extended.
func TestCopy_StartedNextToOriginal_TakesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("takes minutes")
	}
	t.Parallel()
	const fault = "restored copy started next to the original"
	cl := newCluster(t, 1, copiedTTL)
	tuneMaxLeaseTTL(t, cl, 10*time.Minute)
	// The root credentials are older than the shortest rotation_period.
	cl.setClock(t, -2*time.Hour)
	extended := cl.begin(t, fault, "leases that the original has extended", labeled("trend")[0])
	rotated := cl.begin(t, fault, "a rotation that is due", labeled("ftd")[0])
	require.NoError(t, extended.writeLogin(t.Context())) // a root credential that a rotation would revoke
	cl.setClock(t, 0)
	extended.mustRead(t, extended.role)
	extended.mustRead(t, extended.role)
	cl.ageHeartbeat(t)
	snapshot, err := cl.server.Snapshot(t.Context())
	require.NoError(t, err)
	taken := time.Now()
	for _, id := range extended.held() {
		require.NoError(t, extended.renewFor(t.Context(), cl.vault(), id, extension))
	}
	roots := len(extended.createdRoots(t))
	require.True(t, await(2*copiedTTL, func() bool { return time.Since(taken) > copiedTTL }))

	restored := cl.startCopy(t, snapshot)
	for _, sc := range []*scenario{extended, rotated} {
		_, err := restored.vault().Logical().WriteWithContext(t.Context(), restored.path("config/%s", sc.config), map[string]any{"rotation_period": "1h"})
		require.NoError(t, err, "%s", sc)
		config, err := restored.vault().Logical().ReadWithContext(t.Context(), restored.path("config/%s", sc.config))
		require.NoError(t, err)
		require.Equal(t, true, config.Data["rotation_suspended"], "%s", sc)
	}
	restored.awaitBeat(t)
	var refused []entry
	require.True(t, await(recoveryTimeout, func() bool {
		refused = restored.refusedAsCopy(t, extended.config)
		return len(refused) == 2
	}), "the copy has refused to revoke %+v", refused)
	progress("copy next to the original: its background work has run")

	// The original's root credentials work, and its leases too.
	for _, sc := range []*scenario{extended, rotated} {
		_, err := cl.vault().Logical().WriteWithContext(t.Context(), cl.path("config/%s/check", sc.config), nil)
		require.NoError(t, err, "%s", sc)
	}
	require.Len(t, extended.createdRoots(t), roots, "%s", extended)
	for _, id := range extended.held() {
		require.NoError(t, extended.renewFor(t.Context(), cl.vault(), id, extension), "%s", extended)
	}
	rotated.mustRead(t, rotated.role)
	extended.conclude(t)
	rotated.conclude(t)
	require.NoError(t, restored.server.Close())
	cl.drain(t)
}

// copiedTTL is the ttl of the leases in the snapshot. They expire in the copy before it starts.
const copiedTTL = 20 * time.Second

// extension is how long the original has renewed them for. Clocks may differ: the engine takes an expiry that is a few
// minutes later than recorded for no extension.
const extension = 8 * time.Minute

// startCopy starts another cluster on a snapshot, at the same vendors.
func (cl *cluster) startCopy(t *testing.T, snapshot []byte) *cluster {
	t.Helper()
	restored := &cluster{
		ttl: cl.ttl, failpointDir: t.TempDir(), httpClient: cl.httpClient,
		open: map[string]target{}, scenarios: map[string]*scenario{}, reported: map[string]bool{}, counted: map[string]bool{},
	}
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	var err error
	restored.server, err = devserver.Start(ctx, devserver.Options{
		WithoutPlugin: true, WithoutEmulator: true, LogLevel: "debug",
		Env: []string{failpointVariable + "=" + restored.failpointFile()},
	})
	require.NoError(t, err)
	running.Store(restored, nil)
	t.Cleanup(func() {
		running.Delete(restored)
		require.NoError(t, restored.server.Close())
	})
	_, err = restored.server.InstallPlugin(pluginBinary, devserver.PluginName)
	require.NoError(t, err)
	require.NoError(t, restored.server.RestoreCopy(ctx, snapshot, cl.server))
	restored.findActive(t)
	restored.awaitPlugin(t)
	return restored
}

// heartbeatPath is the path of the mount's heartbeat in Vault's raw storage.
func (cl *cluster) heartbeatPath(t *testing.T) string {
	t.Helper()
	mounts, err := cl.vault().Sys().ListMountsWithContext(t.Context())
	require.NoError(t, err)
	return fmt.Sprintf("sys/raw/logical/%s/heartbeat", mounts[cl.server.MountPath()+"/"].UUID)
}

// ageHeartbeat makes the stored heartbeat two hours old, as in a snapshot of that age. The running engine does not read it.
func (cl *cluster) ageHeartbeat(t *testing.T) {
	t.Helper()
	record, err := json.Marshal(map[string]any{"version": 1, "at": time.Now().UTC().Add(-2 * time.Hour)})
	require.NoError(t, err)
	_, err = cl.vault().Logical().WriteWithContext(t.Context(), cl.heartbeatPath(t), map[string]any{"value": string(record)})
	require.NoError(t, err)
}

// awaitBeat waits until the background work has run, which stores the heartbeat first, and serves the configs then.
func (cl *cluster) awaitBeat(t *testing.T) {
	t.Helper()
	path := cl.heartbeatPath(t)
	require.True(t, await(sweptWithin, func() bool {
		stored, err := cl.vault().Logical().ReadWithContext(t.Context(), path)
		require.NoError(t, err)
		var record struct {
			At    time.Time `json:"at"`
			GapAt time.Time `json:"gap_at"`
		}
		require.NoError(t, json.Unmarshal([]byte(text(stored.Data, "value")), &record))
		return time.Since(record.At) < time.Hour && !record.GapAt.IsZero()
	}), "the background work does not run")
}

// refusedAsCopy returns the ledger entries whose revocation the engine has refused because this Vault may be a copy.
func (cl *cluster) refusedAsCopy(t *testing.T, config string) []entry {
	t.Helper()
	entries, err := cl.entries(t.Context(), config)
	require.NoError(t, err)
	var refused []entry
	for _, e := range entries {
		if strings.Contains(e.lastError, "it may be a copy") {
			refused = append(refused, e)
		}
	}
	return refused
}
