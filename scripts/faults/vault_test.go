package faults

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/scripts/devserver"
)

const (
	// loadTTL is longer than a restart of Vault, so that leases survive it.
	loadTTL = 20 * time.Second
	// requestsBetweenFaults is the number of requests that succeed between two faults under load.
	requestsBetweenFaults = 150
)

// disturbance is a fault of Vault or the plugin under load.
type disturbance struct {
	name   string
	times  int
	inject func(*testing.T, *cluster)
}

// underLoad injects a fault several times while clients send requests, and concludes their scenarios.
func (cl *cluster) underLoad(t *testing.T, targets []target, d disturbance) {
	t.Helper()
	random := rand.New(rand.NewPCG(uint64(*seed), 0))
	l := cl.startLoad(t, d.name, targets, random)
	for range d.times {
		l.awaitRequests(t, requestsBetweenFaults)
		d.inject(t, cl)
		cl.findActive(t)
		cl.awaitPlugin(t)
	}
	l.awaitRequests(t, requestsBetweenFaults)
	l.conclude(t)
}

// loadTargets are the targets under load.
func loadTargets() []target {
	if testing.Short() {
		return labeled("ftd", "trend") // the vendors with markers
	}
	return emulatedTargets()
}

func killVault(t *testing.T, cl *cluster) {
	t.Helper()
	require.NoError(t, cl.server.KillVault())
	require.NoError(t, cl.server.RestartVault(t.Context()))
}

func restartVault(t *testing.T, cl *cluster) {
	t.Helper()
	require.NoError(t, cl.server.RestartVault(t.Context()))
}

func sealVault(t *testing.T, cl *cluster) {
	t.Helper()
	node := cl.server.Nodes()[0]
	require.NoError(t, node.Seal(t.Context()))
	require.NoError(t, node.Unseal(t.Context()))
}

func killPlugin(t *testing.T, cl *cluster) {
	t.Helper()
	require.NoError(t, cl.server.KillPlugin())
}

func reloadPlugin(t *testing.T, cl *cluster) {
	t.Helper()
	_, err := cl.vault().Logical().WriteWithContext(t.Context(), "sys/plugins/reload/backend", map[string]any{"plugin": devserver.PluginName})
	require.NoError(t, err)
}

func TestVault_DisturbedUnderLoad_LosesNothing(t *testing.T) {
	t.Parallel()
	cl := newCluster(t, 1, loadTTL)
	if testing.Short() {
		cl.underLoad(t, loadTargets(), disturbance{"Vault killed under load", 1, killVault})
		cl.drain(t)
		return
	}
	for _, d := range []disturbance{
		{"Vault killed under load", 3, killVault},
		{"Vault stopped and started under load", 1, restartVault},
		{"Vault sealed and unsealed under load", 2, sealVault},
		{"plugin killed under load", 5, killPlugin},
		{"plugin reloaded under load", 3, reloadPlugin},
	} {
		cl.underLoad(t, loadTargets(), d)
	}
	cl.drain(t)
}
