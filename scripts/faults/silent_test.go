package faults

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/scripts/devserver"
)

// longestDelay is how much longer Vault may take with silent vendors than without.
const longestDelay = 2 * time.Second

// stops are the times that Vault takes, measured with vendors that answer or with silent ones.
type stops struct{ seal, stepDown, otherMounts time.Duration }

// Vendors accept connections and never answer, while the engine's background work retries revocations, and then while
// clients wait. Sealing, stepping down and other mounts must not wait for the vendors.
func TestVault_VendorsSilent_SealAndStepDownAreNotDelayed(t *testing.T) {
	if testing.Short() {
		t.Skip("takes minutes")
	}
	t.Parallel()
	cl := newCluster(t, 1, 10*time.Minute)
	tuneMaxLeaseTTL(t, cl, 10*time.Minute)
	_, err := cl.vault().Logical().WriteWithContext(t.Context(), "cubbyhole/other", map[string]any{"value": "1"})
	require.NoError(t, err)
	const other = "other-mount"
	require.NoError(t, cl.vault().Sys().MountWithContext(t.Context(), other, &api.MountInput{Type: devserver.PluginName}))
	others := []string{"cubbyhole/other", other + "/info"}
	answering := cl.measureStops(t, others, func() {})

	var scenarios []*scenario
	for _, v := range labeled("ftd", "trend") {
		sc := cl.begin(t, "vendor silent while Vault is sealed and steps down", "revoke", v)
		_, err := cl.vault().Logical().WriteWithContext(t.Context(), cl.path("config/%s", sc.config), map[string]any{"request_timeout": "60s"})
		require.NoError(t, err)
		sc.mustRead(t, sc.role)
		cl.leaveUnrevoked(t, sc)
		sc.mustRead(t, sc.shared)
		scenarios = append(scenarios, sc)
	}
	for _, sc := range scenarios {
		require.NoError(t, cl.server.Control().AddFault(t.Context(), devserver.Fault{Vendor: sc.target.Name, Route: "*", Delay: time.Hour}))
	}
	silent := cl.measureStops(t, others, func() { awaitBackgroundCalls(t, scenarios) })
	progress("seal: %s, with silent vendors %s; step-down: %s, %s; reads of other mounts: %s, %s",
		answering.seal, silent.seal, answering.stepDown, silent.stepDown, answering.otherMounts, silent.otherMounts)
	require.Less(t, silent.seal, answering.seal+longestDelay)
	require.Less(t, silent.stepDown, answering.stepDown+longestDelay)
	require.Less(t, silent.otherMounts, answering.otherMounts+longestDelay)

	taken := cl.sealWhileClientsWait(t, scenarios)
	progress("seal while clients wait for silent vendors: %s after they have hung up", taken)
	require.Less(t, taken, answering.seal+longestDelay)
	for _, sc := range scenarios {
		require.NoError(t, cl.server.Control().ClearFaults(t.Context(), sc.target.Name))
		sc.conclude(t)
	}
	cl.drain(t)
}

// measureStops reads other mounts, seals the node, and makes it step down. silence returns when the engine is waiting
// for the silent vendors; there is nothing to wait for if they answer.
func (cl *cluster) measureStops(t *testing.T, others []string, silence func()) stops {
	t.Helper()
	var taken stops
	node := cl.server.Nodes()[0]
	silence()
	for range 20 {
		for _, path := range others {
			begun := time.Now()
			_, err := cl.vault().Logical().ReadWithContext(t.Context(), path)
			require.NoError(t, err)
			taken.otherMounts = max(taken.otherMounts, time.Since(begun))
		}
	}
	begun := time.Now()
	require.NoError(t, node.Seal(t.Context()))
	taken.seal = time.Since(begun)
	cl.unseal(t)

	silence()
	begun = time.Now()
	require.NoError(t, node.Client().Sys().StepDownWithContext(t.Context()))
	cl.findActive(t)
	cl.awaitPlugin(t)
	taken.stepDown = time.Since(begun)
	return taken
}

// unseal unseals the only node, and waits until the plugin answers.
func (cl *cluster) unseal(t *testing.T) {
	t.Helper()
	require.NoError(t, cl.server.Nodes()[0].Unseal(t.Context()))
	cl.findActive(t)
	cl.awaitPlugin(t)
}

// sealWhileClientsWait seals Vault while clients wait for a read and a renewal of each scenario. Vault waits for running
// requests. It returns how much longer the seal takes after the clients have hung up.
func (cl *cluster) sealWhileClientsWait(t *testing.T, scenarios []*scenario) time.Duration {
	t.Helper()
	waiting, hangUp := context.WithCancel(t.Context())
	defer hangUp()
	var clients sync.WaitGroup
	defer clients.Wait()
	for _, sc := range scenarios {
		calls := sc.calls(t)
		clients.Go(func() { _, _ = sc.read(waiting, sc.vault(), sc.role) })
		for _, id := range sc.held() {
			clients.Go(func() { _ = sc.renew(waiting, sc.vault(), id) })
		}
		require.True(t, await(recoveryTimeout, func() bool { return sc.calls(t) > calls }), "%s: no call waits for the vendor", sc)
	}
	sealed := make(chan error, 1)
	go func() { sealed <- cl.server.Nodes()[0].Seal(t.Context()) }()
	select {
	case err := <-sealed:
		require.NoError(t, err)
		t.Error("Vault has not waited for the clients: this test shows nothing")
		return 0
	case <-time.After(time.Second):
	}
	begun := time.Now()
	hangUp()
	require.NoError(t, <-sealed)
	taken := time.Since(begun)
	clients.Wait()
	cl.unseal(t)
	return taken
}

// awaitBackgroundCalls waits until the engine's background work waits for the vendors of the scenarios: no client sends
// requests, and Vault has no lease to revoke. The work gives a silent vendor 20 seconds.
func awaitBackgroundCalls(t *testing.T, scenarios []*scenario) {
	t.Helper()
	calls := make([]int, len(scenarios))
	for i, sc := range scenarios {
		calls[i] = sc.calls(t)
	}
	require.True(t, await(sweptWithin, func() bool {
		for i, sc := range scenarios {
			if sc.calls(t) == calls[i] {
				return false
			}
		}
		return true
	}), "the background work does not call all vendors")
}
